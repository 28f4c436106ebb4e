"""Decides when a plan on screen may be confirmed, and says why not. Pure; the screen only asks it.

A plan can be confirmed after it was on the screen for a while and nobody typed. For a large plan, and for a whole owner
or everything, a person types the number of closes first. The configuration says which plans are large.
"""

from __future__ import annotations

from core.plans.plan import Plan
from core.settings import ConsoleSettings
from core.units import ZERO
from tui.present.quiet import QUIET, Quiet

SETTLE = 1.5  # seconds a changed plan is on screen before it can be confirmed


class ConfirmGate:
    """Says why a plan cannot be confirmed, or nothing if it can. ``typed`` asks for the number in any case."""

    def __init__(self, *, dry_run: bool, typed: bool, limits: ConsoleSettings | None = None) -> None:
        self.dry_run, self.typed, self.limits = dry_run, typed, limits or ConsoleSettings()
        self.plan: Plan | None = None
        self.problem: str | None = None
        self.quiet = Quiet()
        self._unseen: float | None = None  # seconds that the plan must be on the screen, once it is drawn
        self._changed = False

    @property
    def drawn(self) -> bool:
        """True once the plan is on the screen."""
        return self.plan is not None and self._unseen is None

    def take(self, plan: Plan, *, changed: bool) -> None:
        """Set the plan that is drawn next."""
        if changed or self.plan is None or self.problem is not None:
            self._unseen = QUIET if self.plan is None else SETTLE
            self._changed |= changed
        self.plan, self.problem = plan, None

    def see(self, at: float) -> None:
        """Start to wait: the plan is on the screen."""
        if self._unseen is not None:
            self.quiet.show(at, self._unseen)
            self._unseen = None

    def fail(self, text: str) -> None:
        """Distrust the plan on screen: no plan could be made, or the engine rejected the confirmed plan."""
        self.problem = text

    def wants_number(self) -> int | None:
        """Return the number that a person must type, or None."""
        if self.plan is None or self.plan.empty or self.dry_run:
            return None
        count = len(self.plan.closes) or len(self.plan.lone_cancels)
        return count if self.typed or _is_large(self.plan, count, self.limits) else None

    def closed_because(self, number: str, at: float, *, seen: bool = True) -> str | None:
        """Return one sentence for a person, or None if ``y`` confirms.

        ``seen`` tells whether the terminal is large enough to read the plan.
        """
        if self.problem is not None or self.plan is None:
            return self.problem or "Preparing the plan…"
        if self.plan.empty or self.dry_run:
            return "Nothing to do: nothing would be sent." if self.plan.empty else "Dry run: nothing is sent from here."
        if not seen:
            return "The terminal is too small to show what would be sent."
        if self._unseen is not None or (left := self.quiet.left(at)) > 0:
            left = self._unseen if self._unseen is not None else left
            if self._changed:
                return f"THE PLAN CHANGED. Look at it again; it can be confirmed in {left:.1f} s."
            return f"Look at the plan. It can be confirmed after {left:.1f} s without a key."
        self._changed = False
        wanted = self.wants_number()
        if wanted is not None and number.strip() != str(wanted):
            what = "positions that will be closed" if self.plan.closes else "orders that will be cancelled"
            return f"Type {wanted}, the number of {what}."
        return None


def _is_large(plan: Plan, count: int, limits: ConsoleSettings) -> bool:
    """Return whether the plan reaches a limit. An unknown value may be of any size, so it counts as reaching it."""
    closes, usd = limits.type_number_from
    if closes is not None and count >= closes:
        return True
    if usd is None or not plan.closes:
        return False
    values = [action.usd_value for action in plan.closes]
    return None in values or sum((abs(v) for v in values if v is not None), ZERO) >= usd

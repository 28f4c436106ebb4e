"""Decides when a plan on screen may be confirmed, and says why not. Pure; the screen only asks it.

A plan that changed on screen can be confirmed only after a while. A plan for a whole owner or for everything can be
confirmed only after a person has typed the number of its positions.
"""

from __future__ import annotations

from core.plans.plan import Plan

SETTLE = 1.5  # seconds a changed plan is on screen before it can be confirmed


class ConfirmGate:
    """Says why a plan cannot be confirmed, or nothing if it can."""

    def __init__(self, *, dry_run: bool, typed: bool, settle: float = SETTLE) -> None:
        self.dry_run, self.typed, self.settle = dry_run, typed, settle
        self.plan: Plan | None = None
        self.problem: str | None = None
        self._changed_at: float | None = None

    def take(self, plan: Plan, *, changed: bool, at: float) -> None:
        """Set the plan that is on screen from now on."""
        self.plan, self.problem = plan, None
        if changed:
            self._changed_at = at

    def fail(self, text: str, at: float) -> None:
        """Distrust the plan on screen: no plan could be made, or the engine rejected the confirmed plan."""
        self.problem = text
        self._changed_at = at

    def wants_number(self) -> int | None:
        """Return the number that a person must type, or None."""
        return len(self.plan.closes) if self.typed and self.plan is not None and not self.plan.empty else None

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
        left = self._changed_at + self.settle - at if self._changed_at is not None else 0.0
        if left > 0:
            return f"THE PLAN CHANGED. Look at it again; it can be confirmed in {left:.1f} s."
        wanted = self.wants_number()
        if wanted is not None and number.strip() != str(wanted):
            return f"Type {wanted}, the number of positions that will be closed."
        return None

"""When a plan on screen may be confirmed, and why not. Pure; the screen only asks it.

A plan that changed under a person's eyes must have been on screen for a while before it can be confirmed, and a plan
for a whole owner or for everything only after the number of its positions was typed.
"""

from __future__ import annotations

from core.plans.plan import Plan

SETTLE = 1.5  # seconds a changed plan is on screen before it can be confirmed


class ConfirmGate:
    """Says why confirming is closed, or nothing when it is open."""

    def __init__(self, *, dry_run: bool, typed: bool, settle: float = SETTLE) -> None:
        self.dry_run, self.typed, self.settle = dry_run, typed, settle
        self.plan: Plan | None = None
        self.problem: str | None = None
        self._changed_at: float | None = None

    def take(self, plan: Plan, *, changed: bool, at: float) -> None:
        """The plan that is on screen from now on."""
        self.plan, self.problem = plan, None
        if changed:
            self._changed_at = at

    def fail(self, text: str, at: float) -> None:
        """No plan could be had, or what was confirmed was turned down: what is on screen is not to be trusted."""
        self.problem = text
        self._changed_at = at

    def wants_number(self) -> int | None:
        """The number that must be typed, if one must."""
        return len(self.plan.closes) if self.typed and self.plan is not None and not self.plan.empty else None

    def closed_because(self, number: str, at: float, *, seen: bool = True) -> str | None:
        """One sentence for a person; None when ``y`` confirms. ``seen``: the terminal is large enough to read it."""
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

"""A plan in execution, as lines: each action's tier and outcome, then the report's results. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from core.link.messages import ClosingRow
from core.plans.plan import Action, ActionKind, Plan
from core.plans.results import PlanReport, ResultRow
from tui.present.cells import Cell, Column, Row
from tui.present.labels import GOOD_OUTCOMES, report_summary
from tui.present.numbers import number
from tui.present.plan_diff import LineKey, line_key, outlook
from tui.present.sanitize import sanitize

COLUMNS = (
    Column("state", "state", 17, 0),
    Column("symbol", "symbol", 10, 0, grow=1, whole=2),
    Column("account", "account", 14, 3, grow=1, whole=3),
    Column("planned", "planned", 12, 2, grow=2),
    Column("tier", "tier", 20, 0),
    Column("filled", "filled", 9, 1, right=True, grow=1),
    Column("profit", "result", 7, 2),
    Column("answer", "answer", 14, 1, grow=3),
)


class Progress:
    """Follows one plan. It takes closings and, at the end, the report."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.report: PlanReport | None = None
        self._actions: dict[Hashable, Action] = {}
        for action in (*plan.closes, *plan.lone_cancels):
            self._actions[line_key(action)] = action
        self._closings: dict[LineKey, ClosingRow] = {}
        self._results: dict[LineKey, ResultRow] = {}

    @property
    def keys(self) -> list[Hashable]:
        """The lines in the plan's order."""
        return list(self._actions)

    def follow(self, closing: ClosingRow) -> Hashable | None:
        """Take a close's progress; return the line to draw anew, or None if the close is of another plan."""
        at = closing.key
        key = LineKey(ActionKind.CLOSE.value, at.account, at.symbol, at.leg.value)
        if closing.plan != self.plan.id or key not in self._actions:
            return None
        self._closings[key] = closing
        return key

    def finish(self, report: PlanReport) -> bool:
        """Take the report; return False if the report is of another plan."""
        if report.plan.id != self.plan.id:
            return False
        self.report = report
        for result in report.results:
            at = result.key
            order = result.order_id or "" if result.kind == ActionKind.CANCEL_ORDER.value else ""
            self._results[LineKey(result.kind, at.account, at.symbol, at.leg.value, order)] = result
        return True

    def row(self, key: Hashable) -> Row:
        """Return one line."""
        action = self._actions.get(key)
        if action is None or not isinstance(key, LineKey):
            return Row()
        closing, result = self._closings.get(key), self._results.get(key)
        tier = result.tier if result else closing.tier if closing else None
        turn = f" r{closing.round}" if closing and closing.round and not result else ""
        filled = result.filled if result else closing.filled if closing else None
        said = (result.error if result else None) or (closing.answer if closing else "")
        return Row(
            cells={
                "state": self._state(closing, result),
                "symbol": Cell(sanitize(action.key.symbol), "strong"),
                "account": Cell(sanitize(action.key.account)),
                "planned": Cell(outlook(action) if action.kind is ActionKind.CLOSE else "cancel order"),
                "tier": Cell(sanitize(tier or "") + turn),
                "filled": Cell(number(filled) if filled is not None else ""),
                "profit": Cell((result.profit or "") if result else ""),
                "answer": Cell(sanitize(said or "", 300)),
            }
        )

    def _state(self, closing: ClosingRow | None, result: ResultRow | None) -> Cell:
        outcome = result.outcome if result else closing.outcome if closing else None
        if outcome is not None:
            tone = "good" if outcome in GOOD_OUTCOMES else "alarm" if outcome == "stuck" else "warn"
            return Cell(f"[{sanitize(outcome, 15).upper()}]", tone)
        if self.report is not None:
            return Cell("[NO RESULT]", "bad")
        return Cell(sanitize(closing.state, 17).replace("_", " ")) if closing else Cell("waits", "dim")

    def summary(self) -> list[Cell]:
        """Return the progress so far, or at the end the brokers' results."""
        if self.report is not None:
            return report_summary(self.report)
        outcomes = Counter(c.outcome for c in self._closings.values() if c.outcome)
        cells = [Cell(f"{sum(outcomes.values())} of {len(self.plan.closes)} closes ended", "strong")]
        cells += [Cell(f"{n} {sanitize(o).replace('_', ' ')}") for o, n in sorted(outcomes.items())]
        return cells

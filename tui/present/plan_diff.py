"""A plan as lines: its actions per owner, and the differences from the plan shown before. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import NamedTuple

from core.model import Order, Side
from core.plans.plan import Action, ActionKind, OwnerTally, Plan
from core.plans.request import PlanRequest
from core.units import ZERO
from tui.present.cells import Cell, Column, Row
from tui.present.labels import not_listed, orders_word, tally_words
from tui.present.numbers import number, pct, tone_of, usd
from tui.present.sanitize import sanitize

COLUMNS = (
    Column("mark", "", 7, 0),
    Column("action", "action", 11, 0),
    Column("symbol", "symbol", 10, 0, grow=1, whole=2),
    Column("account", "account", 14, 3, grow=1, whole=3),
    Column("quantity", "quantity", 9, 0, right=True, grow=1),
    Column("value", "value", 10, 0, right=True),
    Column("pnl", "P&L", 8, 1, right=True),
    Column("cost", "cost", 8, 5, right=True),
    Column("tiers", "tiers to be tried", 22, 4, grow=1),
    Column("why", "why", 14, 2, grow=4, least=10),
)
ARROW = " → "


class LineKey(NamedTuple):
    """The identity of a line: two lines of two plans with the same key are the same line."""

    kind: str
    account: str
    symbol: str
    leg: str
    order: str = ""


class Heading(NamedTuple):
    """An owner's line."""

    owner: str


class Unread(NamedTuple):
    """An account that could not be read, or not in whole."""

    account: str


class Under(NamedTuple):
    """An order that a close cancels first."""

    close: LineKey
    order: str


def line_key(action: Action) -> LineKey:
    """The key of an action's line."""
    at = action.key
    order = action.order.id if action.order else ""
    return LineKey(action.kind.value, at.account, at.symbol, at.leg.value, order)


def fingerprint(plan: Plan) -> tuple[str, tuple[str, ...]]:
    """Return the binding part of a plan and what the plan could not see, which must not change on screen."""
    return plan.digest, (*sorted(plan.unreadable), *(f"{a}: {not_listed(p)}" for a, p in sorted(plan.unlisted.items())))


def partial(plan: Plan) -> str:
    """Return what the plan could not see, in one line; "" for a plan that saw everything."""
    unread, unlisted = len(plan.unreadable), len(plan.unlisted)
    parts = [f"{unread} account{'s' * (unread != 1)} could not be read"] if unread else []
    parts += [f"{unlisted} account{'s' * (unlisted != 1)} could not be listed in whole"] if unlisted else []
    return f"PARTIAL: {', '.join(parts)}" if parts else ""


class Diff:
    """The lines of the plan on screen, marked where they differ from the plan before."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.marks: dict[Hashable, str] = {}
        self._rows: dict[Hashable, Row] = {}
        self._gone: tuple[Action, ...] = ()
        self._shown: tuple[str, tuple[str, ...]] | None = None

    def show(self, plan: Plan) -> bool:
        """Take ``plan``; return True if its binding part differs from the plan before. Prices alone do not count."""
        shown = fingerprint(plan)
        changed = self.plan is not None and shown != self._shown
        if changed and self.plan is not None:
            self.marks, self._gone = compare(self.plan, plan)
        self.plan, self._shown = plan, shown
        self._build(plan)
        return changed

    @property
    def keys(self) -> list[Hashable]:
        """The lines in order."""
        return list(self._rows)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns. The marks have a column only if there are marks.

        With several accounts, a narrow table drops the account's column later than the reason's column.
        """
        shown = COLUMNS if self.marks or self._gone else COLUMNS[1:]
        accounts = {action.key.account for action in (*self.plan.actions, *self._gone)} if self.plan else set[str]()
        return tuple(c._replace(priority=1) if c.key == "account" and len(accounts) > 1 else c for c in shown)

    def row(self, key: Hashable) -> Row:
        """Return one line."""
        return self._rows.get(key, Row())

    def marked(self) -> dict[str, int]:
        """Return how many lines are new, changed or gone since the plan before the last change."""
        counted = Counter(word.lower() for word in self.marks.values())
        if self._gone:
            counted["gone"] = len(self._gone)
        return dict(counted)

    def _build(self, plan: Plan) -> None:
        rows: dict[Hashable, Row] = {}
        for account, why in sorted(plan.unreadable.items()):
            text = f"[PARTIAL] {sanitize(account, 40)} could not be read: {sanitize(why, 200)}"
            rows[Unread(account)] = Row(spans=(Cell(text, "bad"),))
        for account, parts in sorted(plan.unlisted.items()):
            rows[Unread(account)] = Row(spans=(Cell(f"[PARTIAL] {sanitize(account, 40)}: {not_listed(parts)}", "bad"),))
        tallies = {t.id: t for t in plan.owners}
        by_owner: dict[str, list[Action]] = {owner: [] for owner in tallies}
        lone = {line_key(a) for a in plan.lone_cancels}
        for action in plan.actions:
            if action.kind is not ActionKind.CANCEL_ORDER or line_key(action) in lone:
                by_owner.setdefault(action.owner, []).append(action)
        gone: dict[str, list[Action]] = {}
        for action in self._gone:
            gone.setdefault(action.owner, []).append(action)
            by_owner.setdefault(action.owner, [])
        for owner in sorted(o for o, actions in by_owner.items() if actions or gone.get(o)):
            rows[Heading(owner)] = owner_row(owner, tallies.get(owner))
            for action in sorted(by_owner[owner], key=lambda a: (a.kind is ActionKind.SKIP, a.key)):
                self._add(rows, action)
            for action in gone.get(owner, []):
                rows["gone", line_key(action)] = action_row(action, "GONE")
        self._rows = rows

    def _add(self, rows: dict[Hashable, Row], action: Action) -> None:
        key = line_key(action)
        place: Hashable = key if key not in rows else (key, len(rows))
        rows[place] = action_row(action, self.marks.get(key, ""))
        for order in action.cancels:
            rows[Under(key, order.id)] = order_row(order, action.owner)


def compare(old: Plan, new: Plan) -> tuple[dict[Hashable, str], tuple[Action, ...]]:
    """Return marks for lines of ``new`` that ``old`` did not have equally, and the actions of ``old`` that are gone."""
    before = {line_key(a): a for a in old.actions}
    after = {line_key(a): a for a in new.actions}
    marks: dict[Hashable, str] = {}
    for key, action in after.items():
        if key not in before:
            marks[key] = "NEW"
        elif before[key].binding() != action.binding():
            marks[key] = "CHANGED"
    gone = tuple(a for k, a in before.items() if k not in after and a.kind is not ActionKind.SKIP)
    return marks, gone


def action_row(action: Action, mark: str) -> Row:
    """One action: what is sent for it, or why nothing is."""
    side = action.side.value if action.side else ""
    verb = {ActionKind.CLOSE: f"close {side}", ActionKind.SKIP: f"skip {side}", ActionKind.CANCEL_ORDER: "cancel"}
    quantity = number(action.quantity) if action.quantity else ""
    if action.order is not None:
        quantity = number(action.order.remaining)
    why = sanitize(action.text, 300) if action.text else action.reason.value.replace("_", " ")
    return Row(
        cells={
            "mark": Cell(mark, "warn" if mark else ""),
            "action": Cell(verb[action.kind].strip(), "strong" if action.kind is not ActionKind.SKIP else "dim"),
            "symbol": Cell(sanitize(action.key.symbol)),
            "account": Cell(sanitize(action.key.account)),
            "quantity": Cell(quantity),
            "value": Cell("" if action.kind is ActionKind.CANCEL_ORDER else usd(action.usd_value)),
            "pnl": Cell("" if action.kind is ActionKind.CANCEL_ORDER else pct(action.pnl), tone_of(action.pnl)),
            "cost": Cell(usd(action.cost) if action.kind is ActionKind.CLOSE else ""),
            "why": Cell(why, "warn" if action.kind is ActionKind.SKIP else ""),
            "tiers": Cell(ARROW.join(t.value for t in action.tiers)),
        },
        group=action.owner,
        tone="dim" if mark == "GONE" else "",
    )


def order_row(order: Order, owner: str) -> Row:
    """Return the row of an order that is cancelled before its position is closed."""
    return Row(
        cells={
            "action": Cell("└ cancel", "strong"),
            "symbol": Cell(sanitize(order.symbol)),
            "account": Cell(sanitize(order.account)),
            "quantity": Cell(number(order.remaining)),
            "why": Cell(f"its order {order_words(order)}"),
        },
        group=owner,
    )


def order_words(order: Order) -> str:
    """Return ``o1: sell limit at 120``."""
    price = order.price if order.price is not None else order.trigger
    at = f" at {number(price)}" if price is not None else ""
    return f"{sanitize(order.id, 40)}: {order.side.value} {order.type.value}{at}"


def owner_row(owner: str, tally: OwnerTally | None) -> Row:
    """Return ``user_123  59 → 8 positions, cap 8 · 45 dust · 6 over cap · $12 → $10``."""
    if tally is None:
        return Row(spans=(Cell(sanitize(owner, 40), "strong"),), group=owner, heading=True)
    parts = [
        Cell(sanitize(owner, 40), "strong"),
        Cell(f"  {tally.initial}{ARROW}{tally.final} positions"),
        Cell(f", cap {tally.cap}", "bad" if tally.final > tally.cap else ""),
        Cell("".join(f" · {w}" for w in tally_words(tally))),
        Cell(f" · {usd(tally.value_before)}{ARROW}{usd(tally.value_after)}"),
    ]
    if not tally.complete:
        parts.append(Cell("  [PARTIAL]", "bad"))
    return Row(spans=tuple(parts), group=owner, heading=True)


def summary(plan: Plan) -> list[Cell]:
    """Return the fixed line: all orders, the positions before and after, and the estimated cost."""
    totals, closes = plan.totals, plan.closes
    cancels = len({(a.key.account, o.id) for a in closes for o in a.cancels}) + len(plan.lone_cancels)
    skips = sum(a.kind is ActionKind.SKIP for a in plan.actions)
    cells = [Cell(f"{len(closes)} to close", "strong"), Cell(f"{cancels} {orders_word(cancels)}")]
    if skips:
        cells.append(Cell(f"{skips} skipped", "warn"))
    cells.append(Cell(f"{totals.initial}{ARROW}{totals.final} positions", "strong"))
    before = [o.value_before for o in plan.owners]
    after = [o.value_after for o in plan.owners]
    if plan.owners and None not in before and None not in after:
        was, left = (sum((v for v in values if v is not None), ZERO) for values in (before, after))
        cells.append(Cell(f"{usd(was)}{ARROW}{usd(left)}"))
    costs = [a.cost for a in closes]
    if costs:
        unknown = costs.count(None)
        known = usd(sum((c for c in costs if c is not None), ZERO))
        cost = f"{known} + {unknown} unknown" if unknown else known
        cells.append(Cell(f"estimated cost {'unknown' if unknown == len(costs) else cost}"))
    return cells


def ladders(plan: Plan) -> str:
    """Return the tiers that are tried, with the number of positions for each ladder."""
    counted = Counter(a.tiers for a in plan.closes if a.tiers)
    return "; ".join(f"{n} by {ARROW.join(t.value for t in tiers)}" for tiers, n in counted.most_common(3))


def describe(request: PlanRequest) -> str:
    """Return the request in words."""
    what = {"cleanup": "CLEANUP", "flatten": "FLATTEN", "cancel-orders": "CANCEL ORDERS", "exit": "EXIT"}.get(
        request.cause, request.cause
    )
    if request.everything:
        return f"{what}: EVERYTHING, all owners and accounts"
    if request.owners:
        return f"{what}: all of {sanitize(', '.join(request.owners), 60)}"
    if len(request.keys) == 1:
        why = f", {sanitize(request.text, 120)}" if request.text else ""
        return f"{what}: {sanitize(request.keys[0].symbol, 30)} at {sanitize(request.keys[0].account, 40)}{why}"
    return f"{what}: {len(request.keys)} selected positions" if request.keys else f"{what}: all owners"


def outlook(action: Action) -> str:
    """Return ``long 0.5`` for a progress line."""
    side = action.side or Side.LONG
    return f"{side.value} {number(action.quantity)}"

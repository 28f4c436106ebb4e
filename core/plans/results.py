"""The results of a plan: per action, per owner, and what a close earned. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum

from msgspec import Struct, structs

from core.model import Holdings, PositionKey, Side
from core.plans.money import CloseMoney, MoneySum, money_of, summed
from core.plans.plan import Action, ActionKind, OwnerTally, Plan, Reason
from core.plans.position_row import PositionRow


class ResultRow(Struct, frozen=True):
    """The result of one action.

    ``outcome``: closed, closed_residual, partial, stuck, waiting_open, changed, refused, cancelled, skipped.
    ``profit``: WIN, LOSS, UNKNOWN; None where nothing was closed.
    """

    key: PositionKey
    kind: str
    outcome: str
    order_id: str | None = None
    tier: str | None = None
    filled: Decimal = Decimal(0)
    average_price: Decimal | None = None
    residual: Decimal | None = Decimal(0)
    profit_status: str | None = None
    profit: str | None = None
    error: str | None = None
    reason: str | None = None  # of the plan's action; earlier records do not have it
    why: str = ""  # the reason in words, with its numbers
    money: CloseMoney | None = None  # of a close that filled something
    joined: bool = False  # another plan closed the position; ``residual`` is what the final read shows

    @property
    def done(self) -> bool:
        """True when nothing remains to be done, by this plan or by the plan that it met."""
        return Outcome(self.outcome).settled or (self.joined and self.residual == 0)


class VerifiedOwner(Struct, frozen=True):
    """The number of an owner's positions at the final reconciliation.

    ``read`` is False where an account could not be read; ``final`` then lacks its positions. ``complete`` is False
    also where a part of an account is not listed.
    """

    id: str
    final: int
    complete: bool
    read: bool = True


def verified_owner(owner: str, reads: Sequence[Holdings | None]) -> VerifiedOwner:
    """Return the owner's number of positions. ``reads`` has the last read of each account; None if it failed."""
    known = [read for read in reads if read is not None]
    read = len(known) == len(reads)
    whole = read and not any(one.unlisted for one in known)
    return VerifiedOwner(owner, sum(len(one.positions) for one in known), whole, read)


class PlanReport(Struct, frozen=True):
    """The report of an executed plan: each action's result, and the positions that the brokers reported afterwards."""

    plan: Plan
    results: tuple[ResultRow, ...]
    owners: tuple[VerifiedOwner, ...]
    positions: tuple[PositionRow, ...]  # none in an exit's report: it closes one position of many
    complete: bool  # every account was read again, and whole
    success: bool  # True if all is closed or residual: nothing partial, stuck, changed, unread or unlisted
    unlisted: dict[str, tuple[str, ...]] = {}  # account → parts that no list covered, in the plan or at the end


class Outcome(Enum):
    """The outcome of an action."""

    CLOSED = "closed"
    CLOSED_RESIDUAL = "closed_residual"  # the rest is below the venue's minimum
    PARTIAL = "partial"  # a part of the position is closed
    STUCK = "stuck"
    WAITING_OPEN = "waiting_open"
    CHANGED = "changed"  # the position or its orders changed after the confirmation: shown again
    REFUSED = "refused"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def settled(self) -> bool:
        """True when nothing remains to be done."""
        return self in (Outcome.CLOSED, Outcome.CLOSED_RESIDUAL, Outcome.CANCELLED, Outcome.SKIPPED)


def profit(action: Action, price: Decimal | None) -> str:
    """Return WIN or LOSS by the realised P&L against the entry; UNKNOWN without an entry or a price."""
    return win_or_loss(action.side, action.entry, price)


def win_or_loss(side: Side | None, entry: Decimal | None, price: Decimal | None) -> str:
    """Return WIN or LOSS by the realised P&L of a close at ``price``; UNKNOWN where an argument is None."""
    if side is None or entry is None or price is None:
        return "UNKNOWN"
    return "WIN" if (price - entry) * side.sign > 0 else "LOSS"


def earned(action: Action, filled: Decimal, price: Decimal | None, fee: Decimal | None) -> CloseMoney | None:
    """Return the money of a close; None where nothing was filled."""
    if filled <= 0:
        return None
    return money_of(action.side, action.entry, filled, price, fee, action.valuation)


def owner_money(plan: Plan, results: Iterable[ResultRow]) -> dict[str, list[MoneySum]]:
    """Return each owner's sums of the closes that filled something, one for each currency."""
    owner_of = {action.key: action.owner for action in plan.actions}
    found: dict[str, list[CloseMoney]] = {}
    for row in results:
        if row.money is not None:
            found.setdefault(owner_of.get(row.key, ""), []).append(row.money)
    return {owner: summed(closes) for owner, closes in found.items()}


def not_done(action: Action, outcome: Outcome, error: str) -> ResultRow:
    """Return the result of an action that was not begun."""
    order_id = action.order.id if action.order and action.kind is ActionKind.CANCEL_ORDER else None
    return ResultRow(
        *(action.key, action.kind.value, outcome.value),
        order_id=order_id,
        residual=None,
        error=error,
        reason=action.reason.value,
        why=action.text,
    )


def joined(action: Action, why: str) -> ResultRow:
    """Return the result of an action on a position that another plan was closing. ``why`` names the other plan."""
    row = not_done(action, Outcome.CHANGED, why)
    return structs.replace(row, kind=ActionKind.CLOSE.value, joined=True) if row.order_id is None else row


def as_finally_read(row: ResultRow, holdings: Holdings | None) -> ResultRow:
    """Return the row of a stuck, partial or joined close with the quantity that the final read shows.

    The close ended before that read: its order may have been executed although its outcome stayed unknown.
    """
    unsettled = row.joined or row.outcome in (Outcome.STUCK.value, Outcome.PARTIAL.value)
    if holdings is None or row.kind != ActionKind.CLOSE.value or not unsettled or not holdings.tells_of(row.key.symbol):
        return row
    held = holdings.position(row.key)
    return structs.replace(row, residual=held.quantity if held is not None else Decimal(0))


def owner_tallies(plan: Plan, results: Iterable[ResultRow], final: dict[str, int]) -> tuple[OwnerTally, ...]:
    """Return each owner's tally of the actions that succeeded.

    ``final`` has the number of positions that the brokers reported at the end, by owner. For a missing
    owner the count is the initial count minus the closes.
    """
    rows = list(results)
    closed = (Outcome.CLOSED.value, Outcome.CLOSED_RESIDUAL.value)
    gone = {r.key for r in rows if r.order_id is None and r.outcome in closed}
    orders = {(r.key.account, r.order_id) for r in rows if r.outcome == Outcome.CANCELLED.value}
    out = []
    for owner in plan.owners:
        closes = [a for a in plan.closes if a.owner == owner.id and a.key in gone]
        accounts = {a.key.account for a in plan.actions if a.owner == owner.id}
        out.append(
            structs.replace(
                owner,
                dust=sum(a.reason is Reason.DUST for a in closes),
                cap_excess=sum(a.reason is Reason.CAP_EXCEEDED for a in closes),
                orders_to_cancel=sum(account in accounts for account, _ in orders),
                final=final.get(owner.id, owner.initial - len(closes)),
            )
        )
    return tuple(out)

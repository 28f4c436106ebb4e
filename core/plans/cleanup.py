"""Dust, the position cap, and the handling of open orders. Pure: holdings in, verdicts and actions out.

Per owner, over all of the owner's accounts together:

* Unsellable positions are shown with the reason, never sent and not counted.
* A position with a known value below ``dust_usd`` is dust and is closed.
* The other positions are ranked by value, then P&L, then age. Rank 1 is the largest. ``rank > cap`` is closed.
* A position that covers a short is not closed alone.
* A position with an unknown value is counted but never ranked. Its rank could only push ranked positions further down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from msgspec import Struct, structs

from core.model import InstrumentKey, Order, PositionKey, Tier
from core.plans import legs
from core.plans.cancel_policy import OrderPolicy
from core.plans.money import valuation_of
from core.plans.plan import Action, ActionKind, OwnerTally, Reason
from core.plans.sizing import MinimumProblem, minimum_problem
from core.portfolio.holding import Holding
from core.units import ZERO, dollars, floor_to, money, plain

_NEVER = datetime.max.replace(tzinfo=UTC)


# Instruments with a close in flight and accounts that are frozen (by id): why nothing may be planned for them now.
Blocked = dict[InstrumentKey | str, tuple[Reason, str]]


def blocked_by(closing: Mapping[InstrumentKey, str], frozen: Mapping[str, str]) -> Blocked:
    """Return what plans that close (by instrument) and frozen accounts (with the reason) block."""
    blocked: Blocked = {w: (Reason.CLOSING, f"plan {plan} is closing it already") for w, plan in closing.items()}
    return blocked | {a: (Reason.FROZEN, f"account is frozen: {why}") for a, why in frozen.items()}


def why_blocked(blocked: Blocked, key: PositionKey) -> tuple[Reason, str] | None:
    """Return why nothing may be planned for a position now, the instrument's reason before the account's."""
    return blocked.get(key.instrument) or blocked.get(key.account)


class Verdict(Struct, frozen=True):
    """The rules' result for one position. ``why`` is None for a position that may stay."""

    holding: Holding
    why: Reason | None
    text: str = ""
    rank: int | None = None


def unsellable(holding: Holding) -> str | None:
    """Return in one phrase why the venue would refuse to sell this position, or None."""
    instrument, position = holding.instrument, holding.position
    if not instrument.tradable:
        return _way_out("not tradable at the venue", instrument.way_out)
    quantity = floor_to(position.quantity, instrument.step)
    held = plain(position.quantity)
    match minimum_problem(quantity, instrument, holding.price):
        case None if holding.too_small:
            text = f"the venue refuses {held} as too small: {holding.too_small}"
        case None:
            return None
        case MinimumProblem.STEP:
            text = f"{held} is below one step of {plain(instrument.step)}"
        case MinimumProblem.QUANTITY:
            text = f"{held} is below the venue's minimum of {plain(instrument.min_quantity)}"
        case MinimumProblem.COST:
            cost = money(quantity * instrument.multiplier * (holding.price or ZERO))
            text = f"{cost} {instrument.quote} is below the venue's minimum cost of {plain(instrument.min_cost)}"
    return _way_out(text, instrument.way_out)


def _way_out(reason: str, way_out: str) -> str:
    return f"{reason}; way out: {way_out}" if way_out else reason


def judge(holdings: Sequence[Holding], dust_usd: Decimal, cap: int) -> list[Verdict]:
    """Return one verdict per holding of one owner: unsellable and dust, then ranked from the largest, then unpriced."""
    verdicts: list[Verdict] = []
    ranked: list[Holding] = []
    unpriced: list[Verdict] = []
    for holding in holdings:
        reason = unsellable(holding)
        if reason:
            verdicts.append(Verdict(holding, Reason.UNSELLABLE, reason))
        elif holding.value is None:
            unpriced.append(Verdict(holding, Reason.NO_PRICE, f"Value unknown: {holding.flaw}"))
        elif holding.value < dust_usd:
            text = f"Dust position (${dollars(holding.value)} < ${money(dust_usd)})"
            verdicts.append(Verdict(holding, Reason.DUST, text))
        else:
            ranked.append(holding)
    counted = len(ranked) + len(unpriced)
    exceeded = f"Position cap exceeded ({counted}/{cap})"
    for rank, holding in enumerate(sorted(ranked, key=prune_order, reverse=True), start=1):
        over = rank > cap
        verdicts.append(Verdict(holding, Reason.CAP_EXCEEDED if over else None, exceeded if over else "", rank))
    return verdicts + unpriced


def prune_order(holding: Holding) -> tuple[Decimal, bool, Decimal, datetime, str, str, str]:
    """Return the sort key, first to be closed first.

    The order is value, P&L (unknown last), age from the oldest (unknown last), account, symbol, leg.
    """
    position = holding.position
    pnl_unknown = holding.pnl is None
    return (
        holding.value if holding.value is not None else ZERO,
        pnl_unknown,
        holding.pnl if holding.pnl is not None else ZERO,
        position.opened_at or _NEVER,
        position.account,
        position.symbol,
        position.leg.value,
    )


class OwnerPlan(Struct, frozen=True):
    """The actions for one owner, and the owner's tally before and after them."""

    actions: tuple[Action, ...]
    tally: OwnerTally


def plan_owner(
    owner: str,
    holdings: Sequence[Holding],
    *,
    dust_usd: Decimal,
    cap: int,
    policy: OrderPolicy,
    tiers: dict[str, tuple[Tier, ...]],
    blocked: Blocked,
    complete: bool,
    accounts: tuple[str, ...] = (),
) -> OwnerPlan:
    """Plan the cleanup of one owner. ``tiers`` is by account; ``blocked`` says where nothing may be planned now.

    ``accounts``, unless empty, has the only accounts to act in. The cap counts all accounts of the owner all the same.
    """
    verdicts = judge(holdings, dust_usd, cap)
    actions: list[Action] = []
    for verdict in sorted(verdicts, key=_sequence):
        if verdict.why is not None and (not accounts or verdict.holding.key.account in accounts):
            actions.extend(_actions(verdict, cap, policy, tiers, blocked))
    actions = legs.shorts_first(legs.keep_covers(actions, holdings), holdings, across_accounts=True)
    return OwnerPlan(tuple(actions), tally(owner, cap, holdings, actions, complete))


def _sequence(verdict: Verdict) -> tuple[int, tuple[Decimal, bool, Decimal, datetime, str, str, str]]:
    order = [Reason.DUST, Reason.CAP_EXCEEDED, Reason.UNSELLABLE, Reason.NO_PRICE]
    return (order.index(verdict.why) if verdict.why else len(order)), prune_order(verdict.holding)


def _actions(
    verdict: Verdict,
    cap: int,
    policy: OrderPolicy,
    tiers: dict[str, tuple[Tier, ...]],
    blocked: Blocked,
) -> list[Action]:
    holding, key = verdict.holding, verdict.holding.key
    if verdict.why in (Reason.UNSELLABLE, Reason.NO_PRICE):
        return [skip(holding, verdict.why, verdict.text, verdict.rank)]
    why_not = why_blocked(blocked, key)
    if why_not:
        return [skip(holding, why_not[0], why_not[1], verdict.rank)]
    if holding.orders_flaw:  # an order that is not known cannot be cancelled first
        text = f"{verdict.text}; skipped: its open orders are not known: {holding.orders_flaw}"
        return [skip(holding, Reason.OPEN_ORDERS, text, verdict.rank)]
    if holding.orders and not policy.cancels(holding.value, verdict.rank, cap):
        text = f"{verdict.text}; skipped: {len(holding.orders)} open order(s) are kept"
        return [skip(holding, Reason.OPEN_ORDERS, text, verdict.rank)]
    assert verdict.why is not None
    return close(holding, verdict.why, verdict.text, tiers[key.account], rank=verdict.rank)


def skip(holding: Holding, reason: Reason, text: str, rank: int | None = None) -> Action:
    """Return the action that shows a position and leaves it alone."""
    return _line(ActionKind.SKIP, holding, reason, text, rank)


def close(
    holding: Holding, reason: Reason, text: str, tiers: tuple[Tier, ...], *, rank: int | None = None
) -> list[Action]:
    """Return the cancels that come first, one action each, and the close that carries them."""
    tiers = tiers_of(holding, tiers)
    orders = (*holding.orders, *holding.ours)
    text = f"{text}; its open orders are not known" if holding.orders_flaw else text
    actions = [cancel(holding, order, reason, text) for order in orders]
    value, spread = holding.value, holding.spread
    line = structs.replace(
        _line(ActionKind.CLOSE, holding, reason, text, rank),
        cancels=orders,
        orders_shown=tuple(o.id for o in orders),
        orders_flaw=holding.orders_flaw,
        tiers=tiers,
        cost=value * (spread + holding.fee_rate) if value is not None and spread is not None else None,
        valuation=valuation_of(holding.instrument, holding.price, holding.rate),
    )
    return [*actions, line]


def tiers_of(holding: Holding, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """Return the account's tiers that the instrument allows, in the account's order; without any, the instrument's."""
    own = holding.instrument.tiers
    return tuple(t for t in tiers if not own or t in own) or own


def cancel(holding: Holding, order: Order, reason: Reason, text: str) -> Action:
    """Return the cancel of one open order before its position is closed."""
    line = _line(ActionKind.CANCEL_ORDER, holding, reason, text, None)
    return structs.replace(line, order=order, quantity=order.remaining)


def _line(kind: ActionKind, holding: Holding, reason: Reason, text: str, rank: int | None) -> Action:
    position = holding.position
    return Action(
        kind=kind,
        reason=reason,
        text=text,
        owner=holding.owner,
        key=position.key,
        side=position.side,
        quantity=position.quantity,
        entry=position.entry,
        usd_value=holding.value,
        pnl=holding.pnl,
        rank=rank,
    )


def tally(owner: str, cap: int, holdings: Sequence[Holding], actions: Sequence[Action], complete: bool) -> OwnerTally:
    """Return the before → after of one owner, from the planned actions."""
    closes = [a for a in actions if a.kind is ActionKind.CLOSE]
    skips = [a for a in actions if a.kind is ActionKind.SKIP]
    known = [h.value for h in holdings if h.value is not None]
    before = sum(known, ZERO) if len(known) == len(holdings) else None
    going = {a.key for a in closes}
    staying = sum((h.value for h in holdings if h.key not in going and h.value is not None), ZERO)
    return OwnerTally(
        id=owner,
        cap=cap,
        initial=len(holdings),
        dust=sum(a.reason is Reason.DUST for a in closes),
        cap_excess=sum(a.reason is Reason.CAP_EXCEEDED for a in closes),
        skipped=sum(a.reason is not Reason.UNSELLABLE for a in skips),
        unsellable=sum(a.reason is Reason.UNSELLABLE for a in skips),
        orders_to_cancel=sum(a.kind is ActionKind.CANCEL_ORDER for a in actions),
        final=len(holdings) - len(closes),
        complete=complete,
        value_before=before,
        value_after=None if before is None else staying,
    )

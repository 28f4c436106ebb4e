"""The rows that consoles show: positions, owners, accounts and closings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from datetime import datetime, timedelta

from core.exits.view import ExitView
from core.ladder.states import DoPark, DoWait, Ladder, Phase, Transition
from core.link.messages import AccountRow, ClosingRow, OwnerRow, PlanRow
from core.link.restrict import HaltRow, TradingRow
from core.model import PositionKey
from core.plans import cleanup, planner
from core.plans.plan import Reason, is_our_stop
from core.plans.planner import Situation
from core.plans.position_row import PositionRow
from core.portfolio.book import Book
from core.portfolio.holding import AccountView, Holding
from core.records import AccountStateSet, Halted
from core.settings import Settings
from core.units import floor_to

FLAGS = {Reason.DUST: "dust", Reason.CAP_EXCEEDED: "cap", Reason.UNSELLABLE: "unsellable"}


def halt_row(halted: Halted | None) -> HaltRow | None:
    """Return the row of the kill switch; None while trading is not halted."""
    return None if halted is None else HaltRow(halted.reason, halted.at, halted.by)


def trading_row(state: AccountStateSet | None) -> TradingRow:
    """Return what a person allows at an account; None is enabled."""
    if state is None:
        return TradingRow()
    return TradingRow(state.state, state.until, state.reason or None, state.at, state.by)


def account_row(view: AccountView, frozen: str | None, trading: AccountStateSet | None = None) -> AccountRow:
    """Return the row of one account, with the time of its last complete read."""
    account = view.account
    return AccountRow(
        id=account.id,
        owner=account.owner,
        broker=account.broker,
        state=view.state.value,
        error=view.error,
        as_of=view.as_of,
        latency=view.latency,
        frozen=frozen,
        unlisted=view.unlisted,
        trading=trading_row(trading),
    )


def owner_rows(
    owner: str,
    settings: Settings,
    book: Book,
    situation: Situation,
    closing: Iterable[PositionKey],
    watched: Callable[[PositionKey], ExitView | None] = lambda _: None,
    *,
    waiting: Set[PositionKey] = frozenset(),
) -> tuple[OwnerRow, list[PositionRow]]:
    """Return an owner's count against the cap and all of the owner's positions, also those of unreadable accounts.

    ``waiting``: the positions whose exit waits for a person.
    """
    accounts = planner.owner_accounts(settings, owner)
    readable = {a for a in accounts if book.readable(a)}
    holdings = list(planner.holdings_of(book, book.keys(accounts), situation))
    verdicts = cleanup.judge(
        [h for h in holdings if h.key.account in readable], settings.cleanup.dust_usd, settings.cap(owner)
    )
    judged = {v.holding.key: v for v in verdicts}
    busy = set(closing)
    rows = [
        position_row(h, judged.get(h.key), h.key in busy, book, situation, watched(h.key), waits=h.key in waiting)
        for h in holdings
    ]
    complete = all(book.accounts[a].whole for a in accounts)
    dust, unsellable = (sum(v.why is why for v in verdicts) for why in (Reason.DUST, Reason.UNSELLABLE))
    counted = planner.counted(verdicts)
    return OwnerRow(owner, settings.cap(owner), counted, complete, dust=dust, unsellable=unsellable), rows


def waiting_exits(plans: Iterable[PlanRow]) -> set[PositionKey]:
    """Return the positions whose exit waits for a person."""
    requests = (p.request for p in plans if p.state == "waiting" and p.cause == "exit")
    return {key for request in requests if request is not None for key in request.keys}


def position_row(
    holding: Holding,
    verdict: cleanup.Verdict | None,
    closing: bool,
    book: Book,
    situation: Situation,
    guard: ExitView | None = None,
    *,
    waits: bool = False,
) -> PositionRow:
    """Return the row of one position with its flags. ``verdict`` is None while its account cannot be read."""
    position = holding.position
    flags = _flags(holding, verdict, closing, position.key in situation.legacy) + ("waiting",) * waits
    quote = book.quote(position.account, position.symbol)
    priced_at = situation.now - timedelta(seconds=situation.monotonic - quote.received) if quote else None
    return PositionRow(
        key=position.key,
        owner=holding.owner,
        native_symbol=holding.instrument.native_symbol,
        side=position.side.value,
        quantity=position.quantity,
        free=max(floor_to(position.free, holding.instrument.step), position.free * 0),
        entry=position.entry,
        mark=holding.mark,
        leverage=position.leverage,
        usd_value=holding.value,
        pnl=holding.pnl,
        roi=holding.roi,
        opened_at=position.opened_at,
        open_orders=len(holding.orders),
        flags=flags,
        reason=holding.flaw or (verdict.text if verdict else "account cannot be read"),
        priced_at=priced_at,
        guard=guard,
        protective=next((o.trigger for o in holding.ours if is_our_stop(o) and o.side is position.side.closing), None),
    )


def _flags(holding: Holding, verdict: cleanup.Verdict | None, closing: bool, legacy: bool) -> tuple[str, ...]:
    flags = []
    if verdict is not None and verdict.why in FLAGS:
        flags.append(FLAGS[verdict.why])
    if holding.orders:
        flags.append("open_orders")
    if verdict is None or holding.price is None:
        flags.append("stale")
    if legacy:
        flags.append("legacy")
    if closing:
        flags.append("closing")
    return tuple(flags)


def closing_row(transition: Transition, now: datetime) -> ClosingRow:
    """Return the row of a close: its present tier, the next tier and when, and the venue's last answer."""
    ladder = transition.ladder
    step = ladder.step
    following = ladder.steps[ladder.index + 1] if ladder.index + 1 < len(ladder.steps) else None
    waiting = isinstance(transition.do, DoWait)
    return ClosingRow(
        key=ladder.action.key,
        plan=ladder.plan,
        reason=ladder.action.reason.value,
        state=ladder.phase.value,
        tier=step.tier.value if step else None,
        round=step.round if step else 0,
        attempt=ladder.index + 1,
        next_tier=following.tier.value if following and not ladder.ended else None,
        next_at=next_at(ladder, transition, now) if waiting or not ladder.ended else None,
        quantity=ladder.action.quantity,
        filled=ladder.fills.quantity,
        answer=ladder.answers[-1] if ladder.answers else "",
        outcome=ladder.outcome.value if ladder.outcome and ladder.ended else None,
        alarm=ladder.alarm,
        text=ladder.action.text,
    )


def next_at(ladder: Ladder, transition: Transition, now: datetime) -> datetime | None:
    """Return when the close acts next by itself: the market's open, the end of a wait, or the tier's time-out."""
    if isinstance(transition.do, DoPark):
        return transition.do.until
    if isinstance(transition.do, DoWait):
        return now + timedelta(seconds=transition.do.seconds)
    if ladder.phase in (Phase.SETTLING, Phase.SENDING):
        return now + timedelta(seconds=ladder.limits.tier_timeout)
    return None

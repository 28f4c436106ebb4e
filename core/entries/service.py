"""Carries out a confirmed entry: asks the gate once more, records, sends, settles and verifies.

Concurrent entries count each other, because one lock is held from the gate's last answer to the approval's record.
In between only the journal is awaited. An entry of unknown outcome counts against the cap until the outcome is known.

No call at a venue sets the leverage. The journal has the requested leverage, and a different leverage is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from decimal import Decimal

from msgspec import structs

from core.entries import rules as entries
from core.entries.drafts import EntryDrafter
from core.entries.order_runner import EntryOrderRunner, OrderResult
from core.entries.report import Report
from core.entries.rules import Code, EntryDraft, EntryRequest, NotAllowed, Rejection
from core.errors import FlatdeckError, JournalError, explain
from core.exits.view import ExitView
from core.ids import Ids
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger
from core.model import Holdings, Instrument, Kind, Order, OrderSide, Position, PositionKey, Side
from core.orders.account_reader import AccountReader
from core.orders.instrument_locks import InstrumentLocks
from core.orders.other_writer import find_foreign_orders, why_foreign
from core.orders.restrictions import Restriction, Restrictions
from core.orders.submit import Timeouts
from core.plans.approver import Approver, by_whom
from core.plans.cleanup import why_blocked
from core.plans.money import money_of, valuation_of
from core.plans.plan import NotApproved
from core.plans.planner import Situation
from core.portfolio.book import Book
from core.ports import Broker, Clock
from core.records import EntryApproved, EntryEnded, Opened, Record, Scaled
from core.settings import Settings, risk_fingerprint
from core.units import ZERO, plain
from core.venue_stops.orders import VenueStopOrders

RESUME_TOTAL = 30.0
VERIFY_PAUSE = 0.25
VERIFY_MARGIN = 2.0
HELD_BACK = ("not_sent", "not_filled", "partial")  # outcomes that a restriction explains
MOST_FEE = Decimal("0.01")  # share of the bought quantity


class EntryService:
    """One engine's entries. Without a journal the service can only draft."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        brokers: Mapping[str, Broker],
        readers: Mapping[str, AccountReader],
        ids: Ids,
        journal: Journal | None,
        ledger: PositionLedger,
        locks: InstrumentLocks,
        restrictions: Restrictions,
        *,
        frozen: Mapping[str, str],
        lasting: bool,
        situation: Callable[[], Situation],
        expect: Callable[[PositionKey, Decimal | None], None],  # gets a position's own stop before the entry
        view: Callable[[PositionKey], ExitView | None],
        say: Callable[..., None],
    ) -> None:
        self.drafts = EntryDrafter(
            *(settings, clock, book, brokers, ledger, restrictions), frozen=frozen, situation=situation, view=view
        )
        self._settings = settings
        self._clock = clock
        self._book = book
        self._brokers = brokers
        self._readers = readers
        self._ids = ids
        self._journal = journal
        self._ledger = ledger
        self._locks = locks
        self._restrictions = restrictions
        self._lasting = lasting
        self._situation = situation
        self._expect = expect
        self._log = say
        self._turn = asyncio.Lock()
        self._order_runners = (
            {} if journal is None else {a: EntryOrderRunner(b, readers[a], journal, clock) for a, b in brokers.items()}
        )

    async def carry_out(
        self, draft: EntryDraft, approver: Approver | None = None, *, wait: float = entries.LIMIT_WAIT
    ) -> Report:
        """Send a confirmed entry and return when the end is known.

        Raises NotAllowed when the gate refuses now, NotApproved from an engine that may not act, JournalError.
        """
        if self._journal is None:
            raise NotApproved("read_only", "this engine is read-only; nothing can be opened from here")
        account = draft.key.account
        async with self._turn:
            before = await self._unchanged(draft)
            entry = self._approved(draft, approver)
            await self._journal.append(entry)
        if draft.kind == "open":
            self._expect(draft.key, draft.stop_pct)
        self._say("info", entries.begun(entry), entry)
        settings = self._settings.ladder
        fill = settings.tier_timeout if draft.price is None else wait
        patience = Timeouts(fill, settings.total_timeout, lambda: self._barred(entry))
        known = frozenset(o.id for o in before.orders)
        shown = {o.id: o.filled for o in before.orders}
        async with self._room(entry, before.orders) as gone:
            fired = any(o.filled > shown[o.id] for o in gone)
            if fired:
                placed = OrderResult("not_sent", text="the position's stop filled meanwhile; look again")
            else:
                placed = await self._order_runners[account].place_order(entry, known, patience)
                if placed.outcome in HELD_BACK and (found := self._restriction(entry)) is not None:
                    placed = structs.replace(placed, text=found.text)
        report = await self._finish(entry, placed)
        if gone and not fired and not self._lasting and report.outcome != "unknown":
            await self._protect_again(entry, gone[-1])
        return report

    def _room(self, entry: EntryApproved, orders: Iterable[Order]) -> AbstractAsyncContextManager[list[Order]]:
        """Return a context that keeps our resting stop away when the stop bars the order.

        A stop bars a reduction by holding the quantity, and at some venues an addition by being of the other side.
        """
        account = entry.key.account
        opposed = entry.what == "scale_in" and self._brokers[account].capabilities.refuses_opposite
        if not opposed and (entry.what != "scale_out" or entry.reduce_only):
            return nullcontext([])
        return self._venue_stops(account).keep_aside(entry.key, orders)

    def _venue_stops(self, account: str) -> VenueStopOrders:
        assert self._journal is not None
        return VenueStopOrders(self._brokers[account], self._readers[account], self._journal, self._clock, self._locks)

    async def _protect_again(self, entry: EntryApproved, gone: Order) -> None:
        """Place a stop in place of ours that was put aside. A lasting engine's own service places the next stop."""
        key = entry.key
        rules = self._book.instrument(key.account, key.symbol)
        try:
            why = await self._venue_stops(key.account).place_again(key, rules, gone)
        except (FlatdeckError, TimeoutError) as error:
            why = explain(error)
        if why:
            self._say("alarm", f"[PROTECT] {key.symbol} on {key.account}: no stop rests at the venue: {why}", entry)

    async def resume_entries(self) -> None:
        """Find the outcome of entries that were under way when the last engine ended. Raises JournalError."""
        if self._journal is None:
            return
        for entry in list((await self._ledger.read()).pending.values()):
            account = entry.key.account
            if account not in self._order_runners or not self._book.readable(account):
                self._say("warning", f"ENTRY {entry.plan} was interrupted, and {account} cannot be asked for it", entry)
                continue
            self._say("warning", f"ENTRY {entry.plan} was interrupted: what became of it is asked", entry)
            written = await self._journal.of_plan(entry.plan)
            placed = await self._order_runners[account].resume_order(entry, written, Timeouts(0, RESUME_TOTAL))
            await self._finish(entry, placed)

    async def _unchanged(self, draft: EntryDraft) -> Holdings:
        """Read the account, compare the position with the draft and ask the gate. Raises NotAllowed, JournalError."""
        account, symbol = draft.key.account, draft.key.symbol
        try:
            holdings = await self._readers[account].read_account()
            found = holdings.position(draft.key)
        except FlatdeckError as error:
            raise NotAllowed(Rejection(Code.ACCOUNT_UNREADABLE, f"{account} cannot be read: {error}")) from error
        if holdings.orders_flaw:
            why = f"the open orders of {account} are not known: {holdings.orders_flaw}"
            raise NotAllowed(Rejection(Code.ACCOUNT_UNREADABLE, why))
        if foreign := await find_foreign_orders(self._journal, holdings.orders):
            raise NotAllowed(Rejection(Code.ACCOUNT_FROZEN, f"{account}: {why_foreign(foreign[0])}"))
        if (found.quantity if found else ZERO) != draft.before:
            raise NotAllowed(
                Rejection(Code.CHANGED, f"{symbol} on {account} is not what was shown any more; look again")
            )
        if draft.kind != "scale_out":
            self.drafts.check_restrictions(account)
        if draft.kind == "open":
            refused = await self.drafts.find_refusals(_signal(draft))
            if refused:
                raise NotAllowed(refused[0])
        else:
            await self.drafts.find_scalable(account, symbol)
        return holdings

    def _approved(self, draft: EntryDraft, approver: Approver | None) -> EntryApproved:
        return EntryApproved(
            plan=self._ids.plan_id(),
            owner=draft.owner,
            key=draft.key,
            what=draft.kind,
            side=draft.side,
            quantity=draft.quantity,
            by=by_whom(approver),
            approver=approver,
            at=self._clock.now(),
            price=draft.price,
            leverage=draft.leverage,
            stop_pct=draft.stop_pct,
            before=draft.before,
            entry=draft.entry,
            reduce_only=draft.reduce_only,
        )

    def _barred(self, entry: EntryApproved) -> bool:
        """Return True when a close of the symbol is in flight, the account is frozen, or it takes no new risk.

        The entry's order then does not leave, and what rests of it at the venue is withdrawn.
        """
        return why_blocked(self._situation().blocked, entry.key) is not None or self._restriction(entry) is not None

    def _restriction(self, entry: EntryApproved) -> Restriction | None:
        """Return why the entry is held back by a person; None for an order that reduces."""
        return None if entry.what == "scale_out" else self._restrictions.find_restriction(entry.key.account)

    async def _finish(self, entry: EntryApproved, placed: OrderResult) -> Report:
        """Verify, record and log the end. An entry of unknown outcome stays open in the journal."""
        where = f"ENTRY {entry.plan} {entry.key.symbol} on {entry.key.account}"
        if placed.outcome == "unknown":
            text = f"what became of it is not known: {placed.text}; look at the venue"
            self._say("alarm", f"{where}: {text}", entry)
            return Report(entry, "unknown", filled=placed.order.filled if placed.order else ZERO, error=text)
        order = placed.order
        filled, price = (order.filled, order.average_price) if order is not None else (ZERO, None)
        report = Report(entry, placed.outcome, filled, price, error=placed.text or None)
        records: list[Record] = []
        if filled > 0:
            report = await self._verified(report)
            records.append(self._held(report))
        ended = EntryEnded(entry.plan, entry.key, report.outcome, filled, price, report.realised, report.error)
        try:
            await self._order_runners[entry.key.account].end_entry(entry, *records, ended)
        except JournalError as error:  # already sent: return the report even without a record
            self._say("alarm", f"{where}: its end is not in the journal: {error}", entry)
        level = "info" if report.success else "alarm" if filled > 0 else "warning"
        gain = "" if report.realised is None else f", realised {plain(report.realised)}"
        at = "" if price is None else f" at {plain(price)}"
        why = f": {report.error}" if report.error else ""
        self._say(level, f"{where} {report.outcome.upper()}, filled {plain(filled)}{at}{gain}{why}", entry)
        for warning in report.warnings:
            self._say("warning", f"{where}: {warning}", entry)
        return report

    async def _verified(self, report: Report) -> Report:
        """Read the account until the position matches the fills. A filled order alone is no proof of a position."""
        entry = report.entry
        change = -report.filled if entry.what == "scale_out" else report.filled
        expected, clock = entry.before + change, self._clock
        deadline = clock.monotonic() + self._brokers[entry.key.account].capabilities.position_lag + VERIFY_MARGIN
        instrument = self._book.instrument(entry.key.account, entry.key.symbol)
        position: Position | None = None
        error = ""
        while True:
            try:
                position = (await self._readers[entry.key.account].read_account()).position(entry.key)
                seen = position.quantity if position else ZERO
                error = f"filled, but the broker reports {plain(seen)} instead of {plain(expected)}"
            except FlatdeckError as failed:
                error = f"filled, but the position could not be read: {failed}"
            else:
                if explained(expected - seen, report.filled, instrument):
                    error = ""
            if not error or clock.monotonic() >= deadline:
                break
            await clock.sleep(VERIFY_PAUSE)
        warnings = () if position is None else _leverage(entry, position)
        gain = None
        if entry.what == "scale_out":
            held = Side.LONG if entry.side is OrderSide.SELL else Side.SHORT
            paid = (entry.entry, report.filled, report.average_price)
            gain = money_of(held, *paid, None, valuation_of(instrument, None, None)).realised
        return structs.replace(
            report,
            position=position,
            verified=not error,
            warnings=warnings,
            as_asked=not warnings,
            realised=gain,
            error=error or report.error,
        )

    def _held(self, report: Report) -> Record:
        """Return the record of the new position: from the broker's report if verified, else from the fills."""
        entry, position = report.entry, report.position if report.verified else None
        known = position.entry if position is not None else None
        if entry.what == "open":
            return Opened(
                plan=entry.plan,
                key=entry.key,
                side=entries.direction(entry.side),
                quantity=report.filled if position is None else position.quantity,
                entry=report.average_price if known is None else known,
                leverage=position.leverage if position else None,
                asked_leverage=entry.leverage,
                stop_pct=entry.stop_pct,
                settings=risk_fingerprint(self._settings, entry.key),
            )
        if entry.what == "scale_out":
            quantity, average = entry.before - report.filled, entry.entry
        else:
            quantity = entry.before + report.filled
            average = entries.averaged(entry.entry, entry.before, report.average_price, report.filled)
        quantity = quantity if position is None else position.quantity
        return Scaled(entry.plan, entry.key, quantity, average if known is None else known)

    def _say(self, level: str, text: str, entry: EntryApproved) -> None:
        self._log(level, text, entry.key.account)


def _signal(draft: EntryDraft) -> EntryRequest:
    assert draft.leverage is not None
    assert draft.stop_pct is not None
    return EntryRequest(
        draft.owner, draft.key.symbol, draft.side, draft.quantity, draft.leverage, draft.stop_pct, draft.key.account
    )


def explained(missing: Decimal, filled: Decimal, instrument: Instrument) -> bool:
    """Return whether the position matches the fills. A spot venue may take its fee from the bought quantity."""
    return missing == 0 or (instrument.kind is Kind.SPOT and ZERO < missing <= filled * MOST_FEE)


def _leverage(entry: EntryApproved, position: Position) -> tuple[str, ...]:
    """Return a warning when the position's leverage differs from the requested leverage."""
    if entry.leverage is None or position.leverage in (None, entry.leverage):
        return ()
    has = plain(position.leverage or ZERO)
    return (f"the position has a leverage of {has}x at the venue, {plain(entry.leverage)}x was asked for",)

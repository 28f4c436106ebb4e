"""Compares brokers with the journal: at start, every hour, when an account came back, and on request.

An account read for the first time is *judged* before its first comparison. Positions that the journal does not know
are legacy: they are adopted or, under ultra-conservative settings, marked for a force-close.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from core.errors import FlatdeckError, explain
from core.ids import is_ours
from core.journal.believed import BelievedPositions, believed
from core.journal.journal import Journal, JournalView
from core.journal.ledger import PositionLedger
from core.model import InstrumentKey, PositionKey
from core.orders.account_reader import AccountReader
from core.orders.other_writer import find_foreign_orders
from core.portfolio.book import Book
from core.ports import Clock
from core.reconciliation import rules as reconcile
from core.reconciliation.rules import Discrepancy, Kind, Reconciled, adopted, unknown
from core.settings import Settings, closes_legacy_positions, risk_fingerprint
from core.units import percent, plain

EVERY = 3600.0
LOOK_EVERY = 0.5  # seconds between two checks whether an account came back
AGREE_WAIT = 1.0  # seconds between the two reads that must agree


class ReconciliationService:
    """One engine's comparison. Without a journal to write, the service changes nothing.

    ``counted`` has the discrepancies since the start.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        readers: Mapping[str, AccountReader],
        journal: Journal | None,
        ledger: PositionLedger,
        *,
        closing: Callable[[], set[InstrumentKey]],  # instruments with a close in flight
        say: Callable[..., None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._book = book
        self._readers = readers
        self._journal = journal
        self._view: JournalView | None = journal
        self._ledger = ledger
        self._closing = closing
        self._say = say
        self._judged: set[str] = set()
        self._any_judged = asyncio.Event()
        self._turn = asyncio.Lock()
        self.legacy: frozenset[PositionKey] = frozenset()
        self.counted: Counter[str] = Counter()

    async def recall(self, view: JournalView) -> None:
        """Use the journal of a read-only engine. Raises JournalError."""
        self._view = view
        if closes_legacy_positions(self._settings):
            await self._unknown(a for a in self._readers if self._book.readable(a))

    async def judge(self) -> bool:
        """Judge the accounts read for the first time: adopt unknown positions, or mark them as legacy.

        Return True when there are legacy positions to force-close. Raises JournalError.
        """
        book, settings = self._book, self._settings
        accounts = [a for a in self._readers if book.readable(a) and a not in self._judged]
        if self._journal is None or not accounts:
            return False
        strangers = await self._unknown(accounts)
        self._judged.update(accounts)
        self._any_judged.set()
        if not strangers:
            return False
        risk = settings.legacy.risk_per_trade
        if closes_legacy_positions(settings) and risk is not None:
            text = f"risk_per_trade is {percent(risk)} %, {len(strangers)} positions are to be force-closed"
            self._say("warning", f"[LEGACY] ULTRA-CONSERVATIVE MODE: {text}")
            return True
        positions = [p for p in (book.position(k) for k in strangers) if p is not None]
        await self._journal.append(*(adopted(p, "legacy", self._mark(p.key)) for p in positions))
        for account, count in sorted(Counter(p.account for p in positions).items()):
            text = f"{count} positions were held before and are adopted, their stops begin now"
            self._say("info", f"[LEGACY][ADOPTED] {account}: {text}", account)
        for p in positions:
            text = f"{p.symbol} {plain(p.quantity)} {p.side.value} Account: {p.account}"
            self._say("debug", f"[LEGACY][ADOPTED] {text}", p.account)
        return False

    async def _unknown(self, accounts: Iterable[str]) -> list[PositionKey]:
        """Return positions that the journal has not accepted under the present settings.

        Under ultra-conservative settings also mark them as legacy. Raises JournalError.
        """
        beliefs, settings = await self._ledger.read(), self._settings
        held = [p for a in accounts for p in self._book.positions(a)]
        found = [p.key for p in unknown(held, beliefs.held, self._mark)]
        if closes_legacy_positions(settings):
            self.legacy |= frozenset(found)
        return found

    async def reconcile(self, accounts: Iterable[str] | None = None, *, correct: bool = True) -> Reconciled:
        """Compare accounts and, with ``correct``, correct a writable journal: the broker is right.

        Raises JournalError.
        """
        async with self._turn:
            chosen = list(self._readers if accounts is None else accounts)
            self.legacy = frozenset(k for k in self.legacy if self._book.position(k) is not None)
            parts = await asyncio.gather(*(self._account(a) for a in chosen))
            unread = {a: part for a, part in zip(chosen, parts, strict=True) if isinstance(part, str)}
            found = [d for part in parts if not isinstance(part, str) for d in part]
            if self._journal is not None and correct and found:
                await self._journal.append(*reconcile.corrections(found, self._accepted))
            self._tell(found, unread, len(chosen))
            return Reconciled(tuple(found), unread)

    def _mark(self, key: PositionKey) -> str:
        return risk_fingerprint(self._settings, key)

    def _accepted(self, key: PositionKey) -> str:
        """Return the settings that accept a position from now on; "" when the position would be force-closed."""
        return "" if closes_legacy_positions(self._settings) else self._mark(key)

    async def run(self) -> None:
        """Reconcile until cancelled, from the first judged account on."""
        if self._journal is None:
            return
        await self._any_judged.wait()
        due, away = self._clock.monotonic(), set[str]()
        while True:
            now, book = self._clock.monotonic(), self._book
            back = {a for a in away if book.readable(a)}
            away = {a for a in self._readers if not book.readable(a)}
            wanted = {a for a in self._judged if a not in away and (now >= due or a in back)}
            due = now + EVERY if now >= due else due
            if wanted:
                try:
                    await self.reconcile(sorted(wanted))
                except FlatdeckError as error:
                    self._say("alarm", f"RECONCILE failed: {error}")
            await self._clock.sleep(LOOK_EVERY)

    async def _account(self, account: str) -> list[Discrepancy] | str:
        """Return the discrepancies that two reads agree on, or why the account could not be read."""
        try:
            first = await self._look(account)
            if not first:
                return []
            await self._clock.sleep(AGREE_WAIT)
            return reconcile.confirmed(first, await self._look(account))
        except (FlatdeckError, TimeoutError) as error:
            return explain(error)

    async def _look(self, account: str) -> list[Discrepancy]:
        """Compare one read with the beliefs. Skip every symbol with an entry or a close under way."""
        async with asyncio.timeout(15):
            holdings = await self._readers[account].read_account(urgent=False)
        beliefs = await self._ledger.read()
        busy = self._busy(account, beliefs)
        book = self._book
        found = reconcile.compare(
            believed(beliefs.held, account),
            holdings.positions,
            lambda key: book.instrument(key.account, key.symbol).tick,
        )
        found += reconcile.orphans(
            [o for o in holdings.orders if is_ours(o.client_id)],
            holdings.positions,
            frozenset([o.id for o in await find_foreign_orders(self._view, holdings.orders)]),
            busy,
        )
        unknown = {d.key for d in found if d.kind is Kind.PHANTOM and not holdings.tells_of(d.key.symbol)}
        return [d for d in found if d.key.symbol not in busy and d.key not in unknown and not self._told_as_legacy(d)]

    def _told_as_legacy(self, one: Discrepancy) -> bool:
        return one.kind is Kind.MISSED and one.key in self.legacy and one.key.account in self._judged

    def _busy(self, account: str, beliefs: BelievedPositions) -> frozenset[str]:
        entering = {e.key.symbol for e in beliefs.pending.values() if e.key.account == account}
        return frozenset({i.symbol for i in self._closing() if i.account == account} | entering)

    def _tell(self, found: list[Discrepancy], unread: dict[str, str], asked: int) -> None:
        for one in found:
            self.counted[one.kind.value] += 1
            level = "alarm" if one.alarm else "warning"
            self._say(level, f"[RECONCILE][{one.kind.value.upper()}] {one.text}", one.key.account)
        for account, why in unread.items():
            self._say("warning", f"[RECONCILE] {account} could not be read: {why}", account)
        kinds = ", ".join(f"{n} {kind}" for kind, n in reconcile.counts(found).items() if n) or "no discrepancies"
        level = "info" if found else "debug"
        self._say(level, f"RECONCILE: {kinds} in {asked - len(unread)} accounts")

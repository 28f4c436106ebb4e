"""A desk with paper venues in virtual time: settings, brokers, a journal in memory, the engine, and their audit.

A world outlives its engine: ``restart`` ends one as a crash would and builds the next over the same venues and the
same journal. ``audit`` checks what must hold at any moment, whatever the venues did.
"""

from __future__ import annotations

import asyncio
import json
import random  # noqa: TID251 - seeded
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import structs

from brokers.paper.broker import PaperBroker
from brokers.paper.faults import Faults
from brokers.paper.random_streams import seeded
from brokers.paper.venue import Venue
from brokers.paper.wire import parse_book
from core.engine.engine import Engine
from core.ids import Ids, is_ours
from core.journal.journal import Journal
from core.link.messages import PlanReport
from core.model import OrderSide, PositionKey
from core.plans.request import PlanRequest
from core.ports import Capabilities
from core.records import Entry, IntentWritten, PlanApproved, Record
from core.settings import AccountSettings, ExitSettings, LadderSettings, OwnerSettings, Settings
from tests.support.builders import ACCOUNT, SYMBOL, D, account
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import BEGIN, DAWN, VirtualClock

LATENCY = 0.05
QUOTE = {"bid": "99.9", "ask": "100.1", "last": "100"}
QUIET = ExitSettings(
    emergency=(), stop_loss_pct=None, trailing_base=None, take_profit_pct=None, smart_profit=(), drawdown=()
)  # no exit comes between a test and what it is about
EVERYTHING = PlanRequest("flatten", everything=True)
R = TypeVar("R", bound=Record)


def book(*positions: str, kind: str = "perp", orders: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """A book file. Positions as ``"BTC long 2"``; ``more`` goes into every instrument."""
    rows = [p.split() for p in positions or ("BTC long 2",)]
    symbols = sorted({symbol for symbol, *_ in rows})
    top = {key: more.pop(key) for key in ("hedge", "rates", "equity") if key in more}
    quotes = more.pop("quotes", dict.fromkeys(symbols, QUOTE))
    instruments = [{"symbol": s, "kind": kind, "step": "0.1", "tick": "0.1", **more} for s in symbols]
    held = [{"symbol": s, "side": side, "quantity": quantity, "entry": "90"} for s, side, quantity in rows]
    return {"instruments": instruments, "quotes": quotes, "positions": held, "orders": list(orders), **top}


def resting(id_: str = "s1", quantity: str = "2", **more: Any) -> dict[str, Any]:
    """A protective stop of the user's in a book file; with a ``price`` a limit."""
    kind = {} if "price" in more else {"type": "stop", "trigger": "80", "reduce_only": True}
    return {"id": id_, "symbol": SYMBOL, "side": "sell", "quantity": quantity, **kind, **more}


class _Timeless(PaperBroker):
    """A venue that promises nothing about when a request is over."""

    @property
    def capabilities(self) -> Capabilities:
        return structs.replace(super().capabilities, request_expiry=None)


class World:
    """``content`` maps account ids to book files; ``settings`` are fields of Settings."""

    def __init__(
        self,
        content: dict[str, dict[str, Any]] | None = None,
        *,
        latency: float = LATENCY,
        lasting: bool = False,
        expires: bool = True,
        read_only: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = VirtualClock()
        content = content or {ACCOUNT: book()}
        self.settings = _settings(list(content), **settings)
        self.venues = {id_: self._venue(id_, text) for id_, text in content.items()}
        self.latency, self.lasting, self.read_only = latency, lasting, read_only
        self.expires = expires  # the venue promises that an unanswered request is over after a while
        self.database = MemoryDatabase()
        self.journal: Journal
        self.engine: Engine
        self._runs: list[asyncio.Task[Any]] = []
        self._lives = 0

    def _venue(self, id_: str, content: dict[str, Any]) -> Venue:
        return Venue(account(id_), parse_book(json.dumps(content), "book.json", id_), self.clock, Faults(seeded(id_)))

    @property
    def venue(self) -> Venue:
        """The first account's."""
        return next(iter(self.venues.values()))

    @property
    def faults(self) -> Faults:
        return self.venue.faults

    # ------------------------------------------------------------------------------------------------- lives

    async def build(self) -> Engine:
        """A new engine on this journal and these venues, not started yet."""
        self._lives += 1
        ids = Ids(self.clock, random.Random(self._lives))
        self.journal = await Journal.over(self.database, self.clock, ids)
        kind = PaperBroker if self.expires else _Timeless
        brokers = [kind(v, self.clock, self.latency) for v in self.venues.values()]
        self.engine = Engine(
            self.settings,
            brokers,
            clock=self.clock,
            ids=ids,
            journal=self.journal,
            mode="service" if self.lasting else "one-shot",
            lasting=self.lasting,
            read_only=self.read_only,
        )
        return self.engine

    async def open(self) -> Engine:
        engine = await self.build()
        await engine.start()
        return engine

    async def __aenter__(self) -> World:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.crash()

    async def crash(self) -> None:
        """The process dies: its tasks never run again, and only what was committed is left."""
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        self._runs.clear()
        self.database = self.database.survivor()
        await self.engine.stop()
        mine = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks() if task is not mine]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def restart(self, after: float = 0.0) -> Engine:
        """A crash, and a start as a new process would make it."""
        await self.crash()
        await asyncio.sleep(after)
        return await self.open()

    def run(self) -> None:
        """Watch live and run the automation, in the background."""
        self._runs.append(asyncio.create_task(self.engine.run()))

    # ------------------------------------------------------------------------------------------------ asking

    async def flatten(self, request: PlanRequest = EVERYTHING) -> PlanReport:
        """Plan, confirm, carry out."""
        plan = await self.engine.prepare(request)
        return await self.engine.execute(plan.id, plan.digest)

    def begin(self, request: PlanRequest = EVERYTHING) -> asyncio.Task[PlanReport]:
        """The same in the background."""
        task = asyncio.create_task(self.flatten(request))
        self._runs.append(task)
        return task

    def held(self, id_: str = ACCOUNT) -> dict[str, Decimal]:
        """The signed quantities that are true at the venue."""
        self.venues[id_].advance()
        held: dict[str, Decimal] = defaultdict(Decimal)
        for position in self.venues[id_].state.positions.values():
            held[position.symbol] += position.side.sign * position.quantity
        return dict(held)

    def left(self) -> set[PositionKey]:
        """What the venues really hold."""
        return {p.key for v in self.venues.values() for p in v.state.positions.values()}

    @property
    def flat(self) -> bool:
        return not self.left()

    def by_hand(self, side: OrderSide, quantity: str, symbol: str = SYMBOL) -> None:
        """The user trades at the venue."""
        self.venue.trade_by_hand(symbol, side, D(quantity))

    def sent(self, id_: str = ACCOUNT) -> list[str]:
        """The calls that reached the venue with a closing order."""
        return [s.call for s in self.venues[id_].close_sends]

    async def entries(self) -> list[Entry]:
        await self.journal.flush()
        return await self.journal.entries(limit=100_000)

    async def records(self, kind: type[R]) -> list[R]:
        return [e.record for e in await self.entries() if isinstance(e.record, kind)]

    async def log(self) -> list[str]:
        return [row.text for row in self.engine.publisher.snapshot().log]

    # ----------------------------------------------------------------------------------------------- checking

    async def audit(self) -> None:
        """What must hold at any moment, whatever the venues did."""
        entries = await self.entries()
        written = {e.record.client_id: e for e in reversed(entries) if isinstance(e.record, IntentWritten)}
        for venue in self.venues.values():
            assert not venue.crossed_zero, "a position was turned around"
            for sent in venue.requests:
                if is_ours(sent.name):
                    at = DAWN + timedelta(seconds=sent.at - BEGIN)
                    assert sent.name in written, f"{sent.name} reached the venue without an intent"
                    assert written[sent.name].at < at, f"{sent.name} was sent before its intent was durable"
            for sent in venue.close_sends:
                assert not sent.live, f"{sent.name} was sent while {sent.live} was live"
            names = [s.name for s in venue.close_sends if s.name]
            accepted = [t.order.client_id for t in venue.state.tickets.values() if t.own and t.order.client_id]
            assert len(accepted) == len(set(accepted)), names
        self._no_more_than_confirmed(entries)

    def _no_more_than_confirmed(self, entries: list[Entry]) -> None:
        """Over all plans together no account sold more of an instrument than was confirmed for it."""
        confirmed: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for entry in entries:
            if isinstance(entry.record, PlanApproved):
                for action in entry.record.plan.closes:
                    confirmed[action.key.account, action.key.symbol] += action.quantity
        for id_, venue in self.venues.items():
            filled: dict[str, Decimal] = defaultdict(Decimal)
            for ticket in venue.state.tickets.values():
                if ticket.own:
                    filled[ticket.order.symbol] += ticket.order.filled
            for symbol, quantity in filled.items():
                assert quantity <= confirmed[id_, symbol], f"{symbol} on {id_}: {quantity} filled"


def _settings(accounts: list[str], **fields: Any) -> Settings:
    owners: dict[str, list[AccountSettings]] = {}
    for id_ in accounts:
        owner, _, name = id_.partition("/")
        owners.setdefault(owner, []).append(AccountSettings(id_, owner, name, "paper"))
    fields.setdefault("ladder", LadderSettings())
    fields.setdefault("exits", QUIET)
    return Settings(owners=tuple(OwnerSettings(o, tuple(a)) for o, a in owners.items()), **fields)


def key(symbol: str = SYMBOL, id_: str = ACCOUNT) -> PositionKey:
    return PositionKey(id_, symbol)


def outcomes(report: PlanReport) -> dict[str, str]:
    """How the closes of a plan ended, by symbol."""
    return {r.key.symbol: r.outcome for r in report.results if r.kind == "close"}

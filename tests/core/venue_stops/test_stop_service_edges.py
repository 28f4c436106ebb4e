"""Resting stops at a venue that hangs, forgets, contradicts itself or promises nothing; and who goes first."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
from collections.abc import Coroutine
from typing import Any

import pytest
from msgspec import structs

from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import AccountChanged, AccountState, BrokerEvent, QuoteSeen
from core.exits.view import ExitView
from core.ids import Ids, client_order_id, is_ours
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger
from core.model import Holdings, Order, OrderRequest, OrderStatus, OrderType, Position
from core.orders.account_reader import AccountReader
from core.orders.instrument_locks import InstrumentLocks
from core.portfolio.book import Book
from core.records import IntentAnswered, IntentWritten
from core.settings import ExitSettings, ProtectSettings, Settings
from core.venue_stops.service import VenueStopService
from tests.support.builders import ACCOUNT, KEY, SYMBOL, D, account, instrument, position, stop
from tests.support.fake_broker import HANG, FakeBroker, quote
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import VirtualClock, virtual

WHERE = (ACCOUNT, SYMBOL)


class Bench:
    """A protector at a venue fed by hand, which lists ``held`` and ``orders``. The stop is at 95, the price 100."""

    def __init__(self, *, database: MemoryDatabase | None = None, **answers: list[Any]) -> None:
        self.clock = VirtualClock()
        self.held: Position | None = position()
        self.orders: list[Order] = []
        self.stop = D(95)
        self.cut = 0  # so many lists to come have no positions
        self.dark = 0.0  # until then nobody sees an order
        self.broker = FakeBroker(
            **{"holdings": [self._list], "submit": [self._take], "find_order": [self._find], **answers}
        )
        self.broker.able = structs.replace(self.broker.able, protective_stops=True, position_lag=1.0)
        self.broker.answers["cancel"] = answers.get("cancel", [self._cancel])
        self.settings = Settings(exits=ExitSettings(max_price_age=60.0), protect=ProtectSettings(enabled=True))
        self.book = Book([account()], is_ours, lambda *_: self.settings.exits)
        self.frozen: dict[str, str] = {}
        self.log: list[tuple[str, str]] = []
        self.claims = InstrumentLocks(self.clock)
        self.database = database or MemoryDatabase()
        self.known: dict[str, Order] = {}
        self._tasks: list[asyncio.Task[object]] = []
        self.journal: Journal
        self.protector: VenueStopService

    def say(self, level: str, text: str, account: str | None = None) -> None:
        self.log.append((level, text))

    async def start(self) -> Bench:
        self.journal = await Journal.over(self.database, self.clock, Ids(self.clock, random.Random(1)))
        self.reader = AccountReader(self.broker, self.clock, self._emit)
        self.protector = VenueStopService(
            self.settings,
            self.clock,
            self.book,
            {ACCOUNT: self.broker},
            {ACCOUNT: self.reader},
            self.journal,
            PositionLedger(self.journal),
            self.claims,
            frozen=self.frozen,
            watched=lambda _: ExitView(stop=self.stop),
            spawn=self._spawn,
            say=self.say,
        )
        self._emit(AccountChanged(ACCOUNT, AccountState.LIVE))
        self._spawn(self._feed())
        self._spawn(self.protector.run())
        return self

    async def runs(self, seconds: float = 60.0) -> Bench:
        await asyncio.sleep(seconds)
        return self

    async def crash(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def outcomes(self) -> list[str]:
        await self.journal.flush()
        entries = await self.journal.entries()
        return [e.record.outcome for e in entries if isinstance(e.record, IntentAnswered)]

    async def intents(self) -> list[IntentWritten]:
        await self.journal.flush()
        return [e.record for e in await self.journal.entries() if isinstance(e.record, IntentWritten)]

    @property
    def sent(self) -> int:
        return self.broker.calls["submit"]

    def note(self) -> str:
        view = self.protector.view(KEY)
        return view.note if view else ""

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def _emit(self, event: BrokerEvent) -> None:
        self.book.apply(event, self.clock.now())

    async def _feed(self) -> None:
        while True:
            self._emit(QuoteSeen(quote(SYMBOL, self.clock.monotonic(), "99.9", "100.1", last="100")))
            try:
                await self.reader.read_account()
            except Exception as error:  # noqa: BLE001 - what a watcher makes of it is not what is tried here
                self.log.append(("debug", str(error)))
            await asyncio.sleep(5)

    def _list(self, _: object) -> Holdings:
        now = self.clock.monotonic()
        held = () if self.held is None or self.cut else (self.held,)
        self.cut = max(self.cut - 1, 0)
        orders = () if now < self.dark else tuple(self.orders)
        return Holdings(ACCOUNT, now, now, held, orders, (instrument(),))

    def _take(self, request: OrderRequest) -> Order:
        order = Order(
            ACCOUNT,
            SYMBOL,
            f"v{len(self.known) + 1}",
            request.side,
            request.quantity,
            type=OrderType.STOP,
            client_id=request.client_id,
            trigger=request.trigger,
            reduce_only=True,
        )
        self.known[order.id] = order
        self.orders.append(order)
        return order

    def _find(self, name: str) -> Order | None:
        if self.clock.monotonic() < self.dark:
            return None
        return next((o for o in self.known.values() if name in (o.id, o.client_id)), None)

    def _cancel(self, order: Order) -> None:
        self.end(order.id)

    def end(self, id_: str, status: OrderStatus = OrderStatus.CANCELLED, **more: Any) -> None:
        self.known[id_] = structs.replace(self.known[id_], status=status, **more)
        self.orders = [o for o in self.orders if o.id != id_]


@virtual
async def test_one_rests_and_stays():
    bench = await (await Bench().start()).runs(300)
    assert (bench.sent, len(bench.orders), bench.note()) == (1, 1, "")
    assert bench.broker.calls["find_order"] == 0  # what the lists show is not asked for


@virtual
async def test_a_call_that_hangs_is_looked_up_and_found():
    bench = Bench(submit=[HANG])
    await (await bench.start()).runs(12)
    assert bench.sent == 1
    bench._take((await bench.intents())[0].request)  # it arrived after all
    await bench.runs(120)
    assert (bench.sent, len(bench.orders), bench.note()) == (1, 1, "")
    assert (await bench.outcomes())[:2] == ["unknown", "acknowledged"]


@virtual
async def test_where_a_venue_promises_no_expiry_what_is_unknown_is_never_sent_again():
    bench = Bench(submit=[OutcomeUnknown("lost")])
    bench.broker.able = structs.replace(bench.broker.able, request_expiry=None)
    await (await bench.start()).runs(2000)
    assert bench.sent == 1
    assert "not known" in bench.note()
    bench._take((await bench.intents())[0].request)
    await bench.runs(700)
    assert (bench.sent, bench.note()) == (1, "")


@virtual
async def test_proven_not_to_be_there_it_is_sent_under_another_name():
    bench = Bench()
    bench.broker.answers["submit"] = [OutcomeUnknown("lost"), bench._take]
    await (await bench.start()).runs(120)
    assert len({i.client_id for i in await bench.intents()}) == 2
    assert await bench.outcomes() == ["unknown", "not_found", "acknowledged"]
    assert bench.note() == ""


@virtual
async def test_failing_to_ask_proves_nothing():
    bench = Bench(submit=[OutcomeUnknown("lost")], find_order=[Unreachable("down")])
    await (await bench.start()).runs(600)
    assert bench.sent == 1
    assert "not known: down" in bench.note()


@virtual
async def test_an_order_that_the_venue_forgot_is_gone_only_when_its_lists_agree():
    bench = await (await Bench().start()).runs(30)
    (order,) = bench.orders
    bench.known.clear()
    await bench.runs(60)
    assert bench.sent == 1  # its list still shows it
    bench.orders.clear()
    await bench.runs(30)
    assert "not by this program" in bench.log[-1][1]
    await bench.runs(90)
    assert bench.sent == 2
    assert order.id not in {o.id for o in bench.orders} or len(bench.orders) == 1


@virtual
async def test_a_list_without_it_is_no_proof_while_the_venue_says_that_it_lives():
    bench = await (await Bench().start()).runs(30)
    bench.orders.clear()
    await bench.runs(120)
    assert bench.sent == 1
    assert bench.broker.calls["find_order"] <= 30  # asked now and then


@virtual
async def test_an_order_list_behind_a_cancel_makes_no_second_cancel_and_the_next_is_placed():
    bench = await (await Bench().start()).runs(82)
    (old,) = bench.orders
    bench.stop = D(99)
    while old in bench.orders:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    bench.orders.append(old)
    await bench.runs(20)
    assert bench.broker.calls["cancel"] == 1
    assert {o.trigger for o in bench.orders} == {old.trigger, D("98.0")}
    assert bench.sent == 2


@virtual
async def test_one_list_without_the_position_is_no_proof():
    bench = await (await Bench().start()).runs(82)
    bench.stop, bench.cut = D(99), 1
    await bench.runs(2.5)
    assert bench.cut == 0
    assert not any("cancelled" in text for _, text in bench.log)
    await bench.runs(30)
    assert [o.trigger for o in bench.orders] == [D("98.0")]


@virtual
async def test_an_order_that_nobody_sees_yet_is_there():
    bench = Bench()
    bench.broker.able = structs.replace(bench.broker.able, position_lag=8.0)
    await (await bench.start()).runs(1)
    while not bench.orders:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    bench.dark = bench.clock.monotonic() + 7.5
    await bench.runs(100)
    assert (bench.sent, len(bench.orders)) == (1, 1)


@pytest.mark.parametrize("epoch", ["zzzz", None])
def test_beside_another_flatdeck_nothing_leaves(epoch: str | None) -> None:
    @virtual
    async def check() -> None:
        bench = await Bench().start()
        name = client_order_id(epoch or bench.journal.epoch, "elsewhere", KEY, 0, "protect", 0)
        bench.orders.append(stop("x1", client_id=name))
        await bench.runs(60)
        assert bench.sent == 0
        assert bench.broker.calls["cancel"] == 0
        assert "two act on one account" in bench.note()

    check()


@virtual
async def test_a_cancel_of_one_that_the_venue_does_not_know_and_still_lists_is_no_end():
    bench = await (await Bench().start()).runs(82)
    bench.known.clear()
    bench.broker.answers["cancel"] = [Refused(Refusal.UNKNOWN_ORDER, "which order?")]
    bench.stop = D(99)
    await bench.runs(120)
    assert bench.sent == 1
    assert "could not be cancelled: which order?" in bench.note()


@virtual
async def test_one_that_fired_is_told_with_its_own_trigger_where_the_venue_tells_none():
    bench = await (await Bench().start()).runs(30)
    bench.held = None
    bench.end("v1", OrderStatus.FILLED, filled=D(2), average_price=D(93), trigger=None)
    await bench.runs(60)
    assert "the stop at 94 fired at the venue: sell 2 at 93" in str(bench.log)


@virtual
async def test_one_that_no_list_has_any_more_rests_no_more_although_the_venue_never_says_how_it_ended():
    """A position that is opened later would be left without a stop, and be shown as having one."""
    bench = await (await Bench().start()).runs(30)
    bench.end("v1", OrderStatus.UNKNOWN)
    bench.broker.answers["cancel"] = [Refused(Refusal.UNKNOWN_ORDER, "which order?")]
    bench.held = None
    await bench.runs(60)
    bench.held = position()
    await bench.runs(120)
    assert (bench.sent, [o.id for o in bench.orders], bench.note()) == (2, ["v2"], "")


@virtual
async def test_one_whose_state_cannot_be_read_rests_while_it_is_listed():
    bench = await (await Bench().start()).runs(30)
    bench.known["v1"] = structs.replace(bench.known["v1"], status=OrderStatus.UNKNOWN)
    bench.cut = 2
    await bench.runs(120)
    assert (bench.sent, [o.id for o in bench.orders], bench.note()) == (1, ["v1"], "")


@virtual
async def test_a_position_list_behind_a_fired_one_makes_no_second():
    bench = await (await Bench().start()).runs(30)
    bench.end("v1", OrderStatus.FILLED, filled=D(2), average_price=D(94))
    for _ in range(100):
        if any("fired" in text for _, text in bench.log):
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # the list may lag by a second
    bench.held = None
    await bench.runs(60)
    assert bench.sent == 1


@virtual
async def test_a_journal_that_cannot_be_written_lets_nothing_leave():
    bench = await Bench().start()
    bench.database.failure = "the disk is full"
    await bench.runs(60)
    assert bench.sent == 0
    assert "the disk is full" in bench.note()
    bench.database.failure = None
    await bench.runs(120)
    assert (bench.sent, bench.note()) == (1, "")


@virtual
async def test_a_read_that_fails_is_shown_and_nothing_leaves():
    bench = await (await Bench().start()).runs(2)
    bench.broker.answers["holdings"] = [Unreachable("no route")]
    await bench.runs(60)
    assert bench.sent == 0
    assert "no route" in bench.note()


@virtual
async def test_a_fault_of_the_program_is_an_alarm_for_one_and_not_the_end_for_the_others():
    bench = await Bench(submit=[ValueError("a bug")], fills=[ValueError("a bug")]).start()
    await bench.runs(600)
    assert bench.sent == 1
    assert "a bug" in bench.note()


@pytest.mark.parametrize(
    ("refusal", "most", "given_up"),
    [
        (Refused(Refusal.RATE_LIMITED, "slowly", retry_after=300.0), 5, False),
        (Refused(Refusal.MARKET_CLOSED, "closed"), 9, False),
        (Refused(Refusal.REDUCE_ONLY, "no"), 5, True),
        (Unreachable("no such host"), 9, False),
    ],
)
def test_how_often_a_no_is_asked_again(refusal: Exception, most: int, given_up: bool) -> None:
    @virtual
    async def check() -> None:
        bench = await (await Bench(submit=[refusal]).start()).runs(1500)
        assert 3 <= bench.sent <= most
        assert ("alarm" in [level for level, _ in bench.log]) is given_up
        bench.broker.answers["submit"] = [bench._take]
        await bench.runs(1500)
        assert len(bench.orders) == (0 if given_up else 1)

    check()


@virtual
async def test_an_order_that_ended_at_once_is_no_order():
    ended = Order(ACCOUNT, SYMBOL, "v9", position().side.closing, D(2), status=OrderStatus.REJECTED, text="no margin")
    bench = await (await Bench(submit=[ended]).start()).runs(600)
    assert bench.sent == 5
    assert bench.note() == "no protective order: no margin"


@virtual
async def test_a_kill_after_the_send_is_found_out_by_the_next_life():
    bench = await Bench(submit=[HANG]).start()
    await bench.runs(12)
    await bench.crash()
    again = Bench(database=bench.database.survivor())
    await again.start()
    again._take((await again.intents())[0].request)
    await again.runs(120)
    assert (again.sent, len(again.orders)) == (0, 1)


@virtual
async def test_a_kill_before_the_send_places_it_once():
    bench = await Bench(submit=[HANG]).start()
    await bench.runs(12)
    await bench.crash()
    again = await (await Bench(database=bench.database.survivor()).start()).runs(120)
    assert (again.sent, len(again.orders)) == (1, 1)
    assert [i.step for i in await again.intents()] == [0, 1]


# ------------------------------------------------------------------------------------------------------ who goes first


@virtual
async def test_a_close_that_was_approved_keeps_it_away_until_what_it_sent_has_arrived():
    bench = await Bench().start()
    bench.claims.take("p1", WHERE)
    await bench.runs(60)
    assert bench.sent == 0
    bench.claims.release("p1")
    await bench.runs(4)
    assert bench.sent == 0
    await bench.runs(10)
    assert bench.sent == 1


@virtual
async def test_a_close_approved_while_the_intent_is_written_comes_first():
    bench = Bench(database=MemoryDatabase(pause=0.4))
    await bench.start()
    while not bench.claims._placing:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    bench.claims.take("p1", WHERE)
    await bench.runs(30)
    assert bench.sent == 0
    assert await bench.outcomes() == ["unreachable"]
    bench.claims.release("p1")
    await bench.runs(30)
    assert bench.sent == 1


@virtual
async def test_what_took_too_long_to_be_written_is_decided_anew():
    bench = await (await Bench(database=MemoryDatabase(pause=1.2)).start()).runs(40)
    assert bench.sent == 0
    assert set(await bench.outcomes()) == {"unreachable"}


@virtual
async def test_a_close_waits_for_the_answer_but_not_for_ever():
    clock = VirtualClock()
    claims = InstrumentLocks(clock)
    with claims.placing(WHERE, 2.0):
        waits = asyncio.create_task(claims.settled(WHERE))
        await asyncio.sleep(1)
        assert not waits.done()
    await asyncio.sleep(0)
    assert waits.done()
    with claims.placing(WHERE, 2.0):
        begun = clock.monotonic()
        await claims.settled(WHERE)
        assert clock.monotonic() - begun == 2.0
        await claims.settled(WHERE)  # it has waited long enough for this one
        assert clock.monotonic() - begun == 2.0
    await claims.settled(WHERE)

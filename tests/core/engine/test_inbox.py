"""The queue of events: in order, and only the newest price of each symbol while the engine is behind."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from core.engine.inbox import BEHIND, MOST, TURN, Inbox
from core.events import AccountChanged, AccountState, BrokerEvent, HoldingsRead, PositionSeen, QuoteSeen
from core.model import Holdings, Position, Quote, Side
from tests.support.virtual_time import VirtualClock, virtual

D = Decimal
LATER = BEHIND + 0.1
STUB = D(7)  # a price that the book takes for no market


def price(value: str, symbol: str = "BTC", received: float = 0.0) -> QuoteSeen:
    return QuoteSeen(Quote("a", symbol, received, D(value), D(value), D(value)))


def held(quantity: str, symbol: str = "BTC") -> Position:
    return Position("a", symbol, Side.LONG, D(quantity), D(quantity))


def read(*positions: Position) -> HoldingsRead:
    return HoldingsRead(Holdings("a", 0.0, 0.0, positions, (), ()))


def sound(quote: Quote) -> bool:
    return not quote.flaw() and quote.last != STUB


class Desk:
    """An inbox, what was taken from it, and how long each event had waited."""

    def __init__(self, cost: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.taken: list[BrokerEvent] = []
        self.waits: list[float] = []
        self.cost = cost  # seconds that each event takes
        self.inbox = Inbox(self.clock, self._take, lambda: None, self.waits.append, sound, print)

    def _take(self, event: BrokerEvent) -> None:
        self.taken.append(event)
        if self.cost:
            asyncio.get_running_loop().elapsed += self.cost  # type: ignore[attr-defined]  # the virtual loop

    async def drain(self) -> list[str]:
        """Take all events. Return the prices, and the names of the other events."""
        task = asyncio.ensure_future(self.inbox.run())
        await self.inbox.settled()
        task.cancel()
        return [str(e.quote.last) if isinstance(e, QuoteSeen) else type(e).__name__ for e in self.taken]


@virtual
async def test_an_engine_that_keeps_up_takes_every_price():
    desk = Desk()
    for value in ("100", "101", "102"):
        desk.inbox.put(price(value))
    assert await desk.drain() == ["100", "101", "102"]


@virtual
async def test_an_engine_that_is_behind_takes_the_newest_price_of_each_symbol():
    desk = Desk()
    for value in ("100", "101"):
        desk.inbox.put(price(value))
        desk.inbox.put(price(value, "ETH"))
        await asyncio.sleep(LATER)
    desk.inbox.put(price("102", received=1.0))
    assert await desk.drain() == ["102", "101"]
    assert [round(wait, 3) for wait in desk.waits] == [2 * LATER] * 2


@virtual
async def test_other_events_are_all_taken_however_late():
    desk = Desk()
    for _ in range(3):
        desk.inbox.put(AccountChanged("a", AccountState.LIVE))
        await asyncio.sleep(LATER)
    assert await desk.drain() == ["AccountChanged"] * 3


@virtual
async def test_no_price_overtakes_a_changed_position_but_an_unchanged_one():
    desk = Desk()
    desk.inbox.put(read(held("1"), held("1", "ETH")))
    desk.inbox.put(price("100"))
    desk.inbox.put(price("50", "ETH"))
    await asyncio.sleep(LATER)
    desk.inbox.put(read(held("2"), held("1", "ETH")))
    desk.inbox.put(price("101"))
    desk.inbox.put(price("51", "ETH"))
    assert await desk.drain() == ["HoldingsRead", "100", "51", "HoldingsRead", "101"]


@virtual
async def test_no_price_overtakes_a_position_of_the_stream():
    desk = Desk()
    desk.inbox.put(price("100"))
    await asyncio.sleep(LATER)
    desk.inbox.put(PositionSeen(held("2").key, held("2")))
    desk.inbox.put(price("101"))
    assert await desk.drain() == ["100", "PositionSeen", "101"]


@virtual
async def test_neither_a_bad_nor_an_older_price_takes_the_place_of_a_good_price():
    desk = Desk()
    desk.inbox.put(price("100", received=5.0))
    await asyncio.sleep(LATER)
    desk.inbox.put(price("NaN", received=6.0))
    desk.inbox.put(price("99", received=4.0))
    assert await desk.drain() == ["100", "NaN", "99"]


@virtual
async def test_another_task_runs_between_two_turns_of_a_long_queue():
    desk = Desk(cost=TURN)
    for n in range(10):
        desk.inbox.put(price("1", f"S{n}"))
    seen: list[int] = []

    async def other() -> None:
        while len(desk.taken) < 10:
            seen.append(len(desk.taken))
            await asyncio.sleep(0)

    await asyncio.gather(desk.drain(), other())
    assert len(seen) >= 4


@virtual
async def test_a_price_that_found_no_room_does_not_swallow_the_later_prices_of_its_symbol():
    desk = Desk()
    for _ in range(MOST):
        desk.inbox.put(price("100", "ETH"))
    desk.inbox.put(price("100"))
    task = asyncio.ensure_future(desk.inbox.run())
    await asyncio.sleep(LATER)
    assert len(desk.taken) == MOST
    desk.inbox.put(price("90"))
    await desk.inbox.settled()
    assert desk.taken[MOST:] == [price("90")]
    task.cancel()


@virtual
async def test_a_price_that_the_book_takes_for_no_market_hides_no_waiting_price():
    desk = Desk()
    desk.inbox.put(price("100"))
    await asyncio.sleep(LATER)
    desk.inbox.put(price(str(STUB), received=6.0))
    assert await desk.drain() == ["100", str(STUB)]


@virtual
async def test_who_waits_for_the_events_so_far_does_not_wait_for_those_that_come_meanwhile():
    desk = Desk(cost=0.01)
    desk.inbox.put(price("1"))

    async def prices_without_end() -> None:
        while True:
            desk.inbox.put(price("2", f"S{len(desk.taken)}"))
            desk.inbox.put(price("3", f"T{len(desk.taken)}"))
            await asyncio.sleep(0)

    coming = asyncio.ensure_future(prices_without_end())
    running = asyncio.ensure_future(desk.inbox.run())
    async with asyncio.timeout(60):
        await desk.inbox.settled()
    assert desk.taken
    coming.cancel()
    running.cancel()

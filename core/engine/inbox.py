"""The one queue of all broker events, and its one consumer.

While the consumer is behind, only the newest price of each symbol counts: an old price decides nothing well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from core.events import BrokerEvent, HoldingsRead, PositionSeen, QuoteSeen
from core.model import Holdings, InstrumentKey, Position, PositionKey, Quote
from core.ports import Clock

MOST = 20_000  # events that may wait
BEHIND = 0.5  # seconds that a price waited, after which a newer price of its symbol takes its place
TURN = 0.02  # seconds after which the consumer lets the engine's other tasks run, closes among them


class _Waiting(Struct):
    event: BrokerEvent
    since: float  # monotonic


class Inbox:
    """One engine's events. ``lost`` is called when an event other than a price was lost or could not be taken."""

    def __init__(
        self,
        clock: Clock,
        take: Callable[[BrokerEvent], None],
        lost: Callable[[], None],
        late: Callable[[float], None],
        sound: Callable[[Quote], bool],
        say: Callable[..., None],
    ) -> None:
        """``late`` gets the seconds that an event waited, before the event is taken. ``sound``: a price can be used."""
        self._clock = clock
        self._take = take
        self._lost = lost
        self._late = late
        self._sound = sound
        self._say = say
        self._queue: asyncio.Queue[_Waiting | asyncio.Future[None]] = asyncio.Queue(MOST)
        self._newest: dict[InstrumentKey, _Waiting] = {}  # waiting prices that may be replaced
        self._read: dict[str, dict[PositionKey, Position]] = {}  # the positions of each account's last read

    def put(self, event: BrokerEvent) -> None:
        """Queue one event. If the queue is full, drop a quote; for any other event read every account again."""
        waiting = _Waiting(event, self._clock.monotonic())
        match event:
            case QuoteSeen(quote):
                place = InstrumentKey(quote.account, quote.symbol)
                older = self._newest.get(place)
                if older is not None and waiting.since - older.since > BEHIND and self._replaces(event, older.event):
                    older.event = event
                    return
            case HoldingsRead(holdings):
                self._hold_back(holdings)
            case PositionSeen(key):
                self._newest.pop(key.instrument, None)
            case _:
                pass
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            if not isinstance(event, QuoteSeen):
                self._lost()
            return
        if isinstance(event, QuoteSeen):  # only what is queued can carry a newer price
            self._newest[InstrumentKey(event.quote.account, event.quote.symbol)] = waiting

    def _hold_back(self, holdings: Holdings) -> None:
        """Let no later price overtake a position that is new or changed: the change may be a split."""
        before, read = self._read.get(holdings.account, {}), {p.key: p for p in holdings.positions}
        self._read[holdings.account] = read
        for key in before.keys() | read.keys():
            if before.get(key) != read.get(key):
                self._newest.pop(key.instrument, None)

    async def run(self) -> None:
        """Take one event after another until cancelled. A turn is at least as long as the other tasks took before."""
        until = self._clock.monotonic() + TURN
        while True:
            if self._queue.empty():
                waiting = await self._queue.get()
                until = self._clock.monotonic() + TURN
            else:
                waiting = self._queue.get_nowait()
            if isinstance(waiting, asyncio.Future):
                if not waiting.done():
                    waiting.set_result(None)
                continue
            self._late(self._clock.monotonic() - waiting.since)
            self._take_waiting(waiting)
            if (now := self._clock.monotonic()) > until:
                await asyncio.sleep(0)
                resumed = self._clock.monotonic()
                until = resumed + max(TURN, resumed - now)

    async def settled(self) -> None:
        """Return when every event queued so far is taken; events that come meanwhile are not waited for."""
        if not self._queue.empty():
            mark = asyncio.get_running_loop().create_future()
            await self._queue.put(mark)
            await mark

    def _take_waiting(self, waiting: _Waiting) -> None:
        event = waiting.event
        if isinstance(event, QuoteSeen):
            place = InstrumentKey(event.quote.account, event.quote.symbol)
            if self._newest.get(place) is waiting:
                del self._newest[place]
        try:
            self._take(event)
        except Exception as error:  # noqa: BLE001 - a bad event must not end the consumer
            self._say("alarm", f"an event could not be taken in, everything is read again: {error!r}")
            self._lost()

    def _replaces(self, event: QuoteSeen, older: BrokerEvent) -> bool:
        """Return whether a quote is newer than a waiting quote, and sound: a bad price must not hide a good price."""
        newer = isinstance(older, QuoteSeen) and event.quote.received >= older.quote.received
        return newer and self._sound(event.quote)

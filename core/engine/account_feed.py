"""Keeps one account's picture true: connects, reads all, follows the stream, reads all again after every gap.

A stream is a hint and a complete read the truth, so there is a complete read before each stream, one every
``READ_EVERY`` seconds beside it, one soon after it spoke of a trade and once more when lists that lag have it too, and
one whenever it ends, fails or falls silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal

from core.errors import FlatdeckError, Refusal, Refused
from core.events import (
    AccountChanged,
    AccountState,
    BrokerEvent,
    FillSeen,
    OrderSeen,
    PositionSeen,
    QuoteSeen,
    RatesSeen,
)
from core.model import USD_LIKE, Holdings, Quote
from core.orders.account_reader import AccountReader
from core.ports import Broker, Clock
from core.units import decimal

READ_EVERY = 30.0
POLL_EVERY = 5.0
QUOTES_EVERY = 2.0
JUST_READ = 1.0  # seconds for which a read, as that of the start, need not be made again before a stream
SOON, LATER = 0.5, 9.0  # seconds after a word of a trade: until it is looked at, and until it is again
SILENCE = 10.0  # a stream that says nothing for so long is not believed to be alive
LASTING = 30.0  # a stream that ended sooner may end as soon again
PRICE_TRIES = 3
READ_TRIES = 3
OTHERS_WAIT = 10.0  # seconds that accounts which were read wait for those that were not
AGED = 3.0  # seconds after which what was read is not what a plan is made from
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
CONNECT_TIMEOUT = 20.0


class AccountFeed:
    """One account. Nothing it meets leaves it as an exception: it becomes the account's state."""

    def __init__(
        self, broker: Broker, reader: AccountReader, clock: Clock, emit: Callable[[BrokerEvent], None]
    ) -> None:
        self._broker = broker
        self._reader = reader
        self._clock = clock
        self._emit = emit
        self._account = broker.account.id
        self._heard = 0.0
        self._read_at = 0.0
        self._short = 0  # streams in a row that ended as soon as they had begun
        self._told = AccountState.CONNECTING  # as what it was told last
        self._traded = asyncio.Event()
        self._held: list[str] = []  # symbols, by the last complete read of ours

    async def first(self) -> bool:
        """Connect and read everything once, with a few tries; whether it could be read."""
        for attempt in range(READ_TRIES):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await self._broker.connect()
                    await self._read_all()
            except Exception as error:  # noqa: BLE001 - an adapter's own fault is its account's state too
                self._failed(AccountState.DOWN, error)
                if _refused(error):
                    return False
                if attempt + 1 < READ_TRIES:
                    await self._clock.sleep(FIRST_WAIT * 2**attempt)
            else:
                self._state(AccountState.POLLING)
                return True
        return False

    async def again(self) -> None:
        """A read whose prices have aged while others were waited for is made again, with as many tries."""
        if self._clock.monotonic() - self._read_at <= AGED:
            return
        try:
            async with asyncio.timeout(OTHERS_WAIT):
                await self.first()
        except TimeoutError:
            self.give_up()

    def give_up(self) -> None:
        """Nobody waits any longer for a read; :meth:`run` goes on trying. Why a try failed is told already."""
        if self._told is not AccountState.DOWN:
            self._failed(AccountState.DOWN, TimeoutError())

    async def run(self) -> None:
        """For ever: live once the stream speaks, polling until then or where there is none, stale while it fails."""
        failures = 0
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await self._broker.connect()
                    if self._clock.monotonic() - self._reader.asked > JUST_READ:
                        await self._read_all()
                self._state(AccountState.POLLING)
                failures = 0
                await self._follow_at_leisure()
            except Exception as error:  # noqa: BLE001 - an adapter's own fault is its account's state too
                self._failed(AccountState.STALE, error)
            failures += 1
            await self._clock.sleep(_pause(failures))

    async def _follow_at_leisure(self) -> None:
        """A stream that ends again and again as soon as it has begun is not dialled all the time: what it would tell is
        asked for in between, as where there is none."""
        if self._short > 1:
            await self._poll_for(_pause(self._short))
        began = self._clock.monotonic()
        try:
            await self._follow()
        finally:
            self._short = self._short + 1 if self._clock.monotonic() - began < LASTING else 0

    async def _poll_for(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            polling = [group.create_task(self._poll_quotes()), group.create_task(self._poll(POLL_EVERY))]
            await self._clock.sleep(seconds)
            for task in polling:
                task.cancel()

    async def _follow(self) -> None:
        """Until the stream ends, fails or falls silent."""
        if not self._broker.capabilities.streams:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll_quotes())
                group.create_task(self._poll(POLL_EVERY))
            return
        self._heard = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            works = (self._poll(READ_EVERY), self._look_sooner(), self._watchdog())
            beside = [group.create_task(work) for work in works]
            await self._stream()
            for task in beside:
                task.cancel()
        raise _StreamEnded("stream ended")

    async def _stream(self) -> None:
        async for event in self._broker.stream():
            self._heard = self._clock.monotonic()
            if self._told in (AccountState.CONNECTING, AccountState.POLLING):
                self._state(AccountState.LIVE)
            self._emit(event)
            if _tells_of_a_trade(event):
                self._traded.set()

    async def _look_sooner(self) -> None:
        """Read what the stream spoke of, unless somebody did since, and again when lists that lag have it too."""
        while True:
            await self._traded.wait()
            self._traded.clear()
            for wait in (SOON, LATER):
                began = self._clock.monotonic()
                await self._clock.sleep(wait)
                if self._reader.asked <= began and not (wait == LATER and self._traded.is_set()):
                    with suppress(FlatdeckError):  # the next read that is due says so
                        await self._read_and_quote()

    async def _watchdog(self) -> None:
        while True:
            await self._clock.sleep(SILENCE / 4)
            if self._clock.monotonic() - self._heard > SILENCE:
                raise _StreamEnded(f"stream silent for {SILENCE:.0f} s")

    async def _poll(self, every: float) -> None:
        while True:
            await self._clock.sleep(every)
            await self._read_and_quote()
            if self._told not in (AccountState.LIVE, AccountState.POLLING):  # another read of it failed meanwhile
                self._state(AccountState.POLLING)

    async def _read_and_quote(self) -> None:
        """What is held, and a price of what is new among it."""
        known = set(self._held)
        await self._read()
        await self._quote([s for s in self._held if s not in known])

    async def _poll_quotes(self) -> None:
        while True:
            await self._quote(self._held)
            await self._clock.sleep(QUOTES_EVERY)

    async def _read_all(self) -> None:
        await self._read()
        await self._quote(self._held)
        self._read_at = self._clock.monotonic()

    async def _read(self) -> None:
        """Positions and orders, and the rates of their currencies."""
        holdings = await self._reader.read(urgent=False)
        self._held = sorted({p.symbol for p in holdings.positions})
        await self._rates(holdings)

    async def _quote(self, symbols: list[str]) -> None:
        """Ask for prices; what is missing or bad is asked for again, three times in all, then left unknown."""
        missing = symbols
        for attempt in range(PRICE_TRIES):
            if not missing:
                return
            good = {q.symbol for q in await self._broker.quotes(missing) if self._usable(q)}
            missing = [s for s in missing if s not in good]
            if missing and attempt + 1 < PRICE_TRIES:
                await self._clock.sleep(FIRST_WAIT * 2**attempt)

    def _usable(self, quote: Quote) -> bool:
        self._emit(QuoteSeen(quote))
        return quote.flaw() is None

    async def _rates(self, holdings: Holdings) -> None:
        wanted = sorted({i.quote for i in holdings.instruments} - USD_LIKE)
        if wanted:
            rates = await self._broker.rates(wanted)
            self._emit(RatesSeen(self._account, {c: rate for c, r in rates.items() if (rate := _rate(r)) is not None}))

    def _state(self, state: AccountState) -> None:
        self._told = state
        self._emit(AccountChanged(self._account, state))

    def _failed(self, state: AccountState, error: BaseException) -> None:
        self._told = state
        self._emit(AccountChanged(self._account, state, _sentence(error), refused=_refused(error)))


async def first_of_all(feeds: Iterable[AccountFeed]) -> None:
    """A first read of every account. Those that could be read wait for the others, but not for long (domain §6.5): a
    venue that takes a request and never answers would hold up the closes of all."""
    reading = {asyncio.create_task(feed.first()): feed for feed in feeds}
    pending = set(reading)
    try:
        while pending and not any(task.result() for task in reading if task not in pending):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending:
            _, pending = await asyncio.wait(pending, timeout=OTHERS_WAIT)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    for task in pending:
        reading[task].give_up()
    await asyncio.gather(*(feed.again() for task, feed in reading.items() if task not in pending and task.result()))


class _StreamEnded(FlatdeckError):
    """The stream is over; what it may have missed is read."""


def _tells_of_a_trade(event: BrokerEvent) -> bool:
    """Whether what is held is another quantity by it."""
    match event:
        case FillSeen():
            return True
        case OrderSeen(order):
            return order.filled > 0
        case PositionSeen(_, position):
            return position is None
        case _:
            return False


def _pause(failures: int) -> float:
    """Seconds, twice as many each time up to a limit; in half a day there are more failures than a float can double."""
    return min(FIRST_WAIT * 2.0 ** min(failures, 10), LONGEST_WAIT)


def _rate(text: str) -> Decimal | None:
    """None for what is no rate: the value stays unknown."""
    try:
        rate = decimal(text)
    except ValueError:
        return None
    return rate if rate > 0 else None


def _reason(error: BaseException) -> BaseException:
    """The first real reason inside a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _refused(error: BaseException) -> bool:
    """Whether trying again is no help."""
    reason = _reason(error)
    return isinstance(reason, Refused) and reason.refusal in (Refusal.AUTH, Refusal.BANNED)


def _sentence(error: BaseException) -> str:
    """For a person; a fault that no adapter should raise is named by its type."""
    error = _reason(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) if isinstance(error, FlatdeckError) else f"{type(error).__name__}: {error}"

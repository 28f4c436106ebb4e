"""One account's feed: connects, reads everything, follows the stream, and reads everything again after every gap.

A stream is only a hint; a complete read is the truth. The feed reads everything before each stream and then every
``READ_EVERY`` seconds. After a trade event the feed reads twice, the second time for lists that lag.
The feed also reads everything whenever the stream ends, fails or falls silent.
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
from core.model import Holdings, Quote
from core.orders.account_reader import AccountReader
from core.ports import Broker, Clock
from core.units import decimal
from core.valuation import USD_LIKE

READ_EVERY = 30.0
POLL_EVERY = 5.0
QUOTES_EVERY = 2.0
JUST_READ = 1.0  # seconds; a younger read, for example that of the start, is not repeated before a stream
SOON, LATER = 0.5, 9.0  # seconds before the first read after a trade event, and from there to the second read
SILENCE = 10.0  # seconds without an event after which a stream counts as dead
LASTING = 30.0  # seconds; a stream that ended sooner counts as short: the next stream may be as short
PRICE_TRIES = 3
READ_TRIES = 3
OTHERS_WAIT = 10.0  # seconds that accounts already read wait for the others
AGED = 3.0  # seconds; no plan is made from an older read
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
CONNECT_TIMEOUT = 20.0


class AccountFeed:
    """One account's feed. An error never leaves the feed: the error becomes the account's state."""

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
        self._short = 0  # short streams in a row
        self._told = AccountState.CONNECTING  # the last reported state
        self._traded = asyncio.Event()
        self._held: list[str] = []  # symbols held at this feed's last complete read
        self._whole = True  # False while the open orders are not known

    async def first(self) -> bool:
        """Connect and read everything once, with a few tries. Return True when a try succeeded."""
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
                if self._told is not AccountState.LIVE:  # a read beside a stream leaves the stream as it is
                    self._state(AccountState.POLLING)
                return True
        return False

    async def again(self) -> None:
        """Read again, with as many tries, when prices aged while the engine waited for other accounts."""
        if self._clock.monotonic() - self._read_at <= AGED:
            return
        try:
            async with asyncio.timeout(OTHERS_WAIT):
                await self.first()
        except TimeoutError:
            self.give_up()

    def give_up(self) -> None:
        """Report the account as down, unless a failed try already did. :meth:`run` goes on trying."""
        if self._told is not AccountState.DOWN:
            self._failed(AccountState.DOWN, TimeoutError())

    async def run(self) -> None:
        """Run forever. State: LIVE after the first stream event, POLLING before or without a stream, STALE on error."""
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
        """Follow the stream. After several short streams, poll for a while first, as for a venue without a stream.

        Without the pause the feed would connect again all the time.
        """
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
        """Follow the stream until the stream ends, fails or falls silent. Without a stream, poll."""
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
            if self._told is not AccountState.LIVE:  # also after a read that somebody asked for was given up
                self._state(AccountState.LIVE)
            self._emit(event)
            if _tells_of_a_trade(event):
                self._traded.set()

    async def _look_sooner(self) -> None:
        """Read soon after a trade event, and again when lagging lists show the trade too.

        The read is left out when somebody else has read the account since.
        """
        while True:
            await self._traded.wait()
            self._traded.clear()
            for wait in (SOON, LATER):
                began = self._clock.monotonic()
                await self._clock.sleep(wait)
                if self._reader.asked <= began and not (wait == LATER and self._traded.is_set()):
                    with suppress(FlatdeckError):  # the next due read reports the error
                        await self._read_and_quote()

    async def _watchdog(self) -> None:
        """Raise _StreamEnded when the stream is silent. While the engine stood still it heard nothing: no silence."""
        while True:
            due = self._clock.monotonic() + SILENCE / 4
            await self._clock.sleep(SILENCE / 4)
            now = self._clock.monotonic()
            self._heard = min(self._heard + now - due, now)
            if now - self._heard > SILENCE:
                raise _StreamEnded(f"stream silent for {SILENCE:.0f} s")

    async def _poll(self, every: float) -> None:
        while True:
            await self._clock.sleep(every if self._whole else min(every, POLL_EVERY))
            await self._read_and_quote()
            if self._told not in (AccountState.LIVE, AccountState.POLLING):  # another read failed meanwhile
                self._state(AccountState.POLLING)

    async def _read_and_quote(self) -> None:
        """Read the account, and ask for a price of every newly held symbol."""
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
        """Read positions and orders, and ask for the rates of their currencies."""
        holdings = await self._reader.read_account(urgent=False)
        self._held = sorted({p.symbol for p in holdings.positions})
        self._whole = not holdings.orders_flaw
        await self._rates(holdings)

    async def _quote(self, symbols: list[str]) -> None:
        """Ask for prices. Ask for missing or bad prices again, three times in all, then leave them unknown."""
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
    """Read every account for the first time. Accounts already read wait only shortly for the others (domain §6.5).

    A venue that takes a request and never answers would otherwise hold up the closes of every account.
    """
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
    """The stream is over. The feed then reads what the stream may have missed."""


def _tells_of_a_trade(event: BrokerEvent) -> bool:
    """Return whether the event shows that a held quantity changed."""
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
    """Return the seconds to wait, doubled with each failure up to a limit.

    The exponent is capped: half a day brings more failures than a float can double.
    """
    return min(FIRST_WAIT * 2.0 ** min(failures, 10), LONGEST_WAIT)


def _rate(text: str) -> Decimal | None:
    """Return the rate, or None for a text that is no rate: the value then stays unknown."""
    try:
        rate = decimal(text)
    except ValueError:
        return None
    return rate if rate > 0 else None


def _reason(error: BaseException) -> BaseException:
    """Return the first error inside nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _refused(error: BaseException) -> bool:
    """Return whether another try cannot help."""
    reason = _reason(error)
    return isinstance(reason, Refused) and reason.refusal in (Refusal.AUTH, Refusal.BANNED)


def _sentence(error: BaseException) -> str:
    """Return the error as text for a person. The text of an unexpected error begins with the error's type."""
    error = _reason(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) if isinstance(error, FlatdeckError) else f"{type(error).__name__}: {error}"

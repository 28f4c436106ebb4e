"""The Broker of a paper account: adds latency and lost answers to a venue in the same process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from brokers.paper import reads as reports
from brokers.paper.faults import Faults
from brokers.paper.options import make_feeds, read_options
from brokers.paper.prices import tick_seconds
from brokers.paper.random_streams import seeded
from brokers.paper.store import Store, store_path
from brokers.paper.stream import Stream
from brokers.paper.venue import Venue
from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import BrokerEvent
from core.model import Account, Bar, Fill, Holdings, Instrument, Order, OrderRequest, Position, Quote, Tier
from core.ports import Capabilities, Check, Clock
from core.settings import AccountSettings
from core.units import plain
from core.valuation import USD_LIKE

T = TypeVar("T")

EXPIRY = 2.0  # seconds beyond the latency in which an unanswered request can still execute
LAG = 1.0
ALL_TIERS = frozenset(Tier)
LATE = 0.75  # fraction of EXPIRY after which a delayed request arrives


class PaperBroker:
    """One paper account. Tests, drills and manual trading use ``venue`` directly."""

    def __init__(self, venue: Venue, clock: Clock, latency: float = 0.0) -> None:
        self.venue = venue
        self._clock, self._faults = clock, venue.faults
        self._half = latency / 2
        self._streams: list[Stream] = []

    @property
    def account(self) -> Account:
        return self.venue.account

    @property
    def warning(self) -> str:
        """One sentence if the book file has changed since the account began to trade, else empty."""
        return self.venue.warning

    @property
    def capabilities(self) -> Capabilities:
        lags = self._faults.possible("position_lag", "late_fill")
        lag = LAG + self._faults.numbers["lag_seconds"] if lags else LAG
        return Capabilities(ALL_TIERS, EXPIRY + 2 * self._half, lag, streams=True, protective_stops=True)

    async def connect(self) -> None:
        await self._read()

    async def aclose(self) -> None:
        for stream in self._streams:
            stream.close()
        self.venue.aclose()

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        asked = self._clock.monotonic()
        if self._faults.strikes("read_fails"):
            raise Unreachable("the paper account cannot be read")
        await self._read()
        positions, orders = reports.positions(self.venue), reports.open_orders(self.venue)
        instruments = reports.instruments(self.venue, positions, orders)
        await self._clock.sleep(self._half)
        received = self._clock.monotonic()
        return Holdings(self.account.id, asked, received, positions, orders, instruments, self.venue.book.equity)

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        await self._read()
        seen = [quote for symbol in symbols if (quote := reports.quote(self.venue, symbol)) is not None]
        await self._clock.sleep(self._half)
        return seen

    async def instrument(self, symbol: str) -> Instrument | None:
        """Return the rules of a symbol, held or not; None for a symbol that the book and the prices do not name."""
        await self._read()
        listing = self.venue.matching.market.listings.get(symbol)
        await self._clock.sleep(self._half)
        return None if listing is None else listing.instrument

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        """Return no bars. A replay runs at its own speed, so its minutes are not minutes of the clock."""
        return []

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        await self._read()
        known = self.venue.book.rates
        await self._clock.sleep(self._half)
        return {c: plain(known[c]) if c in known else "1" for c in currencies if c in known or c in USD_LIKE}

    async def submit(self, request: OrderRequest) -> Order:
        return await self._send(request.symbol, lambda: self.venue.place(request))

    async def submit_direct(self, request: OrderRequest) -> Order:
        return await self._send(request.symbol, lambda: self.venue.place(request, direct=True))

    async def close_position(self, position: Position, client_id: str) -> Order:
        return await self._send(position.symbol, lambda: self.venue.close(position))

    async def cancel(self, order: Order) -> None:
        self._gate(order.symbol)
        if self._faults.strikes("cancel_unknown", order.symbol):
            if self._faults.coin():
                self.venue.post(self._half, lambda: self.venue.cancel(order.id))
            raise OutcomeUnknown("no answer to the cancel")
        await self._there_and_back(lambda: self.venue.cancel(order.id))

    async def find_order(
        self, symbol: str, *, client_id: str | None = None, order_id: str | None = None
    ) -> Order | None:
        await self._look_up(symbol)
        found = reports.find(self.venue, symbol, client_id, order_id)
        await self._clock.sleep(self._half)
        return found

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        await self._look_up(symbol)
        found = reports.fills(self.venue, symbol, since)
        await self._clock.sleep(self._half)
        return found

    async def check(self) -> list[Check]:
        try:
            await self._read()
        except Refused as error:
            return [Check("credentials", ok=False, text=str(error))]
        source = f"{len(self.venue.state.positions)} positions, no real money"
        checks = [
            Check("credentials", ok=True, text="a paper account needs none"),
            Check("permissions", ok=True, text="it can trade and cannot withdraw"),
            Check("clock", ok=not self._faults.possible("clock_skew"), text="the venue's clock is this machine's"),
            Check("book", ok=not self.warning, text=self.warning or source),
        ]
        known = self.venue.matching.market.tops
        if unpriced := sorted({p.symbol for p in self.venue.state.positions.values()} - set(known)):
            text = f"no price for {', '.join(unpriced)}: add a quote to the book, or a price file; see docs/paper.md"
            checks.append(Check("prices", ok=False, text=text))
        active = sorted(self._faults.probabilities)
        return [*checks, Check("faults", ok=None, text=f"scripted: {', '.join(active)}")] if active else checks

    async def stream(self) -> AsyncGenerator[BrokerEvent, None]:
        """Yield quotes of every symbol at least each second, and orders, fills and positions as they change."""
        await self._read()
        stream = Stream(self.venue, self._clock)
        self._streams.append(stream)
        try:
            async for event in stream.events():
                yield event
        finally:
            self._streams.remove(stream)
            stream.stop()

    async def _read(self) -> None:
        """Wait half of the latency and advance the venue. Raises Refused if a fault blocks every call."""
        self._bar()
        await self._clock.sleep(self._half)
        self.venue.advance()

    async def _look_up(self, symbol: str) -> None:
        if self._faults.strikes("lookup_fails", symbol):
            raise Unreachable("the paper venue cannot be asked")
        await self._read()

    def _bar(self) -> None:
        if self._faults.strikes("auth"):
            raise Refused(Refusal.AUTH, "the credentials have expired", code="401")
        if self._faults.strikes("banned"):
            raise Refused(Refusal.BANNED, "this address is banned", code="418")

    def _gate(self, symbol: str) -> None:
        """Raise the fault that keeps an order or a cancel from reaching the venue."""
        self._bar()
        if self._faults.strikes("unreachable", symbol):
            raise Unreachable("connection refused")
        if self._faults.strikes("rate_limited", symbol):
            wait = self._faults.numbers["retry_after"]
            raise Refused(Refusal.RATE_LIMITED, "too many requests", code="429", retry_after=wait)
        if self._faults.strikes("clock_skew", symbol):
            raise Refused(Refusal.CLOCK, "the timestamp is outside the window", code="-1021")

    async def _send(self, symbol: str, act: Callable[[], Order]) -> Order:
        """Send an order. The faults of the request and of its answer strike here."""
        self._gate(symbol)
        faults = self._faults
        if faults.strikes("lose_request", symbol):
            await self._clock.sleep(self._half)
            raise OutcomeUnknown("no answer: the connection was reset")
        if faults.strikes("late_execution", symbol):
            self.venue.post(self._half + EXPIRY * LATE, act)
            await self._clock.sleep(self._half)
            raise OutcomeUnknown("no answer in time")
        if faults.strikes("server_error", symbol):
            if faults.coin():
                self.venue.post(self._half, act)
            await self._clock.sleep(self._half)
            raise OutcomeUnknown("the venue answered 502")
        lost = faults.strikes("lose_response", symbol)
        broken = faults.strikes("broken_answer", symbol)
        try:
            order = await self._there_and_back(act)
        except Refused:
            if not (lost or broken):
                raise
        if lost:
            raise OutcomeUnknown("no answer: the connection was reset")
        if broken:
            raise OutcomeUnknown("the answer cannot be read")
        if faults.strikes("delay_ack", symbol):
            await self._clock.sleep(faults.numbers["lag_seconds"])
        return reports.report_order(self.venue, order)

    async def _there_and_back(self, act: Callable[[], T]) -> T:
        reply = self.venue.post(self._half, act)
        await self._clock.sleep(self._half)
        self.venue.advance()
        try:
            answer: T = reply.answer()
        finally:
            await self._clock.sleep(self._half)
        return answer


def open_account(settings: AccountSettings, data_dir: Path | None, clock: Clock, *, speed: float = 1.0) -> PaperBroker:
    """Return the paper account that ``settings`` describe. Without ``data_dir`` nothing is saved.

    ``speed`` accelerates replays and random walks, unless the account's options name a speed. Raises ConfigError.
    """
    options = read_options(settings, speed)
    account = Account(settings.id, settings.owner, settings.name, settings.venue)
    venue = Venue(
        account,
        options.book,
        clock,
        Faults(seeded(options.seed, "faults", settings.id), options.faults),
        feeds=make_feeds(options),
        tick=tick_seconds(options.speed, replayed=bool(options.replays)),
        store=None if data_dir is None else Store(store_path(data_dir, settings), options.book.fingerprint),
    )
    return PaperBroker(venue, clock, options.latency)

"""The live stream over real sockets: what it tells, and that none of its ends goes unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal

import pytest

from brokers.alpaca.broker import AlpacaBroker
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import AccountChanged, AccountState, BrokerEvent, FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import OrderStatus
from tests.brokers.alpaca.kit import ACCOUNT, PUT, broker_at, soon
from tests.venues.alpaca.server import AlpacaVenue


class Listener:
    """What the stream said so far."""

    def __init__(self) -> None:
        self.events: list[BrokerEvent] = []
        self.error: FlatdeckError | None = None

    async def until(self, seen: Callable[[BrokerEvent], bool]) -> BrokerEvent:
        await soon(lambda: any(seen(e) for e in self.events))
        return [e for e in self.events if seen(e)][-1]

    async def ended(self) -> FlatdeckError:
        await soon(lambda: self.error)
        assert self.error is not None
        return self.error


@asynccontextmanager
async def listening(broker: AlpacaBroker) -> AsyncIterator[Listener]:
    listener = Listener()

    async def follow() -> None:
        try:
            async with aclosing(broker.stream()) as events:
                async for event in events:
                    listener.events.append(event)
        except FlatdeckError as error:
            listener.error = error

    await broker.holdings()
    task = asyncio.create_task(follow())
    yield listener
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def alive(event: BrokerEvent) -> bool:
    return event == AccountChanged(ACCOUNT, AccountState.LIVE)


def quoted(symbol: str, bid: str) -> Callable[[BrokerEvent], bool]:
    return lambda e: isinstance(e, QuoteSeen) and e.quote.symbol == symbol and e.quote.bid == Decimal(bid)


@pytest.mark.parametrize("binary", [True, False])
async def test_an_order_its_execution_and_the_end_of_its_position_are_told(
    venue: AlpacaVenue, broker: AlpacaBroker, binary: bool
) -> None:
    venue.streams.binary = binary  # as on paper accounts, and as on real ones
    venue.truth.hold("AAPL", "10", price="110")
    async with listening(broker) as heard:
        await heard.until(alive)
        await soon(lambda: venue.streams.listeners == 1)
        order = venue.do(lambda: venue.truth.close("AAPL", None))
        gone = await heard.until(lambda e: isinstance(e, PositionSeen))
        assert isinstance(gone, PositionSeen)
        assert (gone.key.symbol, gone.position) == ("AAPL", None)
        fill = await heard.until(lambda e: isinstance(e, FillSeen))
        assert isinstance(fill, FillSeen)
        assert (fill.fill.quantity, fill.fill.price, fill.fill.order_id) == (Decimal(10), Decimal(110), order.id)
        states = [e.order.status for e in heard.events if isinstance(e, OrderSeen)]
        assert (states[0], states[-1]) == (OrderStatus.OPEN, OrderStatus.FILLED)


async def test_prices_of_each_kind_come_over_a_stream_of_their_own(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    for symbol in ("AAPL", PUT, "BTC/USD"):
        venue.truth.hold(symbol, "1", price="100")
    async with listening(broker) as heard:
        await soon(lambda: len(venue.streams.subscribed) == 3)
        assert venue.streams.subscribed == {
            "/v2/iex": {"AAPL"},
            "/v1beta1/indicative": {PUT},
            "/v1beta3/crypto/us": {"BTC/USD"},
        }
        for symbol in ("AAPL", PUT, "BTC/USD"):
            venue.truth.prices[symbol] = (Decimal("101.5"), Decimal("101.7"))
            venue.do(lambda s=symbol: venue.streams.price(s))  # type: ignore[misc]  # bound in the loop on purpose
            await heard.until(quoted(symbol, "101.5"))


async def test_a_position_that_is_opened_later_is_subscribed_too(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "1")
    async with listening(broker) as heard:
        await heard.until(alive)
        venue.do(lambda: venue.truth.hold("MSFT", "1"))
        await broker.holdings()
        await soon(lambda: "MSFT" in venue.streams.subscribed.get("/v2/iex", ()))


async def test_a_quiet_price_is_asked_for_again_so_that_it_does_not_look_stale(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    venue.truth.hold("AAPL", "1", price="99")
    async with listening(broker) as heard:
        await heard.until(quoted("AAPL", "99"))
        first = len(heard.events)
        await heard.until(lambda e: e in heard.events[first:] and isinstance(e, QuoteSeen))


async def test_an_account_without_a_price_stream_gets_its_prices_by_rest(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    venue.streams.refuse_data = 406
    venue.truth.hold("AAPL", "1", price="99")
    async with listening(broker) as heard:
        await heard.until(quoted("AAPL", "99"))
        venue.truth.prices["AAPL"] = (Decimal(98), Decimal(98))
        await heard.until(quoted("AAPL", "98"))
        assert heard.error is None


async def test_a_stream_that_answers_no_ping_ends_with_that_reason(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "1")
    async with listening(broker) as heard:
        await heard.until(alive)
        venue.streams.mute = True
        error = await heard.ended()
    assert isinstance(error, OutcomeUnknown)
    assert "is silent for" in str(error)


async def test_a_stream_that_is_hung_up_on_ends_with_that_reason(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    async with listening(broker) as heard:
        await heard.until(alive)
        venue.hang_up()
        error = await heard.ended()
    assert isinstance(error, OutcomeUnknown)
    assert "stream ended" in str(error)


async def test_a_refused_login_is_raised_and_not_tried_for_ever(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.streams.revoked = True
    async with listening(broker) as heard:
        error = await heard.ended()
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.AUTH
    assert venue.streams.logins == 0


async def test_a_price_stream_that_refuses_the_login_is_raised_too(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "1")
    venue.streams.refuse_data = 402
    async with listening(broker) as heard:
        error = await heard.ended()
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.AUTH


async def test_a_stream_that_nobody_serves_is_unreachable(venue: AlpacaVenue) -> None:
    broker = broker_at(venue, stream_endpoint="ws://127.0.0.1:9")
    await broker.connect()
    try:
        with pytest.raises(Unreachable, match="stream cannot be reached"):
            async for _ in broker.stream():
                pass
    finally:
        await broker.aclose()


async def test_without_a_stream_endpoint_the_account_is_polled(venue: AlpacaVenue) -> None:
    assert broker_at(venue).capabilities.streams
    assert not broker_at(venue, stream_endpoint="").capabilities.streams


async def test_where_quotes_fail_a_quiet_position_keeps_the_venues_own_mark(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.fault("GET", "/v2/stocks", "500", times=1000)
    async with listening(broker) as heard:
        await heard.until(lambda e: isinstance(e, QuoteSeen) and e.quote.mark == 110)
        venue.truth.prices["AAPL"] = (Decimal(90), Decimal(90))
        await heard.until(lambda e: isinstance(e, QuoteSeen) and e.quote.mark == 90)


async def test_quotes_that_never_answer_do_not_make_the_stream_silent(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.fault("GET", "/v2/stocks", "hang", times=1000)
    async with listening(broker) as heard:
        await soon(lambda: sum(map(alive, heard.events)) > 3)
        assert heard.error is None

"""The live stream: what is told, and that it ends with a reason rather than fall silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from brokers.ccxt.broker import CcxtBroker
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import AccountChanged, AccountState, FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Leg, OrderStatus
from tests.brokers.ccxt import kit
from tests.brokers.ccxt.bodies import USDM_BTC, kraken, usdm
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import broker_at, soon
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.kraken import BOOK, KEY, SECRET, Kraken

D = Decimal
FAST = 20


class Listener:
    """Everything that a stream said, and what it ended with."""

    def __init__(self, broker: CcxtBroker) -> None:
        self.heard: list[Any] = []
        self.ended: BaseException | None = None
        self._task = asyncio.create_task(self._run(broker))

    async def _run(self, broker: CcxtBroker) -> None:
        try:
            async for event in broker.stream():
                self.heard.append(event)
        except FlatdeckError as error:
            self.ended = error

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]

    @property
    def over(self) -> bool:
        return self._task.done()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def listening(broker: CcxtBroker) -> AsyncIterator[Listener]:
    listener = Listener(broker)
    yield listener
    await listener.stop()


@pytest.fixture
async def venue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[CcxtBroker, Exchange]]:
    monkeypatch.setitem(kit.ENV, "CCXT_KEY", KEY)
    monkeypatch.setitem(kit.ENV, "CCXT_SECRET", SECRET)
    with Exchange(Kraken, BOOK) as running:
        broker = broker_at("kraken", running, running.clock, stream_endpoint=running.stream_endpoint)  # type: ignore[arg-type]
        await broker.connect()
        await broker.holdings()
        yield broker, running
        await broker.aclose()


async def test_a_stream_tells_that_it_lives_orders_fills_and_prices(venue: tuple[CcxtBroker, Exchange]) -> None:
    broker, _ = venue
    async with listening(broker) as stream:
        await soon(lambda: stream.of(AccountChanged) and len({e.quote.symbol for e in stream.of(QuoteSeen)}) == 2)
        assert stream.of(AccountChanged)[0].state is AccountState.LIVE
        known = {symbol for symbol, _ in broker.reads.cost_basis.costs}
        params = {"cl_ord_id": "a1b2c3d4e5f6a7b8c9", "timeinforce": "IOC"}
        await broker.client.send_action("create_order", "BTC/USD", "market", "sell", "0.3", None, params)
        filled = OrderStatus.FILLED
        await soon(lambda: [e for e in stream.of(OrderSeen) if e.order.status is filled] and stream.of(FillSeen))
        [fill] = [e.fill for e in stream.of(FillSeen)]
        assert (fill.symbol, fill.quantity, fill.price) == ("BTC/USD", D("0.3"), D(50000))
        assert known - {symbol for symbol, _ in broker.reads.cost_basis.costs} == {"BTC/USD"}, "asked for again"
        assert not stream.over


async def test_a_stream_that_is_hung_up_ends_with_its_reason_and_a_new_one_begins(
    venue: tuple[CcxtBroker, Exchange],
) -> None:
    broker, running = venue
    async with listening(broker) as first:
        await soon(lambda: first.of(AccountChanged))
        running.hang_up()
        await soon(lambda: first.over)
        assert isinstance(first.ended, OutcomeUnknown)
        assert "stream broke" in str(first.ended)
    assert not broker.client.exchange.clients
    async with listening(broker) as second:
        await soon(lambda: second.of(AccountChanged))


async def test_a_stream_that_is_closed_leaves_no_task_and_no_socket(venue: tuple[CcxtBroker, Exchange]) -> None:
    broker, _ = venue
    before = asyncio.all_tasks()
    async with listening(broker) as stream:
        await soon(lambda: stream.of(QuoteSeen))
    await soon(lambda: asyncio.all_tasks() <= before)
    assert not broker.client.exchange.clients


Serve = Callable[[web.WebSocketResponse], Any]


def sockets(serve: Serve) -> dict[str, Any]:
    """Kraken with sockets that ``serve`` answers."""

    async def accept(request: web.Request, form: str) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await serve(socket)
        return socket

    token = {"error": [], "result": {"token": "t", "expires": 900}}
    ticker = {"a": ["101", "1", "1"], "b": ["100", "1", "1"], "c": ["100", "1"]}
    prices = {"error": [], "result": {"XXBTZUSD": ticker, "XETHZUSD": ticker}}
    return kraken(**{"/GetWebSocketsToken": token, "/Ticker": prices, "/ws-auth/v2": accept, "/v2": accept})


async def streaming(at: Opened, serve: Serve) -> CcxtBroker:
    broker, _ = await at("kraken", sockets(serve), clock=FastClock(FAST), stream_endpoint="same")
    await broker.holdings()
    made: CcxtBroker = broker
    return made


async def test_a_silent_socket_ends_the_stream(at: Opened) -> None:
    async def deaf(socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(30)

    broker = await streaming(at, deaf)
    async with listening(broker) as stream:
        await soon(lambda: stream.over)
        assert "silent" in str(stream.ended)


async def test_a_quiet_market_is_no_silent_socket_and_its_prices_are_asked_for(at: Opened) -> None:
    async def only_pongs(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT and json.loads(message.data).get("method") == "ping":
                await socket.send_json({"method": "pong", "time_in": "", "time_out": ""})

    broker = await streaming(at, only_pongs)
    async with listening(broker) as stream:
        await soon(lambda: len(stream.of(AccountChanged)) >= 6)  # several times as long as silence is believed
        assert not stream.over
        told = {event.quote.symbol for event in stream.of(QuoteSeen)}
        assert told == {"BTC/USD", "ETH/USD"}


async def test_a_price_that_is_long_in_coming_does_not_make_the_stream_look_silent(at: Opened) -> None:
    async def only_pongs(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT and json.loads(message.data).get("method") == "ping":
                await socket.send_json({"method": "pong"})

    asked: list[str] = []

    async def slow(request: web.Request, form: str) -> web.Response:
        asked.append(request.path)
        await asyncio.sleep(3)
        return web.json_response({"error": [], "result": {}})

    broker, venue = await at("kraken", sockets(only_pongs), clock=FastClock(FAST), stream_endpoint="same")
    await broker.holdings()
    venue.answers["/Ticker"] = slow
    async with listening(broker) as stream:
        await soon(lambda: asked)
        before = len(stream.of(AccountChanged))
        await asyncio.sleep(1.0)
        assert len(stream.of(AccountChanged)) - before >= 3
        assert (len(asked), stream.over) == (1, False)


async def test_a_stream_that_cannot_be_reached_says_so(at: Opened) -> None:
    broker, _ = await at("kraken", sockets(lambda s: None), clock=FastClock(FAST), stream_endpoint="ws://127.0.0.1:1")
    await broker.holdings()
    async with listening(broker) as stream:
        await soon(lambda: stream.over)
        assert isinstance(stream.ended, Unreachable | OutcomeUnknown)


async def test_a_refused_login_to_the_stream_is_told_as_one(at: Opened) -> None:
    broker, venue = await at("kraken", kraken(), clock=FastClock(FAST), stream_endpoint="ws://127.0.0.1:1")
    venue.answers["/GetWebSocketsToken"] = {"error": ["EAPI:Invalid key"]}
    await broker.holdings()
    async with listening(broker) as stream:
        await soon(lambda: stream.over)
        assert isinstance(stream.ended, Refused)
        assert stream.ended.refusal is Refusal.AUTH


async def test_a_message_that_cannot_be_read_does_not_end_the_stream(at: Opened) -> None:
    async def odd(socket: web.WebSocketResponse) -> None:
        row = {"exec_type": "new", "order_id": "", "symbol": "??", "order_status": "mystery"}
        await socket.send_json({"channel": "executions", "type": "update", "data": [row], "sequence": 1})
        async for message in socket:
            if message.type is WSMsgType.TEXT and json.loads(message.data).get("method") == "ping":
                await socket.send_json({"method": "pong"})

    broker = await streaming(at, odd)
    async with listening(broker) as stream:
        await soon(lambda: len(stream.of(AccountChanged)) >= 4)
        assert not stream.over
        assert stream.of(OrderSeen) == []


@pytest.mark.parametrize(
    ("options", "streams"),
    [({}, False), ({"stream_endpoint": ""}, False), ({"stream_endpoint": "ws://127.0.0.1:1"}, True)],
)
async def test_with_an_endpoint_alone_nothing_is_streamed(at: Opened, options: dict[str, str], streams: bool) -> None:
    broker, _ = await at("kraken", {}, connect=False, **options)
    assert broker.capabilities.streams is streams


async def test_an_exchange_whose_streams_ccxt_does_not_have_is_polled(at: Opened) -> None:
    broker, _ = await at("btcmarkets", {}, connect=False, stream_endpoint="ws://127.0.0.1:1")
    assert not broker.capabilities.streams


def usdm_sockets() -> dict[str, Any]:
    """Binance USD-M with its three kinds of socket: the account's, the touch's and the marks'."""

    async def accept(request: web.Request, form: str) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if "listenKey" in request.query:
            gone = {"s": "BTCUSDT", "pa": "0", "ep": "0", "up": "0", "mt": "cross", "iw": "0", "ps": "BOTH"}
            await asyncio.sleep(0.05)
            await socket.send_json({"e": "ACCOUNT_UPDATE", "T": 1, "E": 1, "a": {"m": "ORDER", "B": [], "P": [gone]}})
        async for message in socket:
            asked = json.loads(message.data)
            await socket.send_json({"result": None, "id": asked["id"]})
            mark = {"e": "markPriceUpdate", "E": 1, "s": "BTCUSDT", "p": "51234", "i": "1", "P": "1", "r": "0", "T": 1}
            touch = {
                "e": "bookTicker",
                "u": 1,
                "E": 1,
                "T": 1,
                "s": "BTCUSDT",
                "b": "51",
                "B": "1",
                "a": "52",
                "A": "1",
            }
            await socket.send_json(mark if "markPrice" in message.data else touch)
        return socket

    return usdm(**{"/listenKey": {"listenKey": "lk"}, "/private/ws": accept, "/ws/0": accept, "/ws/1": accept})


async def test_marks_that_come_apart_from_the_touch_stand_beside_it(at: Opened) -> None:
    broker, _ = await at("binanceusdm", usdm_sockets(), clock=FastClock(FAST), stream_endpoint="same")
    await broker.holdings()
    async with listening(broker) as stream:
        await soon(lambda: [e for e in stream.of(QuoteSeen) if e.quote.bid == D(51)])
        await soon(lambda: broker.reads.marks["BTC/USDT:USDT"].price == D(51234))
        gone = await _first(stream, PositionSeen)
        assert (gone.key.symbol, gone.key.leg, gone.position) == ("BTC/USDT:USDT", Leg.NET, None)


def spot_sockets(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Binance spot: the socket that the account is subscribed to says ``told``, and then answers pings only."""
    names = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
    market = {**names, "isSpotTradingAllowed": True, "permissions": ["SPOT"], "filters": USDM_BTC["filters"]}

    async def accept(request: web.Request, form: str) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked = json.loads(message.data)
            await socket.send_json({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}})
            for said in told:
                await socket.send_json({"subscriptionId": 0, "event": said})
        return socket

    return {
        "/api/v3/exchangeInfo": {"symbols": [market]},
        "/api/v3/account": {"balances": [{"asset": "BTC", "free": "1", "locked": "0"}]},
        "/api/v3/openOrders": [],
        "/api/v3/myTrades": [],
        "/ticker/bookTicker": [{"symbol": "BTCUSDT", "bidPrice": "1", "bidQty": "1", "askPrice": "2", "askQty": "1"}],
        "/ws-api/v3": accept,
    }


async def test_binance_s_word_that_the_account_s_stream_has_ended_ends_it(at: Opened) -> None:
    answers = spot_sockets([{"e": "eventStreamTerminated", "E": 1728973001334}])
    broker, _ = await at("binance", answers, clock=FastClock(5), stream_endpoint="same")
    async with listening(broker) as stream:
        await soon(lambda: stream.over)
        assert "ended the stream" in str(stream.ended)


async def test_a_spot_account_s_stream_is_none_of_the_exchange_s_futures(at: Opened) -> None:
    broker, venue = await at("binance", spot_sockets([]), clock=FastClock(5), stream_endpoint="same")
    async with listening(broker) as stream:
        await soon(lambda: len(stream.of(AccountChanged)) > 1)
        assert (venue.paths("listenKey"), stream.over) == ([], False)


async def _first(stream: Listener, kind: type[Any]) -> Any:
    await soon(lambda: stream.of(kind))
    return stream.of(kind)[0]

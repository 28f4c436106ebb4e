"""ccxt's own coinbase client against the loopback Coinbase: what it sends is taken, what it parses is the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest
from ccxt.base.errors import AuthenticationError, BadRequest, ExchangeError, InsufficientFunds

from tests.venues.ccxt.clients import client
from tests.venues.ccxt.coinbase import BOOK, KEY, SECRET, Coinbase
from tests.venues.ccxt.host import Exchange

LOGIN = {"apiKey": KEY, "secret": SECRET}


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange(Coinbase, BOOK) as running:
        yield running


async def test_markets_balances_positions_orders_and_trades_are_read_as_they_are(exchange: Exchange) -> None:
    exchange.stall.rest.page = 2
    async with client("coinbase", exchange, **LOGIN) as coinbase:
        markets = await coinbase.load_markets()
        assert set(markets) == {"BTC/USD", "ETH/USD", "BTC/USD:USD"}
        assert markets["BTC/USD:USD"]["contractSize"] == "0.01"
        balance = await coinbase.fetch_balance({"v3": True})
        assert Decimal(balance["BTC"]["total"]) == Decimal("1.23456789")
        assert Decimal(balance["BTC"]["used"]) == Decimal("0.1")
        assert Decimal(balance["ETH"]["free"]) == 2, "the second page was followed"
        [position] = await coinbase.fetch_positions()
        assert (position["symbol"], position["side"], position["contracts"]) == ("BTC/USD:USD", "short", "3")
        assert position["entryPrice"] == "70000"
        [order] = await coinbase.fetch_open_orders()
        assert (order["symbol"], order["side"], order["price"], order["status"]) == ("BTC/USD", "sell", "90000", "open")
        trades = await coinbase.fetch_my_trades("BTC/USD")
        assert [(t["side"], t["price"]) for t in trades] == [("buy", "60000")]
        touch = await coinbase.fetch_bids_asks(["BTC/USD", "BTC/USD:USD"])
        assert touch["BTC/USD:USD"]["ask"] == "68930"
        tickers = await coinbase.fetch_tickers(["ETH/USD"])
        assert tickers["ETH/USD"]["last"] == "3000"
        assert (await coinbase.fetch_ticker("ETH/USD"))["bid"] == "3000"
        assert len(await coinbase.fetch_ohlcv("BTC/USD", "1m", limit=30)) in (29, 30, 31)
        assert (await coinbase.v3PrivateGetBrokerageKeyPermissions())["can_transfer"] is False


async def test_an_order_is_taken_found_and_made_once_under_its_name(exchange: Exchange) -> None:
    async with client("coinbase", exchange, **LOGIN) as coinbase:
        name = {"client_order_id": "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6"}
        made = await coinbase.create_order("BTC/USD", "market", "sell", 0.3, None, name)
        again = await coinbase.create_order("BTC/USD", "market", "sell", 0.3, None, name)
        assert made["id"] == again["id"]
        assert exchange.held("BTC/USD") == Decimal("0.93456789")
        found = await coinbase.fetch_order(made["id"])
        assert (found["status"], Decimal(found["filled"])) == ("closed", Decimal("0.3"))
        assert found["clientOrderId"] == name["client_order_id"]
        [trade] = [t for t in await coinbase.fetch_my_trades() if t["order"] == made["id"]]
        assert Decimal(trade["amount"]) == Decimal("0.3")
        stop = await coinbase.create_order("ETH/USD", "limit", "sell", 1, 1900, {"stopLossPrice": 2000})
        [resting] = await coinbase.fetch_open_orders("ETH/USD")
        assert resting["triggerPrice"] == "2000"
        await coinbase.cancel_order(stop["id"])
        with pytest.raises(BadRequest):
            await coinbase.cancel_order(stop["id"])
        with pytest.raises(ExchangeError, match="not found"):
            await coinbase.fetch_order("0000-000000-none")


async def test_a_future_is_closed_by_its_own_call(exchange: Exchange) -> None:
    async with client("coinbase", exchange, **LOGIN) as coinbase:
        await coinbase.close_position("BTC/USD:USD", None, {"clientOrderId": "part", "size": "2"})
        assert exchange.held("BTC/USD:USD") == -1
        await coinbase.close_position("BTC/USD:USD", None, {"clientOrderId": "rest"})
        assert await coinbase.fetch_positions() == []


@pytest.mark.parametrize(
    ("size", "error", "text"),
    [
        ("0.000000001", ExchangeError, "Too many decimals in order amount"),
        ("0.00000001", ExchangeError, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
        ("1.2", InsufficientFunds, "Insufficient balance"),
    ],
)
async def test_a_size_that_coinbase_does_not_take_is_refused_in_its_words(
    exchange: Exchange, size: str, error: type[Exception], text: str
) -> None:
    order = {"product_id": "BTC-USD", "side": "SELL", "client_order_id": "mine"}
    async with client("coinbase", exchange, **LOGIN) as coinbase:
        with pytest.raises(error, match=text):
            await coinbase.v3PrivatePostBrokerageOrders(
                {**order, "order_configuration": {"market_market_ioc": {"base_size": size}}}
            )
        with pytest.raises(BadRequest, match="client_order_id"):
            await coinbase.v3PrivatePostBrokerageOrders({**order, "client_order_id": "", "order_configuration": {}})


async def test_a_wrong_secret_is_refused(exchange: Exchange) -> None:
    async with client("coinbase", exchange, apiKey=KEY, secret="another") as coinbase:
        with pytest.raises(AuthenticationError):
            await coinbase.fetch_balance({"v3": True})
    async with client("coinbase", exchange, **LOGIN) as coinbase:
        await coinbase.load_markets()
        coinbase.secret = "another"
        with pytest.raises(asyncio.TimeoutError):  # ccxt logs the refusal and leaves the caller waiting
            await asyncio.wait_for(coinbase.watch_orders(), 0.5)
        assert exchange.stall.streams.subscriptions == 0


async def test_what_happens_is_told_on_the_stream(exchange: Exchange) -> None:
    async with client("coinbase", exchange, **LOGIN) as coinbase:
        ticker = await coinbase.watch_ticker("BTC/USD")
        assert (ticker["bid"], ticker["ask"]) == ("68900", "68901")
        [resting] = await coinbase.watch_orders()
        assert (resting["status"], resting["remaining"]) == ("open", "0.1")
        told = asyncio.ensure_future(coinbase.watch_orders())
        await asyncio.sleep(0.05)
        made = await coinbase.create_order("ETH/USD", "market", "sell", 1.5, None, {"client_order_id": "mine"})
        orders = await asyncio.wait_for(told, 5)
        assert orders[-1]["id"] == made["id"]
        changed = asyncio.ensure_future(coinbase.watch_ticker("BTC/USD"))
        await asyncio.sleep(0.05)
        exchange.do(lambda: exchange.venue.set_quote("BTC/USD", bid=Decimal(49000), last=Decimal(49000)))
        assert (await asyncio.wait_for(changed, 5))["bid"] == "49000"


@pytest.mark.parametrize(("product", "size"), [("ETH-USD", "0.1"), ("BIP-20DEC30-CDE", "4")])
def test_an_order_that_would_open_or_turn_a_position_is_seen(product: str, size: str) -> None:
    with pytest.raises(AssertionError), Exchange(Coinbase, BOOK) as running:
        asyncio.run(_buy(running, product, size))


async def _buy(exchange: Exchange, product: str, size: str) -> None:
    order = {"product_id": product, "side": "BUY", "client_order_id": "mine"}
    async with client("coinbase", exchange, **LOGIN) as coinbase:
        await coinbase.v3PrivatePostBrokerageOrders(
            {**order, "order_configuration": {"market_market_ioc": {"base_size": size}}}
        )

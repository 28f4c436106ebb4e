"""ccxt's own kraken client against the loopback Kraken: what it sends is taken, what it parses is the truth."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from decimal import Decimal

import pytest
from ccxt.base.errors import AuthenticationError, InsufficientFunds, InvalidNonce, InvalidOrder, OrderNotFound

from core.model import OrderSide
from tests.venues.ccxt.clients import client
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.kraken import BOOK, KEY, SECRET, Kraken, margin

LOGIN = {"apiKey": KEY, "secret": SECRET}


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    book = {**BOOK, "instruments": [*BOOK["instruments"], margin("ETH/USD")]}
    book["quotes"] = {**BOOK["quotes"], "ETH/USD:margin": BOOK["quotes"]["ETH/USD"]}
    with Exchange(Kraken, book) as running:
        running.stall.rest.staked = {"BTC.F": Decimal("0.3"), "ETH2.S": Decimal(1)}
        yield running


async def test_markets_balances_orders_and_trades_are_read_as_they_are(exchange: Exchange) -> None:
    async with client("kraken", exchange, **LOGIN) as kraken:
        markets = await kraken.load_markets()
        assert markets["BTC/USD"]["id"] == "XXBTZUSD"
        assert markets["BTC/USD"]["limits"]["amount"]["min"] == "0.00005"
        balance = await kraken.fetch_balance()
        assert Decimal(balance["BTC"]["total"]) == Decimal("0.5")
        assert Decimal(balance["BTC"]["used"]) == Decimal("0.2")
        assert Decimal(balance["BTC.F"]["total"]) == Decimal("0.3")
        assert Decimal(balance["ETH2.S"]["total"]) == 1
        orders = {o["id"]: o for o in await kraken.fetch_open_orders()}
        assert {(o["symbol"], o["side"], o["status"]) for o in orders.values()} == {("BTC/USD", "sell", "open")}
        assert [o["stopLossPrice"] for o in orders.values() if o["stopLossPrice"]] == ["30000"]
        trades = await kraken.fetch_my_trades()
        assert [(t["symbol"], t["side"], t["price"]) for t in trades] == [("BTC/USD", "buy", "40000")]
        tickers = await kraken.fetch_tickers(["BTC/USD", "ETH/USD"])
        assert tickers["ETH/USD"]["bid"] == "2500"
        bars = await kraken.fetch_ohlcv("BTC/USD", "1m")
        assert len(bars) == 61
        assert await kraken.fetch_positions() == []
        exchange.do(lambda: exchange.venue.trade_by_hand("ETH/USD:margin", OrderSide.BUY, Decimal(1)))
        assert [(p["symbol"], p["side"]) for p in await kraken.fetch_positions()] == [("ETH/USD", "long")]


async def test_an_order_is_taken_found_and_its_fill_listed(exchange: Exchange) -> None:
    async with client("kraken", exchange, **LOGIN) as kraken:
        made = await kraken.create_order(
            "BTC/USD", "market", "sell", 0.3, None, {"cl_ord_id": "a1b2c3d4e5f6a7b8c9", "timeinforce": "IOC"}
        )
        assert exchange.held("BTC/USD") == Decimal("0.2")
        found = await kraken.fetch_order(made["id"])
        assert (found["status"], Decimal(found["filled"])) == ("closed", Decimal("0.3"))
        assert found["clientOrderId"] == "a1b2c3d4e5f6a7b8c9"
        [same] = await kraken.fetch_closed_orders(params={"cl_ord_id": "a1b2c3d4e5f6a7b8c9"})
        assert same["id"] == made["id"]
        [trade] = [t for t in await kraken.fetch_my_trades("BTC/USD") if t["order"] == made["id"]]
        assert (Decimal(trade["amount"]), Decimal(trade["price"])) == (Decimal("0.3"), 50000)
        stop = await kraken.create_order("ETH/USD", "market", "sell", 1, None, {"stopLossPrice": 2000})
        assert [o["stopLossPrice"] for o in await kraken.fetch_open_orders("ETH/USD")] == ["2000"]
        await kraken.cancel_order(stop["id"])
        with pytest.raises(OrderNotFound):
            await kraken.cancel_order(stop["id"])


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"cl_ord_id": "z" * 32}, Exception, "Invalid arguments:cl_ord_id"),
        ({"timeinforce": "FOK"}, Exception, "Invalid arguments:timeinforce"),
        ({"deadline": "2020-01-01T00:00:00Z"}, Exception, "Deadline elapsed"),
        ({"volume": "0.00001"}, InvalidOrder, "EOrder:Order minimum not met"),
        ({"volume": "0.4"}, InsufficientFunds, "Insufficient funds"),
        ({"volume": "0.0000499"}, InvalidOrder, "minimum not met"),
        ({"pair": "NOSUCH"}, Exception, "Unknown asset pair"),
    ],
)
async def test_what_kraken_does_not_take_is_refused_in_its_words(
    exchange: Exchange, change: dict[str, str], error: type[Exception], text: str
) -> None:
    async with client("kraken", exchange, **LOGIN) as kraken:
        given = {"pair": "XXBTZUSD", "type": "sell", "ordertype": "market", "volume": "0.1"}
        with pytest.raises(error, match=text):
            await kraken.privatePostAddOrder({**given, **change})
    assert exchange.held("BTC/USD") == Decimal("0.5")


async def test_a_cl_ord_id_is_unique_among_open_orders_only(exchange: Exchange) -> None:
    order = {"pair": "XXBTZUSD", "type": "sell", "ordertype": "market", "volume": "0.1", "cl_ord_id": "mine"}
    async with client("kraken", exchange, **LOGIN) as kraken:
        await kraken.privatePostAddOrder(order)
        await kraken.privatePostAddOrder(order)
        assert exchange.held("BTC/USD") == Decimal("0.3")
        resting = {**order, "ordertype": "limit", "price": "70000", "cl_ord_id": "rests"}
        await kraken.privatePostAddOrder(resting)
        with pytest.raises(Exception, match="cl_ord_id"):
            await kraken.privatePostAddOrder(resting)


async def test_a_wrong_secret_and_an_old_nonce_are_refused(exchange: Exchange) -> None:
    wrong = base64.b64encode(b"another").decode()
    async with client("kraken", exchange, apiKey=KEY, secret=wrong) as kraken:
        with pytest.raises(Exception, match="Invalid signature"):
            await kraken.fetch_balance()
    async with client("kraken", exchange, apiKey="another", secret=SECRET) as kraken:
        with pytest.raises(AuthenticationError):
            await kraken.fetch_balance()
    async with client("kraken", exchange, **LOGIN) as kraken:
        await kraken.fetch_balance()
        kraken.incrementing_nonce = lambda: 1
        with pytest.raises(InvalidNonce):
            await kraken.fetch_balance()


async def test_what_happens_is_told_on_the_streams(exchange: Exchange) -> None:
    async with client("kraken", exchange, **LOGIN) as kraken:
        resting = await kraken.watch_orders()
        assert {o["status"] for o in resting} == {"open"}
        ticker = await kraken.watch_ticker("BTC/USD")
        assert ticker["bid"] == "50000.0"
        balance = await kraken.watch_balance()
        assert balance["BTC"]["total"] == "0.5"
        trades = asyncio.ensure_future(kraken.watch_my_trades())
        orders = asyncio.ensure_future(kraken.watch_orders())
        await asyncio.sleep(0.05)
        await kraken.create_order("BTC/USD", "market", "sell", 0.25)
        [trade] = await asyncio.wait_for(trades, 5)
        assert Decimal(trade["amount"]) == Decimal("0.25")
        assert await asyncio.wait_for(orders, 5)
        changed = asyncio.ensure_future(kraken.watch_ticker("BTC/USD"))
        await asyncio.sleep(0.05)
        exchange.do(lambda: exchange.venue.set_quote("BTC/USD", bid=Decimal(49000)))
        assert (await asyncio.wait_for(changed, 5))["bid"] == "49000.0"


async def test_a_wrong_token_is_told_nothing(exchange: Exchange) -> None:
    async with client("kraken", exchange, **LOGIN) as kraken:
        exchange.stall.streams.rest.token = "other"
        await kraken.load_markets()
        await kraken.authenticate()
        exchange.stall.streams.rest.token = "changed"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(kraken.watch_orders(), 0.3)


def test_an_order_that_would_open_and_a_cancel_of_everything_are_seen() -> None:
    with pytest.raises(AssertionError), Exchange(Kraken, BOOK) as running:
        asyncio.run(_misbehave(running, buy=True))
    with pytest.raises(AssertionError), Exchange(Kraken, BOOK) as running:
        asyncio.run(_misbehave(running, buy=False))


async def _misbehave(exchange: Exchange, *, buy: bool) -> None:
    async with client("kraken", exchange, **LOGIN) as kraken:
        if buy:
            await kraken.create_order("BTC/USD", "market", OrderSide.BUY.value, 0.1)
        else:
            await kraken.cancel_all_orders("ETH/USD")

"""ccxt's own clients of exchanges without code of ours against loopback ones: Bitget, Bitvavo and Bitstamp."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from ccxt.base.errors import AuthenticationError, ExchangeError, OrderNotFound

from tests.venues.ccxt import bitget, bitstamp, bitvavo
from tests.venues.ccxt.clients import client
from tests.venues.ccxt.host import Exchange

BITGET: dict[str, Any] = {"apiKey": bitget.KEY, "secret": bitget.SECRET, "password": bitget.PASSWORD}


async def test_bitget_is_read_as_it_is() -> None:
    with Exchange(bitget.Bitget, bitget.BOOK) as running:
        async with client("bitget", running, **BITGET) as exchange:
            markets = await exchange.load_markets()
            assert markets["BTC/USDT:USDT"]["limits"]["cost"]["min"] == "5"
            positions = {p["symbol"]: p for p in await exchange.fetch_positions(None, {"type": "swap"})}
            assert positions["BTC/USDT:USDT"]["contracts"] == "0.5"
            assert (positions["ETH/USDT:USDT"]["side"], positions["ETH/USDT:USDT"]["hedged"]) == ("short", False)
            [order] = await exchange.fetch_open_orders(None, None, None, {"type": "swap"})
            assert (order["price"], order["status"], order["side"]) == ("60000", "open", "sell")
            assert await exchange.fetch_open_orders(None, None, None, {"type": "swap", "trigger": True}) == []
            [trade] = await exchange.fetch_my_trades("BTC/USDT:USDT")
            assert trade["price"] == "40000"
            tickers = await exchange.fetch_tickers(["BTC/USDT:USDT"])
            assert tickers["BTC/USDT:USDT"]["bid"] == "50000"
            balance = await exchange.fetch_balance({"type": "swap"})
            assert balance["USDT"]["total"] == "10000"


@pytest.mark.parametrize("hedge", [False, True])
async def test_a_bitget_position_is_closed_and_its_order_found(hedge: bool) -> None:
    with Exchange(bitget.Bitget, {**bitget.BOOK, "orders": [], "hedge": hedge}) as running:
        async with client("bitget", running, **BITGET) as exchange:
            params = {"reduceOnly": True, "clientOrderId": "mine", "hedged": hedge}
            made = await exchange.create_order("ETH/USDT:USDT", "market", "buy", 3, None, params)
            assert running.held("ETH/USDT:USDT") == 0
            found = await exchange.fetch_order("", "ETH/USDT:USDT", {"clientOrderId": "mine"})
            assert (found["id"], found["status"], found["filled"]) == (made["id"], "closed", "3")
            with pytest.raises(ExchangeError, match="No position to close"):
                await exchange.create_order("ETH/USDT:USDT", "market", "buy", 3, None, params | {"clientOrderId": "b"})
            with pytest.raises(OrderNotFound):
                await exchange.cancel_order(made["id"], "ETH/USDT:USDT")
            stop = await exchange.create_order(
                "BTC/USDT:USDT", "market", "sell", 0.5, None, {**params, "clientOrderId": "c", "triggerPrice": 30000}
            )
            assert running.held("BTC/USDT:USDT") == Decimal("0.5")
            [resting] = await exchange.fetch_open_orders(None, None, None, {"type": "swap", "trigger": True})
            assert (resting["id"], resting["triggerPrice"]) == (stop["id"], "30000")
            await exchange.cancel_order(stop["id"], "BTC/USDT:USDT", {"trigger": True})


@pytest.mark.parametrize("wrong", [{"secret": "another"}, {"apiKey": "another"}, {"password": "another"}])
async def test_bitget_refuses_wrong_credentials(wrong: dict[str, str]) -> None:
    with Exchange(bitget.Bitget, bitget.BOOK) as running:
        async with client("bitget", running, **{**BITGET, **wrong}) as exchange:
            with pytest.raises(AuthenticationError):
                await exchange.fetch_positions(None, {"type": "swap"})


def test_a_bitget_order_that_would_open_is_seen() -> None:
    with pytest.raises(AssertionError), Exchange(bitget.Bitget, bitget.BOOK) as running:
        asyncio.run(_open(running))


async def _open(running: Exchange) -> None:
    async with client("bitget", running, **BITGET) as exchange:
        await exchange.create_order("ETH/USDT:USDT", "market", "buy", 4)


async def test_bitvavo_is_read_and_sold_at() -> None:
    login = {"apiKey": bitvavo.KEY, "secret": bitvavo.SECRET}
    with Exchange(bitvavo.Bitvavo, bitvavo.BOOK) as running:
        async with client("bitvavo", running, **login) as exchange:
            balance = await exchange.fetch_balance()
            assert (balance["BTC"]["free"], balance["BTC"]["total"]) == ("0.4", "0.5")
            [order] = await exchange.fetch_open_orders()
            assert (order["price"], order["remaining"], order["status"]) == ("60000", "0.1", "open")
            assert (await exchange.fetch_tickers(["ETH/EUR"]))["ETH/EUR"]["bid"] == "2200"
            name = "00000000-0000-4000-8000-000000000001"
            made = await exchange.create_order(
                "ETH/EUR", "market", "sell", 2, None, {"operatorId": 7, "clientOrderId": name}
            )
            assert (made["status"], made["filled"]) == ("closed", "2")
            assert (await exchange.fetch_order(made["id"], "ETH/EUR"))["status"] == "closed"
            assert [t["order"] for t in await exchange.fetch_my_trades("ETH/EUR")] == [made["id"]]
            await exchange.cancel_order("h1", "BTC/EUR", {"operatorId": 7})
            with pytest.raises(ExchangeError, match="clientOrderId"):
                await exchange.create_order(
                    "BTC/EUR", "market", "sell", 1, None, {"operatorId": 7, "clientOrderId": "x"}
                )
        async with client("bitvavo", running, apiKey=bitvavo.KEY, secret="another") as exchange:
            with pytest.raises(AuthenticationError):
                await exchange.fetch_balance()


async def test_bitstamp_is_read_and_sold_at() -> None:
    login = {"apiKey": bitstamp.KEY, "secret": bitstamp.SECRET}
    with Exchange(bitstamp.Bitstamp, bitstamp.BOOK) as running:
        async with client("bitstamp", running, **login) as exchange:
            balance = await exchange.fetch_balance()
            assert (balance["BTC"]["free"], balance["BTC"]["total"]) == ("0.4", "0.5")
            [order] = await exchange.fetch_open_orders()
            assert (order["symbol"], order["side"], order["amount"], order["status"]) == (
                "BTC/USD",
                "sell",
                "0.1",
                "open",
            )
            assert (await exchange.fetch_tickers(["ETH/USD"]))["ETH/USD"]["bid"] == "2500"
            made = await exchange.create_order("ETH/USD", "market", "sell", 2, None, {"clientOrderId": "mine"})
            assert running.held("ETH/USD") == 0
            found = await exchange.fetch_order(made["id"], "ETH/USD", {"clientOrderId": "mine"})
            assert (found["id"], found["status"], found["filled"]) == (made["id"], "closed", "2")
            [trade] = await exchange.fetch_my_trades("ETH/USD")
            assert (trade["side"], trade["amount"], trade["price"]) == ("sell", "2", "2500")
            await exchange.cancel_order("h1")
            assert await exchange.fetch_open_orders() == []
        async with client("bitstamp", running, apiKey=bitstamp.KEY, secret="another") as exchange:
            with pytest.raises(AuthenticationError):
                await exchange.fetch_balance()

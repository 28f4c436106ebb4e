"""Prices that are asked for: how old they are, and what a failure of one leaves of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from aiohttp import web

from tests.brokers.ccxt.bodies import kraken, kraken_pair, usdm
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import ScriptedClock
from tests.brokers.ccxt.test_ccxt_reads import bybit

D = Decimal


async def test_a_price_is_as_old_as_its_own_answer_and_not_as_the_slowest_one_beside_it(at: Opened) -> None:
    def ticker(symbol: str) -> dict[str, str]:
        return {"symbol": symbol, "bid1Price": "100", "ask1Price": "101", "lastPrice": "100", "openInterestValue": "1"}

    async def tickers(request: web.Request, form: str) -> web.Response:
        category = request.query["category"]
        if category == "inverse":
            await asyncio.sleep(1.0)
        rows = [ticker("BTCUSD" if category == "inverse" else "BTCUSDT")]
        return web.json_response({"retCode": 0, "retMsg": "", "result": {"category": category, "list": rows}})

    broker, _ = await at("bybit", {**bybit({}), "/tickers": tickers})
    before = broker.client._clock.monotonic()
    quotes = {q.symbol: q.received for q in await broker.quotes(["BTC/USDT:USDT", "BTC/USD:BTC"])}
    assert quotes["BTC/USD:BTC"] - before >= 1.0
    assert quotes["BTC/USDT:USDT"] - before < 0.8


async def test_prices_are_asked_for_again_at_once_after_a_failure_that_is_no_refusal(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm())
    answer = venue.answers["/bookTicker"]
    venue.answers["/bookTicker"] = web.Response(status=502)
    assert await broker.quotes(["BTC/USDT:USDT"]) == []
    venue.answers["/bookTicker"] = answer
    [quote] = await broker.quotes(["BTC/USDT:USDT"])
    assert quote.bid == D(50990)


async def test_prices_that_a_limit_held_back_are_asked_for_again_when_it_lets_them_through(at: Opened) -> None:
    broker, venue = await at("kraken", kraken(), clock=(clock := ScriptedClock()))
    ticker = {"a": ["101", "1", "1"], "b": ["100", "1", "1"], "c": ["100", "1"]}
    venue.answers["/Ticker"] = web.json_response({"error": ["EAPI:Rate limit exceeded"]}, headers={"Retry-After": "5"})
    assert await broker.quotes(["BTC/USD"]) == []
    venue.answers["/Ticker"] = {"error": [], "result": {"XXBTZUSD": ticker}}
    clock.at += 6
    [quote] = await broker.quotes(["BTC/USD"])
    assert quote.bid == D(100)


def coins(count: int) -> dict[str, object]:
    return {f"C{n}USD": kraken_pair(f"C{n}", "ZUSD", f"C{n}USD", f"C{n}/USD") for n in range(count)}


def tickers(gone: set[str], asked: list[list[str]]) -> Callable[[web.Request, str], dict[str, object]]:
    """Kraken's list, refused as a whole for a pair that is gone."""

    def answer(request: web.Request, form: str) -> dict[str, object]:
        pairs = request.query["pair"].split(",")
        asked.append(pairs)
        if gone & set(pairs):
            return {"error": ["EQuery:Unknown asset pair"]}
        row = {"a": ["101", "1", "1"], "b": ["100", "1", "1"], "c": ["100", "1"]}
        return {"error": [], "result": dict.fromkeys(pairs, row)}

    return answer


@pytest.mark.parametrize("gone", [set(), {"C0USD"}, {"C3USD", "C27USD"}, {f"C{n}USD" for n in range(7)}])
async def test_a_market_that_has_ended_leaves_the_others_their_prices(at: Opened, gone: set[str]) -> None:
    asked: list[list[str]] = []
    answers = {"/AssetPairs": {"error": [], "result": coins(30)}, "/Ticker": tickers(gone, asked)}
    broker, _ = await at("kraken", kraken(**answers), clock=(clock := ScriptedClock()))
    symbols = [f"C{n}/USD" for n in range(30)]
    there = {s for s in symbols if s.replace("/", "") not in gone}
    assert {q.symbol for q in await broker.quotes(symbols) if q.bid == D(100)} == there
    asked.clear()
    clock.at += 2
    assert {q.symbol for q in await broker.quotes(symbols) if q.bid == D(100)} == there
    assert len(asked) == 1, "what is refused is left out for a while"


async def test_a_list_that_is_refused_whatever_is_in_it_is_not_taken_apart_each_time(at: Opened) -> None:
    asked: list[list[str]] = []
    pairs = coins(30)
    answers = {"/AssetPairs": {"error": [], "result": pairs}, "/Ticker": tickers(set(pairs), asked)}
    broker, _ = await at("kraken", kraken(**answers), clock=(clock := ScriptedClock()))
    symbols = [f"C{n}/USD" for n in range(30)]
    assert [q for q in await broker.quotes(symbols) if q.bid is not None] == []
    asked.clear()
    clock.at += 2
    await broker.quotes(symbols)
    assert asked == []


async def test_a_symbol_that_a_list_went_well_without_keeps_no_other_price_back(at: Opened) -> None:
    asked: list[list[str]] = []
    told = tickers(set(), asked)

    def without_one(request: web.Request, form: str) -> dict[str, object]:
        answer = told(request, form)
        answer["result"].pop("C3USD")  # type: ignore[attr-defined]
        return answer

    answers = {"/AssetPairs": {"error": [], "result": coins(12)}, "/Ticker": without_one}
    broker, _ = await at("kraken", kraken(**answers), clock=(clock := ScriptedClock()))
    symbols = [f"C{n}/USD" for n in range(12)]
    for _ in range(3):
        assert len([q for q in await broker.quotes(symbols) if q.bid == D(100)]) == 11
        clock.at += 2
    assert [len(pairs) for pairs in asked] == [12] * 3

"""Bars as exchanges answer with them: exact, oldest first, without the minute that is not over."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from core.errors import FlatdeckError
from tests.brokers.ccxt.bodies import kraken, usdm
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import ScriptedClock

D = Decimal
MINUTE = 1_700_000_040 // 60


class Still(ScriptedClock):
    """Twenty seconds into ``MINUTE``."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(MINUTE * 60 + 20, UTC)


def binance(*minutes: int) -> list[list[Any]]:
    """``/fapi/v1/klines``: times in milliseconds, prices as text."""
    return [[m * 60_000, "50000.10", "50001.2", "49999.9", "50000.3", "1", m * 60_000 + 59_999] for m in minutes]


async def test_the_minute_that_is_not_over_is_no_bar_and_a_missing_one_stays_missing(at: Opened) -> None:
    rows = binance(MINUTE - 5, MINUTE - 3, MINUTE - 2, MINUTE - 1, MINUTE)
    broker, venue = await at("binanceusdm", usdm(**{"/klines": rows}), clock=Still())
    found = await broker.bars("BTC/USDT:USDT", 3)
    assert [bar.minute for bar in found] == [MINUTE - 3, MINUTE - 2, MINUTE - 1]
    assert (found[0].open, found[0].high, found[0].low, found[0].close) == (
        D("50000.10"),
        D("50001.2"),
        D("49999.9"),
        D("50000.3"),
    )
    (query,) = [text for _, path, text in venue.asked if path.endswith("/klines")]
    assert "interval=1m" in query
    assert "startTime" not in query
    assert "limit=4" in query


async def test_kraken_sends_all_that_it_has_and_the_latest_are_taken(at: Opened) -> None:
    rows = [[60 * (MINUTE - n), "1.1", "1.3", "1.0", "1.2", "1.1", "5", 3] for n in range(700, -1, -1)]
    answers = kraken(**{"/OHLC": {"error": [], "result": {"XXBTZUSD": rows, "last": 1}}})
    broker, venue = await at("kraken", answers, clock=Still())
    found = await broker.bars("BTC/USD", 300)
    assert [bar.minute for bar in found] == list(range(MINUTE - 299, MINUTE))
    assert await broker.bars("NOPE/USD", 300) == []
    assert len([path for _, path, _ in venue.asked if path.endswith("/OHLC")]) == 1


async def test_what_is_no_bar_is_left_out_and_a_refusal_is_an_error(at: Opened) -> None:
    rows = binance(MINUTE - 3, MINUTE - 2, MINUTE - 1)
    rows[0][2], rows[1][4] = "0", None
    broker, _ = await at("binanceusdm", usdm(**{"/klines": rows}), clock=Still())
    assert [bar.minute for bar in await broker.bars("BTC/USDT:USDT", 10)] == [MINUTE - 1]
    broker, _ = await at("binanceusdm", usdm(**{"/klines": {"code": -1003, "msg": "Too many requests"}}), clock=Still())
    with pytest.raises(FlatdeckError):
        await broker.bars("BTC/USDT:USDT", 10)

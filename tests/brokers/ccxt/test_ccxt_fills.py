"""Executions are read to their end, or not at all: a list that goes on for ever is an error, never a short list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from brokers.ccxt.exchanges.order_table import order_fields_of
from brokers.ccxt.fills import MOST_PAGES, FillReader
from core.errors import OutcomeUnknown
from tests.support.virtual_time import DAWN, VirtualClock, virtual

SYMBOL = "BTC/USDT:USDT"
BEGIN = int(DAWN.timestamp() * 1000)
HOUR = 3_600_000
FORWARDS = ("binanceusdm", "gate")  # a page has the oldest rows from a moment on
BACKWARDS = ("okx", "bybit", "kraken", "krakenfutures", "coinbase", "kucoinfutures")


class Exchange:
    """Pages of trades, made by ``trade`` from the numbers of page and row until ``pages`` are told."""

    def __init__(self, name: str, trade: Callable[[int, int], int], pages: int) -> None:
        self.fields = order_fields_of(name)
        self.settings = SimpleNamespace(exchange=name)
        self.asked = 0
        self._trade = trade
        self._pages = pages

    def to_venue_time(self, at: Any) -> Any:
        return at

    async def ask_urgently(self, *_: Any) -> list[dict[str, Any]]:
        self.asked += 1
        count = (self.fields.newest or 100) if self.asked <= self._pages else 0
        return [self._row(self.asked, nth) for nth in range(count)]

    def _row(self, page: int, nth: int) -> dict[str, Any]:
        told = {"symbol": SYMBOL, "side": "sell", "amount": 1, "price": 100, "order": "o1"}
        return {**told, "id": f"{page}-{nth}", "timestamp": self._trade(page, nth)}

    async def read(self) -> list[Any]:
        clock = VirtualClock()
        reader = FillReader("u/a", self, self.fields, clock, {})  # type: ignore[arg-type]
        return await reader.read_fills(SYMBOL, DAWN - timedelta(hours=1))


def later(page: int, nth: int) -> int:
    return BEGIN - HOUR + page * 1000 + nth


def earlier(page: int, nth: int) -> int:
    return BEGIN - page * 1000 - nth


@pytest.mark.parametrize(("name", "trade"), [*((n, later) for n in FORWARDS), *((n, earlier) for n in BACKWARDS)])
@virtual
async def test_a_list_of_executions_that_does_not_end_is_an_error_and_no_short_list(
    name: str, trade: Callable[[int, int], int]
):
    endless = Exchange(name, trade, pages=1000)
    with pytest.raises(OutcomeUnknown, match="does not end"):
        await endless.read()
    assert endless.asked == MOST_PAGES


@pytest.mark.parametrize(("name", "trade"), [*((n, later) for n in FORWARDS), *((n, earlier) for n in BACKWARDS)])
@virtual
async def test_a_list_that_ends_on_the_last_allowed_page_is_whole(name: str, trade: Callable[[int, int], int]):
    whole = Exchange(name, trade, pages=MOST_PAGES - 1)
    assert len(await whole.read()) == (MOST_PAGES - 1) * (whole.fields.newest or 100)


@pytest.mark.parametrize("name", BACKWARDS)
@virtual
async def test_a_page_that_is_told_again_and_again_is_an_error(name: str):
    endless = Exchange(name, lambda _page, nth: BEGIN - nth, pages=1000)
    with pytest.raises(OutcomeUnknown, match="does not end"):
        await endless.read()

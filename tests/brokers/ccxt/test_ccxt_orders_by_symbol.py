"""Open orders that ccxt lists for one market at a time: asked for the markets with a position, else named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from brokers.ccxt.exchanges.read_table import ORDERS_BY_SYMBOL, ReadCalls, calls_of
from brokers.ccxt.order_lists import MOST_MARKETS, OTHER_MARKETS, OrderLists
from core.errors import OutcomeUnknown, Refusal, Refused
from tests.brokers.ccxt import offline
from tests.support.virtual_time import VirtualClock

SPOT, SWAP = offline.SPOT, offline.SWAP


def refusals(exchange: str, symbol: str | None, kind: str) -> Iterator[str]:
    """Why ccxt asks for no list of this kind of market."""
    client = offline.client(exchange)
    calls = calls_of(exchange, client.has, client.features)
    for params in calls.orders if calls.orders_method == "fetch_open_orders" else ():
        if params.get("type") not in (None, kind):
            continue
        alone = {key: value for key, value in params.items() if key != "type" or symbol is None}
        made, asked = offline.client(exchange), []
        made.options = {**made.options, "warnOnFetchOpenOrdersWithoutSymbol": False}
        made.options["fetchOpenOrders"] = {"warnWithoutSymbol": False}
        made.fetch = lambda *_, asked=asked, **__: asked.append(1) or {}
        try:
            made.fetch_open_orders(symbol, None, None, alone)
        except Exception as error:  # noqa: BLE001  # an empty answer is no list
            if not asked and "symbol" in str(error):
                yield str(error)


@pytest.mark.parametrize("exchange", offline.names())
def test_exchanges_that_need_a_market_are_in_the_table(exchange: str) -> None:
    kinds = ORDERS_BY_SYMBOL.get(exchange, frozenset())
    for kind, word in (("spot", "spot"), ("swap", "contract")):
        if word not in kinds:
            assert list(refusals(exchange, None, kind)) == []


@pytest.mark.parametrize("exchange", sorted(ORDERS_BY_SYMBOL))
def test_with_a_market_ccxt_asks_for_its_orders(exchange: str) -> None:
    client = offline.client(exchange)
    for symbol, kind in ((SPOT, "spot"), (SWAP, "swap")):
        if kind in {params.get("type", kind) for params in calls_of(exchange, client.has, client.features).orders}:
            assert list(refusals(exchange, symbol, kind)) == []


class Markets:
    """Open orders of each market, and every question."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.error = error

    async def __call__(self, method: str, symbol: str | None, since: None, limit: None, params: dict[str, Any]) -> Any:
        self.asked.append((symbol, params))
        if self.error is not None and symbol == SWAP:
            raise self.error
        return [{"id": "1", "symbol": symbol, "info": {}}]


def lists(exchange: str = "phemex", rate: int = 100) -> OrderLists:
    client = SimpleNamespace(rateLimit=rate)
    return OrderLists(lambda: client, exchange, ReadCalls(guessed=True), VirtualClock())


ASKED = ({"type": "spot"}, {"type": "swap"}, {"type": "swap", "trigger": True})


def test_each_market_with_a_position_is_asked_for_in_its_own_lists() -> None:
    ask = Markets()
    found = asyncio.run(lists().read(ask, ASKED, {SPOT, SWAP}))
    assert sorted(ask.asked, key=str) == sorted([(SPOT, {}), (SWAP, {}), (SWAP, {"trigger": True})], key=str)
    assert {row["symbol"] for row in found.rows} == {SPOT, SWAP}
    assert (found.unlisted, found.flaw) == ((OTHER_MARKETS,), "")


def test_a_market_without_a_position_any_more_is_asked_for_once_more() -> None:
    made, ask = lists(), Markets()
    asyncio.run(made.read(ask, ASKED[:2], {SWAP}))
    asyncio.run(made.read(ask, ASKED[:2], set()))
    assert [symbol for symbol, _ in ask.asked] == [SWAP, SWAP]


def test_of_an_exchange_that_needs_a_market_for_contracts_only_the_coins_are_listed_at_once() -> None:
    ask = Markets()
    asyncio.run(lists("hashkey").read(ask, ASKED, {SWAP, SPOT}))
    assert sorted(ask.asked, key=str) == sorted(
        [(None, {"type": "spot"}), (SWAP, {}), (SWAP, {"trigger": True})], key=str
    )


def test_markets_that_take_too_many_requests_are_named_and_make_the_orders_unknown() -> None:
    ask, many = Markets(), {f"C{n:03}/USDT" for n in range(MOST_MARKETS + 2)}
    found = asyncio.run(lists().read(ask, ASKED[:1], many))
    assert len(ask.asked) == MOST_MARKETS
    assert found.flaw.startswith("open orders of C050/USDT, C051/USDT")
    slow = asyncio.run(lists(rate=2000).read(ask, ASKED[:1], many))
    assert len(slow.rows) == 2


def test_one_market_that_is_refused_makes_the_orders_unknown_and_one_that_fails_fails_the_read() -> None:
    found = asyncio.run(lists().read(Markets(error=Refused(Refusal.OTHER, "no")), ASKED[:2], {SPOT, SWAP}))
    assert found.flaw == f"open orders ({SWAP}: no)"
    assert [row["symbol"] for row in found.rows] == [SPOT]
    with pytest.raises(OutcomeUnknown):
        asyncio.run(lists().read(Markets(error=OutcomeUnknown("503")), ASKED[:2], {SPOT, SWAP}))

"""Every list of an exchange that we name is asked for, with all its pages. What no list covers is PARTIAL."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.ccxt import wire, wire_balances
from brokers.ccxt.exchanges.contract_lists import LISTS, order_lists, position_lists, unlisted_parts
from brokers.ccxt.exchanges.read_table import ReadCalls, calls_of, is_known
from brokers.ccxt.order_lists import OrderLists
from brokers.ccxt.unlisted import refused_part
from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Side
from tests.brokers.ccxt import offline
from tests.support.virtual_time import VirtualClock

D = Decimal
PAGE = Path(__file__).parents[3] / "docs" / "exchanges.md"


def market(kind: str, settle: str = "", *, inverse: bool = False, **more: Any) -> dict[str, Any]:
    contract = {"contract": kind != "spot", "inverse": inverse, "linear": not inverse, "settle": settle}
    return {"type": kind, "spot": kind == "spot", "active": True, **contract, **more}


def named(*markets: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(n): one for n, one in enumerate(markets)}


SPOT = market("spot")
LINEAR, USDC = market("swap", "USDT"), market("swap", "USDC")
INVERSE, ETHER = (market("swap", coin, inverse=True) for coin in ("BTC", "ETH"))
DATED, DATED_USDT = market("future", "BTC", inverse=True), market("future", "USDT")
OPTION = market("option", "USDT")
EVERY = named(SPOT, LINEAR, USDC, INVERSE, ETHER, DATED, DATED_USDT, OPTION)

# What ccxt sends for each list: method, path and the words that choose the list.
SENT = {
    "htx": {
        ("GET", "v5/trade/position/opens"),
        ("POST", "swap-api/v1/swap_position_info"),
        ("POST", "api/v1/contract_position_info"),
    },
    "bingx": {("GET", "user/positions")},
    "bitget": {("GET", "v2/mix/position/all-position")},
    "gate": {("GET", "{settle}/positions")},
}


@pytest.mark.parametrize("exchange", sorted(LISTS))
def test_each_list_of_positions_is_another_request(exchange: str) -> None:
    asked = position_lists(exchange, EVERY)
    uta = {"uta": False} if exchange == "bitget" else {}
    sent = [
        request
        for params in asked
        for request in offline.sent(exchange, lambda e, p=params: e.fetch_positions(None, {**p, **uta}))
    ]
    assert {(method, path) for method, path, _ in sent} == SENT[exchange]
    if exchange not in ("bingx", "gate"):  # two of their lists have one path below two roots
        assert len({(path, str(params)) for _, path, params in sent}) == len(asked)


@pytest.mark.parametrize(
    ("exchange", "asked"),
    [
        ("htx", [{"type": "swap"}, {"type": "swap", "subType": "inverse"}, {"type": "future", "subType": "inverse"}]),
        ("bingx", [{}, {"subType": "inverse"}]),
        (
            "bitget",
            [
                {"productType": "USDT-FUTURES"},
                {"productType": "USDC-FUTURES"},
                {"productType": "COIN-FUTURES", "marginCoin": "BTC"},
                {"productType": "COIN-FUTURES", "marginCoin": "ETH"},
            ],
        ),
        (
            "gate",
            [
                {"type": "swap", "settle": "usdt"},
                {"type": "future", "settle": "usdt"},
                {"type": "swap", "settle": "btc"},
                {"type": "future", "settle": "btc"},
            ],
        ),
        ("mexc", []),
    ],
)
def test_a_list_is_asked_for_if_a_market_needs_it(exchange: str, asked: list[dict[str, str]]) -> None:
    assert position_lists(exchange, EVERY) == asked
    assert position_lists(exchange, named(SPOT, LINEAR)) == asked[:1]
    assert position_lists(exchange, named(SPOT)) == []


def test_orders_are_asked_for_in_the_same_lists_and_conditional_ones_beside_them() -> None:
    guess = [{"type": "spot"}, {"type": "swap"}, {"type": "swap", "trigger": True}]
    assert order_lists("htx", named(SPOT, LINEAR, DATED), guess) == [
        {"type": "spot"},
        {"type": "swap"},
        {"type": "swap", "trigger": True},
        {"type": "future", "subType": "inverse", "symbol": "BTC"},
        {"type": "future", "subType": "inverse", "symbol": "BTC", "trigger": True},
    ]
    assert order_lists("bingx", named(INVERSE), guess[:2])[1:] == [{"type": "swap", "subType": "inverse"}]
    assert order_lists("mexc", EVERY, guess) == guess


@pytest.mark.parametrize(
    ("exchange", "markets", "parts"),
    [
        ("htx", EVERY, ("options",)),
        ("gate", EVERY, ("USDC-settled perpetuals", "inverse perpetuals", "options")),
        ("gate", named(LINEAR, market("swap", "BTC", inverse=True)), ()),
        ("bitget", named(LINEAR, USDC, INVERSE), ()),
        ("phemex", named(LINEAR), ()),
        ("phemex", named(LINEAR, INVERSE), ("USDT-settled perpetuals", "inverse perpetuals")),
        ("mexc", named(LINEAR, INVERSE), ()),
        ("luno", named(SPOT), ()),
        ("kucoin", named(market("spot", margin=True)), ("coins on margin",)),
        ("woo", named(market("spot", margin=True)), ()),
        ("deepcoin", named(LINEAR, market("swap", "USDC", active=False)), ()),
    ],
)
def test_a_market_that_no_list_covers_is_named(exchange: str, markets: Any, parts: tuple[str, ...]) -> None:
    assert unlisted_parts(exchange, markets, positions=True) == parts


def test_contracts_at_an_exchange_whose_positions_ccxt_cannot_list_are_named() -> None:
    assert unlisted_parts("bitstamp", named(SPOT, LINEAR), positions=False) == ("USDT-settled perpetuals",)
    assert unlisted_parts("bitstamp", named(SPOT), positions=False) == ()


def test_a_refused_list_is_named_unless_the_account_never_used_the_part() -> None:
    params = {"type": "swap", "settle": "btc"}
    never = Refused(Refusal.OTHER, "please transfer funds first to make futures account")
    assert refused_part("positions", params, never) == ()
    assert refused_part("positions", params, Refused(Refusal.AUTH, "no")) == ("positions (swap, btc: no)",)
    with pytest.raises(Refused):
        refused_part("positions", params, Refused(Refusal.RATE_LIMITED, "slow"))


# ---------------------------------------------------------------------------------------------------- pages of orders


class Resting:
    """An exchange with these resting orders, newest first, that answers as each exchange continues its list."""

    def __init__(self, count: int, page: int = 100) -> None:
        self.rows = [{"id": str(n), "symbol": "BTC/USDT:USDT", "info": {}} for n in range(count, 0, -1)]
        self.page = page
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, method: str, symbol: None, since: None, limit: Any, params: dict[str, Any]) -> Any:
        assert method == "fetch_open_orders"
        self.asked.append(params)
        start = int(params.get("offset", (params.get("page_num", 1) - 1) * self.page))
        below = int(params.get("idLessThan", 10**9))
        rows = [row for row in self.rows if int(str(row["id"])) < below]
        return rows[start : start + self.page]


def lists_of(exchange: str) -> OrderLists:
    return OrderLists(lambda: None, exchange, ReadCalls(guessed=True), VirtualClock())


def read(exchange: str, count: int, **params: str) -> tuple[int, tuple[str, ...]]:
    found = asyncio.run(lists_of(exchange).read_list(Resting(count), params or {"type": "swap"}))
    return len(found.rows), found.unlisted


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 130, 200, 301])
@pytest.mark.parametrize("exchange", ["gate", "mexc", "bitget"])
def test_every_page_of_open_orders_is_read(exchange: str, count: int) -> None:
    assert read(exchange, count) == (count, ())


def test_a_list_that_may_have_been_cut_is_named() -> None:
    assert read("phemex", 130) == (100, ("open orders after the first 100",))
    assert read("phemex", 99) == (99, ())
    assert read("gate", 100, type="spot") == (100, ("open orders after the first 100",))


def test_a_page_that_comes_again_and_again_is_an_error() -> None:
    async def same(*_: Any) -> Any:
        return Resting(100).rows

    with pytest.raises(OutcomeUnknown, match="does not end"):
        asyncio.run(lists_of("gate").read_list(same, {"type": "swap"}))


# ------------------------------------------------------------------------------------ rows that ccxt reads in part only

BITFINEX = ["tBTCF0:USTF0", "ACTIVE", 0.0195, 8565.0267019, 0, 0, -0.33, -0.0003, 7045.87, 3.06, None, 1, 2, 3]


@pytest.mark.parametrize(("amount", "side"), [(0.0195, Side.LONG), (-0.0195, Side.SHORT)])
def test_the_amount_of_bitfinex_is_read_from_its_own_row(amount: float, side: Side) -> None:
    raw = [*BITFINEX[:2], amount, *BITFINEX[3:], None, 0, None, 0, 0, {}]
    made = wire.position("u/a", offline.client("bitfinex").parse_position({"result": raw}), "bitfinex")
    assert made is not None
    assert (made.quantity, made.side, made.entry) == (D("0.0195"), side, D("8565.0267019"))


@pytest.mark.parametrize(("amount", "side"), [("0.001", Side.LONG), ("-0.001", Side.SHORT)])
def test_side_and_amount_of_whitebit_are_read_from_its_own_row(amount: str, side: Side) -> None:
    raw = {"positionId": 1, "market": "BTC_PERP", "openDate": 1741941025.3, "amount": amount, "basePrice": "82498.7"}
    row = offline.client("whitebit").parse_position({**raw, "modifyDate": 1741941025.3, "tpsl": None})
    made = wire.position("u/a", row, "whitebit")
    assert made is not None
    assert (made.quantity, made.side, made.entry) == (D("0.001"), side, D("82498.7"))
    assert wire.position("u/a", {**row, "info": {"amount": "0"}}, "whitebit") is None


def test_mexc_s_equity_is_more_than_what_is_available() -> None:
    def balance(*rows: tuple[str, str]) -> dict[str, Any]:
        data = [{"currency": code, "availableBalance": "90", "equity": equity} for code, equity in rows]
        return {"info": {"success": True, "data": data}, "total": {"USDT": "90"}}

    assert wire_balances.equity(balance(("USDT", "100"), ("BTC", "0"))) == D(100)
    assert wire_balances.equity(balance(("USDT", "100"), ("BTC", "0.1"))) is None


# ------------------------------------------------------------------------------------------------------- the audit


def cells(exchange: str) -> tuple[str, str]:
    """What is asked at an exchange, and what is proven, in the words of the page."""
    client = offline.class_of(exchange)()
    calls = calls_of(exchange, client.has, client.features)
    lists = [one.positions for one in LISTS[exchange]] if exchange in LISTS else list(calls.positions)
    asked = "; ".join(" ".join(f"{k}={v}" for k, v in params.items()) or "all" for params in lists)
    return asked or "none", "named" if is_known(exchange) else "listed" if exchange in LISTS else "guessed"


def test_the_page_has_every_exchange_with_what_is_asked_there() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "|" in line]
    told = {name.strip(): (asked.strip(), how.strip()) for name, asked, how, *_ in rows[2:]}
    assert told == {name: cells(name) for name in offline.names()}

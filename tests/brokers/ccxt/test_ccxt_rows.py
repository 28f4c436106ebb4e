"""Rows that ccxt reads wrongly or incompletely: triggers, limit prices, legs, quantities and values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokers.ccxt import wire, wire_markets
from brokers.ccxt.exchanges.okx_margin_modes import margin_quantity
from brokers.ccxt.exchanges.read_table import calls_of, is_known, known_calls, split
from core.errors import OutcomeUnknown
from core.model import Leg, Order, OrderType, Position, Side
from core.valuation import usd_value
from tests.brokers.ccxt import offline

D = Decimal
BASE = {"id": "1", "symbol": "ETH/USDT:USDT", "side": "buy", "amount": "2", "filled": "0", "status": "open"}


def order(**more: Any) -> Order:
    return wire.order("u/a", {**BASE, **more}, "okx")


# ----------------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize("exits", [{"stopLossPrice": "1500"}, {"takeProfitPrice": "2600"}, {"stopLossPrice": 1500.0}])
def test_a_limit_order_with_attached_exits_is_a_limit_order(exits: dict[str, Any]) -> None:
    made = order(type="limit", price="2300", **exits)
    assert (made.type, made.price, made.trigger) == (OrderType.LIMIT, D(2300), None)


@pytest.mark.parametrize("word", ["conditional", "market", "oco"])
def test_an_order_of_its_own_that_waits_for_an_exit_price_is_a_stop(word: str) -> None:
    made = order(type=word, stopLossPrice="1500")
    assert (made.type, made.trigger) == (OrderType.STOP, D(1500))


def test_a_limit_order_with_a_trigger_is_a_stop() -> None:
    made = order(type="limit", price="1490", triggerPrice="1500", stopLossPrice="1500")
    assert (made.type, made.price, made.trigger) == (OrderType.STOP, D(1490), D(1500))


def trailing(word: str, price: str | None) -> Order:
    """An open order of Kraken, as its documentation and ccxt show it."""
    described = {"ordertype": word, "price": "+5.0000%", "price2": "0", "pair": "XBTUSD"}
    info = {"descr": described, "stopprice": "95000.0", "limitprice": "94900.0"}
    kind = "limit" if word == "trailing-stop-limit" else word
    return order(type=kind, price=price, info=info)


def test_a_trailing_stop_of_kraken_has_its_trigger_and_no_price() -> None:
    made = trailing("trailing-stop", "94900.0")
    assert (made.type, made.trigger, made.price) == (OrderType.STOP, D(95000), None)


@pytest.mark.parametrize("told", [None, "94900.0"])
def test_a_trailing_stop_limit_of_kraken_is_a_stop_with_a_limit_price(told: str | None) -> None:
    made = trailing("trailing-stop-limit", told)
    assert (made.type, made.trigger, made.price) == (OrderType.STOP, D(95000), D(94900))


def test_a_limit_order_of_kraken_futures_has_its_price() -> None:
    made = order(type="lmt", price=None, info={"limitPrice": 28500, "orderType": "lmt"})
    assert (made.type, made.price) == (OrderType.LIMIT, D(28500))


# ------------------------------------------------------------------------------------- positions and their legs


def position(contracts: str, side: str, **info: Any) -> Position:
    row = {"symbol": "BTC/USDT:USDT", "contracts": contracts, "side": side, "info": info}
    made = wire.position("u/a", row, "gate")
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("side", "info", "leg"),
    [
        ("long", {"mode": "dual_long"}, Leg.LONG),
        ("short", {"mode": "dual_short"}, Leg.SHORT),
        ("long", {"mode": "single"}, Leg.NET),
        ("long", {"mode": 1}, Leg.NET),
        ("short", {"position_side": "short"}, Leg.SHORT),
        ("short", {"position_side": "both"}, Leg.NET),
    ],
)
def test_gate_and_htx_tell_the_leg_in_their_own_words(side: str, info: dict[str, Any], leg: Leg) -> None:
    assert position("100", side, **info).leg is leg


def test_a_long_and_a_short_position_of_one_market_are_its_legs_though_nobody_says_so() -> None:
    long, short = position("100", "long"), position("250", "short")
    assert wire.part_legs([(long, "cross"), (short, "cross")]) == [Leg.LONG, Leg.SHORT]
    assert wire.part_legs([(long, "cross"), (short, "isolated")]) == [Leg.NET, Leg.NET]
    assert wire.part_legs([(long, ""), (long, "")]) == [Leg.NET, Leg.NET]
    assert wire.part_legs([(short, "cross")]) == [Leg.NET]
    assert wire.part_legs([(long, ""), (short, "")], netted=True) == [Leg.NET, Leg.NET]


MARGIN = {"base": "ETH", "quote": "USDT", "spot": True}


@pytest.mark.parametrize(
    ("info", "held"),
    [
        ({"pos": "1000", "posCcy": "USDT", "avgPx": "2000", "liab": "-0.5", "liabCcy": "ETH"}, D("0.5")),
        ({"pos": "1000", "posCcy": "USDT", "avgPx": "2000", "liab": "", "liabCcy": ""}, D("0.5")),
        ({"pos": "1000", "posCcy": "USDT", "avgPx": "3000"}, D("0.33333333")),
        ({"pos": "0.7", "posCcy": "ETH", "avgPx": "2000", "liab": "-1400", "liabCcy": "USDT"}, D("0.7")),
        ({"pos": "1000", "posCcy": "USDT", "avgPx": ""}, None),
    ],
)
def test_a_position_on_spot_margin_of_okx_is_counted_in_the_coin(info: dict[str, str], held: Decimal | None) -> None:
    assert margin_quantity({"info": info}, MARGIN) == held


# ----------------------------------------------------------------------------------------------- values


def market(symbol: str, kind: str = "swap", **more: Any) -> dict[str, Any]:
    pair, _, rest = symbol.partition(":")
    base, quote = pair.split("/")
    settle = rest.partition("-")[0] or None
    lots = {"precision": {"amount": "1", "price": "0.5"}, "limits": {}}
    inverse = settle is not None and settle != quote
    names = {"symbol": symbol, "base": base, "quote": quote, "settle": settle, "type": kind, "contract": True}
    return {**names, **lots, "inverse": inverse, "linear": not inverse, "contractSize": "10", **more}


@pytest.mark.parametrize(
    ("exchange", "listed", "size", "price", "worth"),
    [
        ("deribit", market("BTC/USD:BTC"), "50", "50000", "50"),
        ("deribit", market("BTC/USDC:USDC", contractSize="0.001"), "0.2", "50000", "10000"),
        ("deribit", market("BTC/USD:BTC-260925-60000-C", "option", contractSize="1"), "2", "0.05", "5000"),
        ("deribit", market("BTC/USDC:USDC-260925-60000-C", "option", contractSize="1"), "2", "2500", "5000"),
        ("bitget", market("BTC/USD:BTC", contractSize="1"), "0.2", "50000", "10000"),
        ("htx", market("BTC/USD:BTC", contractSize="100"), "500", "50000", "50000"),
        ("kucoinfutures", market("BTC/USD:BTC", contractSize="1"), "300", "50000", "300"),
        ("gate", market("BTC/USD:BTC", contractSize="1", info={"quanto_multiplier": "0"}), "300", "50000", "300"),
        (
            "gate",
            market("ETH/USD:BTC", contractSize="0.000001", info={"quanto_multiplier": "0.000001"}),
            "100",
            "2500",
            "12500",
        ),
    ],
)
def test_a_position_is_worth_what_its_close_gets(
    exchange: str, listed: dict[str, Any], size: str, price: str, worth: str
) -> None:
    made = wire_markets.instrument(listed, wire_markets.TICK_SIZE, exchange=exchange)
    rates = {"1/BTC": 1 / D(50000), "BTC": D(50000), "USD": D(1), "USDC": D(1)}
    assert usd_value(D(size), made, D(price), rates[made.quote]) == pytest.approx(D(worth))


def test_a_contract_that_settles_in_a_third_currency_has_no_value() -> None:
    listed = market("ETH/USD:BTC", info={"isQuanto": True})
    assert wire_markets.instrument(listed, wire_markets.TICK_SIZE).quote == "USD settled in BTC"


def test_a_position_without_a_side_is_an_error() -> None:
    with pytest.raises(OutcomeUnknown):
        position("3", "both")
    assert position("3", "short").side is Side.SHORT


# ------------------------------------------------------------------------------------------- which lists are asked


def test_each_list_that_the_markets_name_is_asked_for() -> None:
    found = (("a", "BTC"), ("b", "ETH"), ("c", "BTC"), ("d", ""))
    markets = {name: {"info": {"settlement_currency": settled}} for name, settled in found}
    deribit = known_calls("deribit")
    assert split(deribit.orders, markets) == [{"currency": "BTC"}, {"currency": "ETH"}]
    assert split(deribit.positions, markets) == [{}]
    dexes = {"a": {"info": {"dex": "xyz"}}, "b": {"info": {}}}
    assert split(known_calls("hyperliquid").orders, dexes) == [{}, {"dex": "xyz"}]


def test_no_kind_of_market_is_sent_on_to_an_exchange_that_reads_the_word_as_its_own() -> None:
    leaked = dict[tuple[str, str], Any]()
    for name in offline.names():
        exchange = offline.class_of(name)()
        calls = calls_of(name, exchange.has, exchange.features)
        if is_known(name):
            continue
        asked = {
            "fetch_positions": [(None, params) for params in calls.positions],
            "fetch_open_orders": [(None, None, None, params) for params in calls.orders],
            "fetch_balance": [(calls.balance,)] if calls.balance is not None else [],
        }
        for method, each in asked.items():
            for args in each:
                made = offline.sent(name, lambda e, m=method, a=args: getattr(e, m)(*a))
                if any(isinstance(p, dict) and p.get("type") in ("spot", "swap") for _, _, p in made):
                    leaked[name, method] = args
    assert leaked == {}

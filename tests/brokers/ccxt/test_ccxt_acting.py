"""What leaves for each exchange: its words for reduce-only, legs, names and time in force, and nothing too small."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from brokers.ccxt import wire, wire_orders, wire_raw_orders, wire_size_filters
from brokers.ccxt.exchanges.order_table import order_fields_of
from brokers.ccxt.lazy_import import contained, load
from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Instrument, Kind, Leg, OrderRequest, OrderSide, OrderStatus, OrderType, Tier, TimeInForce
from tests.brokers.ccxt import offline

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAME = "fdab12abcdefghijklmnopqrstuvwxyz"


def request(**more: Any) -> OrderRequest:
    given = {"account": "u/x", "symbol": "BTC/USDT:USDT", "side": OrderSide.SELL, "quantity": Decimal("0.5")}
    return OrderRequest(**{**given, "client_id": NAME, "reduce_only": True, **more})


def params(exchange: str, kind: Kind = Kind.PERP, mode: str = "", **more: Any) -> dict[str, Any]:
    return wire_orders.send(request(**more), kind, order_fields_of(exchange), NOW, wire_orders.Held(mode)).params


MODED = [name for name in offline.names() if order_fields_of(name).margin_mode]


def moded(name: str, mode: str) -> Any:
    """What ccxt would send of a close of a position on this margin mode."""
    fields = order_fields_of(name)
    held = wire_orders.Held(mode, Decimal(5))
    made = wire_orders.send(request(quantity=Decimal(5)), Kind.PERP, fields, NOW, held)
    sent = offline.order(name, offline.SWAP, made.params)
    assert sent is not None, name
    return {key: value for key, value in offline.flat(sent[2]) if key not in offline.PASSING}


@pytest.mark.parametrize("name", [n for n in MODED if n not in ("kucoin", "kucoinfutures")])
def test_the_margin_mode_of_the_position_leaves_with_its_close(name: str) -> None:
    assert moded(name, "isolated") != moded(name, "cross")


# Here the margin mode of a contract's order is refused, or chooses another market: a coin on margin.
OTHERWISE = frozenset({"cryptocom", "digifinex", "whitebit"})


def test_no_other_exchange_s_contracts_take_a_margin_mode() -> None:
    found = set[str]()
    for name in offline.names():
        if offline.class_of(name)().has.get("swap") is not True or name in MODED or name == "coinbase":
            continue
        given = {"reduceOnly": True, "clientOrderId": NAME[:18], "newClientOrderId": NAME[:18]}
        modes = [offline.order(name, offline.SWAP, {**given, "marginMode": mode}) for mode in ("isolated", "cross")]
        told = [dict(offline.flat(one[2])) if one is not None else {} for one in modes]
        for one in told:
            for key in (*offline.PASSING, "marginMode"):  # a parameter that is only passed on says nothing
                one.pop(key, None)
        if told[0] != told[1]:
            found.add(name)
    assert found == OTHERWISE


def test_the_close_of_an_inverse_contract_at_htx_says_that_it_closes_and_at_which_leverage() -> None:
    held = wire_orders.Held("cross", Decimal(20), inverse=True)
    fields = order_fields_of("htx")
    made = wire_orders.send(request(quantity=Decimal(5)), Kind.PERP, fields, NOW, held)
    sent = offline.order("htx", "BTC/USD:BTC", made.params)
    assert sent is not None
    assert {key: sent[2][key] for key in ("offset", "lever_rate", "direction")} == {
        "offset": "close",
        "lever_rate": 20,
        "direction": "sell",
    }
    assert "client_order_id" not in made.params  # it takes only a number


ONE_WAY = {
    "binanceusdm": {"clientOrderId": NAME, "recvWindow": 5000, "reduceOnly": True},
    "bybit": {"clientOrderId": NAME, "reduceOnly": True},
    "okx": {"clientOrderId": NAME, "reduceOnly": True, "tdMode": "isolated", "timeInForce": "IOC"},
    "krakenfutures": {"clientOrderId": NAME, "processBefore": "2026-01-02T03:04:15.000Z", "reduceOnly": True},
    "kucoinfutures": {"clientOrderId": NAME, "reduceOnly": True, "marginMode": "isolated"},
    "coinbase": {"client_order_id": NAME, "reduceOnly": True, "size": "0.5"},
    "some_other": {"clientOrderId": NAME, "reduceOnly": True},
}


def size(exchange: str) -> Decimal:
    return Decimal(5 if order_fields_of(exchange).whole else "0.5")


@pytest.mark.parametrize("exchange", list(ONE_WAY))
def test_a_market_close_of_a_one_way_position_is_reduce_only_and_named(exchange: str):
    assert params(exchange, mode="isolated", quantity=size(exchange)) == ONE_WAY[exchange]


HEDGED = {
    "binanceusdm": {"positionSide": "LONG"},
    "okx": {"posSide": "long"},
    "bybit": {"positionIdx": 1, "reduceOnly": True},
    "kucoinfutures": {"positionSide": "LONG", "reduceOnly": True},
    "bitget": {"hedged": True, "reduceOnly": True},
}


@pytest.mark.parametrize("exchange", list(HEDGED))
def test_in_hedge_mode_the_leg_is_named_on_the_closing_side(exchange: str):
    made = wire_orders.send(request(leg=Leg.LONG, quantity=size(exchange)), Kind.PERP, order_fields_of(exchange), NOW)
    assert made.side == "sell"
    assert {k: made.params.get(k) for k in HEDGED[exchange]} == HEDGED[exchange]
    assert ("reduceOnly" in made.params) is ("reduceOnly" in HEDGED[exchange])


PERP = {
    **dict.fromkeys(("spot", "margin", "future", "option", "inverse"), False),
    **dict.fromkeys(("swap", "contract", "linear", "active"), True),
    **dict.fromkeys(("quote", "settle", "quoteId", "settleId"), "USDT"),
    "id": "BTC_USDT",
    "symbol": "BTC/USDT:USDT",
    "base": "BTC",
    "baseId": "BTC",
    "type": "swap",
    "contractSize": 0.001,
    "precision": {"amount": 1, "price": 0.1},
    "limits": {"amount": {"min": 1}},
}


def client(exchange: str) -> Any:
    """ccxt's own, with one market."""
    made = load(exchange)()
    made.decimal_to_precision = partial(contained, made.decimal_to_precision)
    made.set_markets([PERP])
    return made


def named(exchange: str, side: str) -> Any:
    """Which position ccxt's request is of, when it is told that it closes one in hedge mode."""
    given = {"hedged": True, "reduceOnly": True}
    return (
        client(exchange).create_order_request(PERP["symbol"], "market", side, "1", None, given)["positionSide"].lower()
    )


def test_at_blofin_and_mexc_the_leg_is_named_although_ccxt_would_name_the_other() -> None:
    assert params("blofin", leg=Leg.LONG)["positionSide"] == "long"
    assert params("mexc", leg=Leg.SHORT, side=OrderSide.BUY)["reduceOnly"] is True
    assert "hedged" not in params("mexc", leg=Leg.SHORT, side=OrderSide.BUY)
    for side, code in (("buy", 2), ("sell", 4)):  # close short, close long
        sent = offline.order("mexc", offline.SWAP, {"reduceOnly": True}, side=side)
        assert sent is not None
        assert sent[2]["side"] == code


@pytest.mark.parametrize("exchange", ["woo", "some_other"])
def test_one_of_two_positions_is_not_closed_where_ccxt_names_the_other_or_none(exchange: str) -> None:
    assert named("bingx", "sell") == "long"
    assert named("blofin", "sell") == "short"  # which a sale would open
    with pytest.raises(Refused, match="nothing was sent: there are two positions of it") as refused:
        params(exchange, leg=Leg.LONG)
    assert refused.value.refusal is Refusal.UNSUPPORTED
    assert params(exchange)["reduceOnly"] is True


@pytest.mark.parametrize("exchange", ["binance", "kraken", "okx", "bybit", "coinbase", "some_other"])
@pytest.mark.parametrize("leg", list(Leg))
def test_reduce_only_is_said_or_left_out_and_never_false(exchange: str, leg: Leg):
    more = {"leg": leg} if order_fields_of(exchange).legs or leg is Leg.NET else {}
    for given in ({"reduce_only": False}, {"reduce_only": True}):
        assert params(exchange, Kind.PERP, **given, **more).get("reduceOnly", True) is True


def test_gate_takes_a_shorter_name_and_tells_it_with_its_own_prefix():
    """ccxt would not send an order with a longer one: no position there could be closed."""
    length = order_fields_of("gate").names.length
    exchange = client("gate")
    made = wire_orders.send(
        request(client_id=NAME[:length], quantity=Decimal(5)), Kind.PERP, order_fields_of("gate"), NOW
    )
    sent = exchange.create_order_request(made.symbol, made.type, made.side, made.amount, made.price, made.params)
    assert (sent["size"], sent["reduce_only"]) == (-5, True)
    assert wire.client_id({"clientOrderId": sent["text"]}) == NAME[:length]
    assert wire.client_id({"clientOrderId": "t-apiv4-of-another"}) == "t-apiv4-of-another"


def test_crypto_com_s_orders_carry_a_name_which_ccxt_drops_when_it_is_its_own_word_for_it():
    """An order whose answer is lost could not be found by it."""
    made = wire_orders.send(
        request(reduce_only=False, quantity=Decimal(5)), Kind.PERP, order_fields_of("cryptocom"), NOW
    )
    sent = client("cryptocom").create_order_request(made.symbol, made.type, made.side, made.amount, None, made.params)
    assert sent.get("client_oid") == NAME


def test_a_spot_sale_at_kraken_is_a_plain_sale_that_dies_at_its_deadline():
    made = params("kraken", Kind.SPOT, reduce_only=False)
    assert made == {"clientOrderId": NAME, "deadline": "2026-01-02T03:04:15.000Z"}


def test_krakenfutures_takes_a_time_in_force_in_lower_case_only():
    limit = {"type": OrderType.LIMIT, "price": Decimal(100)}
    assert params("krakenfutures", tif=TimeInForce.IOC, **limit)["timeInForce"] == "ioc"
    with pytest.raises(Refused) as refused:
        params("krakenfutures", tif=TimeInForce.FOK, **limit)
    assert refused.value.refusal is Refusal.UNSUPPORTED


def test_a_market_order_of_binance_has_no_time_in_force_and_one_that_cannot_be_said_is_refused():
    assert "timeInForce" not in params("binanceusdm")
    with pytest.raises(Refused, match="cannot express a market order that is gtc"):
        params("binanceusdm", tif=TimeInForce.GTC)
    assert Tier.MARKET_GTC not in order_fields_of("binanceusdm").tiers
    assert Tier.MARKET_GTC in order_fields_of("okx").tiers


def test_a_number_of_lots_is_a_number_and_no_part_of_a_lot_is_sent():
    made = wire_orders.send(request(quantity=Decimal("5.0")), Kind.PERP, order_fields_of("kucoinfutures"), NOW)
    assert made.amount == 5
    assert isinstance(made.amount, int)
    with pytest.raises(Refused, match="nothing was sent") as refused:
        params("kucoinfutures", quantity=Decimal("5.5"))
    assert refused.value.refusal is Refusal.PRECISION


def test_kucoin_s_limit_orders_can_not_be_fill_or_kill_and_its_close_call_is_a_tier_of_its_own():
    with pytest.raises(Refused, match="cannot express a limit order that is fok"):
        params("kucoinfutures", type=OrderType.LIMIT, price=Decimal(1), tif=TimeInForce.FOK, quantity=Decimal(5))
    assert {Tier.VENUE_CLOSE, Tier.DIRECT_API, Tier.MARKET_IOC} < order_fields_of("kucoinfutures").tiers


@pytest.mark.parametrize("leg", [Leg.NET, Leg.SHORT])
def test_kucoin_s_raw_call_reduces_in_the_position_s_own_mode_by_no_more_than_a_market_order_may_have(leg: Leg):
    plan = wire_raw_orders.raw_of("kucoinfutures", {"spot": False})
    found = plan.filters({"data": {"lotSize": 1, "maxOrderQty": 1000000, "marketMaxOrderQty": 400}}, {})
    sized = wire_size_filters.sized(request(quantity=Decimal(500), leg=leg, side=OrderSide.BUY), found)
    method, sent = plan.order(sized, {"id": "XBTUSDTM"}, order_fields_of("kucoinfutures"), "cross", NOW)
    named = {} if leg is Leg.NET else {"positionSide": "SHORT"}
    assert method == "futuresPrivatePostOrders"
    assert sent == {
        "clientOid": NAME,
        "symbol": "XBTUSDTM",
        "side": "buy",
        "type": "market",
        "size": 400,
        "marginMode": "CROSS",
        "reduceOnly": True,
        **named,
    }


def test_a_stop_is_a_market_order_with_a_trigger_where_one_can_rest():
    stop = {"type": OrderType.STOP, "trigger": Decimal(90)}
    assert params("binanceusdm", **stop)["stopLossPrice"] == "90"
    with pytest.raises(Refused, match="no such stop can rest"):
        params("coinbase", Kind.SPOT, reduce_only=False, **stop)


RULES = Instrument(
    "BTC/USDT:USDT",
    "BTCUSDT",
    kind=Kind.PERP,
    step=Decimal("0.01"),
    min_quantity=Decimal("0.1"),
    max_market=Decimal(10),
    reduce_only=True,
)


@pytest.mark.parametrize(
    ("quantity", "refusal"),
    [("0.005", Refusal.PRECISION), ("0.05", Refusal.BELOW_MINIMUM), ("10.01", Refusal.OTHER)],
)
def test_what_the_exchanges_rules_will_not_have_is_refused_before_it_leaves(quantity: str, refusal: Refusal):
    with pytest.raises(Refused, match="nothing was sent") as refused:
        wire_orders.check(request(quantity=Decimal(quantity)), RULES)
    assert refused.value.refusal is refusal


@pytest.mark.parametrize("row", [None, "", {}, {"id": None, "status": "open"}, {"id": ""}, []])
def test_an_answer_without_an_id_says_nothing_about_the_order(row: object):
    with pytest.raises(OutcomeUnknown):
        wire_orders.answered("u/x", row, request(), "okx")


def test_an_answer_with_an_id_and_nothing_else_is_an_open_order_as_asked_for():
    made = wire_orders.answered("u/x", {"id": "7", "status": None, "symbol": None}, request(), "okx")
    assert (made.id, made.status, made.quantity, made.client_id) == ("7", OrderStatus.OPEN, Decimal("0.5"), NAME)


def test_the_raw_call_takes_the_coarser_of_binances_steps_and_never_more_than_is_held():
    told = [
        {"filterType": "LOT_SIZE", "stepSize": "0.1", "minQty": "0.1", "maxQty": "1000000"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "1", "minQty": "1", "maxQty": "20000"},
    ]
    plan = wire_raw_orders.raw_of("binanceusdm", {"spot": False})
    found = plan.filters({"symbols": [{"symbol": "ALGOUSDT", "filters": told}]}, {"id": "ALGOUSDT"})
    assert wire_size_filters.sized(request(quantity=Decimal("267.6")), found).quantity == Decimal(267)
    assert wire_size_filters.sized(request(quantity=Decimal("21267.6")), found).quantity == Decimal(20000)
    for quantity, refusal in (("0.4", Refusal.PRECISION), ("0.04", Refusal.BELOW_MINIMUM)):
        with pytest.raises(Refused) as refused:  # a limit order can close the first
            wire_size_filters.sized(request(quantity=Decimal(quantity)), found)
        assert refused.value.refusal is refusal


def test_a_symbol_without_filters_is_not_sized():
    plan = wire_raw_orders.raw_of("binance", {"spot": True})
    with pytest.raises(Refused):
        wire_size_filters.sized(request(), plan.filters({"symbols": []}, {"id": "BTCUSDT"}))


@pytest.mark.parametrize(("places", "step"), [(4, "0.0001"), (0, "1"), (-1, "10"), (-4, "10000")])
def test_kraken_futures_counts_decimals_of_a_size_and_below_zero_its_zeros(places: int, step: str):
    plan = wire_raw_orders.raw_of("krakenfutures", {"spot": False})
    told = {"symbol": "PF_XBTUSD", "contractValueTradePrecision": places, "maxPositionSize": 1, "impactMidSize": 7}
    found = plan.filters({"instruments": [told]}, {"id": "PF_XBTUSD"})
    assert found == wire_size_filters.SizeFilters(Decimal(step), Decimal(step))
    assert wire_size_filters.sized(request(quantity=Decimal("1234567.891")), found).quantity % Decimal(step) == 0
    with pytest.raises(Refused) as refused:
        wire_size_filters.sized(request(quantity=Decimal(step) / 2), found)
    assert refused.value.refusal is Refusal.BELOW_MINIMUM


@pytest.mark.parametrize("places", [None, "", 0.5, "many", 10**9])
def test_a_contract_of_kraken_futures_whose_step_is_not_told_is_not_sized(places: object):
    plan = wire_raw_orders.raw_of("krakenfutures", {"spot": False})
    told = {"symbol": "PF_XBTUSD", "contractValueTradePrecision": places}
    for answer in ({"instruments": [told]}, {"instruments": []}, {}, None):
        assert plan.filters(answer, {"id": "PF_XBTUSD"}) is None


def test_kraken_futures_raw_order_reduces_at_the_market_and_dies_at_its_deadline():
    plan = wire_raw_orders.raw_of("krakenfutures", {"spot": False})
    call = plan.order(request(), {"id": "PF_XBTUSD"}, order_fields_of("krakenfutures"), "cross", NOW)
    given = {"orderType": "mkt", "symbol": "PF_XBTUSD", "side": "sell", "size": "0.5", "cliOrdId": NAME}
    deadline = {"processBefore": "2026-01-02T03:04:15.000Z"}
    assert call == ("privatePostSendorder", {**given, **deadline, "reduceOnly": "true"})

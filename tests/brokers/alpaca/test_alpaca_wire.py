"""Alpaca's JSON as values: leniency, names, legs, refusals by sentence."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from brokers.alpaca import wire, wire_stream
from brokers.alpaca.wire_errors import Call, refusal
from brokers.alpaca.wire_hours import read_clock, read_day
from brokers.alpaca.wire_orders import payload
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused
from core.events import OrderSeen
from core.model import Kind, OrderSide, OrderStatus, OrderType, Side, Tier, TimeInForce
from tests.brokers.alpaca.kit import ACCOUNT, PUT, request

D = Decimal
ROW = {"symbol": "AAPL", "asset_class": "us_equity", "qty": "10", "qty_available": "4", "avg_entry_price": "99.5"}
ORDER: dict[str, Any] = {"id": "o1", "symbol": "AAPL", "qty": "10", "side": "sell", "type": "limit", "status": "new"}
UUID = "61e69015-8549-4bfd-b9c3-01e75843f47d"


def held(**more: Any) -> wire.Held:
    return wire.positions(ACCOUNT, [{**ROW, **more}], {}, {})[0]


def order(**more: Any) -> Any:
    return wire.orders(ACCOUNT, [{**ORDER, **more}], {})[0].order


def test_a_position_is_read() -> None:
    position = held().position
    assert (position.quantity, position.free, position.entry, position.leverage) == (10, 4, D("99.5"), 1)
    assert held(qty="-10", qty_available="-4", side="short").position.side is Side.SHORT
    assert held(qty="-10", side="nonsense").position.side is Side.SHORT
    assert held(qty_available=None).position.free == 10
    assert held(avg_entry_price="0").position.entry is None


@pytest.mark.parametrize("qty", [None, "", "x", "0", "NaN", [], {}])
def test_a_position_without_a_readable_quantity_is_an_error_and_not_left_out(qty: object) -> None:
    with pytest.raises(OutcomeUnknown, match="cannot be read"):
        held(qty=qty)


def test_an_unknown_asset_class_keeps_the_position_untradable() -> None:
    found = held(asset_class="us_future", symbol="ESZ6")
    assert (found.instrument.tradable, found.instrument.native_symbol) == (False, "ESZ6")
    assert found.instrument.way_out
    assert held(asset_class="us_something", symbol=PUT).instrument.tiers == (Tier.VENUE_CLOSE,)
    assert held(asset_class="crypto_perp", symbol="BTC-PERP").instrument.tiers == (Tier.VENUE_CLOSE,)


@pytest.mark.parametrize(
    ("native", "pairs", "symbol"),
    [
        ("BTCUSD", {}, "BTC/USD"),
        ("USDTUSD", {}, "USDT/USD"),
        ("ETHUSDT", {}, "ETH/USDT"),
        ("ETHBTC", {}, "ETH/BTC"),
        ("USDCUSD", {"USDCUSD": "USDC/USD"}, "USDC/USD"),
        ("BTC/USD", {}, "BTC/USD"),
        ("ODD", {}, "ODD"),
    ],
)
def test_crypto_has_one_name_in_positions_and_orders(native: str, pairs: dict[str, str], symbol: str) -> None:
    assert wire.symbol_of(native, Kind.SPOT, pairs) == symbol


def test_orders_keep_what_matters_to_a_close() -> None:
    assert order(status="pending_cancel").status is OrderStatus.OPEN  # it still holds the quantity
    assert order(status="a_new_word").status is OrderStatus.UNKNOWN
    assert order(type="trailing_stop", stop_price="90").type is OrderType.STOP
    assert order(side="sell_short").side is OrderSide.SELL
    assert order(client_order_id=UUID).client_id is None  # Alpaca's own, for an order that came without
    assert order(client_order_id="fdabcd").client_id == "fdabcd"
    assert order(qty=None, notional="500", limit_price="100").quantity == 5
    assert order(qty=None, notional="500", filled_qty="1.5").quantity == D("1.5")


def test_the_legs_of_a_multi_leg_option_order_are_cancelled_through_it() -> None:
    legs = [{**ORDER, "id": f"leg{n}", "symbol": PUT.replace("145", f"{n}45"), "qty": "1"} for n in (1, 2)]
    parent = {"id": "parent", "client_order_id": UUID, "symbol": "", "status": "new", "legs": legs}
    found = wire.orders(ACCOUNT, [parent], {})
    assert [o.order.id for o in found] == ["parent", "parent"]
    assert len({o.order.symbol for o in found}) == 2


@pytest.mark.parametrize("rows", [None, {}, "x", [1], [None], {"message": "x"}])
def test_what_is_no_list_is_no_answer(rows: object) -> None:
    for read in (lambda: wire.positions(ACCOUNT, rows, {}, {}), lambda: wire.orders(ACCOUNT, rows, {})):
        with pytest.raises(OutcomeUnknown):
            read()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.decimals()
    | st.sampled_from(["1e999999", "-0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WHOLE: dict[str, Any] = {
    **ROW,
    **ORDER,
    **dict.fromkeys(("limit_price", "stop_price", "filled_qty", "notional", "filled_avg_price", "market_value"), "1"),
    **dict.fromkeys(("current_price", "price", "position_qty", "bp", "ap", "min_order_size", "cost_basis"), "1"),
    **dict.fromkeys(("timestamp", "next_open", "next_close", "transaction_time"), "2026-02-03T09:30:00-05:00"),
    **dict.fromkeys(("message", "reject_reason", "client_order_id", "time_in_force", "execution_id"), "a word"),
    "legs": [ORDER],
    "related_orders": ["o1"],
    "held_for_orders": "1",
    "existing_qty": "8",
    "code": 40310000,
    "is_open": False,
    "event": "fill",
}
CHANGES = st.dictionaries(st.sampled_from(sorted(WHOLE)), JSON, min_size=1, max_size=4)


@settings(max_examples=300)
@given(CHANGES)
def test_nothing_but_the_ports_outcomes_comes_out_of_any_row(changes: dict[str, Any]) -> None:
    row = {**WHOLE, **changes}
    for read in (
        lambda: wire.positions(ACCOUNT, [row], {}, {}),
        lambda: wire.positions(ACCOUNT, [{**row, "symbol": PUT}], {}, {}),
        lambda: wire.orders(ACCOUNT, [row], {}),
        lambda: wire.orders(ACCOUNT, [{**row, "symbol": ""}], {}),
        lambda: wire.fills(ACCOUNT, [row], {}),
        lambda: wire_stream.updates(ACCOUNT, {"stream": "trade_updates", "data": {**row, "order": row}}, {}),
        lambda: read_clock(row),
        lambda: read_day([{**row, "date": "2026-11-27"}], date(2026, 11, 27)),
        lambda: refusal(Call.CLOSE, 403, row),
        lambda: wire.asset(row),
        lambda: wire.touch(row),
        lambda: wire.equity(row),
    ):
        try:
            read()
        except FlatdeckError:
            continue


@given(st.binary(max_size=60))
def test_no_frame_breaks_the_reader(raw: bytes) -> None:
    for decode in (wire_stream.decode_json, wire_stream.decode_frame):
        try:
            decode(raw)
        except OutcomeUnknown:
            continue


def test_an_update_of_an_unknown_event_still_tells_of_its_order() -> None:
    message = {"stream": "trade_updates", "data": {"event": "brand_new", "order": ORDER}}
    [event] = wire_stream.updates(ACCOUNT, message, {})
    assert isinstance(event, OrderSeen)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"message": "unauthorized"}, Refusal.AUTH),
        (403, {"message": "forbidden."}, Refusal.AUTH),
        (403, {"code": 40110000, "message": "request is not authorized"}, Refusal.AUTH),
        (403, "<html>", Refusal.AUTH),
        (
            403,
            {"code": 40310000, "message": "insufficient qty available for order (requested: 1, available: 0)"},
            "held",
        ),
        (403, {"code": 40310000, "message": "x", "existing_qty": "8", "held_for_orders": "8"}, Refusal.HELD),
        (403, {"code": 40310000, "message": "x", "existing_qty": "8", "held_for_orders": "0"}, Refusal.REDUCE_ONLY),
        (403, {"code": 40310000, "message": "x", "existing_qty": "0", "held_for_orders": "0"}, Refusal.NO_POSITION),
        (403, {"code": 40310000, "message": "insufficient balance for BTC (requested: 1, available: 0)"}, "held"),
        (403, {"code": 40310000, "message": "insufficient balance for USD"}, Refusal.OTHER),
        (403, {"code": 40310000, "message": "insufficient options buying power for cash-secured put"}, Refusal.OTHER),
        (403, {"code": 40310000, "message": "cost basis must be >= minimal amount of order 10"}, "below_minimum"),
        (403, {"code": 40310100, "message": "trade denied due to pattern day trading protection"}, Refusal.HALTED),
        (403, {"code": 40310000, "message": "new orders are rejected: trading is blocked"}, Refusal.HALTED),
        (403, {"code": 40310000, "message": "something else"}, Refusal.OTHER),
        (404, {"code": 40410000, "message": "position does not exist: AAPL"}, Refusal.NO_POSITION),
        (404, {"code": 12345, "message": "gone"}, Refusal.NO_POSITION),
        (422, {"code": 40010001, "message": "client_order_id must be unique"}, Refusal.DUPLICATE),
        (422, {"code": 42210000, "message": "invalid time_in_force for crypto order"}, Refusal.UNSUPPORTED),
        (422, {"code": 42210000, "message": "fractional orders must be DAY orders"}, Refusal.UNSUPPORTED),
        (422, {"code": 42210000, "message": "invalid limit_price: sub-penny increment"}, Refusal.PRECISION),
        (422, {"code": 42210000, "message": 'asset "X" is not tradable'}, Refusal.HALTED),
        (422, {"code": 42210000, "message": "options orders are only allowed during market hours"}, "market_closed"),
        (422, {"message": "never heard of it"}, Refusal.OTHER),
        (429, {"message": "too many requests."}, Refusal.RATE_LIMITED),
        (400, None, Refusal.OTHER),
    ],
)
def test_a_refusal_is_named_by_its_status_and_sentence(status: int, body: object, expected: Refusal | str) -> None:
    found = refusal(Call.CLOSE, status, body)
    assert found.refusal is (expected if isinstance(expected, Refusal) else Refusal(expected))
    assert str(found)


def test_what_is_missing_depends_on_what_was_asked() -> None:
    kinds = {call: refusal(call, 404, {}).refusal for call in Call}
    assert kinds[Call.CANCEL] is Refusal.UNKNOWN_ORDER
    assert kinds[Call.ORDER] is Refusal.UNKNOWN_SYMBOL
    assert refusal(Call.READ, 404, {}).code == "404"


def test_a_lack_of_buying_power_says_the_numbers() -> None:
    body = {"code": 40310000, "message": "insufficient options buying power", "cost_basis": "110000"}
    said = refusal(Call.ORDER, 403, {**body, "options_buying_power": "46296"})
    assert str(said) == "insufficient options buying power (required 110000, available 46296)"


@pytest.mark.parametrize(
    ("symbol", "quantity", "kind", "more"),
    [
        (PUT, "1", Kind.OPTION, {}),
        ("BTC-PERP", "1", Kind.PERP, {}),
        ("X", "1", None, {}),
        ("AAPL", "1.5", Kind.EQUITY, {"tif": TimeInForce.IOC}),
        ("AAPL", "1.5", Kind.EQUITY, {"tif": TimeInForce.FOK}),
        ("AAPL", "1.5", Kind.EQUITY, {"type": OrderType.STOP, "trigger": D(1)}),
        ("AAPL", "1", Kind.EQUITY, {"type": OrderType.STOP}),
        ("BTC/USD", "1", Kind.SPOT, {"tif": TimeInForce.FOK}),
        ("BTC/USD", "1", Kind.SPOT, {"type": OrderType.STOP, "trigger": D(1)}),
    ],
)
def test_what_alpaca_has_no_order_for_is_not_sent(
    symbol: str, quantity: str, kind: Kind | None, more: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as caught:
        payload(request(symbol, quantity, **more), kind, extended=False)
    assert caught.value.refusal is Refusal.UNSUPPORTED

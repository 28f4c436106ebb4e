"""The gate before a new position: every rule with its code, and the sizes and prices of what may pass."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from core.entries import rules as entries
from core.entries.rules import Code, EntryRequest, GateInput, Rejection
from core.exits.rules import initial_stop
from core.model import Instrument, InstrumentKey, Kind, OrderSide, PositionKey, Quote, Side
from core.records import EntryApproved
from tests.support.virtual_time import DAWN

D = Decimal
HERE, THERE = "ann/paper", "ann/other"
SIGNAL = EntryRequest("ann", "BTC", OrderSide.BUY, D(1), D(5), D("0.05"))
SCENE = GateInput(now=DAWN, cap=8, counted=7, accounts=(HERE, THERE))


def approved(symbol: str = "ETH", owner: str = "ann", kind: str = "open", plan: str = "e1") -> EntryApproved:
    key = PositionKey(f"{owner}/paper", symbol)
    return EntryApproved(plan, owner, key, kind, OrderSide.BUY, D(1), "person", DAWN)


def signalled(ago: float, **more: Any) -> dict[tuple[str, str, OrderSide], Any]:
    told = {"owner": "ann", "symbol": "BTC", "side": OrderSide.BUY, **more}
    return {(told["owner"], told["symbol"], told["side"]): DAWN - timedelta(seconds=ago)}


@pytest.mark.parametrize(
    ("signal", "scene", "code"),
    [
        ({}, {}, None),
        ({"amount": D(0)}, {}, Code.AMOUNT),
        ({"amount": D(-1)}, {}, Code.AMOUNT),
        ({"amount": D("0.00000001")}, {}, None),
        ({"leverage": D("0.99")}, {}, Code.LEVERAGE),
        ({"leverage": D(1)}, {}, None),
        ({"leverage": D(125)}, {}, None),
        ({"leverage": D("125.01")}, {}, Code.LEVERAGE),
        ({"stop_pct": D(0)}, {}, Code.STOP_LOSS),
        ({"stop_pct": D("-0.1")}, {}, Code.STOP_LOSS),
        ({"stop_pct": D(1)}, {}, Code.STOP_LOSS),
        ({"stop_pct": D("0.999")}, {}, None),
        ({}, {"held": frozenset({InstrumentKey(THERE, "BTC")})}, Code.POSITION_EXISTS),
        ({"account": HERE}, {"held": frozenset({InstrumentKey(THERE, "BTC")})}, Code.POSITION_EXISTS),
        ({}, {"held": frozenset({InstrumentKey(THERE, "BTC/USD")})}, None),
        ({}, {"counted": 8}, Code.CAP_REACHED),
        ({}, {"counted": 9}, Code.CAP_REACHED),
        ({}, {"cap": 0, "counted": 0}, Code.CAP_REACHED),
        ({}, {"pending": (approved(),)}, Code.CAP_REACHED),
        ({}, {"pending": (approved(owner="bob"),)}, None),
        ({}, {"pending": (approved(kind="scale_in"),)}, None),
        ({}, {"pending": (approved(),), "held": frozenset({InstrumentKey(HERE, "ETH")})}, None),
        ({}, {"pending": (approved("BTC"),), "counted": 0}, Code.ENTRY_PENDING),
        ({}, {"pending": (approved("BTC", kind="scale_in"),), "counted": 0}, Code.ENTRY_PENDING),
        ({}, {"pending": (approved("BTC", owner="bob"),)}, None),
        ({}, {"signals": signalled(59.9)}, Code.DUPLICATE_SIGNAL),
        ({}, {"signals": signalled(60)}, None),
        ({}, {"signals": signalled(1, side=OrderSide.SELL)}, None),
        ({}, {"signals": signalled(1, symbol="ETH")}, None),
        ({}, {"signals": signalled(1, owner="bob")}, None),
        ({}, {"signals": signalled(-5)}, Code.DUPLICATE_SIGNAL),
        ({}, {"signals": signalled(119.9), "duplicate_window": 120.0}, Code.DUPLICATE_SIGNAL),
        ({}, {"signals": signalled(120), "duplicate_window": 120.0}, None),
        ({}, {"signals": signalled(0), "duplicate_window": 0.0}, None),
        ({}, {"signals": signalled(-5), "duplicate_window": 0.0}, None),
        ({}, {"closing": frozenset({InstrumentKey(THERE, "BTC")})}, Code.CLOSING),
        ({}, {"closing": frozenset({InstrumentKey(THERE, "ETH")})}, None),
        ({"symbol": "btc-usd"}, {"held": frozenset({InstrumentKey(THERE, "BTC/USD")})}, Code.POSITION_EXISTS),
        ({"symbol": "BTC/USDT"}, {"held": frozenset({InstrumentKey(HERE, "BTC/USDT:USDT")})}, None),
        ({"symbol": "BTC/USD"}, {"closing": frozenset({InstrumentKey(HERE, "BTC-USD")})}, Code.CLOSING),
        ({"symbol": "BTCUSD"}, {"pending": (approved("BTC/USD"),)}, Code.ENTRY_PENDING),
        ({"symbol": "BTC/USD"}, {"signals": signalled(1, symbol="BTC-USD")}, Code.DUPLICATE_SIGNAL),
        ({}, {"unreadable": {THERE: "no such host"}}, Code.ACCOUNT_UNREADABLE),
        ({"account": HERE}, {"unreadable": {THERE: "no such host"}}, Code.ACCOUNT_UNREADABLE),
        ({}, {"frozen": {HERE: "look", THERE: "look"}}, Code.ACCOUNT_FROZEN),
        ({}, {"frozen": {HERE: "look"}}, None),
        ({"account": HERE}, {"frozen": {HERE: "look"}}, Code.ACCOUNT_FROZEN),
        ({"account": THERE}, {"frozen": {HERE: "look"}}, None),
        ({}, {"accounts": ()}, Code.ACCOUNT_UNREADABLE),
        ({}, {"unknown_at": {HERE: ""}}, None),
        ({}, {"unknown_at": {HERE: "", THERE: ""}}, Code.UNKNOWN_SYMBOL),
        ({"account": HERE}, {"unknown_at": {HERE: ""}}, Code.UNKNOWN_SYMBOL),
    ],
)
def test_every_rule_of_the_gate(signal: dict[str, Any], scene: dict[str, Any], code: Code | None) -> None:
    found = entries.refusals(structs.replace(SIGNAL, **signal), structs.replace(SCENE, **scene))
    assert [no.code for no in found[:1]] == ([code] if code else [])


def test_what_is_wrong_with_a_signal_comes_before_what_speaks_against_it() -> None:
    signal = structs.replace(SIGNAL, amount=D(0), stop_pct=D(2))
    scene = structs.replace(SCENE, counted=8, unreadable={HERE: "down"})
    codes = [no.code for no in entries.refusals(signal, scene)]
    assert codes == [Code.AMOUNT, Code.STOP_LOSS, Code.CAP_REACHED, Code.ACCOUNT_UNREADABLE]


def test_every_refusal_is_a_sentence_that_says_what_and_where() -> None:
    scene = structs.replace(
        SCENE,
        counted=8,
        held=frozenset({InstrumentKey(HERE, "BTC")}),
        closing=frozenset({InstrumentKey(THERE, "BTC")}),
        pending=(approved(),),
        signals=signalled(12),
    )
    assert [no.text for no in entries.refusals(SIGNAL, scene)] == [
        "a close of BTC is in progress on ann/other",
        "ann holds BTC already, on ann/paper",
        "buy BTC was signalled 12 s ago; the same again counts after 60 s",
        "ann has 8 positions and 1 on the way, and may have 8",
    ]


@pytest.mark.parametrize(
    ("signal", "rules", "code"),
    [
        ({}, {}, None),
        ({"side": OrderSide.SELL}, {}, Code.NOT_TRADABLE),  # a short of spot
        ({"side": OrderSide.SELL}, {"kind": Kind.PERP}, None),
        ({"side": OrderSide.SELL}, {"kind": Kind.EQUITY}, None),
        ({}, {"tradable": False}, Code.NOT_TRADABLE),
        ({"symbol": "btc"}, {}, Code.UNKNOWN_SYMBOL),  # the venue writes it in another case
    ],
)
def test_what_the_venue_cannot_open_is_refused(
    signal: dict[str, Any], rules: dict[str, Any], code: Code | None
) -> None:
    no = entries.untradable(structs.replace(SIGNAL, **signal), HERE, Instrument("BTC", "BTC", **rules))
    assert (no.code if no else None) is code


# -------------------------------------------------------------------------------------------- sizes and prices

RULES = Instrument("BTC", "BTC", step=D("0.1"), tick=D("0.5"), min_quantity=D("0.3"), min_cost=D(50))


@pytest.mark.parametrize(
    ("asked", "price", "rules", "size", "raised"),
    [
        ("1.27", "100", {}, "1.2", False),
        ("0.5", "100", {}, "0.5", False),
        ("0.4", "100", {}, "0.5", True),  # by the minimum cost of 50
        ("0.1", "1000", {}, "0.3", True),  # by the minimum quantity
        ("0.05", "1000", {"min_quantity": D(0), "min_cost": D(0)}, "0.1", True),  # by the step
        ("0.1", None, {}, "0.3", True),
        ("0.1", "99", {"multiplier": D(10)}, "0.3", True),
        ("0.7", "70", {}, "0.8", True),  # 50 / 70 is more than 0.7
    ],
)
def test_a_size_below_the_minimum_is_raised_to_it_with_a_warning(
    asked: str, price: str | None, rules: dict[str, Any], size: str, raised: bool
) -> None:
    instrument = structs.replace(RULES, **rules)
    got, warning = entries.sized(D(asked), instrument, D(price) if price else None)
    assert (got, bool(warning)) == (D(size), raised)
    assert not warning or f"raised to it: {size}" in warning


def test_where_the_venue_exempts_it_a_part_may_be_as_small_as_one_step() -> None:
    assert entries.sized(D("0.25"), RULES, D(100), exempt=True) == (D("0.2"), "")
    assert entries.sized(D("0.01"), RULES, D(100), exempt=True)[0] == D("0.1")


def test_a_limit_rests_a_tenth_of_a_percent_on_the_passive_side_on_the_tick() -> None:
    quote = Quote(HERE, "BTC", 0.0, bid=D(1000), ask=D(1001))
    assert entries.limit_price(OrderSide.BUY, quote, D("0.5"), D("0.001")) == D("999")
    assert entries.limit_price(OrderSide.SELL, quote, D("0.5"), D("0.001")) == D(
        "1002.5"
    )  # 1002.001, away from the market
    assert entries.limit_price(OrderSide.BUY, Quote(HERE, "BTC", 0.0, last=D(100)), D("0.01"), D("0.001")) == D("99.9")
    assert entries.limit_price(OrderSide.BUY, Quote(HERE, "BTC", 0.0), D("0.01"), D("0.001")) is None


def test_the_market_is_taken_on_the_other_side() -> None:
    quote = Quote(HERE, "BTC", 0.0, bid=D(99), ask=D(101), last=D(100))
    assert entries.taking_price(OrderSide.BUY, quote) == D(101)
    assert entries.taking_price(OrderSide.SELL, quote) == D(99)


def test_the_initial_stop_lies_below_a_long_and_above_a_short() -> None:
    assert initial_stop(Side.LONG, D(100), D("0.05")) == D(95)
    assert initial_stop(Side.SHORT, D(100), D("0.05")) == D(105)
    assert initial_stop(Side.SHORT, None, D("0.05")) is None
    assert initial_stop(Side.SHORT, D(100), None) is None


def test_adding_averages_the_entry_by_quantity() -> None:
    assert entries.averaged(D(90), D(2), D(120), D(1)) == D(100)
    assert entries.averaged(None, D(2), D(120), D(1)) is None
    assert entries.averaged(D(90), D(2), None, D(1)) is None
    assert entries.averaged(None, D(0), D(120), D(1)) == D(120)


def test_a_refusal_carries_its_code() -> None:
    error = entries.NotAllowed(Rejection(Code.CAP_REACHED, "full"))
    assert (error.code, str(error)) == (Code.CAP_REACHED, "full")

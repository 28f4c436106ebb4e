"""Adapter and loopback venue against Alpaca's own library: its words, its request payloads, its models of answers."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from brokers.alpaca import wire
from brokers.alpaca.wire_orders import payload
from core.model import Kind, OrderSide, OrderType, TimeInForce
from tests.brokers.alpaca.kit import PUT, request
from tests.venues.alpaca import bodies
from tests.venues.alpaca.bodies import Holding, Paper

NOW = datetime(2026, 2, 3, 16, 21, 0, 123456, tzinfo=UTC)
D = Decimal


@pytest.fixture(scope="module")
def alpaca() -> SimpleNamespace:
    """The library's modules; importing them takes a second and warns of what they are built on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from alpaca.trading import enums, models, requests

    return SimpleNamespace(enums=enums, models=models, requests=requests)


def test_every_word_of_the_library_is_known(alpaca: SimpleNamespace) -> None:
    for words, known in (
        (alpaca.enums.OrderStatus, wire.STATUSES),
        (alpaca.enums.OrderType, wire.TYPES),
        (alpaca.enums.TimeInForce, wire.TIFS),
        (alpaca.enums.AssetClass, wire.KINDS),
    ):
        assert {word.value for word in words} == set(known)


@pytest.mark.parametrize(
    ("ours", "kind", "extended", "model", "fields"),
    [
        ({"tif": TimeInForce.IOC}, Kind.EQUITY, False, "MarketOrderRequest", {"time_in_force": "ioc"}),
        ({"tif": TimeInForce.GTC}, Kind.EQUITY, False, "MarketOrderRequest", {"time_in_force": "day"}),
        (
            {"type": OrderType.LIMIT, "price": D("99.5"), "tif": TimeInForce.GTC},
            Kind.EQUITY,
            True,
            "LimitOrderRequest",
            {"time_in_force": "day", "limit_price": 99.5, "extended_hours": True},
        ),
        (
            {"type": OrderType.STOP, "trigger": D("90"), "tif": TimeInForce.GTC},
            Kind.EQUITY,
            False,
            "StopOrderRequest",
            {"time_in_force": "gtc", "stop_price": 90},
        ),
        ({"tif": TimeInForce.DAY}, Kind.SPOT, False, "MarketOrderRequest", {"time_in_force": "gtc"}),
    ],
)
def test_our_payloads_are_those_of_the_library(
    alpaca: SimpleNamespace, ours: dict[str, Any], kind: Kind, extended: bool, model: str, fields: dict[str, Any]
) -> None:
    made = payload(request("AAPL", "10", **ours), kind, extended=extended)
    given = {"symbol": "AAPL", "qty": 10, "side": "sell", "client_order_id": "fdtest", **fields}
    theirs = getattr(alpaca.requests, model)(**given).to_request_fields()
    numbers = {"qty", "limit_price", "stop_price"}
    plain = {k: D(str(v)) if k in numbers else getattr(v, "value", v) for k, v in theirs.items()}
    assert {k: D(str(v)) if k in numbers else v for k, v in made.items()} == plain


def test_the_loopback_venues_answers_are_read_by_the_library(alpaca: SimpleNamespace) -> None:
    models = alpaca.models
    for symbol, cls in (("AAPL", "us_equity"), (PUT, "us_option"), ("BTC/USD", "crypto")):
        held = Holding(symbol, symbol.replace("/", ""), "904837e3-3b76-47ec-b432-046db621571b", cls, D(2), D(5))
        assert models.Position(**bodies.position(held, D(6), D(1))).qty_available == "1"
    paper = Paper("904837e3-3b76-47ec-b432-046db621571b", "fdtest", "AAPL", "sell", D(2), NOW, stop=D(90), type="stop")
    assert models.Order(**bodies.order(paper)).stop_price == "90"
    told = bodies.update("fill", paper, NOW, paper.id, D(0), D(2), D(6))
    assert models.TradeUpdate(**told["data"]).position_qty == 0
    assert models.TradeAccount(**bodies.account("ACTIVE", False, D(1), D(1))).status.value == "ACTIVE"
    assert models.Clock(**bodies.clock(NOW.isoformat(), True, NOW, NOW)).is_open
    for symbol in ("AAPL", "BTC/USD"):
        assert models.Asset(**bodies.asset(symbol, True)).tradable


@pytest.mark.parametrize("side", list(OrderSide))
def test_no_payload_of_ours_states_an_intent(side: OrderSide) -> None:
    """Alpaca infers it and refuses one that differs ("position intent mismatch")."""
    assert "position_intent" not in payload(request("AAPL", "1", side=side), Kind.EQUITY, extended=False)

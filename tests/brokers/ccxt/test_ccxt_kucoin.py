"""KuCoin's own ways: what counts against a limit and until when, sides of hedge mode, orders that close all, money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt import lazy_import, wire, wire_balances
from core.errors import Refusal, Refused
from core.model import Leg, Side
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import ScriptedClock

NOTHING = {"/contracts/active": {"code": "200000", "data": []}}
ORDER: dict[str, Any] = {"id": "7", "symbol": "BTC/USDT:USDT", "side": "sell", "amount": "5", "status": "open"}


async def test_signed_calls_count_by_account_and_the_others_by_address(at: Opened) -> None:
    clock = ScriptedClock()
    one, venue = await at("kucoinfutures", NOTHING, clock=clock)
    other, _ = await at("kucoinfutures", NOTHING, clock=clock)
    assert one.client.limiters[0] is not other.client.limiters[0]
    assert one.client.limiters[0] is not one.client.limiters[1]
    third, _ = await at("kucoinfutures", NOTHING, clock=clock, endpoint=venue.endpoint)
    assert one.client.limiters[1] is third.client.limiters[1]


async def test_no_half_minute_has_more_than_the_venue_allows(at: Opened) -> None:
    broker, _ = await at("kucoinfutures", NOTHING, clock=ScriptedClock())
    for limiter in broker.client.limiters:
        assert limiter.capacity + 30 * limiter.per_second <= 2 * 2000


async def test_an_exceeded_limit_pauses_for_the_milliseconds_of_its_header(at: Opened) -> None:
    body, headers = {"code": "429000", "msg": "Too Many Requests"}, {"gw-ratelimit-reset": "4500"}
    answer = web.json_response(body, status=429, headers=headers)
    broker, _ = await at("kucoinfutures", {**NOTHING, "/orders": lambda r, f: answer}, clock=ScriptedClock())
    with pytest.raises(Refused) as refused:
        await broker.client.send_action("futuresPrivatePostOrders", {"symbol": "XBTUSDTM"})
    assert (refused.value.refusal, refused.value.retry_after) == (Refusal.RATE_LIMITED, 4.5)


@pytest.mark.parametrize(("leg", "side"), [("LONG", Side.LONG), ("SHORT", Side.SHORT)])
@pytest.mark.parametrize("told", ["long", "short"])
def test_a_position_of_hedge_mode_is_on_the_side_of_its_leg_whatever_its_sign(leg: str, side: Side, told: str) -> None:
    row = {"symbol": "BTC/USDT:USDT", "contracts": "5", "side": told, "info": {"positionSide": leg}}
    made = wire.position("u/x", row, "kucoinfutures")
    assert made is not None
    assert (made.leg, made.side, made.quantity) == (Leg(leg.lower()), side, Decimal(5))


def test_an_order_that_closes_all_only_reduces() -> None:
    assert wire.order("u/x", {**ORDER, "info": {"closeOrder": True}}, "kucoinfutures").reduce_only
    assert not wire.order("u/x", {**ORDER, "info": {"closeOrder": False}}, "kucoinfutures").reduce_only


@pytest.mark.parametrize(
    ("totals", "worth"),
    [
        ([{"USDT": "10.5"}, {"USDC": "2"}, {"BTC": "0"}], Decimal("12.5")),
        ([{"USDT": "10.5"}, {"BTC": "0.1"}], None),
        ([{"USDT": "10.5"}, {}], None),
        ([{"USDT": None}], None),
        ([], None),
    ],
)
def test_money_in_several_currencies_is_dollars_or_unknown(totals: list[dict[str, Any]], worth: Decimal | None) -> None:
    assert wire_balances.money([{"total": total} for total in totals]) == worth


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("wss://ws-api-futures.kucoin.com/?token=a%3D&b=1", "ws://localhost:1/base/ws-api-futures/?token=a%3D&b=1"),
        ("ws://localhost:1/base/x?y", "ws://localhost:1/base/x?y"),
        ("ws://localhost:12/base/x", "ws://localhost:1/base/localhost/base/x"),
    ],
)
def test_every_socket_is_below_the_configured_address(url: str, dialled: str) -> None:
    assert lazy_import.below("ws://localhost:1/base/", str, url) == dialled

"""Nobody's fee, referrer or broker rides on an order that the configuration does not name."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt import third_parties
from core.config.secrets import Secret
from tests.brokers.ccxt import offline
from tests.brokers.ccxt.conftest import Opened

FEES = sorted(name for name in offline.names() if "builderFee" in offline.class_of(name)().options)


def test_the_exchanges_with_a_fee_of_ccxt_are_known() -> None:
    assert FEES == ["aster", "extended", "grvt", "hyperliquid", "lighter", "nado", "pacifica"]


@pytest.mark.parametrize("name", FEES)
async def test_ccxt_s_fee_is_off_unless_the_configuration_turns_it_on(at: Opened, name: str) -> None:
    broker, _ = await at(name, {}, connect=False)
    await broker.client.open({})
    assert broker.client.exchange.options["builderFee"] is False
    other, _ = await at(name, {}, connect=False, options={"builderFee": True})
    await other.client.open({})
    assert other.client.exchange.options["builderFee"] is True


@pytest.mark.parametrize("name", ["hyperliquid", "lighter", "pacifica"])
async def test_ccxt_does_not_approve_a_fee(at: Opened, name: str) -> None:
    broker, venue = await at(name, {}, connect=False)
    await broker.client.open({})
    approve = broker.client.exchange.handle_builder_fee_approval
    assert await approve(*((1, 1) if name == "lighter" else ())) is False
    assert venue.asked == []
    assert broker.client.exchange.options.get("approvedBuilderFee") is not True


@pytest.mark.parametrize(("options", "named"), [({}, False), ({"brokerId": "mine"}, True)])
async def test_a_broker_is_named_only_if_the_configuration_names_one(
    at: Opened, options: dict[str, str], named: bool
) -> None:
    heard = list[set[str]]()

    def answer(request: web.Request, _: str) -> Any:
        heard.append({header.lower() for header in request.headers})
        return {"retCode": 0, "result": {"list": []}}

    broker, _ = await at("bybit", {"order/create": answer, "": {}}, connect=False, options=options)
    await broker.client.open({"apiKey": Secret("k"), "secret": Secret("s")})
    await broker.client.send_action("privatePostV5OrderCreate", {})
    assert [("referer" in headers) for headers in heard] == [named]


def test_crypto_com_s_order_loses_the_broker_s_id() -> None:
    given = {"instrument_name": "BTC_USDT", "broker_id": "CCXT"}
    assert third_parties.params_without("cryptocom", given, {}) == {"instrument_name": "BTC_USDT"}
    assert third_parties.params_without("cryptocom", given, {"broker": "mine"}) == given
    assert third_parties.params_without("kraken", given, {}) == given

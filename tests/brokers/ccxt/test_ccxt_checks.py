"""What ``flatdeck check`` says of an account: one sentence each, and what cannot be told is said to be so."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt.broker import open_account, read_options
from core.engine.clock import SystemClock
from core.errors import ConfigError, FlatdeckError, Refusal, Refused
from core.ports import Check
from core.settings import AccountSettings
from tests.brokers.ccxt.bodies import usdm
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import KEY, SECRET, settings

RESTRICTIONS = "/account/apiRestrictions"
TRADES_ONLY = {"enableWithdrawals": False, "enableInternalTransfer": False, "permitsUniversalTransfer": False}


async def checked(broker: Any) -> dict[str, Check]:
    found = {check.name: check for check in await broker.check()}
    for check in found.values():
        assert "\n" not in check.text
        assert KEY not in check.text
        assert SECRET not in check.text
    return found


async def test_an_account_that_may_only_trade_is_well(at: Opened) -> None:
    broker, _ = await at("binanceusdm", usdm(**{RESTRICTIONS: TRADES_ONLY}))
    found = await checked(broker)
    assert found["credentials"].ok is True
    assert found["credentials"].text == "1 positions, 2 open orders, real money"
    assert found["permissions"].ok is True
    assert found["limits"].ok is True
    assert "all accounts at this address" in found["limits"].text
    assert found["stream"].ok is None
    assert found["tiers"].ok is True
    assert "market_ioc" in found["tiers"].text
    assert found["protective stops"].ok is True


@pytest.mark.parametrize("right", TRADES_ONLY)
async def test_a_key_that_may_withdraw_or_transfer_is_wrong_unless_that_is_allowed(at: Opened, right: str) -> None:
    answers = usdm(**{RESTRICTIONS: {**TRADES_ONLY, right: True}})
    broker, _ = await at("binanceusdm", answers)
    assert (await checked(broker))["permissions"].ok is False
    allowed, _ = await at("binanceusdm", answers, options={"allow_withdraw": True})
    assert (await checked(allowed))["permissions"].ok is None


@pytest.mark.parametrize("answer", [{}, {"enableReading": True}, web.Response(status=500), "<html>"])
async def test_rights_that_are_not_told_cannot_be_verified(at: Opened, answer: Any) -> None:
    broker, _ = await at("binanceusdm", usdm(**{RESTRICTIONS: answer}))
    found = (await checked(broker))["permissions"]
    assert found.ok is None
    assert found.text.startswith("cannot verify: ")


async def test_an_exchange_that_takes_nothing_signed_by_this_clock_has_the_clock_looked_at(at: Opened) -> None:
    refused = web.json_response({"code": -1021, "msg": "Timestamp for this request is outside"}, status=400)
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": refused, "/v1/time": {"serverTime": 1}}))
    found = await checked(broker)
    assert (found["credentials"].ok, found["clock"].ok) == (None, False)
    assert "apart" in found["clock"].text


async def test_a_clock_that_is_apart_is_wrong(at: Opened) -> None:
    def time_of(ahead: int) -> Any:
        return lambda r, f: {"serverTime": broker.client.milliseconds() + ahead}

    broker, venue = await at("binanceusdm", usdm())
    for ahead, fine in ((0, True), (5000, False), (-5000, False)):
        venue.answers["/fapi/v1/time"] = lambda r, f, a=ahead: web.json_response(time_of(a)(r, f))
        assert (await checked(broker))["clock"].ok is fine


async def test_refused_credentials_end_the_check_with_the_exchange_s_sentence(at: Opened) -> None:
    body = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": lambda r, f: web.json_response(body, status=401)}))
    [found] = await broker.check()
    assert (found.name, found.ok) == ("credentials", False)
    assert "Invalid API-key" in found.text


async def test_a_credential_that_the_exchange_needs_too_is_named(at: Opened) -> None:
    with pytest.raises(Refused, match="okx needs password, too") as caught:
        await at("okx", {}, password="")
    assert caught.value.refusal is Refusal.AUTH


async def test_all_credentials_that_are_missing_are_named_at_once() -> None:
    login = {"exchange": "okx", "api_key": "env:NO_KEY", "secret": "env:NO_SECRET", "endpoint": "http://127.0.0.1:1"}
    broker = open_account(AccountSettings("u/a", "u", "a", "ccxt", login), None, SystemClock())
    with pytest.raises(Refused) as caught:
        await broker.connect()
    await broker.aclose()
    assert "environment variables NO_KEY and NO_SECRET are not set" in str(caught.value)
    assert str(caught.value).endswith("; okx needs password, too")


async def test_an_exchange_that_cannot_be_read_is_an_error_and_no_check(at: Opened) -> None:
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": web.Response(status=503)}))
    with pytest.raises(FlatdeckError):
        await broker.check()


def test_credentials_are_references_by_ccxt_s_names_and_identifiers_are_not_secret() -> None:
    read = read_options(settings("okx", uid="u-1", wallet_address="0xabc", private_key="env:PK", sandbox=True))
    assert read.login["apiKey"] == "env:CCXT_KEY"
    assert read.login["privateKey"] == "env:PK"
    assert read.identifiers == {"uid": "u-1", "walletAddress": "0xabc"}
    assert read.settings.sandbox
    assert read.streams


@pytest.mark.parametrize(
    ("exchange", "said"),
    [
        ("", "exchange is missing"),
        ("no-such", '"no-such" is no id of ccxt'),
        ("../x", "is no id of ccxt"),
        ("Binance USD-M", 'did you mean "binanceusdm"'),
    ],
)
def test_an_exchange_that_is_no_name_is_an_error_of_the_configuration(exchange: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_options(AccountSettings("u/a", "u", "a", "ccxt", {"exchange": exchange}))


async def test_the_sandbox_is_the_exchange_s_own_and_options_are_ccxt_s(at: Opened) -> None:
    broker, venue = await at(
        "binanceusdm", usdm(), sandbox=True, options={"recvWindow": 3000, "maxRetriesOnFailure": 9}
    )
    exchange = broker.client.exchange
    assert exchange.isSandboxModeEnabled
    assert exchange.urls["api"]["fapiPublic"].startswith(f"{venue.endpoint}/")
    assert exchange.options["recvWindow"] == 3000
    assert exchange.options["maxRetriesOnFailure"] == 0
    assert exchange.options["fetchMarkets"]["types"] == ["linear"]

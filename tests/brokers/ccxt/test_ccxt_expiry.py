"""How long an unanswered order may still execute, where that hangs on how requests are signed."""

from __future__ import annotations

import pytest

from brokers.ccxt.broker import open_account
from core.settings import AccountSettings
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import coinbase
from tests.venues.ccxt.host import Exchange


async def test_a_coinbase_signature_by_a_shared_secret_is_good_for_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", coinbase.KEY)
    monkeypatch.setenv("SECRET", coinbase.SECRET)
    with Exchange(coinbase.Coinbase, coinbase.BOOK) as running:
        given = {"exchange": "coinbase", "api_key": "env:KEY", "secret": "env:SECRET", "endpoint": running.endpoint}
        broker = open_account(AccountSettings("u/c", "u", "c", "ccxt", given), None, running.clock)
        assert broker.capabilities.request_expiry == 120.0  # the credentials are not known yet
        await broker.connect()
        assert broker.capabilities.request_expiry == 30.0
        await broker.aclose()


@pytest.mark.parametrize(("window", "expiry"), [(None, 5.0), (60_000, 60.0), (1_000, 5.0)])
def test_a_longer_life_of_signatures_that_is_configured_counts(window: int | None, expiry: float) -> None:
    own = {} if window is None else {"options": {"recvWindow": window}}
    settings = AccountSettings("u/b", "u", "b", "ccxt", {"exchange": "bybit", **own})
    assert open_account(settings, None, FastClock()).capabilities.request_expiry == expiry

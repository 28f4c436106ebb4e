"""Which accounts of two configurations are one account at the venue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.config.logins import login_of
from core.settings import AccountSettings

ENV = {"A": "key-1", "B": "key-1\n", "C": "key-2"}


def login(broker: str = "ccxt", env: dict[str, str] | None = None, **options: Any) -> str | None:
    return login_of(AccountSettings("u/n", "u", "n", broker, options), ENV if env is None else env)


def test_a_key_is_the_same_key_wherever_it_comes_from(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("key-1\n")
    key.chmod(0o600)
    named = {login(exchange="binance", api_key=at) for at in ("env:A", "env:B", f"file:{key}")}
    assert len(named) == 1
    assert login(exchange="binanceusdm", api_key="env:A") in named  # a key opens several markets of an exchange


@pytest.mark.parametrize(
    "other",
    [
        {"api_key": "env:C"},
        {"api_key": "env:A", "endpoint": "http://127.0.0.1:9101"},
        {"broker": "alpaca", "api_key": "env:A"},
    ],
)
def test_another_key_venue_or_broker_is_another_account(other: dict[str, Any]) -> None:
    assert login(**other) != login(api_key="env:A")


def test_an_endpoint_and_an_address_may_be_spelled_in_two_ways() -> None:
    here = {"wallet_address": "0xABC", "private_key": "env:A"}
    assert login(endpoint="http://LOCALHOST:91", **here) == login(endpoint="http://127.0.0.1:91", **here)
    assert login(wallet_address="0xabc", private_key="env:C") == login(**here)


def test_a_key_that_cannot_be_read_yet_counts_by_its_place() -> None:
    assert login(env={}, api_key="env:A") == login(env={}, api_key="env:A")
    assert login(env={}, api_key="env:A") != login(env={}, api_key="env:B")


def test_paper_accounts_share_nothing_because_each_data_directory_has_its_own_venue() -> None:
    assert login("paper", book="book.json") is None


def test_an_account_without_a_key_shares_nothing() -> None:
    assert login(exchange="kraken") is None

"""What accounts may say, and that no secret ever leaves the configuration."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from core.config.load import describe, load
from core.errors import ConfigError

CANARY = "canary-7f3a91"
HEAD = '[[users]]\nid = "u"\n[[users.accounts]]\nname = "a"\n'
SECRET_KEYS = [
    *(("ccxt", key) for key in ("api_key", "secret", "password", "private_key", "token")),
    *(("alpaca", key) for key in ("api_key", "secret")),
    *(("tradovate", key) for key in ("password", "sec")),
]


def options(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "config.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    (account,) = load(path, {}).settings.accounts
    return account.options


def refused(tmp_path: Path, text: str) -> str:
    """The sentence, after making sure that the whole traceback of it does not hold the canary either."""
    with pytest.raises(ConfigError) as raised:
        options(tmp_path, text)
    assert CANARY not in "".join(traceback.format_exception(raised.value))
    return str(raised.value).removeprefix(str(tmp_path / "config.toml"))


def test_a_paper_account_needs_nothing(tmp_path: Path) -> None:
    assert options(tmp_path, 'broker = "paper"') == {}


def test_a_paper_account_takes_every_key_of_the_contract_and_its_paths_start_at_the_file(tmp_path: Path) -> None:
    found = options(
        tmp_path,
        """
        broker = "paper"
        book = "books/positions.json"
        prices = ["BTC-USD-1m.csv", "/data/ETH-USD-1m.csv"]
        frozen = true
        latency_ms = 50
        seed = 1
        speed = 2.5
        exchange = "sim"
        faults = { reject_ioc = 1.0, lag = 0.25, none = 0 }
        """,
    )
    assert found == {
        "book": str(tmp_path / "books" / "positions.json"),
        "prices": [str(tmp_path / "BTC-USD-1m.csv"), "/data/ETH-USD-1m.csv"],
        "frozen": True,
        "latency_ms": 50.0,
        "seed": 1,
        "speed": 2.5,
        "exchange": "sim",
        "faults": {"reject_ioc": 1.0, "lag": 0.25, "none": 0.0},
    }


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("faults = { reject_ioc = 1.5 }", "faults.reject_ioc must be a number from 0 to 1"),
        ('faults = { reject_ioc = "often" }', "faults.reject_ioc must be a number"),
        ("latency_ms = -1", "latency_ms must be a number from 0"),
        ("seed = -1", "seed must be a whole number"),
        ("speed = 0", "speed must be a number above 0"),
        ("frozen = 1", "frozen must be true or false"),
        ('book = ""', "book must be text"),
        ("prices = [1]", "prices.1 must be text"),
        ('endpoint = "http://h"', "endpoint is not a known key"),
    ],
)
def test_what_a_paper_account_cannot_have_is_named_with_its_line(tmp_path: Path, line: str, part: str) -> None:
    sentence = refused(tmp_path, f'broker = "paper"\n{line}')
    assert sentence.startswith(":6: users.u.accounts.a.")
    assert part in sentence


def test_a_ccxt_account_takes_references_addresses_and_options_for_its_library(tmp_path: Path) -> None:
    found = options(
        tmp_path,
        """
        broker = "ccxt"
        exchange = "okx"
        api_key = "env:KEY"
        secret = "keyring:flatdeck/live/okx"
        password = "file:keys/okx"
        uid = 1234
        sandbox = true
        endpoint = "http://127.0.0.1:9101/"
        stream_endpoint = ""
        [users.accounts.options]
        defaultType = "swap"
        rate = 0.5
        nested = { list = [1, "b", true], apiKey = "env:OTHER" }
        """,
    )
    assert found == {
        "exchange": "okx",
        "api_key": "env:KEY",
        "secret": "keyring:flatdeck/live/okx",
        "password": f"file:{tmp_path / 'keys' / 'okx'}",
        "uid": "1234",
        "sandbox": True,
        "endpoint": "http://127.0.0.1:9101",
        "stream_endpoint": "",
        "options": {"defaultType": "swap", "rate": 0.5, "nested": {"list": [1, "b", True], "apiKey": "env:OTHER"}},
    }


def test_the_accounts_of_the_other_brokers_are_taken(tmp_path: Path) -> None:
    alpaca = 'broker = "alpaca"\npaper = true\nendpoint = "https://h"\nstream_endpoint = "wss://h:1/v2"\nfeed = "iex"'
    assert options(tmp_path, alpaca + '\nextended_hours = true\napi_key = "env:K"\nsecret = "env:S"')["paper"] is True
    tradovate = 'broker = "tradovate"\nusername = "me"\npassword = "env:P"\napp_id = "x"\ncid = 8\nsec = "env:S"'
    assert options(tmp_path, tradovate + '\ndevice_id = "d"\ndemo = true')["cid"] == "8"


@pytest.mark.parametrize(
    "value",
    [
        "ftp://h",
        "h:80",
        "http://",
        "http://h:0",
        "http://h:99999",
        "http://[::1",
        "http://h/?x=1",
        "http://h/#x",
        "http://a b",
        f"http://me:{CANARY}@h",
        f"http://h/?token={CANARY}",
        "",
    ],
)
def test_an_address_is_a_plain_base_address_and_holds_no_secret(tmp_path: Path, value: str) -> None:
    sentence = refused(tmp_path, f'broker = "alpaca"\nendpoint = "{value}"')
    assert "endpoint must be a base address like http://host:port" in sentence


# ------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(("broker", "key"), SECRET_KEYS)
@pytest.mark.parametrize(
    "value", ['"{}"', '"env:{}"', '"keyring:{}"', '"file:"', "['{}']", "{{ a = '{}' }}", '"\\u001b{}"']
)
def test_a_literal_secret_is_refused_and_never_shown(tmp_path: Path, broker: str, key: str, value: str) -> None:
    exchange = 'exchange = "okx"' if broker == "ccxt" else "# none"
    sentence = refused(tmp_path, f'broker = "{broker}"\n{exchange}\n{key} = {value.format(CANARY)}')
    assert sentence.startswith(f":7: users.u.accounts.a.{key}")
    assert "env:NAME, keyring:SERVICE/NAME or file:PATH" in sentence


@pytest.mark.parametrize(
    "line",
    [
        f'options = {{ password = "{CANARY}" }}',
        f'options = {{ headers = {{ Authorization = "{CANARY}" }} }}',
        f'options = {{ tokens = ["{CANARY}"] }}',
        f'secrt = "{CANARY}"',
        f'passphrase = "{CANARY}"',
        f'sandbox = "{CANARY}"',
        f'uid = ["{CANARY}"]',
        f'exchange = "{CANARY}\\n"',
        f'name = "{CANARY} "',
        f"secret = {CANARY}",
        f'secret = "{CANARY}',
        f'secret = "env:A" "{CANARY}"',
        f'secret = "{CANARY}"\nsecret = "{CANARY}"',
    ],
)
def test_a_secret_in_a_wrong_place_is_not_shown_either(tmp_path: Path, line: str) -> None:
    text = f'broker = "ccxt"\n{line}\n' + ("" if "exchange" in line else 'exchange = "okx"\n')
    assert CANARY not in refused(tmp_path, text.replace('name = "a"\n', ""))


def test_the_secret_of_an_option_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    sentence = refused(tmp_path, 'broker = "ccxt"\nexchange = "okx"\noptions = { password = 12345 }')
    assert "options.password must be where the secret is" in sentence
    assert "12345" not in sentence
    sentence = refused(tmp_path, 'broker = "ccxt"\nexchange = "okx"\noptions = { a = [nan] }')
    assert "options.a.1 must be text, a number" in sentence
    assert "options must be a table" in refused(tmp_path, 'broker = "ccxt"\nexchange = "okx"\noptions = 1')


def test_the_description_shows_references_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", CANARY)
    path = tmp_path / "config.toml"
    path.write_text(HEAD + 'broker = "ccxt"\nexchange = "okx"\napi_key = "env:KEY"\n')
    loaded = load(path, {"KEY": CANARY})
    assert ("users.u.accounts.a.api_key", "env:KEY", f"file {path}:7") in describe(loaded)
    assert CANARY not in repr(loaded)
    assert CANARY not in str(describe(loaded))


def test_the_seconds_that_a_fault_takes_may_be_more_than_one() -> None:
    from brokers.paper.faults import NUMBERS
    from core.config.values import FAULT_NUMBERS, InvalidValue, probabilities

    assert set(NUMBERS) == FAULT_NUMBERS
    assert probabilities({"position_lag": 1, "lag_seconds": 8}) == {"position_lag": 1.0, "lag_seconds": 8.0}
    with pytest.raises(InvalidValue):
        probabilities({"position_lag": 8})

"""Converting dust on a loopback Binance, by the command line and the real ccxt: once, and never a word too much."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.engine.clock import SystemClock
from core.records import ConversionAnswered, ConversionAsked
from tests.venues.ccxt.binance_dust import KEY, SECRET, BinanceDust
from tui.main import SystemEnvironment, cli

ACCOUNT = "ann/spot"
BALANCES = {"USDT": "25", "BNB": "0.5", "ADA": "1.5", "DOGE": "2.25", "SOL": "0.02", "OLD": "3"}
PRICES = {"BNB": "600", "ADA": "0.4", "DOGE": "0.1", "SOL": "150"}  # SOL is small, and could be sold; OLD has no market


class Impatient(SystemClock):
    """Waits for a venue's records shortly."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.15))


class Desk(SystemEnvironment):
    """The real world with an impatient clock; a person at the terminal, who may do something before answering."""

    def __init__(self, meanwhile: Callable[[], None] | None = None) -> None:
        super().__init__({**os.environ, "BINANCE_KEY": KEY, "BINANCE_SECRET": SECRET})
        self.clock = Impatient()
        self.meanwhile = meanwhile

    def interactive(self) -> bool:
        if self.meanwhile is not None:
            self.meanwhile()
        return self.meanwhile is not None


@pytest.fixture
def binance() -> Iterator[BinanceDust]:
    with BinanceDust(BALANCES, PRICES) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, binance: BinanceDust, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BINANCE_KEY", KEY)
    monkeypatch.setenv("BINANCE_SECRET", SECRET)
    path = tmp_path / "config.toml"
    path.write_text(
        f"""
[engine]
data_dir = "{tmp_path / "data"}"
[[users]]
id = "ann"
[[users.accounts]]
name = "spot"
broker = "ccxt"
exchange = "binance"
api_key = "env:BINANCE_KEY"
secret = "env:BINANCE_SECRET"
endpoint = "{binance.endpoint}"
""",
        encoding="utf-8",
    )
    return path


def call(config: Path, *args: str, world: SystemEnvironment | None = None, answer: str | None = None) -> Result:
    result = CliRunner().invoke(cli, ["--config", str(config), "dust", *args], obj=world or Desk(), input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def results(result: Result) -> dict[str, str]:
    """How each asset of the document ended."""
    return {row["asset"]: row["outcome"] for row in json.loads(result.stdout)["results"]}


def records(config: Path) -> list[Any]:
    """What the journal has of conversions."""
    world = Desk()
    loaded = world.load(str(config))
    assert loaded is not None

    async def read() -> list[Any]:
        async with world.journal_reader(loaded.settings) as reader:
            return [e.record for e in await reader.entries()]

    return [r for r in asyncio.run(read()) if isinstance(r, ConversionAsked | ConversionAnswered)]


def test_the_preview_has_what_cannot_be_sold_and_sends_nothing(binance: BinanceDust, config: Path) -> None:
    made = call(config, "--dry-run", "--json")
    assert made.exit_code == 0, made.stderr
    (account,) = json.loads(made.stdout)["accounts"]
    assert account["conversions"] == [
        {"asset": "ADA", "quantity": "1.5", "into": "BNB", "gets": "0.00098", "fee": "0.00002"},
        {"asset": "DOGE", "quantity": "2.25", "into": "BNB", "gets": "0.0003675", "fee": "0.0000075"},
        {"asset": "OLD", "quantity": "3", "into": "BNB", "gets": "0.0049", "fee": "0.0001"},
    ]
    assert "BNB" in account["way_out"]
    assert binance.sent == []
    assert not (config.parent / "data").exists()


def test_the_free_rest_of_what_an_order_sells_is_no_dust(binance: BinanceDust, config: Path) -> None:
    binance.locked = {"ADA": Decimal(98), "DOGE": Decimal("0.5")}
    (account,) = json.loads(call(config, "--dry-run", "--json").stdout)["accounts"]
    assert [c["asset"] for c in account["conversions"]] == ["DOGE", "OLD"]


def test_dust_is_converted_once_and_written_down_before_and_after(binance: BinanceDust, config: Path) -> None:
    made = call(config, "--yes", "--json")
    assert made.exit_code == 0, made.stderr
    assert results(made) == dict.fromkeys(("ADA", "DOGE", "OLD"), "converted")
    assert json.loads(made.stdout)["results"][0] == {
        "account": ACCOUNT,
        "asset": "ADA",
        "quantity": "1.5",
        "outcome": "converted",
        "gets": "0.00098",
        "fee": "0.00002",
        "error": None,
    }
    assert binance.sent == [["ADA", "DOGE", "OLD"]]
    assert binance.balances["SOL"] == Decimal("0.02")
    asked, answered = records(config)
    assert [c.asset for c in asked.conversions] == ["ADA", "DOGE", "OLD"]
    assert answered.plan == asked.plan
    again = call(config, "--yes")
    assert (again.exit_code, len(binance.sent)) == (0, 1)
    assert "no dust" in again.stdout


@pytest.mark.parametrize("fault", ["drop", "empty", "page", "late"])
def test_what_was_done_without_an_answer_is_found_and_not_sent_again(
    binance: BinanceDust, config: Path, fault: str
) -> None:
    binance.fault = fault
    made = call(config, "--yes", "--json")
    assert made.exit_code == 0, made.stderr
    assert results(made) == dict.fromkeys(("ADA", "DOGE", "OLD"), "converted")
    assert len(binance.sent) == 1


def test_what_the_venue_never_tells_stays_unknown(binance: BinanceDust, config: Path) -> None:
    binance.fault = "lost"
    made = call(config, "--yes", "--json")
    assert made.exit_code == 1
    assert results(made) == dict.fromkeys(("ADA", "DOGE", "OLD"), "unknown")
    assert all("still there" in row["error"] for row in json.loads(made.stdout)["results"])
    assert len(binance.sent) == 1
    binance.fault = ""
    again = call(config, "--yes")
    assert (again.exit_code, len(binance.sent)) == (1, 1), "so soon it could still be executed"
    assert "earlier conversion of ADA, DOGE, OLD" in again.stdout


def test_what_an_earlier_run_could_not_know_is_found_by_the_next(binance: BinanceDust, config: Path) -> None:
    binance.fault = "lost"
    call(config, "--yes")
    for asset in ("ADA", "DOGE", "OLD"):
        binance._act(asset)
    made = call(config, "--json")
    assert made.exit_code == 0, "nothing is sent, so that nothing is asked"
    assert results(made) == dict.fromkeys(("ADA", "DOGE", "OLD"), "converted")
    assert [type(r) for r in records(config)] == [ConversionAsked, ConversionAnswered, ConversionAnswered]
    assert results(call(config, "--json")) == {}


def test_a_refusal_is_one_and_has_the_venues_own_words(binance: BinanceDust, config: Path) -> None:
    binance.fault = "refuse"
    made = call(config, "--yes", "--json")
    assert made.exit_code == 1
    assert results(made) == dict.fromkeys(("ADA", "DOGE", "OLD"), "refused")
    assert "once within 1 hours" in made.stdout
    assert len(binance.sent) == 1


def test_an_answer_that_leaves_some_out_leaves_them_unknown(binance: BinanceDust, config: Path) -> None:
    binance.fault = "partial"
    made = call(config, "--yes", "--json")
    assert made.exit_code == 1
    assert results(made) == {"ADA": "converted", "DOGE": "unknown", "OLD": "unknown"}
    assert binance.balances["DOGE"] == Decimal("2.25")


def test_what_changed_while_the_person_thought_is_left_alone(binance: BinanceDust, config: Path) -> None:
    def meanwhile() -> None:
        binance.balances["ADA"] = Decimal("1.6")
        binance.balances["NEW"] = Decimal("0.5")
        binance.prices["DOGE"] = Decimal("0.08")

    made = call(config, "--json", world=Desk(meanwhile), answer="y\n")
    assert made.exit_code == 1, made.stderr
    assert binance.sent == [["OLD"]]
    assert results(made) == {"OLD": "converted", "ADA": "refused", "DOGE": "refused", "NEW": "refused"}
    assert "now it is 1.6" in made.stdout
    assert "less than was shown" in made.stdout
    assert "new since the preview" in made.stdout


def test_binance_converts_into_nothing_else(binance: BinanceDust, config: Path) -> None:
    made = call(config, "--yes", "--into", "usdt")
    assert (made.exit_code, binance.sent) == (1, [])
    assert "converts into BNB, not into USDT" in made.stdout

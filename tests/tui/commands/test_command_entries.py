"""check-entry, open, scale and reconcile as commands: what they print, ask and exit with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.journal.data_dir import Holder
from core.settings import Settings
from tests.scenarios.desk import Desk, position
from tui.main import SystemEnvironment, cli

GIVEN = {"--user": "ann", "--symbol": "ETH-USD", "--side": "buy", "--amount": "1", "--leverage": "1"}
GIVEN |= {"--stop-loss": "0.05"}


def options(**more: str | None) -> list[str]:
    """The options of a signal; None leaves one out."""
    given = {**GIVEN, **{f"--{name.replace('_', '-')}": value for name, value in more.items()}}
    return [part for name, value in given.items() if value is not None for part in (name, value)]


class Terminal(SystemEnvironment):
    """A person is there, who may do something before answering."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        super().__init__(dict(os.environ))
        self.meanwhile = meanwhile
        self.asked = 0

    def interactive(self) -> bool:
        self.asked += 1
        if self.asked == 1:
            self.meanwhile()
        return True


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    return made.account("ann", "paper", [position("BTC-USD", "4", entry="0.5")], prices={"ETH-USD": "100"})


def call(desk: Desk, *args: str, world: Terminal | None = None, answer: str | None = None) -> Result:
    result = CliRunner().invoke(
        cli, ["--config", str(desk.config), *args], obj=world or SystemEnvironment(), input=answer
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# -------------------------------------------------------------------------------------------------- check-entry


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"leverage": "126"}, "leverage"),
        ({"leverage": "0"}, "leverage"),
        ({"stop_loss": "0"}, "stop_loss"),
        ({"stop_loss": "1"}, "stop_loss"),
        ({"symbol": "BTC-USD"}, "position_exists"),
        ({"symbol": "btc-usd"}, "position_exists"),
        ({"symbol": "BTC/USD"}, "position_exists"),
        ({"symbol": "BTCUSD"}, "position_exists"),
        ({"symbol": "NOSUCH-COIN"}, "unknown_symbol"),
        ({"symbol": "eth-usd"}, "unknown_symbol"),  # the account knows ETH-USD
        ({"side": "sell"}, "not_tradable"),  # a short of spot
        ({"amount": "0.000000001"}, "below_minimum"),
    ],
)
def test_a_refusal_exits_with_1_its_code_and_a_sentence(desk: Desk, given: dict[str, str], code: str) -> None:
    result = call(desk, "check-entry", *options(**given))
    assert result.exit_code == 1
    assert result.stdout.startswith(f"Refused ({code}): ")
    made = json.loads(call(desk, "check-entry", *options(**given), "--json").stdout)
    assert (made["allowed"], made["code"], bool(made["text"])) == (False, code, True)


def test_what_is_allowed_exits_with_0(desk: Desk) -> None:
    result = call(desk, "check-entry", *options())
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Allowed.\n", "")
    made = json.loads(call(desk, "check-entry", *options(side="BUY", account="ann/paper"), "--json").stdout)
    assert (made["allowed"], made["code"], made["warnings"]) == (True, None, [])


def test_the_gate_and_open_refuse_the_same(desk: Desk) -> None:
    for given, code in (({"symbol": "NEW-USD"}, "unknown_symbol"), ({"side": "sell"}, "not_tradable")):
        asked = call(desk, "check-entry", *options(**given))
        opened = call(desk, "open", *options(**given), "--yes")
        assert (asked.exit_code, opened.exit_code) == (1, 1)
        assert f"Refused ({code})" in asked.stdout
        assert f"Refused ({code})" in opened.stderr


def test_asking_leaves_no_trace_and_is_no_signal(desk: Desk) -> None:
    before = desk.files()
    for _ in range(2):
        assert call(desk, "check-entry", *options()).exit_code == 0
    assert desk.files() == before


@pytest.mark.parametrize(
    ("command", "given", "words"),
    [
        ("check-entry", {"amount": "much"}, "'much' is not a number"),
        ("check-entry", {"leverage": "nan"}, "not a finite number"),
        ("check-entry", {"stop_loss": "5%"}, "not a number"),
        ("check-entry", {"side": "up"}, "'up' is not one of 'buy', 'sell'"),
        ("check-entry", {"user": "anne"}, "did you mean ann?"),
        ("check-entry", {"account": "ann/other"}, "There is no account 'ann/other'"),
        ("check-entry", {"amount": None}, "Missing option '--amount'"),
        ("open", {"stop_loss": None}, "Missing option '--stop-loss'"),
    ],
)
def test_what_cannot_be_understood_is_a_usage_error(
    desk: Desk, command: str, given: dict[str, Any], words: str
) -> None:
    result = call(desk, command, *options(**given))
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("more", [(), ("--in", "1", "--out", "1")])
def test_scaling_needs_one_direction(desk: Desk, more: tuple[str, ...]) -> None:
    result = call(desk, "scale", "--account", "ann/paper", "--symbol", "BTC-USD", *more)
    assert result.exit_code == 2
    assert "either --in or --out" in result.stderr


def test_with_several_accounts_one_is_to_be_named_to_open(desk: Desk) -> None:
    desk.account("ann", "other")
    desk.account("bob", "one")
    result = call(desk, "open", *options(), "--yes")
    assert result.exit_code == 2
    assert "name one with --account" in result.stderr
    result = call(desk, "open", *options(account="bob/one"), "--yes")
    assert result.exit_code == 2
    assert "Account bob/one does not belong to ann" in result.stderr


# -------------------------------------------------------------------------------------------------- confirming


def test_what_would_be_sent_is_shown_and_nothing_is_without_a_terminal(desk: Desk) -> None:
    before = desk.files()
    result = call(desk, "open", *options(leverage="3"))
    assert result.exit_code == 3
    assert "Open long: buy 1 ETH-USD on ann/paper at the market (about 100)" in result.stdout
    assert "leverage 3x, stop at about 98 (2.00 % trailing, tighter than your 5.00 %: 95)" in result.stdout
    assert "WARNING no engine is running: nothing watches this stop; start flatdeck run" in result.stdout
    assert "WARNING the leverage is not set by this program" in result.stdout
    assert "add --yes" in result.stderr
    made = json.loads(call(desk, "open", *options(), "--json").stdout)
    assert (made["confirmed"], made["order"]["quantity"], made["flatten"]) == (False, "1", None)
    assert (made["order"]["stop"], made["order"]["trailing"], made["order"]["stop_loss"]) == ("98", "0.02", "0.05")
    assert made["warnings"] == ["no engine is running: nothing watches this stop; start flatdeck run"]
    assert desk.files() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stop_loss": "0.01"}, "stop at about 99 (your 1.00 %)"),
        ({"leverage": "10"}, "WARNING with a leverage of 10x an emergency stop comes first: at about 98.5"),
    ],
)
def test_the_stop_that_will_be_in_force_is_told(desk: Desk, given: dict[str, str], said: str) -> None:
    assert said in call(desk, "open", *options(**given), "--dry-run").stdout


def test_scaling_tells_the_stop_that_stays_and_that_nobody_watches(desk: Desk) -> None:
    place = ("scale", "--account", "ann/paper", "--symbol", "BTC-USD", "--dry-run")
    for much in ("--in", "--out"):
        text = call(desk, *place, much, "2").stdout
        assert "held: 4, entry 0.5, its stop at 0.99 stays (1.00 % trailing)" in text
        assert "WARNING no engine is running" in text


def test_beside_an_engine_that_watches_nothing_is_said_of_it(desk: Desk) -> None:
    class Watched(SystemEnvironment):
        def elsewhere(self, settings: Settings) -> Holder:
            return Holder(1, "service", True)

    args = ["--config", str(desk.config), "open", *options(), "--dry-run"]
    assert "no engine is running" not in CliRunner().invoke(cli, args, obj=Watched()).stdout


def test_a_dry_run_ends_with_what_would_be_sent(desk: Desk) -> None:
    before = desk.files()
    result = call(desk, "open", *options(), "--limit", "--dry-run", "--yes")
    assert (result.exit_code, "a limit at 99.9" in result.stdout) == (0, True)
    made = json.loads(call(desk, "open", *options(), "--flatten-first", "--dry-run", "--json").stdout)
    assert (made["dry_run"], made["flatten"]["actions"]) == (True, [])
    assert desk.files() == before


@pytest.mark.parametrize(("answer", "code", "held"), [("y\n", 0, True), ("n\n", 3, False), ("\n", 3, False)])
def test_a_person_is_asked_and_only_a_yes_counts(desk: Desk, answer: str, code: int, held: bool) -> None:
    result = call(desk, "open", *options(), world=Terminal(), answer=answer)
    assert result.exit_code == code
    assert "Buy 1 eth-usd?".lower() in result.stderr.lower()
    assert (("ann/paper", "ETH-USD") in desk.held()) is held


def test_when_it_changed_meanwhile_nothing_is_sent_and_it_is_shown_again(desk: Desk) -> None:
    place = ("scale", "--account", "ann/paper", "--symbol", "BTC-USD")

    def sell() -> None:
        assert desk.call(*place, "--out", "1", "--yes").exit_code == 0

    result = call(desk, *place, "--in", "2", world=Terminal(sell), answer="y\nn\n")
    assert result.exit_code == 3
    assert "no longer what was shown" in result.stderr
    assert ["held: 4" in result.stdout, "held: 3" in result.stdout] == [True, True]
    result = call(desk, *place, "--in", "2", world=Terminal(sell), answer="y\ny\n")
    assert result.exit_code == 0
    assert "Held now: 4 long, entry 0.75." in result.stdout


def test_a_close_that_comes_first_is_shown_and_asked_for_with_it(desk: Desk) -> None:
    result = call(desk, "open", *options(symbol="BTC-USD"), "--flatten-first", world=Terminal(), answer="y\n")
    assert result.exit_code == 0
    assert "[FLATTEN][FORCED]" in result.stdout
    assert "Close what is held, verified, then buy 1 BTC-USD?" in result.stderr
    assert "Held now: 1 long, entry 1." in result.stdout


def test_taking_off_all_of_it_is_asked_about_as_a_close(desk: Desk) -> None:
    place = ("scale", "--account", "ann/paper", "--symbol", "BTC-USD", "--out", "4")
    assert call(desk, *place).exit_code == 3
    result = call(desk, *place, world=Terminal(), answer="y\n")
    assert result.exit_code == 0
    assert "That is all of the position, which is closed." in result.stderr
    assert desk.held() == set()


def test_what_cannot_be_scaled_is_refused(desk: Desk) -> None:
    result = call(desk, "scale", "--account", "ann/paper", "--symbol", "XRP-USD", "--in", "1", "--yes")
    assert result.exit_code == 1
    assert result.stderr == "Refused (no_position): ann/paper holds no XRP-USD.\n"
    result = call(desk, "scale", "--account", "ann/paper", "--symbol", "BTC-USD", "--in", "0", "--yes", "--json")
    assert json.loads(result.stdout)["code"] == "amount"


def test_an_order_that_the_venue_refuses_exits_with_1_and_its_words(desk: Desk) -> None:
    desk.account("bob", "paper", prices={"ETH-USD": "100"}, options="faults = { halted = 1.0 }")
    result = call(desk, "open", *options(user="bob"), "--yes")
    assert result.exit_code == 1
    assert "Refused by the venue." in result.stdout
    assert "halted" in result.stdout


def test_reconciling_prints_a_table_and_says_what_was_written(desk: Desk) -> None:
    result = call(desk, "reconcile", "--dry-run")
    assert result.exit_code == 1
    assert "missed  BTC-USD  ann/paper  4 long is held and was not known here" in result.stdout
    assert "Dry run: the journal was left as it is." in result.stderr
    result = call(desk, "reconcile")
    assert (result.exit_code, "The journal now says what the brokers say." in result.stderr) == (1, True)
    result = call(desk, "reconcile", "--json")
    assert (result.exit_code, json.loads(result.stdout)["updated"]) == (0, False)


def test_the_journal_tells_of_an_entry(desk: Desk) -> None:
    assert call(desk, "open", *options(), "--yes").exit_code == 0
    result = call(desk, "journal", "--kind", "entry_approved", "--kind", "opened")
    assert result.exit_code == 0
    approved, opened = result.stdout.splitlines()
    assert "entry_approved ann/paper ETH-USD" in approved
    assert "what=open" in approved
    assert "opened ann/paper ETH-USD" in opened

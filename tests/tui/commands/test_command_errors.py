"""What a command says when it ends with an error, and how it ends when its output is no longer read."""

from __future__ import annotations

from typing import Any

import click
import pytest
from msgspec import structs

from core.errors import EngineBusy, FlatdeckError, JournalError
from core.link.messages import LogRow
from tests.tui.command_world import CLOSE, NOW, PLAN, REPORT, SKIP, SNAPSHOT, TALLY, FakeWorld, call, document
from tui.commands.option_types import Way
from tui.commands.session import CommandContext


def test_a_missing_choice_is_one_sentence() -> None:
    result = call(FakeWorld(), "open", "--user", "user_123", "--symbol", "BTC-USD")
    assert result.exit_code == 2
    assert "Missing option '--side': buy or sell; see " in result.stderr
    assert "bash, zsh or fish" in call(FakeWorld(), "completion").stderr


def test_a_group_without_a_command_names_its_commands() -> None:
    result = call(FakeWorld(), "paper")
    assert result.exit_code == 2
    assert "needs to know what: example, reset; see " in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (EngineBusy("it runs"), "busy", 5),
        (FlatdeckError("refused"), "refused", 1),
        (JournalError("broken"), "refused", 1),
        (RuntimeError("x"), "unexpected", 1),
        (KeyboardInterrupt(), "interrupted", 130),
    ],
)
def test_an_error_under_json_is_the_one_document(error: BaseException, kind: str, code: int) -> None:
    result = call(FakeWorld(running=error), "flatten", "--all", "--yes", "--json")
    assert result.exit_code == code
    told = document(result)["error"]
    assert (told["kind"], told["exit_code"]) == (kind, code)
    assert told["text"] in result.stderr


@pytest.mark.parametrize("args", [["flatten", "--json"], ["--json", "flatten"], ["flatten", "--json", "--bogus"]])
def test_a_usage_error_under_json_is_the_one_document(args: list[str]) -> None:
    result = call(FakeWorld(), *args)
    assert result.exit_code == 2
    assert document(result)["error"]["kind"] == "usage"


def test_an_error_behind_the_document_adds_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> None:
        raise FlatdeckError("too late")

    monkeypatch.setattr(CommandContext, "print_note", failing)
    result = call(FakeWorld(reached=0), "status", "--json")
    assert result.exit_code == 1
    assert "accounts" in document(result)


@pytest.mark.parametrize("args", [["flatten", "--all", "--yes"], ["flatten", "--all", "--yes", "--json"]])
def test_a_reader_that_has_read_enough_does_not_change_how_the_work_ended(
    args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = click.echo

    def closed(message: Any = None, **given: Any) -> None:
        if not given.get("err") and ("Summary" in str(message) or '"results"' in str(message)):
            raise BrokenPipeError
        echo(message, **given)

    monkeypatch.setattr(click, "echo", closed)
    world = FakeWorld()
    assert call(world, *args).exit_code == 0
    assert len(world.executed) == 1


def test_a_plan_that_is_not_read_is_not_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(message: Any = None, **given: Any) -> None:
        if not given.get("err"):
            raise BrokenPipeError

    monkeypatch.setattr(click, "echo", closed)
    world = FakeWorld()
    assert call(world, "flatten", "--all", "--yes").exit_code == 1
    assert world.executed == []


def test_quiet_keeps_the_log_to_errors() -> None:
    def said(*options: str) -> str:
        return call(FakeWorld(), "flatten", "--all", "--yes", *options).stderr

    assert "[CAP_EXCEEDED][FORCED]" in said()
    assert "[CAP_EXCEEDED][FORCED]" not in said("--quiet")


def test_quiet_shows_errors_and_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    context = CommandContext(FakeWorld(), {"quiet": True})  # type: ignore[arg-type]
    for level in ("debug", "info", "warning", "error", "alarm"):
        context.print_log_row(LogRow(1, NOW, level, f"a {level} line"))
    assert [line.split()[-2] for line in capsys.readouterr().err.splitlines()] == ["error", "alarm"]


def test_no_configuration_names_where_it_was_looked_for_and_shows_the_defaults() -> None:
    result = call(FakeWorld(settings=None), "status")
    assert result.exit_code == 2
    assert "config.toml or ./config.toml" in result.stderr
    shown = call(FakeWorld(settings=None), "config")
    assert shown.exit_code == 0
    assert "cleanup.max_positions" in shown.stdout


@pytest.mark.parametrize(
    ("names", "given", "taken"),
    [
        (("buy", "sell"), "LONG", "buy"),
        (("buy", "sell"), "sell", "sell"),
        (("long", "short"), "sell", "short"),
        (("long", "short"), "long", "long"),
    ],
)
def test_a_direction_may_be_said_in_both_ways(names: tuple[str, str], given: str, taken: str) -> None:
    assert Way(*names).convert(given, None, None) == taken
    with pytest.raises(click.BadParameter, match="up"):
        Way(*names).convert("up", None, None)


def test_an_account_to_thaw_is_named_once() -> None:
    for args in ([], ["user_123/coinbase", "--account", "user_123/coinbase"]):
        assert call(FakeWorld(), "thaw", *args).exit_code == 2


@pytest.mark.parametrize(("given", "said"), [("x", "must be a whole number"), ("0", "must be a number from 1")])
def test_a_number_out_of_range_is_told_in_plain_words(given: str, said: str) -> None:
    assert said in call(FakeWorld(), "journal", "--last", given).stderr


def test_nothing_held_is_said_of_what_could_be_read() -> None:
    nothing = structs.replace(SNAPSHOT, positions=())
    assert "\n  none\n" in call(FakeWorld(snapshot=nothing), "status").stdout + "\n"
    down = structs.replace(nothing, accounts=(structs.replace(SNAPSHOT.accounts[0], state="down"),))
    assert (
        "none in what could be read (1 account could not be read whole)"
        in call(FakeWorld(snapshot=down), "status").stdout
    )


def test_a_cleanup_that_leaves_an_owner_over_the_cap_says_so() -> None:
    kept = structs.replace(SKIP, rank=9)
    plan = structs.replace(PLAN, actions=(kept, CLOSE), owners=(structs.replace(TALLY, initial=10, final=9),))
    report = structs.replace(REPORT, plan=plan)
    told = call(FakeWorld(plans=[plan], report=report), "cleanup", "--yes").stdout
    assert "Done and verified at the brokers; user_123 is still 1 over the cap." in told
    assert "over the cap" not in call(FakeWorld(), "cleanup", "--yes").stdout

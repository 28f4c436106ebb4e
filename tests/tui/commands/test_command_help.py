"""The help of commands, their examples, and what a shell completes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from core.config.load import Loaded
from tests.tui.command_world import SETTINGS, FakeWorld, call
from tui.commands.help import EXAMPLES
from tui.main import SystemEnvironment, cli


def every_command(group: click.Group = cli) -> list[click.Command]:
    found = list(group.commands.values())
    return found + [c for g in found if isinstance(g, click.Group) for c in every_command(g)]


def test_no_line_in_a_list_of_commands_is_cut() -> None:
    for args in (["--help"], ["paper", "--help"]):
        listed = call(FakeWorld(), *args).stdout.partition("Commands:")[2].splitlines()
        named = [line for line in listed if line.split()[:1] and line.split()[0] in (*EXAMPLES, "example", "reset")]
        assert named
        assert not [line for line in named if line.endswith("...")]


def test_an_example_stands_in_the_help_of_its_command() -> None:
    for name, example in EXAMPLES.items():
        command = cli.commands[name]
        assert example.split()[1] == name
        shown = " ".join(call(FakeWorld(), name, "--help").stdout.replace("\\", "").split())
        assert f"Example: {example}" in shown, command.name


@pytest.mark.parametrize("text", EXAMPLES.values())
def test_every_example_is_a_command_line_that_is_taken(text: str) -> None:
    words = shlex.split(text.partition(" > ")[0])[1:]
    command: Any = cli
    context = click.Context(cli, info_name="flatdeck", obj=FakeWorld())
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
        assert command is not None
    command.make_context(command.name, words, parent=context)


def test_help_shows_the_help_of_a_command() -> None:
    assert call(FakeWorld(), "help").stdout == call(FakeWorld(), "--help").stdout
    assert call(FakeWorld(), "help", "cleanup").stdout == call(FakeWorld(), "cleanup", "--help").stdout
    assert "Usage: cli paper reset" in call(FakeWorld(), "help", "paper", "reset").stdout
    assert call(FakeWorld(), "help", "clenup").exit_code == 2


class Remembering(FakeWorld):
    """A world whose journal knows symbols and plans."""

    def journal_reader(self, settings: Any) -> Any:
        return self

    async def __aenter__(self) -> Remembering:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def names(self, column: str, prefix: str = "", limit: int = 10) -> list[str]:
        return {"symbol": ["BTC-USD", "ETH-USD"], "plan": ["p1"]}[column]


def completed(world: object, *words: str) -> list[str]:
    found = ShellComplete(cli, {"obj": world}, "flatdeck", "_FLATDECK_COMPLETE")
    return [item.value for item in found.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("flatten", "--user", ""), ["platform", "user_123"]),
        (("flatten", "--account", "user"), ["user_123/coinbase"]),
        (("cleanup", "--account", "pl"), ["platform/coinbase"]),
        (("status", "--symbol", "B"), ["BTC-USD"]),
        (("open", "--user", "u"), ["user_123"]),
        (("scale", "--symbol", ""), ["BTC-USD", "ETH-USD"]),
        (("thaw", "u"), ["user_123/coinbase"]),
        (("journal", "--plan", ""), ["p1"]),
        (("report", ""), ["p1"]),
        (("journal", "--kind", "account_f"), ["account_frozen"]),
        (("demo", "--scenario", "cr"), ["crash"]),
    ],
)
def test_a_shell_completes_what_is_known(words: tuple[str, ...], values: list[str]) -> None:
    assert completed(Remembering(), *words) == values


def test_a_shell_completes_from_the_configuration_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text('[[users]]\nid = "eve"\n')
    world = SystemEnvironment({})
    assert completed(world, "flatten", "--config", str(tmp_path / "desk.toml"), "--user", "") == ["eve"]


def test_a_shell_gets_no_error() -> None:
    class Broken(FakeWorld):
        def load(self, path: str | None) -> Loaded | None:
            raise RuntimeError("no configuration")

    assert completed(Broken(settings=SETTINGS), "flatten", "--user", "") == []
    assert completed(FakeWorld(settings=None), "flatten", "--user", "") == []

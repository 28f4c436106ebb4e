"""Ending the engine that runs, with what that leaves unguarded; and the unit that keeps one going."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from core.journal.data_dir import Holder
from core.settings import Settings
from tests.tui.command_world import DOWN, POSITION, SNAPSHOT, FakeWorld, call, document
from tests.tui.commands.test_command_process import BOOK, CONFIG, SOURCES, finish, start
from tui.commands.service import unguarded, unit

OBEYS, DOES_NOT = "", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


class Beside(FakeWorld):
    """A world with another process in it that holds the data directory as long as it lives."""

    def __init__(self, before: str = OBEYS, mode: str = "service", **given: Any) -> None:
        super().__init__(**given)
        code = f"{before}print('up', flush=True); import time; time.sleep(60)"
        self.child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert self.child.stdout
        self.child.stdout.readline()
        self.mode = mode

    def elsewhere(self, settings: Settings) -> Holder | None:
        return Holder(self.child.pid, self.mode, True) if self.child.poll() is None else None

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0.01)

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.communicate()


def test_stopping_ends_the_service_and_says_what_is_left_unguarded() -> None:
    with Beside() as world:
        result = call(world, "stop")
        assert (result.exit_code, world.engines, world.child.wait(5)) == (0, [False], -signal.SIGTERM)
    said = f"Stopped the engine (pid {world.child.pid}). 1 position is held and no stop is watched any more.\n"
    assert result.stdout == said


def test_in_json_what_is_left_unguarded_is_named() -> None:
    with Beside() as world:
        made = document(call(world, "stop", "--json"))
    left = [{"account": "user_123/coinbase", "symbol": "BTC/USD", "leg": "net"}]
    assert made == {"stopped": True, "pid": world.child.pid, "unguarded": left}


def test_a_stop_that_rests_at_its_venue_is_said_to_rest_there() -> None:
    resting = structs.replace(POSITION, protective=Decimal(95))
    assert unguarded([POSITION, resting]).endswith("any more; 1 of them with a stop that rests at its venue.")
    assert unguarded([]) == "Nothing is held."


def test_where_no_engine_runs_there_is_nothing_to_stop() -> None:
    assert call(FakeWorld(), "stop").exit_code == 0
    assert document(call(FakeWorld(), "stop", "--json")) == {"stopped": False, "pid": None, "unguarded": []}


def test_the_engine_of_a_console_is_ended_at_the_console() -> None:
    with Beside(mode="one-shot") as world:
        result = call(world, "stop")
        assert (result.exit_code, world.child.poll()) == (1, None)
    assert f"pid {world.child.pid}" in result.stderr


def test_an_engine_that_does_not_end_is_exit_code_1() -> None:
    with Beside(DOES_NOT) as world:
        result = call(world, "stop", "--json")
    assert (result.exit_code, document(result)["stopped"]) == (1, False)
    assert "has not within 60 s" in result.stderr


def test_what_could_not_be_read_is_said() -> None:
    accounts = tuple(structs.replace(SNAPSHOT.accounts[0], id=id_, error=why) for id_, why in DOWN.items())
    with Beside(snapshot=structs.replace(SNAPSHOT, accounts=accounts)) as world:
        result = call(world, "stop")
    assert "could not be read: platform/coinbase, user_123/coinbase" in result.stderr


def config(tmp_path: Path) -> str:
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "book.json").write_text(BOOK)
    return str(tmp_path / "config.toml")


def test_a_real_service_stops_when_it_is_told_to(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(SOURCES), "FLATDECK_CONFIG": config(tmp_path)}
    running = start(env, "run")
    assert running.stderr
    while "Engine running" not in running.stderr.readline():
        assert running.poll() is None
    code, stdout, _ = finish(start(env, "stop"))
    assert (code, stdout) == (
        0,
        f"Stopped the engine (pid {running.pid}). 1 position is held and no stop is watched any more.\n",
    )
    assert finish(running)[0] == 0
    assert "No engine is running" in finish(start(env, "stop"))[1]


def test_the_unit_starts_this_program_on_this_configuration(tmp_path: Path) -> None:
    path = config(tmp_path)
    text = call(FakeWorld(), "service", "--config", path).stdout
    assert f'ExecStart="{Path(sys.argv[0]).absolute()}" run --config "{path}"\n' in text
    assert "Restart=on-failure" in text


def test_what_systemd_would_read_differently_is_escaped() -> None:
    assert '"/a/100%% \\"b\\" $$x\\\\/c.toml"' in unit("/f", '/a/100% "b" $x\\/c.toml')


def test_installing_writes_the_unit_once_and_leaves_another_alone(tmp_path: Path) -> None:
    path, world = config(tmp_path), FakeWorld()
    world.env = {"XDG_CONFIG_HOME": str(tmp_path / "etc")}
    wrote = tmp_path / "etc" / "systemd" / "user" / "flatdeck.service"
    for _ in range(2):
        result = call(world, "service", "--install", "--config", path)
        assert (result.exit_code, str(wrote) in result.stdout) == (0, True)
    assert wrote.read_text() == document(call(world, "service", "--json", "--config", path))["unit"]
    wrote.write_text("mine")
    refused = call(world, "service", "--install", "--config", path)
    assert (refused.exit_code, wrote.read_text(), len(refused.stderr.splitlines())) == (2, "mine", 1)


@pytest.mark.parametrize("args", [["service"], ["service", "--install"]])
def test_a_service_needs_a_configuration_file(args: list[str]) -> None:
    assert call(FakeWorld(), *args).exit_code == 2

"""The demo's world and its options; the console's command line."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from core.journal.data_dir import AlreadyRunning
from core.plans.request import PlanRequest
from core.settings import Settings
from tests.tui.command_world import FakeWorld, call
from tui import demo_books
from tui.commands.files import read_price_files
from tui.main import SystemEnvironment

D = Decimal


def _written(folder: Path, **more: object) -> Settings:
    made = demo_books.build(str(folder), SystemEnvironment({}).dice(3), **more)  # type: ignore[arg-type]
    for name, text in made.files.items():
        (folder / name).write_text(text)
    return made.settings


@pytest.mark.parametrize("scenario", demo_books.SCENARIOS)
def test_every_scenario_loads_and_has_the_owners_that_it_promises(tmp_path: Path, scenario: str) -> None:
    settings = _written(tmp_path, scenario=scenario)
    if scenario == "faults":  # they strike by chance, and reading is among them: that the options load is enough
        for account in settings.accounts:
            SystemEnvironment({}).broker(settings, account)
        return

    async def look() -> tuple[dict[str, int], dict[str, int], int]:
        async with SystemEnvironment({}).engine(settings, acting=False) as engine:
            plan = await engine.prepare(PlanRequest(cause="cleanup"))
            initial = {tally.id: tally.initial for tally in plan.owners}
            counted = {row.id: row.counted for row in engine.snapshot().owners}
            return initial, counted, next(tally.dust for tally in plan.owners if tally.id == "platform")

    initial, counted, dust = asyncio.run(look())
    assert (initial["platform"], dust, counted["platform"]) == (59, 45, 14)
    assert (initial["user_123"], counted["user_123"], settings.cap("user_123")) == (9, 9, 8)
    assert {"user_456", "user_789"} <= set(initial)
    assert not list(tmp_path.glob("data*"))


def test_the_same_seed_makes_the_same_world_and_another_seed_another(tmp_path: Path) -> None:
    def made(seed: int) -> demo_books.Demo:
        return demo_books.build(str(tmp_path), SystemEnvironment({}).dice(seed), seed=seed)

    assert made(1) == made(1)
    assert made(1).files != made(2).files


def test_a_replay_gives_its_symbol_a_position_at_its_prices(tmp_path: Path) -> None:
    world = SystemEnvironment({})
    (tmp_path / "with space").mkdir()
    files = [tmp_path / "with space" / "BTCUSD-1m.csv", tmp_path / "ESZ3-1m.csv"]
    for path, price in zip(files, ("41000", "4500"), strict=True):
        path.write_text(f"timestamp,price\n1767225600000,{price}\n1767225660000,{price}\n")
    settings = _written(tmp_path, replays=read_price_files([str(path) for path in files]), speed=600.0)

    async def look() -> dict[str, str]:
        async with world.engine(settings, acting=False) as engine:
            return {row.key.symbol: str(row.mark) for row in engine.snapshot().positions}

    marks = asyncio.run(look())
    assert marks["BTC-USD"] == "41000"
    assert marks["ESZ3"] == "4500"


def test_several_price_files_may_follow_one_replay(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("A-1m.csv", "B C-1m.csv", "D-1m.csv")]
    for path in files:
        Path(path).write_text("timestamp,price\n1767225600000,5\n")
    seen: list[str] = []

    class World(FakeWorld):
        def engine(self, settings, **how):  # type: ignore[no-untyped-def]
            seen.append(str(settings))
            return super().engine(settings, **how)

    world = World(terminal=True)
    result = call(world, "demo", "--replay", files[0], files[1], "--speed", "600", "--replay", files[2])
    assert result.exit_code == 0
    assert all(path in seen[0] for path in files)
    assert world.shown == [False]


@pytest.mark.parametrize(
    "args",
    [
        ["demo", "a.csv"],
        ["demo", "--replay", "missing.csv"],
        ["demo", "--scenario", "crsh"],
        ["demo", "--speed", "0"],
        ["demo", "--speed", "nan"],
        ["demo", "--seed", "x"],
        ["--read-only", "status"],
        ["--json"],
    ],
)
def test_a_demo_or_console_that_cannot_be_is_a_usage_error(args: list[str]) -> None:
    result = call(FakeWorld(terminal=True), *args)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert bool(result.stdout) == ("--json" in args)


def test_a_price_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken one.csv"
    broken.write_text("timestamp,price\n1767225600000,-5\n")
    for path in (tmp_path / "no such.csv", broken, tmp_path):
        result = call(SystemEnvironment({}), "demo", "--replay", str(path))  # type: ignore[arg-type]
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert path.name in result.stderr


def test_the_console_acts_unless_it_is_told_to_be_read_only() -> None:
    world = FakeWorld(terminal=True)
    assert call(world).exit_code == 0
    assert (world.engines, world.shown) == ([True], [False])
    world = FakeWorld(terminal=True)
    assert call(world, "--read-only").exit_code == 0
    assert (world.engines, world.shown) == ([False], [True])


def test_beside_a_running_engine_the_console_is_read_only_and_says_so() -> None:
    world = FakeWorld(terminal=True, running=AlreadyRunning(Path("data"), 4711))
    result = call(world)
    assert (result.exit_code, world.shown) == (0, [True])
    assert "4711" in result.stderr
    assert "read-only" in result.stderr


@pytest.mark.parametrize(("answer", "code", "shown"), [("y\n", 0, [False]), ("\n", 2, [])])
def test_without_a_configuration_the_console_offers_the_demo(answer: str, code: int, shown: list[bool]) -> None:
    world = FakeWorld(terminal=True, settings=None)
    result = call(world, answer=answer)
    assert (result.exit_code, world.shown) == (code, shown)
    assert "flatdeck init" in result.stderr

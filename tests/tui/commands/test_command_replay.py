"""``replay``: its JSON to the letter, its text, and one sentence for everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from core.settings import Settings
from tests.tui.command_world import FakeWorld, call, document

HEADER = "timestamp,price"
AT = 1_767_225_600_000
RISE_AND_FALL = ("100", "101", "102", "103", "102", "100.94", "100")


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    return written(tmp_path, HEADER, *(f"{AT + n * 60_000},{p}" for n, p in enumerate(RISE_AND_FALL)))


def written(folder: Path, *lines: str) -> Path:
    path = folder / "BTC-USD-1m.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def replayed(path: Path | str, *more: str, world: FakeWorld | None = None, **options: str) -> Result:
    given = {"side": "long", "entry": "100", "quantity": "2"} | options
    args = [part for name, value in given.items() for part in (f"--{name}", value)]
    return call(world or FakeWorld(settings=None), "replay", str(path), *args, *more)


def test_the_document_has_every_tick_and_the_exit(prices: Path) -> None:
    result = replayed(prices, "--json")
    assert result.exit_code == 0
    told: Any = document(result)
    assert set(told) == {"ticks", "exit"}
    assert told["exit"] == {
        "reason": "trailing_stop",
        "time": "2026-01-01T00:05:00.000Z",
        "price": "100.94",
        "index": 5,
    }
    assert len(told["ticks"]) == 6
    assert told["ticks"][3] == {
        "time": "2026-01-01T00:03:00.000Z",
        "price": "103",
        "roi": "0.03",
        "peak_roi": "0.03",
        "stop": "100.94",
        "target": "110.05775",
        "distance": "0.02",
        "factors": {"volatility": "1.0", "profit": "1.0", "momentum": "1.0", "bounds": "1.0"},
        "exit": None,
    } | {"target": told["ticks"][3]["target"]}
    assert [tick["exit"] for tick in told["ticks"]] == [None] * 5 + ["trailing_stop"]


def test_without_an_exit_it_is_null(tmp_path: Path) -> None:
    told = document(replayed(written(tmp_path, HEADER, f"{AT},100"), "--json"))
    assert told["exit"] is None
    assert told["ticks"][0]["time"] == "2026-01-01T00:00:00.000Z"


def test_a_short_with_leverage_leaves_by_its_roi(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, f"{AT},100", f"{AT + 60_000},101.6")
    told = document(replayed(path, "--json", side="short", leverage="25"))
    assert told["exit"]["reason"] == "emergency_stop_liquidation_risk"
    assert told["ticks"][1]["roi"] == "-0.4"


def test_the_configured_rules_are_taken(prices: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[exits]\ntrailing_base = ""\nstop_loss_pct = ""\nadaptive = false\ndrawdown = []\n', encoding="utf-8"
    )
    told = document(replayed(prices, "--json", "--config", str(path)))
    assert told["exit"] is None
    assert {tick["stop"] for tick in told["ticks"]} == {None}
    assert {tick["distance"] for tick in told["ticks"]} == {None}
    assert {tick["target"] for tick in told["ticks"]} == {"110"}


def test_the_exits_of_an_account_and_of_the_files_symbol_are_taken(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        """[exits.symbols."BTC/USD"]
take_profit_pct = "0.2"
[[users]]
id = "ann"
[[users.accounts]]
name = "a"
broker = "paper"
[users.accounts.exits]
stop_loss_pct = "0.5"
trailing_base = ""
""",
        encoding="utf-8",
    )
    path = tmp_path / "BTC-USD-1m.csv"
    path.write_text(f"{HEADER}\n{AT},100\n", encoding="utf-8")

    def levels(*more: str) -> tuple[str, str]:
        (tick,) = document(replayed(path, "--json", "--config", str(config), *more))["ticks"]
        return tick["stop"], tick["target"]

    assert levels() == ("98", "120")
    assert levels("--symbol", "ETH/USD") == ("98", "110")
    assert levels("--account", "ann/a") == ("50", "120")
    unknown = replayed(path, "--account", "ann/b", "--config", str(config))
    assert unknown.exit_code == 2
    assert "did you mean ann/a?" in unknown.stderr


def test_without_a_configuration_the_defaults_hold(prices: Path) -> None:
    without = document(replayed(prices, "--json"))
    assert without == document(replayed(prices, "--json", world=FakeWorld(settings=Settings())))


def test_the_text_tells_ratchets_and_the_exit_and_draws_them(prices: Path) -> None:
    result = replayed(prices)
    assert result.exit_code == 0
    assert "stop follows" in result.stdout
    assert "EXIT trailing_stop" in result.stdout
    assert (
        "Exit trailing_stop at tick 5, 2026-01-01T00:05:00.000Z, price 100.94: 1.88 on 2, roi 0.94%." in result.stdout
    )
    plot = [line for line in result.stdout.splitlines() if line[3:5] == " |"]
    assert len(plot) == 16
    assert {mark for line in plot for mark in line[5:]} >= {"*", "_", "X"}
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if " | " in line)


def test_a_long_walk_is_told_in_a_few_lines_and_fits_the_width(tmp_path: Path) -> None:
    rows = [f"{AT + n * 60_000},{10_000 + n}" for n in range(300)]
    result = replayed(written(tmp_path, HEADER, *rows), entry="10000")
    assert " more" in result.stdout
    assert len(result.stdout.splitlines()) < 45
    assert "No exit in 300 ticks" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines() if " | " in line) <= 80


def test_a_single_flat_tick_can_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[exits]\ntrailing_base = ""\nstop_loss_pct = ""\ntake_profit_pct = ""\n', encoding="utf-8")
    result = replayed(written(tmp_path, HEADER, f"{AT},100"), "--config", str(path))
    assert result.exit_code == 0
    assert "No exit in 1 ticks" in result.stdout


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "header"),
        (["time,value", "0,1"], "header"),
        ([HEADER], "no price"),
        ([HEADER, f"{AT},abc"], "line 2"),
        ([HEADER, f"{AT},0"], "more than 0"),
        ([HEADER, f"{AT},-1"], "more than 0"),
        ([HEADER, f"{AT},NaN"], "line 2"),
        ([HEADER, f"{AT},1e300"], "line 2"),
        ([HEADER, f"{AT},1", "x,2"], "line 3"),
        ([HEADER, "1e30,1"], "milliseconds"),
        ([HEADER, "-5,1"], "milliseconds"),
        (["timestamp,open,high,low,close", f"{AT},1,2,,1"], "low is empty"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, lines: list[str], says: str) -> None:
    one_sentence(replayed(written(tmp_path, *lines)), says)


def test_a_file_that_is_not_there_or_no_text_is_one_sentence(tmp_path: Path) -> None:
    one_sentence(replayed(tmp_path / "nowhere.csv"), "cannot be read")
    one_sentence(replayed(tmp_path), "cannot be read")
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    one_sentence(replayed(binary), "cannot be read")
    binary.write_bytes(b"timestamp,price\n1767225600000,1\r2\n" + b"9" * 200_000)
    one_sentence(replayed(binary), "x.csv")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("side", "both"),
        ("entry", "0"),
        ("entry", "-1"),
        ("entry", "nan"),
        ("entry", "ten"),
        ("quantity", "0"),
        ("leverage", "0.5"),
        ("leverage", "126"),
        ("fee-rate", "-0.1"),
    ],
)
def test_a_bad_option_is_one_sentence(prices: Path, option: str, value: str) -> None:
    one_sentence(replayed(prices, **{option: value}), option)


def test_what_is_required_is_asked_for(prices: Path) -> None:
    one_sentence(call(FakeWorld(), "replay", str(prices), "--side", "long"), "--entry")


def one_sentence(result: Result, says: str) -> None:
    assert result.exit_code == 2
    assert not result.stdout
    assert len(result.stderr.strip().splitlines()) == 1
    assert says in result.stderr

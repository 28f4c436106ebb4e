"""Bad input gets one clear sentence with the way out, the right exit code, and nothing is changed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.desk import Desk, position

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small(desk: Desk) -> Desk:
    """One account with one position."""
    return desk.account("user_1", "coinbase", [position("A-USD", "5")])


def refused(desk: Desk, *args: str, code: int = 2) -> str:
    """The one sentence of a command that must fail without changing anything."""
    before = desk.files()
    result = desk.call(*args)
    assert result.exit_code == code, result.output
    assert desk.files() == before
    assert "Traceback" not in result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_missing_configuration_file(small: Desk) -> None:
    assert "nowhere.toml" in refused(small, "--config", str(small.path / "nowhere.toml"), "status")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("dust_usd = [", "config.toml"),
        ('dust_usdd = "1"', "dust_usd"),
        ('dust_usd = "-1"', "dust_usd"),
        ('cancel_if = "foo<1"', "foo<1"),
        ('max_positions = "many"', "max_positions"),
        ('cancel_open_orders = "sometimes"', "cancel_open_orders"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(small: Desk, line: str, named: str) -> None:
    small.head += f"[cleanup]\n{line}\n"
    small.write()
    sentence = refused(small, "status")
    assert named in sentence
    assert "config.toml" in sentence


def test_an_unknown_broker_is_named_with_the_nearest(small: Desk) -> None:
    small.config.write_text(small.config.read_text().replace('"paper"', '"papper"'))
    assert "paper" in refused(small, "status")


def test_a_literal_secret_is_refused_and_never_repeated(small: Desk) -> None:
    text = '\n[[users.accounts]]\nname = "x"\nbroker = "ccxt"\nexchange = "kraken"\napi_key = "CANARY-1234"\n'
    small.config.write_text(small.config.read_text() + text)
    sentence = refused(small, "status")
    assert "api_key" in sentence
    assert "CANARY" not in sentence


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["cleanup", "--cancel-if", "foo<1", "--yes"], "foo<1"),
        (["cleanup", "--dust", "-1", "--yes"], "--dust"),
        (["cleanup", "--max-positions", "-2", "--yes"], "--max-positions"),
        (["flatten", "--yes"], "--all"),
        (["flatten", "--user", "user_2", "--yes"], "user_1"),
        (["flatten", "--account", "user_1/coinbas", "--yes"], "user_1/coinbase"),
        (["clenup"], "clenup"),
        (["demo", "--replay", "nowhere.csv"], "nowhere.csv"),
        (["journal", "--since", "yesterday-ish"], "--since"),
    ],
)
def test_a_wrong_option_is_quoted(small: Desk, args: list[str], named: str) -> None:
    assert named in refused(small, *args)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"positions": [{"symbol": "A-USD"}]}', '{"positions": [{"symbol": 1}]}', '{"postions": []}'],
)
def test_a_corrupt_positions_file_is_named(small: Desk, text: str) -> None:
    (small.path / "user_1-coinbase.json").write_text(text)
    assert "user_1-coinbase.json" in refused(small, "cleanup", "--yes")


def test_without_a_terminal_and_without_yes_nothing_is_done(small: Desk) -> None:
    before = small.files()
    result = small.call("flatten", "--all")
    assert result.exit_code == 3
    assert "--yes" in result.stderr
    assert small.files() == before


def test_a_data_directory_that_cannot_be_made_is_named(small: Desk) -> None:
    (small.path / "data").write_text("in the way")
    assert "data" in refused(small, "flatten", "--all", "--yes")


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A file system of its own at ``place``; skips where this machine does not allow that."""
    place.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_sends_nothing(small: Desk) -> None:
    with mounted(small.path / "data", "size=16k,mode=700"):
        result = small.call("flatten", "--all", "--yes")
        assert result.exit_code in (1, 2)
        assert "Traceback" not in result.output
        assert "data" in result.stderr
    assert small.held() == {("user_1/coinbase", "A-USD")}


def test_a_read_only_data_directory_refuses_to_act_and_still_shows_the_status(small: Desk) -> None:
    with mounted(small.path / "data", "ro,mode=700"):
        assert "data" in refused(small, "flatten", "--all", "--yes")
        assert small.call("status").exit_code == 0
    assert small.held() == {("user_1/coinbase", "A-USD")}


def test_status_and_help_start_without_the_console(small: Desk, tmp_path: Path) -> None:
    code = "import sys; from tui.main import main\ntry: main()\nfinally: assert 'textual' not in sys.modules"
    for args in (["--help"], ["--version"], ["--config", str(small.config), "status", "--json"]):
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------ a damaged journal


@pytest.fixture
def journal(small: Desk) -> Path:
    """The journal's file after a run that ended well."""
    small.document("cancel-orders", "--all", "--yes")
    (path,) = small.path.rglob("journal.db")
    return path


@pytest.mark.parametrize("damage", ["cut", "garbage", "newer", "stranger"])
def test_a_damaged_journal_does_not_blind(small: Desk, journal: Path, damage: str) -> None:
    held = small.held()
    content = journal.read_bytes()
    if damage == "newer":
        with sqlite3.connect(journal) as data:
            data.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    else:
        journal.write_bytes({"cut": content[:2000], "garbage": b"\0" * len(content), "stranger": b"x" * 5000}[damage])
    made = small.document("status")
    assert {(p["account"], p["symbol"]) for p in made["positions"]} == held != set()
    assert "journal" in made["engine"]["alarm"]
    assert "stops, frozen accounts and interrupted plans are not known" in made["engine"]["alarm"]
    dry = small.call("flatten", "--all", "--dry-run")
    assert (dry.exit_code, "are not known" in dry.stderr) == (0, True)
    acted = small.call("flatten", "--all", "--yes")
    assert acted.exit_code == 1
    assert "journal" in acted.stderr
    assert small.held() == held


def test_a_write_ahead_log_that_is_gone_is_noticed(small: Desk, journal: Path) -> None:
    path = small.path / "killed.py"
    path.write_text(
        "import asyncio, os, pathlib, sys\n"
        "from core.engine.clock import SystemClock, system_ids\n"
        "from core.journal.journal import Journal\n"
        "async def main():\n"
        "    await Journal.open(pathlib.Path(sys.argv[1]), SystemClock(), system_ids())\n"
        "    os._exit(9)\n"
        "asyncio.run(main())\n",
        encoding="utf-8",
    )
    subprocess.run(
        [sys.executable, str(path), str(journal)], cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": "."}
    )
    log = journal.with_name("journal.db-wal")
    assert log.stat().st_size > 0
    assert small.document("status")["engine"]["alarm"] is None, "killed, and nothing is lost"
    log.write_bytes(b"")
    assert "newest records are lost" in small.document("status")["engine"]["alarm"]
    acted = small.call("cancel-orders", "--all", "--yes")
    assert "newest records are lost" in acted.stderr
    assert small.document("status")["engine"]["alarm"] is None, "said once: that run closed the journal"

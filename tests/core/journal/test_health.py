"""What a check says of a journal: damage in its middle, a newer schema, a lost log, a full disk, a closed directory."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engine.clock import SystemClock, system_ids
from core.journal import health
from core.journal.data_dir import DataDir
from core.journal.health import check_journal
from core.journal.journal import Journal
from core.records import Logged


@pytest.fixture
async def directory(tmp_path: Path) -> DataDir:
    """A directory with a journal of a thousand lines."""
    made = DataDir(tmp_path / "data")
    made.prepare()
    journal = await Journal.open(made.journal, SystemClock(), system_ids())
    await journal.append(*(Logged("info", f"line {n} " + "x" * 100) for n in range(1000)))
    await journal.aclose()
    return made


async def test_a_sound_journal_is_fine_and_nothing_is_written(directory: DataDir) -> None:
    before = {p: p.stat().st_mtime_ns for p in directory.path.iterdir()}
    found = await check_journal(directory)
    assert (found.ok, "can be read and written" in found.text) == (True, True)
    assert {p: p.stat().st_mtime_ns for p in directory.path.iterdir()} == before


async def test_it_can_be_checked_beside_an_engine_that_writes(directory: DataDir) -> None:
    journal = await Journal.open(directory.journal, SystemClock(), system_ids())
    await journal.append(Logged("info", "at work"))
    assert (await check_journal(directory)).ok
    await journal.aclose()


def _torn(directory: DataDir) -> None:
    with directory.journal.open("r+b") as file:
        file.seek(directory.journal.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)


def _execute(directory: DataDir, sql: str) -> None:
    connection = sqlite3.connect(directory.journal)
    connection.execute(sql)
    connection.commit()
    connection.close()


def _newer(directory: DataDir) -> None:
    _execute(directory, "UPDATE meta SET value = '99' WHERE key = 'schema'")


def _lost(directory: DataDir) -> None:
    directory.journal.with_name("journal.db-open").touch()


def _strange(directory: DataDir) -> None:
    _execute(directory, "INSERT INTO guards VALUES ('[]', '{}')")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_torn, "is damaged"),
        (_newer, "was written by a newer flatdeck"),
        (_lost, "write-ahead log is gone"),
        (_strange, "a stop in the journal cannot be read"),
    ],
)
async def test_what_is_wrong_with_it_is_said(directory: DataDir, harm: Callable[[DataDir], None], said: str) -> None:
    harm(directory)
    found = await check_journal(directory)
    assert found.ok is False
    assert said in found.text


async def test_a_disk_without_room_is_said(directory: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Any = shutil.disk_usage(directory.path)._replace(free=3 * 1024**2)
    monkeypatch.setattr(health.shutil, "disk_usage", lambda _path: usage)
    found = await check_journal(directory)
    assert (found.ok, "only 3 MB left" in found.text) == (False, True)


async def test_a_directory_that_cannot_be_written_is_said(directory: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != directory.journal)
    found = await check_journal(directory)
    assert (found.ok, "journal.db cannot be written" in found.text) == (False, True)

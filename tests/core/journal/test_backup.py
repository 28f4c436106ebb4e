"""A copy of the journal that is taken while the journal is in use."""

# ruff: noqa: ASYNC240 - a test may block its loop

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from core.engine.clock import SystemClock, system_ids
from core.errors import JournalError
from core.journal.backup import back_up
from core.journal.journal import Journal
from core.records import Logged


async def written(path: Path, lines: int) -> Journal:
    journal = await Journal.open(path, SystemClock(), system_ids())
    await journal.append(*(Logged("info", f"line {n}") for n in range(lines)))
    return journal


async def test_a_copy_of_an_open_journal_has_every_record_and_is_private(tmp_path: Path) -> None:
    journal = await written(tmp_path / "journal.db", 5)
    assert back_up(tmp_path / "journal.db", tmp_path / "copy.db") == 5
    await journal.append(Logged("info", "later"))
    view = await Journal.open_readonly(tmp_path / "copy.db")
    assert [entry.record.text for entry in await view.entries()] == [f"line {n}" for n in range(5)]  # type: ignore[union-attr]
    assert view.epoch == journal.epoch
    await journal.aclose()
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db", "journal.db"]


async def test_a_copy_can_be_opened_as_a_journal(tmp_path: Path) -> None:
    await (await written(tmp_path / "journal.db", 1)).aclose()
    back_up(tmp_path / "journal.db", tmp_path / "copy.db")
    await (await written(tmp_path / "copy.db", 1)).aclose()
    view = await Journal.open_readonly(tmp_path / "copy.db")
    assert len(await view.entries()) == 2


async def test_a_damaged_journal_gives_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await (await written(path, 2000)).aclose()
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\x5a" * 4096
    path.write_bytes(bytes(data))
    with pytest.raises(JournalError, match="is damaged"):
        back_up(path, tmp_path / "copy.db")
    assert [p.name for p in tmp_path.iterdir()] == ["journal.db"]


def test_a_missing_journal_and_a_file_that_is_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        back_up(tmp_path / "journal.db", tmp_path / "copy.db")
    (tmp_path / "journal.db").touch()
    (tmp_path / "copy.db").touch()
    with pytest.raises(JournalError, match="is there already"):
        back_up(tmp_path / "journal.db", tmp_path / "copy.db")

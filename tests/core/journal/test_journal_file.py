"""The journal in a file: what survives a kill, a full disk and a process that never said goodbye."""

# ruff: noqa: ASYNC220, ASYNC240 - a test may block its loop

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.engine.clock import SystemClock, system_ids
from core.errors import JournalError
from core.journal.journal import Journal, JournalView
from core.journal.sqlite import AioDatabase, ReadonlyDatabase
from core.records import AccountFrozen, Entry, Logged

PRELUDE = """
import asyncio, os, resource, signal, sys, time
from pathlib import Path
from core.engine.clock import SystemClock, system_ids
from core.errors import JournalError
from core.journal.journal import Journal
from core.records import Logged
path = Path(sys.argv[1])
def opened():
    return Journal.open(path, SystemClock(), system_ids())
"""
APPENDING = """
async def main():
    journal = await opened()
    async def many(name):
        for n in range(10_000):
            await journal.append(Logged("info", f"{name}{n} one"), Logged("info", f"{name}{n} two"))
            print(f"{name}{n}", flush=True)
    await asyncio.gather(many("a"), many("b"), many("c"))
asyncio.run(main())
"""
DYING = """
async def main():
    journal = await opened()
    await journal.append(*(Logged("info", str(n)) for n in range(100)))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
UNCLOSED = """
kept = []
async def main():
    journal = await opened()
    await journal.append(Logged("info", "kept"))
    if sys.argv[2] != "forgotten":
        journal.note(Logged("info", "lost"))
    if sys.argv[2] == "held":
        kept.append(journal)
    if sys.argv[2] == "busy":
        asyncio.create_task(journal.append(*[Logged("info", "half")] * 50_000))
        await asyncio.sleep(0.02)
    if sys.argv[2] == "raising":
        sys.exit(3)
asyncio.run(main())
if sys.argv[2] != "busy":
    time.sleep(0.1)  # for whatever the connection's thread still has to say
"""
FILLING = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    journal = await opened()
    await journal.append(Logged("info", "before"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name(path.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, hard))
    big = [Logged("info", "x" * 20_000) for _ in range(10)]
    results = await asyncio.gather(*(journal.append(*big) for _ in range(3)), return_exceptions=True)
    assert all(type(r) is JournalError for r in results), results
    print(journal.error)
    assert [e.record.text for e in await journal.entries()] == ["before"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await journal.append(Logged("info", "after"))
    assert journal.error is None
    await journal.aclose()
asyncio.run(main())
"""


def run(code: str, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(path), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def opened(path: Path) -> Journal:
    return await Journal.open(path, SystemClock(), system_ids())


async def written(path: Path, *texts: str) -> None:
    """A journal with these lines, closed."""
    journal = await opened(path)
    await journal.append(*(Logged("info", text) for text in texts))
    await journal.aclose()


async def everything(journal: JournalView) -> list[str]:
    found: list[Entry] = []
    while page := await journal.entries(after=found[-1].seq if found else 0):
        found += page
    return [e.record.text for e in found if isinstance(e.record, Logged)]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(directory: Path) -> dict[str, str]:
    """Name and hash of every file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


# ------------------------------------------------------------------------------------------------- durability


async def test_every_acknowledged_record_is_there_after_a_kill_and_every_append_is_whole(path: Path) -> None:
    command = [sys.executable, "-c", PRELUDE + APPENDING, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.read().split("\n")[:-1]
    journal = await opened(path)
    found = await everything(journal)
    await journal.aclose()
    assert set(found) >= {f"{name} {part}" for name in acknowledged for part in ("one", "two")}
    assert [t.removesuffix(" one") for t in found[::2]] == [t.removesuffix(" two") for t in found[1::2]]


async def test_the_write_ahead_log_and_full_synchronisation_are_on(path: Path) -> None:
    database = await AioDatabase.open(path)
    assert await database.query("PRAGMA journal_mode") == [("wal",)]
    assert await database.query("PRAGMA synchronous") == [(2,)]
    await database.aclose()


async def test_a_place_where_durability_cannot_be_had_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda _, **options: connect(":memory:", **options))  # it has no such log
    with pytest.raises(JournalError, match=r"cannot be written durably there \(journal_mode=memory, synchronous=2\)"):
        await AioDatabase.open(path)


async def test_a_transaction_whose_caller_was_cancelled_is_whole(path: Path) -> None:
    database = await AioDatabase.open(path)
    await database.commit([("CREATE TABLE t (x)", [()])])
    for n in range(50):
        call = asyncio.create_task(database.commit([("INSERT INTO t VALUES (?)", [(n,)] * 100)]))
        await asyncio.sleep(0 if n % 2 else 0.0003)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await database.commit([("INSERT INTO t VALUES (?)", [(-1,)])])
    counts = await database.query("SELECT count(*) FROM t WHERE x >= 0 GROUP BY x")
    assert set(counts) <= {(100,)}
    await database.aclose()


async def test_a_transaction_that_fails_in_the_middle_leaves_nothing(path: Path) -> None:
    database = await AioDatabase.open(path)
    await database.commit([("CREATE TABLE t (x UNIQUE)", [()])])
    with pytest.raises(JournalError, match="cannot be used: UNIQUE"):
        await database.commit([("INSERT INTO t VALUES (?)", [(1,), (2,)]), ("INSERT INTO t VALUES (?)", [(3,), (1,)])])
    assert await database.query("SELECT * FROM t") == []
    await database.aclose()
    await database.aclose()
    with pytest.raises(JournalError, match="is closed"):
        await database.query("SELECT * FROM t")
    with pytest.raises(JournalError, match="is closed"):
        await database.commit([])


def test_a_full_disk_fails_every_waiter_keeps_nothing_half_and_is_overcome(path: Path) -> None:
    result = run(FILLING, path)
    assert result.stderr == ""
    assert result.stdout.startswith(f"journal {path} cannot be ")
    assert "disk" in result.stdout
    assert asyncio.run(everything(view_of(path))) == ["before", "after"]


def view_of(path: Path) -> JournalView:
    return JournalView(ReadonlyDatabase(path), "")


async def test_a_full_database_is_told_as_a_full_disk(path: Path) -> None:
    journal = await opened(path)
    database = journal._database
    pages = (await database.query("PRAGMA page_count"))[0][0]
    await database.query(f"PRAGMA max_page_count={pages}")
    with pytest.raises(JournalError, match="cannot be written because the disk is full; free some space"):
        await journal.append(*(Logged("info", "x" * 5000) for _ in range(10)))
    assert await journal.entries() == []
    await journal.aclose()


@pytest.mark.parametrize("how", ["forgotten", "dropped", "held", "busy", "raising"])
def test_a_process_that_never_closed_the_journal_ends_promptly_and_quietly(path: Path, how: str) -> None:
    result = run(UNCLOSED, path, how)
    assert (result.returncode, result.stderr) == (3 if how == "raising" else 0, "")
    assert asyncio.run(everything(view_of(path)))[0] == "kept"


# ------------------------------------------------------------------------------------------------- permissions


async def test_only_the_owner_can_read_the_files(path: Path) -> None:
    before = os.umask(0)
    try:
        journal = await opened(path)
        await journal.append(Logged("info", "x"))
        assert {mode(file) for file in path.parent.iterdir()} == {0o600}
        assert len(list(path.parent.iterdir())) == 4
        await journal.aclose()
        path.chmod(0o644)
        await (await opened(path)).aclose()
    finally:
        os.umask(before)
    assert mode(path) == 0o600


async def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="cannot be opened for writing"):
        await opened(path)
    assert not (tmp_path / "elsewhere").exists()


async def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"No such file or directory; .* set \[engine\] data_dir"):
        await opened(tmp_path / "none" / "journal.db")


# ----------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("bytes_", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_damaged_journal_is_named_with_the_way_out(path: Path, bytes_: bytes) -> None:
    path.write_bytes(bytes_)
    for opening in (opened(path), Journal.open_readonly(path)):
        with pytest.raises(JournalError, match=r"journal\.db is damaged .*move the file and its -wal and -shm away"):
            await opening
    assert path.read_bytes() == bytes_


async def test_damage_found_while_reading_is_told_in_the_same_words(path: Path) -> None:
    await written(path, *("x" * 500 for _ in range(100)))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    with pytest.raises(JournalError, match="is damaged"):
        await everything(await Journal.open_readonly(path))


async def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (x)")
    other.close()
    for opening in (opened(path), Journal.open_readonly(path)):
        with pytest.raises(JournalError, match="is not a journal of flatdeck"):
            await opening


async def test_a_program_that_holds_the_file_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await written(path, "one")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **options: connect(*a, **options, timeout=0.01))
    with pytest.raises(JournalError, match="is held by another program"):
        await opened(path)
    other.close()


# ---------------------------------------------------------------------------------------------- reading only


async def test_a_view_of_a_closed_journal_leaves_the_directory_as_it_was(path: Path) -> None:
    await written(path, "one", "two")
    before = contents(path.parent)
    path.parent.chmod(0o500)
    view = await Journal.open_readonly(path)
    assert await everything(view) == ["one", "two"]
    assert len(view.epoch) == 4
    await view.aclose()
    assert contents(path.parent) == before
    assert set(before) == {"journal.db"}


async def test_a_view_of_a_journal_whose_engine_was_killed_sees_all_and_makes_no_file(path: Path) -> None:
    assert run(DYING, path).returncode == -signal.SIGKILL
    before = contents(path.parent)
    assert set(before) == {"journal.db", "journal.db-open", "journal.db-shm", "journal.db-wal"}
    path.parent.chmod(0o500)
    assert len(await everything(await Journal.open_readonly(path))) == 100
    after = contents(path.parent)
    assert {**after, "journal.db-shm": ""} == {**before, "journal.db-shm": ""}  # of shared memory only the index moves


async def test_a_view_of_a_copy_without_shared_memory_sees_all_and_changes_nothing(path: Path) -> None:
    run(DYING, path)
    path.with_name("journal.db-shm").unlink()
    before = contents(path.parent)
    assert len(await everything(await Journal.open_readonly(path))) == 100
    assert contents(path.parent) == before


async def test_a_view_follows_a_journal_that_is_being_written_and_outlives_it(path: Path) -> None:
    view = await Journal.open_readonly(path)
    assert view.epoch == ""
    assert await everything(view) == []
    assert not path.exists()
    journal = await opened(path)
    await journal.append(Logged("info", "one"))
    assert await everything(view) == ["one"]
    await journal.append(Logged("info", "two"), AccountFrozen("a", "why"))
    assert await everything(view) == ["one", "two"]
    await journal.aclose()
    assert await everything(view) == ["one", "two"]
    assert await view.frozen() == {"a": "why"}


async def test_a_view_of_an_empty_file_is_empty(path: Path) -> None:
    path.touch()
    view = await Journal.open_readonly(path)
    assert await view.entries() == []
    assert await view.open_plans() == []
    assert await view.frozen() == {}
    assert not await view.knows("fd1")
    assert path.stat().st_size == 0


async def test_nothing_can_be_written_through_a_view(path: Path) -> None:
    await written(path, "one")
    with pytest.raises(JournalError, match="is open for reading only"):
        await ReadonlyDatabase(path).commit([("DELETE FROM journal", [()])])
    with pytest.raises(JournalError, match="make the file and its directory writable"):
        await ReadonlyDatabase(path).query("DELETE FROM journal")


async def test_a_path_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be read: File name too long"):
        await Journal.open_readonly(tmp_path / ("x" * 300))

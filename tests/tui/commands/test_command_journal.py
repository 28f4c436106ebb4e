"""``journal``: which records it prints, the times that it understands, and the names that it refuses."""

from __future__ import annotations

import asyncio
import csv
import json
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from core.engine.clock import SystemClock, system_ids
from core.journal.journal import Journal
from core.model import Fill, OrderRequest, OrderSide, PositionKey
from core.plans.results import ResultRow
from core.records import AccountFrozen, ClosingEnded, Entry, FillRecorded, IntentWritten, Logged, ProfitPending, Record
from tests.tui.command_world import NOW, FakeWorld, call, document
from tui.commands.moments import moment_of

SHIB = PositionKey("user_123/coinbase", "SHIB-USD")
BTC = PositionKey("platform/coinbase", "BTC/USD")
REQUEST = OrderRequest(SHIB.account, SHIB.symbol, OrderSide.SELL, Decimal(5), "fd1")
FILL = Fill(SHIB.account, SHIB.symbol, "t1", "o1", OrderSide.SELL, Decimal(5), Decimal(1), "fd1")
RECORDS: tuple[Record, ...] = (
    Logged("info", "[DUST][FORCED] SHIB-USD", "user_123/coinbase", "user_123", "SHIB-USD"),
    AccountFrozen("a/b", "a foreign \x1b[31m epoch"),
    ProfitPending("p1aa", SHIB),
    IntentWritten("p1aa", SHIB, "fd1", 0, 1, None, REQUEST, Decimal(5), NOW),
    FillRecorded(FILL),
    ClosingEnded("p1aa", ResultRow(SHIB, "close", "closed")),
    ProfitPending("p1ab", BTC),
)
HOURS_AGO = (30, 26, 3, 3, 3, 3, 0)  # NOW is 02:14 of 1 March
TIMED = zip(HOURS_AGO, RECORDS, strict=True)
ENTRIES = tuple(Entry(n, NOW - timedelta(hours=hours), r) for n, (hours, r) in enumerate(TIMED, 1))


def found(*args: str) -> list[int]:
    """The sequence numbers of the records that a call prints."""
    return [entry["seq"] for entry in document(call(FakeWorld(found=ENTRIES), "journal", "--json", *args))["entries"]]


def test_the_journal_is_read_as_lines_and_as_a_document() -> None:
    lines = call(FakeWorld(found=ENTRIES), "journal").stdout.splitlines()
    assert len(lines) == len(ENTRIES)
    assert "[DUST][FORCED] SHIB-USD" in lines[0]
    assert "\x1b" not in lines[1]
    assert found() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("args", "numbers"),
    [
        (["--symbol", "SHIB-USD"], [1, 3, 4, 5, 6]),
        (["--symbol", "SHIB-USD", "--symbol", "BTC/USD", "--kind", "profit_pending"], [3, 7]),
        (["--account", "platform/coinbase"], [7]),
        (["--account", "a/b"], [2]),
        (["--user", "user_123"], [1, 3, 4, 5, 6]),
        (["--user", "a", "--user", "platform"], [2, 7]),
        (["--plan", "p1aa"], [3, 4, 5, 6]),
        (["--plan", "p1ab"], [7]),
        (["--kind", "log"], [1]),
        (["--last", "2"], [6, 7]),
        (["--last", "2", "--symbol", "SHIB-USD"], [5, 6]),
        (["--since", "4h"], [3, 4, 5, 6, 7]),
        (["--since", "yesterday"], [2, 3, 4, 5, 6, 7]),
        (["--since", "yesterday", "--until", "yesterday"], [2, 3, 4, 5, 6]),
        (["--since", "2026-02-28", "--until", "2026-02-28T22:00"], [2]),
        (["--until", "2026-02-27"], [1]),
        (["--symbol", "SHIB-USD", "--until", "1d"], [1]),
    ],
)
def test_options_narrow_the_journal(args: list[str], numbers: list[int]) -> None:
    assert found(*args) == numbers


def test_a_range_is_told_in_utc() -> None:
    result = call(FakeWorld(found=ENTRIES), "journal", "--since", "yesterday", "--until", "01:00")
    assert result.stderr == "Entries since 2026-02-28T00:00:00.000Z until 2026-03-01T01:00:00.000Z (UTC).\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--kind", "lgo"], "known: plan_approved"),
        (["--since", "soon"], "write how long ago (90s, 30m, 2h, 1h30m, 3d, 1w), a day (today, yesterday"),
        (["--since", "999999999d"], "longer ago than there are dates"),
        (["--symbol", "shib/usd"], "did you mean SHIB-USD?"),
        (["--symbol", "SHIB"], "did you mean SHIB-USD?"),
        (["--symbol", "XYZ"], "known: BTC/USD, SHIB-USD"),
        (["--user", "user_124"], "did you mean user_123?"),
        (["--account", "user_123/coinbas"], "did you mean user_123/coinbase?"),
        (["--plan", "p2"], "no plan 'p2'"),
        (["--plan", "p1"], "p1aa, p1ab"),
        (["--since", "1h", "--until", "2h"], "--until is before --since"),
        (["--follow", "--until", "today"], "give one of the two"),
        (["--last", "0"], "--last"),
    ],
)
def test_what_matches_nothing_is_a_usage_error_with_the_way_out(args: list[str], said: str) -> None:
    result = call(FakeWorld(found=ENTRIES), "journal", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr.replace("\n", " ")


def test_a_symbol_is_no_mistake_while_the_journal_names_none() -> None:
    assert call(FakeWorld(), "journal", "--symbol", "SHIB-USD").exit_code == 0


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2h", "2026-02-28T22:20", None),
        ("1h30m", "2026-02-28T22:50", None),
        ("1h 30m ago", "2026-02-28T22:50", None),
        ("2 hours", "2026-02-28T22:20", None),
        ("90s", "2026-03-01T00:18:30", None),
        ("1w", "2026-02-22T00:20", None),
        ("1.5d", "2026-02-27T12:20", None),
        ("now", "2026-03-01T00:20", None),
        ("today", "2026-03-01T00:00", "2026-03-01T23:59:59.999999"),
        ("Yesterday", "2026-02-28T00:00", "2026-02-28T23:59:59.999999"),
        ("yesterday 14:00", "2026-02-28T14:00", None),
        ("2026-02-27", "2026-02-27T00:00", "2026-02-27T23:59:59.999999"),
        ("00:10", "2026-03-01T00:10", None),
        ("9:05", "2026-02-28T09:05", "2026-03-01T09:05"),
        ("23:50", "2026-02-28T23:50", "2026-03-01T23:50"),
        ("2026-02-28T00:10", "2026-02-28T00:10", None),
        ("2026-02-28 00:10:05", "2026-02-28T00:10:05", None),
        ("2026-02-28T00:10Z", "2026-02-28T00:10", None),
        ("2026-02-28T00:10+02:00", "2026-02-27T22:10", None),
    ],
)
def test_a_time_is_understood_as_people_write_it(text: str, start: str, end: str | None) -> None:
    now = datetime(2026, 3, 1, 0, 20, tzinfo=UTC)
    first, last = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (start, end or start))
    assert (moment_of(text, now), moment_of(text, now, end=True)) == (first, last)


@pytest.mark.parametrize("text", ["", "2x", "1h30", "5", "hours", "2M", "-2h", "2026-13-01", "24:00", "1h30mx"])
def test_what_is_no_time_is_refused_with_the_units(text: str) -> None:
    with pytest.raises(ValueError, match=r"90s, 30m, 2h, 1h30m, 3d, 1w"):
        moment_of(text, NOW)


def test_an_export_has_one_document_a_line_of_the_records_that_match(tmp_path: Path) -> None:
    file = tmp_path / "shib.jsonl"
    result = call(FakeWorld(found=ENTRIES), "journal", "--export", str(file), "--symbol", "SHIB-USD")
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    assert documents == document(call(FakeWorld(found=ENTRIES), "journal", "--json", "--symbol", "SHIB-USD"))["entries"]
    assert f"{file} has 5 records" in " ".join(result.stderr.split())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_export_as_csv_has_the_common_columns_and_the_rest_as_json(tmp_path: Path) -> None:
    call(FakeWorld(found=ENTRIES), "journal", "--export", str(tmp_path / "all.csv"))
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["seq"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert (rows[0]["kind"], rows[0]["account"], rows[0]["symbol"]) == ("log", "user_123/coinbase", "SHIB-USD")
    assert json.loads(rows[0]["contents"])["text"] == "[DUST][FORCED] SHIB-USD"


@pytest.mark.parametrize("option", ["--export", "--backup"])
def test_no_file_is_overwritten(option: str, tmp_path: Path) -> None:
    (file := tmp_path / "mine.csv").write_text("mine")
    result = call(FakeWorld(found=ENTRIES), "journal", option, str(file))
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--export", "x.txt"), "must end in .jsonl or .csv"),
        (("--export", "/nowhere/x.csv"), "there is no directory /nowhere"),
        (("--export", "x.csv", "--follow"), "neither with --follow nor with --backup"),
        (("--export", "x.csv", "--backup", "y.db"), "neither with --follow nor with --backup"),
    ],
)
def test_an_export_that_cannot_be_is_a_usage_error(args: tuple[str, ...], said: str) -> None:
    result = call(FakeWorld(found=ENTRIES), "journal", *args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_backup_is_told_with_its_number_of_records(tmp_path: Path) -> None:
    async def write() -> None:
        journal = await Journal.open(tmp_path / "journal.db", SystemClock(), system_ids())
        await journal.append(*RECORDS)
        await journal.aclose()

    asyncio.run(write())
    world, file = FakeWorld(), tmp_path / "copy.db"
    engine = structs.replace(world.settings.engine, data_dir=str(tmp_path))
    world.settings = structs.replace(world.settings, engine=engine)
    result = call(world, "journal", "--backup", str(file))
    assert f"{file} has the journal's 7 records" in " ".join(result.stderr.split())
    assert file.stat().st_size > 4096

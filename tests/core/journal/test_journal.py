"""The journal over a database in memory: what an append, a note and a reading promise."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings, strategies as st

from core.errors import JournalError
from core.ids import Ids
from core.journal import journal as journal_module
from core.journal.journal import Journal
from core.journal.query import AFTER_UNTIL, EntryFilter
from core.journal.tables import BEFORE_SINCE, KINDS, BarRows, StateRows, entry_of, row_of
from core.model import Fill, Order, OrderRequest, OrderSide, PositionKey, Side
from core.plans.conversion import Conversion, ConversionOutcome, Converted
from core.plans.plan import Plan
from core.plans.results import ResultRow
from core.portfolio.holding import MinimumRefusal
from core.records import (
    AccountFrozen,
    AccountStateSet,
    Adopted,
    CancelAsked,
    ClosingEnded,
    ConversionAnswered,
    ConversionAsked,
    Entry,
    EntryApproved,
    EntryEnded,
    FillRecorded,
    Halted,
    IntentAnswered,
    IntentWritten,
    Logged,
    MinimumRefused,
    Opened,
    PlanApproved,
    PlanEnded,
    PositionClosed,
    ProfitPending,
    Record,
    Resumed,
    Scaled,
)
from core.units import iso
from tests.support.memory_database import MemoryDatabase

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = PositionKey("ada/main", "BTC/USDT")


class HandClock:
    """A clock that a test sets; its sleep is real."""

    def __init__(self) -> None:
        self.moment = T0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def ids(clock: HandClock) -> Ids:
    return Ids(clock, random.Random(1))


def approved(plan: str = "p1") -> PlanApproved:
    return PlanApproved(Plan(plan, "cleanup", T0, (), ()), "person", T0)


def intent(plan: str = "p1", client_id: str = "fd1", key: PositionKey = KEY) -> IntentWritten:
    request = OrderRequest(key.account, key.symbol, OrderSide.SELL, Decimal("0.5"), client_id)
    return IntentWritten(plan, key, client_id, 0, 1, None, request, Decimal("0.5"), T0)


def fill(client_id: str | None = "fd1", trade_id: str = "t1") -> FillRecorded:
    return FillRecorded(Fill(*KEY_PARTS, trade_id, "o1", OrderSide.SELL, Decimal("0.5"), Decimal(100), client_id))


KEY_PARTS = (KEY.account, KEY.symbol)
EVERY_KIND: tuple[Record, ...] = (
    approved(),
    intent(),
    IntentAnswered("p1", KEY, "fd1", "acknowledged"),
    CancelAsked("p1", KEY, Order(*KEY_PARTS, "o9", OrderSide.BUY, Decimal(1))),
    fill(),
    ProfitPending("p1", KEY),
    ClosingEnded("p1", ResultRow(KEY, "close", "closed")),
    PlanEnded("p1", True, ()),
    AccountFrozen("ada/main", "an order that is not in the journal"),
    Halted("the news", "person", T0),
    Resumed("person", T0),
    AccountStateSet("ada/main", "locked", "lost enough", "person", T0, T0),
    EntryApproved("e1", "ada", KEY, "open", OrderSide.BUY, Decimal(1), "person", T0),
    EntryEnded("e1", KEY, "filled", Decimal(1), Decimal(100)),
    Opened("e1", KEY, Side.LONG, Decimal(1), Decimal(100), None, Decimal(5), Decimal("0.05"), "s1"),
    Scaled("e1", KEY, Decimal(2), Decimal(90)),
    Adopted(KEY, Side.SHORT, Decimal(2), None, Decimal(3), "missed"),
    PositionClosed(KEY, "closed by hand"),
    ConversionAsked("c1", "ada/main", (Conversion("ADA", Decimal("6.21"), "BNB", Decimal("0.017")),), T0),
    ConversionAnswered(
        "c1", "ada/main", (Converted("ADA", Decimal("6.21"), ConversionOutcome.UNKNOWN, error="time-out"),)
    ),
    MinimumRefused("p1", KEY, MinimumRefusal(Decimal(1), None, (Decimal(1), Decimal(0), Decimal(5)), "too small")),
    Logged("info", "started"),
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


@pytest_asyncio.fixture
async def journal(database: MemoryDatabase, clock: HandClock) -> AsyncIterator[Journal]:
    opened = await Journal.over(database, clock, ids(clock))
    database.commits = 0
    yield opened
    database.failure = None
    await opened.aclose()


def texts(entries: list[Entry]) -> list[str]:
    return [e.record.text for e in entries if isinstance(e.record, Logged)]


# ------------------------------------------------------------------------------------------------- appending


async def test_records_are_read_back_in_the_order_in_which_they_were_appended(journal: Journal) -> None:
    await journal.append(*EVERY_KIND)
    entries = await journal.entries()
    assert [e.record for e in entries] == list(EVERY_KIND)
    assert [e.seq for e in entries] == list(range(1, len(EVERY_KIND) + 1))
    assert {e.at for e in entries} == {T0}


async def test_fifty_nine_appends_at_once_share_one_transaction(journal: Journal, database: MemoryDatabase) -> None:
    await asyncio.gather(*(journal.append(intent(client_id=f"fd{n}")) for n in range(59)))
    assert database.commits == 1
    assert len(await journal.entries()) == 59


async def test_what_is_appended_during_a_transaction_shares_the_next(
    journal: Journal, database: MemoryDatabase
) -> None:
    first = asyncio.create_task(journal.append(intent()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the writer has taken the first and is in its transaction
    await asyncio.gather(first, *(journal.append(intent()) for _ in range(58)))
    assert database.commits == 2


async def test_an_append_of_nothing_waits_for_what_is_before_it_and_costs_no_transaction(
    journal: Journal, database: MemoryDatabase
) -> None:
    await journal.append()
    await journal.flush()
    assert database.commits == 0


async def test_a_cancelled_append_is_whole_and_harms_nobody(clock: HandClock) -> None:
    for patience in range(8):
        database = MemoryDatabase(pause=0.001)
        journal = await Journal.over(database, clock, ids(clock))
        doomed = asyncio.create_task(journal.append(intent(), fill(), Logged("info", "three")))
        other = asyncio.create_task(journal.append(approved()))
        for _ in range(patience):
            await asyncio.sleep(0.0005)
        doomed.cancel()
        await asyncio.gather(doomed, return_exceptions=True)
        await other
        records = [type(e.record) for e in await journal.entries()]
        assert records in ([PlanApproved], [IntentWritten, FillRecorded, Logged, PlanApproved])
        await journal.append(approved("p2"))
        await journal.aclose()


async def test_after_a_failed_transaction_every_waiter_is_told_and_nothing_is_there(
    journal: Journal, database: MemoryDatabase
) -> None:
    database.failure = "the disk is full; free some space"
    results = await asyncio.gather(*(journal.append(intent()) for _ in range(5)), return_exceptions=True)
    assert [(type(r), str(r)) for r in results] == [(JournalError, "the disk is full; free some space")] * 5
    assert journal.error == "the disk is full; free some space"
    assert await journal.entries() == []


async def test_a_journal_that_failed_takes_records_again_once_the_disk_recovers(
    journal: Journal, database: MemoryDatabase
) -> None:
    database.failure = "the disk is full"
    with pytest.raises(JournalError):
        await journal.append(intent())
    database.failure = None
    await journal.append(approved())
    assert journal.error is None
    assert [type(e.record) for e in await journal.entries()] == [PlanApproved]


async def test_an_error_that_nobody_expects_still_reaches_every_waiter(
    journal: Journal, database: MemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("a bug")

    seen: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    with monkeypatch.context() as patched:
        patched.setattr(database, "commit", broken)
        with pytest.raises(JournalError, match="a bug"):
            await journal.append(intent())
    await journal.append(intent())
    assert journal.error is None


async def test_half_a_character_costs_no_record(journal: Journal) -> None:
    plan = Plan("p1", "clean\ud800up", T0, (), (), {"ada/main": "broken \udfff answer"})
    await journal.append(PlanApproved(plan, "person", T0))
    journal.note(Logged("info", "\ud83d", account="x\ud83d"))
    await journal.flush()
    first, second = (e.record for e in await journal.entries())
    assert isinstance(first, PlanApproved)
    assert first.plan.cause == "clean\\ud800up"
    assert first.plan.unreadable == {"ada/main": "broken \\udfff answer"}
    assert second == Logged("info", "\\ud83d", account="x\\ud83d")


async def test_a_closed_journal_takes_nothing_more(clock: HandClock) -> None:
    journal = await Journal.over(MemoryDatabase(), clock, ids(clock))
    await asyncio.gather(journal.aclose(), journal.aclose())
    with pytest.raises(JournalError, match="is closed"):
        await journal.append(intent())
    with pytest.raises(JournalError, match="is closed"):
        await journal.flush()
    journal.note(Logged("info", "too late"))
    assert journal.dropped == 1


async def test_closing_writes_what_still_waits(clock: HandClock) -> None:
    database = MemoryDatabase()
    journal = await Journal.over(database, clock, ids(clock))
    journal.note(Logged("info", "last words"))
    waiting = asyncio.create_task(journal.append(intent()))
    await asyncio.sleep(0)
    await journal.aclose()
    await waiting
    again = await Journal.over(database.survivor(), clock, ids(clock))
    assert [type(e.record) for e in await again.entries()] == [Logged, IntentWritten]


async def test_closing_a_failing_journal_ends_and_keeps_the_error(clock: HandClock) -> None:
    database = MemoryDatabase()
    journal = await Journal.over(database, clock, ids(clock))
    database.failure = "the disk is full"
    journal.note(Logged("info", "lost"))
    await journal.aclose()
    assert journal.error == "the disk is full"
    assert database.closed


# ----------------------------------------------------------------------------------------------------- notes


async def test_a_line_of_the_log_travels_with_the_next_append_in_its_place(
    journal: Journal, database: MemoryDatabase
) -> None:
    journal.note(Logged("info", "before"))
    appending = asyncio.create_task(journal.append(intent()))
    await asyncio.sleep(0)
    journal.note(Logged("info", "after"))
    await appending
    assert [type(e.record) for e in await journal.entries()] == [Logged, IntentWritten, Logged]
    assert database.commits == 1


async def test_a_line_of_the_log_is_written_soon_even_when_nothing_is_appended(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "NOTE_DELAY", 0.001)
    for n in range(3):
        journal.note(Logged("info", str(n)))
        async with asyncio.timeout(5):
            while len(await journal.entries()) <= n:  # noqa: ASYNC110 - the journal tells nobody
                await asyncio.sleep(0.001)


async def test_a_line_whose_time_comes_during_a_transaction_is_written_by_the_next(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "NOTE_DELAY", 0.001)
    journal = await Journal.over(MemoryDatabase(pause=0.01), clock, ids(clock))
    appending = asyncio.create_task(journal.append(intent()))
    await asyncio.sleep(0.005)
    journal.note(Logged("info", "in between"))
    await appending
    async with asyncio.timeout(5):
        while len(await journal.entries()) < 2:  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.001)
    await journal.aclose()


async def test_too_many_lines_drop_the_oldest_and_the_next_one_says_how_many(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "NOTES_KEPT", 3)
    for n in range(10):
        journal.note(Logged("info", str(n)))
    assert journal.dropped == 7
    await journal.append(intent())
    said, *kept = texts(await journal.entries())
    assert said.startswith("7 older lines of the log were dropped")
    assert kept == ["7", "8", "9"]
    journal.note(Logged("info", "10"))
    await journal.flush()
    assert texts(await journal.entries())[-1] == "10"
    assert journal.dropped == 7


async def test_lines_survive_a_failing_disk_within_their_bound(
    journal: Journal, database: MemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "NOTES_KEPT", 3)
    database.failure = "the disk is full"
    for n in range(5):
        journal.note(Logged("info", str(n)))
        with pytest.raises(JournalError):
            await journal.flush()
    database.failure = None
    await journal.flush()
    said, *kept = texts(await journal.entries())
    assert said.startswith("2 older lines")
    assert kept == ["2", "3", "4"]


# --------------------------------------------------------------------------------------------------- reading


async def test_pages_go_forward_from_a_seq_and_backward_from_one(journal: Journal) -> None:
    await journal.append(*(Logged("info", str(n)) for n in range(1, 11)))
    assert texts(await journal.entries(limit=3)) == ["1", "2", "3"]
    assert texts(await journal.entries(after=3, limit=3)) == ["4", "5", "6"]
    assert texts(await journal.entries(tail=True, limit=3)) == ["8", "9", "10"]
    assert texts(await journal.entries(tail=True, limit=3, before=8)) == ["5", "6", "7"]
    assert texts(await journal.entries(after=10)) == []


async def test_reading_since_a_time_finds_every_entry_even_after_the_clock_stepped_back(
    journal: Journal, clock: HandClock
) -> None:
    for hours in (0, 2, 1, 3):
        clock.moment = T0 + timedelta(hours=hours)
        await journal.append(Logged("info", str(hours)))
    since = T0 + timedelta(hours=2)
    assert texts(await journal.entries(EntryFilter(since=since))) == ["2", "3"]
    assert texts(await journal.entries(EntryFilter(since=since), tail=True, limit=1)) == ["3"]
    assert texts(await journal.entries(EntryFilter(since=since), after=2)) == ["3"]
    assert texts(await journal.entries(EntryFilter(since=since, kinds=("log",)))) == ["2", "3"]
    assert await journal.entries(EntryFilter(since=T0 + timedelta(days=1))) == []


@pytest.mark.parametrize("minutes", [0, 1, 255, 256, 257, 511, 512, 513, 999, 1000])
async def test_reading_since_a_time_is_exact_on_a_long_journal(
    journal: Journal, clock: HandClock, database: MemoryDatabase, minutes: int
) -> None:
    for n in range(1000):
        clock.moment = T0 + timedelta(minutes=n)
        journal.note(Logged("info", str(n)))
    await journal.flush()
    since = T0 + timedelta(minutes=minutes)
    assert texts(await journal.entries(EntryFilter(since=since))) == [str(n) for n in range(minutes, 1000)]
    assert texts(await journal.entries(EntryFilter(until=since))) == [str(n) for n in range(min(minutes + 1, 1000))]
    last = EntryFilter(since=T0 + timedelta(minutes=1), until=since)
    assert texts(await journal.entries(last, tail=True, limit=1)) == [str(min(minutes, 999))][: min(minutes, 1)]
    for bound in (BEFORE_SINCE, AFTER_UNTIL):
        plan = database.data.execute(f"EXPLAIN QUERY PLAN {bound}", ("",)).fetchall()
        assert "USING COVERING INDEX journal_at" in str(plan)


async def test_reading_until_a_time_finds_every_entry_even_after_the_clock_stepped_back(
    journal: Journal, clock: HandClock
) -> None:
    for hours in (0, 2, 1, 3):
        clock.moment = T0 + timedelta(hours=hours)
        await journal.append(Logged("info", str(hours)))
    assert texts(await journal.entries(EntryFilter(until=T0 + timedelta(hours=1)))) == ["0", "1"]
    assert await journal.entries(EntryFilter(until=T0 - timedelta(hours=1))) == []


async def test_the_entries_of_an_early_hour_are_read_without_the_later_ones(
    journal: Journal, clock: HandClock, database: MemoryDatabase
) -> None:
    for n in range(3000):
        clock.moment = T0 + timedelta(minutes=n)
        journal.note(Logged("info", str(n)))
    await journal.flush()
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    database.data.set_progress_handler(step, 100)
    assert len(await journal.entries(EntryFilter(until=T0 + timedelta(minutes=9)))) == 10
    early, steps = steps, 0
    assert len(await journal.entries(EntryFilter(kinds=("log",)), limit=3000)) == 3000
    assert early < steps / 5


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (EntryFilter(symbols=("BTC/USDT",)), "journal_symbol (symbol=? AND rowid>?)"),
        (EntryFilter(symbols=("BTC/USDT",), kinds=("log",)), "journal_symbol (symbol=? AND rowid>?)"),
        (EntryFilter(accounts=("ada/main",), kinds=("log",)), "journal_account (account=? AND rowid>?)"),
        (EntryFilter(owners=("ada",), kinds=("log",)), "journal_account (account>? AND account<?)"),
        (EntryFilter(plans=("p1",), kinds=("log",)), "journal_plan (plan=?"),
        (EntryFilter(kinds=("log",)), "journal_kind (kind=? AND rowid>?)"),
    ],
)
async def test_what_narrows_the_journal_is_found_by_its_index(
    journal: Journal, database: MemoryDatabase, where: EntryFilter, index: str
) -> None:
    sql, params = where.select(0, None, 10, tail=False)
    plan = str(database.data.execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall())
    assert index in plan
    assert "SCAN journal" not in plan


async def test_the_names_in_the_journal_are_told_once_each(journal: Journal) -> None:
    await journal.append(intent("p10"), intent("p11"), intent("p2"), fill())
    assert await journal.names("plan", "p1") == ["p10", "p11"]
    assert await journal.names("plan", "p", 1) == ["p10"]
    assert await journal.names("symbol") == [KEY.symbol]
    assert await journal.names("account", "b") == []


async def test_a_journal_of_an_earlier_flatdeck_gets_the_indexes_when_it_is_opened(
    journal: Journal, clock: HandClock, database: MemoryDatabase
) -> None:
    for name in ("journal_account", "journal_symbol"):
        database.data.execute(f"DROP INDEX {name}")
    await journal.append(intent())
    again = await Journal.over(database.survivor(), clock, ids(clock))
    assert len(await again.entries(EntryFilter(symbols=(KEY.symbol,)))) == 1
    made = database.data.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert {("journal_account",), ("journal_symbol",)} <= set(made)


@pytest.mark.parametrize(("kind", "record"), zip(KINDS, EVERY_KIND, strict=True))
async def test_one_kind_is_read_alone(journal: Journal, kind: str, record: Record) -> None:
    await journal.append(*EVERY_KIND, *EVERY_KIND)
    assert [e.record for e in await journal.entries(EntryFilter(kinds=(kind,)))] == [record, record]


def test_kinds_are_the_names_of_the_records_in_snake_case() -> None:
    assert KINDS[0] == "plan_approved"
    assert KINDS[-1] == "log"
    assert all(kind == kind.lower() for kind in KINDS)


async def test_open_plans_are_those_that_were_approved_and_did_not_end(journal: Journal) -> None:
    await journal.append(approved("p1"), approved("p2"), approved("p3"))
    await journal.append(intent("p3", "fd3"), intent("p1", "fd1"), intent("p1", "fd1"), intent("p2", "fd2"))
    await journal.append(fill("fd1", "t1"), fill("fd2", "t2"), fill(None, "t3"), Logged("info", "noise"))
    await journal.append(IntentAnswered("p1", KEY, "fd1", "terminal"), PlanEnded("p2", True, ()))
    plans = [[e.record for e in entries] for entries in await journal.open_plans()]
    assert plans == [
        [
            approved("p1"),
            intent("p1", "fd1"),
            intent("p1", "fd1"),
            fill("fd1", "t1"),
            IntentAnswered("p1", KEY, "fd1", "terminal"),
        ],
        [approved("p3"), intent("p3", "fd3")],
    ]


async def test_an_account_is_frozen_by_the_last_word_on_it(journal: Journal) -> None:
    await journal.append(AccountFrozen("a", "first"), AccountFrozen("b", "why"), AccountFrozen("c", "why"))
    await journal.append(AccountFrozen("a", "second"), AccountFrozen("b", None))
    assert await journal.frozen() == {"a": "second", "c": "why"}


async def test_only_intents_make_a_client_order_id_known(journal: Journal) -> None:
    await journal.append(intent(client_id="fd1"), fill("fd2"), IntentAnswered("p1", KEY, "fd3", "unknown"))
    assert await journal.knows("fd1")
    assert not await journal.knows("fd2")
    assert not await journal.knows("fd3")


async def test_an_entry_of_a_newer_flatdeck_is_named(journal: Journal, database: MemoryDatabase) -> None:
    await journal.append(approved())
    database.data.execute('UPDATE journal SET body = \'{"type":"Teleported"}\'')
    with pytest.raises(JournalError, match="entry 1 cannot be read"):
        await journal.entries()


# --------------------------------------------------------------------------------------------------- opening


async def test_the_epoch_is_made_once_and_kept(database: MemoryDatabase, clock: HandClock) -> None:
    first = await Journal.over(database, clock, ids(clock))
    again = await Journal.over(database.survivor(), clock, Ids(clock, random.Random(99)))
    assert first.epoch == again.epoch
    assert len(first.epoch) == 4


async def test_the_latency_of_a_commit_is_measured_when_it_is_opened(journal: Journal) -> None:
    assert journal.commit_latency == 0  # on a clock that stands


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE meta SET value = '2' WHERE key = 'schema'", "newer flatdeck .schema 2, this one knows 1"),
        ("UPDATE meta SET value = 'x' WHERE key = 'schema'", "does not say whose it is"),
        ("DELETE FROM meta", "does not say whose it is"),
        ("DROP TABLE meta", "is not a journal of flatdeck"),
    ],
)
async def test_what_this_flatdeck_cannot_continue_is_refused(
    database: MemoryDatabase, clock: HandClock, damage: str, told: str
) -> None:
    await Journal.over(database, clock, ids(clock))
    database.data.execute(damage)
    with pytest.raises(JournalError, match=told):
        await Journal.over(database.survivor(), clock, ids(clock))


async def test_a_crash_between_commit_and_answer_leaves_the_record(clock: HandClock) -> None:
    database = MemoryDatabase(pause=0.01)
    journal = await Journal.over(database, clock, ids(clock))
    appending = asyncio.create_task(journal.append(intent()))
    await asyncio.sleep(0.015)
    assert not appending.done()
    again = await Journal.over(database.survivor(), clock, ids(clock))
    assert [e.record for e in await again.entries()] == [intent()]
    await appending


# ------------------------------------------------------------------------------------------------- round trip

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    int: st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    type(None): st.none(),
    Decimal: st.decimals(allow_nan=False),
    datetime: st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
}


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that records are made of."""
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{field.name: values(field.type) for field in msgspec.structs.fields(kind)})
    parts = [values(part) for part in get_args(kind) if part is not ...]
    if get_origin(kind) is tuple:
        return st.lists(*parts, max_size=2).map(tuple)
    if get_origin(kind) is dict:
        return st.dictionaries(*parts, max_size=2)
    return st.one_of(parts)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(values(Record), values(datetime))
def test_every_record_comes_back_as_it_was(record: Record, moment: datetime) -> None:
    row = row_of(record, iso(moment))
    entry = entry_of((7, row[0], row[-1]), "test")
    assert entry.record == record
    assert (entry.seq, iso(entry.at)) == (7, iso(moment))
    assert row[1] in KINDS


def test_of_two_changes_of_bars_the_later_holds_and_what_was_forgotten_stays_so() -> None:
    first = BarRows({"x"}, {("a", 1): "1", ("b", 1): "1", ("a", 2): None})
    assert first.add(BarRows({"a"}, {("a", 3): "3", ("b", 1): None})) is first
    assert first == BarRows({"x", "a"}, {("b", 1): None, ("a", 3): "3"})
    assert BarRows().statements() == []


async def test_bars_are_read_as_they_were_kept_and_an_older_journal_has_none(
    database: MemoryDatabase, clock: HandClock
) -> None:
    journal = await Journal.over(database, clock, ids(clock))
    journal.keep(StateRows(bars=BarRows(set(), {("a", 1): "1", ("a", 2): "2", ("b", 1): "3"})))
    await journal.flush()
    assert await journal.bars() == [("a", 1, "1"), ("a", 2, "2"), ("b", 1, "3")]
    journal.keep(StateRows(bars=BarRows({"b"}, {("a", 1): None, ("a", 2): "4", ("b", 5): "5"})))
    await journal.flush()
    assert await journal.bars() == [("a", 2, "4"), ("b", 5, "5")]
    database.data.execute("DROP TABLE bars")
    assert await journal.bars() == []

"""What the core does of converting dust: written before it leaves, sent once, followed to its end or left unknown."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from core.closing.convert_dust import PAUSES, SETTLED, DustConverter, unsettled
from core.errors import JournalError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.ids import Ids
from core.journal.journal import Journal
from core.plans.conversion import Conversion, ConversionOutcome, Converted, Converter
from core.records import ConversionAnswered, ConversionAsked, Record
from tests.support.memory_database import MemoryDatabase

ACCOUNT = "ann/spot"
D = Decimal
ADA = Conversion("ADA", D("1.5"), "BNB", D("0.001"), D("0.00002"))
DOGE = Conversion("DOGE", D("2"), "BNB", D("0.002"), D("0.00004"))
SOL = Conversion("SOL", D("0.1"), "BNB")


def done(conversion: Conversion, outcome: ConversionOutcome = ConversionOutcome.CONVERTED) -> Converted:
    gets = conversion.gets if outcome is ConversionOutcome.CONVERTED else None
    return Converted(conversion.asset, conversion.quantity, outcome, gets)


class HandClock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


class Venue:
    """A converter that offers what it is told to; ``answer`` makes of a request what the caller gets or is thrown."""

    most = 5

    def __init__(self, *offers: Conversion) -> None:
        self.offers = list(offers)
        self.quotes = 0
        self.answer: Callable[[Sequence[Conversion]], Any] = lambda asked: [done(c) for c in asked]
        self.records: list[list[Converted]] = []  # what each look finds, the last one again and again
        self.sent: list[list[Conversion]] = []
        self.looks: list[tuple[list[str], datetime]] = []
        self.look_error: Exception | None = None

    async def conversions(self, into: str | None, only: Collection[str] | None = None) -> list[Conversion]:
        self.quotes += 1
        return [o for o in self.offers if only is None or o.asset in only]

    async def convert(self, asked: Sequence[Conversion]) -> list[Converted]:
        self.sent.append(list(asked))
        made = self.answer(asked)
        if isinstance(made, BaseException):
            raise made
        return made

    async def look_up(self, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        self.looks.append(([c.asset for c in asked], since))
        if self.look_error is not None:
            raise self.look_error
        if not self.records:
            return []
        return self.records.pop(0) if len(self.records) > 1 else self.records[0]

    @property
    def names(self) -> list[list[str]]:
        return [[c.asset for c in asked] for asked in self.sent]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


@pytest_asyncio.fixture
async def journal(database: MemoryDatabase, clock: HandClock) -> AsyncIterator[Journal]:
    opened = await Journal.over(database, clock, Ids(clock, random.Random(1)))
    yield opened
    database.failure = None
    await opened.aclose()


def dust(venue: Venue, journal: Journal, clock: HandClock, seed: int = 1) -> DustConverter:
    assert isinstance(venue, Converter)
    return DustConverter(ACCOUNT, venue, journal, clock, Ids(clock, random.Random(seed)))


async def written(journal: Journal) -> list[Record]:
    records = [e.record for e in await journal.entries()]
    return [r for r in records if isinstance(r, ConversionAsked | ConversionAnswered)]


async def test_the_intent_is_durable_before_the_request_leaves(journal: Journal, clock: HandClock) -> None:
    venue = Venue(ADA, DOGE)
    seen: list[list[Record]] = []

    async def convert(asked: Sequence[Conversion]) -> list[Converted]:
        seen.append(await written(journal))
        return [done(c) for c in asked]

    venue.convert = convert  # type: ignore[method-assign]
    result = await dust(venue, journal, clock).carry_out([ADA, DOGE], None)
    assert result.results == (done(ADA), done(DOGE))
    ((asked,),) = seen
    assert isinstance(asked, ConversionAsked)
    assert (asked.account, asked.conversions) == (ACCOUNT, (ADA, DOGE))
    assert await written(journal) == [asked, ConversionAnswered(asked.plan, ACCOUNT, (done(ADA), done(DOGE)))]
    assert clock.slept == []


async def test_without_a_durable_intent_nothing_is_sent(
    journal: Journal, clock: HandClock, database: MemoryDatabase
) -> None:
    venue = Venue(ADA)
    database.failure = JournalError("the disk is full")
    result = await dust(venue, journal, clock).carry_out([ADA], None)
    assert venue.sent == []
    assert [(r.outcome, "not sent" in (r.error or "")) for r in result.results] == [(ConversionOutcome.REFUSED, True)]


async def test_an_answer_that_cannot_be_written_down_is_told_all_the_same(
    journal: Journal, clock: HandClock, database: MemoryDatabase
) -> None:
    venue = Venue(ADA)

    def answer(asked: Sequence[Conversion]) -> list[Converted]:
        database.failure = JournalError("the disk is full")
        return [done(c) for c in asked]

    venue.answer = answer
    (result,) = (await dust(venue, journal, clock).carry_out([ADA], None)).results
    assert (result.outcome, result.gets) == (ConversionOutcome.CONVERTED, ADA.gets)
    assert "not written down" in (result.error or "")


@pytest.mark.parametrize("error", [Refused(Refusal.OTHER, "once an hour"), Unreachable("no such host")])
async def test_what_provably_did_not_happen_is_refused_and_not_looked_up(
    journal: Journal, clock: HandClock, error: Exception
) -> None:
    venue = Venue(ADA)
    venue.answer = lambda _: error
    (result,) = (await dust(venue, journal, clock).carry_out([ADA], None)).results
    assert (result.outcome, result.error) == (ConversionOutcome.REFUSED, str(error))
    assert (len(venue.sent), venue.looks) == (1, [])


async def test_a_lost_answer_is_looked_for_until_the_records_have_it(journal: Journal, clock: HandClock) -> None:
    venue = Venue(ADA)
    begun = clock.at
    venue.answer = lambda _: OutcomeUnknown("time-out")
    venue.records = [[], [done(ADA)]]
    result = await dust(venue, journal, clock).carry_out([ADA], None)
    assert result.results == (done(ADA),)
    assert venue.looks == [(["ADA"], begun)] * 2
    assert clock.slept == list(PAUSES[:2])
    assert len(venue.sent) == 1


async def test_what_the_records_never_have_stays_unknown_and_stops_what_would_follow(
    journal: Journal, clock: HandClock
) -> None:
    venue = Venue(ADA, DOGE)
    venue.most = 1
    venue.answer = lambda _: OutcomeUnknown("time-out")
    result = await dust(venue, journal, clock).carry_out([ADA, DOGE], None)
    first, second = result.results
    assert (first.outcome, second.outcome) == (ConversionOutcome.UNKNOWN, ConversionOutcome.REFUSED)
    assert first.error == "time-out; it was still there when it was read again"
    assert venue.names == [["ADA"]]
    assert clock.slept == list(PAUSES)


async def test_records_that_cannot_be_read_are_asked_again_and_say_nothing(journal: Journal, clock: HandClock) -> None:
    venue = Venue(ADA)
    venue.answer = lambda _: OutcomeUnknown("time-out")
    venue.look_error = Unreachable("gone")
    (result,) = (await dust(venue, journal, clock).carry_out([ADA], None)).results
    assert (result.outcome, len(venue.looks)) == (ConversionOutcome.UNKNOWN, len(PAUSES))


async def test_what_the_venue_finishes_later_is_followed_and_may_stay_pending(
    journal: Journal, clock: HandClock
) -> None:
    venue = Venue(ADA, DOGE)
    venue.answer = lambda asked: [done(c, ConversionOutcome.PENDING) for c in asked]
    venue.records = [[done(ADA), done(DOGE, ConversionOutcome.PENDING)]]
    result = await dust(venue, journal, clock).carry_out([ADA, DOGE], None)
    assert [r.outcome for r in result.results] == [ConversionOutcome.CONVERTED, ConversionOutcome.PENDING]
    assert [names for names, _ in venue.looks] == [["ADA", "DOGE"], ["DOGE"], ["DOGE"], ["DOGE"]]


async def test_an_answer_speaks_only_of_what_was_asked(journal: Journal, clock: HandClock) -> None:
    venue = Venue(ADA)
    venue.answer = lambda _: [done(DOGE)]
    (result,) = (await dust(venue, journal, clock).carry_out([ADA], None)).results
    assert (result.asset, result.outcome) == ("ADA", ConversionOutcome.UNKNOWN)


@pytest.mark.parametrize(
    "now",
    [
        replace(ADA, quantity=D("1.6")),
        replace(ADA, quantity=D("1.4")),
        replace(ADA, into="USDT"),
        replace(ADA, gets=D("0.0009")),
        replace(ADA, gets=None),
        None,
    ],
)
async def test_what_is_no_longer_as_it_was_agreed_to_is_left_alone(
    journal: Journal, clock: HandClock, now: Conversion | None
) -> None:
    venue = Venue(*((now,) if now else ()), DOGE)
    result = await dust(venue, journal, clock).carry_out([ADA, DOGE], None)
    assert venue.names == [["DOGE"]]
    (changed,) = result.changed
    assert (changed.asset, changed.agreed, changed.now) == ("ADA", ADA, now)


async def test_a_slightly_other_price_and_a_better_one_are_still_what_was_agreed_to(
    journal: Journal, clock: HandClock
) -> None:
    venue = Venue(replace(ADA, gets=D("0.00096")), replace(DOGE, gets=D("9")))
    result = await dust(venue, journal, clock).carry_out([ADA, DOGE], None)
    assert (venue.names, result.changed) == ([["ADA", "DOGE"]], ())


async def test_an_offer_is_asked_for_anew_without_what_is_not_agreed_to(journal: Journal, clock: HandClock) -> None:
    venue = Venue(ADA)

    async def conversions(_into: str | None, only: Collection[str] | None = None) -> list[Conversion]:
        venue.quotes += 1
        some = [o for o in (ADA, DOGE, SOL) if only is None or o.asset in only]
        return [replace(o, reference=f"q{venue.quotes}") for o in some]

    venue.conversions = conversions  # type: ignore[method-assign]
    result = await dust(venue, journal, clock).carry_out([ADA, SOL], None)
    assert venue.sent == [[replace(ADA, reference="q2"), replace(SOL, reference="q2")]], "the second names no other"
    assert [(c.asset, c.agreed) for c in result.changed] == [("DOGE", None)]


async def test_requests_have_as_many_as_the_venue_takes_and_one_offer_each(journal: Journal, clock: HandClock) -> None:
    offers = [Conversion(f"C{n}", D(1), "USDT", reference="a" if n < 4 else "b") for n in range(7)]
    venue = Venue(*offers)
    venue.most = 3
    await dust(venue, journal, clock).carry_out(offers, None)
    assert venue.names == [["C0", "C1", "C2"], ["C3"], ["C4", "C5", "C6"]]
    assert len({r.plan for r in await written(journal)}) == 3


async def test_an_interrupted_request_is_looked_up_by_the_next_run_and_not_sent_again(
    journal: Journal, clock: HandClock
) -> None:
    venue = Venue(ADA, DOGE)
    begun = clock.at
    venue.answer = lambda _: asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await dust(venue, journal, clock).carry_out([ADA], None)
    clock.at += timedelta(minutes=1)
    venue.answer = lambda asked: [done(c) for c in asked]
    result = await dust(venue, journal, clock, seed=2).carry_out([ADA, DOGE], None)
    assert venue.names == [["ADA"], ["DOGE"]], "the first may still be executed"
    assert venue.looks[0] == (["ADA"], begun)
    assert [(r.asset, r.outcome) for r in result.earlier] == [("ADA", ConversionOutcome.UNKNOWN)]
    assert [(r.asset, r.outcome) for r in result.results] == [
        ("DOGE", ConversionOutcome.CONVERTED),
        ("ADA", ConversionOutcome.REFUSED),
    ]
    venue.records = [[done(ADA)]]
    result = await dust(venue, journal, clock, seed=3).carry_out([], None)
    assert result.earlier == (done(ADA),)
    assert unsettled(await written(journal), ACCOUNT) == []


async def test_what_stayed_unknown_may_be_agreed_to_again_once_it_cannot_act_any_more(
    journal: Journal, clock: HandClock
) -> None:
    venue = Venue(ADA)
    venue.answer = lambda _: OutcomeUnknown("time-out")
    await dust(venue, journal, clock).carry_out([ADA], None)
    clock.at += SETTLED
    venue.answer = lambda asked: [done(c) for c in asked]
    result = await dust(venue, journal, clock, seed=2).carry_out([ADA], None)
    assert result.results == (done(ADA),)


async def test_another_accounts_requests_are_its_own(journal: Journal, clock: HandClock) -> None:
    await journal.append(ConversionAsked("c1", "bob/spot", (ADA,), clock.at))
    venue = Venue(ADA)
    result = await dust(venue, journal, clock).carry_out([ADA], None)
    assert (result.results, result.earlier, venue.looks) == ((done(ADA),), (), [])

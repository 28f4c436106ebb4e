"""What dust shows, asks, converts and exits with, by brokers that convert, and ones that do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.ids import Ids
from core.journal.data_dir import AlreadyRunning
from core.journal.journal import Journal
from core.plans.conversion import Conversion, ConversionOutcome, Converted
from core.records import AccountFrozen, ConversionAnswered, ConversionAsked, Entry, Record
from core.settings import Settings
from tests.support.memory_database import MemoryDatabase
from tests.tui.command_world import NOW, FakeWorld, call, document

D = Decimal
ONE, TWO = "platform/coinbase", "user_123/coinbase"
ADA = Conversion("ADA", D("1.50"), "BNB", D("0.00098"), D("0.00002"))
OLD = Conversion("OLD", D(3), "BNB")


@dataclass
class Account:
    """A broker that converts; ``offers`` may be an error."""

    offers: Any = ()
    way_out: str = "the venue converts into BNB"
    outcome: ConversionOutcome = ConversionOutcome.CONVERTED
    down: Exception | None = None
    most: int = 9
    sent: list[list[str]] = field(default_factory=list)
    into: list[str | None] = field(default_factory=list)
    open: int = 0

    @property
    def converter(self) -> Any:
        return self

    async def connect(self) -> None:
        self.open += 1
        if self.down is not None:
            raise self.down

    async def aclose(self) -> None:
        self.open -= 1

    async def conversions(self, into: str | None, only: Collection[str] | None = None) -> list[Conversion]:
        self.into.append(into)
        if isinstance(self.offers, Exception):
            raise self.offers
        return [o for o in self.offers if only is None or o.asset in only]

    async def convert(self, asked: Sequence[Conversion]) -> list[Converted]:
        self.sent.append([c.asset for c in asked])
        if self.outcome is ConversionOutcome.REFUSED:
            raise Refused(Refusal.OTHER, "once an hour \x1b[2J")
        if self.outcome is ConversionOutcome.UNKNOWN:
            raise OutcomeUnknown("time-out")
        return [Converted(c.asset, c.quantity, self.outcome, c.gets, c.fee) for c in asked]

    async def look_up(self, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        return []


class Without(Account):
    """A venue that has no conversion, and is never connected to."""

    @property
    def converter(self) -> Any:
        return None

    async def connect(self) -> None:
        raise AssertionError("nothing is to be asked there")

    async def aclose(self) -> None:
        return None


class Paper:
    """A broker that knows nothing of dust."""

    async def aclose(self) -> None:
        return None


class World(FakeWorld):
    """With a journal in memory; ``locked`` counts who held it."""

    def __init__(self, **given: Any) -> None:
        self.database = MemoryDatabase()
        self.locked = 0
        self.stays_frozen: dict[str, str] = {}
        self.freezes: str | None = None
        self.written: list[Record] = []
        super().__init__(**given)

    async def sleep(self, seconds: float) -> None:
        return None

    def monotonic(self) -> float:
        return 0.0

    async def frozen(self, settings: Settings) -> dict[str, str]:
        return self.stays_frozen

    @asynccontextmanager
    async def journal(self, settings: Settings) -> AsyncIterator[tuple[Journal, Ids]]:
        if self.running:
            raise self.running
        self.locked += 1
        ids = Ids(self, self)
        journal = await Journal.over(self.database, self, ids)
        if self.freezes:
            await journal.append(AccountFrozen(self.freezes, "a foreign order"))
        found = [e.record for e in self.found]
        if found:
            await journal.append(*found)
        yield journal, ids
        self.written = [e.record for e in await journal.entries()]

    def getrandbits(self, k: int) -> int:
        return 7


def world(one: Any = None, two: Any = None, **given: Any) -> World:
    return World(brokers={ONE: one or Without(), TWO: two or Without()}, **given)


def test_a_dry_run_shows_what_each_account_would_give_and_touches_nothing() -> None:
    account = Account((ADA, OLD))
    made = world(account)
    result = call(made, "dust", "--dry-run")
    assert (result.exit_code, account.sent, made.locked, account.open) == (0, [], 0, 0)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["account", "asset", "quantity", "gets", "about", "fee", "into"]
    assert lines[1] == [ONE, "ADA", "1.5", "0.00098", "0.00002", "BNB"]
    assert lines[2] == [ONE, "OLD", "3", "—", "—", "BNB"], "what is not known before is not guessed"
    assert "nothing was converted" in result.stderr


def test_in_json_a_dry_run_is_one_document() -> None:
    made = document(call(world(Account((ADA,)), Paper()), "dust", "--dry-run", "--json"))
    assert made == {
        "dry_run": True,
        "accounts": [
            {
                "account": ONE,
                "error": None,
                "way_out": "the venue converts into BNB",
                "conversions": [
                    {"asset": "ADA", "quantity": "1.5", "into": "BNB", "gets": "0.00098", "fee": "0.00002"}
                ],
            },
            {
                "account": TWO,
                "error": None,
                "way_out": "the venue has no conversion of small balances that a program may ask for",
                "conversions": [],
            },
        ],
        "results": [],
    }


def test_a_dry_run_wins_over_yes() -> None:
    account = Account((ADA,))
    assert call(world(account), "dust", "--dry-run", "--yes").exit_code == 0
    assert account.sent == []


def test_without_a_terminal_and_without_yes_nothing_is_converted() -> None:
    account = Account((ADA,))
    made = world(account)
    result = call(made, "dust")
    assert (result.exit_code, account.sent, made.locked) == (3, [], 0)
    assert "ADA" in result.stdout
    assert "add --yes" in result.stderr


def test_in_json_what_was_not_confirmed_says_so() -> None:
    made = document(call(world(Account((ADA,))), "dust", "--json"))
    assert (made["confirmed"], made["results"]) == (False, [])


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_only_a_yes_is_a_yes(answer: str) -> None:
    account = Account((ADA, OLD))
    result = call(world(account, terminal=True), "dust", answer=answer)
    assert (result.exit_code, account.sent) == (3, [])
    assert "Convert 2 balances on 1 account? It costs a fee and cannot be taken back." in result.stderr


def test_what_was_agreed_to_is_converted_and_written_down() -> None:
    account = Account((ADA, OLD))
    made = world(account, terminal=True)
    result = call(made, "dust", answer="y\n")
    assert (result.exit_code, account.sent, account.open) == (0, [["ADA", "OLD"]], 0)
    assert result.stdout.splitlines()[-2].split() == [ONE, "ADA", "1.5", "converted", "0.00098", "0.00002"]
    kinds = [type(r) for r in made.written if isinstance(r, ConversionAsked | ConversionAnswered)]
    assert kinds == [ConversionAsked, ConversionAnswered]


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (ConversionOutcome.REFUSED, "not converted"),
        (ConversionOutcome.UNKNOWN, "NOT KNOWN"),
        (ConversionOutcome.PENDING, "not finished"),
    ],
)
def test_what_is_not_converted_ends_with_1(outcome: ConversionOutcome, word: str) -> None:
    account = Account((ADA,), outcome=outcome)
    result = call(world(account), "dust", "--yes")
    assert (result.exit_code, account.sent) == (1, [["ADA"]])
    assert word in result.stdout
    assert "\x1b" not in result.stdout
    made = document(call(world(Account((ADA,), outcome=outcome)), "dust", "--yes", "--json"))
    assert [row["outcome"] for row in made["results"]] == [outcome.value]


def test_where_there_is_no_dust_nothing_is_asked_or_locked() -> None:
    made = world(Account(()))
    result = call(made, "dust")
    assert (result.exit_code, made.locked) == (0, 0)
    assert "There is no dust that can be converted." in result.stdout
    assert document(call(made, "dust", "--json"))["results"] == []


def test_a_venue_without_a_conversion_says_what_it_has_instead() -> None:
    result = call(world(Without(way_out="Kraken's app converts small balances"), Paper()), "dust", "--yes")
    assert result.exit_code == 0
    assert f"{ONE}: Kraken's app converts small balances." in result.stdout
    assert f"{TWO}: the venue has no conversion" in result.stdout


def test_one_account_that_is_down_keeps_no_other_from_being_converted() -> None:
    up = Account((ADA,))
    result = call(world(Account(down=Unreachable("no such host")), up), "dust", "--yes")
    assert (result.exit_code, up.sent) == (1, [["ADA"]])
    assert f"{ONE}: no such host." in result.stdout


def test_when_no_account_answers_it_ends_with_4() -> None:
    result = call(world(Account(down=Unreachable("no such host"))), "dust", "--yes")
    assert result.exit_code == 4
    assert "no such host" in result.stderr


def test_an_account_that_goes_down_before_it_is_sent_says_that_nothing_was() -> None:
    account = Account((ADA,))

    class Goes(World):
        def interactive(self) -> bool:
            account.down = Unreachable("gone")
            return True

    result = call(Goes(brokers={ONE: account, TWO: Without()}), "dust", answer="y\n")
    assert (result.exit_code, account.sent) == (1, [])
    assert "not sent: gone" in result.stdout


def test_a_frozen_account_is_left_alone() -> None:
    account = Account((ADA,))
    made = world(account, stays_frozen={ONE: "a foreign order"})
    result = call(made, "dust", "--yes")
    assert (result.exit_code, account.sent, account.into, made.locked) == (1, [], [], 0)
    assert f"flatdeck thaw {ONE}" in result.stdout


def test_an_account_that_was_frozen_since_is_left_alone() -> None:
    account = Account((ADA,))
    result = call(world(account, freezes=ONE), "dust", "--yes")
    assert (result.exit_code, account.sent) == (1, [])
    assert "it is frozen (a foreign order)" in result.stdout


def test_while_an_engine_runs_nothing_is_converted() -> None:
    account = Account((ADA,))
    result = call(world(account, running=AlreadyRunning(Path("data"), 7)), "dust", "--yes")
    assert (result.exit_code, account.sent) == (5, [])
    assert "is running on data" in result.stderr


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        ((), (1, 1)),
        (("--user", "user_123"), (0, 1)),
        (("--account", ONE), (1, 0)),
        (("--account", ONE, "--account", TWO), (1, 1)),
    ],
)
def test_it_is_done_for_whom_it_was_asked(args: tuple[str, ...], sent: tuple[int, int]) -> None:
    one, two = Account((ADA,)), Account((OLD,))
    assert call(world(one, two), "dust", "--yes", *args).exit_code == 0
    assert (len(one.sent), len(two.sent)) == sent


@pytest.mark.parametrize(
    "args", [("--user", "usr_123"), ("--account", "nobody/here"), ("--user", "user_123", "--account", ONE)]
)
def test_a_name_that_is_not_there_is_a_slip(args: tuple[str, ...]) -> None:
    account = Account((ADA,))
    assert call(world(account), "dust", "--yes", *args).exit_code == 2
    assert account.sent == []


def test_what_to_convert_into_is_told_the_venue_in_its_letters() -> None:
    account = Account((ADA,))
    call(world(account), "dust", "--yes", "--into", "bnb")
    assert account.into == ["BNB", "BNB"]
    refusing = Account(Refused(Refusal.UNSUPPORTED, "it converts into BNB, not into USDT"))
    result = call(world(refusing), "dust", "--yes", "--into", "USDT")
    assert result.exit_code == 1, "it was reached, and it said no"
    assert "not into USDT" in result.stdout


def test_a_request_that_an_earlier_run_left_open_is_looked_up_even_when_there_is_no_dust() -> None:
    entries = [Entry(1, NOW, ConversionAsked("c1", ONE, (ADA,), NOW))]
    account = Account(())
    made = world(account, found=entries)
    result = call(made, "dust")
    assert (result.exit_code, account.sent, made.locked) == (1, [], 1)
    assert "an earlier conversion of ADA has no known outcome" in result.stdout
    assert "NOT KNOWN" in result.stdout

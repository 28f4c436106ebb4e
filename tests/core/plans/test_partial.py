"""An account of which a part is not listed is PARTIAL: in rows, plans and reports. A row that nobody can read hides
nothing."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.errors import OutcomeUnknown
from core.events import HoldingsRead
from core.link.rows import account_row, owner_rows
from core.model import PositionKey
from core.plans.request import PlanRequest
from core.plans.results import verified_owner
from core.portfolio.book import Book
from tests.support.books import COINBASE, KRAKEN, a_book, plan_of, position, reading, settings_of, situation_of, told
from tests.support.builders import holdings
from tests.support.virtual_time import virtual
from tests.support.world import World

SETTINGS = settings_of(COINBASE, KRAKEN)
PARTS = ("cross margin", "options")
EVERYTHING = PlanRequest("flatten", everything=True)
BTC = PositionKey(COINBASE, "BTC-USD")


def partial(account: str = COINBASE, *positions: object, asked: float = 0.0, **more: object) -> HoldingsRead:
    read = reading(account, *positions, asked=asked)  # type: ignore[arg-type]  # positions
    return HoldingsRead(structs.replace(read.holdings, **({"unlisted": PARTS} | more)))


def read_book() -> Book:
    return told(a_book(COINBASE, KRAKEN), partial(), reading(KRAKEN))


@pytest.mark.parametrize("cause", ["flatten", "cleanup", "cancel-orders"])
def test_a_plan_for_an_account_with_an_unlisted_part_is_partial_and_names_it(cause: str) -> None:
    plan = plan_of(read_book(), SETTINGS, PlanRequest(cause, everything=True))
    assert (plan.empty, plan.complete, plan.unreadable) == (True, False, {})
    assert plan.unlisted == {COINBASE: PARTS}
    assert [o.complete for o in plan.owners] == [False]


def test_a_plan_for_another_account_is_whole() -> None:
    plan = plan_of(read_book(), SETTINGS, PlanRequest("flatten", accounts=(KRAKEN,)))
    assert (plan.complete, plan.unlisted) == (True, {})


def test_rows_say_what_is_not_listed_and_positions_are_judged_all_the_same() -> None:
    book = told(read_book(), partial(COINBASE, position(), asked=1.0))
    row = account_row(book.accounts[COINBASE], None)
    assert (row.state, row.whole, row.unlisted) == ("live", False, PARTS)
    owner, rows = owner_rows("user_123", SETTINGS, book, situation_of(book), ())
    assert (owner.complete, owner.counted) == (False, 1)
    assert "cannot be read" not in rows[0].note


def test_a_later_proof_makes_the_account_whole_again() -> None:
    book = told(read_book(), reading(COINBASE, asked=1.0))
    assert plan_of(book, SETTINGS, EVERYTHING).complete


def test_an_owner_with_an_unlisted_part_is_read_and_not_complete() -> None:
    whole, part = holdings(), holdings(unlisted=PARTS)
    assert (verified_owner("u", [whole, part]).read, verified_owner("u", [whole, part]).complete) == (True, False)
    assert (verified_owner("u", [whole, None]).read, verified_owner("u", [whole, None]).complete) == (False, False)
    assert verified_owner("u", [whole, whole]).complete


def test_a_position_whose_row_cannot_be_read_is_not_gone() -> None:
    book = told(a_book(COINBASE, KRAKEN), reading(COINBASE, position(), position("ETH-USD")))
    for asked in (1.0, 3.0, 5.0):
        told(book, partial(COINBASE, asked=asked, unread=("BTC-USD",)))
    assert [p.symbol for p in book.positions(COINBASE)] == ["BTC-USD"]
    told(book, reading(COINBASE, asked=7.0), reading(COINBASE, asked=9.0))
    assert book.positions(COINBASE) == []


def test_a_row_without_a_symbol_may_be_any_position() -> None:
    book = told(a_book(COINBASE, KRAKEN), reading(COINBASE, position()))
    for asked in (1.0, 3.0):
        told(book, partial(COINBASE, asked=asked, unread=("",)))
    assert book.position(BTC) is not None


def test_a_read_with_an_unreadable_row_tells_nothing_of_that_symbol() -> None:
    read = holdings(unread=("BTC",))
    with pytest.raises(OutcomeUnknown, match="BTC cannot be read"):
        read.position(PositionKey("ann/paper", "BTC"))
    assert read.position(PositionKey("ann/paper", "ETH")) is None


@virtual
async def test_a_flatten_with_an_unlisted_part_closes_what_it_sees_and_is_no_success() -> None:
    async with World() as world:
        broker = next(iter(world.engine._brokers.values()))
        whole = broker.holdings

        async def read(*, urgent: bool = False) -> object:
            return structs.replace(await whole(urgent=urgent), unlisted=PARTS)

        broker.holdings = read  # type: ignore[assignment,method-assign]
        await world.engine.read_all()
        report = await world.flatten()
        assert [r.outcome for r in report.results] == ["closed"]
        assert (report.complete, report.success) == (False, False)
        assert report.unlisted == {"ann/paper": PARTS}
        assert [o.final for o in report.owners] == [0]
        said = [row.text for row in world.engine.snapshot().log]
        assert "[PARTIAL] ann/paper: not listed: cross margin, options" in said

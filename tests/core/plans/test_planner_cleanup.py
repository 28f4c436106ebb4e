"""Cleanup plans over owners and accounts: who counts together, overrides, accounts that cannot be read."""

from __future__ import annotations

import pytest

from core.events import AccountChanged, AccountState
from core.plans.plan import ActionKind, Plan, Reason
from core.plans.request import PlanRequest
from core.portfolio.book import Book
from core.settings import CleanupSettings, Settings
from tests.support.books import (
    COINBASE,
    KRAKEN,
    NOW,
    PLATFORM,
    D,
    a_book,
    order,
    plan_of,
    settings_of,
    stocked,
    told,
)

CLEANUP = PlanRequest("cleanup")


def values(prefix: str, count: int, start: int = 10) -> dict[str, str | None]:
    return {f"{prefix}{n}": str(start + n) for n in range(count)}


def nine_across_two() -> Book:
    """Five positions at one broker and four at the other, the smallest of all at the second."""
    book = stocked(a_book(PLATFORM, COINBASE, KRAKEN), PLATFORM, {})
    return stocked(stocked(book, COINBASE, values("C", 5)), KRAKEN, values("K", 4, start=5))


def closed(plan: Plan) -> list[str]:
    return [a.key.symbol for a in plan.closes]


def cleaned(book: Book, request: PlanRequest = CLEANUP, settings: Settings | None = None, **changes: object) -> Plan:
    return plan_of(book, settings or settings_of(PLATFORM, COINBASE, KRAKEN), request, **changes)


def test_nine_positions_across_two_brokers_exceed_a_cap_of_eight_by_the_smallest() -> None:
    plan = cleaned(nine_across_two())
    assert [(a.key.account, a.key.symbol, a.text) for a in plan.closes] == [
        (KRAKEN, "K0", "Position cap exceeded (9/8)")
    ]
    assert [(o.id, o.initial, o.cap_excess, o.final) for o in plan.owners] == [
        ("platform", 0, 0, 0),
        ("user_123", 9, 1, 8),
    ]
    assert plan.cause == "cleanup"
    assert plan.complete


def test_the_platform_is_never_counted_with_a_user() -> None:
    book = stocked(nine_across_two(), PLATFORM, values("P", 8))
    plan = cleaned(book)
    assert closed(plan) == ["K0"]
    assert [(o.id, o.initial, o.final) for o in plan.owners] == [("platform", 8, 8), ("user_123", 9, 8)]
    assert plan.totals.initial == 17


def test_a_user_s_own_cap_overrides_the_common_one() -> None:
    settings = settings_of(PLATFORM, COINBASE, KRAKEN, caps={"user_123": 2})
    book = stocked(nine_across_two(), PLATFORM, values("P", 8))
    plan = cleaned(book, settings=settings)
    assert closed(plan) == ["K0", "K1", "K2", "K3", "C0", "C1", "C2"]
    assert {o.id: (o.cap, o.final) for o in plan.owners} == {"platform": (8, 8), "user_123": (2, 2)}


def test_a_request_overrides_cap_and_threshold_for_everyone() -> None:
    settings = settings_of(PLATFORM, COINBASE, KRAKEN, caps={"user_123": 2})
    book = stocked(nine_across_two(), PLATFORM, {"P0": "1.50", "P1": "2.00"})
    plan = cleaned(book, PlanRequest("cleanup", dust_usd=D("2.00"), max_positions=5), settings)
    dust = [a for a in plan.closes if a.reason is Reason.DUST]
    assert [(a.key.symbol, a.text) for a in dust] == [("P0", "Dust position ($1.50 < $2.00)")]
    assert {o.id: (o.cap, o.final) for o in plan.owners} == {"platform": (5, 1), "user_123": (5, 5)}


def test_a_cap_of_zero_and_a_threshold_of_zero_are_overrides_too() -> None:
    book = stocked(nine_across_two(), PLATFORM, {"P0": "0.5"})
    plan = cleaned(book, PlanRequest("cleanup", dust_usd=D(0), max_positions=0))
    assert len(plan.closes) == 10
    assert not [a for a in plan.actions if a.reason is Reason.DUST]


def test_only_the_users_asked_for_are_planned() -> None:
    book = stocked(nine_across_two(), PLATFORM, values("P", 9))
    plan = cleaned(book, PlanRequest("cleanup", owners=("platform",)))
    assert [o.id for o in plan.owners] == ["platform"]
    assert closed(plan) == ["P0"]


def test_an_unreadable_account_makes_a_plan_partial_and_stops_nobody() -> None:
    book = stocked(nine_across_two(), PLATFORM, values("P", 9))
    told(book, AccountChanged(COINBASE, AccountState.DOWN, "connection refused"))
    plan = cleaned(book)
    assert closed(plan) == ["P0"]
    assert not plan.complete
    assert not plan.totals.complete
    assert plan.unreadable == {COINBASE: "connection refused"}
    assert [(o.id, o.initial, o.complete) for o in plan.owners] == [("platform", 9, True), ("user_123", 4, False)]


def test_the_cap_is_enforced_on_what_is_readable() -> None:
    book = stocked(nine_across_two(), KRAKEN, values("K", 9, start=5))
    told(book, AccountChanged(COINBASE, AccountState.STALE, "stream silent for 10 s"))
    plan = cleaned(book)
    assert [(a.key.symbol, a.text) for a in plan.closes] == [("K0", "Position cap exceeded (9/8)")]


def test_an_account_that_was_never_read_is_unreadable() -> None:
    book = a_book(PLATFORM, COINBASE, KRAKEN)
    plan = cleaned(stocked(book, PLATFORM, values("P", 1)))
    assert plan.unreadable == {COINBASE: "not read yet", KRAKEN: "not read yet"}


def test_an_account_that_nobody_asked_about_makes_nothing_partial() -> None:
    book = told(nine_across_two(), AccountChanged(PLATFORM, AccountState.DOWN, "no"))
    assert cleaned(book, PlanRequest("cleanup", owners=("user_123",))).complete
    assert not cleaned(book).complete
    assert cleaned(book, PlanRequest("flatten", accounts=(KRAKEN,))).complete


def with_order() -> Book:
    """Nine at one account; the smallest has an open order."""
    return stocked(a_book(COINBASE), COINBASE, values("S", 9), [order("o1", "S0")])


@pytest.mark.parametrize(
    ("configured", "request_", "first_run", "cancelled"),
    [
        ("never", CLEANUP, True, False),
        ("always", CLEANUP, False, True),
        ("startup", CLEANUP, True, True),
        ("startup", CLEANUP, False, False),
        ("always", PlanRequest("cleanup", cancel_open_orders="never"), True, False),
        ("never", PlanRequest("cleanup", cancel_open_orders="always"), False, True),
        ("never", PlanRequest("cleanup", cancel_open_orders="startup"), False, False),
        ("never", PlanRequest("cleanup", cancel_if="rank>max_positions"), False, True),
        ("always", PlanRequest("cleanup", cancel_if="usd_value<1.0"), False, False),
    ],
)
def test_what_happens_to_open_orders_is_configured_or_overridden(
    configured: str, request_: PlanRequest, *, first_run: bool, cancelled: bool
) -> None:
    settings = settings_of(COINBASE, cleanup=CleanupSettings(cancel_open_orders=configured))
    plan = cleaned(with_order(), request_, settings, first_run=first_run)
    if cancelled:
        assert [a.kind for a in plan.actions] == [ActionKind.CANCEL_ORDER, ActionKind.CLOSE]
        assert (plan.totals.orders_to_cancel, plan.totals.final) == (1, 8)
    else:
        assert [(a.kind, a.reason) for a in plan.actions] == [(ActionKind.SKIP, Reason.OPEN_ORDERS)]
        assert (plan.totals.skipped, plan.totals.final, plan.totals.cap) == (1, 9, 8)


def test_the_configured_condition_is_compared_with_the_cap_of_the_run() -> None:
    rules = CleanupSettings(cancel_open_orders="matching", cancel_if="rank>max_positions")
    settings = settings_of(COINBASE, cleanup=rules)
    assert closed(cleaned(with_order(), settings=settings)) == ["S0"]
    assert closed(cleaned(with_order(), PlanRequest("cleanup", max_positions=9), settings)) == []


def test_a_condition_that_does_not_parse_is_refused_and_quoted() -> None:
    with pytest.raises(ValueError, match='"foo<1"'):
        cleaned(with_order(), PlanRequest("cleanup", cancel_if="usd_value<1,foo<1"), settings_of(COINBASE))


def test_a_cleanup_of_an_account_counts_the_cap_over_all_accounts_and_acts_in_that_one() -> None:
    """Nine against a cap of eight: the smallest is at Kraken, so nothing of Coinbase has to go."""
    book = nine_across_two()
    here = cleaned(book, PlanRequest("cleanup", accounts=(KRAKEN,)))
    assert closed(here) == closed(cleaned(book, CLEANUP)) == ["K0"]
    assert [(o.id, o.initial, o.final) for o in here.owners] == [("user_123", 9, 8)]
    there = cleaned(book, PlanRequest("cleanup", accounts=(COINBASE,)))
    assert closed(there) == []
    assert [(o.initial, o.final, o.complete) for o in there.owners] == [(9, 9, True)]


def test_a_cleanup_of_an_account_is_partial_where_the_owners_other_account_is_not_read() -> None:
    book = nine_across_two()
    book.apply(AccountChanged(COINBASE, AccountState.DOWN, "no such host"), NOW)
    here = cleaned(book, PlanRequest("cleanup", accounts=(KRAKEN,)))
    assert [o.complete for o in here.owners] == [False]
    assert not here.complete

"""What consoles are shown: flags, counts, notes, and when a close does something again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import Refusal, Refused
from core.events import AccountChanged, AccountState, QuoteSeen
from core.ladder import step as ladder
from core.ladder.moves import end, give_up
from core.ladder.states import DoPark, DoWait, Limits, Phase, PositionRead, ReadFailed, SendRefused, Transition
from core.ladder.tiers import schedule
from core.link.messages import ClosingRow, OwnerRow, PositionRow
from core.link.rows import account_row, closing_row, next_at, owner_rows
from core.model import PositionKey, Quote
from core.plans.plan import Action, ActionKind, Reason
from core.plans.results import Outcome
from core.portfolio.book import Book
from core.settings import CleanupSettings, Settings
from tests.support.books import (
    COINBASE,
    KRAKEN,
    NOW,
    OURS,
    TIERS,
    D,
    a_book,
    instrument,
    order,
    position,
    quote,
    reading,
    settings_of,
    situation_of,
    stocked,
    told,
)

SETTINGS = settings_of(COINBASE, KRAKEN)
BTC = PositionKey(COINBASE, "BTC-USD")


def shown(
    book: Book, settings: Settings = SETTINGS, *, closing: tuple[PositionKey, ...] = (), at: float = 1.0
) -> tuple[OwnerRow, dict[str, PositionRow]]:
    owner, rows = owner_rows("user_123", settings, book, situation_of(book, monotonic=at), closing)
    return owner, {r.key.symbol: r for r in rows}


def of_one(values: dict[str, str | None], *orders: object) -> Book:
    """One account with these; the other one is empty."""
    book = a_book(COINBASE, KRAKEN)
    return stocked(stocked(book, KRAKEN, {}), COINBASE, values, orders)  # type: ignore[arg-type]  # orders


def test_a_row_has_all_that_is_known_and_none_for_what_is_not() -> None:
    held = position(quantity="2.00000007", free="1.57", entry=None, leverage=None, opened_at=NOW - timedelta(days=1))
    rules = instrument(native_symbol="XXBTZUSD", step="0.1")
    book = told(a_book(COINBASE, KRAKEN), reading(COINBASE, held, instruments=[rules]), QuoteSeen(quote(received=0.25)))
    row = shown(book)[1]["BTC-USD"]
    assert (row.owner, row.native_symbol, row.side, row.quantity, row.free) == (
        "user_123",
        "XXBTZUSD",
        "long",
        D("2.00000007"),
        D("1.5"),
    )
    assert (row.entry, row.leverage, row.pnl, row.roi, row.stop, row.target) == (None,) * 6
    assert (row.mark, row.usd_value, row.opened_at) == (100, D("200.000007"), NOW - timedelta(days=1))
    assert (row.open_orders, row.flags, row.note) == (0, (), "")
    assert row.priced_at == NOW - timedelta(seconds=0.75)


@pytest.mark.parametrize(("free", "row"), [("-1", "0"), ("0", "0"), ("0.9", "0"), ("1", "1")])
def test_what_is_free_is_on_the_step_and_never_negative(free: str, row: str) -> None:
    book = told(a_book(COINBASE, KRAKEN), reading(COINBASE, position(free=free), instruments=[instrument(step="1")]))
    assert shown(book)[1]["BTC-USD"].free == D(row)


def test_dust_is_flagged_with_its_reason_and_not_counted() -> None:
    owner, rows = shown(of_one({"DUST": "0.43", "REAL": "1.00"}))
    assert (rows["DUST"].flags, rows["DUST"].note) == (("dust",), "Dust position ($0.43 < $1.00)")
    assert (rows["REAL"].flags, rows["REAL"].note) == ((), "")
    assert owner == OwnerRow("user_123", 8, 1, complete=True, dust=1)


def test_what_is_over_the_cap_is_flagged_and_counted() -> None:
    settings = settings_of(COINBASE, KRAKEN, caps={"user_123": 1})
    owner, rows = shown(of_one({"BIG": "9", "LOW": "2"}), settings)
    assert (rows["LOW"].flags, rows["LOW"].note) == (("cap",), "Position cap exceeded (2/1)")
    assert rows["BIG"].flags == ()
    assert (owner.cap, owner.counted) == (1, 2)


def test_the_thresholds_are_the_configured_ones() -> None:
    settings = settings_of(COINBASE, KRAKEN, cleanup=CleanupSettings(dust_usd=D(5), max_positions=3))
    owner, rows = shown(of_one({"S": "4"}), settings)
    assert rows["S"].flags == ("dust",)
    assert owner.cap == 3


def test_only_the_user_s_open_orders_are_flagged_and_counted() -> None:
    orders = [order("o1", "S"), order("o2", "S"), order("p", "S", client_id=OURS), order("p", "T", client_id=OURS)]
    rows = shown(of_one({"S": "10", "T": "10"}, *orders))[1]
    assert (rows["S"].flags, rows["S"].open_orders) == (("open_orders",), 2)
    assert (rows["T"].flags, rows["T"].open_orders) == ((), 0)


def test_unsellable_is_flagged_with_the_reason_and_not_counted() -> None:
    rules = instrument("REST", tradable=False, way_out="convert it")
    book = told(
        a_book(COINBASE, KRAKEN), reading(COINBASE, position("REST"), instruments=[rules]), QuoteSeen(quote("REST"))
    )
    owner, rows = shown(book)
    assert (rows["REST"].flags, rows["REST"].note) == (
        ("unsellable",),
        "not tradable at the venue; way out: convert it",
    )
    assert (owner.counted, owner.unsellable) == (0, 1)


@pytest.mark.parametrize(
    ("prices", "note"),
    [
        (None, "no price"),
        (quote(received=1.0), "price is 8 s old"),
        (Quote(COINBASE, "BTC-USD", 9.0, bid=D(2), ask=D(1)), "crossed"),
        (Quote(COINBASE, "BTC-USD", 9.0, last=D(0)), "price not positive"),
    ],
)
def test_a_position_whose_price_is_missing_old_or_bad_is_stale_with_the_reason_and_counted(
    prices: Quote | None, note: str
) -> None:
    book = told(a_book(COINBASE, KRAKEN), reading(COINBASE, position()), *([QuoteSeen(prices)] if prices else []))
    owner, rows = shown(book, at=9.0)
    row = rows["BTC-USD"]
    assert (row.flags, row.note, row.usd_value, row.mark) == (("stale",), note, None, None)
    assert (row.priced_at is None) is (prices is None)
    assert owner.counted == 1


def test_a_missing_rate_makes_the_value_unknown_and_not_the_price_stale() -> None:
    book = told(
        a_book(COINBASE, KRAKEN),
        reading(COINBASE, position(), instruments=[instrument(quote="EUR")]),
        QuoteSeen(quote()),
    )
    row = shown(book)[1]["BTC-USD"]
    assert (row.flags, row.note, row.usd_value, row.mark) == ((), "no USD rate for EUR", None, 100)


def test_positions_of_an_unreadable_account_are_shown_stale_and_not_judged() -> None:
    book = stocked(of_one({"DUST": "0.1", "S": "50"}), KRAKEN, {"K": "5"})
    told(book, AccountChanged(COINBASE, AccountState.STALE, "stream silent for 10 s"))
    owner, rows = shown(book)
    assert {s: r.flags for s, r in rows.items()} == {"DUST": ("stale",), "S": ("stale",), "K": ()}
    assert rows["S"].note == "account cannot be read"
    assert owner == OwnerRow("user_123", 8, 1, complete=False)


def test_a_close_in_flight_is_flagged_beside_the_others() -> None:
    book = of_one({"BTC-USD": "0.5"}, order())
    assert shown(book, closing=(BTC,))[1]["BTC-USD"].flags == ("dust", "open_orders", "closing")


def test_an_account_s_row_says_how_it_is_read_and_why_it_is_frozen() -> None:
    book = told(of_one({}), AccountChanged(COINBASE, AccountState.STALE, "reset by peer", 0.25))
    row = account_row(book.accounts[COINBASE], "an order nobody sent")
    assert (row.id, row.owner, row.broker, row.state, row.error) == (
        COINBASE,
        "user_123",
        "paper",
        "stale",
        "reset by peer",
    )
    assert (row.as_of, row.latency, row.frozen) == (NOW, 0.25, "an order nobody sent")


LIMITS = Limits(attempts=2, tier_timeout=5.0, request_expiry=5.0, position_lag=10.0)
CLOSE = Action(ActionKind.CLOSE, Reason.DUST, "Dust", "user_123", BTC, side=position().side, quantity=D(1), tiers=TIERS)


def begun() -> Transition:
    return ladder.start(CLOSE, "p1", "ab12", schedule(TIERS, 2, ()), LIMITS, 0.0)


def sending() -> Transition:
    """Flat it is not: an order is on its way."""
    return ladder.step(
        begun().ladder, PositionRead(position(), (), instrument(), asked=0.0, received=0.0, price=D(100)), 0.0
    )


def row_of(move: Transition) -> ClosingRow:
    return closing_row(move, NOW)


def test_a_close_shows_what_it_tries_and_what_comes_next() -> None:
    row = row_of(sending())
    assert (row.key, row.plan, row.reason, row.state, row.quantity, row.filled) == (BTC, "p1", "dust", "sending", 1, 0)
    assert (row.tier, row.round, row.attempt, row.next_tier) == ("market_ioc", 1, 1, "market_gtc")
    assert row.next_at == NOW + timedelta(seconds=5)
    assert (row.outcome, row.alarm, row.answer) == (None, False, "")


def test_a_refused_tier_is_followed_by_the_next_and_its_answer_shown() -> None:
    refused = Refused(Refusal.UNSUPPORTED, "time in force not supported")
    row = row_of(ladder.step(sending().ladder, SendRefused(refused), 1.0))
    assert (row.tier, row.attempt, row.next_tier, row.round) == ("market_gtc", 2, "market_ioc", 1)
    assert "time in force not supported" in row.answer


def test_a_close_that_waits_says_until_when() -> None:
    move = ladder.step(begun().ladder, ReadFailed("connection refused"), 1.0)
    assert isinstance(move.do, DoWait)
    row = row_of(move)
    assert (row.state, row.answer) == ("waiting", "market_ioc 1: connection refused")
    assert row.next_at == NOW + timedelta(seconds=move.do.seconds)


def test_a_parked_close_does_something_again_when_the_market_opens() -> None:
    opens = NOW + timedelta(hours=17)
    refused = Refused(Refusal.MARKET_CLOSED, "market closed", opens_at=opens)
    move = ladder.step(sending().ladder, SendRefused(refused), 1.0)
    assert isinstance(move.do, DoPark)
    assert (row_of(move).state, row_of(move).next_at) == ("parked", opens)


def test_a_read_under_way_has_no_time_of_its_own() -> None:
    move = begun()
    assert move.ladder.phase is Phase.READING
    assert next_at(move.ladder, move, NOW) is None


@pytest.mark.parametrize(
    ("ended", "outcome", "alarm"),
    [
        (end(begun().ladder, Outcome.CLOSED), "closed", False),
        (give_up(begun().ladder, "out of time"), "stuck", True),
    ],
)
def test_an_ended_close_has_its_outcome_and_nothing_next(ended: Transition, outcome: str, *, alarm: bool) -> None:
    row = row_of(ended)
    assert (row.state, row.outcome, row.alarm, row.next_tier, row.next_at) == ("ended", outcome, alarm, None, None)

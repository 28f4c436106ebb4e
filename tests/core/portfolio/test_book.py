"""What the book believes: reads, the stream's hints, orders, prices, and accounts that cannot be read."""

from __future__ import annotations

import pytest

from core.events import AccountChanged, AccountState, FillSeen, OrderSeen, PositionSeen, QuoteSeen, RatesSeen
from core.model import Fill, Leg, OrderSide, OrderStatus, PositionKey, Quote, Side
from core.portfolio.book import AGREE, Book
from tests.support.books import (
    COINBASE,
    KRAKEN,
    NOW,
    OURS,
    D,
    a_book,
    instrument,
    order,
    position,
    quote,
    reading,
    told,
)

BTC, ETH = PositionKey(COINBASE, "BTC-USD"), PositionKey(COINBASE, "ETH-USD")
BOTH = (position("BTC-USD"), position("ETH-USD"))


def held(book: Book, account: str = COINBASE) -> list[str]:
    return [p.symbol for p in book.positions(account)]


def test_a_complete_read_is_what_is_held() -> None:
    book = a_book(COINBASE)
    change = book.apply(reading(COINBASE, *BOTH, equity=D(70)), NOW)
    assert book.keys([COINBASE]) == [BTC, ETH]
    assert change.positions == {BTC, ETH}
    assert change.accounts == {COINBASE}
    assert not change.doubted
    view = book.accounts[COINBASE]
    assert (view.received, view.as_of, view.equity, view.latency) == (0.5, NOW, D(70), 0.5)


def test_a_shorter_list_is_doubted_first_and_believed_when_a_second_read_agrees() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH))
    first = book.apply(reading(COINBASE, BOTH[0], asked=10), NOW)
    assert first.doubted == {COINBASE}
    assert held(book) == ["BTC-USD", "ETH-USD"]
    second = book.apply(reading(COINBASE, BOTH[0], asked=11), NOW)
    assert not second.doubted
    assert ETH in second.positions
    assert held(book) == ["BTC-USD"]


def test_two_short_lists_long_after_each_other_do_not_confirm_one_another() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), reading(COINBASE, BOTH[0], asked=10))
    again = book.apply(reading(COINBASE, BOTH[0], asked=10 + AGREE + 1), NOW)
    assert again.doubted == {COINBASE}
    assert held(book) == ["BTC-USD", "ETH-USD"]
    assert held(told(book, reading(COINBASE, BOTH[0], asked=10 + AGREE + 2))) == ["BTC-USD"]


def test_an_empty_list_is_a_shorter_list() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), reading(COINBASE, asked=10))
    assert held(book) == ["BTC-USD", "ETH-USD"]
    assert held(told(book, reading(COINBASE, asked=11))) == []


def test_a_second_read_asked_before_the_first_was_received_does_not_count() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH))
    told(book, reading(COINBASE, BOTH[0], asked=10, received=12), reading(COINBASE, BOTH[0], asked=11, received=12.1))
    assert held(book) == ["BTC-USD", "ETH-USD"]


def test_the_same_read_twice_is_not_a_second_read() -> None:
    shorter = reading(COINBASE, BOTH[0], asked=10)
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), shorter, shorter)
    assert held(book) == ["BTC-USD", "ETH-USD"]


def test_a_position_that_comes_back_is_doubted_anew() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), reading(COINBASE, BOTH[0], asked=10))
    told(book, reading(COINBASE, *BOTH, asked=20))
    assert book.apply(reading(COINBASE, BOTH[0], asked=30), NOW).doubted == {COINBASE}
    assert held(book) == ["BTC-USD", "ETH-USD"]


def test_a_shorter_list_is_believed_at_once_when_the_stream_explained_it() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), PositionSeen(ETH, None))
    assert held(book) == ["BTC-USD", "ETH-USD"]  # the stream's word alone removes nothing
    change = book.apply(reading(COINBASE, BOTH[0], asked=10), NOW)
    assert not change.doubted
    assert held(book) == ["BTC-USD"]


def test_the_stream_s_word_that_a_position_is_gone_is_used_up_by_the_next_read() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), PositionSeen(ETH, None), reading(COINBASE, *BOTH, asked=5))
    assert book.apply(reading(COINBASE, BOTH[0], asked=10), NOW).doubted == {COINBASE}
    assert held(book) == ["BTC-USD", "ETH-USD"]


def test_a_position_gone_and_opened_again_is_not_explained_away() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), PositionSeen(ETH, None), PositionSeen(ETH, BOTH[1]))
    assert book.apply(reading(COINBASE, BOTH[0], asked=10), NOW).doubted == {COINBASE}
    assert held(book) == ["BTC-USD", "ETH-USD"]


def test_a_position_opened_again_needs_two_reads_without_it() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), reading(COINBASE, BOTH[0], asked=10))
    told(book, PositionSeen(ETH, position("ETH-USD", "3")), reading(COINBASE, BOTH[0], asked=20))
    assert held(book) == ["BTC-USD", "ETH-USD"]
    assert held(told(book, reading(COINBASE, BOTH[0], asked=30))) == ["BTC-USD"]


def test_the_stream_refines_a_position_until_the_next_read() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH), PositionSeen(BTC, position("BTC-USD", "0.4")))
    seen = book.position(BTC)
    assert seen is not None
    assert seen.quantity == D("0.4")
    told(book, reading(COINBASE, *BOTH, asked=9))
    read = book.position(BTC)
    assert read is not None
    assert read.quantity == 1


def test_an_older_read_never_replaces_a_newer_one() -> None:
    newer = reading(COINBASE, position(quantity="1"), orders=[order("new")], asked=10)
    older = reading(COINBASE, position(quantity="5"), orders=[order("old")], asked=9, received=9.5)
    book = told(a_book(COINBASE), newer)
    change = book.apply(older, NOW)
    assert change.positions == set()
    assert [p.quantity for p in book.positions(COINBASE)] == [1]
    assert [o.id for o in book.orders(COINBASE)] == ["new"]


def test_a_slow_read_that_was_asked_earlier_is_older_though_it_came_later() -> None:
    quick = reading(COINBASE, position(quantity="1"), asked=5, received=6)
    slow = reading(COINBASE, position(quantity="5"), asked=0, received=10)
    book = told(a_book(COINBASE), quick, slow)
    assert [p.quantity for p in book.positions(COINBASE)] == [1]


def test_accounts_do_not_disturb_each_other() -> None:
    book = told(a_book(COINBASE, KRAKEN), reading(COINBASE, *BOTH), PositionSeen(ETH, None))
    other = position("BTC-USD", account=KRAKEN)
    told(book, reading(KRAKEN, other, asked=10), reading(KRAKEN, asked=20), reading(KRAKEN, asked=30))
    assert held(book, KRAKEN) == []
    assert held(told(book, reading(COINBASE, BOTH[0], asked=40))) == ["BTC-USD"]  # the stream's word still stands


def test_an_order_s_cumulative_fill_never_falls() -> None:
    book = told(a_book(COINBASE), OrderSeen(order(filled="0.6")), OrderSeen(order(filled="0.2")))
    assert [o.filled for o in book.orders(COINBASE)] == [D("0.6")]
    told(book, reading(COINBASE, orders=[order(filled="0.5")], asked=1))
    assert [o.filled for o in book.orders(COINBASE)] == [D("0.6")]
    told(book, OrderSeen(order(filled="0.7")))
    assert [o.filled for o in book.orders(COINBASE)] == [D("0.7")]


@pytest.mark.parametrize("end", [s for s in OrderStatus if s.terminal])
def test_an_order_that_is_over_goes_and_a_late_word_does_not_reopen_it(end: OrderStatus) -> None:
    book = told(a_book(COINBASE), OrderSeen(order("o1")), OrderSeen(order("o2")))
    told(book, OrderSeen(order("o1", status=end)), OrderSeen(order("o1")))
    assert [o.id for o in book.orders(COINBASE)] == ["o2"]


def test_a_read_decides_which_orders_are_open() -> None:
    book = told(a_book(COINBASE), OrderSeen(order("gone")), OrderSeen(order("back", status=OrderStatus.CANCELLED)))
    over = order("over", status=OrderStatus.FILLED)
    told(book, reading(COINBASE, orders=[order("back"), order("new"), over]))
    assert [o.id for o in book.orders(COINBASE)] == ["back", "new"]
    told(book, OrderSeen(order("back", filled="0.5")))
    assert [o.filled for o in book.orders(COINBASE)] == [D("0.5"), 0]


def test_an_order_of_unknown_state_counts_as_open() -> None:
    book = told(a_book(COINBASE), OrderSeen(order(status=OrderStatus.UNKNOWN)))
    assert [o.id for o in book.orders_on(COINBASE, "BTC-USD")] == ["o1"]


def test_a_fill_changes_nothing_by_itself() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, *BOTH))
    fill = Fill(COINBASE, "BTC-USD", "t1", "o1", OrderSide.SELL, D(1), D(100))
    assert book.apply(FillSeen(fill), NOW).positions == set()
    assert held(book) == ["BTC-USD", "ETH-USD"]


@pytest.mark.parametrize(
    ("state", "readable"),
    [
        (AccountState.LIVE, True),
        (AccountState.POLLING, True),
        (AccountState.CONNECTING, False),
        (AccountState.STALE, False),
        (AccountState.DOWN, False),
    ],
)
def test_an_account_is_readable_while_it_is_watched_and_once_it_was_read(state: AccountState, readable: bool) -> None:
    book = a_book(COINBASE, live=False)
    told(book, AccountChanged(COINBASE, state, "why"))
    assert not book.readable(COINBASE)
    assert book.readable(COINBASE) is False
    told(book, reading(COINBASE, *BOTH))
    assert book.readable(COINBASE) is readable
    assert held(book) == ["BTC-USD", "ETH-USD"]
    assert book.accounts[COINBASE].error == "why"


def test_an_account_s_error_goes_and_its_latency_stays_when_it_recovers() -> None:
    book = told(
        a_book(COINBASE),
        AccountChanged(COINBASE, AccountState.DOWN, "refused", 0.2),
        AccountChanged(COINBASE, AccountState.LIVE),
    )
    view = book.accounts[COINBASE]
    assert (view.state, view.error, view.latency) == (AccountState.LIVE, None, 0.2)


def test_an_older_price_never_replaces_a_newer_one() -> None:
    book = told(
        a_book(COINBASE), QuoteSeen(quote(price="101", received=2.0)), QuoteSeen(quote(price="99", received=1.0))
    )
    newest = book.quote(COINBASE, "BTC-USD")
    assert newest is not None
    assert newest.last == 101


def test_a_holding_has_the_value_and_pnl_that_a_close_would_find() -> None:
    book = told(
        a_book(COINBASE),
        reading(COINBASE, position(quantity="2", entry="90", leverage="3"), instruments=[instrument(multiplier="10")]),
        QuoteSeen(Quote(COINBASE, "BTC-USD", 1.0, bid=D(99), ask=D(101), last=D("100.5"))),
    )
    now = book.holding(BTC, 2.0)
    assert now is not None
    assert (now.owner, now.price, now.mark, now.value) == ("user_123", 99, D("100.5"), 1980)
    assert now.pnl == D("10.5") / 90
    assert now.roi == 3 * (D("10.5") / 90)
    assert (now.spread, now.fee_rate) == (D("0.01"), D("0.001"))
    assert now.flaw == ""


def test_a_short_is_valued_at_the_ask() -> None:
    book = told(
        a_book(COINBASE),
        reading(COINBASE, position(side=Side.SHORT)),
        QuoteSeen(Quote(COINBASE, "BTC-USD", 1.0, bid=D(99), ask=D(101))),
    )
    now = book.holding(BTC, 1.0)
    assert now is not None
    assert now.value == 101


@pytest.mark.parametrize(
    ("prices", "monotonic", "flaw"),
    [
        (None, 1.0, "no price"),
        (quote(received=1.0), 7.0, "price is 6 s old"),
        (Quote(COINBASE, "BTC-USD", 1.0), 1.0, "no price"),
        (Quote(COINBASE, "BTC-USD", 1.0, bid=D(101), ask=D(100)), 1.0, "crossed"),
        (Quote(COINBASE, "BTC-USD", 1.0, bid=D(0), ask=D(100)), 1.0, "price not positive"),
        (Quote(COINBASE, "BTC-USD", 1.0, ask=D(100)), 1.0, "no price that a close would get"),
    ],
)
def test_a_price_that_cannot_be_used_leaves_value_and_pnl_unknown_with_the_reason(
    prices: Quote | None, monotonic: float, flaw: str
) -> None:
    book = told(a_book(COINBASE), reading(COINBASE, position()))
    if prices is not None:
        told(book, QuoteSeen(prices))
    now = book.holding(BTC, monotonic)
    assert now is not None
    assert (now.price, now.mark, now.value, now.pnl, now.roi) == (None, None, None, None, None)
    assert now.flaw == flaw


def test_an_unknown_entry_or_leverage_is_unknown_and_the_value_is_not() -> None:
    book = told(a_book(COINBASE), reading(COINBASE, position(entry=None)), QuoteSeen(quote()))
    now = book.holding(BTC, 1.0)
    assert now is not None
    assert (now.value, now.pnl, now.roi) == (100, None, None)
    told(book, reading(COINBASE, position(leverage=None), asked=1))
    now = book.holding(BTC, 1.0)
    assert now is not None
    assert (now.pnl, now.roi) == (0, None)


def test_a_foreign_currency_needs_the_broker_s_own_rate() -> None:
    euros = instrument(quote="EUR")
    book = told(a_book(COINBASE, KRAKEN), reading(COINBASE, position(), instruments=[euros]), QuoteSeen(quote()))
    told(book, RatesSeen(KRAKEN, {"EUR": D("9")}))
    unknown = book.holding(BTC, 1.0)
    assert unknown is not None
    assert (unknown.value, unknown.flaw, unknown.pnl) == (None, "no USD rate for EUR", 0)
    assert book.apply(RatesSeen(COINBASE, {"EUR": D("1.1"), "JPY": D("0.007")}), NOW).positions == {BTC}
    known = book.holding(BTC, 1.0)
    assert known is not None
    assert (known.value, known.flaw) == (110, "")


def test_a_position_that_is_not_held_has_no_holding() -> None:
    assert a_book(COINBASE).holding(BTC, 1.0) is None


def test_an_instrument_that_the_venue_did_not_describe_is_permissive() -> None:
    unknown = a_book(COINBASE).instrument(COINBASE, "X")
    assert (unknown.symbol, unknown.native_symbol, unknown.min_quantity, unknown.tradable) == ("X", "X", 0, True)


def test_hedge_legs_are_positions_of_their_own_with_orders_of_their_own() -> None:
    long, short = position(leg=Leg.LONG), position(leg=Leg.SHORT, side=Side.SHORT)
    orders = [order("of_long", leg=Leg.LONG), order("of_short", leg=Leg.SHORT), order("of_both", leg=Leg.NET)]
    book = told(a_book(COINBASE), reading(COINBASE, long, short, orders=orders), QuoteSeen(quote()))
    assert book.keys([COINBASE]) == [long.key, short.key]
    concerned = [book.concerning(k, ours=False) for k in (long.key, short.key)]
    assert [[o.id for o in orders] for orders in concerned] == [["of_both", "of_long"], ["of_both", "of_short"]]
    assert book.apply(QuoteSeen(quote(price="99", received=1.0)), NOW).positions == {long.key, short.key}


def test_a_net_position_is_concerned_by_every_order_on_its_instrument() -> None:
    orders = [order("of_long", leg=Leg.LONG), order("net")]
    book = told(a_book(COINBASE), reading(COINBASE, position(), orders=orders))
    assert [o.id for o in book.concerning(BTC, ours=False)] == ["net", "of_long"]


def test_our_own_orders_are_not_the_user_s() -> None:
    foreign = order("theirs", client_id="my-bot-1")
    book = told(
        a_book(COINBASE), reading(COINBASE, position(), orders=[order("o1"), order("p1", client_id=OURS), foreign])
    )
    now = book.holding(BTC, 1.0)
    assert now is not None
    assert [o.id for o in now.orders] == ["o1", "theirs"]
    assert [o.id for o in now.ours] == ["p1"]
    assert [o.id for o in book.orders(COINBASE)] == ["o1", "p1", "theirs"]


def test_positions_and_orders_come_in_a_stable_order() -> None:
    book = told(
        a_book(KRAKEN, COINBASE),
        reading(COINBASE, position("B"), position("A"), orders=[order("2", "B"), order("1", "B")]),
    )
    told(book, OrderSeen(order("3", "A")), reading(KRAKEN, position("C", account=KRAKEN)))
    assert [k.symbol for k in book.keys([KRAKEN, COINBASE])] == ["A", "B", "C"]
    assert [o.id for o in book.orders(COINBASE)] == ["3", "1", "2"]

"""Whatever order events come in and however often, two true reads make the book true; orders only move forward."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, strategies as st

from core.events import BrokerEvent, HoldingsRead, OrderSeen, PositionSeen, QuoteSeen
from core.model import Leg, Order, OrderStatus, Position, PositionKey, Side
from core.portfolio.book import Book
from core.settings import ExitSettings
from tests.support.books import COINBASE, KRAKEN, NOW, a_book, order, position, quote, reading, told

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
ACCOUNTS = (COINBASE, KRAKEN)

accounts = st.sampled_from(ACCOUNTS)
legs = st.sampled_from(list(Leg))
positions = st.builds(
    lambda at, symbol, leg, units, side: position(symbol, str(units), account=at, leg=leg, side=side),
    accounts,
    st.sampled_from(SYMBOLS),
    legs,
    st.integers(1, 5),
    st.sampled_from(list(Side)),
)
orders = st.builds(
    lambda at, symbol, n, filled, status: order(
        f"{symbol}-{n}", symbol, account=at, quantity="10", filled=str(filled), status=status
    ),
    accounts,
    st.sampled_from(SYMBOLS),
    st.integers(1, 3),
    st.integers(0, 10),
    st.sampled_from(list(OrderStatus)),
)


@st.composite
def reads(draw: st.DrawFn, earliest: int = 0, latest: int = 50) -> HoldingsRead:
    at = draw(accounts)
    held = {p.key: p for p in draw(st.lists(positions, max_size=4)) if p.account == at}
    asked = draw(st.integers(earliest, latest))
    took = draw(st.sampled_from([0.25, 1.0, 30.0]))
    open_orders = [o for o in draw(st.lists(orders, max_size=3)) if o.account == at]
    return reading(at, *held.values(), orders=open_orders, asked=asked, received=asked + took)


words = st.one_of(
    reads(),
    st.builds(lambda p: PositionSeen(p.key, p), positions),
    st.builds(lambda p: PositionSeen(p.key, None), positions),
    st.builds(OrderSeen, orders),
    st.builds(
        lambda at, s, t: QuoteSeen(quote(s, account=at, received=t)),
        accounts,
        st.sampled_from(SYMBOLS),
        st.floats(0, 9),
    ),
)


def picture(book: Book) -> dict[PositionKey, Position]:
    return {p.key: p for a in ACCOUNTS for p in book.positions(a)}


def truth(*held: Position, asked: float) -> list[BrokerEvent]:
    """One complete read per account."""
    return [reading(a, *(p for p in held if p.account == a), asked=asked) for a in ACCOUNTS]


@given(st.lists(words, max_size=12), st.lists(positions, max_size=5), st.data())
def test_events_in_any_order_and_with_duplicates_converge_to_what_is_held(
    events: list[BrokerEvent], held: list[Position], data: st.DataObject
) -> None:
    true = {p.key: p for p in held}
    doubled = events + data.draw(st.lists(st.sampled_from(events), max_size=5)) if events else []
    first, second = data.draw(st.permutations(doubled)), data.draw(st.permutations(doubled))
    pictures = []
    for history in (first, second):
        book = told(a_book(*ACCOUNTS), *history, *truth(*true.values(), asked=100), *truth(*true.values(), asked=110))
        pictures.append(picture(book))
    assert pictures[0] == pictures[1] == true


@given(st.lists(words, max_size=12), st.lists(positions, max_size=5))
def test_a_true_read_is_believed_at_once_in_all_that_it_contains(
    events: list[BrokerEvent], held: list[Position]
) -> None:
    true = {p.key: p for p in held}
    book = told(a_book(*ACCOUNTS), *events, *truth(*true.values(), asked=100))
    assert {k: v for k, v in picture(book).items() if k in true} == true


@given(st.lists(positions, min_size=1, max_size=5), st.lists(reads(60, 90), max_size=1), st.lists(words, max_size=6))
def test_what_is_held_never_leaves_by_one_unexplained_read(
    held: list[Position], lacking: list[HoldingsRead], late: list[BrokerEvent]
) -> None:
    true = {p.key: p for p in held}
    hints = [e for e in late if isinstance(e, OrderSeen | QuoteSeen)]
    book = told(a_book(*ACCOUNTS), *truth(*true.values(), asked=50), *hints, *lacking, *hints)
    assert set(true) <= set(picture(book))


@given(st.lists(words, max_size=12), st.integers(100, 150), st.data())
def test_reads_that_were_asked_before_the_last_one_change_nothing(
    events: list[BrokerEvent], asked: int, data: st.DataObject
) -> None:
    late = data.draw(st.lists(reads(latest=99), max_size=4))
    book = told(a_book(*ACCOUNTS), *events, *truth(asked=asked))
    before = picture(book), [book.orders(a) for a in ACCOUNTS]
    told(book, *late)
    assert (picture(book), [book.orders(a) for a in ACCOUNTS]) == before


@given(st.lists(orders, max_size=15))
def test_an_order_never_reopens_and_its_fill_never_falls_between_reads(seen: list[Order]) -> None:
    book = a_book(*ACCOUNTS)
    over: set[tuple[str, str]] = set()
    filled: dict[tuple[str, str], Decimal] = {}
    for word in seen:
        told(book, OrderSeen(word))
        if word.status.terminal:
            over.add((word.account, word.id))
        shown = {(o.account, o.id): o.filled for a in ACCOUNTS for o in book.orders(a)}
        assert not over & shown.keys()
        assert all(now >= filled.get(place, 0) for place, now in shown.items())
        filled.update(shown)


@given(st.lists(words, max_size=12), st.floats(0, 100), st.floats(0.1, 20))
def test_a_value_is_known_only_from_a_price_that_is_fresh_and_sound(
    events: list[BrokerEvent], monotonic: float, max_age: float
) -> None:
    book = told(a_book(*ACCOUNTS, exits=ExitSettings(max_price_age=max_age)), *events)
    for key in book.keys(ACCOUNTS):
        now, seen = book.holding(key, monotonic), book.quote(key.account, key.symbol)
        assert now is not None
        usable = seen is not None and seen.flaw() is None and monotonic - seen.received < max_age
        assert (now.value is not None) is usable
        assert bool(now.flaw) is not usable


@given(st.lists(words, max_size=12))
def test_every_change_names_what_it_changed(events: list[BrokerEvent]) -> None:
    book = a_book(*ACCOUNTS)
    for event in events:
        before = picture(book)
        change = book.apply(event, NOW)
        after = picture(book)
        assert {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} <= change.positions

"""The book file: what it may say, what is assumed where it is silent, and how its errors point."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from brokers.paper.faults import NUMBERS
from brokers.paper.market_hours import MarketHours
from brokers.paper.options import KNOWN, example_book
from brokers.paper.wire import INSTRUMENT, ORDER, POSITION, QUOTE, TOP, parse_book
from core.errors import ConfigError
from core.model import Kind, Leg, OrderType, Side
from tests.brokers.paper.kit import ACCOUNT, D


def parse(content):
    text = content if isinstance(content, str) else json.dumps(content)
    return parse_book(text, "book.json", ACCOUNT)


def position(**more):
    return {"symbol": "X", "side": "long", "quantity": "1", **more}


def test_a_full_book_is_read_as_it_stands():
    book = parse(
        {
            "instruments": [
                {
                    "symbol": "BTC/USD",
                    "native_symbol": "BTC-USD",
                    "kind": "future",
                    "step": "1",
                    "tick": "0.25",
                    "max_market": "9",
                    "hours": {"open": "14:30", "close": "21:00", "days": [0, 4]},
                    "way_out": "by phone",
                }
            ],
            "quotes": {"BTC/USD": {"bid": "99.9", "ask": "100.1", "ask_size": "3"}},
            "positions": [position(symbol="BTC/USD", entry="98", leverage="5", opened_at="2026-01-01T00:00:00Z")],
            "orders": [{"id": "o1", "symbol": "BTC/USD", "side": "sell", "quantity": "1", "trigger": "90"}],
            "rates": {"EUR": "1.1"},
            "equity": "1000",
        }
    )
    instrument = book.listings["BTC/USD"].instrument
    assert (instrument.native_symbol, instrument.kind, instrument.reduce_only) == ("BTC-USD", Kind.FUTURE, True)
    assert book.positions[0].opened_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert book.orders[0].type is OrderType.STOP
    assert (book.rates["EUR"], book.equity, book.quotes["BTC/USD"].ask_size) == (D("1.1"), D(1000), D(3))


def test_a_missing_instrument_takes_nearly_anything():
    made = parse({"positions": [position()]}).listings["X"].instrument
    assert (made.kind, made.step, made.min_cost, made.reduce_only) == (Kind.SPOT, D("0.00000001"), D(0), False)


@pytest.mark.parametrize("what", [{"side": "short"}, {"leverage": "3"}])
def test_a_short_or_leveraged_position_makes_a_perp(what):
    made = parse({"positions": [position(**what)]}).listings["X"].instrument
    assert (made.kind, made.reduce_only) == (Kind.PERP, True)


def test_what_is_not_said_is_unknown():
    (only,) = parse({"positions": [position()]}).positions
    assert (only.entry, only.leverage, only.opened_at) == (None, None, None)


@pytest.mark.parametrize("entry", ["0", "-5", None])
def test_an_entry_that_no_trade_can_have_is_unknown(entry):
    (only,) = parse({"positions": [position(entry=entry)]}).positions
    assert only.entry is None


def test_numbers_are_exact_whether_they_are_text_or_not():
    (only,) = parse('{"positions": [{"symbol": "X", "side": "long", "quantity": 0.1}]}').positions
    assert only.quantity == D("0.1")


def test_hedge_mode_takes_a_position_of_each_side():
    book = parse({"hedge": True, "positions": [position(leverage="2"), position(side="short")]})
    assert [p.leg for p in book.positions] == [Leg.LONG, Leg.SHORT]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"instruments": [\n{"symbol": "X",\n "stepp": "1"}]}',
            'line 3: instruments[0]: unknown key "stepp"; did',
        ),
        ('{\n"position": []}', 'line 2: unknown key "position"; did you mean "positions"?'),
        (
            '{"positions": [\n{"symbol": "X", "side": "long",\n"quantity": "-1"}]}',
            "line 3: positions[0].quantity:",
        ),
        ('{"positions": [{"symbol": "X", "side": "lang", "quantity": "1"}]}', 'side: "lang" is not one of them; did'),
        ('{"positions": [{"symbol": "X", "side": "long"}]}', "positions[0].quantity: is missing"),
        ('{"positions": [{"side": "long", "quantity": "1"}]}', "positions[0].symbol: is missing"),
        ('{"positions": {}}', "positions: must be a list"),
        ('{"quotes": {"X": {"bid": "abc"}}}', "quotes.X.bid: 'abc' is not a number"),
        ('{"quotes": {"X": {"bid": true}}}', "quotes.X.bid: True is not an exact number"),
        ('{"quotes": {"X": {"bid": NaN}}}', "NaN"),
        ('{"quotes": {"X": 1}}', "quotes.X must be an object"),
        ('{"hedge": "yes"}', "hedge: must be true or false"),
        ('{"positions": [{"symbol": "X", "side": "long", "quantity": "1", "leverage": "-3"}]}', "must be at least 1"),
        ('{"rates": {"EUR": "0"}}', "rates: EUR must be more than 0"),
        ('{"positions": [{"symbol": "X", "side": "long", "quantity": "1", "opened_at": "2026-01-01"}]}', "time zone"),
        ('{"orders": [{"symbol": "X", "side": "sell", "quantity": "1"}]}', "orders[0].price: is missing"),
        ('{"instruments": [{"symbol": "X"}, {"symbol": "X"}]}', "X is described twice"),
        ('{"equity": "1", "equity": "2"}', '"equity" is given twice'),
        ("{", "line 1: not valid JSON"),
        ("[]", "must hold one JSON object"),
        ("[" * 100_000, "not valid JSON"),
        ('{"instruments": [{"symbol": "X", "hours": {"open": "9 am"}}]}', "hours.open: must be a time in UTC"),
        ('{"instruments": [{"symbol": "X", "hours": {"days": [7]}}]}', "hours.days: must be a list of days"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_place(content, said):
    with pytest.raises(ConfigError) as caught:
        parse(content)
    assert str(caught.value).startswith("book.json")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spot_position_cannot_be_short_and_one_way_mode_has_one_position():
    with pytest.raises(ConfigError, match="cannot be short"):
        parse({"instruments": [{"symbol": "X"}], "positions": [position(side="short")]})
    with pytest.raises(ConfigError, match="X has two positions"):
        parse({"positions": [position(side="short"), position()]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["1", "-1", "long", "spot", "X"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["symbol", "side", "quantity", "kind", "step", "bid", "hours", "days", "X", "id", "price"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["instruments", "quotes", "positions", "orders", "rates", "hedge"]), JSON))
def test_any_json_is_either_a_book_or_one_configuration_error(content):
    with contextlib.suppress(ConfigError):
        parse(content)


@pytest.mark.parametrize(
    ("at", "is_open", "opens"),
    [
        ("2026-01-05T14:29:59+00:00", False, "2026-01-05T14:30:00+00:00"),
        ("2026-01-05T14:30:00+00:00", True, "2026-01-06T14:30:00+00:00"),
        ("2026-01-09T21:00:00+00:00", False, "2026-01-12T14:30:00+00:00"),
    ],
)
def test_hours_know_weekends(at, is_open, opens):
    regular = MarketHours(datetime(1, 1, 1, 14, 30).time(), datetime(1, 1, 1, 21).time(), frozenset(range(5)))  # noqa: DTZ001
    moment = datetime.fromisoformat(at)
    assert regular.is_open(moment) is is_open
    assert regular.next_open(moment) == datetime.fromisoformat(opens)


def test_hours_may_end_on_the_next_day():
    night = MarketHours(datetime(1, 1, 1, 22).time(), datetime(1, 1, 1, 4).time(), frozenset([4]))  # noqa: DTZ001
    assert night.is_open(datetime(2026, 1, 10, 3, tzinfo=UTC))
    assert not night.is_open(datetime(2026, 1, 10, 4, tzinfo=UTC))
    assert MarketHours(night.open, night.close, frozenset()).next_open(datetime(2026, 1, 10, tzinfo=UTC)) is None


def test_a_position_side_reads_in_any_case():
    assert parse({"positions": [position(side="LONG")]}).positions[0].side is Side.LONG


def test_the_example_has_every_key_and_a_price_for_every_position():
    text = example_book()
    book = parse(text)
    for key in (*TOP, *INSTRUMENT, *QUOTE, *POSITION, *ORDER):
        assert f'"{key}"' in text, key
    assert {position.symbol for position in book.positions} == set(book.quotes)
    assert all(quote.bid and quote.ask for quote in book.quotes.values())


def test_the_page_has_every_key():
    page = (Path(__file__).parents[3] / "docs" / "paper.md").read_text(encoding="utf-8")
    for key in (*TOP, *INSTRUMENT, *QUOTE, *POSITION, *ORDER, *KNOWN, *NUMBERS):
        assert f"`{key}`" in page, key


@pytest.mark.parametrize("wrong", ["1796000000000", '"yesterday"', "true"])
def test_a_wrong_time_is_told_how_a_time_looks(wrong):
    with pytest.raises(ConfigError, match='must be a time like "2026-11-30T10:00:00Z"'):
        parse('{"positions": [{"symbol": "X", "side": "long", "quantity": "1", "opened_at": %s}]}' % wrong)  # noqa: UP031


def test_a_word_that_is_no_text_is_told_the_words():
    with pytest.raises(ConfigError, match='side: must be one of "long", "short", not 7'):
        parse('{"positions": [{"symbol": "X", "side": 7, "quantity": "1"}]}')

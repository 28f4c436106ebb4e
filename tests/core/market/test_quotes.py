"""What is bad or jumped does not replace a good price; the good one grows old instead."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from core.events import HoldingsRead, PositionSeen, QuoteSeen
from core.market.quotes import QuoteBook
from core.model import Account, Holdings, Instrument, Kind, Position, PositionKey, Quote, Side
from core.portfolio.book import Book
from core.settings import ExitSettings, same_exits

D = Decimal
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = PositionKey("u/a", "AAPL")


def quote(price: str | None, at: float, *, ask: str | None = None) -> Quote:
    value = None if price is None else D(price)
    return Quote("u/a", "AAPL", at, bid=value, ask=value if ask is None else D(ask), last=value)


def known(quotes: QuoteBook) -> Decimal | None:
    found = quotes.get("u/a", "AAPL")
    return found.last if found else None


@pytest.mark.parametrize(
    "bad", [quote(None, 2), quote("0", 2), quote("-1", 2), quote("NaN", 2), quote("100", 2, ask="99")]
)
def test_a_bad_price_is_skipped_and_the_good_one_grows_old(bad: Quote) -> None:
    quotes = QuoteBook(same_exits(ExitSettings()))
    assert quotes.take_quote(quote("100", 1))
    quotes.take_quote(bad)
    assert known(quotes) == D(100)
    assert quotes.flaw("u/a", "AAPL", 5.0) == ""
    assert quotes.flaw("u/a", "AAPL", 6.0).startswith("price is 5 s old (")


@pytest.mark.parametrize(("polled", "usable"), [(frozenset(), False), (frozenset({"u/a"}), True), ({"u/b"}, False)])
def test_a_polled_price_stays_usable_for_longer(polled: frozenset[str], usable: bool) -> None:
    settings = ExitSettings(max_price_age=5.0, max_price_age_polling=15.0)
    quotes = QuoteBook(same_exits(settings), frozenset(polled))
    quotes.take_quote(quote("100", 1))
    assert quotes.usable("u/a", "AAPL", 5.9) is quotes.get("u/a", "AAPL")
    assert (quotes.usable("u/a", "AAPL", 15.9) is not None) is usable
    assert quotes.usable("u/a", "AAPL", 16.0) is None


def test_a_bad_price_is_all_that_is_known_until_a_good_one_comes() -> None:
    quotes = QuoteBook(same_exits(ExitSettings()))
    quotes.take_quote(quote("-1", 1))
    assert quotes.flaw("u/a", "AAPL", 1.0) == "price not positive"
    assert quotes.take_quote(quote("100", 2))
    assert quotes.flaw("u/a", "AAPL", 2.0) == ""


@pytest.mark.parametrize(
    ("bid", "ask", "last", "mark", "usable"),
    [
        ("95", "105", None, None, "100"),  # 10 % apart: a market
        ("94.9", "105.1", None, None, None),
        ("94.9", "105.1", "95", None, "95"),
        ("94.9", "105.1", "94", None, None),  # the last price is not between them
        ("94.9", "105.1", "94", "105", "105"),
        ("94.9", "105.1", "95", "110", "95"),  # nor is the mark
        ("0.001", "200", "100", None, "100"),
        (None, "200", "100", None, "100"),
    ],
)
def test_a_bid_and_an_ask_far_apart_are_no_market(
    bid: str | None, ask: str, last: str | None, mark: str | None, usable: str | None
) -> None:
    numbers = {k: D(v) for k, v in (("bid", bid), ("ask", ask), ("last", last), ("mark", mark)) if v is not None}
    quotes = QuoteBook(same_exits(ExitSettings()))
    quotes.take_quote(Quote("u/a", "AAPL", 1.0, **numbers))
    found = quotes.get("u/a", "AAPL")
    assert found is not None
    assert found.reference == (None if usable is None else D(usable))
    assert quotes.flaw("u/a", "AAPL", 1.0) == ("" if usable else f"bid {bid} and ask {ask} are no market")


def test_a_stub_does_not_replace_a_price() -> None:
    quotes = QuoteBook(same_exits(ExitSettings()))
    quotes.take_quote(quote("100", 1))
    assert quotes.take_quote(Quote("u/a", "AAPL", 2.0, bid=D(1), ask=D(150)))  # the reason changed
    assert known(quotes) == D(100)
    assert quotes.flaw("u/a", "AAPL", 6.0) == "price is 5 s old (bid 1 and ask 150 are no market)"


def test_a_jump_is_held_until_a_later_price_confirms_it() -> None:
    quotes = QuoteBook(same_exits(ExitSettings()))
    quotes.take_quote(quote("100", 1))
    quotes.take_quote(quote("60", 2))
    assert known(quotes) == D(100)
    assert "jump to 60" in quotes.flaw("u/a", "AAPL", 9.0)
    assert quotes.take_quote(quote("61", 3))
    assert known(quotes) == D(61)


def test_a_jump_that_goes_away_was_none() -> None:
    quotes = QuoteBook(same_exits(ExitSettings()))
    quotes.take_quote(quote("100", 1))
    quotes.take_quote(quote("60", 2))
    assert quotes.take_quote(quote("101", 3))
    assert known(quotes) == D(101)


def test_a_share_split_is_no_loss_its_price_is_forgotten_and_the_account_is_read_again() -> None:
    book = Book([Account("u/a", "u", "a", "paper")], lambda _: False)
    share = Instrument("AAPL", "AAPL", kind=Kind.EQUITY)
    before = Position("u/a", "AAPL", Side.LONG, D(10), D(10), entry=D(400))
    after = Position("u/a", "AAPL", Side.LONG, D(40), D(40), entry=D(100))
    book.apply(HoldingsRead(Holdings("u/a", 1, 1, (before,), (), (share,))), NOW)
    book.apply(QuoteSeen(quote("410", 1)), NOW)
    change = book.apply(PositionSeen(KEY, after), NOW)
    assert change.doubted == {"u/a"}
    holding = book.holding(KEY, 1.5)
    assert holding is not None
    assert (holding.value, holding.flaw) == (None, "no price")
    book.apply(QuoteSeen(quote("409", 1.8)), NOW)  # of the old share still, or a spike: nothing confirms it
    held = book.holding(KEY, 1.9)
    assert held is not None
    assert (held.value, held.flaw) == (None, "a jump to 409 waits to be confirmed")
    book.apply(QuoteSeen(quote("101", 2)), NOW)
    fresh = book.holding(KEY, 2.0)
    assert fresh is not None
    assert fresh.value == D(4040)

"""Value, P&L and prices: what is unknown stays unknown and never becomes 0."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from core.model import (
    USD_LIKE,
    Leg,
    OrderSide,
    OrderStatus,
    PositionKey,
    Quote,
    Side,
    Tier,
    move,
    roi,
    usd_rate,
    usd_value,
)
from tests.support.books import COINBASE, D, instrument, order, position, reading

prices = st.decimals(D("0.00000001"), D("1000000"), places=8)


def seen(**changes: str | None) -> Quote:
    """A quote of COINBASE with these prices only."""
    return Quote(COINBASE, "BTC-USD", 0.0, **{k: None if v is None else D(v) for k, v in changes.items()})


@pytest.mark.parametrize(
    ("side", "entry", "mark", "moved"),
    [
        (Side.LONG, "100", "101", "0.01"),
        (Side.LONG, "100", "90", "-0.1"),
        (Side.SHORT, "100", "101", "-0.01"),
        (Side.SHORT, "100", "90", "0.1"),
        (Side.LONG, "100", "100", "0"),
    ],
)
def test_pnl_is_the_move_in_the_position_s_favour(side: Side, entry: str, mark: str, moved: str) -> None:
    assert move(side, D(entry), D(mark)) == D(moved)


@pytest.mark.parametrize("bad", [None, "0", "-1"])
@pytest.mark.parametrize("side", list(Side))
def test_an_entry_or_mark_that_is_unknown_or_not_positive_gives_an_unknown_pnl(side: Side, bad: str | None) -> None:
    price = None if bad is None else D(bad)
    assert move(side, price, D(100)) is None
    assert move(side, D(100), price) is None
    assert roi(side, price, D(100), D(3)) is None
    assert roi(side, D(100), price, D(3)) is None


def test_roi_is_the_move_times_leverage_and_unknown_without_it() -> None:
    assert roi(Side.SHORT, D(100), D(90), D(5)) == D("0.5")
    assert roi(Side.LONG, D(100), D(90), None) is None


@given(prices, prices, st.integers(1, 125))
def test_a_short_loses_what_a_long_gains(entry: Decimal, mark: Decimal, leverage: int) -> None:
    long, short = roi(Side.LONG, entry, mark, D(leverage)), roi(Side.SHORT, entry, mark, D(leverage))
    assert long is not None
    assert short is not None
    assert long == -short


def test_value_is_quantity_times_multiplier_times_price_times_rate() -> None:
    assert usd_value(D("0.5"), instrument(multiplier="100"), D("2"), D("1.1")) == D("110")


def test_a_value_without_a_price_or_a_rate_is_unknown() -> None:
    assert usd_value(D(1), instrument(), None, D(1)) is None
    assert usd_value(D(1), instrument(), D(1), None) is None


@pytest.mark.parametrize("currency", sorted(USD_LIKE))
def test_a_dollar_like_currency_is_a_dollar_whatever_the_broker_says(currency: str) -> None:
    assert usd_rate(currency, {currency: D("0.5")}) == 1


def test_another_currency_has_the_broker_s_rate_or_none() -> None:
    assert usd_rate("EUR", {"EUR": D("1.1")}) == D("1.1")
    assert usd_rate("GBP", {"EUR": D("1.1")}) is None


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "sNaN", "Infinity"])
def test_a_rate_that_is_not_positive_is_unknown_and_makes_nothing_worthless(rate: str) -> None:
    assert usd_rate("EUR", {"EUR": D(rate)}) is None


@pytest.mark.parametrize(
    ("quote", "flaw"),
    [
        (seen(), "no price"),
        (seen(bid="0", ask="1"), "price not positive"),
        (seen(bid="-1"), "price not positive"),
        (seen(last="NaN"), "price not positive"),
        (seen(last="sNaN"), "price not positive"),
        (seen(mark="Infinity"), "price not positive"),
        (seen(bid="1", ask="2", last="0"), "price not positive"),
        (seen(bid="100.1", ask="100"), "crossed"),
        (seen(bid="100", ask="100"), None),
        (seen(bid="99", ask="100"), None),
        (seen(last="100"), None),
        (seen(mark="100"), None),
    ],
)
def test_a_quote_says_why_it_cannot_be_used(quote: Quote, flaw: str | None) -> None:
    assert quote.flaw() == flaw


@pytest.mark.parametrize(
    ("quote", "long", "short"),
    [
        (seen(bid="99", ask="101", last="100", mark="100.5"), "99", "101"),
        (seen(last="100"), "100", "100"),
        (seen(last="100", mark="100.5"), "100.5", "100.5"),
        (seen(bid="99", last="100"), "99", "100"),
        (seen(ask="101", mark="100"), "100", "101"),
        (seen(bid="99"), "99", None),
        (seen(ask="101"), None, "101"),
    ],
)
def test_a_close_gets_the_bid_of_a_long_and_the_ask_of_a_short_else_the_mark(
    quote: Quote, long: str | None, short: str | None
) -> None:
    assert quote.closing_price(Side.LONG) == (None if long is None else D(long))
    assert quote.closing_price(Side.SHORT) == (None if short is None else D(short))


def test_the_mark_is_the_venue_s_own_else_the_last_trade_else_the_middle() -> None:
    assert seen(bid="99", ask="101", last="100.2", mark="100.5").reference == D("100.5")
    assert seen(bid="99", ask="101", last="100.2").reference == D("100.2")
    assert seen(bid="99", ask="101").reference == 100
    assert seen(bid="99").reference is None


@pytest.mark.parametrize(
    ("bid", "ask", "last", "mark"),
    [
        ("70", "71", "100", "71"),  # nobody traded while the book fell
        ("130", "131", "100", "130"),
        ("99", "101", "100", "100"),
        ("70", None, "100", "100"),
        ("130", None, "100", "130"),
        (None, "71", "100", "71"),
    ],
)
def test_an_old_trade_is_no_mark_where_the_book_has_left_it(
    bid: str | None, ask: str | None, last: str, mark: str
) -> None:
    prices = {k: v for k, v in {"bid": bid, "ask": ask, "last": last}.items() if v is not None}
    assert seen(**prices).reference == D(mark)


def test_a_long_is_closed_by_selling_and_a_short_by_buying() -> None:
    assert (Side.LONG.closing, Side.SHORT.closing) == (OrderSide.SELL, OrderSide.BUY)
    assert (Side.LONG.sign, Side.SHORT.sign, OrderSide.BUY.sign, OrderSide.SELL.sign) == (1, -1, 1, -1)


def test_only_open_and_unknown_orders_are_not_over() -> None:
    assert {s for s in OrderStatus if not s.terminal} == {OrderStatus.OPEN, OrderStatus.UNKNOWN}


@pytest.mark.parametrize(
    ("quantity", "filled", "status", "remaining"),
    [
        ("1", "0.4", OrderStatus.OPEN, "0.6"),
        ("1", "0.4", OrderStatus.UNKNOWN, "0.6"),
        ("1", "1.1", OrderStatus.OPEN, "0"),
        ("1", "0.4", OrderStatus.CANCELLED, "0"),
        ("1", "0", OrderStatus.REJECTED, "0"),
    ],
)
def test_what_remains_of_an_order_is_never_negative_and_nothing_once_it_is_over(
    quantity: str, filled: str, status: OrderStatus, remaining: str
) -> None:
    assert order(quantity=quantity, filled=filled, status=status).remaining == D(remaining)


def test_positions_are_told_apart_by_account_symbol_and_leg() -> None:
    keys = {
        PositionKey("a/x", "S"),
        PositionKey("a/x", "S", Leg.LONG),
        PositionKey("a/x", "T"),
        PositionKey("b/x", "S"),
    }
    assert len(keys) == 4
    assert PositionKey("a/x", "S") in keys


def test_a_read_finds_its_position_by_leg() -> None:
    long, short = position(leg=Leg.LONG), position(leg=Leg.SHORT, side=Side.SHORT)
    holdings = reading(COINBASE, long, short).holdings
    assert holdings.position(short.key) is short
    assert holdings.position(PositionKey(COINBASE, "BTC-USD")) is None


def test_the_tiers_have_the_names_that_plans_and_configurations_use() -> None:
    names = ["market_ioc", "market_gtc", "venue_close", "direct_api", "market_fok", "limit_aggressive"]
    assert [t.value for t in Tier] == names

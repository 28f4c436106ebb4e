"""Quotes, orders and positions: what is unknown stays unknown and never becomes 0."""

from __future__ import annotations

import pytest

from core.model import Leg, OrderSide, OrderStatus, PositionKey, Quote, Side, Tier
from tests.support.books import COINBASE, D, order, position, reading


def seen(**changes: str | None) -> Quote:
    """A quote of COINBASE with these prices only."""
    return Quote(COINBASE, "BTC-USD", 0.0, **{k: None if v is None else D(v) for k, v in changes.items()})


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

"""Whatever is sent, in whatever order: nothing is made and nothing is lost."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings, strategies as st

from core.errors import Refused
from core.model import Side, TimeInForce
from tests.brokers.paper.kit import BUY, LIMIT, MARKET, SELL, STOP, D, ask, book, held, make_venue

QUANTITIES = st.integers(1, 40).map(lambda tenths: D(tenths) / 10)
PRICES = st.integers(80, 120).map(D)
SIDES = st.sampled_from([BUY, SELL])
ORDERS = st.tuples(
    *(st.just("place"), QUANTITIES, SIDES, st.sampled_from([MARKET, LIMIT, STOP])),
    *(st.sampled_from(TimeInForce), PRICES, st.booleans()),
)
STEPS = st.lists(
    ORDERS
    | st.tuples(st.just("close"))
    | st.tuples(st.just("cancel"), st.integers(0, 20))
    | st.tuples(st.just("hand"), QUANTITIES, SIDES)
    | st.tuples(st.just("price"), PRICES)
    | st.tuples(st.just("wait"), st.integers(1, 5)),
    max_size=25,
)


def perform(venue, clock, step):
    match step:
        case ("place", quantity, side, kind, tif, price, reduce_only):
            prices = {LIMIT: {"price": price}, STOP: {"trigger": price}, MARKET: {}}[kind]
            venue.place(ask(quantity, side, type=kind, tif=tif, reduce_only=reduce_only, **prices))
        case ("close",):
            for position in list(venue.state.positions.values()):
                venue.close(position)
        case ("cancel", number):
            venue.cancel([*venue.state.tickets, "none"][number % (len(venue.state.tickets) + 1)])
        case ("hand", quantity, side):
            venue.trade_by_hand("BTC", side, quantity)
        case ("price", price):
            venue.set_quote("BTC", bid=price, ask=price + 1, last=price)
        case ("wait", seconds):
            clock.seconds += seconds
            venue.advance()


def check(venue, cash, ended):
    state = venue.state
    assert held(venue) == 2 + sum(f.side.sign * f.quantity for f in state.fills.values())
    for position in state.positions.values():
        assert position.quantity > 0
        holding = sum(t.order.remaining for t in state.closing(position))
        free = state.free(position, venue.matching.market.listing("BTC").instrument)
        assert free >= 0
        if cash:
            assert free == position.quantity - holding
            assert position.side is Side.LONG
    for name, ticket in state.tickets.items():
        filled = sum(f.quantity for f in state.fills.values() if f.order_id == name)
        assert ticket.order.filled == filled <= ticket.order.quantity
        assert (name in state.live) != ticket.order.status.terminal
        if name in ended:
            assert ticket.order == ended[name]
        if ticket.order.status.terminal:
            ended[name] = ticket.order
        if ticket.order.reduce_only and not ticket.order.status.terminal:
            assert state.positions


@settings(max_examples=150)
@given(STEPS, st.sampled_from(["spot", "perp", "equity"]), st.sampled_from([None, "0.7"]), st.integers(0, 3))
def test_a_position_is_the_sum_of_its_fills_and_what_is_free_is_what_nothing_holds(steps, kind, depth, mischief):
    venue, clock = make_venue(book(kind, depth=depth))
    venue.faults.probabilities = dict.fromkeys(("partial_fill", "no_fill", "cancel_fill_race", "flip"), 0.1 * mischief)
    ended = {}
    for step in steps:
        with contextlib.suppress(Refused):
            perform(venue, clock, step)
        check(venue, kind != "perp", ended)


@settings(max_examples=100)
@given(st.lists(st.tuples(QUANTITIES, SIDES), max_size=15), st.sampled_from(["spot", "equity", "perp"]))
def test_orders_that_are_reduce_only_or_of_cash_markets_never_cross_zero(orders, kind):
    venue, _ = make_venue(book(kind))
    for quantity, side in orders:
        with contextlib.suppress(Refused):
            venue.place(ask(quantity, side, reduce_only=kind == "perp"))
    assert not venue.crossed_zero
    assert held(venue) >= 0

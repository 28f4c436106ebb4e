"""The venue as an honest venue: what it fills, refuses, holds and clamps."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import Refusal, Refused
from core.model import Leg, OrderStatus, Side
from tests.brokers.paper.kit import BUY, FOK, GTC, IOC, LIMIT, SELL, STOP, D, ask, book, held, make_venue


def refusal(venue, request, **how):
    with pytest.raises(Refused) as caught:
        venue.place(request, **how)
    return caught.value


def test_a_market_ioc_sells_at_the_bid_and_the_position_shrinks():
    venue, _ = make_venue()
    order = venue.place(ask("0.5"))
    assert (order.status, order.filled, order.average_price) == (OrderStatus.FILLED, D("0.5"), D("99.9"))
    assert held(venue) == D("1.5")


def test_a_position_that_is_sold_whole_disappears():
    venue, _ = make_venue()
    venue.place(ask("2"))
    assert not venue.state.positions


def test_an_ioc_beyond_the_depth_expires_with_what_it_filled():
    venue, _ = make_venue(book(depth="0.7"))
    order = venue.place(ask("2"))
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D("0.7"))


def test_a_fok_beyond_the_depth_fills_nothing():
    venue, _ = make_venue(book(depth="0.7"))
    order = venue.place(ask("2", tif=FOK))
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D(0))
    assert held(venue) == D(2)


def test_a_market_gtc_goes_on_as_the_depth_is_refreshed():
    venue, clock = make_venue(book(depth="0.7"))
    order = venue.place(ask("2", tif=GTC))
    assert (order.status, order.filled) == (OrderStatus.OPEN, D("0.7"))
    clock.seconds += 2
    venue.advance()
    assert venue.state.tickets[order.id].order.status is OrderStatus.FILLED
    assert [f.quantity for f in venue.state.fills.values()] == [D("0.7"), D("0.7"), D("0.6")]


def test_a_resting_limit_fills_at_its_price_when_the_bid_reaches_it():
    venue, _ = make_venue()
    order = venue.place(ask("1", type=LIMIT, tif=GTC, price=D(110)))
    assert order.status is OrderStatus.OPEN
    venue.set_quote("BTC", bid=D(111), ask=D(112), last=D(111))
    filled = venue.state.tickets[order.id].order
    assert (filled.status, filled.average_price) == (OrderStatus.FILLED, D(110))


def test_an_aggressive_limit_fills_at_the_touch_and_no_worse_than_its_price():
    venue, _ = make_venue()
    assert venue.place(ask("1", type=LIMIT, tif=IOC, price=D(99))).average_price == D("99.9")
    assert venue.place(ask("1", type=LIMIT, tif=IOC, price=D(101))).filled == 0


def test_a_stop_waits_for_its_trigger_and_then_sells_at_the_market():
    venue, _ = make_venue()
    order = venue.place(ask("2", type=STOP, tif=GTC, trigger=D(95)))
    assert order.status is OrderStatus.OPEN
    venue.set_quote("BTC", bid=D(94), ask=D(96), last=D(95))
    assert venue.state.tickets[order.id].order.average_price == D(94)
    assert not venue.state.positions


def test_open_orders_hold_quantity_and_what_they_hold_cannot_be_sold():
    venue, _ = make_venue()
    resting = venue.place(ask("1.5", type=LIMIT, tif=GTC, price=D(110)))
    assert refusal(venue, ask("1")).refusal is Refusal.HELD
    venue.cancel(resting.id)
    assert venue.place(ask("1")).status is OrderStatus.FILLED


def test_spot_is_never_sold_short():
    venue, _ = make_venue()
    venue.place(ask("2"))
    assert refusal(venue, ask("1")).refusal is Refusal.NO_POSITION
    venue.trade_by_hand("BTC", SELL, D(1))
    assert held(venue) == 0


def test_a_perp_without_reduce_only_can_be_flipped_and_that_is_recorded():
    venue, _ = make_venue(book("perp"))
    venue.place(ask("3"))
    (position,) = venue.state.positions.values()
    assert (position.side, position.quantity, position.entry) == (Side.SHORT, D(1), D("99.9"))
    assert [(c.before, c.after) for c in venue.crossed_zero] == [(D(2), D(-1))]


def test_a_reduce_only_order_is_clamped_to_the_position():
    venue, _ = make_venue(book("perp"))
    order = venue.place(ask("3", reduce_only=True))
    assert (order.quantity, order.status) == (D(2), OrderStatus.FILLED)
    assert not venue.crossed_zero


def test_a_reduce_only_order_that_would_not_reduce_is_refused():
    venue, _ = make_venue(book("perp"))
    assert refusal(venue, ask("1", BUY, reduce_only=True)).refusal is Refusal.REDUCE_ONLY
    venue.place(ask("2", reduce_only=True))
    assert refusal(venue, ask("1", reduce_only=True)).refusal is Refusal.NO_POSITION


def test_reduce_only_orders_end_when_their_position_is_gone():
    venue, _ = make_venue(book("perp"))
    resting = venue.place(ask("1", type=LIMIT, tif=GTC, price=D(110), reduce_only=True))
    venue.place(ask("2", reduce_only=True))
    assert venue.state.tickets[resting.id].order.status is OrderStatus.CANCELLED


def test_an_instrument_without_the_flag_refuses_reduce_only():
    venue, _ = make_venue()
    assert refusal(venue, ask("1", reduce_only=True)).refusal is Refusal.UNSUPPORTED


def test_a_client_order_id_is_taken_once():
    venue, _ = make_venue()
    venue.place(ask("0.1", client_id="a"))
    assert refusal(venue, ask("0.1", client_id="a")).refusal is Refusal.DUPLICATE
    assert held(venue) == D("1.9")


@pytest.mark.parametrize(
    ("request_", "more", "expected"),
    [
        (ask("0.05"), {}, Refusal.PRECISION),
        (ask("1", type=LIMIT, price=D("99.95")), {}, Refusal.PRECISION),
        (ask("0.1"), {"min_quantity": "0.2"}, Refusal.BELOW_MINIMUM),
        (ask("0.1"), {"min_cost": "10"}, Refusal.BELOW_MINIMUM),
        (ask("0.1"), {"tradable": False}, Refusal.HALTED),
        (ask("1"), {"max_market": "0.5"}, Refusal.OTHER),
        (ask("1", type=LIMIT), {}, Refusal.OTHER),
        (ask("1", leg=Leg.LONG), {}, Refusal.OTHER),
    ],
)
def test_an_order_against_the_rules_is_refused(request_, more, expected):
    venue, _ = make_venue(book(**more))
    assert refusal(venue, request_).refusal is expected
    assert held(venue) == D(2)


def test_a_reduce_only_order_may_be_below_the_minimum_where_the_venue_exempts_it():
    venue, _ = make_venue(book("perp", min_cost="1000", minimum_exempt=True))
    assert venue.place(ask("0.1", reduce_only=True)).status is OrderStatus.FILLED


def test_a_closed_market_refuses_and_says_when_it_opens():
    venue, clock = make_venue(book("equity", hours={"open": "14:30", "close": "21:00", "days": [0, 1, 2, 3, 4]}))
    error = refusal(venue, ask("1"))
    assert error.refusal is Refusal.MARKET_CLOSED
    assert error.opens_at == clock.now() + timedelta(hours=14, minutes=30)
    clock.seconds += 15 * 3600
    assert venue.place(ask("1")).status is OrderStatus.FILLED


def test_the_close_call_sells_what_is_free_and_cancels_nothing():
    venue, _ = make_venue()
    resting = venue.place(ask("0.5", type=LIMIT, tif=GTC, price=D(110)))
    (position,) = venue.state.positions.values()
    order = venue.close(position)
    assert (order.filled, order.client_id) == (D("1.5"), None)
    assert venue.state.tickets[resting.id].order.status is OrderStatus.OPEN
    with pytest.raises(Refused) as caught:
        venue.close(position)
    assert caught.value.refusal is Refusal.HELD


def test_the_close_call_takes_a_quantity_that_is_off_the_step():
    venue, _ = make_venue(book(quantity="1.23456"))
    (position,) = venue.state.positions.values()
    assert venue.close(position).status is OrderStatus.FILLED
    assert not venue.state.positions


def test_buying_more_averages_the_entry_and_an_unknown_entry_stays_unknown():
    venue, _ = make_venue()
    venue.place(ask("2", BUY))
    assert venue.state.positions["BTC", Leg.NET].entry == (D(90) + D("100.1")) / 2
    content = book()
    del content["positions"][0]["entry"]
    venue, _ = make_venue(content)
    venue.place(ask("2", BUY))
    assert venue.state.positions["BTC", Leg.NET].entry is None


def test_hedge_mode_keeps_two_legs_and_neither_turns_around():
    content = book("perp") | {"hedge": True}
    content["positions"].append({"symbol": "BTC", "side": "short", "quantity": "1"})
    venue, _ = make_venue(content)
    assert refusal(venue, ask("1")).refusal is Refusal.OTHER
    assert refusal(venue, ask("3", leg=Leg.LONG)).refusal is Refusal.REDUCE_ONLY
    venue.place(ask("2", leg=Leg.LONG))
    venue.place(ask("1", BUY, leg=Leg.SHORT))
    assert not venue.state.positions
    assert refusal(venue, ask("1", leg=Leg.LONG)).refusal is Refusal.NO_POSITION


def test_a_symbol_whose_quote_is_missing_still_trades_at_its_entry():
    content = book()
    content["quotes"] = {}
    venue, _ = make_venue(content)
    assert venue.place(ask("2")).average_price == D(90)


def test_nothing_is_opened_at_a_price_that_nobody_knows_or_in_a_symbol_that_nobody_lists():
    content = book()
    content["instruments"].append({"symbol": "ETH"})
    venue, _ = make_venue(content)
    assert venue.place(ask("1", BUY, symbol="ETH")).filled == 0
    assert refusal(venue, ask("1", BUY, symbol="BTX")).refusal is Refusal.UNKNOWN_SYMBOL
    assert "BTX" not in venue.matching.market.listings


def test_fees_are_a_fraction_of_the_value_traded():
    venue, _ = make_venue(book("future", fee_rate="0.001", multiplier="50"))
    venue.place(ask("1", reduce_only=True))
    assert [f.fee for f in venue.state.fills.values()] == [D("0.001") * 50 * D("99.9")]


def test_a_cancelled_order_cannot_be_cancelled_again():
    venue, _ = make_venue()
    order = venue.place(ask("1", type=LIMIT, tif=GTC, price=D(110)))
    venue.cancel(order.id)
    for unknown in (order.id, "nothing"):
        with pytest.raises(Refused) as caught:
            venue.cancel(unknown)
        assert caught.value.refusal is Refusal.UNKNOWN_ORDER


def test_trading_by_hand_ends_the_orders_that_nothing_covers_any_more():
    venue, _ = make_venue()
    first = venue.place(ask("1", type=LIMIT, tif=GTC, price=D(110)))
    second = venue.place(ask("1", type=LIMIT, tif=GTC, price=D(120)))
    venue.trade_by_hand("BTC", SELL, D(1))
    assert venue.state.tickets[first.id].order.status is OrderStatus.OPEN
    assert venue.state.tickets[second.id].order.status is OrderStatus.CANCELLED


def test_a_closing_order_sent_while_another_lives_is_seen_in_the_audit():
    venue, _ = make_venue(book("perp"))
    first = venue.place(ask("1", type=LIMIT, tif=GTC, price=D(110), client_id="a"))
    venue.place(ask("1", client_id="b", reduce_only=True))
    assert [(s.name, s.live) for s in venue.close_sends] == [("a", ()), ("b", (first.id,))]


def test_a_closed_market_lets_resting_orders_rest():
    venue, clock = make_venue(book("equity", hours={"open": "14:30", "close": "21:00"}))
    clock.seconds += 15 * 3600
    resting = venue.place(ask("1", type=LIMIT, tif=GTC, price=D(110)))
    clock.seconds += 7 * 3600
    venue.set_quote("BTC", bid=D(111), ask=D(112))
    assert venue.state.tickets[resting.id].order.status is OrderStatus.OPEN
    clock.seconds += 17 * 3600
    venue.advance()
    assert venue.state.tickets[resting.id].order.status is OrderStatus.FILLED


def test_what_can_be_looked_up_is_bounded_and_live_orders_are_never_forgotten(monkeypatch):
    monkeypatch.setattr("brokers.paper.state.KEPT", 10)
    venue, _ = make_venue(book(quantity="100"))
    resting = venue.place(ask("0.1", type=LIMIT, tif=GTC, price=D(110), client_id="first"))
    for number in range(60):
        venue.place(ask("0.1", client_id=f"c{number}"))
    assert len(venue.state.tickets) <= 21
    assert len(venue.state.fills) <= 21
    assert venue.state.find("first", None).order.id == resting.id
    assert venue.state.find("c59", None).order.status is OrderStatus.FILLED


def test_the_same_seed_tells_the_same_story_whatever_the_hash_seed():
    def story(hash_seed):
        command = [sys.executable, "-c", STORY]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert len(story("1")) > 100
    assert story("1") == story("2")


ROOT = Path(__file__).parents[3]
STORY = """
from brokers.paper.prices import RandomWalk
from brokers.paper.random_streams import seeded
from core.errors import Refused
from tests.brokers.paper.kit import D, GTC, ask, book, make_venue

venue, clock = make_venue(book("perp", quantity="50", depth="0.7"))
venue.matching.faults.probabilities = {"partial_fill": 0.5, "held": 0.3, "foreign_trade": 0.1, "foreign_order": 0.2}
venue._feeds["BTC"] = RandomWalk(seeded(1), D("0.1"), 60)
for number in range(30):
    clock.seconds += 1.5
    try:
        print(venue.place(ask("1", client_id=f"c{number}", tif=GTC, reduce_only=True)))
    except Refused as error:
        print(error)
print(venue.state.fills, venue.state.positions)
"""


def test_a_venue_that_missed_many_ticks_makes_up_with_one():
    ticks = []

    class Counted:
        def advance(self, elapsed, now):
            ticks.append(elapsed)
            return ()

    venue, clock = make_venue(feeds={"BTC": Counted()})
    venue.advance()
    clock.seconds += 2
    venue.advance()
    assert ticks == [0, 1, 2]
    clock.seconds += 600
    venue.advance()
    assert ticks == [0, 1, 2, 602]
    assert venue.next_tick == clock.monotonic() + 1

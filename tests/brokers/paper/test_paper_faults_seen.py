"""Every scripted fault of what is seen, in lists, quotes and streams, and of what others do, acts as its row says."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import Refusal, Unreachable
from core.events import FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import OrderStatus, Side
from tests.brokers.paper.kit import (
    BUY,
    DAWN,
    KEY,
    D,
    ask,
    book,
    held,
    listen,
    make_broker,
    refusal,
    struck,
)


async def test_late_fill_hides_the_fill_everywhere_until_it_is_reported():
    broker = struck("late_fill")
    order = await broker.submit(ask("2"))
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D(0))
    assert held(broker.venue) == 0
    assert await broker.fills("BTC", DAWN) == []
    assert [p.quantity for p in (await broker.holdings()).positions] == [D(2)]
    await asyncio.sleep(3)
    found = await broker.find_order("BTC", order_id=order.id)
    assert found is not None
    assert found.filled == 2
    assert len(await broker.fills("BTC", DAWN)) == 1
    assert (await broker.holdings()).positions == ()


async def test_position_lag_lists_the_position_as_before_the_fill_within_the_lag_that_is_declared():
    broker = struck("position_lag", times=2)
    assert broker.capabilities.position_lag > 3
    await broker.submit(ask("1"))
    await asyncio.sleep(1)
    await broker.submit(ask("1"))
    assert [p.quantity for p in (await broker.holdings()).positions] == [D(2)]
    await asyncio.sleep(2)
    assert [p.quantity for p in (await broker.holdings()).positions] == [D(1)]
    await asyncio.sleep(1)
    assert (await broker.holdings()).positions == ()


async def test_unknown_status_is_neither_live_nor_terminal():
    broker = struck("unknown_status")
    assert (await broker.submit(ask("1"))).status is OrderStatus.UNKNOWN


async def test_lookup_not_found_at_first_has_no_order_and_later_has_it():
    broker = struck("lookup_not_found_at_first", times=100)
    await broker.submit(ask("1", client_id="a"))
    assert await broker.find_order("BTC", client_id="a") is None
    await asyncio.sleep(3)
    assert await broker.find_order("BTC", client_id="a") is not None


async def test_lookup_fails_is_not_an_answer():
    broker = struck("lookup_fails", times=2)
    with pytest.raises(Unreachable):
        await broker.find_order("BTC", client_id="a")
    with pytest.raises(Unreachable):
        await broker.fills("BTC", DAWN)


async def test_read_fails_is_an_error_and_not_an_empty_account():
    broker = struck("read_fails")
    with pytest.raises(Unreachable):
        await broker.holdings()
    assert len((await broker.holdings()).positions) == 1


@pytest.mark.parametrize(("name", "listed"), [("truncated_list", ["A"]), ("empty_list", [])])
async def test_a_list_can_be_cut_and_the_next_one_is_whole(name, listed):
    content = {"positions": [{"symbol": s, "side": "long", "quantity": "1"} for s in "ABC"]}
    broker = struck(name, content)
    assert [p.symbol for p in (await broker.holdings()).positions] == listed
    assert len((await broker.holdings()).positions) == 3


async def quote(name):
    broker = struck(name)
    quotes = await broker.quotes(["BTC"])
    return broker, quotes[0] if quotes else None


async def test_missing_price_leaves_the_symbol_out():
    assert (await quote("missing_price"))[1] is None


async def test_stale_quote_was_received_a_minute_ago():
    broker, seen = await quote("stale_quote")
    assert broker.venue.matching.time - seen.received == 60


@pytest.mark.parametrize(("name", "flaw"), [("bad_price", "price not positive"), ("crossed_quote", "crossed")])
async def test_bad_and_crossed_prices_show_their_flaw(name, flaw):
    _, seen = await quote(name)
    assert seen.flaw() == flaw


async def test_price_jump_is_one_quote_a_third_lower():
    broker, seen = await quote("price_jump")
    assert seen.last == 67
    assert (await broker.quotes(["BTC"]))[0].last == 100


async def test_silent_stream_stays_open_and_says_nothing():
    broker = struck("silent_stream")
    events, broken = await listen(broker, 5, lambda: broker.submit(ask("1")))
    assert events == []
    assert broken is None


async def test_stream_drops_breaks_the_stream_and_the_next_one_works():
    broker = struck("stream_drops", after=2)
    _, broken = await listen(broker, 5)
    assert isinstance(broken, Unreachable)
    assert (await listen(broker, 3))[0]


async def test_duplicate_events_tell_a_fill_twice():
    broker = struck("duplicate_events", times=100)
    events, _ = await listen(broker, 3, lambda: broker.submit(ask("1")))
    assert [e.fill.trade_id for e in events if isinstance(e, FillSeen)] == ["t1", "t1"]


async def test_reordered_events_tell_the_end_before_the_beginning():
    async def told(broker):
        events, _ = await listen(broker, 3, lambda: broker.submit(ask("1")))
        return [type(e) for e in events if not isinstance(e, QuoteSeen)]

    in_order = [OrderSeen, FillSeen, OrderSeen, PositionSeen]
    assert await told(make_broker()) == in_order
    assert await told(struck("reordered_events")) == in_order[::-1]


async def test_foreign_trade_halves_the_position_before_the_order_arrives():
    broker = struck("foreign_trade")
    assert (await refusal(broker.submit(ask("2")))).refusal is Refusal.HELD
    assert held(broker.venue) == 1
    assert [f.client_id for f in await broker.fills("BTC", DAWN)] == [None]


async def test_foreign_order_appears_among_the_open_orders():
    broker = struck("foreign_order")
    await broker.submit(ask("1"))
    (order,) = (await broker.holdings()).orders
    assert (order.client_id, order.price, order.quantity) == (None, D("199.8"), D("0.2"))


async def test_flip_turns_the_position_around_by_hand():
    broker = struck("flip", book("perp"))
    assert (await refusal(broker.submit(ask("2", reduce_only=True)))).refusal is Refusal.REDUCE_ONLY
    assert broker.venue.state.positions[KEY].side is Side.SHORT
    assert not broker.venue.crossed_zero


async def test_liquidation_takes_the_position_away():
    broker = struck("liquidation", book("perp", side="short"))
    assert (await refusal(broker.submit(ask("2", BUY, reduce_only=True)))).refusal is Refusal.NO_POSITION

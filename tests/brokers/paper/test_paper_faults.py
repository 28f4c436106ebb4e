"""Every scripted fault does what its row in the table says."""

from __future__ import annotations

import asyncio
import re

import pytest

from brokers.paper import faults as table
from brokers.paper.dice import seeded
from brokers.paper.faults import NAMES, Faults, check_faults
from core.errors import ConfigError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Leg, OrderStatus, Side
from tests.brokers.paper.kit import (
    BUY,
    DAWN,
    FOK,
    GTC,
    LIMIT,
    D,
    ask,
    book,
    held,
    make_broker,
)

KEY = ("BTC", Leg.NET)


def struck(name, content=None, **script):
    """An account at which ``name`` strikes once."""
    broker = make_broker(content)
    broker.venue.faults.script(name, **script)
    return broker


async def refusal(call):
    with pytest.raises(Refused) as caught:
        await call
    return caught.value


@pytest.mark.parametrize(
    ("name", "order", "expected"),
    [
        ("reject_ioc", ask("1"), Refusal.UNSUPPORTED),
        ("reject_gtc", ask("1", tif=GTC), Refusal.UNSUPPORTED),
        ("reject_fok", ask("1", tif=FOK), Refusal.UNSUPPORTED),
        ("reject_limit", ask("1", type=LIMIT, price=D(99)), Refusal.UNSUPPORTED),
        ("precision_error", ask("1"), Refusal.PRECISION),
        ("held", ask("1"), Refusal.HELD),
        ("halted", ask("1"), Refusal.HALTED),
        ("market_closed", ask("1"), Refusal.MARKET_CLOSED),
        ("reduce_only_rejected", ask("1", reduce_only=True), Refusal.REDUCE_ONLY),
        ("rate_limited", ask("1"), Refusal.RATE_LIMITED),
        ("clock_skew", ask("1"), Refusal.CLOCK),
        ("banned", ask("1"), Refusal.BANNED),
        ("auth", ask("1"), Refusal.AUTH),
    ],
)
async def test_an_order_is_refused_once_and_taken_the_next_time(name, order, expected):
    broker = struck(name, book("perp"))
    error = await refusal(broker.submit(order))
    assert error.refusal is expected
    assert (error.retry_after is not None) == (expected is Refusal.RATE_LIMITED)
    assert (error.opens_at is not None) == (expected is Refusal.MARKET_CLOSED)
    assert held(broker.venue) == D(2)
    assert (await broker.submit(order)).status is OrderStatus.FILLED


@pytest.mark.parametrize("name", ["reject_ioc", "precision_error"])
async def test_what_the_ordinary_call_refuses_the_raw_endpoint_takes(name):
    broker = struck(name)
    assert (await broker.submit_direct(ask("1"))).status is OrderStatus.FILLED


async def test_reject_direct_and_reject_close_call_refuse_their_own_calls_only():
    broker = struck("reject_direct")
    broker.venue.faults.script("reject_close_call")
    position = broker.venue.state.positions[KEY]
    assert (await refusal(broker.submit_direct(ask("1")))).refusal is Refusal.OTHER
    assert (await refusal(broker.close_position(position, "x"))).refusal is Refusal.OTHER
    assert (await broker.submit(ask("1"))).status is OrderStatus.FILLED


async def test_limits_changed_makes_the_old_quantity_too_precise_and_the_new_rules_are_listed():
    broker = struck("limits_changed")
    assert (await refusal(broker.submit(ask("0.5")))).refusal is Refusal.PRECISION
    (instrument,) = (await broker.holdings()).instruments
    assert instrument.step == D(1)


async def test_partial_fill_fills_half_and_the_ioc_expires():
    broker = struck("partial_fill")
    order = await broker.submit(ask("2"))
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D(1))


async def test_a_gtc_goes_on_after_a_partial_fill():
    broker = struck("partial_fill")
    order = await broker.submit(ask("2", tif=GTC))
    assert (order.status, order.filled) == (OrderStatus.OPEN, D(1))
    await asyncio.sleep(1.5)
    found = await broker.find_order("BTC", order_id=order.id)
    assert found is not None
    assert found.status is OrderStatus.FILLED


async def test_no_fill_lets_the_ioc_expire_unfilled():
    broker = struck("no_fill")
    order = await broker.submit(ask("2"))
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D(0))


@pytest.mark.parametrize(("name", "executed"), [("lose_request", 0), ("lose_response", 1), ("broken_answer", 1)])
async def test_a_lost_request_is_not_executed_and_a_lost_answer_is(name, executed):
    broker = struck(name)
    with pytest.raises(OutcomeUnknown):
        await broker.submit(ask("1", client_id="a"))
    assert len(broker.venue.state.fills) == executed
    assert (await broker.find_order("BTC", client_id="a") is not None) == bool(executed)


async def test_a_lost_answer_hides_a_refusal_too():
    broker = struck("lose_response")
    with pytest.raises(OutcomeUnknown):
        await broker.submit(ask("0.05"))


async def test_late_execution_comes_after_the_unknown_outcome_and_before_the_requests_expiry():
    broker = struck("late_execution")
    with pytest.raises(OutcomeUnknown):
        await broker.submit(ask("1", client_id="a"))
    assert await broker.find_order("BTC", client_id="a") is None
    await asyncio.sleep(broker.capabilities.request_expiry or 0)
    found = await broker.find_order("BTC", client_id="a")
    assert found is not None
    assert found.filled == 1


async def test_a_server_error_may_or_may_not_have_executed():
    broker = make_broker(book(quantity="100"))
    broker.venue.faults.script("server_error", times=40)
    for number in range(40):
        with pytest.raises(OutcomeUnknown):
            await broker.submit(ask("1", client_id=f"a{number}"))
    await asyncio.sleep(1)
    broker.venue.advance()
    assert 0 < len(broker.venue.state.fills) < 40


async def test_delay_ack_executes_at_once_and_answers_late():
    broker = struck("delay_ack")
    sending = asyncio.create_task(broker.submit(ask("1")))
    await asyncio.sleep(1)
    assert held(broker.venue) == 1
    assert not sending.done()
    await asyncio.sleep(3)
    assert sending.done()


async def test_unreachable_never_reaches_the_venue():
    broker = struck("unreachable")
    with pytest.raises(Unreachable):
        await broker.submit(ask("1"))
    assert not broker.venue.requests


@pytest.mark.parametrize(("name", "expected"), [("auth", Refusal.AUTH), ("banned", Refusal.BANNED)])
async def test_bad_credentials_and_bans_bar_reading_too(name, expected):
    broker = struck(name)
    assert (await refusal(broker.holdings())).refusal is expected


async def resting(name):
    broker = struck(name)
    order = await broker.submit(ask("1", type=LIMIT, tif=GTC, price=D(110)))
    return broker, order


async def status(broker, order):
    found = await broker.find_order("BTC", order_id=order.id)
    return found.status


async def test_cancel_fails_leaves_the_order_alive():
    broker, order = await resting("cancel_fails")
    assert (await refusal(broker.cancel(order))).refusal is Refusal.OTHER
    assert await status(broker, order) is OrderStatus.OPEN


async def test_cancel_unknown_may_or_may_not_have_cancelled():
    seen = set()
    broker = make_broker(book(quantity="100"))
    for _ in range(20):
        order = await broker.submit(ask("1", type=LIMIT, tif=GTC, price=D(110)))
        broker.venue.faults.script("cancel_unknown")
        with pytest.raises(OutcomeUnknown):
            await broker.cancel(order)
        seen.add(await status(broker, order))
    assert seen == {OrderStatus.OPEN, OrderStatus.CANCELLED}


async def test_cancel_lag_takes_the_cancel_and_carries_it_out_later():
    broker, order = await resting("cancel_lag")
    await broker.cancel(order)
    assert await status(broker, order) is OrderStatus.OPEN
    await asyncio.sleep(3)
    assert await status(broker, order) is OrderStatus.CANCELLED


async def test_cancel_fill_race_fills_the_order_that_was_to_be_cancelled():
    broker, order = await resting("cancel_fill_race")
    await broker.cancel(order)
    assert await status(broker, order) is OrderStatus.FILLED
    assert held(broker.venue) == 1


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
    assert broker.venue.floor.time - seen.received == 60


@pytest.mark.parametrize(("name", "flaw"), [("bad_price", "price not positive"), ("crossed_quote", "crossed")])
async def test_bad_and_crossed_prices_show_their_flaw(name, flaw):
    _, seen = await quote(name)
    assert seen.flaw() == flaw


async def test_price_jump_is_one_quote_a_third_lower():
    broker, seen = await quote("price_jump")
    assert seen.last == 67
    assert (await broker.quotes(["BTC"]))[0].last == 100


async def listen(broker, seconds, act=None):
    """What a stream tells within some seconds; ``act`` happens after the first of them."""
    events = []

    async def read():
        async for event in broker.stream():
            events.append(event)

    reading = asyncio.create_task(read())
    await asyncio.sleep(1)
    if act is not None:
        await act()
    await asyncio.sleep(seconds - 1)
    broken = reading.exception() if reading.done() else None
    reading.cancel()
    return events, broken


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


def test_the_table_documents_every_fault_and_every_fault_has_a_test():
    rows = re.findall(r"^([a-z_]+)  +\S", table.__doc__, re.MULTILINE)
    assert set(rows) - {"name"} == NAMES
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    assert [name for name in sorted(NAMES) if f'"{name}"' not in text] == []


def test_an_unknown_fault_names_the_nearest():
    with pytest.raises(ConfigError, match='unknown fault "reject_ico"; did you mean "reject_ioc"'):
        check_faults({"reject_ico": 1.0})
    with pytest.raises(ConfigError, match='did you mean "lose_response"'):
        Faults(seeded(1)).script("lose_respons")


@pytest.mark.parametrize("value", [1.5, -0.1, "1", True, float("nan")])
def test_a_probability_is_between_0_and_1(value):
    with pytest.raises(ConfigError, match="reject_ioc"):
        check_faults({"reject_ioc": value})


def test_chance_is_drawn_only_for_faults_that_can_strike_and_follows_the_seed():
    class Counting:
        drawn = 0

        def random(self):
            self.drawn += 1
            return 0.5

    dice = Counting()
    faults = Faults(dice, check_faults({"held": 0.4, "auth": 0, "lag_seconds": 9}))
    assert [faults.strikes(n) for n in ("auth", "halted", "held")] == [False, False, False]
    assert (dice.drawn, faults.numbers["lag_seconds"]) == (1, 9.0)
    one, two = (Faults(seeded(7, "x"), {"held": 0.5}) for _ in range(2))
    assert [one.strikes("held") for _ in range(50)] == [two.strikes("held") for _ in range(50)]


def test_a_script_strikes_the_symbol_it_names_as_often_as_it_says():
    faults = Faults(seeded(1))
    faults.script("held", times=2, symbol="B", after=1)
    struck_ = [faults.strikes("held", symbol) for symbol in "ABABAB"]
    assert struck_ == [False, False, False, True, False, True]
    assert faults.possible("held", "auth")
    assert not faults.possible("auth")

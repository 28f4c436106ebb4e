"""Every scripted fault of a request does what its row in the table says, and the table is complete."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from brokers.paper import faults as table
from brokers.paper.faults import NAMES, Faults, check_faults
from brokers.paper.random_streams import seeded
from core.errors import ConfigError, OutcomeUnknown, Refusal, Unreachable
from core.model import OrderStatus
from tests.brokers.paper.kit import (
    FOK,
    GTC,
    KEY,
    LIMIT,
    D,
    ask,
    book,
    held,
    make_broker,
    refusal,
    struck,
)


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


def test_the_table_documents_every_fault_and_every_fault_has_a_test():
    rows = re.findall(r"^([a-z_]+)  +\S", table.__doc__, re.MULTILINE)
    assert set(rows) - {"name"} == NAMES
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_paper_faults*.py"))
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

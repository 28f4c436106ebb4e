"""The rungs of the ladder: their order, the size and the price of what each one sends, and its client id."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from core.ladder.tiers import Step, client_id, request, schedule
from core.model import Leg, OrderType, Side, Tier, TimeInForce
from core.plans.planner import ladder_tiers
from core.plans.sizing import size_close
from core.ports import Capabilities
from core.settings import BASE_TIERS, LAST_TIERS, LadderSettings, Settings
from tests.support.builders import ALL_TIERS, D, instrument, position, spot

OFFSETS = (D("0.005"), D("0.01"))
LIMIT = Step(3, Tier.LIMIT_AGGRESSIVE, D("0.005"))


def test_the_schedule_is_rounds_of_the_base_tiers_and_the_last_one_adds_the_last_tiers():
    steps = schedule(ALL_TIERS, 2, OFFSETS)
    base = [Step(r, t) for r in (1, 2) for t in BASE_TIERS]
    assert steps == (
        *base,
        Step(2, Tier.MARKET_FOK),
        Step(2, Tier.LIMIT_AGGRESSIVE, D("0.005"), 0),
        Step(2, Tier.LIMIT_AGGRESSIVE, D("0.01"), 1),
    )


def test_tiers_that_a_venue_lacks_are_not_in_the_schedule():
    assert schedule((Tier.VENUE_CLOSE,), 3, OFFSETS) == tuple(Step(r, Tier.VENUE_CLOSE) for r in (1, 2, 3))


@pytest.mark.parametrize(("broker", "first"), [("ccxt:kraken", "market_gtc"), ("ccxt:okx", "venue_close")])
def test_the_configured_order_of_a_broker_is_taken_whole_or_without_its_exchange(broker: str, first: str):
    tiers = {"ccxt": (Tier.VENUE_CLOSE, Tier.MARKET_IOC), "ccxt:kraken": (Tier.MARKET_GTC,)}
    able, unable = ladder_tiers(Settings(ladder=LadderSettings(tiers=tiers)), broker, Capabilities(frozenset(Tier)))
    assert able[0].value == first
    assert not unable


def test_a_tier_that_a_venue_cannot_express_is_told_apart():
    capabilities = Capabilities(frozenset(Tier) - {Tier.VENUE_CLOSE, Tier.MARKET_FOK})
    able, unable = ladder_tiers(Settings(), "paper", capabilities)
    assert unable == (Tier.VENUE_CLOSE, Tier.MARKET_FOK)
    assert able == tuple(t for t in ALL_TIERS if t not in unable)


# ------------------------------------------------------------------------------------------------------------- size


def test_the_size_is_all_that_is_held_rounded_down_to_the_step():
    found = size_close(position("2.57"), instrument(), D(100))
    assert (found.wanted, found.available, found.too_small) == (D("2.5"), D("2.5"), "")


def test_without_reduce_only_no_more_than_what_is_free_is_available():
    assert size_close(position("2", free="0.77"), spot(), D(100)).available == D("0.7")
    assert size_close(position("2", free="0.77"), instrument(), D(100)).available == D(2)
    assert size_close(position("2", free="5"), spot(), D(100)).available == D(2)


def test_one_order_has_at_most_what_the_venue_takes_in_one():
    assert size_close(position("2"), instrument(max_market=D("0.75")), D(100)).available == D("0.7")


@pytest.mark.parametrize(
    ("quantity", "venue", "price", "why"),
    [
        ("0.09", instrument(), "100", "below one step"),
        ("0.4", instrument(min_quantity=D("0.5")), "100", "below the venue's minimum quantity"),
        ("0.5", instrument(min_quantity=D("0.5")), "100", ""),
        ("0.4", instrument(min_quantity=D("0.5"), minimum_exempt=True), "100", ""),
        ("0.4", spot(min_quantity=D("0.5"), minimum_exempt=True), "100", "below the venue's minimum quantity"),
        ("0.4", instrument(min_cost=D(41)), "100", "below the venue's minimum cost"),
        ("0.4", instrument(min_cost=D(40)), "100", ""),
        ("0.4", instrument(min_cost=D(41)), None, ""),
        ("0.4", instrument(min_cost=D(41), multiplier=D(10)), "100", ""),
    ],
)
def test_what_the_venue_would_refuse_even_whole_is_too_small(quantity: str, venue, price: str | None, why: str):
    assert size_close(position(quantity), venue, None if price is None else D(price)).too_small == why


@given(
    quantity=st.decimals("0.001", "50", places=3),
    free=st.decimals("0", "50", places=3),
    step=st.sampled_from(["0", "0.001", "0.1", "1"]),
    reduce_only=st.booleans(),
    most=st.sampled_from([None, "0.3", "7"]),
)
def test_no_size_is_ever_more_than_the_position(quantity, free, step, reduce_only, most):
    venue = instrument(step=D(step), reduce_only=reduce_only, max_market=most and D(most))
    found = size_close(position(str(quantity), free=str(free)), venue, D(1))
    assert 0 <= found.available <= found.wanted <= quantity
    if D(step):
        assert found.available % D(step) == 0
    if not reduce_only:
        assert found.available <= free
    if most:
        assert found.available <= D(most)


# ---------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("tier", "tif"),
    [
        (Tier.MARKET_IOC, TimeInForce.IOC),
        (Tier.MARKET_GTC, TimeInForce.GTC),
        (Tier.MARKET_FOK, TimeInForce.FOK),
        (Tier.DIRECT_API, TimeInForce.GTC),
    ],
)
def test_a_market_tier_sends_a_market_order_with_its_time_in_force(tier: Tier, tif: TimeInForce):
    sent = request(Step(1, tier), position(), instrument(), D(1), "fd1", None)
    assert sent is not None
    assert (sent.type, sent.tif, sent.price, sent.quantity) == (OrderType.MARKET, tif, None, D(1))


def test_the_leg_of_a_hedged_position_is_named():
    sent = request(Step(1, Tier.MARKET_IOC), position(leg=Leg.LONG), instrument(), D(1), "fd1", None)
    assert sent is not None
    assert sent.leg is Leg.LONG


@pytest.mark.parametrize(("side", "price"), [(Side.LONG, "99.9"), (Side.SHORT, "100.9")])
def test_a_limit_is_rounded_toward_the_touch_so_that_no_more_than_the_offset_is_conceded(side: Side, price: str):
    """0.5 % beyond is 99.868 and 100.932, which no tick has; the one nearer to the touch is taken."""
    touch = D("100.37") if side is Side.LONG else D("100.43")
    sent = request(LIMIT, position(side=side), instrument(), D(1), "fd1", touch)
    assert sent is not None
    assert sent.price == D(price)
    assert abs(sent.price - touch) <= touch * D("0.005")


@given(
    touch=st.decimals("0.01", "100000", places=2),
    offset=st.sampled_from(OFFSETS),
    tick=st.sampled_from(["0.01", "0.05", "0.25"]),
    side=st.sampled_from(Side),
)
def test_no_limit_concedes_more_than_its_offset_and_each_is_on_the_tick(touch, offset, tick, side):
    step = Step(1, Tier.LIMIT_AGGRESSIVE, offset)
    sent = request(step, position(side=side), instrument(tick=D(tick)), D(1), "fd1", touch)
    assert sent is not None
    assert sent.price is not None
    assert sent.price % D(tick) == 0
    conceded = (touch - sent.price) * side.sign
    assert conceded <= touch * offset
    assert conceded > touch * offset - D(tick)


@pytest.mark.parametrize(("step", "touch"), [(LIMIT, None), (Step(1, Tier.LIMIT_AGGRESSIVE), D(100))])
def test_a_limit_without_a_touch_or_an_offset_is_not_sent(step: Step, touch):
    assert request(step, position(), instrument(), D(1), "fd1", touch) is None


# -------------------------------------------------------------------------------------------------------- client ids


def test_every_step_and_part_of_a_ladder_has_its_own_client_id_of_32_plain_characters():
    steps = schedule(ALL_TIERS, 3, OFFSETS)
    names = [client_id("abcd", "p1", position(), s, part) for s in steps for part in range(20)]
    assert len(set(names)) == len(names)
    assert all(len(n) == 32 and n.isalnum() and n.isascii() and n == n.lower() for n in names)


def test_the_legs_of_a_hedged_instrument_have_different_client_ids():
    long, short = (client_id("abcd", "p1", position(leg=leg), LIMIT, 0) for leg in (Leg.LONG, Leg.SHORT))
    assert long != short


def test_the_base_tiers_and_the_last_tiers_are_all_there_are():
    assert set(BASE_TIERS) | set(LAST_TIERS) == set(Tier)

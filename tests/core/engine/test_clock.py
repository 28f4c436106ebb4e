"""The system clock, and the ids that are ours."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from core.engine.clock import SystemClock, system_ids
from core.ids import Ids, client_order_id, epoch_of, is_ours
from core.model import Leg, PositionKey

KEY = PositionKey("ada/main", "BTC/USDT", Leg.NET)


class StillClock:
    """A clock that stands, and can be set."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


def ids(seed: int = 1) -> Ids:
    return Ids(StillClock(), random.Random(seed))


def test_now_is_utc_to_the_millisecond() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(now.timestamp() - time.time()) < 5  # noqa: TID251 - what it is compared with


def test_the_monotonic_clock_counts_the_time_of_a_suspend() -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no clock that does")
    assert abs(SystemClock().monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1


async def test_sleep_lasts_as_long_as_asked_and_gives_way_even_for_nothing() -> None:
    clock = SystemClock()
    begun = clock.monotonic()
    await clock.sleep(0.05)
    assert clock.monotonic() - begun >= 0.05
    other = asyncio.create_task(asyncio.sleep(0))
    await clock.sleep(0)
    await clock.sleep(-1)
    assert other.done()


async def test_a_long_sleep_ends_by_the_clock_that_counts_a_suspend(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0.0, 2.0, 400.0])  # asked, woken early, woken after the lid was opened
    monkeypatch.setattr(SystemClock, "monotonic", lambda _: next(readings))
    monkeypatch.setattr("core.engine.clock._SLICE", 0.001)
    await asyncio.wait_for(SystemClock().sleep(300), 5)


def test_plan_ids_are_short_unique_and_sorted_even_when_the_clock_stands_or_steps_back() -> None:
    clock = StillClock()
    source = Ids(clock, random.Random(1))
    made = [source.plan_id() for _ in range(1000)]
    clock.moment -= timedelta(hours=1)
    made += [source.plan_id() for _ in range(1000)]
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"p[a-z0-9]{11}", plan) for plan in made)


def test_the_same_seed_makes_the_same_ids_and_another_seed_others() -> None:
    assert (ids(7).plan_id(), ids(7).epoch()) == (ids(7).plan_id(), ids(7).epoch())
    assert ids(7).epoch() != ids(8).epoch()


def test_ids_of_the_system_differ() -> None:
    assert system_ids().plan_id() != system_ids().plan_id()
    assert re.fullmatch(r"[a-z0-9]{4}", system_ids().epoch())


def test_a_client_order_id_is_what_every_venue_takes_and_says_whose_it_is() -> None:
    made = client_order_id("a1b2", "p1", KEY, 1, "market_ioc", 0)
    assert re.fullmatch(r"[a-z0-9]{32}", made)
    assert made.startswith("fda1b2")
    assert is_ours(made)
    assert epoch_of(made) == "a1b2"


def test_a_client_order_id_never_changes_between_versions() -> None:
    assert client_order_id("a1b2", "p1", KEY, 1, "market_ioc", 0) == "fda1b2" + "oq6qogkg53ulij5u4skmutyiey"


def test_every_part_of_a_client_order_id_makes_it_another() -> None:
    made = {
        client_order_id("a1b2", "p1", KEY, 1, "market_ioc", 0),
        client_order_id("a1b3", "p1", KEY, 1, "market_ioc", 0),
        client_order_id("a1b2", "p2", KEY, 1, "market_ioc", 0),
        client_order_id("a1b2", "p1", PositionKey("ada/other", "BTC/USDT"), 1, "market_ioc", 0),
        client_order_id("a1b2", "p1", PositionKey("ada/main", "ETH/USDT"), 1, "market_ioc", 0),
        client_order_id("a1b2", "p1", PositionKey("ada/main", "BTC/USDT", Leg.SHORT), 1, "market_ioc", 0),
        client_order_id("a1b2", "p1", KEY, 2, "market_ioc", 0),
        client_order_id("a1b2", "p1", KEY, 1, "market_gtc", 0),
        client_order_id("a1b2", "p1", KEY, 1, "market_ioc", 1),
    }
    assert len(made) == 9


@pytest.mark.parametrize("foreign", [None, "", "fd", "fd-manual", "FDA1B2", "x" * 32, "fda1b2" + "1" * 26])
def test_an_id_that_is_not_ours_is_not_taken_for_one(foreign: str | None) -> None:
    assert not is_ours(foreign)
    assert epoch_of(foreign) is None


@given(st.text())
def test_no_text_whatever_breaks_the_question_whose_an_id_is(text: str) -> None:
    assert is_ours(text) is (epoch_of(text) is not None)

"""Exits that must not be: on a price that is none, on the wrong side of their level, or while disarmed."""

from __future__ import annotations

from core.model import Side, Tier
from core.plans.plan import Plan
from core.records import IntentWritten, PlanApproved
from tests.simulation.history import Armed, Began, Filled, Killed, Levels, Quoted, Said
from tests.simulation.planted import KEY, TWO, D, Story, action, request
from tests.simulation.venue import BIRTH


def quoted(price: str, story: Story | None = None) -> Story:
    given = D(price)
    story = story or Story(more={"ages": {"u1/a": 5.0}}).begin()
    return story.tell(Quoted, "u1/a", "AAA", story.now, given, given, given)


def fired(story: Story, price: str, why: str, *, armed: bool = True) -> Story:
    text = f"[EXIT] AAA on u1/a is being closed: {why.split(maxsplit=1)[0]} (price {price}, {why.partition(' ')[2]})"
    return story.tell(Armed, 1, armed).tell(Said, "warning", text, "u1/a")


def left_on_a_stale_price() -> Story:
    story = quoted("90", quoted("91"))
    story.now += 6
    return fired(story, "90", "stop_loss stop 95")


def left_on_a_bad_price() -> Story:
    return fired(quoted("-90", quoted("91")), "90", "stop_loss stop 95")


def left_on_a_spike() -> Story:
    return fired(quoted("40", quoted("100", quoted("101"))), "40", "stop_loss stop 95")


def left_above_its_stop() -> Story:
    return fired(quoted("97", quoted("98")), "97", "stop_loss stop 95")


def left_below_its_target() -> Story:
    return fired(quoted("97", quoted("98")), "97", "take_profit target 110")


def left_while_disarmed() -> Story:
    return fired(quoted("90", quoted("91")), "90", "stop_loss stop 95", armed=False)


def approved_and_never_armed() -> Story:
    made = Plan("p2", "exit", BIRTH, (action(),), ())
    return Story().begin().durable(PlanApproved(made, "rule:exits", BIRTH))


def kept(story: Story, stop: str | None, entry: str = "100") -> Story:
    """The disk took a stop of the position."""
    return story.tell(Levels, story.life, KEY, Side.LONG, D(entry), None if stop is None else D(stop))


def beyond_its_stop(word: str = "") -> Story:
    """Prices below the stop for ten seconds."""
    story = Story(more={"ages": {"u1/a": 5.0}}).tell(Began, 1, "sim1", one_shot=False)
    kept(story.tell(Filled, "u1/a", None, KEY, D(0), D(10)).read(), "95").now += 60
    for price in ("94", "93", "94", "92", "93", "94"):
        quoted(price, story).read().now += 2
        if word:
            story.tell(Said, "alarm", f"[EXIT] AAA on u1/a {word}: stop_loss (price {price}, stop 95)", "u1/a")
            word = ""
    return story


def waiting_beyond_its_stop() -> Story:
    return beyond_its_stop("waits for a person")


def level_that_loosened() -> Story:
    return kept(kept(Story().begin(), "95"), "90")


def level_lost_by_a_restart() -> Story:
    story = kept(Story().begin(), "95").tell(Killed, 1)
    story.life, story.now = 2, story.now + 60
    return kept(story.tell(Began, 2, "sim1", False), None)


def two_plans_at_once() -> Story:
    """A cleanup sends while an exit, whose order is over, is not done with the position."""
    story = Story().begin().intend(request(quantity="5")).send(request(quantity="5")).nothing()
    again = request(TWO, "5")
    story.approve(action(), "p2").durable(IntentWritten("p2", KEY, TWO, 0, 1, Tier.MARKET_IOC, again, D(10), BIRTH))
    return story.send(again)

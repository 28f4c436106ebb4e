"""The stops panel, arming, and an exit that waits for a person."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.exits.view import ExitView
from core.link.messages import Arm, DueRow, EngineRow, ExitsDue, PlanRow, Prepare, Preview, Rejected
from core.link.replica import Replica
from core.plans.plan import Reason
from core.plans.request import PlanRequest
from tests.tui.console import Console, console
from tests.tui.fakes import NOW, FakeLink, close, guard, key, plan, position, snapshot
from tui.present import stops
from tui.screens.arm_screen import SHOWN, ArmScreen, lines

D = Decimal
DUE = DueRow(key(), "trailing_stop", "trailing_stop (price 98.9, stop 99, roi -1.10 %)")


def replica(*rows: object) -> Replica:
    made = Replica()
    made.load(snapshot(*rows))  # type: ignore[arg-type]
    return made


def said(made: Replica, name: object) -> str:
    return "".join(c.text for c in stops.row(made, name, NOW).spans)  # type: ignore[arg-type]


def disarmed(due: ExitsDue, **answers: object) -> FakeLink:
    engine = EngineRow(mode="service", armed=False)
    return FakeLink(snapshot(position(), engine=engine), Preview=due, **answers)


# ----------------------------------------------------------------------------------------------------------- the lines


def test_the_tightest_stop_is_first_and_what_is_due_before_it() -> None:
    made = replica(
        position("FAR-USD", guard=guard(away=D("0.05"))),
        position("NEAR-USD", guard=guard(away=D("0.01"))),
        position("DUE-USD", guard=guard(away=D("0.2"), due="take_profit")),
        position("UNPRICED-USD", guard=guard(away=None, price=None)),
        position("NONE-USD", guard=guard(stop=None, away=None)),
        position("BARE-USD"),
    )
    names = [k.symbol for k in stops.order(made) if not isinstance(k, stops.WhyKey)]  # type: ignore[attr-defined]
    assert names == ["DUE-USD", "NEAR-USD", "FAR-USD", "UNPRICED-USD"]
    assert "[EXIT] take_profit" in said(made, key("DUE-USD"))
    assert stops.row(made, key("BARE-USD"), NOW).spans == ()
    assert stops.row(made, key("GONE-USD"), NOW).spans == ()


def test_a_line_shows_where_the_price_is_and_why_the_stop_is_there() -> None:
    made = replica(position(guard=guard()))
    assert said(made, key()) == "BTC-USD     stop ├──●────────┤ target  1.98% away"
    why = said(made, stops.WhyKey(key()))
    assert "99 … 110 · 2.00% × vol 1.3 × profit 0.7 × mom 1 = 1.82%" in why
    assert "moved 2×, last 12s ago · 10.00% of the way" in why


@pytest.mark.parametrize(
    ("price", "bar"),
    [("99", "├●──────────┤"), ("110", "├──────────●┤"), ("90", "├●──────────┤"), ("104.5", "├─────●─────┤")],
)
def test_the_bar_has_its_mark_between_its_ends(price: str, bar: str) -> None:
    assert stops.bar(guard(price=D(price))) == bar


def test_without_a_target_a_price_or_a_distance_nothing_is_made_up() -> None:
    assert stops.bar(guard(target=None)) == "├───────────╌"
    assert "●" not in stops.bar(guard(price=None))
    assert stops.distance(ExitView()) == ""
    made = replica(position(guard=guard(initial=True, trail=None, target=None, progress=None)))
    assert said(made, stops.WhyKey(key())) == "    platform/coinbase · 99 … — · initial stop"
    assert "no target" in said(made, key())


def test_a_stop_that_rests_at_the_venue_is_named() -> None:
    made = replica(position(guard=guard(), protective=D("97.9")))
    assert "· rests at 97.9 ·" in said(made, stops.WhyKey(key()))


# ----------------------------------------------------------------------------------------------------------- the panel


async def test_the_panel_follows_the_stops() -> None:
    rows = [position("AAA-USD", guard=guard()), position("BBB-USD", guard=guard(away=D("0.01")))]
    async with console(snapshot(*rows), size=(160, 48)) as it:
        text = it.text()
        assert "STOPS" in text
        assert text.index("BBB-USD     stop") < text.index("AAA-USD     stop")
        it.link.update(positions=(position("AAA-USD", guard=guard(away=D("0.002"))),))
        await it.sees("0.20% away")
        it.clock.forward(1)
        await it.until(lambda: it.text().index("AAA-USD     stop") < it.text().index("BBB-USD     stop"))


async def test_a_small_screen_leaves_the_panel_out() -> None:
    async with console(snapshot(position(guard=guard())), size=(80, 24)) as it:
        assert "STOPS" not in it.text()


# -------------------------------------------------------------------------------------------------------------- arming


async def opened(it: Console) -> ArmScreen:
    await it.press("a")
    await it.until(lambda: isinstance(it.app.screen, ArmScreen) and it.app.screen.shown is not None)
    assert isinstance(it.app.screen, ArmScreen)
    return it.app.screen


async def test_arming_shows_what_would_fire_and_sends_what_was_shown() -> None:
    async with console(link=disarmed(ExitsDue((DUE,), "abc"))) as it:
        await opened(it)
        await it.sees("1 exit is due now")
        assert "trailing_stop (price 98.9, stop 99" in it.text()
        await it.press("enter")
        assert not [c for c in it.link.asked if isinstance(c, Arm)]
        await it.settle()
        await it.press("y", "y")
        await it.until(lambda: not isinstance(it.app.screen, ArmScreen))
        assert [c for c in it.link.asked if isinstance(c, Arm)] == [Arm(True, "abc")]


async def test_what_changed_meanwhile_is_shown_again() -> None:
    async with console(link=disarmed(ExitsDue((), "abc"), Arm=Rejected("changed", "look again"))) as it:
        await opened(it)
        await it.sees("No exit is due now")
        await it.settle()
        await it.press("y")
        await it.sees("NOT ARMED: look again")
        await it.settle()
        await it.press("n")
        await it.until(lambda: it.app.screen is it.app.main_screen)


async def test_an_engine_that_cannot_be_armed_says_why_and_takes_no_y() -> None:
    async with console(link=disarmed(ExitsDue((DUE,), "abc", "every exit waits for a person here"))) as it:
        await opened(it)
        await it.sees("every exit waits for a person here")
        await it.press("y")
        assert not [c for c in it.link.asked if isinstance(c, Arm)]


async def test_a_line_that_breaks_arms_nothing() -> None:
    async with console(link=disarmed(ExitsDue((), "abc"))) as it:
        await opened(it)
        it.link.answers["Preview"] = OSError("gone")
        await it.sees("The engine does not answer (gone)")
        await it.press("y")
        assert not [c for c in it.link.asked if isinstance(c, Arm)]


async def test_an_armed_engine_asks_before_it_is_disarmed() -> None:
    async with console() as it:
        await it.press("a", "y")
        await it.sees("no exit closes anything by itself")
        assert it.link.asked == []
        await it.settle()
        await it.press("y")
        await it.until(lambda: Arm(False) in it.link.asked)
        await it.until(lambda: it.app.screen is it.app.main_screen)


@pytest.mark.parametrize("engine", [EngineRow(armed=True), EngineRow(armed=False)])
async def test_a_read_only_console_has_no_such_key(engine: EngineRow) -> None:
    async with console(snapshot(position(), engine=engine), read_only=True) as it:
        await it.press("a")
        await it.pilot.pause()
        assert not [c for c in it.link.asked if isinstance(c, Arm | Preview)]
        assert "a arm" not in it.text()
        assert isinstance(await it.app.ask(Arm(False)), Rejected)


def test_many_exits_are_counted() -> None:
    shown = ["".join(c.text for c in row) for row in lines(ExitsDue((DUE,) * 20, "x"), "")]
    assert shown[-1] == f"  and {20 - SHOWN} more"


# ------------------------------------------------------------------------------------------------- an exit that waits


async def test_a_waiting_exit_opens_with_enter_and_is_confirmed_as_shown() -> None:
    request = PlanRequest("exit", keys=(key(),), text="trailing_stop (price 98.9, stop 99)")
    waiting = PlanRow("w", "exit", "waiting", 1, 0, NOW, request, request.text)
    async with console(snapshot(position(), plans=(waiting,)), size=(160, 48)) as it:
        it.link.plan = lambda: plan(close(reason=Reason.EXIT, text=request.text), cause="exit")
        assert "[PLAN] exit BTC-USD of platform/coinbase " in it.text()
        it.app.main_screen.escalations.table.focus()
        await it.press("enter")
        screen = await it.planned()
        assert screen.request == request
        assert next(c.request for c in it.link.asked if isinstance(c, Prepare)) == request
        await it.sees("EXIT: BTC-USD at platform/coinbase, trailing_stop")
        await it.until(lambda: it.clock.forward(1) or screen.check_action("confirm", ()))
        await it.press("y")
        await it.until(it.link.confirmed)

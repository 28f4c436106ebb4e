"""Text that is typed or pasted without a look at the screen closes, cancels, arms and sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from textual import events

from brokers.paper.random_streams import seeded
from core.link.messages import Command, EngineRow, ExitsDue, PlanRow, Refresh, Reply, Snapshot
from core.settings import ConsoleSettings
from tests.tui.console import Console, console
from tests.tui.fakes import NOW, FakeLink, close, closing, guard, order, plan, position, snapshot
from tui.screens.arm_screen import ArmScreen
from tui.screens.main_screen import MainScreen
from tui.screens.quit_screen import QuitScreen

D = Decimal
HARMLESS = {"Prepare", "Withdraw", "Preview", "Refresh"}  # they read; nothing is sent to close, cancel or arm
SPEEDS = [0.0, 0.02, 0.05, 0.2]  # seconds from key to key, by the app's clock
DICE = seeded("words", 7)
RANDOM = ["".join("abcdefghijklmnopqrstuvwxyzy1"[int(DICE.random() * 28)] for _ in range(7)) for _ in range(2)]
HELD = ["cyyyy", "ayyyy", "x1yy"]


def held(*, armed: bool) -> Snapshot:
    rows = [position("BTC-USD", guard=guard()), position("ETH-USD", guard=guard())]
    return snapshot(
        *rows,
        engine=EngineRow(mode="one-shot", armed=armed),
        closings=(closing("ETH-USD", outcome="stuck", state="stuck", alarm=True), closing("BTC-USD")),
        plans=(PlanRow("w", "cleanup", "waiting", 2, 1, NOW),),
    )


@asynccontextmanager
async def desk(*, armed: bool = False) -> AsyncIterator[Console]:
    link = FakeLink(held(armed=armed), Preview=ExitsDue((), "d"))
    link.plan = lambda: plan(close("BTC-USD"))
    async with console(link=link, size=(144, 30), recheck=30) as it:
        yield it


async def on_positions(it: Console) -> None:
    it.app.main_screen.positions.table.focus()
    it.app.main_screen.positions.table.index = 1


async def on_stops(it: Console) -> None:
    it.app.main_screen.stops.table.focus()


async def on_escalations(it: Console) -> None:
    it.app.main_screen.escalations.table.focus()


async def on_log(it: Console) -> None:
    it.app.main_screen.log_panel.view.focus()


async def in_filter(it: Console) -> None:
    await on_positions(it)
    await it.press("slash")


async def in_help(it: Console) -> None:
    await it.press("question_mark")


async def in_plan(it: Console) -> None:
    await on_positions(it)
    await it.press("x")
    await it.planned()


async def in_arm(it: Console) -> None:
    await it.press("a")
    await it.until(lambda: isinstance(it.app.screen, ArmScreen))


async def in_quit(it: Console) -> None:
    await it.press("ctrl+q")
    await it.until(lambda: isinstance(it.app.screen, QuitScreen))


async def in_palette(it: Console) -> None:
    await it.press("ctrl+p")


PLACES = [on_positions, on_stops, on_escalations, on_log, in_filter, in_help, in_arm, in_quit, in_palette]


async def back(it: Console) -> None:
    """Leave every window, with the keyboard quiet for a long time."""
    it.clock.forward(30)
    while not isinstance(it.app.screen, MainScreen):
        await it.press("escape")
    it.clock.forward(30)


async def type_text(it: Console, text: str, speed: float) -> None:
    """Type as a terminal sends it. At speed 0 every key is there before the first one is handled."""
    for letter in text:
        key = events.Key("enter" if letter == "\n" else letter, letter)
        key.set_sender(it.app)
        assert it.app._driver is not None
        it.app._driver.send_message(key)
        if speed:
            await it.pilot.pause()
            it.clock.forward(speed)
    await it.pilot.pause()
    await it.pilot.pause(0.05)


def nothing_happened(it: Console) -> None:
    assert set(it.link.names()) <= HARMLESS, it.link.names()
    assert it.app.is_running
    assert it.app.return_value is None


@pytest.mark.parametrize("place", PLACES)
async def test_typed_words_do_nothing_wherever_they_go(place: Callable[[Console], Awaitable[None]]) -> None:
    async with desk() as it:
        for speed, words in zip(SPEEDS, (["crypto", "cy"], ["copy", RANDOM[0]], ["crypto"], ["copy"]), strict=True):
            for word in words:
                await back(it)
                await place(it)
                await type_text(it, word, speed)
                nothing_happened(it)


@pytest.mark.parametrize("speed", SPEEDS)
async def test_random_words_and_held_keys_do_nothing(speed: float) -> None:
    async with desk(armed=speed in SPEEDS[::2]) as it:
        for word in (*RANDOM, *HELD, "c\ny\n"):
            await back(it)
            await on_positions(it)
            await type_text(it, word, speed)
            nothing_happened(it)


async def test_words_typed_into_a_plan_that_was_looked_at_do_not_confirm_it() -> None:
    async with desk() as it:
        for speed in SPEEDS:
            await back(it)
            await in_plan(it)
            await type_text(it, "crypto", speed)
            nothing_happened(it)


@pytest.mark.parametrize("text", ["cy", "crypto\ny\n", "1y", "y"])
async def test_a_bracketed_paste_does_nothing(text: str) -> None:
    async with desk() as it:
        for place in (on_positions, in_plan, in_arm, in_quit):
            await back(it)
            await place(it)
            assert it.app._driver is not None
            it.app._driver.send_message(events.Paste(text))
            await it.pilot.pause()
            nothing_happened(it)
            await type_text(it, "y", 0)  # and what follows it at once does nothing either
            nothing_happened(it)


async def test_a_pasted_number_is_not_typed() -> None:
    async with desk() as it:
        it.link.plan = lambda: plan(close("BTC-USD", usd_value=D(5000)))
        await in_plan(it)
        it.modal.box.count.focus()
        assert it.app._driver is not None
        it.app._driver.send_message(events.Paste("1"))
        await it.pilot.pause()
        assert it.modal.box.count.value == ""


async def test_what_was_typed_before_there_was_a_screen_is_dropped() -> None:
    async with desk() as it:
        await on_positions(it)
        early = events.Key("x", "x")
        early.set_sender(it.app)
        early.time = it.app._mounted_at - 0.01
        assert it.app._driver is not None
        it.app._driver.send_message(early)
        await it.pilot.pause(0.05)
        assert isinstance(it.app.screen, MainScreen)


async def test_a_key_that_waited_for_a_busy_loop_counts_when_it_was_pressed() -> None:
    async with desk() as it:
        await on_positions(it)
        await it.press("x")
        await it.until(lambda: it.modal.gate.drawn)
        it.clock.forward(2)
        it.modal.tell()
        late = events.Key("y", "y")
        late.set_sender(it.app)
        late.time -= 1.9  # pressed 0.1 s after the plan came, handled 1.9 s later
        assert it.app._driver is not None
        it.app._driver.send_message(late)
        await it.pilot.pause(0.05)
        nothing_happened(it)


async def test_a_plan_that_another_window_covered_must_be_looked_at_again() -> None:
    async with desk() as it:
        await in_plan(it)
        await it.press("ctrl+q")
        await it.settle()
        await it.press("n")
        await it.until(lambda: not isinstance(it.app.screen, QuitScreen))
        await it.press("y")
        nothing_happened(it)


async def test_a_person_who_looks_and_waits_confirms_arms_and_quits() -> None:
    async with desk() as it:
        await in_plan(it)
        await it.press("y")
        await it.until(it.link.confirmed)
    async with desk(armed=True) as it:
        await in_arm(it)
        await it.settle()
        await it.press("y")
        await it.until(lambda: "Arm" in it.link.names())
        await in_quit(it)
        await it.settle()
        await it.press("y")
        assert it.app.return_value == 0


async def test_a_held_r_reads_the_accounts_once_at_a_time() -> None:
    class Slow(FakeLink):
        async def ask(self, command: Command) -> Reply:
            reply = await super().ask(command)
            return await asyncio.Future() if isinstance(command, Refresh) else reply

    async with console(link=Slow(held(armed=False))) as it:
        await type_text(it, "rrrr", 0.02)
        assert it.link.names() == ["Refresh"]


@pytest.mark.parametrize(
    ("limits", "closes", "wanted"),
    [
        ((3, D(1000)), [close("A"), close("B")], False),
        ((3, D(1000)), [close("A"), close("B"), close("C")], True),
        ((3, D(1000)), [close("A", usd_value=D("999.99"))], False),
        ((3, D(1000)), [close("A", usd_value=D(1000))], True),
        ((3, D(1000)), [close("A", usd_value=D(-1000))], True),
        ((3, D(1000)), [close("A", usd_value=None)], True),
        ((3, None), [close("A", usd_value=None)], False),
        ((None, None), [close(f"S{n}") for n in range(9)], False),
    ],
)
@pytest.mark.parametrize("letter", ["x", "c"])
async def test_from_a_number_of_closes_or_of_dollars_on_the_number_is_typed(
    letter: str, limits: tuple[int | None, Decimal | None], closes: list[object], wanted: bool
) -> None:
    async with console(held(armed=False), settings=ConsoleSettings(limits)) as it:
        it.link.plan = lambda: plan(*closes)  # type: ignore[arg-type]
        await on_positions(it)
        await it.press(letter)
        await it.planned()
        assert ("Type" in it.text()) is wanted
        await it.press("y")
        await it.pilot.pause(0.05)
        assert bool(it.link.confirmed()) is not wanted
        if wanted:
            await it.press(*str(len(closes)), "y")
            await it.until(it.link.confirmed)


async def test_many_orders_to_cancel_want_their_number_typed() -> None:
    from core.plans.plan import ActionKind

    async with desk() as it:
        orders = [close(kind=ActionKind.CANCEL_ORDER, order=order(f"o{n}"), tiers=()) for n in range(3)]
        it.link.plan = lambda: plan(*orders, cause="cancel-orders")
        await on_positions(it)
        await it.press("o")
        await it.planned()
        await it.sees("Type 3, the number of orders that will be cancelled.")


async def test_a_result_is_not_closed_by_a_letter_that_starts_an_action() -> None:
    async with desk() as it:
        await in_plan(it)
        modal = it.modal
        await it.press("y")
        await it.sees("under way")
        await it.press("q", "x", "c", "d", "a", "r", "o")
        assert it.app.screen is modal
        await it.press("n")
        await it.until(lambda: isinstance(it.app.screen, MainScreen))

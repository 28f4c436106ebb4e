"""Alarms: an emergency looks like none of the others, none is overwritten, and none is hidden by a window."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.link.messages import Acknowledge, AlarmRow, EngineRow, PlanRow, Prepare, Snapshot
from core.link.replica import Replica
from core.plans.request import PlanRequest
from core.settings import ConsoleSettings
from tests.tui.console import Console, console
from tests.tui.fakes import NOW, alarmed, closing, guard, key, position, snapshot
from tui.present.alarms import Severity, banner, desktop_notification, severity, waiting
from tui.screens.confirm_screen import PlanScreen

D = Decimal
EMERGENCY = "emergency_stop_severe_loss: roi -25 % at 75"
STOP = "trailing_stop: 0.39 at or below 0.40"


def exit_plan(name: str, symbol: str, text: str) -> PlanRow:
    request = PlanRequest("exit", keys=(key(symbol),), text=text)
    return PlanRow(name, "exit", "waiting", 1, 0, NOW, request, text)


def held(**fields: Any) -> Snapshot:
    rows = (position("AAA", usd_value=D("0.40"), guard=guard()), position("BBB", usd_value=D(9000), guard=guard()))
    return snapshot(*rows, **fields)


@pytest.mark.parametrize(
    ("reason", "usd", "stuck", "wanted"),
    [
        (EMERGENCY, D(9000), False, Severity.EMERGENCY),
        (EMERGENCY, None, False, Severity.EMERGENCY),
        (EMERGENCY, D("0.40"), False, Severity.WARNING),
        (STOP, D(9000), False, Severity.WARNING),
        (STOP, D("0.40"), False, Severity.WARNING),
        ("dust", D("0.40"), True, Severity.ALARM),
        ("flatten", D(1000), True, Severity.EMERGENCY),
        ("flatten", D(-1000), True, Severity.EMERGENCY),
        ("flatten", None, True, Severity.EMERGENCY),
    ],
)
def test_severity_is_by_reason_and_by_money(reason: str, usd: Decimal | None, stuck: bool, wanted: Severity) -> None:
    assert severity(reason, usd, stuck=stuck) is wanted


async def test_an_emergency_is_on_top_with_a_tag_and_a_colour_of_its_own() -> None:
    plans = (exit_plan("p1", "AAA", STOP), exit_plan("p2", "BBB", EMERGENCY))
    stuck = closing("CCC", outcome="stuck", state="stuck", alarm=True)
    small = position("CCC", usd_value=D(5))
    shown = held(plans=plans, closings=(stuck,))
    async with console(msgspec.structs.replace(shown, positions=(*shown.positions, small)), size=(160, 48)) as it:
        table = it.app.main_screen.escalations.table
        first = table.make(table.keys[0]).spans
        assert first[0].text == "[EMERGENCY]"
        assert first[0].tone == "emergency"
        assert "BBB" in first[2].text
        others = [cell for k in table.keys[1:] for cell in table.make(k).spans]
        assert not any(cell.tone == "emergency" for cell in others)
        styles = {it.app.main_screen.escalations.table._tone(tone) for tone in ("emergency", "alarm", "warn")}
        assert len(styles) == 3


async def test_an_emergency_is_not_overwritten_by_a_later_alarm_and_a_count_says_how_many_wait() -> None:
    text = f"[EXIT] BBB on platform/coinbase waits for a person: {EMERGENCY}"
    engine = alarmed("journal: disk full", text, "cleanup failed")
    async with console(held(engine=engine)) as it:
        await it.sees("EMERGENCY 1 of 3: [EXIT] BBB")
        await it.press("A")
        await it.until(lambda: it.link.asked)
        assert it.link.asked == [Acknowledge(None, text)]  # the alarm that was shown, whatever came in the meantime
        left = alarmed("journal: disk full", "cleanup failed")
        it.link.update(engine=left)
        await it.sees("ALARM 1 of 2: cleanup failed")
        await it.press("ctrl+a")
        await it.until(lambda: len(it.link.asked) == 3)
        assert set(it.link.asked[1:]) == {Acknowledge(None, "cleanup failed"), Acknowledge(None, "journal: disk full")}


def exit_alarm(symbol: str) -> AlarmRow:
    text = f"[EXIT] {symbol} on platform/coinbase waits for a person: {EMERGENCY}"
    return AlarmRow(text, NOW, "platform/coinbase", key(symbol))


def told(shown: Snapshot, width: int = 200) -> str:
    replica = Replica()
    replica.load(shown)
    return "".join(cell.text for cell in banner(waiting(replica), read_only=False, width=width))


def test_an_alarm_of_the_engine_is_an_emergency_by_the_money_of_its_position() -> None:
    big = told(held(engine=alarmed(exit_alarm("BBB"))))
    assert big.startswith("EMERGENCY: [EXIT] BBB")
    assert big.endswith(" · $9,000.00 · since 02:14:07Z  (A acknowledges)")
    assert told(held(engine=alarmed(exit_alarm("AAA")))).startswith("ALARM: [EXIT] AAA"), "forty cents"
    dust = position("CCC", usd_value=D(40), flags=("dust",))
    assert told(snapshot(dust, engine=alarmed(exit_alarm("CCC")))).startswith("ALARM: [EXIT] CCC")
    unknown = position("DDD", usd_value=None)
    assert told(snapshot(unknown, engine=alarmed(exit_alarm("DDD")))).startswith("EMERGENCY: [EXIT] DDD")
    both = told(held(engine=alarmed(exit_alarm("BBB"), exit_alarm("AAA"))))
    assert both.startswith("EMERGENCY 1 of 2: [EXIT] BBB")


def test_a_stuck_close_of_dust_is_no_emergency() -> None:
    dust = position("BBB", usd_value=None, flags=("dust",))
    stuck = closing("BBB", outcome="stuck", state="stuck", alarm=True)
    assert told(snapshot(dust, closings=(stuck,))).startswith("ALARM: BBB")
    assert told(snapshot(msgspec.structs.replace(dust, flags=()), closings=(stuck,))).startswith("EMERGENCY: BBB")


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("word", ["market", "漢字", "x" * 90])
async def test_the_keys_of_a_long_alarm_are_never_cut(width: int, word: str) -> None:
    engine = alarmed("journal: disk full", f"[EXIT] {EMERGENCY} " + f"{word} " * 12)
    async with console(held(engine=engine), size=(width, 24)) as it:
        await it.sees("EMERGENCY 1 of 2: [EXIT]")
        flat = "".join(it.text().split())
        assert "(Aacknowledges,ctrl+aall)" in flat
        assert "since02:14:07Z" in flat


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_under_a_window_the_header_the_clock_and_the_alarms_go_on(size: tuple[int, int]) -> None:
    async with console(held(), size=size) as it:
        await it.press("c")
        await it.planned()
        assert "02:14" in it.text()
        it.clock.forward(60)
        later = f"{it.clock.now():%H:%M:%SZ}"
        await it.sees(later)
        engine = alarmed("journal: disk full", armed=True)
        it.link.update(engine=engine, positions=(position("BBB", usd_value=D(9500)),))
        await it.sees("ALARM: journal: disk full")
        await it.sees("$9,500")
        assert isinstance(it.app.screen, PlanScreen)
        await it.press("escape")
        await it.sees("$9,500.00")


async def focus(it: Console, panel: str) -> None:
    it.app.main_screen.positions.table.go_to(key("AAA"))
    {
        "stops": it.app.main_screen.stops.table,
        "escalations": it.app.main_screen.escalations.table,
        "log": it.app.main_screen.log_panel.view,
    }[panel].focus()
    await it.pilot.pause()


@pytest.mark.parametrize("letter", ["x", "o"])
@pytest.mark.parametrize("panel", ["stops", "escalations"])
async def test_keys_act_on_the_focused_panel_s_row(panel: str, letter: str) -> None:
    async with console(held(closings=(closing("BBB"),)), size=(160, 48)) as it:
        await focus(it, panel)
        it.app.main_screen.stops.table.go_to(key("BBB"))
        await it.press(letter)
        await it.planned()
        assert it.link.asked[0].request.keys == (key("BBB"),)


async def test_a_close_of_a_waiting_plan_s_row_is_about_its_position() -> None:
    async with console(held(plans=(exit_plan("p2", "BBB", EMERGENCY),)), size=(160, 48)) as it:
        await focus(it, "escalations")
        await it.press("x")
        await it.planned()
        assert it.link.asked[0] == Prepare(PlanRequest("flatten", keys=(key("BBB"),)))


async def test_in_the_log_a_close_never_takes_another_panel_s_row() -> None:
    async with console(held()) as it:
        await focus(it, "log")
        await it.press("x", "X", "o")
        await it.sees("Put the cursor on a position")
        assert it.link.asked == []


@pytest.mark.parametrize("on", [True, False])
async def test_bell_and_desktop_notification_tell_of_emergencies_and_stuck_closes(
    on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(held(), settings=ConsoleSettings(bell=on, notifications=on)) as it:
        rung: list[str] = []
        written: list[str] = []
        monkeypatch.setattr(it.app, "bell", lambda: rung.append("bell"))
        monkeypatch.setattr(it.app._driver, "write", written.append)
        it.link.update(engine=alarmed("quiet"))
        await it.sees("ALARM: quiet")
        assert rung == []
        it.link.update(closings=(closing("BBB", outcome="stuck", state="stuck", alarm=True),))
        await it.sees("EMERGENCY 1 of 2: BBB")
        await it.until(lambda: len(rung) == int(on))
        told = [text for text in written if "\x1b]777;notify;flatdeck;" in text]
        assert len(told) == int(on)


def test_a_notification_cannot_be_left_by_the_text_in_it() -> None:
    shown = held(engine=alarmed("x\x1b\\\x07;y\x9c"))
    replica = Replica()
    replica.load(shown)
    text = desktop_notification(waiting(replica)[0])
    assert text.count("\x1b") == 6  # three sequences, each with its begin and its end
    assert "\x07" not in text
    assert "\x9c" not in text


@pytest.mark.parametrize(("mode", "asks"), [("one-shot", True), ("service", False)])
async def test_quitting_says_what_is_held_when_no_engine_goes_on(mode: str, asks: bool) -> None:
    async with console(held(engine=EngineRow(mode=mode), plans=(exit_plan("p", "BBB", EMERGENCY),))) as it:
        await it.press("q")
        if not asks:
            assert it.app.return_value == 0
            return
        await it.sees("2 positions held, 1 plan waiting for a person.")
        await it.settle()
        await it.press("y")
        assert it.app.return_value == 0

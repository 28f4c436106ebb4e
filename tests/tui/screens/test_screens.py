"""Pictures of the screens, small and large ones, and without colour."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from textual.pilot import Pilot

from core.plans.plan import ActionKind, OwnerTally, Reason
from tests.tui.console import console
from tests.tui.fakes import FakeLink, HandClock, close, crowd, key, order, plan, position, snapshot
from tui.app import FlatdeckApp
from tui.screens.confirm_screen import PlanScreen

D = Decimal


def app() -> FlatdeckApp:
    link = FakeLink(crowd())
    closes = [
        close(f"COIN{n:02d}-USD", usd_value=D(n) / 4, pnl=D(n - 30) / 100, cancels=cancels(n)) for n in range(8, 59)
    ]
    skipped = close("NVDA", "user_123/alpaca", kind=ActionKind.SKIP, reason=Reason.NO_PRICE, text="no price", tiers=())
    platform = OwnerTally("platform", 8, 59, 45, 6, 0, 1, 6, 8, True, D(1200), D(1100))
    user = OwnerTally("user_123", 8, 9, 0, 1, 1, 0, 0, 9, False)
    made = plan(*closes, skipped, owners=(platform, user), unreadable={"user_123/alpaca": "read timed out"})
    link.plan = lambda: made
    return FlatdeckApp(link, clock=HandClock(), recheck=30)


def cancels(n: int) -> tuple[Any, ...]:
    return (order(f"o{n}", f"COIN{n:02d}-USD"),) if n % 9 == 0 else ()


async def settled(pilot: Pilot[int]) -> None:
    while not isinstance(pilot.app, FlatdeckApp) or pilot.app.replica.seq < 1 or pilot.app._pending:
        await pilot.pause(0.02)
    await pilot.pause(0.1)


async def asked(pilot: Pilot[int]) -> None:
    await settled(pilot)
    await pilot.press("c")
    while not isinstance(pilot.app.screen, PlanScreen) or not pilot.app.screen.gate.drawn:
        await pilot.pause(0.02)
    assert isinstance(pilot.app, FlatdeckApp)
    assert isinstance(pilot.app.clock, HandClock)
    pilot.app.clock.forward(5)
    await pilot.pause(0.3)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_the_main_screen_looks_as_it_did(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(app(), terminal_size=size, run_before=settled)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_the_confirmation_looks_as_it_did(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(app(), terminal_size=size, run_before=asked)


@pytest.mark.parametrize("size", [(59, 24), (80, 15), (20, 5)])
async def test_below_the_smallest_size_there_is_a_plain_message(size: tuple[int, int]) -> None:
    async with console(crowd(), size=size) as it:
        assert "POSITIONS" not in it.text()
        assert "flatdeck needs 60×16" in it.text()


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (100, 30), (143, 40), (144, 40), (200, 60), (300, 100)])
async def test_every_size_shows_value_flags_escalations_log_and_keys(size: tuple[int, int]) -> None:
    async with console(crowd(), size=size) as it:
        text = it.text()
        for words in (
            "POSITIONS",
            "ESCALATIONS",
            "value",
            "flags",
            "[EMERGENCY] ETH-USD",
            "is stuck",
            "d dry-run",
            "F flatten",
        ):
            assert words in text
        assert all(len(line) <= size[0] for line in text.splitlines())


async def test_resizing_keeps_cursor_selection_filter_and_data() -> None:
    async with console(crowd(), size=(200, 60)) as it:
        await it.press("slash", *"coin", "enter", "j", "j", "j", "space")
        table = it.app.main_screen.positions.table
        before = table.cursor
        for size in ((50, 10), (80, 24), (200, 60)):
            await it.pilot.resize_terminal(*size)
            await it.pilot.pause()
        assert table.cursor == before == key("COIN02-USD")
        assert table.selected == {before}
        await it.sees("filter: coin")
        assert it.app.main_screen.positions.position_list.words == "coin"


async def test_without_colour_every_tag_is_still_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console(crowd(), size=(160, 110)) as it:
        assert it.app.no_color
        for words in ("[CAP]", "[DUST]", "[STALE]", "[STUCK]", "ARMED", "›", "ERROR", "ALARM"):
            assert words in it.text()
        for strip in it.app.screen._compositor.render_strips():
            for segment in strip:
                for color in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    if color is not None and color.triplet is not None:
                        assert len(set(color.triplet)) == 1, segment  # grey: the filters are in the path


async def test_a_wide_symbol_keeps_the_columns_in_line() -> None:
    from rich.cells import cell_len

    async with console(snapshot(position("東京電力/USD"), position("ABC")), size=(120, 30)) as it:
        lines = [line for line in it.text().splitlines() if "long" in line]
        assert len(lines) == 2
        assert len({cell_len(line.partition("long")[0]) for line in lines}) == 1

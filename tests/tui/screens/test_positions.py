"""The positions panel under the hand: selecting, pointing, sorting, filtering, folding."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.tui.console import Console, console
from tests.tui.fakes import FakeLink, key, position, snapshot
from tui.app import FlatdeckApp

D = Decimal


async def select(it: Console, *presses: str) -> set[Any]:
    await it.press(*presses)
    return {k.symbol for k in it.app.main_screen.positions.table.selected}


async def test_space_selects_rows_and_a_heading_selects_its_owner() -> None:
    async with console(snapshot(*(position(f"S{n}") for n in range(4)))) as it:
        assert await select(it, "j", "space", "j", "space") == {"S0", "S1"}
        await it.sees("2 selected")
        assert await select(it, "space") == {"S0"}
        assert await select(it, "g", "space") == {"S0", "S1", "S2", "S3"}
        assert await select(it, "u") == set()


async def test_hidden_rows_are_never_selected() -> None:
    async with console(snapshot(position("AAA"), position("BBB"))) as it:
        assert await select(it, "g", "space") == {"AAA", "BBB"}
        await it.press("slash", *"bbb", "enter")
        assert await select(it) == {"BBB"}


async def test_a_click_moves_the_cursor_and_one_in_the_margin_selects() -> None:
    async with console(snapshot(*(position(f"S{n}") for n in range(4)))) as it:
        await it.pilot.click("#positions-table", offset=(20, 4))
        assert it.app.main_screen.positions.table.cursor == key("S2")
        await it.pilot.click("#positions-table", offset=(0, 3))
        assert it.app.main_screen.positions.table.selected == {key("S1")}


async def test_a_click_on_a_title_sorts_and_a_second_one_turns_it_round() -> None:
    async with console(snapshot(position("A", usd_value=D(1)), position("B", usd_value=D(2)))) as it:
        table = it.app.main_screen.positions.table
        place = next(f for f in table._fitted if f.column.key == "value")
        for _ in range(2):
            await it.pilot.click("#positions-table", offset=(place.start + 4, 0))
        await it.sees("value▼")
        assert [k.symbol for k in table.keys[1:]] == ["B", "A"]


async def test_rows_resort_at_most_once_a_second() -> None:
    async with console(snapshot(position("A", usd_value=D(1)), position("B", usd_value=D(2)))) as it:
        table = it.app.main_screen.positions.table
        table._sort("value", False)
        await it.sees("value▲")
        it.link.update(positions=(position("A", usd_value=D(3)),))
        await it.sees("$3.00")
        assert [k.symbol for k in table.keys[1:]] == ["A", "B"]
        it.clock.forward(1.5)
        it.link.update(positions=(position("A", usd_value=D(4)),))
        await it.until(lambda: [k.symbol for k in table.keys[1:]] == ["B", "A"])


async def test_the_terminal_that_does_not_read_is_not_painted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console() as it:
        monkeypatch.setattr(FlatdeckApp, "backed_up", property(lambda _: True))
        it.link.update(positions=(position("BTC-USD", usd_value=D("77.5")),))
        await it.until(lambda: it.app.replica.seq == 2)
        await it.pilot.pause(0.3)
        assert "$77.50" not in it.text()
        monkeypatch.setattr(FlatdeckApp, "backed_up", property(lambda _: False))
        await it.sees("$77.50")


async def test_the_link_is_hung_up_at_the_end() -> None:
    link = FakeLink(snapshot(position()))
    async with console(link=link):
        pass
    assert link.closed

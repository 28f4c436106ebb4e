"""The line table by itself: cursor, scrolling, columns, and how little it draws."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tui.present.cells import Cell, Column, Row
from tui.widgets.strips import fit_text
from tui.widgets.table import LineTable

COLUMNS = (
    Column("name", "name", 10),
    Column("a", "a", 10, 1),
    Column("b", "b", 10, 2, right=True),
    Column("c", "c", 30, 3),
)


class TableApp(App[None]):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.values: dict[Hashable, str] = {n: f"v{n}" for n in range(count)}
        self.made: list[Hashable] = []
        self.sorts: list[tuple[str, bool]] = []
        self.table = LineTable(COLUMNS, self.make, sort="name", empty="nothing here")

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.show(list(self.values))
        self.table.focus()

    def on_line_table_sorted(self, event: LineTable.Sorted) -> None:
        self.sorts.append((event.column, event.descending))

    def make(self, key: Hashable) -> Row:
        self.made.append(key)
        return Row(cells={"name": Cell(f"row{key}"), "a": Cell(self.values[key]), "c": Cell("far right")})

    def text(self) -> str:
        return "\n".join("".join(s.text for s in line) for line in self.screen._compositor.render_strips())


@asynccontextmanager
async def table(count: int = 100, size: tuple[int, int] = (40, 10)) -> AsyncIterator[tuple[TableApp, Pilot[None]]]:
    app = TableApp(count)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


def test_text_is_cut_to_cells_whatever_its_width() -> None:
    assert fit_text("abcdef", 4) == "abc…"
    assert fit_text("ab", 4, right=True) == "  ab"
    assert fit_text("a", 0) == ""
    for width in range(1, 9):
        assert cell_len(fit_text("東京電力AB", width)) == width


async def test_only_rows_on_screen_are_made() -> None:
    async with table(100_000) as (app, pilot):
        assert len(app.made) < 30
        await pilot.press("G")
        await pilot.pause()
        assert "row99999" in app.text()
        assert len(app.made) < 60


async def test_vim_keys_arrows_and_pages_move_the_cursor() -> None:
    async with table() as (app, pilot):
        for key, place in (("j", 1), ("down", 2), ("k", 1), ("up", 0), ("up", 0), ("G", 99), ("g", 0), ("end", 99)):
            await pilot.press(key)
            assert app.table.index == place
        await pilot.press("home", "pagedown")
        assert app.table.index == 8
        assert "row8" in app.text()
        await pilot.press("ctrl+u")
        assert app.table.index == 0


async def test_an_empty_table_says_so_and_takes_every_key() -> None:
    async with table(0) as (app, pilot):
        assert "nothing here" in app.text()
        await pilot.press("j", "k", "G", "g", "space", "s", "S", "w", "l", "h", "pagedown", "enter")
        assert app.table.cursor is None


async def test_columns_that_do_not_fit_come_with_the_wide_key_and_the_first_one_stays() -> None:
    async with table() as (app, pilot):
        assert "far right" not in app.text()
        await pilot.press("w", *["l"] * 2)
        await pilot.pause()
        assert "far right" in app.text()
        assert "row0" in app.text()
        await pilot.press("w")
        await pilot.pause()
        assert "far right" not in app.text()
        assert app.table.scroll_offset.x == 0


async def test_touch_asks_for_the_changed_row_only() -> None:
    async with table() as (app, pilot):
        app.made.clear()
        app.values[3] = "new"
        app.table.touch([3, 90, "unknown"])
        await pilot.pause()
        assert app.made == [3]
        assert "new" in app.text()


async def test_a_row_that_changed_out_of_sight_is_right_when_it_comes_back() -> None:
    async with table() as (app, pilot):
        await pilot.press("G")
        await pilot.pause()
        app.values[0] = "later"
        app.table.touch([0])
        await pilot.press("g")
        await pilot.pause()
        assert "later" in app.text()


async def test_the_cursor_follows_its_key_through_another_order() -> None:
    async with table() as (app, pilot):
        await pilot.press("j", "j")
        app.table.show(list(reversed(range(100))))
        await pilot.pause()
        assert app.table.cursor == 2
        assert "›" in app.text()


async def test_the_sort_key_goes_through_the_columns_that_are_shown() -> None:
    async with table() as (app, pilot):
        await pilot.press("s", "S", "s", "s")
        await pilot.pause()
        assert app.sorts == [("a", False), ("a", True), ("b", False), ("name", False)]


async def test_cursor_and_selection_are_marks_and_not_only_colours() -> None:
    async with table() as (app, pilot):
        await pilot.press("space", "j")
        await pilot.pause()
        lines = app.text().splitlines()
        assert lines[1].startswith(" ●row0")
        assert lines[2].startswith("› row1")

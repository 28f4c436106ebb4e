"""The table of every list: a Line-API widget that makes, draws and sends only visible, changed lines.

The table holds keys in order and calls ``make`` for a key's row when the line becomes visible. ``touch`` draws only the
changed cells of changed lines. The cursor and the selection follow keys, not places. A line that is not in the table is
never selected.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.present.cells import Column, Fitted, Row, fit, longest_names
from tui.widgets.strips import draw_cells, draw_spans, draw_titles, fit_text

KEPT = 2000  # rows and strips remembered after they left the screen
GUTTER = 2  # cursor and selection marks
TONES = ("good", "bad", "warn", "alarm", "emergency", "dim", "strong")


class LineTable(ScrollView, can_focus=True, inherit_bindings=False):
    """A table with a cursor, multi-selection, and sorting by column. A narrow screen hides some columns."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line-table--header",
        "line-table--heading",
        "line-table--cursor",
        "line-table--cursor-blurred",
        "line-table--selected",
        *(f"line-table--{tone}" for tone in TONES),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("g,home", "edge(0)", "First line", show=False),
        Binding("G,end", "edge(-1)", "Last line", show=False),
        Binding("h,left", "sideways(-8)", "Left", show=False),
        Binding("l,right", "sideways(8)", "Right", show=False),
        Binding("space", "select", "Select", show=False),
        Binding("u", "unselect", "Unselect all", show=False),
        Binding("s", "sort_next", "Sort by next column", show=False),
        Binding("S", "sort_reverse", "Reverse the order", show=False),
        Binding("w", "widen", "All columns / only what fits", show=False),
    ]

    index = var(0)
    wide = var(False)

    class Moved(Message):
        """The cursor is on another row."""

    class Sorted(Message):
        """A person asks for another order."""

        def __init__(self, table: LineTable, column: str, descending: bool) -> None:
            super().__init__()
            self.table, self.column, self.descending = table, column, descending

    class Selection(Message):
        """Other rows are selected."""

    def __init__(
        self,
        columns: Sequence[Column],
        make: Callable[[Hashable], Row],
        *,
        empty: str = "",
        header: bool = True,
        sort: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        super().__init__(id=id)
        self.columns, self.make, self.empty = tuple(columns), make, empty
        self.keys: list[Hashable] = []
        self.selected: set[Hashable] = set()
        self.sort, self.descending = sort, False
        self._header = int(header)
        self._longest: Mapping[str, int] = {}
        self._places: dict[Hashable, int] = {}
        self._rows: dict[Hashable, Row] = {}  # rows of lines that are or were on screen
        self._strips: dict[Hashable, dict[tuple[bool, bool, bool], Strip]] = {}
        self._fitted: list[Fitted] = []

    # Lines on screen

    def show(self, keys: Sequence[Hashable]) -> None:
        """Replace the lines. Cursor and selection stay with their keys; a selected line that is gone is dropped."""
        old = self.cursor
        self.keys = list(keys)
        self._places = {key: place for place, key in enumerate(self.keys)}
        self._longest = longest_names(self.columns, self.keys)
        self.selected &= self._places.keys()
        self._forget()
        self._resize()
        place = self._places.get(old, min(self.index, len(self.keys) - 1))
        self.set_reactive(LineTable.index, max(place, 0))
        self._follow()
        self.refresh()

    def touch(self, keys: Iterable[Hashable]) -> None:
        """Draw the rows of ``keys`` anew where they are on screen and differ."""
        first, last = self._window()
        for key in keys:
            place = self._places.get(key)
            if place is None:
                continue
            old = self._rows.pop(key, None)
            if not first <= place < last:
                self._strips.pop(key, None)
                continue
            new = self._row(key)
            if new != old:
                self._strips.pop(key, None)
                if region := self._changed(old, new, place):
                    self.refresh(region)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    @property
    def cursor(self) -> Hashable | None:
        """The key under the cursor."""
        return self.keys[self.index] if 0 <= self.index < len(self.keys) else None

    def visible(self) -> list[Hashable]:
        """Return the keys of the lines on screen."""
        first, last = self._window()
        return self.keys[first:last]

    def go_to(self, key: Hashable) -> None:
        """Put the cursor on a key, if the table has it."""
        if (place := self._places.get(key)) is not None:
            self.index = place

    # Drawing

    def render_line(self, y: int) -> Strip:
        """Return one line of the widget: the titles, a row, or a blank line."""
        width = self._width
        if y < self._header:
            return self._titles()
        place = y - self._header + self.scroll_offset.y
        if place < len(self.keys):
            return self._line(place, width)
        if not self.keys and y == self._header and self.empty:
            style = self.rich_style + self._tone("dim")
            return Strip([Segment(fit_text("  " + self.empty, width), style)], width)
        return Strip.blank(width, self.rich_style)

    def _line(self, place: int, width: int) -> Strip:
        key = self.keys[place]
        row = self._row(key)
        state = (place == self.index, self.has_focus, key in self.selected)
        base = self._base(row, *state)
        strips = self._strips.setdefault(key, {})
        if state not in strips:
            strips[state] = self._draw(row, base, *state)
        return strips[state].adjust_cell_length(width, base)

    def _draw(self, row: Row, base: Style, at: bool, focused: bool, chosen: bool) -> Strip:
        mark = Segment(("›" if at else " ") + ("●" if chosen else " "), base)
        if row.spans:
            return Strip([mark, *draw_spans(row.spans, max(self._width - GUTTER, 0), base, self._tone)])
        return Strip([mark, *draw_cells(row, self._fitted, base, self._tone, self.scroll_offset.x)])

    def _titles(self) -> Strip:
        style = self.rich_style + self.get_component_rich_style("line-table--header", partial=True)
        drawn = draw_titles(self._fitted, style, self.sort, self.descending, self.scroll_offset.x)
        return Strip([Segment(" " * GUTTER, style), *drawn]).adjust_cell_length(self._width, style)

    def _base(self, row: Row, at: bool, focused: bool, chosen: bool) -> Style:
        style = self.rich_style
        if row.tone:
            style += self._tone(row.tone)
        if row.heading:
            style += self.get_component_rich_style("line-table--heading", partial=True)
        if chosen:
            style += self.get_component_rich_style("line-table--selected", partial=True)
        if at:
            name = "line-table--cursor" if focused else "line-table--cursor-blurred"
            style += self.get_component_rich_style(name, partial=True)
        return style

    def _tone(self, tone: str) -> Style:
        return self.get_component_rich_style(f"line-table--{tone}", partial=True) if tone in TONES else Style.null()

    def _row(self, key: Hashable) -> Row:
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) > KEPT:
                self._forget()
            row = self._rows[key] = self.make(key)
        return row

    def _changed(self, old: Row | None, new: Row, place: int) -> Region | None:
        """Return the part of a line that differs between two rows, or None."""
        y = place - self.scroll_offset.y + self._header
        plain_cells = old is not None and old.cells and new.cells and old[1:] == new[1:] and not self.scroll_offset.x
        if not plain_cells or old is None:
            return Region(0, y, self._width, 1)
        differing = [f for f in self._fitted if old.cells.get(f.column.key) != new.cells.get(f.column.key)]
        if not differing:  # only a hidden column changed
            return None
        end = differing[-1].start + differing[-1].width
        return Region(GUTTER + differing[0].start, y, end - differing[0].start, 1)

    # Sizes

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width or self.size.width

    def _window(self) -> tuple[int, int]:
        first = self.scroll_offset.y
        return first, min(first + max(self.size.height - self._header, 0), len(self.keys))

    def _resize(self) -> None:
        self._fitted = fit(self.columns, max(self._width - GUTTER, 1), wide=self.wide, longest=self._longest)
        whole = max((f.start + f.width for f in self._fitted), default=0) + GUTTER if self.wide else self._width
        self.virtual_size = Size(max(whole, self._width), len(self.keys) + self._header)

    def _forget(self) -> None:
        self._rows.clear()
        self._strips.clear()

    def _draw_place(self, place: int) -> None:
        self.refresh(Region(0, place - self.scroll_offset.y + self._header, self._width, 1))

    def _follow(self) -> None:
        """Scroll just far enough to show the cursor."""
        rows = max(self.size.height - self._header, 1)
        top = self.scroll_offset.y
        if self.index < top:
            self.scroll_to(y=self.index, animate=False, immediate=True)
        elif self.index >= top + rows:
            self.scroll_to(y=self.index - rows + 1, animate=False, immediate=True)

    # Events and keys

    def _watch_index(self, old: int, new: int) -> None:
        """Draw the two lines that the cursor left and entered."""
        self._draw_place(old)
        self._draw_place(new)
        self._follow()
        self.post_message(self.Moved())

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Drop the cached lines: every line starts at another column."""
        super().watch_scroll_x(old_value, new_value)
        self._strips.clear()

    def _on_resize(self) -> None:
        """Choose the columns again; cursor and selection stay."""
        self._strips.clear()
        self._resize()
        self._follow()
        self.refresh()

    def notify_style_update(self) -> None:
        """Drop the cached lines: the theme or the state changed."""
        super().notify_style_update()
        self._strips.clear()

    def _on_click(self, event: events.Click) -> None:
        """Move the cursor to the row. In the margin or with ctrl select the row; on a title sort."""
        place = event.y - self._header + self.scroll_offset.y
        if event.y < self._header:
            self._sort_at(event.x - GUTTER)
        elif 0 <= place < len(self.keys):
            self.index = place
            if event.ctrl or event.x < GUTTER:
                self.action_select()

    def _sort_at(self, x: int) -> None:
        for column, start, width in self._fitted:
            if self.sort is not None and start <= x <= start + width:
                down = not self.descending if column.key == self.sort else False
                self._sort(column.key, down)

    def _sort(self, column: str, descending: bool) -> None:
        self.sort, self.descending = column, descending
        self.post_message(self.Sorted(self, column, descending))
        self.refresh()

    def action_move(self, lines: int) -> None:
        """Cursor up or down."""
        self.index = min(max(self.index + lines, 0), max(len(self.keys) - 1, 0))

    def action_page(self, pages: int) -> None:
        """A page up or down."""
        self.action_move(pages * max(self.size.height - self._header - 1, 1))

    def action_edge(self, where: int) -> None:
        """First or last line."""
        self.index = max(len(self.keys) - 1, 0) if where else 0

    def action_sideways(self, cells: int) -> None:
        """Scroll sideways; the first column stays."""
        self.scroll_to(x=max(self.scroll_offset.x + cells, 0), animate=False, immediate=True)

    def action_select(self) -> None:
        """Select or deselect the row; on a heading, all rows of its group."""
        if (key := self.cursor) is None:
            return
        row = self._row(key)
        keys = {key}
        if row.heading:
            keys = {k for k in self.keys if k != key and self._row(k).group == row.group and not self._row(k).heading}
        self.selected = self.selected - keys if keys <= self.selected else self.selected | keys
        self.post_message(self.Selection())
        self.refresh()

    def action_unselect(self) -> None:
        """Select nothing."""
        self.selected = set()
        self.post_message(self.Selection())
        self.refresh()

    def action_sort_next(self) -> None:
        """Sort by the next column that is shown."""
        shown = [f.column.key for f in self._fitted]
        if self.sort is not None and shown:
            place = shown.index(self.sort) if self.sort in shown else -1
            self._sort(shown[(place + 1) % len(shown)], False)

    def action_sort_reverse(self) -> None:
        """Turn the order round."""
        if self.sort is not None:
            self._sort(self.sort, not self.descending)

    def action_widen(self) -> None:
        """Every column, scrolled sideways, or only those that fit."""
        self.wide = not self.wide
        self.scroll_to(x=0, animate=False, immediate=True)
        self._on_resize()

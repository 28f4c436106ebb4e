"""The log: a ring of rows. Only visible rows are formatted. The view follows the newest row unless scrolled up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.link.messages import LogRow
from tui.present.labels import log_cells, log_text, matches
from tui.widgets import strips
from tui.widgets.table import TONES

KEPT = 10_000
SLACK = 1_000  # surplus lines before the log is trimmed, so that trimming is rare


class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines of the log, newest last."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log-view--{tone}" for tone in TONES}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "lines(1)", "Down", show=False),
        Binding("k,up", "lines(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "pages(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "pages(-1)", "Page up", show=False),
        Binding("g,home", "first", "First line", show=False),
        Binding("G,end", "follow", "Last line, follow again", show=False),
        Binding("h,left", "sideways(-16)", "Left", show=False),
        Binding("l,right", "sideways(16)", "Right", show=False),
    ]

    class Followed(Message):
        """The view started or stopped to follow the newest row."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self.following = True
        self.unseen = 0  # lines that came while the view did not follow
        self.words: tuple[str, ...] = ()
        self._all: list[LogRow] = []
        self._rows: list[LogRow] = self._all
        self._strips: dict[int, Strip] = {}

    def load(self, rows: Sequence[LogRow]) -> None:
        """Replace all lines."""
        self._all = list(rows[-KEPT:])
        self._rows = self._all if not self.words else [r for r in self._all if matches(log_text(r), self.words)]
        self._strips.clear()
        self.unseen = 0
        self._measure()
        self.refresh()

    def add(self, rows: Sequence[LogRow]) -> None:
        """Add new lines; a line is formatted when it becomes visible."""
        self._all += rows
        fitting: Sequence[LogRow] = rows
        if self.words:
            fitting = [r for r in rows if matches(log_text(r), self.words)]
            self._rows += fitting
        self._trim()
        if not fitting:
            return
        self._measure()
        if self.following:
            self.refresh()
        else:
            self.unseen += len(fitting)

    def look_for(self, text: str) -> None:
        """Show only lines that have every word."""
        self.words = tuple(text.casefold().split())
        self.load(self._all)

    def render_line(self, y: int) -> Strip:
        """Return one line of the widget."""
        place, width = y + self.scroll_offset.y, self.size.width
        base = self.rich_style
        if place >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[place]
        strip = self._strips.get(row.seq)
        if strip is None:
            if len(self._strips) > SLACK:
                self._strips.clear()
            strip = self._strips[row.seq] = Strip(strips.draw_spans(log_cells(row), 4000, base, self._tone))
        x = self.scroll_offset.x
        return strip.crop_extend(x, x + width, base)

    def _tone(self, tone: str) -> Style:
        return self.get_component_rich_style(f"log-view--{tone}", partial=True) if tone in TONES else Style.null()

    def _trim(self) -> None:
        for rows in {id(r): r for r in (self._all, self._rows)}.values():
            if len(rows) > KEPT + SLACK:
                gone = len(rows) - KEPT
                del rows[:gone]
                if rows is self._rows and not self.following:  # the lines that a person reads stay in place
                    self.scroll_to(y=max(self.scroll_offset.y - gone, 0), animate=False, immediate=True)

    def _measure(self) -> None:
        self.virtual_size = Size(self.size.width + 400, len(self._rows))
        if self.following:
            self.scroll_to(y=max(len(self._rows) - self.size.height, 0), animate=False, immediate=True, force=True)

    def _on_resize(self) -> None:
        self._measure()
        self.refresh()

    def notify_style_update(self) -> None:
        """Drop the cached lines: their styles changed."""
        super().notify_style_update()
        self._strips.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stop following after a scroll up; follow again at the end."""
        super().watch_scroll_y(old_value, new_value)
        following = round(new_value) >= len(self._rows) - self.size.height
        if following != self.following:
            self.following = following
            self.unseen = 0
            self.post_message(self.Followed())

    def action_lines(self, count: int) -> None:
        """Scroll by lines."""
        self.scroll_to(y=self.scroll_offset.y + count, animate=False, immediate=True)

    def action_pages(self, count: int) -> None:
        """Scroll by pages."""
        self.action_lines(count * max(self.size.height - 1, 1))

    def action_first(self) -> None:
        """To the oldest line."""
        self.scroll_to(y=0, animate=False, immediate=True)

    def action_follow(self) -> None:
        """To the newest line, and on with it."""
        self.following, self.unseen = True, 0
        self._measure()
        self.refresh()
        self.post_message(self.Followed())

    def action_sideways(self, cells: int) -> None:
        """Scroll sideways."""
        self.scroll_to(x=max(self.scroll_offset.x + cells, 0), animate=False, immediate=True)

    def lines(self) -> Iterable[LogRow]:
        """Return the lines that pass the filter, oldest first."""
        return iter(self._rows)

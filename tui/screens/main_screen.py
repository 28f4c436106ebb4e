"""The main screen: header, banner, positions, escalations, log, keys. It paints only what changed."""

from __future__ import annotations

from datetime import datetime

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from core.link.replica import Replica
from core.model import PositionKey
from core.ports import Clock
from tui.present import alarms, header
from tui.present.cells import Cell
from tui.present.changes import Changes
from tui.present.sanitize import sanitize
from tui.screens.sizes import SMALLEST
from tui.widgets.content import content, paragraph
from tui.widgets.key_bar import KeyBar
from tui.widgets.panels import EscalationsPanel, LogPanel, PositionsPanel, StopsPanel

LOG_EVERY = 0.25  # seconds between two paints of the log


class MainScreen(Screen[None]):
    """The console's main screen. Later panels (detail, history) become screens of their own."""

    AUTO_FOCUS = "#positions-table"

    def __init__(self, replica: Replica, clock: Clock, *, read_only: bool) -> None:
        super().__init__()
        self.replica, self.clock, self.read_only = replica, clock, read_only
        self.positions = PositionsPanel(replica, clock)
        self.stops = StopsPanel(replica, clock)
        self.escalations = EscalationsPanel(replica, clock)
        self.log_panel = LogPanel(replica)
        self.gone: str | None = None  # why no engine is attached
        self.trouble: str | None = None  # why the values are not live; None if they are
        self._keys_at: Widget = self.positions.table
        self._header = Static(id="header")
        self._banner = Static(id="banner")
        self._second = ""
        self._said: tuple[object, ...] = ()
        self._log_changes = Changes()
        self._log_at = 0.0

    def compose(self) -> ComposeResult:
        """Create every part; the parts stay mounted."""
        yield self._header
        yield self._banner
        with Container(id="body"):
            yield self.positions
            with Container(id="side"):
                yield self.stops
                yield self.escalations
        yield self.log_panel
        yield KeyBar(id="keys")
        yield Static(f"flatdeck needs {SMALLEST[0]}×{SMALLEST[1]} characters.\nMake the window larger.", id="too-small")

    def on_mount(self) -> None:
        """Paint everything."""
        self.paint(Changes(everything=True))

    def on_resize(self) -> None:
        """Lay out the header for the new width. A panel that a small window hid has lost the focus: restore it."""
        self._head(self.clock.now())
        self.call_after_refresh(self._refocus)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Remember which widget has the focus."""
        self._keys_at = event.widget

    def _refocus(self) -> None:
        hidden = self._keys_at not in self.focus_chain
        widget = self.positions.table if hidden else self._keys_at
        if self.focused is None and widget in self.focus_chain:
            self.set_focus(widget)

    def chosen(self) -> tuple[PositionKey, ...]:
        """Return the positions of the focused panel: the selected ones, else the highlighted row's."""
        if self.focused is self.stops.table:
            return self.stops.chosen()
        if self.focused is self.escalations.table:
            return self.escalations.chosen()
        return self.positions.chosen() if self.focused is not self.log_panel.view else ()

    def owner(self) -> str | None:
        """Return the owner of the focused panel's highlighted row."""
        if self.focused in (self.stops.table, self.escalations.table):
            owners = {key.account.partition("/")[0] for key in self.chosen()}
            return owners.pop() if len(owners) == 1 else None
        return self.positions.owner() if self.focused is not self.log_panel.view else None

    @property
    def head_height(self) -> int:
        """The lines of the header and the alarms, which no window covers."""
        return self._header.size.height + (self._banner.size.height if self._banner.display else 0)

    def paint_head(self, changes: Changes) -> None:
        """Draw the header and the alarms only: a window covers the rest."""
        now = self.clock.now()
        self.positions.position_list.touch(changes.positions)
        if changes or f"{now:%H:%M:%S}" != self._second:
            self._second = f"{now:%H:%M:%S}"
            self._head(now)

    def paint(self, changes: Changes) -> None:
        """Draw ``changes``, and once a second the ages."""
        now = self.clock.now()
        if changes:
            self.positions.paint(changes, now)
            self.escalations.paint(changes, now)
            self.stops.paint(changes)
        self._paint_log(changes)
        second = f"{now:%H:%M:%S}"
        if second != self._second and not changes.everything:
            self.positions.tick(now)
            self.escalations.tick(now)
            self.stops.tick()
        if changes or second != self._second:
            self._second = second
            self._head(now)

    def _paint_log(self, changes: Changes) -> None:
        if changes.everything or changes.log:
            self._log_changes.everything |= changes.everything
            self._log_changes.log += [] if self._log_changes.everything else changes.log
        at = self.clock.monotonic()
        if self._log_changes and (self._log_changes.everything or at - self._log_at >= LOG_EVERY):
            self.log_panel.paint(self._log_changes)
            self._log_changes, self._log_at = Changes(), at

    def _head(self, now: datetime) -> None:
        width = self.size.width
        parts = header.pieces(self.replica, self.positions.position_list.total, now, read_only=self.read_only)
        rows = header.lines(parts, now, max(width - 2, 1))
        shown = self._alarms(now)
        said = (tuple(map(tuple, rows)), tuple(shown))
        if said == self._said:
            return
        self._said = said
        if self._header.styles.height is None or self._header.styles.height.value != len(rows):
            self._header.styles.height = len(rows)
        self._header.update(paragraph(rows), layout=False)
        self._banner.display = bool(shown)
        if shown:
            self._banner.update(content(shown, separator="  "))

    def _alarms(self, now: datetime) -> list[Cell]:
        cells = []
        if self.gone and (taken := self.replica.taken_at):
            age = max(int((now - taken).total_seconds()), 0)
            cells.append(Cell(f"ENGINE GONE: {sanitize(self.gone, 300)}. What is shown is {age} s old.", "alarm"))
        if self.trouble:
            taken = self.replica.taken_at
            shown = f"What is shown is as of {taken:%H:%M:%SZ}." if taken else "Nothing was received yet."
            cells.append(Cell(f"NOT LIVE: {self.trouble} {shown}", "alarm"))
        width = self.size.width - 2
        return cells + alarms.banner(alarms.waiting(self.replica), read_only=self.read_only, width=width)

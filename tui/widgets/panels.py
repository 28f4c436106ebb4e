"""The main screen's panels: each a title line and a list, painted from the replica and never unmounted."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from core.link.messages import ClosingRow, PlanRow
from core.link.replica import Replica
from core.model import PositionKey
from core.ports import Clock
from tui.present import escalations, stops
from tui.present.cells import Cell, Row
from tui.present.changes import Changes
from tui.present.labels import account_problem
from tui.present.numbers import number
from tui.present.positions import COLUMNS, OwnerKey, PositionList
from tui.widgets.content import content
from tui.widgets.log import LogView
from tui.widgets.table import LineTable

RESORT = 1.0  # seconds between re-sorts by a column whose values move


class Panel(Vertical):
    """A list under a title line. Subclasses paint."""

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._heading = title
        self._title = Static(classes="title")
        self._said: tuple[Cell, ...] | None = None

    def say(self, *cells: Cell) -> None:
        """Draw the title line if it changed."""
        if cells != self._said:
            self._said = cells
            self._title.update(content([Cell(self._heading, "strong"), *cells], separator="  "), layout=False)


class FilterInput(Input):
    """An input that filters while a person types. Enter keeps the filter; an empty input disappears."""

    def __init__(self) -> None:
        super().__init__(placeholder="filter by text or [flag]; Enter keeps, empty shows all", compact=True)
        self.cursor_blink = False
        self.display = False

    def open(self) -> None:
        """Show the input and focus it."""
        self.display = True
        self.focus()

    def key_escape(self) -> None:
        """Clear the filter and leave. An empty input and Enter do the same."""
        self.value = ""
        self.post_message(self.Submitted(self, ""))


class PositionsPanel(Panel):
    """Positions by owner."""

    def __init__(self, replica: Replica, clock: Clock) -> None:
        super().__init__("POSITIONS", id="positions")
        self.position_list = PositionList(replica)
        self.table = LineTable(COLUMNS, self._make, empty="no positions", sort="symbol", id="positions-table")
        self._filter = FilterInput()
        self._clock = clock
        self._sorted_at = 0.0

    def compose(self) -> ComposeResult:
        """Lay out title, table and filter."""
        yield self._title
        yield self.table
        yield self._filter

    def paint(self, changes: Changes, now: datetime) -> None:
        """Draw what changed; lines move only when one came or went, or a moving sort is due."""
        if changes.everything:
            self.position_list.load()
            self._reorder()
            return
        lines, moved = self.position_list.touch(changes.positions)
        lines |= {OwnerKey(o) for o in changes.owners}
        owners_came = (
            any(o not in self.table for o in lines if isinstance(o, OwnerKey)) and not self.position_list.words
        )
        due = self.position_list.order_stale and self._clock.monotonic() - self._sorted_at >= RESORT
        if moved or owners_came or due:
            self._reorder()
        else:
            self.table.touch(lines)
        self._say()

    def tick(self, now: datetime) -> None:
        """Draw the ages on screen, and the headings of owners with an account in trouble."""
        replica = self.position_list.replica
        troubled = {a.owner for a in replica.accounts.values() if account_problem(a, now)}
        keys = [k for k in self.table.visible() if not isinstance(k, OwnerKey) or k.owner in troubled]
        self.table.touch(keys)

    def chosen(self) -> tuple[PositionKey, ...]:
        """Return the selected positions, else the position under the cursor."""
        keys = [k for k in self.table.keys if k in self.table.selected and isinstance(k, PositionKey)]
        if not keys and isinstance(self.table.cursor, PositionKey):
            keys = [self.table.cursor]
        return tuple(keys)

    def owner(self) -> str | None:
        """Return the owner of the line under the cursor, or None."""
        key = self.table.cursor
        if isinstance(key, OwnerKey):
            return key.owner
        row = self.position_list.replica.positions.get(key) if isinstance(key, PositionKey) else None
        return row.owner if row else None

    def filter(self) -> None:
        """Open the filter."""
        self._filter.open()

    def fold(self) -> None:
        """Fold or unfold the owner under the cursor."""
        if (owner := self.owner()) is not None:
            self.position_list.folded ^= {owner}
            self._reorder()
            self.table.go_to(OwnerKey(owner))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while a person types."""
        self.position_list.look_for(event.value)
        self._reorder()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Focus the table again."""
        self._filter.display = bool(event.value.strip())
        self.table.focus()

    def on_line_table_sorted(self, event: LineTable.Sorted) -> None:
        """Sort by another column."""
        self.position_list.sort_by(event.column, event.descending)
        self._reorder()

    def on_line_table_selection(self) -> None:
        """Count the selected positions in the title."""
        self._say()

    def on_line_table_moved(self) -> None:
        """Explain the row under the cursor in the title."""
        self._say()

    def _make(self, key: Hashable) -> Row:
        if isinstance(key, PositionKey | OwnerKey):
            return self.position_list.row(key, self._clock.now())
        return Row()

    def _explained(self) -> list[Cell]:
        key = self.table.cursor
        row = self.position_list.replica.positions.get(key) if isinstance(key, PositionKey) else None
        if row is None:
            return []
        held = f"only {number(row.free)} of {number(row.quantity)} is free of orders" if row.free < row.quantity else ""
        words = "; ".join(w for w in (row.note, held) if w)
        name = f"{row.key.symbol} at {row.key.account.partition('/')[2]}"  # a narrow table has no column for it
        return [Cell(f"{name}: {words}", "warn") if words else Cell(name, "dim")]

    def _reorder(self) -> None:
        self.table.show(self.position_list.order())
        self._sorted_at = self._clock.monotonic()
        self._say()

    def _say(self) -> None:
        cells = [Cell(f"by owner, sorted by {self.table.sort}", "dim")]
        if self.position_list.words:
            cells.append(Cell(f"filter: {self.position_list.words}", "warn"))
        if selected := sum(isinstance(k, PositionKey) for k in self.table.selected):
            cells.append(Cell(f"{selected} selected", "strong"))
        cells += self._explained()
        self.say(*cells)


class EscalationsPanel(Panel):
    """Closes in flight or waiting, alarms on top, plans that wait for a person."""

    def __init__(self, replica: Replica, clock: Clock) -> None:
        super().__init__("ESCALATIONS", id="escalations")
        self.replica = replica
        self._clock = clock
        self.table = LineTable((), self._make, empty="nothing in flight", header=False, id="escalations-table")

    def compose(self) -> ComposeResult:
        """Lay out title and list."""
        yield self._title
        yield self.table

    def paint(self, changes: Changes, now: datetime) -> None:
        """Draw what changed."""
        if not (changes.everything or changes.closings or changes.engine):
            return
        order = escalations.order(self.replica)
        self.set_class(bool(order), "-busy")
        if order != self.table.keys:
            self.table.show(order)
        else:
            self.table.touch([k for c in changes.closings for k in (c, escalations.AnswerKey(c))])
        stuck = sum(c.alarm and not c.acknowledged for c in self.replica.closings.values())
        flying = sum(c.outcome is None for c in self.replica.closings.values())
        cells = [Cell(f"{flying} in flight" if flying else "", "dim")]
        if stuck:
            cells.append(Cell(f"{stuck} STUCK: A acknowledges", "alarm"))
        self.say(*cells)

    def tick(self, now: datetime) -> None:
        """Draw the seconds until the next tier."""
        self.table.touch(self.table.visible())

    def closing(self) -> ClosingRow | None:
        """Return the unacknowledged alarm under the cursor, or None."""
        key = escalations.closing_of(self.table.cursor) if self.table.has_focus else None
        row = self.replica.closings.get(key) if key else None
        return row if row and row.alarm and not row.acknowledged else None

    def chosen(self) -> tuple[PositionKey, ...]:
        """Return the positions of the close or the plan under the cursor."""
        key = escalations.closing_of(self.table.cursor)
        plan = self.plan()
        return (key,) if key else plan.request.keys if plan is not None and plan.request else ()

    def plan(self) -> PlanRow | None:
        """Return the waiting plan under the cursor."""
        key = self.table.cursor
        return self.replica.plans.get(key.id) if isinstance(key, escalations.PlanKey) else None

    def _make(self, key: Hashable) -> Row:
        return escalations.row(self.replica, key, self._clock.now())


class StopsPanel(Panel):
    """The stops and their reasons, the tightest first. A hidden panel draws no lines."""

    def __init__(self, replica: Replica, clock: Clock) -> None:
        super().__init__("STOPS", id="stops")
        self.replica = replica
        self._clock = clock
        self._stale = True  # the order no longer fits the values
        self.table = LineTable((), self._make, empty="no stops", header=False, id="stops-table")

    def compose(self) -> ComposeResult:
        """Lay out title and list."""
        yield self._title
        yield self.table

    def paint(self, changes: Changes) -> None:
        """Draw the lines that changed; their order follows once a second."""
        self._stale |= bool(changes.everything or changes.positions)
        if changes.everything:
            self.tick()
        elif self.display and changes.positions:
            shown = [k for k in self.table.keys if (k.key if isinstance(k, stops.WhyKey) else k) in changes.positions]
            self.table.touch(shown)
        self._say()

    def tick(self) -> None:
        """Draw the order, and the time since a stop was moved."""
        if not self.display:
            return
        order = stops.order(self.replica) if self._stale else self.table.keys
        self._stale = False
        if order != self.table.keys:
            self.table.show(order)
        else:
            self.table.touch(self.table.visible())

    def chosen(self) -> tuple[PositionKey, ...]:
        """Return the position of the stop under the cursor."""
        key = self.table.cursor
        key = key.key if isinstance(key, stops.WhyKey) else key
        return (key,) if isinstance(key, PositionKey) else ()

    def on_show(self) -> None:
        """Paint after the panel has got room."""
        self._stale = True
        self.tick()

    def _say(self) -> None:
        engine = self.replica.engine
        armed = Cell("ARMED", "strong") if engine.armed else Cell("not armed: exits wait for a person", "warn")
        self.say(Cell("tightest first", "dim"), armed)

    def _make(self, key: Hashable) -> Row:
        return stops.row(self.replica, key, self._clock.now())


class LogPanel(Panel):
    """The log."""

    def __init__(self, replica: Replica) -> None:
        super().__init__("LOG", id="log")
        self.replica = replica
        self.view = LogView(id="log-view")
        self._filter = FilterInput()

    def compose(self) -> ComposeResult:
        """Lay out title, lines and filter."""
        yield self._title
        yield self.view
        yield self._filter

    def paint(self, changes: Changes) -> None:
        """Add new lines."""
        if changes.everything:
            self.view.load(self.replica.log)
        elif changes.log:
            self.view.add(changes.log)
        self._say()

    def filter(self) -> None:
        """Open the filter."""
        self._filter.open()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while a person types."""
        self.view.look_for(event.value)
        self._say()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Focus the lines again."""
        self._filter.display = bool(event.value.strip())
        self.view.focus()

    def on_log_view_followed(self) -> None:
        """Say in the title whether the view follows."""
        self._say()

    def _say(self) -> None:
        cells = []
        if not self.view.following:
            cells.append(Cell(f"PAUSED, {self.view.unseen} new; End follows again", "warn"))
        if self.view.words:
            cells.append(Cell(f"filter: {' '.join(self.view.words)}", "warn"))
        self.say(*cells)

"""A plan's window: fixed lines above and below a scrolling table, and the controls. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from tui.present.cells import Cell, Column, Row
from tui.widgets.confirm_controls import ConfirmButton, CountInput
from tui.widgets.content import content, paragraph
from tui.widgets.key_bar import KeyBar
from tui.widgets.table import LineTable


class PlanWindow(Vertical):
    """The parts are attributes, so that a late message finds them even after the screen has closed."""

    def __init__(self, columns: Sequence[Column], make: Callable[[Hashable], Row]) -> None:
        super().__init__(classes="box")
        self.make = make
        self.table = LineTable(columns, make, id="plan-table")
        self.cancel = Button("Cancel", id="cancel", compact=True)
        self.confirm = ConfirmButton("Confirm", id="confirm", compact=True, disabled=True)
        self.count = CountInput(placeholder="number", id="count", compact=True, max_length=6, select_on_focus=False)
        self.count.cursor_blink = False
        self._title = Static(classes="title", id="plan-title")
        self._totals = Static(id="plan-totals")
        self._detail = Static(id="plan-detail")
        self._gate = Static(id="plan-gate")

    def compose(self) -> ComposeResult:
        """Lay out the parts from top to bottom."""
        yield self._title
        yield self._totals
        yield self.table
        yield self._detail
        yield self._gate
        with Horizontal(id="plan-buttons"):
            yield self.cancel
            yield self.confirm
            yield self.count
        yield KeyBar()

    def entitle(self, text: str) -> None:
        """Set the first line."""
        self._title.update(content([Cell(text, "strong")]))

    def sum_up(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Set the lines of totals; empty lines are left out."""
        self._totals.update(paragraph([_dotted(row) for row in rows if row]))

    def tell(self, text: str, tone: str) -> None:
        """Set the line that says whether the plan can be confirmed, or how it went."""
        self._gate.update(content([Cell(text, tone)]))

    def show(self, keys: Sequence[Hashable]) -> None:
        """Set the lines; draw only the lines that differ."""
        if self.table.keys != list(keys):
            self.table.show(keys)
        else:
            self.table.touch(keys)
        self.on_line_table_moved()

    def replace(self, columns: Sequence[Column], keys: Sequence[Hashable]) -> None:
        """Set other lines in other columns."""
        self.table.columns = tuple(columns)
        self.table.show(keys)
        self.on_line_table_moved()

    def without_controls(self) -> None:
        """Remove the controls: nothing is left to confirm."""
        self.confirm.display = self.count.display = False
        self.cancel.label = "Close"

    def on_line_table_moved(self) -> None:
        """Show the whole row under the cursor, including text that the columns cut or omit."""
        key = self.table.cursor
        row = self.make(key) if key is not None else Row()
        texts = [c.text.strip() for c in (*row.cells.values(), *row.spans) if c.text.strip()]
        self._detail.update(content([Cell("› " + "  ".join(texts), "dim")] if texts else []), layout=False)


def _dotted(cells: Sequence[Cell]) -> list[Cell]:
    return [c for cell in cells for c in (Cell(" · ", "dim"), cell)][1:]

"""The window of a plan: fixed lines above and below a table that scrolls, and the controls. Shows; decides nothing."""

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
    """Parts are attributes, so that a late message finds them whatever became of the screen."""

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
        """Top to bottom."""
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
        """The first line."""
        self._title.update(content([Cell(text, "strong")]))

    def sum_up(self, rows: Iterable[Sequence[Cell]]) -> None:
        """The lines of totals; empty ones are left out."""
        self._totals.update(paragraph([_dotted(row) for row in rows if row]))

    def tell(self, text: str, tone: str) -> None:
        """The line that says whether it can be confirmed, or how it went."""
        self._gate.update(content([Cell(text, tone)]))

    def show(self, keys: Sequence[Hashable]) -> None:
        """The lines; drawn anew only where they differ."""
        if self.table.keys != list(keys):
            self.table.show(keys)
        else:
            self.table.touch(keys)
        self.on_line_table_moved()

    def replace(self, columns: Sequence[Column], keys: Sequence[Hashable]) -> None:
        """Other lines in other columns."""
        self.table.columns = tuple(columns)
        self.table.show(keys)
        self.on_line_table_moved()

    def without_controls(self) -> None:
        """Nothing more to confirm here."""
        self.confirm.display = self.count.display = False
        self.cancel.label = "Close"

    def on_line_table_moved(self) -> None:
        """All of the row under the cursor, also what its columns cut or leave out."""
        key = self.table.cursor
        row = self.make(key) if key is not None else Row()
        texts = [c.text.strip() for c in (*row.cells.values(), *row.spans) if c.text.strip()]
        self._detail.update(content([Cell("› " + "  ".join(texts), "dim")] if texts else []), layout=False)


def _dotted(cells: Sequence[Cell]) -> list[Cell]:
    return [c for cell in cells for c in (Cell(" · ", "dim"), cell)][1:]

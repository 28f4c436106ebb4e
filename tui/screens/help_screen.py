"""Help, built from the bindings that were active when a person asked for it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from tui.present.cells import Cell, Column, Row
from tui.present.labels import LEGEND
from tui.widgets.content import content
from tui.widgets.key_bar import KeyBar
from tui.widgets.table import LineTable

COLUMNS = (Column("keys", "key", 20), Column("what", "does", 30, grow=1))


class HelpScreen(ModalScreen[None]):
    """Shows every key and every tag."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,n,escape,question_mark", "close", "Close", key_display="q")]

    def __init__(self, bindings: Iterable[ActiveBinding]) -> None:
        super().__init__()
        self._rows: dict[Hashable, Row] = {}
        self._bindings_shown = list(bindings)

    def compose(self) -> ComposeResult:
        """Lay out a title and the list."""
        with Vertical(classes="box"):
            yield Static(content([Cell("KEYS AND TAGS", "strong")]), classes="title")
            yield LineTable(COLUMNS, lambda key: self._rows[key], header=False, id="help-table")
            yield KeyBar()

    def on_mount(self) -> None:
        """Fill the list."""
        for heading, mine in (("In the console", True), ("In a list", False)):
            self._rows[heading] = Row(spans=(Cell(heading, "strong"),), heading=True)
            keys: dict[tuple[str, str], list[str]] = {}
            for active in self._bindings_shown:
                binding = active.binding
                wanted = (active.node is self.app) is mine and binding.description and not binding.system
                if wanted and not isinstance(active.node, Screen):
                    shown = self.app.get_key_display(binding)
                    keys.setdefault((binding.action, binding.description), []).append(shown)
            for (action, description), names in keys.items():
                meaning = (getattr(self.app, f"action_{action}", None).__doc__ or "").partition("\n")[0] if mine else ""
                what = f"{description}: {meaning}" if meaning else description
                cells = {"keys": Cell(" ".join(dict.fromkeys(names)), "strong"), "what": Cell(what)}
                self._rows[heading, action] = Row(cells=cells, indent=2)
        cells = {"keys": Cell("tab", "strong"), "what": Cell("Next panel; shift+tab the one before")}
        self._rows["tab"] = Row(cells=cells, indent=2)
        self._rows["tags"] = Row(spans=(Cell("Tags", "strong"),), heading=True)
        for tag, meaning in LEGEND.items():
            self._rows[tag] = Row(cells={"keys": Cell(tag), "what": Cell(meaning)})
        table = self.query_one(LineTable)
        table.show(list(self._rows))
        table.focus()

    def action_close(self) -> None:
        """Back."""
        self.dismiss()

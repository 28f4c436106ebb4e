"""The keys at the bottom, taken from the bindings. The bar wraps to the width, and a click works."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from textual import events
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

GAP = 2
MOST_LINES = 3


def shown(active: Iterable[ActiveBinding]) -> list[ActiveBinding]:
    """Return one binding for each action, the application's before the focused widget's."""
    first: dict[str, ActiveBinding] = {}
    for binding in active:
        if binding.binding.show and binding.enabled:
            first.setdefault(binding.binding.action, binding)
    return sorted(first.values(), key=lambda b: b.binding.priority)


class KeyBar(Static):
    """Shows which key does what."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._placed: list[tuple[int, int, int, str]] = []  # line, from, to, key

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._lay_out()

    def _changed(self, _screen: Screen[object]) -> None:
        self._lay_out()

    def _on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.screen.size.width if self.parent is self.screen else self.container_size.width
        parts: list[tuple[str, str] | str] = []
        self._placed, line, x = [], 0, 0
        for active in shown(self.screen.active_bindings.values()):
            key = self.app.get_key_display(active.binding)
            size = cell_len(f"{key} {active.binding.description}")
            if x and x + size > width:
                if line + 1 >= MOST_LINES:
                    break
                line, x = line + 1, 0
                parts.append("\n")
            self._placed.append((line, x, x + size, active.binding.key))
            parts += [(key, "bold $footer-key-foreground"), f" {active.binding.description}" + " " * GAP]
            x += size + GAP
        self.styles.height = line + 1
        self.update(Content.assemble(*parts), layout=False)

    def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        for line, start, end, key in self._placed:
            if event.y == line and start <= event.x < end:
                self.app.simulate_key(key)

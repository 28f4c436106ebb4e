"""Asks before a person quits and leaves something unguarded, and says what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from core.ports import Clock
from tui.present.cells import Cell
from tui.screens.guarded_screen import GuardedScreen
from tui.widgets.content import content, paragraph
from tui.widgets.key_bar import KeyBar


class QuitScreen(GuardedScreen[bool]):
    """``y`` quits; Enter does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,q,escape", "answer(False)", "Stay", key_display="n"),
        Binding("y", "answer(True)", "Quit"),
    ]

    def __init__(self, lines: Sequence[str], clock: Clock) -> None:
        super().__init__(clock)
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Show what is left behind."""
        with Vertical(classes="box small"):
            yield Static(content([Cell("QUIT?", "strong")]), classes="title")
            yield Static(paragraph([[Cell(line)] for line in self._lines]))
            yield KeyBar()

    def on_mount(self) -> None:
        """Wait until the lines are on the screen."""
        self.call_after_refresh(lambda: self.quiet.show(self.clock.monotonic()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Show ``y`` only if it counts."""
        return action != "answer" or parameters != (True,) or not self.quiet.left(self.clock.monotonic())

    def action_answer(self, quits: bool) -> None:
        """Leave or stay."""
        self.dismiss(quits)

"""The two controls of a confirmation: a button that ignores Enter, and an input that takes only digits."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import Button, Input


class ConfirmButton(Button, inherit_bindings=False):
    """A button that space or the mouse presses. Enter never presses it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "press", "Press", show=False)]


class CountInput(Input):
    """An input for digits; every other printable key keeps its meaning."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Consume only digits."""
        return character is not None and character.isdigit()

    async def _on_key(self, event: events.Key) -> None:
        if event.is_printable and not (event.character or "").isdigit():
            event.prevent_default()

    def _on_paste(self, event: events.Paste) -> None:
        """Take no pasted number: a person types it."""
        event.prevent_default()
        event.stop()

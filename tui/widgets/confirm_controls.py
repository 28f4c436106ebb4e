"""The two controls of a confirmation: a button that Enter does not press, an input that takes digits only."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import Button, Input


class ConfirmButton(Button, inherit_bindings=False):
    """Pressed by space or mouse, never by Enter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "press", "Press", show=False)]


class CountInput(Input):
    """Takes digits; every other printable key keeps its meaning."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Only digits are typing."""
        return character is not None and character.isdigit()

    async def _on_key(self, event: events.Key) -> None:
        if event.is_printable and not (event.character or "").isdigit():
            event.prevent_default()

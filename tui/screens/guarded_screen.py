"""A window that asks before something happens. Text that is typed without a look at the window answers nothing."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from textual import events
from textual.screen import ModalScreen

from core.ports import Clock
from tui.present.quiet import Quiet

BLINK = 0.1  # seconds between two checks whether an answer counts
ANSWERS = frozenset({"y", "space"})
ALWAYS = frozenset({"escape", "ctrl+q", "ctrl+c"})  # no text has these, and they confirm nothing

Result = TypeVar("Result")


def pressed_at(event: events.Event, clock: Clock) -> float:
    """Return when a key was pressed. A key may have waited for a loop that was busy."""
    return clock.monotonic() - max(asyncio.get_running_loop().time() - event.time, 0.0)


class GuardedScreen(ModalScreen[Result]):
    """Takes its answer when ``quiet`` says so. The app shows every key to ``eats`` first."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.quiet = Quiet()

    def on_mount(self) -> None:
        """Show again and again whether an answer counts."""
        self.set_interval(BLINK, self.tell)

    def eats(self, event: events.Key | events.Paste) -> bool:
        """Return whether a key or a pasted text must do nothing."""
        at = pressed_at(event, self.clock)
        if isinstance(event, events.Paste):
            self.quiet.eats(at, types=True, answers=False)
            return True
        if event.key in ALWAYS:
            return False
        types = event.is_printable and not (event.character or "").isdigit()
        return self.quiet.eats(at, types=types, answers=event.key in ANSWERS)

    def tell(self) -> None:
        """Show whether an answer counts."""
        self.refresh_bindings()

    def on_screen_resume(self) -> None:
        """Wait again after another window covered this window."""
        self.quiet.restart(self.clock.monotonic())

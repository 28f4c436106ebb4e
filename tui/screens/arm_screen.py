"""Asks before exits may close positions by themselves, and shows the exits that would do so at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from core.link.messages import Arm, Command, Done, ExitsDue, Preview, Rejected, Reply
from tui.feed import LINK_ERRORS
from tui.present.cells import Cell
from tui.present.sanitize import sanitize
from tui.screens.sizes import SMALLEST
from tui.widgets.content import content, paragraph
from tui.widgets.key_bar import KeyBar

SHOWN = 8  # exits by name; the others are counted


class ArmScreen(ModalScreen[None]):
    """``y`` arms the exits on screen, once; Enter does nothing. The screen asks the engine repeatedly what is due."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,q,escape", "leave", "Cancel", key_display="n"),
        Binding("y", "arm", "Arm"),
    ]

    def __init__(
        self,
        *,
        ask: Callable[[Command], Awaitable[Reply]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        recheck: float,
    ) -> None:
        super().__init__()
        self.shown: ExitsDue | None = None
        self._ask, self._spawn, self._recheck = ask, spawn, recheck
        self._asked = False
        self._notice = ""
        self._text = Static()

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        with Vertical(classes="box small"):
            yield Static(content([Cell("ARM?", "strong")]), classes="title")
            yield self._text
            yield KeyBar()

    def on_mount(self) -> None:
        """Ask the engine, and repeat."""
        self._tell()
        self._spawn(self._watch())

    async def _watch(self) -> None:
        while self.is_mounted:
            if not self._asked:
                await self._look()
            await asyncio.sleep(self._recheck)

    async def _look(self) -> None:
        try:
            reply = await self._ask(Preview())
        except LINK_ERRORS as error:
            self.shown, self._notice = None, f"The engine does not answer ({error or type(error).__name__})."
        else:
            self.shown = reply if isinstance(reply, ExitsDue) else None
            if isinstance(reply, Rejected):
                self._notice = f"NOT POSSIBLE: {reply.text}"
        self._tell()

    def _tell(self) -> None:
        if self.is_mounted:
            self._text.update(paragraph(lines(self.shown, self._notice)))
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Show ``y`` only if it can do something."""
        if action == "arm":
            large = self.size.width >= SMALLEST[0] and self.size.height >= SMALLEST[1]
            return large and not self._asked and self.shown is not None and not self.shown.refused
        return True

    def action_arm(self) -> None:
        """Arm, if what would fire still is what is shown."""
        if self.shown is not None and not self._asked:
            self._asked = True
            self._spawn(self._send(self.shown))

    async def _send(self, shown: ExitsDue) -> None:
        try:
            reply = await self._ask(Arm(True, shown.digest))
        except LINK_ERRORS as error:
            reply = Rejected("link", f"the engine does not answer ({error or type(error).__name__})")
        if isinstance(reply, Done):
            self.action_leave()
            return
        self._asked = False
        self._notice = f"NOT ARMED: {reply.text if isinstance(reply, Rejected) else type(reply).__name__}."
        await self._look()

    def action_leave(self) -> None:
        """Close the window."""
        if self.is_mounted and self.is_current:
            self.dismiss()


def lines(shown: ExitsDue | None, notice: str) -> list[list[Cell]]:
    """Return the window's lines."""
    rows = [[Cell(sanitize(notice, 300), "alarm")]] if notice else []
    if shown is None:
        return [*rows, [Cell("Asking what would fire…", "dim")]]
    if shown.refused:
        rows.append([Cell(sanitize(shown.refused, 300), "warn")])
    else:
        rows.append([Cell("Armed, every exit closes its position at once, without a question. a disarms.")])
    count = len(shown.exits)
    if not count:
        return [*rows, [Cell("No exit is due now.", "good")]]
    rows.append([Cell(f"{count} exit{'s are' if count != 1 else ' is'} due now and would fire at once:", "bad")])
    for due in shown.exits[:SHOWN]:
        where = f"  {sanitize(due.key.symbol, 24)} at {sanitize(due.key.account, 32)}: "
        rows.append([Cell(where, "strong"), Cell(sanitize(due.text, 120))])
    if count > SHOWN:
        rows.append([Cell(f"  and {count - SHOWN} more", "warn")])
    return rows

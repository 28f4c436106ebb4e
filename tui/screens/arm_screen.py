"""Asks before exits may close positions by themselves, and before they may no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from core.link.messages import Arm, Command, Done, ExitsDue, Preview, Rejected, Reply
from core.ports import Clock
from tui.feed import LINK_ERRORS
from tui.present.cells import Cell
from tui.present.quiet import QUIET
from tui.present.sanitize import sanitize
from tui.screens.guarded_screen import GuardedScreen
from tui.screens.sizes import SMALLEST
from tui.widgets.content import content, paragraph
from tui.widgets.key_bar import KeyBar

SHOWN = 8  # exits by name; the others are counted


class ArmScreen(GuardedScreen[None]):
    """``y`` arms the exits on screen, or disarms, once; Enter does nothing.

    Before it arms, the screen asks the engine repeatedly what is due.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,q,escape", "leave", "Cancel", key_display="n"),
        Binding("y", "arm", "Arm"),
        Binding("y", "disarm", "Disarm"),
    ]

    def __init__(
        self,
        *,
        on: bool,
        ask: Callable[[Command], Awaitable[Reply]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Clock,
        recheck: float,
    ) -> None:
        super().__init__(clock)
        self.on = on
        self.shown: ExitsDue | None = None
        self._ask, self._spawn, self._recheck = ask, spawn, recheck
        self._asked = False
        self._notice = ""
        self._text = Static()

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        with Vertical(classes="box small"):
            yield Static(content([Cell("ARM?" if self.on else "DISARM?", "strong")]), classes="title")
            yield self._text
            yield KeyBar()

    def on_mount(self) -> None:
        """Say what an answer does. Before it arms, ask the engine what is due, and repeat."""
        self._tell()
        if self.on:
            self._spawn(self._watch())
        else:
            self.call_after_refresh(self._seen)

    async def _watch(self) -> None:
        while self.is_mounted:
            if not self._asked:
                await self._look()
            await asyncio.sleep(self._recheck)

    async def _look(self) -> None:
        before = self.shown
        try:
            reply = await self._ask(Preview())
        except LINK_ERRORS as error:
            self.shown, self._notice = None, f"The engine does not answer ({error or type(error).__name__})."
        else:
            self.shown = reply if isinstance(reply, ExitsDue) else None
            if isinstance(reply, Rejected):
                self._notice = f"NOT POSSIBLE: {reply.text}"
        self._tell()
        if self.shown is not None and (before is None or before.digest != self.shown.digest):
            self.call_after_refresh(self._seen)

    def _seen(self) -> None:
        self.quiet.show(self.clock.monotonic())

    def _tell(self) -> None:
        if self.is_attached:
            shown = lines(self.shown, self._notice) if self.on else disarm_lines(self._notice)
            self._text.update(paragraph(shown))
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Show ``y`` only if it can do something."""
        if action not in ("arm", "disarm"):
            return True
        large = self.size.width >= SMALLEST[0] and self.size.height >= SMALLEST[1]
        ready = large and not self._asked and not self.quiet.left(self.clock.monotonic())
        possible = not self.on or (self.shown is not None and not self.shown.refused)
        return ready and possible and (action == "arm") is self.on

    def action_arm(self) -> None:
        """Arm, if what would fire still is what is shown."""
        if self.shown is not None:
            self._request(Arm(True, self.shown.digest))

    def action_disarm(self) -> None:
        """Let exits wait for a person from now on."""
        self._request(Arm(False))

    def _request(self, command: Arm) -> None:
        if not self._asked:
            self._asked = True
            self._spawn(self._send(command))

    async def _send(self, command: Arm) -> None:
        try:
            reply = await self._ask(command)
        except LINK_ERRORS as error:
            reply = Rejected("link", f"the engine does not answer ({error or type(error).__name__})")
        if isinstance(reply, Done):
            self.action_leave()
            return
        self._asked = False
        not_done = "NOT ARMED" if self.on else "NOT DISARMED"
        self._notice = f"{not_done}: {reply.text if isinstance(reply, Rejected) else type(reply).__name__}."
        if self.on:
            await self._look()
        else:
            self._tell()

    def action_leave(self) -> None:
        """Close the window."""
        if self.is_mounted and self.is_current:
            self.dismiss()


def disarm_lines(notice: str) -> list[list[Cell]]:
    """Return the lines of the window that disarms."""
    rows = [[Cell(sanitize(notice, 300), "alarm")]] if notice else []
    return [
        *rows,
        [Cell("Disarmed, no exit closes anything by itself: each one waits until a person confirms it.", "warn")],
        [Cell(f"y disarms, after {QUIET:.0f} s without a key.")],
    ]


def lines(shown: ExitsDue | None, notice: str) -> list[list[Cell]]:
    """Return the lines of the window that arms."""
    rows = [[Cell(sanitize(notice, 300), "alarm")]] if notice else []
    if shown is None:
        return [*rows, [Cell("Asking what would fire…", "dim")]]
    if shown.refused:
        rows.append([Cell(sanitize(shown.refused, 300), "warn")])
    else:
        rows.append([Cell("Armed, every exit closes its position at once, without a question. a asks to disarm.")])
        rows.append([Cell(f"y arms, after {QUIET:.0f} s without a key.", "dim")])
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

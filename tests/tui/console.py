"""The console under test: an app over a fake link, and what its screen says as text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from core.link.messages import Snapshot
from tests.tui.fakes import FakeLink, HandClock, position, snapshot
from tui.app import FlatdeckApp
from tui.present.confirm_gate import SETTLE
from tui.screens.confirm_screen import PlanScreen
from tui.screens.guarded_screen import GuardedScreen

SOON = 5.0
LATE = 3.0  # a loaded machine handles a key so much later than it was pressed


class Console:
    """A running app with its link, clock and pilot."""

    def __init__(self, app: FlatdeckApp, link: FakeLink, clock: HandClock, pilot: Pilot[int]) -> None:
        self.app, self.link, self.clock, self.pilot = app, link, clock, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait for something to become true; it fails when it never does."""
        for _ in range(int(SOON / 0.02)):
            if true():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"it never happened; the screen says:\n{self.text()}")

    def text(self) -> str:
        """Everything on the screen, line by line."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(s.text for s in line) for line in lines)

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.text())

    @property
    def modal(self) -> PlanScreen:
        assert isinstance(self.app.screen, PlanScreen)
        return self.app.screen

    async def planned(self) -> PlanScreen:
        """Wait until a plan is on screen, long enough to be confirmed."""
        await self.until(lambda: isinstance(self.app.screen, PlanScreen) and self.app.screen.gate.drawn)
        await self.settle()
        return self.modal

    async def settle(self) -> None:
        """Leave the keyboard alone until the window that asks takes its answer."""
        window = self.app.screen
        assert isinstance(window, GuardedScreen)
        drawn = (lambda: window.gate.drawn) if isinstance(window, PlanScreen) else (lambda: window.quiet.shown)
        await self.until(drawn)
        self.clock.forward(SETTLE + LATE)
        window.tell()
        await self.pilot.pause()


@asynccontextmanager
async def console(
    shown: Snapshot | None = None, *, size: tuple[int, int] = (120, 40), link: FakeLink | None = None, **settings: Any
) -> AsyncIterator[Console]:
    """A running console that has painted its first snapshot."""
    link = link or FakeLink(shown or snapshot(position("BTC-USD"), position("ETH-USD")))
    clock = HandClock()
    app = FlatdeckApp(link, clock=clock, **({"recheck": 0.03} | settings))
    async with app.run_test(size=size, notifications=True) as pilot:
        it = Console(app, link, clock, pilot)
        await it.until(lambda: app.replica.seq >= 1 and not app._pending)
        await pilot.pause()
        yield it

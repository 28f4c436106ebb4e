"""The console turns keys into commands, messages into the replica, and changes into paints. It only looks and asks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar

from rich.segment import Segment, Segments
from textual import events
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from core.link.messages import Acknowledge, Arm, Command, Confirm, Link, Rejected, Reply
from core.link.replica import Replica
from core.model import PositionKey
from core.plans.results import PlanReport
from core.ports import Clock
from core.settings import ConsoleSettings
from tui.console_actions import ConsoleActions
from tui.crash_log import fault_line, record_fault
from tui.feed import Feed
from tui.keys import DESTRUCTIVE, KEYS
from tui.present import alarms
from tui.present.changes import Changes
from tui.present.labels import report_summary
from tui.present.sanitize import sanitize
from tui.process_signals import TerminalLine, leave_on_signals
from tui.screens.confirm_screen import RECHECK, PlanScreen
from tui.screens.guarded_screen import ALWAYS, GuardedScreen
from tui.screens.main_screen import MainScreen
from tui.screens.sizes import HEIGHTS, WIDTHS
from tui.terminal_driver import TerminalDriver

PAINT = 0.1  # seconds between two paints at most
REPORTS_KEPT = 20


class FlatdeckApp(ConsoleActions):
    """The console over ``link``. ``read_only`` leaves out every key that could change anything.

    ``crash_log`` is the file for the traceback of a fault in the console; the terminal gets one line.
    """

    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", show=False, priority=True),
        Binding("ctrl+c", "help_quit", show=False, system=True),
    ]

    def __init__(
        self,
        link: Link,
        *,
        clock: Clock,
        read_only: bool = False,
        title: str = "flatdeck",
        settings: ConsoleSettings | None = None,
        recheck: float = RECHECK,
        crash_log: Path | None = None,
        line: TerminalLine | None = None,
    ) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.title = title
        self.animation_level = "none"
        self.link, self.clock, self.read_only = link, clock, read_only
        self.replica = Replica()
        self.feed = Feed(link, self.replica, self._finished)
        self.main_screen = MainScreen(self.replica, clock, read_only=read_only)
        self._pending = Changes(everything=True)
        self.reports: dict[str, PlanReport] = {}
        self.recheck, self._crash_log = recheck, crash_log
        self._rung: set[tuple[str, PositionKey | None]] = set()  # alarms that wait and were told
        self._line, self._ignore_signals = line, lambda: None
        self.settings = settings or ConsoleSettings()
        self._mounted_at = math.inf  # on the loop's clock
        for key in KEYS:
            if not (read_only and key.action in DESTRUCTIVE):
                self.bind(key.key, key.action, description=key.description, show=key.show, key_display=key.key_display)

    def get_default_screen(self) -> Screen[Any]:
        """Return the main screen, the bottom of the stack."""
        return self.main_screen

    def on_mount(self) -> None:
        """Start to read the link and to paint."""
        if not self.is_headless and self._line is not None:
            self._ignore_signals = leave_on_signals(self._leave, self._line)
        self._mounted_at = asyncio.get_running_loop().time()
        self.spawn(self.feed.read_messages(), name="link")
        self.set_interval(PAINT, self._paint)

    async def on_unmount(self) -> None:
        """Close the link; the engine goes on."""
        self._ignore_signals()
        await self.link.aclose()

    async def on_event(self, event: events.Event) -> None:
        """Drop every key that was typed before there was a screen, and what a window that asks must not take."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded and self._drops(event):
            return
        await super().on_event(event)

    def _drops(self, event: events.Key | events.Paste) -> bool:
        if isinstance(self.screen, GuardedScreen):
            return self.screen.eats(event)
        if isinstance(event, events.Key) and event.key in ALWAYS:
            return False
        return event.time < self._mounted_at

    # The line to the engine

    async def ask(self, command: Command) -> Reply:
        """Send a command to the engine; every command goes through here.

        A read-only console rejects every command that could change anything.
        """
        if self.read_only and isinstance(command, Confirm | Acknowledge | Arm):
            return Rejected("read_only", "this console is read-only")
        return await self.link.ask(command)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str = "ask") -> Worker[None]:
        """Run ``work`` beside the screen. A fault in it is shown and ends nothing else."""
        return self.run_worker(work, name=name, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show prominently that the link ended or that work beside the screen failed."""
        worker = event.worker
        if worker.name not in ("link", "ask") or event.state not in (WorkerState.ERROR, WorkerState.SUCCESS):
            return
        error = worker.error if event.state is WorkerState.ERROR else None
        if error is not None:
            record_fault(error, self._crash_log)
        text = sanitize(error, 200) or type(error).__name__
        if worker.name == "link":
            why = f"the line to the engine broke ({text})" if error else "the engine has hung up"
            self.main_screen.trouble = f"{why}; start the console again."
            self._pending.engine = True
        elif error is not None:
            self.notify(text, title="Not done", severity="error", markup=False)

    def _finished(self, report: PlanReport) -> None:
        self.reports[report.plan.id] = report
        for old in list(self.reports)[:-REPORTS_KEPT]:
            del self.reports[old]
        if isinstance(self.screen, PlanScreen) and self.screen.shows(report.plan.id):
            self.screen.finish(report)
        else:
            text = " · ".join(c.text for c in report_summary(report))
            severity = "information" if report.success else "warning"
            self.notify(text, title=f"{sanitize(report.plan.cause, 30)} ended", severity=severity, markup=False)

    # Painting

    def _paint(self) -> None:
        """Paint at most ten times a second, and not while the terminal does not read."""
        if not self.is_running or self.backed_up:
            return
        fresh = self.feed.take_changes()
        self._pending.add(fresh)
        self.main_screen.gone = self.feed.gone
        if self.feed.trouble and not self.main_screen.trouble:
            self.main_screen.trouble, self._pending.engine = self.feed.trouble, True
        elif fresh.everything and self.main_screen.trouble and self.feed.trouble is None:
            self.main_screen.trouble = None
        if fresh:
            self._ring()
            self.refresh_bindings() if fresh.engine or fresh.everything else None
        if isinstance(self.screen, PlanScreen):
            self.screen.follow(fresh)
        if self.screen is self.main_screen:
            changes, self._pending = self._pending, Changes()
            self.main_screen.paint(changes)
        else:
            self.main_screen.paint_head(fresh)
            self._pending.everything |= bool(fresh.positions)  # the sums were taken without their lines
            self._keep_head_free()

    def _keep_head_free(self) -> None:
        """Leave the header's lines to the header: no window covers the alarms."""
        lines = self.main_screen.head_height
        for box in self.screen.query(".box"):
            if box.styles.margin.top != lines:
                box.styles.margin = (lines, 0, 0, 0)

    def _ring(self) -> None:
        """Tell a person who does not look of each new alarm that is an emergency or a stuck close."""
        emergency = alarms.Severity.EMERGENCY
        loud = {(a.text, a.key): a for a in alarms.waiting(self.replica) if a.key or a.severity is emergency}
        fresh, self._rung = [a for name, a in loud.items() if name not in self._rung], set(loud)
        if fresh and self.settings.bell:
            self.bell()
        if fresh and self.settings.notifications and self._driver is not None:
            self._driver.write(alarms.desktop_notification(min(fresh, key=lambda a: a.severity)))

    # Leaving

    def _leave(self, code: int) -> None:
        self.exit(code, return_code=code)

    def _handle_exception(self, error: Exception) -> None:
        """Print one line on the terminal and write the traceback to the file."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        record_fault(error, self._crash_log)
        self._exit_renderables = [Segments([Segment(fault_line(error, self._crash_log) + "\n")])]
        self._close_messages_no_wait()

"""The console turns keys into commands, messages into the replica, and changes into paints. It only looks and asks."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, ClassVar

from rich.segment import Segment, Segments
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from core.link.messages import Acknowledge, Arm, Command, Confirm, Link, PlanReport, Refresh, Rejected, Reply, Snapshot
from core.link.replica import Replica
from core.plans.request import PlanRequest
from core.ports import Clock
from tui.feed import LINK_ERRORS, Feed
from tui.keys import DESTRUCTIVE, KEYS
from tui.present.changes import Changes
from tui.present.labels import left_unguarded, report_summary
from tui.present.sanitize import sanitize
from tui.process_signals import TerminalLine, leave_on_signals
from tui.screens.arm_screen import ArmScreen
from tui.screens.confirm_screen import RECHECK, PlanScreen
from tui.screens.help_screen import HelpScreen
from tui.screens.main_screen import MainScreen
from tui.screens.quit_screen import QuitScreen
from tui.screens.sizes import HEIGHTS, WIDTHS
from tui.terminal_driver import TerminalDriver

PAINT = 0.1  # seconds between two paints at most
REPORTS_KEPT = 20
BACKED_UP = 2  # writes waiting for a terminal that does not read; no paint before they are gone
_log = logging.getLogger("flatdeck.console")


class FlatdeckApp(App[int]):
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
        bell: bool = False,
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
        self._reports: dict[str, PlanReport] = {}
        self._bell, self._stuck, self._recheck, self._crash_log = bell, 0, recheck, crash_log
        self._line, self._ignore_signals = line, lambda: None
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
        self.spawn(self.feed.read_messages(), name="link")
        self.set_interval(PAINT, self._paint)

    async def on_unmount(self) -> None:
        """Close the link; the engine goes on."""
        self._ignore_signals()
        await self.link.aclose()

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
            self._record(error)
        text = sanitize(error, 200) or type(error).__name__
        if worker.name == "link":
            why = f"the line to the engine broke ({text})" if error else "the engine has hung up"
            self.main_screen.trouble = f"{why}; start the console again."
            self._pending.engine = True
        elif error is not None:
            self.notify(text, title="Not done", severity="error", markup=False)

    def _finished(self, report: PlanReport) -> None:
        self._reports[report.plan.id] = report
        for old in list(self._reports)[:-REPORTS_KEPT]:
            del self._reports[old]
        if isinstance(self.screen, PlanScreen) and self.screen.shows(report.plan.id):
            self.screen.finish(report)
        else:
            text = " · ".join(c.text for c in report_summary(report))
            severity = "information" if report.success else "warning"
            self.notify(text, title=f"{sanitize(report.plan.cause, 30)} ended", severity=severity, markup=False)

    # Painting

    def _paint(self) -> None:
        """Paint at most ten times a second, and not while the terminal does not read."""
        if not self.is_running or backed_up(self):
            return
        fresh = self.feed.take_changes()
        self._pending.add(fresh)
        if self.feed.trouble and not self.main_screen.trouble:
            self.main_screen.trouble, self._pending.engine = self.feed.trouble, True
        elif fresh.everything and self.main_screen.trouble and self.feed.trouble is None:
            self.main_screen.trouble = None
        if fresh:
            self._ring()
            self.refresh_bindings() if fresh.engine or fresh.everything else None
        if isinstance(self.screen, PlanScreen):
            self.screen.follow(fresh)
        elif self.screen is self.main_screen:
            changes, self._pending = self._pending, Changes()
            self.main_screen.paint(changes)

    def _ring(self) -> None:
        stuck = sum(c.alarm and not c.acknowledged for c in self.replica.closings.values())
        if stuck > self._stuck and self._bell:
            self.bell()
        self._stuck = stuck

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide every destructive action if the console or its engine is read-only."""
        if action in DESTRUCTIVE:
            return not (self.read_only or self.replica.engine.read_only)
        return True

    def _plan(self, request: PlanRequest, *, dry_run: bool = False) -> None:
        """Open the confirmation, unless another screen covers the main screen: a person answers that screen first."""
        if self.screen is not self.main_screen:
            return
        screen = PlanScreen(
            request,
            ask=self.ask,
            spawn=self.spawn,
            replica=self.replica,
            reports=self._reports,
            clock=self.clock,
            dry_run=dry_run or self.read_only,
            recheck=self._recheck,
        )
        self.push_screen(screen)

    def action_dry_run(self) -> None:
        """What a cleanup would do; nothing can be sent from there."""
        self._plan(PlanRequest("cleanup"), dry_run=True)

    def action_cleanup(self) -> None:
        """The cleanup plan."""
        self._plan(PlanRequest("cleanup"))

    def action_close(self) -> None:
        """Close the selected positions, else the one under the cursor."""
        if keys := self.main_screen.positions.chosen():
            self._plan(PlanRequest("flatten", keys=keys))
        else:
            self._hint("Put the cursor on a position or select some with space; X flattens a whole owner.")

    def action_cancel_orders(self) -> None:
        """Cancel the orders of the selected positions, else of the one under the cursor."""
        if keys := self.main_screen.positions.chosen():
            self._plan(PlanRequest("cancel-orders", keys=keys))
        else:
            self._hint("Put the cursor on a position or select some with space.")

    def action_flatten_owner(self) -> None:
        """Everything of the owner under the cursor."""
        if (owner := self.main_screen.positions.owner()) is not None:
            self._plan(PlanRequest("flatten", owners=(owner,)))

    def action_flatten_all(self) -> None:
        """Everything of everyone."""
        self._plan(PlanRequest("flatten", everything=True))

    def action_open(self) -> None:
        """Fold an owner; show a plan that waits."""
        focused = self.main_screen.focused
        if focused is self.main_screen.positions.table:
            self.main_screen.positions.fold()
        elif (
            focused is self.main_screen.escalations.table and (plan := self.main_screen.escalations.plan()) is not None
        ):
            request = plan.request or (PlanRequest("cleanup") if plan.cause == "cleanup" else None)
            if request is not None:
                self._plan(request)
            else:
                self._hint("Select its positions and press x to see and confirm what would be sent.")

    def action_arm(self) -> None:
        """Ask before exits may close by themselves; disarm at once."""
        if self.replica.engine.armed:
            self._hint("Disarming: exits wait to be confirmed.")
            self.spawn(self._tell(Arm(False)))
        elif self.screen is self.main_screen:
            self.push_screen(ArmScreen(ask=self.ask, spawn=self.spawn, recheck=self._recheck))

    def action_acknowledge(self) -> None:
        """A person has seen the alarm: the one under the cursor, else the topmost, else the engine's."""
        closing = self.main_screen.escalations.closing()
        if closing is not None or self.replica.engine.alarm:
            self.spawn(self._tell(Acknowledge(closing.key if closing else None)))
        else:
            self._hint("No alarm waits for you.")

    def action_reconcile(self) -> None:
        """Have every account read again."""
        self._hint("Reading every account again…")
        self.spawn(self._tell(Refresh(read=True)))

    async def _tell(self, command: Command) -> None:
        try:
            reply = await self.ask(command)
        except LINK_ERRORS as error:
            reply = Rejected("link", f"the engine does not answer ({error or type(error).__name__})")
        if isinstance(reply, Snapshot):
            self.feed.load_snapshot(reply)
        elif isinstance(reply, Rejected):
            self.notify(sanitize(reply.text, 300), title="Not done", severity="warning", markup=False)

    def action_filter(self) -> None:
        """Filter the log when it is in focus, else the positions."""
        log = self.main_screen.log_panel
        (log if self.main_screen.focused is log.view else self.main_screen.positions).filter()

    def action_help(self) -> None:
        """Every key that works here."""
        if self.screen is self.main_screen:
            self.push_screen(HelpScreen(self.main_screen.active_bindings.values()))

    async def action_quit(self) -> None:
        """Leave; first say what is left unguarded."""
        if isinstance(self.screen, QuitScreen):
            return
        if lines := left_unguarded(self.replica.engine, self.replica.closings.values()):
            self.push_screen(QuitScreen(lines), lambda quits: self.exit(0) if quits else None)
        else:
            self.exit(0)

    def action_help_quit(self) -> None:
        """Ctrl+C kills nothing."""
        self._hint("Ctrl+C does nothing here: q or ctrl+q quits.")

    def _hint(self, text: str) -> None:
        self.notify(text, markup=False, timeout=4)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the palette's commands: the keys' own actions, and the themes."""
        for active in screen.active_bindings.values():
            if active.node is self and active.binding.description and active.binding.show:
                action = active.binding.action
                yield SystemCommand(
                    active.binding.description, f"key {active.binding.key}", lambda name=action: self.run_later(name)
                )
        yield SystemCommand("theme", "change the colours", self.action_change_theme)

    def run_later(self, action: str) -> None:
        """Run an action once the palette is gone."""
        self.call_later(self.run_action, action)

    # Leaving

    def _leave(self, code: int) -> None:
        self.exit(code, return_code=code)

    def _record(self, error: BaseException) -> None:
        lines = "".join(traceback.format_exception(error)).splitlines()
        text = "\n".join(sanitize(line) for line in lines) + "\n"
        if self._crash_log is None:
            _log.error("fault in the console\n%s", text)
            return
        try:
            with self._crash_log.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            _log.error("fault in the console\n%s", text)

    def _handle_exception(self, error: Exception) -> None:
        """Print one line on the terminal and write the traceback to the file.

        Local variables are never written, because they may hold secrets.
        """
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._record(error)
        where = f" Details are in {self._crash_log}." if self._crash_log else ""
        line = f"The console failed: {type(error).__name__}: {sanitize(error, 200)}. The engine is not affected.{where}"
        self._exit_renderables = [Segments([Segment(line + "\n")])]
        self._close_messages_no_wait()


def backed_up(app: App[Any]) -> bool:
    """Return whether the terminal has stopped reading the output."""
    return isinstance(app._driver, TerminalDriver) and app._driver.backlog > BACKED_UP

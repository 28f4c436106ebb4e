"""The console's actions: what each key and each entry of the palette does. They only open windows and send commands."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen
from textual.worker import Worker

from core.link.messages import Acknowledge, Command, Refresh, Rejected, Reply, Snapshot
from core.link.replica import Replica
from core.link.restrict import Halt, Resume
from core.plans.request import PlanRequest
from core.plans.results import PlanReport
from core.ports import Clock
from core.settings import ConsoleSettings
from tui.feed import LINK_ERRORS, Feed
from tui.keys import DESTRUCTIVE
from tui.present import alarms
from tui.present.alarms import Alarm
from tui.present.labels import left_unguarded
from tui.present.sanitize import sanitize
from tui.screens.arm_screen import ArmScreen
from tui.screens.confirm_screen import RECHECK, PlanScreen
from tui.screens.help_screen import HelpScreen
from tui.screens.main_screen import MainScreen
from tui.screens.quit_screen import QuitScreen
from tui.terminal_driver import TerminalDriver

BACKED_UP = 2  # writes waiting for a terminal that does not read; no paint before they are gone


class ConsoleActions(App[int]):
    """The actions behind the keys. The app that inherits these actions has the link, the replica and the screens."""

    clock: Clock
    read_only: bool
    replica: Replica
    feed: Feed
    main_screen: MainScreen
    settings: ConsoleSettings
    reports: dict[str, PlanReport]  # of ended plans, by plan
    recheck: float = RECHECK
    reading = False  # a complete read was asked for and has not ended

    async def ask(self, command: Command) -> Reply:
        """Send a command to the engine."""
        raise NotImplementedError

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str = "ask") -> Worker[None]:
        """Run ``work`` beside the screen."""
        raise NotImplementedError

    @property
    def backed_up(self) -> bool:
        """True while the terminal does not read the output."""
        return isinstance(self._driver, TerminalDriver) and self._driver.backlog > BACKED_UP

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide every destructive action if the console or its engine is read-only, or while no engine is attached."""
        if action in DESTRUCTIVE:
            return not (self.read_only or self.replica.engine.read_only or self.feed.gone)
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
            reports=self.reports,
            clock=self.clock,
            dry_run=dry_run or self.read_only,
            limits=self.settings,
            stalled=lambda: self.backed_up,
            recheck=self.recheck,
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
        if keys := self.main_screen.chosen():
            self._plan(PlanRequest("flatten", keys=keys))
        else:
            self._hint("Put the cursor on a position or select some with space; X flattens a whole owner.")

    def action_cancel_orders(self) -> None:
        """Cancel the orders of the selected positions, else of the one under the cursor."""
        if keys := self.main_screen.chosen():
            self._plan(PlanRequest("cancel-orders", keys=keys))
        else:
            self._hint("Put the cursor on a position or select some with space.")

    def action_flatten_owner(self) -> None:
        """Everything of the owner under the cursor."""
        if (owner := self.main_screen.owner()) is not None:
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
        """Ask before exits may close by themselves, and before they may no longer."""
        if self.screen is self.main_screen:
            on = not self.replica.engine.armed
            window = ArmScreen(on=on, ask=self.ask, spawn=self.spawn, clock=self.clock, recheck=self.recheck)
            self.push_screen(window)

    def action_halt(self) -> None:
        """Send no entry from now on; closing goes on. Asks nothing."""
        if self.replica.engine.halted is None:
            self.spawn(self._tell(Halt()))
        else:
            self._hint("Trading is halted already; resume in the palette (ctrl+p) allows entries again.")

    def action_resume(self) -> None:
        """Allow entries again after a halt."""
        self.spawn(self._tell(Resume()))

    def action_acknowledge(self) -> None:
        """Silence one alarm: the one under the cursor, else the most severe."""
        closing = self.main_screen.escalations.closing()
        waiting = alarms.waiting(self.replica)
        if closing is not None:
            self.spawn(self._tell(Acknowledge(closing.key)))
        elif waiting:
            self.spawn(self._tell(_silence(waiting[0])))
        else:
            self._hint("No alarm waits for you.")

    def action_acknowledge_all(self) -> None:
        """Silence every alarm that waits."""
        waiting = alarms.waiting(self.replica)
        for alarm in waiting:
            self.spawn(self._tell(_silence(alarm)))
        if not waiting:
            self._hint("No alarm waits for you.")

    def action_reconcile(self) -> None:
        """Have every account read again."""
        if not self.reading:
            self.reading = True
            self._hint("Reading every account again…")
            self.spawn(self._read_again())

    async def _read_again(self) -> None:
        try:
            await self._tell(Refresh(read=True))
        finally:
            self.reading = False

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
        waiting = len(alarms.waiting(self.replica))
        if lines := left_unguarded(self.replica, waiting, read_only=self.read_only):
            self.push_screen(QuitScreen(lines, self.clock), lambda quits: self.exit(0) if quits else None)
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
        if self.replica.engine.halted is not None and self.check_action("halt", ()):
            yield SystemCommand("resume", "allow entries again after a halt", lambda: self.run_later("resume"))
        yield SystemCommand("theme", "change the colours", self.action_change_theme)

    def run_later(self, action: str) -> None:
        """Run an action once the palette is gone."""
        self.call_later(self.run_action, action)


def _silence(alarm: Alarm) -> Acknowledge:
    return Acknowledge(alarm.key) if alarm.key is not None else Acknowledge(None, alarm.text)

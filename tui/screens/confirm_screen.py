"""The confirmation: the plan on screen as a diff, and afterwards the progress of exactly that plan.

While the screen is open, the plan is prepared repeatedly. If the new plan binds something else, the screen shows it
with its changed lines marked. A plan can be confirmed only after it has been on screen for a while and nobody typed.
``y``, a click or the space bar on the button confirm; Enter never does. A confirmation whose answer was lost is never
sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from enum import Enum
from typing import Any, ClassVar

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button

from core.link.messages import Command, Confirm, Planned, Prepare, Rejected, Reply, Started, Withdraw
from core.link.replica import Replica
from core.plans.plan import Plan
from core.plans.request import PlanRequest
from core.plans.results import PlanReport
from core.ports import Clock
from core.settings import ConsoleSettings
from tui.feed import LINK_ERRORS
from tui.present import plan_diff, plan_progress
from tui.present.cells import Cell, Row
from tui.present.changes import Changes
from tui.present.confirm_gate import ConfirmGate
from tui.present.plan_diff import Diff
from tui.present.plan_progress import Progress
from tui.screens.guarded_screen import GuardedScreen
from tui.screens.sizes import SMALLEST
from tui.widgets.plan_window import PlanWindow

RECHECK = 0.5  # seconds between two checks whether the plan on screen is still current


class Stage(Enum):
    """The stage of the screen. ``LOST``: the confirmation was sent and its answer never came."""

    LOOKING = "looking"
    CONFIRMING = "confirming"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    CLOSED = "closed"


class PlanScreen(GuardedScreen[None]):
    """Shows the plan for ``request``. ``ask`` sends a command; ``reports`` has the reports of ended plans.

    ``stalled`` tells whether the terminal has stopped reading, so that nobody can see the plan.
    """

    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Confirm"),
        Binding("n,q,escape", "cancel", "Cancel", key_display="n"),
        Binding("n,escape", "close", "Close; what was confirmed goes on", key_display="n"),
        Binding("tab", "app.focus_next", "Next field", show=False),
    ]

    def __init__(
        self,
        request: PlanRequest,
        *,
        ask: Callable[[Command], Awaitable[Reply]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        replica: Replica,
        reports: dict[str, PlanReport],
        clock: Clock,
        dry_run: bool,
        limits: ConsoleSettings,
        stalled: Callable[[], bool],
        recheck: float = RECHECK,
    ) -> None:
        super().__init__(clock)
        self.request, self.replica, self.stage = request, replica, Stage.LOOKING
        typed = request.cause == "flatten" and not request.keys
        self.gate = ConfirmGate(dry_run=dry_run, typed=typed, limits=limits)
        self.quiet = self.gate.quiet
        self.diff = Diff()
        self.box = PlanWindow(plan_diff.COLUMNS, self._make)
        self.progress: Progress | None = None
        self._ask, self._spawn, self._stalled, self._recheck = ask, spawn, stalled, recheck
        self._reports = reports
        self._notice = ""  # the engine's answer to a confirmation that it rejected
        self._told = ""

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        yield self.box

    def on_mount(self) -> None:
        """Ask for the plan, and repeat."""
        self.box.entitle(plan_diff.describe(self.request) + ("  — dry run" if self.gate.dry_run else ""))
        self.box.confirm.display = not self.gate.dry_run
        self.box.count.display = False
        self.tell()
        self._spawn(self._watch())

    # The plan on screen

    async def _watch(self) -> None:
        try:
            while self.stage is Stage.LOOKING:
                await self._look()
                await asyncio.sleep(self._recheck)
        except Exception as error:  # a plan that is no longer watched must not be confirmed; the app records the fault
            self._fail(f"No plan: the console failed at it ({type(error).__name__}). Close this window.")
            raise

    async def _look(self) -> None:
        try:
            reply = await self._ask(Prepare(self.request))
            if isinstance(reply, Planned) and self.stage is Stage.LOOKING:
                old = self.gate.plan
                self._show(reply.plan)
                if old is not None and old.id != reply.plan.id:
                    await self._ask(Withdraw(old.id))
            elif isinstance(reply, Planned):  # closed or confirmed meanwhile: nobody saw this plan
                await self._ask(Withdraw(reply.plan.id))
            elif self.stage is Stage.LOOKING:
                text = reply.text if isinstance(reply, Rejected) else f"the engine answered {type(reply).__name__}"
                self._fail(f"No plan: {text}")
        except LINK_ERRORS as error:
            self._fail(f"No plan: the engine does not answer ({error or type(error).__name__}).")

    def _show(self, plan: Plan) -> None:
        if not self.is_mounted:
            return
        changed = self.diff.show(plan)
        self.gate.take(plan, changed=changed)
        self.box.count.display = self.gate.wants_number() is not None
        if self.box.table.columns != self.diff.columns:
            self.box.replace(self.diff.columns, self.diff.keys)
        self.box.show(self.diff.keys)
        ladders, partial = plan_diff.ladders(plan), plan_diff.partial(plan)
        tried = [Cell(f"tried in turn: {ladders}", "dim")] if ladders else []
        self.box.sum_up([plan_diff.summary(plan), tried, [Cell(partial, "bad")] if partial else []])
        self.call_after_refresh(lambda: self.gate.see(self.clock.monotonic()))
        self.tell()

    def _fail(self, text: str) -> None:
        if self.stage is Stage.LOOKING and self.is_mounted:
            self.gate.fail(text)
            self.tell()

    def _closed_because(self) -> str | None:
        large = self.size.width >= SMALLEST[0] and self.size.height >= SMALLEST[1]
        return self.gate.closed_because(self.box.count.value, self.clock.monotonic(), seen=large)

    def tell(self) -> None:
        """Say whether and how the plan can be confirmed, if that changed."""
        if not self.is_mounted or self.stage not in (Stage.LOOKING, Stage.CONFIRMING):
            return
        if self._stalled():
            self.quiet.show(self.clock.monotonic())
        why = self._closed_because()
        marks = ", ".join(f"{n} {word}" for word, n in self.diff.marked().items())
        text = why or "y confirms exactly what is shown. Enter does not."
        if self.stage is Stage.CONFIRMING:
            text = "Confirming…"
        told = " ".join(w for w in (self._notice, text, f"({marks})" if marks else "") if w)
        if told == self._told:
            return
        self._told = told
        tone = "strong" if why is None else "alarm" if why == self.gate.problem else "warn"
        self.box.tell(told, tone)
        closed = why is not None or self.stage is not Stage.LOOKING
        if closed and self.box.confirm.has_focus:
            self.box.cancel.focus()
        self.box.confirm.disabled = closed
        self.refresh_bindings()

    # Confirming

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Show ``y`` only if it can do something."""
        if action == "confirm":
            return self.stage is Stage.LOOKING and not self.gate.dry_run and self._closed_because() is None
        if action in ("cancel", "close"):
            return (action == "cancel") is (self.stage is Stage.LOOKING)
        return True

    def action_confirm(self) -> None:
        """Send the confirmation of the plan on screen, once."""
        plan = self.gate.plan
        if self.stage is not Stage.LOOKING or plan is None or self._closed_because() is not None:
            return
        self.stage = Stage.CONFIRMING
        self._notice = ""
        self.tell()
        self._spawn(self._send(plan))

    async def _send(self, plan: Plan) -> None:
        try:
            reply = await self._ask(Confirm(plan.id, plan.digest))
        except LINK_ERRORS as error:
            self._end(
                Stage.LOST,
                f"The line broke while this was confirmed ({error or type(error).__name__}). It may be under way: "
                "look at the escalations and the journal before asking for it again.",
            )
            return
        if isinstance(reply, Started):
            self._start(msgspec.structs.replace(plan, id=reply.plan))
        elif self.stage is Stage.CONFIRMING:
            text = reply.text if isinstance(reply, Rejected) else f"the engine answered {type(reply).__name__}"
            self.stage, self._notice = Stage.LOOKING, f"NOT DONE: {text}."
            self.gate.fail("Looking again…")
            self.gate.dry_run |= isinstance(reply, Rejected) and reply.code == "read_only"
            self.tell()
            self._spawn(self._watch())

    # Progress

    def _start(self, plan: Plan) -> None:
        self.progress = Progress(plan)
        if not self.is_mounted or self.stage is Stage.CLOSED:
            return
        self.stage = Stage.RUNNING
        self.box.replace(plan_progress.COLUMNS, self.progress.keys)
        self.box.without_controls()
        self.box.entitle(f"{plan_diff.describe(self.request)}  — under way")
        self.box.tell("Closing this window stops nothing: the engine carries on.", "dim")
        self.refresh_bindings()
        self.follow(Changes(closings=set(self.replica.closings)))
        if plan.id in self._reports:
            self.finish(self._reports[plan.id])

    def follow(self, changes: Changes) -> None:
        """Take the closings that moved on."""
        if self.progress is None or self.stage is not Stage.RUNNING:
            return
        rows = (
            self.replica.closings.get(k) for k in (self.replica.closings if changes.everything else changes.closings)
        )
        lines = [line for row in rows if row is not None and (line := self.progress.follow(row)) is not None]
        self.box.table.touch(lines)
        self._sum_up()

    def shows(self, plan: str) -> bool:
        """Return whether the screen shows the progress of that plan."""
        return self.progress is not None and self.progress.plan.id == plan

    def finish(self, report: PlanReport) -> None:
        """Take the report: show each line's result and the brokers' values."""
        if self.progress is None or not self.progress.finish(report):
            return
        if self.stage is Stage.RUNNING:
            self.box.show(self.progress.keys)
            self._sum_up()
            self._end(Stage.ENDED, "Done." if report.success else "Done, and something remains: see the lines above.")

    def _sum_up(self) -> None:
        if self.progress is not None:
            self.box.sum_up([self.progress.summary()])

    def _end(self, stage: Stage, text: str) -> None:
        if not self.is_mounted or self.stage is Stage.CLOSED:
            return
        self.stage = stage
        bad = stage is Stage.LOST or not (self.progress and self.progress.report and self.progress.report.success)
        self.box.entitle(f"{plan_diff.describe(self.request)}  — {stage.value}")
        self.box.tell(text, "bad" if bad else "good")
        self.box.without_controls()
        self.refresh_bindings()

    # Keys and events

    def eats(self, event: events.Key | events.Paste) -> bool:
        """Return whether a key does nothing. After a confirmation there is nothing left to guard."""
        return self.stage in (Stage.LOOKING, Stage.CONFIRMING) and super().eats(event)

    def action_close(self) -> None:
        """Close the window. A plan that was not confirmed is withdrawn; one that runs goes on."""
        plan, looking = self.gate.plan, self.stage is Stage.LOOKING
        self.stage = Stage.CLOSED
        if looking and plan is not None:
            self._spawn(self._withdraw(plan))
        self.dismiss()

    def action_cancel(self) -> None:
        """Close the window; nothing was sent."""
        self.action_close()

    async def _withdraw(self, plan: Plan) -> None:
        try:
            await self._ask(Withdraw(plan.id))
        except LINK_ERRORS:
            return  # the plan expires by itself, and the console says elsewhere that the line is gone

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Cancel, or confirm by mouse or space."""
        if event.button.id == "confirm":
            self.action_confirm()
        else:
            self.action_close()

    def on_input_changed(self) -> None:
        """Check the number at every change."""
        self.tell()

    def on_key(self, event: events.Key) -> None:
        """Put a digit, wherever it was typed, into the number."""
        count = self.box.count
        if count.display and not count.has_focus and event.character and event.character.isdigit():
            count.focus()
            count.insert_text_at_cursor(event.character)
            event.stop()

    def _make(self, key: Hashable) -> Row:
        return self.progress.row(key) if self.progress is not None else self.diff.row(key)

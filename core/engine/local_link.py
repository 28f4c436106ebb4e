"""The in-process end of the link: the same messages as over a socket, handed over as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.engine.engine import Engine
from core.errors import FlatdeckError
from core.link.messages import (
    Acknowledge,
    Arm,
    Command,
    Confirm,
    Done,
    Message,
    Planned,
    Prepare,
    Preview,
    Refresh,
    Rejected,
    Reply,
    Show,
    Started,
    Withdraw,
)
from core.plans.plan import NotApproved


class LocalLink:
    """A console in the engine's own process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ask(self, command: Command) -> Reply:
        """Carry out a command; what is wrong with it comes back as Rejected, never as an exception."""
        try:
            return await answer(self._engine, command)
        except NotApproved as refused:
            return Rejected(refused.code, str(refused))
        except (FlatdeckError, ValueError) as error:
            return Rejected("failed", str(error))

    def messages(self) -> AsyncIterator[Message]:
        """A Snapshot of everything as of now, then Updates and reports."""
        self._engine.snapshot()
        return self._engine.hub.subscribe()

    async def aclose(self) -> None:
        """Nothing to hang up."""


async def answer(engine: Engine, command: Command) -> Reply:
    """What the engine says to one command."""
    match command:
        case Prepare(request):
            return Planned(await engine.prepare(request))
        case Show(plan):
            row = engine.hub.plan_row(plan)
            if row is None or row.state != "waiting" or row.request is None:
                raise NotApproved("unknown_plan", "that plan does not wait any more")
            return Planned(await engine.prepare(row.request), row.request)
        case Preview():
            return engine.sentry.preview()
        case Arm(on, digest):
            engine.sentry.arm(on, digest)
            return Done()
        case Confirm(plan, digest):
            engine.carry_out_later(engine.desk.approve(plan, digest))
            return Started(plan)
        case Withdraw(plan):
            engine.desk.withdraw(plan)
            engine.hub.drop_plan(plan)
            return Done()
        case Acknowledge(key):
            engine.hub.acknowledge(key)
            return Done()
        case Refresh(read):
            if read:
                await engine.read_all()
            return engine.snapshot()

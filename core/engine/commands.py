"""The commands of a console and their answers. Every transport of the link calls ``run_command``."""

from __future__ import annotations

from core.engine.engine import Engine
from core.errors import FlatdeckError
from core.link.messages import (
    Acknowledge,
    Arm,
    Command,
    Confirm,
    Done,
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


async def run_command(engine: Engine, command: Command) -> Reply:
    """Run one command of a console. An error of the command is returned as ``Rejected``, never raised."""
    try:
        return await _answer(engine, command)
    except NotApproved as refused:
        return Rejected(refused.code, str(refused))
    except (FlatdeckError, ValueError) as error:
        return Rejected("failed", str(error))


async def _answer(engine: Engine, command: Command) -> Reply:
    match command:
        case Prepare(request):
            return Planned(await engine.prepare(request))
        case Show(plan):
            row = engine.publisher.plans.get(plan)
            if row is None or row.state != "waiting" or row.request is None:
                raise NotApproved("unknown_plan", "that plan does not wait any more")
            return Planned(await engine.prepare(row.request), row.request)
        case Preview():
            return engine.exit_service.preview()
        case Arm(on, digest):
            engine.arm(on, digest)
            return Done()
        case Confirm(plan, digest, approver):
            engine.carry_out_later(engine.pending_plans.approve(plan, digest, approver))
            return Started(plan)
        case Withdraw(plan):
            engine.pending_plans.withdraw(plan)
            engine.publisher.drop_plan(plan)
            return Done()
        case Acknowledge(key, alarm):
            engine.publisher.acknowledge(key, alarm)
            return Done()
        case Refresh(read):
            if read:
                await engine.read_all()
            return engine.snapshot()

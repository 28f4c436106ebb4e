"""The commands of a console and their answers. Every transport of the link calls ``run_command``."""

from __future__ import annotations

from core.engine.engine import Engine
from core.entries.rules import NotAllowed
from core.errors import FlatdeckError
from core.link.messages import (
    Acknowledge,
    Arm,
    Command,
    Confirm,
    Done,
    Execute,
    Finished,
    Planned,
    Prepare,
    Preview,
    Refresh,
    Rejected,
    Reply,
    Show,
    Started,
    Thaw,
    Withdraw,
)
from core.link.requests import (
    Answered,
    Compared,
    Drafted,
    DraftEntry,
    DraftScaling,
    Entered,
    FindRefusals,
    KnowSymbol,
    Reconcile,
    Refusals,
    Request,
    RequestReply,
    SendEntry,
)
from core.link.restrict import Halt, Resume, SetAccountState
from core.plans.plan import NotApproved


async def run_command(engine: Engine, command: Command) -> Reply:
    """Run one command of a console. An error of the command is returned as ``Rejected``, never raised."""
    try:
        return await _answer(engine, command)
    except NotApproved as refused:
        return Rejected(refused.code, str(refused))
    except NotAllowed as refused:
        return Rejected(refused.code.value, str(refused))
    except (FlatdeckError, ValueError) as error:
        return Rejected("failed", str(error))
    except Exception as error:  # noqa: BLE001 - a client that gets no answer would wait for ever
        engine.say("alarm", f"{type(command).__name__} failed in the engine: {error!r}")
        return Rejected(
            "failed", f"a fault in the engine ({error!r}); what was begun is in the journal: flatdeck journal shows it"
        )


async def _answer(engine: Engine, command: Command) -> Reply:
    match command:
        case Prepare(request):
            return Planned(await engine.prepare(request))
        case Show(plan):
            return await _show(engine, plan)
        case Preview():
            return engine.exit_service.preview()
        case Confirm(plan, digest, approver):
            engine.carry_out_later(engine.pending_plans.approve(plan, digest, approver))
            return Started(plan)
        case Execute(plan, digest, approver):
            return Finished(await engine.execute(plan, digest, approver, parks=False))
        case Refresh(read):
            if read:
                await engine.read_all()
            return engine.snapshot()
        case Withdraw() | Acknowledge() | Arm() | Thaw():
            return await _do(engine, command)
        case Halt() | Resume() | SetAccountState():
            return await _restrict(engine, command)
        case _:
            return await _answer_request(engine, command)


async def _do(engine: Engine, command: Withdraw | Acknowledge | Arm | Thaw) -> Done:
    match command:
        case Arm(on, digest):
            engine.arm(on, digest)
        case Withdraw(plan):
            engine.pending_plans.withdraw(plan)
            engine.publisher.drop_plan(plan)
        case Acknowledge(key, alarm):
            engine.publisher.acknowledge(key, alarm)
        case Thaw(account, approver):
            await engine.executor.thaw(account, approver)
    return Done()


async def _answer_request(engine: Engine, command: Request) -> RequestReply:
    drafts = engine.entry_service.drafts
    match command:
        case KnowSymbol(account, symbol):
            return Answered(await drafts.knows_symbol(account, symbol))
        case FindRefusals(signal):
            return Refusals(tuple(await drafts.find_refusals(signal)))
        case DraftEntry(signal, limit, flatten_first):
            return Drafted(await drafts.draft_entry(signal, limit=limit, flatten_first=flatten_first))
        case DraftScaling(account, symbol, quantity, inward):
            return Drafted(await drafts.draft_scaling(account, symbol, quantity, inward=inward))
        case SendEntry(draft, wait, approver):
            return Entered(await engine.entry_service.carry_out(draft, approver, wait=wait))
        case Reconcile(correct):
            return Compared(await engine.reconciliation.reconcile(correct=correct))


async def _show(engine: Engine, plan: str) -> Planned:
    row = engine.publisher.plans.get(plan)
    if row is None or row.state != "waiting" or row.request is None:
        raise NotApproved("unknown_plan", "that plan does not wait any more")
    return Planned(await engine.prepare(row.request), row.request)


async def _restrict(engine: Engine, command: Halt | Resume | SetAccountState) -> Answered:
    """Restrict new risk or allow it again, and show every console at once, also where the journal failed.

    The answer says whether that changed something.
    """
    try:
        match command:
            case Halt(reason, approver):
                changed = await engine.restrictions.halt(reason, approver)
            case Resume(approver):
                changed = await engine.restrictions.resume(approver)
            case SetAccountState(account, state, reason, until, approver):
                if account not in engine.book.accounts:
                    raise ValueError(f"there is no account {account!r} here")
                await engine.restrictions.set_account(account, state, reason, until, approver)
                changed = True
    finally:
        engine.snapshot()
    return Answered(changed)

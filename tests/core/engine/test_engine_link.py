"""A console's end of the line: every command has its answer, every message survives the wire, none is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.engine.local_link import LocalLink
from core.link.messages import (
    Acknowledge,
    Command,
    Confirm,
    Done,
    Finished,
    Message,
    Planned,
    Prepare,
    Refresh,
    Rejected,
    Reply,
    Snapshot,
    Started,
    Update,
    Withdraw,
)
from core.model import OrderSide
from core.plans.approver import CONSOLE, Approver
from core.plans.plan import SHOWN_FOR, Plan
from core.plans.request import PlanRequest
from core.records import PlanApproved
from tests.support.builders import ACCOUNT, D
from tests.support.virtual_time import virtual
from tests.support.wire import command_over_wire, message_over_wire, reply_over_wire
from tests.support.world import EVERYTHING, World, book, key, resting


class Console:
    """A replica as consoles keep one, fed with what came over the wire."""

    def __init__(self, world: World) -> None:
        self.link = LocalLink(world.engine)
        self.got: list[Message] = []
        self.rows: dict[str, dict[object, object]] = {}
        self.seq = 0

    async def ask(self, command: Command) -> Reply:
        """The command and its reply, both through the wire's own form."""
        sent = command_over_wire(command)
        assert sent == command
        reply = await self.link.ask(sent)
        told = reply_over_wire(reply)
        assert told == reply
        return told

    async def prepared(self, request: PlanRequest = EVERYTHING) -> Plan:
        reply = await self.ask(Prepare(request))
        assert isinstance(reply, Planned), reply
        return reply.plan

    async def listen(self) -> None:
        async for message in self.link.messages():
            told = message_over_wire(message)
            assert told == message, "a message changed on the wire"
            self.got.append(message)
            self.apply(message)

    def apply(self, message: Message) -> None:
        match message:
            case Snapshot():
                self.seq = message.seq
                self.rows = {name: {_id(r): r for r in getattr(message, name)} for name in KINDS}
            case Update():
                assert message.seq == self.seq + 1, "a gap"
                self.seq = message.seq
                for name in KINDS:
                    self.rows[name].update({_id(r): r for r in getattr(message, name)})
                    for gone in getattr(message, f"gone_{name}", ()):
                        self.rows[name].pop(gone, None)
            case Finished():
                pass

    @property
    def report(self) -> Finished:
        return next(m for m in self.got if isinstance(m, Finished))


KINDS = ("accounts", "owners", "positions", "closings", "plans")


def _id(row: object) -> object:
    return getattr(row, "key", None) or row.id  # type: ignore[attr-defined]


@asynccontextmanager
async def attached(world: World) -> AsyncIterator[Console]:
    async with world:
        world.run()
        await asyncio.sleep(1)
        console = Console(world)
        task = asyncio.create_task(console.listen())
        await asyncio.sleep(0)
        try:
            yield console
        finally:
            if task.done():
                task.result()
            task.cancel()


def lasting(content: dict[str, object] | None = None) -> World:
    return World({ACCOUNT: content or book(orders=[resting()])}, lasting=True)


# ---------------------------------------------------------------------------------------------------------- a session


@virtual
async def test_a_whole_session_survives_the_wire_and_the_replica_ends_like_the_engine():
    world = lasting(book("AAA long 1", "BBB short 2", "CCC long 0.05", orders=[{**resting(), "symbol": "AAA"}]))
    async with attached(world) as console:
        world.faults.script("partial_fill")
        world.faults.script("lose_response")
        world.faults.script("foreign_order", symbol="BBB")
        plan = await console.prepared()
        assert await console.ask(Confirm(plan.id, plan.digest)) == Started(plan.id)
        await asyncio.sleep(10)
        world.engine.snapshot()
        await asyncio.sleep(1)
        engine = world.engine.publisher.snapshot()
        assert isinstance(console.got[0], Snapshot)
        assert console.seq == engine.seq
        for name in KINDS:
            assert list(console.rows[name].values()) == list(getattr(engine, name)), name
        assert console.report.report.plan == plan
        assert {type(m) for m in console.got} == {Snapshot, Update, Finished}


@virtual
async def test_the_journal_says_who_confirmed_in_the_console() -> None:
    world, jane = lasting(), Approver("jane", "desk1", CONSOLE, ssh_client="203.0.113.9")
    async with attached(world) as console:
        console.link = LocalLink(world.engine, jane)
        plan = await console.prepared()
        await console.ask(Confirm(plan.id, plan.digest))
        await asyncio.sleep(5)
        (approved,) = [r for e in await world.entries() if isinstance(r := e.record, PlanApproved)]
        assert (approved.by, approved.approver) == ("jane@desk1 (console)", jane)


@virtual
async def test_the_report_names_every_action_and_comes_once():
    async with attached(lasting()) as console:
        plan = await console.prepared()
        await console.ask(Confirm(plan.id, plan.digest))
        await asyncio.sleep(5)
        assert sum(isinstance(m, Finished) for m in console.got) == 1
        assert {(r.kind, r.outcome) for r in console.report.report.results} == {
            ("close", "closed"),
            ("cancel_order", "cancelled"),
        }


# ------------------------------------------------------------------------------------------------------------ commands


@virtual
async def test_a_plan_that_changed_is_rejected_as_changed():
    async with attached(lasting()) as console:
        plan = await console.prepared()
        reply = await console.ask(Confirm(plan.id, "not this one"))
        assert isinstance(reply, Rejected)
        assert reply.code == "changed"


@virtual
async def test_a_plan_that_is_too_old_is_rejected_as_expired():
    async with attached(lasting()) as console:
        plan = await console.prepared()
        await asyncio.sleep(SHOWN_FOR.total_seconds() + 1)
        reply = await console.ask(Confirm(plan.id, plan.digest))
        assert isinstance(reply, Rejected)
        assert reply.code == "expired"


@virtual
async def test_confirming_twice_starts_it_once():
    """The second press of a key does nothing."""
    world = lasting(book())
    async with attached(world) as console:
        plan = await console.prepared()
        assert isinstance(await console.ask(Confirm(plan.id, plan.digest)), Started)
        second = await console.ask(Confirm(plan.id, plan.digest))
        assert isinstance(second, Rejected)
        assert second.code == "unknown_plan"
        await asyncio.sleep(5)
        assert world.sent() == ["submit"]


@virtual
async def test_a_withdrawn_plan_is_not_known_any_more():
    async with attached(lasting()) as console:
        plan = await console.prepared()
        assert await console.ask(Withdraw(plan.id)) == Done()
        reply = await console.ask(Confirm(plan.id, plan.digest))
        assert isinstance(reply, Rejected)
        assert reply.code == "unknown_plan"


@virtual
async def test_a_waiting_plan_that_is_withdrawn_leaves_the_board():
    async with attached(lasting()) as console:
        world_plan = await console.prepared()
        console.link._engine.publisher.show_plan(world_plan, "waiting")
        await console.ask(Withdraw(world_plan.id))
        assert console.link._engine.publisher.snapshot().plans == ()


@virtual
async def test_a_read_only_engine_rejects_a_confirmation():
    world = lasting()
    world.read_only = True
    async with attached(world) as console:
        plan = await console.prepared()
        reply = await console.ask(Confirm(plan.id, plan.digest))
        assert isinstance(reply, Rejected)
        assert reply.code == "read_only"


@pytest.mark.parametrize(
    "request_",
    [
        PlanRequest("cleanup", cancel_if="moon>full"),
        PlanRequest("flatten"),
        PlanRequest("moonshot", everything=True),
    ],
)
@virtual
async def test_a_request_that_means_nothing_is_rejected_with_a_sentence(request_: PlanRequest):
    async with attached(lasting()) as console:
        reply = await console.ask(Prepare(request_))
        assert isinstance(reply, Rejected), reply
        assert reply.text


@virtual
async def test_a_refresh_answers_with_everything_and_reads_first_when_asked_to():
    world = lasting(book())
    async with attached(world) as console:
        world.by_hand(OrderSide.SELL, "1")
        reply = await console.ask(Refresh(read=True))
        assert isinstance(reply, Snapshot)
        assert [p.quantity for p in reply.positions] == [D(1)]
        assert (await console.ask(Refresh())).seq >= reply.seq  # type: ignore[union-attr]


@virtual
async def test_alarms_are_acknowledged_one_by_one():
    world = lasting(book())
    async with attached(world) as console:
        world.faults.script("halted")
        plan = await console.prepared()
        await console.ask(Confirm(plan.id, plan.digest))
        await asyncio.sleep(5)
        assert world.engine.publisher.engine.alarm
        assert await console.ask(Acknowledge(key())) == Done()
        assert world.engine.publisher.snapshot().closings[0].acknowledged
        await console.ask(Acknowledge())
        assert world.engine.publisher.engine.alarm is None


@virtual
async def test_a_confirmed_plan_that_cannot_be_written_down_is_an_alarm_and_sends_nothing():
    world = lasting(book())
    async with attached(world) as console:
        plan = await console.prepared()
        world.database.failure = "disk full"
        assert isinstance(await console.ask(Confirm(plan.id, plan.digest)), Started)
        await asyncio.sleep(3)
        assert f"PLAN {plan.id} failed: disk full" in [row.text for row in world.engine.publisher.snapshot().log]
        assert world.sent() == []
        assert [p.state for p in world.engine.publisher.snapshot().plans] == ["done"]
        world.database.failure = None


@virtual
async def test_hanging_up_leaves_the_engine_running():
    world = lasting(book())
    async with attached(world) as console:
        await console.link.aclose()
        assert isinstance(await console.ask(Refresh()), Snapshot)

"""A protective order is put back once, as what it was, and never again while its outcome is unknown."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from core.closing.restore_stops import Hands, put_back
from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.ids import Ids
from core.journal.journal import Journal
from core.journal.write_behind import WriteBehind
from core.ladder.states import PositionRead
from core.model import OrderRequest, OrderSide, OrderType, Position, Side
from core.orders.account_reader import AccountReader
from core.orders.submit import AccountOrders
from core.records import IntentWritten
from tests.support.builders import ACCOUNT, SYMBOL, D, close_action, holdings, order, position, read, stop
from tests.support.fake_broker import FakeBroker
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import DAWN, VirtualClock, virtual

BACK = OrderRequest(ACCOUNT, SYMBOL, OrderSide.SELL, D(2), "fdback", OrderType.STOP, trigger=D(80), reduce_only=True)
INTENT = IntentWritten("p1", close_action().key, "fdback", -1, 0, None, BACK, D(2), DAWN)


class Desk:
    """A venue fed by hand, and a journal that knows these intents."""

    def __init__(self, **answers: list[Any]) -> None:
        self.clock = VirtualClock()
        self.broker = FakeBroker(**{"holdings": [holdings()], **answers})
        self.broker.able = structs.replace(self.broker.able, position_lag=1.0)
        self.held: Position | None = position("2")

    async def put_back(
        self, *known: IntentWritten, client_id: str | None = None, why_not: Callable[[OrderRequest], str] = lambda _: ""
    ) -> str:
        self.journal = await Journal.over(MemoryDatabase(), self.clock, Ids(self.clock, random.Random(1)))
        for intent in known:
            await self.journal.append(intent)

        async def look() -> PositionRead | None:
            return read(self.held)

        reader, behind = AccountReader(self.broker, self.clock, lambda _: None), WriteBehind(self.journal)
        orders = AccountOrders(self.broker, reader, self.clock, behind)
        hands = Hands(orders, self.journal, self.clock, look, frozenset(), why_not)
        text = await put_back(hands, INTENT, stop(client_id=client_id), self.clock.monotonic())
        await behind.written(INTENT.key)
        return text


@virtual
async def test_an_order_that_left_before_a_restart_is_looked_up_and_not_sent_again():
    desk = Desk(find_order=[order("s2", client_id="fdback")])
    assert await desk.put_back(INTENT) == ""
    assert desk.broker.calls["submit"] == 0
    assert ("find_order", "fdback") in desk.broker.asked


@virtual
async def test_an_order_that_left_before_a_restart_and_that_nobody_knows_is_told():
    desk = Desk(find_order=[None])
    assert "fdback: was never executed" in await desk.put_back(INTENT)
    assert desk.broker.calls["submit"] == 0


@virtual
async def test_an_order_of_unknown_outcome_is_looked_up_and_not_sent_again():
    desk = Desk(submit=[OutcomeUnknown("reset"), order("s2")], find_order=[None])
    assert "fdback" in await desk.put_back()
    assert desk.broker.calls["submit"] == 1


@pytest.mark.parametrize("no", [Refused(Refusal.RATE_LIMITED, "slow down", retry_after=2.0), Unreachable("refused")])
@virtual
async def test_an_order_that_provably_did_not_arrive_is_sent_again(no: Exception):
    desk = Desk(submit=[no, order("s2")])
    assert await desk.put_back() == ""
    assert desk.broker.calls["submit"] == 2


@pytest.mark.parametrize(("held", "sent"), [("0.5", ["2", "0.5"]), ("3", ["2", "2"]), ("0.05", ["2"]), (None, ["2"])])
@virtual
async def test_each_try_has_the_size_that_the_position_still_needs(held: str | None, sent: list[str]):
    desk = Desk(submit=[Unreachable("connection refused"), order("s2")])
    desk.held = None if held is None else position(held)
    text = await desk.put_back()
    requests = [asked for name, asked in desk.broker.asked if name == "submit"]
    assert [f"{r.quantity:f}" for r in requests] == sent
    assert ("nothing is held" in text) is (len(sent) == 1)


@virtual
async def test_nothing_is_put_back_on_a_position_that_was_turned_around_between_two_tries():
    desk = Desk(submit=[Unreachable("connection refused"), order("s2")])
    desk.held = position("2", Side.SHORT)
    assert "nothing is held" in await desk.put_back()
    assert desk.broker.calls["submit"] == 1


@pytest.mark.parametrize(("client_id", "ours"), [("fdguard", True), ("mine", False)])
@virtual
async def test_a_stop_of_the_programs_own_is_its_own_again_and_the_users_is_the_users(client_id: str, ours: bool):
    guard = structs.replace(INTENT, client_id="fdguard", protects=True)
    desk = Desk(submit=[order("s2")])
    await desk.put_back(guard, client_id=client_id)
    back = await desk.journal.find_intent("fdback")
    assert back is not None
    assert back.protects is ours


@virtual
async def test_nothing_is_put_back_while_new_risk_is_held_back_and_the_order_could_open():
    desk = Desk(submit=[order("s2")])
    assert "fdback: trading is halted" in await desk.put_back(why_not=lambda _: "trading is halted")
    assert desk.broker.calls["submit"] == 0


@virtual
async def test_a_halt_while_the_intent_becomes_durable_keeps_the_order_back():
    desk = Desk(submit=[order("s2")])
    answers = iter(["", "trading is halted", "trading is halted"])
    assert "trading is halted" in await desk.put_back(why_not=lambda _: next(answers))
    assert desk.broker.calls["submit"] == 0


@virtual
async def test_an_order_that_left_before_a_restart_is_looked_after_in_a_halt():
    desk = Desk(find_order=[order("s2", client_id="fdback")])
    assert await desk.put_back(INTENT, why_not=lambda _: "trading is halted") == ""

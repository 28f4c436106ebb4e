"""The one path of an order that is not a close: sent once, looked up, followed, and cancelled until it has ended."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from core.errors import Refusal, Refused, Unreachable
from core.ids import Ids
from core.journal.journal import Journal
from core.journal.write_behind import WriteBehind
from core.model import Order, OrderRequest, OrderSide, OrderStatus, OrderType
from core.orders.account_reader import AccountReader
from core.orders.lookup import SINCE_MARGIN
from core.orders.submit import AccountOrders, Timeouts
from core.ports import SEND_WITHIN
from core.records import CancelAsked, IntentAnswered, IntentWritten
from tests.support.builders import ACCOUNT, KEY, SYMBOL, D, done, fill, holdings, order
from tests.support.fake_broker import FakeBroker
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import DAWN, VirtualClock, virtual

REQUEST = OrderRequest(ACCOUNT, SYMBOL, OrderSide.SELL, D(2), "fdours")
INTENT = IntentWritten("e1", KEY, REQUEST.client_id, 0, 1, None, REQUEST, D(2), DAWN)
LIVE = order("v1", type=OrderType.MARKET)
PATIENT = Timeouts(5.0, 20.0)


class Desk:
    """One account's orders at a venue fed by hand, whose lists lag by a second."""

    def __init__(self, **answers: list[Any]) -> None:
        self.clock = VirtualClock()
        self.database = MemoryDatabase()
        self.broker = FakeBroker(**{"holdings": [holdings()], **answers})
        self.broker.able = structs.replace(self.broker.able, position_lag=1.0)

    async def start(self) -> AccountOrders:
        self.journal = await Journal.over(self.database, self.clock, Ids(self.clock, random.Random(1)))
        self.write_behind = WriteBehind(self.journal)
        reader = AccountReader(self.broker, self.clock, lambda _: None)
        return AccountOrders(self.broker, reader, self.clock, self.write_behind)

    async def outcomes(self) -> list[str]:
        await self.write_behind.written(KEY)
        return [e.record.outcome for e in await self.journal.entries() if isinstance(e.record, IntentAnswered)]


@virtual
async def test_an_order_that_waited_too_long_for_the_disk_is_not_sent():
    desk = Desk(submit=[LIVE])
    orders = await desk.start()
    desk.database.pause = 2 * SEND_WITHIN
    sent = await orders.submit_order(INTENT, desk.clock.monotonic())
    assert (sent.outcome, desk.broker.calls["submit"]) == ("not_sent", 0)
    assert await desk.outcomes() == ["unreachable"]


@virtual
async def test_an_order_is_held_back_when_a_close_came_while_its_intent_was_written():
    desk = Desk(submit=[LIVE])
    orders = await desk.start()
    sent = await orders.submit_order(INTENT, desk.clock.monotonic(), lambda: False)
    assert (sent.outcome, desk.broker.calls["submit"]) == ("not_sent", 0)
    assert await desk.outcomes() == ["unreachable"]


@virtual
async def test_a_duplicate_name_leaves_the_outcome_unknown():
    desk = Desk(submit=[Refused(Refusal.DUPLICATE, "exists")])
    orders = await desk.start()
    assert (await orders.submit_order(INTENT, desk.clock.monotonic())).outcome == "unknown"
    assert (await orders.resolve_order(INTENT)).outcome == "not_found"
    assert await desk.outcomes() == ["unknown", "not_found"]


@virtual
async def test_a_fill_never_falls_and_keeps_its_price():
    seen = done("v1", "2", "0")
    orders = await Desk(find_order=[seen]).start()
    known = structs.replace(LIVE, filled=D("1.5"), average_price=D(99))
    order_now = await orders.read_order(INTENT, known)
    assert (order_now.status, order_now.filled, order_now.average_price) == (seen.status, D("1.5"), D(99))


FORGOTTEN = [None, structs.replace(LIVE, status=OrderStatus.UNKNOWN)]


@pytest.mark.parametrize("answer", FORGOTTEN)
def test_an_order_that_the_venue_forgot_ends_after_two_lists_without_it(answer: Order | None) -> None:
    @virtual
    async def check() -> None:
        traded = [fill("0.5", "v1", "t1"), fill("0.5", "v1", "t1"), fill("1", "v2", "t2"), fill("0.7", "v1", "t3")]
        desk = Desk(find_order=[answer], fills=[traded])
        orders = await desk.start()
        assert await orders.read_order(INTENT, LIVE) == LIVE  # the lists may lag
        await desk.clock.sleep(1.1)
        assert await orders.read_order(INTENT, LIVE) == LIVE  # one list may be cut short
        ended = await orders.read_order(INTENT, LIVE)
        assert (ended.status, ended.filled) == (OrderStatus.CANCELLED, D("1.2"))

    check()


@virtual
async def test_a_list_that_shows_a_forgotten_order_again_begins_the_proof_anew():
    lists = [holdings(), holdings(), holdings(orders=(LIVE,)), holdings(), holdings()]
    desk = Desk(find_order=[None], holdings=lists)
    orders = await desk.start()
    await orders.read_order(INTENT, LIVE)
    await desk.clock.sleep(1.1)
    states = [(await orders.read_order(INTENT, LIVE)).status.terminal for _ in range(4)]
    assert states == [False, False, False, True]


@virtual
async def test_fills_that_cannot_be_read_are_not_taken_for_none():
    desk = Desk(find_order=[None], fills=[Unreachable("down")])
    orders = await desk.start()
    end, text = await orders.cancel_order(INTENT, LIVE, 20.0)
    assert (end.status.terminal, text) == (False, "down")


@virtual
async def test_a_live_order_that_the_venue_forgets_ends_with_what_it_traded():
    desk = Desk(find_order=[LIVE, None], fills=[[fill("0.5", "v1")]])
    orders = await desk.start()
    end, _ = await orders.settle_order(INTENT, LIVE, PATIENT)
    assert (end.status, end.filled) == (OrderStatus.CANCELLED, D("0.5"))
    assert await desk.outcomes() == ["terminal"]


@virtual
async def test_a_cancel_that_the_venue_takes_is_not_repeated_at_every_look():
    desk = Desk(find_order=[LIVE])
    orders = await desk.start()
    await orders.cancel_order(INTENT, LIVE, 20.0)
    assert desk.broker.calls["cancel"] <= 5
    records = [e.record for e in await desk.journal.entries()]
    assert [r.order.id for r in records if isinstance(r, CancelAsked)] == ["v1"]


@virtual
async def test_a_cancel_waits_as_long_as_the_venue_asks():
    desk = Desk(find_order=[LIVE], cancel=[Refused(Refusal.RATE_LIMITED, "slowly", retry_after=8.0)])
    orders = await desk.start()
    _, text = await orders.cancel_order(INTENT, LIVE, 20.0)
    assert (desk.broker.calls["cancel"], text) == (3, "slowly")


@virtual
async def test_a_close_that_wants_to_go_first_withdraws_the_order_at_once():
    desk = Desk(find_order=[LIVE, LIVE, LIVE, done("v1", "2", "0", status=OrderStatus.CANCELLED)])
    orders = await desk.start()
    began = desk.clock.monotonic()
    limits = Timeouts(600.0, 20.0, lambda: desk.clock.monotonic() - began > 0.3)
    await orders.settle_order(INTENT, LIVE, limits)
    assert desk.broker.calls["cancel"] == 1
    assert desk.clock.monotonic() - began < 5.0


@virtual
async def test_a_question_that_was_asked_before_the_expiry_proves_nothing_however_late_its_answer():
    """Each question takes 14 s. The expiry and the lag are over after 15 s: two questions are too early."""
    desk = Desk(find_order=[None])
    desk.broker.able = structs.replace(desk.broker.able, position_lag=10.0)
    orders, find = await desk.start(), desk.broker.find_order

    async def slow(*where: Any, **name: Any) -> Order | None:
        await desk.clock.sleep(14)
        return await find(*where, **name)

    desk.broker.find_order = slow  # type: ignore[method-assign]
    assert (await orders.resolve_order(INTENT, total=60.0)).outcome == "not_found"
    assert desk.broker.calls["find_order"] == 4


@virtual
async def test_executions_are_asked_for_since_the_order_left_however_long_that_is_ago():
    desk = Desk(find_order=[None])
    orders = await desk.start()
    begun = desk.clock.now() - timedelta(hours=1)
    await orders.resolve_order(structs.replace(INTENT, at=begun))
    assert {since for name, since in desk.broker.asked if name == "fills"} == {begun - SINCE_MARGIN}

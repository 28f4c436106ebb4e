"""Resting stops at the paper venue: placed, ratcheted, taken along by a close, put back, and never two."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from brokers.paper.faults import Faults
from brokers.paper.random_streams import seeded
from brokers.paper.venue import Venue
from brokers.paper.wire import parse_book
from core.ids import client_order_id, is_ours
from core.link.messages import PositionRow
from core.model import Order, OrderRequest, OrderSide, OrderType, PositionKey, TimeInForce
from core.records import CancelAsked, FillRecorded, IntentAnswered, IntentWritten, PositionClosed
from core.settings import AutomationSettings, ExitSettings, LadderSettings, ProtectSettings
from tests.support.builders import ACCOUNT, SYMBOL, D, account
from tests.support.virtual_time import virtual
from tests.support.world import EVERYTHING, World, book, key, outcomes

PLAIN = ExitSettings(adaptive=False, activation_pct=D("0.03"), take_profit_pct=None, smart_profit=(), drawdown=())
ON = ProtectSettings(enabled=True)
OFF = ProtectSettings()
SETTLED = 5.0  # seconds after which a new engine acts on this venue


class Protected(World):
    """Positions entered at 100 and priced at 100: the stop is at 95, the trigger at 94."""

    def __init__(self, content: dict[str, Any] | None = None, *, protect: ProtectSettings = ON, **more: Any) -> None:
        content = content or book()
        for held in content["positions"]:
            if held.get("entry") == "90":
                held.update(entry="100", leverage="1")
        more = {"lasting": True, "exits": PLAIN, **more}
        super().__init__({ACCOUNT: content}, protect=protect, **more)

    async def lives(self, seconds: float = SETTLED) -> None:
        await asyncio.sleep(seconds)
        self.venue.advance()

    @property
    def most(self) -> int:
        """How many of our stops rested at once, right after each was placed."""
        return max((n for v in self.venues.values() if isinstance(v, _Counting) for n in v.rested), default=0)

    def _venue(self, id_: str, content: dict[str, Any]) -> Venue:
        return _Counting(
            account(id_), parse_book(json.dumps(content), "book.json", id_), self.clock, Faults(seeded(id_))
        )

    async def __aenter__(self) -> Protected:
        await self.open()
        return self

    async def watched(self, seconds: float = SETTLED) -> Protected:
        self.run()
        await self.lives(seconds)
        return self

    def stops(self, symbol: str = SYMBOL) -> list[Order]:
        """Our live ones, by the venue's truth."""
        orders = (t.order for t in self.venue.state.tickets.values())
        return [o for o in orders if o.symbol == symbol and _ours(o) and not o.status.terminal]

    def sent_stops(self) -> list[Order]:
        """All that the venue ever took."""
        return [t.order for t in self.venue.state.tickets.values() if _ours(t.order)]

    def price(self, price: str, symbol: str = SYMBOL) -> None:
        self.venue.set_quote(symbol, bid=D(price), ask=D(price), last=D(price))

    def row(self) -> PositionRow:
        return next(p for p in self.engine.snapshot().positions if p.key.symbol == SYMBOL)

    def where(self) -> list[Decimal | None]:
        return [o.trigger for o in self.stops()]

    async def said(self, text: str) -> list[str]:
        return [line for line in await self.log() if "[PROTECT]" in line and text in line]


class _Counting(Venue):
    """Notes, whenever it takes an order, how many stops of ours rest."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.rested: list[int] = []

    def place(self, request: OrderRequest, *, direct: bool = False) -> Order:
        order = super().place(request, direct=direct)
        orders = [t.order for t in self.state.tickets.values()]
        self.rested.append(sum(_ours(o) and not o.status.terminal for o in orders))
        return order


def _ours(order: Order) -> bool:
    return order.type is OrderType.STOP and is_ours(order.client_id)


# ------------------------------------------------------------------------------------------------- placed and moved


@virtual
async def test_a_stop_rests_behind_the_software_stop_for_all_of_the_position():
    async with Protected() as world:
        await world.watched()
        (stop,) = world.stops()
        assert (stop.trigger, stop.quantity, stop.side, stop.reduce_only) == (D(94), D(2), OrderSide.SELL, True)
        (intent,) = await world.records(IntentWritten)
        assert (intent.protects, intent.client_id, intent.step) == (True, stop.client_id, 0)
        row = world.row()
        assert (row.protective, row.open_orders, row.note) == (D(94), 0, "")
        await world.lives(120)
        assert len(world.sent_stops()) == 1
        await world.audit()


@virtual
async def test_a_short_is_mirrored():
    async with Protected(book("BTC short 2")) as world:
        await world.watched()
        (stop,) = world.stops()
        assert (stop.trigger, stop.side) == (D("106.1"), OrderSide.BUY)


@virtual
async def test_it_follows_the_software_stop_but_not_too_often_and_never_back():
    async with Protected() as world:
        await world.watched()
        world.price("105")  # the software stop goes to 102.9
        await world.lives(30)
        assert world.where() == [D(94)]  # 60 seconds between two moves
        await world.lives(40)
        assert world.where() == [D("101.8")]
        world.price("104")
        await world.lives(70)
        world.price("105.2")
        await world.lives(70)
        assert world.where() == [D("101.8")]  # too little to be worth an order
        assert world.most == 1
        assert len(world.sent_stops()) == 2


@virtual
async def test_a_changed_quantity_is_another_order():
    async with Protected() as world:
        await world.watched()
        world.by_hand(OrderSide.SELL, "0.5")
        await world.lives(40)
        assert [o.quantity for o in world.stops()] == [D("1.5")]
        assert world.most == 1


@virtual
async def test_it_is_cancelled_when_the_position_was_closed_by_hand():
    content = book("BTC long 2", kind="spot")
    async with Protected(content) as world:
        await world.watched()
        (stop,) = world.stops()
        world.venue.state.positions.clear()  # a transfer out: the venue ends no order for that
        await world.lives(70)
        assert world.stops() == []
        assert world.venue.state.tickets[stop.id].order.status.value == "cancelled"
        assert not await world.records(PositionClosed)


@virtual
async def test_where_there_is_no_reduce_only_it_covers_what_is_free_of_a_long():
    order = {"id": "o1", "symbol": SYMBOL, "side": "sell", "quantity": "0.5", "price": "120", "type": "limit"}
    async with Protected(book("BTC long 2", kind="spot", orders=[order])) as world:
        await world.watched()
        (stop,) = world.stops()
        assert (stop.quantity, stop.reduce_only) == (D("1.5"), False)
        await world.lives(60)
        assert len(world.sent_stops()) == 1  # what it holds itself is not taken for another's


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (book("BTC long 2", reduce_only=False), "could open a position"),
        (book("BTC short 2", kind="equity"), "could open a position"),
        (book("BTC long 2", min_quantity="3"), "below the venue's minimum"),
    ],
)
def test_where_none_may_rest_it_is_said_once_and_shown(content: dict[str, Any], why: str) -> None:
    @virtual
    async def check() -> None:
        async with Protected(content) as world:
            await world.watched(120)
            assert world.sent_stops() == []
            assert len(await world.said(why)) == 1
            assert why in world.row().note

    check()


@virtual
async def test_an_unknown_entry_has_no_stop_to_rest_behind():
    content = book()
    content["positions"][0].pop("entry")
    async with Protected(content, exits=ExitSettings(trailing_base=None)) as world:
        await world.watched(60)
        assert world.sent_stops() == []
        assert len(await world.said("no stop is known")) == 1


@virtual
async def test_a_price_that_is_already_beyond_makes_no_order_that_would_close_at_once():
    async with Protected() as world:
        world.price("93")
        await world.watched(30)
        assert world.sent_stops() == []
        assert len(await world.said("already beyond")) == 1
        assert not world.flat


# --------------------------------------------------------------------------------------------------- beside a close


@virtual
async def test_a_close_takes_it_along():
    async with Protected() as world:
        await world.watched()
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        assert world.flat
        await world.lives(60)
        assert world.stops() == []
        assert len(world.sent_stops()) == 1
        await world.audit()


@virtual
async def test_a_part_that_is_taken_off_gets_what_the_stop_holds():
    async with Protected(book("BTC long 2", kind="spot")) as world:
        await world.watched()
        draft = await world.engine.entry_service.drafts.draft_scaling(ACCOUNT, SYMBOL, D("0.5"), inward=False)
        report = await world.engine.entry_service.carry_out(draft)
        assert report.success
        await world.lives(30)
        assert [(o.quantity, o.trigger) for o in world.stops()] == [(D("1.5"), D(94))]
        assert world.most == 1
        assert not await world.said("not by this program")


@pytest.mark.parametrize("kind", ["spot", "equity"])
def test_no_part_is_taken_off_when_the_stop_fills_while_it_is_put_aside(kind: str) -> None:
    @virtual
    async def check() -> None:
        async with Protected(book("BTC long 2", kind=kind)) as world:
            await world.watched()
            draft = await world.engine.entry_service.drafts.draft_scaling(ACCOUNT, SYMBOL, D("0.5"), inward=False)
            world.faults.script("cancel_fill_race")
            report = await world.engine.entry_service.carry_out(draft)
            assert (report.outcome, report.filled) == ("not_sent", 0)
            assert "stop filled meanwhile" in str(report.error)
            assert [t.order for t in world.venue.state.tickets.values()] == world.sent_stops()
            await world.lives(30)
            assert world.held() == {}

    check()


@virtual
async def test_a_plan_stays_what_was_confirmed_while_it_moves():
    async with Protected() as world:
        await world.watched()
        plan = await world.engine.prepare(EVERYTHING)
        world.price("110")
        await world.lives(70)
        (stop,) = world.stops()
        assert stop.id not in {o.id for a in plan.closes for o in a.cancels}
        again = await world.engine.prepare(EVERYTHING)
        assert again.digest == plan.digest
        report = await world.engine.execute(plan.id, plan.digest)
        assert outcomes(report) == {SYMBOL: "closed"}
        assert world.stops() == []
        await world.audit()


@virtual
async def test_it_is_put_back_when_the_close_is_stuck_and_stays_ours():
    async with Protected(ladder=LadderSettings(total_timeout=20)) as world:
        await world.watched()
        world.faults.script("no_fill", times=1000)
        plan = asyncio.create_task(world.flatten())
        await world.lives(30)
        assert outcomes(await plan) == {SYMBOL: "stuck"}
        world.faults.scripts.clear()
        await world.lives(60)
        assert world.where() == [D(94)]
        assert world.most == 1
        assert world.row().protective == D(94)
        world.price("110")
        await world.lives(70)
        assert len(world.stops()) == 1
        assert world.where() > [D(94)]  # what was put back is ratcheted like any
        assert [i.protects for i in await world.records(IntentWritten) if i.step < 0] == [True]
        assert world.most == 1


@virtual
async def test_a_users_stop_that_was_put_back_is_still_the_users():
    order = {"id": "s1", "symbol": SYMBOL, "side": "sell", "quantity": "2", "type": "stop", "trigger": "80"}
    content = book(orders=[{**order, "reduce_only": True}])
    async with Protected(content, protect=OFF, ladder=LadderSettings(total_timeout=20)) as world:
        await world.watched()
        world.faults.script("no_fill", times=1000)
        plan = asyncio.create_task(world.flatten())
        await world.lives(40)
        assert outcomes(await plan) == {SYMBOL: "stuck"}
        await world.lives(60)
        assert world.where() == [D(80)]
        assert [i.protects for i in await world.records(IntentWritten) if i.step < 0] == [False]
        assert not await world.said("")


@virtual
async def test_one_that_was_put_back_and_fires_is_told():
    async with Protected(ladder=LadderSettings(total_timeout=20)) as world:
        await world.watched()
        world.faults.script("no_fill", times=1000)
        plan = asyncio.create_task(world.flatten())
        await world.lives(30)
        assert outcomes(await plan) == {SYMBOL: "stuck"}
        world.faults.scripts.clear()
        await world.lives(70)
        world.price("93")
        await world.lives(40)
        assert world.flat
        assert len(await world.said("fired at the venue")) == 1


@virtual
async def test_one_that_fills_while_a_close_cancels_it_is_part_of_that_close():
    async with Protected() as world:
        await world.watched()
        world.faults.script("cancel_fill_race")
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        await world.lives(60)
        assert not await world.records(PositionClosed)
        assert world.stops() == []


@virtual
async def test_a_close_begins_when_the_order_on_its_way_was_answered():
    async with Protected() as world:
        where = (ACCOUNT, SYMBOL)
        with world.engine._locks.placing(where, 10.0):
            plan = world.begin()
            await asyncio.sleep(5)
            assert not world.sent()
        await asyncio.sleep(1)
        assert world.sent()
        assert outcomes(await plan) == {SYMBOL: "closed"}


@virtual
async def test_a_plan_that_goes_on_elsewhere_keeps_no_position_naked():
    content = book("BTC long 2", "ETH long 2")
    async with Protected(content, ladder=LadderSettings(total_timeout=10)) as world:
        await world.watched()
        world.faults.numbers["closed_seconds"] = 3600.0
        world.faults.script("market_closed", times=1000, symbol="ETH")
        world.faults.script("no_fill", times=1000, symbol=SYMBOL)
        plan = world.begin()
        await world.lives(30)
        world.faults.scripts.clear()
        world.price("110")
        await world.lives(90)
        assert not plan.done()
        assert world.where() > [D(94)]


@virtual
async def test_an_order_on_its_way_is_waited_for_by_a_close_and_taken_along():
    world = Protected(latency=1.0)
    async with world:
        world.run()
        while not world.venue.requests:  # noqa: ASYNC110 - the venue tells nobody
            await asyncio.sleep(0.01)
        report = await world.flatten()
        assert outcomes(report) == {SYMBOL: "closed"}
        await world.lives(60)
        assert world.stops() == []
        assert len(world.sent_stops()) == 1
        await world.audit()


@virtual
async def test_nothing_is_placed_while_a_close_is_in_flight():
    async with Protected(ladder=LadderSettings(total_timeout=60, attempts=30)) as world:
        world.faults.script("no_fill", times=1000)
        plan = asyncio.create_task(world.flatten())
        await asyncio.sleep(0.01)
        world.run()
        await world.lives(30)
        assert not plan.done()
        assert world.sent_stops() == []
        plan.cancel()


# ------------------------------------------------------------------------------------------------ restarts, unknowns


@virtual
async def test_a_restart_places_it_no_second_time():
    async with Protected() as world:
        await world.watched()
        (before,) = world.stops()
        await world.restart()
        await world.watched(60)
        assert [o.id for o in world.stops()] == [before.id]
        assert world.row().protective == D(94)
        world.price("110")
        await world.lives(70)
        assert len(world.stops()) == 1
        assert world.most == 1
        assert len({i.client_id for i in await world.records(IntentWritten)}) == 2


@pytest.mark.parametrize("fault", ["lose_response", "broken_answer", "late_execution", "lose_request"])
def test_an_unknown_answer_is_looked_up_and_never_doubled(fault: str) -> None:
    @virtual
    async def check() -> None:
        async with Protected() as world:
            world.faults.script(fault)
            await world.watched(90)
            assert world.where() == [D(94)]
            assert world.most == 1
            assert len(world.sent_stops()) == 1
            assert "unknown" in [a.outcome for a in await world.records(IntentAnswered)]

    check()


@pytest.mark.parametrize("hundredths", range(0, 100, 3))
def test_a_kill_at_any_moment_of_a_placement_or_a_move_never_doubles_it(hundredths: int) -> None:
    @virtual
    async def check() -> None:
        for moving in (False, True):
            world = Protected()
            async with world:
                world.run()
                if moving:
                    await world.lives(10)
                    world.price("110")
                    await world.lives(55)
                    sent = len(world.venue.requests)
                    while len(world.venue.requests) == sent and not await _asked(world):  # noqa: ASYNC110 - the venue tells nobody
                        await asyncio.sleep(0.01)
                else:
                    while not await world.records(IntentWritten):  # noqa: ASYNC110 - the venue tells nobody
                        await asyncio.sleep(0.005)
                await asyncio.sleep(hundredths / 200)
                await world.restart()
                await world.watched(90)
                assert len(world.stops()) == 1
                assert world.most == 1

    check()


async def _asked(world: World) -> bool:
    return bool(await world.records(CancelAsked))


@virtual
async def test_a_position_that_went_while_nobody_looked_leaves_no_order():
    async with Protected(book("BTC long 2", kind="spot")) as world:
        await world.watched()
        await world.crash()
        world.venue.state.positions.clear()
        await world.open()
        await world.watched(30)
        assert world.stops() == []


@virtual
async def test_settings_that_ask_for_more_room_never_move_it_back():
    async with Protected() as world:
        await world.watched()
        await world.crash()
        world.settings = _with(world, ProtectSettings(enabled=True, behind=D("0.03")))
        await world.open()
        world.by_hand(OrderSide.SELL, "0.5")
        await world.watched(60)
        assert [(o.trigger, o.quantity) for o in world.stops()] == [(D(94), D("1.5"))]


@virtual
async def test_turned_off_they_are_cancelled_and_it_is_said():
    async with Protected() as world:
        await world.watched()
        await world.crash()
        world.settings = _with(world, OFF)
        await world.open()
        await world.watched(30)
        assert world.stops() == []
        assert await world.said("[protect] is off")


@virtual
async def test_one_that_does_not_last_or_may_only_read_places_none():
    for kind in ({"lasting": False}, {"read_only": True}):
        async with Protected(**kind) as world:
            await world.watched(60)
            assert world.sent_stops() == []
            assert not await world.records(IntentWritten)


@virtual
async def test_a_frozen_account_is_left_alone():
    async with Protected() as world:
        world.engine.frozen[ACCOUNT] = "somebody has to look"
        await world.watched(60)
        assert world.sent_stops() == []


# ------------------------------------------------------------------------------------------------ the venue's own acts


@virtual
async def test_when_it_fires_the_position_is_closed_by_the_venue_and_that_is_on_record():
    async with Protected() as world:
        await world.watched()
        world.price("93.9")
        await world.lives(40)
        assert world.flat
        (line,) = await world.said("fired at the venue")
        assert "sell 2 at 93.9, Reason: protective_stop, OUTCOME = LOSS" in line
        (closed,) = await world.records(PositionClosed)
        assert (closed.key, closed.why) == (PositionKey(ACCOUNT, SYMBOL), "protective_stop")
        assert [f.fill.quantity for f in await world.records(FillRecorded)] == [D(2)]
        assert [a.outcome for a in await world.records(IntentAnswered)] == ["acknowledged", "terminal"]


@virtual
async def test_one_that_fired_while_nobody_looked_is_told_by_the_next_life():
    async with Protected() as world:
        await world.watched()
        await world.crash()
        world.price("93.9")
        await world.open()
        await world.watched(30)
        assert world.flat
        (line,) = await world.said("fired at the venue")
        assert "OUTCOME = LOSS" in line
        assert "protective_stop" in [r.why for r in await world.records(PositionClosed)]


@virtual
async def test_one_that_fired_leaves_on_record_what_others_had_added_to_the_position():
    async with Protected() as world:
        await world.watched()
        await world.crash()
        world.by_hand(OrderSide.BUY, "0.3")
        world.price("93.9")
        await world.open()
        await world.watched(30)
        assert world.held() == {SYMBOL: D("0.3")}
        assert len(await world.said("fired at the venue")) == 1
        assert not await world.records(PositionClosed)


@virtual
async def test_it_acts_after_the_software_stop():
    async with Protected(automation=AutomationSettings(exits="auto")) as world:
        await world.watched()
        world.price("94.9")
        await world.lives(30)
        assert world.flat
        assert world.sent_stops()[0].filled == 0
        assert world.stops() == []


@virtual
async def test_one_that_somebody_cancelled_by_hand_is_placed_again_after_a_while():
    async with Protected() as world:
        await world.watched()
        (stop,) = world.stops()
        world.venue.cancel_by_hand(stop.id)
        await world.lives(50)
        assert world.stops() == []
        assert await world.said("not by this program")
        await world.lives(60)
        assert world.where() == [D(94)]


# -------------------------------------------------------------------------------------------------------- refusals


@virtual
async def test_a_venue_that_refuses_is_asked_less_and_less_and_not_for_ever():
    async with Protected() as world:
        world.faults.script("reduce_only_rejected", times=1000)
        await world.watched(1200)
        assert len(await world.records(IntentWritten)) == 5
        assert not world.flat
        assert "no protective order" in world.row().note
        assert "tried again only" in str(world.engine.publisher.engine.alarm)
        world.price("110")  # another trigger is another order
        await world.lives(700)
        assert len(await world.records(IntentWritten)) > 5
        world.faults.scripts.clear()
        world.price("130")
        await world.lives(1400)
        assert len(world.stops()) == 1
        assert world.row().note == ""


@virtual
async def test_a_cancel_that_does_not_work_leaves_the_old_one_and_no_second():
    async with Protected() as world:
        await world.watched()
        world.faults.script("cancel_fails", times=8)
        world.price("110")
        await world.lives(300)
        assert world.most == 1
        assert len(world.stops()) == 1
        assert world.where() > [D(94)]


@virtual
async def test_a_cancel_that_comes_late_is_waited_for():
    async with Protected() as world:
        await world.watched()
        world.faults.script("cancel_lag", times=3)
        world.price("110")
        await world.lives(90)
        assert world.most == 1
        assert world.where() > [D(94)]


@virtual
async def test_a_list_that_is_cut_does_not_bare_a_position():
    async with Protected() as world:
        await world.watched()
        for _ in range(6):
            world.faults.script("empty_list")
            await world.lives(31)
        assert len(world.sent_stops()) == 1
        assert len(world.stops()) == 1


@virtual
async def test_two_live_ones_become_one():
    async with Protected() as world:
        await world.watched()
        (stop,) = world.stops()
        request = OrderRequest(
            ACCOUNT, SYMBOL, OrderSide.SELL, D(2), "", OrderType.STOP, TimeInForce.GTC, None, D(90), True
        )
        name = await _another_name(world)
        await world.crash()
        world.venue.place(_named(request, name))
        assert len(world.stops()) == 2
        await world.open()
        await world.watched(30)
        assert [o.id for o in world.stops()] == [stop.id]


async def _another_name(world: World) -> str:
    """A name that the journal knows as a protective order's."""
    name = client_order_id(world.journal.epoch, "elsewhere", key(), 0, "protect", 7)
    (intent,) = await world.records(IntentWritten)
    await world.journal.append(structs.replace(intent, client_id=name, plan="elsewhere"))
    await world.journal.append(IntentAnswered("elsewhere", key(), name, "acknowledged"))
    return name


def _named(request: OrderRequest, name: str) -> OrderRequest:
    return structs.replace(request, client_id=name)


def _with(world: World, protect: ProtectSettings) -> Any:
    return structs.replace(world.settings, protect=protect)

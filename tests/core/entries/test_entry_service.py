"""Entries in virtual time: what is sent once, what is found out, what is on record, whatever the venue does."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from brokers.paper.faults import NAMES
from core.entries.report import Report
from core.entries.rules import Code, EntryDraft, EntryRequest, NotAllowed
from core.ids import client_order_id, epoch_of
from core.model import OrderRequest, OrderSide, OrderType, PositionKey, TimeInForce
from core.plans.plan import NotApproved
from core.records import EntryApproved, EntryEnded, IntentAnswered, IntentWritten, Opened, Scaled
from core.settings import CleanupSettings, EntrySettings
from tests.support.builders import ACCOUNT, SYMBOL, D
from tests.support.virtual_time import virtual
from tests.support.world import QUOTE, World, book

QUOTED = {"quotes": dict.fromkeys(("BTC", "ETH", "SOL", "XRP"), QUOTE)}
STREAMS = {"silent_stream", "stream_drops", "duplicate_events", "reordered_events"}
HANDS = {"foreign_trade", "foreign_order", "flip", "liquidation"}


def world(*positions: str, **more: Any) -> World:
    """An account with prices of four symbols; holds nothing unless told so."""
    content = book(*(positions or ("BTC long 2",)), **QUOTED, **more.pop("rules", {}))
    if not positions:
        content["positions"] = []
    return World({ACCOUNT: content}, **more)


def signal(symbol: str = "ETH", amount: str = "1", side: OrderSide = OrderSide.BUY, **more: Any) -> EntryRequest:
    given = {"leverage": D(1), "stop_pct": D("0.05"), "account": ACCOUNT, **more}
    return EntryRequest("ann", symbol, side, D(amount), **given)


async def enter(desk: World, wanted: EntryRequest, *, limit: bool = False, wait: float = 5.0) -> Report:
    draft = await desk.engine.entry_service.drafts.draft_entry(wanted, limit=limit)
    return await desk.engine.entry_service.carry_out(draft, wait=wait)


async def scaled(desk: World, quantity: str, *, inward: bool) -> Report:
    draft = await desk.engine.entry_service.drafts.draft_scaling(ACCOUNT, SYMBOL, D(quantity), inward=inward)
    return await desk.engine.entry_service.carry_out(draft)


async def refused(desk: World, wanted: EntryRequest) -> Code:
    with pytest.raises(NotAllowed) as caught:
        await enter(desk, wanted)
    return caught.value.code


async def sound(desk: World) -> None:
    """No order twice, none without its intent, and no more held than was approved."""
    venue = desk.venue
    venue.advance()
    intents = {r.client_id: r.request for r in await desk.records(IntentWritten)}
    ours = [t.order for t in venue.state.tickets.values() if t.own]
    assert len({o.client_id for o in ours}) == len(ours)
    assert all(o.client_id in intents for o in ours)
    assert all(epoch_of(name) == desk.journal.epoch and len(name) <= 32 for name in intents)
    for entry in await desk.records(EntryApproved):
        sent = {r.client_id for r in await desk.records(IntentWritten) if r.plan == entry.plan}
        assert sum((o.filled for o in ours if o.client_id in sent), D(0)) <= entry.quantity


# ------------------------------------------------------------------------------------------------------ opening


@virtual
async def test_an_entry_is_on_record_before_it_is_sent_and_after_it_is_filled():
    async with world() as desk:
        report = await enter(desk, signal(leverage=D(5)))
        assert (report.outcome, report.filled, report.average_price) == ("filled", D(1), D("100.1"))
        assert (report.verified, report.success) == (True, False), "the venue gave a leverage of 1, not 5"
        kinds = [type(e.record).__name__ for e in await desk.entries() if type(e.record).__name__ != "Logged"]
        assert kinds[:2] == ["EntryApproved", "IntentWritten"]
        assert kinds[-2:] == ["Opened", "EntryEnded"]
        (opened,) = await desk.records(Opened)
        assert (opened.quantity, opened.entry, opened.stop_pct) == (D(1), D("100.1"), D("0.05"))
        assert (opened.leverage, opened.asked_leverage) == (D(1), D(5))
        assert report.warnings == ("the position has a leverage of 1x at the venue, 5x was asked for",)
        assert desk.held() == {"ETH": D(1)}
        await sound(desk)


@virtual
async def test_a_short_is_opened_by_selling():
    async with world() as desk:
        report = await enter(desk, signal("BTC", side=OrderSide.SELL))
        assert report.success
        assert desk.held() == {"BTC": D(-1)}


@virtual
async def test_a_limit_that_nobody_takes_is_withdrawn_and_the_place_is_free_again():
    async with world() as desk:
        began = desk.clock.monotonic()
        report = await enter(desk, signal("BTC"), limit=True, wait=20)
        assert report.outcome == "not_filled"
        assert 20 <= desk.clock.monotonic() - began < 24
        assert report.entry.price == D("99.8")
        assert desk.venue.state.live == {}
        assert not (await desk.engine.ledger.read()).pending


@virtual
async def test_the_configured_offset_and_window_are_taken():
    async with world(entries=EntrySettings(duplicate_window=300.0, limit_offset=D("0.05"))) as desk:
        report = await enter(desk, signal("BTC"), limit=True, wait=20)
        assert report.entry.price == D("94.9")
        await asyncio.sleep(250)
        assert await refused(desk, signal("BTC")) is Code.DUPLICATE_SIGNAL
        await asyncio.sleep(60)
        assert (await enter(desk, signal("BTC"))).success


@virtual
async def test_a_limit_that_the_market_reaches_is_filled():
    async with world() as desk:
        task = asyncio.create_task(enter(desk, signal(), limit=True, wait=20))
        await asyncio.sleep(5)
        desk.venue.set_quote("ETH", bid=D("99.5"), ask=D("99.7"))
        report = await task
        assert report.success
        assert desk.held() == {"ETH": D(1)}


@virtual
async def test_a_size_below_the_minimum_is_not_opened():
    async with world(rules={"min_quantity": "0.5"}) as desk:
        wanted = signal("BTC", "0.2")
        assert await refused(desk, wanted) is Code.BELOW_MINIMUM
        assert await refused(desk, signal("ETH", "0.000000001")) is Code.BELOW_MINIMUM


@virtual
async def test_without_a_price_nothing_is_opened():
    async with world() as desk:
        assert await refused(desk, signal("NOPE")) is Code.UNKNOWN_SYMBOL
        desk.faults.script("bad_price", times=5)
        assert await refused(desk, signal()) is Code.NO_PRICE
        assert not await desk.records(EntryApproved)


@virtual
async def test_the_same_signal_again_within_a_minute_is_refused():
    async with world() as desk:
        await enter(desk, signal("BTC"))
        await desk.flatten()
        assert await refused(desk, signal("BTC")) is Code.DUPLICATE_SIGNAL
        assert (await enter(desk, signal("BTC", side=OrderSide.SELL))).success
        await desk.flatten()
        await asyncio.sleep(60)
        assert (await enter(desk, signal("BTC"))).success


@virtual
async def test_entries_begun_at_once_do_not_exceed_the_cap():
    async with world(cleanup=CleanupSettings(max_positions=2)) as desk:
        drafts = [await desk.engine.entry_service.drafts.draft_entry(signal(s)) for s in ("BTC", "ETH", "SOL", "XRP")]
        ends = await asyncio.gather(*(desk.engine.entry_service.carry_out(d) for d in drafts), return_exceptions=True)
        assert sum(isinstance(e, Report) and e.success for e in ends) == 2
        assert [e.code for e in ends if isinstance(e, NotAllowed)] == [Code.CAP_REACHED] * 2
        assert len(desk.held()) == 2


@virtual
async def test_an_entry_that_the_broker_does_not_show_yet_counts_against_the_cap():
    async with world(cleanup=CleanupSettings(max_positions=1)) as desk:
        desk.faults.script("lose_response")
        task = asyncio.create_task(enter(desk, signal()))
        await asyncio.sleep(0.15)
        assert await refused(desk, signal("BTC")) is Code.CAP_REACHED
        assert (await task).success


@virtual
async def test_while_a_close_is_in_progress_nothing_is_opened_in_the_symbol():
    async with world("BTC long 2") as desk:
        closing = desk.begin()
        await asyncio.sleep(0.06)
        codes = [no.code for no in await desk.engine.entry_service.drafts.find_refusals(signal("BTC"))]
        assert codes[0] is Code.CLOSING
        await closing


@virtual
async def test_a_draft_is_not_sent_when_the_position_is_not_what_was_shown():
    async with world("BTC long 2") as desk:
        drafts = desk.engine.entry_service.drafts
        opening = await drafts.draft_entry(signal())
        scaling = await drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=True)
        desk.by_hand(OrderSide.BUY, "1", "ETH")
        desk.by_hand(OrderSide.BUY, "1")
        for draft in (opening, scaling):
            with pytest.raises(NotAllowed) as caught:
                await desk.engine.entry_service.carry_out(draft)
            assert caught.value.code is Code.CHANGED
        assert not await desk.records(EntryApproved)


@virtual
async def test_a_read_only_engine_opens_nothing():
    async with world(read_only=True) as desk:
        with pytest.raises(NotApproved):
            await enter(desk, signal())


@virtual
async def test_a_frozen_account_takes_no_entry():
    async with world() as desk:
        desk.engine.frozen[ACCOUNT] = "look at it"
        assert await refused(desk, signal()) is Code.ACCOUNT_FROZEN


@virtual
async def test_where_the_journal_cannot_be_written_nothing_is_sent():
    async with world() as desk:
        draft = await desk.engine.entry_service.drafts.draft_entry(signal())
        desk.database.failure = "disk full"
        with pytest.raises(Exception, match="disk full"):
            await desk.engine.entry_service.carry_out(draft)
        assert not desk.venue.requests


# ------------------------------------------------------------------------------------------------------ scaling


@virtual
async def test_adding_averages_the_entry_and_taking_off_keeps_it_and_realises():
    async with world("BTC long 2") as desk:
        report = await scaled(desk, "2", inward=True)
        assert report.success
        assert report.position is not None
        assert report.position.entry == D("95.05")  # (2 · 90 + 2 · 100.1) / 4
        report = await scaled(desk, "1", inward=False)
        assert (report.success, report.realised) == (True, D("4.85"))  # 99.9 − 95.05
        assert desk.held() == {"BTC": D(3)}
        assert [(r.quantity, r.entry) for r in await desk.records(Scaled)] == [(D(4), D("95.05")), (D(3), D("95.05"))]
        sides = [r.request.reduce_only for r in await desk.records(IntentWritten)]
        assert sides == [False, True]
        await sound(desk)


@virtual
async def test_a_part_of_a_short_is_bought_back():
    async with world("BTC short 2") as desk:
        report = await scaled(desk, "0.5", inward=False)
        assert (report.realised, desk.held()) == (D("-5.05"), {"BTC": D("-1.5")})
        assert (await scaled(desk, "0.5", inward=True)).success
        assert desk.held() == {"BTC": D(-2)}


@virtual
async def test_a_part_below_the_minimum_is_raised_to_it():
    async with world("BTC long 2", rules={"min_quantity": "0.5"}) as desk:
        for inward in (True, False):
            draft = await desk.engine.entry_service.drafts.draft_scaling(ACCOUNT, SYMBOL, D("0.1"), inward=inward)
            assert (draft.quantity, draft.warnings) == (
                D("0.5"),
                ("0.1 is below the venue's minimum and is raised to it: 0.5",),
            )


@pytest.mark.parametrize(("quantity", "least"), [("2", "0.1"), ("5", "0.1"), ("0.1", "2")])
def test_a_part_that_is_all_of_it_is_a_close(quantity: str, least: str) -> None:
    @virtual
    async def check() -> None:
        async with world("BTC long 2", rules={"min_quantity": least}) as desk:
            draft = await desk.engine.entry_service.drafts.draft_scaling(ACCOUNT, SYMBOL, D(quantity), inward=False)
            assert (draft.kind, draft.quantity) == ("close", D(2))

    check()


@pytest.mark.parametrize(
    ("symbol", "quantity", "code"),
    [("ETH", "1", Code.NO_POSITION), (SYMBOL, "0", Code.AMOUNT), (SYMBOL, "-1", Code.AMOUNT)],
)
def test_what_cannot_be_scaled_is_refused(symbol: str, quantity: str, code: Code) -> None:
    @virtual
    async def check() -> None:
        async with world("BTC long 2") as desk:
            with pytest.raises(NotAllowed) as caught:
                await desk.engine.entry_service.drafts.draft_scaling(ACCOUNT, symbol, D(quantity), inward=True)
            assert caught.value.code is code

    check()


@virtual
async def test_what_open_orders_hold_is_not_taken_off():
    resting = {"id": "o1", "symbol": "BTC", "side": "sell", "quantity": "1.5", "price": "120", "type": "limit"}
    async with world("BTC long 2", rules={"kind": "spot", "orders": [resting]}) as desk:
        with pytest.raises(NotAllowed, match=r"0\.5 of 2 BTC is free") as caught:
            await scaled(desk, "1", inward=False)
        assert caught.value.code is Code.HELD
        assert (await scaled(desk, "0.5", inward=False)).success


# ------------------------------------------------------------------------------------------------- unknown ends


@virtual
async def test_a_lost_answer_is_looked_up_and_never_sent_again():
    async with world() as desk:
        desk.faults.script("lose_response")
        report = await enter(desk, signal())
        assert report.success
        assert len(await desk.records(IntentWritten)) == 1
        assert [r.outcome for r in await desk.records(IntentAnswered)] == ["unknown", "terminal"]


@virtual
async def test_nothing_is_opened_beside_an_order_of_ours_that_the_journal_does_not_know():
    """A journal that was restored from a copy has the epoch of the orders that it lost."""
    async with world() as desk:
        draft = await desk.engine.entry_service.drafts.draft_entry(signal())
        lost = client_order_id(desk.journal.epoch, "lost", PositionKey(ACCOUNT, SYMBOL), 0, "protect", 0)
        given = {"type": OrderType.LIMIT, "tif": TimeInForce.GTC, "price": D(50)}
        desk.venue.place_by_hand(OrderRequest(ACCOUNT, SYMBOL, OrderSide.BUY, D(1), lost, **given))
        with pytest.raises(NotAllowed, match="another flatdeck's") as caught:
            await desk.engine.entry_service.carry_out(draft)
        assert caught.value.code is Code.ACCOUNT_FROZEN
        assert await desk.records(IntentWritten) == []


@virtual
async def test_a_lost_request_is_proven_never_to_have_been_executed():
    async with world() as desk:
        desk.faults.script("lose_request")
        began = desk.clock.monotonic()
        report = await enter(desk, signal())
        assert report.outcome == "not_sent"
        assert desk.clock.monotonic() - began > 2, "not before its own expiry"
        assert desk.held() == {}


@virtual
async def test_a_request_that_arrives_late_is_found():
    async with world() as desk:
        desk.faults.script("late_execution")
        assert (await enter(desk, signal())).success
        await sound(desk)


@virtual
async def test_a_venue_without_market_orders_that_end_at_once_is_given_the_next_kind():
    async with world() as desk:
        desk.faults.script("reject_ioc")
        assert (await enter(desk, signal())).success
        tifs = [r.request.tif.value for r in await desk.records(IntentWritten)]
        assert tifs == ["ioc", "gtc"]


@virtual
async def test_what_nobody_can_say_stays_on_its_way_and_the_next_start_finds_it_out():
    async with world(expires=False) as desk:
        desk.faults.script("lose_request")
        report = await enter(desk, signal())
        assert report.outcome == "unknown"
        assert await desk.records(EntryEnded) == []
        assert await refused(desk, signal()) is Code.ENTRY_PENDING
        desk.expires = True
        await desk.restart()
        (ended,) = await desk.records(EntryEnded)
        assert ended.outcome == "not_sent"


@pytest.mark.parametrize("times", [1, 10_000])
@pytest.mark.parametrize("name", sorted(NAMES - STREAMS - HANDS))
def test_whatever_strikes_an_entry_has_an_end_that_is_true(name: str, times: int) -> None:
    @virtual
    async def check() -> None:
        async with world() as desk:
            draft = await desk.engine.entry_service.drafts.draft_entry(signal(amount="2"))
            desk.faults.script(name, times=times)
            began = desk.clock.monotonic()
            try:
                report = await desk.engine.entry_service.carry_out(draft)
            except NotAllowed:
                report = None
            assert desk.clock.monotonic() - began < 300, "every wait has a limit"
            desk.faults.clear()
            await asyncio.sleep(10)
            held = desk.held().get("ETH", D(0))
            if report is None:
                assert held == 0
            elif report.outcome != "unknown":
                assert held == report.filled
            await sound(desk)
            await desk.restart()
            assert not (await desk.engine.ledger.read()).pending, "a start without faults settles it"
            believed = (await desk.engine.ledger.read()).held.get(PositionKey(ACCOUNT, "ETH"))
            assert (believed.quantity if believed else D(0)) == desk.held().get("ETH", D(0))
            await sound(desk)

    check()


@pytest.mark.parametrize("kind", ["open", "scale_in", "scale_out"])
@pytest.mark.parametrize("hundredths", range(1, 40, 3))
def test_after_a_crash_at_any_moment_the_next_start_knows_what_became_of_it(hundredths: int, kind: str) -> None:
    @virtual
    async def check() -> None:
        positions = () if kind == "open" else ("BTC long 2",)
        async with world(*positions) as desk:
            drafts = desk.engine.entry_service.drafts
            draft: EntryDraft
            if kind == "open":
                draft = await drafts.draft_entry(signal("BTC"))
            else:
                draft = await drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=kind == "scale_in")
            task = asyncio.create_task(desk.engine.entry_service.carry_out(draft))
            await asyncio.sleep(hundredths / 100)
            task.cancel()
            await desk.restart()
            ledger = await desk.engine.ledger.read()
            assert not ledger.pending
            filled = sum((e.filled for e in await desk.records(EntryEnded)), D(0))
            change = -filled if kind == "scale_out" else filled
            assert desk.held().get("BTC", D(0)) == draft.before + change
            await sound(desk)

    check()


@virtual
async def test_a_close_of_the_same_symbol_goes_first_and_the_resting_entry_is_withdrawn():
    async with world("BTC long 2") as desk:
        draft = await desk.engine.entry_service.drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=True)
        resting = EntryDraft(**{f: getattr(draft, f) for f in draft.__struct_fields__} | {"price": Decimal("99.5")})
        adding = asyncio.create_task(desk.engine.entry_service.carry_out(resting, wait=60))
        await asyncio.sleep(1)
        began = desk.clock.monotonic()
        await desk.engine.read_all()  # what a stream would have told by now
        await desk.flatten()
        report = await adding
        assert report.outcome == "not_filled"
        assert desk.clock.monotonic() - began < 10
        assert desk.flat

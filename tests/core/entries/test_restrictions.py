"""The kill switch and the accounts' states: entries are held back at any moment, and nothing that reduces ever is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from brokers.paper.venue import CANCEL
from core.engine.commands import run_command
from core.entries.report import Report
from core.entries.rules import Code, EntryRequest, NotAllowed
from core.errors import JournalError
from core.link.messages import Rejected
from core.link.requests import Answered
from core.link.restrict import Halt, HaltRow, Resume, SetAccountState
from core.model import Instrument, Kind, Leg, OrderRequest, OrderSide, OrderType
from core.orders.restrictions import could_open
from core.plans.plan import NotApproved
from core.plans.request import PlanRequest
from core.records import EntryEnded, Halted, IntentWritten, Resumed
from tests.support.builders import ACCOUNT, SYMBOL, D
from tests.support.virtual_time import BEGIN, DAWN, virtual
from tests.support.world import QUOTE, World, book, resting

OTHER = "ann/other"
QUOTES = {"quotes": dict.fromkeys(("BTC", "ETH"), QUOTE)}


def world(*accounts: str, **more: Any) -> World:
    """Accounts that hold 2 BTC each and have a price of ETH."""
    return World({a: book("BTC long 2", **QUOTES) for a in accounts or (ACCOUNT,)}, **more)


def signal(symbol: str = "ETH", account: str | None = ACCOUNT) -> EntryRequest:
    return EntryRequest("ann", symbol, OrderSide.BUY, D(1), D(1), D("0.05"), account)


async def codes(desk: World, wanted: EntryRequest) -> list[Code]:
    return [no.code for no in await desk.engine.entry_service.drafts.find_refusals(wanted)]


async def enter(desk: World, *, limit: bool = False) -> Report:
    draft = await desk.engine.entry_service.drafts.draft_entry(signal(), limit=limit)
    return await desk.engine.entry_service.carry_out(draft, wait=20)


async def scale(desk: World, quantity: str, *, inward: bool) -> Report:
    draft = await desk.engine.entry_service.drafts.draft_scaling(ACCOUNT, SYMBOL, D(quantity), inward=inward)
    return await desk.engine.entry_service.carry_out(draft)


async def refused(work: Any) -> Code:
    with pytest.raises(NotAllowed) as caught:
        await work
    return caught.value.code


# ------------------------------------------------------------------------------------------------- the kill switch


@virtual
async def test_a_halt_refuses_every_entry_first_of_all_and_lets_everything_else_through():
    async with world() as desk:
        assert await run_command(desk.engine, Halt("the news")) == Answered(True)
        assert (await codes(desk, signal(SYMBOL)))[:2] == [Code.HALTED, Code.POSITION_EXISTS]
        assert (await codes(desk, signal(account=None)))[:1] == [Code.HALTED]
        assert await refused(enter(desk)) is Code.HALTED
        assert await refused(scale(desk, "1", inward=True)) is Code.HALTED
        assert await refused(scale(desk, "-1", inward=True)) is Code.HALTED
        assert (await scale(desk, "1", inward=False)).success
        assert (await desk.flatten()).success
        assert desk.flat
        assert {s.symbol for s in desk.venue.requests} == {SYMBOL}


@virtual
async def test_a_halt_outlasts_a_restart_and_a_resume_ends_it():
    async with world() as desk:
        await run_command(desk.engine, Halt("the news"))
        first = desk.engine.snapshot().engine.halted
        assert first == HaltRow("the news", DAWN + timedelta(seconds=desk.clock.monotonic() - BEGIN), "person")
        engine = await desk.restart(after=60)
        assert engine.snapshot().engine.halted == first
        assert await refused(enter(desk)) is Code.HALTED
        assert await run_command(engine, Halt("again")) == Answered(False)
        assert engine.snapshot().engine.halted == first, "the second halt changes nothing"
        assert len(await desk.records(Halted)) == 1

        assert await run_command(engine, Resume()) == Answered(True)
        assert await run_command(engine, Resume()) == Answered(False)
        assert engine.snapshot().engine.halted is None
        assert len(await desk.records(Resumed)) == 1
        await desk.restart()
        assert (await enter(desk)).success


@virtual
async def test_a_halt_that_is_not_durable_holds_here_and_is_written_by_the_next_call():
    async with world() as desk:
        desk.database.failure = "disk full"
        answer = await run_command(desk.engine, Halt("the news"))
        assert isinstance(answer, Rejected)
        assert "disk full" in answer.text
        assert await codes(desk, signal()) == [Code.HALTED]
        desk.database.failure = None
        assert await desk.engine.restrictions.halt("again") is False
        (written,) = await desk.records(Halted)
        assert written.reason == "the news"


@virtual
async def test_a_resume_that_is_not_durable_leaves_trading_halted():
    async with world() as desk:
        await desk.engine.restrictions.halt()
        desk.database.failure = "disk full"
        with pytest.raises(JournalError):
            await desk.engine.restrictions.resume()
        assert await codes(desk, signal()) == [Code.HALTED]


@virtual
async def test_a_halt_asked_for_during_a_resume_holds_in_the_end():
    async with world() as desk:
        await desk.engine.restrictions.halt("first")
        desk.database.pause = 1.0
        await asyncio.gather(desk.engine.restrictions.resume(), desk.engine.restrictions.halt("second"))
        assert desk.engine.restrictions.halted is not None
        desk.database.pause = 0.0
        await desk.restart()
        assert await codes(desk, signal()) == [Code.HALTED]


@virtual
async def test_a_read_only_engine_halts_nothing():
    async with world(read_only=True) as desk:
        answer = await run_command(desk.engine, Halt())
        assert isinstance(answer, Rejected)
        assert answer.code == "read_only"
        with pytest.raises(NotApproved):
            await desk.engine.restrictions.set_account(ACCOUNT, "locked")


@virtual
async def test_where_the_journal_cannot_tell_of_a_halt_no_entry_is_allowed():
    async with world() as desk:
        desk.engine.restrictions.unknown = "the disk does not answer"
        assert await codes(desk, signal()) == [Code.HALTED]


@pytest.mark.parametrize("limit", [False, True])
@pytest.mark.parametrize("after", [n / 20 for n in range(16)])
@virtual
async def test_whenever_a_halt_comes_no_entry_leaves_after_it_and_the_sent_one_is_looked_after(
    after: float, limit: bool
):
    async with world() as desk:
        desk.database.pause = 0.05
        entering = asyncio.create_task(enter(desk, limit=limit))
        await asyncio.sleep(after)
        await desk.engine.restrictions.halt("the news")
        halted = desk.clock.monotonic()
        report = (await asyncio.gather(entering, return_exceptions=True))[0]
        late = [s for s in desk.venue.requests if s.call != CANCEL and s.at > halted + desk.latency]
        assert not late
        if isinstance(report, BaseException):
            assert isinstance(report, NotAllowed)
            assert report.code is Code.HALTED
        elif report.outcome in ("not_sent", "not_filled"):
            assert "trading is halted: the news" in str(report.error)
            assert desk.clock.monotonic() < halted + 5, "a resting order is withdrawn at once"
        else:
            assert report.success
        assert not desk.venue.state.live
        assert not (await desk.engine.ledger.read()).pending
        assert len(await desk.records(IntentWritten)) <= 1


@virtual
async def test_a_resting_entry_is_withdrawn_by_a_halt_and_its_end_is_on_record():
    async with world() as desk:
        entering = asyncio.create_task(enter(desk, limit=True))
        await asyncio.sleep(3)
        await desk.engine.restrictions.halt("the news")
        assert (await entering).outcome == "not_filled"
        (ended,) = await desk.records(EntryEnded)
        assert "trading is halted: the news" in str(ended.error)


# ---------------------------------------------------------------------------------------------- accounts' states


@pytest.mark.parametrize(("state", "code"), [("close-only", Code.CLOSE_ONLY), ("locked", Code.LOCKED)])
@virtual
async def test_an_account_that_only_closes_takes_no_entry_and_everything_that_reduces(state: str, code: Code):
    async with world(ACCOUNT, OTHER) as desk:
        assert await run_command(desk.engine, SetAccountState(ACCOUNT, state, "enough")) == Answered(True)
        row = next(a for a in desk.engine.snapshot().accounts if a.id == ACCOUNT)
        assert (row.trading.state, row.trading.reason, row.trading.until) == (state, "enough", None)
        assert await codes(desk, signal()) == [code]
        assert await codes(desk, signal(account=None)) == [], "the other account is enabled"
        await desk.restart()
        assert await refused(enter(desk)) is code
        assert await refused(scale(desk, "1", inward=True)) is code
        assert (await scale(desk, "1", inward=False)).success
        assert (await desk.flatten(PlanRequest("flatten", accounts=(ACCOUNT,)))).success
        await desk.engine.restrictions.set_account(ACCOUNT, "enabled")
        await desk.restart()
        assert (await enter(desk)).success


@virtual
async def test_an_owner_whose_accounts_are_frozen_or_locked_has_none_to_open_at():
    async with world(ACCOUNT, OTHER) as desk:
        await desk.engine.restrictions.set_account(ACCOUNT, "locked")
        desk.engine.frozen[OTHER] = "look at it"
        assert await codes(desk, signal(account=None)) == [Code.LOCKED]


@virtual
async def test_a_state_with_an_end_ends_by_itself_also_after_a_restart():
    async with world() as desk:
        until = desk.clock.now() + timedelta(seconds=100)
        await desk.engine.restrictions.set_account(ACCOUNT, "locked", "", until)
        await desk.restart(after=50)
        (no,) = await desk.engine.entry_service.drafts.find_refusals(signal())
        assert no.code is Code.LOCKED
        assert "until 2" in no.text
        await asyncio.sleep(60)
        assert await codes(desk, signal()) == []
        assert desk.engine.snapshot().accounts[0].trading.state == "enabled"


@virtual
async def test_an_account_or_a_state_that_is_not_known_is_refused():
    async with world() as desk:
        for wrong in (SetAccountState("ann/nobody", "locked"), SetAccountState(ACCOUNT, "shut")):
            assert isinstance(await run_command(desk.engine, wrong), Rejected)


# --------------------------------------------------------------------------------------------- protective orders


@pytest.mark.parametrize(
    ("kind", "side", "more", "opens"),
    [
        (Kind.FUTURE, OrderSide.SELL, {}, True),
        (Kind.FUTURE, OrderSide.SELL, {"reduce_only": True}, False),
        (Kind.FUTURE, OrderSide.SELL, {"leg": Leg.LONG}, False),
        (Kind.SPOT, OrderSide.SELL, {}, False),
        (Kind.EQUITY, OrderSide.SELL, {}, False),
        (Kind.EQUITY, OrderSide.BUY, {}, True),
        (Kind.OPTION, OrderSide.BUY, {}, True),
        (None, OrderSide.SELL, {}, True),
    ],
)
def test_a_protective_order_could_open_where_nothing_keeps_it(
    kind: Kind | None, side: OrderSide, more: dict[str, Any], opens: bool
):
    request = OrderRequest(ACCOUNT, SYMBOL, side, D(1), "fd1", OrderType.STOP, trigger=D(80), **more)
    assert could_open(request, None if kind is None else Instrument(SYMBOL, SYMBOL, kind)) is opens


@pytest.mark.parametrize("reduce_only", [True, False])
@virtual
async def test_a_halt_keeps_back_only_a_users_stop_that_could_open(reduce_only: bool):
    stop = {**resting(), "reduce_only": reduce_only}
    desk = World({ACCOUNT: book("BTC long 2", kind="future", orders=[stop])})
    async with desk:
        await desk.engine.restrictions.halt("the news")
        desk.faults.probabilities |= dict.fromkeys(
            ("reject_ioc", "reject_gtc", "reject_fok", "reject_limit", "reject_close_call", "reject_direct"), 1.0
        )
        report = await desk.flatten()
        assert not report.success
        assert bool(desk.venue.state.live) is reduce_only
        if not reduce_only:
            assert "trading is halted: the news" in str(report.results[0].error)

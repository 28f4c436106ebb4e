"""One order of an entry at a venue that contradicts itself, hangs or forgets: found out, withdrawn, or left unknown."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from typing import Any

import pytest

from core.entries.drafts import EntryDrafter
from core.entries.order_runner import EntryOrderRunner, OrderResult
from core.entries.rules import Code, EntryRequest, NotAllowed
from core.entries.service import explained
from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.ids import Ids
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger
from core.model import Instrument, Kind, Order, OrderRequest, OrderSide, OrderStatus, OrderType, PositionKey
from core.orders.account_reader import AccountReader
from core.orders.submit import Timeouts
from core.records import Entry, EntryApproved, EntryEnded, IntentAnswered, IntentWritten
from tests.support.builders import ACCOUNT, SYMBOL, D, holdings
from tests.support.fake_broker import HANG, FakeBroker
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import DAWN, VirtualClock, virtual
from tests.support.world import World, book

ENTRY = EntryApproved("e1", "ann", PositionKey(ACCOUNT, SYMBOL), "open", OrderSide.BUY, D(2), "person", DAWN)
PATIENT = Timeouts(5.0, 20.0)
NOTHING = {**book(), "positions": []}


def order(filled: str = "0", status: OrderStatus = OrderStatus.OPEN, id_: str = "o1", **more: Any) -> Order:
    price = D(100) if D(filled) > 0 else None
    return Order(
        ACCOUNT, SYMBOL, id_, OrderSide.BUY, D(2), D(filled), status, OrderType.MARKET, average_price=price, **more
    )


FILLED = order("2", OrderStatus.FILLED)
EXPIRED = order("0", OrderStatus.EXPIRED)


async def hand(**answers: list[Any]) -> tuple[EntryOrderRunner, FakeBroker, Journal]:
    clock = VirtualClock()
    broker = FakeBroker(holdings=[holdings()], **answers)
    journal = await Journal.over(MemoryDatabase(), clock, Ids(clock, random.Random(1)))
    return EntryOrderRunner(broker, AccountReader(broker, clock, lambda _: None), journal, clock), broker, journal


async def placed(patience: Timeouts = PATIENT, **answers: list[Any]) -> tuple[OrderResult, FakeBroker, list[str]]:
    """How an entry ends at a venue that answers so, and the outcomes on record."""
    placer, broker, journal = await hand(**answers)
    end = await placer.place_order(ENTRY, frozenset(), patience)
    await placer.end_entry(ENTRY, EntryEnded(ENTRY.plan, ENTRY.key, end.outcome))
    entries = [e.record for e in await journal.entries()]
    return end, broker, [r.outcome for r in entries if isinstance(r, IntentAnswered)]


@virtual
async def test_a_name_that_exists_already_is_looked_up():
    end, broker, told = await placed(submit=[Refused(Refusal.DUPLICATE, "exists")], find_order=[FILLED])
    assert (end.outcome, told) == ("filled", ["unknown", "terminal"])
    assert broker.calls["submit"] == 1


@virtual
async def test_a_definite_no_is_the_end():
    end, broker, told = await placed(submit=[Refused(Refusal.OTHER, "no margin")])
    assert (end.outcome, end.text, told) == ("refused", "no margin", ["refused"])
    end, broker, told = await placed(submit=[Unreachable("no such host")])
    assert (end.outcome, told, broker.calls["submit"]) == ("unreachable", ["unreachable"], 1)


@virtual
async def test_an_entry_does_not_leave_when_a_close_comes_first():
    end, broker, told = await placed(Timeouts(5.0, 20.0, lambda: True), submit=[FILLED])
    assert (end.outcome, told, broker.calls["submit"]) == ("not_sent", ["unreachable"], 0)


@virtual
async def test_every_kind_of_order_is_tried_where_none_is_taken():
    end, broker, _ = await placed(submit=[Refused(Refusal.UNSUPPORTED, "not here")])
    assert end.outcome == "refused"
    assert [r.tif.value for name, r in broker.asked if name == "submit"] == ["ioc", "gtc", "day"]
    assert len({r.client_id for name, r in broker.asked if name == "submit"}) == 3


@pytest.mark.parametrize("answer", [order(status=OrderStatus.UNKNOWN), order(id_=""), HANG, ValueError("a bug")])
def test_an_answer_that_is_none_is_looked_up(answer: Any) -> None:
    @virtual
    async def check() -> None:
        end, broker, told = await placed(submit=[answer], find_order=[FILLED])
        assert (end.outcome, told[0], broker.calls["submit"]) == ("filled", "unknown", 1)

    check()


@virtual
async def test_failing_to_ask_is_not_the_same_as_not_found():
    end, _, told = await placed(submit=[OutcomeUnknown("lost")], find_order=[Unreachable("down")])
    assert (end.outcome, end.text, told) == ("unknown", "down", ["unknown"])


@virtual
async def test_a_live_order_is_withdrawn_in_time_and_its_part_counts():
    part = order("0.5", OrderStatus.CANCELLED)
    end, broker, _ = await placed(submit=[order()], find_order=[order("0.5")] * 8 + [part])
    assert (end.outcome, end.order.filled if end.order else None) == ("partial", D("0.5"))
    assert broker.calls["cancel"] >= 1


@virtual
async def test_a_cancel_that_fails_is_asked_again_and_one_that_never_works_is_unknown():
    end, broker, told = await placed(submit=[order()], find_order=[order()], cancel=[Refused(Refusal.OTHER, "not now")])
    assert (end.outcome, told) == ("unknown", ["acknowledged"])
    assert "its cancel was not confirmed: not now" in end.text
    assert broker.calls["cancel"] > 5


@virtual
async def test_a_fill_never_falls_whatever_is_said_later():
    end, _, _ = await placed(submit=[order("1.5")], find_order=[order("0", OrderStatus.EXPIRED)])
    assert (end.outcome, end.order.filled if end.order else None) == ("partial", D("1.5"))


@virtual
async def test_a_fill_that_is_told_after_the_end_counts():
    end, _, _ = await placed(submit=[EXPIRED], find_order=[Unreachable("down"), EXPIRED, None, FILLED])
    assert end.outcome == "filled"


@virtual
async def test_a_rejected_order_is_not_waited_for():
    end, broker, _ = await placed(submit=[order(status=OrderStatus.REJECTED, text="margin")])
    assert (end.outcome, end.text, broker.calls["find_order"]) == ("refused", "margin", 0)


@virtual
async def test_asking_for_a_live_order_may_fail_for_a_while():
    end, _, _ = await placed(submit=[order()], find_order=[Unreachable("down"), None, FILLED])
    assert end.outcome == "filled"


# ------------------------------------------------------------------------------------------------- taking it up


async def resumed(*outcomes: tuple[str, Order | None], **answers: list[Any]) -> OrderResult:
    placer, _, _ = await hand(**answers)
    request = OrderRequest(ACCOUNT, SYMBOL, OrderSide.BUY, D(2), "fd1")
    records: list[Any] = [IntentWritten("e1", ENTRY.key, request.client_id, 0, 1, None, request, D(0), DAWN)]
    records += [IntentAnswered("e1", ENTRY.key, request.client_id, o, at, "said so") for o, at in outcomes]
    written = [Entry(n, DAWN, record) for n, record in enumerate(records)]
    return await placer.resume_order(ENTRY, written, Timeouts(0, 20))


@pytest.mark.parametrize(
    ("outcomes", "answers", "expected"),
    [
        ([("terminal", FILLED)], {}, "filled"),
        ([("acknowledged", order()), ("terminal", EXPIRED)], {}, "not_filled"),
        ([("refused", None)], {}, "refused"),
        ([("unreachable", None)], {}, "unreachable"),
        ([("unknown", None), ("not_found", None)], {}, "not_sent"),
        ([("acknowledged", order())], {"find_order": [order(), order("2", OrderStatus.FILLED)]}, "filled"),
        ([("unknown", None)], {"find_order": [order(), order(status=OrderStatus.CANCELLED)]}, "not_filled"),
        ([], {"find_order": [FILLED]}, "filled"),
    ],
)
def test_a_restart_goes_by_the_last_word_on_record(
    outcomes: list[tuple[str, Order | None]], answers: dict[str, list[Any]], expected: str
) -> None:
    @virtual
    async def check() -> None:
        assert (await resumed(*outcomes, **answers)).outcome == expected

    check()


@virtual
async def test_nothing_on_record_means_that_nothing_was_sent():
    placer, broker, _ = await hand()
    assert (await placer.resume_order(ENTRY, [], PATIENT)).outcome == "not_sent"
    assert not broker.calls


@pytest.mark.parametrize(
    ("missing", "kind", "expected"),
    [
        ("0", Kind.PERP, True),
        ("0.01", Kind.SPOT, True),
        ("0.02", Kind.SPOT, True),
        ("0.021", Kind.SPOT, False),
        ("0.01", Kind.PERP, False),
        ("-0.01", Kind.SPOT, False),
    ],
)
def test_a_spot_venue_may_keep_its_fee_out_of_what_was_bought(missing: str, kind: Kind, expected: bool) -> None:
    assert explained(D(missing), D(2), Instrument(SYMBOL, SYMBOL, kind)) is expected


# ------------------------------------------------------------------------------------------------------- drafts


def signal(symbol: str = "BTC", **more: Any) -> EntryRequest:
    given = {"amount": D(1), "leverage": D(1), "stop_pct": D("0.05"), "account": ACCOUNT, **more}
    return EntryRequest("ann", symbol, OrderSide.BUY, **given)


async def no(work: Any) -> Code:
    with pytest.raises(NotAllowed) as caught:
        await work
    return caught.value.code


def drafter(world: World, broker: FakeBroker) -> EntryDrafter:
    engine = world.engine
    given = (engine.settings, engine.clock, engine.book, {ACCOUNT: broker}, PositionLedger(None), engine.restrictions)
    return EntryDrafter(*given, frozen=engine.frozen, situation=engine.situation, view=engine.exits.view)


@virtual
async def test_a_symbol_that_the_venue_says_it_does_not_know_is_refused_by_the_gate():
    broker = FakeBroker(quotes=[Refused(Refusal.UNKNOWN_SYMBOL, "no such symbol")])
    async with World({ACCOUNT: NOTHING}) as desk:
        drafts = drafter(desk, broker)
        assert await no(drafts.draft_entry(signal("NOPE"))) is Code.UNKNOWN_SYMBOL


@virtual
async def test_asking_for_a_price_that_fails_is_no_price_and_says_nothing_of_the_symbol():
    broker = FakeBroker(quotes=[Unreachable("down")])
    async with World({ACCOUNT: NOTHING}) as desk:
        drafts = drafter(desk, broker)
        assert [found.code for found in await drafts.find_refusals(signal())] == [Code.NO_PRICE]
        assert await no(drafts.draft_entry(signal())) is Code.NO_PRICE


@virtual
async def test_scaling_is_refused_where_something_is_under_way_or_not_known():
    async with World({ACCOUNT: book("BTC long 2")}) as desk:
        drafts = desk.engine.entry_service.drafts
        desk.engine.frozen[ACCOUNT] = "look"
        assert await no(drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=True)) is Code.ACCOUNT_FROZEN
        desk.engine.frozen.clear()
        closing = desk.begin()
        await desk.clock.sleep(0.06)
        assert await no(drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=True)) is Code.CLOSING
        await closing
    content = book("BTC long 2", "BTC short 1", hedge=True)
    content["instruments"] = content["instruments"][:1]
    async with World({ACCOUNT: content}) as desk:
        drafts = desk.engine.entry_service.drafts
        assert await no(drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=True)) is Code.SEVERAL_POSITIONS
        desk.faults.script("read_fails", times=9)
        await desk.engine.read_all()
        assert await no(drafts.draft_scaling(ACCOUNT, SYMBOL, D(1), inward=True)) is Code.ACCOUNT_UNREADABLE


@virtual
async def test_what_cannot_be_traded_is_not_opened():
    content = {**book("BTC long 2", tradable=False), "positions": []}
    async with World({ACCOUNT: content}) as desk:
        assert await no(desk.engine.entry_service.drafts.draft_entry(signal())) is Code.NOT_TRADABLE


@virtual
async def test_in_hedge_mode_a_position_is_opened_on_its_own_leg():
    content = {**book("BTC long 2", "ETH long 2", hedge=True)}
    content["positions"] = content["positions"][1:]
    async with World({ACCOUNT: content}) as desk:
        opener = desk.engine.entry_service
        report = await opener.carry_out(await opener.drafts.draft_entry(signal()))
        assert report.success
        assert report.entry.key.leg.value == "long"

"""The closer performs what the ladder asks for: journal first, one event for whatever a call ends in, no surprises."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from core.closing.ladder_runner import LadderRunner
from core.errors import InvariantBroken, OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import BrokerEvent, QuoteSeen
from core.ids import Ids, is_ours
from core.journal.journal import Journal
from core.ladder import step as ladder
from core.ladder.parts import OrderUnderWay
from core.ladder.states import Judged, Ladder, Phase, SendUnknown, Transition
from core.ladder.tiers import schedule
from core.model import Order, OrderRequest, OrderSide, OrderStatus, Tier
from core.orders.account_reader import AccountReader
from core.orders.lookup import CALL_TIMEOUT, SINCE_MARGIN
from core.plans.plan import Action, by_rule
from core.portfolio.book import Book
from core.records import CancelAsked, IntentAnswered, IntentWritten
from tests.support.builders import (
    ACCOUNT,
    ALL_TIERS,
    D,
    close_action,
    done,
    holdings,
    limits,
    order,
    plan,
    position,
    stop,
)
from tests.support.climbing import OFFSETS
from tests.support.fake_broker import HANG, FakeBroker, quote
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import DAWN, VirtualClock, virtual

HELD, FLAT = holdings(position()), holdings()


class Hands:
    """A closer over a fake broker, with a journal in memory."""

    def __init__(self, **answers: Any) -> None:
        self.clock = VirtualClock()
        self.broker = FakeBroker(**{"find_order": [None], **answers})
        self.database = MemoryDatabase()
        self.moves: list[Transition] = []
        self.seen: list[BrokerEvent] = []

    async def climb(self, action: Action | None = None, *, from_: Transition | None = None, **bounds: Any) -> Ladder:
        """From the start of a close, or from another moment of one."""
        action = action or close_action()
        self.journal = await Journal.over(self.database, self.clock, Ids(self.clock, random.Random(1)))
        book = Book([self.broker.account], is_ours)
        reader = AccountReader(self.broker, self.clock, lambda event: book.apply(event, self.clock.now()))
        self.closer = LadderRunner(
            self.broker,
            reader,
            self.journal,
            self.clock,
            book,
            changed=self.moves.append,
            emit=lambda event: (self.seen.append(event), book.apply(event, self.clock.now())),
            judge=lambda *_: Judged(True),
        )
        steps = schedule(action.tiers, 3, OFFSETS)
        now = self.clock.monotonic()
        move = from_ or ladder.start(action, "p1", self.journal.epoch, steps, limits(**bounds), now)
        return await self.closer.carry_out(by_rule(plan(action), "test", armed=True, now=DAWN), move)

    async def records(self, kind: type) -> list[Any]:
        await self.journal.flush()
        return [e.record for e in await self.journal.entries(limit=10_000) if isinstance(e.record, kind)]


def filling(request: Any) -> Order:
    """An order that is filled at once."""
    asked = request[0] if isinstance(request, tuple) else request
    return done(f"v-{asked.quantity}", str(asked.quantity), str(asked.quantity))


@virtual
async def test_each_tier_goes_through_the_call_of_its_own():
    no = Refused(Refusal.OTHER, "no")
    hands = Hands(holdings=[HELD], submit=[no], close_position=[no], submit_direct=[no])
    state = await hands.climb(close_action(tiers=ALL_TIERS))
    assert state.outcome is not None
    assert state.outcome.value == "stuck"
    assert hands.broker.calls["submit"] == 2 * 3 + 1 + 3
    assert hands.broker.calls["close_position"] == 3
    assert hands.broker.calls["submit_direct"] == 3


@virtual
async def test_the_intent_of_every_order_is_durable_before_it_leaves():
    at_call: list[int] = []
    hands = Hands(holdings=[HELD])

    def sent(request: Any) -> Order:
        rows = hands.database.data.execute("SELECT count(*) FROM journal WHERE kind = 'intent_written'").fetchone()
        at_call.append(rows[0])
        raise Refused(Refusal.OTHER, "no")

    hands.broker.answers.update(submit=[sent], close_position=[sent], submit_direct=[sent])
    await hands.climb()
    assert at_call == list(range(1, len(at_call) + 1))
    written = await hands.records(IntentWritten)
    assert [w.tier for w in written][:4] == [Tier.MARKET_IOC, Tier.MARKET_GTC, Tier.VENUE_CLOSE, Tier.DIRECT_API]
    assert {w.position_before for w in written} == {D(2)}


@virtual
async def test_a_journal_that_fails_ends_the_close_before_anything_is_sent():
    hands = Hands(holdings=[HELD])

    class Full(MemoryDatabase):
        async def commit(self, statements: Any) -> None:
            if any("INSERT INTO journal" in sql for sql, _ in statements):
                self.failure = "disk full"
            await super().commit(statements)

    hands.database = Full()
    state = await hands.climb()
    assert state.outcome is not None
    assert (state.outcome.value, state.alarm) == ("stuck", True)
    assert hands.broker.calls["submit"] == 0


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Refused(Refusal.OTHER, "no"), "refused"),
        (Unreachable("connection refused"), "unreachable"),
        (OutcomeUnknown("reset"), "unknown"),
        (TimeoutError(), "unknown"),
        (KeyError("orderId"), "unknown"),
        (ZeroDivisionError(), "unknown"),
        (HANG, "unknown"),
        (order(""), "unknown"),
        (order("v1", status=OrderStatus.UNKNOWN), "unknown"),
        (order("v1"), "acknowledged"),
        (done("v1", "2", "2"), "terminal"),
    ],
)
@virtual
async def test_whatever_a_send_ends_in_becomes_the_one_answer_that_is_journalled(answer: Any, outcome: str):
    hands = Hands(holdings=[HELD, FLAT], submit=[answer], find_order=[done("v1", "2", "2")])
    await hands.climb()
    first = (await hands.records(IntentAnswered))[0]
    assert first.outcome == outcome
    assert first.client_id == (await hands.records(IntentWritten))[0].client_id


@virtual
async def test_a_send_that_hangs_is_given_up_waiting_for_and_looked_up():
    hands = Hands(holdings=[HELD, FLAT], submit=[HANG], find_order=[done("v1", "2", "2")])
    began = hands.clock.monotonic()
    state = await hands.climb()
    assert state.fills.quantity == D(2)
    assert hands.clock.monotonic() - began < CALL_TIMEOUT + 2
    assert hands.broker.calls["submit"] == 1


@pytest.mark.parametrize("fault", [KeyError("positionAmt"), HANG, Unreachable("no such host"), OutcomeUnknown("502")])
@virtual
async def test_a_read_that_fails_in_any_way_sends_nothing_and_is_tried_again(fault: Any):
    hands = Hands(holdings=[fault, HELD, FLAT], submit=[filling])
    state = await hands.climb()
    assert state.fills.quantity == D(2)
    assert hands.broker.calls["submit"] == 1


@virtual
async def test_credentials_that_are_refused_while_reading_end_it_at_once():
    hands = Hands(holdings=[Refused(Refusal.AUTH, "the key is revoked")])
    state = await hands.climb()
    assert (state.error, state.alarm) == ("the key is revoked", True)
    assert hands.broker.calls["holdings"] == 1


@pytest.mark.parametrize("fault", [KeyError("status"), HANG, Refused(Refusal.OTHER, "busy"), Unreachable("away")])
@virtual
async def test_a_look_up_that_fails_in_any_way_says_nothing(fault: Any):
    hands = Hands(holdings=[HELD, FLAT], submit=[OutcomeUnknown("reset")], find_order=[fault, done("v1", "2", "2")])
    state = await hands.climb()
    assert (state.fills.quantity, hands.broker.calls["submit"]) == (D(2), 1)


@virtual
async def test_a_look_up_asks_for_executions_since_the_send_however_long_it_takes():
    hands = Hands(holdings=[HELD], submit=[OutcomeUnknown("reset")])
    await hands.climb(request_expiry=None)
    sent = (await hands.records(IntentWritten))[0].at
    since = [asked for name, asked in hands.broker.asked if name == "fills"]
    assert len(since) > 50
    assert max(since) < sent


@virtual
async def test_a_look_up_after_a_restart_asks_for_executions_since_the_order_left_before_it():
    hands = Hands(holdings=[HELD])
    before = hands.clock.now() - timedelta(hours=1)
    begun = ladder.start(close_action(), "p1", "abcd", (), limits(), hands.clock.monotonic()).ladder
    request = OrderRequest(ACCOUNT, "BTC", OrderSide.SELL, D(2), "fdours")
    under_way = OrderUnderWay(request, sent_at=hands.clock.monotonic(), since=before)
    interrupted = structs.replace(begun, phase=Phase.SENDING, order=under_way)
    await hands.climb(from_=ladder.step(interrupted, SendUnknown("interrupted"), hands.clock.monotonic()))
    since = {asked for name, asked in hands.broker.asked if name == "fills"}
    assert since == {before - SINCE_MARGIN}


@virtual
async def test_a_question_that_was_asked_before_the_expiry_proves_nothing_however_late_its_answer():
    """Each question takes 14 s. The expiry and the lag are over after 4 s: the first question is too early."""
    hands = Hands(submit=[OutcomeUnknown("reset"), filling])
    hands.broker.answers["holdings"] = [lambda _: FLAT if hands.broker.calls["submit"] > 1 else HELD]
    find = hands.broker.find_order

    async def slow(*where: Any, **name: Any) -> Order | None:
        await asyncio.sleep(14)
        return await find(*where, **name)

    hands.broker.find_order = slow  # type: ignore[method-assign]
    await hands.climb()
    assert [name for name, _ in hands.broker.asked if name in ("submit", "find_order")][:5] == [
        "submit",
        *["find_order"] * 3,
        "submit",
    ]


@virtual
async def test_a_look_up_with_refused_credentials_ends_it():
    no = Refused(Refusal.BANNED, "banned")
    hands = Hands(holdings=[HELD], submit=[OutcomeUnknown("reset")], find_order=[no])
    state = await hands.climb()
    assert state.alarm
    assert "could not be found out" in str(state.error)


@pytest.mark.parametrize("fault", [KeyError("x"), HANG, Refused(Refusal.UNKNOWN_ORDER, "no such order")])
@virtual
async def test_what_a_cancel_is_answered_does_not_matter_the_read_decides(fault: Any):
    guard = stop()
    reads = [holdings(position(), orders=(guard,)), HELD, HELD, FLAT]  # twice: nothing says how it ended
    hands = Hands(holdings=reads, cancel=[fault], submit=[filling])
    state = await hands.climb(close_action(cancels=(guard,)))
    assert state.fills.quantity == D(2)


@virtual
async def test_an_order_that_one_list_lacks_and_no_query_knows_is_not_gone_yet():
    guard = stop()
    hands = Hands(submit=[filling])
    hands.broker.answers["holdings"] = [lambda _: FLAT if hands.broker.calls["submit"] else HELD]
    await hands.climb(close_action(cancels=(guard,)))
    calls = [name for name, _ in hands.broker.asked if name in ("cancel", "holdings", "submit")]
    assert calls[:4] == ["cancel", "holdings", "holdings", "submit"]


@virtual
async def test_every_cancel_that_a_close_asks_for_is_in_the_journal():
    guard = stop()
    hands = Hands(holdings=[holdings(position(), orders=(guard,)), HELD, HELD, FLAT], submit=[filling])
    await hands.climb(close_action(cancels=(guard,)))
    assert [r.order for r in await hands.records(CancelAsked)] == [guard]


@virtual
async def test_an_order_that_nobody_here_wrote_down_is_a_breach():
    for foreign in (True, False):
        hands = Hands()
        hands.journal = await Journal.over(hands.database, hands.clock, Ids(hands.clock, random.Random(1)))
        name = f"fd{'zzzz' if foreign else hands.journal.epoch}" + "a" * 26
        hands.broker.answers["holdings"] = [holdings(position(), orders=(order("x9", client_id=name),))]
        with pytest.raises(InvariantBroken, match="another flatdeck"):
            await hands.climb()
        assert hands.broker.calls["submit"] == 0


@virtual
async def test_the_stream_makes_a_waiting_close_look_at_once():
    live = order("v1")
    hands = Hands(holdings=[HELD, FLAT], submit=[live], find_order=[live, live, live, live, done("v1", "2", "2")])
    task = asyncio.create_task(hands.climb())
    await asyncio.sleep(0.05)
    before = hands.clock.monotonic()
    for _ in range(6):
        hands.closer.ring("BTC")
        hands.closer.ring("ETH")
        await asyncio.sleep(0.005)
    state = await task
    assert state.fills.quantity == D(2)
    assert hands.clock.monotonic() - before < 0.2


@virtual
async def test_a_limit_gets_a_fresh_touch_and_the_quote_is_passed_on():
    touch = quote("BTC", 1000.0, bid="50", ask="51")
    no = Refused(Refusal.OTHER, "no")
    hands = Hands(holdings=[HELD, HELD, FLAT], submit=[no, filling], quotes=[[touch]])
    state = await hands.climb(close_action(tiers=(Tier.MARKET_FOK, Tier.LIMIT_AGGRESSIVE)))
    assert (await hands.records(IntentWritten))[-1].request.price == D("49.8")
    assert state.fills.tier is Tier.LIMIT_AGGRESSIVE
    assert next(e.quote for e in hands.seen if isinstance(e, QuoteSeen)) == touch


@pytest.mark.parametrize("opens", [timedelta(hours=6), None])
@virtual
async def test_a_parked_close_sleeps_until_the_venue_opens_and_then_goes_on(opens: timedelta | None):
    no = Refused(Refusal.MARKET_CLOSED, "closed", opens_at=DAWN + opens if opens else None)
    hands = Hands(holdings=[HELD, HELD, FLAT], submit=[no, filling])
    began = hands.clock.monotonic()
    state = await hands.climb()
    slept = hands.clock.monotonic() - began
    assert state.fills.quantity == D(2)
    assert slept == pytest.approx(6 * 3600 if opens else 60, abs=2)


@pytest.mark.parametrize(("answer", "told"), [(order("s9"), False), (Refused(Refusal.OTHER, "no"), True), (HANG, True)])
@virtual
async def test_a_stop_that_is_put_back_is_an_intent_too_and_a_failure_is_told(answer: Any, told: bool):
    guard = stop()
    hands = Hands(holdings=[HELD], submit=[Refused(Refusal.HALTED, "halted"), answer])
    state = await hands.climb(close_action(cancels=(guard,)))
    written = await hands.records(IntentWritten)
    assert (written[-1].step, written[-1].tier) == (-1, None)
    assert written[-1].request.trigger == guard.trigger
    assert ("could not be put back" in str(state.error)) is told


@virtual
async def test_a_withdrawn_order_is_asked_to_go_and_its_end_is_read():
    live = order("v1")
    gone = done("v1", "2", "0", status=OrderStatus.CANCELLED)
    hands = Hands(holdings=[HELD, HELD, FLAT], submit=[live, filling])
    hands.broker.answers["find_order"] = [lambda _: gone if hands.broker.calls["cancel"] > 1 else live]
    state = await hands.climb(tier_timeout=1.0)
    assert hands.broker.calls["cancel"] >= 1
    assert state.fills.quantity == D(2)


@virtual
async def test_every_state_is_told_as_it_comes():
    hands = Hands(holdings=[HELD, FLAT], submit=[filling])
    await hands.climb()
    assert [m.ladder.phase.value for m in hands.moves] == ["reading", "sending", "reading", "ended"]


@virtual
async def test_a_close_of_another_plan_than_the_approved_one_is_not_carried_out():
    hands = Hands(holdings=[HELD])
    await hands.climb(close_action("0.05"))
    other = ladder.start(close_action(key=position(symbol="ETH").key), "p1", "abcd", (), limits(), 0.0)
    with pytest.raises(AssertionError):
        await hands.closer.carry_out(by_rule(plan(close_action()), "test", armed=True, now=DAWN), other)

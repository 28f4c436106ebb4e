"""What a closer does at the edges: slow disks, prices learnt from fills, and an invariant that breaks half-way."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvariantBroken, OutcomeUnknown, Refusal, Refused, Unreachable
from core.ladder.states import DoEnd
from core.model import OrderRequest, OrderSide, OrderStatus, OrderType
from core.records import AccountFrozen, FillRecorded, IntentAnswered, IntentWritten
from tests.core.closing.test_ladder_runner import FLAT, HELD, Hands, filling
from tests.support.builders import ACCOUNT, D, close_action, done, fill, holdings, order, position, stop
from tests.support.memory_database import MemoryDatabase
from tests.support.virtual_time import virtual
from tests.support.world import EVERYTHING, World, book, outcomes

# ------------------------------------------------------------------------------------------------------- slow disks


class Slow(MemoryDatabase):
    """Takes so long for the first commits after the journal was opened."""

    def __init__(self, *pauses: float) -> None:
        super().__init__()
        self.pauses = list(pauses)

    async def commit(self, statements: Any) -> None:
        if any("INSERT INTO journal" in sql for sql, _ in statements):
            self.pause = self.pauses.pop(0) if self.pauses else 0.0
        await super().commit(statements)


@virtual
async def test_an_order_that_waited_too_long_for_the_disk_is_decided_anew_before_it_leaves():
    hands = Hands(holdings=[HELD, holdings(position("1")), FLAT], submit=[filling])
    hands.database = Slow(2.0)
    state = await hands.climb()
    assert hands.broker.calls["submit"] == 1
    intents = await hands.records(IntentWritten)
    assert [i.request.quantity for i in intents] == [D(2), D(1)], "the position had shrunk meanwhile"
    assert (await hands.records(IntentAnswered))[0].outcome == "unreachable"
    assert state.fills.quantity == D(1)


@virtual
async def test_a_disk_that_is_only_a_little_slow_holds_nothing_up():
    hands = Hands(holdings=[HELD, FLAT], submit=[filling])
    hands.database = Slow(0.2)
    state = await hands.climb()
    assert state.fills.quantity == D(2)
    assert len(await hands.records(IntentWritten)) == 1


class Hiccup(MemoryDatabase):
    """Fails for the commit with that number after the journal was opened, and then recovers."""

    def __init__(self, fails: int) -> None:
        super().__init__()
        self.fails = fails

    async def commit(self, statements: Any) -> None:
        if any("INSERT INTO journal" in sql for sql, _ in statements):
            self.fails -= 1
            self.failure = "disk full" if self.fails == 0 else None
        await super().commit(statements)


@virtual
async def test_an_answer_that_could_not_be_written_is_written_before_the_next_intent():
    no = Refused(Refusal.OTHER, "no")
    hands = Hands(holdings=[HELD, HELD, FLAT], submit=[no, filling])
    hands.database = Hiccup(2)
    state = await hands.climb()
    assert state.fills.quantity == D(2)
    kinds = [type(e.record) for e in await hands.journal.entries()]
    assert kinds[:3] == [IntentWritten, IntentAnswered, IntentWritten]


# ------------------------------------------------------------------------------------------ prices learnt from fills


def unpriced(_: Any) -> Any:
    return done("v1", "2", "2", price=None)


@virtual
async def test_an_average_price_that_the_order_does_not_tell_comes_from_its_fills():
    parts = [fill("0.5", "v1", "t1"), fill("0.5", "v1", "t1"), fill("1.5", "v1", "t2"), fill("9", "other", "t3")]
    hands = Hands(holdings=[HELD, FLAT], submit=[unpriced], fills=[parts])
    state = await hands.climb()
    assert (state.fills.quantity, state.fills.average_price) == (D(2), D(100))
    assert [r.fill.trade_id for r in await hands.records(FillRecorded)] == ["t1", "t2"], "each once, ours only"


@pytest.mark.parametrize("answer", [[fill("0.5", "v1")], [], Unreachable("away"), OutcomeUnknown("502")])
@virtual
async def test_fills_that_are_not_complete_leave_the_price_unknown(answer: Any):
    hands = Hands(holdings=[HELD, FLAT], submit=[unpriced], fills=[answer])
    state = await hands.climb()
    assert (state.fills.quantity, state.fills.average_price) == (D(2), None)


@virtual
async def test_fills_are_not_asked_for_where_the_orders_told_their_price():
    hands = Hands(holdings=[HELD, FLAT], submit=[filling])
    await hands.climb()
    assert hands.broker.calls["fills"] == 0


# --------------------------------------------------------------------------------------------- invariants that break


@virtual
async def test_a_close_that_ended_does_nothing_more():
    hands = Hands(holdings=[HELD, FLAT], submit=[filling])
    state = await hands.climb()
    with pytest.raises(InvariantBroken):
        await hands.closer._perform(state, DoEnd())


@virtual
async def test_more_filled_than_confirmed_stops_the_close_and_keeps_what_it_had_closed():
    answers = [done("v1", "2", "1"), done("v2", "1", "9")]
    hands = Hands(holdings=[HELD, holdings(position("1"))], submit=answers)
    with pytest.raises(InvariantBroken, match="more than what was confirmed") as broken:
        await hands.climb()
    assert broken.value.ladder.fills.quantity == D(10)  # type: ignore[attr-defined]
    assert hands.broker.calls["submit"] == 2


@virtual
async def test_a_breach_freezes_the_account_and_leaves_the_others_alone():
    async with World({ACCOUNT: book(), "bob/paper": book()}) as world:
        plan = await world.engine.prepare(EVERYTHING)
        name = "fdzzzz" + "a" * 26
        foreign = OrderRequest(ACCOUNT, "BTC", OrderSide.BUY, D("0.5"), name, type=OrderType.LIMIT, price=D(50))
        world.venue.place_by_hand(foreign)
        report = await world.engine.execute(plan.id, plan.digest)
        by_account = {r.key.account: r.outcome for r in report.results}
        assert by_account == {ACCOUNT: "stuck", "bob/paper": "closed"}
        assert {r.account for r in await world.records(AccountFrozen)} == {ACCOUNT}
        assert world.sent() == []
        assert any(f"{ACCOUNT} is frozen" in line for line in await world.log())


@virtual
async def test_where_a_request_never_expires_an_unknown_outcome_freezes_the_account():
    """It may be executed at any time, so nothing more is sent until a person looked, after a restart either."""
    async with World(expires=False) as world:
        world.faults.script("lose_request")
        report = await world.flatten()
        assert outcomes(report) == {"BTC": "stuck"}
        assert "could not be found out" in str(report.results[0].error)
        assert ACCOUNT in world.engine.frozen
        assert not (await world.engine.prepare(EVERYTHING)).closes
        await world.restart()
        assert not (await world.engine.prepare(EVERYTHING)).closes
        assert len(await world.records(IntentWritten)) == 1
        await world.audit()


@virtual
async def test_where_it_does_expire_an_order_that_nobody_could_ask_about_is_found_by_the_next_plan():
    async with World({ACCOUNT: book(depth="0")}) as world:
        world.faults.script("reject_ioc")
        world.faults.script("lose_response", after=1)
        world.faults.script("lookup_fails", times=100_000)
        report = await world.flatten()
        assert outcomes(report) == {"BTC": "stuck"}
        (live,) = world.venue.state.live_orders()
        world.faults.clear()
        await world.engine.read_all()
        again = await world.engine.prepare(EVERYTHING)
        assert [o.id for o in again.closes[0].cancels] == [live.order.id], "what we left behind goes first"
        world.venue.set_quote("BTC", bid_size=D(5))
        await world.engine.execute(again.id, again.digest)
        await world.audit()


@virtual
async def test_an_order_that_the_venue_rejects_after_taking_it_is_told_in_its_words():
    rejected = done("v1", "2", "0", status=OrderStatus.REJECTED, text="margin check")
    hands = Hands(holdings=[HELD, HELD, FLAT], submit=[rejected, filling])
    state = await hands.climb(close_action())
    assert "market_ioc 1: margin check" in state.answers
    assert state.fills.quantity == D(2)


@virtual
async def test_a_rate_limit_is_waited_out_on_the_clock():
    limited = Refused(Refusal.RATE_LIMITED, "slow down", retry_after=7.0)
    hands = Hands(holdings=[HELD, HELD, FLAT], submit=[limited, filling])
    began = hands.clock.monotonic()
    state = await hands.climb()
    assert state.fills.quantity == D(2)
    assert 7.0 <= hands.clock.monotonic() - began < 8.0


# ------------------------------------------------------------------------------------------ stops that are put back


@virtual
async def test_a_stop_that_waited_too_long_for_the_disk_is_put_back_only_after_another_look():
    gone = stop(status=OrderStatus.CANCELLED)
    hands = Hands(holdings=[HELD], find_order=[gone], submit=[Refused(Refusal.BANNED, "banned"), order("s2")])
    hands.database = Slow(0.0, 0.0, 3.0)  # the intent of the stop
    state = await hands.climb(close_action(cancels=(stop(),)))
    assert state.outcome is not None
    assert state.outcome.value == "stuck"
    looks = [name for name, _ in hands.broker.asked if name in ("holdings", "submit")]
    assert looks[-2:] == ["holdings", "submit"]
    intents = [i for i in await hands.records(IntentWritten) if i.step < 0]
    assert len(intents) == 2
    assert "put back" not in str(state.error)


@pytest.mark.parametrize(
    ("answer", "later", "said"),
    [
        (Refused(Refusal.DUPLICATE, "exists"), None, "was never executed"),
        (Refused(Refusal.DUPLICATE, "exists"), order("s2"), ""),
        (Refused(Refusal.DUPLICATE, "exists"), done("s2", "2", "0", status=OrderStatus.CANCELLED), "ended cancelled"),
        (OutcomeUnknown("lost"), order("s2"), ""),
        (order("s2", status=OrderStatus.REJECTED), None, "ended rejected"),
    ],
)
def test_a_stop_counts_as_put_back_only_when_the_venue_has_it_live(answer: Any, later: Any, said: str) -> None:
    @virtual
    async def check() -> None:
        gone = stop(status=OrderStatus.CANCELLED)
        hands = Hands(holdings=[HELD], submit=[Refused(Refusal.BANNED, "banned"), answer])
        hands.broker.answers["find_order"] = [lambda asked: gone if asked == gone.id else later]
        state = await hands.climb(close_action(cancels=(stop(),)))
        assert hands.broker.calls["submit"] == 2
        assert said in str(state.error)
        assert ("could not be put back" in str(state.error)) is bool(said)

    check()


@virtual
async def test_a_stop_is_not_put_back_on_a_position_that_cannot_be_read_any_more_and_that_is_told():
    gone, revoked = stop(status=OrderStatus.CANCELLED), Refused(Refusal.AUTH, "revoked")
    hands = Hands(holdings=[HELD, revoked], find_order=[gone], submit=[Refused(Refusal.OTHER, "no"), order("s2")])
    state = await hands.climb(close_action(cancels=(stop(),)))
    assert "a protective order could not be put back: the position could not be read" in str(state.error)
    assert hands.broker.calls["submit"] == 1  # the close


@virtual
async def test_a_stop_is_put_back_behind_a_read_that_failed_once_the_position_is_read_again():
    gone, revoked = stop(status=OrderStatus.CANCELLED), Refused(Refusal.AUTH, "revoked")
    reads, answers = [HELD, revoked, revoked, HELD], [Refused(Refusal.OTHER, "no"), order("s2")]
    hands = Hands(holdings=reads, find_order=[gone], submit=answers)
    state = await hands.climb(close_action(cancels=(stop(),)))
    assert state.outcome is not None
    assert state.outcome.value == "stuck"
    assert "put back" not in str(state.error)
    looks = [name for name, _ in hands.broker.asked if name in ("holdings", "submit")]
    assert looks == ["holdings", "submit", "holdings", "holdings", "holdings", "submit"]

"""Bugs that are planted at run time, to see that the checkers would catch them.

Each is a small patch of the product's own functions while a run is played; no file is edited. ``crash`` says that a
mutant is looked for by killing the process after each callback of a run, because random kills would hardly hit it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from msgspec import structs

from core.closing import ladder_runner
from core.engine.exit_service import ExitService
from core.errors import JournalError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.exits import state as exits
from core.exits.monitor import ExitMonitor
from core.ladder import after_read, moves, order as ladder_order, recovery, step as ladder, tiers
from core.ladder.invariants import LiveOrders
from core.ladder.moves import advance, end, read, wait
from core.ladder.states import (
    Acknowledged,
    DoSend,
    Event,
    Ladder,
    LookFailed,
    NotJournaled,
    Phase,
    PositionRead,
    SendRefused,
    SendUnknown,
    SendUnreachable,
    Transition,
)
from core.ladder.tiers import Step
from core.market.price_gate import PriceGate
from core.market.quotes import QuoteBook
from core.model import Order, OrderRequest, PositionKey
from core.orders.lookup import limited
from core.plans.results import Outcome
from core.ports import OrderRead
from core.reconciliation import rules as reconcile
from core.venue_stops.rules import StopAction, StopDecision, VenueStop
from core.venue_stops.service import VenueStopService
from tests.simulation import mutants_of_prices, mutants_of_proof
from tests.simulation.planting import Mutant, entry, instead
from tests.support.climbing import TRANSITIONS


def _handler(phase: Phase, event: type, instead: Callable[..., Transition]) -> Any:
    return entry(ladder.LIFECYCLE, (phase, event), (instead, TRANSITIONS[phase]))


def _timeout_is_a_rejection() -> Any:
    def rejected(state: Ladder, event: SendUnknown, now: float) -> Transition:
        return ladder_order.send_refused(state, SendRefused(Refused(Refusal.OTHER, event.text)), now)

    return _handler(Phase.SENDING, SendUnknown, rejected)


def _one_not_found_is_a_rejection() -> Any:
    def looked_up(state: Ladder, event: OrderRead, now: float) -> Transition:
        if event.order is not None:
            return ladder_order.looked_up(state, event, now)
        record = (ladder_order._record(state, "not_found"),)
        move = read(advance(structs.replace(state, order=None, failed=True)))
        return Transition(move.ladder, move.do, record)

    return _handler(Phase.RESOLVING, OrderRead, looked_up)


def _failed_query_is_not_found() -> Any:
    def failed(state: Ladder, event: LookFailed, now: float) -> Transition:
        record = (ladder_order._record(state, "not_found"),)
        move = read(advance(structs.replace(state, order=None, failed=True)))
        return Transition(move.ladder, move.do, record)

    return _handler(Phase.RESOLVING, LookFailed, failed)


def _list_is_trusted_at_once() -> Any:
    def flat(state: Ladder, seen: PositionRead, now: float) -> Transition:
        return end(state, Outcome.CLOSED)

    return instead(after_read, "_flat", flat)


def _intents_are_forgotten() -> Any:
    def resume_close(
        action: Any, plan: Any, epoch: str, steps: tuple[Step, ...], limits: Any, now: float, *_more: Any
    ) -> Transition:
        return ladder.start(action, plan.approved.plan.id, epoch, steps, limits, now)

    return instead(recovery, "resume_close", resume_close)


def _cancel_is_an_end() -> Any:
    def withdrawn(state: Ladder, event: OrderRead | LookFailed, now: float) -> Transition:
        assert state.order is not None
        record = (ladder_order._record(state, "refused", None, "withdrawn"),)
        move = read(advance(structs.replace(state, order=None)))
        return Transition(move.ladder, move.do, record)

    stack = ExitStack()
    stack.enter_context(_handler(Phase.WITHDRAWING, OrderRead, withdrawn))
    stack.enter_context(_handler(Phase.WITHDRAWING, LookFailed, withdrawn))
    stack.enter_context(instead(after_read, "_orders", _without_ours(after_read._orders)))
    return stack


def _without_ours(orders: Callable[..., Transition | None]) -> Callable[..., Transition | None]:
    """Lists are not searched for what is ours: that would find the order again."""

    def blind(state: Ladder, seen: PositionRead, now: float) -> Transition | None:
        left = tuple(o for o in seen.orders if o.id not in state.sent and o.client_id not in state.sent)
        return orders(state, structs.replace(seen, orders=left), now)

    return blind


def _sent_before_the_journal() -> Any:
    async def send(self: Any, state: Ladder, do: DoSend, step: Step, request: OrderRequest) -> Event:
        try:
            event: Event = Acknowledged(await limited(self._submit(do)))
        except Refused as refused:
            event = SendRefused(refused)
        except Unreachable as error:
            event = SendUnreachable(str(error))
        except (OutcomeUnknown, TimeoutError) as error:
            event = SendUnknown(str(error))
        try:
            await self._intend(state, step, request, do.position.quantity)
        except JournalError as error:
            return NotJournaled(str(error))
        return event

    return instead(ladder_runner.LadderRunner, "_send", send)


def _journal_is_not_waited_for() -> Any:
    async def intend(self: Any, state: Ladder, step: Step | None, request: OrderRequest, held: Any) -> None:
        self._write_behind.remember(state.action.key, self._intent(state, step, request, held))
        await asyncio.sleep(0)

    return instead(ladder_runner.LadderRunner, "_intend", intend)


def _reduce_only_is_dropped() -> Any:
    real = tiers.request

    def request(*arguments: Any) -> OrderRequest | None:
        made = real(*arguments)
        return None if made is None else structs.replace(made, reduce_only=False)

    return instead(tiers, "request", request)


def _growth_is_ignored() -> Any:
    """What is held is closed, whatever was confirmed."""
    return instead(after_read, "_more", lambda *_: None)


def _strangers_are_ignored() -> Any:
    async def unchecked(self: Any, state: Ladder, holdings: Any) -> None:
        return

    return instead(ladder_runner.LadderRunner, "_check_ours", unchecked)


def _lists_lag_never() -> Any:
    """A list that still shows what was filled is believed."""

    def more(state: Ladder, quantity: Any, now: float) -> Transition | None:
        return None if quantity <= state.action.quantity else end(state, Outcome.CHANGED, "grew")

    return instead(after_read, "_more", more)


def _stops_stay_away() -> Any:
    stack = ExitStack()
    stack.enter_context(instead(moves, "_to_restore", lambda _: ()))
    stack.enter_context(instead(moves, "_not_restored", lambda *_: ()))
    return stack


def _retry_after_is_ignored() -> Any:
    real = ladder_order._refused

    def refused(state: Ladder, why: Refused, now: float) -> Transition:
        return wait(state, 0.01) if why.refusal is Refusal.RATE_LIMITED else real(state, why, now)

    return instead(ladder_order, "_refused", refused)


def _old_decisions_leave() -> Any:
    return instead(ladder_runner, "SEND_WITHIN", 1e9)


def _stale_prices_are_used() -> Any:
    return instead(QuoteBook, "_max_age", lambda *_: 1e9)


def _jumps_are_believed() -> Any:
    return instead(PriceGate, "_near", lambda *_: True)


def _ask_is_ignored() -> Any:
    return instead(ExitService, "armed", property(lambda _: True))


def _shorts_have_the_wrong_sign() -> Any:
    """The stop of a short is compared as that of a long."""
    real = exits._matching

    def matching(guard: Any, rules: Any, u: float, move: float, best: float) -> int | None:
        if rules.sign < 0 and u > guard.stop > float("-inf"):
            return int(rules.stop_loss)
        return real(guard, rules, u, move, best)

    return instead(exits, "_matching", matching)


def _shorts_are_asleep() -> Any:
    """No price reaches the stop of a short."""
    real = exits._matching

    def matching(guard: Any, rules: Any, u: float, move: float, best: float) -> int | None:
        return None if rules.sign < 0 and u <= guard.stop else real(guard, rules, u, move, best)

    return instead(exits, "_matching", matching)


def _differences_stay() -> Any:
    """What a broker reports otherwise is told and not taken over."""
    return instead(reconcile, "corrections", lambda *_: [])


def _moved_by_another() -> Any:
    """A stop that is to be moved is cancelled only once the next one rests."""
    real = VenueStopService._withdraw

    async def withdraw(
        self: VenueStopService, key: PositionKey, post: VenueStop, order: Order, decision: StopDecision
    ) -> bool:
        if decision.do is not StopAction.REPLACE:
            return await real(self, key, post, order, decision)
        post.order = post.intent = None
        post.gone.add(order.id)
        post.replaced, post.changed = order.trigger, self._clock.monotonic()
        return True

    return instead(VenueStopService, "_withdraw", withdraw)


def _peaks_are_lost() -> Any:
    """A restart begins every stop anew."""
    real = ExitMonitor.remember
    return instead(ExitMonitor, "remember", lambda self, _kept, bars: real(self, (), bars))


MUTANTS = {
    m.name: m
    for m in (
        Mutant("timeout-is-rejection", "a time-out is treated as rejected", _timeout_is_a_rejection),
        Mutant("one-not-found", 'one "not found" is treated as rejected', _one_not_found_is_a_rejection),
        Mutant("failed-query", "a query that failed is treated as not found", _failed_query_is_not_found),
        Mutant("list-trusted", "the position list is trusted at once", _list_is_trusted_at_once),
        Mutant("lag-trusted", "a list that lags behind our fills is trusted", _lists_lag_never),
        Mutant("intents-forgotten", "intents are forgotten on restart", _intents_are_forgotten, 20, crash=True),
        Mutant("cancel-is-end", "a cancel ends a tier without a terminal answer", _cancel_is_an_end),
        Mutant("send-before-journal", "an order leaves before its intent is durable", _sent_before_the_journal),
        Mutant("journal-not-awaited", "an intent is written and not waited for", _journal_is_not_waited_for),
        Mutant("reduce-only-dropped", "reduce-only is dropped", _reduce_only_is_dropped),
        Mutant("growth-ignored", "the position is not bound to what was confirmed", _growth_is_ignored),
        Mutant("strangers-ignored", "orders of another flatdeck do not freeze", _strangers_are_ignored, 3000),
        Mutant("stops-stay-away", "protective stops are not put back", _stops_stay_away),
        Mutant("retry-after-ignored", "a venue's Retry-After is ignored", _retry_after_is_ignored, 3000),
        Mutant("late-decision", "an order leaves long after it was decided on", _old_decisions_leave),
        Mutant("stale-price-used", "an exit fires on a price that grew old", _stale_prices_are_used, 3000),
        Mutant("jump-believed", "a jump is believed at once", _jumps_are_believed),
        Mutant("ask-ignored", "exits close by themselves though nobody armed them", _ask_is_ignored),
        Mutant("short-sign", "the sign of a short's stop is wrong", _shorts_have_the_wrong_sign),
        Mutant("short-asleep", "the stop of a short never fires", _shorts_are_asleep),
        Mutant("two-stops-live", "a protective stop is placed before the last one has ended", _moved_by_another, 1000),
        Mutant("differences-stay", "what the broker reports otherwise is not taken over", _differences_stay, 500),
        *mutants_of_proof.MUTANTS,
        *mutants_of_prices.MUTANTS,
        Mutant("peak-lost", "peak and stop are not taken up by a restart", _peaks_are_lost, 50),
    )
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The product with this bug in it and without its second lock, so that the checkers have to find it.

    Without a name the product is as it is.
    """
    if name is None:
        yield
        return
    with (
        MUTANTS[name].plant(),
        instead(ladder_runner, "check_send", lambda *_: None),
        instead(LiveOrders, "enter", lambda *_: None),
    ):
        yield

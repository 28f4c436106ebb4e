"""Walks one ladder by hand: every event it is told, every thing it asks for, and that each move was legal."""

from __future__ import annotations

from typing import Any, TypeVar

from core.errors import Refusal, Refused
from core.ladder import step as ladder
from core.ladder.states import (
    Acknowledged,
    CancelsAsked,
    Do,
    DoSend,
    Event,
    Ladder,
    Limits,
    Phase,
    SendRefused,
    Transition,
    Waited,
)
from core.ladder.step import LIFECYCLE
from core.ladder.tiers import Step, schedule
from core.model import Order, OrderRequest, Position
from core.plans.plan import Action
from core.ports import OrderRead
from core.records import IntentAnswered
from tests.support.builders import D, close_action, done, limits, position, read

OFFSETS = (D("0.005"), D("0.01"), D("0.02"))
W = TypeVar("W")

# The phases that may follow each phase, whatever the event.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    phase: frozenset(after for (before, _), (_, phases) in LIFECYCLE.items() if before is phase for after in phases)
    for phase in Phase
}


class Climb:
    """``tell`` an event and get what it asks for next. ``now`` is moved by hand."""

    def __init__(
        self,
        action: Action | None = None,
        *,
        steps: tuple[Step, ...] | None = None,
        bounds: Limits | None = None,
        now: float = 100.0,
    ) -> None:
        self.action = action or close_action()
        self.now = now
        bounds = bounds or limits()
        steps = schedule(self.action.tiers, bounds.attempts, OFFSETS) if steps is None else steps
        self.requests: list[OrderRequest] = []
        self.records: list[IntentAnswered] = []
        self.phases: list[Phase] = []
        self.take(ladder.start(self.action, "p1", "abcd", steps, bounds, now))

    def take(self, move: Transition) -> Do:
        """Go on from a move made elsewhere."""
        self.ladder: Ladder = move.ladder
        self.do: Do = move.do
        self.records.extend(move.records)
        self.phases.append(move.ladder.phase)
        if isinstance(move.do, DoSend):
            self.requests.append(move.do.request)
        return move.do

    def tell(self, event: Event, after: float = 0.0) -> Do:
        self.now += after
        before = self.ladder.phase
        move = ladder.step(self.ladder, event, self.now)
        reached = move.ladder.phase
        read = isinstance(event, CancelsAsked) and event.read and reached is not Phase.READING
        passed = Phase.READING if read else before  # a read that came with the cancels' answers was judged as well
        assert reached in TRANSITIONS[passed], f"{before.value} → {reached.value}"
        return self.take(move)

    def see(self, held: Position | None, *orders: Order, after: float = 0.0, **more: Any) -> Do:
        """Answer a read that was asked just now."""
        self.now += after
        return self.tell(read(held, *orders, asked=self.now, **more))

    def waited(self, after: float | None = None) -> Do:
        """The wait is over."""
        return self.tell(Waited(), getattr(self.do, "seconds", 0.0) if after is None else after)

    def refused(self, refusal: Refusal, **more: Any) -> Do:
        return self.tell(SendRefused(Refused(refusal, f"venue says {refusal.value}", **more)))

    def filled(self, quantity: str, id_: str = "v1", *, of: str | None = None, price: str | None = "100") -> Do:
        """The venue answers the order with its end: this much of it was filled."""
        asked = self.request.quantity if of is None else D(of)
        return self.tell(Acknowledged(done(id_, str(asked), quantity, price, client_id=self.request.client_id)))

    def found(self, order: Order | None, after: float = 0.0, **more: Any) -> Do:
        """The answer to a question about our order."""
        self.now += after
        return self.tell(OrderRead(order, self.now, **more))

    def cancelled(self, **answers: str) -> Do:
        return self.tell(CancelsAsked(answers))

    def to_send(self, held: Position | None = None) -> OrderRequest:
        """From the read at the start to the first order."""
        self.see(held or position(str(self.action.quantity)))
        return self.request

    @property
    def request(self) -> OrderRequest:
        return self.expect(DoSend).request

    @property
    def step(self) -> Step:
        return self.expect(DoSend).step

    def expect(self, kind: type[W]) -> W:
        assert isinstance(self.do, kind), f"{self.do} is no {kind.__name__}"
        return self.do

    @property
    def end(self) -> tuple[str | None, bool]:
        """The outcome and whether it alarms."""
        assert self.ladder.ended, self.ladder.phase
        return self.ladder.outcome.value if self.ladder.outcome else None, self.ladder.alarm

"""Fabricated histories: one close that went well, from which a test makes one that did not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from core.model import Leg, Order, OrderRequest, OrderSide, OrderStatus, OrderType, Position, PositionKey, Side, Tier
from core.plans.plan import Action, ActionKind, Plan, Reason
from core.plans.results import ResultRow
from core.records import CancelAsked, ClosingEnded, IntentAnswered, IntentWritten, PlanApproved, PlanEnded
from tests.simulation.checkers import CHECKERS
from tests.simulation.evidence import Evidence
from tests.simulation.history import (
    Accepted,
    Began,
    Called,
    Durable,
    Event,
    Facts,
    Filled,
    History,
    Listed,
    Nothing,
    Over,
)
from tests.simulation.venue import BIRTH

KEY = PositionKey("u1/a", "AAA", Leg.NET)
ONE = "fdsim1" + "a" * 26
TWO = "fdsim1" + "b" * 26
D = Decimal


def request(client_id: str = ONE, quantity: str = "10", **more: Any) -> OrderRequest:
    given = {"side": OrderSide.SELL, "reduce_only": True, **more}
    return OrderRequest("u1/a", "AAA", quantity=D(quantity), client_id=client_id, **given)


def order(order_id: str = "o1", client_id: str | None = ONE, filled: str = "0", **more: Any) -> Order:
    given = {"quantity": D("10"), "side": OrderSide.SELL, **more}
    return Order("u1/a", "AAA", order_id, filled=D(filled), client_id=client_id, **given)


def held(quantity: str = "10") -> tuple[Position, ...]:
    return (Position("u1/a", "AAA", Side.LONG, D(quantity), D(quantity)),) if D(quantity) else ()


def action(**more: Any) -> Action:
    given = {"side": Side.LONG, "quantity": D("10"), "tiers": (Tier.MARKET_IOC,), **more}
    return Action(ActionKind.CLOSE, Reason.FLATTEN, "Flatten", "u1", KEY, **given)


@dataclass
class Story:
    """Events one after another; ``now`` moves a little with each."""

    events: list[Event] = field(default_factory=list)
    now: float = 0.0
    life: int = 1
    calls: int = 0
    alien: set[str] = field(default_factory=set)
    more: dict[str, Any] = field(default_factory=dict)

    def tell(self, kind: Any, *arguments: Any, **named: Any) -> Story:
        self.now += 0.01
        self.events.append(kind(self.now, *arguments, **named))
        return self

    def durable(self, *records: Any) -> Story:
        for record in records:
            self.tell(Durable, self.life, record)
        return self

    def begin(self, act: Action | None = None) -> Story:
        """A process, a plan, and a position of 10."""
        self.tell(Began, self.life, "sim1", True)
        self.tell(Filled, "u1/a", None, KEY, D(0), D(10))
        self.read()
        return self.approve(act or action())

    def approve(self, act: Action, plan: str = "p1") -> Story:
        made = Plan(plan, "flatten", BIRTH + timedelta(seconds=self.now), (act,), ())
        return self.durable(PlanApproved(made, "person", made.created_at))

    def read(self, quantity: str = "10", orders: tuple[Order, ...] = (), *, wrong: bool = False) -> Story:
        return self.tell(Listed, "u1/a", self.now, held(quantity), orders, wrong)

    def intend(self, asked: OrderRequest, step: int = 0) -> Story:
        intent = IntentWritten("p1", KEY, asked.client_id, step, 1, Tier.MARKET_IOC, asked, D("10"), BIRTH)
        return self.durable(intent)

    def send(self, asked: OrderRequest, what: str = "submit") -> Story:
        self.calls += 1
        return self.tell(Called, self.life, "u1/a", self.calls, what, asked)

    def accept(self, taken: Order | None = None, *, reduces: bool = True) -> Story:
        return self.tell(Accepted, "u1/a", self.calls, taken or order(), reduces)

    def fill(self, before: str, after: str, order_id: str | None = "o1") -> Story:
        return self.tell(Filled, "u1/a", order_id, KEY, D(before), D(after))

    def over(self, filled: str = "10", order_id: str = "o1", client_id: str = ONE) -> Story:
        return self.tell(Over, "u1/a", order(order_id, client_id, filled, status=OrderStatus.FILLED))

    def nothing(self) -> Story:
        return self.tell(Nothing, "u1/a", self.calls)

    def answer(self, outcome: str, answered: Order | None = None, client_id: str = ONE) -> Story:
        return self.durable(IntentAnswered("p1", KEY, client_id, outcome, answered))

    def cancel(self, cancelled: Order) -> Story:
        return self.durable(CancelAsked("p1", KEY, cancelled))

    def end(self, outcome: str = "closed", filled: str = "10", **more: Any) -> Story:
        self.durable(ClosingEnded("p1", ResultRow(KEY, "close", outcome, filled=D(filled), **more)))
        return self.durable(PlanEnded("p1", success=outcome == "closed", final=()))

    def history(self) -> History:
        return History(
            events=self.events,
            facts={"u1/a": Facts("u1/a", 1.0, 2.0, {"AAA": True}, {"AAA": False})},
            alien=self.alien,
            limits={"attempts": 3, "tier_timeout": 5, "total_timeout": 30, "resume_within": 60},
            prices={("u1/a", "AAA"): D(100)},
            **self.more,
        )

    def breaches(self, name: str) -> list[str]:
        """What the checkers of one invariant say of it."""
        evidence = Evidence(self.history())
        return [b.text for check in CHECKERS[name] for b in check(evidence) if b.name == name]


def closed() -> Story:
    """A close that went well."""
    story = Story().begin().intend(request()).send(request()).accept().fill("10", "0").over()
    return story.answer("terminal", order(filled="10", status=OrderStatus.FILLED)).read("0").end()


def stop(order_id: str = "s1") -> Order:
    return order(order_id, None, type=OrderType.STOP)


def not_found_after_one_question() -> Story:
    """The first question came before the expiry, the second behind it."""
    story = Story().begin().intend(request()).send(request()).nothing()
    for later in (0.5, 5.0):
        story.now += later
        story.calls += 1
        story.tell(Called, 1, "u1/a", story.calls, "find_order", order_id=ONE)
    return story.answer("not_found")


def stop_put_back_too_large() -> Story:
    asked = request(TWO, "10", type=OrderType.STOP, trigger=D(90))
    story = Story().begin(action(cancels=(stop(),))).cancel(stop()).over("0", "s1", "").read("4").read("4")
    return story.intend(asked, -1).send(asked)

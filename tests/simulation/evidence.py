"""The events of a run put in order for the checkers: every send with its fate, every plan, every position over time.

Places in the history are indices of events, because many things happen at one moment and their order matters.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from core.model import Order, OrderRequest, OrderType, PositionKey
from core.plans.plan import Action, ActionKind, Plan
from core.records import CancelAsked, ClosingEnded, IntentAnswered, IntentWritten, PlanApproved
from tests.simulation.history import (
    Accepted,
    Answered,
    Called,
    Durable,
    Facts,
    Filled,
    Foreign,
    History,
    Killed,
    Listed,
    Nothing,
    Over,
)

ZERO = Decimal(0)
NEVER = 1 << 60
SENDS = frozenset({"submit", "submit_direct", "close_position"})
DEFINITIVE = frozenset({"terminal", "refused", "unreachable", "not_found"})


class Breach(Struct, frozen=True):
    """An invariant that was broken, at an event of the history."""

    name: str
    text: str
    at: float = 0.0


class Send(Struct):
    """One order that left the program, with what truly became of it."""

    index: int
    at: float
    life: int
    account: str
    n: int
    what: str
    request: OrderRequest
    intent: IntentWritten | None = None  # the last durable one of its client id before it left
    order: str | None = None
    accepted: int = NEVER
    reduces: bool = False
    over: int = NEVER
    nothing: int = NEVER
    filled: Decimal = ZERO

    @property
    def key(self) -> PositionKey:
        return PositionKey(self.account, self.request.symbol, self.request.leg)

    @property
    def closing(self) -> bool:
        return self.request.type is not OrderType.STOP

    @property
    def protects(self) -> bool:
        """The program's own protective stop: placed by itself, or put back by a close that had taken it away."""
        return self.intent is not None and self.intent.protects

    @property
    def unplanned(self) -> bool:
        """A protective stop that the program placed by itself: it belongs to a position and to no plan of a person."""
        return self.protects and self.intent is not None and self.intent.plan.startswith("protect|")

    @property
    def settled(self) -> int:
        """From which event on it can certainly not execute any more."""
        return min(self.over, self.nothing)


class Timeline(Struct):
    """The true quantity of one key, by event."""

    indices: list[int] = []
    quantities: list[Decimal] = []

    def at(self, index: int) -> Decimal:
        place = bisect_right(self.indices, index)
        return self.quantities[place - 1] if place else ZERO

    def since(self, earlier: int, index: int) -> list[Decimal]:
        """What was held at one event and everything until another."""
        return [
            self.at(earlier),
            *self.quantities[bisect_right(self.indices, earlier) : bisect_right(self.indices, index)],
        ]


class Evidence:
    """The index of one history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.events = history.events
        self.sends: list[Send] = []
        self.orders: dict[tuple[str, str], Send] = {}  # by account and order id
        self.plans: dict[str, tuple[int, PlanApproved]] = {}
        self.intents: dict[str, list[tuple[int, IntentWritten]]] = {}
        self.answers: list[tuple[int, IntentAnswered]] = []
        self.ends: list[tuple[int, ClosingEnded]] = []
        self.held: dict[PositionKey, Timeline] = {}
        self.over: dict[tuple[str, str], int] = {}
        self.final: dict[tuple[str, str], Decimal] = {}  # filled quantity of terminal orders
        self.lists: dict[str, tuple[list[int], list[Listed]]] = {}
        self.foreign: dict[tuple[str, str], list[tuple[int, Foreign]]] = {}
        self.calls: dict[str, list[tuple[int, Called]]] = {}
        self.cancelled: dict[tuple[str, PositionKey], list[Order]] = {}  # what each close asked to go
        self.kills: list[int] = []
        self._by_call: dict[tuple[str, int], Send] = {}
        readers = {
            Called: self._called,
            Answered: self._answered,
            Accepted: self._accepted,
            Nothing: self._nothing,
            Filled: self._filled,
            Over: self._over,
            Durable: self._durable,
            Listed: self._listed,
            Foreign: self._foreign,
            Killed: self._killed,
        }
        for index, event in enumerate(self.events):
            read = readers.get(type(event))
            if read is not None:
                read(index, event)  # type: ignore[operator]  # each takes its own kind

    def facts(self, account: str) -> Facts:
        return self.history.facts[account]

    def at(self, index: int) -> float:
        return self.events[index].at

    def action(self, plan: str, key: PositionKey) -> Action | None:
        """What was confirmed for a key: its close."""
        known = self.plans.get(plan)
        return next((a for a in known[1].plan.closes if a.key == key), None) if known else None

    def approved(self) -> Iterator[tuple[int, Plan]]:
        for index, record in self.plans.values():
            yield index, record.plan

    def meddled(self, account: str, symbol: str, since: float, until: float) -> bool:
        """Whether somebody else did something to the instrument in that time."""
        return any(since <= f.at <= until for _, f in self.foreign.get((account, symbol), ()))

    def last_lists(self, account: str, index: int, count: int) -> list[Listed]:
        """The last lists that reached the program before an event, latest first."""
        indices, lists = self.lists.get(account, ([], []))
        place = bisect_left(indices, index)
        return lists[max(place - count, 0) : place][::-1]

    def listed_at(self, account: str, index: int) -> int:
        """The event with which the last list before another reached the program; 0: none did."""
        indices, _ = self.lists.get(account, ([], []))
        place = bisect_left(indices, index)
        return indices[place - 1] if place else 0

    # ------------------------------------------------------------------------------------------------------ reading

    def _called(self, index: int, event: Called) -> None:
        self.calls.setdefault(event.account, []).append((index, event))
        if event.what in SENDS and event.request is not None:
            send = Send(index, event.at, event.life, event.account, event.n, event.what, event.request)
            known = self.intents.get(event.request.client_id)
            send.intent = known[-1][1] if known else None
            self.sends.append(send)
            self._by_call[event.account, event.n] = send

    def _answered(self, index: int, event: Answered) -> None:
        """Only the venue's truth counts for what became of a send."""

    def _accepted(self, index: int, event: Accepted) -> None:
        send = self._by_call.get((event.account, event.n)) if event.n is not None else None
        if send is not None:
            send.accepted, send.order, send.reduces = index, event.order.id, event.reduces
            self.orders[event.account, event.order.id] = send

    def _nothing(self, index: int, event: Nothing) -> None:
        send = self._by_call.get((event.account, event.n))
        if send is not None:
            send.nothing = min(send.nothing, index)

    def _filled(self, index: int, event: Filled) -> None:
        timeline = self.held.setdefault(event.key, Timeline())
        timeline.indices.append(index)
        timeline.quantities.append(event.after)
        send = self.orders.get((event.account, event.order or ""))
        if send is not None:
            send.filled += abs(event.after - event.before)

    def _over(self, index: int, event: Over) -> None:
        self.over[event.account, event.order.id] = index
        self.final[event.account, event.order.id] = event.order.filled
        send = self.orders.get((event.account, event.order.id))
        if send is not None:
            send.over = index

    def _durable(self, index: int, event: Durable) -> None:
        match event.record:
            case PlanApproved(plan):
                self.plans[plan.id] = (index, event.record)
            case IntentWritten(client_id=name):
                self.intents.setdefault(name, []).append((index, event.record))
            case IntentAnswered():
                self.answers.append((index, event.record))
            case CancelAsked(plan, key, order):
                self.cancelled.setdefault((plan, key), []).append(order)
            case ClosingEnded():
                self.ends.append((index, event.record))
            case _:
                pass

    def _listed(self, index: int, event: Listed) -> None:
        indices, lists = self.lists.setdefault(event.account, ([], []))
        indices.append(index)
        lists.append(event)

    def _foreign(self, index: int, event: Foreign) -> None:
        self.foreign.setdefault((event.account, event.symbol), []).append((index, event))

    def _killed(self, index: int, event: Killed) -> None:
        self.kills.append(index)


def of_close(action: Action) -> bool:
    return action.kind is ActionKind.CLOSE

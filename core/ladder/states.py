"""The state of one close: its phases, what a close asks its runner to do, and the events that a close receives.

A close is always in one phase and waits for exactly one event. ``cancelling`` cancels the position's open orders.
``reading`` reads the position and its orders. In ``sending`` the intent is in the journal and the order is on its way.
From ``sending`` only an answer leads back to ``reading``: a refusal, a terminal order, or the proof, found in
``resolving``, that the order never existed. Therefore two closing orders are never live at once. Every phase has a
time limit, and an end is final. The table of phases, events and next phases is ``core.ladder.step.LIFECYCLE``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.errors import InvariantBroken, Refused
from core.ladder.parts import Cancels, Fills, LastRead, OrderUnderWay
from core.ladder.tiers import Step
from core.model import Instrument, Order, OrderRequest, Position, Tier
from core.plans.plan import Action
from core.plans.results import Outcome
from core.ports import OrderQuery, OrderRead
from core.records import IntentAnswered, MinimumRefused


class Phase(Enum):
    CANCELLING = "cancelling"  # the position's open orders are being cancelled
    READING = "reading"  # position and orders are being read
    WAITING = "waiting"  # the close waits for a lagging list, a cancel, a rate limit or an unreachable venue
    PARKED = "parked"  # the close waits for the market to open, or for the exit rules to judge it again
    SENDING = "sending"  # the intent is durable, the order is on its way
    RESOLVING = "resolving"  # the outcome is unknown and is looked up
    SETTLING = "settling"  # our order is live
    WITHDRAWING = "withdrawing"  # our order is being cancelled
    RESTORING = "restoring"  # protective orders are being put back
    ENDED = "ended"


# The ladder's next action, which its runner carries out: always exactly one.


class DoCancel(Struct, frozen=True):
    orders: tuple[Order, ...]


class DoRead(Struct, frozen=True):
    """Read position and orders; with ``touch`` a fresh price too."""

    touch: bool = False


class DoWait(Struct, frozen=True):
    seconds: float


class DoPark(Struct, frozen=True):
    """Wait until the market opens; without a time, ask again every minute."""

    until: datetime | None


class DoJudge(Struct, frozen=True):
    """Ask whether the exit rules still call for the close, at a price received after ``since`` (monotonic seconds)."""

    since: float


class DoSend(Struct, frozen=True):
    """Make the intent durable, then send the order. ``position`` and ``instrument`` are from the read right before."""

    step: Step
    request: OrderRequest
    position: Position
    instrument: Instrument


class DoAwait(Struct, frozen=True):
    """Ask for our order's state after at most ``seconds``, sooner if the stream reports the order."""

    order: Order
    seconds: float


class DoWithdraw(Struct, frozen=True):
    """Ask for a cancel of our order, then for the order's state after at most ``seconds``."""

    order: Order
    seconds: float


class DoRestore(Struct, frozen=True):
    requests: tuple[OrderRequest, ...]
    orders: tuple[Order, ...]  # the orders that the requests put back


class DoEnd(Struct, frozen=True):
    pass


Do = DoCancel | DoRead | DoWait | DoPark | DoJudge | DoSend | OrderQuery | DoAwait | DoWithdraw | DoRestore | DoEnd


# The events that the ladder receives.


class PositionRead(Struct, frozen=True):
    """A complete read. ``orders`` has all open orders on the instrument, unless there is an ``orders_flaw``.

    ``asked`` and ``received`` are monotonic seconds.
    """

    position: Position | None
    orders: tuple[Order, ...]
    instrument: Instrument
    asked: float
    received: float
    price: Decimal | None = None  # the price that a close would get; None without a usable price
    ended: tuple[Order, ...] = ()  # cancelled orders that the venue reports as ended
    alive: tuple[Order, ...] = ()  # cancelled orders that the venue reports as live, listed or not
    unsure: frozenset[str] = frozenset()  # ids of cancelled orders whose state the venue did not report
    orders_flaw: str = ""  # as in ``Holdings``


class CancelsAsked(Struct, frozen=True):
    """The answers to the cancels: each answer's text by order id.

    The ladder does not trust the answers: a read tells the state of the orders. ``read`` was requested right after the
    cancels, which saves a round trip. The ladder judges it like any other read, and waits for an order in it that is
    still open.
    """

    answers: dict[str, str]
    read: PositionRead | None = None


class ReadFailed(Struct, frozen=True):
    text: str
    final: bool = False  # credentials or a ban: another query does not help


class Waited(Struct, frozen=True):
    pass


class Judged(Struct, frozen=True):
    """The exit rules' judgement of a close that waited. ``text`` says why the close is dropped, where it is."""

    holds: bool
    text: str = ""


class NotJournaled(Struct, frozen=True):
    """The intent could not be made durable, so nothing was sent."""

    text: str


class Acknowledged(Struct, frozen=True):
    order: Order


class SendRefused(Struct, frozen=True):
    refused: Refused


class SendUnreachable(Struct, frozen=True):
    text: str


class SendUnknown(Struct, frozen=True):
    text: str


class LookFailed(Struct, frozen=True):
    text: str  # why the query failed; a failed query does not mean "not found"
    final: bool = False
    retry_after: float = 0.0  # seconds in which the venue will not answer


class Restored(Struct, frozen=True):
    """The answers to the requests that put orders back: each failure's text, "" for a success."""

    answers: tuple[str, ...]


Event = (
    CancelsAsked
    | PositionRead
    | ReadFailed
    | Waited
    | Judged
    | NotJournaled
    | Acknowledged
    | SendRefused
    | SendUnreachable
    | SendUnknown
    | OrderRead
    | LookFailed
    | Restored
)


class Limits(Struct, frozen=True):
    """The limits of one close, from the configuration and the venue's capabilities. Durations are seconds."""

    attempts: int
    tier_timeout: float
    request_expiry: float | None
    position_lag: float
    total_timeout: float = 120.0
    wait_for_open: bool = True
    client_id_length: int = 32


class Ladder(Struct, frozen=True):
    """The whole state of one close. Times are monotonic seconds."""

    plan: str
    epoch: str
    action: Action  # as it was confirmed
    steps: tuple[Step, ...]
    limits: Limits
    deadline: float
    expected: Decimal  # the largest possible position: the confirmed or last read quantity minus later fills
    phase: Phase = Phase.READING
    order: OrderUnderWay | None = None  # None: no order of ours is on its way or live
    fills: Fills = Fills()
    cancels: Cancels = Cancels()
    last_read: LastRead = LastRead()
    sent: frozenset[str] = frozenset()  # client ids and order ids of everything we sent for this close
    others: frozenset[str] = frozenset()  # ids of our orders on the instrument that belong to other closes
    index: int = 0  # the present or next step
    part: int = 0  # number of the part, where a step's order had to be split
    polls: int = 0
    refusals: int = 0  # refusals of the present step after which the ladder reads again
    failed: bool = False  # a unified call was refused or rejected, so the raw endpoint is worth a try
    unsupported: frozenset[Tier] = frozenset()
    answers: tuple[str, ...] = ()
    flat_asked: float | None = None  # when an unexplained flat read first arrived; only a later read confirms it
    odd_since: float | None = None  # since when reads contradict the expected state, or orders hold quantity
    opens_at: datetime | None = None
    by_exit: bool = False  # an exit rule approved the close, and no person did
    judge_from: float | None = None  # the decision waited until then: the exit rules judge it before the next order
    dropped: str = ""  # why the exit rules no longer call for the close
    outcome: Outcome | None = None
    error: str | None = None
    alarm: bool = False
    freeze: bool = False  # an order of ours may execute at any time, so nothing more may be sent for the account

    @property
    def ended(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def step(self) -> Step | None:
        return self.steps[self.index] if self.index < len(self.steps) else None

    @property
    def under_way(self) -> OrderUnderWay:
        """The order under way. Raises InvariantBroken where there is none."""
        if self.order is None:
            raise InvariantBroken(f"no order of ours is under way while {self.phase.value}")
        return self.order


class CloseBroken(InvariantBroken):
    """A close violated an invariant. ``ladder`` is the state of the close."""

    def __init__(self, text: str, ladder: Ladder) -> None:
        super().__init__(text)
        self.ladder = ladder


class Transition(Struct, frozen=True):
    """The result of one step of a close: the new state, the next action, and the records for the journal."""

    ladder: Ladder
    do: Do
    records: tuple[IntentAnswered | MinimumRefused, ...] = ()

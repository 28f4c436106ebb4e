"""The journal's records: one record per fact. The journal appends records and never changes them.

Replaying the records rebuilds the state. An intent is durable before its order leaves; its outcome is appended after.
A restart resumes every plan that was approved and has not ended. It begins with the intents without a terminal answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from core.model import Fill, Order, OrderRequest, OrderSide, PositionKey, Side, Tier
from core.plans.approver import Approver
from core.plans.conversion import Conversion, Converted
from core.plans.plan import OwnerTally, Plan
from core.plans.results import ResultRow
from core.portfolio.holding import MinimumRefusal
from core.units import ZERO

DEFINITIVE = frozenset({"terminal", "refused", "unreachable", "not_found"})  # answers that end an intent


class PlanApproved(Struct, frozen=True, tag=True):
    """The start of a plan's execution.

    ``by`` is ``rule:NAME``, or who confirmed: ``jane@desk1 (asked)``. Earlier records have ``person`` there.
    """

    plan: Plan
    by: str
    at: datetime
    approver: Approver | None = None


class IntentWritten(Struct, frozen=True, tag=True):
    """An order that is about to leave. It is written again, with the same client id, only if it provably never left.

    ``protects``: the order is the program's own protective order, placed or put back. False for a user's order.
    """

    plan: str
    key: PositionKey
    client_id: str
    step: int  # index in the ladder's schedule; -1 for an order that is put back; a protective order's number
    round: int
    tier: Tier | None
    request: OrderRequest
    position_before: Decimal  # the quantity that the broker reported right before
    at: datetime
    protects: bool = False


class IntentAnswered(Struct, frozen=True, tag=True):
    """The outcome of an intent. ``outcome``: acknowledged, refused, unreachable, unknown, terminal, not_found.

    ``terminal`` carries the order in its last state with its cumulative fill; ``not_found`` is conclusive.
    """

    plan: str
    key: PositionKey
    client_id: str
    outcome: str
    order: Order | None = None
    text: str = ""


class CancelAsked(Struct, frozen=True, tag=True):
    """A cancel of a resting order, of anybody, that is about to leave."""

    plan: str
    key: PositionKey
    order: Order


class FillRecorded(Struct, frozen=True, tag=True):
    """A fill. It is recorded once per trade id of the venue."""

    fill: Fill


class ProfitPending(Struct, frozen=True, tag=True):
    """The start of a position's close. The outcome of the close is not known yet."""

    plan: str
    key: PositionKey


class ClosingEnded(Struct, frozen=True, tag=True):
    """The end of one action of a plan. If the action closed something, this record moves PENDING to CONFIRMED."""

    plan: str
    result: ResultRow


class PlanEnded(Struct, frozen=True, tag=True):
    """The end of a plan, after the brokers were read again. ``final``: each owner's tally of what was really done."""

    plan: str
    success: bool
    final: tuple[OwnerTally, ...]


class AccountFrozen(Struct, frozen=True, tag=True):
    """A freeze: nothing is sent for the account until a person thaws it. ``why`` is None for the thaw itself."""

    account: str
    why: str | None
    by: str = ""  # who thawed; earlier records do not say
    approver: Approver | None = None


class Halted(Struct, frozen=True, tag=True):
    """The kill switch: no new risk from here on, until Resumed. Nothing that reduces is held back."""

    reason: str
    by: str
    at: datetime
    approver: Approver | None = None


class Resumed(Struct, frozen=True, tag=True):
    """The end of a halt."""

    by: str
    at: datetime
    approver: Approver | None = None


ENABLED, CLOSE_ONLY, LOCKED = "enabled", "close-only", "locked"  # states of an account
ACCOUNT_STATES = (ENABLED, CLOSE_ONLY, LOCKED)


class AccountStateSet(Struct, frozen=True, tag=True):
    """The state that a person gave an account: enabled, close-only, locked.

    The state ends by itself at ``until``; None: the state lasts until the next record.
    """

    account: str
    state: str
    reason: str
    by: str
    at: datetime
    until: datetime | None = None
    approver: Approver | None = None


class EntryApproved(Struct, frozen=True, tag=True):
    """A confirmed order that passed the gate. The order adds to a position or reduces a part of it.

    An entry counts against the cap from here to its EntryEnded. ``what``: open, scale_in, scale_out.
    """

    plan: str  # names the entry, as a plan's id names a plan
    owner: str
    key: PositionKey
    what: str
    side: OrderSide
    quantity: Decimal
    by: str
    at: datetime
    price: Decimal | None = None  # the price of a limit order
    leverage: Decimal | None = None  # the requested leverage
    stop_pct: Decimal | None = None
    before: Decimal = ZERO  # quantity held before the order
    entry: Decimal | None = None  # entry price of the quantity held before
    reduce_only: bool = False
    approver: Approver | None = None


class EntryEnded(Struct, frozen=True, tag=True):
    """The end of an entry. ``realised``: profit or loss of a part that was taken off.

    ``outcome``: filled, partial, not_filled, refused, unreachable, not_sent.
    """

    plan: str
    key: PositionKey
    outcome: str
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    realised: Decimal | None = None
    error: str | None = None


class Opened(Struct, frozen=True, tag=True):
    """A position that the program opened. ``settings``: fingerprint of the settings at that time.

    The position's stop starts from these fields.
    """

    plan: str
    key: PositionKey
    side: Side
    quantity: Decimal
    entry: Decimal | None
    leverage: Decimal | None  # the leverage at the venue
    asked_leverage: Decimal | None
    stop_pct: Decimal | None
    settings: str


class Scaled(Struct, frozen=True, tag=True):
    """A position after an addition or a reduction. An addition averages the entry; a reduction keeps it.

    The stop, the target and the peak stay.
    """

    plan: str
    key: PositionKey
    quantity: Decimal
    entry: Decimal | None


class Adopted(Struct, frozen=True, tag=True):
    """A position taken over as the broker reports it. ``why``: legacy, missed, quantity, side, entry, renamed.

    ``settings``: fingerprint of the settings it was accepted under; empty when the program only noticed the position.
    """

    key: PositionKey
    side: Side
    quantity: Decimal
    entry: Decimal | None
    leverage: Decimal | None
    why: str
    settings: str = ""


class PositionClosed(Struct, frozen=True, tag=True):
    """A known position that the broker no longer has, although no close of ours ended it."""

    key: PositionKey
    why: str


class ConversionAsked(Struct, frozen=True, tag=True):
    """A request to convert dust that is about to leave, once.

    Venues take no client id for a conversion, so the venue's own records tell its outcome.
    """

    plan: str  # names the conversion, as a plan's id names a plan
    account: str
    conversions: tuple[Conversion, ...]
    at: datetime
    by: str = ""  # who confirmed; earlier records do not say
    approver: Approver | None = None


class ConversionAnswered(Struct, frozen=True, tag=True):
    """The known results of a conversion request. The record is written again when more results are known.

    A conversion that is missing here and was not refused has an unknown outcome.
    """

    plan: str
    account: str
    results: tuple[Converted, ...]


class MinimumRefused(Struct, frozen=True, tag=True):
    """A close that the venue refused as below its minimum, so that it is not sent again for the same position."""

    plan: str
    key: PositionKey
    refusal: MinimumRefusal


class Logged(Struct, frozen=True, tag=True):
    """One log line, as consoles show it."""

    level: str
    text: str
    account: str | None = None
    owner: str | None = None
    symbol: str | None = None


Record = (
    PlanApproved
    | IntentWritten
    | IntentAnswered
    | CancelAsked
    | FillRecorded
    | ProfitPending
    | ClosingEnded
    | PlanEnded
    | AccountFrozen
    | Halted
    | Resumed
    | AccountStateSet
    | EntryApproved
    | EntryEnded
    | Opened
    | Scaled
    | Adopted
    | PositionClosed
    | ConversionAsked
    | ConversionAnswered
    | MinimumRefused
    | Logged
)


def too_small(records: Iterable[Record]) -> dict[PositionKey, MinimumRefusal]:
    """Return each position's last refusal as below the venue's minimum."""
    return {r.key: r.refusal for r in records if isinstance(r, MinimumRefused)}


class Entry(Struct, frozen=True):
    """A record with its sequence number in the journal."""

    seq: int
    at: datetime
    record: Record

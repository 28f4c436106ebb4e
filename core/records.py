"""What the journal holds: one record per fact, appended and never changed. Replaying them rebuilds the state.

An intent is durable before its order leaves; its outcome is appended after. A plan that was approved and has not
ended is what a restart takes up again, beginning with every intent that has no terminal answer.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from core.model import Fill, Order, OrderRequest, OrderSide, PositionKey, Side, Tier
from core.plans.conversion import Conversion, Converted
from core.plans.plan import OwnerTally, Plan
from core.plans.results import ResultRow
from core.units import ZERO

DEFINITIVE = frozenset({"terminal", "refused", "unreachable", "not_found"})  # answers that end an intent


class PlanApproved(Struct, frozen=True, tag=True):
    """From here on the plan is being carried out. ``by`` is ``person`` or ``rule:NAME``."""

    plan: Plan
    by: str
    at: datetime


class IntentWritten(Struct, frozen=True, tag=True):
    """An order is about to leave. Written again, with the same client id, only after it provably did not.

    ``protects``: the program's own protective order, placed by it or put back, and not one of the user's put back.
    """

    plan: str
    key: PositionKey
    client_id: str
    step: int  # index in the ladder's schedule; -1 for an order that is put back; a protective order's number
    round: int
    tier: Tier | None
    request: OrderRequest
    position_before: Decimal  # what the broker reported right before
    at: datetime
    protects: bool = False


class IntentAnswered(Struct, frozen=True, tag=True):
    """What is known of an intent. ``outcome``: acknowledged, refused, unreachable, unknown, terminal, not_found.

    ``terminal`` carries the order in its last state with its cumulative fill; ``not_found`` is conclusive.
    """

    plan: str
    key: PositionKey
    client_id: str
    outcome: str
    order: Order | None = None
    text: str = ""


class CancelAsked(Struct, frozen=True, tag=True):
    """A cancel of somebody's resting order is about to leave."""

    plan: str
    key: PositionKey
    order: Order


class FillRecorded(Struct, frozen=True, tag=True):
    """An execution, once per venue trade id."""

    fill: Fill


class ProfitPending(Struct, frozen=True, tag=True):
    """A close of this position began; its outcome is not known yet."""

    plan: str
    key: PositionKey


class ClosingEnded(Struct, frozen=True, tag=True):
    """The end of one action of a plan; with something closed, the record that moves PENDING to CONFIRMED."""

    plan: str
    result: ResultRow


class PlanEnded(Struct, frozen=True, tag=True):
    """Carried out, with what the brokers said afterwards. ``final`` are the owners' tallies of what was really done."""

    plan: str
    success: bool
    final: tuple[OwnerTally, ...]


class AccountFrozen(Struct, frozen=True, tag=True):
    """Nothing is sent for the account until a person looked; ``why`` None thaws it."""

    account: str
    why: str | None


class EntryApproved(Struct, frozen=True, tag=True):
    """An order that adds to a position, or takes a part of it off, passed the gate and was confirmed.

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
    price: Decimal | None = None  # of a limit order
    leverage: Decimal | None = None  # as asked for
    stop_pct: Decimal | None = None
    before: Decimal = ZERO  # what was held
    entry: Decimal | None = None  # of what was held
    reduce_only: bool = False


class EntryEnded(Struct, frozen=True, tag=True):
    """``outcome``: filled, partial, not_filled, refused, unreachable, not_sent; ``realised`` is P&L of a part."""

    plan: str
    key: PositionKey
    outcome: str
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    realised: Decimal | None = None
    error: str | None = None


class Opened(Struct, frozen=True, tag=True):
    """A position of ours. ``settings`` is the fingerprint of what it was opened under; its stop begins from these."""

    plan: str
    key: PositionKey
    side: Side
    quantity: Decimal
    entry: Decimal | None
    leverage: Decimal | None  # as the venue has it
    asked_leverage: Decimal | None
    stop_pct: Decimal | None
    settings: str


class Scaled(Struct, frozen=True, tag=True):
    """A position after it was added to or reduced: its entry is averaged or kept, its stop, target and peak stay."""

    plan: str
    key: PositionKey
    quantity: Decimal
    entry: Decimal | None


class Adopted(Struct, frozen=True, tag=True):
    """What the broker reports is taken over. ``why``: legacy, missed, quantity, side, entry.

    ``settings`` is the fingerprint of those it is accepted under; empty when it was only noticed.
    """

    key: PositionKey
    side: Side
    quantity: Decimal
    entry: Decimal | None
    leverage: Decimal | None
    why: str
    settings: str = ""


class PositionClosed(Struct, frozen=True, tag=True):
    """A position that we knew is no longer at the broker, and not by a close of ours."""

    key: PositionKey
    why: str


class ConversionAsked(Struct, frozen=True, tag=True):
    """A request to convert dust is about to leave, once. A venue has no client id for it: its records tell the rest."""

    plan: str  # names the conversion, as a plan's id names a plan
    account: str
    conversions: tuple[Conversion, ...]
    at: datetime


class ConversionAnswered(Struct, frozen=True, tag=True):
    """What is known of it; written again when more is. Of what is neither here nor refused nothing is known."""

    plan: str
    account: str
    results: tuple[Converted, ...]


class Logged(Struct, frozen=True, tag=True):
    """A line of the log, as consoles show it."""

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
    | EntryApproved
    | EntryEnded
    | Opened
    | Scaled
    | Adopted
    | PositionClosed
    | ConversionAsked
    | ConversionAnswered
    | Logged
)


class Entry(Struct, frozen=True):
    """A record with its place in the journal."""

    seq: int
    at: datetime
    record: Record

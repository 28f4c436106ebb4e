"""What the journal holds: one record per fact, appended and never changed. Replaying them rebuilds the state.

An intent is durable before its order leaves; its outcome is appended after. A plan that was approved and has not
ended is what a restart takes up again, beginning with every intent that has no terminal answer.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from core.link import ResultRow
from core.model import Fill, Order, OrderRequest, PositionKey, Tier
from core.plan import OwnerTally, Plan


class PlanApproved(Struct, frozen=True, tag=True):
    """From here on the plan is being carried out. ``by`` is ``person`` or ``rule:NAME``."""

    plan: Plan
    by: str
    at: datetime


class IntentWritten(Struct, frozen=True, tag=True):
    """An order is about to leave. Written again, with the same client id, only after it provably did not."""

    plan: str
    key: PositionKey
    client_id: str
    step: int  # index in the ladder's schedule; -1 for an order that is put back
    round: int
    tier: Tier | None
    request: OrderRequest
    position_before: Decimal  # what the broker reported right before
    at: datetime


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
    | Logged
)


class Entry(Struct, frozen=True):
    """A record with its place in the journal."""

    seq: int
    at: datetime
    record: Record

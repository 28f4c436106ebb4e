"""All that a console may see or ask: rows, snapshots, updates, commands and replies, every one serialisable.

A console is a replica. It starts from a Snapshot and applies Updates in sequence; an Update whose ``seq`` is not the
replica's plus one is a gap, and the replica asks for a new Snapshot. Rows are whole values: a changed row is sent
again entirely, so applying one twice does no harm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from core.exits.view import ExitView
from core.model import PositionKey
from core.plans.plan import Plan
from core.plans.request import PlanRequest
from core.plans.results import ResultRow, VerifiedOwner


class EngineRow(Struct, frozen=True):
    """The engine itself. ``mode`` is ``service`` or ``one-shot``."""

    running: bool = True
    mode: str = "one-shot"
    armed: bool = False
    read_only: bool = False
    alarm: str | None = None  # the newest alarm that nobody acknowledged


class AccountRow(Struct, frozen=True):
    """``state`` is connecting, live, polling, stale or down; ``as_of`` is when its last complete read was received."""

    id: str
    owner: str
    broker: str
    state: str
    error: str | None = None
    as_of: datetime | None = None
    latency: float | None = None  # seconds of the last read
    frozen: str | None = None  # why nothing is sent for it until a person looked


class OwnerRow(Struct, frozen=True):
    """``counted`` is what counts against the cap; not ``complete`` when one of the owner's accounts is unreadable."""

    id: str
    cap: int
    counted: int
    complete: bool


class PositionRow(Struct, frozen=True):
    """One position. Fractions are fractions (0.01 is 1 %); unknown is None."""

    key: PositionKey
    owner: str
    native_symbol: str
    side: str
    quantity: Decimal
    free: Decimal
    entry: Decimal | None
    mark: Decimal | None
    leverage: Decimal | None
    usd_value: Decimal | None
    pnl: Decimal | None
    roi: Decimal | None
    opened_at: datetime | None
    open_orders: int
    stop: Decimal | None = None
    target: Decimal | None = None
    flags: tuple[str, ...] = ()  # dust cap open_orders stale unsellable legacy closing
    note: str = ""  # the reason behind a flag or an unknown, for a person
    priced_at: datetime | None = None  # when the price was received
    guard: ExitView | None = None
    protective: Decimal | None = None  # the trigger of a stop of ours that rests at the venue for it


class ClosingRow(Struct, frozen=True):
    """A close in flight, waiting or ended lately."""

    key: PositionKey
    plan: str
    reason: str
    state: str
    tier: str | None = None
    round: int = 0
    attempt: int = 0
    next_tier: str | None = None
    next_at: datetime | None = None
    quantity: Decimal = Decimal(0)
    filled: Decimal = Decimal(0)
    answer: str = ""  # the venue's last answer
    outcome: str | None = None  # once ended
    alarm: bool = False
    acknowledged: bool = False


class PlanRow(Struct, frozen=True):
    """A plan that waits for a person, or is being carried out. ``state``: waiting, running, done."""

    id: str
    cause: str
    state: str
    closes: int
    cancels: int
    created_at: datetime
    request: PlanRequest | None = None  # makes the plan of now; None of one that cannot be made again
    text: str = ""  # why, for a person


class LogRow(Struct, frozen=True):
    """``level`` is debug, info, warning, error or alarm; ``tag`` such as ``[DUST][FORCED]`` opens ``text``."""

    seq: int
    at: datetime
    level: str
    text: str
    account: str | None = None
    owner: str | None = None
    symbol: str | None = None


class Snapshot(Struct, frozen=True, tag=True):
    """Everything, at sequence number ``seq``; ``log`` is the tail, oldest first."""

    seq: int
    taken_at: datetime
    engine: EngineRow
    accounts: tuple[AccountRow, ...] = ()
    owners: tuple[OwnerRow, ...] = ()
    positions: tuple[PositionRow, ...] = ()
    closings: tuple[ClosingRow, ...] = ()
    plans: tuple[PlanRow, ...] = ()
    log: tuple[LogRow, ...] = ()


class Update(Struct, frozen=True, tag=True):
    """What changed since ``seq - 1``. ``gone_*`` are keys of rows that are no longer there."""

    seq: int
    taken_at: datetime
    engine: EngineRow | None = None
    accounts: tuple[AccountRow, ...] = ()
    owners: tuple[OwnerRow, ...] = ()
    positions: tuple[PositionRow, ...] = ()
    gone_positions: tuple[PositionKey, ...] = ()
    closings: tuple[ClosingRow, ...] = ()
    gone_closings: tuple[PositionKey, ...] = ()
    plans: tuple[PlanRow, ...] = ()
    gone_plans: tuple[str, ...] = ()
    log: tuple[LogRow, ...] = ()


class Prepare(Struct, frozen=True, tag=True):
    """Make a plan and answer with it; nothing is sent and nothing is written."""

    request: PlanRequest


class Confirm(Struct, frozen=True, tag=True):
    """Carry out the plan, if it still is what was shown."""

    plan: str
    digest: str


class Withdraw(Struct, frozen=True, tag=True):
    """A plan that was shown is no longer wanted."""

    plan: str


class Acknowledge(Struct, frozen=True, tag=True):
    """A person has seen a closing's alarm, or with no key the engine's."""

    key: PositionKey | None = None


class Show(Struct, frozen=True, tag=True):
    """Make the plan that waits under this id, as it would be now; answered with Planned."""

    plan: str


class Preview(Struct, frozen=True, tag=True):
    """Ask which exits would fire at once; answered with ExitsDue."""


class Arm(Struct, frozen=True, tag=True):
    """Let exits be carried out by themselves, or stop that at once. ``digest`` is of the exits that were shown."""

    on: bool
    digest: str | None = None


class Refresh(Struct, frozen=True, tag=True):
    """Ask for a new Snapshot (after a gap) and, with ``read``, for a complete read of every account first."""

    read: bool = False


Command = Prepare | Show | Confirm | Withdraw | Preview | Arm | Acknowledge | Refresh


class PlanReport(Struct, frozen=True):
    """A carried-out plan: per action its result, and what the brokers said afterwards."""

    plan: Plan
    results: tuple[ResultRow, ...]
    owners: tuple[VerifiedOwner, ...]
    positions: tuple[PositionRow, ...]
    complete: bool  # every account was read again
    success: bool  # nothing remained: all closed or residual, nothing partial, stuck, changed or unread


class Planned(Struct, frozen=True, tag=True):
    """Answer to Prepare, and to Show with the request that makes it again."""

    plan: Plan
    request: PlanRequest | None = None


class DueRow(Struct, frozen=True):
    """An exit that would fire at once."""

    key: PositionKey
    reason: str
    text: str


class ExitsDue(Struct, frozen=True, tag=True):
    """Answer to Preview. ``refused`` says why this engine cannot be armed, empty where it can."""

    exits: tuple[DueRow, ...]
    digest: str
    refused: str = ""


class Started(Struct, frozen=True, tag=True):
    """Answer to Confirm: it is being carried out; progress comes as closings, the end as Finished."""

    plan: str


class Finished(Struct, frozen=True, tag=True):
    """Sent to every console when a plan was carried out."""

    report: PlanReport


class Done(Struct, frozen=True, tag=True):
    """Answer to a command that has none of its own."""


class Rejected(Struct, frozen=True, tag=True):
    """A command was not carried out. ``code`` for programs (changed, expired, read_only, unknown_plan …)."""

    code: str
    text: str


Reply = Planned | ExitsDue | Started | Done | Rejected | Snapshot
Message = Snapshot | Update | Finished


class Link(Protocol):
    """A console's end of the line to an engine, whatever carries it."""

    async def ask(self, command: Command) -> Reply:
        """Send a command and wait for its reply."""

    def messages(self) -> AsyncIterator[Message]:
        """A Snapshot first, then Updates in sequence and Finished reports, until the engine is gone."""

    async def aclose(self) -> None:
        """Hang up; the engine goes on."""


def encode(message: Any) -> bytes:
    """Any message, command or reply as JSON."""
    return msgspec.json.encode(message)


_COMMANDS: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_MESSAGES: msgspec.json.Decoder[Reply | Message] = msgspec.json.Decoder(
    Planned | ExitsDue | Started | Done | Rejected | Snapshot | Update | Finished
)


def decode_command(data: bytes) -> Command:
    """Raises msgspec.DecodeError for anything that is not a Command."""
    return _COMMANDS.decode(data)


def decode_message(data: bytes) -> Reply | Message:
    """Raises msgspec.DecodeError for anything that is not a Reply or a Message."""
    return _MESSAGES.decode(data)

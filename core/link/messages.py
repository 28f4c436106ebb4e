"""The messages between an engine and its consoles: rows, snapshots, updates, commands, replies. All are serialisable.

A console is a replica. A replica starts from a Snapshot and applies Updates in sequence. If an Update's ``seq`` is not
the replica's plus one, an Update is missing. Then the replica asks for a new Snapshot. A changed row is sent again
as a whole, so the same row can be applied twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from core.link.requests import Request, RequestReply
from core.link.restrict import HaltRow, Restrict, TradingRow
from core.model import PositionKey
from core.plans.approver import Approver
from core.plans.plan import Plan
from core.plans.position_row import PositionRow
from core.plans.request import PlanRequest
from core.plans.results import PlanReport

LIVE_STATES = frozenset({"live", "polling"})


class AlarmRow(Struct, frozen=True):
    """An alarm of the engine that nobody acknowledged. An alarm with a ``key`` goes with its position."""

    text: str
    since: datetime
    account: str | None = None
    key: PositionKey | None = None


class EngineRow(Struct, frozen=True):
    """The engine itself. ``mode`` is ``service`` or ``one-shot``."""

    running: bool = True
    mode: str = "one-shot"
    armed: bool = False
    read_only: bool = False
    alarm: str | None = None  # the newest alarm that nobody acknowledged
    alarms: tuple[AlarmRow, ...] = ()  # every alarm that nobody acknowledged, oldest first
    next_cleanup: datetime | None = None  # when the schedule makes the next cleanup's plan
    pid: int | None = None  # pid, version, start and attached consoles of an engine in another process
    version: str = ""
    started_at: datetime | None = None
    consoles: int = 0
    exits_late: int = 0  # seconds that exits are late on a machine that is too slow; 0: on time
    halted: HaltRow | None = None


class AccountRow(Struct, frozen=True):
    """One account. ``state`` is connecting, live, polling, stale or down.

    ``as_of`` is the time at which the last complete read was received.
    """

    id: str
    owner: str
    broker: str
    state: str
    error: str | None = None
    as_of: datetime | None = None
    latency: float | None = None  # seconds of the last read
    frozen: str | None = None  # why nothing is sent for the account until a person thaws it
    unlisted: tuple[str, ...] = ()  # parts of the account that the last read did not cover
    trading: TradingRow = TradingRow()

    @property
    def whole(self) -> bool:
        """True if the last read is current and covered the whole account."""
        return self.state in LIVE_STATES and self.as_of is not None and not self.unlisted


class OwnerRow(Struct, frozen=True):
    """One owner. ``counted`` is the number of positions that count against the cap.

    ``complete`` is False when one of the owner's accounts is unreadable or has parts that are not listed.
    """

    id: str
    cap: int
    counted: int
    complete: bool
    dust: int = 0  # positions of dust, which do not count
    unsellable: int = 0  # positions that no venue takes, which do not count


class ClosingRow(Struct, frozen=True):
    """A close that is in flight, waits or ended lately."""

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
    text: str = ""  # the plan's words for the reason


class PlanRow(Struct, frozen=True):
    """A plan that waits for a person or is carried out. ``state``: waiting, running, done."""

    id: str
    cause: str
    state: str
    closes: int
    cancels: int
    created_at: datetime
    request: PlanRequest | None = None  # makes the plan again; None for a plan that cannot be made again
    text: str = ""  # the reason, for a person


class LogRow(Struct, frozen=True):
    """One log line. ``level``: debug, info, warning, error, alarm. ``text`` may begin with ``[DUST][FORCED]`` etc."""

    seq: int
    at: datetime
    level: str
    text: str
    account: str | None = None
    owner: str | None = None
    symbol: str | None = None


class Snapshot(Struct, frozen=True, tag=True):
    """The whole state at sequence number ``seq``. ``log`` has the newest lines, oldest first."""

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
    """The changes since ``seq - 1``. ``gone_*`` has the keys of removed rows."""

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
    """Carry out the plan if ``digest`` is still the plan's digest."""

    plan: str
    digest: str
    approver: Approver | None = None  # who confirmed, for the journal


class Execute(Struct, frozen=True, tag=True):
    """Carry out the plan as Confirm does, and reply at its end: Finished, or Rejected.

    No close of the plan waits for a market to open: the sender waits for the end.
    """

    plan: str
    digest: str
    approver: Approver | None = None


class Withdraw(Struct, frozen=True, tag=True):
    """Forget a plan that the person no longer wants."""

    plan: str


class Acknowledge(Struct, frozen=True, tag=True):
    """Acknowledge the alarm of a close; without a key, the engine's alarm with that text, or all of its alarms."""

    key: PositionKey | None = None
    alarm: str | None = None


class Show(Struct, frozen=True, tag=True):
    """Make the waiting plan with this id again, for the present state. The reply is Planned."""

    plan: str


class Preview(Struct, frozen=True, tag=True):
    """Ask which exits would fire at once. The reply is ExitsDue."""


class Arm(Struct, frozen=True, tag=True):
    """Turn automatic exits on, or off at once. ``digest`` is the digest of the exits that the person saw."""

    on: bool
    digest: str | None = None


class Refresh(Struct, frozen=True, tag=True):
    """Ask for a new Snapshot, e.g. after a missing Update. ``read``: read every account completely first."""

    read: bool = False


class Thaw(Struct, frozen=True, tag=True):
    """Let a frozen account be acted on again. The reply is Done."""

    account: str
    approver: Approver | None = None  # who looked at the account


Signed = Confirm | Restrict  # commands for which a link names the person who sends them
Command = Prepare | Show | Execute | Withdraw | Preview | Arm | Acknowledge | Signed | Refresh | Thaw | Request


class Planned(Struct, frozen=True, tag=True):
    """The reply to Prepare and Show. For Show ``request`` is the request that makes the plan again."""

    plan: Plan
    request: PlanRequest | None = None


class DueRow(Struct, frozen=True):
    """An exit that would fire at once."""

    key: PositionKey
    reason: str
    text: str


class ExitsDue(Struct, frozen=True, tag=True):
    """The reply to Preview. ``refused`` says why this engine cannot be armed; "" if the engine can be armed."""

    exits: tuple[DueRow, ...]
    digest: str
    refused: str = ""


class Started(Struct, frozen=True, tag=True):
    """The reply to Confirm: the plan's execution has started. ClosingRows tell the progress, Finished tells the end."""

    plan: str


class Finished(Struct, frozen=True, tag=True):
    """The message to every console after the execution of a plan, and the reply to Execute."""

    report: PlanReport


class Done(Struct, frozen=True, tag=True):
    """The reply to a command without a specific reply."""


class Rejected(Struct, frozen=True, tag=True):
    """The reply to a command that was not carried out.

    ``code`` is for programs (changed, expired, read_only, unknown_plan …).
    """

    code: str
    text: str


class Lost(Struct, frozen=True):
    """The message of a console's own line: the engine is gone, and why. A Snapshot of the next engine ends this."""

    text: str


Reply = Planned | ExitsDue | Started | Finished | Done | Rejected | Snapshot | RequestReply
Message = Snapshot | Update | Finished


class Link(Protocol):
    """A console's connection to an engine, independent of the transport."""

    async def ask(self, command: Command) -> Reply:
        """Send a command and wait for its reply."""

    def messages(self) -> AsyncGenerator[Message | Lost, None]:
        """Yield a Snapshot, then Updates in sequence and Finished reports, until the engine is gone.

        A line that waits for the next engine yields Lost, and goes on with that engine's Snapshot.
        """

    async def aclose(self) -> None:
        """Close the connection. The engine goes on."""

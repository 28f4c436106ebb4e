"""The messages about restrictions of new risk: the kill switch, and the state that a person gave an account."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from core.plans.approver import Approver


class HaltRow(Struct, frozen=True):
    """The kill switch while it is on: no new risk, closing goes on."""

    reason: str
    since: datetime
    by: str


class TradingRow(Struct, frozen=True):
    """The state that a person gave an account: enabled, close-only, locked. ``until``: the end that comes by itself."""

    state: str = "enabled"
    until: datetime | None = None
    reason: str | None = None
    since: datetime | None = None
    by: str | None = None


class Halt(Struct, frozen=True, tag=True):
    """Stop all new risk at once. Closing, cancelling and exits go on."""

    reason: str = ""
    approver: Approver | None = None


class Resume(Struct, frozen=True, tag=True):
    """Allow new risk again."""

    approver: Approver | None = None


class SetAccountState(Struct, frozen=True, tag=True):
    """Set what an account may do: enabled, close-only, locked. The state ends by itself at ``until``."""

    account: str
    state: str
    reason: str = ""
    until: datetime | None = None
    approver: Approver | None = None


Restrict = Halt | Resume | SetAccountState

"""The messages of a command that opens, scales, compares or thaws. All are serialisable."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from core.entries.report import Report
from core.entries.rules import EntryDraft, EntryRequest, Rejection
from core.plans.approver import Approver
from core.reconciliation.rules import Reconciled


class KnowSymbol(Struct, frozen=True, tag=True):
    """Ask whether the account's venue knows the symbol. The reply is Answered."""

    account: str
    symbol: str


class FindRefusals(Struct, frozen=True, tag=True):
    """Ask the entry gate. The reply is Refusals."""

    signal: EntryRequest


class DraftEntry(Struct, frozen=True, tag=True):
    """Draft an entry; nothing is sent. The reply is Drafted, or Rejected with the gate's code."""

    signal: EntryRequest
    limit: bool = False
    flatten_first: bool = False


class DraftScaling(Struct, frozen=True, tag=True):
    """Draft a scaling; nothing is sent. The reply is Drafted, or Rejected with the gate's code."""

    account: str
    symbol: str
    quantity: Decimal
    inward: bool


class SendEntry(Struct, frozen=True, tag=True):
    """Send a drafted order that a person confirmed. The reply comes when the end is known: Entered or Rejected.

    ``wait`` is the time in seconds that a limit order may rest.
    """

    draft: EntryDraft
    wait: float
    approver: Approver | None = None


class Reconcile(Struct, frozen=True, tag=True):
    """Compare the brokers with the journal. ``correct``: make the journal say what the brokers say.

    The reply is Compared.
    """

    correct: bool = True


Request = KnowSymbol | FindRefusals | DraftEntry | DraftScaling | SendEntry | Reconcile


class Answered(Struct, frozen=True, tag=True):
    """The reply yes or no."""

    yes: bool


class Refusals(Struct, frozen=True, tag=True):
    """The reply to FindRefusals: every reason against the entry."""

    found: tuple[Rejection, ...]


class Drafted(Struct, frozen=True, tag=True):
    """The reply to DraftEntry and DraftScaling."""

    draft: EntryDraft


class Entered(Struct, frozen=True, tag=True):
    """The reply to SendEntry."""

    report: Report


class Compared(Struct, frozen=True, tag=True):
    """The reply to Reconcile."""

    reconciled: Reconciled


RequestReply = Answered | Refusals | Drafted | Entered | Compared

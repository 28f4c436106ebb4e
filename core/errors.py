"""The root of all errors, and the three ways in which a request to a venue fails.

*Refused*: the venue said no and executed nothing. *Unreachable*: the request provably never left. *Unknown*: the
venue may have executed it, so we look it up and never resend it. Each adapter translates its vendor's exceptions.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum


class FlatdeckError(Exception):
    """Root of every error that this program raises on purpose. ``str()`` is one sentence for a person."""


class EngineBusy(FlatdeckError):
    """Another engine has the data directory, so this process cannot act."""


class EngineGone(FlatdeckError):
    """The line to the engine broke, or the engine does not answer any more.

    ``asked`` is True when the command had left: the engine may have taken it.
    """

    def __init__(self, text: str, *, asked: bool = False) -> None:
        super().__init__(text)
        self.asked = asked


class ConfigError(FlatdeckError):
    """The configuration, a file or an option is unusable. The text says what is wrong, where, and the way out."""


class MissingCredentials(ConfigError):
    """An account has no key. The text names every key that is missing."""


class JournalError(FlatdeckError):
    """The journal cannot be written or read. Nothing may be sent until it can."""


class InvariantBroken(FlatdeckError):
    """A rule was broken that must hold whatever the venue does. The account is frozen."""


class Refusal(Enum):
    """Why a venue said no, as finely as the ladder must tell the reasons apart."""

    NO_POSITION = "no_position"  # the position does not exist: read again; flat is success
    REDUCE_ONLY = "reduce_only"  # the order would not reduce: read again
    HELD = "held"  # other orders hold the quantity: check that their cancels are confirmed
    BLOCKED = "blocked"  # another order of the account stands against ours: read again, the order may be going
    BELOW_MINIMUM = "below_minimum"
    UNSUPPORTED = "unsupported"  # time in force, type or price band: next tier, and never this tier again
    PRECISION = "precision"
    RATE_LIMITED = "rate_limited"  # wait ``retry_after``
    BANNED = "banned"
    MARKET_CLOSED = "market_closed"  # the close is parked until ``opens_at``
    HALTED = "halted"
    AUTH = "auth"  # credentials expired, revoked or not allowed: alarm, and no tier is used up
    CLOCK = "clock"  # our timestamp is outside the venue's window
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_ORDER = "unknown_order"
    DUPLICATE = "duplicate"  # the client order id exists already: look it up
    OTHER = "other"


class Refused(FlatdeckError):
    """The venue answered no and executed nothing. ``text`` and ``code`` are the venue's own.

    ``retry_after`` is in seconds.
    """

    def __init__(
        self,
        refusal: Refusal,
        text: str,
        *,
        code: str = "",
        retry_after: float | None = None,
        opens_at: datetime | None = None,
    ) -> None:
        super().__init__(text)
        self.refusal = refusal
        self.code = code
        self.retry_after = retry_after
        self.opens_at = opens_at


class Unreachable(FlatdeckError):
    """The request provably never reached the venue: connection refused, no such host, not connected."""


class OutcomeUnknown(FlatdeckError):
    """The venue may have executed the request: time-out, dropped connection, empty or broken answer."""


def explain(error: Exception) -> str:
    """Return the error's text; a time-out carries no text of its own."""
    return str(error) or "no answer in time"

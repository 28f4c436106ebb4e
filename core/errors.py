"""One root, and the three outcomes of a request to a venue.

A request is *refused* (the venue said no: nothing happened), *unreachable* (it provably never left) or *unknown*
(it may have been executed; it is looked up, never sent again). Adapters translate their vendor's exceptions to
these once, at their edge.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum


class FlatdeckError(Exception):
    """Root of everything this program raises on purpose. ``str()`` is one sentence for a person."""


class ConfigError(FlatdeckError):
    """The configuration, a file or an option is unusable; says what, where and the way out."""


class JournalError(FlatdeckError):
    """The journal cannot be written or read. Nothing may be sent while this stands."""


class InvariantBroken(FlatdeckError):
    """A rule that must hold whatever the venue does was seen broken; the account is frozen."""


class Refusal(Enum):
    """Why a venue said no, as far as the ladder must tell cases apart."""

    NO_POSITION = "no_position"  # position does not exist: re-read, flat is success
    REDUCE_ONLY = "reduce_only"  # would not reduce: re-read
    HELD = "held"  # quantity held by orders: is the cancel confirmed?
    BELOW_MINIMUM = "below_minimum"
    UNSUPPORTED = "unsupported"  # time in force, type or price band not taken: next tier, remembered
    PRECISION = "precision"
    RATE_LIMITED = "rate_limited"  # wait ``retry_after``
    BANNED = "banned"
    MARKET_CLOSED = "market_closed"  # parked until ``opens_at``
    HALTED = "halted"
    AUTH = "auth"  # credentials expired, revoked or not allowed: alarm, tiers not consumed
    CLOCK = "clock"  # timestamp outside the venue's window
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_ORDER = "unknown_order"
    DUPLICATE = "duplicate"  # the client order id exists already: look it up
    OTHER = "other"


class Refused(FlatdeckError):
    """The venue answered no; nothing was executed. ``text`` is the venue's own sentence, ``code`` its own code."""

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
    """The request may or may not have been executed: time-out, dropped connection, empty or broken answer."""

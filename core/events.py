"""What happened at a broker, in the past tense. All of it enters the engine through one queue.

A stream's word (orders, fills, positions) is a hint that makes us look sooner; a complete read is the truth.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.model import Fill, Holdings, Order, Position, PositionKey, Quote


class AccountState(Enum):
    """How an account is being watched."""

    CONNECTING = "connecting"
    LIVE = "live"  # a stream, and complete reads behind it
    POLLING = "polling"  # complete reads only
    STALE = "stale"  # was readable, is not now or is silent
    DOWN = "down"  # could not be read at all


class HoldingsRead(Struct, frozen=True, tag=True):
    """A complete list of positions and open orders was read."""

    holdings: Holdings


class QuoteSeen(Struct, frozen=True, tag=True):
    quote: Quote


class RatesSeen(Struct, frozen=True, tag=True):
    """USD per unit of currencies that are not USD-like, by the broker's own word."""

    account: str
    rates: dict[str, Decimal]


class OrderSeen(Struct, frozen=True, tag=True):
    order: Order


class FillSeen(Struct, frozen=True, tag=True):
    fill: Fill


class PositionSeen(Struct, frozen=True, tag=True):
    """A stream's word about one position; ``position`` is None where it says that there is none left."""

    key: PositionKey
    position: Position | None


class AccountChanged(Struct, frozen=True, tag=True):
    """``error`` is one sentence for a person; ``latency`` is the last read's round trip in seconds.

    ``refused``: the venue does not take the keys, or this machine, so that trying again is no help.
    """

    account: str
    state: AccountState
    error: str | None = None
    latency: float | None = None
    refused: bool = False


BrokerEvent = HoldingsRead | QuoteSeen | RatesSeen | OrderSeen | FillSeen | PositionSeen | AccountChanged

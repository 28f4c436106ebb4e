"""Events at a broker, named in the past tense. All of them enter the engine through one queue.

Orders, fills and positions from a stream are hints: they make us read sooner. Only a complete read is the truth.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.model import Fill, Holdings, Order, Position, PositionKey, Quote


class AccountState(Enum):
    """How flatdeck watches an account."""

    CONNECTING = "connecting"
    LIVE = "live"  # by a stream, with complete reads behind it
    POLLING = "polling"  # by complete reads only
    STALE = "stale"  # reads worked before; now they fail or the stream is silent
    DOWN = "down"  # no read has worked yet


class HoldingsRead(Struct, frozen=True, tag=True):
    """A complete list of positions and open orders was read."""

    holdings: Holdings


class QuoteSeen(Struct, frozen=True, tag=True):
    quote: Quote


class RatesSeen(Struct, frozen=True, tag=True):
    """USD per unit of each currency that is not USD-like, as the broker reports it."""

    account: str
    rates: dict[str, Decimal]


class OrderSeen(Struct, frozen=True, tag=True):
    order: Order


class FillSeen(Struct, frozen=True, tag=True):
    fill: Fill


class PositionSeen(Struct, frozen=True, tag=True):
    """A stream reported one position. ``position`` is None when the stream reports that the position is gone."""

    key: PositionKey
    position: Position | None


class AccountChanged(Struct, frozen=True, tag=True):
    """An account's state changed. ``error`` is one sentence for a person.

    ``latency`` is the last read's round trip in seconds. ``refused``: the venue rejects the keys or this machine, so
    trying again does not help.
    """

    account: str
    state: AccountState
    error: str | None = None
    latency: float | None = None
    refused: bool = False


BrokerEvent = HoldingsRead | QuoteSeen | RatesSeen | OrderSeen | FillSeen | PositionSeen | AccountChanged

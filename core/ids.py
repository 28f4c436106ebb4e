"""Our own ids: plan ids, the journal's epoch, and the client order ids that mark our orders at a venue.

Pure: callers hand in randomness and time. A client order id is a function of plan, position, round and tier, so a
restart derives it again. Its epoch tells which journal must have a row for the order.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from datetime import datetime
from typing import Protocol

from core.model import PositionKey

PREFIX = "fd"
EPOCH_LENGTH = 4
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_OURS = re.compile(rf"{PREFIX}([a-z0-9]{{{EPOCH_LENGTH}}})[a-z2-7]{{12,26}}")  # at least 60 bits of the hash


class RandomBits(Protocol):
    """A source of randomness: ``secrets.SystemRandom`` in production, a seeded generator in tests."""

    def getrandbits(self, k: int, /) -> int: ...


class Now(Protocol):
    """The part of the Clock that ids need."""

    def now(self) -> datetime: ...


class Ids:
    """New ids from a clock and a source of randomness."""

    def __init__(self, clock: Now, bits: RandomBits) -> None:
        self._clock = clock
        self._bits = bits
        self._last = 0

    def plan_id(self) -> str:
        """Return ``p``, the time in milliseconds and three random characters: 12 of ``[a-z0-9]``, always growing."""
        self._last = max(self._last + 1, int(self._clock.now().timestamp() * 1000))
        return f"p{_base36(self._last, 8)}{self._random(3)}"

    def epoch(self) -> str:
        """Return four random characters of ``[a-z0-9]``."""
        return self._random(EPOCH_LENGTH)

    def _random(self, length: int) -> str:
        return _base36(self._bits.getrandbits(64) % 36**length, length)


def client_order_id(epoch: str, plan: str, key: PositionKey, round_: int, tier: str, n: int) -> str:
    """Return the name of order ``n`` in a tier and round of a plan's close.

    The name is ``fd``, the epoch and a hash: 32 characters of ``[a-z0-9]``. A venue that takes fewer characters gets
    the first ones, at least 18.
    """
    parts = (plan, key.account, key.symbol, key.leg.value, str(round_), tier, str(n))
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
    return PREFIX + epoch + b32encode(digest).decode().rstrip("=").lower()


def is_ours(client_id: str | None) -> bool:
    """Return True if a flatdeck, this one or another, gave an order this client id."""
    return epoch_of(client_id) is not None


def epoch_of(client_id: str | None) -> str | None:
    """Return the epoch of the journal that one of our ids belongs to; None for an id that is not ours."""
    match = _OURS.fullmatch(client_id or "")
    return match[1] if match else None


def _base36(number: int, width: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text.rjust(width, "0")

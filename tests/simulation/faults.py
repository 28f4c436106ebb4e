"""What may go wrong, with a probability drawn per seed (often none), and the budget that makes it bearable.

A fault fires only through :meth:`Faults.fires`, is counted there, and is silent once the run is in its quiet end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum

from tests.simulation.dice import Dice


class Fault(Enum):
    """One row, or a part of one, of the table in docs/reliability.md."""

    # the wire
    REQUEST_LOST = "request lost"
    RESPONSE_LOST = "response lost"
    REQUEST_LATE = "request delayed until its expiry"
    RESPONSE_LATE = "answer delayed"
    SERVER_ERROR = "server error after sending"
    GARBLED = "unparsable answer after sending"
    UNREADABLE = "answer without id or in a new status"
    HANGS = "call never answered"
    REFUSED_CONNECTION = "connection refused"
    DELIVERED_TWICE = "request delivered twice"
    # refusals
    RATE_LIMIT = "429 with Retry-After"
    BAN = "ban"
    CREDENTIALS = "credentials revoked"
    CLOCK_SKEW = "timestamp rejected"
    UNSUPPORTED = "time in force or type refused"
    BLOCKED = "another order stands against ours"
    OTHER_REFUSAL = "refused for no known reason"
    CANCEL_REFUSED = "cancel refused"
    CLOSED_MARKET = "market closed"
    HALT = "market halted"
    SYMBOL_GONE = "symbol unknown"
    LIMITS_CHANGED = "limits or ticks changed"
    # orders
    PARTIAL_FILL = "partial fill"
    SLOW_FILL = "slow fills"
    RESTS = "order rests unfilled"
    REJECTED_LATER = "rejected after the acknowledgement"
    CANCEL_RACE = "fill while being cancelled"
    CANCEL_SLOW = "cancel taken and done later"
    CANCEL_IGNORED = "cancel taken and never done"
    QUERY_LAG = "order query behind"
    NEW_STATUS = "order query with a new status"
    # lists
    POSITIONS_LAG = "position list lagging"
    ORDERS_LAG = "order list lagging"
    FILLS_LAG = "fill list lagging"
    TRUNCATED = "list truncated"
    EMPTY = "list empty"
    LIST_FAILS = "list cannot be read"
    # one endpoint of several
    PRICES_FAIL = "prices cannot be read"
    RATES_FAIL = "rates cannot be read"
    NO_EQUITY = "equity not told"
    # prices
    BAD_PRICE = "price not finite, not positive or crossed"
    NO_PRICE = "price missing"
    STUB = "bid and ask far apart"
    # the stream
    EVENT_TWICE = "stream event twice"
    EVENT_LATE = "stream event late and out of order"
    EVENT_LOST = "stream gap"
    SILENCE = "stream silent"
    # others
    HAND_REDUCES = "reduced by hand"
    HAND_CLOSES = "closed by hand"
    HAND_GROWS = "grown by hand"
    HAND_FLIPS = "flipped by hand"
    HAND_ORDER = "order by hand"
    LIQUIDATED = "liquidated by the venue"
    MEANWHILE = "by hand while an order is on its way"
    SHRINKS = "reduced by hand while an order is on its way"
    SPLIT = "share split"
    OTHER_FLATDECK = "order of another flatdeck"
    # here
    DISK_FULL = "journal cannot be written"
    SLOW_DISK = "slow disk"
    SUSPENDED = "machine suspended or loop blocked"
    KILL = "process killed"
    TOO_LATE = "restarted too late to go on"


PROBABILITIES = (0.01, 0.03, 0.08, 0.2, 0.5)
MOST = (1, 1, 2, 3, 6, 1000)
LEAST_OFTEN = 20  # times that a fault of the seed's focus may fire
RARE = frozenset({Fault.BAN, Fault.CREDENTIALS, Fault.HALT, Fault.SYMBOL_GONE, Fault.OTHER_FLATDECK, Fault.HANGS})
"""Faults that end a close by themselves are drawn for few seeds, so that they do not hide the others."""
OFTEN = frozenset(
    {
        *(Fault.MEANWHILE, Fault.SHRINKS, Fault.SLOW_FILL, Fault.RESTS, Fault.FILLS_LAG, Fault.POSITIONS_LAG),
        *(Fault.EVENT_TWICE, Fault.EVENT_LATE, Fault.EVENT_LOST, Fault.SILENCE),
    }
)
"""Faults that have few occasions to happen take them often."""


class Faults:
    """The faults of one run, ``likely`` with at least these chances.

    ``without`` are switched off, whatever was drawn, to find out which ones matter.
    """

    def __init__(self, dice: Dice, without: Iterable[Fault] = (), likely: Mapping[Fault, float] | None = None) -> None:
        self._dice = dice
        self.fired: Counter[Fault] = Counter()
        self.quiet = False
        self.chance: dict[Fault, float] = {}
        self._most: dict[Fault, int] = {}
        share = dice.choice((0.0, 0.1, 0.25, 0.5))
        off = set(without)
        for fault in Fault:
            drawn = dice.random() < (share / 6 if fault in RARE else share)
            chance, most = dice.choice(PROBABILITIES), dice.choice(MOST)
            chance = max(chance, 0.3) if fault in OFTEN else chance
            if drawn and fault not in off:
                self.chance[fault] = chance
                self._most[fault] = most
        for fault, chance in (likely or {}).items():
            if fault not in off:
                self.chance[fault] = max(chance, self.chance.get(fault, 0.0))
                self._most[fault] = max(LEAST_OFTEN, self._most.get(fault, 0))

    def fires(self, fault: Fault) -> bool:
        """Whether it happens now."""
        chance = self.chance.get(fault)
        if chance is None or self.quiet or self._dice.random() >= chance or self.fired[fault] >= self._most[fault]:
            return False
        self.fired[fault] += 1
        return True

    def drawn(self, fault: Fault) -> bool:
        """Whether something that happens at a moment of its own is to happen in this run; ``count`` it when it does."""
        return fault in self.chance and self._dice.random() < 0.5

    def count(self, fault: Fault) -> None:
        """It happened."""
        self.fired[fault] += 1

    def between(self, least: float, most: float) -> float:
        return least + (most - least) * self._dice.random()

    def choice(self, options: tuple[float, ...]) -> float:
        return self._dice.choice(options)

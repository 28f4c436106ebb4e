"""Scripted faults. A fault strikes with a probability or an exact number of times:

==========================  ==========================================================================================
name                        what the venue does when the fault strikes
==========================  ==========================================================================================
reject_ioc                  refuses an IOC market order of the ordinary call: time in force not taken
reject_gtc                  refuses a GTC or day market order of the ordinary call
reject_fok                  refuses a FOK order of the ordinary call
reject_limit                refuses a limit order of the ordinary call: outside its price band
reject_close_call           refuses its own close-position call
reject_direct               refuses an order at the raw endpoint
precision_error             refuses the ordinary call's quantity as too precise; the raw endpoint takes it
reduce_only_rejected        refuses a reduce-only order although there is a position
held                        refuses an order because open orders hold the quantity
halted                      refuses an order: trading in the symbol is halted
market_closed               refuses an order: the market opens in ``closed_seconds``
limits_changed              first makes step, minimum quantity and minimum cost ten times as large
partial_fill                fills half of what is possible; an IOC's rest expires, a GTC's waits for the next refresh
no_fill                     fills nothing: an IOC or FOK expires, a GTC rests
lose_request                never gets the request; the caller sees an unknown outcome
late_execution              gets the request late, within its expiry; the caller sees an unknown outcome at once
lose_response               executes; the answer is lost: unknown outcome
broken_answer               executes; the answer cannot be read: unknown outcome
server_error                answers 5xx, an unknown outcome; by chance executed or not
delay_ack                   executes at once and answers ``lag_seconds`` late
unreachable                 gets nothing: the order or cancel provably never left
rate_limited                refuses an order or cancel, with ``retry_after``
clock_skew                  refuses an order or cancel: its timestamp is outside the window
banned                      refuses every call: banned
auth                        refuses every call: credentials expired
cancel_fails                refuses a cancel; the order lives on
cancel_unknown              does not answer a cancel; by chance executed or not
cancel_lag                  takes a cancel and carries it out ``lag_seconds`` later
cancel_fill_race            fills the order when its cancel arrives, and accepts the cancel
late_fill                   fills, but shows the fill in no order, list or event for ``lag_seconds``
unknown_status              reports an order with an unknown status
lookup_not_found_at_first   finds no order that is younger than ``lag_seconds``
lookup_fails                does not answer a lookup of an order or of fills
read_fails                  does not answer a read of the account
position_lag                lists a position as it was before a fill, for ``lag_seconds``
truncated_list              lists only the first half of the positions
empty_list                  lists no positions
missing_price               leaves a symbol without a quote
stale_quote                 gives a quote that is ``stale_seconds`` old
bad_price                   gives a price that is not a number, zero or negative
crossed_quote               gives a bid above the ask
price_jump                  gives one quote a third lower
silent_stream               sends nothing more on a stream, but keeps the stream open
stream_drops                breaks the stream
duplicate_events            sends an order, fill or position event twice
reordered_events            sends the waiting order, fill and position events in reverse order
foreign_trade               the user closes half of the position by hand, just before the order arrives
foreign_order               the user places an order of their own, just before the order arrives
flip                        the user turns the position around by hand, just before the order arrives
liquidation                 the venue liquidates the position, just before the order arrives
==========================  ==========================================================================================

Numbers, with defaults in seconds: ``lag_seconds`` 3, ``retry_after`` 1, ``closed_seconds`` 60, ``stale_seconds`` 60.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from brokers.paper.json_fields import nearest
from brokers.paper.random_streams import RandomStreams
from core.errors import ConfigError

ORDERS = (
    *("reject_ioc", "reject_gtc", "reject_fok", "reject_limit", "reject_close_call", "reject_direct"),
    *("precision_error", "reduce_only_rejected", "held", "halted", "market_closed", "limits_changed"),
    *("partial_fill", "no_fill"),
)
REQUESTS = (
    *("lose_request", "late_execution", "lose_response", "broken_answer", "server_error", "delay_ack"),
    *("unreachable", "rate_limited", "clock_skew", "banned", "auth"),
    *("cancel_fails", "cancel_unknown", "cancel_lag", "cancel_fill_race"),
)
REPORTS = (
    *("late_fill", "unknown_status", "lookup_not_found_at_first", "lookup_fails", "read_fails"),
    *("position_lag", "truncated_list", "empty_list"),
)
QUOTES = ("missing_price", "stale_quote", "bad_price", "crossed_quote", "price_jump")
STREAMS = ("silent_stream", "stream_drops", "duplicate_events", "reordered_events")
OTHERS = ("foreign_trade", "foreign_order", "flip", "liquidation")
NAMES = frozenset((*ORDERS, *REQUESTS, *REPORTS, *QUOTES, *STREAMS, *OTHERS))

NUMBERS = {"lag_seconds": 3.0, "retry_after": 1.0, "closed_seconds": 60.0, "stale_seconds": 60.0}


class Script(Struct):
    """A fault that lets ``after`` occasions pass and then strikes on the next ``times`` occasions."""

    name: str
    times: int
    symbol: str | None
    after: int


class Faults:
    """Decides which faults strike. Only a fault with a probability above 0 draws a random number."""

    def __init__(self, random: RandomStreams, probabilities: Mapping[str, float] | None = None) -> None:
        given = dict(probabilities or {})
        self.numbers = {name: float(given.pop(name, default)) for name, default in NUMBERS.items()}
        self.probabilities = {name: p for name, p in given.items() if p > 0}
        self.scripts: list[Script] = []
        self._scripted: set[str] = set()
        self._random = random

    def script(self, name: str, *, times: int = 1, symbol: str | None = None, after: int = 0) -> None:
        """Make ``name`` strike ``times`` times after ``after`` occasions. Raises ConfigError for an unknown name."""
        if name not in NAMES:
            raise ConfigError(f'There is no fault "{name}"; {nearest(name, NAMES)}')
        self._scripted.add(name)
        self.scripts.append(Script(name, times, symbol, after))

    def clear(self) -> None:
        """Remove every script and probability."""
        self.scripts.clear()
        self.probabilities = {}

    def strikes(self, name: str, symbol: str | None = None) -> bool:
        """Return whether ``name`` strikes on this occasion."""
        for script in self.scripts:
            if script.name == name and script.symbol in (None, symbol):
                if script.after > 0:
                    script.after -= 1
                    continue
                script.times -= 1
                if script.times <= 0:
                    self.scripts.remove(script)
                return True
        probability = self.probabilities.get(name, 0.0)
        return probability > 0 and self._random.random() < probability

    def coin(self) -> bool:
        """Return True half of the time."""
        return self._random.random() < 0.5

    def possible(self, *names: str) -> bool:
        """Return whether any of the faults may strike or was ever scripted. An earlier strike may still have effect."""
        return any(name in self.probabilities or name in self._scripted for name in names)


def check_faults(given: object) -> dict[str, float]:
    """Return the faults and numbers of an account's options.

    Raises ConfigError for an unknown name or a number out of range.
    """
    if not isinstance(given, Mapping):
        raise ConfigError("faults must be a table of names and probabilities, like { reject_ioc = 1.0 }.")
    for name, value in given.items():
        if name not in NAMES and name not in NUMBERS:
            raise ConfigError(f'faults: unknown fault "{name}"; {nearest(str(name), (*NAMES, *NUMBERS))}')
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise ConfigError(f"faults.{name}: must be a number of at least 0, not {value!r}.")
        if name in NAMES and value > 1:
            raise ConfigError(f"faults.{name}: a probability is from 0 to 1, not {value}.")
    return {str(name): float(value) for name, value in given.items()}

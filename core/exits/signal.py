"""The positions that must leave, and the signal of each: the exit, its price and its numbers in words. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from decimal import Decimal
from typing import Generic, TypeVar

from msgspec import Struct

from core.exits import state as exits
from core.exits.rules import Exit, Rule
from core.exits.state import ExitState
from core.model import Position, PositionKey
from core.units import percent, plain
from core.valuation import roi

K = TypeVar("K", bound=Hashable)

PRECEDENCE = {rule: place for place, rule in enumerate(Rule)}


class Leaving(Generic[K]):
    """The positions to close and their exits, as two lists. Ten thousand pairs would cost more than the rules."""

    __slots__ = ("exits", "who")

    def __init__(self, who: list[K] | None = None, exits: list[Exit] | None = None) -> None:
        self.who: list[K] = [] if who is None else who
        self.exits: list[Exit] = [] if exits is None else exits

    def __len__(self) -> int:
        return len(self.who)

    def __iter__(self) -> Iterator[tuple[K, Exit]]:
        return zip(self.who, self.exits, strict=True)


class ExitSignal(Struct, frozen=True):
    """A position to close, the exit, and the price that triggered the exit."""

    key: PositionKey
    exit: Exit
    price: Decimal
    text: str  # the exit's name and its numbers
    rank: int  # a smaller rank is stronger


def signal_of(position: Position, guard: ExitState, why: Exit, price: Decimal, tick: Decimal) -> ExitSignal:
    """Return the signal of an exit. Its words have the numbers that the rules compared."""
    gain = roi(position.side, exits.entry_price(guard), price, position.leverage, guard.rules.settings.fees)
    words = [f"price {plain(price)}"]
    if why.rule is Rule.STOP and (stop := exits.stop_price(guard, tick)) is not None:
        words.append(f"stop {plain(stop)}")
    if why.rule is Rule.TARGET and (target := exits.target_price(guard, tick)) is not None:
        words.append(f"target {plain(target)}")
    if gain is not None:
        words.append(f"roi {percent(gain)} %")
    rank = PRECEDENCE[why.rule] * 100 + guard.rules.exits.index(why)
    return ExitSignal(position.key, why, price, f"{why.reason} ({', '.join(words)})", rank)

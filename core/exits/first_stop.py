"""The stop of a position that is about to be opened: the tighter of its own stop and the trailing stop. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from core.exits import state as exits
from core.exits.rules import rules_of
from core.model import Side
from core.settings import ExitSettings
from core.units import ONE, round_price


class FirstStop(NamedTuple):
    """The stop after the first price. ``trail`` is the trailing distance behind the stop; None for the own stop."""

    stop: Decimal | None
    trail: Decimal | None
    emergency: Decimal | None  # the price of the mildest emergency stop, where it comes before ``stop``


def first_stop(
    settings: ExitSettings, side: Side, entry: Decimal, price: Decimal, leverage: Decimal | None, tick: Decimal
) -> FirstStop:
    """Return the stop of a position entered at ``entry``, once the rules have seen ``price``."""
    rules = rules_of(settings, side)
    guard = exits.open_guard(rules, entry, leverage)
    exits.step(guard, exits.as_float(price))
    stop, behind = exits.stop_price(guard, tick), exits.distance_behind(guard)
    emergency = None
    if rules.emergency and leverage is not None and leverage > 0:
        loss = exits.as_decimal(rules.mildest) / leverage + exits.as_decimal(rules.cost)
        emergency = round_price(entry * (ONE + side.sign * loss), tick, up=side.sign < 0)
    if emergency is not None and stop is not None and side.sign * (emergency - stop) <= 0:
        emergency = None
    return FirstStop(stop, None if behind is None else exits.as_decimal(behind.distance), emergency)

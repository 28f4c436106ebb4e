"""The policies that choose the open orders to cancel in a cleanup, and the grammar of ``cancel_if``. Pure."""

from __future__ import annotations

import operator
import re
from decimal import Decimal

from msgspec import Struct

from core.units import decimal

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

_CONDITION = re.compile(r"(usd_value|rank)\s*(<=|>=|<|>)\s*(\S+)")

_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)


class Condition(Struct, frozen=True):
    """A comparison of ``usd_value`` with a number, or of ``rank`` with the cap (``limit`` None)."""

    field: str
    compare: str
    limit: Decimal | None


class CancelIf(Struct, frozen=True):
    """A list of conditions, of which a single true condition suffices.

    A condition on an unknown value or rank is false.
    """

    conditions: tuple[Condition, ...]

    def holds(self, value: Decimal | None, rank: int | None, cap: int) -> bool:
        for condition in self.conditions:
            left = value if condition.field == "usd_value" else rank
            right = cap if condition.limit is None else condition.limit
            if left is not None and _COMPARE[condition.compare](left, right):
                return True
        return False


def parse_cancel_if(text: str) -> CancelIf:
    """Parse ``cancel_if``: ``usd_value<NUMBER`` and ``rank>max_positions`` (also ``<= > >=``), comma-separated.

    Raises ValueError with one sentence that quotes the offending part.
    """
    return CancelIf(tuple(_condition(part.strip()) for part in text.split(",")))


def _condition(part: str) -> Condition:
    found = _CONDITION.fullmatch(part)
    if found:
        field, compare, right = found.groups()
        if field == "usd_value" and _NUMBER.fullmatch(right):
            return Condition(field, compare, decimal(right))
        if field == "rank" and right == "max_positions":
            return Condition(field, compare, None)
    raise ValueError(f'"{part}" is not a condition; write usd_value<NUMBER or rank>max_positions, comma-separated')


class OrderPolicy(Struct, frozen=True):
    """The policy for open orders on a position that is closed, resolved for this run."""

    mode: str  # never | startup | matching | always
    condition: CancelIf | None = None
    first_run: bool = True

    def cancels(self, value: Decimal | None, rank: int | None, cap: int) -> bool:
        match self.mode:
            case "always":
                return True
            case "startup":
                return self.first_run
            case "matching":
                return self.condition is not None and self.condition.holds(value, rank, cap)
            case _:
                return False

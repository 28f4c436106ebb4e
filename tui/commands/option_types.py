"""The values that options of the plan commands take, checked before any broker is asked."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from core.units import decimal


class Amount(click.ParamType):
    """A decimal number that is not negative."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = decimal(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if amount < 0:
            self.fail(f"{value} is negative; it must be 0 or more", param, ctx)
        return amount


class Cap(click.ParamType):
    """The most positions that an owner may hold. 0 would close everything, so 0 must be written as ``none``."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int) or value == "none":
            return 0 if value == "none" else int(value)
        if not (value.isascii() and value.isdigit()) or len(value) > len("1000000"):
            self.fail(f"{value} must be a whole number from 1", param, ctx)
        if int(value) == 0:
            self.fail("0 closes every position; write --max-positions none to mean that", param, ctx)
        return int(value)


class Condition(click.ParamType):
    """The ``cancel_if`` grammar, checked before any broker is asked."""

    name = "condition"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from core.plans.cancel_policy import parse_cancel_if  # noqa: PLC0415  (--help needs no rules)

        try:
            parse_cancel_if(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Way(click.Choice[str]):
    """One of two directions. The words of the other pair, buy and sell or long and short, mean the same."""

    _SAME = (("buy", "long"), ("sell", "short"))

    def __init__(self, *names: str) -> None:
        super().__init__(names, case_sensitive=False)
        self._meant = {word: name for pair in self._SAME for word in pair for name in names if name in pair}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(self._meant.get(str(value).lower(), value), param, ctx)

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

"""The money of closes, as JSON and as text. An unknown amount is null, or ``—``, never 0."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any

from core.plans.money import AMOUNTS, USD, CloseMoney, MoneySum
from core.plans.plan import Plan
from core.plans.results import ResultRow, owner_money
from core.units import plain
from tui.present.numbers import UNKNOWN, number, usd
from tui.present.sanitize import sanitize

FINEST = Decimal("0.00000001")  # decimals beyond it come from divisions and mean nothing
_WIDE = Context(prec=200)
_PRICES = ("decision_price",)


def money_document(value: CloseMoney | None) -> dict[str, Any]:
    """Return the money of a close. All of it is null where nothing was closed."""
    amounts = {name: None if value is None else _exact(getattr(value, name)) for name in (*_PRICES, *AMOUNTS)}
    return {**amounts, "currency": value.currency or None if value is not None else None}


def sum_documents(plan: Plan, rows: Iterable[ResultRow]) -> list[dict[str, Any]]:
    """Return each owner's sums. An amount is null unless it is known of every close; ``known`` has what is known."""
    return [
        {
            "owner": owner,
            "currency": one.currency or None,
            "closes": one.closes,
            **{name: _exact(getattr(one, name)) for name in AMOUNTS},
            "known": {name: _exact(amount) for name, amount in one.known.items()},
            "unknown": one.unknown,
        }
        for owner, sums in owner_money(plan, rows).items()
        for one in sums
    ]


def sum_lines(plan: Plan, rows: Iterable[ResultRow]) -> list[str]:
    """Return one line per owner and currency; nothing where nothing was closed."""
    sums = owner_money(plan, rows)
    lines = [f"  {sanitize(owner)}  {_sum_text(one)}" for owner, each in sums.items() for one in each]
    return ["Money (realised before fees; slippage against the price when the plan was made)", *lines] if lines else []


def amount(value: Decimal | None, currency: str, *, signed: bool = False) -> str:
    """Return an amount of money for people."""
    if value is None:
        return UNKNOWN
    if currency == USD:
        return usd(value, signed=signed)
    sign = "+" if signed and value > 0 else ""
    return f"{sign}{number(value.quantize(FINEST, context=_WIDE))} {sanitize(currency)}".strip()


def _sum_text(one: MoneySum) -> str:
    closes = f"{one.closes} close{'s' * (one.closes != 1)}"
    return f"{closes}: {', '.join(_part(one, name) for name in AMOUNTS)}"


def _part(one: MoneySum, name: str) -> str:
    signed = name == "realised"
    missing = one.unknown.get(name, 0)
    if not missing:
        return f"{name} {amount(getattr(one, name), one.currency, signed=signed)}"
    if missing == one.closes:
        return f"{name} unknown"
    return f"{name} {amount(one.known[name], one.currency, signed=signed)} and {missing} unknown"


def _exact(value: Decimal | None) -> str | None:
    if value is None:
        return None
    exponent = value.as_tuple().exponent
    fine = isinstance(exponent, int) and exponent < FINEST.as_tuple().exponent  # type: ignore[operator]
    return plain(value.quantize(FINEST, context=_WIDE) if fine else value)

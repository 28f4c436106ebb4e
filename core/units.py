"""Decimal prices and quantities, rounding to a venue's step, aware UTC time.

Money and quantities are ``Decimal`` everywhere; flatdeck makes a Decimal from text, never from a float.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

ZERO = Decimal(0)
ONE = Decimal(1)
CENT = Decimal("0.01")
MICRO = Decimal("0.000001")

WIDEST = 100  # largest decimal exponent, either way; a number beyond it could take a gigabyte to print
_WIDE = Context(prec=200)  # the default 28 digits would round a long quantity up before we round it down


def decimal(text: object) -> Decimal:
    """Return a finite Decimal from text, an integer or a Decimal.

    Raises ValueError for every other type, for NaN and infinity, and for exponents beyond ``WIDEST``. It refuses
    ``1_5`` too: Python reads 15, but the writer probably meant 1.5.
    """
    if isinstance(text, bool | float) or not isinstance(text, str | int | Decimal):
        raise ValueError(f'{text!r} is not an exact number; write it as text, like "0.5"')
    try:
        value = Decimal(text.strip() if isinstance(text, str) else text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if isinstance(text, str) and ("_" in text or not text.isascii()):
        raise ValueError(f"{text!r} is not a number")
    if not value.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    if abs(value.adjusted()) > WIDEST:
        raise ValueError(f"{text!r} is out of range")
    return value


def floor_to(quantity: Decimal, step: Decimal) -> Decimal:
    """Round ``quantity`` down to a multiple of ``step``; a step of 0 changes nothing."""
    if step <= 0:
        return quantity
    return _on_grid(quantity, step, ROUND_FLOOR)


def round_price(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """Round ``price`` up or down to a multiple of ``tick``; a tick of 0 changes nothing."""
    if tick <= 0:
        return price
    return _on_grid(price, tick, ROUND_CEILING if up else ROUND_FLOOR)


def _on_grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    steps = _WIDE.divide(value, step).to_integral_value(rounding)
    return _WIDE.multiply(steps, step)


def plain(value: Decimal) -> str:
    """Return ``value`` without exponent and without trailing zeros: ``0.5``, ``100``, ``0.00000012``."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def money(value: Decimal) -> str:
    """Return US dollars with two decimals. Below 10 it keeps up to six, cut off: 0.999… must not read as 1.00."""
    cents = value.quantize(CENT, ROUND_HALF_EVEN, _WIDE)
    if cents == value or abs(value) >= 10:
        return _unsigned_zero(f"{cents:f}")
    text = f"{value.quantize(MICRO, ROUND_DOWN, _WIDE):f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return _unsigned_zero(f"{whole}.{fraction:0<2}")


def dollars(value: Decimal) -> str:
    """Return US dollars for a person: two decimals, cut off toward zero, so an amount never reads too high."""
    return _unsigned_zero(f"{value.quantize(CENT, ROUND_DOWN, _WIDE):f}")


def percent(fraction: Decimal) -> str:
    """Return a fraction as percent with two decimals: 0.01 → ``1.00``."""
    return _unsigned_zero(f"{_WIDE.multiply(fraction, Decimal(100)).quantize(CENT, ROUND_HALF_EVEN, _WIDE):f}")


def _unsigned_zero(text: str) -> str:
    return "0.00" if text == "-0.00" else text


def iso(moment: datetime) -> str:
    """Return ISO 8601 text in UTC with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(text: str) -> datetime:
    """Return an aware UTC time from ISO 8601 text. Raises ValueError for a time without a zone."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; end it with Z for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None

"""Numbers, ages and gauges for people. Pure. An unknown value is ``—``, never 0 and never "now"."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from core.units import CENT, money, percent, plain

UNKNOWN = "—"
FRESH = 5.0  # younger than this, an age is shown as "<5s" so that it does not flicker
GAUGE_CELLS = 12
HUGE = Decimal(10) ** 15


def number(value: Decimal | None) -> str:
    """Return a quantity or price without rounding; only an absurdly large number is shortened."""
    if value is None:
        return UNKNOWN
    return f"{value:.3e}" if abs(value) >= HUGE or not value.is_finite() else plain(value)


def usd(value: Decimal | None, *, signed: bool = False, whole: bool = False) -> str:
    """Return ``$1,234.50``, cut to cents; less than a cent is shown in full. ``whole`` omits cents from 1,000 on."""
    if value is None:
        return UNKNOWN
    if abs(value) >= HUGE or not value.is_finite():
        return f"${value:.3e}"
    sign = "-" if value < 0 else "+" if signed and value > 0 else ""
    if whole and abs(value) >= 1000:
        return f"{sign}${abs(value).quantize(Decimal(1)):,}"
    cents = abs(value).quantize(CENT, ROUND_DOWN)  # cut, not rounded: 0.999 must not read as 1.00
    head, _, tail = (f"{cents:f}" if cents or not value else money(abs(value))).partition(".")
    return f"{sign}${int(head):,}.{tail}"


def pct(fraction: Decimal | None) -> str:
    """Return ``+1.20%``; from a thousandfold on without decimals."""
    if fraction is None:
        return UNKNOWN
    if abs(fraction) >= 10:
        return f"{fraction * 100:+,.0f}%" if abs(fraction) < HUGE else f"{fraction:+.1e}"
    text = percent(fraction)
    return f"{'' if text.startswith('-') or text == '0.00' else '+'}{text}%"


def tone_of(value: Decimal | None) -> str:
    """Return ``good`` above zero and ``bad`` below. The sign in the text says the same."""
    if value is None:
        return "dim"
    return "good" if value > 0 else "bad" if value < 0 else ""


def span(seconds: float) -> str:
    """Return ``12s``, ``3m05s``, ``2h04m`` or ``5d``."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d"


def age(moment: datetime | None, now: datetime) -> str:
    """Return the time since then: ``<5s`` below five seconds, ``—`` if unknown."""
    if moment is None:
        return UNKNOWN
    seconds = (now - moment).total_seconds()
    return "<5s" if seconds < FRESH else span(seconds)


def left(moment: datetime | None, now: datetime) -> str:
    """Return the seconds until then, rounded up: ``now`` if it has passed, ``—`` if unknown."""
    if moment is None:
        return UNKNOWN
    seconds = (moment - now).total_seconds()
    return "due" if seconds <= 0 else span(seconds + 0.999)


def clock(moment: datetime) -> str:
    """Return ``02:14:07Z``."""
    return f"{moment:%H:%M:%S}Z"


def gauge(counted: int, cap: int) -> str:
    """Return ``9/8 ▓▓▓▓▓▓▓▓ +1 over`` or ``3/8 ▓▓▓░░░░░``."""
    cells = min(cap, GAUGE_CELLS) if cap > 0 else 0
    full = cells if counted >= cap else counted * cells // cap if cap > 0 else 0
    if counted > 0 and cap > 0:
        full = max(full, 1)
    bar = "▓" * full + "░" * (cells - full)
    over = f" +{counted - cap} over" if counted > cap else ""
    return f"{counted}/{cap} {bar}{over}"

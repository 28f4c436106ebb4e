"""Alpaca's refusals → ours, in this place only. Pure.

The status decides first and the sentence next. Alpaca uses a number for several things: 40310000 is a lack of
quantity, of buying power, and more. Alpaca also sends undocumented numbers. An unknown text becomes ``OTHER`` with
the venue's own sentence.
"""

from __future__ import annotations

from enum import Enum

from brokers.alpaca.wire import Row, number, text
from core.errors import Refusal, Refused
from core.units import ZERO

LONGEST = 300  # characters; a longer sentence of the venue is cut


class Call(Enum):
    """The kind of a request. A 404 has a different meaning for each kind."""

    READ = "read"
    LOOK_UP = "look-up"  # a question that our order waits for
    CLOSE = "close"
    ORDER = "order"
    CANCEL = "cancel"


_MISSING = {
    Call.READ: Refusal.OTHER,
    Call.LOOK_UP: Refusal.UNKNOWN_ORDER,
    Call.CLOSE: Refusal.NO_POSITION,
    Call.ORDER: Refusal.UNKNOWN_SYMBOL,
    Call.CANCEL: Refusal.UNKNOWN_ORDER,
}

# The first row whose phrase is in the sentence names the refusal.
_PHRASES: tuple[tuple[Refusal, tuple[str, ...]], ...] = (
    (Refusal.OTHER, ("buying power", "insufficient balance", "insufficient funds", "position intent mismatch")),
    (Refusal.HALTED, ("day trad", "day-trad")),  # no other tier helps against the day-trade protection
    (Refusal.HALTED, ("trading is blocked", "account is blocked", "trading is suspended", "trade suspended")),
    (Refusal.HALTED, ("is restricted", "not allowed to trade", "account is not active", "is halted")),
    (Refusal.HALTED, ("is not tradable", "is not active", "asset is not")),
    (Refusal.MARKET_CLOSED, ("market hours", "market is closed", "market is not open", "market closed")),
    (Refusal.BELOW_MINIMUM, ("minimal amount", "minimum", "must be >=", "too small")),
    (Refusal.PRECISION, ("increment", "sub-penny", "decimal place", "precision")),
    (Refusal.UNSUPPORTED, ("time_in_force", "time in force", "order type", "extended", "fractional", "not supported")),
    (Refusal.UNSUPPORTED, ("only available", "must be a limit", "must be market", "stop price must", "order_class")),
    (Refusal.NO_POSITION, ("position does not exist", "position not found")),
    (Refusal.AUTH, ("forbidden", "unauthorized", "not authorized", "access key", "permission")),
)


def refusal(call: Call, status: int, body: object) -> Refused:
    """Return the refusal that a 4xx answer means. A caller passes no 408 and no 5xx: they say nothing."""
    row: Row = body if isinstance(body, dict) else {}
    said = text(row, "message") or (body if isinstance(body, str) else "")
    sentence = " ".join(said.split())[:LONGEST] or f"HTTP {status} without a reason"
    code = str(row.get("code") or status)
    if status == 401:
        return Refused(Refusal.AUTH, f"Alpaca does not take the credentials: {sentence}", code=code)
    if status == 404:
        return Refused(_MISSING[call], sentence, code=code)
    if status == 429:
        return Refused(Refusal.RATE_LIMITED, sentence, code=code)
    if "client_order_id" in sentence and ("unique" in sentence or "duplicate" in sentence or "exist" in sentence):
        return Refused(Refusal.DUPLICATE, sentence, code=code)
    coins = "insufficient balance for " in sentence and "balance for USD" not in sentence  # too few coins to sell
    if "held_for_orders" in row or "insufficient qty" in sentence or coins:
        return Refused(_lacking(row), sentence + _holders(row), code=code)
    low = sentence.lower()
    if "wash trade" in low or text(row, "existing_order_id"):
        return Refused(Refusal.BLOCKED, sentence + _blocker(row), code=code)
    found = next((kind for kind, phrases in _PHRASES if any(p in low for p in phrases)), None)
    if found is None:
        found = Refusal.AUTH if status == 403 and not row.get("code") else Refusal.OTHER
    return Refused(found, _plainly(found, low, sentence) + _power(row), code=code)


def _lacking(row: Row) -> Refusal:
    """Return why a quantity is lacking: orders hold it, there is no position, or the position is smaller than thought.

    After each of these refusals the account is read again.
    """
    existing, held = number(row.get("existing_qty")), number(row.get("held_for_orders"))
    if existing is not None and existing == ZERO:
        return Refusal.NO_POSITION
    return Refusal.HELD if held is None or held != ZERO else Refusal.REDUCE_ONLY


def _holders(row: Row) -> str:
    """Return a text with the orders that hold the quantity, or "" where Alpaca does not name them."""
    given = row.get("related_orders")
    names = [n for n in given if isinstance(n, str)] if isinstance(given, list) else []
    return f" (held by order {', '.join(names[:3])})" if names else ""


def _blocker(row: Row) -> str:
    """Return a text with the order that stands against ours, and why."""
    why, order = text(row, "reject_reason"), text(row, "existing_order_id")
    parts = [why, f"order {order}" if order else ""]
    return f" ({': '.join(p for p in parts if p)})" if any(parts) else ""


def _power(row: Row) -> str:
    """Return a text with the numbers of a lack of buying power, which Alpaca's sentence does not contain."""
    needed, there = row.get("cost_basis") or row.get("required"), row.get("options_buying_power")
    there = there or row.get("buying_power") or row.get("available")
    return f" (required {needed}, available {there})" if needed and there else ""


def _plainly(kind: Refusal, low: str, sentence: str) -> str:
    if kind is Refusal.HALTED and ("day trad" in low or "day-trad" in low):
        return f"day-trade protection refuses it: {sentence}"
    if kind is Refusal.HALTED and ("block" in low or "suspend" in low or "restrict" in low):
        return f"the account may not trade: {sentence}"
    return sentence

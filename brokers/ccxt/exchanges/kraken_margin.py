"""Kraken's spot margin: positions, orders and fills beside the balance of the same symbol. Pure.

A margin position has its own symbol here, ``BTC/USD:margin``: an order that does not say that it is on margin would
sell the balance. Kraken nets positions: an order against a position closes its oldest part first. So each symbol has
one position, and the position has a side.

Source: Kraken's documentation of ``OpenPositions``, of ``AddOrder`` (``leverage``, ``reduce_only``), of ``margin``
and ``descr.leverage`` of an order, of ``margin`` and ``misc: closing`` of a trade, and of ``margin`` and
``margin_borrow`` of the channel ``executions``.
"""

from __future__ import annotations

from msgspec.structs import replace

from brokers.ccxt import wire
from brokers.ccxt.wire import Row, inner, number, positive, text
from core.errors import OutcomeUnknown
from core.model import Position
from core.units import ZERO

EXCHANGE = "kraken"
MARGIN = ":margin"
BESIDE = (MARGIN, ":isolated", ":cross")  # suffixes of the symbol of a second position in one market
# used where ccxt lists a margin position of an exchange other than Kraken
BORROWED = "a coin on margin; close it on the exchange's own pages"
NO_LEVERAGE = ("", "none", "0", "0.00000")


def position(account: str, row: Row, exchange: str) -> Position | None:
    """Read one margin position. Its remaining size and its cost are only in Kraken's raw fields."""
    info = inner(row, "info")
    volume, closed, cost = number(info.get("vol")), number(info.get("vol_closed")) or ZERO, positive(info.get("cost"))
    left = {**row, "contracts": None if volume is None else str(volume - closed)}
    made = wire.position(account, left, exchange)
    if made is None:
        return None
    entry = cost / volume if cost is not None and volume else None
    return replace(made, symbol=made.symbol + MARGIN, entry=entry)


def merged(one: Position, other: Position) -> Position:
    """Merge two rows of one position, at the average of their entries."""
    if one.side is not other.side:
        raise OutcomeUnknown(f"{EXCHANGE}'s list has {one.symbol} long and short")
    quantity = one.quantity + other.quantity
    known = one.entry is not None and other.entry is not None
    entry = ((one.entry or ZERO) * one.quantity + (other.entry or ZERO) * other.quantity) / quantity if known else None
    return replace(one, quantity=quantity, free=quantity, entry=entry)


def on_margin(row: Row, exchange: str) -> bool:
    """Return whether a row of ccxt's (order or execution) belongs to a margin position instead of the balance."""
    info = inner(row, "info") if exchange == EXCHANGE else {}
    leverage = text(inner(info, "descr"), "leverage") or text(info, "leverage")
    told = info.get("margin") is True or info.get("margin_borrow") is True or "closing" in text(info, "misc")
    return told or leverage not in NO_LEVERAGE or positive(info.get("margin")) is not None


def position_symbol(row: Row, exchange: str) -> str:
    """Return the symbol of the position to which an order or an execution belongs."""
    symbol = text(row, "symbol")
    return symbol + MARGIN if symbol and on_margin(row, exchange) else symbol


def listed_as(symbol: str) -> str:
    """Return the symbol of the market in which a position's symbol is traded."""
    suffix = next((suffix for suffix in BESIDE if symbol.endswith(suffix)), "")
    return symbol.removesuffix(suffix)

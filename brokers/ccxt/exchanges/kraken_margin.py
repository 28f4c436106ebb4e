"""Kraken's spot margin: positions, orders and fills beside the balance of the same symbol. Pure.

A margin position has a symbol of its own here, ``BTC/USD:margin``, because an order that forgets to say that it is on
margin would sell the balance. Kraken nets: an order against a position closes it, oldest part first, so that there is
one of a symbol and it has a side.

Source: Kraken's documentation of ``OpenPositions``, of ``AddOrder`` (``leverage``, ``reduce_only``), of ``margin`` and
``descr.leverage`` of an order, of ``margin`` and ``misc: closing`` of a trade, and of ``margin`` and ``margin_borrow``
of the channel ``executions``.
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
BESIDE = (MARGIN, ":isolated", ":cross")  # what is behind the symbol of a second position in one market
BORROWED = "a coin on margin; close it on the exchange's own pages"  # where only Kraken's can be closed from here
NO_LEVERAGE = ("", "none", "0", "0.00000")


def position(account: str, row: Row, exchange: str) -> Position | None:
    """What is left of one and what it cost, which Kraken's own fields tell only."""
    info = inner(row, "info")
    volume, closed, cost = number(info.get("vol")), number(info.get("vol_closed")) or ZERO, positive(info.get("cost"))
    left = {**row, "contracts": None if volume is None else str(volume - closed)}
    made = wire.position(account, left, exchange)
    if made is None:
        return None
    entry = cost / volume if cost is not None and volume else None
    return replace(made, symbol=made.symbol + MARGIN, entry=entry)


def merged(one: Position, other: Position) -> Position:
    """Two rows of the same position as one, at the average of their entries."""
    if one.side is not other.side:
        raise OutcomeUnknown(f"{EXCHANGE}'s list has {one.symbol} long and short")
    quantity = one.quantity + other.quantity
    known = one.entry is not None and other.entry is not None
    entry = ((one.entry or ZERO) * one.quantity + (other.entry or ZERO) * other.quantity) / quantity if known else None
    return replace(one, quantity=quantity, free=quantity, entry=entry)


def on_margin(row: Row, exchange: str) -> bool:
    """Whether an order or an execution of ccxt's is of a margin position and not of the balance."""
    info = inner(row, "info") if exchange == EXCHANGE else {}
    leverage = text(inner(info, "descr"), "leverage") or text(info, "leverage")
    told = info.get("margin") is True or info.get("margin_borrow") is True or "closing" in text(info, "misc")
    return told or leverage not in NO_LEVERAGE or positive(info.get("margin")) is not None


def position_symbol(row: Row, exchange: str) -> str:
    """The symbol of the position that an order or an execution is of."""
    symbol = text(row, "symbol")
    return symbol + MARGIN if symbol and on_margin(row, exchange) else symbol


def listed_as(symbol: str) -> str:
    """The symbol of the market in which it is traded."""
    suffix = next((suffix for suffix in BESIDE if symbol.endswith(suffix)), "")
    return symbol.removesuffix(suffix)

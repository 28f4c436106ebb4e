"""Price files: CSV rows → the prices that a market walks through. Pure.

Columns: ``timestamp`` (ms) and either ``price``, or ``open,high,low,close`` with optional ``volume,bid,ask``. A bar is
walked open → low → high → close when it rises, open → high → low → close when it falls; its bid and ask, which are
those at the close, keep their distance from the price along the way.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from brokers.paper.wire import Top
from core.errors import ConfigError
from core.units import decimal

BAR = ("open", "high", "low", "close")


class Row(Struct, frozen=True):
    """The prices of one row, in the order in which they were seen."""

    at: int  # milliseconds since 1970
    prices: tuple[Decimal, ...]
    bid_below: Decimal | None = None  # how far the bid is below the price
    ask_above: Decimal | None = None

    def tops(self) -> Iterator[Top]:
        for price in self.prices:
            bid = None if self.bid_below is None else price - self.bid_below
            ask = None if self.ask_above is None else price + self.ask_above
            yield Top(bid=bid, ask=ask, last=price)


def read_rows(lines: Iterable[str], file: str) -> list[Row]:
    """Every row of a price file. Raises ConfigError naming ``file``, the line and the column."""
    reader = csv.DictReader(lines)
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    if "timestamp" not in header or not ("price" in header or set(BAR) <= set(header)):
        raise ConfigError(f"{file}: its header must have timestamp and price, or timestamp,open,high,low,close.")
    rows = [_row(cells, file, reader.line_num) for cells in reader if any(cells.values())]
    if not rows:
        raise ConfigError(f"{file}: there is no price in it.")
    return rows


def _row(cells: dict[str, str | None], file: str, line: int) -> Row:
    at = _number(cells, "timestamp", file, line)
    if cells.get("price"):
        return Row(int(at), (_price(cells, "price", file, line),))
    opened, high, low, close = (_price(cells, name, file, line) for name in BAR)
    prices = (opened, low, high, close) if close >= opened else (opened, high, low, close)
    bid = _price(cells, "bid", file, line) if cells.get("bid") else None
    ask = _price(cells, "ask", file, line) if cells.get("ask") else None
    return Row(int(at), prices, None if bid is None else close - bid, None if ask is None else ask - close)


def _price(cells: dict[str, str | None], column: str, file: str, line: int) -> Decimal:
    price = _number(cells, column, file, line)
    if price <= 0:
        raise ConfigError(f"{file}, line {line}: {column} must be more than 0, not {price}.")
    return price


def _number(cells: dict[str, str | None], column: str, file: str, line: int) -> Decimal:
    try:
        return decimal(cells.get(column) or "")
    except ValueError as error:
        raise ConfigError(f"{file}, line {line}: {column}: {error}.") from None

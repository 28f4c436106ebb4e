"""Price files: CSV rows → the prices, in the order of the file.

Columns: ``timestamp`` (ms since 1970) and either ``price``, or ``open,high,low,close`` with optional
``volume,bid,ask``. A rising bar becomes open → low → high → close, a falling bar open → high → low → close.
A bar's bid and ask are those at the close. Their distances from the close apply to every price of the bar.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from core.errors import ConfigError
from core.units import decimal

BAR = ("open", "high", "low", "close")
LAST_MS = 253_402_300_799_999  # the end of year 9999
BIGGEST, SMALLEST = Decimal("1e15"), Decimal("1e-15")  # a number beyond these is a slip, and rules would lose digits


class PriceRow(Struct, frozen=True):
    """The prices of one row, in the order in which the rules take them."""

    at: int  # milliseconds since 1970
    prices: tuple[Decimal, ...]
    bid_below: Decimal | None = None  # distance of the bid below the price
    ask_above: Decimal | None = None


def symbol_of(name: str) -> str:
    """Return the symbol in a price file's name: the part before ``-1m``, else the part before the extension."""
    return name.partition("-1m")[0] if "-1m" in name else name.rpartition(".")[0] or name


def bare(symbol: str) -> str:
    """Return the symbol's letters and digits: ``BTC/USD`` and ``BTC-USD`` both give ``BTCUSD``.

    A file's name cannot contain every character of a symbol.
    """
    return re.sub(r"[^A-Z0-9]", "", symbol.upper())


def read_prices(lines: Iterable[str], file: str) -> list[PriceRow]:
    """Return every row of a price file. Raises ConfigError that names ``file``, the line and the column."""
    reader = csv.DictReader(lines)
    try:
        rows = list(_rows(reader, file))
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: this is no CSV ({error}).") from None
    if not rows:
        raise ConfigError(f"{file}: there is no price in it.")
    return rows


def _rows(reader: csv.DictReader[str], file: str) -> Iterator[PriceRow]:
    header = [name.strip().lower().removeprefix("\ufeff") for name in reader.fieldnames or ()]
    reader.fieldnames = header
    if "timestamp" not in header or not ("price" in header or set(BAR) <= set(header)):
        raise ConfigError(f"{file}: its header must have timestamp and price, or timestamp,open,high,low,close.")
    for cells in reader:
        if any(cells.values()):
            yield _row(cells, file, reader.line_num)


def _row(cells: dict[str, str | None], file: str, line: int) -> PriceRow:
    at = _number(cells, "timestamp", file, line)
    if not 0 <= at <= LAST_MS:
        raise ConfigError(f"{file}, line {line}: timestamp must be milliseconds since 1970, not {at}.")
    if cells.get("price"):
        return PriceRow(int(at), (_price(cells, "price", file, line),))
    opened, high, low, close = (_price(cells, name, file, line) for name in BAR)
    prices = (opened, low, high, close) if close >= opened else (opened, high, low, close)
    bid = _price(cells, "bid", file, line) if cells.get("bid") else None
    ask = _price(cells, "ask", file, line) if cells.get("ask") else None
    return PriceRow(int(at), prices, None if bid is None else close - bid, None if ask is None else ask - close)


def _price(cells: dict[str, str | None], column: str, file: str, line: int) -> Decimal:
    price = _number(cells, column, file, line)
    if price <= 0:
        raise ConfigError(f"{file}, line {line}: {column} must be more than 0, not {price}.")
    if not SMALLEST <= price <= BIGGEST:
        raise ConfigError(f"{file}, line {line}: {column} must be between 1e-15 and 1e15, not {price}.")
    return price


def _number(cells: dict[str, str | None], column: str, file: str, line: int) -> Decimal:
    try:
        return decimal(cells.get(column) or "")
    except ValueError as error:
        raise ConfigError(f"{file}, line {line}: {column}: {error}.") from None

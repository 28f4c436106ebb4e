"""Price files: CSV rows → the prices, in the order of the file.

Columns: ``timestamp`` and either ``price``, or ``open,high,low,close`` with optional ``volume,bid,ask``. A timestamp is
in milliseconds since 1970, in milliseconds of the recording's own clock from 0, or a time with its zone. Commas,
semicolons or tabs separate the cells. No row is older than the row before. A rising bar becomes open → low → high →
close, a falling bar open → high → low → close. A bar's bid and ask are those at the close. Their distances from the
close apply to every price of the bar.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from core.errors import ConfigError
from core.units import decimal, plain

BAR = ("open", "high", "low", "close")
FIRST_MS, LAST_MS = 946_684_800_000, 253_402_300_799_999  # the years 2000 to 9999
FIRST_S = 946_684_800  # the year 2000 in seconds; milliseconds below it count from the beginning of a recording
TIMES = "milliseconds since 1970, or a time with its zone like 2026-01-02T14:30:00Z"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
    texts = list(lines)
    header = texts[0].removeprefix("\ufeff") if texts else ""
    separator = next((s for s in (",", ";", "\t") if s in header), ",")
    reader = csv.DictReader([header, *texts[1:]], delimiter=separator)
    try:
        rows = list(_rows(reader, file))
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: this is no CSV ({error}).") from None
    if not rows:
        raise ConfigError(f"{file}: there is no price in it.")
    return rows


def _rows(reader: csv.DictReader[str], file: str) -> Iterator[PriceRow]:
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    if "timestamp" not in header or not ("price" in header or set(BAR) <= set(header)):
        raise ConfigError(f"{file}: its header must have timestamp and price, or timestamp,open,high,low,close.")
    if twice := next((name for name in header if name and header.count(name) > 1), ""):
        raise ConfigError(f"{file}: its header names {twice} twice.")
    before: PriceRow | None = None
    for cells in reader:
        if not any(cells.values()):
            continue
        place = f"{file}, line {reader.line_num}"
        if None in cells:
            raise ConfigError(f"{place}: it has more cells than the header. Write numbers without separators.")
        row = _price_row(cells, place) if "price" in header else _bar_row(cells, place)
        if before is not None and row.at < before.at:
            raise ConfigError(f"{place}: its time is before that of the row above. Sort the rows, oldest first.")
        if before is not None and row.at == before.at and "price" not in header:
            raise ConfigError(f"{place}: the row above has the same time. Leave one bar for each time.")
        yield row
        before = row


def _price_row(cells: dict[str, str | None], place: str) -> PriceRow:
    return PriceRow(_time(cells, place), (_price(cells, "price", place),))


def _bar_row(cells: dict[str, str | None], place: str) -> PriceRow:
    at = _time(cells, place)
    opened, high, low, close = (_price(cells, name, place) for name in BAR)
    for name, price in (("high", high), ("open", opened), ("close", close)):
        if price < low:
            raise ConfigError(f"{place}: {name} {plain(price)} is below low {plain(low)}.")
        if price > high:
            raise ConfigError(f"{place}: {name} {plain(price)} is above high {plain(high)}.")
    prices = (opened, low, high, close) if close >= opened else (opened, high, low, close)
    bid = _price(cells, "bid", place) if cells.get("bid") else None
    ask = _price(cells, "ask", place) if cells.get("ask") else None
    if bid is not None and ask is not None and bid > ask:
        raise ConfigError(f"{place}: bid {plain(bid)} is above ask {plain(ask)}.")
    return PriceRow(at, prices, None if bid is None else close - bid, None if ask is None else ask - close)


def _time(cells: dict[str, str | None], place: str) -> int:
    """Return the row's time in ms since 1970."""
    text = (cells.get("timestamp") or "").strip()
    try:
        at = decimal(text)
    except ValueError:
        return _zoned(text, place)
    if not (0 <= at < FIRST_S or FIRST_MS <= at <= LAST_MS):
        seconds = " Seconds need three more digits." if FIRST_MS <= at * 1000 <= LAST_MS else ""
        raise ConfigError(f"{place}: timestamp must be {TIMES}, not {text}.{seconds}")
    return int(at)


def _zoned(text: str, place: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{place}: timestamp must be {TIMES}, not {text!r}.") from None
    if at.tzinfo is None:
        raise ConfigError(f"{place}: timestamp {text} has no time zone. Write {TIMES}.")
    return (at - EPOCH) // timedelta(milliseconds=1)


def _price(cells: dict[str, str | None], column: str, place: str) -> Decimal:
    text = (cells.get(column) or "").strip()
    if not text:
        raise ConfigError(f"{place}: {column} is empty.")
    try:
        price = decimal(text)
    except ValueError as error:
        raise ConfigError(f"{place}: {column}: {error}.") from None
    if price <= 0:
        raise ConfigError(f"{place}: {column} must be more than 0, not {price}.")
    if not SMALLEST <= price <= BIGGEST:
        raise ConfigError(f"{place}: {column} must be between 1e-15 and 1e15, not {price}.")
    return price

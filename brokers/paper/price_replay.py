"""What a price file becomes at a venue: each of its prices as the top of a book. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from brokers.paper.wire import Top
from core.market.price_file import PriceRow, read_prices


class Row(PriceRow, frozen=True):
    """The prices of one row, with the bid and the ask around each."""

    def tops(self) -> Iterator[Top]:
        for price in self.prices:
            bid = None if self.bid_below is None else price - self.bid_below
            ask = None if self.ask_above is None else price + self.ask_above
            yield Top(bid=bid, ask=ask, last=price)


def read_rows(lines: Iterable[str], file: str) -> list[Row]:
    """Every row of a price file. Raises ConfigError naming ``file``, the line and the column."""
    return [Row(row.at, row.prices, row.bid_below, row.ask_above) for row in read_prices(lines, file)]

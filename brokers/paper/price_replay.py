"""Turn each price of a price file into the top of a book. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from brokers.paper.wire import TopOfBook
from core.market.price_file import PriceRow, read_prices


class ReplayRow(PriceRow, frozen=True):
    """The prices of one row, with the bid and the ask around each price."""

    def tops(self) -> Iterator[TopOfBook]:
        for price in self.prices:
            bid = None if self.bid_below is None else price - self.bid_below
            ask = None if self.ask_above is None else price + self.ask_above
            yield TopOfBook(bid=bid, ask=ask, last=price)


def read_rows(lines: Iterable[str], file: str) -> list[ReplayRow]:
    """Return every row of a price file. Raises ConfigError naming ``file``, the line and the column."""
    return [ReplayRow(row.at, row.prices, row.bid_below, row.ask_above) for row in read_prices(lines, file)]

"""Read an exchange's lists of open orders with all their pages. A list that may have been cut is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec import Struct

from brokers.ccxt import pagination, wire
from brokers.ccxt.exchanges.read_table import Params, ReadCalls
from brokers.ccxt.wire import Row
from core.errors import OutcomeUnknown

MOST_PAGES = 40
# Where we do not know how many rows a page has, a list of exactly so many rows may have been cut.
USUAL_PAGES = frozenset({20, 25, 30, 40, 50, 100, 150, 200, 250, 300, 400, 500, 1000, 2000})
CUT = "open orders after the first {}"
Ask = Callable[..., Awaitable[Any]]


class OrderRows(Struct, frozen=True):
    """The rows of one or more lists, and the rests that could not be read, in words for a person."""

    rows: list[Row]
    cut: tuple[str, ...] = ()


class OrderLists:
    """The lists of open orders of one account."""

    def __init__(self, exchange: Any, name: str, calls: ReadCalls) -> None:
        self._exchange = exchange
        self._name = name
        self._calls = calls

    async def read(self, ask: Ask, asked: Iterable[Params]) -> OrderRows:
        """Return the open orders of these lists. Raises if a list fails: its orders would look cancelled."""
        lists = await pagination.together(*(self.read_list(ask, params) for params in asked))
        cut = dict.fromkeys(part for one in lists for part in one.cut)
        return OrderRows([row for one in lists for row in one.rows], tuple(cut))

    async def read_list(self, ask: Ask, params: Params) -> OrderRows:
        """Return one list. Raises OutcomeUnknown for a list that does not end."""
        calls = self._calls
        if calls.paged:
            read = pagination.read_all_pages
            return OrderRows(await read(ask, self._exchange, calls.orders_method, "parse_order", params))
        if not calls.cursor:
            rows = await self._page(ask, {**params, **({"paginate": True} if calls.page is not None else {})}, None)
            most = USUAL_PAGES if calls.guessed else ()
            return OrderRows(rows, (CUT.format(len(rows)),) if len(rows) in most else ())
        return OrderRows(await self._all_pages(ask, params, calls.page or 0))

    async def _all_pages(self, ask: Ask, params: Params, page: int) -> list[Row]:
        calls = self._calls
        found: dict[tuple[str, str], Row] = {}  # at some exchanges an id is unique per market only
        more = dict(params)
        for nth in range(MOST_PAGES):
            # With the limit ccxt would cut the collected pages down to it.
            rows = await self._page(ask, more, page)
            keyed = {(wire.text(row, "symbol"), wire.text(row, "id")): row for row in rows}
            fresh = {key: row for key, row in keyed.items() if key not in found}
            found |= fresh
            told = [t for row in rows if (t := wire.text(wire.inner(row, "info"), calls.cursor_in))]
            if not told and (calls.cursor_in or len(rows) < page):
                return list(found.values())
            if not fresh:
                break
            earliest = min((i for _, i in fresh), key=lambda i: (len(i), i))  # ids grow; rows come sorted by time
            more[calls.cursor] = nth + 2 if calls.counted else told[0] if told else earliest
        raise OutcomeUnknown(f"{self._name}'s list of open orders does not end after {len(found)}")

    async def _page(self, ask: Ask, params: Params, most: int | None) -> list[Row]:
        answer = await ask("fetch_open_orders", None, None, most, dict(params))
        return wire.rows(answer, "open orders", self._name)

"""Read an exchange's lists of open orders with all their pages. A list that may have been cut is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from brokers.ccxt import pagination, wire
from brokers.ccxt.exchanges.read_table import ORDERS_BY_SYMBOL, Params, ReadCalls
from brokers.ccxt.unlisted import named_part, refused_part
from brokers.ccxt.wire import Row
from brokers.sharing import Tolerated
from core.errors import OutcomeUnknown, Refused
from core.ports import Clock

MOST_PAGES = 40
# Where we do not know how many rows a page has, a list of exactly so many rows may have been cut.
USUAL_PAGES = frozenset({20, 25, 30, 40, 50, 100, 150, 200, 250, 300, 400, 500, 1000, 2000})
CUT = "open orders after the first {}"
OTHER_MARKETS = "open orders of markets without a position"
MORE_MARKETS = "open orders of {}, which take too many requests"
MOST_MARKETS = 50
MARKETS_TIME = 5.0  # seconds that one read may spend on markets by themselves, at the exchange's rate
Ask = Callable[..., Awaitable[Any]]


class OrderRows(Struct, frozen=True):
    """The rows of one or more lists, and the parts that are not listed, in words for a person."""

    rows: list[Row]
    unlisted: tuple[str, ...] = ()
    flaw: str = ""  # why more orders of listed markets may be open


class Paging(Struct, frozen=True):
    """How a list is continued: ``page`` rows are a full page, and ``cursor`` is the parameter for the next page."""

    page: int
    cursor: str
    cursor_in: str = ""  # the raw row's field with the cursor; "": the cursor is the smallest id of the page
    counted: bool = False  # the cursor is a page number
    offset: bool = False  # the cursor is the number of rows before the page
    limited: bool = True  # the page is sent as ccxt's limit


# The lists of contract orders that we page at exchanges without a row in the read table (their documentation of each
# list of open orders, and the size of a page that ccxt asks for).
_PAGES = {
    "bitget": Paging(100, "idLessThan"),
    "gate": Paging(100, "offset", offset=True),
    "mexc": Paging(100, "page_num", counted=True, limited=False),
}


def _paging(exchange: str, params: Params, calls: ReadCalls) -> Paging | None:
    if calls.cursor:
        return Paging(calls.page or 0, calls.cursor, calls.cursor_in, calls.counted)
    return _PAGES.get(exchange) if calls.guessed and params.get("type") in ("swap", "future") else None


class OrderLists:
    """The lists of open orders of one account. A list that fails for long is left out and named (``tolerated``)."""

    def __init__(self, exchange: Callable[[], Any], name: str, calls: ReadCalls, clock: Clock) -> None:
        self._exchange = exchange
        self._name = name
        self._calls = calls
        self._tolerated = Tolerated(clock)
        self._earlier: dict[str, None] = {}  # markets that were asked for by themselves: a late order may rest there

    @property
    def by_symbol(self) -> frozenset[str]:
        """The kinds of markets whose orders are listed for one market at a time."""
        return ORDERS_BY_SYMBOL.get(self._name, frozenset())

    async def read(self, ask: Ask, asked: Iterable[Params], symbols: Iterable[str] = ()) -> OrderRows:
        """Return the open orders of these lists. Raises the error of a list that failed just now.

        ``symbols``: the markets with a position, which are asked for where a list has one market only.
        """
        if not self.by_symbol:
            return await self._read_all(ask, self._lists(asked, ()))
        held = sorted(symbols)
        self._earlier |= dict.fromkeys(held)
        chosen = [*held, *(s for s in self._earlier if s not in held)][: self._most()]
        found = await self._read_all(ask, self._lists(asked, chosen))
        left = [s for s in held if s not in chosen]
        flaw = MORE_MARKETS.format(", ".join(left)) if left else ""
        unlisted = (*found.unlisted, *((flaw,) if flaw else ()), OTHER_MARKETS)
        return OrderRows(found.rows, unlisted, found.flaw or flaw)

    def _most(self) -> int:
        """Return how many markets one read may ask for by themselves. ccxt's ``rateLimit`` is milliseconds."""
        return max(1, min(MOST_MARKETS, int(MARKETS_TIME * 1000 / max(self._exchange().rateLimit or 1, 1))))

    def _lists(self, asked: Iterable[Params], symbols: Sequence[str]) -> Iterator[tuple[str | None, Params]]:
        """Yield the market, None for all markets, and the parameters of each list. The market tells its own kind."""
        for params in asked:
            kind = {"spot": "spot", None: ""}.get(params.get("type"), "contract")
            if self.by_symbol and (not kind or kind in self.by_symbol):
                alone = {key: value for key, value in params.items() if key != "type"}
                yield from ((s, alone) for s in symbols if kind in ("", "contract" if ":" in s else "spot"))
            else:
                yield None, params

    async def _read_all(self, ask: Ask, asked: Iterable[tuple[str | None, Params]]) -> OrderRows:
        reading = (self._allowed(ask, symbol, params, n) for n, (symbol, params) in enumerate(asked))
        lists = await asyncio.gather(*reading, return_exceptions=True)  # each list counts its own failures
        for one in lists:
            if isinstance(one, BaseException):
                raise one
        read = [one for one in lists if isinstance(one, OrderRows)]
        unlisted = dict.fromkeys(part for one in read for part in one.unlisted)
        flaw = next((one.flaw for one in read if one.flaw), "")
        return OrderRows([row for one in read for row in one.rows], tuple(unlisted), flaw)

    async def _allowed(self, ask: Ask, symbol: str | None, params: Params, nth: int) -> OrderRows:
        which = {"symbol": symbol, **params} if symbol else params
        found, flaw = await self._tolerated.read(
            f"open orders {which}", self._used(ask, symbol, params, nth), OrderRows([])
        )
        part = named_part("open orders", which, flaw)
        return OrderRows([], (part,), part) if flaw else found

    async def _used(self, ask: Ask, symbol: str | None, params: Params, nth: int) -> OrderRows:
        """Return one list. A list beside the first one may belong to a part that the account never used."""
        try:
            return await self.read_list(ask, params, symbol)
        except Refused as refused:
            conditional = params.get("trigger") is True  # the other orders of these markets are listed
            if not self._calls.guessed or nth == 0 or symbol:
                raise
            parts = refused_part("open orders", params, refused)
            return OrderRows([], parts, parts[0] if parts and conditional else "")

    async def read_list(self, ask: Ask, params: Params, symbol: str | None = None) -> OrderRows:
        """Return one list. Raises OutcomeUnknown for a list that does not end."""
        calls = self._calls
        if calls.paged:
            read = pagination.read_all_pages
            return OrderRows(await read(ask, self._exchange(), calls.orders_method, "parse_order", params))
        paging = _paging(self._name, params, calls)
        if paging is None:
            whole = {"paginate": True} if calls.page is not None else {}
            rows = await self._page(ask, {**params, **whole}, None, symbol)
            if not calls.guessed or len(rows) not in USUAL_PAGES:
                return OrderRows(rows)
            rest = CUT.format(len(rows))
            return OrderRows(rows, (rest,), rest)
        return OrderRows(await self._all_pages(ask, params, paging))

    async def _all_pages(self, ask: Ask, params: Params, paging: Paging) -> list[Row]:
        found: dict[tuple[str, str], Row] = {}  # at some exchanges an id is unique per market only
        more = dict(params)
        for nth in range(MOST_PAGES):
            # Without the page as its limit ccxt would cut the rows.
            rows = await self._page(ask, more, paging.page if paging.limited else None)
            keyed = {(wire.text(row, "symbol"), wire.text(row, "id")): row for row in rows}
            fresh = {key: row for key, row in keyed.items() if key not in found}
            found |= fresh
            told = [t for row in rows if (t := wire.text(wire.inner(row, "info"), paging.cursor_in))]
            if not told and (paging.cursor_in or len(rows) < paging.page):
                return list(found.values())
            if not fresh:
                break
            earliest = min((i for _, i in fresh), key=lambda i: (len(i), i))  # ids grow; rows come sorted by time
            numbered = nth + 2 if paging.counted else (nth + 1) * paging.page if paging.offset else None
            more[paging.cursor] = numbered or (told[0] if told else earliest)
        raise OutcomeUnknown(f"{self._name}'s list of open orders does not end after {len(found)}")

    async def _page(self, ask: Ask, params: Params, most: int | None, symbol: str | None = None) -> list[Row]:
        answer = await ask("fetch_open_orders", symbol, None, most, dict(params))
        return wire.rows(answer, "open orders", self._name)

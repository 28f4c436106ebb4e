"""Read raw lists that come in pages, each with a cursor to the next, to their end.

Bybit's list is followed until a page is empty or names no next page. A page that is not full need not be the last:
Bybit filters rows after it has cut the page. ccxt's own pagination stops silently after ten pages. It also requests
inverse orders with settlement in USDT, where there are none.

Sources: Bybit's documentation of ``order/realtime`` and ``position/list``; ccxt's ``fetch_paginated_call_cursor``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from brokers.ccxt import wire
from brokers.ccxt.wire import Row
from core.errors import FlatdeckError, OutcomeUnknown

MOST_PAGES = 40
IDENTITY = ("symbol", "positionIdx", "orderId")
Ask = Callable[..., Awaitable[Any]]


async def read_all_pages(ask: Ask, exchange: Any, method: str, parse: str, params: dict[str, Any]) -> list[Row]:
    """Return every row of a list in ccxt's unified form.

    Raises OutcomeUnknown for a list that does not end or is unreadable.
    """
    raw = await _raw(ask, exchange.id, method, params)
    kind = "spot" if params.get("category") == "spot" else "contract"
    try:
        # A spot market and a perpetual share an id. The list's parameters tell which one a row belongs to.
        return [getattr(exchange, parse)(r, exchange.safe_market(r.get("symbol"), None, None, kind)) for r in raw]
    except FlatdeckError:
        raise
    except Exception as error:  # ccxt's parsers raise anything
        raise OutcomeUnknown(f"{exchange.id}'s list cannot be read: {type(error).__name__}") from error


async def _raw(ask: Ask, name: str, method: str, params: dict[str, Any]) -> list[Row]:
    """Return all raw rows. A row that moved between pages during the read is kept once, in its last form."""
    found: dict[tuple[str, ...], Row] = {}
    cursor = ""
    for _ in range(MOST_PAGES):
        answer = await ask(method, {**params, **({"cursor": cursor} if cursor else {})})
        result = wire.inner(answer, "result") if isinstance(answer, dict) else {}
        page = wire.rows(result.get("list"), method, name)
        cursor = wire.text(result, "nextPageCursor")
        rows = {tuple(wire.text(row, key) for key in IDENTITY): row for row in page}
        news = rows.keys() - found.keys()
        found |= rows
        if not news and len(page) >= params["limit"]:
            break  # a full page without new rows: the rows behind it cannot be read
        if not news or not cursor:
            return list(found.values())
    raise OutcomeUnknown(f"{name}'s list does not end after {len(found)} rows")


async def together(*calls: Awaitable[Any]) -> list[Any]:
    """Return all answers. The first failure cancels the other calls."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

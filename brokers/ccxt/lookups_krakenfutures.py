"""One order of Kraken Futures by either id, which ccxt has no call for that knows an order of a while ago.

``orders/status`` takes our own names of orders and knows those that are open or ended within five seconds (the
venue's documentation of it); after that the account's history has their events.
"""

from __future__ import annotations

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.venues import Params
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_krakenfutures import NAME, history, state
from core.errors import OutcomeUnknown

MOST_PAGES = 10


async def find(client: Client, symbol: str, native: str, since: int, order_id: str, client_id: str) -> Row | None:
    """As a unified row; None when neither list has it. ``since``: milliseconds of the first event to look at."""
    asked: Params = {"orderIds": [order_id]} if order_id else {"cliOrdIds": client_id}
    for row in wire.rows(await client.look_up("fetch_orders", None, None, None, asked), "orders", NAME):
        if (order_id or client_id) == (wire.text(row, "id") if order_id else wire.client_id(row)):
            return state(row)
    for method in ("historyGetOrders", "historyGetTriggers"):
        found = history(await _events(client, method, since), native, order_id, client_id)
        if found is not None:
            return {**found, "symbol": symbol}
    return None


async def _events(client: Client, method: str, since: int) -> list[Row]:
    """All events since then; a list that does not end is no answer."""
    found: list[Row] = []
    more: Params = {"since": since}
    for _ in range(MOST_PAGES):
        answer = await client.look_up(method, dict(more))
        page = answer if isinstance(answer, dict) else {}
        found += wire.rows(page.get("elements"), "order events", NAME)
        token = wire.text(page, "continuationToken")
        if not token:
            return found
        more["continuation_token"] = token
    raise OutcomeUnknown(f"{NAME}'s history does not end after {len(found)} events")

"""Find one order of Kraken Futures by either id. ccxt has no call that knows an order for long.

``orders/status`` takes our own order names and knows orders that are open or ended within five seconds (the venue's
documentation). The list of open orders has resting orders. The account's history has the events of the others.
"""

from __future__ import annotations

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.krakenfutures_wire import KRAKEN_FUTURES, order_from_events, order_state
from brokers.ccxt.exchanges.order_table import Params
from brokers.ccxt.wire import Row
from core.errors import OutcomeUnknown, Refusal, Refused

MOST_PAGES = 10


async def find_order(client: Client, symbol: str, native: str, since: int, order_id: str, client_id: str) -> Row | None:
    """Return the order as a unified row; None if no list has it. ``since``: milliseconds of the first event to read."""

    def ours(row: Row) -> bool:
        return wire.text(row, "id") == order_id if order_id else wire.client_id(row) == client_id

    asked: Params = {"orderIds": [order_id]} if order_id else {"cliOrdIds": client_id}
    known = next((order_state(row) for row in await _rows(client, "fetch_orders", asked) if ours(row)), None)
    if known is None:
        known = next((row for row in await _rows(client, "fetch_open_orders", {}) if ours(row)), None)
    if known is not None:
        return known
    for method in ("historyGetOrders", "historyGetTriggers"):
        found = order_from_events(await _events(client, method, since), native, order_id, client_id)
        if found is not None:
            return {**found, "symbol": symbol}
    return None


async def _rows(client: Client, method: str, asked: Params) -> list[Row]:
    """Return the rows of one list of the whole account. A refusal "unknown order" is an empty list."""
    try:
        answer = await client.ask_urgently(method, None, None, None, asked)
    except Refused as refused:
        if refused.refusal is not Refusal.UNKNOWN_ORDER:
            raise
        return []
    return wire.rows(answer, "orders", KRAKEN_FUTURES)


async def _events(client: Client, method: str, since: int) -> list[Row]:
    """Return all events since ``since``. Raises OutcomeUnknown for a list that does not end."""
    found: list[Row] = []
    more: Params = {"since": since}
    for _ in range(MOST_PAGES):
        answer = await client.ask_urgently(method, dict(more))
        page = answer if isinstance(answer, dict) else {}
        found += wire.rows(page.get("elements"), "order events", KRAKEN_FUTURES)
        token = wire.text(page, "continuationToken")
        if not token:
            return found
        more["continuation_token"] = token
    raise OutcomeUnknown(f"{KRAKEN_FUTURES}'s history does not end after {len(found)} events")

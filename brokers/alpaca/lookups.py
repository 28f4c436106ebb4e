"""Single orders and executions. One list answers many callers at once, to stay within the venue's request limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from brokers.alpaca import wire
from brokers.alpaca.client import Client
from brokers.alpaca.reads import PAGE, Reads
from core.errors import FlatdeckError, OutcomeUnknown, Refused
from core.model import Fill, Order
from core.ports import Clock
from core.units import ZERO

GATHER = 0.01  # seconds; callers within this time are served together
SECOND = 1.0  # seconds; precision of the venue's time
FEW = 3  # up to this many orders are asked for one by one
MOST_PAGES = 10
ACTIVITIES_TIME = 4.0  # seconds for a page of activities; without them the orders tell the executions
FILLS_PAGE = 100  # the most activities that Alpaca returns at once
Found = dict[str, Order | BaseException | None]


class Lookups:
    """An account's lookups. ``by_id`` and ``by_client_id`` find one order, ``fills`` finds executions."""

    def __init__(self, account: str, client: Client, reads: Reads, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._reads = reads
        self._clock = clock
        self._wanted: set[str] = set()
        self._next: asyncio.Task[Found] | None = None
        self._since: datetime | None = None
        self._telling: asyncio.Task[list[Fill]] | None = None
        self.nameless: set[str] = set()  # client ids that never reached the venue: its close call takes no client id

    async def by_client_id(self, client_id: str) -> Order | None:
        if client_id in self.nameless:
            return None
        return await self._one(
            self._client.ask_urgently("/v2/orders:by_client_order_id", {"client_order_id": client_id})
        )

    async def by_id(self, order_id: str) -> Order | None:
        """Return the order, or None when Alpaca has no such order. Callers of the same moment share the answer."""
        if self._next is None:
            self._next = asyncio.create_task(self._together())
            self._next.add_done_callback(_retrieve)
        self._wanted.add(order_id)
        found = (await asyncio.shield(self._next))[order_id]
        if isinstance(found, BaseException):
            raise found
        return found

    async def _together(self) -> Found:
        await self._clock.sleep(GATHER)
        wanted, self._wanted, self._next = self._wanted, set(), None
        found: Found = {}
        if len(wanted) > FEW:
            with suppress(FlatdeckError):  # without the list each order is asked for
                found |= {r.order.id: r.order for r in await self._latest({}) if r.order.id in wanted}
        rest = sorted(wanted - set(found))
        calls = (
            self._one(self._client.ask_urgently(f"/v2/orders/{order_id}", {"nested": "true"})) for order_id in rest
        )
        found |= dict(zip(rest, await asyncio.gather(*calls, return_exceptions=True), strict=True))
        return found

    async def _one(self, call: Awaitable[Any]) -> Order | None:
        try:
            row = await call
        except Refused as refused:
            if refused.code.startswith("404"):  # 404 or 40410000
                return None
            raise
        return wire.order(self._account, row, self._reads.pairs).order

    async def _latest(self, more: dict[str, str]) -> list[wire.Resting]:
        """Return the latest orders, live and terminal."""
        query = {"status": "all", "limit": str(PAGE), "nested": "true", "direction": "desc", **more}
        return wire.orders(self._account, await self._client.ask_urgently("/v2/orders", query), self._reads.pairs)

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        """Return executions from the account's activities, and from its orders where the activities lag behind.

        ``since`` is by this machine's clock. If Alpaca's clock is behind, the question starts that much earlier.
        """
        since -= timedelta(seconds=SECOND - min(self._client.skew or 0.0, 0.0))
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell())
            self._telling.add_done_callback(_retrieve)
        self._since = since if self._since is None else min(self._since, since)
        told = await asyncio.shield(self._telling)
        return [f for f in told if f.symbol == symbol and (f.at is None or f.at >= since)]

    async def _tell(self) -> list[Fill]:
        """Return every execution since the earliest time that a caller asks for."""
        await self._clock.sleep(GATHER)
        since, self._since, self._telling = self._since, None, None
        assert since is not None
        after = wire.before(since)
        fills, orders = await asyncio.gather(self._activities(after), self._latest({"after": after}))
        counted: dict[str, Decimal] = {}
        for fill in fills:
            counted[fill.order_id] = counted.get(fill.order_id, ZERO) + fill.quantity
        for sent in orders:
            lacking = sent.order.filled - counted.get(sent.order.id, ZERO)
            if lacking > 0 and sent.order.average_price is not None:
                fills.append(_rest(sent, lacking, sent.order.average_price))
        return fills

    async def _activities(self, after: str) -> list[Fill]:
        """Return the executions that the activities tell. After a failure the orders tell the others."""
        query = {"after": after, "direction": "asc", "page_size": str(FILLS_PAGE)}
        made: list[Fill] = []
        for _ in range(MOST_PAGES):
            try:
                async with asyncio.timeout(ACTIVITIES_TIME):
                    rows = wire.listed(
                        await self._client.ask_urgently("/v2/account/activities/FILL", query), "executions"
                    )
            except (FlatdeckError, TimeoutError):
                return made
            made += wire.fills(self._account, rows, self._reads.pairs)
            if len(rows) < FILLS_PAGE:
                return made
            query["page_token"] = wire.text(rows[-1], "id")
        raise OutcomeUnknown(f"Alpaca's list of executions does not end after {len(made)}")


def _rest(sent: wire.Resting, quantity: Decimal, price: Decimal) -> Fill:
    """Return the part of an order's filled quantity that no execution tells of yet."""
    order = sent.order
    return Fill(
        account=order.account,
        symbol=order.symbol,
        trade_id=f"{order.id}:{order.filled}",
        order_id=order.id,
        side=order.side,
        quantity=quantity,
        price=price,
        client_id=order.client_id,
        at=sent.at,
    )


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve the task's failure. Otherwise asyncio reports a failure without a waiting caller as lost."""
    if not task.cancelled():
        task.exception()

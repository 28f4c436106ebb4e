"""Single orders and executions. Many that ask at once are answered by one list, within the venue's request limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.alpaca import wire
from brokers.alpaca.client import Client
from brokers.alpaca.reads import PAGE, Reads
from core.errors import OutcomeUnknown, Refused
from core.model import Fill, Order
from core.ports import Clock
from core.units import ZERO

GATHER = 0.01  # seconds in which those who ask are served together
FEW = 3  # up to here each is asked for by itself
MOST_PAGES = 10
FILLS_PAGE = 100  # the most that Alpaca gives of activities
Found = dict[str, Order | BaseException | None]


class Lookups:
    """``by_id`` and ``by_client_id`` find one order, ``fills`` what was executed."""

    def __init__(self, account: str, client: Client, reads: Reads, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._reads = reads
        self._clock = clock
        self._wanted: set[str] = set()
        self._next: asyncio.Task[Found] | None = None

    async def by_client_id(self, client_id: str) -> Order | None:
        return await self._one(self._client.get("/v2/orders:by_client_order_id", {"client_order_id": client_id}))

    async def by_id(self, order_id: str) -> Order | None:
        """The order; those who ask within the same moment share the answer."""
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
            found |= {o.id: o for o in await self._latest({}) if o.id in wanted}
        rest = sorted(wanted - set(found))
        calls = (self._one(self._client.get(f"/v2/orders/{order_id}", {"nested": "true"})) for order_id in rest)
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

    async def _latest(self, more: dict[str, str]) -> list[Order]:
        """The latest orders, live and terminal."""
        query = {"status": "all", "limit": str(PAGE), "nested": "true", "direction": "desc", **more}
        rows = await self._client.get("/v2/orders", query)
        return [r.order for r in wire.orders(self._account, rows, self._reads.pairs)]

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        """Executions by the account's activities, and by its orders as far as the activities lag behind them."""
        after = wire.before(since)
        told, orders = await asyncio.gather(self._activities(after), self._latest({"after": after}))
        fills = [f for f in told if f.symbol == symbol and (f.at is None or f.at >= since)]
        counted: dict[str, Decimal] = {}
        for fill in fills:
            counted[fill.order_id] = counted.get(fill.order_id, ZERO) + fill.quantity
        for order in orders:
            lacking = order.filled - counted.get(order.id, ZERO)
            if order.symbol == symbol and lacking > 0 and order.average_price is not None:
                fills.append(_rest(order, lacking, order.average_price))
        return fills

    async def _activities(self, after: str) -> list[Fill]:
        query = {"after": after, "direction": "asc", "page_size": str(FILLS_PAGE)}
        made: list[Fill] = []
        for _ in range(MOST_PAGES):
            try:
                rows = wire.listed(await self._client.get("/v2/account/activities/FILL", query), "executions")
            except Refused as refused:
                if refused.code.startswith("404"):
                    return made  # then the orders tell it
                raise
            made += wire.fills(self._account, rows, self._reads.pairs)
            if len(rows) < FILLS_PAGE:
                return made
            query["page_token"] = wire.text(rows[-1], "id")
        raise OutcomeUnknown(f"Alpaca's list of executions does not end after {len(made)}")


def _rest(order: Order, quantity: Decimal, price: Decimal) -> Fill:
    """What an order says that it filled and no execution tells of yet."""
    return Fill(
        account=order.account,
        symbol=order.symbol,
        trade_id=f"{order.id}:{order.filled}",
        order_id=order.id,
        side=order.side,
        quantity=quantity,
        price=price,
        client_id=order.client_id,
    )


def _retrieve(task: asyncio.Task[Found]) -> None:
    """A failure that nobody waits for any more is not reported as lost."""
    if not task.cancelled():
        task.exception()

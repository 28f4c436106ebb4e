"""What spot holdings were bought for: no balance tells it, the account's own trades do, as far as they reach back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from brokers.ccxt.client import Client
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_balances import Cost, cost_of
from brokers.ccxt.wire_margin import on_margin
from core.errors import FlatdeckError
from core.ports import Clock

FIRST_WAIT = 4.0  # seconds that a first read waits for them
AGAIN = 300.0  # seconds until a holding whose trades could not be had or do not cover it is asked for again
PAGE = 100  # OKX, Bybit and others refuse more
PAGES = {"binance": 500, "binanceus": 500}  # where more may be asked for at once
AT_ONCE = 4


class Entries:
    """``costs`` has what is known, by symbol and quantity: a holding that changed is another one."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tried: dict[tuple[str, Decimal], float] = {}
        self._learning: asyncio.Task[None] | None = None
        self.costs: dict[tuple[str, Decimal], Cost] = {}

    async def learn(self, held: Mapping[str, Decimal], *, at_once: bool = False) -> None:
        """Ask for what is not known yet. Only the first read waits for that, and not for long."""
        now = self._clock.monotonic()
        wanted = [key for key in held.items() if key not in self.costs and self._tried.get(key, now) <= now]
        if not wanted or not self._client.has("fetchMyTrades"):
            return
        if self._learning is not None and not self._learning.done():
            return
        first = self._learning is None
        self._tried |= dict.fromkeys(wanted, now + AGAIN)
        self._learning = asyncio.create_task(self._learn(wanted, at_once))
        if first:
            await asyncio.wait({self._learning}, timeout=FIRST_WAIT)

    async def _learn(self, wanted: list[tuple[str, Decimal]], at_once: bool) -> None:
        if at_once:
            trades = await self._trades(None)
            for symbol, quantity in wanted:
                self._tell(symbol, quantity, [row for row in trades if row.get("symbol") == symbol])
            return
        for n in range(0, len(wanted), AT_ONCE):
            await asyncio.gather(*(self._one(*key) for key in wanted[n : n + AT_ONCE]))

    async def _one(self, symbol: str, quantity: Decimal) -> None:
        self._tell(symbol, quantity, await self._trades(symbol))

    async def _trades(self, symbol: str | None) -> list[Row]:
        """The latest trades; none when they cannot be had, because unknown is a value."""
        try:
            page = PAGES.get(self._client.setup.exchange, PAGE)
            found = await self._client.ask("fetch_my_trades", symbol, None, page)
        except FlatdeckError:
            return []
        rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        return [row for row in rows if not on_margin(row, self._client.setup.exchange)]

    def _tell(self, symbol: str, quantity: Decimal, trades: list[Row]) -> None:
        found = cost_of(quantity, trades)
        if found is not None:
            self.costs[symbol, quantity] = found

    async def aclose(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)

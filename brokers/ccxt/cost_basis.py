"""Purchase prices of spot holdings.

No balance has them, so they come from the account's own trades, as far as those reach back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.kraken_margin import on_margin
from brokers.ccxt.wire import Row, text
from brokers.ccxt.wire_balances import FEES, PurchaseCost, as_far_back, bought_since, cost_of
from core.errors import FlatdeckError
from core.ports import Clock
from core.units import ONE, ZERO

FIRST_WAIT = 4.0  # seconds that the first read waits for the trades
SOON = 8.0  # seconds until a lagging list is asked for again
AGAIN = 300.0  # seconds until the trades of a holding are asked for again that were unavailable or did not cover it
KNOWN = 3600.0  # seconds until any cost is checked again: the same quantity may have been sold and bought in between
SLACK = 60_000  # milliseconds by which the clocks may differ
LATELY = int((KNOWN + AGAIN) * 1000)  # milliseconds; a known cost was read within this time
PAGE = 100  # OKX, Bybit and others refuse more
PAGES = {"binance": 500, "binanceus": 500}  # exchanges that allow more rows per request
AT_ONCE = 4
Key = tuple[str, Decimal]


class CostBasis:
    """``costs`` has the known costs by symbol and quantity.

    A changed quantity is a new holding; so is a holding that was gone in between.
    """

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._due: dict[Key, float] = {}  # when each holding is asked for again
        self._had: Mapping[str, Decimal] | None = None  # quantities of the last read
        self._read_at = 0  # time of the last read, in milliseconds
        self._grown: dict[Key, int] = {}  # when a holding was last smaller, in milliseconds
        self._learning: asyncio.Task[None] | None = None
        self.costs: dict[Key, PurchaseCost] = {}

    async def learn_costs(
        self, held: Mapping[str, Decimal], markets: Mapping[str, Sequence[str]], *, at_once: bool = False
    ) -> None:
        """Start reading the trades of holdings whose cost is unknown. Only the first read waits, for ``FIRST_WAIT``.

        ``markets``: for each symbol the markets in which it may have been bought.
        """
        now = self._clock.monotonic()
        self._compare(held)
        wanted = [key for key in held.items() if self._due.get(key, now) <= now]
        if not wanted or not self._client.has("fetchMyTrades"):
            return
        if self._learning is not None and not self._learning.done():
            return
        first = self._learning is None
        self._due |= dict.fromkeys(wanted, now + AGAIN)
        self._learning = asyncio.create_task(self._learn(wanted, markets, at_once))
        if first:
            await asyncio.wait({self._learning}, timeout=FIRST_WAIT)

    def _compare(self, held: Mapping[str, Decimal]) -> None:
        """Forget what is no longer held. Record the holdings that grew since the last read by more than interest."""
        there = held.items()
        self.costs = {key: cost for key, cost in self.costs.items() if key in there}
        self._due = {key: due for key, due in self._due.items() if key in there}
        self._grown = {key: at for key, at in self._grown.items() if key in there}
        if self._had is not None:
            before = self._had
            self._grown |= {(s, q): self._read_at for s, q in there if q * (ONE - FEES) > before.get(s, ZERO)}
        self._had, self._read_at = held, self._now()

    def _now(self) -> int:
        """Return milliseconds of the exchange's clock, which dates the trades."""
        return int(self._client.to_venue_time(self._clock.now()).timestamp() * 1000)

    async def _learn(self, wanted: list[Key], markets: Mapping[str, Sequence[str]], at_once: bool) -> None:
        if at_once:
            trades = await self._trades(None)
            if trades is None:
                return
            for symbol, quantity in wanted:
                base = symbol.partition("/")[0]
                self._tell(symbol, quantity, [row for row in trades if text(row, "symbol").startswith(f"{base}/")])
            return
        for n in range(0, len(wanted), AT_ONCE):
            await asyncio.gather(*(self._one(*key, markets[key[0]]) for key in wanted[n : n + AT_ONCE]))

    async def _one(self, symbol: str, quantity: Decimal, markets: Sequence[str]) -> None:
        lists = []
        for market in markets:
            trades = await self._trades(market)
            if trades is None:
                return
            lists.append(trades)
        self._tell(symbol, quantity, as_far_back(lists, self._page))

    @property
    def _page(self) -> int:
        return PAGES.get(self._client.settings.exchange, PAGE)

    async def _trades(self, symbol: str | None) -> list[Row] | None:
        """Return the latest trades; None if they cannot be read."""
        try:
            found = await self._client.ask_exchange("fetch_my_trades", symbol, None, self._page)
        except FlatdeckError:
            return None
        rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        return [row for row in rows if not on_margin(row, self._client.settings.exchange)]

    def _tell(self, symbol: str, quantity: Decimal, trades: list[Row]) -> None:
        """Set a holding's cost from its trades. A holding that grew without a recent buy has a lagging list: ask again
        soon.

        A list that no longer reaches back to a purchase (Bybit's has seven days) does not erase the known cost.
        """
        key = symbol, quantity
        grown = self._grown.get(key)
        if grown is not None and not bought_since(grown - SLACK, trades):
            if self._now() - grown < SLACK:
                self._due[key] = self._clock.monotonic() + SOON
            return
        found = cost_of(quantity, trades, symbol.partition("/")[2])
        if found is None and not bought_since(self._now() - LATELY, trades):
            found = self.costs.get(key)
        if found is not None:
            self.costs[key], self._due[key] = found, self._clock.monotonic() + KNOWN
        else:
            self.costs.pop(key, None)

    def forget_costs(self, symbol: str) -> None:
        """Forget the costs of a symbol that was traded, so that its trades are read again."""
        base = symbol.partition("/")[0]
        for key in [key for key in self._due if key[0].partition("/")[0] == base]:
            del self._due[key]
            self.costs.pop(key, None)

    async def aclose(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)

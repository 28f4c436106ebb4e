"""Closed one-minute bars of equities and crypto, from Alpaca's market data.

The calls are ``GET /v2/stocks/bars`` and ``/v1beta3/crypto/us/bars``. Their paths and parameters are as in alpaca-py's
``data/historical``. Without a start, the bars begin with the present day. So every query has a start, far enough back
for a long weekend. Options have no bars here: Alpaca makes an option's bars from its rare trades, but our price of an
option comes from bid and ask.
"""

from __future__ import annotations

from datetime import timedelta

from brokers.alpaca.client import Client
from brokers.alpaca.reads import Reads
from brokers.alpaca.wire_bars import page
from core.model import Bar, Kind
from core.ports import Clock

PATHS = {Kind.EQUITY: "/v2/stocks/bars", Kind.SPOT: "/v1beta3/crypto/us/bars"}
BACK = timedelta(days=5)
MOST_PAGES = 5


class History:
    """An account's source of bars. ``feed`` is the account's feed of equities."""

    def __init__(self, client: Client, reads: Reads, clock: Clock, feed: str) -> None:
        self._client = client
        self._reads = reads
        self._clock = clock
        self._feed = feed

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        """Return the last ``count`` closed bars, oldest first."""
        kind = self._reads.kind(symbol) or Kind.EQUITY
        if kind not in PATHS:
            return []
        now = self._clock.now()
        query = {
            "symbols": symbol,
            "timeframe": "1Min",
            "start": f"{now - BACK:%Y-%m-%dT%H:%M:00Z}",
            "sort": "desc",  # Alpaca may cut an answer, and the latest bars must be in it
            "limit": str(count + 1),  # the answer also contains the minute that is not over
        }
        if kind is Kind.EQUITY:
            query |= {"feed": self._feed, "adjustment": "split"}
        minute, found = int(now.timestamp()) // 60, dict[int, Bar]()
        for _ in range(MOST_PAGES):
            rows, token = page(await self._client.get_data(PATHS[kind], query), symbol)
            found |= {bar.minute: bar for bar in rows if bar.minute < minute}
            if token is None or len(found) >= count:
                break
            query["page_token"] = token
        return [found[at] for at in sorted(found)[-count:]]

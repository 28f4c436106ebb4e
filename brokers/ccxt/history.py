"""Closed one-minute bars of a symbol by ccxt's ``fetch_ohlcv``, whose last row is the unfinished minute."""

from __future__ import annotations

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.kraken_margin import listed_as
from brokers.ccxt.markets import Markets
from core.model import Bar
from core.ports import Clock

AT_ONCE = 300  # rows per answer; Coinbase and OKX refuse more
FEWER = {"kucoinfutures": 200}  # the documentation does not say which rows of a longer span are returned
MINUTE = 60_000


class BarReader:
    """Reads bars without a start: an exchange answers with its latest bars."""

    def __init__(self, client: Client, markets: Markets, clock: Clock) -> None:
        self._client = client
        self._markets = markets
        self._clock = clock

    async def read_bars(self, symbol: str, count: int) -> list[Bar]:
        """Return the last ``count`` closed bars, at most ``AT_ONCE``, oldest first.

        Empty where the exchange has no bars.
        """
        await self._markets.load()
        listed = listed_as(symbol)
        if not self._client.has("fetchOHLCV") or self._markets.row(listed) is None:
            return []
        limit = min(count + 1, FEWER.get(self._client.settings.exchange, AT_ONCE))
        rows = await self._client.ask_exchange("fetch_ohlcv", listed, "1m", None, limit)
        now = int(self._clock.now().timestamp() * 1000) // MINUTE
        made = (_bar(row) for row in rows if isinstance(row, list))
        found = {bar.minute: bar for bar in made if bar is not None and bar.sane and bar.minute < now}
        return [found[minute] for minute in sorted(found)[-count:]]


def _bar(row: list[object]) -> Bar | None:
    """Return a bar of ``[milliseconds, open, high, low, close, volume]``; None for an unreadable row."""
    prices = [wire.positive(value) for value in row[1:5]]
    if len(prices) < 4 or not isinstance(row[0], int):
        return None
    first, high, low, last = prices
    if first is None or high is None or low is None or last is None:
        return None
    return Bar(row[0] // MINUTE, first, high, low, last)

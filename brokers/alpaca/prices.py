"""Prices of held instruments: the latest quotes, and the venue's own mark of a position without a usable quote."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from brokers.alpaca.client import Client
from brokers.alpaca.reads import Reads
from brokers.alpaca.wire_stream import quote
from core.errors import FlatdeckError
from core.model import Kind, Quote
from core.ports import Clock

AT_ONCE = 100  # symbols of one request; the venue's limit for options
AGAIN = 30.0  # seconds between a failure and the next request for the same kind of prices
WIDEST = Decimal("0.10")  # of the ask; a wider spread of an equity is one exchange's stub and no market
FEEDS = {"iex": "indicative", "sip": "opra"}  # feed of equities → feed of options in the same subscription
LATEST = {
    Kind.EQUITY: "/v2/stocks/quotes/latest",
    Kind.OPTION: "/v1beta1/options/quotes/latest",
    Kind.SPOT: "/v1beta3/crypto/us/latest/quotes",
}


class Prices:
    """One account's prices. ``errors`` says for each kind of instrument why its last request failed."""

    def __init__(self, account: str, client: Client, reads: Reads, clock: Clock, feed: str) -> None:
        self._account = account
        self._client = client
        self._reads = reads
        self._clock = clock
        self._feeds = {Kind.EQUITY: feed, Kind.OPTION: FEEDS[feed]}
        self._again: dict[Kind, float] = {}
        self.errors: dict[Kind, str] = {}

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return quotes, otherwise marks with their read's time. Unavailable prices are left out, never an error."""
        kinds: dict[Kind, list[str]] = {}
        for symbol in symbols:
            kinds.setdefault(self._reads.kind(symbol) or Kind.EQUITY, []).append(symbol)
        parts = [(k, some[n : n + AT_ONCE]) for k, some in kinds.items() for n in range(0, len(some), AT_ONCE)]
        answers = await asyncio.gather(*(self._latest(kind, some) for kind, some in parts))
        found = {q.symbol: q for part in answers for q in part}
        return [q for s in symbols if (q := self.usable(found.get(s), s)) is not None]

    def usable(self, found: Quote | None, symbol: str) -> Quote | None:
        """Return the quote, or the venue's mark where the quote lacks a bid and ask that a close would get.

        Without a mark, return the quote as it is.
        """
        kind = self._reads.kind(symbol)
        whole = found is not None and found.bid is not None and found.ask is not None
        if found is not None and found.bid is not None and found.ask is not None and kind is Kind.EQUITY:
            whole = found.ask - found.bid <= WIDEST * found.ask
        mark = self._reads.marks.get(symbol)
        if whole or mark is None:
            return found
        return Quote(self._account, symbol, mark[1], mark=mark[0])

    async def _latest(self, kind: Kind, symbols: list[str]) -> list[Quote]:
        if kind not in LATEST or self._clock.monotonic() < self._again.get(kind, 0.0):
            return []
        query = {"symbols": ",".join(symbols)}
        if kind in self._feeds:
            query["feed"] = self._feeds[kind]
        try:
            answer = await self._client.get_data(LATEST[kind], query)
        except FlatdeckError as error:
            self.errors[kind] = str(error)
            self._again[kind] = self._clock.monotonic() + AGAIN
            return []
        self.errors.pop(kind, None)
        rows = answer.get("quotes") if isinstance(answer, dict) else None
        received = self._clock.monotonic()
        made = [
            quote(self._account, row, symbol, received)
            for symbol, row in (rows.items() if isinstance(rows, dict) else ())
            if isinstance(row, dict)
        ]
        return [q for q in made if q is not None]

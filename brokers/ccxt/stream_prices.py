"""Streamed prices of holdings: which call of ccxt has bid and ask at each exchange.

Prices that did not come for a while are requested: of quiet symbols, and of symbols that are not streamed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.kraken_margin import BESIDE, listed_as
from brokers.ccxt.markets import Markets
from brokers.ccxt.prices import PriceReader, has_touch, tickers
from brokers.ccxt.reads import AccountReads, MarkPrice
from brokers.ccxt.wire import Row
from core.events import QuoteSeen
from core.ports import Clock

PING_EVERY = 3.0  # seconds between pings, and until a missing price is requested
# Binance's tickers have no bid and ask. KuCoin's come only with a trade.
TOUCH_FIRST = frozenset({"binance", "binanceusdm", "binancecoinm", "binanceus", "kucoinfutures"})
# ccxt opens another socket there for every set of symbols, and leaves the sockets of earlier sets open and active.
ONE_SOCKET = frozenset({"binance", "binanceusdm", "binancecoinm", "binanceus"})
# Exchanges that send marks apart from bid and ask, with the seconds for which a mark is used. Binance sends them each
# second. OKX sends them on a change, else every ten seconds.
MARKS_APART = {"binanceusdm": 5.0, "binancecoinm": 5.0, "okx": 12.0, "myokx": 12.0, "okxus": 12.0}
ONE_BY_ONE = frozenset({"coinbase"})  # only the channel of a single ticker has a bid and ask
# Exchanges whose spot tickers have no bid and ask, with the symbols that one subscription may name.
SPOT_TOUCHES = {"bybit": 10}
TOGETHER = {"kucoinfutures": 100}  # symbols per call; ccxt refuses more


class PriceStream:
    """Streams prices. ``run`` starts a call whose failure ends the stream, ``emit`` passes an event on."""

    def __init__(
        self,
        client: Client,
        markets: Markets,
        reads: AccountReads,
        prices: PriceReader,
        clock: Clock,
        run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        emit: Callable[[QuoteSeen], None],
    ) -> None:
        self._client = client
        self._markets = markets
        self._reads = reads
        self._prices = prices
        self._clock = clock
        self._run = run
        self._emit = emit
        self._name = client.settings.exchange
        self._heard: dict[str, float] = {}  # symbol → when its price last came
        self._watched: dict[str, tuple[frozenset[str], asyncio.Task[None]]] = {}  # kind of market → its price task
        if self._name in ONE_SOCKET:
            client.exchange.stream = lambda *_: "0"

    def watch_held(self) -> None:
        """Watch one call per kind of held market. A call restarts when its symbols change."""
        kinds: dict[str, set[str]] = {}
        for symbol in self._reads.held:
            market = self._markets.row(listed_as(symbol))
            if market is not None:
                kind = "inverse" if market.get("inverse") is True else wire.text(market, "type")
                kinds.setdefault(kind, set()).add(listed_as(symbol))
        for kind in kinds.keys() | self._watched.keys():
            wanted = frozenset(kinds.get(kind, ()))
            known = self._watched.get(kind)
            if known is not None and known[0] == wanted:
                continue
            if known is not None:
                known[1].cancel()
            self._watched.pop(kind, None)
            work = self._follow_prices(sorted(wanted)) if wanted else None
            if work is not None:
                self._watched[kind] = wanted, self._run(work)

    async def _follow_prices(self, symbols: list[str]) -> None:
        if self._name in ONE_BY_ONE:
            await asyncio.gather(*(self._follow_tickers("watch_ticker", symbol) for symbol in symbols))
            return
        contracts = [symbol for symbol in symbols if ":" in symbol]
        most = SPOT_TOUCHES.get(self._name) if not contracts else None
        first = self._name in TOUCH_FIRST or most is not None
        features = ("watchBidsAsks", "watchTickers") if first else ("watchTickers", "watchBidsAsks")
        methods = {"watchBidsAsks": "watch_bids_asks", "watchTickers": "watch_tickers"}
        feature = next((f for f in features if self._client.has(f)), None)
        if feature is None:
            return  # no stream: prices are requested
        if contracts and self._name in MARKS_APART and self._client.has("watchMarkPrices"):
            await asyncio.gather(self._follow_tickers(methods[feature], symbols), self._follow_marks(contracts))
        most = most or TOGETHER.get(self._name, len(symbols))
        parts = [symbols[n : n + most] for n in range(0, len(symbols), most)]
        await asyncio.gather(*(self._follow_tickers(methods[feature], part) for part in parts))

    async def _follow_marks(self, symbols: list[str]) -> None:
        """Store streamed marks, which complete the next bid and ask like the marks of a read."""
        while True:
            for row in tickers(await self._client.exchange.watch_mark_prices(symbols)):
                mark = wire.positive(row.get("markPrice"))
                if mark is not None:
                    made = MarkPrice(mark, self._clock.monotonic(), MARKS_APART[self._name])
                    self._reads.marks[wire.text(row, "symbol")] = made

    async def _follow_tickers(self, method: str, symbols: list[str] | str) -> None:
        """Emit tickers. Of prices that arrive together ccxt returns only the first; the others are in its cache.

        OKX's marks, which arrive apart, are in that cache as well.
        """
        exchange = self._client.exchange
        watch, kept = getattr(exchange, method), "bidsasks" if method == "watch_bids_asks" else "tickers"
        wanted = [symbols] if isinstance(symbols, str) else symbols
        told = dict(getattr(exchange, kept) or {})  # cached tickers are not new
        while True:
            rows = {wire.text(row, "symbol"): row for row in tickers(await watch(symbols))}
            now = getattr(exchange, kept) or {}
            fresh = ((s, row) for s in wanted if (row := now.get(s)) is not None and row is not told.get(s))
            news = {s: row for s, row in fresh if has_touch(row)} if rows else {}
            told |= news
            for row in {**rows, **news}.values():
                self._price(row)

    def _price(self, row: Row) -> None:
        now, told = self._clock.monotonic(), wire.text(row, "symbol")
        for symbol in (told, *(told + suffix for suffix in BESIDE)) if told else ():
            quote = self._prices.quote(symbol, row, now) if symbol == told or symbol in self._reads.held else None
            if quote is not None:
                if has_touch(row):  # else the price is requested in between
                    self._heard[symbol] = now
                self._emit(QuoteSeen(quote))

    async def ask_quiet(self) -> None:
        """Request prices that did not come for a while: of quiet symbols, and of symbols that are not streamed."""
        now = self._clock.monotonic()
        quiet = [s for s in sorted(self._reads.held) if now - self._heard.get(s, -PING_EVERY) >= PING_EVERY]
        for quote in await self._prices.quotes(quiet) if quiet else ():
            self._heard[quote.symbol] = now
            self._emit(QuoteSeen(quote))

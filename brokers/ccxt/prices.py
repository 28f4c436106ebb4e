"""Prices of holdings, and US dollars per unit of their currencies, with one request per kind of market."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.kraken_margin import listed_as
from brokers.ccxt.markets import Markets
from brokers.ccxt.reads import AccountReads
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_balances import DOLLARS
from core.errors import FlatdeckError, Refusal, Refused
from core.model import Quote
from core.ports import Clock
from core.units import ONE, plain

FRESH = 5.0  # seconds for which a bid and an ask may complete a ticker without them
AGAIN = 30.0  # seconds until refused prices are requested again
FEW = 8  # if a list is refused, ask for up to this many symbols one by one
OF_ALL = (Refusal.RATE_LIMITED, Refusal.BANNED, Refusal.AUTH)  # refusals that say nothing about the symbol
ONE_COIN = frozenset({"deribit"})  # each list has the contracts of one coin
# the preferred list first, with ccxt's name of the feature
LISTS = {"fetch_bids_asks": "fetchBidsAsks", "fetch_tickers": "fetchTickers"}
# A market's type, whether it is inverse, whether somebody else runs it at Hyperliquid, and its coin at Deribit: a list
# covers one of them.
Kind = tuple[str, bool, bool, str]
Told = tuple[Row, float]  # a ticker and its time of arrival


class PriceReader:
    """Reads prices. ``errors`` has the reason of the last failed request of each kind of market."""

    def __init__(self, account: str, client: Client, markets: Markets, reads: AccountReads, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._markets = markets
        self._reads = reads
        self._clock = clock
        self._again: dict[Kind, float] = {}
        self._refused: dict[str, float] = {}  # symbols without a price, and until when they are not requested
        self._touches: dict[str, Told] = {}  # the last ticker with a bid and an ask
        self.errors: dict[Kind, str] = {}

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return the prices that can be read. A missing price is left out and never an error."""
        await self._markets.load()
        asked: dict[Kind, list[str]] = {}
        for symbol in dict.fromkeys(listed_as(s) for s in symbols):
            market = self._markets.row(symbol)
            if market is not None:
                asked.setdefault(self._kind_of(market), []).append(symbol)
        answers = await asyncio.gather(*(self._of_kind(kind, some) for kind, some in asked.items()))
        told = {symbol: one for answer in answers for symbol, one in answer.items()}
        now = self._clock.monotonic()
        made = (self.quote(symbol, *told.get(listed_as(symbol), ({}, now))) for symbol in symbols)
        return [quote for quote in made if quote is not None]

    def _kind_of(self, market: Row) -> Kind:
        deployed = wire.inner(market, "info").get("hip3") is True
        coin = wire.text(market, "base") if self._client.settings.exchange in ONE_COIN else ""
        return wire.text(market, "type"), market.get("inverse") is True, deployed, coin

    def quote(self, symbol: str, row: Row, now: float) -> Quote | None:
        """Return a ticker as the quote of ``symbol``, with the position's own mark if that is as new.

        A ticker without bid and ask is combined with the last ones and is then as old as they are.
        """
        mark = self._reads.marks.get(symbol)
        fresh = mark.price if mark is not None and now - mark.at <= mark.lasts else None
        own = wire.positive(row.get("markPrice"))
        if not row:
            return Quote(self._account, symbol, mark.at, mark=mark.price) if mark is not None else None
        at = now
        if has_touch(row):
            self._touches[symbol] = row, now
        elif (known := self._touches.get(symbol)) is not None and now - known[1] <= FRESH:
            row, at = {**row, "bid": known[0]["bid"], "ask": known[0]["ask"]}, known[1]
        return wire.quote(self._account, {**row, "symbol": symbol}, at, own or fresh)

    async def _of_kind(self, kind: Kind, symbols: list[str]) -> dict[str, Told]:
        now = self._clock.monotonic()
        if now < self._again.get(kind, 0.0):
            return {}
        self._refused = {symbol: until for symbol, until in self._refused.items() if until > now}
        wanted = [symbol for symbol in symbols if symbol not in self._refused]
        try:
            found = await self._listed(kind, wanted) if wanted else {}
        except FlatdeckError as error:
            self.errors[kind] = str(error)
            if isinstance(error, Refused):  # a network failure may be repeated at once
                self._again[kind] = self._clock.monotonic() + min(error.retry_after or AGAIN, AGAIN)
            return {}
        self.errors.pop(kind, None)
        return found

    async def _listed(self, kind: Kind, symbols: list[str]) -> dict[str, Told]:
        """Read the list of bids and asks where the exchange has such a list, else tickers.

        Binance's futures tickers have no bid and ask.
        """
        method = next((m for m, has in LISTS.items() if self._client.has(has)), None)
        if method is None:
            return await self._one_by_one(symbols)
        whole = await self._whole(method, symbols)
        if whole is not None:
            return whole | await self._beside(symbols, whole)
        found = await self._parted(method, symbols)
        if len(symbols) > FEW and not self._refused.keys() & set(symbols):  # no single symbol causes the refusal
            self._again[kind] = self._clock.monotonic() + AGAIN
        return found

    async def _beside(self, symbols: list[str], whole: Mapping[str, Told]) -> dict[str, Told]:
        """Read the prices that the list lacks, where a list has one coin's contracts in that coin only (Deribit)."""
        left = [symbol for symbol in symbols if symbol not in whole]
        if not left or self._client.settings.exchange not in ONE_COIN:
            return {}
        try:
            return await self._one_by_one(left)
        except FlatdeckError:
            return {}

    async def _parted(self, method: str, symbols: list[str]) -> dict[str, Told]:
        """Split a refused list: one symbol may cause the refusal, for example a market that has just ended.

        Halves find it.
        """
        if len(symbols) <= FEW:
            return await self._one_by_one(symbols)
        middle = len(symbols) // 2
        halves = (self._half(method, symbols[:middle]), self._half(method, symbols[middle:]))
        first, second = await asyncio.gather(*halves, return_exceptions=True)
        if isinstance(first, BaseException) and isinstance(second, BaseException):
            raise first
        return {symbol: one for half in (first, second) if isinstance(half, dict) for symbol, one in half.items()}

    async def _half(self, method: str, symbols: list[str]) -> dict[str, Told]:
        whole = await self._whole(method, symbols)
        return whole if whole is not None else await self._parted(method, symbols)

    async def _whole(self, method: str, symbols: list[str]) -> dict[str, Told] | None:
        """Read a whole list; None if the exchange refuses the list for its contents."""
        try:
            return await self._told(symbols, method, symbols)
        except Refused as refused:
            if refused.refusal in OF_ALL:
                raise
        return None

    async def _one_by_one(self, symbols: list[str]) -> dict[str, Told]:
        """Read symbols one by one.

        A refused symbol is left out for a while, so that the others form a list again. Raises if all fail.
        """
        asked = (self._told(symbols, "fetch_ticker", symbol) for symbol in symbols)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        failed = {s: a for s, a in zip(symbols, answers, strict=True) if isinstance(a, BaseException)}
        until = self._clock.monotonic() + AGAIN
        self._refused |= {s: until for s, a in failed.items() if isinstance(a, Refused) and a.refusal not in OF_ALL}
        if failed and len(failed) == len(symbols):
            raise next(iter(failed.values()))
        return {symbol: one for a in answers if isinstance(a, dict) for symbol, one in a.items()}

    async def _told(self, wanted: list[str], method: str, asked: object) -> dict[str, Told]:
        """Read tickers. Each answer has its own time of arrival."""
        answer = await self._client.ask_exchange(method, asked)
        now = self._clock.monotonic()
        found = ((wire.text(row, "symbol"), row) for row in tickers(answer))
        return {symbol: (row, now) for symbol, row in found if symbol in wanted}

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        """Return USD per unit by the price of a sale; for ``1/BTC`` it is one over the price of a BTC."""
        await self._markets.load()
        chosen = {c: way for c in currencies if (way := self._way(c.removeprefix("1/"))) is not None}
        found = {q.symbol: q for q in await self.quotes(sorted({symbol for symbol, _ in chosen.values()}))}
        rates: dict[str, str] = {}
        for currency, (symbol, turned) in chosen.items():
            price = _price(found.get(symbol))
            if price is not None:
                rates[currency] = plain(ONE / price if turned != currency.startswith("1/") else price)
        return rates

    def _way(self, code: str) -> tuple[str, bool] | None:
        """Return the symbol with a currency's price in dollars, and whether the price must be inverted."""
        for dollar in DOLLARS:
            straight = (f"{code}/{dollar}", f"{code}/{dollar}:{dollar}", f"{code}/{dollar}:{code}")
            for symbol, turned in (*((s, False) for s in straight), (f"{dollar}/{code}", True)):
                market = self._markets.row(symbol)
                if market is not None and market.get("active") is not False:
                    return symbol, turned
        return None


def has_touch(row: Row) -> bool:
    """Return whether a ticker has both bid and ask."""
    return wire.positive(row.get("bid")) is not None and wire.positive(row.get("ask")) is not None


def _price(quote: Quote | None) -> Decimal | None:
    if quote is None or quote.flaw() is not None:
        return None
    return quote.bid or quote.reference


def tickers(told: Any) -> list[Row]:
    """Return the tickers of an answer: one ticker, a list, or an object by symbol."""
    if isinstance(told, Mapping):
        rows: list[Any] = [told] if isinstance(told.get("symbol"), str) else list(told.values())
    else:
        rows = told if isinstance(told, list) else []
    return [row for row in rows if isinstance(row, Mapping)]

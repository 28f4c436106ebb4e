"""Convert an account's dust where the exchange has a call for it: Binance spot, Bybit spot, OKX spot.

An exchange's list of small balances also has assets that could be sold. We offer only assets that the exchange's own
rules keep from being sold: no market, or a quantity below the market's minimum at a known price.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec.structs import replace

from brokers.ccxt import wire_conversion
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.read_table import known_calls
from brokers.ccxt.markets import Markets
from brokers.ccxt.prices import PriceReader
from brokers.ccxt.wire import text
from brokers.ccxt.wire_balances import CoinBalance, holdings, is_money, position
from core.model import Quote
from core.plans.cleanup import unsellable
from core.plans.conversion import Conversion, Converted
from core.portfolio.holding import Holding
from core.units import ZERO

ACCOUNT = "eb_convert_uta"  # Bybit's name of the unified wallet, the only wallet that converts
EARLIER = timedelta(seconds=10)  # the clocks differ by at most this after correction
DAYS = timedelta(days=90)  # the longest span of one question to Binance's dust log
CONTRACTS = "it holds contracts, and a rest of them is closed reduce-only"


class ConversionMethod(Protocol):
    """One exchange's calls for converting. Only ``send`` changes anything."""

    most: int

    async def listed(self, client: Client) -> wire_conversion.ConvertibleAssets: ...

    async def offered(self, client: Client, some: list[Conversion]) -> list[Conversion]: ...

    async def send(self, client: Client, asked: Sequence[Conversion]) -> list[Converted]: ...

    async def records(self, client: Client, asked: Sequence[Conversion], since: datetime) -> list[Converted]: ...


class BinanceConversion:
    """Converts into BNB, all assets at once: Binance accepts such a request only now and then."""

    most = 1000

    async def listed(self, client: Client) -> wire_conversion.ConvertibleAssets:
        return wire_conversion.binance_listed(
            await client.ask_exchange("sapiPostAssetDustBtc", {})
        )  # a POST, which changes nothing

    async def offered(self, _client: Client, some: list[Conversion]) -> list[Conversion]:
        return some

    async def send(self, client: Client, asked: Sequence[Conversion]) -> list[Converted]:
        return wire_conversion.binance_converted(
            await client.send_action("sapiPostAssetDust", {"asset": [c.asset for c in asked]})
        )

    async def records(self, client: Client, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        span = {"startTime": _milliseconds(since), "endTime": _milliseconds(since + DAYS)}
        return wire_conversion.binance_logged(await client.ask_urgently("sapiGetAssetDribblet", span), asked, since)


class OkxConversion:
    """Converts into one of the currencies that OKX names, five assets at a time.

    OKX tells the proceeds only afterwards.
    """

    most = 5

    async def listed(self, client: Client) -> wire_conversion.ConvertibleAssets:
        return wire_conversion.okx_listed(await client.ask_exchange("privateGetTradeEasyConvertCurrencyList", {}))

    async def offered(self, _client: Client, some: list[Conversion]) -> list[Conversion]:
        return some

    async def send(self, client: Client, asked: Sequence[Conversion]) -> list[Converted]:
        body = {"fromCcy": [c.asset for c in asked], "toCcy": asked[0].into}
        return wire_conversion.okx_converted(await client.send_action("privatePostTradeEasyConvert", body))

    async def records(self, client: Client, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        return wire_conversion.okx_logged(
            await client.ask_urgently("privateGetTradeEasyConvertHistory", {}), asked, since
        )


class BybitConversion:
    """Converts into one of three currencies by a quote of at most twenty coins.

    The quote's id is sent and looked up.
    """

    most = 20

    async def listed(self, client: Client) -> wire_conversion.ConvertibleAssets:
        return wire_conversion.bybit_listed(
            await client.ask_exchange("privateGetV5AssetCovertSmallBalanceList", {"accountType": ACCOUNT})
        )

    async def offered(self, client: Client, some: list[Conversion]) -> list[Conversion]:
        found: list[Conversion] = []
        for n in range(0, len(some), self.most):
            part = some[n : n + self.most]
            into = part[0].into
            body = {"accountType": ACCOUNT, "fromCoinList": [c.asset for c in part], "toCoin": into}
            found += wire_conversion.bybit_quoted(
                await client.ask_exchange("privatePostV5AssetCovertGetQuote", body), into
            )
        return found

    async def send(self, client: Client, asked: Sequence[Conversion]) -> list[Converted]:
        body = {"quoteId": asked[0].reference}
        return wire_conversion.bybit_converted(
            await client.send_action("privatePostV5AssetCovertSmallBalanceExecute", body), asked
        )

    async def records(self, client: Client, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        found: list[Converted] = []
        for reference in dict.fromkeys(c.reference for c in asked):
            span = {"quoteId": reference, "accountType": ACCOUNT}
            body = await client.ask_urgently("privateGetV5AssetCovertSmallBalanceHistory", span)
            found += wire_conversion.bybit_logged(body, reference)
        return found


METHODS: dict[str, ConversionMethod] = {
    "binance": BinanceConversion(),
    "okx": OkxConversion(),
    "bybit": BybitConversion(),
}


class CcxtConverter:
    """Converts the dust of one account."""

    def __init__(
        self, account: str, method: ConversionMethod, client: Client, markets: Markets, prices: PriceReader
    ) -> None:
        self._account = account
        self._method = method
        self._client = client
        self._markets = markets
        self._prices = prices

    @property
    def most(self) -> int:
        return self._method.most

    async def conversions(self, into: str | None, only: Collection[str] | None = None) -> list[Conversion]:
        await self._markets.load()
        listed = await self._method.listed(self._client)
        chosen = wire_conversion.target(listed, into, self._client.settings.exchange)
        some = [replace(c, into=chosen) for c in wire_conversion.chosen(listed.conversions, only)]
        left = await self._unsellable([c for c in some if c.quantity > 0 and c.asset != chosen])
        return wire_conversion.chosen(await self._method.offered(self._client, left), only) if left else []

    async def convert(self, asked: Sequence[Conversion]) -> list[Converted]:
        return await self._method.send(self._client, asked)

    async def look_up(self, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
        if not asked:
            return []
        there = self._client.to_venue_time(since) - EARLIER
        return await self._method.records(self._client, asked, there)

    async def _unsellable(self, some: list[Conversion]) -> list[Conversion]:
        """Keep the assets that cannot be sold, and no money. The total includes what open orders hold."""
        if not some:
            return []
        known = known_calls(self._client.settings.exchange)
        balance = await self._client.ask_exchange("fetch_balance", known.balance or {})
        totals = {h.code: h.total for h in holdings(balance, self._client.settings.exchange)}
        prefer = known.prefer
        markets = {c.asset: self._markets.of_code(c.asset, prefer) for c in some if not is_money(c.asset)}
        quotes = await self._prices.quotes([text(m, "symbol") for m in markets.values() if m is not None])
        prices = {quote.symbol: _highest(quote) for quote in quotes}

        def stuck(conversion: Conversion) -> bool:
            market = markets[conversion.asset]
            if market is None:
                return True
            total = max(conversion.quantity, totals.get(conversion.asset, ZERO))
            held = CoinBalance(conversion.asset, total, conversion.quantity)
            made = position(self._account, held, market, (), None)
            instrument = self._markets.instrument(made.symbol)
            return unsellable(Holding("", made, instrument, price=prices.get(made.symbol))) is not None

        return [c for c in some if c.asset in markets and stuck(c)]


def converter_of(account: str, client: Client, markets: Markets, prices: PriceReader) -> CcxtConverter | None:
    """Return the account's converter; None where the exchange has no conversion for programs."""
    method = METHODS.get(client.settings.exchange)
    return CcxtConverter(account, method, client, markets, prices) if method is not None else None


def way_out_of(exchange: str) -> str:
    """Return what the exchange offers for amounts too small to sell; "" where nothing is known."""
    known = known_calls(exchange)
    return known.way_out or (CONTRACTS if known.positions and known.balance is None else "")


def _highest(quote: Quote) -> Any:
    """Return the highest known price: an asset that might be sellable at any of them is not converted."""
    if quote.flaw() is not None:
        return None
    return max(p for p in (quote.bid, quote.ask, quote.last, quote.mark) if p is not None)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)

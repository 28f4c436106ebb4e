"""One account at any exchange that ccxt knows, behind the Broker port.

Each account has its own ccxt exchange, because its key signs the requests. Accounts at one exchange share the markets
and the limits that the venue counts by address. Nothing of ccxt is imported before ``connect``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from brokers.ccxt import checks, lazy_import, wire, wire_lists
from brokers.ccxt.client import Client
from brokers.ccxt.conversion import CcxtConverter, converter_of, way_out_of
from brokers.ccxt.exchanges import krakenfutures_wire
from brokers.ccxt.exchanges.order_table import order_fields_of
from brokers.ccxt.exchanges.read_table import known_calls
from brokers.ccxt.fills import FillReader
from brokers.ccxt.history import BarReader
from brokers.ccxt.lookups import OrderLookups
from brokers.ccxt.markets import Markets
from brokers.ccxt.order_calls import OrderCalls
from brokers.ccxt.prices import PriceReader
from brokers.ccxt.reads import AccountReads
from brokers.ccxt.settings import CREDENTIALS, IDENTIFIERS, ExchangeSettings
from brokers.ccxt.stream import AccountStream
from core.config.secrets import Secret, resolve, unreadable
from core.errors import ConfigError, Refusal, Refused, Unreachable
from core.events import BrokerEvent
from core.model import Account, Bar, Fill, Holdings, Order, OrderRequest, Position, Quote
from core.ports import Capabilities, Check, Clock
from core.settings import AccountSettings

# The configuration's name of a credential → ccxt's name.
NUMBERED = frozenset({"kraken", "bitfinex", "gemini", "poloniex", "cex", "bitso"})
# Kraken's counter goes up to 15. A call that counts 1 at Kraken costs 3 here. Binance's derivatives allow 2400 a
# minute, twice the rate that ccxt takes from Binance's spot. Together with the burst no minute exceeds the limit.
# KuCoin allows 2000 per half minute for either kind of call; ccxt counts each call double. Kraken Futures allows 500
# per ten seconds; reads take at most 480. The costs are from its documentation. Its account history has a pool of its
# own, 100 per ten minutes. We ask it only where no other call answers.
BURSTS = {"kraken": 45.0, "binanceusdm": 20.0, "binancecoinm": 20.0, "kucoinfutures": 10.0, "krakenfutures": 6.0}
RATES = {"binanceusdm": 30.0, "binancecoinm": 30.0, "kucoinfutures": 100.0, "krakenfutures": 30.0}
COSTS: dict[str, dict[str, float]] = {
    "krakenfutures": {
        **dict.fromkeys(("sendorder", "editorder", "cancelorder"), 10.0),
        **dict.fromkeys(("accounts", "openpositions", "openorders", "fills"), 2.0),
        **dict.fromkeys(("fills lastFillTime", "orders", "triggers"), 25.0),
    }
}
CHECKS = {**wire_lists.CHECKS, "krakenfutures": krakenfutures_wire.check}
BY_ADDRESS = frozenset({"binance", "binanceusdm", "binancecoinm", "binanceus", "mexc"})
# KuCoin's documentation of request rate limits: "The limit strategy of private endpoints will restrict account by
# userid". It limits public endpoints by address.
OPEN_BY_ADDRESS = frozenset({"kucoin", "kucoinfutures"})


class Options(Struct, frozen=True):
    """One account's configuration. ``login`` maps ccxt's names of the credentials to references of secrets."""

    settings: ExchangeSettings
    login: dict[str, str] = {}
    identifiers: dict[str, str] = {}
    streams: bool = True


class CcxtBroker:
    """One account. ``connect`` resolves the credentials; before it nothing is requested."""

    def __init__(self, account: Account, options: Options, clock: Clock, env: Mapping[str, str]) -> None:
        self._account = account
        self._options = options
        self._clock = clock
        self._env = env
        self._login: dict[str, Secret] | None = None
        self.client = Client(options.settings, clock)
        self.markets = Markets(self.client, clock)
        self.reads = AccountReads(account.id, self.client, self.markets, clock)
        self.history = BarReader(self.client, self.markets, clock)
        self.prices = PriceReader(account.id, self.client, self.markets, self.reads, clock)
        self._fields = order_fields_of(options.settings.exchange)
        self._lookups = OrderLookups(account.id, self.client, self.markets, self._fields, clock)
        self._fills = FillReader(account.id, self.client, self._fields, clock, self._lookups.asked)
        self._order_calls = OrderCalls(
            account.id, self.client, self.markets, self.reads, self._lookups, self._fields, clock
        )

    @property
    def account(self) -> Account:
        return self._account

    @property
    def options(self) -> Options:
        return self._options

    @property
    def capabilities(self) -> Capabilities:
        streams = self._options.streams and lazy_import.streamed(self._options.settings.exchange)
        return Capabilities(
            self._fields.tiers,
            self._expiry,
            self._fields.lag,
            streams=streams,
            protective_stops=bool(self._fields.stop),
            names_orders=bool(self._fields.names.word) and self._lookups.named,
            client_id_length=self._fields.names.length,
        )

    @property
    def _expiry(self) -> float | None:
        """Seconds after which an unanswered order is dead, never less than the configured ``recvWindow``.

        Until the credentials are known, the longer of the venue's two expiries.
        """
        secret = (self._login or {}).get("secret")
        shared = secret is not None and "PRIVATE KEY" not in secret.reveal()
        expiry = self._fields.hmac_expiry if shared and self._fields.hmac_expiry is not None else self._fields.expiry
        window = wire.number(self._options.settings.options.get("recvWindow"))
        return expiry if expiry is None or window is None else max(expiry, int(window) / 1000)

    @property
    def converter(self) -> CcxtConverter | None:
        return converter_of(self._account.id, self.client, self.markets, self.prices)

    @property
    def way_out(self) -> str:
        return way_out_of(self._options.settings.exchange)

    async def connect(self) -> None:
        """Resolve the credentials, import ccxt and load the markets.

        Raises Refused for an exchange that ccxt does not have.
        """
        if self._login is None:
            login = self._options.login
            if missing := unreadable(login.values(), self._env):
                needed = await lazy_import.required_credentials(self._options.settings.exchange)
                lacking = [name for name in needed if name not in {**login, **self._options.identifiers}]
                raise Refused(Refusal.AUTH, "; ".join([*missing, *checks.needs(self._options.settings, lacking)]))
            found = {name: resolve(reference, self._env) for name, reference in login.items()}
            self._login = found | {name: Secret(value) for name, value in self._options.identifiers.items()}
        try:
            await self.client.open(self._login)
        except ConfigError as error:
            raise Refused(Refusal.OTHER, str(error)) from None
        if lacking := checks.missing(self.client.exchange):
            raise Refused(Refusal.AUTH, "; ".join(checks.needs(self._options.settings, lacking)))
        await self.markets.load()

    async def aclose(self) -> None:
        await self.reads.aclose()
        await self.client.aclose()

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        return await self.reads.holdings(urgent=urgent)

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        return await self.prices.quotes(symbols)

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        return await self.history.read_bars(symbol, count)

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        return await self.prices.rates(currencies)

    async def stream(self) -> AsyncGenerator[BrokerEvent, None]:
        if self._login is None:
            raise Unreachable(f"not connected to {self._options.settings.exchange}")
        run = AccountStream(self._account.id, self.client, self.markets, self.reads, self.prices, self._clock)
        async with aclosing(run.events()) as events:
            async for event in events:
                yield event

    async def submit(self, request: OrderRequest) -> Order:
        return await self._order_calls.submit(request)

    async def submit_direct(self, request: OrderRequest) -> Order:
        return await self._order_calls.submit_direct(request)

    async def close_position(self, position: Position, client_id: str) -> Order:
        return await self._order_calls.close_position(position, client_id)

    async def cancel(self, order: Order) -> None:
        await self._order_calls.cancel(order)

    async def find_order(
        self, symbol: str, *, client_id: str | None = None, order_id: str | None = None
    ) -> Order | None:
        if order_id:
            return await self._lookups.find_by_id(symbol, order_id)
        return await self._lookups.find_by_client_id(symbol, client_id) if client_id else None

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        return await self._fills.read_fills(symbol, since)

    async def check(self) -> list[Check]:
        return await checks.run_checks(self.client, self.reads, self.capabilities, self.stream)


def open_account(settings: AccountSettings, data_dir: Path | None, clock: Clock, *, speed: float = 1.0) -> CcxtBroker:
    """Return the account that ``settings`` describe.

    The other arguments are for embedded venues. Raises ConfigError.
    """
    account = Account(settings.id, settings.owner, settings.name, settings.venue)
    return CcxtBroker(account, read_options(settings), clock, os.environ)


def read_options(settings: AccountSettings) -> Options:
    """Read an account's options.

    Raises ConfigError if ``exchange`` cannot be an id. Whether ccxt has the exchange shows when it is imported.
    """
    given = settings.options
    exchange = str(given.get("exchange") or "")
    if not exchange:
        raise ConfigError(f'account {settings.id}: exchange is missing; write exchange = "kraken" with ccxt\'s id')
    if not exchange.isidentifier():
        raise ConfigError(f'account {settings.id}: "{exchange}" is no id of ccxt; {lazy_import.nearest(exchange)}')
    endpoint = str(given.get("endpoint") or "")
    stream = given.get("stream_endpoint")
    extra = given.get("options")
    own = dict(extra) if isinstance(extra, dict) else {}
    exchange_settings = ExchangeSettings(
        exchange=exchange,
        endpoint=endpoint,
        stream=str(stream or ""),
        sandbox=bool(given.get("sandbox")),
        defaults=known_calls(exchange).options,
        options=own,
        allow_withdraw=own.pop("allow_withdraw", False) is True,
        numbered=exchange in NUMBERED,
        per_second=RATES.get(exchange),
        burst=BURSTS.get(exchange),
        costs=COSTS.get(exchange, {}),
        check=CHECKS.get(exchange),
        by_address=exchange in BY_ADDRESS,
        open_by_address=exchange in OPEN_BY_ADDRESS,
    )
    return Options(
        settings=exchange_settings,
        login={name: str(given[key]) for key, name in CREDENTIALS.items() if given.get(key)},
        identifiers={name: str(given[key]) for key, name in IDENTIFIERS.items() if given.get(key)},
        # ``endpoint`` without ``stream_endpoint`` turns streams off, so that no other host is called.
        streams=stream != "" if stream is not None else not endpoint,
    )

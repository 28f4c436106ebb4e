"""An Alpaca account as a Broker.

Alpaca's own close call is the first way to close a position. An option has no other way: Alpaca takes a plain sell of
an option as opening a short ("insufficient options buying power for cash-secured put"). Two places enforce this rule:
the instrument's tiers and ``submit`` itself.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from brokers.alpaca import checks, wire
from brokers.alpaca.client import Client, Hosts
from brokers.alpaca.history import History
from brokers.alpaca.lookups import Lookups
from brokers.alpaca.market_hours import MarketHours
from brokers.alpaca.prices import FEEDS, Prices
from brokers.alpaca.reads import Reads
from brokers.alpaca.stream import Stream
from brokers.alpaca.wire_errors import Call
from brokers.alpaca.wire_orders import payload
from core.config.secrets import Secret, resolve, unreadable
from core.errors import ConfigError, MissingCredentials, OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import BrokerEvent
from core.model import Account, Bar, Fill, Holdings, Order, OrderRequest, OrderType, Position, Quote, Tier
from core.ports import Capabilities, Check, Clock
from core.settings import AccountSettings
from core.units import plain

# Every order already goes through the raw endpoint, so a DIRECT_API tier would send the same call again.
TIERS = frozenset(Tier) - {Tier.DIRECT_API}
# Alpaca's own close call comes first: Alpaca can take a plain sell as the opening of a short.
DEFAULT_TIERS = (Tier.VENUE_CLOSE, Tier.MARKET_IOC, Tier.MARKET_GTC)
# Alpaca promises no time after which an unanswered request is dead. Alpaca's own close call cannot open a position, and
# a lookup by client id finds a plain order. So a request counts as dead half a minute after the lists' lag.
EXPIRY = 30.0
LAG = 10.0  # seconds; by reports, orders and positions disagree for up to ten seconds


class Options(Struct, frozen=True):
    """The account's options in the configuration. ``api_key`` and ``secret`` are references to the credentials."""

    api_key: str
    secret: str
    hosts: Hosts
    feed: str = "iex"
    extended_hours: bool = False
    paper: bool = False


class AlpacaBroker:
    """One account. No request leaves before ``connect``, which also resolves the credentials."""

    def __init__(self, account: Account, options: Options, clock: Clock, env: Mapping[str, str]) -> None:
        self._account = account
        self._options = options
        self._clock = clock
        self._env = env
        self._login: tuple[Secret, Secret] | None = None
        self.client = Client(options.hosts, clock)
        self.reads = Reads(account.id, self.client, clock)
        self.market = MarketHours(self.client, clock, extended_hours=options.extended_hours)
        self.prices = Prices(account.id, self.client, self.reads, clock, options.feed)
        self.history = History(self.client, self.reads, clock, options.feed)
        self._lookups = Lookups(account.id, self.client, self.reads, clock)

    @property
    def account(self) -> Account:
        return self._account

    @property
    def options(self) -> Options:
        return self._options

    @property
    def capabilities(self) -> Capabilities:
        streams = bool(self._options.hosts.stream)
        return Capabilities(
            *(TIERS, EXPIRY, LAG),
            streams=streams,
            protective_stops=True,
            refuses_opposite=True,
            default_tiers=DEFAULT_TIERS,
        )

    async def connect(self) -> None:
        if self._login is None:
            keys = self._options.api_key, self._options.secret
            if missing := unreadable(keys, self._env):
                raise Refused(Refusal.AUTH, "; ".join(missing))
            self._login = resolve(keys[0], self._env), resolve(keys[1], self._env)
        self.client.open(*self._login)

    async def aclose(self) -> None:
        await self.market.aclose()
        await self.reads.aclose()
        await self.client.aclose()

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        self.market.warm()
        return await self.reads.holdings(urgent=urgent)

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        return await self.prices.quotes(symbols)

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        return await self.history.bars(symbol, count)

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        """Return the US dollar rate of each currency: the bid of the currency's own pair in US dollars."""
        pairs = {f"{currency}/USD": currency for currency in currencies}
        found = await self.prices.quotes(list(pairs))
        return {pairs[q.symbol]: plain(q.bid) for q in found if q.bid is not None}

    async def stream(self) -> AsyncGenerator[BrokerEvent, None]:
        if self._login is None:
            raise Unreachable("not connected to Alpaca")
        feeds = self._options.feed, FEEDS[self._options.feed]
        run = Stream(self._account.id, self.client, self.reads, self.prices, self._clock, self._login, feeds)
        async with aclosing(run.events()) as events:
            async for event in events:
                yield event

    async def submit(self, request: OrderRequest) -> Order:
        """Send a plain order. Raises Refused for an option, and where Alpaca would queue the order for the open."""
        kind = self.reads.kind(request.symbol)
        payload(request, kind, extended=False)  # refuse an impossible order before asking for the market hours
        extended = await self.market.admit(kind, request.type)
        body = payload(request, kind, extended=extended)
        return self._ours(await self.client.send_action(Call.ORDER, "POST", "/v2/orders", {}, body), request.symbol)

    async def submit_direct(self, request: OrderRequest) -> Order:
        return await self.submit(request)

    async def close_position(self, position: Position, client_id: str) -> Order:
        """Close a position with Alpaca's own close call, which takes no client id.

        The quantity is the free quantity, or the whole quantity when nothing is free.
        """
        known = self.reads.instruments.get(position.symbol)
        kind = self.reads.kind(position.symbol)
        await self.market.admit(kind, OrderType.MARKET)
        native = (known.native_symbol if known else position.symbol).replace("/", "")
        quantity = min(position.quantity, position.free) if position.free > 0 else position.quantity
        path, query = f"/v2/positions/{native}", {"qty": plain(quantity)}
        self._lookups.nameless.add(client_id)
        return self._ours(await self.client.send_action(Call.CLOSE, "DELETE", path, query), position.symbol)

    def _ours(self, row: object, symbol: str) -> Order:
        order = wire.order(self._account.id, row, self.reads.pairs).order
        if order.symbol != symbol:
            raise OutcomeUnknown(f"Alpaca answered with an order of {order.symbol}, asked was for {symbol}")
        return order

    async def cancel(self, order: Order) -> None:
        await self.client.send_action(Call.CANCEL, "DELETE", f"/v2/orders/{order.id}", {})

    async def find_order(
        self, symbol: str, *, client_id: str | None = None, order_id: str | None = None
    ) -> Order | None:
        if order_id:
            return await self._lookups.by_id(order_id)
        return await self._lookups.by_client_id(client_id) if client_id else None

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        return await self._lookups.fills(symbol, since)

    async def check(self) -> list[Check]:
        return await checks.run(self.client, self.prices, self.market, self.stream, self._options.paper)


def open_account(settings: AccountSettings, data_dir: Path | None, clock: Clock, *, speed: float = 1.0) -> AlpacaBroker:
    """Return the account that ``settings`` describe. Only embedded venues use ``data_dir`` and ``speed``.

    Raises ConfigError for options that are missing or wrong.
    """
    account = Account(settings.id, settings.owner, settings.name, settings.venue)
    return AlpacaBroker(account, read_options(settings), clock, os.environ)


def read_options(settings: AccountSettings) -> Options:
    """Read the options. Raises ConfigError for a missing credential and for an unknown feed."""
    given = settings.options
    if lacking := [key for key in ("api_key", "secret") if not given.get(key)]:
        are = "is" if len(lacking) == 1 else "are"
        how = f'{" and ".join(lacking)} {are} missing; write {lacking[0]} = "env:NAME" with where it is'
        raise MissingCredentials(f"account {settings.id}: {how}")
    feed = given.get("feed") or "iex"
    if feed not in FEEDS:
        raise ConfigError(f'account {settings.id}: feed must be {" or ".join(FEEDS)}, not "{feed}"')
    return Options(
        api_key=given["api_key"],
        secret=given["secret"],
        hosts=_hosts(given),
        feed=feed,
        extended_hours=bool(given.get("extended_hours")),
        paper=bool(given.get("paper")),
    )


def _hosts(given: Mapping[str, object]) -> Hosts:
    """Return Alpaca's own hosts, or the given hosts.

    With ``endpoint`` alone there is no stream, because no other host may be called.
    """
    endpoint = str(given.get("endpoint") or "").rstrip("/")
    stream = given.get("stream_endpoint")
    if endpoint and stream is not None:
        base = str(stream).rstrip("/")
        return Hosts(endpoint, endpoint, base, base)
    if endpoint:
        return Hosts(endpoint, endpoint)
    from alpaca.common.enums import BaseURL  # noqa: PLC0415  # takes 0.1 s; the package's other modules import pandas

    paper = bool(given.get("paper"))
    trading = (BaseURL.TRADING_PAPER if paper else BaseURL.TRADING_LIVE).value
    account = (BaseURL.TRADING_STREAM_PAPER if paper else BaseURL.TRADING_STREAM_LIVE).value.removesuffix("/stream")
    prices = BaseURL.MARKET_DATA_STREAM.value
    if stream is not None:
        account = prices = str(stream).rstrip("/")
    return Hosts(trading, BaseURL.DATA.value, account, prices)

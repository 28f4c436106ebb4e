"""An exchange's markets, loaded once for all accounts there: each load has megabytes and costs a part of the limit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from brokers.ccxt import wire_markets
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.read_table import UNBOUND, known_calls
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_balances import markets_of, spot_markets
from core.errors import Refused
from core.model import Instrument
from core.ports import Clock

SHARED = (
    *("id", "markets", "markets_by_id", "symbols", "ids", "currencies", "currencies_by_id"),
    *("baseCurrencies", "quoteCurrencies", "codes", "options"),
)
AGAIN = 3600.0  # seconds until a reload: listings, limits and activity change
_loads: WeakKeyDictionary[Clock, dict[str, tuple[float, asyncio.Task[SimpleNamespace]]]] = WeakKeyDictionary()


class Markets:
    """The markets of one account's exchange. Call ``load`` before looking up a market."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known = known_calls(client.settings.exchange)
        self._renewing: asyncio.Task[SimpleNamespace] | None = None
        self._by_base: tuple[object, dict[str, list[Row]]] | None = None  # ccxt's markets, by the currency they sell

    async def load(self) -> None:
        """Load the markets. Accounts of one exchange share them.

        Old markets serve while new ones load, so no read waits for a reload.
        """
        loads = _loads.setdefault(self._clock, {})
        settings = self._client.settings
        key = f"{settings.exchange} {settings.endpoint} {settings.sandbox} {settings.options}"
        now = self._clock.monotonic()
        known = loads.get(key)
        if known is None or _failed(known[1]):
            known = loads[key] = now, asyncio.create_task(self._load())
            known[1].add_done_callback(_failed)
        elif now - known[0] > AGAIN:
            loads[key] = now, known[1]  # so that the next caller does not start a reload as well
            self._renewing = asyncio.create_task(self._load())
            self._renewing.add_done_callback(lambda done: loads.update({key: (now, done)}) if _has_any(done) else None)
        self._take(await asyncio.shield(known[1]))

    def _take(self, found: SimpleNamespace) -> None:
        exchange = self._client.exchange
        if exchange.markets is not found.markets:
            exchange.set_markets_from_exchange(found)
            exchange.markets_loading = None

    async def _load(self) -> SimpleNamespace:
        exchange = self._client.exchange
        if self._known.currencies:
            with suppress(Refused):  # without them a market is named after its usual money
                await self._client.ask_exchange("fetch_currencies")
        exchange.has["fetchCurrencies"] = False  # some exchanges need a key for it
        await self._client.ask_whole("load_markets", True, self._known.markets)
        return SimpleNamespace(**{name: getattr(exchange, name) for name in SHARED})

    def __contains__(self, symbol: str) -> bool:
        return symbol in self.rows

    @property
    def rows(self) -> dict[str, Row]:
        """Return ccxt's markets by unified symbol; empty before ``load``."""
        return self._client.exchange.markets or {}

    def row(self, symbol: str) -> Row | None:
        return self.rows.get(symbol)

    def instrument(self, symbol: str, native: str = "") -> Instrument:
        """Return the exchange's rules for a symbol. An unknown market is not tradable."""
        market = self.rows.get(symbol)
        if market is None:
            return wire_markets.unknown_instrument(symbol, native)
        mode = int(self._client.exchange.precisionMode)
        exchange, known = self._client.settings.exchange, self._known
        made = wire_markets.instrument(market, mode, exempt=known.exempt, way_out=known.way_out, exchange=exchange)
        return replace(made, reduce_only=made.reduce_only and exchange not in UNBOUND)

    def of_code(self, code: str, prefer: Sequence[str]) -> Row | None:
        """Return the preferred active spot market that sells a currency; None if there is none."""
        return next(iter(self.all_of_code(code, prefer)), None)

    def all_of_code(self, code: str, prefer: Sequence[str]) -> list[Row]:
        """Return all active spot markets that sell a currency, preferred first."""
        return markets_of(self._selling(code), prefer)

    def halted_of_code(self, code: str, prefer: Sequence[str]) -> list[Row]:
        """Return the spot markets of a currency that do not trade now, preferred first."""
        return markets_of(self._selling(code), prefer, active=False)

    def _selling(self, code: str) -> list[Row]:
        rows = self.rows
        if self._by_base is None or self._by_base[0] is not rows:
            self._by_base = rows, spot_markets(rows)
        return self._by_base[1].get(code, [])


def _failed(task: asyncio.Task[Any]) -> bool:
    """Return whether the load failed. Reading the exception also tells asyncio that the failure was seen."""
    return task.done() and (task.cancelled() or task.exception() is not None)


def _has_any(task: asyncio.Task[SimpleNamespace]) -> bool:
    """Return whether the load has any market. An empty answer does not replace known markets."""
    return not _failed(task) and bool(task.result().markets)

"""Complete reads of an account: positions and every page of open orders.

Without its positions a read fails. Without its open orders it says so: positions are watched and closed all the same.
The equity and the rules of instruments are asked for beside the reads: a read is complete without them. Callers share
the reads, so that 59 closes at once do not read 59 times. Alpaca's orders and positions can disagree for up to ten
seconds; the core waits for that time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from brokers.alpaca import wire
from brokers.alpaca.client import Client
from brokers.sharing import KeptAnswer, SharedReads, Tolerated
from core.errors import OutcomeUnknown
from core.model import Holdings, Instrument, Kind
from core.ports import Clock

PAGE = 500  # Alpaca returns 50 orders unless asked for more, and at most this many
MOST_PAGES = 40
ACCOUNT_EVERY, ACCOUNT_AGAIN = 60.0, 15.0  # seconds to the next question for the equity, also after a failure
ACCOUNT_TIME = 3.0  # seconds that the first read waits for the equity
FEW_ASSETS = 10  # up to this many assets are asked for one by one
ASSET_AGAIN = 60.0
ASSETS_TIME = 5.0
Ask = Callable[[str, dict[str, str]], Awaitable[Any]]


class Reads:
    """One account's reads. ``holdings`` reads, and keeps symbols and prices for the adapter's other modules."""

    def __init__(self, account: str, client: Client, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._clock = clock
        self._shared = SharedReads(self._read)
        self._orders = Tolerated(clock)
        self._equity = KeptAnswer(self._read_equity, clock, keep=ACCOUNT_EVERY, again=ACCOUNT_AGAIN)
        self._assets: dict[str, wire.Asset] = {}
        self._listed: set[str] = set()  # native names of crypto in the venue's list of assets
        self._learning: asyncio.Future[None] | None = None
        self._tried: dict[str, float] = {}  # symbol or class of assets → time from which it may be asked for again
        self.pairs: dict[str, str] = {}  # BTCUSD → BTC/USD
        self.instruments: dict[str, Instrument] = {}
        self.held: frozenset[str] = frozenset()  # symbols of positions
        self.marks: dict[str, tuple[Decimal, float]] = {}  # the venue's own price of a position; when it was read

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        """Return a read that began after this call. Urgent reads serve callers that act and go first."""
        return await self._shared.holdings(urgent=urgent)

    async def _read(self, urgent: bool) -> Holdings:
        ask = self._client.ask_urgently if urgent else self._client.get
        asked = self._clock.monotonic()
        self._equity.refresh()
        positions, (orders, orders_flaw) = await asyncio.gather(
            ask("/v2/positions", {}), self._orders.read("orders", self._open_orders(ask), [])
        )
        received = self._clock.monotonic()
        equity = await self._equity.get(ACCOUNT_TIME)
        await self._learn(wire.listed(positions, "positions"))
        held = wire.positions(self._account, positions, self.pairs, self._assets)
        crypto = [h.instrument for h in held if h.instrument.kind is Kind.SPOT]
        self.pairs |= {i.native_symbol.replace("/", ""): i.symbol for i in crypto}
        listed, unreadable = wire.readable_orders(self._account, orders, self.pairs)
        resting = [r for r in listed if not r.order.status.terminal]
        orders_flaw = orders_flaw or unreadable
        instruments = {r.order.symbol: self.instruments.get(r.order.symbol, r.instrument) for r in resting}
        instruments |= {h.instrument.symbol: h.instrument for h in held}
        self.instruments |= instruments
        self.held = frozenset(h.position.symbol for h in held)
        self.marks = {h.position.symbol: (h.mark, received) for h in held if h.mark is not None}
        return Holdings(
            account=self._account,
            asked=asked,
            received=received,
            positions=tuple(h.position for h in held),
            orders=tuple(r.order for r in resting),
            instruments=tuple(instruments.values()),
            equity=None if self._equity.flaw else equity,
            orders_flaw=orders_flaw,
            unlisted=(f"open orders: {orders_flaw}",) if orders_flaw else (),
            equity_flaw=self._equity.flaw or ("" if equity is not None else "no answer yet (GET /v2/account)"),
        )

    async def _open_orders(self, ask: Ask) -> list[Any]:
        """Return every open order.

        The next page begins a millisecond before the time of the last order. Ids tell repeated orders apart.
        """
        found: dict[str, Any] = {}
        params = {"status": "open", "limit": str(PAGE), "nested": "true", "direction": "asc"}
        for _ in range(MOST_PAGES):
            page = wire.listed(await ask("/v2/orders", params), "orders")
            fresh = {wire.text(row, "id"): row for row in page if wire.text(row, "id") not in found}
            found |= fresh
            if len(page) < PAGE:
                return list(found.values())
            last = wire.moment(page[-1].get("submitted_at") or page[-1].get("created_at"))
            if last is None or not fresh:
                break
            params["after"] = wire.before(last)
        raise OutcomeUnknown(f"Alpaca's list of open orders does not end after {len(found)}")

    async def _read_equity(self) -> Decimal:
        equity = wire.equity(await self._client.get("/v2/account"))
        if equity is None:
            raise OutcomeUnknown("Alpaca's answer has no equity (GET /v2/account)")
        return equity

    async def _learn(self, rows: list[wire.Row]) -> None:
        """Ask for the rules of held instruments that are not known yet. Only the first read waits for the answer.

        A failure does no harm: an unknown instrument counts as tradable, and the venue has the last word.
        """
        if self._learning is not None and not self._learning.done():
            return
        natives = {wire.text(r, "symbol"): wire.text(r, "asset_class") for r in rows}
        kinds = {native: wire.kind_of(native, class_) for native, class_ in natives.items()}
        shares = sorted(n for n, k in kinds.items() if k is Kind.EQUITY and n not in self._assets and self._may_ask(n))
        calls: list[Awaitable[None]] = []
        if any(k is Kind.SPOT and n not in self._listed for n, k in kinds.items()) and self._may_ask("crypto"):
            calls.append(self._learn_all("crypto", natives))
        if len(shares) > FEW_ASSETS and self._may_ask("us_equity"):
            calls.append(self._learn_all("us_equity", natives))
        else:
            calls += [self._learn_one(s) for s in shares[:FEW_ASSETS]]
        if not calls:
            return
        first, self._learning = self._learning is None, asyncio.ensure_future(_together(calls))
        if first:
            await asyncio.wait({self._learning}, timeout=ASSETS_TIME)

    def _may_ask(self, name: str) -> bool:
        return self._clock.monotonic() >= self._tried.get(name, 0.0)

    async def _learn_all(self, class_: str, natives: dict[str, str]) -> None:
        """Ask for every asset of a class in one request. Of some ten thousand equities, only held ones are kept."""
        self._tried[class_] = self._clock.monotonic() + ASSET_AGAIN
        rows = await self._client.get("/v2/assets", {"asset_class": class_, "status": "active"})
        for row in wire.listed(rows, "assets"):
            found = wire.asset(row)
            native = found.symbol.replace("/", "")
            if class_ == "crypto":
                self.pairs[native] = found.symbol
                self._listed.add(native)
            if class_ == "crypto" or found.symbol in natives:
                self._assets[found.symbol] = found

    async def _learn_one(self, symbol: str) -> None:
        self._tried[symbol] = self._clock.monotonic() + ASSET_AGAIN
        row = await self._client.get(f"/v2/assets/{symbol}")
        if isinstance(row, dict):
            self._assets[symbol] = wire.asset(row)

    async def aclose(self) -> None:
        await self._equity.aclose()
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)

    def kind(self, symbol: str) -> Kind | None:
        """Return the instrument's kind, as the reads know it, otherwise by the look of the symbol."""
        known = self.instruments.get(symbol)
        return known.kind if known is not None else wire.kind_of(symbol)


async def _together(calls: list[Awaitable[None]]) -> None:
    await asyncio.gather(*calls, return_exceptions=True)

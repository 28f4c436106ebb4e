"""Look up the state of an order of ours, by the venue's id or by our name.

None: the venue says that there is no such order. A failed question raises. Where an exchange cannot find an order by
our name, its lists of open and ended orders are searched. An order that the lists lack may still exist, so the core
also reads fills and the position.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import product

from msgspec.structs import replace

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges import krakenfutures_lookups
from brokers.ccxt.exchanges.kraken_margin import listed_as
from brokers.ccxt.exchanges.krakenfutures_wire import KRAKEN_FUTURES
from brokers.ccxt.exchanges.order_table import OrderFields, Params
from brokers.ccxt.markets import Markets
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_client_ids import encode
from brokers.ccxt.wire_orders import answered
from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Order, OrderRequest, OrderStatus
from core.ports import Clock

BACK = timedelta(hours=1)  # ended orders are searched this far back
ENDED = ("fetchClosedOrders", "fetchCanceledOrders", "fetchCanceledAndClosedOrders")


class OrderLookups:
    """Looks up one account's orders. ``asked`` maps the venue's order ids to the requests that were sent."""

    def __init__(self, account: str, client: Client, markets: Markets, fields: OrderFields, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._markets = markets
        self._fields = fields
        self._clock = clock
        self.asked: dict[str, OrderRequest] = {}
        self.named = True  # False after the exchange refused the form of our names

    def remember_request(self, order: Order, request: OrderRequest) -> None:
        """Remember the request of a sent order: later answers may lack its fields. At most 1000 requests are kept."""
        self.asked[order.id] = request
        while len(self.asked) > 1000:
            del self.asked[next(iter(self.asked))]

    async def find_by_id(self, symbol: str, order_id: str) -> Order | None:
        """Return the order of this id, plain or conditional; None if the venue denies it."""
        if self._client.settings.exchange == KRAKEN_FUTURES:
            return await self._remembered(symbol, order_id, "")
        return await self._each(symbol, order_id, {})

    async def find_by_client_id(self, symbol: str, client_id: str) -> Order | None:
        """Return the order that carries our name; None if the venue denies it."""
        if self._client.settings.exchange == KRAKEN_FUTURES:
            return await self._remembered(symbol, "", client_id)
        market = self._markets.row(listed_as(symbol)) or {}
        names = self._fields.names
        if not self.named or not names.word_of(spot=market.get("spot") is True, inverse=market.get("inverse") is True):
            return None  # no order there carries a name: the core finds it among the new orders
        if self._fields.find and self._client.has("fetchOrder"):
            return await self._each(symbol, "", {self._fields.find: encode(client_id, names.form)})
        return await self._searched(symbol, client_id)

    async def _each(self, symbol: str, order_id: str, params: Params) -> Order | None:
        """Look up a plain order, then a conditional order where that is another question."""
        if self._fields.lists:
            return await self._filtered(symbol, params or {"orderId": order_id})
        if not self._client.has("fetchOrder"):
            return await self._searched(symbol, order_id)
        kinds = [{}, self._fields.conditional] if self._fields.conditional else [{}]
        for kind, way in product(kinds, self._ways(symbol)):
            asked = {**params, **kind, **way}
            try:
                row = await self._client.ask_urgently("fetch_order", order_id or None, listed_as(symbol), asked)
            except Refused as refused:
                if refused.refusal is not Refusal.UNKNOWN_ORDER:
                    raise
                continue
            return self._read(symbol, await self._followed(symbol, row) if kind else row)
        return None

    def _ways(self, symbol: str) -> tuple[Params, ...]:
        return self._fields.look_ups if ":" in symbol else ({},)

    async def _followed(self, symbol: str, row: object) -> object:
        """Follow a triggered conditional order to the order it created.

        ccxt reports the triggered order as executed, of nothing or of all. Until the created order is known, the
        state is unknown.
        """
        if not isinstance(row, dict) or row.get("status") != "closed" or not self._fields.became:
            return row
        other, became = {}, wire.text(wire.inner(row, "info"), self._fields.became)
        if became not in ("", "0"):
            try:
                told = await self._client.ask_urgently("fetch_order", became, listed_as(symbol), {})
            except Refused as refused:
                if refused.refusal is not Refusal.UNKNOWN_ORDER:
                    raise
            else:
                other = told if isinstance(told, dict) else {}
        return {**row, **{key: other.get(key) for key in ("status", "filled", "remaining", "average")}}

    async def _filtered(self, symbol: str, wanted: Params) -> Order | None:
        """Search lists that are filtered for this order: first open and recently ended orders, then older ones."""
        for method in self._fields.lists:
            answer = await self._client.ask_urgently(method, listed_as(symbol), None, None, dict(wanted))
            for row in wire.rows(answer, "orders", self._client.settings.exchange):
                if {wire.text(row, "id"), wire.client_id(row)} & set(wanted.values()):
                    return self._read(symbol, row)
        return None

    async def _remembered(self, symbol: str, order_id: str, client_id: str) -> Order | None:
        """Look up an order by either id where the venue soon forgets ended orders."""
        since = int((self._client.to_venue_time(self._clock.now()) - BACK).timestamp() * 1000)
        market = self._markets.row(listed_as(symbol)) or {}
        native = wire.text(market, "id")
        row = await krakenfutures_lookups.find_order(self._client, symbol, native, since, order_id, client_id)
        return None if row is None else self._read(symbol, row)

    async def _searched(self, symbol: str, name: str) -> Order | None:
        """Search open and recently ended orders by either id.

        Raises OutcomeUnknown if the exchange lists neither ended orders nor trades.
        """
        since = int((self._client.to_venue_time(self._clock.now()) - BACK).timestamp() * 1000)
        for row in await self._rows("fetch_open_orders", symbol, None):
            if name in (wire.text(row, "id"), wire.client_id(row)):
                return self._read(symbol, row)
        # Prefer one list of all orders: Coinbase's expired and failed orders are in none of the lists by state.
        whole = self._client.has("fetchOrders")
        ended = ["fetchOrders"] if whole else [feature for feature in ENDED if self._client.has(feature)]
        for feature in ended:
            for row in await self._rows(_method(feature), symbol, since):
                if name in (wire.text(row, "id"), wire.client_id(row)):
                    return self._read(symbol, row)
        if not ended and not self._client.has("fetchMyTrades"):
            raise OutcomeUnknown(f"{self._client.settings.exchange} lists neither ended orders nor trades")
        return None

    async def _rows(self, method: str, symbol: str, since: int | None) -> list[Row]:
        found: list[Row] = []
        for way in self._ways(symbol):
            answer = await self._client.ask_urgently(method, listed_as(symbol), since, None, dict(way))
            found += wire.rows(answer, "orders", self._client.settings.exchange)
        return found

    def _read(self, symbol: str, row: object) -> Order:
        name = self._client.settings.exchange
        known = self.asked.get(wire.text(row, "id")) if isinstance(row, dict) else None
        made = answered(self._account, row, known, name) if known else wire.order(self._account, row, name)
        if made.symbol != listed_as(symbol) and made.symbol != symbol:
            raise OutcomeUnknown(f"{name} answered with an order of {made.symbol}, asked was for {symbol}")
        if known is not None and isinstance(row, dict) and row.get("status") is None:
            made = replace(made, status=OrderStatus.UNKNOWN)  # the answer to a question about the state lacks the state
        return replace(made, symbol=symbol)


def _method(feature: str) -> str:
    """``fetchClosedOrders`` → ``fetch_closed_orders``."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in feature)

"""Places and cancels one account's orders: each request is sent once and its answer is read."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.ccxt import wire, wire_orders, wire_raw_orders, wire_size_filters
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges import krakenfutures_wire
from brokers.ccxt.exchanges.kraken_margin import listed_as
from brokers.ccxt.exchanges.order_table import OrderFields
from brokers.ccxt.exchanges.read_table import conditional_of
from brokers.ccxt.lookups import OrderLookups
from brokers.ccxt.markets import Markets
from brokers.ccxt.reads import AccountReads
from brokers.ccxt.wire_errors import refuses_name
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.model import Instrument, Kind, Leg, Order, OrderRequest, OrderSide, OrderType, Position, PositionKey
from core.ports import Clock

PROMPT = 5.0  # seconds within which the data for an order must arrive


class OrderCalls:
    """``submit``, ``submit_direct``, ``close_position`` and ``cancel`` of the Broker port."""

    def __init__(
        self,
        account: str,
        client: Client,
        markets: Markets,
        reads: AccountReads,
        lookups: OrderLookups,
        fields: OrderFields,
        clock: Clock,
    ) -> None:
        self._account = account
        self._client = client
        self._markets = markets
        self._reads = reads
        self._lookups = lookups
        self._fields = fields
        self._clock = clock

    async def submit(self, request: OrderRequest) -> Order:
        """Place one order by ccxt's unified call.

        An exchange that refuses our name of the order gets the order once more without a name.
        """
        instrument = self._instrument(request.symbol)
        wire_orders.check(request, instrument)
        held = await self._held(request, instrument)
        try:
            return await self._create(request, instrument.kind, held)
        except Refused as refused:
            if not self._lookups.named or not refuses_name(refused):
                raise
            self._lookups.named = False
            return await self._create(request, instrument.kind, held)

    async def _create(self, request: OrderRequest, kind: Kind, held: wire_orders.Held) -> Order:
        made = wire_orders.send(request, kind, self._fields, self._now(), held, named=self._lookups.named)
        row = await self._client.send_action(
            "create_order", made.symbol, made.type, made.side, made.amount, made.price, made.params
        )
        return self._taken(row, request)

    async def _held(self, request: OrderRequest, instrument: Instrument) -> wire_orders.Held:
        """Return what the order needs of its position and its market."""
        position = self._reads.last_position(PositionKey(self._account, request.symbol, request.leg))
        return wire_orders.Held(
            mode=self._reads.modes.get((request.symbol, request.leg), ""),
            leverage=position.leverage if position is not None else None,
            touch=await self._touch(request, instrument),
            inverse=(self._markets.row(listed_as(request.symbol)) or {}).get("inverse") is True,
        )

    async def submit_direct(self, request: OrderRequest) -> Order:
        """Place one market order by the exchange's raw call. Its current filters limit the size."""
        market = self._markets.row(listed_as(request.symbol))
        if not self._fields.raw or market is None:
            raise Refused(
                Refusal.UNSUPPORTED, f"nothing was sent: no raw call of {self._client.settings.exchange} is known"
            )
        mode = self._reads.modes.get((request.symbol, request.leg), "")
        plan = wire_raw_orders.raw_of(self._client.settings.exchange, market)
        rules = await self._first(plan.rules, plan.rules_of(market))
        sized = wire_size_filters.sized(request, plan.filters(rules, market))
        method, params = plan.order(sized, market, self._fields, mode, self._now())
        answer = await self._client.send_action(method, params)
        try:
            row = plan.row(self._client.exchange, answer, market)
        except FlatdeckError:
            raise
        except Exception as error:  # ccxt's parsers may raise any exception
            name = self._client.settings.exchange
            raise OutcomeUnknown(f"{name}'s answer to the order cannot be read: {type(error).__name__}") from error
        return self._taken(row, sized)

    async def close_position(self, position: Position, client_id: str) -> Order:
        """Close the whole position by the exchange's own close call."""
        instrument = self._instrument(position.symbol)
        if instrument.kind not in self._fields.close:
            raise Refused(Refusal.UNSUPPORTED, "nothing was sent: its own close call is not for this kind of position")
        request = wire_orders.closing(position, client_id)
        side = None if position.leg is Leg.NET else ("buy" if position.leg is Leg.LONG else "sell")
        params = {"clientOrderId": client_id}
        if self._fields.close_leg and position.leg is not Leg.NET:
            params[self._fields.leg] = self._fields.legs[position.leg]
        mode = self._reads.modes.get((position.symbol, position.leg), "")
        if mode:
            params["marginMode"] = mode
        return self._taken(
            await self._client.send_action("close_position", listed_as(position.symbol), side, params), request
        )

    async def cancel(self, order: Order) -> None:
        """Cancel one order by its id.

        Where conditional orders need another call, try the call for the order's kind first, then the other calls.
        """
        plain, settings = listed_as(order.symbol), self._client.settings
        guess = conditional_of(settings.exchange, self._client.exchange.features, plain)
        conditional = self._fields.conditional or guess
        ways = [{}, conditional] if conditional else [{}]
        ways += self._fields.coin_kinds if ":" not in plain else ()
        if order.type is OrderType.STOP:
            ways.reverse()
        for nth, params in enumerate(ways):
            try:
                answer = await self._client.send_action("cancel_order", order.id, plain, params)
            except Refused as refused:
                denied = (Refusal.UNKNOWN_ORDER, Refusal.OTHER) if guess else (Refusal.UNKNOWN_ORDER,)
                if refused.refusal not in denied or nth + 1 == len(ways):
                    raise
            else:
                if settings.exchange == krakenfutures_wire.KRAKEN_FUTURES:
                    krakenfutures_wire.check_cancelled(answer)
                return

    def _now(self) -> datetime:
        """Return the time by the exchange's clock, because the exchange decides when an order expires."""
        return self._client.to_venue_time(self._clock.now())

    def _instrument(self, symbol: str) -> Instrument:
        known = self._reads.instruments.get(symbol)
        if known is None and symbol not in self._markets:
            raise Refused(Refusal.UNKNOWN_SYMBOL, f"nothing was sent: the exchange has no market {symbol}")
        return known or self._markets.instrument(symbol)

    async def _touch(self, request: OrderRequest, instrument: Instrument) -> Decimal | None:
        """Return the price that a market order trades against, where the exchange needs a price; else None.

        Some exchanges pay a buy of a coin by its cost, and ccxt needs a price.
        """
        kind, buys = instrument.kind, request.side is OrderSide.BUY
        needed = kind in self._fields.priced or (buys and kind is Kind.SPOT)
        if request.type is not OrderType.MARKET or not needed:
            return None
        row = await self._first("fetch_ticker", listed_as(request.symbol))
        touch = wire.positive(row.get("ask" if buys else "bid")) if isinstance(row, dict) else None
        if touch is None:
            name = "ask to reckon a buy for cash" if kind is Kind.SPOT and buys else "price to limit the order"
            raise Refused(Refusal.OTHER, f"nothing was sent: there is no {name} by")
        return touch

    async def _first(self, method: str, *args: object) -> Any:
        """Read data that an order needs. A failure leaves no doubt about an order: nothing was sent.

        Data that come too late are refused as well: an order is looked up from the time of its decision.
        """
        begun = self._clock.monotonic()
        try:
            found = await self._client.ask_urgently(method, *args)
        except OutcomeUnknown as error:
            raise Unreachable(f"nothing was sent: {error}") from error
        if self._clock.monotonic() - begun > PROMPT:
            raise Refused(Refusal.OTHER, f"nothing was sent: {self._client.settings.exchange} said its rules too late")
        return found

    def _taken(self, row: object, request: OrderRequest) -> Order:
        if self._client.settings.exchange == krakenfutures_wire.KRAKEN_FUTURES:
            row = krakenfutures_wire.order_from_status(row)
        made = wire_orders.answered(self._account, row, request, self._client.settings.exchange)
        self._lookups.remember_request(made, request)
        return made

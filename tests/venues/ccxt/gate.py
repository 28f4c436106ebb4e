"""Gate's USDT perpetuals on loopback, one-way or with two positions of one contract (``dual``): asked, never streamed.

A size is a number of contracts, negative for a sale. In dual mode an order opens a position of its side, unless it is
reduce-only: then it reduces the position of the other side. Source: the documentation of APIv4, and gateapi-python#95.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokers.paper.state import VenueOrder
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Fill, Instrument, Leg, OrderRequest, OrderSide, OrderStatus, OrderType, Position, TimeInForce
from core.units import ZERO, plain
from tests.venues.ccxt.polled import Polled, Row

KEY, SECRET = "gate-loopback-key", "canary-of-the-gate-venue"
ROOT = "/api/api/v4"
ENDS = {
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "cancelled",
    OrderStatus.EXPIRED: "ioc",
    OrderStatus.REJECTED: "cancelled",
}
ERRORS = {
    Refusal.NO_POSITION: "REDUCE_ONLY_FAIL",
    Refusal.REDUCE_ONLY: "REDUCE_ONLY_FAIL",
    Refusal.UNKNOWN_ORDER: "ORDER_NOT_FOUND",
    Refusal.BELOW_MINIMUM: "INVALID_PARAM_VALUE",
}


class Gate(Polled):
    """One account. A request with a wrong signature is refused."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue, KEY, SECRET)

    def add_to(self, app: web.Application) -> None:
        perps = "futures/usdt"
        open_: dict[str, Callable[[Row], Any]] = {
            "spot/currency_pairs": lambda _: [],
            "margin/currency_pairs": lambda _: [],
            f"{perps}/contracts": lambda _: [self._contract(i) for i in self.instruments()],
            "futures/btc/contracts": lambda _: [],
            "delivery/usdt/contracts": lambda _: [],
            "options/underlyings": lambda _: [],
            f"{perps}/tickers": lambda _: [self._ticker(i) for i in self.instruments()],
            "spot/tickers": lambda _: [],
            "spot/time": lambda _: {"server_time": self.millis()},
        }
        signed: dict[str, Callable[[Row], Any]] = {
            "account/detail": lambda _: {"user_id": 1, "key": {"mode": 1}},
            "unified/unified_mode": lambda _: {"mode": "classic"},
            "spot/accounts": lambda _: [],
            "spot/open_orders": lambda _: [],
            "margin/accounts": lambda _: [],
            "options/accounts": lambda _: {"total": "0", "equity": "0", "available": "0"},
            "spot/price_orders": lambda _: [],
            f"{perps}/accounts": lambda _: {"total": "10000", "available": "9000", "currency": "USDT"},
            f"{perps}/positions": lambda _: [self._position(p) for p in self.positions()],
            "futures/btc/positions": lambda _: [],
            "futures/btc/orders": lambda _: [],
            "futures/btc/price_orders": lambda _: [],
            "delivery/usdt/positions": lambda _: [],
            "delivery/usdt/orders": lambda _: [],
            "delivery/usdt/price_orders": lambda _: [],
            "options/positions": lambda _: [],
            "options/orders": lambda _: [],
            f"{perps}/orders": self._orders,
            f"{perps}/orders_timerange": self._orders,
            f"{perps}/price_orders": lambda _: [],
            f"{perps}/my_trades": self._trades,
            f"{perps}/my_trades_timerange": self._trades,
        }
        for path, act in open_.items():
            app.router.add_get(f"{ROOT}/{path}", self._handler(act, signed=False))
        for path, act in signed.items():
            app.router.add_get(f"{ROOT}/{path}", self._handler(act))
        app.router.add_get(f"{ROOT}/{perps}/orders/{{id}}", self._handler(self._one))
        app.router.add_post(f"{ROOT}/{perps}/orders", self._handler(self._place))
        app.router.add_delete(f"{ROOT}/{perps}/orders/{{id}}", self._handler(self._cancel))

    def _handler(self, act: Callable[[Row], Any], *, signed: bool = True) -> Any:
        async def answer(request: web.Request) -> web.Response:
            text = await request.text()
            self.venue.advance()
            if signed and not self._is_signed(request, text):
                return web.json_response({"label": "INVALID_SIGNATURE", "message": "Signature mismatch"}, status=401)
            given = {**request.query, **request.match_info, **(json.loads(text) if text else {})}
            if text:
                self.calls.append((request.path.rpartition("/")[2], given))
            try:
                return web.json_response(act(given))
            except Refused as refused:
                label = ERRORS.get(refused.refusal, "INVALID_PARAM_VALUE")
                return web.json_response({"label": label, "message": str(refused)}, status=400)

        return answer

    def _is_signed(self, request: web.Request, body: str) -> bool:
        """The signature is over method, path, query, hash of the body, and time."""
        given, hashed = request.headers, hashlib.sha512(body.encode()).hexdigest()
        path = request.path.removeprefix("/api")
        text = "\n".join((request.method, path, request.query_string, hashed, given.get("Timestamp", "")))
        wanted = hmac.new(self.secret.encode(), text.encode(), hashlib.sha512).hexdigest()
        return given.get("KEY") == self.key and hmac.compare_digest(given.get("SIGN", ""), wanted)

    # ------------------------------------------------------------------------------------------------- the market

    def _contract(self, instrument: Instrument) -> Row:
        return {
            "name": instrument.native_symbol,
            "type": "direct",
            "quanto_multiplier": plain(instrument.multiplier),
            "order_price_round": plain(instrument.tick),
            "order_size_min": 1,
            "order_size_max": 1000000,
            "leverage_min": "1",
            "leverage_max": "100",
            "maker_fee_rate": "-0.00025",
            "taker_fee_rate": "0.00075",
            "mark_price": plain(self.price(instrument.symbol)),
            "in_delisting": False,
            "create_time": 1500000000,
        }

    def _ticker(self, instrument: Instrument) -> Row:
        top, last = self.venue.matching.market.top(instrument.symbol), plain(self.price(instrument.symbol))
        touch = {"highest_bid": plain(top.bid or ZERO), "lowest_ask": plain(top.ask or ZERO)}
        return {"contract": instrument.native_symbol, "last": last, "mark_price": last, **touch}

    # ------------------------------------------------------------------------------------------------ the account

    def _position(self, held: Position) -> Row:
        instrument = self.instrument(held.symbol)
        value = held.quantity * instrument.multiplier * self.price(held.symbol)
        return {
            "contract": instrument.native_symbol,
            "size": int(held.side.sign * held.quantity),
            "mode": "single" if held.leg is Leg.NET else f"dual_{held.leg.value}",
            "leverage": "0",
            "cross_leverage_limit": plain(held.leverage or ZERO),
            "entry_price": plain(held.entry or ZERO),
            "mark_price": plain(self.price(held.symbol)),
            "value": plain(value),
            "margin": "100",
            "unrealised_pnl": "0",
            "pending_orders": 0,
            "update_time": self.millis() // 1000,
        }

    def _order(self, ticket: VenueOrder) -> Row:
        told = self.told(ticket)
        sign = told.side.sign
        ended = {"status": "finished", "finish_as": ENDS[told.status], "finish_time": self.millis() / 1000}
        return {
            "id": self._number(told.id),
            "contract": self.instrument(told.symbol).native_symbol,
            "size": int(sign * told.quantity),
            "left": int(sign * (told.quantity - told.filled)),
            "price": plain(told.price or ZERO),
            "fill_price": plain(told.average_price or ZERO),
            "tif": ticket.tif.value,
            "text": told.client_id or "api",
            "is_reduce_only": told.reduce_only or told.leg is not Leg.NET,
            "create_time": self.millis() / 1000,
            **(ended if told.status.terminal else {"status": "open"}),
        }

    def _number(self, order_id: str) -> int:
        return list(self.venue.state.tickets).index(order_id) + 100

    def _ticket(self, given: Row) -> VenueOrder:
        known, number = list(self.venue.state.tickets), int(given["id"]) - 100
        ticket = self.find(None, known[number]) if 0 <= number < len(known) else None
        if ticket is None:
            raise Refused(Refusal.UNKNOWN_ORDER, "order not found")
        return ticket

    def _one(self, given: Row) -> Row:
        return self._order(self._ticket(given))

    def _orders(self, query: Row) -> list[Row]:
        """A page of open or ended orders; ``limit`` is at most 100."""
        open_ = query.get("status") == "open"
        tickets = self.open_orders() if open_ else list(self.venue.state.tickets.values())
        rows = [self._order(t) for t in tickets if self.told(t).status.terminal is not open_]
        rows = [row for row in rows if query.get("contract") in (None, row["contract"])]
        start = int(query.get("offset", 0))
        return rows[start : start + int(query.get("limit", 100))]

    def _trades(self, query: Row) -> list[Row]:
        since = int(query.get("from", 0))
        rows = [self._trade(f) for f in self.fills()]
        wanted = query.get("contract")
        rows = [row for row in rows if row["create_time"] >= since and wanted in (None, row["contract"])]
        start = int(query.get("offset", 0))
        return rows[start : start + int(query.get("limit", 100))]

    def _trade(self, fill: Fill) -> Row:
        known = fill.order_id in self.venue.state.tickets
        return {
            "id": int(fill.trade_id[1:]),
            "trade_id": int(fill.trade_id[1:]),
            "create_time": fill.at.timestamp() if fill.at else 0,
            "contract": self.instrument(fill.symbol).native_symbol,
            "order_id": str(self._number(fill.order_id)) if known else "1",
            "size": int(fill.side.sign * fill.quantity),
            "price": plain(fill.price),
            "text": fill.client_id or "api",
            "fee": plain(fill.fee),
            "role": "taker",
        }

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, body: Row) -> Row:
        size = Decimal(str(body["size"]))
        side, reduces = OrderSide.BUY if size > 0 else OrderSide.SELL, body.get("reduce_only") is True
        leg = Leg.NET
        if self.venue.state.hedge:
            leg = Leg.LONG if (side is OrderSide.BUY) is not reduces else Leg.SHORT
        market = Decimal(str(body["price"])) == 0
        named = next(i for i in self.instruments() if i.native_symbol == body["contract"])
        order = self.place(
            OrderRequest(
                account=self.venue.account.id,
                symbol=named.symbol,
                side=side,
                quantity=abs(size),
                client_id=body.get("text", ""),
                type=OrderType.MARKET if market else OrderType.LIMIT,
                tif=TimeInForce(body.get("tif", "gtc")),
                price=None if market else Decimal(str(body["price"])),
                reduce_only=reduces and leg is Leg.NET,
                leg=leg,
            )
        )
        return self._order(self.venue.state.tickets[order.id])

    def _cancel(self, given: Row) -> Row:
        ticket = self._ticket(given)
        self.venue.cancel(ticket.order.id)
        return self._order(ticket)


def perp(base: str, multiplier: str) -> Row:
    """One contract's row of a book."""
    names = {"symbol": f"{base}/USDT:USDT", "native_symbol": f"{base}_USDT", "kind": "perp", "quote": "USDT"}
    return {**names, "multiplier": multiplier, "step": "1", "tick": "0.1", "min_quantity": "1"}


BOOK: dict[str, Any] = {
    "instruments": [perp("BTC", "0.0001"), perp("ETH", "0.01")],
    "quotes": {
        "BTC/USDT:USDT": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "ETH/USDT:USDT": {"bid": "2500", "ask": "2500.1", "last": "2500"},
    },
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "100", "entry": "40000", "leverage": "10"},
        {"symbol": "BTC/USDT:USDT", "side": "short", "quantity": "250", "entry": "60000", "leverage": "10"},
        {"symbol": "ETH/USDT:USDT", "side": "long", "quantity": "30", "entry": "2400", "leverage": "5"},
    ],
    "hedge": True,
}

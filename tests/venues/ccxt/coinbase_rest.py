"""Coinbase Advanced's REST API over the truth: HMAC signatures checked, refusals of orders in an HTTP 200.

``client_order_id`` is required, and an order of that name is answered with and not made again. Lists come in pages
with a cursor.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokers.paper import reads as reports
from brokers.paper.state import VenueOrder, would_reduce
from brokers.paper.venue import Venue
from brokers.paper.wire import ListedInstrument
from core.errors import Refusal, Refused
from core.model import Kind, OrderRequest, OrderSide, OrderStatus, OrderType, TimeInForce
from core.units import ZERO
from tests.venues.ccxt import coinbase_bodies as bodies
from tests.venues.ccxt.coinbase_bodies import Row

ROOT = "/api"  # the host's first label, which configuration puts before every path
PRIVATE = "/api/v3/brokerage"
REASONS = {
    "min_quantity": ("PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", "Order size is too small: minimum size is {min}"),
    "min_cost": ("PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL", "Order total is too small"),
    "lot_size": ("PREVIEW_INVALID_SIZE_PRECISION", "Too many decimals in order amount"),
    "precision": ("PREVIEW_INVALID_SIZE_PRECISION", "Too many decimals in order amount"),
    "tick_size": ("PREVIEW_INVALID_PRICE_PRECISION", "Too many decimals in order price"),
    "insufficient": ("PREVIEW_INSUFFICIENT_FUND", "Insufficient balance in source account"),
    "no_position": ("PREVIEW_INSUFFICIENT_FUND", "Insufficient balance in source account"),
    "time_in_force": ("UNKNOWN_FAILURE_REASON", "UNSUPPORTED_ORDER_CONFIGURATION"),
    "halted": ("PREVIEW_TRADING_DISABLED", "Trading is disabled for this product"),
}
CONFIGURATIONS = {
    "market_market_ioc": (OrderType.MARKET, TimeInForce.IOC),
    "market_market_fok": (OrderType.MARKET, TimeInForce.FOK),
    "sor_limit_ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "limit_limit_gtc": (OrderType.LIMIT, TimeInForce.GTC),
    "limit_limit_fok": (OrderType.LIMIT, TimeInForce.FOK),
    "stop_limit_stop_limit_gtc": (OrderType.STOP, TimeInForce.GTC),
}


class No(Exception):
    """A refusal with its status: ``error`` and ``message`` as the gateway writes them."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": error, "code": 3, "message": message, "details": []}


class CoinbaseRest:
    """One account. ``cash`` are wallets beside the positions; ``violations`` must stay empty."""

    def __init__(self, venue: Venue, key: str, secret: str) -> None:
        self.venue, self.key, self.secret = venue, key, secret
        self.cash = {"USD": Decimal("10000")}
        self.page = 250  # the most rows of one page
        self.futures = True  # whether the account has a futures account
        self.objects = False  # futures amounts as objects
        self.may_transfer = False
        self.calls: list[tuple[str, Row]] = []
        self.violations: list[str] = []

    def add_to(self, app: web.Application) -> None:
        get: dict[str, Callable[[web.Request], Row]] = {
            "/accounts": lambda r: self._paged("accounts", self._accounts(), r),
            "/best_bid_ask": lambda r: {"pricebooks": [self._book(x) for x in self._asked(r, Kind.SPOT)]},
            "/key_permissions": lambda _: self._permissions(),
            "/transaction_summary": lambda _: {"fee_tier": {"taker_fee_rate": "0.006", "maker_fee_rate": "0.004"}},
            "/orders/historical/batch": lambda r: self._paged("orders", self._orders(r), r),
            "/orders/historical/fills": lambda r: self._paged("fills", self._fills(r), r),
            "/orders/historical/{id}": self._order,
            "/cfm/positions": lambda _: {"positions": self._positions()},
            "/cfm/balance_summary": lambda _: self._summary(),
        }
        market: dict[str, Callable[[web.Request], Row]] = {
            "/products": self._products,
            "/products/{id}": self._product,
            "/products/{id}/ticker": self._ticker,
            "/products/{id}/candles": self._candles,
        }
        for path, handler in {**get, **market}.items():
            app.router.add_get(ROOT + PRIVATE + path, self._private(handler))
        for path, handler in market.items():
            app.router.add_get(f"{ROOT}{PRIVATE}/market{path}", self._public(handler))
        for path in (f"{PRIVATE}/time", "/v2/time"):
            app.router.add_get(ROOT + path, self._public(lambda _: self._time()))
        for path in ("/v2/currencies", "/v2/currencies/crypto"):
            app.router.add_get(ROOT + path, self._public(lambda _: {"data": []}))
        app.router.add_get(f"{ROOT}/v2/exchange-rates", self._public(lambda _: {"data": {"rates": {}}}))
        for path, act in {"": self._submit, "/batch_cancel": self._cancel, "/close_position": self._close}.items():
            app.router.add_post(f"{ROOT}{PRIVATE}/orders{path}", self._private_post(act))

    # ------------------------------------------------------------------------------------------------- the way in

    def _public(self, handler: Callable[[web.Request], Row]) -> Any:
        async def answer(request: web.Request) -> web.Response:
            return self._answered(lambda: handler(request))

        return answer

    def _private(self, handler: Callable[[web.Request], Row]) -> Any:
        async def answer(request: web.Request) -> web.Response:
            if self._forged(request, ""):
                return web.Response(status=401, text="Unauthorized\n")
            return self._answered(lambda: handler(request))

        return answer

    def _private_post(self, handler: Callable[[Row], Row]) -> Any:
        async def answer(request: web.Request) -> web.Response:
            text = await request.text()
            if self._forged(request, text):
                return web.Response(status=401, text="Unauthorized\n")
            given = json.loads(text)
            self.calls.append((request.path.rpartition("/")[2], given))
            return self._answered(lambda: handler(given))

        return answer

    def _forged(self, request: web.Request, body: str) -> bool:
        """The signature is over time, method, path without its query, and body."""
        stamp = request.headers.get("CB-ACCESS-TIMESTAMP", "")
        signed = stamp + request.method + request.path.removeprefix(ROOT) + body
        wanted = self.sign(signed)
        given = request.headers.get("CB-ACCESS-SIGN", "")
        right = request.headers.get("CB-ACCESS-KEY") == self.key and stamp.isdigit()
        return not (right and hmac.compare_digest(wanted, given))

    def sign(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def _answered(self, handler: Callable[[], Row]) -> web.Response:
        self.venue.advance()
        try:
            return web.json_response(handler())
        except No as no:
            return web.json_response(no.body, status=no.status)

    def _paged(self, name: str, rows: list[Row], request: web.Request) -> Row:
        size = min(int(request.query.get("limit", "100")), self.page)
        start = int(request.query.get("cursor") or 0)
        more = start + size < len(rows)
        page = {name: rows[start : start + size], "cursor": str(start + size) if more else ""}
        return page if name == "fills" else {**page, "has_next": more}

    # ------------------------------------------------------------------------------------------------- the market

    def now(self) -> datetime:
        return self.venue.matching.now()

    def _time(self) -> Row:
        now = self.now()
        stamps = {"epochSeconds": str(int(now.timestamp())), "epochMillis": str(int(now.timestamp() * 1000))}
        return {"iso": bodies.iso(now), **stamps, "data": {"iso": bodies.iso(now), "epoch": int(now.timestamp())}}

    def listing(self, product: str) -> ListedInstrument:
        found = self.venue.matching.market.listings.values()
        listing = next((x for x in found if bodies.product_id(x.instrument) == product), None)
        if listing is None:
            raise No(404, "NOT_FOUND", f"product not found: {product}")
        return listing

    def _asked(self, request: web.Request, kind: Kind) -> list[ListedInstrument]:
        ids = request.query.getall("product_ids", [])
        if ids:
            return [self.listing(name) for name in ids]
        listings = self.venue.matching.market.listings.values()
        return [x for x in listings if (x.instrument.kind is Kind.SPOT) == (kind is Kind.SPOT)]

    def _products(self, request: web.Request) -> Row:
        kind = Kind.FUTURE if request.query.get("product_type") == "FUTURE" else Kind.SPOT
        top = self.venue.matching.market.top
        rows = [bodies.product(x, top(x.instrument.symbol)) for x in self._asked(request, kind)]
        return {"products": rows, "num_products": len(rows), "pagination": None}

    def _product(self, request: web.Request) -> Row:
        listing = self.listing(request.match_info["id"])
        return bodies.product(listing, self.venue.matching.market.top(listing.instrument.symbol))

    def _book(self, listing: ListedInstrument) -> Row:
        return bodies.book(listing.instrument, self.venue.matching.market.top(listing.instrument.symbol), self.now())

    def _ticker(self, request: web.Request) -> Row:
        instrument = self.listing(request.match_info["id"]).instrument
        return bodies.ticker(instrument, self.venue.matching.market.top(instrument.symbol), self.now())

    def _candles(self, request: web.Request) -> Row:
        top = self.venue.matching.market.top(self.listing(request.match_info["id"]).instrument.symbol)
        start, end = int(request.query["start"]) // 60 * 60, int(request.query["end"])
        last = min(end, int(self.now().timestamp()))
        rows = [bodies.candle(at, top.last or top.bid or ZERO) for at in range(start, last, 60)]
        return {"candles": rows[::-1][:350]}

    # ------------------------------------------------------------------------------------------------ the account

    def _accounts(self) -> list[Row]:
        rows = {currency: (amount, ZERO) for currency, amount in self.cash.items()}
        for held in reports.positions(self.venue):
            if self.venue.matching.market.listing(held.symbol).instrument.kind is Kind.SPOT:
                rows[held.symbol.partition("/")[0]] = (held.free, held.quantity - held.free)
        return [bodies.account(currency, *row) for currency, row in rows.items()]

    def _permissions(self) -> Row:
        rights = {"can_view": True, "can_trade": True, "can_transfer": self.may_transfer}
        return {**rights, "portfolio_uuid": "portfolio-001", "portfolio_type": "DEFAULT"}

    def _summary(self) -> Row:
        if not self.futures:
            raise No(404, "NOT_FOUND", "no futures account")
        amounts = dict.fromkeys(("futures_buying_power", "total_usd_balance", "available_margin"), Decimal(5000))
        return {"balance_summary": {k: {"value": str(v), "currency": "USD"} for k, v in amounts.items()}}

    def _positions(self) -> list[Row]:
        if not self.futures:
            raise No(403, "PERMISSION_DENIED", "the account is not enabled for futures")
        market = self.venue.matching.market
        found = [(p, market.listing(p.symbol).instrument) for p in reports.positions(self.venue)]
        futures = [(p, i) for p, i in found if i.kind is not Kind.SPOT]
        return [bodies.position(p, i, market.top(p.symbol), objects=self.objects) for p, i in futures]

    def _row(self, ticket: VenueOrder) -> Row:
        told, now = reports.report_order(self.venue, ticket.order), self.now()
        age = max(self.venue.matching.time - ticket.placed, 0.0) if ticket.placed else 3600.0
        count = sum(f.order_id == told.id for f in self.venue.state.fills.values())
        instrument = self.venue.matching.market.listing(told.symbol).instrument
        return bodies.order(ticket, told, instrument, now - timedelta(seconds=age), count)

    def _orders(self, request: web.Request) -> list[Row]:
        query = request.query
        rows = [self._row(t) for t in reversed(self.venue.state.tickets.values())]
        statuses = query.getall("order_status", [])
        products = [*query.getall("product_id", []), *query.getall("product_ids", [])]
        rows = [r for r in rows if not statuses or r["status"] in statuses]
        rows = [r for r in rows if query.get("start_date", "") <= r["created_time"] <= query.get("end_date", "9")]
        return [r for r in rows if not products or r["product_id"] in products]

    def _order(self, request: web.Request) -> Row:
        ticket = self.venue.state.tickets.get(bodies.own(request.match_info["id"]))
        if ticket is None or reports.find(self.venue, ticket.order.symbol, None, ticket.order.id) is None:
            raise No(404, "NOT_FOUND", "order with this orderID was not found")
        return {"order": self._row(ticket)}

    def _fills(self, request: web.Request) -> list[Row]:
        query, market = request.query, self.venue.matching.market
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        fills = [f for f in reversed(self.venue.state.fills.values()) if f.trade_id not in hidden]
        rows = [bodies.fill(f, market.listing(f.symbol).instrument) for f in fills]
        products = [*query.getall("product_id", []), *query.getall("product_ids", [])]
        orders = [*query.getall("order_id", []), *query.getall("order_ids", [])]
        rows = [r for r in rows if not products or r["product_id"] in products]
        rows = [r for r in rows if not orders or r["order_id"] in orders]
        return [r for r in rows if query.get("start_sequence_timestamp", "") <= r["trade_time"]]

    # ------------------------------------------------------------------------------------------------- the orders

    def request(self, given: Row) -> OrderRequest:
        """``orders``' body as an order. Raises No for what the gateway does not take."""
        if not given.get("client_order_id"):
            raise No(400, "INVALID_ARGUMENT", "missing required fields: [client_order_id]")
        [(name, sizes)] = given["order_configuration"].items()
        if name not in CONFIGURATIONS or "base_size" not in sizes:
            raise No(400, "INVALID_ARGUMENT", f"unsupported order configuration: {name}")
        kind, tif = CONFIGURATIONS[name]
        return OrderRequest(
            account=self.venue.account.id,
            symbol=self.listing(given["product_id"]).instrument.symbol,
            side=OrderSide[given["side"]],
            quantity=Decimal(sizes["base_size"]),
            client_id=given["client_order_id"],
            type=kind,
            tif=tif,
            price=Decimal(sizes["limit_price"]) if "limit_price" in sizes else None,
            trigger=Decimal(sizes["stop_price"]) if "stop_price" in sizes else None,
        )

    def _submit(self, given: Row) -> Row:
        request = self.request(given)
        held = self.venue.state.positions.get((request.symbol, request.leg))
        cash = self.venue.matching.market.listing(request.symbol).instrument.kind is Kind.SPOT
        larger = held is not None and not cash and request.quantity > held.quantity
        known = self.venue.state.find(request.client_id, None)
        if known is None and (not would_reduce(held, request.side) or larger):
            self.violations.append(f"an order to {request.side.value} {request.quantity} {request.symbol} opens")
        return self._place(request, given["order_configuration"])

    def _place(self, request: OrderRequest, configuration: Row) -> Row:
        known = self.venue.state.find(request.client_id, None)
        try:
            order = known.order if known is not None else self.venue.place(request)
        except Refused as refused:
            return self._failure(refused, request, configuration)
        product = bodies.product_id(self.venue.matching.market.listing(order.symbol).instrument)
        made = {"order_id": bodies.native(order.id), "product_id": product, "side": order.side.name}
        answer = {**made, "client_order_id": order.client_id, "attached_order_id": ""}
        return {"success": True, "success_response": answer, "order_configuration": configuration}

    def _failure(self, refused: Refused, request: OrderRequest, configuration: Row) -> Row:
        if refused.refusal is Refusal.RATE_LIMITED:
            raise No(429, "rate_limit_exceeded", "too many requests")
        if refused.refusal in (Refusal.AUTH, Refusal.BANNED):
            raise No(403, "PERMISSION_DENIED", "user is not allowed to trade")
        reason, text = REASONS.get(refused.code, ("UNKNOWN_FAILURE_REASON", str(refused)))
        least = self.venue.matching.market.listing(request.symbol).instrument.min_quantity
        error = {"error": "UNKNOWN_FAILURE_REASON", "message": text.format(min=least), "error_details": ""}
        error |= {"preview_failure_reason": reason}
        return {"success": False, "error_response": error, "order_configuration": configuration}

    def _cancel(self, given: Row) -> Row:
        return {"results": [self._cancelled(name) for name in given["order_ids"]]}

    def _cancelled(self, name: str) -> Row:
        ticket = self.venue.state.tickets.get(bodies.own(name))
        reason = "UNKNOWN_CANCEL_FAILURE_REASON"
        if ticket is None:
            return {"success": False, "failure_reason": "UNKNOWN_CANCEL_ORDER", "order_id": name}
        try:
            self.venue.cancel(ticket.order.id)
        except Refused:
            ended = ticket.order.status is not OrderStatus.OPEN
            return {"success": False, "failure_reason": "ORDER_IS_FULLY_FILLED" if ended else reason, "order_id": name}
        return {"success": True, "failure_reason": reason, "order_id": name}

    def _close(self, given: Row) -> Row:
        """A future's close: all of it, or ``size`` contracts."""
        symbol = self.listing(given["product_id"]).instrument.symbol
        held = next((p for p in self.venue.state.positions.values() if p.symbol == symbol), None)
        if held is None:
            raise No(400, "INVALID_ARGUMENT", "no position to close")
        size = Decimal(given["size"]) if given.get("size") else held.quantity
        side, name = held.side.closing, given["client_order_id"]
        request = OrderRequest(self.venue.account.id, symbol, side, size, name, reduce_only=True)
        return self._place(request, {"market_market_ioc": {"base_size": str(size)}})

"""Bitvavo's spot markets on loopback, in euro: asked and never streamed.

An order needs an ``operatorId``, a number of the account's own choice, and its client id, where it has one, is a UUID.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokers.paper.state import VenueOrder
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Fill, OrderRequest, OrderSide, OrderStatus, OrderType, TimeInForce
from core.units import ZERO, plain
from tests.venues.ccxt.kraken_bodies import places
from tests.venues.ccxt.polled import Polled, Row

KEY, SECRET = "bitvavo-loopback-key", "canary-of-the-bitvavo-venue"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STATUSES = {
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "rejected",
    OrderStatus.UNKNOWN: "some_new_word",
}
KINDS = {"market": OrderType.MARKET, "limit": OrderType.LIMIT, "stopLoss": OrderType.STOP}
ERRORS = {
    Refusal.NO_POSITION: (216, "You do not have sufficient balance to complete this operation."),
    Refusal.HELD: (216, "You do not have sufficient balance to complete this operation."),
    Refusal.BELOW_MINIMUM: (217, "Minimum order size in quote currency is 5 EUR or 0.001 BTC."),
    Refusal.PRECISION: (429, "The number of decimals in amount is too large."),
    Refusal.UNKNOWN_ORDER: (
        240,
        "No order found. Please be aware that simultaneously updating the same order may fail.",
    ),
    Refusal.RATE_LIMITED: (105, "Rate limit exceeded."),
}


class No(Exception):
    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status, self.body = status, {"errorCode": code, "error": text}


class Bitvavo(Polled):
    """``cash`` is the euro wallet."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue, KEY, SECRET)
        self.cash = Decimal(1000)

    def add_to(self, app: web.Application) -> None:
        gets: dict[str, tuple[Callable[[Row], Any], bool]] = {
            "time": (lambda _: {"time": self.millis()}, False),
            "markets": (lambda _: self._markets(), False),
            "assets": (lambda _: [self._asset(c) for c in self._codes()], False),
            "ticker/24h": (lambda _: [self._ticker(i.symbol) for i in self.instruments()], False),
            "balance": (lambda _: self._balance(), True),
            "ordersOpen": (lambda _: [self._order(t) for t in self.open_orders()], True),
            "order": (self._one, True),
            "trades": (self._trades, True),
        }
        for path, (act, signed) in gets.items():
            app.router.add_get(f"/api/v2/{path}", self._handler(act, signed=signed))
        app.router.add_post("/api/v2/order", self._handler(self._place, signed=True))
        app.router.add_delete("/api/v2/order", self._handler(self._cancel, signed=True))

    def _handler(self, act: Callable[[Row], Any], *, signed: bool) -> Any:
        async def answer(request: web.Request) -> web.Response:
            text = await request.text()
            self.venue.advance()
            try:
                if signed:
                    self._check(request, text)
                given = json.loads(text) if text else dict(request.query)
                if request.method != "GET":
                    self.calls.append((request.method, given))
                return web.json_response(act(given))
            except Refused as refused:
                no = No(*ERRORS.get(refused.refusal, (110, str(refused))))
            except No as said:
                no = said
            return web.json_response(no.body, status=no.status)

        return answer

    def _check(self, request: web.Request, body: str) -> None:
        given = request.headers
        query = f"?{request.query_string}" if request.query_string else ""
        path = request.path.removeprefix("/api") + query
        text = given.get("BITVAVO-ACCESS-TIMESTAMP", "") + request.method + path + body
        wanted = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if given.get("BITVAVO-ACCESS-KEY") != self.key:
            raise No(305, "No active API key found.", 403)
        if not hmac.compare_digest(given.get("BITVAVO-ACCESS-SIGNATURE", ""), wanted):
            raise No(309, "The signature is invalid.", 403)

    # ------------------------------------------------------------------------------------------------- the market

    def _codes(self) -> list[str]:
        return sorted({part for i in self.instruments() for part in i.symbol.split("/")})

    def _asset(self, code: str) -> Row:
        decimals = {"decimals": 2 if code == "EUR" else 8, "depositStatus": "OK", "withdrawalStatus": "OK"}
        limits = {"depositFee": "0", "withdrawalFee": "0", "withdrawalMinAmount": "0", "networks": [code]}
        return {"symbol": code, "name": code, **decimals, **limits, "message": ""}

    def _markets(self) -> list[Row]:
        return [
            {
                "market": i.symbol.replace("/", "-"),
                "status": "trading" if i.tradable else "halted",
                "base": i.symbol.partition("/")[0],
                "quote": i.quote,
                "pricePrecision": "5",
                "tickSize": plain(i.tick),
                "quantityDecimals": str(places(i.step)),
                "notionalDecimals": "2",
                "minOrderInQuoteAsset": plain(i.min_cost),
                "minOrderInBaseAsset": plain(i.min_quantity),
                "orderTypes": list(KINDS),
            }
            for i in self.instruments()
        ]

    def _ticker(self, symbol: str) -> Row:
        top, last = self.venue.matching.market.top(symbol), plain(self.price(symbol))
        touch = {"bid": plain(top.bid or ZERO), "bidSize": "1", "ask": plain(top.ask or ZERO), "askSize": "1"}
        day = {"open": last, "high": last, "low": last, "last": last, "volume": "25", "volumeQuote": "1000"}
        return {"market": symbol.replace("/", "-"), **day, **touch, "timestamp": self.millis()}

    # ------------------------------------------------------------------------------------------------ the account

    def _balance(self) -> list[Row]:
        rows = [{"symbol": "EUR", "available": plain(self.cash), "inOrder": "0"}]
        for held in self.positions():
            used = plain(held.quantity - held.free)
            rows.append({"symbol": held.symbol.partition("/")[0], "available": plain(held.free), "inOrder": used})
        return rows

    def _order(self, ticket: VenueOrder) -> Row:
        told = self.told(ticket)
        open_word = "partiallyFilled" if told.filled else "awaitingTrigger" if told.trigger else "new"
        row = {
            "orderId": told.id,
            "market": told.symbol.replace("/", "-"),
            "created": self.millis(),
            "updated": self.millis(),
            "status": STATUSES.get(told.status, open_word),
            "side": told.side.value,
            "orderType": {v: k for k, v in KINDS.items()}[told.type],
            "amount": plain(told.quantity),
            "amountRemaining": plain(told.quantity - told.filled),
            "onHold": plain(told.remaining),
            "onHoldCurrency": told.symbol.partition("/")[0],
            "filledAmount": plain(told.filled),
            "filledAmountQuote": plain(told.filled * (told.average_price or ZERO)),
            "feePaid": "0",
            "feeCurrency": "EUR",
            "fills": [self._fill(f) for f in self.fills() if f.order_id == told.id],
            "timeInForce": ticket.tif.value.upper(),
        }
        row |= {"clientOrderId": told.client_id} if told.client_id else {}
        row |= {"price": plain(told.price)} if told.price else {}
        return row | ({"triggerPrice": plain(told.trigger), "triggerType": "price"} if told.trigger else {})

    def _fill(self, fill: Fill) -> Row:
        at = int(fill.at.timestamp() * 1000) if fill.at else 0
        amounts = {"amount": plain(fill.quantity), "price": plain(fill.price), "fee": plain(fill.fee)}
        return {"id": fill.trade_id, "timestamp": at, **amounts, "taker": True, "feeCurrency": "EUR", "settled": True}

    def _trades(self, query: Row) -> list[Row]:
        symbol, since = query["market"].replace("-", "/"), int(query.get("start", "0"))
        fills = [f for f in self.fills() if f.symbol == symbol]
        rows = [
            {**self._fill(f), "orderId": f.order_id, "market": query["market"], "side": f.side.value} for f in fills
        ]
        return [row for row in rows if row["timestamp"] >= since]

    def _one(self, query: Row) -> Row:
        ticket = self.find(query.get("clientOrderId"), query.get("orderId"))
        if ticket is None:
            raise No(*ERRORS[Refusal.UNKNOWN_ORDER], 404)
        return self._order(ticket)

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, body: Row) -> Row:
        name = body.get("clientOrderId", "")
        if "operatorId" not in body:
            raise No(203, "operatorId parameter is required.")
        if name and not UUID.fullmatch(name):
            raise No(205, "clientOrderId parameter is invalid.")
        if "amount" not in body:
            raise No(203, "amount parameter is required.")
        order = self.place(
            OrderRequest(
                account=self.venue.account.id,
                symbol=body["market"].replace("-", "/"),
                side=OrderSide(body["side"]),
                quantity=Decimal(body["amount"]),
                client_id=name,
                type=KINDS[body["orderType"]],
                tif=TimeInForce(body.get("timeInForce", "GTC").lower()),
                price=Decimal(body["price"]) if "price" in body else None,
                trigger=Decimal(body["triggerAmount"]) if "triggerAmount" in body else None,
            )
        )
        return self._order(self.venue.state.tickets[order.id])

    def _cancel(self, query: Row) -> Row:
        ticket = self.venue.state.find(query.get("clientOrderId"), query.get("orderId"))
        self.venue.cancel(ticket.order.id if ticket else "")
        return {"orderId": ticket.order.id if ticket else ""}


def spot(base: str, **more: Any) -> Row:
    rules = {"step": "0.00000001", "tick": "1", "min_quantity": "0.0001", "min_cost": "5"}
    return {"symbol": f"{base}/EUR", "kind": "spot", "quote": "EUR", **rules, **more}


BOOK: dict[str, Any] = {
    "instruments": [spot("BTC"), spot("ETH", tick="0.1", min_quantity="0.001")],
    "quotes": {
        "BTC/EUR": {"bid": "45000", "ask": "45001", "last": "45000"},
        "ETH/EUR": {"bid": "2200", "ask": "2200.1", "last": "2200"},
    },
    "positions": [
        {"symbol": "BTC/EUR", "side": "long", "quantity": "0.5", "entry": "40000"},
        {"symbol": "ETH/EUR", "side": "long", "quantity": "2"},
    ],
    "orders": [{"id": "h1", "symbol": "BTC/EUR", "side": "sell", "quantity": "0.1", "price": "60000"}],
}

"""Bybit's V5 REST API over the truth: signed requests, a code in every answer, orders that are only acknowledged.

Placing and cancelling answer with ids and nothing else. What was acknowledged can still be refused, which only a look
at the order tells. In hedge mode an order names its position by an index, spot orders say what their size is in.
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
from msgspec.structs import replace

from brokers.paper.state import would_reduce
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Leg, Order, OrderRequest, OrderSide, OrderStatus, OrderType, TimeInForce
from tests.venues.ccxt import bybit_bodies as bodies
from tests.venues.ccxt.bybit_account import BybitAccount, No
from tests.venues.ccxt.bybit_bodies import Row

HOST = "/api"  # the host's first label, which configuration puts before every path
AHEAD = 1000  # milliseconds that a timestamp may be ahead
NAME = re.compile(r"[A-Za-z0-9_-]{1,36}")
TIFS = {"": TimeInForce.GTC, "GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
LEGS = {index: leg for leg, index in bodies.INDEXES.items()}
NO_REDUCE = (110017, "current position is zero, cannot fix reduce-only order qty")
ERRORS = {
    Refusal.NO_POSITION: NO_REDUCE,
    Refusal.REDUCE_ONLY: NO_REDUCE,
    Refusal.DUPLICATE: (110072, "OrderLinkedID is duplicate"),
    Refusal.PRECISION: (10001, "Qty invalid"),
    Refusal.BELOW_MINIMUM: (110094, "Order does not meet minimum order value 5USDT"),
    Refusal.HALTED: (110074, "This contract is not live"),
    Refusal.UNKNOWN_ORDER: (110001, "order not exists or too late to cancel"),
    Refusal.HELD: (110007, "ab not enough for new order"),
}
SPOT_ERRORS = {
    Refusal.NO_POSITION: (170131, "Insufficient balance."),
    Refusal.HELD: (170131, "Insufficient balance."),
    Refusal.DUPLICATE: (170141, "Duplicate clientOrderId"),
    Refusal.PRECISION: (170137, "Order quantity has too many decimals."),
    Refusal.BELOW_MINIMUM: (170140, "Order value exceeded lower limit."),
    Refusal.UNKNOWN_ORDER: (170213, "Order does not exist."),
}
TOO_MUCH = (10001, "The number of contracts exceeds maximum limit allowed: too large")


class BybitRest(BybitAccount):
    """One unified account behind its keys. ``refuse_later``: why the next orders are refused, once acknowledged."""

    def __init__(self, venue: Venue, key: str, secret: str) -> None:
        super().__init__(venue)
        self.key_, self.secret = key, secret.encode()
        self.calls: list[tuple[str, Any]] = []  # of signed calls, and what each was given
        self.asked: list[str] = []  # the paths of the others
        self.violations: list[str] = []
        self.refuse_later: list[str] = []
        self.lies: list[int] = []  # codes that the next orders are answered with, although they are taken
        self.per_second = 1000  # orders that may be placed in a second; more are refused until the next begins
        self._second: tuple[int, int] = (0, 0)  # which it is, and how many were
        self.told_late: list[Order] = []  # refusals that no stream has told yet

    def add_to(self, app: web.Application) -> None:
        open_calls: dict[str, Callable[[Row], Row]] = {
            "/market/instruments-info": self.instruments,
            "/market/tickers": self.tickers,
            "/market/kline": self.candles,
            "/market/time": lambda _: self.time(),
        }
        reads: dict[str, Callable[[Row], Row]] = {
            "/user/query-api": lambda _: self.key(),
            "/account/info": lambda _: self.info(),
            "/account/wallet-balance": self.wallet,
            "/position/list": self.positions,
            "/order/realtime": self.open,
            "/order/history": self.ended,
            "/execution/list": self.executions,
        }
        acts: dict[str, Callable[[Row], Row]] = {"/order/create": self._create, "/order/cancel": self._cancel}
        for path, call in open_calls.items():
            app.router.add_get(f"{HOST}/v5{path}", self._public(call))
        for path, call in reads.items():
            app.router.add_get(f"{HOST}/v5{path}", self._signed(path, call))
        for path, call in acts.items():
            app.router.add_post(f"{HOST}/v5{path}", self._signed(path, call))

    # ------------------------------------------------------------------------------------------------------ the way in

    def _public(self, call: Callable[[Row], Row]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            self.asked.append(request.path)
            return self._answered(call, dict(request.query))

        return handler

    def _signed(self, path: str, call: Callable[[Row], Row]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            text = await request.text() if request.method == "POST" else request.raw_path.partition("?")[2]
            fault = self._forged(request, text)
            if fault is not None:
                return self._body(fault.code, str(fault), {})
            given = json.loads(text) if request.method == "POST" else dict(request.query)
            self.calls.append((f"{request.method} {path}", given))
            if path == "/order/create" and self._too_many():
                said = self._body(10006, "Too many visits!", {})
                said.headers["X-Bapi-Limit-Reset-Timestamp"] = str((self._second[0] + 1) * 1000)
                return said
            return self._answered(call, given)

        return handler

    def _forged(self, request: web.Request, text: str) -> No | None:
        head = request.headers
        stamp, window = head.get("X-BAPI-TIMESTAMP", "0"), head.get("X-BAPI-RECV-WINDOW", "5000")
        if head.get("X-BAPI-API-KEY") != self.key_:
            return No(10003, "API key is invalid.")
        wanted = hmac.new(self.secret, f"{stamp}{self.key_}{window}{text}".encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(head.get("X-BAPI-SIGN", ""), wanted):
            return No(10004, "error sign! please check your signature generation algorithm.")
        now = int(bodies.millis(self.now()))
        if not now - int(window) <= int(stamp) < now + AHEAD:
            return No(10002, f"invalid request, please check your server timestamp or recv_window param. {stamp} {now}")
        return None

    def _too_many(self) -> bool:
        second, count = int(self.now().timestamp()), self._second[1]
        self._second = second, 1 if second != self._second[0] else count + 1
        return self._second[1] > self.per_second

    def _answered(self, call: Callable[[Row], Row], given: Row) -> web.Response:
        self.venue.advance()
        try:
            return self._body(0, "OK", call(given))
        except No as no:
            return self._body(no.code, str(no), {})
        except Refused as refused:
            spot = SPOT_ERRORS if given.get("category") == "spot" else {}
            code, said = (spot | {}).get(refused.refusal) or ERRORS.get(refused.refusal, (10001, str(refused)))
            return self._body(*(TOO_MUCH if refused.code == "max_market" else (code, said)), {})

    def _body(self, code: int, said: str, result: Row) -> web.Response:
        stamp = int(bodies.millis(self.now()))
        return web.json_response({"retCode": code, "retMsg": said, "result": result, "retExtInfo": {}, "time": stamp})

    # ------------------------------------------------------------------------------------------------------ the orders

    def _create(self, given: Row) -> Row:
        request = self._request(given)
        if self.refuse_later:
            made = self._refused_later(request, self.refuse_later.pop(0))
        else:
            made = self.venue.place(request)
        if self.lies:
            raise No(self.lies.pop(0), "Server error")
        return {"orderId": self.number(made.id), "orderLinkId": made.client_id or ""}

    def _refused_later(self, request: OrderRequest, reason: str) -> Order:
        made = Order(
            account=request.account,
            symbol=request.symbol,
            id=f"late{len(self.late)}",
            side=request.side,
            quantity=request.quantity,
            status=OrderStatus.REJECTED,
            type=request.type,
            client_id=request.client_id,
            price=request.price,
            trigger=request.trigger,
            reduce_only=request.reduce_only,
            leg=request.leg,
        )
        self.late[made.id] = made, reason
        self.told_late.append(made)
        return made

    def _request(self, given: Row) -> OrderRequest:
        symbol, name = self.symbol(given), given.get("orderLinkId", "")
        if name and not NAME.fullmatch(name):
            raise No(10001, "params error: orderLinkId invalid")
        if any(order.client_id == name for order, _ in self.late.values()):
            raise Refused(Refusal.DUPLICATE, name)
        kind = self._kind(given, symbol)
        leg = self._leg(given, symbol)
        request = OrderRequest(
            account=self.venue.account.id,
            symbol=symbol,
            side=OrderSide(given["side"].lower()),
            quantity=Decimal(given["qty"]),
            client_id=name,
            type=kind,
            tif=TimeInForce.IOC if kind is OrderType.MARKET else TIFS[given.get("timeInForce", "")],
            price=Decimal(given["price"]) if kind is OrderType.LIMIT else None,
            trigger=Decimal(given["triggerPrice"]) if kind is OrderType.STOP else None,
            reduce_only=given.get("reduceOnly") is True and bodies.category(symbol) != "spot",
            leg=leg,
        )
        self._audited(request)
        return replace(request, reduce_only=request.reduce_only and leg is Leg.NET)

    def _kind(self, given: Row, symbol: str) -> OrderType:
        spot = bodies.category(symbol) == "spot"
        market = given["orderType"] == "Market"
        if market and spot and given.get("marketUnit") != "baseCoin":
            raise No(10001, "params error: this account sells and buys by coins only")
        if not given.get("triggerPrice"):
            return OrderType.MARKET if market else OrderType.LIMIT
        falls = given.get("triggerDirection") == (2 if given["side"] == "Sell" else 1)
        if not falls or (spot and given.get("orderFilter") != "tpslOrder"):
            raise No(110092, "expect Falling, but trigger_price > current")
        return OrderType.STOP

    def _leg(self, given: Row, symbol: str) -> Leg:
        """Hedge mode asks for an index of a linear contract, everything else takes 0."""
        leg = LEGS[given.get("positionIdx", 0)]
        if (self.venue.book.hedge and bodies.category(symbol) == "linear") is (leg is Leg.NET):
            raise No(10001, "position idx not match position mode")
        return leg

    def _audited(self, request: OrderRequest) -> None:
        """What an order of the program's must never be: one that could open a position, or sell more than is free."""
        held = self.venue.state.positions.get((request.symbol, request.leg))
        spot, reduces = bodies.category(request.symbol) == "spot", would_reduce(held, request.side)
        what = f"{request.side.value} {request.quantity} {request.symbol}"
        if not (reduces if spot else request.reduce_only):
            self.violations.append(f"an order to {what} could open a position")
        if not spot and not reduces:
            raise Refused(Refusal.REDUCE_ONLY, what)
        if spot and held is not None:
            listing = self.venue.matching.market.listing(request.symbol)
            if request.quantity > self.venue.state.free(held, listing.instrument):
                self.violations.append(f"an order to {what} is more than is free")

    def _cancel(self, given: Row) -> Row:
        """A spot order is known to a cancel of its own kind only."""
        known = [o for o in self._named(given) if bodies.category(o.symbol) == given["category"]]
        spot = given["category"] == "spot"
        wanted = given.get("orderFilter", "Order")
        of_kind = [o for o in known if not spot or (wanted == "tpslOrder") is (o.type is OrderType.STOP)]
        if not of_kind or of_kind[0].status.terminal:
            raise Refused(Refusal.UNKNOWN_ORDER, "order")
        self.venue.cancel(of_kind[0].id)
        return {"orderId": self.number(of_kind[0].id), "orderLinkId": of_kind[0].client_id or ""}

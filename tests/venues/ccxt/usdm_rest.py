"""Binance USD-M's REST API over the truth: signed queries, its filters, its codes, its two kinds of orders.

A market order takes no time in force, reduce-only no hedge mode, and conditional orders are shown and cancelled by
calls of their own only. A reduce-only order that together with those that rest is more than the position is refused
(-4118).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec.structs import replace

from brokers.paper import reads as reports
from brokers.paper.state import would_reduce
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Leg, Order, OrderRequest, OrderSide, OrderType, TimeInForce
from core.units import ZERO, floor_to
from tests.venues.ccxt import usdm_bodies as bodies
from tests.venues.ccxt.usdm_bodies import Row

ROOT = "/fapi/fapi"  # the host's first label, which configuration puts before every path
LEGS = {"BOTH": Leg.NET, "LONG": Leg.LONG, "SHORT": Leg.SHORT}
ERRORS = {
    Refusal.NO_POSITION: (-2022, "ReduceOnly Order is rejected."),
    Refusal.REDUCE_ONLY: (-2022, "ReduceOnly Order is rejected."),
    Refusal.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    Refusal.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Refusal.DUPLICATE: (-4116, "ClientOrderId is duplicated."),
    Refusal.PRECISION: (-1111, "Precision is over the maximum defined for this asset."),
    Refusal.BELOW_MINIMUM: (-4164, "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
    Refusal.UNSUPPORTED: (-1106, "Parameter 'timeInForce' sent when not required."),
    Refusal.HALTED: (-4140, "Invalid symbol status for opening position."),
}

UNSURE = "Unknown error, please check your request or try again later."  # the execution status is unknown


class No(Exception):
    """A refusal with Binance's code."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.body, self.status = {"code": code, "msg": text}, status


class UsdmRest:
    """One account. ``market_step`` are steps of market orders that are coarser than the symbol's.

    ``unsure`` is how many orders are carried out and answered with a 503 that does not know so, ``stubborn`` how many
    cancelled orders the user's bot places again at once; ``nameless`` drops our name of an order.
    """

    def __init__(self, venue: Venue, key: str, secret: str) -> None:
        self.venue, self.key, self.secret = venue, key, secret.encode()
        self.market_step: dict[str, Decimal] = {}
        self.unified_imprecise: set[str] = set()  # native symbols whose orders of ccxt's unified call are refused
        self.may_withdraw = False
        self.unsure = self.stubborn = 0
        self.nameless = False
        self.calls: list[tuple[str, Row]] = []
        self.violations: list[str] = []
        self._numbers: dict[str, int] = {}

    def add_to(self, app: web.Application) -> None:
        open_calls: dict[str, Callable[[Row], Any]] = {
            "/v1/exchangeInfo": self._info,
            "/v1/time": lambda _: {"serverTime": bodies.millis(self._now())},
            "/v1/ticker/24hr": lambda g: self._prices(g, bodies.ticker),
            "/v1/ticker/bookTicker": lambda g: self._prices(g, bodies.book_ticker),
            "/v1/premiumIndex": lambda g: self._prices(g, bodies.premium),
            "/v1/klines": self._candles,
        }
        signed: dict[tuple[str, str], Callable[[Row], Any]] = {
            ("GET", "/v2/positionRisk"): self._positions,
            ("GET", "/v3/positionRisk"): self._positions,
            ("GET", "/v2/account"): self._account,
            ("GET", "/v3/account"): self._account,
            ("GET", "/v2/balance"): lambda _: self._assets(),
            ("GET", "/v3/balance"): lambda _: self._assets(),
            ("GET", "/v1/positionSide/dual"): lambda _: {"dualSidePosition": self.venue.book.hedge},
            ("GET", "/v1/openOrders"): lambda g: self._open(g, conditional=False),
            ("GET", "/v1/openAlgoOrders"): lambda g: self._open(g, conditional=True),
            ("GET", "/v1/allOrders"): self._all,
            ("GET", "/v1/order"): lambda g: self._row(self._find(g, "orderId", "origClientOrderId", -2013)),
            ("GET", "/v1/algoOrder"): lambda g: self._algo(self._find(g, "algoId", "clientAlgoId", -2013)),
            ("GET", "/v1/userTrades"): self._trades,
            ("POST", "/v1/order"): self._place,
            ("POST", "/v1/algoOrder"): self._place_algo,
            ("DELETE", "/v1/order"): lambda g: self._cancel(self._find(g, "orderId", "origClientOrderId", -2011)),
            ("DELETE", "/v1/algoOrder"): lambda g: self._cancel(self._find(g, "algoId", "clientAlgoId", -2011)),
        }
        for path, call in open_calls.items():
            app.router.add_get(ROOT + path, self._public(call))
        for (method, path), call in signed.items():
            app.router.add_route(method, ROOT + path, self._signed(path, call))
        app.router.add_get("/api/sapi/v1/account/apiRestrictions", self._signed("apiRestrictions", self._restrictions))

    # ----------------------------------------------------------------------------------------------- the way in

    def _public(self, call: Callable[[Row], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            return self._answer(call, dict(request.query))

        return handler

    def _signed(self, path: str, call: Callable[[Row], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            text = request.query_string or await request.text()
            given = dict(parse_qsl(text, keep_blank_values=True))
            fault = self._forged(request, text, given)
            if fault is not None:
                return web.json_response(fault.body, status=fault.status)
            self.calls.append((f"{request.method} {path}", given))
            return self._answer(call, given)

        return handler

    def _forged(self, request: web.Request, text: str, given: Row) -> No | None:
        """The signature is over everything before it; the time must be within the window."""
        if request.headers.get("X-MBX-APIKEY") != self.key:
            return No(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        signed, _, signature = text.rpartition("&signature=")
        wanted = hmac.new(self.secret, signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, wanted):
            return No(-1022, "Signature for this request is not valid.")
        ahead = int(given.get("timestamp", "0")) - bodies.millis(self._now())
        if ahead > 1000 or -ahead > int(given.get("recvWindow", "5000")):
            return No(-1021, "Timestamp for this request is outside of the recvWindow.")
        return None

    def _answer(self, call: Callable[[Row], Any], given: Row) -> web.Response:
        self.venue.advance()
        try:
            return web.json_response(call(given))
        except Refused as refused:
            no = No(*ERRORS.get(refused.refusal, (-2010, str(refused))))
        except No as refusal:
            no = refusal
        return web.json_response(no.body, status=no.status)

    # ------------------------------------------------------------------------------------------------ the market

    def _now(self) -> datetime:
        return self.venue.matching.now()

    def symbol(self, native: str) -> str:
        for symbol in self.venue.matching.market.listings:
            if bodies.native(symbol) == native:
                return symbol
        raise No(-1121, "Invalid symbol.")

    def number(self, name: str) -> int:
        """Binance's id of an order or a trade of the truth."""
        return self._numbers.setdefault(name, 8_000_000_001 + len(self._numbers))

    def placed(self, order: Order) -> int:
        """Its id of an order in the matching engine: a conditional one that was triggered is another order there."""
        return self.number(f"{order.id} fired" if _fired(order) else order.id)

    def _info(self, given: Row) -> Row:
        listings = self.venue.matching.market.listings.values()
        rows = [bodies.symbol_info(x, self.market_step.get(bodies.native(x.instrument.symbol))) for x in listings]
        return {
            "timezone": "UTC",
            "serverTime": bodies.millis(self._now()),
            "rateLimits": [],
            "assets": [],
            "symbols": rows,
        }

    def _prices(self, given: Row, make: Callable[..., Row]) -> Any:
        tops = self.venue.matching.market.tops
        if "symbol" in given:
            symbol = self.symbol(given["symbol"])
            return make(symbol, tops[symbol], self._now())
        return [make(symbol, top, self._now()) for symbol, top in sorted(tops.items())]

    def _candles(self, given: Row) -> list[list[Any]]:
        top, now = self.venue.matching.market.top(self.symbol(given["symbol"])), bodies.millis(self._now())
        price, last = str(top.last or ZERO), now // 60_000 * 60_000
        times = [last - n * 60_000 for n in range(int(given.get("limit", "100")) - 1, -1, -1)]
        return [[t, price, price, price, price, "1", t + 59_999, price, 1, "1", price, "0"] for t in times]

    # ----------------------------------------------------------------------------------------------- the account

    def _restrictions(self, given: Row) -> Row:
        names = ("enableInternalTransfer", "permitsUniversalTransfer")
        return {"ipRestrict": True, "enableWithdrawals": self.may_withdraw, **dict.fromkeys(names, False)}

    def _positions(self, given: Row) -> list[Row]:
        tops, now = self.venue.matching.market.tops, self._now()
        held = reports.positions(self.venue)
        return [bodies.position(p, (t := tops.get(p.symbol)) and (t.mark or t.last), now) for p in held]

    def _assets(self) -> list[Row]:
        names = ("walletBalance", "marginBalance", "availableBalance", "crossWalletBalance", "balance")
        return [{"asset": "USDT", **dict.fromkeys(names, "10000"), "unrealizedProfit": "0", "updateTime": 0}]

    def _account(self, given: Row) -> Row:
        totals = dict.fromkeys(("totalWalletBalance", "totalMarginBalance", "availableBalance"), "10000")
        return {"canTrade": True, **totals, "assets": self._assets(), "positions": self._positions(given)}

    def _open(self, given: Row, *, conditional: bool) -> list[Row]:
        wanted = self.symbol(given["symbol"]) if "symbol" in given else None
        orders = [o for o in reports.open_orders(self.venue) if wanted in (None, o.symbol)]
        return [self._row(o) for o in orders if (o.type is OrderType.STOP) is conditional]

    def _all(self, given: Row) -> list[Row]:
        symbol = self.symbol(given["symbol"])
        told = [reports.report_order(self.venue, t.order) for t in self.venue.state.tickets.values()]
        return [self._row(o) for o in told if o.symbol == symbol and o.type is not OrderType.STOP]

    def _row(self, order: Order) -> Row:
        if order.type is OrderType.STOP:
            return self._algo(order)
        return bodies.order(replace(order, client_id=None) if _fired(order) else order, self.placed(order), self._now())

    def _algo(self, order: Order) -> Row:
        """It tells which order it became, and nothing of what that one traded."""
        became = self.placed(order) if _fired(order) else None
        return bodies.algo(order, self.number(order.id), self._now(), became)

    def _find(self, given: Row, number: str, name: str, code: int) -> Order:
        """An order by either id. One kind is unknown to the calls of the other, and one that fired is of both."""
        symbol = self.symbol(given["symbol"]) if "symbol" in given else None
        conditional = number == "algoId"
        for ticket in self.venue.state.tickets.values():
            order = ticket.order
            known = order.trigger is not None if conditional else order.type is not OrderType.STOP
            named = order.client_id is not None and (conditional or not _fired(order))
            same = str(self.number(order.id) if conditional else self.placed(order)) == given.get(number) or (
                named and order.client_id == given.get(name)
            )
            if same and symbol in (None, order.symbol) and known:
                told = reports.find(self.venue, order.symbol, None, order.id)
                if told is not None:
                    return told
        raise No(code, "Order does not exist." if code == -2013 else "Unknown order sent.")

    def _trades(self, given: Row) -> list[Row]:
        symbol, since = self.symbol(given["symbol"]), int(given.get("startTime", "0"))
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        fills = [f for f in self.venue.state.fills.values() if f.symbol == symbol and f.trade_id not in hidden]
        tickets = self.venue.state.tickets
        orders = [self.placed(tickets[f.order_id].order) if f.order_id in tickets else self.number("") for f in fills]
        rows = [bodies.trade(f, self.number(f.trade_id), n) for f, n in zip(fills, orders, strict=True)]
        return [row for row in rows if row["time"] >= since][: int(given.get("limit", "500"))]

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, given: Row) -> Row:
        kind = given.get("type")
        if kind not in ("MARKET", "LIMIT"):
            raise No(
                -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
            )
        if kind == "MARKET" and "timeInForce" in given:
            raise No(-1106, "Parameter 'timeInForce' sent when not required.")
        request = self._request(given, OrderType.MARKET if kind == "MARKET" else OrderType.LIMIT, "newClientOrderId")
        native = given["symbol"]
        coarse = self.market_step.get(native) if kind == "MARKET" else None
        unified = given.get("newOrderRespType") == "RESULT"  # what ccxt's unified call says and its raw one does not
        if (coarse is not None and floor_to(request.quantity, coarse) != request.quantity) or (
            unified and native in self.unified_imprecise
        ):
            raise No(-1111, "Precision is over the maximum defined for this asset.")
        told = self._row(self.venue.place(self._audited(request)))
        if self.unsure > 0:
            self.unsure -= 1
            raise No(-1000, UNSURE, 503)
        return told

    def _place_algo(self, given: Row) -> Row:
        if given.get("algoType") != "CONDITIONAL" or given.get("type") != "STOP_MARKET":
            raise No(-1102, "Mandatory parameter 'algoType' was not sent, was empty/null, or malformed.")
        return self._row(self.venue.place(self._audited(self._request(given, OrderType.STOP, "clientAlgoId"))))

    def _request(self, given: Row, kind: OrderType, name: str) -> OrderRequest:
        hedge, leg = self.venue.book.hedge, LEGS[given.get("positionSide", "BOTH")]
        if hedge is (leg is Leg.NET):
            raise No(-4061, "Order's position side does not match user's setting.")
        if hedge and "reduceOnly" in given:
            raise No(-1106, "Parameter 'reduceOnly' sent when not required.")
        return OrderRequest(
            account=self.venue.account.id,
            symbol=self.symbol(given["symbol"]),
            side=OrderSide(given["side"].lower()),
            quantity=Decimal(given["quantity"]),
            client_id="" if self.nameless else given.get(name, ""),
            type=kind,
            tif=TimeInForce(given.get("timeInForce", "IOC" if kind is OrderType.MARKET else "GTC").lower()),
            price=Decimal(given["price"]) if kind is OrderType.LIMIT else None,
            trigger=Decimal(given["triggerPrice"]) if kind is OrderType.STOP else None,
            reduce_only=given.get("reduceOnly") == "true",
            leg=leg,
        )

    def _audited(self, request: OrderRequest) -> OrderRequest:
        """What an order of the program's must never be; and what rests beside it."""
        held = self.venue.state.positions.get((request.symbol, request.leg))
        bound = request.reduce_only or (request.leg is not Leg.NET and would_reduce(held, request.side))
        if not bound:
            self.violations.append(f"{request.side.value} {request.quantity} {request.symbol} could open a position")
        if request.reduce_only and held is not None and would_reduce(held, request.side):
            resting = [t.order for t in self.venue.state.live_orders(request.symbol) if t.order.reduce_only]
            if sum((o.remaining for o in resting), request.quantity) > held.quantity:
                raise No(-4118, "ReduceOnly Order Failed. Please check your existing position and open orders.")
        return request

    def _cancel(self, order: Order) -> Row:
        self.venue.cancel(order.id)
        if self.stubborn > 0:
            self.stubborn -= 1
            self._again(order)
        told = self._row(reports.report_order(self.venue, self.venue.state.tickets[order.id].order))
        return (
            told
            if "orderId" in told
            else {"algoId": told["algoId"], "clientAlgoId": told["clientAlgoId"], "code": "200", "msg": "success"}
        )

    def _again(self, order: Order) -> None:
        """What the user's own bot does when its order is gone."""
        same = {name: getattr(order, name) for name in ("type", "tif", "price", "trigger", "reduce_only", "leg")}
        self.venue.place_by_hand(OrderRequest(order.account, order.symbol, order.side, order.quantity, "", **same))


def _fired(order: Order) -> bool:
    return order.trigger is not None and order.type is not OrderType.STOP

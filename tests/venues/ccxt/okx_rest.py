"""OKX's REST API over the truth: signed requests, answers with a code of their own for every row.

An order names the margin mode of its position (``tdMode``), and in hedge mode which one (``posSide``); conditional
orders are shown, found and cancelled by calls of their own only; the close call answers without an order's id; the
newest 100 executions of a time are told, not the first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokers.paper.state import would_reduce
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Leg, OrderRequest, OrderSide, OrderType, TimeInForce
from tests.venues.ccxt import okx_bodies as bodies
from tests.venues.ccxt.okx_account import NO_ORDER, No, OkxAccount
from tests.venues.ccxt.okx_bodies import Row

HOST = "/www"  # the host's first label, which configuration puts before every path
ROOT = "/api/v5"
WINDOW = 30.0  # seconds that a signature is good for
NAME = re.compile(r"[A-Za-z0-9]{1,32}")
WORDS = {
    "market": (OrderType.MARKET, TimeInForce.IOC),
    "optimal_limit_ioc": (OrderType.MARKET, TimeInForce.IOC),
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "fok": (OrderType.LIMIT, TimeInForce.FOK),
}
ERRORS = {
    Refusal.NO_POSITION: ("51169", "Order failed because you don't have any positions in this direction to reduce."),
    Refusal.REDUCE_ONLY: ("51169", "Order failed because you don't have any positions in this direction to reduce."),
    Refusal.UNKNOWN_SYMBOL: ("51001", "Instrument ID doesn't exist."),
    Refusal.DUPLICATE: ("51016", "Duplicated client order ID."),
    Refusal.PRECISION: ("51121", "Order count should be the integer multiples of the lot size."),
    Refusal.BELOW_MINIMUM: ("51020", "Your order should meet or exceed the minimum order amount."),
    Refusal.HELD: ("51008", "Order failed. Insufficient balance."),
    Refusal.HALTED: ("51022", "Instrument is suspended."),
    Refusal.UNKNOWN_ORDER: ("51400", "Cancellation failed as the order has been filled, canceled or does not exist."),
}
TOO_MUCH = ("51202", "Market order amount exceeds the maximum amount.")


class OkxRest(OkxAccount):
    """One account behind its keys."""

    def __init__(self, venue: Venue, key: str, secret: str, passphrase: str) -> None:
        super().__init__(venue)
        self.key, self.secret, self.passphrase = key, secret.encode(), passphrase
        self.calls: list[tuple[str, Any]] = []  # of signed calls, and what each was given
        self.violations: list[str] = []

    def add_to(self, app: web.Application) -> None:
        open_calls: dict[str, Callable[[Row], list[Any]]] = {
            "/public/instruments": self.instruments,
            "/public/time": lambda _: [{"ts": bodies.millis(self.now())}],
            "/market/tickers": self.tickers,
            "/market/ticker": self.tickers,
            "/market/candles": self.candles,
            "/market/history-candles": self.candles,
        }
        reads: dict[str, Callable[[Row], list[Any]]] = {
            "/account/config": lambda _: [self.config()],
            "/account/balance": lambda _: [self.balance()],
            "/account/positions": self.positions,
            "/trade/orders-pending": self.open,
            "/trade/orders-algo-pending": self.open_algos,
            "/trade/order": lambda g: [self.row(self.find(g, "ordId", "clOrdId", NO_ORDER))],
            "/trade/order-algo": lambda g: [self.algo(self.find(g, "algoId", "algoClOrdId", NO_ORDER))],
            "/trade/orders-history": self.ended,
            "/trade/fills": self.fills,
            "/trade/fills-history": self.fills,
        }
        acts: dict[str, Callable[[Row], Row]] = {
            "/trade/order": self._place,
            "/trade/batch-orders": self._place,
            "/trade/order-algo": self._place_algo,
            "/trade/cancel-order": lambda g: self._cancel(g, "ordId", "clOrdId"),
            "/trade/cancel-batch-orders": lambda g: self._cancel(g, "ordId", "clOrdId"),
            "/trade/cancel-algos": lambda g: self._cancel(g, "algoId", "algoClOrdId"),
            "/trade/close-position": self._close,
        }
        for path, call in open_calls.items():
            app.router.add_get(HOST + ROOT + path, self._public(call))
        for path, call in reads.items():
            app.router.add_get(HOST + ROOT + path, self._signed(path, call))
        for path, act in acts.items():
            app.router.add_post(HOST + ROOT + path, self._signed(path, act))

    # ----------------------------------------------------------------------------------------------- the way in

    def _public(self, call: Callable[[Row], list[Any]]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            return self._answered(call, dict(request.query))

        return handler

    def _signed(self, path: str, call: Callable[[Row], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            text = await request.text()
            fault = self._forged(request, text)
            if fault is not None:
                return web.json_response({"code": fault.code, "msg": str(fault), "data": []}, status=fault.status)
            given = json.loads(text) if text else dict(request.query)
            self.calls.append((f"{request.method} {path}", given))
            return self._answered(call, given) if request.method == "GET" else self._acted(call, given)

        return handler

    def _forged(self, request: web.Request, text: str) -> No | None:
        head = request.headers
        if head.get("OK-ACCESS-KEY") != self.key:
            return No("50111", "Invalid OK-ACCESS-KEY.", 401)
        if head.get("OK-ACCESS-PASSPHRASE") != self.passphrase:
            return No("50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', 401)
        stamp = head.get("OK-ACCESS-TIMESTAMP", "")
        if abs(datetime.fromisoformat(stamp).timestamp() - self.now().timestamp()) > WINDOW:
            return No("50102", "Timestamp request expired.", 401)
        signed = stamp + request.method + request.raw_path.removeprefix(HOST) + text
        wanted = base64.b64encode(hmac.new(self.secret, signed.encode(), hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(head.get("OK-ACCESS-SIGN", ""), wanted):
            return No("50113", "Invalid Sign.", 401)
        return None

    def _answered(self, call: Callable[[Row], list[Any]], given: Row) -> web.Response:
        self.venue.advance()
        try:
            return web.json_response({"code": "0", "msg": "", "data": call(given)})
        except No as no:
            return web.json_response({"code": no.code, "msg": str(no), "data": []})

    def _acted(self, act: Callable[[Row], Row], given: Any) -> web.Response:
        """One row for each that was asked for, and a code for all: 0 all done, 1 none, 2 some."""
        self.venue.advance()
        rows = [self._row_of(act, one) for one in (given if isinstance(given, list) else [given])]
        failed = sum(row["sCode"] != "0" for row in rows)
        code = "0" if not failed else "1" if failed == len(rows) else "2"
        return web.json_response({"code": code, "msg": "All operations failed" if code == "1" else "", "data": rows})

    def _row_of(self, act: Callable[[Row], Row], one: Row) -> Row:
        try:
            return {**act(one), "sCode": "0", "sMsg": ""}
        except Refused as refused:
            told = TOO_MUCH if refused.code == "max_market" else ERRORS.get(refused.refusal, ("51000", str(refused)))
            no = No(*told)
        except No as refusal:
            no = refusal
        return {"ordId": "", "clOrdId": one.get("clOrdId", ""), "tag": "", "sCode": no.code, "sMsg": str(no)}

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, given: Row) -> Row:
        word, spot = given.get("ordType", ""), ":" not in self.symbol(given["instId"])
        if word not in WORDS or (spot and word == "optimal_limit_ioc"):
            raise No("51000", "Parameter ordType error")
        if spot and word == "market" and given.get("tgtCcy") != "base_ccy" and given["side"] == "buy":
            raise No("51000", "Parameter tgtCcy error")
        made = self.venue.place(self._request(given, *WORDS[word], "clOrdId"))
        self.words[made.id] = word
        return {"ordId": self.number(made.id), "clOrdId": made.client_id or "", "tag": "", "ts": self._stamp()}

    def _place_algo(self, given: Row) -> Row:
        if given.get("ordType") != "conditional" or given.get("slOrdPx") != "-1":
            raise No("51000", "Parameter ordType error")
        made = self.venue.place(self._request(given, OrderType.STOP, TimeInForce.GTC, "algoClOrdId"))
        return {"algoId": self.number(made.id), "algoClOrdId": made.client_id or "", "clOrdId": "", "tag": ""}

    def _request(self, given: Row, kind: OrderType, tif: TimeInForce, name: str) -> OrderRequest:
        symbol, client_id = self.symbol(given["instId"], given.get("tdMode", "")), given.get(name, "")
        if client_id and not NAME.fullmatch(client_id):
            raise No("51000", f"Parameter {name} error")
        leg = self._leg(given, symbol)
        request = OrderRequest(
            account=self.venue.account.id,
            symbol=symbol,
            side=OrderSide(given["side"]),
            quantity=Decimal(given["sz"]),
            client_id=client_id,
            type=kind,
            tif=tif,
            price=Decimal(given["px"]) if kind is OrderType.LIMIT else None,
            trigger=Decimal(given["slTriggerPx"]) if kind is OrderType.STOP else None,
            reduce_only=leg is Leg.NET and ":" in symbol and str(given.get("reduceOnly", "")).lower() == "true",
            leg=leg,
        )
        return self._audited(request, given.get("tdMode", ""))

    def _leg(self, given: Row, symbol: str) -> Leg:
        """Hedge mode asks for a side, one-way mode takes none but ``net``."""
        leg = Leg(given.get("posSide") or "net")
        if ":" in symbol and self.venue.book.hedge is (leg is Leg.NET):
            raise No("51000", "Parameter posSide error")
        return leg if ":" in symbol else Leg.NET

    def _audited(self, request: OrderRequest, mode: str) -> OrderRequest:
        """What an order of the program's must never be, and what of a position is left to be closed."""
        held = self.venue.state.positions.get((request.symbol, request.leg))
        spot, reduces = ":" not in request.symbol, would_reduce(held, request.side)
        what = f"{request.side.value} {request.quantity} {request.symbol}"
        bound = reduces if spot else request.reduce_only or (request.leg is not Leg.NET and reduces)
        if not bound:
            self.violations.append(f"an order to {what} could open a position")
        if mode not in ("cash", "cross", "isolated") or (spot and mode != "cash"):
            raise No("51000", "Parameter tdMode error")
        if not spot and (mode != self.mode(request.symbol) or held is None or not reduces):
            raise No(*ERRORS[Refusal.REDUCE_ONLY])
        if not spot and held is not None and request.quantity > held.quantity:
            raise No(*ERRORS[Refusal.REDUCE_ONLY])
        if spot and held is not None and request.side is OrderSide.SELL:
            listing = self.venue.matching.market.listing(request.symbol)
            if request.quantity > self.venue.state.free(held, listing.instrument):
                self.violations.append(f"an order to {what} is more than is free")
        return request

    def _cancel(self, given: Row, number: str, name: str) -> Row:
        order = self.find(given, number, name, ERRORS[Refusal.UNKNOWN_ORDER])
        self.venue.cancel(order.id)
        return {number: self.number(order.id), name: order.client_id or "", "tag": "", "ts": self._stamp()}

    def _close(self, given: Row) -> Row:
        """All of a position at the market, if no order that closes it is open. No order's id is told."""
        symbol = self.symbol(given["instId"], given.get("mgnMode", ""))
        leg = self._leg(given, symbol)
        held = self.venue.state.positions.get((symbol, leg))
        if held is None or given.get("mgnMode") != self.mode(symbol):
            raise No("51023", "Position doesn't exist.")
        resting = [t for t in self.venue.state.closing(held) if t.order.type is not OrderType.STOP]
        if resting and str(given.get("autoCxl", "")).lower() != "true":
            raise No("51115", "Cancel all pending close-orders before liquidation.")
        request = OrderRequest(
            account=self.venue.account.id,
            symbol=symbol,
            side=held.side.closing,
            quantity=held.quantity,
            client_id=given.get("clOrdId", ""),
            reduce_only=leg is Leg.NET,
            leg=leg,
        )
        self.venue.place(request)
        return {"instId": given["instId"], "posSide": leg.value, "clOrdId": request.client_id, "tag": ""}

    def _stamp(self) -> str:
        return bodies.millis(self.now())

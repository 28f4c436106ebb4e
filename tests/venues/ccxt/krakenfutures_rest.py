"""Kraken Futures' REST API over the truth: signed queries without a time, and refusals in answers that went well.

``sendorder`` answers with a status and the events of the order. What it takes for a kind of order is case-sensitive,
an order that takes at once is ``ioc`` or ``mkt``, and a request can be carried out at any time unless it says until
when (``processBefore``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from brokers.paper.state import would_reduce
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Order, OrderRequest, OrderSide, OrderType, TimeInForce
from core.units import iso
from tests.venues.ccxt import krakenfutures_bodies as bodies
from tests.venues.ccxt.krakenfutures_account import KrakenFuturesAccount, No
from tests.venues.ccxt.krakenfutures_bodies import Row

HOST = "/futures"  # the host's first label, which configuration puts before every path
TRADING = HOST + "/derivatives/api/v3"
HISTORY = HOST + "/api/history/v2"
WORDS = {
    "mkt": (OrderType.MARKET, TimeInForce.IOC),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "fok": (OrderType.LIMIT, TimeInForce.FOK),
    "lmt": (OrderType.LIMIT, TimeInForce.GTC),
    "stp": (OrderType.STOP, TimeInForce.GTC),
}
STATUSES = {
    Refusal.NO_POSITION: "wouldNotReducePosition",
    Refusal.REDUCE_ONLY: "wouldNotReducePosition",
    Refusal.DUPLICATE: "clientOrderIdAlreadyExist",
    Refusal.PRECISION: "invalidSize",
    Refusal.BELOW_MINIMUM: "invalidSize",
    Refusal.HELD: "insufficientAvailableFunds",
    Refusal.HALTED: "marketSuspended",
}


class KrakenFuturesRest(KrakenFuturesAccount):
    """One account behind its keys. ``word`` is what the next order is answered with, instead of being placed."""

    def __init__(self, venue: Venue, key: str, secret: str) -> None:
        super().__init__(venue)
        self.key, self.secret = key, base64.b64decode(secret)
        self.calls: list[tuple[str, Row]] = []  # of signed calls, and what each was given
        self.violations: list[str] = []
        self.word = ""
        self.cancel_word = ""  # the same for the next cancel

    def add_to(self, app: web.Application) -> None:
        open_calls: dict[str, Callable[[Row], Row]] = {
            f"{TRADING}/instruments": self.instruments,
            f"{TRADING}/tickers": self.tickers,
            f"{TRADING}/tickers/{{symbol}}": self.ticker,
            f"{HOST}/api/charts/v1/trade/{{symbol}}/1m": self.candles,
        }
        reads: dict[str, Callable[[Row], Row]] = {
            f"{TRADING}/accounts": self.accounts,
            f"{TRADING}/openpositions": self.positions,
            f"{TRADING}/openorders": self.open_orders,
            f"{TRADING}/orders/status": self.status,
            f"{TRADING}/fills": self.fills,
            f"{HISTORY}/orders": self.history,
            f"{HISTORY}/triggers": lambda g: self.history(g, triggers=True),
        }
        acts: dict[str, Callable[[Row], Row]] = {
            f"{TRADING}/sendorder": lambda g: self._send({name: given[0] for name, given in g.items()}),
            f"{TRADING}/cancelorder": lambda g: self._cancel({name: given[0] for name, given in g.items()}),
        }
        for path, call in open_calls.items():
            app.router.add_get(path, self._public(call))
        for path, call in reads.items():
            app.router.add_get(path, self._signed(path, call))
        for path, act in acts.items():
            app.router.add_post(path, self._signed(path, act))

    # ----------------------------------------------------------------------------------------------- the way in

    def _public(self, call: Callable[[Row], Row]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            return self._answered(call, {**request.query, **request.match_info})

        return handler

    def _signed(self, path: str, call: Callable[[Row], Row]) -> Callable[[web.Request], Any]:
        """What is given may come more than once, so that each is a list."""
        endpoint = path.removeprefix(HOST).removeprefix("/derivatives")

        async def handler(request: web.Request) -> web.Response:
            text = request.rel_url.raw_query_string or await request.text()
            wanted = hashlib.sha256(f"{text}{endpoint}".encode()).digest()
            wanted = base64.b64encode(hmac.new(self.secret, wanted, hashlib.sha512).digest())
            signature = request.headers.get("Authent", "").encode()
            if request.headers.get("APIKey") != self.key or not hmac.compare_digest(signature, wanted):
                return self._no("authenticationError")
            given = parse_qs(text, keep_blank_values=True)
            self.calls.append((f"{request.method} {path.rpartition('/v')[2].partition('/')[2]}", given))
            return self._answered(call, given)

        return handler

    def _answered(self, call: Callable[[Row], Row], given: Row) -> web.Response:
        self.venue.advance()
        self.look()
        try:
            return web.json_response({"result": "success", **call(given), "serverTime": iso(self.now())})
        except No as no:
            return self._no(str(no))

    def _no(self, word: str) -> web.Response:
        """A call that is refused is answered with 200 as well."""
        return web.json_response({"result": "error", "error": word, "serverTime": iso(self.now())})

    # ------------------------------------------------------------------------------------------------- the orders

    def _send(self, given: Row) -> Row:
        if not {"orderType", "symbol", "side", "size"} <= given.keys():
            raise No("requiredArgumentMissing")
        if self.word:
            return self._refused(given, self.word)
        symbol, word = self.symbol(given["symbol"]), given["orderType"]
        if word.lower() != word:
            self.violations.append(f"an order of kind {word}, which would rest")
        if symbol is None or word not in WORDS:
            return self._refused(given, "marketInactive" if symbol is None else "invalidOrderType")
        if "processBefore" not in given:
            self.violations.append(f"an order of {symbol} that could be carried out at any time")
        elif datetime.fromisoformat(given["processBefore"]) < self.now():
            return self._refused(given, "wouldProcessAfterSpecifiedTime")
        if given.get("reduceOnly") != "true":
            self.violations.append(f"an order to {given['side']} {given['size']} {symbol} could open a position")
        return self._placed_as(given, self._request(given, symbol, *WORDS[word]))

    def _request(self, given: Row, symbol: str, kind: OrderType, tif: TimeInForce) -> OrderRequest:
        return OrderRequest(
            account=self.venue.account.id,
            symbol=symbol,
            side=OrderSide(given["side"]),
            quantity=Decimal(given["size"]),
            client_id=given.get("cliOrdId", ""),
            type=kind,
            tif=tif,
            price=Decimal(given["limitPrice"]) if kind is OrderType.LIMIT else None,
            trigger=Decimal(given["stopPrice"]) if kind is OrderType.STOP else None,
            reduce_only=given.get("reduceOnly") == "true",
        )

    def _placed_as(self, given: Row, request: OrderRequest) -> Row:
        held = self.venue.state.positions.get((request.symbol, request.leg))
        if request.reduce_only and not would_reduce(held, request.side):
            return self._refused(given, "wouldNotReducePosition")
        known = len(self.venue.state.fills)
        try:
            made = self.venue.place(request)
        except Refused as refused:
            if refused.code == "tick_size":
                return self._refused(given, "invalidPrice")
            return self._refused(given, STATUSES.get(refused.refusal, "maxPositionViolation"))
        order = self.venue.state.tickets[made.id].order
        self.look()
        fills = [f for f in list(self.venue.state.fills.values())[known:] if f.order_id == made.id]
        at_once = request.tif is not TimeInForce.GTC and request.type is not OrderType.STOP
        if at_once and not fills:
            return self._refused(given, "iocWouldNotExecute", order)
        events = bodies.executions(order, fills, self.now())
        if not at_once and not fills:
            events = [self._place_event(order)]
        return {"sendStatus": {"order_id": bodies.uid(made.id), "status": "placed", **self._received(given, events)}}

    def _place_event(self, order: Order) -> Row:
        if order.type is OrderType.STOP:
            return {"type": "PLACE", "orderTrigger": bodies.event_trigger(order, self.now())}
        return {"type": "PLACE", "order": bodies.event_order(order, order.filled, self.now()), "reducedQuantity": None}

    def _refused(self, given: Row, word: str, order: Order | None = None) -> Row:
        """Some refusals come with the order that was rejected, most with no event at all."""
        events: list[Row] = []
        numbered = {}
        if order is not None:
            numbered = {"order_id": bodies.uid(order.id)}
            told = bodies.event_order(order, order.filled, self.now())
            events = [{"type": "REJECT", "uid": told["orderId"], "order": told, "reason": "IOC_WOULD_NOT_EXECUTE"}]
        return {"sendStatus": {**numbered, "status": word, **self._received(given, events)}}

    def _received(self, given: Row, events: list[Row]) -> Row:
        name = {"cliOrdId": given["cliOrdId"]} if "cliOrdId" in given else {}
        return {**name, "receivedTime": iso(self.now()), "orderEvents": events}

    def _cancel(self, given: Row) -> Row:
        """One that has ended just now is known as such; of what ended before, nothing is."""
        found = next((o for o in self.known() if bodies.uid(o.id) == given.get("order_id")), None)
        word = self.cancel_word
        if not word and (found is None or found.status.terminal):
            word = "filled" if found is not None and found.filled == found.quantity else "notFound"
        if word:
            status = {"status": word, "order_id": given.get("order_id"), **self._received({}, [])}
            return {"cancelStatus": status}
        assert found is not None
        self.venue.cancel(found.id)
        self.look()
        event: Row = {"type": "CANCEL", "uid": bodies.uid(found.id)}
        if found.type is OrderType.STOP:
            event["orderTrigger"] = bodies.event_trigger(found, self.now())
        else:
            event["order"] = bodies.event_order(found, found.filled, self.now())
        received = self._received({}, [event])
        return {"cancelStatus": {"status": "cancelled", "order_id": bodies.uid(found.id), **received}}

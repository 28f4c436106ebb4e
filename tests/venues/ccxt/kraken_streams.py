"""Kraken's WebSocket v2 over the truth: tickers on one host, executions and balances with a token on the other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from aiohttp import WSMsgType, web

from core.events import FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.units import ZERO
from tests.venues.ccxt import kraken_bodies as bodies
from tests.venues.ccxt.kraken_bodies import Row
from tests.venues.ccxt.kraken_rest import KrakenRest
from tests.venues.ccxt.sockets import Sockets

STATUS: Row = {"system": "online", "api_version": "v2", "version": "2.0.10", "connection_id": 6447481662169813000}


@dataclass
class KrakenStreams(Sockets):
    """Its channels, and those of tickers with their symbols."""

    rest: KrakenRest
    subscriptions: int = 0
    _sequence: int = 0

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/ws/v2", self._serve)
        app.router.add_get("/ws-auth/v2", self._serve)
        self._tape = self.rest.venue.subscribe(lambda: None)

    def tell(self) -> None:
        """Say what has happened; the server's beat calls it."""
        while self._tape:
            event = self._tape.popleft()
            if isinstance(event, QuoteSeen):
                self.price(event.quote.symbol)
            elif isinstance(event, FillSeen):
                self._to("executions", self._rows("executions", bodies.ws_trade(event.fill)))
            elif isinstance(event, OrderSeen):
                self._to("executions", self._rows("executions", bodies.ws_order(event.order, self._now())))
            elif isinstance(event, PositionSeen) and not bodies.on_margin(event.key.symbol):
                base = bodies.split(event.key.symbol)[0]
                total = self.rest.balances().get(base, (ZERO, ZERO))[0]
                self._to("balances", self._rows("balances", bodies.ws_balance(base, total)))

    def price(self, symbol: str) -> None:
        """The present ticker to whoever subscribed it."""
        top = self.rest.venue.matching.market.top(symbol)
        self._to(f"ticker:{symbol}", bodies.ws_ticker(symbol, top, "update"))

    def beat(self) -> None:
        """A heartbeat on every connection with a subscription."""
        for socket, heard in self._heard.items():
            if heard:
                self._send(socket, {"channel": "heartbeat"})

    def _now(self) -> datetime:
        return self.rest.venue.matching.now()

    def _rows(self, channel: str, *rows: Row, kind: str = "update") -> Row:
        self._sequence += 1
        return {"channel": channel, "type": kind, "data": list(rows), "sequence": self._sequence}

    def _to(self, name: str, message: Row) -> None:
        for socket, heard in self._heard.items():
            if name in heard:
                self._send(socket, message)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._heard[socket] = set()
        self._send(socket, {"channel": "status", "type": "update", "data": [STATUS]})
        private = request.path.startswith("/ws-auth")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(socket, json.loads(message.data), private=private)
        finally:
            del self._heard[socket]
        return socket

    def _hear(self, socket: web.WebSocketResponse, said: Row, *, private: bool) -> None:
        params, answer = said.get("params", {}), {"method": said["method"], "req_id": said.get("req_id")}
        if said["method"] == "ping":
            self._send(socket, {**answer, "method": "pong"})
            return
        channel = params.get("channel", "")
        wrong = self._wrong(said["method"], channel, params, private=private)
        if wrong:
            self._send(socket, {**answer, "success": False, "error": wrong})
            return
        names = [f"ticker:{s}" for s in params["symbol"]] if channel == "ticker" else [channel]
        for name in names:
            one = {"channel": channel, **({"symbol": name[7:]} if channel == "ticker" else {})}
            self._send(socket, {**answer, "success": True, "result": {**one, "snapshot": True}})
            self._heard[socket].add(name)
            self.subscriptions += 1
            self._snapshot(socket, channel, name)

    def _wrong(self, method: str, channel: str, params: Row, *, private: bool) -> str:
        if method != "subscribe":
            return "Unsupported method"
        if channel == "ticker":
            known = self.rest.venue.matching.market.listings
            unknown = [s for s in params["symbol"] if s not in known]
            return f"Currency pair not supported {unknown[0]}" if unknown else ""
        if channel not in ("executions", "balances") or not private:
            return "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
        return "" if params.get("token") == self.rest.token else "ESession:Invalid session"

    def _snapshot(self, socket: web.WebSocketResponse, channel: str, name: str) -> None:
        state = self.rest.venue.state
        if channel == "ticker":
            top = self.rest.venue.matching.market.top(name[7:])
            self._send(socket, bodies.ws_ticker(name[7:], top, "snapshot"))
        elif channel == "balances":
            rows = [bodies.ws_balance(c, row[0]) for c, row in self.rest.balances().items()]
            self._send(socket, self._rows(channel, *rows, kind="snapshot"))
        else:
            rows = [bodies.ws_order(t.order, self._now(), t.tif) for t in state.live_orders()]
            self._send(socket, self._rows(channel, *rows, kind="snapshot"))

"""Bybit's WebSocket over the truth: prices on a public connection for each category, the account behind a login.

Tickers come as a snapshot and then as what has changed of it; those of spot have neither bid nor ask, and come whole.
The private topics tell what happens from their subscription on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from core.events import FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Position, PositionKey, Side
from core.units import ZERO
from tests.venues.ccxt import bybit_bodies as bodies
from tests.venues.ccxt.bybit_bodies import Row
from tests.venues.ccxt.bybit_rest import BybitRest
from tests.venues.ccxt.sockets import Sockets

PATH = "/stream/v5"  # the host's first label, which configuration puts before every path
MOST_COINS = 10  # topics of one subscription to spot
PRIVATE = ("order", "execution", "position", "wallet")


@dataclass
class BybitStreams(Sockets):
    """Its topics; public ones by category."""

    rest: BybitRest
    logins: int = 0
    _told: dict[tuple[web.WebSocketResponse, str], Row] = field(default_factory=dict)  # what a ticker said last
    _known: set[web.WebSocketResponse] = field(default_factory=set)  # logged in

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"{PATH}/private", self._serve)
        app.router.add_get(f"{PATH}/public/{{category}}", self._serve)
        self._tape = self.rest.venue.subscribe(lambda: None)

    @property
    def subscribed(self) -> bool:
        """Whether a connection is told all that happens."""
        return any({"order", "execution", "position"} <= heard for heard in self._heard.values())

    def tell(self) -> None:
        """Say what has happened; the server's beat calls it."""
        while self.rest.told_late:
            self._to("order", self.rest.row(self.rest.told_late.pop(0), streamed=True))
        while self._tape:
            event = self._tape.popleft()
            if isinstance(event, QuoteSeen):
                self._price(event.quote.symbol)
            elif isinstance(event, FillSeen):
                self._to("execution", self.rest.execution(event.fill, streamed=True))
            elif isinstance(event, OrderSeen):
                self._to("order", self.rest.row(event.order, streamed=True))
            elif isinstance(event, PositionSeen) and bodies.category(event.key.symbol) != "spot":
                self._to("position", self._held(event.key, event.position))

    def _held(self, key: PositionKey, held: Position | None) -> Row:
        """One that is closed comes once more, with nothing in it."""
        nothing = Position(key.account, key.symbol, Side.LONG, ZERO, ZERO, leg=key.leg)
        return self.rest.told(held or nothing, streamed=True)

    def _price(self, symbol: str) -> None:
        for socket, heard in list(self._heard.items()):
            for topic in (f"tickers.{bodies.native(symbol)}", f"orderbook.1.{bodies.native(symbol)}"):
                if f"{bodies.category(symbol)}:{topic}" in heard:
                    self._quote(socket, symbol, topic)

    def _quote(self, socket: web.WebSocketResponse, symbol: str, topic: str) -> None:
        """A first message is whole, each later one of a contract's ticker has what is new in it."""
        top, stamp = self.rest.venue.matching.market.top(symbol), int(bodies.millis(self.rest.now()))
        if topic.startswith("orderbook"):
            sides = {"b": [[bodies.text(top.bid), "10"]], "a": [[bodies.text(top.ask), "10"]]}
            book = {"s": bodies.native(symbol), **sides, "u": 18521288, "seq": 7961638724}
            self._send(socket, {"topic": topic, "type": "snapshot", "ts": stamp, "data": book, "cts": stamp})
            return
        row, spot = bodies.streamed(symbol, top), bodies.category(symbol) == "spot"
        before = None if spot else self._told.get((socket, topic))
        self._told[socket, topic] = row
        news = row if before is None else {k: v for k, v in row.items() if k == "symbol" or before.get(k) != v}
        kind = "snapshot" if before is None else "delta"
        self._send(socket, {"topic": topic, "type": kind, "data": news, "cs": 24987956059, "ts": stamp})

    def _to(self, topic: str, row: Row) -> None:
        stamp = int(bodies.millis(self.rest.now()))
        for socket, heard in self._heard.items():
            if topic in heard:
                self._send(socket, {"id": "5923240c6880ab", "topic": topic, "creationTime": stamp, "data": [row]})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._heard[socket] = set()
        category = request.match_info.get("category", "")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(socket, category, json.loads(message.data))
        finally:
            del self._heard[socket]
            self._known.discard(socket)
            self._told = {key: row for key, row in self._told.items() if key[0] is not socket}
        return socket

    def _hear(self, socket: web.WebSocketResponse, category: str, said: Row) -> None:
        number, op = said.get("req_id", ""), said["op"]
        if op == "ping":
            pong = {"success": True, "ret_msg": "pong", "op": "ping"} if category else {"op": "pong", "args": ["1"]}
            self._send(socket, {**pong, "req_id": number, "conn_id": "a4d3ae55"})
        elif op == "auth":
            self._log_in(socket, said["args"])
        elif op == "subscribe":
            private = [topic for topic in said["args"] if topic in PRIVATE]
            taken = not private if category else socket in self._known
            text = "" if taken else "Request not authorized"
            if category == "spot" and len(said["args"]) > MOST_COINS:
                taken, text = False, f"args size >{MOST_COINS}"
            answer = {"success": taken, "ret_msg": text, "op": op, "req_id": number, "conn_id": "a4d3ae55"}
            self._send(socket, answer)
            for topic in said["args"] if taken else ():
                self._heard[socket].add(f"{category}:{topic}" if category else topic)
                if category:
                    given = {"category": category, "symbol": topic.rpartition(".")[2]}
                    self._quote(socket, self.rest.symbol(given), topic)

    def _log_in(self, socket: web.WebSocketResponse, args: list[str]) -> None:
        key, until, sign = args
        wanted = hmac.new(self.rest.secret, f"GET/realtime{until}".encode(), hashlib.sha256).hexdigest()
        late = int(until) <= int(bodies.millis(self.rest.now()))
        taken = (key, sign) == (self.rest.key_, wanted) and not late
        if taken:
            self._known.add(socket)
            self.logins += 1
        text = "" if taken else "Params Error"
        self._send(socket, {"success": taken, "ret_msg": text, "op": "auth", "conn_id": "a4d3ae55"})

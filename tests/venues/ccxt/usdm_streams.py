"""Binance USD-M's WebSocket over the truth: touches and marks where they are subscribed, the account by a listen key.

A listen key is had and kept by REST and ends an hour after. The venue then says so once on the open connection and
nothing after it, and a connection that is dialled with a key that has ended is accepted and told nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp import WSMsgType, web

from brokers.paper.wire import TopOfBook
from core.events import FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Fill, Order, OrderType
from tests.venues.ccxt import usdm_events as events
from tests.venues.ccxt.sockets import Sockets
from tests.venues.ccxt.usdm_bodies import Row, native
from tests.venues.ccxt.usdm_rest import ROOT, UsdmRest

HOST = "/fstream"  # the host's first label, which configuration puts before every path
LIFE = timedelta(hours=1)  # of a listen key
EVERY = timedelta(seconds=1)  # between marks
NO_KEY = {"code": -1125, "msg": "This listenKey does not exist."}


@dataclass
class UsdmStreams(Sockets):
    """Its streams, of a private one the key; ``unsaid`` lets keys end without a word."""

    rest: UsdmRest
    unsaid: bool = False
    key: str = ""  # what is valid now
    keys: list[str] = field(default_factory=list)  # all that were given out
    prolonged: int = 0
    dialled: list[str] = field(default_factory=list)  # the keys of the private connections
    _until: datetime | None = None
    _marked: datetime | None = None
    _fills: dict[str, Fill] = field(default_factory=dict)  # executions whose order is told next

    def add_to(self, app: web.Application) -> None:
        for access in ("public", "market"):
            app.router.add_get(f"{HOST}/{access}/ws/{{nth}}", self._serve)
        app.router.add_get(f"{HOST}/private/ws", self._serve)
        for method in ("POST", "PUT", "DELETE"):
            app.router.add_route(method, f"{ROOT}/v1/listenKey", self._listen)
        self._tape = self.rest.venue.subscribe(lambda: None)

    def expire(self) -> None:
        """The listen key ends now."""
        if self.key and not self.unsaid:
            self._to(self.key, events.expired(self.key, self._now()))
        self.key = ""

    def tell(self) -> None:
        """Say what has happened; the server's beat calls it."""
        now = self._now()
        if self.key and self._until is not None and now > self._until:
            self.expire()
        while self._tape:
            event = self._tape.popleft()
            if isinstance(event, QuoteSeen):
                symbol = event.quote.symbol
                self._to(_stream(symbol, "bookTicker"), events.touch(symbol, self._top(symbol), now))
            elif isinstance(event, FillSeen):
                self._fills[event.fill.order_id] = event.fill
            elif isinstance(event, OrderSeen):
                self._order(event.order, self._fills.pop(event.order.id, None))
            elif isinstance(event, PositionSeen):
                self._to(self.key, events.account(event.key, event.position, now))
        if self._marked is None or now - self._marked >= EVERY:
            self._marked = now
            for symbol in self.rest.venue.matching.market.tops:
                self._to(_stream(symbol, "markPrice@1s"), events.mark(symbol, self._top(symbol), now))

    def _order(self, told: Order, fill: Fill | None) -> None:
        number, now = self.rest.placed(told), self._now()
        if told.type is OrderType.STOP:
            self._to(self.key, events.algo(told, number, now))
        if fill is not None:
            self._to(self.key, events.order(told, number, now, fill, self.rest.number(fill.trade_id)))
        elif told.type is not OrderType.STOP and told.status in events.EXECUTIONS:
            self._to(self.key, events.order(told, number, now))

    def _now(self) -> datetime:
        return self.rest.venue.matching.now()

    def _top(self, symbol: str) -> TopOfBook:
        return self.rest.venue.matching.market.top(symbol)

    def _to(self, name: str, message: Row) -> None:
        for socket, heard in self._heard.items():
            if name and name in heard:
                self._send(socket, message)

    async def _listen(self, request: web.Request) -> web.Response:
        """A key that is valid is given out again and prolonged; only the login's own key is asked for, no signature."""
        if request.headers.get("X-MBX-APIKEY") != self.rest.key:
            return web.json_response({"code": -2015, "msg": "Invalid API-key, IP, or permissions."}, status=401)
        if request.method != "POST" and not self.key:
            return web.json_response(NO_KEY, status=400)
        if request.method == "DELETE":
            self.key = ""
            return web.json_response({})
        self.prolonged += bool(self.key)
        if not self.key:
            self.key = f"pqia91ma19a5s61cv6a81va65sdf19v8a65a1{len(self.keys):03}"
            self.keys.append(self.key)
        self._until = self._now() + LIFE
        return web.json_response({"listenKey": self.key})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self._heard[socket] = set()
        if "private" in request.path:
            self.dialled.append(request.query.get("listenKey", ""))
            self._heard[socket].add(self.dialled[-1])
        try:
            async for message in socket:
                if message.type is WSMsgType.PING and not self.mute:
                    self._spawn(socket.pong(message.data))
                elif message.type is WSMsgType.TEXT:
                    self._hear(socket, json.loads(message.data), request.path.split("/")[2])
        finally:
            del self._heard[socket]
        return socket

    def _hear(self, socket: web.WebSocketResponse, said: Row, access: str) -> None:
        """A stream that belongs to another address is confirmed there like every other and never says anything."""
        own = {"public": "@bookTicker", "market": "@markPrice"}.get(access, "@nothing")
        if said["method"] == "SUBSCRIBE":
            self._heard[socket] |= {name for name in said["params"] if own in name}
        self._send(socket, {"result": None, "id": said["id"]})


def _stream(symbol: str, name: str) -> str:
    return f"{native(symbol).lower()}@{name}"

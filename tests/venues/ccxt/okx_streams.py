"""OKX's WebSocket over the truth: tickers and marks on the public connection, orders and positions behind a login on
the private one. Positions are told at once when they are subscribed, orders only when they change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from core.events import FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Fill, OrderType, Position, PositionKey, Side
from core.units import ZERO, plain
from tests.venues.ccxt import okx_bodies as bodies
from tests.venues.ccxt.okx_bodies import Row
from tests.venues.ccxt.okx_rest import WINDOW, OkxRest
from tests.venues.ccxt.sockets import Sockets

PATH = "/ws/ws/v5"  # the host's first label, which configuration puts before every path
PRIVATE = ("orders", "positions", "account", "orders-algo")


@dataclass
class OkxStreams(Sockets):
    """Its channels, and those of tickers with their instruments."""

    rest: OkxRest
    logins: int = 0
    _known: set[web.WebSocketResponse] = field(default_factory=set)  # logged in

    def add_to(self, app: web.Application) -> None:
        for access in ("public", "private", "business"):
            app.router.add_get(f"{PATH}/{access}", self._serve)
        self._tape = self.rest.venue.subscribe(lambda: None)

    def tell(self) -> None:
        """Say what has happened; the server's beat calls it."""
        while self._tape:
            event = self._tape.popleft()
            if isinstance(event, QuoteSeen):
                name = bodies.native(event.quote.symbol)
                self._to(f"tickers:{name}", *self.rest.tickers({"instId": name}))
                self._to(f"mark-price:{name}", *self.rest.marks({"instId": name}))
            elif isinstance(event, FillSeen):
                self._to("orders", self._traded(event.fill))
            elif isinstance(event, OrderSeen) and event.order.type is not OrderType.STOP:
                self._to("orders", self.rest.row(event.order))
            elif isinstance(event, PositionSeen) and ":" in event.key.symbol:
                self._to("positions", self._held(event.key, event.position))

    def _traded(self, fill: Fill) -> Row:
        """An order's row with its latest execution, whose fee is negative where it is paid."""
        made = self.rest.row(self.rest.venue.state.tickets[fill.order_id].order)
        told = bodies.fill(fill, self.rest.number(fill.trade_id), made["ordId"], made["clOrdId"])
        latest = {key: told[key] for key in ("tradeId", "fillPx", "fillSz", "execType", "fillTime")}
        return {**made, **latest, "fillFee": plain(-fill.fee), "fillFeeCcy": told["feeCcy"]}

    def _held(self, key: PositionKey, held: Position | None) -> Row:
        """One that is closed comes once more, with nothing in it."""
        return self.rest.told(held or Position(key.account, key.symbol, Side.LONG, ZERO, ZERO, leg=key.leg))

    def _to(self, name: str, *rows: Row) -> None:
        for socket, heard in self._heard.items():
            if name in heard:
                self._send(socket, {"arg": _arg(name), "data": list(rows)})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._heard[socket] = set()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and message.data == "ping":
                    self._send(socket, "pong")
                elif message.type is WSMsgType.TEXT:
                    self._hear(socket, json.loads(message.data))
        finally:
            del self._heard[socket]
            self._known.discard(socket)
        return socket

    def _hear(self, socket: web.WebSocketResponse, said: Row) -> None:
        if said["op"] == "login":
            self._log_in(socket, said["args"][0])
            return
        for arg in said["args"]:
            channel = arg["channel"]
            if channel in PRIVATE and socket not in self._known:
                self._send(socket, {"event": "error", "code": "60011", "msg": "Please log in", "connId": "a4d3ae55"})
                return
            name = f"{channel}:{arg['instId']}" if channel in ("tickers", "mark-price") else channel
            self._heard[socket].add(name)
            self._send(socket, {"event": "subscribe", "arg": arg, "connId": "a4d3ae55"})
            if channel == "tickers":
                self._to(name, *self.rest.tickers({"instId": arg["instId"]}))
            elif channel == "mark-price":
                self._to(name, *self.rest.marks({"instId": arg["instId"]}))
            elif channel == "positions":
                self._to(name, *self.rest.positions({}))

    def _log_in(self, socket: web.WebSocketResponse, given: Row) -> None:
        stamp = given["timestamp"]
        signed = f"{stamp}GET/users/self/verify".encode()
        wanted = base64.b64encode(hmac.new(self.rest.secret, signed, hashlib.sha256).digest()).decode()
        late = abs(float(stamp) - self.rest.now().timestamp()) > WINDOW
        right = (given["apiKey"], given["passphrase"], given["sign"]) == (self.rest.key, self.rest.passphrase, wanted)
        if late or not right:
            self._send(socket, {"event": "error", "code": "60009", "msg": "Login failed.", "connId": "a4d3ae55"})
            return
        self._known.add(socket)
        self.logins += 1
        self._send(socket, {"event": "login", "code": "0", "msg": "", "connId": "a4d3ae55"})


def _arg(name: str) -> Row:
    channel, _, native = name.partition(":")
    return {"channel": channel, "instId": native} if native else {"channel": channel, "instType": "ANY", "uid": "1"}

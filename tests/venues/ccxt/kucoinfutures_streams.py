"""KuCoin Futures' WebSocket over the truth: best bids and asks, and what becomes of orders, behind tokens.

A token is had by REST together with an address to dial, which is the venue's word and is given here as the real venue
gives it. A socket is dead to the venue without its own kind of ping.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from core.events import FillSeen, OrderSeen, QuoteSeen
from core.model import OrderStatus, OrderType
from tests.venues.ccxt import kucoinfutures_bodies as bodies
from tests.venues.ccxt.kucoinfutures_bodies import Row
from tests.venues.ccxt.kucoinfutures_rest import HOST, ROOT, KucoinFuturesRest
from tests.venues.ccxt.sockets import Sockets

TOLD = "wss://ws-api-futures.kucoin.com/"
PATH = "/ws-api-futures/"  # the told host's first label, which configuration puts before its path
TOUCH, ORDERS = "/contractMarket/tickerV2", "/contractMarket/tradeOrders"
WORDS = {OrderStatus.OPEN: "open", OrderStatus.FILLED: "filled"}


@dataclass
class KucoinFuturesStreams(Sockets):
    """Its topics, and those of touches with their symbols; ``expired`` are tokens that are over."""

    rest: KucoinFuturesRest
    tokens: list[str] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    dialled: list[str] = field(default_factory=list)  # the tokens of the connections

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(PATH, self._serve)
        app.router.add_post(HOST + ROOT + "/bullet-public", self._public)
        private = self.rest.signed("/bullet-private", lambda _: self._token("private"), HOST)
        app.router.add_post(HOST + ROOT + "/bullet-private", private)
        self._tape = self.rest.venue.subscribe(lambda: None)

    async def _public(self, request: web.Request) -> web.Response:
        return web.json_response({"code": "200000", "data": self._token("public")})

    def _token(self, kind: str) -> Row:
        self.tokens.append(f"{kind}-canary-of-a-token-{len(self.tokens)}")
        server = {"endpoint": TOLD, "encrypt": True, "protocol": "websocket"}
        return {
            "token": self.tokens[-1],
            "instanceServers": [{**server, "pingInterval": 18000, "pingTimeout": 10000}],
        }

    def tell(self) -> None:
        """Say what has happened; the server's beat calls it."""
        while self._tape:
            event = self._tape.popleft()
            if isinstance(event, QuoteSeen):
                name = bodies.native(event.quote.symbol)
                top = self.rest.venue.matching.market.top(event.quote.symbol)
                row = bodies.touch(event.quote.symbol, top, self.rest.now())
                self._to(f"{TOUCH}:{name}", "tickerV2", row)
            elif isinstance(event, FillSeen):
                made, told = event.fill, self.rest.venue.state.tickets[event.fill.order_id].order
                key, trade = self.rest.number(told.id), self.rest.number(made.trade_id)
                row = bodies.match(told, key, self.rest.mode(told.symbol), self.rest.now(), made, trade)
                self._to(ORDERS, "symbolOrderChange", row)
            elif isinstance(event, OrderSeen) and event.order.type is not OrderType.STOP:
                told = event.order
                if told.status is not OrderStatus.OPEN or not told.filled:  # else its execution told it
                    kind = WORDS.get(told.status, "canceled")
                    key, mode = self.rest.number(told.id), self.rest.mode(told.symbol)
                    self._to(ORDERS, "symbolOrderChange", bodies.change(told, key, mode, kind, self.rest.now()))

    def _to(self, topic: str, subject: str, row: Row) -> None:
        for socket, heard in self._heard.items():
            if topic in heard:
                self._send(socket, {"topic": topic, "type": "message", "subject": subject, "data": row})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        token = request.query.get("token", "")
        self.dialled.append(token)
        if token not in self.tokens or token in self.expired:
            await socket.send_json({"id": "1", "type": "error", "code": 401, "data": "token is expired"})
            await socket.close()
            return socket
        self._heard[socket] = set()
        self._send(socket, {"id": request.query.get("connectId", ""), "type": "welcome"})
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(socket, json.loads(message.data), token.partition("-")[0])
        finally:
            del self._heard[socket]
        return socket

    def _hear(self, socket: web.WebSocketResponse, said: Row, kind: str) -> None:
        if said["type"] == "ping":
            self._send(socket, {"id": said["id"], "type": "pong", "timestamp": 1})
            return
        topic, _, names = said["topic"].partition(":")
        known = topic == TOUCH or (topic == ORDERS and kind == "private" and said.get("privateChannel") is True)
        if said["type"] != "subscribe" or not known:
            self._send(socket, {"id": said["id"], "type": "error", "code": 404, "data": f"topic {topic} is not found"})
            return
        self._heard[socket] |= {f"{topic}:{name}" for name in names.split(",")} if names else {topic}
        self._send(socket, {"id": said["id"], "type": "ack"})

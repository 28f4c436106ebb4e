"""Kraken Futures' WebSocket over the truth: one connection, public feeds by product, private ones behind a challenge.

A challenge is a text that the key's owner signs; every private subscription brings both. Positions come as a list of
all that there are, each time something changes. An order that has ended comes with its id and a reason only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from brokers.paper import reads as reports
from core.events import FillSeen, OrderSeen, PositionSeen, QuoteSeen
from core.model import Fill, Order, OrderStatus, OrderType
from tests.venues.ccxt import krakenfutures_bodies as bodies
from tests.venues.ccxt.krakenfutures_bodies import Row
from tests.venues.ccxt.krakenfutures_rest import HOST, KrakenFuturesRest
from tests.venues.ccxt.sockets import Sockets

PRIVATE = ("open_orders", "open_orders_verbose", "open_positions", "fills", "balances")
PAGE = 100  # fills of a snapshot
CHALLENGE = "226aee50-88fc-4618-a42a-34f7709570b2"


@dataclass
class KrakenFuturesStreams(Sockets):
    """Its feeds, and those of products."""

    rest: KrakenFuturesRest
    challenged: int = 0
    _seq: int = 0

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"{HOST}/ws/v1", self._serve)
        self._tape = self.rest.venue.subscribe(lambda: None)

    def tell(self) -> None:
        """Say what has happened; the server's beat calls it."""
        self.rest.look()
        while self._tape:
            event = self._tape.popleft()
            if isinstance(event, QuoteSeen):
                self._prices(event.quote.symbol)
            elif isinstance(event, FillSeen):
                self._to("fills", {"feed": "fills", "username": "DemoUser", "fills": [self._fill(event.fill)]})
            elif isinstance(event, OrderSeen):
                self._order(event.order)
            elif isinstance(event, PositionSeen):
                self._to("open_positions", self._positions())

    def _prices(self, symbol: str, only: web.WebSocketResponse | None = None, feeds: tuple[str, ...] = ()) -> None:
        top = self.rest.venue.matching.market.tops.get(symbol)
        if top is None:
            return
        row = bodies.ticker(symbol, top, self.rest.now())
        for feed in feeds or ("ticker", "ticker_lite"):
            told = bodies.told_ticker(feed, row, self.rest.now())
            if only is not None:
                self._send(only, told)
            else:
                self._to(f"{feed}:{row['symbol']}", told)

    def _fill(self, made: Fill) -> Row:
        return bodies.told_fill(made, made.at or self.rest.now())

    def _order(self, told: Order) -> None:
        if told.status is OrderStatus.OPEN:
            reason = "partial_fill" if told.filled else "new_placed_order_by_user"
            order = bodies.told_order(told, self.rest.now())
            for feed in ("open_orders", "open_orders_verbose"):
                self._to(feed, {"feed": feed, "order": order, "is_cancel": False, "reason": reason})
        elif told.status.terminal and told.type is not OrderType.MARKET:
            reason = "full_fill" if told.status is OrderStatus.FILLED else "cancelled_by_user"
            name = {"cli_ord_id": told.client_id} if told.client_id else {}
            ended = {"order_id": bodies.uid(told.id), **name, "is_cancel": True, "reason": reason}
            for feed in ("open_orders", "open_orders_verbose"):
                self._to(feed, {"feed": feed, **ended})

    def _positions(self) -> Row:
        self._seq += 1
        tops = self.rest.venue.matching.market.tops
        marks = {s: top.mark or top.last for s, top in tops.items()}
        names = self.rest.isolated
        positions = reports.positions(self.rest.venue)
        held = [bodies.told_position(p, marks.get(p.symbol), bodies.native(p.symbol) in names) for p in positions]
        stamp = {"seq": self._seq, "timestamp": bodies.millis(self.rest.now())}
        return {"feed": "open_positions", "account": "DemoUser", "positions": held, **stamp}

    def _to(self, name: str, message: Row) -> None:
        for socket, heard in self._heard.items():
            if name in heard:
                self._send(socket, message)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self._heard[socket] = set()
        self._send(socket, {"event": "info", "version": 1})
        try:
            async for message in socket:
                if message.type is WSMsgType.PING and not self.mute:
                    self._spawn(socket.pong(message.data))
                elif message.type is WSMsgType.TEXT:
                    self._hear(socket, json.loads(message.data))
        finally:
            del self._heard[socket]
        return socket

    def _hear(self, socket: web.WebSocketResponse, said: Row) -> None:
        if said["event"] == "challenge":
            self.challenged += 1
            known = said["api_key"] == self.rest.key
            self._send(socket, {"event": "challenge", "message": CHALLENGE} if known else _alert("Invalid API key"))
        elif said["event"] == "subscribe" and said["feed"] in PRIVATE:
            self._subscribe(socket, said)
        elif said["event"] == "subscribe":
            names = said.get("product_ids") or []
            self._heard[socket] |= {f"{said['feed']}:{name}" for name in names}
            self._send(socket, {"event": "subscribed", "feed": said["feed"], "product_ids": names})
            for name in names:
                symbol = self.rest.symbol(name)
                if symbol is not None:
                    self._prices(symbol, socket, (said["feed"],))

    def _subscribe(self, socket: web.WebSocketResponse, said: Row) -> None:
        feed = said["feed"]
        digest = hashlib.sha256(said.get("original_challenge", "").encode()).digest()
        wanted = base64.b64encode(hmac.new(self.rest.secret, digest, hashlib.sha512).digest()).decode()
        given = (said.get("api_key"), said.get("original_challenge"), said.get("signed_challenge"))
        if given != (self.rest.key, CHALLENGE, wanted):
            self._send(socket, _alert("Failed to subscribe to authenticated feed"))
            return
        if feed in self._heard[socket]:
            self._send(socket, _alert("Already subscribed to feed, re-requesting"))
        self._heard[socket].add(feed)
        self._send(socket, {"event": "subscribed", "feed": feed})
        if feed == "open_positions":
            self._send(socket, self._positions())
        elif feed == "fills":
            rows = [self._fill(f) for f in self.rest.venue.state.fills.values()][-PAGE:]
            snapshot = [{k: v for k, v in row.items() if k != "cli_ord_id"} for row in rows]
            self._send(socket, {"feed": "fills_snapshot", "account": "DemoUser", "fills": snapshot})
        elif feed.startswith("open_orders"):
            rows = [bodies.told_order(o, self.rest.now()) for o in reports.open_orders(self.rest.venue)]
            self._send(socket, {"feed": f"{feed}_snapshot", "account": "DemoUser", "orders": rows})


def _alert(text: str) -> Row:
    return {"event": "alert", "message": text}

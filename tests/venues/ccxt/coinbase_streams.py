"""Coinbase Advanced's one WebSocket over the truth: ticker, ticker_batch, user and heartbeats, signed where private."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from core.events import OrderSeen, QuoteSeen
from tests.venues.ccxt import coinbase_bodies as bodies
from tests.venues.ccxt.coinbase_bodies import Row
from tests.venues.ccxt.coinbase_rest import CoinbaseRest
from tests.venues.ccxt.sockets import Sockets

TICKERS = ("ticker", "ticker_batch")


@dataclass
class CoinbaseStreams(Sockets):
    """Its channels, each with the product ids that were subscribed. One without a word for ``quiet`` seconds is closed
    without one, unless heartbeats keep it open."""

    rest: CoinbaseRest
    subscriptions: int = 0
    quiet: float = 75.0
    _told: dict[tuple[web.WebSocketResponse, str], float] = field(default_factory=dict)  # when each said something
    _heard: dict[web.WebSocketResponse, dict[str, set[str]]] = field(default_factory=dict, kw_only=True)
    _sequence: int = 0

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/advanced-trade-ws", self._serve)
        self._tape = self.rest.venue.subscribe(lambda: None)

    def tell(self) -> None:
        """Say what has happened; the server's beat calls it."""
        self._close_quiet()
        while self._tape:
            event = self._tape.popleft()
            if isinstance(event, QuoteSeen):
                self.price(event.quote.symbol)
            elif isinstance(event, OrderSeen):
                instrument = self.rest.venue.matching.market.listing(event.order.symbol).instrument
                row = bodies.ws_order(event.order, instrument, self.rest.now())
                self._to("user", bodies.product_id(instrument), {"type": "update", "orders": [row]})

    def price(self, symbol: str) -> None:
        """The present ticker to whoever subscribed it."""
        instrument = self.rest.venue.matching.market.listing(symbol).instrument
        for channel in TICKERS:
            row = self._ticker(channel, bodies.product_id(instrument))
            self._to(channel, bodies.product_id(instrument), {"type": "update", "tickers": [row]})

    def _close_quiet(self) -> None:
        now = self.rest.venue.matching.time
        for socket, heard in self._heard.items():
            for channel in [c for c in heard if now - self._told.get((socket, c), now) > self.quiet]:
                if "heartbeats" not in heard:
                    del heard[channel]

    def beat(self) -> None:
        self._to("heartbeats", "", {"current_time": bodies.iso(self.rest.now()), "heartbeat_counter": "1"})

    def _ticker(self, channel: str, product: str) -> Row:
        instrument = self.rest.listing(product).instrument
        top = self.rest.venue.matching.market.top(instrument.symbol)
        return bodies.ws_ticker(instrument, top, batch=channel == "ticker_batch")

    def _to(self, channel: str, product: str, event: Row) -> None:
        for socket, heard in self._heard.items():
            products = heard.get(channel)
            if products is not None and (not products or product in products or not product):
                self._event(socket, channel, event)

    def _event(self, socket: web.WebSocketResponse, channel: str, event: Row) -> None:
        self._sequence += 1
        self._told[socket, channel] = self.rest.venue.matching.time
        head = {"channel": channel, "client_id": "", "timestamp": bodies.iso(self.rest.now())}
        self._say(socket, {**head, "sequence_num": self._sequence, "events": [event]})

    def _say(self, socket: web.WebSocketResponse, message: Row) -> None:
        self._send(socket, message)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._heard[socket] = {}
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._hear(socket, json.loads(message.data))
        finally:
            del self._heard[socket]
            self._told = {key: at for key, at in self._told.items() if key[0] is not socket}
        return socket

    def _hear(self, socket: web.WebSocketResponse, said: Row) -> None:
        channel, products = said["channel"], said.get("product_ids", [])
        if channel == "user" and not self._signed(said):
            self._say(socket, {"type": "error", "message": "authentication failure"})
            return
        heard = self._heard[socket]
        if said["type"] == "unsubscribe":
            heard.pop(channel, None)
        else:
            heard.setdefault(channel, set()).update(products)
            self.subscriptions += 1
        names = {name: sorted(ids) or ["all"] for name, ids in heard.items()}
        self._event(socket, "subscriptions", {"subscriptions": names})
        if said["type"] == "subscribe":
            self._snapshot(socket, channel, products)

    def _signed(self, said: Row) -> bool:
        text = said.get("timestamp", "") + said["channel"] + ",".join(said.get("product_ids", []))
        return said.get("api_key") == self.rest.key and said.get("signature") == self.rest.sign(text)

    def _snapshot(self, socket: web.WebSocketResponse, channel: str, products: list[str]) -> None:
        if channel in TICKERS:
            rows = [self._ticker(channel, product) for product in products]
            self._event(socket, channel, {"type": "snapshot", "tickers": rows})
        elif channel == "user":
            listing, now = self.rest.venue.matching.market.listing, self.rest.now()
            live = self.rest.venue.state.live_orders()
            orders = [bodies.ws_order(t.order, listing(t.order.symbol).instrument, now) for t in live]
            self._event(socket, channel, {"type": "snapshot", "orders": orders})

"""The loopback venue's REST: Alpaca's paths over the truth, with whatever goes wrong on the way there and back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from tests.venues.alpaca import bodies
from tests.venues.alpaca.bodies import Paper
from tests.venues.alpaca.schema import Schema
from tests.venues.alpaca.truth import LIVE, No, Truth

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
EPOCH_WINDOW = 60


@dataclass
class Fault:
    """What happens to the next requests of a method whose path begins so. A ``?`` ends the path.

    ``do``: ``504`` and other numbers answer with that status, ``drop`` ends the connection, ``hang`` never answers,
    ``empty`` and ``garbage`` answer 200 with that. ``acts`` is whether the request was carried out before.
    """

    method: str
    path: str
    do: str
    acts: bool = False
    times: int = 1
    body: str = ""


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int = 0


@dataclass
class Rest:
    """Handlers, faults and the audit."""

    truth: Truth
    key: str
    secret: str
    schema: Schema | None
    faults: list[Fault] = field(default_factory=list)
    audit: list[Asked] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    revoked: bool = False
    _times: deque[float] = field(default_factory=deque)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._middle])
        app.router.add_get("/v2/account", self._account)
        app.router.add_get("/v2/account/activities/FILL", self._activities)
        app.router.add_get("/v2/positions", self._positions)
        app.router.add_delete("/v2/positions/{name}", self._close)
        app.router.add_get("/v2/orders", self._orders)
        app.router.add_post("/v2/orders", self._submit)
        app.router.add_get("/v2/orders:by_client_order_id", self._by_client_id)
        app.router.add_get("/v2/orders/{id}", self._order)
        app.router.add_delete("/v2/orders/{id}", self._cancel)
        app.router.add_get("/v2/clock", self._clock)
        app.router.add_get("/v2/calendar", self._calendar)
        app.router.add_get("/v2/assets", self._assets)
        app.router.add_get("/v2/assets/{symbol}", self._asset)
        for path in ("stocks/quotes/latest", "options/quotes/latest", "crypto/us/latest/quotes"):
            version = "v2" if path.startswith("stocks") else "v1beta3" if path.startswith("crypto") else "v1beta1"
            app.router.add_get(f"/{version}/{path}", self._quotes)
        for path in ("/v2/stocks/bars", "/v1beta3/crypto/us/bars"):
            app.router.add_get(path, self._bars)
        return app

    def sent(self, method: str, path: str = "/v2/") -> list[Asked]:
        """Requests of a method whose path begins so."""
        return [a for a in self.audit if a.method == method and a.path.startswith(path)]

    # ----------------------------------------------------------------------------------------- before and after

    @web.middleware
    async def _middle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await handler(request)
        body = await request.json() if request.can_read_body else None
        asked = Asked(request.method, request.path, dict(request.query), body)
        self.audit.append(asked)
        self.truth.advance()
        fault = self._fault(request)
        answer = self._barred(request)
        if answer is None and (fault is None or fault.acts):
            answer = await self._handled(request, handler)
        if fault is not None:
            answer = await self._strike(request, fault)
        assert answer is not None
        asked.status = answer.status
        self._count(answer)
        return answer

    async def _handled(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except No as no:
            return web.json_response(no.body, status=no.status)
        except web.HTTPNotFound:
            return web.json_response({"message": "endpoint not found"}, status=404)

    def _fault(self, request: web.Request) -> Fault | None:
        path = f"{request.path}?"
        for fault in self.faults:
            if fault.times > 0 and fault.method == request.method and path.startswith(fault.path):
                fault.times -= 1
                return fault
        return None

    async def _strike(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.do == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=499)
        if fault.do == "hang":
            await asyncio.sleep(3600)
        if fault.do in ("empty", "garbage"):
            return web.Response(text="" if fault.do == "empty" else "<html>", status=200)
        text = fault.body or '{"message": "gateway time-out"}'
        return web.Response(text=text, status=int(fault.do), content_type="application/json")

    def _barred(self, request: web.Request) -> web.Response | None:
        """Credentials first, then the limit."""
        given = request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY")
        if given != (self.key, self.secret) or self.revoked:
            return web.json_response({"code": 40110000, "message": "request is not authorized"}, status=401)
        now = self.truth.clock.monotonic()
        while self._times and self._times[0] <= now - EPOCH_WINDOW:
            self._times.popleft()
        if len(self._times) >= self.truth.manners.limit:
            return web.json_response({"code": 42910000, "message": "rate limit exceeded"}, status=429)
        self._times.append(now)
        return None

    def _count(self, answer: web.StreamResponse) -> None:
        now = self.truth.clock.now()
        first = self._times[0] if self._times else self.truth.clock.monotonic()
        reset = now.timestamp() + max(0.0, first + EPOCH_WINDOW - self.truth.clock.monotonic())
        answer.headers["Date"] = format_datetime(now, usegmt=True)
        answer.headers["X-RateLimit-Limit"] = str(self.truth.manners.limit)
        answer.headers["X-RateLimit-Remaining"] = str(self.truth.manners.limit - len(self._times))
        answer.headers["X-RateLimit-Reset"] = str(int(reset) + 1)

    def _checked(self, name: str, body: Any) -> web.Response:
        if self.schema is not None:
            rows = body if isinstance(body, list) else [body]
            known = [row for row in rows if "odd" not in row]
            self.mismatches += [fault for row in known for fault in self.schema.faults(name, row)]
        return web.json_response(body)

    # ------------------------------------------------------------------------------------------------ handlers

    async def _account(self, request: web.Request) -> web.Response:
        truth = self.truth
        row = bodies.account(truth.status, truth.blocked, truth.equity, truth.buying_power)
        return self._checked("Account", row)

    async def _positions(self, request: web.Request) -> web.Response:
        return self._checked("Position", self.truth.positions())

    async def _close(self, request: web.Request) -> web.Response:
        quantity = request.query.get("qty")
        order = self.truth.close(request.match_info["name"], None if quantity is None else Decimal(quantity))
        return self._checked("Order", bodies.order(order))

    async def _orders(self, request: web.Request) -> web.Response:
        query = request.query
        status, limit = query.get("status", "open"), min(int(query.get("limit", "50")), 500)
        found = [o for o in self.truth.orders.values() if self.truth.shown(o) and _is(o, status) and _within(o, query)]
        found.sort(key=lambda o: o.submitted_at, reverse=query.get("direction", "desc") == "desc")
        if query.get("nested") == "true":
            found = [o for o in found if not o.parent]
        return self._checked("Order", [self._nested(o) for o in found[:limit]])

    def _nested(self, order: Paper) -> dict[str, Any]:
        return bodies.order(order, [bodies.order(o) for o in self.truth.orders.values() if o.parent == order.id])

    async def _submit(self, request: web.Request) -> web.Response:
        return self._checked("Order", bodies.order(self.truth.submit(await request.json())))

    async def _order(self, request: web.Request) -> web.Response:
        order = self.truth.orders.get(request.match_info["id"])
        if order is None or not self.truth.shown(order):
            raise No(404, 40410000, f"order not found for {request.match_info['id']}")
        return self._checked("Order", self._nested(order))

    async def _by_client_id(self, request: web.Request) -> web.Response:
        name = request.query["client_order_id"]
        order = next((o for o in self.truth.orders.values() if o.client_id == name), None)
        if order is None or not self.truth.shown(order):
            raise No(404, 40410000, f"order not found for {name}")
        return self._checked("Order", bodies.order(order))

    async def _cancel(self, request: web.Request) -> web.Response:
        self.truth.cancel(request.match_info["id"])
        return web.Response(status=204)

    async def _clock(self, request: web.Request) -> web.Response:
        return self._checked("Clock", self.truth.clock_row())

    async def _calendar(self, request: web.Request) -> web.Response:
        if self.truth.manners.calendar is None:
            raise web.HTTPNotFound
        query = request.query
        rows = [row for row in self.truth.manners.calendar if query["start"] <= row["date"] <= query["end"]]
        return web.json_response(rows)

    async def _activities(self, request: web.Request) -> web.Response:
        if self.truth.manners.no_activities:
            raise web.HTTPNotFound
        size, token = int(request.query.get("page_size", "100")), request.query.get("page_token")
        rows = [r for r in self.truth.executions if r["transaction_time"] > request.query.get("after", "")]
        names = [r["id"] for r in rows]
        start = names.index(token) + 1 if token in names else 0
        return web.json_response(rows[start : start + size])

    async def _assets(self, request: web.Request) -> web.Response:
        if self.truth.manners.no_assets:
            raise web.HTTPNotFound
        symbols = {"BTC/USD", "ETH/BTC"} | {h.symbol for h in self.truth.holdings.values()}
        crypto = request.query.get("asset_class") == "crypto"
        found = sorted(s for s in symbols if ("/" in s) == crypto and not bodies.is_option(s))
        return web.json_response([bodies.asset(s, s not in self.truth.untradable) for s in found])

    async def _asset(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        if self.truth.manners.no_assets or symbol not in self.truth.prices:
            raise No(404, 40410000, f"asset not found for {symbol}")
        return web.json_response(bodies.asset(symbol, symbol not in self.truth.untradable))

    async def _quotes(self, request: web.Request) -> web.Response:
        if self.truth.manners.no_prices:
            raise No(403, None, "subscription does not permit querying recent SIP data")
        prices = {s: self.truth.prices.get(s) for s in request.query["symbols"].split(",")}
        rows = {s: quote(p) for s, p in prices.items() if p is not None}
        return web.json_response({"quotes": rows})

    async def _bars(self, request: web.Request) -> web.Response:
        """One symbol's, a page at a time; without a start only those of the day so far."""
        query = request.query
        if self.truth.manners.no_prices or query["timeframe"] != "1Min":
            raise No(403, None, "subscription does not permit querying recent SIP data")
        symbol, day = query["symbols"], f"{self.truth.clock.now():%Y-%m-%dT00:00:00Z}"
        rows = [row for row in self.truth.bars.get(symbol, []) if row["t"] >= query.get("start", day)]
        if query.get("sort") == "desc":
            rows.reverse()
        start = int(query.get("page_token", "0"))
        end = start + min(int(query.get("limit", "1000")), self.truth.manners.page)
        token = str(end) if end < len(rows) else None
        return web.json_response({"bars": {symbol: rows[start:end]}, "next_page_token": token})


def quote(price: tuple[Decimal, Decimal]) -> dict[str, Any]:
    """Numbers, not text: that is how the data hosts write them."""
    return {"bp": float(price[0]), "bs": 1, "ap": float(price[1]), "as": 1, "t": "2026-02-03T16:21:00.123456789Z"}


def _is(order: Paper, status: str) -> bool:
    return status == "all" or (order.status in LIVE) == (status == "open")


def _within(order: Paper, query: Any) -> bool:
    after = query.get("after")
    return after is None or order.submitted_at > datetime.fromisoformat(after.replace("Z", "+00:00"))

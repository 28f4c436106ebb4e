"""Kraken spot's REST API over the truth: signatures and nonces checked, HTTP 200 with ``error: [...]`` as in life.

What it takes is in Kraken's own words: ``timeinforce`` GTC, IOC or GTD; ``cl_ord_id`` a UUID or up to 18 characters,
unique among open orders only; ``deadline`` at most a minute away; ``CancelAll`` cancels the whole account.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from brokers.paper import reads as reports
from brokers.paper.state import VenueOrder, would_reduce
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Fill, Kind, Order, OrderRequest, OrderSide, OrderType, Position, TimeInForce
from core.units import ZERO
from tests.venues.ccxt import kraken_bodies as bodies
from tests.venues.ccxt.kraken_bodies import Row

PAGE = 50
CLIENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[!-~]{1,18}")
TYPES = {"market": OrderType.MARKET, "limit": OrderType.LIMIT, "stop-loss": OrderType.STOP}
TIFS = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "GTD": TimeInForce.GTC}
ERRORS = {
    Refusal.NO_POSITION: "EOrder:Insufficient funds",
    Refusal.HELD: "EOrder:Insufficient funds",
    Refusal.REDUCE_ONLY: "EOrder:Reduce only:No position exists",
    Refusal.UNSUPPORTED: "EGeneral:Invalid arguments:timeinforce",
    Refusal.RATE_LIMITED: "EOrder:Rate limit exceeded",
    Refusal.BANNED: "EGeneral:Temporary lockout",
    Refusal.MARKET_CLOSED: "EService:Market in cancel_only mode",
    Refusal.HALTED: "EService:Market in cancel_only mode",
    Refusal.AUTH: "EAPI:Invalid key",
    Refusal.CLOCK: "EAPI:Invalid nonce",
    Refusal.UNKNOWN_SYMBOL: "EQuery:Unknown asset pair",
    Refusal.UNKNOWN_ORDER: "EOrder:Unknown order",
    Refusal.DUPLICATE: "EGeneral:Invalid arguments:cl_ord_id",
    Refusal.OTHER: "EOrder:Invalid order",
}
CODED = {
    "min_quantity": "EOrder:Order minimum not met",
    "min_cost": "EOrder:Cost minimum not met",
    "tick_size": "EOrder:Invalid price:Invalid price argument",
    "lot_size": "EGeneral:Invalid arguments:volume",
    "precision": "EGeneral:Invalid arguments:volume",
}


class No(Exception):
    """A refusal in Kraken's words."""


class KrakenRest:
    """One account. ``cash`` and ``staked`` are balances beside the positions; ``violations`` must stay empty."""

    def __init__(self, venue: Venue, key: str, secret: str) -> None:
        self.venue, self.key, self.secret = venue, key, base64.b64decode(secret)
        self.cash = {"USD": Decimal("10000")}
        self.staked: dict[str, Decimal] = {}
        self.token = "loopback-token"  # of streams
        self.calls: list[tuple[str, Row]] = []
        self.violations: list[str] = []
        self._nonce = 0
        self._public: dict[str, Callable[[Row], Any]] = {
            "Time": lambda _: {"unixtime": int(self._now().timestamp()), "rfc1123": ""},
            "SystemStatus": lambda _: {"status": "online", "timestamp": bodies.iso(self._now())},
            "Assets": lambda _: {bodies.code(c): bodies.asset(c) for c in sorted(self._currencies())},
            "AssetPairs": lambda _: {bodies.pair_id(s): bodies.pair(x) for s, x in self._listings().items()},
            "Ticker": self._ticker,
            "OHLC": self._candles,
        }
        self._private: dict[str, Callable[[Row], Any]] = {
            "BalanceEx": lambda _: {bodies.code(c): bodies.balance(*row) for c, row in self.balances().items()},
            "Balance": lambda _: {bodies.code(c): f"{row[0]:.10f}" for c, row in self.balances().items()},
            "OpenPositions": lambda _: [bodies.position(p) for p in self._held(margin=True)],
            "OpenOrders": self._open,
            "ClosedOrders": self._closed,
            "QueryOrders": self._query,
            "TradesHistory": self._trades,
            "QueryTrades": self._query_trades,
            "AddOrder": self._add,
            "CancelOrder": self._cancel,
            "CancelAll": self._cancel_all,
            "GetWebSocketsToken": lambda _: {"token": self.token, "expires": 900},
        }

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/0/public/{call}", self.public)
        app.router.add_post("/api/0/private/{call}", self.private)

    # ----------------------------------------------------------------------------------------------- the way in

    async def public(self, request: web.Request) -> web.Response:
        return self._answer(self._public.get(request.match_info["call"]), dict(request.query))

    async def private(self, request: web.Request) -> web.Response:
        text = await request.text()
        given = dict(parse_qsl(text, keep_blank_values=True))
        fault = self._forged(request, text, given)
        if fault:
            return web.json_response({"error": [fault]})
        self.calls.append((request.match_info["call"], given))
        return self._answer(self._private.get(request.match_info["call"]), given)

    def _forged(self, request: web.Request, text: str, given: Row) -> str:
        """Why it is not the account's: ``API-Sign`` is over the path and the digest of nonce and body."""
        nonce = given.get("nonce", "")
        path = request.path.removeprefix("/api")
        digest = hashlib.sha256((nonce + text).encode()).digest()
        wanted = hmac.new(self.secret, path.encode() + digest, hashlib.sha512).digest()
        try:
            signed = base64.b64decode(request.headers.get("API-Sign", ""), validate=True)
        except binascii.Error:
            signed = b""
        if request.headers.get("API-Key") != self.key:
            return "EAPI:Invalid key"
        if not hmac.compare_digest(signed, wanted):
            return "EAPI:Invalid signature"
        if not nonce.isdigit() or int(nonce) <= self._nonce:
            return "EAPI:Invalid nonce"
        self._nonce = int(nonce)
        return ""

    def _answer(self, call: Callable[[Row], Any] | None, given: Row) -> web.Response:
        self.venue.advance()
        if call is None:
            return web.json_response({"error": ["EGeneral:Unknown method"]})
        try:
            return web.json_response({"error": [], "result": call(given)})
        except Refused as refused:
            return web.json_response({"error": [CODED.get(refused.code) or ERRORS[refused.refusal]]})
        except No as no:
            return web.json_response({"error": [str(no)]})

    # ------------------------------------------------------------------------------------------------ the market

    def _now(self) -> datetime:
        return self.venue.matching.now()

    def _listings(self) -> dict[str, Any]:
        return {s: x for s, x in sorted(self.venue.matching.market.listings.items()) if x.instrument.kind is Kind.SPOT}

    def _currencies(self) -> set[str]:
        return (
            {part for symbol in self._listings() for part in bodies.split(symbol)} | set(self.cash) | set(self.staked)
        )

    def symbol(self, pair: str) -> str:
        """The symbol of a pair's id or altname. Raises No."""
        for symbol in self._listings():
            if pair in (bodies.pair_id(symbol), bodies.altname(symbol)):
                return symbol
        raise No("EQuery:Unknown asset pair")

    def _ticker(self, given: Row) -> Row:
        tops = self.venue.matching.market.tops
        asked = [self.symbol(p) for p in given["pair"].split(",")] if given.get("pair") else list(self._listings())
        return {bodies.pair_id(s): bodies.ticker(tops[s]) for s in asked if s in tops}

    def _candles(self, given: Row) -> Row:
        symbol, step = self.symbol(given["pair"]), int(given.get("interval", "1")) * 60
        top, now = self.venue.matching.market.top(symbol), int(self._now().timestamp())
        price, last = top.last or top.bid or ZERO, now // step * step
        rows = [bodies.candle(last - n * step, price) for n in range(60, -1, -1)]
        return {bodies.pair_id(symbol): [r for r in rows if r[0] > int(given.get("since", "0"))], "last": last - step}

    # ----------------------------------------------------------------------------------------------- the account

    def _held(self, *, margin: bool) -> list[Position]:
        return [p for p in reports.positions(self.venue) if bodies.on_margin(p.symbol) is margin]

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Currency → total and what open orders hold; the cash has what was paid and got since the start."""
        rows = {c: (amount, ZERO) for c, amount in (self.cash | self.staked).items()}
        for held in self._held(margin=False):
            base = bodies.split(held.symbol)[0]
            total, used = rows.get(base, (ZERO, ZERO))
            rows[base] = (total + held.quantity, used + held.quantity - held.free)
        for fill in self.venue.state.fills.values():
            quote = bodies.split(fill.symbol)[1]
            if quote in rows and not bodies.on_margin(fill.symbol):
                paid = -fill.side.sign * fill.quantity * fill.price - fill.fee
                rows[quote] = (rows[quote][0] + paid, rows[quote][1])
        return rows

    def _row(self, ticket: VenueOrder, told: Order, trades: bool = False) -> Row:
        placed = self._now().timestamp() - max(self.venue.matching.time - ticket.placed, 0.0) if ticket.placed else 1.0
        fills = [f.trade_id for f in self._told_fills() if f.order_id == told.id] if trades else []
        return bodies.order(ticket, told, round(placed, 4), fills)

    def _told_fills(self) -> list[Fill]:
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        return [f for f in self.venue.state.fills.values() if f.trade_id not in hidden]

    def _tickets(self, given: Row) -> list[tuple[VenueOrder, Order]]:
        name = given.get("cl_ord_id")
        tickets = self.venue.state.tickets.values()
        return [(t, reports.report_order(self.venue, t.order)) for t in tickets if name in (None, t.order.client_id)]

    def _open(self, given: Row) -> Row:
        rows = [(t, o) for t, o in self._tickets(given) if not o.status.terminal]
        return {"open": {bodies.native(o.id): self._row(t, o) for t, o in rows}}

    def _closed(self, given: Row) -> Row:
        made = {bodies.native(o.id): self._row(t, o) for t, o in self._tickets(given) if o.status.terminal}
        start, end = float(given.get("start") or 0), float(given.get("end") or 1e12)
        newest = {name: row for name, row in reversed(made.items()) if start < row["closetm"] <= end}
        return {"closed": _page(newest, given), "count": len(newest)}

    def _query(self, given: Row) -> Row:
        found: Row = {}
        for txid in given["txid"].split(","):
            ticket = self.venue.state.tickets.get(bodies.own(txid))
            told = reports.find(self.venue, ticket.order.symbol, None, ticket.order.id) if ticket else None
            if ticket is not None and told is not None:
                found[txid] = self._row(ticket, told, trades=given.get("trades", "").lower() == "true")
        return found

    def _trade(self, fill: Fill) -> Row:
        ticket = self.venue.state.tickets.get(fill.order_id)
        return bodies.trade(fill, bodies.KINDS[ticket.order.type] if ticket else "market")

    def _trades(self, given: Row) -> Row:
        start, end = float(given.get("start") or 0), float(given.get("end") or 1e12)
        fills = [f for f in reversed(self._told_fills()) if start < bodies.stamp(f.at) <= end]
        rows = {bodies.native(f.trade_id, "T"): self._trade(f) for f in fills}
        return {"trades": _page(rows, given), "count": len(rows)}

    def _query_trades(self, given: Row) -> Row:
        wanted = given["txid"].split(",")
        fills = {bodies.native(f.trade_id, "T"): f for f in self._told_fills()}
        return {name: self._trade(fills[name]) for name in wanted if name in fills}

    # ------------------------------------------------------------------------------------------------- the orders

    def request(self, given: Row) -> OrderRequest:
        """``AddOrder``'s arguments as an order. Raises No for what Kraken does not take."""
        name = given.get("cl_ord_id", "")
        if name and not CLIENT_ID.fullmatch(name):
            raise No("EGeneral:Invalid arguments:cl_ord_id")
        if given.get("type") not in ("buy", "sell"):
            raise No("EGeneral:Invalid arguments:type")
        kind, tif = TYPES.get(given.get("ordertype", "")), given.get("timeinforce", "GTC").upper()
        if kind is None:
            raise No("EGeneral:Invalid arguments:ordertype")
        if tif not in TIFS or (kind is OrderType.STOP and tif == "IOC"):
            raise No("EGeneral:Invalid arguments:timeinforce")
        margin, reduces = "leverage" in given, given.get("reduce_only") == "true"
        if reduces and not margin:
            raise No("EOrder:Reduce only:No position exists")
        if kind is not OrderType.MARKET and not given.get("price"):
            raise No("EGeneral:Invalid arguments:price")
        price = Decimal(given["price"]) if given.get("price") else None
        return OrderRequest(
            account=self.venue.account.id,
            symbol=self.symbol(given["pair"]) + (bodies.MARGIN if margin else ""),
            side=OrderSide(given["type"]),
            quantity=Decimal(given["volume"]),
            client_id=name,
            type=kind,
            tif=TIFS[tif],
            price=price if kind is OrderType.LIMIT else None,
            trigger=price if kind is OrderType.STOP else None,
            reduce_only=reduces,
        )

    def _add(self, given: Row) -> Row:
        self._in_time(given.get("deadline", ""))
        request = self.request(given)
        held = self.venue.state.positions.get((request.symbol, request.leg))
        harmless = request.reduce_only if bodies.on_margin(request.symbol) else would_reduce(held, request.side)
        if not harmless:
            self.violations.append(f"an order to {request.side.value} {request.quantity} {request.symbol} opens")
        namesake = self.venue.state.find(request.client_id, None)
        if namesake is not None and namesake.order.status.terminal:
            del self.venue.state.by_client[request.client_id]
        if request.reduce_only and held is None:
            raise No(ERRORS[Refusal.REDUCE_ONLY])
        order = self.venue.place(request)
        return {"descr": {"order": bodies.sentence(order)}, "txid": [bodies.native(order.id)]}

    def _in_time(self, deadline: str) -> None:
        if not deadline:
            return
        left = (datetime.fromisoformat(deadline.replace("Z", "+00:00")) - self._now()).total_seconds()
        if left > 60:
            raise No("EGeneral:Invalid arguments:deadline")
        if left < 0:
            raise No("EService:Deadline elapsed")

    def _cancel(self, given: Row) -> Row:
        ticket = self.venue.state.find(given.get("cl_ord_id"), bodies.own(given["txid"]) if "txid" in given else None)
        if ticket is None:
            raise No("EOrder:Unknown order")
        self.venue.cancel(ticket.order.id)
        return {"count": 1}

    def _cancel_all(self, given: Row) -> Row:
        tickets = self.venue.state.live_orders()
        if any(not ticket.own for ticket in tickets):
            self.violations.append("CancelAll cancelled orders of the user's own in the whole account")
        for ticket in tickets:
            self.venue.cancel(ticket.order.id)
        return {"count": len(tickets)}


def _page(rows: Row, given: Row) -> Row:
    first = int(given.get("ofs") or 0)
    return dict(list(rows.items())[first : first + PAGE])

"""Bitstamp's spot markets on loopback: forms instead of JSON, sides as 0 and 1, and orders without their size.

``order_status`` tells an order's state and executions and neither its size nor its side, as in life.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from brokers.paper.state import VenueOrder
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Fill, OrderRequest, OrderSide, OrderStatus, OrderType, TimeInForce
from core.units import ZERO, plain
from tests.venues.ccxt.kraken_bodies import places
from tests.venues.ccxt.polled import Polled, Row

KEY, SECRET = "bitstamp-loopback-key", "canary-of-the-bitstamp-venue"
STATUSES = {OrderStatus.OPEN: "Open", OrderStatus.FILLED: "Finished", OrderStatus.UNKNOWN: "Some New Word"}
SIDES = {OrderSide.BUY: "0", OrderSide.SELL: "1"}
ERRORS = {
    Refusal.NO_POSITION: "You have only 0 BTC available. Check your account balance for details.",
    Refusal.HELD: "You have only 0 BTC available. Check your account balance for details.",
    Refusal.BELOW_MINIMUM: "Minimum order size is 10.00 USD.",
    Refusal.PRECISION: "Ensure that there are no more than 8 decimal places.",
    Refusal.UNKNOWN_ORDER: "Order not found",
}


class No(Exception):
    def __init__(self, text: str, code: str = "", status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        self.body = {"status": "error", "reason": {"__all__": [text]}, "code": code}


class Bitstamp(Polled):
    """``cash`` is the dollar wallet. ``names`` is False where the sender's names are of a form that is refused."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue, KEY, SECRET)
        self.cash = Decimal(1000)
        self.names = True
        self._nonces: set[str] = set()

    def add_to(self, app: web.Application) -> None:
        gets: dict[str, Callable[[Row], Any]] = {
            "markets": lambda _: self._markets(),
            "ticker": lambda _: [self._ticker(i.symbol) for i in self.instruments()],
        }
        posts: dict[str, Callable[[Row], Any]] = {
            "account_balances": lambda _: self._balances(),
            "open_orders/all": lambda _: [self._order(t) for t in self.open_orders()],
            "order_status": self._status,
            "user_transactions/{pair}": self._transactions,
            "{side:buy|sell}/market/{pair}": lambda f: self._place(f, OrderType.MARKET),
            "{side:buy|sell}/{pair}": lambda f: self._place(f, OrderType.LIMIT),
            "cancel_order": self._cancel,
        }
        for path, act in gets.items():
            app.router.add_get(f"/www/api/v2/{path}/", self._handler(act, signed=False))
        for path, act in posts.items():
            app.router.add_post(f"/www/api/v2/{path}/", self._handler(act, signed=True))

    def _handler(self, act: Callable[[Row], Any], *, signed: bool) -> Any:
        async def answer(request: web.Request) -> web.Response:
            text = await request.text()
            self.venue.advance()
            try:
                if signed:
                    self._check(request, text)
                if any(part in request.path for part in ("/sell/", "/buy/", "cancel_order")):
                    self.calls.append((request.path, dict(parse_qsl(text))))
                return web.json_response(act({**dict(parse_qsl(text)), **request.match_info}))
            except Refused as refused:
                no = No(ERRORS.get(refused.refusal, str(refused)))
            except No as said:
                no = said
            return web.json_response(no.body, status=no.status)

        return answer

    def _check(self, request: web.Request, body: str) -> None:
        """The signature is over key, method, address as the client wrote it, nonce, time and body."""
        given = request.headers
        nonce, stamp = given.get("X-Auth-Nonce", ""), given.get("X-Auth-Timestamp", "")
        head = f"BITSTAMP {self.key}" + request.method + str(request.url) + given.get("Content-Type", "")
        text = head + nonce + stamp + "v2" + body
        wanted = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if given.get("X-Auth") != f"BITSTAMP {self.key}":
            raise No("API key not found", "API0001", 403)
        if not hmac.compare_digest(given.get("X-Auth-Signature", ""), wanted):
            raise No("Invalid signature", "API0005", 403)
        if nonce in self._nonces:
            raise No("Invalid nonce", "API0004", 403)
        self._nonces.add(nonce)

    # ------------------------------------------------------------------------------------------------- the market

    def _markets(self) -> list[Row]:
        return [
            {
                "name": i.symbol,
                "market_symbol": self._pair(i.symbol),
                "base_currency": i.symbol.partition("/")[0],
                "base_decimals": places(i.step),
                "counter_currency": i.quote,
                "counter_decimals": places(i.tick),
                "minimum_order_value": plain(i.min_cost),
                "trading": "Enabled",
                "instant_order_counter_decimals": 2,
                "instant_and_market_orders": "Enabled",
                "description": f"{i.symbol.partition('/')[0]} / {i.quote}",
                "market_type": "SPOT",
            }
            for i in self.instruments()
        ]

    def _pair(self, symbol: str) -> str:
        return symbol.replace("/", "").lower()

    def _symbol(self, pair: str) -> str:
        return next(i.symbol for i in self.instruments() if self._pair(i.symbol) == pair)

    def _ticker(self, symbol: str) -> Row:
        top, last = self.venue.matching.market.top(symbol), plain(self.price(symbol))
        day = {"high": last, "last": last, "vwap": last, "volume": "3563", "low": last, "open": last, "open_24": last}
        touch = {"bid": plain(top.bid or ZERO), "ask": plain(top.ask or ZERO), "percent_change_24": "0"}
        return {"timestamp": str(self.millis() // 1000), **day, **touch, "pair": symbol}

    # ------------------------------------------------------------------------------------------------ the account

    def _balances(self) -> list[Row]:
        rows = [("usd", self.cash, self.cash)]
        rows += [(p.symbol.partition("/")[0].lower(), p.quantity, p.free) for p in self.positions()]
        return [{"currency": c, "total": plain(t), "available": plain(f), "reserved": plain(t - f)} for c, t, f in rows]

    def _order(self, ticket: VenueOrder) -> Row:
        """An open one, whose amount is what is left of it; without an id of the client's the field is empty."""
        told = self.told(ticket)
        amounts = {"price": plain(told.price or ZERO), "amount": plain(told.remaining), "type": SIDES[told.side]}
        names = {"id": told.id, "client_order_id": told.client_id or "", "currency_pair": told.symbol}
        return {**names, **amounts, "datetime": f"{self.venue.matching.now():%Y-%m-%d %H:%M:%S}"}

    def _status(self, form: Row) -> Row:
        ticket = self.find(form.get("client_order_id"), form.get("id"))
        if ticket is None:
            raise No("Order not found", "404.002", 404)
        told = self.told(ticket)
        fills = [self._execution(f) for f in self.fills() if f.order_id == told.id]
        left = {"amount_remaining": plain(told.quantity - told.filled)}
        names = {"id": told.id, "client_order_id": told.client_id or ""}
        return {"status": STATUSES.get(told.status, "Canceled"), **names, **left, "transactions": fills}

    def _execution(self, fill: Fill) -> Row:
        base, quote = fill.symbol.lower().split("/")
        amounts = {base: plain(fill.quantity), quote: plain(fill.quantity * fill.price), "fee": plain(fill.fee)}
        at = f"{fill.at:%Y-%m-%d %H:%M:%S.%f}" if fill.at else ""
        return {**amounts, "price": plain(fill.price), "datetime": at, "tid": int(fill.trade_id[1:]), "type": 2}

    def _transactions(self, form: Row) -> list[Row]:
        return [self._transaction(f) for f in self.fills() if f.symbol == self._symbol(form["pair"])]

    def _transaction(self, fill: Fill) -> Row:
        base, quote = fill.symbol.lower().split("/")
        gained = fill.side.sign * fill.quantity
        amounts = {base: plain(gained), quote: plain(-gained * fill.price), f"{base}_{quote}": plain(fill.price)}
        at = f"{fill.at:%Y-%m-%d %H:%M:%S.%f}" if fill.at else ""
        names = {"id": int(fill.trade_id[1:]), "order_id": fill.order_id, "type": "2"}
        return {**names, **amounts, "fee": plain(fill.fee), "datetime": at}

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, form: Row, kind: OrderType) -> Row:
        if not self.names and "client_order_id" in form:
            raise No("client_order_id: invalid format", "400.001")
        ioc, fok = form.get("ioc_order") == "True", form.get("fok_order") == "True"
        now = TimeInForce.IOC if ioc or kind is OrderType.MARKET else TimeInForce.GTC
        order = self.place(
            OrderRequest(
                account=self.venue.account.id,
                symbol=self._symbol(form["pair"]),
                side=OrderSide(form["side"]),
                quantity=Decimal(form["amount"]),
                client_id=form.get("client_order_id", ""),
                type=kind,
                tif=TimeInForce.FOK if fok else now,
                price=Decimal(form["price"]) if "price" in form else None,
            )
        )
        row = self._order(self.venue.state.tickets[order.id])
        return {**row, "amount": plain(order.quantity), "market": order.symbol}

    def _cancel(self, form: Row) -> Row:
        ticket = self.venue.state.tickets.get(form["id"])
        self.venue.cancel(form["id"])
        side = {"type": int(SIDES[ticket.order.side])} if ticket is not None else {}
        return {"id": form["id"], "amount": "0", "price": "0", **side}


def spot(base: str, **more: Any) -> Row:
    rules = {"step": "0.00000001", "tick": "1", "min_cost": "10"}
    return {"symbol": f"{base}/USD", "kind": "spot", "quote": "USD", **rules, **more}


BOOK: dict[str, Any] = {
    "instruments": [spot("BTC"), spot("ETH", tick="0.1")],
    "quotes": {
        "BTC/USD": {"bid": "50000", "ask": "50001", "last": "50000"},
        "ETH/USD": {"bid": "2500", "ask": "2500.1", "last": "2500"},
    },
    "positions": [
        {"symbol": "BTC/USD", "side": "long", "quantity": "0.5", "entry": "40000"},
        {"symbol": "ETH/USD", "side": "long", "quantity": "2"},
    ],
    "orders": [{"id": "h1", "symbol": "BTC/USD", "side": "sell", "quantity": "0.1", "price": "60000"}],
}

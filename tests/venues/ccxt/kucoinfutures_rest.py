"""KuCoin Futures' REST API over the truth: signed requests, refusals with a code in answers that went well.

An order names the margin mode of its position and in hedge mode its side, else it is refused; one that only reduces is
cut to what is held; one that closes has no size and takes all. An order is answered with its id and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from brokers.paper.state import would_reduce
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Leg, OrderRequest, OrderSide, OrderType, Position, TimeInForce
from tests.venues.ccxt import kucoinfutures_bodies as bodies
from tests.venues.ccxt.kucoinfutures_account import KucoinFuturesAccount, No
from tests.venues.ccxt.kucoinfutures_bodies import Row

HOST, SPOT = "/api-futures", "/api"  # the hosts' first labels, which configuration puts before every path
ROOT = "/api/v1"
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
TIFS = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC}
LEGS = {"BOTH": Leg.NET, "LONG": Leg.LONG, "SHORT": Leg.SHORT}
FLAT = ("300009", "No open positions to close.")
ERRORS = {
    Refusal.NO_POSITION: FLAT,
    Refusal.REDUCE_ONLY: FLAT,
    Refusal.DUPLICATE: ("300018", "clientOid parameter repeated"),
    Refusal.PRECISION: ("100001", "Quantity parameter cannot be empty or invalid."),
    Refusal.BELOW_MINIMUM: ("100001", "Quantity parameter cannot be empty or invalid."),
    Refusal.HALTED: ("300002", "Order placement/cancellation suspended, please try again later."),
    Refusal.UNKNOWN_ORDER: ("100004", "The order cannot be canceled."),
}
OTHER_MODE = ("330005", "The order's margin mode does not match the selected one. Please switch and try again.")
ONE_WAY = ("330011", "The order's position mode does not match your selected mode. Please switch modes and try again.")
HEDGE = ("330012", "Your order is in One-Way Mode, while your account is set to Hedge Mode.")
TOO_MUCH = ("100001", "Quantity parameter exceeds the maximum of one order.")


class KucoinFuturesRest(KucoinFuturesAccount):
    """One account behind its keys. ``nameless``: orders are answered without an id.

    ``ahead`` are seconds of the venue's clock, ``window`` those that a request is good for.
    """

    def __init__(self, venue: Venue, key: str, secret: str, passphrase: str) -> None:
        super().__init__(venue)
        self.key, self.secret, self.passphrase = key, secret.encode(), passphrase
        self.nameless = False
        self.ahead, self.window = 0.0, 5.0
        self.calls: list[tuple[str, Any]] = []  # of signed calls, and what each was given
        self.violations: list[str] = []

    def add_to(self, app: web.Application) -> None:
        open_calls: dict[str, Callable[[Row], Any]] = {
            "/contracts/active": self.contracts,
            "/contracts/{symbol}": self.contract,
            "/allTickers": self.tickers,
            "/ticker": self.ticker,
            "/kline/query": self.candles,
            "/timestamp": lambda _: bodies.millis(self.now()) + round(self.ahead * 1000),
        }
        signed: dict[tuple[str, str], Callable[[Row], Any]] = {
            ("GET", "/positions"): self.positions,
            ("GET", "/orders"): self.orders,
            ("GET", "/stopOrders"): self.stop_orders,
            ("GET", "/orders/byClientOid"): lambda g: self.row(self.find(None, g["clientOid"])),
            ("GET", "/orders/{orderId}"): lambda g: self.row(self.find(g["orderId"], None)),
            ("GET", "/fills"): self.fills,
            ("GET", "/account-overview"): self.overview,
            ("POST", "/orders"): self._place,
            ("DELETE", "/orders/{orderId}"): self._cancel,
        }
        for path, call in open_calls.items():
            app.router.add_get(HOST + ROOT + path, self._public(call))
        for (method, path), call in signed.items():
            app.router.add_route(method, HOST + ROOT + path, self.signed(path, call, HOST))
        app.router.add_get(SPOT + "/api/ua/v1/account/mode", self.signed("/account/mode", self.account_mode, SPOT))
        app.router.add_get(SPOT + ROOT + "/user/api-key", self.signed("/user/api-key", self.api_key, SPOT))

    # ----------------------------------------------------------------------------------------------- the way in

    def _public(self, call: Callable[[Row], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            return self._answered(call, {**request.query, **request.match_info})

        return handler

    def signed(self, path: str, call: Callable[[Row], Any], host: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            text = await request.text()
            fault = self._forged(request, text, host)
            if fault is not None:
                return web.json_response({"code": fault.code, "msg": str(fault)}, status=fault.status)
            given = {**request.query, **(json.loads(text) if text else {}), **request.match_info}
            self.calls.append((f"{request.method} {path}", given))
            return self._answered(call, given)

        return handler

    def _forged(self, request: web.Request, text: str, host: str) -> No | None:
        """The signature is over the path with its query and the body; the passphrase is signed, too."""
        head = request.headers
        if head.get("KC-API-KEY") != self.key:
            return No("400003", "KC-API-KEY not exists", 401)
        if head.get("KC-API-KEY-VERSION") != "2" or head.get("KC-API-PASSPHRASE") != self._mac(self.passphrase):
            return No("400004", "KC-API-PASSPHRASE error", 401)
        stamp = head.get("KC-API-TIMESTAMP", "0")
        if abs(int(stamp) / 1000 - self.now().timestamp() - self.ahead) > self.window:
            return No("400002", "KC-API-TIMESTAMP Invalid", 401)
        wanted = self._mac(stamp + request.method + request.raw_path.removeprefix(host) + text)
        if not hmac.compare_digest(head.get("KC-API-SIGN", ""), wanted):
            return No("400005", "Signature error", 401)
        return None

    def _mac(self, text: str) -> str:
        return base64.b64encode(hmac.new(self.secret, text.encode(), hashlib.sha256).digest()).decode()

    def _answered(self, call: Callable[[Row], Any], given: Row) -> web.Response:
        self.venue.advance()
        try:
            return web.json_response({"code": "200000", "data": call(given)})
        except Refused as refused:
            told = TOO_MUCH if refused.code == "max_market" else ERRORS.get(refused.refusal, ("300000", str(refused)))
            no = No(*told)
        except No as refusal:
            no = refusal
        return web.json_response({"code": no.code, "msg": str(no)}, status=no.status)

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, given: Row) -> Row:
        if not NAME.fullmatch(given.get("clientOid", "")) or given.get("type") not in ("limit", "market"):
            raise No("400100", "Parameter Error")
        symbol = self.symbol(given.get("symbol"))
        leg = self._leg(given)
        held = self.venue.state.positions.get((symbol, leg))
        if given.get("marginMode", "ISOLATED") != self.mode(symbol):
            raise No(*OTHER_MODE)
        request = self._closing(given, held) if given.get("closeOrder") is True else self._request(given, symbol, leg)
        made = self.venue.place(self._audited(request, given, held))
        if given.get("closeOrder") is True:
            self.closes.add(made.id)
        return {} if self.nameless else {"orderId": self.number(made.id)}

    def _leg(self, given: Row) -> Leg:
        leg = LEGS[given.get("positionSide", "BOTH")]
        if self.venue.book.hedge is (leg is Leg.NET):
            raise No(*(HEDGE if self.venue.book.hedge else ONE_WAY))
        return leg

    def _closing(self, given: Row, held: Position | None) -> OrderRequest:
        """All of a position at the market; its side and size are the venue's to know."""
        if held is None:
            raise No(*FLAT)
        return OrderRequest(
            account=held.account,
            symbol=held.symbol,
            side=held.side.closing,
            quantity=held.quantity,
            client_id=given["clientOid"],
            reduce_only=held.leg is Leg.NET,
            leg=held.leg,
        )

    def _request(self, given: Row, symbol: str, leg: Leg) -> OrderRequest:
        size = given.get("size")
        if not isinstance(size, int) or size < 1:
            raise No(*ERRORS[Refusal.PRECISION])
        stop, limit = bool(given.get("stop")), given["type"] == "limit"
        most = self.market_most.get(given["symbol"])
        if most is not None and not limit and size > most:
            raise No(*TOO_MUCH)
        if not limit and "timeInForce" in given:
            raise No("400100", "Parameter Error")
        side = OrderSide(given["side"])
        if stop and (given["stop"], side) not in (("down", OrderSide.SELL), ("up", OrderSide.BUY)):
            self.violations.append(f"a stop of {symbol} would be hit on the wrong side")
        return OrderRequest(
            account=self.venue.account.id,
            symbol=symbol,
            side=side,
            quantity=Decimal(size),
            client_id=given["clientOid"],
            type=OrderType.STOP if stop else OrderType.LIMIT if limit else OrderType.MARKET,
            tif=TIFS[given.get("timeInForce", "GTC" if limit or stop else "IOC")],
            price=Decimal(str(given["price"])) if limit else None,
            trigger=Decimal(str(given["stopPrice"])) if stop else None,
            reduce_only=leg is Leg.NET and given.get("reduceOnly") is True,
            leg=leg,
        )

    def _audited(self, request: OrderRequest, given: Row, held: Position | None) -> OrderRequest:
        """What an order of the program's must never be, and what of a position is left to be closed."""
        reduces = would_reduce(held, request.side)
        if given.get("reduceOnly") is not True and given.get("closeOrder") is not True:
            what = f"{request.side.value} {request.quantity} {request.symbol}"
            self.violations.append(f"an order to {what} could open a position")
        if held is None or not reduces:
            raise No(*FLAT)
        return (
            request
            if request.type is OrderType.STOP
            else replace(request, quantity=min(request.quantity, held.quantity))
        )

    def _cancel(self, given: Row) -> Row:
        order = self.find(given["orderId"], None, ERRORS[Refusal.UNKNOWN_ORDER])
        self.venue.cancel(order.id)
        return {"cancelledOrderIds": [given["orderId"]]}

"""Bitget's USDT perpetuals on loopback: a classic account, one-way or hedged, asked and never streamed.

Bodies are those of the documentation's samples. Every answer has a ``code``, ``00000`` when all went well.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokers.paper.state import VenueOrder
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Fill, Instrument, Leg, OrderRequest, OrderSide, OrderStatus, OrderType, Position, TimeInForce
from core.units import ZERO, plain
from tests.venues.ccxt.kraken_bodies import places
from tests.venues.ccxt.polled import Polled, Row

KEY, SECRET, PASSWORD = "bitget-loopback-key", "canary-of-the-bitget-venue", "canary-passphrase"
ROOT = "/api"  # the host's first label
STATUSES = {
    OrderStatus.OPEN: "live",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.EXPIRED: "canceled",
    OrderStatus.REJECTED: "canceled",
    OrderStatus.UNKNOWN: "some_new_word",
}
TIFS = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
ERRORS = {
    Refusal.NO_POSITION: ("22002", "No position to close"),
    Refusal.REDUCE_ONLY: ("22002", "No position to close"),
    Refusal.HELD: ("43012", "Insufficient balance"),
    Refusal.BELOW_MINIMUM: ("45111", "less than the minimum order quantity"),
    Refusal.PRECISION: ("40808", "Parameter verification exception size checkBDScale error"),
    Refusal.UNKNOWN_SYMBOL: ("40034", "Parameter symbol does not exist"),
    Refusal.UNKNOWN_ORDER: ("40768", "Order does not exist"),
    Refusal.DUPLICATE: ("40786", "Duplicate clientOid"),
    Refusal.RATE_LIMITED: ("429", "Too Many Requests"),
}
CODED = {"min_cost": ("45110", "less than the minimum amount 5 USDT")}
CLASSIC = ("40085", "You are in Classic Account mode, and the Unified Account API is not supported at this time")


class No(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.body = {"code": code, "msg": text, "data": None}


class Bitget(Polled):
    """``password`` is what the key was made with. ``mode`` is the margin mode of every position."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue, KEY, SECRET)
        self.password = PASSWORD
        self.mode = "crossed"
        self.plans: dict[str, list[Row]] = {}  # conditional orders of other kinds than a trigger, by ``planType``

    def add_to(self, app: web.Application) -> None:
        public: dict[str, Callable[[Row], Any]] = {
            "public/time": lambda _: {"serverTime": str(self.millis())},
            "spot/public/coins": lambda _: [],
            "spot/public/symbols": lambda _: [],
            "margin/currencies": lambda _: [],
            "spot/market/tickers": lambda _: [],
            "mix/market/contracts": self._contracts,
            "mix/market/tickers": lambda q: [self._ticker(i) for i in self._of(q)],
            "mix/market/ticker": lambda q: [self._ticker(self._named(q["symbol"]))],
        }
        private: dict[str, Callable[[Row], Any]] = {
            "spot/account/assets": lambda _: [],
            "mix/account/accounts": lambda _: [self._account()],
            "mix/position/all-position": self._positions,
            "spot/trade/unfilled-orders": lambda _: [],
            "spot/trade/current-plan-order": lambda _: {"nextFlag": False, "orderList": []},
            "mix/order/orders-pending": lambda q: self._pending(q, plan=False),
            "mix/order/orders-plan-pending": lambda q: self._pending(q, plan=True),
            "mix/order/orders-history": self._history,
            "mix/order/detail": self._detail,
            "mix/order/fills": self._fills,
        }
        posts: dict[str, Callable[[Row], Any]] = {
            "mix/order/place-order": self._place,
            "mix/order/place-plan-order": self._place,
            "mix/order/cancel-order": lambda b: self._cancel(b, plan=False),
            "mix/order/cancel-plan-order": lambda b: {"successList": [self._cancel(b["orderIdList"][0], plan=True)]},
        }
        for path, handler in public.items():
            app.router.add_get(f"{ROOT}/api/v2/{path}", self._handler(handler, signed=False))
        for path, handler in private.items():
            app.router.add_get(f"{ROOT}/api/v2/{path}", self._handler(handler))
        for path, handler in posts.items():
            app.router.add_post(f"{ROOT}/api/v2/{path}", self._handler(handler))
        app.router.add_get(f"{ROOT}/api/v3/account/settings", self._handler(self._settings))

    def _handler(self, act: Callable[[Row], Any], *, signed: bool = True) -> Any:
        async def answer(request: web.Request) -> web.Response:
            text = await request.text()
            self.venue.advance()
            try:
                if signed:
                    self._check(request, text)
                if text:
                    self.calls.append((request.path.rpartition("/")[2], json.loads(text)))
                data = act(json.loads(text) if text else dict(request.query))
            except Refused as refused:
                code, said = CODED.get(refused.code) or ERRORS.get(refused.refusal, ("40015", str(refused)))
                return web.json_response(No(code, said).body, status=400)
            except No as no:
                return web.json_response(no.body, status=400)
            return web.json_response({"code": "00000", "msg": "success", "requestTime": self.millis(), "data": data})

        return answer

    def _check(self, request: web.Request, body: str) -> None:
        """The signature is over time, method, path with its query, and body."""
        given = request.headers
        path = request.path.removeprefix(ROOT)
        query = f"?{request.query_string}" if request.query_string else ""
        text = given.get("ACCESS-TIMESTAMP", "") + request.method + path + query + body
        wanted = base64.b64encode(hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
        if given.get("ACCESS-KEY") != self.key:
            raise No("40006", "Invalid ACCESS_KEY")
        if not hmac.compare_digest(given.get("ACCESS-SIGN", ""), wanted):
            raise No("40009", "sign signature error")
        if given.get("ACCESS-PASSPHRASE") != self.password:
            raise No("40012", "apikey/password is incorrect")

    def _settings(self, _: Row) -> Row:
        raise No(*CLASSIC)

    # ------------------------------------------------------------------------------------------------- the market

    def _of(self, query: Row) -> list[Instrument]:
        settle = query.get("productType", "").partition("-")[0]
        return [i for i in self.instruments() if i.symbol.endswith(f":{settle}")]

    def _named(self, name: str) -> Instrument:
        found = next((i for i in self.instruments() if i.native_symbol == name), None)
        if found is None:
            raise No("40034", f"Parameter {name} does not exist")
        return found

    def _contracts(self, query: Row) -> list[Row]:
        return [
            {
                "symbol": i.native_symbol,
                "baseCoin": i.symbol.partition("/")[0],
                "quoteCoin": i.quote,
                "makerFeeRate": "0.0002",
                "takerFeeRate": "0.0006",
                "supportMarginCoins": [i.quote],
                "minTradeNum": plain(i.min_quantity),
                "priceEndStep": "1",
                "volumePlace": str(places(i.step)),
                "pricePlace": str(places(i.tick)),
                "sizeMultiplier": plain(i.step),
                "symbolType": "perpetual",
                "minTradeUSDT": plain(i.min_cost),
                "symbolStatus": "normal",
                "deliveryTime": "",
                "minLever": "1",
                "maxLever": "125",
            }
            for i in self._of(query)
        ]

    def _ticker(self, instrument: Instrument) -> Row:
        top, last = self.venue.matching.market.top(instrument.symbol), plain(self.price(instrument.symbol))
        prices = {"lastPr": last, "bidPr": plain(top.bid or ZERO), "askPr": plain(top.ask or ZERO), "markPrice": last}
        sizes = {"bidSz": "0.703", "askSz": "13.894", "high24h": last, "low24h": last, "open24h": last}
        return {"symbol": instrument.native_symbol, **prices, **sizes, "ts": str(self.millis())}

    # ------------------------------------------------------------------------------------------------ the account

    def _account(self) -> Row:
        worth = {"available": "10000", "maxTransferOut": "10000", "accountEquity": "10000", "usdtEquity": "10000"}
        return {"marginCoin": "USDT", "locked": "0", **worth, "assetMode": "single"}

    def _positions(self, query: Row) -> list[Row]:
        names = {i.symbol for i in self._of(query)}
        return [self._position(p) for p in self.positions() if p.symbol in names]

    def _position(self, held: Position) -> Row:
        instrument = self.instrument(held.symbol)
        return {
            "marginCoin": instrument.quote,
            "symbol": instrument.native_symbol,
            "holdSide": held.side.value,
            "openDelegateSize": "0",
            "marginSize": "100",
            "available": plain(held.free),
            "locked": plain(held.quantity - held.free),
            "total": plain(held.quantity),
            "leverage": plain(held.leverage or Decimal(1)),
            "achievedProfits": "0",
            "openPriceAvg": plain(held.entry or ZERO),
            "marginMode": self.mode,
            "posMode": self._mode(),
            "unrealizedPL": "0",
            "liquidationPrice": "0",
            "keepMarginRate": "0.004",
            "markPrice": plain(self.price(held.symbol)),
            "marginRatio": "0.03",
            "cTime": "1700807507275",
        }

    def _mode(self) -> str:
        return "hedge_mode" if self.venue.state.hedge else "one_way_mode"

    def _order(self, ticket: VenueOrder, state: str) -> Row:
        """An order; its status is called ``state`` where one is asked for and ``status`` in lists."""
        told = self.told(ticket)
        stop = {"planType": "normal_plan", "triggerPrice": plain(told.trigger or ZERO), "planStatus": "live"}
        closing = told.reduce_only or told.leg is not Leg.NET
        side = told.side.value
        if told.leg is not Leg.NET:
            side = "buy" if told.leg is Leg.LONG else "sell"
        return {
            "symbol": self.instrument(told.symbol).native_symbol,
            "size": plain(told.quantity),
            "orderId": told.id,
            "clientOid": told.client_id or f"hand-{told.id}",
            "baseVolume": plain(told.filled),
            "fee": "0",
            "price": plain(told.price) if told.price else "",
            "priceAvg": plain(told.average_price) if told.average_price else "",
            state: STATUSES[told.status],
            "side": side,
            "force": ticket.tif.value,
            "posSide": told.leg.value,
            "marginCoin": "USDT",
            "quoteVolume": plain(told.filled * (told.average_price or ZERO)),
            "leverage": "20",
            "marginMode": self.mode,
            "tradeSide": "close" if closing else "open",
            "posMode": self._mode(),
            "orderType": "limit" if told.type is OrderType.LIMIT else "market",
            "reduceOnly": "YES" if closing else "NO",
            "cTime": "1700719887120",
            "uTime": str(self.millis()),
            **(stop if told.trigger else {}),
        }

    def _pending(self, query: Row, *, plan: bool) -> Row:
        names = {i.symbol for i in self._of(query)}
        tickets = [t for t in self.open_orders() if t.order.symbol in names]
        rows = [self._order(t, "status") for t in tickets if (t.order.type is OrderType.STOP) == plan]
        if query.get("planType", "normal_plan") != "normal_plan":
            rows = [{**row, "planType": query["planType"]} for row in self.plans.get(query["planType"], ())]
        wanted = query.get("symbol")
        return {"entrustedList": [r for r in rows if wanted in (None, r["symbol"])] or None, "endId": None}

    def _history(self, query: Row) -> Row:
        tickets = [t for t in reversed(self.venue.state.tickets.values()) if self.told(t).status.terminal]
        rows = [self._order(t, "status") for t in tickets]
        return {"entrustedList": [r for r in rows if query.get("symbol") in (None, r["symbol"])] or None, "endId": None}

    def _detail(self, query: Row) -> Row:
        ticket = self.find(query.get("clientOid"), query.get("orderId"))
        if ticket is None:
            raise No("40109", "The data of the order cannot be found, please confirm the order number")
        return self._order(ticket, "state")

    def _fills(self, query: Row) -> Row:
        symbol = self._named(query["symbol"]).symbol if query.get("symbol") else None
        since = int(query.get("startTime", "0"))
        rows = [self._fill(f) for f in self.fills() if symbol in (None, f.symbol)]
        return {"fillList": [r for r in rows if int(r["cTime"]) >= since], "endId": None}

    def _fill(self, fill: Fill) -> Row:
        fee = {"deduction": "no", "feeCoin": "USDT", "totalDeductionFee": None, "totalFee": plain(-fill.fee)}
        return {
            "tradeId": fill.trade_id,
            "symbol": self.instrument(fill.symbol).native_symbol,
            "orderId": fill.order_id,
            "price": plain(fill.price),
            "baseVolume": plain(fill.quantity),
            "feeDetail": [fee],
            "side": fill.side.value,
            "quoteVolume": plain(fill.quantity * fill.price),
            "tradeSide": "close",
            "posMode": self._mode(),
            "tradeScope": "taker",
            "cTime": str(int(fill.at.timestamp() * 1000)) if fill.at else "0",
        }

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, body: Row) -> Row:
        """Hedged, ``side`` is the position's and ``tradeSide`` says what is done to it; else ``reduceOnly`` does."""
        hedge = self.venue.state.hedge
        if hedge != ("tradeSide" in body):
            raise No("40774", "The order type for unilateral position must also be the unilateral position type.")
        if body.get("marginMode") != self.mode:
            raise No("45117", "Currently holding positions or orders, the margin mode cannot be adjusted")
        side, leg = OrderSide(body["side"]), Leg.NET
        if hedge:
            leg = Leg.LONG if side is OrderSide.BUY else Leg.SHORT
            closing = OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY
            side = closing if body["tradeSide"].lower() == "close" else side
        trigger = body.get("triggerPrice")
        order = self.place(
            OrderRequest(
                account=self.venue.account.id,
                symbol=self._named(body["symbol"]).symbol,
                side=side,
                quantity=Decimal(body["size"]),
                client_id=body.get("clientOid", ""),
                type=OrderType.STOP if trigger else OrderType(body["orderType"]),
                tif=TIFS[body.get("force", "GTC").upper()],
                price=Decimal(body["price"]) if body.get("price") else None,
                trigger=Decimal(trigger) if trigger else None,
                reduce_only=body.get("reduceOnly", "NO").upper() == "YES",
                leg=leg,
            )
        )
        return {"orderId": order.id, "clientOid": order.client_id}

    def _cancel(self, body: Row, *, plan: bool) -> Row:
        """Orders that wait for a trigger are another kind, and unknown to the plain call."""
        ticket = self.venue.state.find(body.get("clientOid"), body.get("orderId"))
        if ticket is None or (ticket.order.type is OrderType.STOP) != plan:
            raise No("40768", "Order does not exist")
        self.venue.cancel(ticket.order.id)
        return {"orderId": ticket.order.id, "clientOid": ticket.order.client_id}


def perp(base: str, **more: Any) -> Row:
    """One contract's row of a book."""
    names = {"symbol": f"{base}/USDT:USDT", "native_symbol": f"{base}USDT", "kind": "perp", "quote": "USDT"}
    return {**names, "step": "0.001", "tick": "0.1", "min_quantity": "0.001", "min_cost": "5", **more}


BOOK: dict[str, Any] = {
    "instruments": [perp("BTC"), perp("ETH", step="0.01", tick="0.01", min_quantity="0.01")],
    "quotes": {
        "BTC/USDT:USDT": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "ETH/USDT:USDT": {"bid": "2500", "ask": "2500.01", "last": "2500"},
    },
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "0.5", "entry": "40000", "leverage": "10"},
        {"symbol": "ETH/USDT:USDT", "side": "short", "quantity": "3", "entry": "2400", "leverage": "5"},
    ],
    "orders": [
        {"id": "h1", "symbol": "BTC/USDT:USDT", "side": "sell", "quantity": "0.1", "price": "60000"},
    ],
}

"""HTX's USDT perpetuals (API V5) on loopback, on cross or isolated margin, asked and never streamed.

An order's name is its ``client_order_id``; another word is ignored. An order is looked up on its own margin mode only.
Bodies are those of ccxt's examples of the V5 answers.
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
from tests.venues.ccxt.polled import Polled, Row

KEY, SECRET = "htx-loopback-key", "canary-of-the-htx-venue"
ROOT = "/api"
STATES = {OrderStatus.OPEN: "new", OrderStatus.FILLED: "filled"}
LEGS = {"long": Leg.LONG, "short": Leg.SHORT, "both": Leg.NET}
ERRORS = {Refusal.NO_POSITION: 1048, Refusal.REDUCE_ONLY: 1048, Refusal.UNKNOWN_ORDER: 1061}
Act = Callable[[Row], Any]


class Htx(Polled):
    """``mode`` is the margin mode of every position."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue, KEY, SECRET)
        self.mode = "cross"

    def add_to(self, app: web.Application) -> None:
        linear = "linear-swap-api/v1/swap_contract_info"
        old: dict[str, Act] = {  # answered with a ``status``
            "v1/common/timestamp": lambda _: self.millis(),
            "v1/common/symbols": lambda _: [COIN],
            "v2/settings/common/symbols": lambda _: [COIN],
            linear: lambda _: [self._contract(i) for i in self.instruments()],
            "swap-api/v1/swap_contract_info": lambda _: [INVERSE],
            "api/v1/contract_contract_info": lambda _: [DATED],
            "v1/account/accounts": lambda _: [{"id": 1, "type": "spot", "state": "working"}],
            "v1/account/accounts/1/balance": lambda _: {"id": 1, "type": "spot", "list": []},
            "v1/order/openOrders": lambda _: [],
        }
        signed: dict[str, Act] = {  # answered with a ``code``
            "v5/account/balance": lambda _: {"equity": "10000", "available_margin": "9000", "details": []},
            "v5/trade/position/opens": lambda _: [self._position(p) for p in self.positions()],
            "v5/trade/order/opens": self._opens,
            "v5/trade/order/history": self._history,
            "v5/trade/order/details": self._trades,
            "v5/trade/order": self._one,
            "v5/algo/order/opens": lambda _: [],
        }
        for path, act in old.items():
            app.router.add_get(f"{ROOT}/{path}", self._handler(act, "data", {"status": "ok"}))
        for path, act in signed.items():
            app.router.add_get(f"{ROOT}/{path}", self._handler(act, "data", {"code": 200, "message": "Success"}))
        tickers = self._handler(lambda _: [self._ticker(i) for i in self.instruments()], "ticks", {"status": "ok"})
        app.router.add_get(f"{ROOT}/v2/linear-swap-ex/market/detail/batch_merged", tickers)
        app.router.add_get(f"{ROOT}/linear-swap-ex/market/detail/batch_merged", tickers)
        for path in ("swap-api/v1/swap_", "api/v1/contract_"):
            for name in ("position_info", "openorders", "trigger_openorders", "account_info"):
                app.router.add_post(f"{ROOT}/{path}{name}", self._handler(lambda _: [], "data", {"status": "ok"}))
        done = {"code": 200, "message": "Success"}
        app.router.add_post(f"{ROOT}/v5/trade/order", self._handler(self._place, "data", done))
        app.router.add_post(f"{ROOT}/v5/trade/cancel_order", self._handler(self._cancel, "data", done))

    def _handler(self, act: Act, place: str, frame: Row) -> Any:
        async def answer(request: web.Request) -> web.Response:
            text = await request.text()
            self.venue.advance()
            if "Signature" in request.query and not self._is_signed(request):
                return web.json_response({"status": "error", "err-code": "api-signature-not-valid", "err-msg": "wrong"})
            given = {**request.query, **(json.loads(text) if text else {})}
            if request.method == "POST" and "v5" in request.path:
                self.calls.append((request.path.rpartition("/")[2], json.loads(text)))
            try:
                return web.json_response({**frame, place: act(given), "ts": self.millis()})
            except Refused as refused:
                code = ERRORS.get(refused.refusal, 1031)
                return web.json_response({"code": code, "message": str(refused), "data": None, "ts": self.millis()})

        return answer

    def _is_signed(self, request: web.Request) -> bool:
        """The signature is over method, host, path and the sorted query. The host is the real one."""
        query, _, signature = request.rel_url.raw_query_string.partition("&Signature=")
        host = "api.huobi.pro" if "/v1/" in request.path and "-api" not in request.path else "api.hbdm.vn"
        hosts = (host, "api.huobi.pro", "api.hbdm.vn")
        text = "\n{}\n{}\n{}"
        wanted = {
            base64.b64encode(
                hmac.new(
                    self.secret.encode(),
                    (request.method + text.format(one, request.path.removeprefix(ROOT), query)).encode(),
                    hashlib.sha256,
                ).digest()
            ).decode()
            for one in hosts
        }
        assert signature
        return request.query["Signature"] in wanted and request.query["AccessKeyId"] == self.key

    # ------------------------------------------------------------------------------------------------- the market

    def _contract(self, instrument: Instrument) -> Row:
        base = instrument.symbol.partition("/")[0]
        return {
            "symbol": base,
            "contract_code": instrument.native_symbol,
            "contract_size": float(instrument.multiplier),
            "price_tick": float(instrument.tick),
            "contract_status": 1,
            "support_margin_mode": "all",
            "business_type": "swap",
            "contract_type": "swap",
            "pair": instrument.native_symbol,
            "trade_partition": "USDT",
        }

    def _ticker(self, instrument: Instrument) -> Row:
        top, last = self.venue.matching.market.top(instrument.symbol), float(self.price(instrument.symbol))
        touch = {"bid": [float(top.bid or ZERO), 10], "ask": [float(top.ask or ZERO), 10]}
        return {"contract_code": instrument.native_symbol, "close": last, "open": last, **touch, "ts": self.millis()}

    # ------------------------------------------------------------------------------------------------ the account

    def _position(self, held: Position) -> Row:
        price = plain(self.price(held.symbol))
        return {
            "contract_code": self.instrument(held.symbol).native_symbol,
            "position_side": "both" if held.leg is Leg.NET else held.leg.value,
            "direction": "buy" if held.side.sign > 0 else "sell",
            "margin_mode": self.mode,
            "open_avg_price": plain(held.entry or ZERO),
            "volume": plain(held.quantity),
            "available": plain(held.free),
            "lever_rate": int(held.leverage or 1),
            "initial_margin": "3",
            "maintenance_margin": "0.2",
            "profit_unreal": "0",
            "profit_rate": "0",
            "mark_price": price,
            "last_price": price,
            "margin_currency": "USDT",
            "contract_type": "swap",
            "created_time": str(self.millis()),
        }

    def _order(self, ticket: VenueOrder) -> Row:
        told = self.told(ticket)
        return {
            "order_id": str(self._number(told.id)),
            "client_order_id": told.client_id or str(self._number(told.id)),
            "contract_code": self.instrument(told.symbol).native_symbol,
            "side": told.side.value,
            "position_side": "both" if told.leg is Leg.NET else told.leg.value,
            "type": "market" if told.type is OrderType.MARKET else "limit",
            "price": plain(told.price or ZERO),
            "volume": plain(told.quantity),
            "trade_volume": plain(told.filled),
            "trade_avg_price": plain(told.average_price or ZERO),
            "state": STATES.get(told.status, "partially_canceled" if told.filled else "canceled"),
            "margin_mode": self.mode,
            "reduce_only": told.reduce_only,
            "time_in_force": ticket.tif.value,
            "fee": "0",
            "created_time": str(self.millis()),
        }

    def _number(self, order_id: str) -> int:
        return list(self.venue.state.tickets).index(order_id) + 1512501029504577536

    def _ticket(self, given: Row) -> VenueOrder:
        known, number = list(self.venue.state.tickets), int(given.get("order_id", 0)) - 1512501029504577536
        ticket = self.find(None, known[number]) if 0 <= number < len(known) else None
        if ticket is None or given.get("margin_mode", self.mode) != self.mode:
            raise Refused(Refusal.UNKNOWN_ORDER, "The order does not exist.")
        return ticket

    def _one(self, query: Row) -> Row:
        return self._order(self._ticket(query))

    def _rows(self, tickets: list[VenueOrder], query: Row) -> list[Row]:
        rows = [self._order(t) for t in tickets]
        return [row for row in rows if query.get("contract_code") in (None, row["contract_code"])]

    def _opens(self, query: Row) -> list[Row]:
        return self._rows(self.open_orders(), query)

    def _history(self, query: Row) -> list[Row]:
        if query.get("margin_mode", self.mode) != self.mode:
            return []
        return self._rows([t for t in self.venue.state.tickets.values() if self.told(t).status.terminal], query)

    def _trades(self, query: Row) -> list[Row]:
        since, wanted = int(query.get("start_time", 0)), query.get("contract_code")
        rows = [self._trade(f) for f in self.fills()]
        return [r for r in rows if int(r["created_time"]) >= since and wanted in (None, r["contract_code"])]

    def _trade(self, fill: Fill) -> Row:
        known = fill.order_id in self.venue.state.tickets
        return {
            "id": fill.trade_id,
            "trade_id": fill.trade_id,
            "order_id": str(self._number(fill.order_id)) if known else "1",
            "contract_code": self.instrument(fill.symbol).native_symbol,
            "side": fill.side.value,
            "position_side": "both" if fill.leg is Leg.NET else fill.leg.value,
            "trade_volume": plain(fill.quantity),
            "trade_price": plain(fill.price),
            "trade_fee": "0",
            "fee_currency": "USDT",
            "role": "taker",
            "created_time": str(int(fill.at.timestamp() * 1000) if fill.at else 0),
        }

    # ------------------------------------------------------------------------------------------------- the orders

    def _place(self, body: Row) -> Row:
        if body["margin_mode"] != self.mode:
            raise Refused(Refusal.OTHER, "The margin mode cannot be switched while positions exist.")
        leg = LEGS[body.get("position_side", "both")]
        market = body["type"] == "market"
        named = next(i for i in self.instruments() if i.native_symbol == body["contract_code"])
        order = self.place(
            OrderRequest(
                account=self.venue.account.id,
                symbol=named.symbol,
                side=OrderSide(body["side"]),
                quantity=Decimal(str(body["volume"])),
                client_id=body.get("client_order_id", ""),
                type=OrderType.MARKET if market else OrderType.LIMIT,
                tif=TimeInForce.IOC if market else TimeInForce(body.get("time_in_force", "gtc")),
                price=None if market else Decimal(str(body["price"])),
                reduce_only=body.get("reduce_only") == 1,
                leg=leg,
            )
        )
        number = str(self._number(order.id))
        return {"order_id": number, "client_order_id": order.client_id or number}

    def _cancel(self, body: Row) -> Row:
        ticket = self._ticket(body)
        self.venue.cancel(ticket.order.id)
        return {"order_id": body["order_id"], "client_order_id": ticket.order.client_id}


COIN = {
    "symbol": "htusdt",
    "base-currency": "ht",
    "quote-currency": "usdt",
    "state": "online",
    "bc": "ht",
    "qc": "usdt",
    "price-precision": 4,
    "amount-precision": 4,
    "value-precision": 8,
    "min-order-amt": 0.1,
    "min-order-value": 5,
    "sc": "htusdt",
    "dn": "HT/USDT",
    "bcdn": "HT",
    "qcdn": "USDT",
    "te": True,
    "tpp": 4,
    "tap": 4,
    "ttp": 8,
}
INVERSE = {"symbol": "BTC", "contract_code": "BTC-USD", "contract_size": 100, "price_tick": 0.1, "contract_status": 1}
DATED = {
    **INVERSE,
    "contract_code": "BTC260925",
    "contract_type": "quarter",
    "delivery_date": "20260925",
    "delivery_time": "1790323200000",
    "create_date": "20260101",
}


def perp(base: str, size: str) -> Row:
    """One contract's row of a book."""
    names = {"symbol": f"{base}/USDT:USDT", "native_symbol": f"{base}-USDT", "kind": "perp", "quote": "USDT"}
    return {**names, "multiplier": size, "step": "1", "tick": "0.1", "min_quantity": "1"}


BOOK: dict[str, Any] = {
    "instruments": [perp("BTC", "0.001"), perp("ETH", "0.01")],
    "quotes": {
        "BTC/USDT:USDT": {"bid": "50000", "ask": "50000.1", "last": "50000"},
        "ETH/USDT:USDT": {"bid": "2500", "ask": "2500.1", "last": "2500"},
    },
    "positions": [
        {"symbol": "BTC/USDT:USDT", "side": "long", "quantity": "20", "entry": "40000", "leverage": "10"},
        {"symbol": "ETH/USDT:USDT", "side": "short", "quantity": "30", "entry": "2600", "leverage": "5"},
    ],
    "orders": [{"id": "h1", "symbol": "BTC/USDT:USDT", "side": "sell", "quantity": "5", "price": "60000"}],
}

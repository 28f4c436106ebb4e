"""Hyperliquid on loopback: perpetuals, one builder-deployed exchange (``xyz``) and spot, asked and never streamed.

Every question is a body with a ``type``, as in the documentation of the info endpoint; another type is refused (422).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokers.paper.state import VenueOrder
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Fill, Instrument, Kind, OrderRequest, OrderSide, OrderStatus, OrderType, TimeInForce
from core.units import ZERO, plain
from tests.venues.ccxt.kraken_bodies import places
from tests.venues.ccxt.polled import Polled, Row

WALLET, PRIVATE = "0x" + "ab" * 20, "0x" + "11" * 32
DEX = "xyz"
CLOID = re.compile(r"0x[0-9a-f]{32}")
STATUSES = {
    OrderStatus.OPEN: "open",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.EXPIRED: "canceled",
    OrderStatus.REJECTED: "rejected",
}
ERRORS = {
    Refusal.NO_POSITION: "Reduce only order would increase position. asset=0",
    Refusal.REDUCE_ONLY: "Reduce only order would increase position. asset=0",
    Refusal.BELOW_MINIMUM: "Order must have minimum value of $10.",
    Refusal.DUPLICATE: "Duplicate cloid. asset=0",
}


class Hyperliquid(Polled):
    """``actions`` are the signed actions; ``modes`` has the margin mode of each coin that is not on cross.

    ``silent``: the account's positions are answered with an empty object.
    """

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue, WALLET, PRIVATE)
        self.actions: list[Row] = []
        self.modes: dict[str, str] = {}
        self.silent = False

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/api/info", self._info)
        app.router.add_post("/api/exchange", self._exchange)

    # ------------------------------------------------------------------------------------------------ the questions

    async def _info(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.text())
        self.venue.advance()
        dex = asked.get("dex", "")
        answers = {
            "perpDexs": lambda: [None, {"name": DEX, "fullName": "XYZ"}],
            "spotMeta": lambda: self._spot_meta()[0],
            "spotMetaAndAssetCtxs": self._spot_meta,
            "metaAndAssetCtxs": lambda: self._meta(dex),
            "userAbstraction": lambda: "default",
            "exchangeStatus": lambda: {"time": self.millis(), "specialStatuses": None},
            "clearinghouseState": lambda: self._positions(dex),
            "spotClearinghouseState": self._balances,
            "frontendOpenOrders": lambda: [self._order(t) for t in self.open_orders() if self._dex(t) == dex],
            "orderStatus": lambda: self._status(asked["oid"]),
            "historicalOrders": lambda: [self._ended(t) for t in self.venue.state.tickets.values()],
            "userFills": lambda: [self._fill(f) for f in self.fills()],
            "userFillsByTime": lambda: [
                row for f in reversed(self.fills()) if (row := self._fill(f))["time"] >= asked["startTime"]
            ],
        }
        answer = answers.get(asked.get("type", ""))
        if answer is None:
            return web.Response(status=422, text="Failed to deserialize the JSON body into the target type")
        return web.json_response(answer())

    def _coin(self, symbol: str) -> str:
        """The venue's name: of a contract its coin, of a pair of coins the pair."""
        base = symbol.partition("/")[0]
        if ":" not in symbol:
            return symbol
        return f"{DEX}:{base.partition('-')[2]}" if base.startswith(f"{DEX.upper()}-") else base

    def _dex(self, ticket: VenueOrder) -> str:
        return self._coin(ticket.order.symbol).rpartition(":")[0]

    def _perps(self, dex: str) -> list[Instrument]:
        return [i for i in self.instruments() if i.kind is Kind.PERP and self._coin(i.symbol).rpartition(":")[0] == dex]

    def _spots(self) -> list[Instrument]:
        return [i for i in self.instruments() if i.kind is Kind.SPOT]

    def _prices(self, instrument: Instrument) -> Row:
        top, last = self.venue.matching.market.top(instrument.symbol), plain(self.price(instrument.symbol))
        touch = [plain(top.bid or ZERO), plain(top.ask or ZERO)]
        return {
            "markPx": last,
            "midPx": last,
            "oraclePx": last,
            "prevDayPx": last,
            "impactPxs": touch,
            "dayNtlVlm": "1",
        }

    def _meta(self, dex: str) -> list[Any]:
        perps = self._perps(dex)
        rows = [
            {"name": self._coin(i.symbol), "szDecimals": places(i.step), "maxLeverage": 40, "marginTableId": 56}
            for i in perps
        ]
        return [{"universe": rows, "collateralToken": 0}, [self._prices(i) for i in perps]]

    def _spot_meta(self) -> list[Any]:
        spots = self._spots()
        usdc = {"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0, "fullName": None}
        coins = [
            {"name": _base(i.symbol), "szDecimals": places(i.step), "weiDecimals": 8, "index": n, "fullName": None}
            for n, i in enumerate(spots, 1)
        ]
        pairs = [{"name": i.symbol, "tokens": [n, 0], "index": n - 1} for n, i in enumerate(spots, 1)]
        return [{"tokens": [usdc, *coins], "universe": pairs}, [self._prices(i) for i in spots]]

    def _positions(self, dex: str) -> Row:
        if self.silent:
            return {}
        names = {i.symbol for i in self._perps(dex)}
        worth = {"accountValue": "10000" if not dex else "0", "totalMarginUsed": "100", "totalNtlPos": "0"}
        rows = []
        for held in self.positions():
            if held.symbol not in names:
                continue
            coin, value = self._coin(held.symbol), held.quantity * self.price(held.symbol)
            leverage = {"type": self.modes.get(coin, "cross"), "value": int(held.leverage or 1)}
            entry = {"entryPx": plain(held.entry or ZERO), "szi": plain(held.side.sign * held.quantity)}
            margin = {"positionValue": plain(value), "marginUsed": "100", "unrealizedPnl": "0", "maxLeverage": 40}
            rows.append({"type": "oneWay", "position": {"coin": coin, **entry, "leverage": leverage, **margin}})
        return {"assetPositions": rows, "marginSummary": worth, "withdrawable": "9000", "time": self.millis()}

    def _balances(self) -> Row:
        rows = [{"coin": "USDC", "token": 0, "hold": "0.0", "total": "500.0", "entryNtl": "0.0"}]
        names = {i.symbol for i in self._spots()}
        for held in self.positions():
            if held.symbol in names:
                used = plain(held.quantity - held.free)
                rows.append({"coin": _base(held.symbol), "hold": used, "total": plain(held.quantity)})
        return {"balances": rows}

    def _order(self, ticket: VenueOrder) -> Row:
        told = self.told(ticket)
        stop = told.type is OrderType.STOP
        return {
            "coin": self._coin(told.symbol),
            "side": "B" if told.side is OrderSide.BUY else "A",
            "limitPx": plain(told.price or told.trigger or ZERO),
            "sz": plain(told.quantity - told.filled),
            "oid": self._number(told.id),
            "timestamp": self.millis(),
            "triggerCondition": "Price below" if stop else "N/A",
            "isTrigger": stop,
            "triggerPx": plain(told.trigger or ZERO),
            "children": [],
            "isPositionTpsl": False,
            "reduceOnly": told.reduce_only,
            "orderType": "Stop Market" if stop else "Limit",
            "origSz": plain(told.quantity),
            "tif": ticket.tif.value.capitalize(),
            "cloid": told.client_id,
        }

    def _ended(self, ticket: VenueOrder) -> Row:
        told = self.told(ticket)
        return {"order": self._order(ticket), "status": STATUSES[told.status], "statusTimestamp": self.millis()}

    def _status(self, oid: object) -> Row:
        by_name = isinstance(oid, str)
        ticket = self.find(str(oid) if by_name else None, None if by_name else self._id(int(str(oid))))
        return {"status": "unknownOid"} if ticket is None else {"status": "order", "order": self._ended(ticket)}

    def _number(self, order_id: str) -> int:
        return list(self.venue.state.tickets).index(order_id) + 1000

    def _id(self, number: int) -> str:
        known = list(self.venue.state.tickets)
        return known[number - 1000] if 0 <= number - 1000 < len(known) else ""

    def _fill(self, fill: Fill) -> Row:
        known = fill.order_id in self.venue.state.tickets
        return {
            "coin": self._coin(fill.symbol),
            "px": plain(fill.price),
            "sz": plain(fill.quantity),
            "side": "B" if fill.side is OrderSide.BUY else "A",
            "time": int(fill.at.timestamp() * 1000) if fill.at else 0,
            "startPosition": "0",
            "dir": "Close Long",
            "closedPnl": "0",
            "hash": "0x00",
            "oid": self._number(fill.order_id) if known else 1,
            "crossed": True,
            "fee": plain(fill.fee),
            "tid": fill.trade_id,
            "feeToken": "USDC",
        }

    # ------------------------------------------------------------------------------------------------- the actions

    async def _exchange(self, request: web.Request) -> web.Response:
        body = json.loads(await request.text())
        self.venue.advance()
        action = body["action"]
        self.actions.append(action)
        assert set(body["signature"]) == {"r", "s", "v"}
        made: list[Any]
        if action["type"] == "order":
            self.calls += [("order", order) for order in action["orders"]]
            made = [self._place(order) for order in action["orders"]]
        elif action["type"] == "cancel":
            made = [self._cancel(self._id(int(c["o"]))) for c in action["cancels"]]
        else:
            return web.json_response({"status": "ok", "response": {"type": "default"}})
        answer = {"type": action["type"], "data": {"statuses": made}}
        return web.json_response({"status": "ok", "response": answer})

    def _place(self, order: Row) -> Any:
        """The price is the limit of every order; a cloid is 128 bits in hexadecimal."""
        name = order.get("c", "")
        if name and not CLOID.fullmatch(name):
            return {"error": "Invalid cloid"}
        limit = order["t"].get("limit", {})
        try:
            made = self.place(
                OrderRequest(
                    account=self.venue.account.id,
                    symbol=self._asset(order["a"]),
                    side=OrderSide.BUY if order["b"] else OrderSide.SELL,
                    quantity=Decimal(order["s"]),
                    client_id=name,
                    type=OrderType.LIMIT,
                    tif=TimeInForce(limit["tif"].lower()),
                    price=Decimal(order["p"]),
                    reduce_only=order["r"],
                )
            )
        except Refused as refused:
            return {"error": ERRORS.get(refused.refusal, str(refused))}
        number = self._number(made.id)
        if made.filled > 0:
            price = plain(made.average_price or ZERO)
            return {"filled": {"oid": number, "totalSz": plain(made.filled), "avgPx": price}}
        if made.status.terminal:
            return {"error": "Order could not immediately match against any resting orders. asset=0"}
        return {"resting": {"oid": number}}

    def _asset(self, number: int) -> str:
        if number >= 110_000:
            return self._perps(DEX)[number - 110_000].symbol
        return self._spots()[number - 10_000].symbol if number >= 10_000 else self._perps("")[number].symbol

    def _cancel(self, order_id: str) -> Any:
        try:
            self.venue.cancel(order_id)
        except Refused:
            return {"error": "Order was never placed, already canceled, or filled. asset=0"}
        return "success"


def _base(symbol: str) -> str:
    return symbol.partition("/")[0]


def perp(base: str, **more: Any) -> Row:
    """One contract's row of a book."""
    names = {"symbol": f"{base}/USDC:USDC", "native_symbol": base, "kind": "perp", "quote": "USDC"}
    return {**names, "step": "0.001", "tick": "0.1", "min_quantity": "0.001", "min_cost": "10", **more}


COIN = {"symbol": "PURR/USDC", "native_symbol": "PURR/USDC", "kind": "spot", "quote": "USDC"}
BOOK: dict[str, Any] = {
    "instruments": [
        perp("BTC"),
        perp("ETH", tick="0.01"),
        perp("XYZ-TSLA", tick="0.01"),
        {**COIN, "step": "1", "tick": "0.00001", "min_quantity": "1", "min_cost": "10"},
    ],
    "quotes": {
        "BTC/USDC:USDC": {"bid": "50000", "ask": "50001", "last": "50000"},
        "ETH/USDC:USDC": {"bid": "2500", "ask": "2501", "last": "2500"},
        "XYZ-TSLA/USDC:USDC": {"bid": "300", "ask": "301", "last": "300"},
        "PURR/USDC": {"bid": "0.2", "ask": "0.21", "last": "0.2"},
    },
    "positions": [
        {"symbol": "BTC/USDC:USDC", "side": "long", "quantity": "0.5", "entry": "40000", "leverage": "10"},
        {"symbol": "ETH/USDC:USDC", "side": "short", "quantity": "3", "entry": "2400", "leverage": "5"},
        {"symbol": "XYZ-TSLA/USDC:USDC", "side": "long", "quantity": "2", "entry": "290", "leverage": "3"},
        {"symbol": "PURR/USDC", "side": "long", "quantity": "1000", "entry": "0.1"},
    ],
    "orders": [
        {"id": "h1", "symbol": "BTC/USDC:USDC", "side": "sell", "quantity": "0.1", "price": "60000"},
        {"id": "h2", "symbol": "XYZ-TSLA/USDC:USDC", "side": "sell", "quantity": "1", "price": "400"},
    ],
}

"""A small Binance spot on a port of this machine: balances, rules, prices, and its conversion of dust into BNB.

Every call for an account must be signed as Binance wants it. What the conversion is asked for is kept in ``sent``; a
``fault`` is what goes wrong with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from core.engine.clock import SystemClock
from tests.venues.loopback import Loopback

KEY, SECRET = "binance-key-19ac", "binance-secret-77fe"
FEE = Decimal("0.02")
MOST_WORTH = Decimal(5)  # USDT; above it Binance does not call it small
IN_BNB = Decimal(600)  # USDT per BNB
WINDOW = 60_000
WORST_WAIT = 0.3
ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]


class BinanceDust(Loopback):
    """``prices`` are in USDT; an asset without one has no market. Each market has a minimum notional of 1 USDT."""

    def __init__(self, balances: dict[str, str], prices: dict[str, str]) -> None:
        super().__init__()
        self.balances = {asset: Decimal(amount) for asset, amount in balances.items()}
        self.prices = {asset: Decimal(price) for asset, price in prices.items()}
        self.locked: dict[str, Decimal] = {}  # in open orders, beside what is free
        self.fault = ""  # drop, lost, late, empty, page, refuse, partial
        self.sent: list[list[str]] = []
        self.log: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self._late: list[asyncio.Task[None]] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    def verify(self) -> None:
        assert self.violations == []

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        path = request.path.removeprefix("/api")
        if path == "/api/v3/exchangeInfo":
            return web.json_response(self._rules())
        if path.startswith("/api/v3/ticker/"):
            return web.json_response([self._ticker(asset) for asset in self.prices])
        query = parse_qs(body or request.query_string)
        wrong = self._unsigned(request, body or request.query_string, query)
        if wrong:
            self.violations.append(f"{path}: {wrong}")
            return _refusal(-1022, wrong)
        match request.method, path:
            case "GET", "/api/v3/account":
                return web.json_response(self._account())
            case "POST", "/sapi/v1/asset/dust-btc":
                return web.json_response({"details": [self._offer(asset) for asset in self._small()]})
            case "POST", "/sapi/v1/asset/dust":
                return await self._convert(request, query["asset"])
            case "GET", "/sapi/v1/asset/dribblet":
                return web.json_response(self._logged(int(query["startTime"][0])))
        self.violations.append(f"{request.method} {path} is not known here")
        return _refusal(-1000, path)

    @staticmethod
    def _unsigned(request: web.Request, signed: str, query: dict[str, list[str]]) -> str:
        payload, _, signature = signed.rpartition("&signature=")
        if request.headers.get("X-MBX-APIKEY") != KEY:
            return "not the key"
        if hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest() != signature:
            return "not signed with the secret"
        stale = abs(int(query.get("timestamp", ["0"])[0]) - _now()) > WINDOW
        return "the timestamp is outside of the window" if stale else ""

    def _account(self) -> dict[str, Any]:
        assets = dict.fromkeys([*self.balances, *self.locked])
        amounts = [(a, self.balances.get(a, Decimal(0)), self.locked.get(a, Decimal(0))) for a in assets]
        rows = [{"asset": a, "free": f"{free:f}", "locked": f"{locked:f}"} for a, free, locked in amounts]
        return {"makerCommission": 10, "takerCommission": 10, "accountType": "SPOT", "balances": rows}

    # ------------------------------------------------------------------------------------------------ conversion

    def _small(self) -> list[str]:
        worth = {asset: amount * self.prices.get(asset, Decimal(1)) for asset, amount in self.balances.items()}
        return [asset for asset, value in worth.items() if asset not in ("BNB", "USDT") and 0 < value <= MOST_WORTH]

    def _worth(self, asset: str) -> Decimal:
        return (self.balances[asset] * self.prices.get(asset, Decimal(1)) / IN_BNB).quantize(Decimal("1e-8"))

    def _offer(self, asset: str) -> dict[str, str]:
        gross = self._worth(asset)
        fee = (gross * FEE).quantize(Decimal("1e-8"))
        row = {"asset": asset, "assetFullName": asset, "amountFree": f"{self.balances[asset]:f}", "toBTC": "0"}
        return {**row, "toBNB": f"{gross:f}", "toBNBOffExchange": f"{gross - fee:f}", "exchange": f"{fee:f}"}

    async def _convert(self, request: web.Request, assets: list[str]) -> web.StreamResponse:
        self.sent.append(assets)
        if any(asset not in self._small() for asset in assets):
            self.violations.append(f"what is not small was to be converted: {assets}")
        match self.fault:
            case "refuse":
                return _refusal(-32110, "Only allow to be requested once within 1 hours")
            case "lost":
                return self._hang_up(request)
            case "late":
                self._late.append(asyncio.create_task(self._later(assets)))
                return self._hang_up(request)
            case "partial":
                assets = assets[:1]
        rows = [self._act(asset) for asset in assets]
        if self.fault == "drop":
            return self._hang_up(request)
        if self.fault in ("empty", "page"):
            return web.Response(text="<html>busy</html>" if self.fault == "page" else "", content_type="text/html")
        charged = sum((Decimal(row["serviceChargeAmount"]) for row in rows), Decimal(0))
        arrived = sum((Decimal(row["transferedAmount"]) for row in rows), Decimal(0))
        totals = {"totalServiceCharge": f"{charged:f}", "totalTransfered": f"{arrived:f}"}
        return web.json_response({**totals, "transferResult": rows})

    def _act(self, asset: str) -> dict[str, Any]:
        gross = self._worth(asset)
        fee = (gross * FEE).quantize(Decimal("1e-8"))
        amount = self.balances.pop(asset)
        self.balances["BNB"] = self.balances.get("BNB", Decimal(0)) + gross - fee
        row = {
            "amount": f"{amount:.8f}",
            "fromAsset": asset,
            "operateTime": _now(),
            "serviceChargeAmount": f"{fee:f}",
            "transferedAmount": f"{gross:f}",
        }
        number = 2_970_932_918 + len(self.log)
        self.log.append({**row, "transId": number, "operateTime": row["operateTime"]})
        return {**row, "tranId": number}

    async def _later(self, assets: list[str]) -> None:
        await asyncio.sleep(WORST_WAIT)
        for asset in assets:
            self._act(asset)

    @staticmethod
    def _hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _logged(self, since: int) -> dict[str, Any]:
        groups = [
            {"operateTime": row["operateTime"], "transId": row["transId"], "userAssetDribbletDetails": [row]}
            for row in self.log
            if row["operateTime"] >= since
        ]
        return {"total": len(groups), "userAssetDribblets": groups}

    # ------------------------------------------------------------------------------------------- markets and prices

    def _rules(self) -> dict[str, Any]:
        head = {"timezone": "UTC", "serverTime": _now(), "rateLimits": [], "exchangeFilters": []}
        return {**head, "symbols": [self._market(asset) for asset in self.prices]}

    @staticmethod
    def _market(asset: str) -> dict[str, Any]:
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.0001", "maxPrice": "1000000", "tickSize": "0.0001"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000000", "stepSize": "0.001"},
            {"filterType": "NOTIONAL", "minNotional": "1.00", "applyMinToMarket": True, "maxNotional": "9000000"},
        ]
        names = {"symbol": f"{asset}USDT", "status": "TRADING", "baseAsset": asset, "quoteAsset": "USDT"}
        digits = {"baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8}
        traits = {"orderTypes": ORDER_TYPES, "isSpotTradingAllowed": True, "isMarginTradingAllowed": False}
        return {**names, **digits, **traits, "permissions": [], "permissionSets": [["SPOT"]], "filters": filters}

    def _ticker(self, asset: str) -> dict[str, str]:
        price = f"{self.prices[asset]:f}"
        return {"symbol": f"{asset}USDT", "bidPrice": price, "bidQty": "9", "askPrice": price, "askQty": "9"}


def _refusal(code: int, text: str) -> web.Response:
    return web.json_response({"code": code, "msg": text}, status=400)


def _now() -> int:
    return int(SystemClock().now().timestamp() * 1000)

"""Exchanges that answer with fixed bodies in their own shape, for the real commands: what is read, and what is said.

A path is known by its end, the longest first; what nobody knows is a 404.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.venues.alpaca.clocks import FastClock
from tests.venues.loopback import Loopback

LOGIN = {"api_key": "shape-loopback-key", "secret": "canary-of-the-shape-venue"}


class Shape(Loopback):
    """An exchange with these bodies by the ends of paths. ``asked`` has the paths."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__()
        self.clock = FastClock(20.0)
        self.answers = answers
        self.asked: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    def beat(self) -> None:
        return None

    def verify(self) -> None:
        return None

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        for end in sorted(self.answers, key=len, reverse=True):
            if request.path.endswith(end):
                return web.json_response(self.answers[end])
        return web.json_response({"status": "error", "err-msg": "not found"}, status=404)


def luno() -> dict[str, Any]:
    """Luno: two coins that are sold for rand only."""
    limits = {"min_volume": "0.0001", "max_volume": "100", "volume_scale": 4, "price_scale": 0, "fee_scale": 8}
    pairs = {"XBTZAR": ("XBT", "1700000"), "SOLZAR": ("SOL", "2600")}
    markets = [
        {**limits, "market_id": name, "trading_status": "ACTIVE", "base_currency": coin, "counter_currency": "ZAR"}
        | {"min_price": "1", "max_price": "10000000"}
        for name, (coin, _) in pairs.items()
    ]
    rows = [("XBT", "0.25", "0.05"), ("SOL", "40", "0"), ("ZAR", "900", "0")]
    tickers = [
        {"pair": name, "timestamp": 1, "bid": price, "ask": price, "last_trade": price, "rolling_24_hour_volume": "1"}
        for name, (_, price) in pairs.items()
    ]
    return {
        "/exchange/1/markets": {"markets": markets},
        "/balance": {
            "balance": [
                {"account_id": c, "asset": c, "balance": b, "reserved": r, "unconfirmed": "0"} for c, b, r in rows
            ]
        },
        "/listorders": {"orders": None},
        "/listtrades": {"trades": None},
        "/api/1/tickers": {"tickers": tickers},
    }


def htx() -> dict[str, Any]:
    """HTX: inverse perpetuals and a dated short, on lists that ccxt does not ask for by itself."""
    ok = {"status": "ok", "ts": 1641109636572}
    contract = {"symbol": "BTC", "contract_size": "100", "price_tick": "0.1", "create_date": "20200325"}
    contract |= {"contract_status": 1, "settlement_date": "1641196800000"}
    linear = {**contract, "contract_code": "BTC-USDT", "contract_size": "0.001", "pair": "BTC-USDT"}
    linear |= {"business_type": "swap", "support_margin_mode": "all", "delivery_time": "", "contract_type": "swap"}
    dated = {**contract, "contract_code": "BTC270326", "contract_type": "quarter", "delivery_date": "20270326"}
    dated |= {"delivery_time": "1806048000000"}
    held = {"symbol": "BTC", "available": "500", "frozen": "0", "cost_open": "50000", "cost_hold": "50000"}
    held |= {"profit_unreal": "0", "profit_rate": "0", "lever_rate": "5", "position_margin": "0.1"}
    coin = {"symbol": "btcusdt", "base-currency": "btc", "quote-currency": "usdt", "state": "online"}
    coin |= {"api-trading": "enabled", "price-precision": 2, "amount-precision": 6, "value-precision": 8}
    none = {**ok, "data": {"orders": [], "total_page": 0, "current_page": 1, "total_size": 0}}
    book = {"id": 1, "ts": 1641109636572, "amount": "1", "vol": "1", "count": 1, "open": "50000", "close": "50000"}
    tick = {**book, "low": "50000", "high": "50000", "ask": ["50010", "1"], "bid": ["49990", "1"]}
    return {
        "/v1/common/symbols": {**ok, "data": [coin]},
        "/linear-swap-api/v1/swap_contract_info": {**ok, "data": [linear]},
        "/swap-api/v1/swap_contract_info": {**ok, "data": [{**contract, "contract_code": "BTC-USD"}]},
        "/api/v1/contract_contract_info": {**ok, "data": [dated]},
        "/v1/account/accounts": {**ok, "data": [{"id": 1, "type": "spot", "state": "working", "subtype": ""}]},
        "/v1/account/accounts/1/balance": {**ok, "data": {"id": 1, "type": "spot", "state": "working", "list": []}},
        "/v1/order/openOrders": {**ok, "data": []},
        "/v5/trade/position/opens": {"code": 200, "message": "", "data": []},
        "/v5/trade/order/opens": {"code": 200, "message": "", "data": []},
        "/v5/algo/order/opens": {"code": 200, "message": "", "data": []},
        "/v5/account/balance": {"code": 200, "message": "", "data": {}},
        "/swap_position_info": {
            **ok,
            "data": [{**held, "contract_code": "BTC-USD", "volume": "500", "direction": "buy"}],
        },
        "/contract_position_info": {
            **ok,
            "data": [
                {**held, "contract_code": "BTC270326", "contract_type": "quarter", "volume": "3"}
                | {"direction": "sell", "available": "3"}
            ],
        },
        **dict.fromkeys(("/swap_openorders", "/swap_trigger_openorders", "/contract_openorders"), none),
        "/contract_trigger_openorders": none,
        "/v2/swap-ex/market/detail/batch_merged": {**ok, "ticks": [{**tick, "contract_code": "BTC-USD"}]},
        "/v2/market/detail/batch_merged": {**ok, "ticks": [{**tick, "symbol": "BTC270326"}]},
        "/swap-ex/market/detail/merged": {**ok, "ch": "market.BTC-USD.detail.merged", "tick": tick},
        "/market/detail/merged": {**ok, "ch": "market.BTC270326.detail.merged", "tick": tick},
        "/cross-margin/accounts/balance": {**ok, "data": {"id": 2, "type": "cross-margin", "list": []}},
        "/margin/accounts/balance": {**ok, "data": []},
    }

"""ccxt's own clients with two made-up markets and no network: what they would send."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache, partial
from typing import Any

from brokers.ccxt.lazy_import import contained, folder, load

SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
# Made-up credentials, addresses and limits of exchanges that ask a question before they make a request.
OPTIONS: dict[str, dict[str, Any]] = {
    "bitvavo": {"operatorId": 7},
    "bullish": {"tradingAccountId": "1"},
    "cex": {"createOrder": {"accountId": "1"}, "accountId": "1"},
    "derive": {"subaccount_id": 1},
    "hyperliquid": {"enableUnifiedMargin": False, "refSet": True, "builderFee": False, "approvedBuilderFee": True},
}


def market(*, spot: bool, inverse: bool = False) -> dict[str, Any]:
    kind, settle = "spot" if spot else "swap", None if spot else "BTC" if inverse else "USDT"
    quote = "USD" if inverse else "USDT"
    lots = {"amount": {"min": "0.001"}, "price": {}, "cost": {}, "leverage": {"min": 1, "max": 100}}
    made: dict[str, Any] = {
        **dict.fromkeys(("margin", "future", "option"), False),
        **dict.fromkeys(("quote", "quoteId"), quote),
        **dict.fromkeys(("settle", "settleId"), settle),
        **dict.fromkeys(("base", "baseId"), "BTC"),
        "spot": spot,
        "swap": not spot,
        "contract": not spot,
        "active": True,
        "type": kind,
        "linear": not spot and not inverse,
        "inverse": inverse,
        "contractSize": None if spot else "1",
        "id": "BTCUSDT",
        "lowercaseId": "btcusdt",
        "numericId": 1,
        "info": {"orderTypes": ["MARKET", "LIMIT"]},
        "precision": {"amount": "0.001", "price": "0.1"},
        "limits": lots,
        "taker": 0.001,
        "maker": 0.001,
    }
    return {**made, "symbol": f"BTC/{quote}" if spot else f"BTC/{quote}:{settle}"}


@cache
def class_of(name: str) -> Any:
    """ccxt's synchronous class of an exchange, alone."""
    load("kraken")  # registers the stand-in packages
    return getattr(importlib.import_module(f"ccxt.{name}"), name)


@cache
def names() -> list[str]:
    """Every exchange of ccxt at which an order can be placed."""
    found = (path.stem for path in (folder() / "async_support").glob("[a-z]*.py"))
    return sorted(name for name in found if class_of(name)().has.get("createOrder") is True)


def client(name: str) -> Any:
    made = class_of(name)({"enableRateLimit": False})
    for credential in ("apiKey", "password", "uid", "login", "token", "twofa"):
        setattr(made, credential, "a" * 32)
    made.secret = base64.b64encode(b"a" * 32).decode()
    made.walletAddress, made.privateKey, made.number = "0x" + "ab" * 20, "0x" + "11" * 32, str
    made.options = {**made.options, **OPTIONS.get(name, {})}
    made.decimal_to_precision = partial(contained, made.decimal_to_precision)
    money = {code: {"id": code, "code": code, "precision": "0.00000001"} for code in ("BTC", "USD", "USDT", "USDC")}
    made.set_markets([market(spot=True), market(spot=False), market(spot=False, inverse=True)], money)
    made.load_markets = lambda *_, **__: made.markets
    return made


def sent(name: str, call: Callable[[Any], Any]) -> list[tuple[str, str, Any]]:
    """Method, path and parameters of each request of a call. Every answer is empty; what ccxt makes of it is lost."""
    exchange, found = client(name), list[tuple[str, str, Any]]()
    sign = exchange.sign

    def signed(path: Any, api: Any = "public", method: Any = "GET", params: Any = None, *more: Any) -> Any:
        found.append((method, str(path), deepcopy(params)))
        try:
            return sign(path, api, method, params or {}, *more)
        except Exception:  # noqa: BLE001  # made-up keys sign nothing
            return {"url": "", "method": method, "headers": {}, "body": ""}

    exchange.sign = signed
    exchange.fetch = lambda *_, **__: {}
    try:
        call(exchange)
    except Exception:  # noqa: BLE001  # an empty answer is no order
        return found
    return found


def order(
    name: str, symbol: str, params: dict[str, Any], *, side: str = "sell", kind: str = "market"
) -> tuple[str, str, Any] | None:
    """The request that places an order; None where the made-up market and account do not lead to one."""
    for price in (None, "100.0"):
        asked = sent(name, lambda e, p=price: e.create_order(symbol, kind, side, "5", p, dict(params)))
        placing = [one for one in asked if one[0] != "GET" or one[1] in ("buy", "sell")]
        if placing and not placing[-1][1].endswith(("info", "auth")):
            return placing[-1]
    return None


def words(params: Any, value: str, word: str = "") -> Iterator[str]:
    """The words under which a value is somewhere in a request's parameters."""
    if isinstance(params, dict):
        for key, inner in params.items():
            yield from words(inner, value, key)
    elif isinstance(params, list | tuple):
        for inner in params:
            yield from words(inner, value, word)
    elif isinstance(params, str) and value in params:
        yield word


PASSING = ("timestamp", "nonce", "ts", "time", "signature", "expiration")  # differ between two equal requests


def flat(params: Any) -> Iterator[tuple[str, Any]]:
    """Every word of a request's parameters with its value."""
    for one in params if isinstance(params, list | tuple) else (params,):
        if isinstance(one, dict):
            yield from ((key, str(value)) for key, value in one.items())

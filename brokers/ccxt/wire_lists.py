"""Detect answers that lack the requested list. Pure.

ccxt reads most such answers as an empty list, which would mean a flat account. Kraken Futures sent such answers while
the venue was degraded (ccxt#29710); ``krakenfutures_wire`` checks Kraken Futures' answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.errors import OutcomeUnknown

Keys = tuple[str, ...]
_DATA: Keys = ("data",)
_ITEMS: Keys = ("data", "items")
_LIST: Keys = ("result", "list")
_BINANCE: dict[str, Keys] = dict.fromkeys(("openOrders", "openAlgoOrders", "allOrders", "allAlgoOrders"), ())
# A call's path → the keys that lead to the list in its answer (at Kraken an object). (): the answer is the list.
_PLACES: dict[str, dict[str, Keys]] = {
    "binance": {**_BINANCE, "account": ("balances",), "myTrades": ()},
    "binanceusdm": {**_BINANCE, "userTrades": ()},
    "binancecoinm": {**_BINANCE, "userTrades": ()},
    "kraken": {
        "BalanceEx": ("result",),
        "OpenOrders": ("result", "open"),
        "ClosedOrders": ("result", "closed"),
        "TradesHistory": ("result", "trades"),
    },
    "coinbase": {
        "brokerage/accounts": ("accounts",),
        "brokerage/cfm/positions": ("positions",),
        "brokerage/orders/historical/batch": ("orders",),
        "brokerage/orders/historical/fills": ("fills",),
    },
    "okx": {
        **dict.fromkeys(("account/balance", "account/positions", "trade/orders-pending"), _DATA),
        **dict.fromkeys(("trade/orders-algo-pending", "trade/fills", "trade/fills-history"), _DATA),
    },
    "bybit": {
        **dict.fromkeys(("v5/account/wallet-balance", "v5/position/list", "v5/execution/list"), _LIST),
        **dict.fromkeys(("v5/order/realtime", "v5/order/history"), _LIST),
    },
    "kucoinfutures": {"positions": _DATA, **dict.fromkeys(("orders", "stopOrders", "fills"), _ITEMS)},
}
_PLACES |= dict.fromkeys(("myokx", "okxus"), _PLACES["okx"])


def check(exchange: str, path: str, answer: object) -> None:
    """Raise OutcomeUnknown if the list is missing. KuCoin answers an accepted order under a list's path."""
    place, found = _PLACES[exchange].get(path), answer
    if place is None:
        return
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict) and "orderId" in found:
            return
    if not isinstance(found, list) and not (place and isinstance(found, dict)):
        raise OutcomeUnknown(f"{exchange} answered {path} without the list {'.'.join(place)}".rstrip())


# Exchanges whose empty lists may come as ``null``: a call's path → the key that each answer must have.
_KEYS: dict[str, dict[str, str]] = {
    "bitget": dict.fromkeys(
        (
            *("v2/mix/position/all-position", "v2/mix/order/orders-pending", "v2/mix/order/orders-plan-pending"),
            *("v2/spot/account/assets", "v2/spot/trade/unfilled-orders", "v3/position/current-position"),
        ),
        "data",
    ),
    "deribit": dict.fromkeys(
        ("get_positions", "get_open_orders_by_currency", "get_open_orders_by_instrument"), "result"
    ),
    "htx": dict.fromkeys(("v5/trade/position/opens", "v5/trade/order/opens", "v5/algo/order/opens"), "data"),
}


def check_key(exchange: str, path: str, answer: object) -> None:
    """Raise OutcomeUnknown if the answer has nothing under the key of its list."""
    key = _KEYS[exchange].get(path)
    if key is not None and not (isinstance(answer, dict) and key in answer):
        raise OutcomeUnknown(f"{exchange} answered {path} without {key}")


def check_hyperliquid(path: str, answer: object) -> None:
    """Raise OutcomeUnknown for an empty object, and for an account without its list of positions.

    All questions have one path. No answer is an empty object.
    """
    if path != "info" or not isinstance(answer, dict):
        return
    if not answer or ("marginSummary" in answer and not isinstance(answer.get("assetPositions"), list)):
        raise OutcomeUnknown("hyperliquid answered a question without its list")


CHECKS: dict[str, Callable[[str, object], None]] = {
    **{exchange: partial(check, exchange) for exchange in _PLACES},
    **{exchange: partial(check_key, exchange) for exchange in _KEYS},
    "hyperliquid": check_hyperliquid,
}

"""Questions that prove parts of an account to be empty that our lists do not cover.

A part is named as not listed until its question is answered. So an account that does not use the part is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from brokers.ccxt import wire_unlisted

Params = dict[str, Any]


class Question(Struct, frozen=True):
    """A call, the parts that it is about, and the function that returns the parts that hold something."""

    method: str
    parts: tuple[str, ...]
    told: Callable[[object], tuple[str, ...]]
    words: tuple[tuple[str, str], ...] = ()  # parameters

    def params(self) -> Params:
        return dict(self.words)


def _margin(*wallets: dict[str, str]) -> tuple[Question, ...]:
    """Return the questions about balances on margin, one for each wallet in ccxt's words."""
    told = wire_unlisted.coins_on_margin
    return tuple(Question("fetch_balance", (wire_unlisted.ON_MARGIN,), told, tuple(w.items())) for w in wallets)


def _orders(method: str, part: str, *words: dict[str, str]) -> tuple[Question, ...]:
    """Return the questions about lists of conditional orders that ccxt's cancel does not reach for certain."""
    told = partial(wire_unlisted.listed_orders, part)
    return tuple(Question(method, (part,), told, tuple(w.items())) for w in words)


_PRODUCTS = ("USDT-FUTURES", "USDC-FUTURES", "COIN-FUTURES")
_PLANS = {"track_plan": wire_unlisted.TRAILING, "profit_loss": wire_unlisted.EXITS}
_ALGOS = {"trailing_stop": wire_unlisted.TRAILING} | dict.fromkeys(("tpsl", "tp", "sl"), wire_unlisted.EXITS)
# Binance's own wallets of USD-M and COIN-M futures are accounts of ``binanceusdm`` and ``binancecoinm``.
QUESTIONS: dict[str, tuple[Question, ...]] = {
    "binance": (
        Question("sapiGetAssetWalletBalance", tuple(wire_unlisted.WALLETS.values()), wire_unlisted.wallets_with_money),
    ),
    "bitfinex": _margin({"type": "margin"}),
    "bitget": (
        *_margin({"type": "spot", "marginMode": "cross"}, {"type": "spot", "marginMode": "isolated"}),
        *(
            question
            for plan, part in _PLANS.items()
            for product in _PRODUCTS
            for question in _orders(
                "privateMixGetV2MixOrderOrdersPlanPending", part, {"productType": product, "planType": plan}
            )
        ),
    ),
    "bybit": tuple(
        Question(method, ("options",), wire_unlisted.listed_options, (("category", "option"),))
        for method in ("privateGetV5PositionList", "privateGetV5OrderRealtime")
    ),
    "coinbase": (
        Question("v3PrivateGetBrokerageKeyPermissions", (wire_unlisted.PERPETUALS,), wire_unlisted.perpetuals_of_key),
    ),
    # An account of options without money has neither positions nor orders.
    "gate": (
        *_margin({"type": "spot", "marginMode": "isolated"}),
        Question("privateOptionsGetAccounts", ("options",), wire_unlisted.options_with_money),
    ),
    "htx": (
        *_margin({"type": "margin", "marginMode": "cross"}, {"type": "margin", "marginMode": "isolated"}),
        *(
            question
            for kind, part in _ALGOS.items()
            for question in _orders("contractPrivateGetV5AlgoOrderOpens", part, {"type": kind})
        ),
    ),
    "kucoin": _margin({"type": "margin"}, {"type": "isolated"}),
}

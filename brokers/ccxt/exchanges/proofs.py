"""Questions that prove parts of an account to be empty that our lists do not cover.

A part is named as not listed until its question is answered. So an account that does not use the part is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from brokers.ccxt import wire_unlisted

Params = dict[str, Any]


class Question(Struct, frozen=True):
    """A raw call, the parts that it is about, and the function that returns the parts that hold something."""

    method: str
    parts: tuple[str, ...]
    told: Callable[[object], tuple[str, ...]]
    category: str = ""  # the value of Bybit's parameter

    def params(self) -> Params:
        return {"category": self.category} if self.category else {}


# Binance's own wallets of USD-M and COIN-M futures are accounts of ``binanceusdm`` and ``binancecoinm``.
_OPTIONS = tuple(
    Question(method, ("options",), wire_unlisted.listed_options, "option")
    for method in ("privateGetV5PositionList", "privateGetV5OrderRealtime")
)
QUESTIONS: dict[str, tuple[Question, ...]] = {
    "binance": (
        Question("sapiGetAssetWalletBalance", tuple(wire_unlisted.WALLETS.values()), wire_unlisted.wallets_with_money),
    ),
    "coinbase": (
        Question("v3PrivateGetBrokerageKeyPermissions", (wire_unlisted.PERPETUALS,), wire_unlisted.perpetuals_of_key),
    ),
    "bybit": _OPTIONS,
}

"""One account's settings of its exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

CREDENTIALS = {
    "api_key": "apiKey",
    "secret": "secret",
    "password": "password",
    "private_key": "privateKey",
    "token": "token",
}
IDENTIFIERS = {"uid": "uid", "wallet_address": "walletAddress"}  # no secrets: the file has the values themselves


class ExchangeSettings(Struct, frozen=True):
    """One account's exchange settings without credentials. An empty ``stream`` means: no streams."""

    exchange: str
    endpoint: str = ""
    stream: str = ""
    sandbox: bool = False
    defaults: dict[str, Any] = {}  # ccxt's options that our tables set for the exchange
    options: dict[str, Any] = {}  # ccxt's options of the configuration; they override all others
    allow_withdraw: bool = False  # accept keys that may withdraw
    numbered: bool = False  # each signed request needs a greater number (nonce) than the one before
    by_address: bool = False  # the venue counts requests by address, not by account
    open_by_address: bool = False  # the venue counts unsigned requests by address
    per_second: float | None = None  # cost per second; None: ccxt's value
    burst: float | None = None  # seconds of the rate that may leave at once; None: ccxt's value, within bounds
    # checks an answer by its path; raises where ccxt would misread it
    check: Callable[[str, object], None] | None = None
    costs: dict[str, float] = {}  # costs by path, and by path and a parameter that raises the cost; else ccxt's

"""Keep other people's fees and names off an account's orders.

ccxt approves a fee of its own at some exchanges (``builderFee``), registers itself as the referrer, and names itself
as the broker in headers. Only a person may agree to that: an option of the configuration with the same name turns it
on again. At HTX, Woo, Woofi Pro, Mode Trade, Blofin, Apex, WEEX, XT, Toobit and HashKey the signed request has ccxt's
broker id. The id costs no fee, and ccxt cannot leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# ``refSet``: Hyperliquid's referrer counts as set, so ccxt does not set it.
OPTIONS: dict[str, Any] = {"builderFee": False, "refSet": True}
BROKERS = frozenset({"broker", "brokerId", "partner"})  # options that name a broker
HEADERS = frozenset(
    {"apca-partner-id", "broker-id", "kc-api-partner", "kc-api-partner-sign", "kc-api-partner-verify", "referer"}
    | {"open-api-partner", "paradex-partner", "partner-id", "referrer", "x-broker-id", "x-channel-api-code"}
    | {"x-gate-channel-id", "x-source-key"}
)
PARAMS = {"cryptocom": frozenset({"broker_id"}), "cryptomus": frozenset({"tag"})}


def leave_out(exchange: Any, configured: Mapping[str, Any]) -> None:
    """Stop ccxt's instance from approving fees and from sending a broker's headers."""
    if not exchange.options.get("builderFee") and hasattr(exchange, "handle_builder_fee_approval"):
        exchange.handle_builder_fee_approval = _approve_nothing  # Hyperliquid's approves a fee of 0 even if off
    if not BROKERS & configured.keys():
        exchange.set_headers = _without_brokers


def params_without(name: str, params: Mapping[str, Any], configured: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a request's parameters without a broker's id."""
    dropped = frozenset[str]() if BROKERS & configured.keys() else PARAMS.get(name, frozenset())
    return {key: value for key, value in params.items() if key not in dropped} if dropped else params


async def _approve_nothing(*_: Any) -> bool:
    return False


def _without_brokers(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name.lower() not in HEADERS}

"""Broker adapters by name. An adapter is imported on first use: nobody pays for a venue that they do not have."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from core.config.values import BROKERS as KNOWN, show
from core.errors import ConfigError

if TYPE_CHECKING:
    from core.ports import Broker, Clock
    from core.settings import AccountSettings

__all__ = ["AVAILABLE", "KNOWN", "open_broker"]

AVAILABLE = ("paper", "ccxt", "alpaca")  # the brokers of KNOWN that this version contains


def open_broker(account: AccountSettings, data_dir: Path | None, clock: Clock, *, speed: float = 1.0) -> Broker:
    """Return the adapter of ``account``, not connected yet. Raises ConfigError for a broker that is not available."""
    if account.broker not in KNOWN:
        near = get_close_matches(account.broker, KNOWN, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else f"; those known are {', '.join(KNOWN)}"
        raise ConfigError(f"account {account.id}: {show(account.broker)} is not a known broker{hint}")
    if account.broker not in AVAILABLE:
        has = ", ".join(AVAILABLE)
        raise ConfigError(f'account {account.id}: broker "{account.broker}" is not part of this version; it has: {has}')
    if account.broker == "alpaca":
        from brokers.alpaca.broker import open_account as open_alpaca  # noqa: PLC0415

        return open_alpaca(account, data_dir, clock)
    if account.broker == "ccxt":
        from brokers.ccxt.broker import open_account as open_ccxt  # noqa: PLC0415

        return open_ccxt(account, data_dir, clock)
    from brokers.paper.broker import open_account  # noqa: PLC0415  # on first use

    return open_account(account, data_dir, clock, speed=speed)

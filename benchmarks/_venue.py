"""A paper venue for benchmarks: 59 positions, 50 ms for every answer, in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from brokers.paper.broker import PaperBroker, open_account
from core.ports import Clock
from core.settings import AccountSettings

LATENCY = 0.05


def fifty_nine(*, with_orders: bool = False) -> dict[str, Any]:
    """A book of 59 spot positions, each with a resting order where asked for."""
    symbols = [f"C{n:02d}-USD" for n in range(59)]
    order = {"side": "sell", "quantity": "1", "price": "9", "type": "limit"}
    return {
        "quotes": {s: {"bid": "2", "ask": "2.01", "last": "2"} for s in symbols},
        "positions": [{"symbol": s, "side": "long", "quantity": "3", "entry": "1"} for s in symbols],
        "orders": [{"id": f"o{s}", "symbol": s, **order} for s in symbols] if with_orders else [],
    }


def account(directory: Path, book: dict[str, Any], faults: dict[str, float]) -> AccountSettings:
    """A paper account on that book."""
    path = directory / "book.json"
    path.write_text(json.dumps(book), encoding="utf-8")
    options = {"book": str(path), "frozen": True, "latency_ms": int(LATENCY * 1000), "faults": faults}
    return AccountSettings("platform/bench", "platform", "bench", "paper", options)


def open_books(settings: AccountSettings, clock: Clock) -> PaperBroker:
    """The account, kept in memory."""
    return open_account(settings, None, clock)

"""The JSON of an account, of its state, and of the kill switch. Values in, documents out."""

from __future__ import annotations

from typing import Any

from core.link.messages import AccountRow
from core.link.restrict import HaltRow, TradingRow
from core.units import iso


def account(row: AccountRow) -> dict[str, Any]:
    """Return one account."""
    return {
        "id": row.id,
        "owner": row.owner,
        "broker": row.broker,
        "state": row.state,
        "error": row.error,
        "as_of": iso(row.as_of) if row.as_of else None,
        "frozen": row.frozen,
        "complete": row.whole,
        "unlisted": list(row.unlisted),
        "trading": trading(row.trading),
    }


def trading(row: TradingRow) -> dict[str, Any]:
    """Return the state of an account: enabled, close-only or locked."""
    return {
        "state": row.state,
        "until": iso(row.until) if row.until else None,
        "reason": row.reason,
        "since": iso(row.since) if row.since else None,
        "by": row.by,
    }


def halted(row: HaltRow | None) -> dict[str, Any] | None:
    """Return the halt that is in force, or None."""
    return None if row is None else {"reason": row.reason, "since": iso(row.since), "by": row.by}

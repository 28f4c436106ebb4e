"""What one call of ccxt's has been seen doing on the network."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from email.utils import parsedate_to_datetime

from brokers.ccxt.limits import Priority


class RequestTrace:
    """One call; a context's, so that calls at the same time are told apart."""

    __slots__ = ("failed", "headers", "left", "priority", "status")

    def __init__(self, priority: Priority) -> None:
        self.priority = priority
        self.left = 0  # requests that were given to the connection
        self.failed: Exception | None = None  # of one of them, which ccxt may have passed over
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}


current: ContextVar[RequestTrace | None] = ContextVar("trace", default=None)


def answer_date(headers: Mapping[str, str]) -> datetime | None:
    """When the venue says that it answered, to a second; None where it does not."""
    try:
        found = parsedate_to_datetime(text) if (text := headers.get("Date")) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None

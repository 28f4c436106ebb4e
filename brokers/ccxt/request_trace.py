"""A trace of the network requests of one ccxt call."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from email.utils import parsedate_to_datetime

from brokers.ccxt.limits import Priority


class RequestTrace:
    """The trace of one call. A context variable holds it, so simultaneous calls stay apart."""

    __slots__ = ("failed", "headers", "left", "priority", "status")

    def __init__(self, priority: Priority) -> None:
        self.priority = priority
        self.left = 0  # requests given to the connection
        self.failed: Exception | None = None  # a request's error, which ccxt may have ignored
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}


current: ContextVar[RequestTrace | None] = ContextVar("trace", default=None)


def answer_date(headers: Mapping[str, str]) -> datetime | None:
    """Return the date of an answer, exact to a second; None without a valid one."""
    try:
        found = parsedate_to_datetime(text) if (text := headers.get("Date")) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None

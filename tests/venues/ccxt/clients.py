"""ccxt's real client of an exchange, pointed at a loopback one as the configuration would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from brokers.ccxt.lazy_import import contained, load, rebase
from tests.venues.ccxt.host import Exchange


@asynccontextmanager
async def client(name: str, at: Exchange, **login: Any) -> AsyncIterator[Any]:
    """With its streams where ccxt has them; it neither waits between requests nor repeats one."""
    made = load(name)({"enableRateLimit": False, "timeout": 5000, **login})
    made.number = str
    made.decimal_to_precision = partial(contained, made.decimal_to_precision)
    made.options["maxRetriesOnFailure"] = 0
    made.urls = {**made.urls, "api": rebase(made.urls["api"], at.endpoint, at.stream_endpoint, made.hostname or "")}
    try:
        yield made
    finally:
        await made.close()

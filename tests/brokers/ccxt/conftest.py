"""Venues of given bodies, and accounts at them that are closed whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from brokers.ccxt.broker import CcxtBroker
from tests.brokers.ccxt.kit import Bodies, broker_at

Opened = Callable[..., Any]


@pytest.fixture
async def at() -> AsyncIterator[Opened]:
    """``await at(exchange, answers)`` → an account and its venue, connected unless ``connect=False``."""
    opened: list[tuple[CcxtBroker, Bodies]] = []

    async def open_(
        exchange: str, answers: dict[str, Any], *, clock: Any = None, connect: bool = True, **options: Any
    ) -> tuple[CcxtBroker, Bodies]:
        venue = Bodies(answers)
        await venue.start()
        if options.get("stream_endpoint") == "same":
            options["stream_endpoint"] = venue.endpoint.replace("http", "ws")
        broker = broker_at(exchange, venue, clock, **options)
        opened.append((broker, venue))
        if connect:
            await broker.connect()
        return broker, venue

    yield open_
    for broker, venue in opened:
        await broker.aclose()
        await venue.stop()

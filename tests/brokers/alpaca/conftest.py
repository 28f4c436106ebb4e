"""A loopback venue and an adapter that is connected to it, on one clock twenty times as fast as the machine's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from brokers.alpaca.broker import AlpacaBroker
from tests.brokers.alpaca.kit import broker_at
from tests.venues.alpaca.fixtures import open_desk, venue
from tests.venues.alpaca.server import AlpacaVenue

__all__ = ["open_desk", "venue"]


@pytest.fixture
async def broker(venue: AlpacaVenue) -> AsyncIterator[AlpacaBroker]:
    made = broker_at(venue)
    await made.connect()
    yield made
    await made.aclose()

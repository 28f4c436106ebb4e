"""A venue for a test, on a clock twenty times as fast, and credentials where the configuration says they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.venues.alpaca.clocks import FastClock
from tests.venues.alpaca.desk import ENV, AlpacaDesk
from tests.venues.alpaca.server import AlpacaVenue

SPEED = 20.0
OpenDesk = Callable[..., AlpacaDesk]


@pytest.fixture
def venue(request: pytest.FixtureRequest) -> Iterator[AlpacaVenue]:
    """What was asked of it is verified at the end: no plain order for an option, nothing opened or flipped.

    Another speed is its parameter.
    """
    with AlpacaVenue(FastClock(getattr(request, "param", SPEED))) as running:
        yield running


@pytest.fixture
def open_desk(tmp_path: Path, venue: AlpacaVenue, monkeypatch: pytest.MonkeyPatch) -> OpenDesk:
    """Writes the configuration; keywords are those of ``AlpacaDesk``."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)

    def opened(**more: Any) -> AlpacaDesk:
        return AlpacaDesk(tmp_path, venue, **more)

    return opened

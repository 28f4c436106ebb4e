"""Tests of the paper venue run on a loop in which time passes only when everybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest


class VirtualLoop(asyncio.SelectorEventLoop):
    """Waiting costs no time: the clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 1000.0
        really: Any = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None = None) -> Any:
            events = really(0)
            if not events and timeout:
                self.elapsed += timeout
            return events

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.elapsed


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop}

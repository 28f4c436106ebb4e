"""A service of the real composition on a configuration file, and what is waited for in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.ports import Clock
from tui.main import SystemEnvironment


@asynccontextmanager
async def service(config: Path, clock: Clock) -> AsyncIterator[Any]:
    """A running engine that may act, on that clock; credentials come from this process's environment."""
    world = SystemEnvironment({**os.environ})
    world.clock = clock  # type: ignore[assignment]  # a Clock too
    loaded = world.load(str(config))
    assert loaded is not None
    async with world.engine(loaded.settings, acting=True, mode="service", lasting=True) as engine:
        task = asyncio.ensure_future(engine.run())  # type: ignore[attr-defined]  # the real one
        yield engine
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def soon(holds: Callable[[], object]) -> None:
    """Until it holds, within twenty seconds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # the venue is a thread with a loop of its own
            await asyncio.sleep(0.01)


def marks(engine: Any) -> dict[str, Decimal | None]:
    """The mark of each symbol that is held."""
    return {p.key.symbol: p.mark for p in engine.snapshot().positions}

"""Virtual time: a loop whose clock jumps to the next timer, so that minutes pass in milliseconds.

Nothing ready and no timer is a deadlock, and an error instead of a test that hangs.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

DAWN = datetime(2026, 1, 5, 8, tzinfo=UTC)  # a Monday
BEGIN = 1000.0
LONGEST = 86_400.0  # seconds that one test may take of this time


class VirtualLoop(asyncio.SelectorEventLoop):
    """Waiting costs no time."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = BEGIN
        really: Any = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None = None) -> Any:
            events = really(0)
            if not events and timeout is None:
                raise RuntimeError("deadlock: nothing is ready and no timer is set")
            if not events and timeout:
                self.elapsed += timeout
                if self.elapsed - BEGIN > LONGEST:
                    raise RuntimeError("this goes on for ever")
            return events

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.elapsed


class VirtualClock:
    """The running loop's time as a Clock; wall time begins at ``DAWN``."""

    def now(self) -> datetime:
        return DAWN + timedelta(seconds=self.monotonic() - BEGIN)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a loop of its own in virtual time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run

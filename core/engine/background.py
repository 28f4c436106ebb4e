"""The tasks that an engine runs in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class BackgroundTasks:
    """One engine's tasks. An error of a task becomes an alarm."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._tasks: set[asyncio.Task[object]] = set()

    def spawn(self, work: Coroutine[object, object, object]) -> None:
        """Run a coroutine in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    async def stop(self) -> None:
        """End every task."""
        while left := [task for task in self._tasks if not task.done()]:
            for task in left:
                task.cancel()  # repeated: a TaskGroup that fails at that moment forgets its cancellation
            await asyncio.wait(left, timeout=1.0)

    def _reap(self, task: asyncio.Task[object]) -> None:
        """Forget an ended task."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._say("alarm", f"a part of the engine failed: {task.exception()!r}")

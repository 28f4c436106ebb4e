"""End the work of a command when a signal asks for it, so that everything is closed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Terminated(Exception):
    """A signal asked the program to end, and everything was closed."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}")
        self.number = number


async def unwound(work: Coroutine[Any, Any, T], ignored: Callable[[int], bool]) -> T:
    """Run ``work`` as a task. A signal that is not ``ignored`` cancels the task and raises Terminated."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    came: list[int] = []

    def unwind(number: int) -> None:
        if ignored(number):
            return
        came.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        try:
            loop.add_signal_handler(number, unwind, number)
        except (NotImplementedError, RuntimeError, ValueError):  # not the main thread
            break
    try:
        return await task
    except asyncio.CancelledError:
        if came:
            raise Terminated(came[0]) from None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise

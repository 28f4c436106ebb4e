"""SIGTERM and SIGHUP leave cleanly; a watchdog ends the process when a dead terminal makes even that hang."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

WATCHDOG = 2.0  # seconds a clean exit may take
HANDLED = (signal.SIGTERM, signal.SIGHUP)


def leave_on_signals(
    leave: Callable[[int], None], *, watchdog: float = WATCHDOG, die: Callable[[int], None] = os._exit
) -> Callable[[], None]:
    """Install the handlers on the running loop; ``leave`` gets the exit code. Returns what takes them off again."""
    loop = asyncio.get_running_loop()
    timers: list[threading.Timer] = []

    def handle(number: int) -> None:
        code = 128 + number
        timer = threading.Timer(watchdog, die, (code,))
        timer.daemon = True
        timer.start()
        timers.append(timer)
        leave(code)

    for number in HANDLED:
        loop.add_signal_handler(number, handle, number)

    def remove() -> None:
        # a timer that runs stays: after this the terminal and the process still have to be left
        for number in HANDLED:
            loop.remove_signal_handler(number)

    return remove

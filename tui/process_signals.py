"""SIGTERM and SIGHUP leave cleanly; a watchdog ends the process when a dead terminal makes even that hang."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
from collections.abc import Callable

WATCHDOG = 2.0  # seconds a clean exit may take
HANDLED = (signal.SIGTERM, signal.SIGHUP)


class TerminalLine:
    """The way to the person's terminal: whether it was ``lost``, and whether there is what has to be ended first."""

    def __init__(self, busy: Callable[[], bool] = lambda: False) -> None:
        self.busy = busy
        self.lost = asyncio.Event()


def leave_on_signals(
    leave: Callable[[int], None],
    line: TerminalLine | None = None,
    *,
    watchdog: float = WATCHDOG,
    die: Callable[[int], None] = os._exit,
) -> Callable[[], None]:
    """Install the handlers on the running loop; ``leave`` gets the exit code. Returns what takes them off again.

    When the line is lost the process stays for as long as it is busy, as that is told by a loop that still runs.
    """
    loop, line = asyncio.get_running_loop(), line or TerminalLine()
    dog = _Watchdog(line, loop, watchdog, die)

    def handle(number: int) -> None:
        if number == signal.SIGHUP:
            line.lost.set()
            dog.look()
        dog.watch(128 + number)
        leave(128 + number)

    for number in HANDLED:
        loop.add_signal_handler(number, handle, number)

    def remove() -> None:
        # a timer that runs stays: after this the terminal and the process still have to be left
        for number in HANDLED:
            loop.remove_signal_handler(number)
        if line.lost.is_set():  # that a line broke is told by the shell and by the kernel
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    return remove


class _Watchdog:
    def __init__(
        self, line: TerminalLine, loop: asyncio.AbstractEventLoop, seconds: float, die: Callable[[int], None]
    ) -> None:
        self._line, self._loop, self._seconds, self._die = line, loop, seconds, die
        self._busy_at = -math.inf

    def look(self) -> None:
        """Again and again, on the loop: one that hangs is not busy."""
        if self._line.busy():
            self._busy_at = self._loop.time()
        self._loop.call_later(self._seconds / 4, self.look)

    def watch(self, code: int) -> None:
        timer = threading.Timer(self._seconds, self._bite, (code,))
        timer.daemon = True
        timer.start()

    def _bite(self, code: int) -> None:
        if self._line.lost.is_set() and self._loop.time() - self._busy_at < self._seconds:
            self.watch(code)
        else:
            self._die(code)

"""Leave cleanly on SIGTERM and SIGHUP. A watchdog ends the process if a dead terminal blocks that."""

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
    """The connection to the person's terminal: whether it was ``lost``, and whether work must be ended first."""

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
    """Install the handlers on the running loop and return a function that removes them.

    ``leave`` gets the exit code. After the terminal is lost the process stays while it is busy. Only a loop that still
    runs can report that it is busy.
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
        # keep a running timer: the program still has to leave the terminal and the process
        for number in HANDLED:
            loop.remove_signal_handler(number)
        if line.lost.is_set():  # the shell and the kernel both report a lost terminal
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    return remove


class _Watchdog:
    def __init__(
        self, line: TerminalLine, loop: asyncio.AbstractEventLoop, seconds: float, die: Callable[[int], None]
    ) -> None:
        self._line, self._loop, self._seconds, self._die = line, loop, seconds, die
        self._busy_at = -math.inf

    def look(self) -> None:
        """Check again and again on the loop: a loop that hangs is not busy."""
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

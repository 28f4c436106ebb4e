"""Leave cleanly on SIGTERM, SIGHUP and a lost terminal. A watchdog ends the process if it does not leave by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TextIO

LEAVING = 1.2  # seconds a clean exit may take
TICK = 0.25  # seconds between two looks at the terminal
SILENCE = 30.0  # seconds that a loop may hang while a confirmed close is in flight
HANDLED = (signal.SIGTERM, signal.SIGHUP)


def hang_up() -> None:
    """Send this process the SIGHUP that the kernel sends only for a controlling terminal."""
    os.kill(os.getpid(), signal.SIGHUP)


def terminals() -> list[int]:
    """Return the file descriptors over which the console reads and writes its terminal."""
    streams = (sys.__stdin__, screen())
    return [stream.fileno() for stream in streams if stream is not None and not stream.closed and stream.isatty()]


def screen() -> TextIO | None:
    """Return the stream over which the console is drawn: stderr, or stdout where stderr goes into a file."""
    streams = (sys.__stderr__, sys.__stdout__)
    terminal = (stream for stream in streams if stream is not None and not stream.closed and stream.isatty())
    return next(terminal, sys.__stderr__)


class TerminalLine:
    """The connection to the person's terminal: whether it was ``lost``, and whether work must be ended first.

    A thread looks at the terminal and ends the process if the process does not end in time. The thread needs no event
    loop, because a loop that hangs runs no signal handler. Any thread may ask ``busy``.
    """

    def __init__(
        self,
        busy: Callable[[], bool] = lambda: False,
        *,
        leaving: float = LEAVING,
        silence: float = SILENCE,
        die: Callable[[int], None] = os._exit,
        hang_up: Callable[[], None] = hang_up,
    ) -> None:
        self.busy = busy
        self.lost = asyncio.Event()
        self._leaving, self._silence, self._die, self._hang_up = leaving, silence, die, hang_up
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat_at = 0.0  # when the loop last ran
        self._ending: tuple[int, float] | None = None  # the exit code, and when the process ends at the latest
        self._gone = False  # the descriptors' terminal does not exist any more
        self._watched = threading.Event()

    def watch(self, descriptors: Sequence[int]) -> TerminalLine:
        """Start to look at the terminal. Call it on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._beat()
        threading.Thread(target=self._look, args=(descriptors,), name="terminal-watchdog", daemon=True).start()
        return self

    def __enter__(self) -> TerminalLine:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._ending is None:  # otherwise the process must still end in time
            self._watched.set()

    def end_soon(self, number: int) -> None:
        """End the process in time after this signal. A signal handler may call this: it takes no lock."""
        if self._loop is not None and self._ending is None:
            self._ending = 128 + number, self._loop.time() + self._leaving

    def _beat(self) -> None:
        if self._loop is not None and not self._watched.is_set():
            self._beat_at = self._loop.time()
            self._loop.call_later(TICK, self._beat)

    def _look(self, descriptors: Sequence[int]) -> None:
        while not self._watched.wait(TICK):
            if not self._gone and any(map(_is_gone, descriptors)):
                self._gone = True
                self.end_soon(signal.SIGHUP)
                self._hang_up()
            if self._ending is not None and self._time() >= self._ending[1]:
                code = self._ending[0]
                if self._must_finish():
                    self._ending = code, self._time() + self._leaving
                else:
                    self._watched.set()
                    self._die(code)

    def _must_finish(self) -> bool:
        """Return whether a confirmed close is in flight after the terminal was lost, and the loop works on it."""
        if not (self.lost.is_set() or self._gone) or self._time() - self._beat_at >= self._silence:
            return False
        try:
            return self.busy()
        except RuntimeError:  # the loop changed the rows while this thread read them, so the loop works
            return True

    def _time(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0


def _is_gone(descriptor: int) -> bool:
    try:
        termios.tcgetattr(descriptor)
    except termios.error:
        return True
    return False


def drop_typed_text(descriptor: int) -> None:
    """Drop what was typed into a terminal and not read yet. Anything else than a terminal is left alone."""
    try:
        termios.tcflush(descriptor, termios.TCIFLUSH)
    except termios.error:
        return


def leave_on_signals(leave: Callable[[int], None], line: TerminalLine) -> Callable[[], None]:
    """Install the handlers on the running loop and return a function that removes them.

    ``leave`` gets the exit code.
    """
    loop = asyncio.get_running_loop()

    def handle(number: int) -> None:
        if number == signal.SIGHUP:
            line.lost.set()
        leave(128 + number)

    for number in HANDLED:
        loop.add_signal_handler(number, handle, number)
        signal.signal(number, lambda number, _frame: line.end_soon(number))  # the loop's own handler does not run here

    def remove() -> None:
        # the line keeps its time: the program still has to leave the terminal and the process
        for number in HANDLED:
            loop.remove_signal_handler(number)
        if line.lost.is_set():  # the shell, the kernel and the line all report a lost terminal
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    return remove

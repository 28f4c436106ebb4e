"""Textual's driver for a terminal, without any wait for the terminal."""

from __future__ import annotations

import os
import signal
from typing import Any

from textual.drivers.linux_driver import LinuxDriver

from tui.process_signals import drop_typed_text, screen

LAST_WORDS = 0.5  # seconds that the terminal has to read the end of the output


class TerminalDriver(LinuxDriver):
    """Writes and reads that a stalled or dead terminal cannot stop.

    Textual's own driver waits when 30 writes are queued. The event loop would wait with it, and so would every close.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._file = screen()

    def start_application_mode(self) -> None:
        """Take the terminal over. Text that was typed before is dropped: nobody saw what it would do."""
        drop_typed_text(self.fileno)
        super().start_application_mode()
        if self._writer_thread is not None:
            self._writer_thread._queue.maxsize = 0

    @property
    def backlog(self) -> int:
        """The number of writes that the terminal has not read."""
        return self._writer_thread._queue.qsize() if self._writer_thread is not None else 0

    def close(self) -> None:
        """End the writer; wait only a moment for a terminal that does not read."""
        if self._writer_thread is not None:
            self._writer_thread._queue.put(None)
            self._writer_thread.join(LAST_WORDS)

    def run_input_thread(self) -> None:
        """Read keys. A terminal that cannot be read any more is a lost terminal."""
        try:
            super().run_input_thread()
        except OSError:
            os.kill(os.getpid(), signal.SIGHUP)

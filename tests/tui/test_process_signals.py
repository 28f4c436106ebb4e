"""A signal and a lost terminal end the console in time, also if its event loop hangs."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tui.process_signals import TerminalLine, leave_on_signals, screen, terminals
from tui.terminal_driver import TerminalDriver

PATIENCE = 20.0
SOON = 0.05


class Ends:
    """Notes how the process would have ended."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.hung_up = threading.Event()
        self.died = threading.Event()

    def die(self, code: int) -> None:
        self.codes.append(code)
        self.died.set()

    async def come(self, event: threading.Event) -> None:
        """Let the loop run until the event came."""
        assert await asyncio.to_thread(event.wait, PATIENCE)


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A pseudo-terminal's two ends: a terminal emulator's and the program's."""
    master, slave = pty.openpty()
    yield master, slave
    for descriptor in (master, slave):
        try:
            os.close(descriptor)
        except OSError:
            continue


@asynccontextmanager
async def watched(
    ends: Ends, terminal: tuple[int, int], busy: Callable[[], bool] = lambda: False, silence: float = PATIENCE
) -> AsyncIterator[TerminalLine]:
    line = TerminalLine(busy, leaving=SOON, silence=silence, die=ends.die, hang_up=ends.hung_up.set)
    with line.watch([terminal[1]]):
        yield line


async def test_a_terminal_that_is_gone_is_told_to_the_process_and_ends_it(
    ends: Ends, terminal: tuple[int, int]
) -> None:
    async with watched(ends, terminal):
        os.close(terminal[0])
        await ends.come(ends.hung_up)
        await ends.come(ends.died)
    assert ends.codes == [129]


async def test_a_loop_that_hangs_does_not_keep_a_dead_terminal_s_console_alive(
    ends: Ends, terminal: tuple[int, int]
) -> None:
    async with watched(ends, terminal):
        os.close(terminal[0])
        assert ends.died.wait(PATIENCE)  # on the loop's own thread: the loop does not run meanwhile
    assert ends.codes == [129]


async def test_a_request_to_terminate_ends_a_console_whose_loop_hangs(ends: Ends, terminal: tuple[int, int]) -> None:
    async with watched(ends, terminal) as line:
        remove = leave_on_signals(lambda code: None, line)
        try:
            signal.raise_signal(signal.SIGTERM)
            assert ends.died.wait(PATIENCE)
        finally:
            remove()
    assert ends.codes == [143]


async def test_a_live_terminal_ends_nothing(ends: Ends, terminal: tuple[int, int]) -> None:
    looked = threading.Event()

    async with watched(ends, terminal) as line:
        line._beat = looked.set  # type: ignore[method-assign]  # the next heartbeat, after looks at the terminal
        await ends.come(looked)
    assert ends.codes == []
    assert not ends.hung_up.is_set()


async def test_signals_leave_with_their_exit_codes(ends: Ends, terminal: tuple[int, int]) -> None:
    left: list[int] = []
    before = signal.getsignal(signal.SIGHUP)
    async with watched(ends, terminal) as line:
        remove = leave_on_signals(left.append, line)
        try:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            await ends.come(ends.died)
        finally:
            remove()
            signal.signal(signal.SIGHUP, before)
    assert left == [143, 129]
    assert ends.codes == [143]
    assert line.lost.is_set()


async def test_a_lost_terminal_is_survived_for_as_long_as_something_is_closed(
    ends: Ends, terminal: tuple[int, int]
) -> None:
    asked = 0

    def busy() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise RuntimeError("dictionary changed size during iteration")
        return asked < 4

    before = signal.getsignal(signal.SIGHUP)
    async with watched(ends, terminal, busy) as line:
        remove = leave_on_signals(lambda code: None, line)
        try:
            signal.raise_signal(signal.SIGHUP)
            await asyncio.wait_for(line.lost.wait(), PATIENCE)
            remove()
            signal.raise_signal(signal.SIGHUP)  # the shell tells of it, and the kernel
            await ends.come(ends.died)
        finally:
            signal.signal(signal.SIGHUP, before)
    assert (asked, ends.codes) == (4, [129])


async def test_a_close_in_flight_keeps_no_process_whose_loop_hangs_for_good(
    ends: Ends, terminal: tuple[int, int]
) -> None:
    async with watched(ends, terminal, lambda: True, silence=SOON):
        os.close(terminal[0])
        assert ends.died.wait(PATIENCE)
    assert ends.codes == [129]


class Screenless:
    """As much of an app as a driver needs."""

    async def _post_message(self, message: object) -> bool:
        return True


class Stalled(io.StringIO):
    """A terminal's output that takes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.released.wait(PATIENCE)
        return len(text)


async def test_a_terminal_that_reads_nothing_stops_no_write(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH, signal.SIGTTOU, signal.SIGTTIN)
    before = {number: signal.getsignal(number) for number in changed}
    output = Stalled()
    with os.fdopen(os.dup(terminal[1]), "r") as stdin:
        monkeypatch.setattr("sys.__stdin__", stdin)
        driver = TerminalDriver(Screenless())  # type: ignore[arg-type]
        driver._file = output
        driver.start_application_mode()
        written = threading.Event()

        def draw() -> None:
            for _ in range(200):
                driver.write("x")
            written.set()

        threading.Thread(target=draw, daemon=True).start()
        try:
            assert await asyncio.to_thread(written.wait, PATIENCE)
            assert driver.backlog >= 200
            driver.disable_input()
            driver.close()  # does not wait for the terminal either
            assert driver.backlog >= 200
        finally:
            output.released.set()
            driver.disable_input()
            for number, handler in before.items():
                signal.signal(number, handler)


async def test_a_terminal_that_cannot_be_read_hangs_the_console_up(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    came = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT)}
    loop.add_signal_handler(signal.SIGHUP, came.set)
    directory = os.open(tmp_path, os.O_RDONLY)  # a read of a directory fails
    try:
        with os.fdopen(os.dup(terminal[1]), "r") as stdin:
            monkeypatch.setattr("sys.__stdin__", stdin)
            driver = TerminalDriver(Screenless())  # type: ignore[arg-type]
        driver.fileno = directory
        await asyncio.to_thread(driver.run_input_thread)
        await asyncio.wait_for(came.wait(), PATIENCE)
    finally:
        os.close(directory)
        loop.remove_signal_handler(signal.SIGHUP)
        for number, handler in before.items():
            signal.signal(number, handler)


async def test_the_console_is_drawn_on_the_terminal_where_stderr_goes_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()
    with (tmp_path / "log").open("w") as file, os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "__stdin__", terminal)
        monkeypatch.setattr(sys, "__stdout__", terminal)
        monkeypatch.setattr(sys, "__stderr__", file)
        assert screen() is terminal
        assert terminals() == [slave, slave]
        driver = TerminalDriver(Screenless())  # type: ignore[arg-type]
        assert driver._file is terminal
        monkeypatch.setattr(sys, "__stderr__", terminal)
        monkeypatch.setattr(sys, "__stdout__", file)
        assert screen() is terminal
    os.close(master)

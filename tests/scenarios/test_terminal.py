"""The program in a real pseudo-terminal: demo, cleanup key, diff, confirm, verified, quit."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import pexpect
import pyte
import pytest

from core.engine.clock import SystemClock
from tests.scenarios.desk import Desk, fifty_nine

MARKET = Path(__file__).parents[3] / "shared" / "data" / "market" / "coinbase"
PATIENCE = 60.0
REPEAT = 3.0  # seconds before an answer that was not taken is given again


class ChildEnded(AssertionError):
    """The program ended before its screen showed what a test waits for."""


class Terminal:
    """A terminal of a given size with the program in it; ``screen`` is what a person sees."""

    def __init__(self, columns: int, lines: int, *args: str) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        code = "from tui.main import main; main()"
        self._program = pexpect.spawn(
            sys.executable,
            ["-c", code, *args],
            dimensions=(lines, columns),
            env={**os.environ, "TERM": "xterm-256color"},  # not what readline put behind os.environ,
            timeout=1,
        )

    @property
    def screen(self) -> str:
        return "\n".join(self._screen.display)

    def until(self, seen: Callable[[str], bool], what: str) -> str:
        """Read on until the screen is as wanted."""
        clock = SystemClock()
        end = clock.monotonic() + PATIENCE
        while clock.monotonic() < end:
            try:
                self._stream.feed(self._read())
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                raise ChildEnded(f"ended before {what} on:\n{self.screen}") from None
            if seen(self.screen):
                return self.screen
        raise AssertionError(f"never saw {what} on:\n{self.screen}")

    def _read(self) -> bytes:
        return self._program.read_nonblocking(65536, timeout=0.2)

    def shows(self, text: str) -> str:
        return self.until(lambda screen: text in screen, repr(text))

    def press(self, key: str) -> None:
        self._program.send(key)

    def confirm(self, number: int, shown: str) -> str:
        """Type the number and press ``y`` when the window asks for each, until the screen shows what follows."""
        answers = {f"Type {number}": f"\x7f\x7f\x7f{number}", "y confirms exactly": "y"}
        return self.answer(answers, lambda screen: shown in screen, repr(shown))

    def answer(self, answers: dict[str, str], seen: Callable[[str], bool], what: str) -> str:
        """Answer each question whenever it is on the screen, until the screen is as wanted.

        A window takes no key while its plan is new, has changed, or its terminal was slow; then the answer is repeated.
        """
        clock = SystemClock()
        pressed = dict.fromkeys(answers, -REPEAT)

        def answered(screen: str) -> bool:
            now = clock.monotonic()
            for question, answer in answers.items():
                if question in screen and now >= pressed[question] + REPEAT:
                    pressed[question] = now
                    self.press(answer)
            return seen(screen)

        return self.until(answered, what)

    def leave(self) -> int:
        """Press the keys that end the program, and return its exit code."""
        self.press("q")
        with suppress(ChildEnded):
            self.answer({"y Quit": "y"}, lambda _: False, "the end")
        return self.ended()

    def ended(self) -> int:
        """The exit code, once it has left by itself."""
        self._program.expect(pexpect.EOF, timeout=PATIENCE)
        self._program.close()
        return int(self._program.exitstatus)

    def lose_line(self) -> None:
        """What a terminal does when its line is gone, and the kernel's SIGHUP with it; until the program has ended."""
        terminal, clock = self._program.ptyproc, SystemClock()
        terminal.fileobj.close()
        end = clock.monotonic() + PATIENCE
        while os.waitpid(terminal.pid, os.WNOHANG) == (0, 0):
            assert clock.monotonic() < end, "it goes on"
            Event().wait(0.05)
        terminal.closed = terminal.terminated = self._program.closed = True

    def kill(self) -> None:
        self._program.close(force=True)


class LoneTerminal(Terminal):
    """A terminal that is not the program's controlling terminal, as a supervisor hands it over: no SIGHUP comes."""

    def __init__(self, columns: int, lines: int, *args: str) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self._resize(columns, lines)
        code = "from tui.main import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(slave)

    def _read(self) -> bytes:
        if not select.select([self._master], [], [], 0.2)[0]:
            raise pexpect.TIMEOUT("nothing came")
        return os.read(self._master, 65536)

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def _resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def fill(self) -> None:
        """Resize until the program's output waits for a reader that does not come."""
        for n in range(40):
            self._resize(100 + n % 2, 30)
            self._process.send_signal(signal.SIGWINCH)
            Event().wait(0.02)

    def lose_line(self) -> int:
        """End the terminal, and return the exit code of the program."""
        os.close(self._master)
        self._master = -1
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        if self._master >= 0:
            os.close(self._master)
        self._process.kill()
        self._process.wait()


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Terminals that are gone after the test, however it ends."""
    made: list[Terminal] = []
    yield made
    for terminal in made:
        terminal.kill()


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (160, 48)])
def test_a_cleanup_from_the_key_to_verified_and_out(terminals: list[Terminal], columns: int, lines: int) -> None:
    terminal = Terminal(columns, lines, "demo")
    terminals.append(terminal)
    terminal.shows("80 positions")
    terminal.shows("14/8")
    terminal.press("c")
    terminal.shows("59 → 8")
    terminal.press("c")  # a second press does nothing
    # Enter never confirms: Enter presses the button that has the focus, and that is Cancel
    terminal.answer({"Type 52": "\r"}, lambda screen: "59 → 8" not in screen, "the plan put away")
    assert "14/8" in terminal.screen
    terminal.press("c")
    assert "80 → 28" in terminal.confirm(52, "verified")
    terminal.press("n")
    terminal.shows("28 positions")
    assert terminal.leave() == 0


@pytest.mark.skipif(not MARKET.is_dir(), reason="the recorded market is not beside this checkout")
def test_a_replayed_market_moves_the_positions(terminals: list[Terminal]) -> None:
    files = [str(MARKET / f"{name}-1m.csv") for name in ("BTC-USD", "ETH-USD")]
    terminal = Terminal(160, 48, "demo", "--replay", *files, "--speed", "600")
    terminals.append(terminal)
    terminal.shows("BTC-USD")

    def price(screen: str) -> str:
        return next((line.split("BTC-USD", 1)[1][:60] for line in screen.splitlines() if "BTC-USD" in line), "")

    first = price(terminal.screen)
    terminal.until(lambda screen: price(screen) not in ("", first), "another value of BTC-USD")
    assert terminal.leave() == 0


@pytest.mark.parametrize("when", ["before the first picture", "on the main screen", "while its output waits"])
def test_a_terminal_that_dies_without_a_signal_ends_its_console(terminals: list[Terminal], when: str) -> None:
    terminal = LoneTerminal(100, 30, "demo")
    terminals.append(terminal)
    terminal.until(lambda _: when == "before the first picture" or "80 positions" in terminal.screen, "the console")
    if when == "while its output waits":
        terminal.press("c")
        terminal.fill()
    gone_before = 2  # the exit code of a console that found no terminal at its start
    assert terminal.lose_line() in (128 + signal.SIGHUP, gone_before)


@pytest.mark.parametrize("kind", [Terminal, LoneTerminal])
def test_a_line_that_breaks_in_the_middle_of_a_flatten_that_was_confirmed_leaves_nothing_open(
    terminals: list[Terminal], desk: Desk, kind: type[Terminal]
) -> None:
    desk.account("platform", "coinbase", fifty_nine(), options="latency_ms = 400")
    terminal = kind(100, 30, "--config", str(desk.config))
    terminals.append(terminal)
    terminal.shows("59 positions")
    terminal.press("F")
    terminal.confirm(59, "of 59 closes ended")
    if isinstance(terminal, LoneTerminal):
        terminal.fill()
    terminal.lose_line()
    assert desk.held() == set()


def test_a_line_that_breaks_while_a_market_is_waited_for_does_not_keep_the_next_console_from_acting(
    terminals: list[Terminal], desk: Desk
) -> None:
    closed = "faults = { market_closed = 1, closed_seconds = 3600 }"
    desk.account("platform", "alpaca", fifty_nine()[-2:], options=closed)
    terminal = Terminal(100, 30, "--config", str(desk.config))
    terminals.append(terminal)
    terminal.shows("2 positions")
    terminal.press("F")
    terminal.confirm(2, "› parked")
    terminal.lose_line()

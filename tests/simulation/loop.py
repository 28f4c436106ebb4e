"""An event loop whose time is virtual: it jumps to the next timer as soon as nothing is ready.

Ready callbacks run one at a time, in an order drawn by seed, or first in, first out. What happens at the venues is no
part of asyncio: it is kept in an agenda of its own, so that it goes on when the program is killed. Nothing ready, no
timer and nothing on the agenda while somebody waits is a deadlock and an error.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.simulation.dice import Dice

T = TypeVar("T")
HORIZON = 8 * 3600.0  # virtual seconds after which a run is said not to end
MOST_CALLBACKS = 400_000


class Deadlock(Exception):
    """Somebody waits, and nothing will ever happen any more."""


class Endless(Exception):
    """The run goes on and on."""


class Killed(Exception):
    """The process was killed after the callback that was asked for."""


class Task(asyncio.Task[Any]):
    """A task whose hash is its number, so that sets of tasks have the same order in every process."""

    made = 0

    def __new__(cls, *_args: object, **_options: object) -> Task:
        self = super().__new__(cls)
        Task.made += 1
        self.number = Task.made
        return self

    def __hash__(self) -> int:
        return self.number


class Loop(asyncio.BaseEventLoop):
    """``kill_at`` counts callbacks of the present life. ``pause`` is asked for extra seconds whenever time moves."""

    def __init__(self, dice: Dice, *, fifo: bool = False) -> None:
        super().__init__()
        Task.made = 0
        self._dice = dice
        self._fifo = fifo
        self._time = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._entries = 0
        self._tasks: list[Task] = []
        self.callbacks = 0
        self.total = 0
        self.kill_at: int | None = None
        self.pause: Callable[[], float] | None = None
        self.errors: list[str] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._error)

    def time(self) -> float:
        return self._time

    def at(self, when: float, happens: Callable[[], None]) -> None:
        """Put something on the venues' agenda."""
        self._entries += 1
        heapq.heappush(self._agenda, (when, self._entries, happens))

    def live(self, life: Coroutine[Any, Any, T]) -> T:
        """Run until it is done. Raises Killed when ``kill_at`` is reached."""
        self.callbacks = 0
        return self.run_until_complete(life)

    def bury(self) -> None:
        """End whatever the dead left: cancelled, with nothing it calls reaching anything any more."""
        self.kill_at = self.pause = None
        self._scheduled.clear()
        self._drain(len(self._ready))  # what has not begun yet begins, and finds that nothing answers
        for _ in range(20):
            left = [t for t in self._tasks if not t.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self._drain()
        self._stopping = False
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()  # nobody of the living misses it
        self._tasks.clear()
        self._ready.clear()
        self._scheduled.clear()
        self.errors.clear()

    def skip(self, seconds: float) -> None:
        """Nobody lives for so long; the venues go on."""
        until = self._time + seconds
        while self._agenda and self._agenda[0][0] <= until:
            self._time = max(self._time, self._agenda[0][0])
            heapq.heappop(self._agenda)[2]()
        self._time = until

    def _drain(self, most: int = MOST_CALLBACKS) -> None:
        """Run what is ready, and what becomes ready by that, without moving time."""
        asyncio.events._set_running_loop(self)
        try:
            while self._ready and most:
                most -= 1
                handle = self._ready.popleft()
                if not handle._cancelled:
                    handle._run()
        finally:
            asyncio.events._set_running_loop(None)

    def _make_task(self, loop: asyncio.AbstractEventLoop, life: Any, **options: Any) -> Task:
        task = Task(life, loop=loop, **options)
        if len(self._tasks) > 200:
            self._tasks = [t for t in self._tasks if not t.done()]
        self._tasks.append(task)
        return task

    def _error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "CancelledError" in repr(error):
            return  # left by a process that was killed, and found by the garbage collector
        self.errors.append(f"{context.get('message')}: {error!r}")

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._move_on()
            return
        if not self._fifo and len(ready) > 1:
            ready.rotate(-int(self._dice.random() * len(ready)))
        handle = ready.popleft()
        if handle._cancelled:
            return
        handle._run()
        self.callbacks += 1
        self.total += 1
        if self.callbacks == self.kill_at:
            raise Killed
        if self.total > MOST_CALLBACKS:
            raise Endless(f"{self.total} callbacks")

    def _move_on(self) -> None:
        """To the next moment at which something happens; what happens then is all that is due at it."""
        timers, agenda = self._scheduled, self._agenda
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not timers and not agenda:
            raise Deadlock(f"nothing is ready and nothing will be at {self._time:.3f}")
        moment = min(timers[0]._when if timers else HORIZON * 2, agenda[0][0] if agenda else HORIZON * 2)
        if moment > HORIZON:
            raise Endless(f"still running after {HORIZON:.0f} s")
        if moment > self._time:
            self._time = moment + (self.pause() if self.pause else 0.0)
        while agenda and agenda[0][0] <= moment:
            heapq.heappop(agenda)[2]()
        while timers and timers[0]._when <= self._time:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                self._ready.append(timer)

    def _write_to_self(self) -> None:
        """There is no other thread."""

    def _process_events(self, event_list: object) -> None:
        """There is no input."""

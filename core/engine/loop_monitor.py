"""The engine's own pulse: how late its loop runs. A loop that was blocked, or a machine that slept, knows less than it
thinks: what is shown is old, so everything is read again."""

from __future__ import annotations

from collections.abc import Callable

from core.journal.journal import Journal
from core.ports import Clock
from core.settings import EngineSettings

BEAT = 0.5  # seconds between two looks
LATE = 1.0  # a lag worth a line in the log
LONG = 5.0  # a lag after which everything is read again


class LoopMonitor:
    """``reread`` is called after a long lag; with ``metrics`` the figures are said once per ``every`` seconds."""

    def __init__(
        self,
        clock: Clock,
        say: Callable[[str, str], None],
        reread: Callable[[], None],
        *,
        metrics: bool,
        every: float,
        commit: Callable[[], float | None],
    ) -> None:
        self._clock = clock
        self._say = say
        self._reread = reread
        self._metrics = metrics
        self._every = every
        self._commit = commit

    async def run(self) -> None:
        """For ever."""
        worst, said = 0.0, self._clock.monotonic()
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(BEAT)
            now = self._clock.monotonic()
            lag = now - before - BEAT
            worst = max(worst, lag)
            if lag > LATE:
                self._say("warning", f"the engine stood still for {lag:.1f} s")
            if lag > LONG:
                self._reread()
            if self._metrics and now - said >= self._every:
                commit = self._commit()
                durable = "unknown" if commit is None else f"{commit * 1000:.2f} ms"
                self._say("info", f"METRICS worst loop lag {worst * 1000:.1f} ms, a durable commit takes {durable}")
                worst, said = 0.0, now


def pulse_of(
    settings: EngineSettings,
    journal: Journal | None,
    clock: Clock,
    say: Callable[[str, str], None],
    reread: Callable[[], None],
) -> LoopMonitor:
    """An engine's, as it is configured."""
    every, commit = settings.cycle_seconds, lambda: journal.commit_latency if journal else None
    return LoopMonitor(clock, say, reread, metrics=settings.metrics, every=every, commit=commit)

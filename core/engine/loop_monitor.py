"""Measures how late the engine's event loop runs.

After a blocked loop or a suspended machine the shown values are old, so every account is read again.
"""

from __future__ import annotations

from collections.abc import Callable

from core.journal.journal import Journal
from core.ports import Clock
from core.settings import EngineSettings

BEAT = 0.5  # seconds between two measurements
LATE = 1.0  # seconds of lag from which the log says so
LONG = 5.0  # seconds of lag after which every account is read again


class LoopMonitor:
    """The loop's monitor. A long lag calls ``reread``; with ``metrics`` figures are logged every ``every`` seconds."""

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
        """Measure until cancelled."""
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


def loop_monitor_of(
    settings: EngineSettings,
    journal: Journal | None,
    clock: Clock,
    say: Callable[[str, str], None],
    reread: Callable[[], None],
) -> LoopMonitor:
    """Return the monitor of an engine, as configured."""
    every, commit = settings.cycle_seconds, lambda: journal.commit_latency if journal else None
    return LoopMonitor(clock, say, reread, metrics=settings.metrics, every=every, commit=commit)

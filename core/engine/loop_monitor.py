"""Measures how late the event loop runs, and tells how late exits are.

After a blocked loop or a suspended machine the shown values are old, so every account is read again.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from core.engine.exit_delays import ExitDelays
from core.engine.publisher import Publisher
from core.journal.journal import Journal
from core.ports import Clock
from core.settings import EngineSettings

BEAT = 0.5  # seconds between two measurements
LATE = 2.0  # seconds from which exits count as late
GRAVE = 10.0  # seconds of lateness from which an armed engine raises an alarm
CALM = 10.0  # seconds without lateness after which exits count as on time
LONG = 5.0  # seconds of lag after which every account is read again
READ_AGAIN = 60.0  # seconds between two such readings: on a machine that is too slow each would cause the next lag


class LoopMonitor:
    """The loop's monitor. A long lag calls ``reread``; with ``metrics`` figures are logged every ``every`` seconds.

    ``show`` gets the whole seconds that exits are late, 0 for exits on time.
    """

    def __init__(
        self,
        clock: Clock,
        delays: ExitDelays,
        say: Callable[[str, str], None],
        show: Callable[[int], None],
        reread: Callable[[], None],
        *,
        armed: Callable[[], bool],
        metrics: bool,
        every: float,
        commit: Callable[[], float | None],
    ) -> None:
        self._clock = clock
        self._delays = delays
        self._say = say
        self._show = show
        self._reread = reread
        self._armed = armed
        self._metrics = metrics
        self._every = every
        self._commit = commit
        self._told = 0.0  # the lateness of the last line about it; 0.0 while exits are on time
        self._late_at = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        worst, latest, said = 0.0, 0.0, self._clock.monotonic()
        read_again = said - READ_AGAIN
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(BEAT)
            now = self._clock.monotonic()
            lag = now - before - BEAT
            late = max(lag, self._delays.take_worst())
            worst, latest = max(worst, lag), max(latest, late)
            self._tell(late, now)
            if lag > LONG and now - read_again >= READ_AGAIN:
                read_again = now
                self._reread()
            if self._metrics and now - said >= self._every:
                self._say("info", _metrics(worst, latest, self._commit()))
                worst, latest, said = 0.0, 0.0, now

    def _tell(self, late: float, now: float) -> None:
        """Show lateness at once. Log its beginning, each doubling, and its end."""
        if late > LATE:
            self._late_at = now
            self._show(round(late))
            if late > 2 * self._told or (late > GRAVE >= self._told):
                self._told = late
                level = "alarm" if late > GRAVE and self._armed() else "warning"
                self._say(level, f"exits are {late:.0f} s late: this machine is too slow or stood still")
        elif self._told and now - self._late_at >= CALM:
            self._told = 0.0
            self._show(0)
            self._say("info", "exits are on time again")


def _metrics(lag: float, late: float, commit: float | None) -> str:
    durable = "unknown" if commit is None else f"{commit * 1000:.2f} ms"
    worst = f"worst loop lag {lag * 1000:.1f} ms, exits at most {late:.1f} s late"
    return f"METRICS {worst}, a durable commit takes {durable}"


def loop_monitor_of(
    settings: EngineSettings,
    journal: Journal | None,
    clock: Clock,
    delays: ExitDelays,
    publisher: Publisher,
    say: Callable[[str, str], None],
    reread: Callable[[], None],
) -> LoopMonitor:
    """Return the monitor of an engine, as configured."""

    def show(seconds: int) -> None:
        publisher.put_engine(structs.replace(publisher.engine, exits_late=seconds))

    return LoopMonitor(
        *(clock, delays, say, show, reread),
        armed=lambda: publisher.engine.armed,
        metrics=settings.metrics,
        every=settings.cycle_seconds,
        commit=lambda: journal.commit_latency if journal else None,
    )

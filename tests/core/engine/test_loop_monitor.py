"""The engine says how late its exits are, and reads again when it stood still."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.engine.exit_delays import ExitDelays
from core.engine.loop_monitor import BEAT, CALM, GRAVE, LATE, LONG, READ_AGAIN, LoopMonitor
from core.model import PositionKey


class Stopped(Exception):
    """The script is over."""


class LateClock:
    """Oversleeps as it is told to, beat by beat."""

    def __init__(self, lags: list[float]) -> None:
        self._lags = lags
        self._time = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self._time

    async def sleep(self, seconds: float) -> None:
        if not self._lags:
            raise Stopped
        self._time += seconds + self._lags.pop(0)


class Watched:
    """A monitor's run: what it said, what it showed, and how often everything was read again."""

    def __init__(self, lags: list[float], *, metrics: bool = False, armed: bool = True, commits: str = "0.5") -> None:
        self.said: list[tuple[str, str]] = []
        self.shown: list[int] = []
        self.reread = 0
        self.clock = LateClock(lags)
        self.delays = ExitDelays(self.clock)
        taken = iter(commits.split())
        self.monitor = LoopMonitor(
            *(self.clock, self.delays, lambda level, text: self.said.append((level, text)), self.shown.append),
            self._read,
            armed=lambda: armed,
            metrics=metrics,
            every=4 * BEAT,
            commit=lambda: float(next(taken)) / 1000,
        )

    def _read(self) -> None:
        self.reread += 1

    async def run(self) -> Watched:
        with pytest.raises(Stopped):
            await self.monitor.run()
        return self


async def test_an_even_pulse_says_nothing() -> None:
    it = await Watched([0.01, 0.0, 0.2, LATE]).run()
    assert (it.said, it.shown, it.reread) == ([], [], 0)


async def test_a_late_beat_tells_how_late_exits_are_and_a_very_late_beat_reads_everything_again() -> None:
    it = await Watched([LATE + 1, LONG + 2]).run()
    assert [level for level, _ in it.said] == ["warning", "warning"]
    assert [text.partition(":")[0] for _, text in it.said] == ["exits are 3 s late", "exits are 7 s late"]
    assert (it.shown, it.reread) == ([3, 7], 1)


async def test_lateness_is_said_at_each_doubling_and_at_its_end() -> None:
    calm = [0.0] * int(CALM / BEAT)
    it = await Watched([3.0, 4.0, 5.0, 7.0, *calm, 3.0]).run()
    assert [text.partition(":")[0] for _, text in it.said] == [
        *("exits are 3 s late", "exits are 7 s late", "exits are on time again", "exits are 3 s late")
    ]
    assert it.shown == [3, 4, 5, 7, 0, 3]


@pytest.mark.parametrize(("armed", "level"), [(True, "alarm"), (False, "warning")])
async def test_an_armed_engine_raises_an_alarm_when_exits_are_very_late(armed: bool, level: str) -> None:
    it = await Watched([GRAVE - 1, GRAVE + 1], armed=armed).run()
    assert [said for said, _ in it.said] == ["warning", level]


async def test_stalls_one_after_another_read_everything_again_only_once_a_minute() -> None:
    beats = int(2 * READ_AGAIN / (LONG + 1.5)) + 1
    it = await Watched([LONG + 1] * beats).run()
    assert it.reread == 2


async def test_an_exit_whose_order_has_not_left_is_late_while_the_loop_is_on_time() -> None:
    it = Watched([0.0] * 6)
    it.delays.begin_exit(PositionKey("a", "BTC"))
    await it.run()
    assert it.shown == [2, 3]  # rounded from 2.5 and 3.0 seconds


async def test_an_exit_counts_from_the_arrival_of_its_price() -> None:
    it = Watched([0.0])
    it.delays.note_wait(7.0)
    it.delays.begin_exit(PositionKey("a", "BTC"))
    it.delays.end_exit(PositionKey("a", "BTC"))
    await it.run()
    assert it.shown == [7]


async def test_metrics_tell_the_worst_lag_of_a_cycle_and_the_present_commit_time() -> None:
    it = await Watched([0.0, 0.03, *[0.0] * 7], metrics=True, commits="0.5 12").run()
    assert it.said == [
        ("info", "METRICS worst loop lag 30.0 ms, exits at most 0.0 s late, a durable commit takes 0.50 ms"),
        ("info", "METRICS worst loop lag 0.0 ms, exits at most 0.0 s late, a durable commit takes 12.00 ms"),
    ]

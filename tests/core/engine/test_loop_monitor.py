"""The engine notices when it stood still."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.engine.loop_monitor import BEAT, LONG, LoopMonitor


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


async def beat(lags: list[float], *, metrics: bool = False) -> tuple[list[tuple[str, str]], int]:
    said: list[tuple[str, str]] = []
    reread: list[bool] = []
    pulse = LoopMonitor(
        LateClock(lags),
        lambda level, text: said.append((level, text)),
        lambda: reread.append(True),
        metrics=metrics,
        every=4 * BEAT,
        commit=lambda: 0.0005,
    )
    with pytest.raises(Stopped):
        await pulse.run()
    return said, len(reread)


async def test_an_even_pulse_says_nothing() -> None:
    assert await beat([0.01, 0.0, 0.2]) == ([], 0)


async def test_a_late_beat_is_said_and_a_very_late_one_makes_everything_be_read_again() -> None:
    said, reread = await beat([1.5, LONG + 1])
    assert said == [("warning", "the engine stood still for 1.5 s"), ("warning", "the engine stood still for 6.0 s")]
    assert reread == 1


async def test_with_metrics_the_worst_lag_of_a_cycle_is_said_once() -> None:
    said, _ = await beat([0.0, 0.03, 0.0, 0.0, 0.0], metrics=True)
    assert said == [("info", "METRICS worst loop lag 30.0 ms, a durable commit takes 0.50 ms")]

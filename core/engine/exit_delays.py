"""How late exits are: the time from the price that calls for an exit until the exit's order leaves."""

from __future__ import annotations

from collections.abc import Callable

from core.ladder.states import Phase, Transition
from core.model import PositionKey
from core.ports import Clock

BEFORE_ORDER = frozenset({Phase.CANCELLING, Phase.READING})


class ExitDelays:
    """One engine's delays, in seconds. Each delay counts until ``take_worst``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._worst = 0.0
        self._waited = 0.0  # seconds that the present event waited
        self._under_way: dict[PositionKey, float] = {}  # monotonic time of the price; its exit's order has not left

    def note_wait(self, seconds: float) -> None:
        """Record that the event that is taken now, a price perhaps, waited for its turn."""
        self._waited = seconds
        self._worst = max(self._worst, seconds)

    def begin_exit(self, key: PositionKey) -> None:
        """Record that the present event fired an exit."""
        self._under_way.setdefault(key, self._clock.monotonic() - self._waited)

    def following(self, show: Callable[[Transition], None]) -> Callable[[Transition], None]:
        """Return a function that follows one step of a close, then shows it."""

        def follow(move: Transition) -> None:
            self.follow_close(move)
            show(move)

        return follow

    def follow_close(self, move: Transition) -> None:
        """Follow one step of a close. The exit's delay ends as soon as its order is about to leave, or cannot leave."""
        if move.ladder.phase not in BEFORE_ORDER:
            self.end_exit(move.ladder.action.key)

    def end_exit(self, key: PositionKey) -> None:
        since = self._under_way.pop(key, None)
        if since is not None:
            self._worst = max(self._worst, self._clock.monotonic() - since)

    def take_worst(self) -> float:
        """Return the longest delay since the last call, delays that still grow included."""
        now, worst = self._clock.monotonic(), self._worst
        self._worst = 0.0
        return max([worst, *(now - since for since in self._under_way.values())])

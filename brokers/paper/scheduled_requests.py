"""Requests on their way to the venue, performed in the order of their arrival times.

A request that was sent is performed even if its caller has stopped waiting, as at a real venue.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from math import inf
from typing import Any

from core.errors import FlatdeckError


class Reply:
    """One request and, after it was performed, its answer or its error."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act
        self._done = False
        self._value: Any = None
        self._error: FlatdeckError | None = None

    def perform(self) -> None:
        """Perform the request, unless the schedule or the waiting caller has performed it already."""
        if self._done:
            return
        self._done = True
        try:
            self._value = self._act()
        except FlatdeckError as error:
            self._error = error

    def answer(self) -> Any:
        """Return the request's answer. Raises the error of the request."""
        self.perform()
        if self._error is not None:
            raise self._error
        return self._value


class RequestSchedule:
    """A queue by time. Requests of equal times keep the order of insertion."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Reply]] = []
        self._order = count()

    @property
    def next_at(self) -> float:
        return self._heap[0][0] if self._heap else inf

    def schedule_request(self, at: float, act: Callable[[], Any]) -> Reply:
        reply = Reply(act)
        heapq.heappush(self._heap, (at, next(self._order), reply))
        return reply

    def pop_request(self) -> Reply:
        return heapq.heappop(self._heap)[2]

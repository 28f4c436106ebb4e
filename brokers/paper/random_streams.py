"""The venue's only source of chance: seeded generators, one per purpose, so that a seed replays exactly."""

from __future__ import annotations

from random import Random  # noqa: TID251  # this is the module in which generators are made
from typing import Protocol


class RandomStreams(Protocol):
    """What is asked of a generator; ``random.Random`` is one."""

    def random(self) -> float: ...

    def gauss(self, mu: float, sigma: float) -> float: ...


def seeded(*parts: object) -> RandomStreams:
    """A generator for these parts: equal parts, equal numbers, whatever the process's hash seed."""
    return Random(":".join(str(part) for part in parts))  # noqa: S311  # chance in a game, not a secret

"""The venue's only source of chance: seeded generators, one per purpose. A seed replays exactly."""

from __future__ import annotations

from random import Random  # noqa: TID251  # only this module makes generators
from typing import Protocol


class RandomStreams(Protocol):
    """The methods of a generator that the venue uses. ``random.Random`` has these methods."""

    def random(self) -> float: ...

    def gauss(self, mu: float, sigma: float) -> float: ...


def seeded(*parts: object) -> RandomStreams:
    """Return a generator for these parts. Equal parts give equal numbers, whatever the process's hash seed."""
    return Random(":".join(str(part) for part in parts))  # noqa: S311  # chance in a game, not a secret

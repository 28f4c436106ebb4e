"""Seeded randomness: the only place of the simulation that makes generators."""

from __future__ import annotations

import random  # noqa: TID251 - seeded

Dice = random.Random


def dice(seed: int, what: str) -> Dice:
    """A generator of its own for each concern, so that one more draw here moves nothing there."""
    return random.Random(f"{seed}:{what}")

"""Decides whether a key is a person's answer to what is on the screen, or was typed without a look at it. Pure."""

from __future__ import annotations

QUIET = 1.0  # seconds that a question is on the screen, without a key, before its answer counts


class Quiet:
    """Knows when a window may take its answer. Times are seconds of a monotonic clock.

    Before the first quiet second has passed, every key is eaten. Afterwards keys work, but a typed letter closes the
    window to its answer for another second. Digits do not, because a person types the number of positions.
    """

    def __init__(self) -> None:
        self._opens_at: float | None = None
        self._settled = False

    @property
    def shown(self) -> bool:
        """True once a person can have seen the question."""
        return self._opens_at is not None

    def show(self, at: float, seconds: float = QUIET) -> None:
        """Wait ``seconds`` from now: something is on the screen that a person has not seen yet."""
        self._opens_at = max(self._opens_at or at, at + seconds)

    def restart(self, at: float) -> None:
        """Eat keys again: the window was covered."""
        if self.shown:
            self._settled = False
            self.show(at)

    def left(self, at: float) -> float:
        """Return the seconds until an answer counts; 0 if an answer counts now."""
        return QUIET if self._opens_at is None else max(self._opens_at - at, 0.0)

    def eats(self, at: float, *, types: bool, answers: bool) -> bool:
        """Take a key that was pressed at ``at``; return True if the key must do nothing.

        ``types`` says that the key is a character of a text, ``answers`` that the key would confirm.
        """
        early = self.left(at) > 0
        if early and not self._settled:
            if self.shown:
                self.show(at)
            return True
        self._settled = True
        if early or not answers:
            if types:
                self.show(at)
            return answers
        return False

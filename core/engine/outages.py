"""What the log says of an account that cannot be read: once when it lasts, at once when its keys are refused.

A stream that ends is read behind within a second or two and is no news. Pure; the engine tells what happened and when.
"""

from __future__ import annotations

from core.events import AccountChanged, AccountState

PATIENCE = 15.0  # seconds that an account may be unreadable before it is said
_GOOD = (AccountState.LIVE, AccountState.POLLING)
_BAD = (AccountState.STALE, AccountState.DOWN)


class OutageLog:
    """Since when each account cannot be read, and how loud that was said."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def take(self, event: AccountChanged, at: float) -> tuple[str, str] | None:
        """A level and a line for the log, where there is one to say; ``at`` is monotonic seconds."""
        account = event.account
        if event.state in _GOOD:
            since, said = self._since.pop(account, at), self._said.pop(account, None)
            return ("info", f"{account} is read again, after {at - since:.0f} s") if said else None
        if event.state not in _BAD:
            return None
        since = self._since.setdefault(account, at)
        level = "alarm" if event.refused else "warning"
        if self._said.get(account) in (level, "alarm") or not (event.refused or at - since >= PATIENCE):
            return None
        self._said[account] = level
        return level, f"{account} cannot be read, no stop is watched there: {event.error or 'no reason was given'}"

"""Decides what the log says of an account that cannot be read.

An outage is logged once, when it lasts. An outage with refused keys is logged at once. After a stream ends we read
the account within two seconds, so the log does not mention the end. Pure: the engine passes the events and their times.
"""

from __future__ import annotations

from core.events import AccountChanged, AccountState

PATIENCE = 15.0  # seconds of outage before the log says so
_GOOD = (AccountState.LIVE, AccountState.POLLING)
_BAD = (AccountState.STALE, AccountState.DOWN)


class OutageLog:
    """The start of each account's outage, and the level at which the outage was logged."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def take(self, event: AccountChanged, at: float) -> tuple[str, str] | None:
        """Return a level and a line for the log, or None. ``at`` is in monotonic seconds."""
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

"""The log: every line is shown on consoles, told to listeners and kept in the journal."""

from __future__ import annotations

from msgspec import structs

from core.engine.publisher import Publisher
from core.journal.journal import Journal
from core.link.messages import LogRow
from core.plans.plan import Action
from core.ports import Clock
from core.records import Logged

ALARMS_KEPT = 200  # alarms that nobody acknowledged
LEVELS = ("debug", "info", "warning", "error", "alarm")


class LogWriter:
    """One engine's log. Lines below ``level`` are not kept; an alarm stays in the engine's row until acknowledged."""

    def __init__(self, publisher: Publisher, journal: Journal | None, clock: Clock, level: str) -> None:
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._least = LEVELS.index(level)
        self._lines = 0

    def say(self, level: str, text: str, about: Action | str | None = None) -> None:
        """Log one line. ``about`` is the action or the account that the line concerns."""
        action = about if isinstance(about, Action) else None
        account = action.key.account if action else about if isinstance(about, str) else None
        owner = action.owner if action else account.partition("/")[0] if account else None
        symbol = action.key.symbol if action else None
        if level == "alarm":
            self._raise_alarm(text)
        if LEVELS.index(level) < self._least:
            return
        self._lines += 1
        self._publisher.put_log(LogRow(self._lines, self._clock.now(), level, text, account, owner, symbol))
        if self._journal is not None:
            self._journal.note(Logged(level, text, account, owner, symbol))

    def _raise_alarm(self, text: str) -> None:
        """Show an alarm until a person acknowledges it. A later alarm does not replace it."""
        engine = self._publisher.engine
        alarms = (*(a for a in engine.alarms if a != text), text)[-ALARMS_KEPT:]
        self._publisher.put_engine(structs.replace(engine, alarm=text, alarms=alarms))

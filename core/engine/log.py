"""The log: every line is shown on consoles, told to listeners and kept in the journal."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from msgspec import structs

from core.engine.publisher import Publisher
from core.journal.journal import Journal
from core.link.messages import AlarmRow, LogRow
from core.model import PositionKey
from core.plans.plan import Action
from core.ports import Clock
from core.records import Logged

ALARMS_KEPT = 200  # alarms that nobody acknowledged
# Gets also the lines of the task that is running, and of the tasks that this task started: a plan's, for its sender.
asker: ContextVar[Callable[[LogRow], None] | None] = ContextVar("asker", default=None)
LEVELS = ("debug", "info", "warning", "error", "alarm")


class LogWriter:
    """One engine's log. Lines below ``level`` are not kept; an alarm stays in the engine's row until acknowledged."""

    def __init__(self, publisher: Publisher, journal: Journal | None, clock: Clock, level: str) -> None:
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._least = LEVELS.index(level)
        self._lines = 0

    def say(
        self, level: str, text: str, about: Action | PositionKey | str | None = None, *, lasts: bool = False
    ) -> None:
        """Log one line. ``about`` is the action, the position or the account that the line concerns.

        An alarm about a position goes when the position is closed, unless the alarm ``lasts``.
        """
        key = about.key if isinstance(about, Action) else about if isinstance(about, PositionKey) else None
        account = key.account if key else about if isinstance(about, str) else None
        owner = about.owner if isinstance(about, Action) else account.partition("/")[0] if account else None
        symbol = key.symbol if key else None
        if level == "alarm":
            self._raise_alarm(AlarmRow(text, self._clock.now(), account, None if lasts else key))
        if LEVELS.index(level) < self._least:
            return
        self._lines += 1
        row = LogRow(self._lines, self._clock.now(), level, text, account, owner, symbol)
        self._publisher.put_log(row)
        if (tell := asker.get()) is not None:
            tell(row)
        if self._journal is not None:
            self._journal.note(Logged(level, text, account, owner, symbol))

    def _raise_alarm(self, alarm: AlarmRow) -> None:
        """Show an alarm until a person acknowledges it. A later alarm does not replace it.

        An alarm that is raised again keeps its time.
        """
        engine = self._publisher.engine
        since = next((a.since for a in engine.alarms if a.text == alarm.text), alarm.since)
        others = (a for a in engine.alarms if a.text != alarm.text)
        alarms = (*others, structs.replace(alarm, since=since))[-ALARMS_KEPT:]
        self._publisher.put_engine(structs.replace(engine, alarm=alarm.text, alarms=alarms))

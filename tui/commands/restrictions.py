"""The restrictions of new risk as a command sees them: the running engine's, or the journal's where no engine runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol

from core.link.protocol import COMMAND
from core.link.requests import Answered
from core.link.restrict import Halt, HaltRow, Restrict, Resume, SetAccountState, TradingRow
from core.link.rows import halt_row, trading_row
from core.orders.restrictions import Restrictions
from core.plans.approver import Approver
from core.records import Logged
from core.settings import Settings
from tui.commands.attach import find_engine, hello
from tui.commands.linked_engine import LinkedEngine
from tui.commands.session import CommandContext


class Switch(Protocol):
    """The kill switch and the accounts' states. Each call returns what is in force after it, or whether it changed."""

    async def halt(self, reason: str, approver: Approver) -> tuple[bool, HaltRow | None]: ...

    async def resume(self, approver: Approver) -> bool: ...

    async def set_account(
        self, account: str, state: str, reason: str, until: datetime | None, approver: Approver
    ) -> TradingRow: ...


class JournalSwitch:
    """The restrictions in the journal, under the data directory's lock."""

    def __init__(self, restrictions: Restrictions) -> None:
        self._restrictions = restrictions

    async def halt(self, reason: str, approver: Approver) -> tuple[bool, HaltRow | None]:
        began = await self._restrictions.halt(reason, approver)
        return began, halt_row(self._restrictions.halted)

    async def resume(self, approver: Approver) -> bool:
        return await self._restrictions.resume(approver)

    async def set_account(
        self, account: str, state: str, reason: str, until: datetime | None, approver: Approver
    ) -> TradingRow:
        await self._restrictions.set_account(account, state, reason, until, approver)
        return trading_row(self._restrictions.account_state(account))


class LinkedSwitch:
    """The running engine's restrictions. No account is read, so that nothing keeps a halt waiting."""

    def __init__(self, engine: LinkedEngine) -> None:
        self._engine = engine

    async def halt(self, reason: str, approver: Approver) -> tuple[bool, HaltRow | None]:
        began = await self._send(Halt(reason, approver))
        return began, (await self._engine.refresh()).engine.halted

    async def resume(self, approver: Approver) -> bool:
        return await self._send(Resume(approver))

    async def set_account(
        self, account: str, state: str, reason: str, until: datetime | None, approver: Approver
    ) -> TradingRow:
        await self._send(SetAccountState(account, state, reason, until, approver))
        rows = (await self._engine.refresh()).accounts
        return next((row.trading for row in rows if row.id == account), TradingRow())

    async def _send(self, command: Restrict) -> bool:
        return (await self._engine.ask(command, Answered)).yes


@asynccontextmanager
async def restrictions(context: CommandContext, settings: Settings) -> AsyncIterator[Switch]:
    """Open the running engine's restrictions, else the journal's. No account is locked: nothing keeps a halt back."""
    environment = context.environment
    link = await find_engine(settings, environment.clock, hello(COMMAND, acting=True))
    if link is not None:
        try:
            yield LinkedSwitch(LinkedEngine(link, link.welcome, correct=False))
        finally:
            await link.aclose()
        return
    async with environment.journal(settings, sends=False) as (journal, _):

        def say(level: str, text: str, account: str | None = None) -> None:
            journal.note(Logged(level, text, account))

        found = Restrictions(environment.clock, journal, say)
        await found.recall(journal)
        yield JournalSwitch(found)

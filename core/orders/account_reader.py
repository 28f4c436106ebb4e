"""Complete reads of one account. Closes that ask at the same moment share one read.

A caller never gets a read that began before it asked. The read therefore shows every order that was sent before,
unless the venue's lists lag.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from core.errors import OutcomeUnknown
from core.events import BrokerEvent, HoldingsRead
from core.model import Holdings
from core.ports import Broker, Clock

READ_TIMEOUT = 15.0  # seconds; a limit above the adapter's own, so that no caller waits for ever
GATHER = 0.002  # seconds; callers who ask within this time share one read


class AccountReader:
    """One account's reader. The reader passes every successful read to ``emit``."""

    def __init__(self, broker: Broker, clock: Clock, emit: Callable[[BrokerEvent], None]) -> None:
        self._broker = broker
        self._clock = clock
        self._emit = emit
        self._next: asyncio.Task[Holdings] | None = None
        self._urgent = False
        self.asked = -inf  # monotonic seconds at which the last successful read began

    async def read_account(self, *, urgent: bool = True) -> Holdings:
        """Return a complete read that began after this call. Raises Refused, Unreachable or OutcomeUnknown.

        A caller that only watches passes ``urgent=False``. A read is urgent when any caller who shares it is urgent.
        """
        self._urgent |= urgent
        if self._next is None:
            self._next = asyncio.create_task(self._begin())
            self._next.add_done_callback(_retrieve)
        return await asyncio.shield(self._next)

    async def _begin(self) -> Holdings:
        await self._clock.sleep(GATHER)
        self._next = None
        urgent, self._urgent = self._urgent, False
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                holdings = await self._broker.holdings(urgent=urgent)
        except TimeoutError as error:
            raise OutcomeUnknown("no answer in time") from error
        self.asked = max(self.asked, holdings.asked)
        self._emit(HoldingsRead(holdings))
        return holdings


def _retrieve(task: asyncio.Task[Holdings]) -> None:
    """Fetch the task's error, so that asyncio does not report it as lost when no caller waits any more."""
    if not task.cancelled():
        task.exception()

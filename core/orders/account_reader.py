"""Complete reads of one account, shared: closes that want one at the same moment get the same one.

A read that somebody asks for is never one that had begun before: what was sent before asking is in it, as far as the
venue's lists do not lag.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from core.errors import OutcomeUnknown
from core.events import BrokerEvent, HoldingsRead
from core.model import Holdings
from core.ports import Broker, Clock

READ_TIMEOUT = 15.0  # seconds, over whatever the adapter itself allows: nobody may wait for ever
GATHER = 0.002  # seconds in which those who ask are served by one read


class AccountReader:
    """``emit`` is told every read that succeeded."""

    def __init__(self, broker: Broker, clock: Clock, emit: Callable[[BrokerEvent], None]) -> None:
        self._broker = broker
        self._clock = clock
        self._emit = emit
        self._next: asyncio.Task[Holdings] | None = None
        self._urgent = False
        self.asked = -inf  # when the last read that succeeded was begun, on the clock's monotonic seconds

    async def read(self, *, urgent: bool = True) -> Holdings:
        """A complete read begun after this call. Raises Refused, Unreachable or OutcomeUnknown.

        One that is not urgent only watches; shared with somebody who acts, it is urgent.
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
    """A failure that nobody waits for any more is not reported as lost."""
    if not task.cancelled():
        task.exception()

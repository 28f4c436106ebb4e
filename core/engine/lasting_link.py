"""A console's line to the engine of a data directory: when the engine goes, the line waits for the next engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from core.engine.remote_link import RemoteLink
from core.errors import EngineBusy, EngineGone
from core.link.messages import Command, Lost, Message, Reply
from core.ports import Clock

FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0  # seconds between two looks for the next engine


class LastingLink:
    """One console's line. ``find`` connects with the engine that runs now; None when no engine runs."""

    def __init__(self, link: RemoteLink, find: Callable[[], Awaitable[RemoteLink | None]], clock: Clock) -> None:
        self._link = link
        self._find = find
        self._clock = clock

    async def ask(self, command: Command) -> Reply:
        """Send a command and wait for its reply. Raises EngineGone while no engine is attached."""
        return await self._link.ask(command)

    async def messages(self) -> AsyncGenerator[Message | Lost, None]:
        """Yield each engine's messages. Between two engines yield Lost, with the reason."""
        while True:
            try:
                async for message in self._link.messages():
                    yield message
            except EngineGone as gone:
                yield Lost(str(gone))
            wait = FIRST_WAIT
            while (found := await self._look()) is None or isinstance(found, Lost):
                if found is not None:
                    yield found
                await self._clock.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            await self._link.aclose()
            self._link = found

    async def aclose(self) -> None:
        """Close the line. The engine goes on."""
        await self._link.aclose()

    async def _look(self) -> RemoteLink | Lost | None:
        try:
            return await self._find()
        except EngineBusy as busy:
            return Lost(str(busy))

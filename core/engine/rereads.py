"""Reads an account again when the book may be wrong about the account."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping

from core.errors import FlatdeckError
from core.orders.account_reader import AccountReader
from core.ports import Clock

WAIT = 0.5  # seconds between a request and the read


class AccountRereads:
    """One engine's extra reads. At most one request per account waits for its read."""

    def __init__(
        self,
        clock: Clock,
        readers: Mapping[str, AccountReader],
        *,
        spawn: Callable[[Coroutine[object, object, object]], None],
        say: Callable[..., None],
    ) -> None:
        self._clock = clock
        self._readers = readers
        self._spawn = spawn
        self._say = say
        self._requested: set[str] = set()

    def request_all(self) -> None:
        """Read every account again."""
        self.request_reads(self._readers)

    def request_reads(self, accounts: Iterable[str]) -> None:
        """Read these accounts again. The second read decides, for example when a list got shorter without a reason."""
        for account in sorted(set(accounts) - self._requested):
            self._requested.add(account)
            self._spawn(self._read(account))

    async def _read(self, account: str) -> None:
        await self._clock.sleep(WAIT)
        self._requested.discard(account)
        try:
            await self._readers[account].read_account(urgent=False)
        except FlatdeckError as error:
            self._say("warning", f"{account} could not be read again: {error}", account)

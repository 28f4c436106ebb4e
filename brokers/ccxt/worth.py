"""One account's worth in US dollars: from the balance of a read, else asked for beside the reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any

from brokers.ccxt import wire, wire_balances
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.read_table import ReadCalls
from brokers.ccxt.markets import Markets
from brokers.ccxt.pagination import together
from brokers.sharing import KeptAnswer
from core.ports import Clock

EVERY, AGAIN = 60.0, 15.0  # seconds to the next question, also after a failure
PATIENCE = 3.0  # seconds that the first read waits
Ask = Callable[..., Awaitable[Any]]


class AccountWorth:
    """Reads the worth, and the balances of single currencies."""

    def __init__(self, client: Client, markets: Markets, clock: Clock) -> None:
        self._client = client
        self._markets = markets
        self._calls = ReadCalls()
        self._kept = KeptAnswer(self._asked, clock, keep=EVERY, again=AGAIN)

    async def read(self, calls: ReadCalls, balance: Any) -> tuple[Decimal | None, str]:
        """Return the worth, and why it is unknown. ``balance``: the read's own, which may tell the worth."""
        if calls.balance is not None and not calls.worth:
            return wire_balances.equity(balance), ""
        self._calls = calls
        worth = await self._kept.get(PATIENCE)
        return (None, self._kept.flaw) if self._kept.flaw else (worth, "")

    async def _asked(self) -> Decimal | None:
        if not self._calls.worth_each:
            return wire_balances.equity(await self._client.ask_exchange("fetch_balance", self._calls.worth))
        return wire_balances.money(await self.balances(self._client.ask_exchange, self._calls, self.currencies()))

    async def balances(self, ask: Ask, calls: ReadCalls, codes: Iterable[str]) -> list[Any]:
        """Return the balances of these currencies."""
        return await together(*(ask("fetch_balance", {**calls.worth, "code": code}) for code in sorted(codes)))

    def currencies(self) -> set[str]:
        """Return the currencies in which the markets settle."""
        return {wire.text(market, "settle") for market in self._markets.rows.values()} - {""}

    async def aclose(self) -> None:
        await self._kept.aclose()

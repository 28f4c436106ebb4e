"""A Broker fed by hand: what it holds, quotes, finds and streams is set by the test, what it is asked is counted.

The paper venue is the double for whole scenarios; this one is for what no honest venue does: hanging, contradicting
itself, and faults of an adapter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec import structs

from core.events import BrokerEvent
from core.model import Account, Bar, Fill, Holdings, Order, OrderRequest, Position, Quote, Tier
from core.ports import Capabilities, Check
from tests.support.builders import ACCOUNT, D, account, holdings

HANG = object()  # an answer that never comes
STREAM_END = object()


class FakeBroker:
    """``answers`` maps a call's name to answers in their order; the last one stays. An exception is raised."""

    def __init__(self, id_: str = ACCOUNT, *, streams: bool = True, **answers: list[Any]) -> None:
        self._account = account(id_)
        self.able = Capabilities(frozenset(Tier), streams=streams)
        self.answers: dict[str, list[Any]] = {"connect": [None], "cancel": [None], **answers}
        self.calls: Counter[str] = Counter()
        self.asked: list[tuple[str, Any]] = []
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.streams_open = 0
        self.closed = False

    @property
    def account(self) -> Account:
        return self._account

    @property
    def capabilities(self) -> Capabilities:
        return self.able

    async def connect(self) -> None:
        await self._answer("connect", None)

    async def aclose(self) -> None:
        self.closed = True

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        """A read without times of its own was asked now."""
        asked = asyncio.get_running_loop().time()
        found: Holdings = await self._answer("holdings", None, holdings)
        return found if found.asked else structs.replace(found, asked=asked, received=asked)

    async def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        now = asyncio.get_running_loop().time()
        return await self._answer("quotes", list(symbols), lambda: [quote(s, now) for s in symbols])  # type: ignore[no-any-return]

    async def bars(self, symbol: str, count: int) -> list[Bar]:
        return await self._answer("bars", (symbol, count), list)  # type: ignore[no-any-return]

    async def rates(self, currencies: Sequence[str]) -> dict[str, str]:
        return await self._answer("rates", list(currencies), dict)  # type: ignore[no-any-return]

    async def stream(self) -> AsyncIterator[BrokerEvent]:
        self.streams_open += 1
        try:
            while (event := await self.events.get()) is not STREAM_END:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.streams_open -= 1

    async def submit(self, request: OrderRequest) -> Order:
        return await self._answer("submit", request)  # type: ignore[no-any-return]

    async def submit_direct(self, request: OrderRequest) -> Order:
        return await self._answer("submit_direct", request)  # type: ignore[no-any-return]

    async def close_position(self, position: Position, client_id: str) -> Order:
        return await self._answer("close_position", (position, client_id))  # type: ignore[no-any-return]

    async def cancel(self, order: Order) -> None:
        await self._answer("cancel", order)

    async def find_order(
        self, symbol: str, *, client_id: str | None = None, order_id: str | None = None
    ) -> Order | None:
        return await self._answer("find_order", client_id or order_id)  # type: ignore[no-any-return]

    async def fills(self, symbol: str, since: datetime) -> list[Fill]:
        return await self._answer("fills", since, list)  # type: ignore[no-any-return]

    async def check(self) -> list[Check]:
        return []

    async def _answer(self, name: str, asked: Any, default: Callable[[], Any] = lambda: None) -> Any:
        self.calls[name] += 1
        self.asked.append((name, asked))
        await asyncio.sleep(0)
        queue = self.answers.get(name) or []
        answer = (queue.pop(0) if len(queue) > 1 else queue[0]) if queue else default()
        if answer is HANG:
            await asyncio.sleep(1e5)
        if isinstance(answer, BaseException):
            raise answer
        return answer(asked) if callable(answer) and not isinstance(answer, type) else answer


def quote(symbol: str, received: float, bid: str | None = "99.9", ask: str | None = "100.1", **more: Any) -> Quote:
    prices = {"bid": bid, "ask": ask, **more}
    return Quote(ACCOUNT, symbol, received, **{n: None if p is None else D(p) for n, p in prices.items()})

"""A venue that answers with given bodies, and accounts of any exchange at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from brokers.ccxt.broker import CcxtBroker, read_options
from core.model import Account
from core.settings import AccountSettings
from tests.venues.loopback import listening

ACCOUNT = "user_1/ccxt"
KEY, SECRET = "key-4f1c9b2e", "c2VjcmV0LTkzZDE3YWZl"  # the second is Base64, which Kraken's have to be
ENV = {"CCXT_KEY": KEY, "CCXT_SECRET": SECRET, "CCXT_PASSWORD": "pass-77ab01cd"}
Answer = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


class RealClock:
    """The machine's time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._loop.time() + _EPOCH, UTC)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


_EPOCH = 1_700_000_000.0


class ScriptedClock(RealClock):
    """Time that passes only while somebody sleeps, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += max(seconds, 0.0)
        await asyncio.sleep(0)


class Bodies:
    """``answers`` has what a path is answered with: a body, or a function that makes the whole answer.

    A path is known by its end, the longest first; what nobody knows is a 404. ``asked`` has every request: method,
    path, and its query and form together.
    """

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, str]] = []
        self._open = AsyncExitStack()
        self.endpoint = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.endpoint = f"http://127.0.0.1:{await self._open.enter_async_context(listening(app))}"

    async def stop(self) -> None:
        await self._open.aclose()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        form = await request.text()
        self.asked.append((request.method, request.path, f"{request.query_string}&{form}"))
        for end in sorted(self.answers, key=len, reverse=True):
            if request.path.endswith(end):
                answer = self.answers[end]
                if callable(answer):
                    made = answer(request, form)
                    return await made if asyncio.iscoroutine(made) else self._body(made)
                return self._body(answer)
        return web.json_response({"error": "not found", "path": request.path}, status=404)

    def _body(self, answer: Any) -> web.StreamResponse:
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(
            text=answer if isinstance(answer, str) else json.dumps(answer), content_type="application/json"
        )

    def paths(self, part: str = "") -> list[str]:
        """Paths that were asked for and have ``part`` in them, in order."""
        return [path for _, path, _ in self.asked if part in path]


def settings(exchange: str, venue: Bodies | None = None, **options: Any) -> AccountSettings:
    given: dict[str, Any] = {"exchange": exchange, "api_key": "env:CCXT_KEY", "secret": "env:CCXT_SECRET"}
    given["password"] = "env:CCXT_PASSWORD"
    if venue is not None:
        given["endpoint"] = venue.endpoint
    return AccountSettings(ACCOUNT, "user_1", "ccxt", "ccxt", given | options)


def broker_at(exchange: str, venue: Bodies, clock: Any = None, **options: Any) -> CcxtBroker:
    account = Account(ACCOUNT, "user_1", "ccxt", f"ccxt:{exchange}")
    return CcxtBroker(account, read_options(settings(exchange, venue, **options)), clock or RealClock(), ENV)


async def soon(holds: Callable[[], object]) -> None:
    """Until it holds, within five seconds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # the other side says nothing of its own accord
            await asyncio.sleep(0.005)

"""What goes wrong between a client and a loopback exchange: on the way there, on the way back, or by its own word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Mishap:
    """Of the next ``times`` requests of that method whose path has ``path`` in it, after ``after`` that go well.

    ``do``: "never" and "status" do not carry the request out (no answer; ``status`` with ``body``); "drop", "empty",
    "page" and "broken" do, and their answer is a broken connection, nothing, a page or half of it; "slow" carries it
    out at once and answers ``seconds`` later; "late" both ``seconds`` later, whether or not the client still waits.
    """

    method: str
    path: str
    do: str
    times: int = 1
    after: int = 0
    status: int = 503
    body: str = ""
    seconds: float = 1.0
    struck: int = 0

    def meets(self, request: web.Request) -> bool:
        if self.times <= 0 or request.method != self.method or self.path not in request.path:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        self.struck += 1
        return True

    async def befall(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.do == "status":
            return web.Response(status=self.status, text=self.body)
        if self.do == "never":
            return _hang_up(request)
        if self.do == "late":
            await request.read()
            late = asyncio.ensure_future(self._later(request, handler))
            return await asyncio.shield(late)
        answer = await handler(request)
        if self.do == "slow":
            await asyncio.sleep(self.seconds)
            return answer
        if self.do == "drop":
            return _hang_up(request)
        text = answer.text or "" if isinstance(answer, web.Response) else ""
        said = {"empty": "", "page": "<html><body>502 Bad Gateway</body></html>", "broken": text[: len(text) // 2]}
        return web.Response(text=said[self.do], content_type="text/html" if self.do == "page" else "application/json")

    async def _later(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(self.seconds)
        return await handler(request)


def _hang_up(request: web.Request) -> web.Response:
    """The connection breaks without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()

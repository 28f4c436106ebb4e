"""A venue on a port of this machine: on a loop and thread of its own, so that any client can call it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web

T = TypeVar("T")
BEAT = 0.01
PATIENCE = 0.2  # seconds that an answer under way has when the venue ends
TURNS = 10  # of a loop: more than a connection takes to be let in, or to let go of its socket


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[int]:
    """Serve it on a free port, which is what is yielded; no socket is left when it ends.

    Who is being accepted while a server ends would be forgotten by it: asyncio refuses to make that connection, and
    aiohttp asks only those to leave whom it knows. So the door is shut first, and whoever came through it is let in.
    """
    runner = web.AppRunner(app, shutdown_timeout=PATIENCE, access_log=None)
    await runner.setup()
    door = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, door).start()
    try:
        yield door.getsockname()[1]
    finally:
        asyncio.get_running_loop().remove_reader(door)
        await _turns()
        await runner.cleanup()
        await _turns()


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Loopback:
    """Runs between ``__enter__`` and ``__exit__``; what it must never have been asked is verified when it ends well."""

    def __init__(self) -> None:
        self.port = 0
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        name = type(self).__name__
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name=name, daemon=True)

    def app(self) -> web.Application:
        raise NotImplementedError

    def verify(self) -> None:
        raise NotImplementedError

    def beat(self) -> None:
        """What happens at the venue as time goes by."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_endpoint(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def do(self, act: Callable[[], T]) -> T:
        """Change the truth, or say something on the streams, from the test's thread."""
        assert self._loop is not None

        async def run() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), f"{self._thread.name} did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if kind is None:
            self.verify()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with listening(self.app()) as self.port:
            ticker = asyncio.create_task(self._tick())
            self._ready.set()
            await self._stop.wait()
            ticker.cancel()

    async def _tick(self) -> None:
        while True:
            self.beat()
            await asyncio.sleep(BEAT)

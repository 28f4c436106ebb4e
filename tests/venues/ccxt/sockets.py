"""The connections of a loopback exchange's streams: what each of them subscribed to, and what is on its way to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(kw_only=True)
class Sockets:
    """``mute`` leaves connections open and says nothing, not even a pong."""

    mute: bool = False
    _heard: dict[web.WebSocketResponse, set[str]] = field(default_factory=dict)  # names of what was subscribed
    _tasks: set[asyncio.Future[None]] = field(default_factory=set)

    async def hang_up(self) -> None:
        for socket in list(self._heard):
            await socket.close()

    def _send(self, socket: web.WebSocketResponse, message: dict[str, Any] | str) -> None:
        if not self.mute and not socket.closed:
            self._spawn(socket.send_str(message if isinstance(message, str) else json.dumps(message)))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Future[None]) -> None:
        """Whoever hung up meanwhile is told nothing."""
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

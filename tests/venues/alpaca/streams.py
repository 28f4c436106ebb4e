"""The loopback venue's WebSockets: the account's stream in JSON, the price streams in msgpack, the server first."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import msgpack
from aiohttp import WSMsgType, web

from tests.venues.alpaca.truth import Truth

PATHS = ("/v2/{feed}", "/v1beta1/{feed}", "/v1beta3/crypto/{feed}")


@dataclass
class Streams:
    """``mute`` leaves connections open and answers nothing, not even a ping. ``binary`` is how paper accounts are."""

    truth: Truth
    key: str
    secret: str
    binary: bool = True
    mute: bool = False
    revoked: bool = False
    refuse_data: int = 0  # a price stream's error code after the login
    logins: int = 0
    subscribed: dict[str, set[str]] = field(default_factory=dict)
    _accounts: set[web.WebSocketResponse] = field(default_factory=set)
    _prices: dict[web.WebSocketResponse, set[str]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/stream", self._account)
        for path in PATHS:
            app.router.add_get(path, self._data)
        self.truth.on_update.append(self.tell)

    @property
    def listeners(self) -> int:
        """How many consoles listen to the account."""
        return len(self._accounts)

    def tell(self, message: dict[str, Any]) -> None:
        """One ``trade_updates`` message to every console that listens."""
        for socket in [] if self.mute else self._accounts:
            self._spawn(self._send(socket, message))

    def price(self, symbol: str) -> None:
        """The present quote of a symbol to every stream that subscribed it."""
        bid, ask = self.truth.prices[symbol]
        row = {"T": "q", "S": symbol, "bp": float(bid), "bs": 1, "ap": float(ask), "as": 1}
        row["t"] = msgpack.Timestamp.from_datetime(self.truth.clock.now())
        for socket, symbols in {} if self.mute else self._prices.items():
            if symbol in symbols:
                self._spawn(socket.send_bytes(msgpack.packb([row])))

    async def hang_up(self) -> None:
        for socket in [*self._accounts, *self._prices]:
            await socket.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        text = json.dumps(message)
        await (socket.send_bytes(text.encode()) if self.binary else socket.send_str(text))

    async def _account(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        try:
            async for message in socket:
                if self.mute:
                    continue
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._hear(socket, json.loads(message.data))
        finally:
            self._accounts.discard(socket)
        return socket

    async def _hear(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said["action"] == "authenticate":
            good = said["data"] == {"key_id": self.key, "secret_key": self.secret} and not self.revoked
            status = "authorized" if good else "unauthorized"
            self.logins += good
            data = {"status": status, "action": "authenticate"}
            await self._send(socket, {"stream": "authorization", "data": data})
        elif said["action"] == "listen":
            self._accounts.add(socket)
            await self._send(socket, {"stream": "listening", "data": said["data"]})

    async def _data(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await self._pack(socket, {"T": "success", "msg": "connected"})
        path = request.path
        try:
            async for message in socket:
                if self.mute:
                    continue
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.BINARY:
                    await self._hear_data(socket, path, msgpack.unpackb(message.data))
        finally:
            self._prices.pop(socket, None)
        return socket

    async def _hear_data(self, socket: web.WebSocketResponse, path: str, said: dict[str, Any]) -> None:
        if said["action"] == "auth":
            if (said["key"], said["secret"]) != (self.key, self.secret) or self.revoked:
                await self._pack(socket, {"T": "error", "code": 402, "msg": "auth failed"})
            elif self.refuse_data:
                await self._pack(socket, {"T": "error", "code": self.refuse_data, "msg": "connection limit exceeded"})
            else:
                await self._pack(socket, {"T": "success", "msg": "authenticated"})
        elif said["action"] == "subscribe":
            symbols = self._prices.setdefault(socket, set())
            symbols.update(said["quotes"])
            self.subscribed[path] = set(symbols)
            await self._pack(socket, {"T": "subscription", "quotes": sorted(symbols), "trades": []})

    async def _pack(self, socket: web.WebSocketResponse, *rows: dict[str, Any]) -> None:
        await socket.send_bytes(msgpack.packb(list(rows)))

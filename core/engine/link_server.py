"""Serves an engine's link to other processes of the same user, over a Unix socket in the data directory.

A client never slows the engine: it has a bounded backlog, and a client that reads nothing is hung up on. What a client
confirmed goes on without the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from core.engine.log import asker
from core.engine.socket_path import short_path
from core.errors import FlatdeckError
from core.link.framing import FrameError, FrameSplitter
from core.link.messages import Link, Rejected
from core.link.protocol import (
    CONSOLE,
    FULL,
    LOOK,
    PROTOCOL,
    REFUSED,
    Answer,
    Ask,
    FromClient,
    Hello,
    Ping,
    Pong,
    Told,
    Welcome,
    acts,
    decode_from_client,
    framed,
    why_refused,
)

MOST_CLIENTS = 256
MOST_ASKED = 32  # commands of one client that are under way; the next waits on the line
HELLO_WAIT = 5.0  # seconds for the first message
PATIENCE = 30.0  # seconds that a client may leave what was sent to it unread
LOG_BACKLOG = 1024 * 1024  # bytes that wait for a client; beyond that it gets no more log lines
CHUNK = 64 * 1024


class LinkServer:
    """The server of one engine. ``spawn`` runs a command of a client in the background of the engine."""

    def __init__(
        self,
        link: Link,
        path: Path,
        *,
        version: str,
        started_at: datetime,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        patience: float = PATIENCE,
    ) -> None:
        self._link = link
        self._path = path
        self._version = version
        self._started_at = started_at
        self._spawn = spawn
        self._patience = patience
        self._clients: dict[asyncio.Task[None], bool] = {}  # whether the client is a console
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Open the socket. The caller holds the data directory's lock, so a socket that is there is stale."""
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_path(self._path) as path:
                listening.bind(path)
            self._path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._accept, sock=listening, backlog=MOST_CLIENTS)
        except BaseException:
            listening.close()
            raise

    async def aclose(self) -> None:
        """Close the socket and hang up on every client."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        while clients := [task for task in self._clients if not task.done()]:
            for task in clients:
                task.cancel()
            await asyncio.wait(clients, timeout=1.0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients[task] = False
        task.add_done_callback(self._clients.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end. An error of the connection ends the connection and nothing else."""
        try:
            if _same_user(writer.get_extra_info("socket")):
                await self._attend(_Connection(reader, writer, self._patience))
        except (OSError, EOFError, FrameError, msgspec.DecodeError):
            pass  # the client is gone, is silent, or speaks no protocol of ours: hang up
        finally:
            unread = writer.transport.get_write_buffer_size() > 0
            writer.transport.abort() if unread else writer.close()

    async def _attend(self, client: _Connection) -> None:
        async with asyncio.timeout(HELLO_WAIT):
            hello = await client.read()
        if not isinstance(hello, Hello):
            return None
        if why := why_refused(hello, self._version, os.getpid()):
            return await client.send(Rejected(REFUSED, why))
        if len(self._clients) > MOST_CLIENTS:
            why = f"the engine (pid {os.getpid()}) has {MOST_CLIENTS} clients already; try again when some have left"
            return await client.send(Rejected(FULL, why))
        if (task := asyncio.current_task()) is not None:
            self._clients[task] = hello.kind == CONSOLE
        consoles = sum(self._clients.values())
        await client.send(Welcome(PROTOCOL, self._version, os.getpid(), self._started_at, consoles))
        following = asyncio.ensure_future(self._follow(client)) if hello.kind == CONSOLE else None
        try:
            await self._take_commands(client, hello)
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        return None

    async def _follow(self, client: _Connection) -> None:
        """Send every message. A client that does not read gets a snapshot later; then the publisher drops updates."""
        try:
            async with contextlib.aclosing(self._link.messages()) as messages:
                async for message in messages:
                    await client.send(message)
        finally:
            client.hang_up()

    async def _take_commands(self, client: _Connection, hello: Hello) -> None:
        free = asyncio.Semaphore(MOST_ASKED)
        while True:
            match await client.read():
                case Ping():
                    client.send_soon(Pong())
                case Ask() as asked if hello.role == LOOK and acts(asked.command):
                    refused = Rejected("read_only", "this client may only look; nothing can be changed from here")
                    await client.send(Answer(asked.number, refused))
                case Ask() as asked:
                    await free.acquire()
                    self._spawn(self._answer(client, hello, asked, free))
                case Hello():
                    return

    async def _answer(self, client: _Connection, hello: Hello, asked: Ask, free: asyncio.Semaphore) -> None:
        """Run a command to its end, with or without its client, and send the reply."""
        if hello.kind != CONSOLE:
            asker.set(lambda row: client.send_soon(Told(row)))
        try:
            reply = await self._link.ask(asked.command)
            with contextlib.suppress(OSError, TimeoutError, FlatdeckError):
                await client.send(Answer(asked.number, reply))
        finally:
            free.release()


class _Connection:
    """One client's connection. A frame is written as a whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience
        self._splitter = FrameSplitter()
        self._frames: list[bytes] = []
        self._turn = asyncio.Lock()

    async def read(self) -> FromClient:
        """Return the client's next message. Raises EOFError at the end, DecodeError or FrameError for other bytes."""
        while not self._frames:
            data = await self._reader.read(CHUNK)
            if not data:
                raise EOFError
            self._frames = self._splitter.split(data)
        return decode_from_client(self._frames.pop(0))

    async def send(self, message: Any) -> None:
        """Send one message when the client has read the earlier messages. Hang up on a client without patience left."""
        async with self._turn:
            if self._writer.is_closing():
                raise ConnectionResetError
            self._writer.write(framed(message))
            try:
                async with asyncio.timeout(self._patience):
                    await self._writer.drain()
            except TimeoutError:
                self.hang_up()
                raise

    def send_soon(self, message: Told | Pong) -> None:
        """Send a small message without waiting. A client that does not read loses the message."""
        if not self._writer.is_closing() and self._writer.transport.get_write_buffer_size() < LOG_BACKLOG:
            self._writer.write(framed(message))

    def hang_up(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()


def _same_user(connection: socket.socket) -> bool:
    """Return whether the process at the other end has our user. The directory guards where no system call tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", told)
    return bool(user == os.geteuid())

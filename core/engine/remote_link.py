"""A client's end of the line to an engine in another process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from core.engine.socket_path import short_path
from core.errors import EngineBusy, EngineGone, FlatdeckError
from core.link.framing import MOST, FrameError, FrameSplitter
from core.link.messages import Command, Finished, LogRow, Message, Rejected, Reply, Signed, Snapshot, Update
from core.link.protocol import (
    FULL,
    SILENCE,
    Answer,
    Ask,
    FromEngine,
    Hello,
    Ping,
    Told,
    Welcome,
    decode_from_engine,
    framed,
)
from core.plans.approver import Approver

WELCOME_WAIT = 5.0  # seconds for the engine's first message
PING_EVERY = 5.0
CHUNK = 64 * 1024
BACKLOG = 1024  # messages that a console has not taken yet; beyond that nothing more is read


class NoEngine(FlatdeckError):
    """No engine listens on the socket."""


class EngineRefuses(EngineBusy):
    """An engine of another version listens, and refuses this client."""


class RemoteLink:
    """One connection to an engine. Made by :func:`connect`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_log: Callable[[LogRow], None] | None,
        approver: Approver | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_log = on_log
        self._approver = approver
        self._splitter = FrameSplitter(MOST)
        self._frames: list[bytes] = []
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._messages: asyncio.Queue[Message] = asyncio.Queue(BACKLOG)
        self._heard = asyncio.get_running_loop().time()
        self._tasks: list[asyncio.Task[None]] = []
        self._gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()  # why the line is over
        self.welcome: Welcome

    async def start(self, hello: Hello) -> None:
        """Greet the engine. Raises EngineBusy for an engine that refuses, and for an engine that does not answer."""
        try:
            async with asyncio.timeout(WELCOME_WAIT):
                self._writer.write(framed(hello))
                first = await self._read()
        except TimeoutError:
            raise EngineBusy(
                f"the running engine does not answer within {WELCOME_WAIT:g} s; look at its log, or stop it"
            ) from None
        except (OSError, EOFError):
            raise NoEngine("the engine hung up") from None
        except (FrameError, msgspec.DecodeError):
            raise EngineRefuses(
                f"the running engine speaks another protocol than flatdeck {hello.version}; "
                "stop it with its own flatdeck stop"
            ) from None
        if isinstance(first, Rejected):
            raise EngineBusy(first.text) if first.code == FULL else EngineRefuses(first.text)
        if not isinstance(first, Welcome):
            raise EngineBusy("the running engine did not greet; stop it and start it again")
        self.welcome = first
        self._tasks = [asyncio.ensure_future(work) for work in (self._listen(), self._ping())]

    async def ask(self, command: Command) -> Reply:
        """Send a command and wait for its reply. Raises EngineGone when the line breaks before the reply came."""
        self._number += 1
        number = self._number
        if isinstance(command, Signed) and command.approver is None:
            command = structs.replace(command, approver=self._approver)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._check_line()
        self._waiting[number] = reply
        try:
            self._writer.write(framed(Ask(number, command)))
            await self._wait_for(reply, asked=True)
            return reply.result()
        finally:
            del self._waiting[number]
            reply.cancel()

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield a Snapshot, then Updates in sequence and Finished reports. Raises EngineGone at the end of the line."""
        while True:
            if self._messages.empty():
                taking = asyncio.ensure_future(self._messages.get())
                try:
                    await self._wait_for(taking)
                    message = taking.result()
                finally:
                    taking.cancel()
            else:
                message = self._messages.get_nowait()
            yield message

    async def aclose(self) -> None:
        """Close the connection. The engine goes on, also with what was confirmed here."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end("the connection was closed here")
        self._writer.transport.abort()

    async def _read(self) -> FromEngine:
        while not self._frames:
            data = await self._reader.read(CHUNK)
            if not data:
                raise EOFError
            self._heard = asyncio.get_running_loop().time()
            self._frames = self._splitter.split(data)
        return decode_from_engine(self._frames.pop(0))

    async def _listen(self) -> None:
        why = "it hung up"
        try:
            while True:
                await self._take(await self._read())
        except (OSError, EOFError):
            pass
        except (FrameError, msgspec.DecodeError) as error:
            why = f"it said what flatdeck does not understand: {error}"
        finally:
            self._end(why)

    async def _take(self, message: FromEngine) -> None:
        match message:
            case Answer(number, reply):
                waiting = self._waiting.get(number)
                if waiting is not None and not waiting.done():  # an answer that nobody waits for is dropped
                    waiting.set_result(reply)
            case Told(row):
                if self._on_log is not None:
                    self._on_log(row)
            case Snapshot() | Update() | Finished():
                await self._messages.put(message)

    async def _ping(self) -> None:
        """Notice an engine that is there and does not answer."""
        while True:
            await asyncio.sleep(PING_EVERY)
            if asyncio.get_running_loop().time() - self._heard > SILENCE and not self._messages.full():
                self._end(f"it has not answered for {SILENCE:g} s")
            with contextlib.suppress(OSError):
                self._writer.write(framed(Ping()))

    async def _wait_for(self, something: asyncio.Future[Any], *, asked: bool = False) -> None:
        """Wait until the future is done. Raises EngineGone when the line ends first."""
        await asyncio.wait([something, self._gone], return_when=asyncio.FIRST_COMPLETED)
        if not something.done():
            self._check_line(asked=asked)

    def _end(self, why: str) -> None:
        if not self._gone.done():
            self._gone.set_result(why)

    def _check_line(self, *, asked: bool = False) -> None:
        """Raise EngineGone when the line is over."""
        if self._gone.done():
            raise EngineGone(f"the engine (pid {self.welcome.pid}) is gone: {self._gone.result()}", asked=asked)


async def connect(
    path: Path,
    hello: Hello,
    on_log: Callable[[LogRow], None] | None = None,
    approver: Approver | None = None,
) -> RemoteLink:
    """Return a connection to the engine that listens on ``path``.

    Raises NoEngine when none listens, EngineBusy when one listens and cannot be spoken to. ``on_log`` gets the log
    lines of what is asked for. ``approver`` is the person at a console.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.setblocking(False)
    try:
        with short_path(path) as name:
            async with asyncio.timeout(WELCOME_WAIT):
                await asyncio.get_running_loop().sock_connect(line, name)
        reader, writer = await asyncio.open_unix_connection(sock=line)
    except TimeoutError:
        line.close()
        raise EngineBusy("the running engine takes no connection; look at its log, or stop it") from None
    except OSError as error:
        line.close()
        raise NoEngine(f"no engine listens on {path}: {error.strerror}") from None
    link = RemoteLink(reader, writer, on_log, approver)
    try:
        await link.start(hello)
    except BaseException:
        await link.aclose()
        raise
    return link

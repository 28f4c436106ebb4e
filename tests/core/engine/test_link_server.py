"""The engine's socket: who may say what, what a client that is slow, silent, foreign or dead costs the engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.engine import link_server
from core.engine.link_server import LinkServer
from core.engine.log import asker
from core.engine.remote_link import EngineRefuses, NoEngine, RemoteLink, connect
from core.errors import EngineBusy, EngineGone
from core.link.framing import frame
from core.link.messages import (
    Command,
    Confirm,
    Done,
    EngineRow,
    Execute,
    LogRow,
    Message,
    Prepare,
    Refresh,
    Rejected,
    Reply,
    Snapshot,
    Update,
)
from core.link.protocol import ACT, COMMAND, CONSOLE, LOOK, PROTOCOL, Hello, framed
from core.plans.request import PlanRequest
from tests.support.books import NOW

ACTS, LOOKS = Hello(PROTOCOL, "1.0", ACT, COMMAND), Hello(PROTOCOL, "1.0", LOOK, COMMAND)
WATCHES = Hello(PROTOCOL, "1.0", ACT, CONSOLE)
ROW = LogRow(1, NOW, "info", "[FLATTEN][FORCED] BTC")


class FakeLink:
    """An engine that notes what it is asked. A command waits for its gate; ``feed`` holds what consoles are told."""

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self.ended: list[Command] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.feed: list[asyncio.Queue[Message]] = []
        self.seq = 0

    async def ask(self, command: Command) -> Reply:
        self.asked.append(command)
        await self.gate.wait()
        if (tell := asker.get()) is not None:
            tell(ROW)
        self.ended.append(command)
        return Snapshot(self.seq, NOW, EngineRow()) if isinstance(command, Refresh) else Done()

    async def messages(self) -> AsyncGenerator[Message, None]:
        queue: asyncio.Queue[Message] = asyncio.Queue()
        self.feed.append(queue)
        try:
            yield Snapshot(self.seq, NOW, EngineRow())
            while True:
                yield await queue.get()
        finally:
            self.feed.remove(queue)

    async def aclose(self) -> None:
        return


class Served:
    """A server with its fake engine."""

    def __init__(self, path: Path, link: FakeLink, server: LinkServer) -> None:
        self.path, self.link, self.server = path, link, server

    async def connect(self, hello: Hello = ACTS, on_log: Callable[[LogRow], None] | None = None) -> RemoteLink:
        return await connect(self.path, hello, on_log)

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.path))


@asynccontextmanager
async def serving(folder: Path, patience: float = 30.0) -> AsyncIterator[Served]:
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    path, link = folder / "engine.sock", FakeLink()
    server = LinkServer(link, path, version="1.0", started_at=NOW, spawn=spawn, patience=patience)
    await server.start()
    try:
        yield Served(path, link, server)
    finally:
        await server.aclose()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  (sockets have no virtual time)
            await asyncio.sleep(0.005)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes; a line that is reset has ended too."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_a_command_gets_the_answer_and_the_log_lines_of_what_it_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        told: list[LogRow] = []
        link = await served.connect(on_log=told.append)
        assert await link.ask(Execute("p", "d")) == Done()
        assert told == [ROW]
        assert (link.welcome.pid, link.welcome.version, link.welcome.consoles) == (os.getpid(), "1.0", 0)
        await link.aclose()


async def test_the_socket_is_private_and_a_stale_one_stops_nobody(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "engine.sock"))
    left.close()
    with pytest.raises(NoEngine):
        await connect(tmp_path / "engine.sock", ACTS)
    async with serving(tmp_path) as served:
        assert stat.S_IMODE(served.path.stat().st_mode) == 0o600
        await (await served.connect()).aclose()
    assert not served.path.exists()
    with pytest.raises(NoEngine):
        await served.connect()


async def test_a_data_directory_with_a_long_path_has_a_socket_too(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    async with serving(deep) as served:
        link = await served.connect()
        assert await link.ask(Execute("p", "d")) == Done()
        await link.aclose()


async def test_a_process_of_another_user_is_hung_up_on_without_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as served:
        monkeypatch.setattr(link_server.os, "geteuid", lambda: os.getuid() + 1)
        reader, writer = await served.raw()
        writer.write(framed(ACTS))
        assert await rest(reader) == b""
        assert served.link.asked == []
        writer.close()


async def test_the_engine_refuses_what_a_client_that_may_only_look_must_not_do(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        link = await served.connect(LOOKS)
        for command in (Confirm("p", "d"), Execute("p", "d")):
            reply = await link.ask(command)
            assert isinstance(reply, Rejected)
            assert reply.code == "read_only"
        assert await link.ask(Prepare(PlanRequest("cleanup"))) == Done()
        assert served.link.asked == [Prepare(PlanRequest("cleanup"))]
        await link.aclose()


async def test_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        with pytest.raises(EngineRefuses, match=r"1\.0 .* 2\.0; stop"):
            await served.connect(Hello(PROTOCOL, "2.0", ACT, COMMAND))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        frame(b"nonsense"),
        frame(b'{"type":"Ping"}'),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_greeting_is_hung_up_on(tmp_path: Path, sent: bytes) -> None:
    async with serving(tmp_path) as served:
        reader, writer = await served.raw()
        writer.write(sent)
        assert await rest(reader) == b""
        writer.close()
        await (await served.connect()).aclose()


@pytest.mark.parametrize("sent", [frame(b"nonsense"), framed(ACTS), b"\xff\xff\xff\xff"])
async def test_garbage_after_the_greeting_ends_that_line_and_no_other(tmp_path: Path, sent: bytes) -> None:
    async with serving(tmp_path) as served:
        other = await served.connect()
        reader, writer = await served.raw()
        writer.write(framed(ACTS) + sent)
        await rest(reader)
        writer.close()
        assert await other.ask(Execute("p", "d")) == Done()
        await other.aclose()


async def test_what_a_client_confirmed_goes_on_when_the_client_dies(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        served.link.gate.clear()
        reader, writer = await served.raw()
        writer.write(framed(ACTS))
        await reader.read(10)
        link = await served.connect()
        asking = asyncio.ensure_future(link.ask(Execute("p", "d")))
        await until(lambda: served.link.asked)
        await link.aclose()
        with pytest.raises(EngineGone):
            await asking
        writer.transport.abort()
        served.link.gate.set()
        await until(lambda: served.link.ended)


async def test_an_engine_that_dies_ends_every_question_and_says_whether_it_was_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        served.link.gate.clear()
        link, console = await served.connect(), await served.connect(WATCHES)
        messages = console.messages()
        assert isinstance(await anext(messages), Snapshot)
        asking = asyncio.ensure_future(link.ask(Execute("p", "d")))
        await until(lambda: served.link.asked)
        await served.server.aclose()
        with pytest.raises(EngineGone) as gone:
            await asking
        assert gone.value.asked
        with pytest.raises(EngineGone) as gone:
            await link.ask(Execute("p", "d"))
        assert not gone.value.asked
        with pytest.raises(EngineGone):
            await anext(messages)
        await link.aclose()
        await console.aclose()


async def test_an_engine_that_does_not_greet_is_busy_and_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.remote_link.WELCOME_WAIT", 0.05)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "engine.sock"))
    listening.listen()
    with pytest.raises(EngineBusy, match="does not answer"):
        await connect(tmp_path / "engine.sock", ACTS)
    listening.close()


async def test_an_answer_that_comes_twice_or_to_nobody_is_dropped(tmp_path: Path) -> None:
    from core.link.protocol import Answer, Welcome

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(Welcome(PROTOCOL, "1.0", 1, NOW, 0)))
        await reader.readexactly(len(framed(ACTS)) + 1)
        writer.write(framed(Answer(99, Done())) + framed(Answer(1, Done())) + framed(Answer(1, Rejected("x", "y"))))
        await rest(reader)
        writer.transport.abort()
        ended.set()

    ended = asyncio.Event()
    async with await asyncio.start_unix_server(engine, tmp_path / "engine.sock"):
        link = await connect(tmp_path / "engine.sock", ACTS)
        assert await link.ask(Execute("p", "d")) == Done()
        await link.aclose()
        await ended.wait()


async def test_consoles_are_counted_and_told_and_commands_are_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        consoles = [await served.connect(WATCHES) for _ in range(2)]
        streams = [console.messages() for console in consoles]
        for stream in streams:
            await anext(stream)
        for queue in served.link.feed:
            queue.put_nowait(Update(1, NOW))
        assert [await anext(stream) for stream in streams] == [Update(1, NOW)] * 2
        command = await served.connect()
        assert (command.welcome.consoles, len(served.link.feed)) == (2, 2)
        for link in (*consoles, command):
            await link.aclose()


async def test_a_client_that_reads_nothing_is_hung_up_on_and_slows_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, patience=0.2) as served:
        _, writer = await served.raw()
        writer.transport.pause_reading()
        writer.write(framed(WATCHES))
        await until(lambda: served.link.feed)
        rows = tuple(LogRow(n, NOW, "info", "x" * 1000) for n in range(1000))
        for n in range(5):
            served.link.feed[0].put_nowait(Update(n, NOW, log=rows))
        other = await served.connect()
        assert await other.ask(Execute("p", "d")) == Done()
        await until(lambda: not served.link.feed)
        await other.aclose()
        writer.transport.abort()


async def test_more_clients_than_allowed_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_server, "MOST_CLIENTS", 2)
    async with serving(tmp_path) as served:
        links = [await served.connect() for _ in range(2)]
        with pytest.raises(EngineBusy, match="clients already") as caught:
            await served.connect()
        assert not isinstance(caught.value, EngineRefuses)
        await links.pop().aclose()
        async with asyncio.timeout(20):
            while len(links) < 2:
                with contextlib.suppress(EngineBusy):  # until the server has seen that one left
                    links.append(await served.connect())
        for link in links:
            await link.aclose()

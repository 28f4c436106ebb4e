"""Connects a command or a console with the engine that runs on the same data directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.engine.lasting_link import LastingLink
from core.engine.remote_link import EngineRefuses, NoEngine, RemoteLink, connect
from core.errors import EngineBusy
from core.journal.data_dir import DataDir
from core.link.messages import LogRow
from core.link.protocol import ACT, COMMAND, CONSOLE, LOOK, PROTOCOL, Hello
from core.plans.approver import Approver
from core.ports import Clock
from core.settings import Settings
from tui.commands.linked_engine import LinkedEngine

if TYPE_CHECKING:
    from core.engine.engine import Engine

OPENS_WITHIN = 30.0  # seconds in which an engine that starts opens its socket
LOOK_EVERY = 0.1
READ_WAIT = 10.0  # seconds that a command that looks waits for the accounts


def program_version() -> str:
    """Return the version of the installed program."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  (slow, and not for every command)

    try:
        return version("flatdeck")
    except PackageNotFoundError:
        return "(run from its sources, not installed)"


def hello(kind: str, *, acting: bool) -> Hello:
    """Return the greeting of this version."""
    return Hello(PROTOCOL, program_version(), ACT if acting else LOOK, kind)


async def find_engine(
    settings: Settings,
    clock: Clock,
    greeting: Hello,
    on_log: Callable[[LogRow], None] | None = None,
    *,
    approver: Approver | None = None,
    within: float = OPENS_WITHIN,
) -> RemoteLink | None:
    """Return a connection to the running engine; None when no engine runs that goes on watching.

    An engine that starts has the lock, and opens its socket when it knows its interrupted plans. The socket is waited
    for ``within`` as many seconds. Raises EngineBusy for an engine that cannot be spoken to.
    """
    directory = DataDir(Path(settings.engine.data_dir))
    end = clock.monotonic() + within
    while True:
        try:
            return await connect(directory.socket, greeting, on_log, approver)
        except NoEngine:
            holder = directory.holder()
            if holder is None or not holder.watches or clock.monotonic() >= end:
                return None
        await clock.sleep(LOOK_EVERY)


async def attach_console(settings: Settings, clock: Clock, *, acting: bool, approver: Approver) -> LastingLink | None:
    """Return a console's line to the running engine; None when no engine runs. Raises EngineBusy."""

    async def find(within: float = 0.0) -> RemoteLink | None:
        greeting = hello(CONSOLE, acting=acting)
        return await find_engine(settings, clock, greeting, approver=approver, within=within)

    link = await find(OPENS_WITHIN)
    return None if link is None else LastingLink(link, find, clock)


@asynccontextmanager
async def attached(
    settings: Settings, clock: Clock, *, acting: bool, on_log: Callable[[LogRow], None] | None = None
) -> AsyncIterator[LinkedEngine | None]:
    """Yield the running engine, with all accounts read just now; None when no engine runs.

    A command that only looks also gets None when the engine has no time: then it looks by itself.
    """
    try:
        greeting, within = hello(COMMAND, acting=acting), OPENS_WITHIN if acting else 0.0
        link = await find_engine(settings, clock, greeting, on_log, within=within)
    except EngineRefuses:
        raise
    except EngineBusy:
        if acting:
            raise
        link = None
    if link is None:
        yield None
        return
    try:
        engine = LinkedEngine(link, link.welcome, correct=acting, accounts=settings.accounts)
        await _read(engine, acting=acting)
        yield engine
    finally:
        await link.aclose()


async def _read(engine: LinkedEngine, *, acting: bool) -> None:
    """Have every account read. A command that looks does not wait long for a venue that does not answer."""
    try:
        async with asyncio.timeout(None if acting else READ_WAIT):
            await engine.read_all()
    except TimeoutError:
        await engine.refresh()


@asynccontextmanager
async def serve(engine: Engine, directory: DataDir, clock: Clock) -> AsyncIterator[None]:
    """Serve consoles and commands until the block ends. Without a socket the engine still guards, and says so."""
    from core.engine.link_server import LinkServer  # noqa: PLC0415  (only where an engine runs)
    from core.engine.local_link import LocalLink  # noqa: PLC0415

    link, now = LocalLink(engine), clock.now()
    server = LinkServer(link, directory.socket, version=program_version(), started_at=now, spawn=engine.spawn)
    try:
        await server.start()
    except OSError as error:
        why = error.strerror or str(error)
        engine.say("alarm", f"no console and no command can reach this engine: {directory.socket}: {why}")
    try:
        yield
    finally:
        await server.aclose()

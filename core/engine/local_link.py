"""The link between a console and an engine in one process. The link passes messages as objects, without encoding."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec import structs

from core.engine.commands import run_command
from core.engine.engine import Engine
from core.link.messages import Command, Message, Reply, Signed
from core.plans.approver import Approver


class LocalLink:
    """A console in the engine's own process. ``approver`` is the person at the console."""

    def __init__(self, engine: Engine, approver: Approver | None = None) -> None:
        self._engine = engine
        self._approver = approver

    async def ask(self, command: Command) -> Reply:
        """Run a command. An error of the command is returned as ``Rejected``, never raised."""
        if isinstance(command, Signed) and command.approver is None:
            command = structs.replace(command, approver=self._approver)
        return await run_command(self._engine, command)

    def messages(self) -> AsyncGenerator[Message, None]:
        """Yield a Snapshot of the present state, then Updates and reports."""
        self._engine.snapshot()
        return self._engine.publisher.subscribe()

    async def aclose(self) -> None:
        """Do nothing: an in-process link holds no connection."""

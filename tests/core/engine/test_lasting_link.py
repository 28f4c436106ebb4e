"""A console's line outlives its engine: it says that the engine is gone and goes on with the next engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.engine.clock import SystemClock
from core.engine.lasting_link import LastingLink
from core.engine.remote_link import NoEngine, RemoteLink, connect
from core.errors import EngineGone
from core.link.messages import Done, Execute, Lost, Snapshot
from tests.core.engine.test_link_server import WATCHES, serving


async def test_a_console_waits_for_the_next_engine(tmp_path: Path) -> None:
    async def find() -> RemoteLink | None:
        try:
            return await connect(tmp_path / "engine.sock", WATCHES)
        except NoEngine:
            return None

    async with serving(tmp_path) as served:
        line = LastingLink(await served.connect(WATCHES), find, SystemClock())
        messages = line.messages()
        assert isinstance(await anext(messages), Snapshot)
    lost = await anext(messages)
    assert isinstance(lost, Lost)
    assert "is gone" in lost.text
    with pytest.raises(EngineGone):
        await line.ask(Execute("p", "d"))
    async with serving(tmp_path):
        assert isinstance(await anext(messages), Snapshot)
        assert await line.ask(Execute("p", "d")) == Done()
        await messages.aclose()
        await line.aclose()

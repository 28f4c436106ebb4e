"""An exit that waits in one process, told by a command of another: the way is the journal on the disk."""

from __future__ import annotations

import json
from pathlib import Path

from core.engine.clock import SystemClock
from core.link.messages import Snapshot
from tests.support.service import service, soon
from tui.main import SystemEnvironment
from tui.output.waiting import waiting

CONFIG = """
[engine]
data_dir = "data"
[[users]]
id = "eve"
[[users.accounts]]
name = "fut"
broker = "paper"
book = "book.json"
frozen = true
"""
BOOK = {
    "instruments": [{"symbol": "BTC-USD", "kind": "perp"}],
    "quotes": {"BTC-USD": {"bid": "59999", "ask": "60001", "last": "60000"}},
    "positions": [{"symbol": "BTC-USD", "side": "long", "quantity": "0.1", "entry": "80000", "leverage": "5"}],
}


async def look(config: Path) -> Snapshot:
    """The snapshot of a status."""
    world = SystemEnvironment({})
    loaded = world.load(str(config))
    assert loaded is not None
    async with world.engine(loaded.settings, acting=False) as engine:
        return engine.snapshot()


async def test_a_status_of_another_process_tells_of_the_exit_that_waits(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    (tmp_path / "book.json").write_text(json.dumps(BOOK))
    async with service(config, SystemClock()) as engine:
        await soon(lambda: waiting(engine.snapshot()))
        await engine._journal.flush()
        told = await look(config)
        (row,) = waiting(told)
        assert row == waiting(engine.snapshot())[0]
        assert row.text.startswith("emergency_stop_liquidation_risk")
        assert [p.flags for p in told.positions] == [("waiting",)]
    told = await look(config)
    assert waiting(told) == [], "no engine waits for anybody"
    (position,) = told.positions
    assert position.guard is not None
    assert position.guard.due == "emergency_stop_liquidation_risk"

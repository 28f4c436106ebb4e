"""The demo on a recorded crash, driven without a terminal: afterwards venue, book and journal say the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from brokers.paper.random_streams import seeded
from core.engine.engine import Engine
from core.engine.local_link import LocalLink
from core.journal.journal import Journal
from core.model import PositionKey
from core.records import ClosingEnded, IntentAnswered, PlanEnded
from core.settings import ConsoleSettings
from core.units import ZERO
from tui.app import FlatdeckApp
from tui.commands.files import read_price_files
from tui.demo_books import build
from tui.main import SystemEnvironment

MARKET = Path(__file__).parents[3] / "shared" / "data" / "market" / "coinbase"
pytestmark = pytest.mark.skipif(not MARKET.is_dir(), reason="the recorded market is not beside this checkout")


@asynccontextmanager
async def demo(directory: Path, speed: float) -> AsyncIterator[Engine]:
    """The engine of ``flatdeck demo --replay``, going on behind the console."""
    world = SystemEnvironment({})
    given = read_price_files([str(MARKET / f"{name}-1m.csv") for name in ("BTC-USD", "ETH-USD")])
    made = build(str(directory), seeded("demo", 1), scenario="default", seed=1, replays=given, speed=speed)
    for name, text in made.files.items():
        (directory / name).write_text(text, encoding="utf-8")
    async with world.engine(made.settings, acting=True, lasting=True) as engine:
        assert isinstance(engine, Engine)
        behind = asyncio.ensure_future(engine.run())
        try:
            yield engine
        finally:
            behind.cancel()
            await asyncio.gather(behind, return_exceptions=True)


async def test_after_a_cleanup_on_a_recorded_crash_the_books_agree(tmp_path: Path) -> None:
    async with demo(tmp_path, speed=600) as engine:
        untyped = ConsoleSettings(type_number_from=(None, None))
        app = FlatdeckApp(LocalLink(engine), clock=engine.clock, settings=untyped)
        before = {p.key: p for p in engine.snapshot().positions}
        async with app.run_test(size=(160, 48)) as pilot:
            await pilot.press("c")
            for _ in range(20):
                await pilot.pause(1.3)  # a key counts only after a second without any other
                await pilot.press("y")
                await pilot.pause(0.5)
                if any(p.state == "done" for p in engine.snapshot().plans):
                    break
        marks = {p.key: p.mark for p in engine.snapshot().positions}
        moved = [k for k in marks if k.symbol in ("BTC-USD", "ETH-USD") and marks[k] != before[k].mark]
        assert moved, "the replayed market stood still"
        await engine.read_all()
        after = {p.key: p.quantity for p in engine.snapshot().positions}
        at_venue = {p.key: p.quantity for b in engine._brokers.values() for p in (await b.holdings()).positions}
    assert after == at_venue

    journal = await Journal.open_readonly(tmp_path / "data" / "journal.db")
    records = [e.record for e in await journal.entries(limit=100_000)]
    await journal.aclose()
    closed = {r.result.key: r.result for r in records if isinstance(r, ClosingEnded) and r.result.kind == "close"}
    assert {r.outcome for r in closed.values()} == {"closed"}
    assert len(closed) == 52
    filled: dict[PositionKey, Decimal] = {}
    for record in records:
        if isinstance(record, IntentAnswered) and record.outcome == "terminal" and record.order:
            filled[record.key] = filled.get(record.key, ZERO) + record.order.filled
    assert filled == {k: r.filled for k, r in closed.items()} == {k: before[k].quantity for k in closed}
    assert after == {k: p.quantity for k, p in before.items() if k not in closed}
    assert [r.success for r in records if isinstance(r, PlanEnded)] == [True]

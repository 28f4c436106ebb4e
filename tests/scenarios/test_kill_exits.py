"""``kill -9`` while a stop is watched: the next start takes it up, and it fires once, where it would have anyway."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from core.config.load import load
from core.journal.journal import Journal, JournalView
from core.journal.query import EntryFilter
from core.records import ClosingEnded, Entry, PlanApproved
from tests.scenarios.desk import Desk, position
from tests.scenarios.test_kill import after, start

HEAD = '[engine]\ndata_dir = "data"\n[exits]\nsmart_profit = []\ndrawdown = []\n[automation]\nexits = "auto"\n'
RISE = ["100", "102", "104", "106"]
AGAIN = ["106", "108", "107"]
FALL = ["107", "107", "106.45"]  # 1.4 % behind 108 is 106.488
PACE = 600  # rows are a tenth of a second apart
HELD = 4  # rows of each price, so that an engine that is just starting misses none
T = TypeVar("T")


@pytest.fixture
def watched(desk: Desk) -> Desk:
    """One position entered at 100, whose prices are replayed from a file."""
    desk.head = HEAD
    rules = [{"symbol": "BTC-USD", "kind": "perp", "step": "0.1", "tick": "0.001"}]
    held = [position("BTC-USD", "2", entry="100", leverage="1")]
    files = f'prices = ["BTC-USD-1m.csv"]\nspeed = {PACE}'
    return desk.account("user_123", "paper", held, prices={"BTC-USD": "100"}, instruments=rules, options=files)


def replayed(desk: Desk, prices: list[str]) -> None:
    rows = [
        f"{1_767_225_600_000 + place * 60_000},{price}"
        for place, price in enumerate(p for p in prices for _ in range(HELD))
    ]
    (desk.path / "BTC-USD-1m.csv").write_text("\n".join(["timestamp,price", *rows]) + "\n", encoding="utf-8")


def asked(desk: Desk, question: Callable[[JournalView], Awaitable[T]]) -> T:
    """What the journal says, while an engine may be writing it."""

    async def ask() -> T:
        journal = await Journal.open_readonly(Path(load(desk.config, {}).settings.engine.data_dir) / "journal.db")
        try:
            return await question(journal)
        finally:
            await journal.aclose()

    return asyncio.run(ask())


def until(desk: Desk, question: Callable[[JournalView], Awaitable[T]], process: subprocess.Popen[str]) -> T:
    """The first answer that is something."""
    for _ in range(200):
        if found := asked(desk, question):
            return found
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    killed(process)
    raise AssertionError(f"nothing came of it: {asked(desk, JournalView.kept)}")


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def peaked(peak: str) -> Callable[[JournalView], Awaitable[bool]]:
    """Whether the one position's rules, and a bar of its prices, are durable up to this peak."""

    async def seen(journal: JournalView) -> bool:
        guards = [json.loads(text)["saved"]["peak"] for text in await journal.kept()]
        highs = [json.loads(body)[1] for _, _, body in await journal.bars()]
        return guards == [peak] and float(peak) in highs

    return seen


async def ended(journal: JournalView) -> list[Entry]:
    return await journal.entries(EntryFilter(kinds=("closing_ended",)))


def test_killed_twice_behind_its_peaks_it_leaves_once_and_at_the_level_of_a_run_without_a_kill(
    watched: Desk, tmp_path: Path
) -> None:
    replayed(watched, [*RISE, *AGAIN, *FALL])
    process = start(watched, "run")
    until(watched, ended, process)
    killed(process)
    fills, entries = asyncio.run(after(watched, ["BTC-USD"]))
    expected = told(entries)
    assert expected.startswith("trailing_stop (price 106.45, stop 106.488")
    assert [fill.quantity for fill in fills] == [2]

    again = Desk(tmp_path / "again")
    again.path.mkdir()
    for file in watched.path.glob("*.*"):
        (again.path / file.name).write_bytes(file.read_bytes())
    for prices, peak in ((RISE, "106.0"), (AGAIN, "108.0")):
        replayed(again, prices)
        process = start(again, "run")
        until(again, peaked(peak), process)
        killed(process)
        assert asked(again, ended) == []

    replayed(again, FALL)
    (row,) = again.document("status")["positions"]
    assert row["stop"] == "106.488"
    process = start(again, "run")
    until(again, ended, process)
    time.sleep(1)  # in which a second exit would come
    killed(process)
    fills, entries = asyncio.run(after(again, ["BTC-USD"]))
    assert [fill.quantity for fill in fills] == [2]
    assert told(entries) == expected
    assert again.held() == set()


def told(entries: list[Entry]) -> str:
    """What the one exit that was carried out said of itself."""
    approved = [e.record for e in entries if isinstance(e.record, PlanApproved)]
    assert [plan.by for plan in approved] == ["rule:exits"]
    ends = [e.record.result for e in entries if isinstance(e.record, ClosingEnded)]
    assert [end.outcome for end in ends] == ["closed"]
    return approved[0].plan.closes[0].text

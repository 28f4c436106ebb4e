"""``kill -9`` in the middle of a flatten of 59: the next start ends it flat, and no position was closed twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pexpect
import pytest

from brokers.paper.broker import open_account
from core.config.load import load
from core.engine.clock import SystemClock
from core.journal.journal import Journal
from core.model import Fill
from core.records import ClosingEnded, Entry, IntentAnswered, IntentWritten, PlanApproved, PlanEnded
from core.units import utc
from tests.scenarios.desk import Desk, fifty_nine

CALL = ("-c", "from tui.main import main; main()")
START = utc("2020-01-01T00:00:00Z")


def start(desk: Desk, *args: str) -> subprocess.Popen[str]:
    """The real program in a process of its own."""
    command = [sys.executable, *CALL, "--config", str(desk.config), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=desk.path)


async def after(desk: Desk, symbols: list[str]) -> tuple[list[Fill], list[Entry]]:
    """Every fill that the venue ever made, and the whole journal."""
    settings = load(desk.config, {}).settings
    data, clock = Path(settings.engine.data_dir), SystemClock()
    broker = open_account(settings.accounts[0], data, clock)
    fills = [f for found in await asyncio.gather(*(broker.fills(s, START) for s in symbols)) for f in found]
    await broker.aclose()
    journal = await Journal.open_readonly(data / "journal.db")
    entries = await journal.entries(limit=100_000)
    await journal.aclose()
    return fills, entries


@pytest.mark.parametrize("delay", [0.0, 0.12, 0.25, 0.4, 0.55])
def test_killed_in_the_middle_of_a_flatten_of_59_it_ends_flat_and_closes_nothing_twice(
    desk: Desk, delay: float
) -> None:
    held = {p["symbol"]: Decimal(p["quantity"]) for p in fifty_nine()}
    desk.account("platform", "coinbase", fifty_nine(), options="latency_ms = 200")
    process = start(desk, "flatten", "--all", "--yes")
    assert process.stderr is not None
    while "[FLATTEN][FORCED]" not in (line := process.stderr.readline()):
        assert line, "the first flatten ended before it began"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()

    assert all(c["state"] == "interrupted" for c in desk.document("status")["closings"])
    again = start(desk, "flatten", "--all", "--yes")
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert desk.held() == set()

    fills, entries = asyncio.run(after(desk, list(held)))
    closed: Counter[str] = Counter()
    for fill in fills:
        closed[fill.symbol] += fill.quantity  # type: ignore[assignment]  # a Counter of Decimals
    assert closed == held
    consistent(entries)


def test_a_line_that_breaks_in_the_middle_of_a_flatten_that_was_confirmed_leaves_nothing_open(desk: Desk) -> None:
    desk.account("platform", "coinbase", fifty_nine(), options="latency_ms = 200")
    program = pexpect.spawn(sys.executable, [*CALL, "--config", str(desk.config), "flatten", "--all"], cwd=desk.path)
    program.expect(r"\[y/N\]", timeout=30)
    program.sendline("y")
    program.expect(r"\[FLATTEN\]\[FORCED\]", timeout=30)
    program.ptyproc.fileobj.close()  # what a terminal does when its line is gone; the kernel sends SIGHUP
    os.waitpid(program.pid, 0)
    program.ptyproc.closed = program.ptyproc.terminated = program.closed = True
    assert desk.held() == set()
    _, entries = asyncio.run(after(desk, []))
    consistent(entries)


def consistent(entries: list[Entry]) -> None:
    """Each plan ended once, each of its closes too; every intent has an answer; what was sent came after its intent."""
    records = [e.record for e in entries]
    plans = [r.plan.id for r in records if isinstance(r, PlanApproved)]
    assert [r.plan for r in records if isinstance(r, PlanEnded)] == plans
    ends = Counter((r.plan, r.result.key, r.result.order_id) for r in records if isinstance(r, ClosingEnded))
    assert set(ends.values()) == {1}
    intents = [r.client_id for r in records if isinstance(r, IntentWritten)]
    answers = [r.client_id for r in records if isinstance(r, IntentAnswered)]
    assert set(intents) == set(answers)
    assert len(intents) == len(set(intents))

"""59 positions closed at a loopback Coinbase that answers after 50 ms, by the real ccxt over HTTP: flatdeck's whole
flatten, journal and final reconciliation included, against the script that everybody writes first: ccxt, one position
after the other, each closed and looked at. Beside it what the first account of an exchange costs a fresh process.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from core.engine.clock import SystemClock, system_ids
from core.engine.engine import Engine
from core.journal.journal import Journal
from core.plans.request import PlanRequest
from core.settings import AccountSettings, CleanupSettings, EngineSettings, OwnerSettings, Settings
from tests.venues.ccxt import coinbase
from tests.venues.ccxt.clients import client
from tests.venues.ccxt.host import Exchange

LATENCY = 0.05
COUNT = 59
LOGIN = {"BENCH_KEY": coinbase.KEY, "BENCH_SECRET": coinbase.SECRET}
MEMORY = """
import time
begun = time.perf_counter()
{}
took = time.perf_counter() - begun
pages = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(took, pages / 1024)
"""


def run() -> dict[str, object]:
    """Seconds, but for the last three."""
    ours, script = asyncio.run(_timed(_flatten)), asyncio.run(_timed(_script))
    nothing, one, whole = (_process(code) for code in ("pass", _ONE, "import ccxt.async_support, ccxt.pro"))
    return {
        "flatten of 59: planned, closed, verified, reported": ours,
        "ccxt script: close, look, next": script,
        "script / ours": script / ours,
        "import of one exchange as flatdeck does it": one[0],
        "import of ccxt.async_support and ccxt.pro": whole[0],
        "MB more for one exchange": one[1] - nothing[1],
        "MB more for all of ccxt": whole[1] - nothing[1],
    }


_ONE = "from brokers.ccxt.lazy_import import load; load('coinbase')"


async def _timed(close: Any) -> float:
    symbols = [f"C{n:02d}/USD" for n in range(COUNT)]
    book = {
        "instruments": [coinbase.spot(s) for s in symbols],
        "quotes": {key: {"bid": "99.9", "ask": "100.1", "last": "100"} for key in symbols},
        "positions": [{"symbol": s, "side": "long", "quantity": "2", "entry": "90"} for s in symbols],
        "orders": [],
    }
    with Exchange(coinbase.Coinbase, book, SystemClock()) as venue:
        venue.delay = LATENCY
        took: float = await close(venue)
        assert not venue.venue.state.positions
        return took


async def _flatten(venue: Exchange) -> float:
    os.environ.update(LOGIN)
    from brokers import open_broker  # noqa: PLC0415

    options: dict[str, Any] = {"exchange": "coinbase", "endpoint": venue.endpoint, "stream_endpoint": ""}
    options |= {"api_key": "env:BENCH_KEY", "secret": "env:BENCH_SECRET"}
    account = AccountSettings("u/coinbase", "u", "coinbase", "ccxt", options)
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            engine=EngineSettings(data_dir=directory, log_level="warning"),
            cleanup=CleanupSettings(max_positions=COUNT),
            owners=(OwnerSettings("u", (account,)),),
        )
        journal = await Journal.open(Path(directory) / "journal.db", clock, system_ids())
        broker = open_broker(account, None, clock)
        engine = Engine(settings, [broker], clock=clock, ids=system_ids(), journal=journal)
        await engine.start()
        begun = time.perf_counter()
        plan = await engine.prepare(PlanRequest("flatten", everything=True))
        report = await engine.execute(plan.id, plan.digest)
        took = time.perf_counter() - begun
        assert report.success, report.results
        await engine.stop()
        await journal.aclose()
    return took


async def _script(venue: Exchange) -> float:
    async with client("coinbase", venue, apiKey=coinbase.KEY, secret=coinbase.SECRET) as exchange:
        await exchange.load_markets()
        begun = time.perf_counter()
        held = (await exchange.fetch_balance({"v3": True}))["free"]
        for code in [c for c, free in held.items() if c != "USD" and float(free) > 0]:
            await exchange.create_order(f"{code}/USD", "market", "sell", held[code])
            await exchange.fetch_balance({"v3": True})
        return time.perf_counter() - begun


def _process(code: str) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", MEMORY.format(code)], capture_output=True, text=True, check=True)
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)

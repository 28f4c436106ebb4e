"""What the journal costs: durable events per second, and the end of a long journal.

    python -m benchmarks.journal [--rows N] [--rounds N] [--dir PATH]

The peer is what a program does that commits every event through aiosqlite, on the same tables with the same
durability. Rounds are interleaved and the median counts, since the disk is everybody's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

import aiosqlite

from core.engine.clock import SystemClock, system_ids
from core.ids import client_order_id
from core.journal.journal import Journal
from core.journal.tables import INSERT, row_of
from core.model import OrderRequest, OrderSide, PositionKey, Tier
from core.records import IntentWritten, Logged, Record
from core.units import iso

AT = datetime(2026, 3, 1, tzinfo=UTC)
BATCH = 5_000
READS = 50
PEER = "aiosqlite, a commit per event"


def intent(number: int) -> IntentWritten:
    key = PositionKey("ada/main", f"COIN{number % 59}/USDT")
    name = client_order_id("a1b2", f"p{number // 59}", key, 1, "market_ioc", number)
    request = OrderRequest(key.account, key.symbol, OrderSide.SELL, Decimal("0.12345678"), name)
    return IntentWritten(f"p{number // 59}", key, name, 0, 1, Tier.MARKET_IOC, request, Decimal("0.12345678"), AT)


def line(number: int) -> Logged:
    return Logged("info", f"[DUST] position {number} is worth less than a dollar", "ada/main", "ada", "DOGE/USDT")


async def opened(path: Path) -> Journal:
    return await Journal.open(path, SystemClock(), system_ids())


async def per_second(number: int, work: Callable[[], Awaitable[object]]) -> float:
    begun = perf_counter()
    await work()
    return number / (perf_counter() - begun)


async def one_by_one(path: Path, records: list[Record]) -> float:
    """aiosqlite as its manual shows it: execute, commit, for each event."""
    async with aiosqlite.connect(path) as database:
        await database.execute("PRAGMA synchronous=FULL")

        async def work() -> None:
            for record in records:
                await database.execute(INSERT, row_of(record, iso(AT)))
                await database.commit()

        return await per_second(len(records), work)


async def writing(directory: Path, rounds: int) -> dict[str, float]:
    """Durable events per second."""
    path = directory / "writing.db"
    journal = await opened(path)
    intents: list[Record] = [intent(n) for n in range(20_000)]
    lines: list[Record] = [line(n) for n in range(20_000)]

    async def batches(records: list[Record]) -> float:
        async def work() -> None:
            for start in range(0, len(records), BATCH):
                await journal.append(*records[start : start + BATCH])

        return await per_second(len(records), work)

    async def together(number: int, at_once: int) -> float:
        async def work() -> None:
            for start in range(0, number, at_once):
                await asyncio.gather(*(journal.append(record) for record in intents[start : start + at_once]))

        return await per_second(number, work)

    async def alone() -> float:
        async def work() -> None:
            for record in intents[:500]:
                await journal.append(record)

        return await per_second(500, work)

    tried: dict[str, Callable[[], Awaitable[float]]] = {
        "log lines, batched": lambda: batches(lines),
        "intents, batched": lambda: batches(intents),
        "intents, 1,000 callers at once": lambda: together(20_000, 1_000),
        "intents, 59 callers at once": lambda: together(5_900, 59),
        "intents, one caller": alone,
        PEER: lambda: one_by_one(path, intents[:500]),
    }
    figures: dict[str, list[float]] = {name: [] for name in tried}
    for _ in range(rounds):
        for name, measure in tried.items():
            figures[name].append(await measure())
    await journal.aclose()
    return {name: statistics.median(taken) for name, taken in figures.items()}


async def milliseconds(work: Callable[[], Awaitable[Any]], reads: int = READS) -> float:
    taken = []
    for _ in range(reads):
        begun = perf_counter()
        await work()
        taken.append(perf_counter() - begun)
    return statistics.median(taken) * 1000


async def reading(directory: Path, rows: int) -> dict[str, float]:
    """Milliseconds of a read on a journal of that many rows, nine log lines to an intent."""
    path = directory / "reading.db"
    journal = await opened(path)
    for start in range(0, rows, BATCH):
        numbers = range(start, min(start + BATCH, rows))
        await journal.append(*(line(n) if n % 10 else intent(n) for n in numbers))
    middle, name = rows // 2, intent(0).client_id
    database = journal._database
    sql = "SELECT seq, at, body FROM journal ORDER BY seq LIMIT 1000 OFFSET ?"
    figures = {
        "last 1,000": await milliseconds(lambda: journal.entries(tail=True)),
        "last 1,000 undecoded": await milliseconds(
            lambda: database.query("SELECT seq, at, body FROM journal ORDER BY seq DESC LIMIT 1000")
        ),
        "1,000 before the middle": await milliseconds(lambda: journal.entries(tail=True, before=middle)),
        "last 1,000 intents": await milliseconds(lambda: journal.entries(tail=True, kind="intent_written")),
        "is a client order id known": await milliseconds(lambda: journal.knows(name)),
        "plans that are open": await milliseconds(journal.open_plans, 3),
        "1,000 at the end by OFFSET": await milliseconds(lambda: database.query(sql, (rows - 1000,)), 3),
    }
    await journal.aclose()
    view = await Journal.open_readonly(path)
    return {**figures, "last 1,000 through a view": await milliseconds(lambda: view.entries(tail=True))}


def run(rows: int = 1_000_000, rounds: int = 5, directory: Path | None = None) -> dict[str, float]:
    """Figures by name: events per second, each as a multiple of the peer, and milliseconds of a read."""

    async def everything(path: Path) -> dict[str, float]:
        written = await writing(path, rounds)
        read = await reading(path, rows)
        return {
            **{f"{name}, events/s": value for name, value in written.items()},
            **{f"{name}, times the peer": value / written[PEER] for name, value in written.items() if name != PEER},
            **{f"{name} of {rows:,} rows, ms": value for name, value in read.items()},
        }

    with tempfile.TemporaryDirectory(dir=directory) as made:
        return asyncio.run(everything(Path(made)))


def main() -> None:
    parser = argparse.ArgumentParser(description="What the journal costs.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="length of the journal that is read")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="where to write; the disk is what is measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = run(options.rows, options.rounds, options.dir)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:60}{value:12,.{0 if value > 1000 else 2}f}")


if __name__ == "__main__":
    main()

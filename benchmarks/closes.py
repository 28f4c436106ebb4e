"""59 closes on a venue that answers after 50 ms, in round trips: how long until the last order was acknowledged, and
until everything was verified flat, with the journal on disk. Beside it, in the same run, a plain loop that reads,
closes and reads again one position after the other on the same venue, and one that gathers its orders all at once.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks._venue import LATENCY, account, fifty_nine, open_books
from brokers.paper.broker import PaperBroker
from core.engine.clock import SystemClock, system_ids
from core.engine.engine import Engine
from core.journal.journal import Journal
from core.model import OrderRequest, Position
from core.plans.request import PlanRequest
from core.records import ClosingEnded, IntentWritten, PlanApproved
from core.settings import AccountSettings, EngineSettings, OwnerSettings, Settings
from core.units import utc

ROUNDS = 5
LONG_AGO = utc("2020-01-01T00:00:00Z")
REFUSE_THREE = {"reject_ioc": 1.0, "reject_gtc": 1.0, "reject_close_call": 1.0}


def run() -> dict[str, object]:
    """Medians of interleaved rounds; times in round trips of 50 ms unless the name says otherwise."""
    cases: dict[str, Callable[[], Awaitable[float]]] = {
        "acknowledged, first send to last": lambda: ladder(acknowledged_only=True),
        "read, IOC, verified": ladder,
        "cancel and read, IOC, verified": lambda: ladder(orders=True),
        "cancel and read, four tiers, verified (nine steps)": lambda: ladder(orders=True, faults=REFUSE_THREE),
        "read, IOC, verified, behind 500 polls": lambda: ladder(polls=500),
        "read, IOC, verified, final reconciliation, report": lambda: ladder(whole=True),
        "plain gather: no journal, no check": gathered,
        "plain loop: read, close, read": loop,
    }
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            if name.startswith("plain loop") and seen[name]:
                continue  # nine seconds, and it does not vary
            seen[name].append(asyncio.run(case()) / LATENCY)
    figures: dict[str, object] = {name: statistics.median(values) for name, values in seen.items()}
    figures["plain loop / ours"] = statistics.median(seen["plain loop: read, close, read"]) / float(
        statistics.median(seen["read, IOC, verified"])
    )
    return figures


async def ladder(
    *,
    orders: bool = False,
    faults: dict[str, float] | None = None,
    polls: int = 0,
    acknowledged_only: bool = False,
    whole: bool = False,
) -> float:
    """Seconds that the real engine takes for a flatten of 59, connections warm, intents durable."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        settings = account(data, fifty_nine(with_orders=orders), faults or {})
        broker, journal, engine = await start(settings, data, clock)
        plan = await engine.prepare(PlanRequest("flatten", everything=True))
        waiting = [asyncio.ensure_future(broker.quotes(["C00-USD"])) for _ in range(polls)]
        begun = time.perf_counter()
        report = await engine.execute(plan.id, plan.digest)
        took = time.perf_counter() - begun
        assert report.success, report.results
        if acknowledged_only:
            took = await first_send_to_last_answer(journal, broker)
        elif not whole:
            took = await approval_to_last_end(journal)
        await asyncio.gather(*waiting)
        await engine.stop()
        await journal.aclose()
        return took


async def start(settings: AccountSettings, data: Path, clock: SystemClock) -> tuple[PaperBroker, Journal, Engine]:
    broker = open_books(settings, clock)
    journal = await Journal.open(data / "journal.db", clock, system_ids())
    owners = (OwnerSettings("platform", (settings,)),)
    everything = Settings(engine=EngineSettings(data_dir=str(data), log_level="warning"), owners=owners)
    engine = Engine(everything, [broker], clock=clock, ids=system_ids(), journal=journal)
    await engine.start()
    return broker, journal, engine


async def first_send_to_last_answer(journal: Journal, broker: PaperBroker) -> float:
    """From the first durable intent to the last fill's acknowledgement, half a latency after it was made."""
    entries = await journal.entries(limit=10_000)
    first = min(e.record.at for e in entries if isinstance(e.record, IntentWritten))
    fills = await asyncio.gather(*(broker.fills(f"C{n:02d}-USD", LONG_AGO) for n in range(59)))
    last = max(f.at for found in fills for f in found if f.at)
    return (last - first).total_seconds() + LATENCY / 2


async def approval_to_last_end(journal: Journal) -> float:
    """From the durable approval to the last close that was verified and written down."""
    entries = await journal.entries(limit=10_000)
    begun = next(e.at for e in entries if isinstance(e.record, PlanApproved))
    return (max(e.at for e in entries if isinstance(e.record, ClosingEnded)) - begun).total_seconds()


async def gathered() -> float:
    """All orders at once, nothing else: what the network allows."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        broker = open_books(account(Path(directory), fifty_nine(), {}), clock)
        held = (await broker.holdings()).positions
        begun = time.perf_counter()
        await asyncio.gather(*(broker.submit(request(p, n)) for n, p in enumerate(held)))
        return time.perf_counter() - begun


async def loop() -> float:
    """One after the other: read, close, read."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        broker = open_books(account(Path(directory), fifty_nine(), {}), clock)
        held = (await broker.holdings()).positions
        begun = time.perf_counter()
        for n, position in enumerate(held):
            await broker.holdings()
            await broker.submit(request(position, n))
            await broker.holdings()
        return time.perf_counter() - begun


def request(position: Position, n: int) -> OrderRequest:
    """A market order for all of it."""
    return OrderRequest(position.account, position.symbol, position.side.closing, position.quantity, f"bench{n}")

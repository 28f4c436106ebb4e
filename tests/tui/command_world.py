"""A world for commands: no terminal, no broker; an engine whose plans and reports are ready, noting what it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from msgspec import structs

from core.config import load as config
from core.config.load import Loaded
from core.exits.view import ExitView
from core.ids import Ids
from core.journal.data_dir import Holder
from core.journal.journal import Journal, JournalView
from core.journal.tables import INSERT, row_of
from core.link.messages import AccountRow, EngineRow as EngineState, LogRow, OwnerRow, PlanReport, Snapshot
from core.model import PositionKey, Tier
from core.plans.approver import Approver
from core.plans.plan import ActionKind, OwnerTally, Plan, Reason
from core.plans.request import PlanRequest
from core.plans.results import ResultRow, VerifiedOwner
from core.ports import Check
from core.records import Entry
from core.settings import AccountSettings, OwnerSettings, Settings
from core.units import iso
from tests.support.memory_database import MemoryDatabase
from tests.tui import fakes
from tui.main import cli
from tui.process_signals import TerminalLine

NOW = datetime(2026, 3, 1, 2, 14, 7, tzinfo=UTC)
KEY = PositionKey("user_123/coinbase", "BTC/USD")
D = Decimal

SETTINGS = Settings(
    owners=(
        OwnerSettings("platform", (AccountSettings("platform/coinbase", "platform", "coinbase", "paper"),)),
        OwnerSettings("user_123", (AccountSettings("user_123/coinbase", "user_123", "coinbase", "paper"),)),
    )
)

CLOSE = fakes.close(
    KEY.symbol,
    KEY.account,
    quantity="0.50",
    entry="100",
    usd_value="5",
    pnl="0.025",
    rank=9,
    tiers=(Tier.MARKET_IOC, Tier.MARKET_GTC),
    cost="0.01",
)
SKIP = structs.replace(
    CLOSE, kind=ActionKind.SKIP, reason=Reason.OPEN_ORDERS, text="2 open order(s) are kept", tiers=()
)
TALLY = OwnerTally("user_123", cap=8, initial=9, cap_excess=1, final=8)
PLAN = fakes.plan(CLOSE, created_at=NOW, owners=(TALLY,))
EMPTY = structs.replace(PLAN, id="p2", actions=(), owners=(structs.replace(TALLY, initial=8, cap_excess=0),))
DOWN = {"platform/coinbase": "no such host", "user_123/coinbase": "credentials expired"}

POSITION = fakes.position(
    KEY.symbol,
    KEY.account,
    native_symbol="BTC-USD",
    quantity=D("0.50"),
    entry=D("100.0"),
    opened_at=None,
    priced_at=None,
    open_orders=1,
    guard=ExitView(stop=D("98.980"), target=D("110")),
    flags=("cap", "open_orders"),
)
SNAPSHOT = Snapshot(
    seq=1,
    taken_at=NOW,
    engine=EngineState(),
    accounts=(AccountRow("user_123/coinbase", "user_123", "paper", "live", as_of=NOW - timedelta(seconds=3)),),
    owners=(OwnerRow("user_123", 8, 9, True),),
    positions=(POSITION,),
)
RESULT = ResultRow(KEY, "close", "closed", tier="market_ioc", filled=D("0.5"), average_price=D("101"))
REPORT = PlanReport(PLAN, (RESULT,), (VerifiedOwner("user_123", 8, True),), (), complete=True, success=True)


class FakeEngine:
    """Answers with the world's plans in turn, the last one again and again."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    taken_up: Sequence[PlanReport] = ()

    @property
    def entry_service(self) -> FakeEngine:
        return self

    @property
    def drafts(self) -> FakeEngine:
        return self

    async def knows_symbol(self, account: str, symbol: str) -> bool:
        return symbol in self.world.symbols

    def snapshot(self) -> Snapshot:
        return self.world.snapshot

    @property
    def publisher(self) -> FakeEngine:
        return self

    def reached(self) -> int:
        return self.world.reached

    async def read_all(self) -> None:
        self.world.reads += 1

    async def prepare(self, request: PlanRequest) -> Plan:
        self.world.requests.append(request)
        plans = self.world.plans
        return plans.pop(0) if len(plans) > 1 else plans[0]

    async def execute(self, plan_id: str, digest: str, approver: Approver | None = None) -> PlanReport:
        self.world.approvers.append(approver)
        self.world.executed.append((plan_id, digest))
        if self.world.on_log:
            self.world.on_log(LogRow(1, NOW, "info", "[CAP_EXCEEDED][FORCED] BTC/USD \x1b[2J"))
        return self.world.report

    async def run(self) -> None:
        return None


class FakeWorld:
    """Everything a command meets, as the test wants it; ``engines`` notes for each engine whether it could act."""

    def __init__(self, **given: Any) -> None:
        self.env: dict[str, str] = {}
        self.clock = self
        self.settings: Settings | None = SETTINGS
        self.snapshot, self.reached = SNAPSHOT, 1
        self.plans, self.report = [PLAN], REPORT
        self.terminal = False
        self.running: Exception | None = None
        self.holder: Holder | None = None
        self.found: Sequence[Entry] = ()
        self.brokers: dict[str, Any] = {}
        self.journal_check = Check("journal", ok=True, text="fine")
        self.time = NOW
        self.on_log: Callable[[LogRow], None] | None = None
        self.requests: list[PlanRequest] = []
        self.executed: list[tuple[str, str]] = []
        self.engines: list[bool] = []
        self.shown: list[bool] = []
        self.forgotten: list[str] = []
        self.symbols: set[str] = set()  # what the venues know
        self.reads = 0
        self.approvers: list[Approver | None] = []
        for name, value in given.items():
            setattr(self, name, value)

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def interactive(self) -> bool:
        return self.terminal

    def full_screen(self) -> bool:
        return self.terminal

    def load(self, path: str | None) -> Loaded | None:
        if path:
            return config.load(config.find(Path(path), {}), {})
        return Loaded(self.settings, None, {}) if self.settings else None

    @asynccontextmanager
    async def engine(
        self, settings: Settings, *, acting: bool, on_log: Callable[[LogRow], None] | None = None, **_rest: Any
    ) -> AsyncIterator[FakeEngine]:
        if acting and self.running:
            raise self.running
        self.engines.append(acting)
        self.on_log = on_log
        yield FakeEngine(self)

    def elsewhere(self, settings: Settings) -> Holder | None:
        return self.holder

    def broker(self, settings: Settings, account: AccountSettings) -> Any:
        made = self.brokers[account.id]
        if isinstance(made, Exception):
            raise made
        return made

    @asynccontextmanager
    async def journal_reader(self, settings: Settings) -> AsyncIterator[JournalView]:
        database = MemoryDatabase()
        await Journal.over(database, self, Ids(self, self))
        await database.commit([(INSERT, [row_of(entry.record, iso(entry.at)) for entry in self.found])])
        yield JournalView(database, "")

    def monotonic(self) -> float:
        return 0.0

    def getrandbits(self, k: int) -> int:
        return 7

    async def attached_console(self, settings: Settings, line: TerminalLine, *, read_only: bool) -> bool:
        return False

    async def console(self, engine: FakeEngine, line: TerminalLine, *, read_only: bool) -> None:
        self.shown.append(read_only)

    async def check_journal(self, settings: Settings) -> Check:
        return self.journal_check

    async def reset_paper(self, settings: Settings, accounts: Sequence[AccountSettings]) -> None:
        self.forgotten += [account.id for account in accounts]

    def new_config(self, path: str | None) -> Path:
        assert path
        return Path(path)

    def dice(self, seed: int) -> FakeWorld:
        return self

    def random(self) -> float:
        return 0.5


def call(world: FakeWorld, *args: str, answer: str | None = None) -> Result:
    """What a command line does in that world. An error that is no exit is the test's."""
    result = CliRunner().invoke(cli, list(args), obj=world, input=answer)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def document(result: Result) -> Any:
    """The one JSON document on stdout."""
    return json.loads(result.stdout)

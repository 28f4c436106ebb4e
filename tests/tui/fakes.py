"""A link fed by hand, a clock moved by hand, and builders of rows, plans and reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from core.exits.view import ExitView, StopMove
from core.ladder.states import Phase
from core.link.messages import (
    AccountRow,
    AlarmRow,
    ClosingRow,
    Command,
    Confirm,
    Done,
    EngineRow,
    LogRow,
    Message,
    OwnerRow,
    Planned,
    PlanReport,
    PlanRow,
    PositionRow,
    Prepare,
    Refresh,
    Reply,
    Snapshot,
    Started,
    Update,
)
from core.model import Leg, Order, PositionKey, Tier
from core.plans.plan import Action, OwnerTally, Plan, Reason
from core.plans.results import ResultRow, VerifiedOwner
from tests.support import builders

D = Decimal
NOW = datetime(2026, 1, 2, 2, 14, 7, tzinfo=UTC)
TIERS = (Tier.MARKET_IOC, Tier.MARKET_GTC, Tier.VENUE_CLOSE, Tier.DIRECT_API)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time, self.seconds = NOW, 100.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds


class FakeLink:
    """Implements Link. ``answers`` maps a command's type to a reply, an exception, or a function of the command."""

    def __init__(self, snapshot: Snapshot, **answers: Any) -> None:
        self.snapshot, self.seq = snapshot, snapshot.seq
        self.asked: list[Command] = []
        self.answers: dict[str, Any] = {"Refresh": lambda _: self.snapshot, **answers}
        self.plan: Callable[[], Plan] = plan
        self.closed = False
        self._queue: asyncio.Queue[Message | Exception | None] = asyncio.Queue()
        self._prepared = 0
        self.send(snapshot)

    async def ask(self, command: Command) -> Reply:
        self.asked.append(command)
        name = type(command).__name__
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(command)
        if answer is not None:
            return answer
        if isinstance(command, Prepare):
            self._prepared += 1
            return Planned(msgspec.structs.replace(self.plan(), id=f"p{self._prepared}"))
        return Started(command.plan) if isinstance(command, Confirm) else Done()

    async def messages(self) -> AsyncIterator[Message]:
        while (message := await self._queue.get()) is not None:
            if isinstance(message, Exception):
                raise message
            yield message

    async def aclose(self) -> None:
        self.closed = True

    def send(self, message: Message | Exception | None) -> None:
        self._queue.put_nowait(message)

    def update(self, *, skip: int = 0, **rows: Any) -> None:
        """The next update; ``skip`` leaves a gap before it."""
        self.seq += 1 + skip
        self.send(Update(self.seq, NOW, **rows))

    def names(self) -> list[str]:
        """What was asked, without the first refresh of a gap."""
        return [type(c).__name__ for c in self.asked]

    def confirmed(self) -> list[Confirm]:
        return [c for c in self.asked if isinstance(c, Confirm)]

    def refreshed(self) -> list[Refresh]:
        return [c for c in self.asked if isinstance(c, Refresh)]


def key(symbol: str = "BTC-USD", account: str = "platform/coinbase") -> PositionKey:
    return PositionKey(account, symbol, Leg.NET)


def position(symbol: str = "BTC-USD", account: str = "platform/coinbase", **fields: Any) -> PositionRow:
    values: dict[str, Any] = {
        "side": "long",
        "quantity": D("0.5"),
        "free": D("0.5"),
        "entry": D(100),
        "mark": D(101),
        "leverage": D(1),
        "usd_value": D("50.5"),
        "pnl": D("0.01"),
        "roi": D("0.01"),
        "opened_at": NOW - timedelta(hours=3),
        "open_orders": 0,
        "priced_at": NOW,
    }
    owner = fields.pop("owner", account.partition("/")[0])
    return PositionRow(key=key(symbol, account), owner=owner, **({"native_symbol": symbol} | values | fields))


def guard(**fields: Any) -> ExitView:
    """A stop at 99 and a target at 110 around a price of 101."""
    values: dict[str, Any] = {
        "price": D(101),
        "stop": D(99),
        "target": D(110),
        "peak": D("101.5"),
        "initial": False,
        "away": D("0.0198"),
        "trail": D("0.0182"),
        "base": D("0.02"),
        "factors": (D("1.3"), D("0.7"), D(1), D(1)),
        "progress": D("0.1"),
        "ratchets": (StopMove(NOW - timedelta(seconds=90), D("98.5")), StopMove(NOW - timedelta(seconds=12), D(99))),
    }
    return ExitView(**(values | fields))


def closing(symbol: str = "BTC-USD", account: str = "platform/coinbase", **fields: Any) -> ClosingRow:
    values: dict[str, Any] = {"plan": "p1", "reason": "flatten", "state": "settling"}
    return ClosingRow(key=key(symbol, account), **(values | fields))


def log(seq: int, text: str, level: str = "info", **fields: Any) -> LogRow:
    return LogRow(seq, NOW, level, text, **fields)


def close(symbol: str = "BTC-USD", account: str = "platform/coinbase", **fields: Any) -> Action:
    values: dict[str, Any] = {
        "reason": Reason.CAP_EXCEEDED,
        "text": "Position cap exceeded (9/8)",
        "owner": account.partition("/")[0],
        "quantity": "0.5",
        "entry": None,
        "usd_value": "50.5",
        "pnl": "0.01",
        "tiers": TIERS,
        "cost": "0.03",
    }
    return builders.close_action(key=key(symbol, account), **(values | fields))


def order(number: str = "o1", symbol: str = "BTC-USD", account: str = "platform/coinbase") -> Order:
    return builders.order(number, "0.5", symbol=symbol, account=account, price="120")


def plan(*actions: Action, name: str = "p1", cause: str = "cleanup", **fields: Any) -> Plan:
    actions = actions or (close(),)
    owners = fields.pop("owners", None)
    if owners is None:
        names = sorted({a.owner for a in actions})
        owners = tuple(
            OwnerTally(n, 8, 9, cap_excess=1, final=8, value_before=D(100), value_after=D(50)) for n in names
        )
    return builders.plan(*actions, id_=name, cause=cause, owners=owners, **({"created_at": NOW} | fields))


def report(
    of: Plan, *, outcome: str = "closed", success: bool = True, complete: bool = True, **fields: Any
) -> PlanReport:
    results = tuple(
        ResultRow(a.key, "close", outcome, tier="market_ioc", filled=a.quantity, profit="WIN", **fields)
        for a in of.closes
    )
    owners = tuple(VerifiedOwner(o.id, o.final, complete) for o in of.owners)
    return PlanReport(of, results, owners, (), complete, success)


def snapshot(*positions: PositionRow, **fields: Any) -> Snapshot:
    names = sorted({p.key.account for p in positions})
    owners = sorted({p.owner for p in positions})
    values: dict[str, Any] = {
        "engine": EngineRow(mode="service", armed=True),
        "accounts": tuple(AccountRow(n, n.partition("/")[0], "paper", "live", as_of=NOW, latency=0.05) for n in names),
        "owners": tuple(OwnerRow(o, 8, sum(p.owner == o for p in positions), True) for o in owners),
    }
    return Snapshot(1, NOW, positions=positions, **(values | fields))


def alarmed(*alarms: str | AlarmRow, **fields: Any) -> EngineRow:
    """A service's row with these alarms, oldest first."""
    rows = tuple(a if isinstance(a, AlarmRow) else AlarmRow(a, NOW) for a in alarms)
    return EngineRow(**{"mode": "service", "alarm": rows[-1].text if rows else None, "alarms": rows, **fields})


def crowd() -> Snapshot:
    """59 positions of the platform with dust, a user at 9/8 across two brokers, closes in flight, a stuck one."""
    rows = []
    for n in range(59):
        dust = n >= 14
        value = D("0.01") * (n + 1) if dust else D(100 - n * 3)
        rows.append(
            position(
                f"COIN{n:02d}-USD",
                usd_value=value,
                mark=D("1.5") + n,
                pnl=D(n - 30) / 1000,
                roi=D(n - 30) / 500,
                flags=("dust",) if dust else ("cap",) if n >= 8 else (),
                guard=None if dust else guard(away=D("0.004") * (n + 1)),
            )
        )
    symbols = ("BTC-USD", "ETH-USD", "SOL-USD", "AVAX-USD", "LINK-USD")
    rows += [
        position(s, "user_123/coinbase", usd_value=D(1234), open_orders=1, flags=("open_orders",)) for s in symbols
    ]
    rows += [position(s, "user_123/alpaca", usd_value=D(300)) for s in ("AAPL", "MSFT", "TSLA")]
    unknown = {"mark": None, "usd_value": None, "pnl": None, "roi": None, "entry": None, "opened_at": None}
    note = "no price for 12 s"
    rows.append(position("NVDA", "user_123/alpaca", flags=("stale", "closing"), reason=note, priced_at=None, **unknown))
    base = snapshot(*rows)
    accounts = [*base.accounts[:-1], msgspec.structs.replace(base.accounts[-1], state="stale", error="read timed out")]
    accounts[-1] = msgspec.structs.replace(accounts[-1], as_of=NOW - timedelta(seconds=12))
    soon = NOW + timedelta(seconds=3)
    step = {"tier": "market_ioc", "round": 1, "next_tier": "market_gtc", "next_at": soon}
    done = {"quantity": D("0.5"), "filled": D("0.2"), "answer": "insufficient balance"}
    halted = {"state": "stuck", "outcome": "stuck", "alarm": True, "tier": "limit_aggressive", "round": 3}
    opens = NOW + timedelta(hours=7)
    closings = (
        closing("ETH-USD", "user_123/coinbase", reason="severe_loss", **step, **done),
        closing("NVDA", "user_123/alpaca", state=Phase.PARKED.value, next_at=opens, quantity=D(5)),
        closing("COIN03-USD", reason="dust", quantity=D(12), answer="market is halted", **halted),
    )
    lines = tuple(log(n, f"[DUST][FORCED] COIN{n:02d}-USD worth 0.{n:02d} USD: closing") for n in range(14, 59))
    lines += (log(90, "user_123/alpaca: read timed out", "error", account="user_123/alpaca"),)
    lines += (log(91, "COIN03-USD is stuck after 3 rounds", "alarm", account="platform/coinbase"),)
    plans = (PlanRow("w1", "legacy", "waiting", 3, 1, NOW - timedelta(seconds=40)),)
    return msgspec.structs.replace(base, accounts=tuple(accounts), closings=closings, plans=plans, log=lines)

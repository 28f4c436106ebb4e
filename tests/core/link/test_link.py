"""The line between engine and console: every message survives it, and a replica follows exactly what was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import msgspec
import pytest
from msgspec import Struct, structs

from core.entries.report import Report
from core.entries.rules import Code, EntryDraft, EntryRequest, Rejection
from core.journal.believed import BelievedPosition
from core.link import messages as link
from core.link.messages import (
    AccountRow,
    Acknowledge,
    Arm,
    ClosingRow,
    Command,
    Confirm,
    Done,
    DueRow,
    EngineRow,
    Execute,
    ExitsDue,
    Finished,
    LogRow,
    OwnerRow,
    Planned,
    PlanReport,
    PlanRow,
    PositionRow,
    Prepare,
    Preview,
    Refresh,
    Rejected,
    Show,
    Snapshot,
    Started,
    Thaw,
    Update,
    Withdraw,
)
from core.link.protocol import decode_from_client, decode_from_engine
from core.link.replica import Replica
from core.link.requests import (
    Answered,
    Compared,
    Drafted,
    DraftEntry,
    DraftScaling,
    Entered,
    FindRefusals,
    KnowSymbol,
    Reconcile,
    Refusals,
    SendEntry,
)
from core.link.restrict import Halt, Resume, SetAccountState
from core.model import Leg, OrderSide, PositionKey, Side
from core.plans.plan import Action, ActionKind, OwnerTally, Plan, Reason
from core.plans.request import PlanRequest
from core.plans.results import ResultRow, VerifiedOwner
from core.reconciliation.rules import Discrepancy, Kind, Reconciled
from core.records import EntryApproved
from tests.support.books import COINBASE, NOW, TIERS, D, order
from tests.support.wire import command_over_wire, message_over_wire, reply_over_wire

BTC, ETH = PositionKey(COINBASE, "BTC/USD", Leg.SHORT), PositionKey(COINBASE, "ETH-USD")


def row(key: PositionKey = BTC, **changes: object) -> PositionRow:
    shown = PositionRow(
        key,
        "user_123",
        "BTC-USD",
        "long",
        D("0.50000001"),
        D("0.5"),
        None,
        D(101),
        None,
        D("50.50"),
        None,
        None,
        None,
        1,
    )
    return structs.replace(shown, **changes)


def closing(key: PositionKey = BTC, **changes: object) -> ClosingRow:
    return structs.replace(ClosingRow(key, "p1", "dust", "sending", "market_ioc", 1, 1, next_at=NOW), **changes)


def log(seq: int) -> LogRow:
    return LogRow(seq, NOW, "info", f"[DUST][FORCED] line {seq} → ✅", COINBASE)


ENGINE = EngineRow(armed=True, alarm="stuck")
ACCOUNT = AccountRow(COINBASE, "user_123", "ccxt:coinbase", "stale", "connection refused", NOW, 0.25, "frozen")
OWNER = OwnerRow("user_123", 8, 9, complete=False)
PLAN_ROW = PlanRow("p1", "cleanup", "waiting", 51, 2, NOW)
ACTION = Action(
    ActionKind.CLOSE,
    Reason.CAP_EXCEEDED,
    "Position cap exceeded (9/8)",
    "user_123",
    BTC,
    side=Side.SHORT,
    quantity=D("1E-7"),
    pnl=D("-0.0215"),
    rank=9,
    order=order(),
    cancels=(order(),),
    orders_shown=("o1",),
    tiers=TIERS,
)
PLAN = Plan("p1", "cleanup", NOW, (ACTION,), (OwnerTally("user_123", 8, 9, value_before=D(45)),), {COINBASE: "down"})
RESULT = ResultRow(BTC, "close", "closed", tier="market_ioc", filled=D(1), residual=None, profit="WIN")
REPORT = PlanReport(
    PLAN, (RESULT,), (VerifiedOwner("user_123", 8, complete=True),), (row(),), complete=True, success=False
)
SNAPSHOT = Snapshot(7, NOW, ENGINE, (ACCOUNT,), (OWNER,), (row(),), (closing(),), (PLAN_ROW,), (log(1),))
UPDATE = Update(
    8, NOW, ENGINE, (ACCOUNT,), (OWNER,), (row(),), (ETH,), (closing(),), (ETH,), (PLAN_ROW,), ("p0",), (log(2),)
)

SIGNAL = EntryRequest("user_123", "BTC/USD", OrderSide.BUY, D("0.10"), D(2), D("0.05"), COINBASE)
DRAFT = EntryDraft(
    "open", "user_123", BTC, OrderSide.BUY, D("0.10"), D("0.105"), price=D("99.90"), warnings=("rounded",)
)
ENTRY = EntryApproved("e1", "user_123", BTC, "open", OrderSide.BUY, D("0.10"), "person", NOW)
BELIEVED = BelievedPosition(BTC, Side.LONG, D("0.5"), None, D(2), stop_pct=D("0.05"))
COMMANDS = [
    Prepare(PlanRequest("cleanup", dust_usd=D("2.00"), max_positions=0, cancel_if="usd_value<1.0")),
    Prepare(PlanRequest("flatten", ("user_123",), (COINBASE,), ("BTC/USD",), (BTC, ETH), everything=True)),
    Prepare(PlanRequest("exit", keys=(BTC,), text="trailing_stop (price 98.9, stop 98.98)")),
    Show("p1"),
    Preview(),
    Arm(True, "abc"),
    Arm(False),
    Confirm("p1", "abc"),
    Withdraw("p1"),
    Acknowledge(),
    Acknowledge(BTC),
    Halt("the news"),
    Resume(),
    SetAccountState("u/one", "locked", "lost enough", NOW),
    Refresh(),
    Refresh(read=True),
    Execute("p1", "abc"),
    Thaw(COINBASE),
    KnowSymbol(COINBASE, "BTC/USD"),
    FindRefusals(SIGNAL),
    DraftEntry(SIGNAL, limit=True, flatten_first=True),
    DraftScaling(COINBASE, "BTC/USD", D("0.10"), inward=False),
    SendEntry(DRAFT, 30.0),
    Reconcile(correct=False),
]
MESSAGES = [
    SNAPSHOT,
    UPDATE,
    Snapshot(0, NOW, EngineRow()),
    Update(1, NOW),
    Planned(PLAN),
    Planned(PLAN, PlanRequest("exit", keys=(BTC,), text="stop_loss")),
    ExitsDue((DueRow(BTC, "stop_loss", "stop_loss (price 94, stop 95)"),), "abc", "read-only"),
    Started("p1"),
    Done(),
    Rejected("changed", "the plan changed"),
    Finished(REPORT),
    Answered(True),
    Refusals((Rejection(Code.CAP_REACHED, "8 of 8"),)),
    Drafted(DRAFT),
    Entered(Report(ENTRY, "partial", filled=D("0.10"), error="no answer in time")),
    Compared(Reconciled((Discrepancy(Kind.PHANTOM, BTC, "gone", ours=BELIEVED, order=order()),), {COINBASE: "down"})),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: type(c).__name__)
def test_a_command_is_read_as_it_was_sent(command: Command) -> None:
    assert command_over_wire(command) == command


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_is_read_as_it_was_sent(message: Struct) -> None:
    over_wire = message_over_wire if isinstance(message, get_args(link.Message)) else reply_over_wire
    assert over_wire(message) == message


def test_no_command_or_message_is_forgotten_above() -> None:
    assert {type(c) for c in COMMANDS} == set(get_args(Command))
    assert {type(m) for m in MESSAGES} == {*get_args(link.Reply), *get_args(link.Message)}


def test_a_plan_keeps_its_digest_on_the_way() -> None:
    there = reply_over_wire(Planned(PLAN))
    assert isinstance(there, Planned)
    assert there.plan.digest == PLAN.digest


def test_numbers_travel_as_text_and_the_unknown_as_null() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(row()))
    assert (sent["quantity"], sent["entry"]) == ("0.50000001", None)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"nonsense", b'{"type":"Nope"}', b'{"type":"Confirm"}', b"\xff"])
def test_what_is_no_message_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_from_client(data)
    with pytest.raises(msgspec.DecodeError):
        decode_from_engine(data)


def test_a_command_is_no_message_and_a_message_no_command() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_from_engine(msgspec.json.encode(Confirm("p1", "abc")))
    with pytest.raises(msgspec.DecodeError):
        decode_from_client(msgspec.json.encode(SNAPSHOT))


def loaded() -> Replica:
    replica = Replica()
    replica.load(SNAPSHOT)
    return replica


def state(replica: Replica) -> dict[str, object]:
    return {name: value.copy() if isinstance(value, dict | list) else value for name, value in vars(replica).items()}


def test_a_replica_starts_from_a_snapshot_and_forgets_what_it_had() -> None:
    replica = loaded()
    assert (replica.seq, replica.taken_at, replica.engine) == (7, NOW, ENGINE)
    assert (replica.accounts, replica.owners) == ({COINBASE: ACCOUNT}, {"user_123": OWNER})
    assert (replica.positions, replica.closings, replica.plans) == ({BTC: row()}, {BTC: closing()}, {"p1": PLAN_ROW})
    assert replica.log == [log(1)]
    replica.load(Snapshot(3, NOW, EngineRow()))
    assert (replica.seq, replica.accounts, replica.positions, replica.closings, replica.log) == (3, {}, {}, {}, [])


def test_an_update_changes_adds_and_removes_rows() -> None:
    replica, later = loaded(), NOW + timedelta(seconds=1)
    assert replica.apply(
        Update(8, later, positions=(row(ETH), row(quantity=D(2))), closings=(closing(ETH),), log=(log(2),))
    )
    assert replica.positions == {BTC: row(quantity=D(2)), ETH: row(ETH)}
    assert replica.engine == ENGINE
    assert replica.apply(
        Update(9, later, EngineRow(), gone_positions=(BTC, BTC), gone_closings=(ETH,), gone_plans=("p1", "p9"))
    )
    assert (replica.positions, replica.closings, replica.plans) == ({ETH: row(ETH)}, {BTC: closing()}, {})
    assert (replica.seq, replica.taken_at, replica.engine) == (9, later, EngineRow())
    assert replica.log == [log(1), log(2)]


def test_an_update_seen_before_does_no_harm() -> None:
    replica = loaded()
    assert replica.apply(UPDATE)
    before = state(replica)
    assert replica.apply(UPDATE)
    assert replica.apply(Update(1, NOW, gone_positions=(BTC,), log=(log(9),)))
    assert state(replica) == before


def test_a_gap_is_refused_and_nothing_applied_until_a_snapshot() -> None:
    replica = loaded()
    before = state(replica)
    assert not replica.apply(Update(9, NOW, gone_positions=(BTC,), log=(log(9),)))
    assert state(replica) == before
    replica.load(structs.replace(SNAPSHOT, seq=9))
    assert replica.apply(Update(10, NOW))


def test_a_replica_that_has_no_snapshot_yet_takes_no_update_but_the_first() -> None:
    assert not Replica().apply(Update(1, NOW))
    assert Replica().apply(Update(0, NOW))


def test_the_log_is_bounded_and_keeps_the_newest() -> None:
    replica = loaded()
    many = tuple(log(n) for n in range(Replica.LOG_KEPT + 5))
    assert replica.apply(Update(8, NOW, log=many))
    assert replica.log == list(many[5:])

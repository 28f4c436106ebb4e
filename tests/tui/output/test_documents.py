"""The JSON documents: exact keys, decimals as strings, times in UTC, unknown as null."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given, strategies as st
from msgspec import structs

from core.journal.tables import KINDS
from core.link.messages import ClosingRow
from core.model import Fill, Order, OrderSide
from core.plans.plan import ActionKind, Reason
from core.ports import Check
from core.records import AccountFrozen, ClosingEnded, Entry, FillRecorded, IntentAnswered, Logged, PlanApproved
from tests.tui.command_world import CLOSE, EMPTY, KEY, NOW, PLAN, POSITION, REPORT, RESULT, SKIP, SNAPSHOT
from tui.output import documents

D = Decimal


def test_status_has_the_keys_of_the_contract() -> None:
    closing = ClosingRow(KEY, "p1", "cap_exceeded", "settling", tier="market_ioc", round=1, attempt=1, next_at=NOW)
    made = documents.status(structs.replace(SNAPSHOT, closings=(closing,)))
    assert made["taken_at"] == "2026-03-01T02:14:07.000Z"
    assert made["engine"].items() >= {"running": False, "mode": "one-shot", "armed": False}.items()
    account = {"id": "user_123/coinbase", "owner": "user_123", "broker": "paper", "state": "live", "error": None}
    assert made["accounts"][0].items() >= {**account, "as_of": "2026-03-01T02:14:04.000Z"}.items()
    assert made["owners"] == [{"id": "user_123", "cap": 8, "counted": 9, "dust": 0, "unsellable": 0, "complete": True}]
    assert made["closings"][0]["next_at"] == "2026-03-01T02:14:07.000Z"
    assert set(made["closings"][0]) >= {"account", "symbol", "reason", "tier", "round", "attempt", "next_tier", "state"}


def test_a_position_is_written_as_in_the_contract() -> None:
    expected = {
        "account": "user_123/coinbase",
        "symbol": "BTC/USD",
        "native_symbol": "BTC-USD",
        "side": "long",
        "quantity": "0.5",
        "free": "0.5",
        "entry": "100",
        "mark": "101",
        "leverage": "1",
        "usd_value": "50.50",
        "pnl_pct": "1.00",
        "roi_pct": "1.00",
        "opened_at": None,
        "open_orders": 1,
        "stop": "98.98",
        "target": "110",
        "protective": None,
        "flags": ["cap", "open_orders"],
    }
    assert documents.position(POSITION).items() >= expected.items()


def test_a_position_tells_where_its_stop_rests_at_the_venue() -> None:
    assert documents.position(structs.replace(POSITION, protective=Decimal("97.90")))["protective"] == "97.9"


def test_unknown_is_null_and_never_a_zero() -> None:
    unknown = dict.fromkeys(("entry", "mark", "leverage", "usd_value", "pnl", "roi"))
    made = documents.position(structs.replace(POSITION, **unknown, guard=None))
    for key in ("entry", "mark", "leverage", "usd_value", "pnl_pct", "roi_pct", "stop", "target", "opened_at"):
        assert made[key] is None


def test_a_plan_has_the_keys_of_the_contract() -> None:
    made = documents.plan(PLAN, dry_run=True)
    expected = {
        "kind": "close",
        "reason": "cap_exceeded",
        "text": "Position cap exceeded (9/8)",
        "owner": "user_123",
        "account": "user_123/coinbase",
        "symbol": "BTC/USD",
        "side": "long",
        "quantity": "0.5",
        "usd_value": "5.00",
        "pnl_pct": "2.50",
        "rank": 9,
        "order_id": None,
        "tiers": ["market_ioc", "market_gtc"],
    }
    assert made["actions"][0].items() >= expected.items()
    assert made.items() >= {"plan": "p1", "cause": "cleanup", "dry_run": True, "complete": True}.items()
    counts = {
        "initial": 9,
        "dust": 0,
        "cap_excess": 1,
        "skipped": 0,
        "unsellable": 0,
        "orders_to_cancel": 0,
        "final": 8,
    }
    assert made["owners"][0].items() >= {"id": "user_123", "cap": 8, **counts}.items()
    assert made["totals"].items() >= {**counts, "reduction": 1}.items()


def test_a_cancel_names_its_order() -> None:
    order = Order(KEY.account, KEY.symbol, "o1", OrderSide.SELL, D(1))
    action = structs.replace(CLOSE, kind=ActionKind.CANCEL_ORDER, order=order)
    made = documents.plan(structs.replace(PLAN, actions=(action,)), dry_run=True)
    assert made["actions"][0].items() >= {"kind": "cancel_order", "order_id": "o1"}.items()


def test_an_unreadable_account_makes_the_plan_incomplete_and_is_named() -> None:
    made = documents.plan(structs.replace(PLAN, unreadable={"a/b": "no such host"}), dry_run=True)
    assert (made["complete"], made["unreadable"]) == (False, {"a/b": "no such host"})


def test_a_run_adds_results_and_what_the_brokers_said_afterwards() -> None:
    made = documents.run(structs.replace(REPORT, positions=(POSITION,)))
    assert made["dry_run"] is False
    expected = {
        "account": "user_123/coinbase",
        "symbol": "BTC/USD",
        "kind": "close",
        "outcome": "closed",
        "tier": "market_ioc",
        "filled": "0.5",
        "average_price": "101",
        "residual": "0",
        "profit_status": None,
        "profit": None,
        "error": None,
    }
    assert made["results"][0].items() >= expected.items()
    verified = made["verified"]
    assert verified["positions"] == [documents.position(POSITION)]
    assert (verified["owners"], verified["final"]) == ([{"id": "user_123", "final": 8}], 8)
    assert verified["totals"]["final"] == 8


def test_an_unknown_residual_is_null() -> None:
    assert documents.result(structs.replace(RESULT, residual=None))["residual"] is None


def test_a_plan_with_nothing_to_do_is_verified_by_the_read_it_was_made_from() -> None:
    held_back = structs.replace(EMPTY, actions=(SKIP,))
    made = documents.nothing_to_do(held_back, SNAPSHOT)
    assert [row["outcome"] for row in made["results"]] == ["skipped"]
    assert made["verified"]["final"] == 9


def test_journal_entries_have_their_place_and_their_body() -> None:
    approved = documents.journal_entry(Entry(1, NOW, PlanApproved(PLAN, "person", NOW)))
    head = {"seq": 1, "at": "2026-03-01T02:14:07.000Z", "kind": "plan_approved", "plan": "p1"}
    assert approved.items() >= {**head, "account": None, "symbol": None, "by": "person"}.items()
    assert approved["contents"]["actions"][0]["quantity"] == "0.5"
    ended = documents.journal_entry(Entry(2, NOW, ClosingEnded("p1", RESULT)))
    assert (ended["plan"], ended["account"], ended["symbol"]) == ("p1", "user_123/coinbase", "BTC/USD")
    answered = documents.journal_entry(Entry(3, NOW, IntentAnswered("p1", KEY, "c1", "refused", text="no")))
    assert answered.items() >= {"kind": "intent_answered", "symbol": "BTC/USD", "outcome": "refused"}.items()
    fill = Fill("a/b", "ETH/USD", "t1", "o1", OrderSide.SELL, D("1.50"), D("10"))
    assert documents.journal_entry(Entry(4, NOW, FillRecorded(fill)))["account"] == "a/b"
    frozen = documents.journal_entry(Entry(5, NOW, AccountFrozen("a/b", "a foreign epoch")))
    assert (frozen["account"], frozen["why"]) == ("a/b", "a foreign epoch")
    logged = documents.journal_entry(Entry(6, NOW, Logged("info", "text", symbol="ETH/USD")))
    assert (logged["symbol"], logged["text"]) == ("ETH/USD", "text")


def test_the_kinds_of_records_are_those_of_the_journal() -> None:
    assert documents.journal_kinds() == KINDS


def test_a_check_says_what_was_reached_and_what_was_tried() -> None:
    found = [("a/b", "paper", None, [Check("clock", None, "cannot be told")]), ("a/c", "x", "down", [])]
    made = documents.check(found, Check("journal", ok=True, text="fine"))
    assert made["journal"] == {"ok": True, "text": "fine"}
    assert made["accounts"][0]["checks"] == [{"name": "clock", "ok": None, "text": "cannot be told"}]
    assert (made["accounts"][1]["reached"], made["accounts"][1]["error"]) == (False, "down")


@given(st.text())
def test_a_document_is_ascii_on_its_way_out_and_the_same_again_on_its_way_in(text: str) -> None:
    action = structs.replace(CLOSE, text=text, reason=Reason.DUST)
    made = documents.plan(structs.replace(PLAN, actions=(action,)), dry_run=True)
    written = documents.document_text(made)
    assert written.isascii()
    assert "\x1b" not in written
    assert json.loads(written) == made

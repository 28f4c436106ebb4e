"""Numbers, ages, tags, the board, what escalates: without a terminal."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec import structs

from core.ladder.states import Phase
from core.link.messages import AccountRow, EngineRow, PlanRow, PositionRow, Update
from core.link.replica import Replica
from core.link.restrict import HaltRow, TradingRow
from core.model import PositionKey, Tier
from core.plans.plan import ActionKind, OwnerTally, Reason
from core.plans.results import VerifiedOwner
from tests.tui.fakes import NOW, close, closing, crowd, key, order, plan, position, report, snapshot
from tui.present import alarms, escalations, plan_diff
from tui.present.cells import INDENT, Cell, Row, fit, longest_names
from tui.present.confirm_gate import ConfirmGate
from tui.present.header import lines, pieces
from tui.present.labels import (
    LEGEND,
    TAGS,
    Totals,
    account_restriction,
    accounts_cells,
    engine_cells,
    left_unguarded,
    pnl_usd,
    report_summary,
    tags,
    under_way,
)
from tui.present.numbers import age, gauge, left, number, pct, usd
from tui.present.plan_diff import Diff, LineKey
from tui.present.plan_progress import Progress
from tui.present.positions import COLUMNS, OwnerKey, PositionList

D = Decimal


def words(row: Row) -> str:
    return "".join(c.text for c in row.spans) or " ".join(c.text for c in row.cells.values())


def replica_of(*rows: PositionRow, **fields: Any) -> Replica:
    replica = Replica()
    replica.load(snapshot(*rows, **fields))
    return replica


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"),
        (D("0.999999999"), "$0.99"),
        (D("0.004"), "$0.004"),
        (D(0), "$0.00"),
        (D("12431.5"), "$12,431.50"),
        (D("-3.456"), "-$3.45"),
        (D("1E+40"), "$1.000e+40"),
    ],
)
def test_dollars_never_claim_more_than_there_is(value: Decimal | None, shown: str) -> None:
    assert usd(value) == shown


def test_unknown_is_a_dash_and_never_zero_or_now() -> None:
    assert {number(None), usd(None), pct(None), age(None, NOW), left(None, NOW)} == {"—"}


def test_ages_say_how_old_and_waits_how_long() -> None:
    assert age(NOW, NOW) == "<5s"
    assert age(NOW - timedelta(seconds=12), NOW) == "12s"
    assert age(NOW - timedelta(minutes=3, seconds=5), NOW) == "3m05s"
    assert age(NOW - timedelta(days=4), NOW) == "4d"
    assert left(NOW + timedelta(seconds=2.2), NOW) == "3s"
    assert left(NOW, NOW) == "due"


def test_a_gauge_shows_how_far_over_the_cap() -> None:
    assert gauge(9, 8) == "9/8 ▓▓▓▓▓▓▓▓ +1 over"
    assert gauge(3, 8) == "3/8 ▓▓▓░░░░░"
    assert gauge(1, 100) == "1/100 ▓░░░░░░░░░░░"
    assert gauge(0, 0) == "0/0 "


def test_every_flag_has_a_tag_and_every_tag_a_meaning() -> None:
    assert tags(("dust", "cap")) == "[DUST] [CAP]"
    assert {f"[{t}]" for t in TAGS.values()} <= LEGEND.keys()
    assert tags(("brand\x1bnew",)) == "[BRAND\\X1BNEW]"


def test_profit_in_dollars_is_measured_from_the_entry() -> None:
    assert pnl_usd(position(usd_value=D(110), pnl=D("0.1"))) == D(10)
    assert pnl_usd(position(usd_value=D(90), pnl=D("0.1"), side="short")) == D(10)
    assert pnl_usd(position(usd_value=D(90), pnl=None)) is None


def test_totals_say_how_many_positions_they_do_not_know() -> None:
    totals = Totals().plus(D(10), D(1), 1).plus(None, None, 1)
    assert [c.text for c in totals.money()] == ["$10.00 (1 unpriced)", "+$1.00 (1 unknown)"]
    assert [c.text for c in Totals().plus(None, None, 1).money()] == ["—", "—"]


def test_the_header_names_the_age_of_the_worst_account() -> None:
    rows = [AccountRow("a/x", "a", "paper", "live", as_of=NOW), AccountRow("a/y", "a", "paper", "stale", as_of=None)]
    rows.append(AccountRow("a/z", "a", "paper", "stale", as_of=NOW - timedelta(seconds=30), frozen="flip"))
    texts = [c.text for c in accounts_cells(rows, NOW)]
    assert texts == ["3 accounts: 1 live <5s", "2 STALE never", "1 FROZEN"]


def test_the_header_says_how_late_exits_are() -> None:
    words = [c.text for c in engine_cells(EngineRow(armed=True, exits_late=12), read_only=False)]
    assert words == ["ARMED", "EXITS 12 s LATE"]
    assert [c.text for c in engine_cells(EngineRow(armed=True), read_only=False)] == ["ARMED"]


def test_the_header_says_that_trading_is_halted_and_why() -> None:
    cells = engine_cells(EngineRow(halted=HaltRow("the\x1b news", NOW, "jane")), read_only=True)
    assert (cells[1].text, cells[1].tone) == ("HALTED: the\\x1b news", "alarm")
    assert engine_cells(EngineRow(halted=HaltRow("", NOW, "jane")), read_only=True)[1].text == "HALTED"


def test_an_account_that_only_closes_says_so_with_its_end_and_its_reason() -> None:
    row = AccountRow("a/x", "a", "paper", "live", as_of=NOW, trading=TradingRow("close-only", NOW, "lost enough"))
    cell = account_restriction(row)
    assert cell is not None
    assert cell.text == "[CLOSE-ONLY] a/x until 2026-01-02T02:14:07.000Z: lost enough"
    assert cell.text.split()[0] in LEGEND
    assert account_restriction(AccountRow("a/x", "a", "paper", "live", as_of=NOW)) is None
    assert [c.text for c in accounts_cells([row], NOW)][-1] == "1 CLOSE-ONLY"


def test_the_header_breaks_into_lines_that_fit() -> None:
    replica = Replica()
    replica.load(crowd())
    position_list = PositionList(replica)
    position_list.load()
    parts = pieces(replica, position_list.total, NOW, read_only=True)
    for width in (60, 80, 120, 200):
        rows = ["".join(c.text for c in row) for row in lines(parts, NOW, width)]
        assert rows[0].endswith("02:14:07Z")
        assert len(rows[0]) == width
        text = " ".join(rows)
        assert all(w in text for w in ("ARMED", "READ-ONLY", "68 positions", "2 closing", "1 STUCK", "1 STALE 12s"))


def test_columns_give_way_by_priority() -> None:
    assert [f.column.key for f in fit(COLUMNS, 60)] == ["symbol", "side", "value", "pnl", "flags"]
    assert len(fit(COLUMNS, 200)) == len(COLUMNS)
    assert len(fit(COLUMNS, 40, wide=True)) == len(COLUMNS)


def test_symbols_are_shown_whole_before_less_important_columns_are_shown_at_all() -> None:
    def widths(width: int, symbol: str, **more: bool) -> dict[str, int]:
        longest = longest_names(COLUMNS, [PositionKey("u/a", "BTC-USD"), PositionKey("u/a", symbol), "a heading"])
        return {f.column.key: f.width for f in fit(COLUMNS, width, longest=longest, **more)}

    narrow, perp = widths(78, "BTC-USD"), widths(78, "BTC/USDT:USDT")
    assert perp["symbol"] >= len("BTC/USDT:USDT") + INDENT > narrow["symbol"]
    assert perp["flags"] >= 13
    assert {"side", "quantity", "value", "pnl", "priced", "flags"} <= perp.keys()
    wide = widths(136, "BTC/USDT:USDT:isolated")
    assert wide["symbol"] >= len("BTC/USDT:USDT:isolated") + INDENT
    assert "account" in wide
    assert widths(40, "BTC/USDT:USDT", wide=True)["symbol"] >= 15
    assert widths(300, "X" * 500)["symbol"] < 100


def test_positions_are_grouped_by_owner_and_unknown_values_sort_last() -> None:
    rows = [position(s, usd_value=v) for s, v in (("A", D(5)), ("B", None), ("C", D(9)))]
    position_list = PositionList(replica_of(*rows, position("Z", "user_1/x")))
    position_list.sort_by("value", descending=True)
    symbols = [k.owner if isinstance(k, OwnerKey) else k.symbol for k in position_list.order()]
    assert symbols == ["platform", "C", "A", "B", "user_1", "Z"]
    position_list.sort_by("value", descending=False)
    assert [k.symbol for k in position_list.order() if not isinstance(k, OwnerKey)] == ["A", "C", "B", "Z"]


@pytest.mark.parametrize("column", [c.key for c in COLUMNS])
def test_every_column_sorts(column: str) -> None:
    position_list = PositionList(replica_of(*crowd().positions))
    position_list.sort_by(column, descending=True)
    assert len(position_list.order()) == 70


def test_a_filter_finds_text_and_flags() -> None:
    position_list = PositionList(replica_of(*crowd().positions))
    position_list.look_for("[DUST] coin2")
    assert {k.symbol[:5] for k in position_list.order() if not isinstance(k, OwnerKey)} == {"COIN2"}
    position_list.look_for("no price")
    assert [k.symbol for k in position_list.order() if not isinstance(k, OwnerKey)] == ["NVDA"]
    position_list.look_for("")
    assert len(position_list.order()) == 70


def test_sums_follow_updates_exactly() -> None:
    replica = replica_of(position("A", usd_value=D(5)), position("B", usd_value=D(7)))
    position_list = PositionList(replica)
    position_list.load()
    replica.apply(Update(2, NOW, positions=(position("A", usd_value=D(6)),), gone_positions=(key("B"),)))
    touched, moved = position_list.touch([key("A"), key("B")])
    assert (position_list.total.count, position_list.total.value, moved) == (1, D(6), True)
    assert touched == {key("A"), OwnerKey("platform")}


def test_a_price_alone_moves_no_line() -> None:
    replica = replica_of(position("A"), position("B"))
    position_list = PositionList(replica)
    position_list.load()
    position_list.order()
    replica.apply(Update(2, NOW, positions=(position("A", usd_value=D(6)),)))
    assert position_list.touch([key("A")]) == ({key("A"), OwnerKey("platform")}, False)
    assert not position_list.order_stale


def test_an_owner_line_shows_what_is_not_known() -> None:
    replica = Replica()
    replica.load(crowd())
    owners = tuple(msgspec.structs.replace(o, complete=False) for o in replica.owners.values())
    replica.apply(Update(2, NOW, owners=owners))
    position_list = PositionList(replica)
    position_list.load()
    line = next(words(position_list.row(k, NOW)) for k in position_list.order() if k == OwnerKey("user_123"))
    assert "9/8 ▓▓▓▓▓▓▓▓ +1 over" in line
    assert "[PARTIAL]" in line
    assert "[STALE] user_123/coinbase read 12s ago: read timed out" in line


def test_escalations_put_unacknowledged_alarms_first() -> None:
    replica = Replica()
    replica.load(crowd())
    order_of = escalations.order(replica)
    assert isinstance(order_of[4], escalations.PlanKey)
    assert alarms.waiting(replica)[0].key == key("COIN03-USD")
    texts = [words(escalations.row(replica, k, NOW)) for k in order_of]
    assert texts[0] == "[EMERGENCY] ETH-USD ▶ market_ioc r1 → market_gtc in 3s"
    assert texts[2].startswith("[STUCK] COIN03-USD ▶ limit_aggressive r3")
    assert "venue: market is halted" in texts[3]
    assert "legacy waits for a person: 3 closes, 1 cancel" in texts[4]
    assert "[WAITING] NVDA" in texts[5]


def test_an_acknowledged_alarm_leaves_the_top() -> None:
    rows = (closing("A", outcome="stuck", alarm=True, acknowledged=True), closing("B"))
    replica = replica_of(closings=rows)
    assert escalations.order(replica)[0] == key("B")
    assert alarms.waiting(replica) == []
    assert words(escalations.row(replica, key("A"), NOW)).startswith("[STUCK]")


def test_plans_that_run_do_not_wait() -> None:
    replica = replica_of(plans=(PlanRow("p", "cleanup", "running", 1, 0, NOW),))
    assert escalations.order(replica) == []


def test_leaving_is_silent_unless_something_is_left() -> None:
    def left(*positions: PositionRow, alarms: int = 0, read_only: bool = False, **rows: Any) -> str:
        replica = Replica()
        replica.load(snapshot(*positions, **rows))
        return "\n".join(left_unguarded(replica, alarms, read_only=read_only))

    service, own = EngineRow(mode="service", armed=True), EngineRow(mode="one-shot")
    plans = (PlanRow("p", "exit", "waiting", 1, 0, NOW),)
    assert left(position(), engine=service) == ""
    assert left(engine=own, closings=(closing(outcome="closed"),)) == ""
    assert left(position(), engine=own, read_only=True) == ""
    assert "1 position held.\nThe engine ends" in left(position(), engine=own)
    assert "1 plan waiting for a person, 2 alarms not silenced." in left(engine=own, alarms=2, plans=plans)
    text = left(engine=service, closings=tuple(closing(f"S{n}") for n in range(10)))
    assert "10 closes in flight" in text
    assert "and 2 more" in text
    assert "carries on" in text


def test_the_diff_shows_each_action_its_orders_and_what_is_skipped() -> None:
    skip = close("B", kind=ActionKind.SKIP, reason=Reason.OPEN_ORDERS, text="2 open orders are kept", tiers=())
    shown = Diff()
    lone = close("C", kind=ActionKind.CANCEL_ORDER, reason=Reason.CANCEL_ORDERS, text="", order=order("o7", "C"))
    shown.show(plan(close("A", cancels=(order("o1", "A"),)), skip, lone, unreadable={"u/x": "401\x1b"}))
    texts = [words(shown.row(k)) for k in shown.keys]
    assert texts[0] == "[PARTIAL] u/x could not be read: 401\\x1b"
    assert "9 → 8 positions, cap 8 · 1 over cap · $100.00 → $50.00" in texts[1]
    assert any(
        "close long A platform/coinbase 0.5 $50.50 +1.00% $0.03 Position cap exceeded (9/8) market_ioc →" in t
        for t in texts
    )
    assert any("its order o1: sell limit at 120" in t for t in texts)
    assert any("2 open orders are kept" in t for t in texts)
    assert any(t.split()[:2] == ["cancel", "C"] for t in texts)


def test_a_changed_plan_marks_lines_and_prices_alone_do_not() -> None:
    shown = Diff()
    assert not shown.show(plan(close("A"), close("B"), close("C")))
    assert not shown.show(plan(close("A", usd_value=D(49)), close("B"), close("C")))
    assert shown.marks == {}
    assert shown.show(plan(close("A", quantity=D(1)), close("B"), close("D")))
    assert shown.marked() == {"changed": 1, "new": 1, "gone": 1}
    marks = {c.cells["symbol"].text: c.cells["mark"].text for k in shown.keys if (c := shown.row(k)).cells}
    assert marks == {"A": "CHANGED", "B": "", "D": "NEW", "C": "GONE"}


def test_an_account_that_becomes_unreadable_is_a_change() -> None:
    shown = Diff()
    shown.show(plan(close("A")))
    assert shown.show(plan(close("A"), unreadable={"u/x": "down"}))


def test_two_actions_of_one_key_are_both_shown() -> None:
    shown = Diff()
    shown.show(plan(close("A"), close("A", reason=Reason.DUST)))
    assert sum("close long" in words(shown.row(k)) for k in shown.keys) == 2


def test_the_summary_adds_up_and_admits_unknown_costs() -> None:
    made = plan(close("A"), close("B", cost=None, cancels=(order("o1", "B"), order("o2", "B"))))
    text = " · ".join(c.text for c in plan_diff.summary(made))
    assert text.startswith("2 to close · 2 orders to cancel · 9 → 8 positions · $100.00 → $50.00")
    assert text.endswith("estimated cost $0.03 + 1 unknown")
    assert plan_diff.summary(plan(close("A", cost=None)))[-1].text == "estimated cost unknown"
    assert plan_diff.ladders(made) == "2 by market_ioc → market_gtc → venue_close → direct_api"


def test_one_order_is_one_order() -> None:
    made = plan(close("A", cancels=(order("o1", "A"),)))
    assert "1 to close · 1 order to cancel · " in " · ".join(c.text for c in plan_diff.summary(made))


def test_the_gate_opens_only_for_what_was_looked_at() -> None:
    gate = ConfirmGate(dry_run=False, typed=True)
    assert gate.closed_because("", 0)
    gate.take(plan(close("A"), close("B")), changed=False)
    assert "can be confirmed" in gate.closed_because("2", 99)  # not drawn yet
    gate.see(0)
    assert "can be confirmed after 0.5 s" in gate.closed_because("2", 0.5)
    assert "Type 2" in gate.closed_because("", 1)
    assert gate.closed_because("3", 1) is not None
    assert gate.closed_because("2", 1) is None
    assert "too small" in gate.closed_because("2", 1, seen=False)
    gate.take(plan(close("A")), changed=True)
    assert "THE PLAN CHANGED" in gate.closed_because("1", 99)
    gate.see(10)
    assert "THE PLAN CHANGED" in gate.closed_because("1", 11.4)
    assert gate.closed_because("2", 11.6) is not None
    assert gate.closed_because("1", 11.6) is None
    gate.fail("no answer")
    assert gate.closed_because("1", 30) == "no answer"
    gate.take(plan(close("A")), changed=False)
    gate.see(20.5)
    assert gate.closed_because("1", 21) is not None
    assert gate.closed_because("1", 22) is None


def test_dry_runs_and_empty_plans_never_open_the_gate() -> None:
    gate = ConfirmGate(dry_run=True, typed=False)
    gate.take(plan(), changed=False)
    gate.see(0)
    assert "Dry run" in gate.closed_because("", 9)
    gate = ConfirmGate(dry_run=False, typed=False)
    gate.take(plan(close(kind=ActionKind.SKIP)), changed=False)
    gate.see(0)
    assert "Nothing to do" in gate.closed_because("", 9)


def test_progress_follows_its_own_plan_to_the_report() -> None:
    made = plan(close("A"), close("B"))
    progress = Progress(made)
    line = LineKey("close", "platform/coinbase", "A", "net")
    assert progress.follow(closing("A", plan="other")) is None
    assert progress.follow(closing("A", tier="market_ioc", round=1)) == line
    assert progress.row(line).cells["tier"].text == "market_ioc r1"
    progress.follow(closing("A", outcome="closed"))
    assert [c.text for c in progress.summary()] == ["1 of 2 closes ended", "1 closed"]
    assert not progress.finish(report(plan(name="p9")))
    assert progress.finish(report(made, outcome="stuck", success=False, error="halted"))
    assert progress.row(line).cells["state"] == Cell("[STUCK]", "alarm")
    assert progress.row(line).cells["answer"].text == "halted"


def test_the_closing_summary_says_verified_or_not() -> None:
    made = plan(close(), owners=(OwnerTally("platform", 8, 59, dust=45, cap_excess=6, final=8),))
    text = " · ".join(c.text for c in report_summary(report(made)))
    assert text == "59 → 8 positions · 45 dust · 6 over cap · 1 closed · read again and verified"
    text = " · ".join(c.text for c in report_summary(report(made, outcome="stuck", success=False, complete=False)))
    assert "1 STUCK" in text
    assert text.endswith("PARTIAL: not every account could be read again")


def test_what_ends_within_minutes_is_under_way_from_its_confirmation_to_its_last_read() -> None:
    of = PlanRow("p1", "flatten", "running", 1, 0, NOW)
    parked, ended = closing(state=Phase.PARKED.value), closing("ETH-USD", state="ended", outcome="closed")
    for plans, closings, busy in (
        ((), (), False),
        ((structs.replace(of, state="waiting"),), (), False),
        ((of,), (), True),
        ((of,), (parked, closing("ETH-USD")), True),
        ((of,), (parked, ended), False),
        ((of, structs.replace(of, id="p2")), (parked,), True),
        ((of,), (ended,), True),
        ((structs.replace(of, state="done"),), (ended,), False),
    ):
        assert under_way(snapshot(plans=plans, closings=closings)) is busy


def test_the_closing_summary_says_what_came_meanwhile() -> None:
    made = plan(close("A"), close("B"), cause="flatten", owners=(OwnerTally("platform", 8, 2, final=0),))
    for outcome, final, more in (
        ("closed", 0, ""),
        ("closed", 1, "1 MORE HELD"),
        ("stuck", 2, ""),
        ("stuck", 3, "1 M"),
    ):
        ended = structs.replace(report(made, outcome=outcome), owners=(VerifiedOwner("platform", final, True),))
        text = report_summary(ended)[-1].text
        assert text.startswith(more) if more else "MORE" not in text


def test_tiers_are_named_as_the_ladder_names_them() -> None:
    assert plan_diff.ladders(plan(close(tiers=(Tier.VENUE_CLOSE,)))) == "1 by venue_close"


def test_a_plan_after_which_nothing_is_left_says_so_with_its_value():
    owner = OwnerTally("platform", 8, 1, final=0, value_before=D(100), value_after=D(0))
    made = plan(close(), owners=(owner,))
    assert "$100.00 → $0.00" in " ".join(cell.text for cell in plan_diff.summary(made))

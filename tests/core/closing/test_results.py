"""The lines that operators grep for, and the summaries."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.closing.log_text import begun, cancelled, ended, planned, summary, tag, would_cancel
from core.ladder.parts import Cancels, Fills, LastRead
from core.ladder.results import cancel_results, result
from core.ladder.states import Ladder, Limits, Phase
from core.model import Holdings, PositionKey, Side, Tier
from core.plans.plan import Action, ActionKind, OwnerTally, Plan, Reason
from core.plans.results import Outcome, ResultRow, as_finally_read, not_done, owner_tallies, profit
from tests.support.books import COINBASE, KRAKEN, NOW, PLATFORM, D, order, position

SHIB, ATOM = PositionKey(COINBASE, "SHIB-USD"), PositionKey(COINBASE, "ATOM-USD")
DUST_TEXT, CAP_TEXT = "Dust position ($0.43 < $1.00)", "Position cap exceeded (14/8)"


def close(key: PositionKey = SHIB, reason: Reason = Reason.DUST, text: str = DUST_TEXT, **changes: object) -> Action:
    shown = Action(
        ActionKind.CLOSE,
        reason,
        text,
        key.account.partition("/")[0],
        key,
        side=Side.LONG,
        quantity=D(2),
        entry=D(100),
        usd_value=D("0.43"),
        pnl=D("-0.0215"),
    )
    return structs.replace(shown, **changes)


def cancel(key: PositionKey = SHIB, reason: Reason = Reason.DUST, id_: str = "o1") -> Action:
    open_order = order(id_, key.symbol, account=key.account)
    owner = key.account.partition("/")[0]
    return Action(ActionKind.CANCEL_ORDER, reason, "", owner, key, order=open_order, cancels=(open_order,))


def skip(key: PositionKey, reason: Reason, text: str) -> Action:
    return close(key, reason, text, kind=ActionKind.SKIP)


def ladder(action: Action | None = None, **state: object) -> Ladder:
    limits = Limits(attempts=1, tier_timeout=5.0, request_expiry=5.0, position_lag=10.0)
    begin = Ladder("p1", "ab12", action or close(), (), limits, 120.0, D(2))
    return structs.replace(begin, phase=Phase.ENDED, **state)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason.DUST, "[DUST][FORCED]"),
        (Reason.CAP_EXCEEDED, "[CAP_EXCEEDED][FORCED]"),
        (Reason.FLATTEN, "[FLATTEN][FORCED]"),
        (Reason.LEGACY, "[LEGACY][FORCED]"),
        (Reason.EXIT, "[EXIT][FORCED]"),
    ],
)
def test_a_forced_close_has_its_tag(reason: Reason, text: str) -> None:
    assert tag(reason) == text


def test_a_close_begins_with_its_account_reason_size_and_pnl_and_a_pending_profit() -> None:
    assert begun(close()) == (
        "[DUST][FORCED] SHIB-USD Account: user_123/coinbase, Reason: Dust position ($0.43 < $1.00), "
        "Size: $0.43, P&L: -2.15%, PROFIT_STATUS = PENDING"
    )
    capped = close(ATOM, Reason.CAP_EXCEEDED, CAP_TEXT, usd_value=D("3.2"), pnl=D("0.005"))
    assert begun(capped).startswith("[CAP_EXCEEDED][FORCED] ATOM-USD ")
    assert "Reason: Position cap exceeded (14/8), Size: $3.20, P&L: +0.50%" in begun(capped)


def test_an_unknown_size_or_pnl_is_said_to_be_unknown() -> None:
    assert "Size: unknown, P&L: unknown" in begun(close(usd_value=None, pnl=None))


def test_an_order_that_would_be_or_was_cancelled_has_the_seeds_tags() -> None:
    assert would_cancel(cancel()) == "[DUST][OPEN_ORDER][WOULD_CANCEL] Order o1 on SHIB-USD"
    assert (
        would_cancel(cancel(ATOM, Reason.CAP_EXCEEDED, "zzz"))
        == "[CAP][OPEN_ORDER][WOULD_CANCEL] Order zzz on ATOM-USD"
    )
    assert cancelled(close(), "abc123") == "[DUST][OPEN_ORDER][CANCELLED] Order abc123 on SHIB-USD"
    assert cancelled(cancel(ATOM, Reason.CANCEL_ORDERS), "o1").endswith("[OPEN_ORDER][CANCELLED] Order o1 on ATOM-USD")


def test_a_plan_as_lines_says_what_would_be_done_skipped_and_could_not_be_read() -> None:
    plan = Plan(
        "p1",
        "cleanup",
        NOW,
        (cancel(), close(), skip(ATOM, Reason.NO_PRICE, "Value unknown: no price")),
        (OwnerTally("user_123", 8, 3, dust=1, skipped=1, orders_to_cancel=1, final=2, complete=False),),
        {KRAKEN: "connection refused"},
    )
    assert planned(plan) == [
        "[DUST][OPEN_ORDER][WOULD_CANCEL] Order o1 on SHIB-USD",
        "[DUST][FORCED] SHIB-USD Account: user_123/coinbase, WOULD CLOSE: Dust position ($0.43 < $1.00)",
        "[SKIPPED] ATOM-USD Account: user_123/coinbase, Reason: Value unknown: no price",
        "[PARTIAL] user_123/kraken could not be read: connection refused",
        "USER user_123 SUMMARY: PARTIAL Initial: 3 positions, Dust to close: 1, Cap excess to close: 0, Skipped: 1, "
        "Unsellable: 0, Open orders to cancel: 1, Failed: 0, Final: 2 positions, Reduced by: 1",
        "FINAL SUMMARY Initial total positions: 3, Dust positions to close: 1, Cap excess to close: 0, "
        "Open orders to cancel: 1, Failed: 0, Final total positions: 2, Total reduced by: 1",
    ]


def test_the_summaries_are_per_owner_and_in_all() -> None:
    owners = (
        OwnerTally("platform", 8, 59, dust=45, cap_excess=6, orders_to_cancel=12, final=8),
        OwnerTally("user_123", 8, 9, cap_excess=0, skipped=1, unsellable=2, final=9),
    )
    assert summary(owners, failed={"user_123": 3}) == [
        "PLATFORM SUMMARY: Initial: 59 positions, Dust closed: 45, Cap excess closed: 6, Skipped: 0, Unsellable: 0, "
        "Open orders cancelled: 12, Failed: 0, Final: 8 positions, Reduced by: 51",
        "USER user_123 SUMMARY: Initial: 9 positions, Dust closed: 0, Cap excess closed: 0, Skipped: 1, Unsellable: 2, "
        "Open orders cancelled: 0, Failed: 3, Final: 9 positions, Reduced by: 0",
        "FINAL SUMMARY Initial total positions: 68, Dust positions closed: 45, Cap excess closed: 6, "
        "Open orders cancelled: 12, Failed: 3, Final total positions: 17, Total reduced by: 51",
    ]


@pytest.mark.parametrize(
    ("side", "price", "outcome"),
    [
        (Side.LONG, "101", "WIN"),
        (Side.LONG, "99", "LOSS"),
        (Side.LONG, "100", "LOSS"),
        (Side.SHORT, "99", "WIN"),
        (Side.SHORT, "101", "LOSS"),
        (Side.SHORT, "100", "LOSS"),
    ],
)
def test_a_close_won_or_lost_by_its_realised_price(side: Side, price: str, outcome: str) -> None:
    assert profit(close(side=side), D(price)) == outcome


def test_without_an_entry_or_a_price_the_profit_is_unknown() -> None:
    assert profit(close(entry=None), D(101)) == "UNKNOWN"
    assert profit(close(), None) == "UNKNOWN"


def test_a_filled_close_is_confirmed_with_what_it_made() -> None:
    row = result(close(), ladder(outcome=Outcome.CLOSED, fills=Fills(D(2), D(204), Tier.MARKET_GTC)))
    assert (row.key, row.kind, row.outcome, row.order_id, row.tier) == (SHIB, "close", "closed", None, "market_gtc")
    assert (row.filled, row.average_price, row.residual) == (2, 102, 0)
    assert (row.profit_status, row.profit, row.error) == ("CONFIRMED", "WIN", None)
    assert ended(close(), row) == [
        "[DUST][FORCED] SHIB-USD PROFIT_STATUS = PENDING → CONFIRMED",
        "[DUST][FORCED] SHIB-USD OUTCOME = WIN",
        "[DUST][FORCED] SHIB-USD CLOSED SUCCESSFULLY (market_gtc)",
    ]


def test_a_position_that_was_gone_already_is_confirmed_too_so_none_stays_pending() -> None:
    row = result(close(), ladder(outcome=Outcome.CLOSED))
    assert (row.profit_status, row.profit, row.residual, row.tier) == ("CONFIRMED", "UNKNOWN", 0, None)
    assert ended(close(), row)[1:] == [
        "[DUST][FORCED] SHIB-USD OUTCOME = UNKNOWN",
        "[DUST][FORCED] SHIB-USD CLOSED SUCCESSFULLY (it was gone already)",
    ]


def test_a_rest_below_the_minimum_is_told_apart_from_success() -> None:
    left = ladder(
        outcome=Outcome.CLOSED_RESIDUAL,
        fills=Fills(D("1.9"), D(171)),
        last_read=LastRead(position("SHIB-USD", "0.10")),
        error="0.1 left",
    )
    row = result(close(), left)
    assert (row.outcome, row.residual, row.profit) == ("closed_residual", D("0.1"), "LOSS")
    assert ended(close(), row)[-1] == "[DUST][FORCED] SHIB-USD CLOSED, 0.1 remain: 0.1 left"


def test_a_partial_close_confirms_what_it_filled_and_says_what_stopped_it() -> None:
    row = result(
        close(),
        ladder(
            outcome=Outcome.PARTIAL,
            fills=Fills(D(1), D(90)),
            last_read=LastRead(position("SHIB-USD")),
            error="out of time",
        ),
    )
    assert (row.outcome, row.residual, row.profit_status, row.profit) == ("partial", 1, "CONFIRMED", "LOSS")
    assert ended(close(), row)[-1] == "[DUST][FORCED] SHIB-USD PARTIAL: out of time"


def test_a_close_that_filled_nothing_confirms_nothing() -> None:
    row = result(close(), ladder(outcome=Outcome.STUCK, error="HELD by an order"))
    assert (row.residual, row.profit_status, row.profit) == (None, None, None)
    assert ended(close(), row) == ["[DUST][FORCED] SHIB-USD STUCK: HELD by an order"]


def test_a_ladder_without_an_end_counts_as_stuck() -> None:
    assert result(close(), ladder()).outcome == "stuck"


def test_a_cancelled_order_has_its_id_and_no_profit() -> None:
    row = result(cancel(), ladder(cancel(), outcome=Outcome.CANCELLED))
    assert (row.kind, row.order_id, row.residual, row.profit_status) == ("cancel_order", "o1", None, None)
    assert ended(cancel(), row) == []


def test_every_order_of_a_close_has_a_row_that_says_whether_it_went() -> None:
    action = close(cancels=(order("o1", "SHIB-USD"), order("o2", "SHIB-USD")))
    state = ladder(
        action,
        outcome=Outcome.STUCK,
        error="o2 could not be cancelled",
        cancels=Cancels(action.cancels, asked_at=1.0),
        last_read=LastRead(open_orders=frozenset({"o2"})),
    )
    rows = [(r.order_id, r.kind, r.outcome, r.error) for r in cancel_results(action, state)]
    assert rows == [
        ("o1", "cancel_order", "cancelled", None),
        ("o2", "cancel_order", "stuck", "o2 could not be cancelled"),
    ]
    assert cancel_results(cancel(), state) == []


def test_what_is_left_has_the_last_thing_that_the_venue_said() -> None:
    said = ("market_ioc 1: too many decimals", "limit_aggressive 2: an operator's number is required")
    stuck = ladder(outcome=Outcome.STUCK, error="every tier was tried", answers=said)
    assert result(close(), stuck).error == f"every tier was tried; last answer: {said[1]}"
    action = close(cancels=(order("o1", "SHIB-USD"),))
    kept = ladder(action, outcome=Outcome.STUCK, error="order o1 could not be cancelled", answers=said[:1])
    assert [r.error for r in cancel_results(action, kept)] == [
        f"order o1 could not be cancelled; last answer: {said[0]}"
    ]
    assert result(close(), ladder(outcome=Outcome.CLOSED_RESIDUAL, error="below", answers=said)).error == "below"
    unread = ladder(outcome=Outcome.STUCK, error="no route", answers=("market_ioc 1: no route",))
    assert result(close(), unread).error == "no route"


def test_what_was_not_begun_has_a_row_with_the_reason() -> None:
    row = not_done(cancel(), Outcome.REFUSED, "account is frozen")
    assert (row.kind, row.order_id, row.outcome, row.error) == ("cancel_order", "o1", "refused", "account is frozen")
    assert not_done(close(order=order()), Outcome.CHANGED, "grew").order_id is None


PLATFORM_SHIB = PositionKey(PLATFORM, "SHIB-USD")


def test_the_tallies_say_what_was_done_not_what_was_planned() -> None:
    with_order = close(cancels=(order("o1", "SHIB-USD"),))
    actions = (
        cancel(),
        with_order,
        close(ATOM, Reason.CAP_EXCEEDED, CAP_TEXT),
        cancel(ATOM, Reason.FLATTEN, "lone"),
        close(PLATFORM_SHIB),
        cancel(PLATFORM_SHIB, Reason.FLATTEN, "lone"),
    )
    owners = (
        OwnerTally("platform", 8, 5, dust=1, final=4),
        OwnerTally("user_123", 8, 9, dust=1, cap_excess=1, final=7),
    )
    results = [
        ResultRow(SHIB, "close", "closed"),
        ResultRow(SHIB, "cancel_order", "cancelled", order_id="o1"),
        ResultRow(ATOM, "close", "stuck"),
        ResultRow(ATOM, "cancel_order", "stuck", order_id="lone"),
        ResultRow(PLATFORM_SHIB, "close", "closed_residual"),
        ResultRow(PLATFORM_SHIB, "cancel_order", "cancelled", order_id="lone"),
    ]
    platform, user = owner_tallies(Plan("p1", "cleanup", NOW, actions, owners), iter(results), {"user_123": 8})
    assert (platform.dust, platform.cap_excess, platform.orders_to_cancel, platform.final) == (1, 0, 1, 4)
    assert (user.dust, user.cap_excess, user.orders_to_cancel, user.final) == (1, 0, 1, 8)


def test_orders_that_a_stuck_close_cancelled_were_cancelled() -> None:
    plan = Plan("p1", "cleanup", NOW, (close(cancels=(order("o1", "SHIB-USD"),)),), (OwnerTally("user_123", 8, 9),))
    results = [ResultRow(SHIB, "close", "stuck"), ResultRow(SHIB, "cancel_order", "cancelled", order_id="o1")]
    (tally,) = owner_tallies(plan, results, {})
    assert (tally.dust, tally.orders_to_cancel, tally.final) == (0, 1, 9)


def test_an_order_that_stayed_when_its_position_was_gone_closes_nothing() -> None:
    plan = Plan("p1", "cleanup", NOW, (close(),), (OwnerTally("user_123", 8, 9),))
    results = [ResultRow(SHIB, "close", "stuck"), ResultRow(SHIB, "cancel_order", "closed", order_id="o1")]
    (tally,) = owner_tallies(plan, results, {})
    assert (tally.dust, tally.final) == (0, 9)


@pytest.mark.parametrize("outcome", ["stuck", "partial"])
@pytest.mark.parametrize(("held", "left"), [((), "0"), (("5",), "5")])
def test_what_the_final_read_shows_is_what_a_stuck_close_left(outcome: str, held: tuple[str, ...], left: str) -> None:
    row = ResultRow(SHIB, "close", outcome, residual=D(20))
    read = Holdings(COINBASE, 1.0, 2.0, positions=tuple(position("SHIB-USD", q, account=COINBASE) for q in held))
    assert as_finally_read(row, read).residual == D(left)
    assert as_finally_read(row, read).outcome == outcome


def test_a_final_read_without_a_readable_row_says_nothing_of_what_is_left() -> None:
    row = ResultRow(SHIB, "close", "stuck", residual=D(20))
    read = Holdings(COINBASE, 1.0, 2.0)
    assert as_finally_read(row, structs.replace(read, unread=("SHIB-USD",))) == row
    assert as_finally_read(row, None) == row
    closed = ResultRow(SHIB, "close", "closed", residual=D(0))
    assert as_finally_read(closed, read) == closed

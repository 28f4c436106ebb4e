"""The actions of one owner's cleanup: what goes, what is skipped and why, and what that leaves."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import structs

from core.model import InstrumentKey
from core.plans.cancel_policy import OrderPolicy, parse_cancel_if
from core.plans.cleanup import OwnerPlan, plan_owner
from core.plans.plan import Action, ActionKind, Reason
from core.portfolio.holding import Holding
from tests.support.books import COINBASE, KRAKEN, OURS, TIERS, D, holding, instrument, order

NEVER = OrderPolicy("never")
CLOSING = (Reason.CLOSING, "a close of it is already in flight")
FROZEN = (Reason.FROZEN, "account is frozen: order nobody sent")


def planned(
    *holdings: Holding,
    dust: str = "1.00",
    cap: int = 8,
    policy: OrderPolicy = NEVER,
    blocked: Mapping[str | InstrumentKey, tuple[Reason, str]] | None = None,
    complete: bool = True,
) -> OwnerPlan:
    tiers = {COINBASE: TIERS, KRAKEN: TIERS[:1]}
    return plan_owner(
        "user_123",
        holdings,
        dust_usd=D(dust),
        cap=cap,
        policy=policy,
        tiers=tiers,
        blocked=dict(blocked or {}),
        complete=complete,
    )


def lines(made: OwnerPlan) -> list[tuple[str, str, str]]:
    return [(a.kind.value, a.reason.value, a.key.symbol) for a in made.actions]


def closed(made: OwnerPlan) -> list[str]:
    return [a.key.symbol for a in made.actions if a.kind is ActionKind.CLOSE]


def only(made: OwnerPlan) -> Action:
    (action,) = made.actions
    return action


def nine(**orders_of: tuple[str, ...]) -> list[Holding]:
    """S1 to S9, worth 1 to 9 dollars, with open orders by symbol."""
    return [
        holding(f"S{n}", str(n), orders=tuple(order(o, f"S{n}") for o in orders_of.get(f"S{n}", ())))
        for n in range(1, 10)
    ]


def test_fifty_nine_positions_become_eight_by_45_dust_and_6_over_the_cap() -> None:
    dust = [holding(f"DUST{n:02}", f"0.{n:02}") for n in range(1, 46)]
    real = [holding(f"REAL{n:02}", str(n)) for n in range(1, 15)]
    made = planned(*real, *dust)
    assert closed(made)[45:] == [f"REAL{n:02}" for n in range(1, 7)]
    assert {a.text for a in made.actions[45:]} == {"Position cap exceeded (14/8)"}
    assert [a.rank for a in made.actions[45:]] == [14, 13, 12, 11, 10, 9]
    tally = made.tally
    assert (tally.initial, tally.dust, tally.cap_excess, tally.final, tally.cap) == (59, 45, 6, 8, 8)
    assert (tally.skipped, tally.unsellable, tally.orders_to_cancel, tally.complete) == (0, 0, 0, True)


def test_the_cap_is_the_owner_s_over_all_accounts_and_exactly_the_smallest_goes() -> None:
    coinbase = [holding(f"C{n}", str(10 + n), account=COINBASE) for n in range(5)]
    kraken = [holding(f"K{n}", str(5 + 10 * n), account=KRAKEN) for n in range(4)]
    action = only(planned(*coinbase, *kraken))
    assert (action.key.symbol, action.key.account, action.text) == ("K0", KRAKEN, "Position cap exceeded (9/8)")
    assert action.tiers == TIERS[:1]  # its own account's


def test_a_lower_cap_and_a_higher_threshold_close_more() -> None:
    made = planned(*nine(), dust="2.00", cap=5)
    assert closed(made) == ["S1", "S2", "S3", "S4"]
    assert [a.reason for a in made.actions] == [Reason.DUST, *[Reason.CAP_EXCEEDED] * 3]
    assert made.actions[1].text == "Position cap exceeded (8/5)"
    assert made.tally.final == 5


def test_a_close_says_what_is_held_and_what_it_may_cost() -> None:
    action = only(planned(holding("S1", "0.5", pnl="-0.1", quantity="7", spread="0.002")))
    assert (action.owner, action.quantity, action.usd_value, action.pnl) == ("user_123", 7, D("0.5"), D("-0.1"))
    assert (action.entry, action.cost, action.tiers) == (100, D("0.001"), TIERS)
    taken = structs.replace(holding("S1", "0.5", spread="0.002"), fee_rate=D("0.006"))
    assert only(planned(taken)).cost == D("0.004")  # half the spread, and the venue's fee
    assert only(planned(holding("S1", "0.5"))).cost is None


@pytest.mark.parametrize("policy", [NEVER, OrderPolicy("startup", None, first_run=False)])
def test_a_position_with_open_orders_is_skipped_and_no_bigger_one_takes_its_place(policy: OrderPolicy) -> None:
    made = planned(*nine(S1=("o1", "o2")), policy=policy)
    action = only(made)
    assert (action.kind, action.reason, action.rank) == (ActionKind.SKIP, Reason.OPEN_ORDERS, 9)
    assert action.text == "Position cap exceeded (9/8); skipped: 2 open order(s) are kept"
    assert (made.tally.skipped, made.tally.final, made.tally.cap) == (1, 9, 8)  # one over the cap


def test_skipped_dust_stays_too() -> None:
    made = planned(holding("S1", "0.5", orders=(order(),)))
    assert lines(made) == [("skip", "open_orders", "S1")]
    assert made.tally.final == 1


@pytest.mark.parametrize(
    "policy",
    [
        OrderPolicy("always", None, first_run=False),
        OrderPolicy("startup"),
        OrderPolicy("matching", parse_cancel_if("usd_value<0.1,rank>max_positions")),
    ],
)
def test_orders_are_cancelled_inside_the_close_where_the_mode_says_so(policy: OrderPolicy) -> None:
    made = planned(*nine(S1=("o1", "o2"), S9=("kept",)), policy=policy)
    expected = [("cancel_order", "cap_exceeded", "S1")] * 2 + [("close", "cap_exceeded", "S1")]
    assert lines(made) == expected
    *cancels, close = made.actions
    assert [a.order.id for a in cancels if a.order] == ["o1", "o2"]
    assert close.orders_shown == ("o1", "o2")
    assert [o.id for o in close.cancels] == ["o1", "o2"]
    assert (made.tally.orders_to_cancel, made.tally.final) == (2, 8)


def test_matching_cancels_only_where_a_condition_holds() -> None:
    policy = OrderPolicy("matching", parse_cancel_if("usd_value<1.0"))
    tiny = holding("TINY", "0.5", orders=(order("o0", "TINY"),))
    made = planned(tiny, *nine(S1=("o1",)), policy=policy)
    assert lines(made) == [("cancel_order", "dust", "TINY"), ("close", "dust", "TINY"), ("skip", "open_orders", "S1")]


def test_a_cancel_line_has_what_remains_of_the_order() -> None:
    held = holding("S1", "0.5", orders=(order("o1", "S1", quantity="3", filled="1"),))
    cancel = planned(held, policy=OrderPolicy("always")).actions[0]
    assert (cancel.kind, cancel.quantity, cancel.rank) == (ActionKind.CANCEL_ORDER, 2, None)


def test_our_own_protective_orders_never_hold_a_close_up_and_are_cancelled_with_it() -> None:
    made = planned(holding("S1", "0.5", ours=(order("stop", "S1", client_id=OURS),)))
    assert lines(made) == [("cancel_order", "dust", "S1"), ("close", "dust", "S1")]
    assert made.actions[-1].orders_shown == ("stop",)


def test_unsellable_and_unpriced_positions_are_shown_last_and_never_sent() -> None:
    rest = holding("REST", "0.2", rules=instrument("REST", tradable=False, way_out="convert it"))
    made = planned(rest, holding("WHO", None), holding("DUST", "0.5"), *nine(), policy=OrderPolicy("always"))
    assert lines(made) == [
        ("close", "dust", "DUST"),
        ("close", "cap_exceeded", "S1"),
        ("skip", "unsellable", "REST"),
        ("skip", "no_price", "WHO"),
    ]
    assert [a.text for a in made.actions[2:]] == [
        "not tradable at the venue; way out: convert it",
        "Value unknown: no price",
    ]
    tally = made.tally
    assert (tally.initial, tally.skipped, tally.unsellable, tally.final) == (12, 1, 1, 10)


@pytest.mark.parametrize(
    ("blocked", "reason"),
    [
        ({InstrumentKey(COINBASE, "S1"): CLOSING}, Reason.CLOSING),
        ({COINBASE: FROZEN}, Reason.FROZEN),
        ({COINBASE: FROZEN, InstrumentKey(COINBASE, "S1"): CLOSING}, Reason.CLOSING),
    ],
)
def test_what_is_closing_or_frozen_is_left_alone_with_the_reason(
    blocked: dict[str | InstrumentKey, tuple[Reason, str]], reason: Reason
) -> None:
    made = planned(*nine(), blocked=blocked)
    action = only(made)
    assert (action.kind, action.reason, action.key.symbol) == (ActionKind.SKIP, reason, "S1")
    assert action.text == blocked.get(InstrumentKey(COINBASE, "S1"), FROZEN)[1]


def test_a_block_of_another_symbol_or_account_changes_nothing() -> None:
    assert closed(planned(*nine(), blocked={InstrumentKey(COINBASE, "S2"): CLOSING, KRAKEN: FROZEN})) == ["S1"]


def test_positions_that_may_stay_are_not_mentioned() -> None:
    made = planned(*nine()[1:])
    assert made.actions == ()
    assert (made.tally.initial, made.tally.final) == (8, 8)


def test_the_tally_has_the_value_before_and_after_and_neither_when_one_is_unknown() -> None:
    known = planned(*nine()).tally
    assert (known.value_before, known.value_after) == (45, 44)
    unknown = planned(*nine(), holding("WHO", None)).tally
    assert (unknown.value_before, unknown.value_after) == (None, None)


def test_an_owner_without_positions_has_an_empty_plan() -> None:
    made = planned(complete=False)
    assert made.actions == ()
    assert (made.tally.initial, made.tally.final, made.tally.complete) == (0, 0, False)

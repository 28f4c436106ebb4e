"""What a confirmation binds, and who may approve."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec import structs

from core.ids import client_order_id
from core.model import Leg, OrderType, PositionKey, Side, Tier
from core.plans.plan import (
    SHOWN_FOR,
    Action,
    ActionKind,
    ApprovedPlan,
    NotApproved,
    OwnerTally,
    Plan,
    Reason,
    by_rule,
    confirm,
    reopened,
)
from tests.support.books import COINBASE, KRAKEN, NOW, TIERS, D, order

KEY = PositionKey(COINBASE, "BTC-USD")


def close(**changes: object) -> Action:
    shown = Action(
        ActionKind.CLOSE,
        Reason.DUST,
        "Dust position ($0.43 < $1.00)",
        "user_123",
        KEY,
        side=Side.LONG,
        quantity=D("0.5"),
        usd_value=D("0.43"),
        cancels=(order("o1"),),
        orders_shown=("o1",),
        tiers=TIERS,
    )
    return structs.replace(shown, **changes)


def cancel(id_: str = "o1", key: PositionKey = KEY, quantity: str = "1") -> Action:
    return Action(
        ActionKind.CANCEL_ORDER,
        Reason.DUST,
        "",
        "user_123",
        key,
        quantity=D(quantity),
        order=order(id_, account=key.account),
    )


def skip(**changes: object) -> Action:
    return structs.replace(close(), kind=ActionKind.SKIP, reason=Reason.NO_PRICE, **changes)


def plan(*actions: Action, cause: str = "cleanup", **changes: object) -> Plan:
    return structs.replace(Plan("p1", cause, NOW, actions, (OwnerTally("user_123", 8, len(actions)),)), **changes)


SHOWN = plan(close(), cancel())


@pytest.mark.parametrize(
    "same",
    [
        plan(close(usd_value=D("0.99"), pnl=D("-0.5"), cost=D(1), text="Dust position ($0.99 < $1.00)"), cancel()),
        plan(close(usd_value=None, entry=D(3), rank=4), cancel()),
        plan(close(quantity=D("0.500")), cancel(quantity="1.0")),
        plan(cancel(), close()),
        plan(close(), cancel(), skip()),
        structs.replace(SHOWN, id="p2", created_at=NOW + timedelta(hours=1), unreadable={KRAKEN: "down"}, owners=()),
    ],
    ids=["value", "unknown", "zeros", "order", "skips", "id"],
)
def test_what_merely_moves_leaves_the_digest_alone(same: Plan) -> None:
    assert same.digest == SHOWN.digest


def test_our_own_protective_order_may_be_moved_between_the_look_and_the_yes() -> None:
    name = client_order_id("ab12", "protect", KEY, 0, "protect", 0)

    def moved(id_: str, **more: object) -> Plan:
        own = structs.replace(order(id_), **{"type": OrderType.STOP, "client_id": name, **more})
        line = structs.replace(cancel(id_), order=own)
        return plan(close(cancels=(order("o1"), own), orders_shown=("o1", id_)), cancel(), line)

    none = plan(close(cancels=(order("o1"),)), cancel())
    assert moved("s1").digest == moved("s2").digest == none.digest
    assert moved("s1", client_id=None).digest != moved("s2", client_id=None).digest
    assert moved("s1", type=OrderType.LIMIT).digest != moved("s2", type=OrderType.LIMIT).digest
    alone = [
        structs.replace(cancel(n), order=structs.replace(order(n), type=OrderType.STOP, client_id=name)) for n in "ab"
    ]
    assert plan(alone[0]).digest != plan(alone[1]).digest  # one that goes by itself is what is confirmed


@pytest.mark.parametrize(
    "other",
    [
        plan(close(quantity=D("0.6")), cancel()),
        plan(close(side=Side.SHORT), cancel()),
        plan(close(key=PositionKey(KRAKEN, "BTC-USD")), cancel()),
        plan(close(key=PositionKey(COINBASE, "ETH-USD")), cancel()),
        plan(close(key=PositionKey(COINBASE, "BTC-USD", Leg.LONG)), cancel()),
        plan(close(cancels=()), cancel()),
        plan(close(cancels=(order("o2"),)), cancel()),
        plan(close(cancels=(order("o1"), order("o2"))), cancel()),
        plan(close(tiers=(*TIERS, Tier.VENUE_CLOSE)), cancel()),
        plan(close(tiers=TIERS[::-1]), cancel()),
        plan(close(reason=Reason.CAP_EXCEEDED), cancel()),
        plan(close(), cancel(), cause="flatten"),
        plan(close()),
        plan(close(), cancel("o2")),
        plan(close(), cancel(quantity="0.5")),
        plan(close(), close(), cancel()),
        plan(skip(), cancel()),
        plan(),
    ],
)
def test_what_is_binding_changes_the_digest(other: Plan) -> None:
    assert other.digest != SHOWN.digest


def test_the_orders_of_a_close_are_bound_in_any_order() -> None:
    one, two = order("o1"), order("o2")
    assert plan(close(cancels=(one, two))).digest == plan(close(cancels=(two, one))).digest


def test_a_person_confirms_exactly_what_was_shown() -> None:
    approved = confirm(SHOWN, SHOWN.digest, NOW + timedelta(seconds=3))
    assert (approved.plan, approved.by, approved.approved_at) == (SHOWN, "person", NOW + timedelta(seconds=3))


def test_a_plan_that_changed_since_it_was_shown_is_not_approved() -> None:
    with pytest.raises(NotApproved, match="changed since it was shown") as caught:
        confirm(plan(close(quantity=D("0.6")), cancel()), SHOWN.digest, NOW)
    assert caught.value.code == "changed"


def test_a_plan_expires() -> None:
    assert confirm(SHOWN, SHOWN.digest, NOW + SHOWN_FOR)
    with pytest.raises(NotApproved, match="too long ago") as caught:
        confirm(SHOWN, SHOWN.digest, NOW + SHOWN_FOR + timedelta(milliseconds=1))
    assert caught.value.code == "expired"


def test_a_rule_approves_only_where_it_is_armed() -> None:
    approved = by_rule(SHOWN, "cleanup", armed=True, now=NOW)
    assert (approved.plan, approved.by, approved.approved_at) == (SHOWN, "rule:cleanup", NOW)
    with pytest.raises(NotApproved, match="automation of cleanup is not armed") as caught:
        by_rule(SHOWN, "cleanup", armed=False, now=NOW)
    assert caught.value.code == "not_armed"


def test_an_approval_out_of_the_journal_is_taken_up_as_it_was() -> None:
    approved = reopened(SHOWN, "rule:exits", NOW)
    assert (approved.plan, approved.by, approved.approved_at) == (SHOWN, "rule:exits", NOW)


def test_an_approval_cannot_be_made_by_hand_or_altered() -> None:
    with pytest.raises(NotApproved, match="not by hand"):
        ApprovedPlan(SHOWN, "person", NOW, seal=object())
    with pytest.raises(TypeError):
        ApprovedPlan(SHOWN, "person", NOW)  # type: ignore[call-arg]  # that is the point
    with pytest.raises(AttributeError):
        confirm(SHOWN, SHOWN.digest, NOW).more = 1  # type: ignore[attr-defined]  # that is the point


def test_a_lone_cancel_is_one_that_no_close_takes_along() -> None:
    elsewhere = cancel("o1", PositionKey(KRAKEN, "BTC-USD"))  # the same id at another account
    made = plan(close(), cancel("o1"), cancel("o2"), elsewhere, skip())
    assert made.lone_cancels == (cancel("o2"), elsewhere)
    assert made.closes == (close(),)


@pytest.mark.parametrize(
    ("actions", "empty"), [((), True), ((skip(), skip()), True), ((skip(), cancel()), False), ((close(),), False)]
)
def test_a_plan_that_would_send_nothing_is_empty(actions: tuple[Action, ...], *, empty: bool) -> None:
    assert plan(*actions).empty is empty


def test_the_totals_are_the_owners_added_up() -> None:
    one = OwnerTally("platform", 8, 59, 45, 6, 1, 2, 3, 8)
    two = OwnerTally("user_123", 5, 9, 0, 1, 0, 0, 1, 8)
    made = plan(owners=(one, two))
    assert made.totals == OwnerTally("", 13, 68, 45, 7, 1, 2, 4, 16)
    assert plan(owners=()).totals == OwnerTally("", 0, 0)


def test_a_plan_without_an_account_is_partial() -> None:
    made = plan(unreadable={KRAKEN: "connection refused"})
    assert (made.complete, made.totals.complete) == (False, False)
    assert SHOWN.complete


def test_an_action_binds_what_is_sent_in_plain_numbers() -> None:
    assert close(quantity=Decimal("5E-1")).binding() == close().binding()
    assert "|long|0.5|o1|market_ioc,market_gtc" in close().binding()

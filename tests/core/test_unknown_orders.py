"""Open orders that are not known: closes leave where that is safe, and no missing order is taken for none."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.errors import OutcomeUnknown
from core.events import HoldingsRead, OrderSeen
from core.ladder.states import DoRestore, DoSend, DoWait
from core.model import Kind, OrderStatus, OrderType
from core.orders.account_reader import AccountReader
from core.orders.lookup import find_sent_order
from core.plans import legacy
from core.plans.plan import ActionKind, Reason
from core.plans.request import PlanRequest
from core.ports import OrderQuery
from core.settings import Settings
from tests.core.orders.test_lookup import SENT, Venue
from tests.support import books
from tests.support.builders import (
    close_action,
    done,
    fill,
    instrument,
    limits,
    order,
    position,
    spot,
    stop,
)
from tests.support.climbing import Climb
from tests.support.virtual_time import DAWN, VirtualClock, virtual

FLAW = "Alpaca answered 500 (GET /v2/orders)"
UNKNOWN = {"orders_flaw": FLAW}

# ------------------------------------------------------------------------------------------------------- the ladder


def test_a_reduce_only_close_leaves_though_the_open_orders_are_not_known():
    climb = Climb()
    climb.see(position(), **UNKNOWN)
    assert climb.request.quantity == 2
    assert climb.ladder.under_way.known is None


@pytest.mark.parametrize("rules", [spot(), instrument(kind=Kind.EQUITY, reduce_only=False)])
def test_where_nothing_is_reduce_only_a_close_has_the_free_quantity(rules):
    climb = Climb()
    climb.see(position("2", free="1.5"), instrument=rules, **UNKNOWN)
    climb.expect(DoWait)
    climb.waited(10.0)
    climb.see(position("2", free="1.5"), instrument=rules, **UNKNOWN)
    assert str(climb.request.quantity) == "1.5"


def test_a_contract_without_reduce_only_waits_for_its_open_orders_and_says_why():
    climb = Climb(bounds=limits(total_timeout=20.0))
    rules = instrument(reduce_only=False)
    climb.see(position(), instrument=rules, **UNKNOWN)
    climb.expect(DoWait)
    climb.waited(30.0)
    climb.see(position(), instrument=rules, **UNKNOWN)
    assert climb.end == ("stuck", True)
    assert FLAW in (climb.ladder.error or "")
    assert climb.requests == []


def test_a_contract_without_reduce_only_is_closed_as_soon_as_its_orders_are_known():
    climb = Climb()
    rules = instrument(reduce_only=False)
    climb.see(position(), instrument=rules, **UNKNOWN)
    climb.waited()
    climb.see(position(), instrument=rules)
    climb.expect(DoSend)


def test_a_list_that_failed_does_not_prove_that_a_cancelled_order_is_gone():
    climb = Climb(close_action(cancels=(stop(),)), bounds=limits(total_timeout=20.0))
    climb.cancelled(s1="")
    for _ in range(3):
        climb.see(position(), unsure=frozenset({"s1"}), **UNKNOWN)
        climb.expect(DoWait)
        climb.waited()
    climb.now += 30.0
    climb.see(position(), unsure=frozenset({"s1"}), **UNKNOWN)
    assert climb.end == ("stuck", True)  # the stop may rest: it is not placed a second time
    assert "order s1" in (climb.ladder.error or "")


def test_the_venue_s_own_word_proves_that_a_cancelled_order_is_gone():
    climb = Climb(close_action(cancels=(stop(),)))
    climb.cancelled(s1="")
    ended = structs.replace(stop(), status=OrderStatus.CANCELLED)
    climb.see(position(), ended=(ended,), **UNKNOWN)
    climb.expect(DoSend)


def test_a_stop_that_is_proven_gone_is_put_back_though_the_list_failed():
    climb = Climb(close_action(cancels=(stop(),)))
    climb.cancelled(s1="")
    ended = structs.replace(stop(), status=OrderStatus.CANCELLED)
    climb.see(structs.replace(position(), quantity=position("9").quantity), ended=(ended,), **UNKNOWN)
    climb.expect(DoRestore)


# --------------------------------------------------------------------------------------------------- lost answers


async def look(venue, flaw="", **more):
    venue.answers["holdings"] = [structs.replace(venue.answers["holdings"][0], orders_flaw=flaw)]
    do = OrderQuery(SENT, **{"known": None, "order_id": None, "nameless": False, "seconds": 0.0, **more})
    return await find_sent_order(venue, AccountReader(venue, VirtualClock(), lambda _: None), do, DAWN, 7.0)


@virtual
async def test_an_order_is_not_denied_while_the_open_orders_are_not_known():
    with pytest.raises(OutcomeUnknown, match="500"):
        await look(Venue(), FLAW)
    named = done("v1", "2", "2", client_id="fdours")
    assert (await look(Venue(named), FLAW)).order == named


@virtual
async def test_an_order_without_a_name_is_not_ours_when_the_orders_before_it_were_not_known():
    theirs = order("w1", client_id=None, type=OrderType.MARKET)
    told = await look(Venue(open_=[theirs]), nameless=True)
    assert (told.order, told.unattributed) == (None, None)
    told = await look(Venue(open_=[theirs]), nameless=True, known=frozenset())
    assert told.order == theirs


@virtual
async def test_fills_of_an_unknown_order_are_not_taken_for_nothing():
    mine = done("v1", "2", "2", client_id=None)
    told = await look(Venue(mine, fills=[fill("2", "v1")]), nameless=True)
    assert (told.order, told.unattributed) == (None, None)


# ------------------------------------------------------------------------------------------------ the book and plans


def flawed(*positions, orders=(), asked=5.0):
    known = books.reading(books.COINBASE, *positions, orders=orders, asked=asked)
    return HoldingsRead(structs.replace(known.holdings, orders_flaw=FLAW, unlisted=("open orders",)))


def test_an_order_that_a_failed_list_lacks_stays_known_until_its_end_is_seen():
    held, resting = books.position(), books.order("o1")
    book = books.told(books.a_book(books.COINBASE), books.reading(books.COINBASE, held, orders=(resting,)))
    books.told(book, flawed(held))
    assert [o.id for o in book.orders(books.COINBASE)] == ["o1"]
    books.told(book, OrderSeen(structs.replace(resting, status=OrderStatus.CANCELLED)), flawed(held, orders=(resting,)))
    assert book.orders(books.COINBASE) == []
    books.told(book, books.reading(books.COINBASE, held, asked=9.0))
    assert book.accounts[books.COINBASE].unread == ""


def dusty():
    book = books.stocked(books.a_book(books.COINBASE), books.COINBASE, {"BTC-USD": "0.50"})
    return books.told(book, flawed(books.position()))


@pytest.mark.parametrize("mode", ["never", "startup", "always"])
def test_a_cleanup_skips_a_position_whose_orders_are_not_known(mode):
    request = PlanRequest("cleanup", cancel_open_orders=mode)
    plan = books.plan_of(dusty(), books.settings_of(books.COINBASE), request)
    assert [(a.kind, a.reason) for a in plan.actions] == [(ActionKind.SKIP, Reason.OPEN_ORDERS)]
    assert FLAW in plan.actions[0].text


def test_a_flatten_closes_it_and_says_that_orders_are_not_known():
    plan = books.plan_of(dusty(), books.settings_of(books.COINBASE), PlanRequest("flatten", everything=True))
    [close] = plan.actions
    assert (close.kind, close.orders_flaw) == (ActionKind.CLOSE, FLAW)
    assert close.text == "Flatten; its open orders are not known"
    assert not plan.complete


def test_a_legacy_position_s_risk_is_unknown_while_its_stop_may_rest():
    holding = structs.replace(books.holding(), orders_flaw=FLAW)
    [action] = legacy.make_actions([holding], Settings(), equity={}, tiers={books.COINBASE: ()}, blocked={})
    assert f"risk unknown (open orders unknown: {FLAW})" in action.text


def test_an_account_whose_orders_are_not_known_says_so_where_entries_are_judged():
    assert dusty().accounts[books.COINBASE].unread == f"its open orders are not known: {FLAW}"

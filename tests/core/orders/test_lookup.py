"""What became of an order whose answer never came: by client id, by order id, by open orders, fills and position."""

from __future__ import annotations

import pytest
from msgspec import structs

from core.errors import Unreachable
from core.model import Leg, OrderRequest, OrderSide, OrderType
from core.orders.account_reader import AccountReader
from core.orders.lookup import find_sent_order
from core.ports import OrderQuery, OrderRead
from tests.support.builders import ACCOUNT, SYMBOL, D, done, fill, holdings, order, position
from tests.support.fake_broker import FakeBroker
from tests.support.virtual_time import DAWN, VirtualClock, virtual

SENT = OrderRequest(ACCOUNT, SYMBOL, OrderSide.SELL, D(2), "fdours")


class Venue(FakeBroker):
    """Finds the orders that it was given, by either id."""

    def __init__(self, *known, open_=(), fills=()):
        super().__init__(holdings=[holdings(position(), orders=tuple(open_))], fills=[list(fills)])
        self.known = [*known, *open_]

    async def find_order(self, symbol, *, client_id=None, order_id=None):
        self.asked.append(("find_order", client_id or order_id))
        return next((o for o in self.known if client_id is not None and o.client_id == client_id), None) or next(
            (o for o in self.known if order_id is not None and o.id == order_id), None
        )


async def look(venue: Venue, *, known: frozenset[str] = frozenset(), order_id=None, nameless=False) -> OrderRead:
    do = OrderQuery(SENT, known, order_id, nameless, 0.0)
    return await find_sent_order(venue, AccountReader(venue, VirtualClock(), lambda _: None), do, DAWN, 7.0)


@virtual
async def test_an_order_is_found_by_its_client_id():
    ours = done("v1", "2", "2", client_id="fdours")
    assert await look(Venue(ours)) == OrderRead(ours, 7.0)


@virtual
async def test_an_order_whose_id_is_known_is_asked_for_by_that_first():
    ours = done("v1", "2", "2")
    venue = Venue(ours)
    assert (await look(venue, order_id="v1")).order == ours
    assert venue.asked == [("find_order", "v1")]


@virtual
async def test_an_order_that_the_look_up_denies_is_found_among_the_open_ones():
    ours = order("v1", client_id="fdours")
    venue = Venue(open_=[ours])
    venue.known.clear()
    assert (await look(venue)).order == ours


@virtual
async def test_nothing_anywhere_is_not_found_with_nothing_unattributed():
    assert await look(Venue()) == OrderRead(None, 7.0, D(0))


@virtual
async def test_a_fill_of_a_new_order_leads_to_that_order():
    ours = done("v1", "2", "2", client_id=None)
    venue = Venue(ours, fills=[fill("2", "v1")])
    assert (await look(venue, nameless=True)).order == ours


@virtual
async def test_an_ordinary_order_is_never_taken_for_one_without_a_client_id():
    users = done("v1", "2", "2", client_id=None)
    found = await look(Venue(users, fills=[fill("2", "v1")]), nameless=False)
    assert found.order is None
    assert found.unattributed == 0, "it is somebody's whose id is known"


@virtual
async def test_where_no_order_carries_a_name_the_only_new_order_of_that_size_is_ours():
    ours, users = done("v1", "2", "2", client_id="v1"), done("v2", "1", "1", client_id="v2")
    venue = Venue(ours, users, fills=[fill("2", "v1", "t1"), fill("1", "v2", "t2")])
    venue.able = structs.replace(venue.able, names_orders=False)
    assert (await look(venue)).order == ours


@virtual
async def test_where_no_order_carries_a_name_two_alike_are_attributed_to_nobody():
    one, other = done("v1", "2", "2", client_id=None), done("v2", "2", "2", client_id=None)
    venue = Venue(one, other, fills=[fill("2", "v1", "t1"), fill("2", "v2", "t2")])
    venue.able = structs.replace(venue.able, names_orders=False)
    found = await look(venue)
    assert (found.order, found.unattributed) == (None, D(4))


@virtual
async def test_a_limit_order_without_a_name_is_never_taken_for_a_close_call():
    users = order("v1", client_id=None, type=OrderType.LIMIT, price="120")
    assert (await look(Venue(open_=[users]), nameless=True)).order is None


@virtual
async def test_a_close_call_that_traded_on_the_other_side_of_a_flipped_position_is_found():
    ours = done("v1", "2", "2", client_id=None, side=OrderSide.BUY)
    venue = Venue(ours, fills=[fill("2", "v1", side=OrderSide.BUY)])
    assert (await look(venue, nameless=True)).order == ours


@virtual
async def test_two_new_orders_without_a_name_are_attributed_to_nobody_and_counted():
    one, other = done("v1", "1", "1"), done("v2", "1", "1")
    venue = Venue(one, other, fills=[fill("1", "v1", "t1"), fill("1", "v2", "t2")])
    found = await look(venue, nameless=True)
    assert (found.order, found.unattributed) == (None, D(2))


@virtual
async def test_orders_that_were_there_before_are_not_taken_for_ours():
    old = order("o1", client_id=None)
    venue = Venue(open_=[old], fills=[fill("1", "o1")])
    found = await look(venue, known=frozenset({"o1"}), nameless=True)
    assert (found.order, found.unattributed) == (None, D(0))


@virtual
async def test_orders_and_fills_of_the_opening_side_say_nothing():
    bought = order("v1", side=OrderSide.BUY, client_id=None)
    venue = Venue(open_=[bought], fills=[fill("1", "v1", side=OrderSide.BUY)])
    found = await look(venue, nameless=True)
    assert (found.order, found.unattributed) == (None, D(0))


@virtual
async def test_a_fill_whose_order_the_venue_does_not_show_is_left_unattributed():
    found = await look(Venue(fills=[fill("2", "v1")]))
    assert (found.order, found.unattributed) == (None, D(2))


@virtual
async def test_a_question_that_fails_is_no_answer():
    venue = Venue()
    venue.answers["fills"] = [Unreachable("no answer")]
    with pytest.raises(Unreachable):
        await look(venue)


@virtual
async def test_a_close_call_on_one_leg_is_never_given_an_order_of_the_other_leg():
    other = done("v1", "2", "2", leg=Leg.LONG)
    venue = Venue(other, fills=[fill("2", "v1", leg=Leg.LONG)])
    sent = structs.replace(SENT, side=OrderSide.BUY, leg=Leg.SHORT)
    found = await find_sent_order(
        venue,
        AccountReader(venue, VirtualClock(), lambda _: None),
        OrderQuery(sent, frozenset(), None, True, 0.0),
        DAWN,
        7.0,
    )
    assert (found.order, found.unattributed) == (None, 0)

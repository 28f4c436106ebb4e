"""Look up an order whose answer never came: by its ids, then by the open orders and the fills.

Every call of an adapter goes through ``limited``. Such a call ends in an answer, a time-out or one of our own errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from core.errors import FlatdeckError, OutcomeUnknown
from core.ids import is_ours
from core.model import Fill, Holdings, Leg, Order, OrderSide, OrderStatus, OrderType
from core.orders.account_reader import AccountReader
from core.ports import Broker, OrderQuery, OrderRead
from core.units import ZERO

CALL_TIMEOUT = 15.0  # seconds for one call; a limit above the adapter's own
SINCE_MARGIN = timedelta(seconds=2)  # a venue's clock may be this much behind ours
BESIDE = 0.5  # seconds that a finished read waits for the order queries that run beside it
T = TypeVar("T")


async def limited(call: Awaitable[T]) -> T:
    """Return the call's answer. Raises TimeoutError after CALL_TIMEOUT, or one of the errors an adapter may raise."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            return await call
    except (FlatdeckError, TimeoutError):
        raise
    except Exception as error:  # a fault in the adapter leaves the outcome of the call unknown
        raise OutcomeUnknown(f"{type(error).__name__}: {error}") from error


async def read_beside(
    broker: Broker, reader: AccountReader, orders: Sequence[Order]
) -> tuple[Holdings, tuple[Order, ...]]:
    """Return a complete read, and the states of ``orders``. Slow order queries do not delay the read."""
    asking = asyncio.ensure_future(_states(broker, orders))
    try:
        holdings = await limited(reader.read_account())
        async with asyncio.timeout(BESIDE):
            return holdings, await asking
    except TimeoutError:
        if not asking.cancelled():
            raise  # the read itself timed out
        return holdings, ()
    finally:
        asking.cancel()


async def _states(broker: Broker, orders: Sequence[Order]) -> tuple[Order, ...]:
    """Return the orders as the venue reports them. Never raises: leave out an order without a readable answer."""

    async def ask(order: Order) -> Order | None:
        return await limited(broker.find_order(order.symbol, order_id=order.id))

    answers = await asyncio.gather(*map(ask, orders), return_exceptions=True)
    return tuple(a for a in answers if isinstance(a, Order) and a.status is not OrderStatus.UNKNOWN)


async def find_sent_order(
    broker: Broker, reader: AccountReader, do: OrderQuery, since: datetime, asked: float
) -> OrderRead:
    """Return the order, or None in the ``OrderRead`` when no query finds the order. Raises when a query fails.

    A venue's own close call may carry no client id. Only after such a call, an order without a client id can count as
    ours. The order must then be the only new market order without a client id. Of several such orders, none is taken.
    At a venue that knows no client ids the same holds of the only new order of the request's quantity. Where the
    earlier orders are not known, no order without a name counts as new.
    """
    request, known = do.request, do.known or frozenset()
    for name in ({"order_id": do.order_id}, {"client_id": request.client_id}):
        if any(name.values()):
            order = await broker.find_order(request.symbol, **name)
            if order is not None:
                return OrderRead(order, asked)
    holdings = await reader.read_account()
    if holdings.orders_flaw:
        raise OutcomeUnknown(f"the open orders are not known: {holdings.orders_flaw}")
    # A nameless close call may trade on either side: the position may have flipped meanwhile.
    sides = OrderSide if do.nameless else (request.side,)
    legs = Leg if request.leg is Leg.NET else (request.leg, Leg.NET)
    fills = [f for f in await broker.fills(request.symbol, since) if f.side in sides and f.leg in legs]
    open_orders = [o for o in holdings.orders if o.symbol == request.symbol and o.side in sides and o.leg in legs]
    strangers = await _new_orders(broker, request.symbol, known, open_orders, fills)
    ours = [o for o in strangers if o.client_id == request.client_id]
    nameless = [o for o in strangers if _may_be_ours(o, do, named=broker.capabilities.names_orders)]
    alone = nameless[0] if len(nameless) == 1 and do.known is not None else None
    found = ours[0] if ours else alone
    if found is not None:
        return OrderRead(found, asked)
    if nameless and do.known is None:
        return OrderRead(None, asked, unattributed=None)
    foreign = {o.id for o in strangers if o not in nameless} | known
    return OrderRead(None, asked, unattributed=sum((f.quantity for f in fills if f.order_id not in foreign), ZERO))


def _may_be_ours(order: Order, do: OrderQuery, *, named: bool) -> bool:
    """Return whether a new order without a name of ours can be the order that ``do`` asks for."""
    if not named:  # some venues do not tell a market order from a limit order that has ended
        alike = order.type is not OrderType.STOP and order.quantity == do.request.quantity
        return alike and not is_ours(order.client_id)
    return do.nameless and order.client_id is None and order.type is OrderType.MARKET


async def _new_orders(
    broker: Broker, symbol: str, known: frozenset[str], open_orders: list[Order], fills: list[Fill]
) -> list[Order]:
    """Return the orders that are not ``known``, from the open orders and from the fills."""
    new = {o.id: o for o in open_orders if o.id not in known}
    for order_id in sorted({f.order_id for f in fills} - set(new) - known):
        order = await broker.find_order(symbol, order_id=order_id)
        if order is not None:
            new[order_id] = order
    return list(new.values())

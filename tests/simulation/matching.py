"""When and how far orders fill, and what becomes of a cancel: at once and wholly, unless a fault makes it otherwise."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from core.errors import Refusal, Refused
from core.model import Order, OrderStatus, OrderType, TimeInForce
from tests.simulation.faults import Fault, Faults
from tests.simulation.venue import Resting, Venue

At = Callable[[float, Callable[[], None]], None]
SHARES = (Decimal("0.1"), Decimal("0.4"), Decimal("0.7"), Decimal("0.95"))


class Matching:
    """``at(seconds, what)`` puts something on the agenda that many seconds from now."""

    def __init__(self, venue: Venue, faults: Faults, at: At) -> None:
        self._venue = venue
        self._faults = faults
        self._at = at

    def take(self, resting: Resting) -> None:
        """A program's order was accepted: decide its course."""
        order, faults = resting.now, self._faults
        if order.type is OrderType.STOP:
            return
        if faults.fires(Fault.REJECTED_LATER):
            self._at(faults.between(0, 1), lambda: self._venue.end(resting, OrderStatus.REJECTED, "risk check"))
            return
        if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            self._at_once(resting)
        elif faults.fires(Fault.RESTS):
            self._deafen(resting)
        elif faults.fires(Fault.SLOW_FILL):
            self._in_parts(resting)
        elif faults.fires(Fault.PARTIAL_FILL):
            self._venue.fill(resting, self._share(order))
            self._deafen(resting)
        else:
            self._venue.fill(resting, order.quantity)

    def fire(self, symbol: str) -> list[Order]:
        """Stops that came through the program, as market orders where the price has reached them; which these were."""
        price, fired = self._venue.price(symbol), list[Order]()
        for resting in self._venue.live():
            order = resting.now
            if order.type is not OrderType.STOP or order.symbol != symbol or order.filled or order.trigger is None:
                continue
            if resting.n is None or order.side.sign * (price - order.trigger) < 0:
                continue
            fired.append(order)
            if self._faults.fires(Fault.PARTIAL_FILL):
                self._in_parts(resting)
            else:
                self._venue.fill(resting, order.quantity)
        return fired

    def settle(self) -> None:
        """The quiet end: what rests of the program's closing orders is filled, what is deaf hears again."""
        for resting in self._venue.live():
            resting.deaf = False
            if resting.n is not None and resting.now.type is not OrderType.STOP:
                self._venue.fill(resting, resting.now.remaining)

    def cancel(self, order_id: str) -> None:
        """Take a cancel. Raises Refused."""
        resting = self._venue.orders.get(order_id)
        if resting is None or resting.now.status.terminal:
            raise Refused(Refusal.UNKNOWN_ORDER, "no such open order")
        faults = self._faults
        if faults.fires(Fault.CANCEL_REFUSED):
            raise Refused(Refusal.OTHER, "cancel refused")
        if resting.deaf and not faults.quiet:
            return
        if faults.fires(Fault.CANCEL_IGNORED):
            resting.deaf = True
        elif faults.fires(Fault.CANCEL_RACE):
            self._venue.fill(resting, self._share(resting.now))
            self._at(faults.between(0, 0.5), lambda: self._venue.end(resting, OrderStatus.CANCELLED))
        elif faults.fires(Fault.CANCEL_SLOW):
            self._at(faults.between(0, 6), lambda: self._venue.end(resting, OrderStatus.CANCELLED))
        else:
            self._venue.end(resting, OrderStatus.CANCELLED)

    def _at_once(self, resting: Resting) -> None:
        """Immediate-or-cancel, all or a part; fill-or-kill, all or nothing."""
        order, partly = resting.now, self._faults.fires(Fault.PARTIAL_FILL)
        if order.tif is TimeInForce.FOK:
            if not partly:
                self._venue.fill(resting, order.quantity)
        else:
            self._venue.fill(resting, self._share(order) if partly else order.quantity)
        self._venue.end(resting, OrderStatus.CANCELLED if order.tif is TimeInForce.IOC else OrderStatus.EXPIRED)

    def _in_parts(self, resting: Resting) -> None:
        """Three fills over some seconds; the last one takes what is left, or never comes."""
        faults = self._faults
        for _ in range(2):
            self._at(faults.between(0, 3), lambda: self._venue.fill(resting, self._share(resting.now)))
        self._at(faults.between(3, 9), lambda: self._venue.fill(resting, resting.now.remaining))

    def _deafen(self, resting: Resting) -> None:
        resting.deaf = self._faults.fires(Fault.CANCEL_IGNORED)

    def _share(self, order: Order) -> Decimal:
        """A part of what remains, on the step's grid; at times all, at times nothing."""
        step = self._venue.rules[order.symbol].instrument.step
        share = SHARES[int(self._faults.between(0, len(SHARES)))]
        return order.remaining * share // step * step

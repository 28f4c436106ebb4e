"""The venue's front door: who and what is let in now, and what is done with a request that is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from core.errors import Refusal, Refused
from core.model import Order, OrderRequest, OrderType, PositionKey, TimeInForce
from tests.simulation.faults import Fault, Faults
from tests.simulation.matching import Matching
from tests.simulation.venue import BIRTH, Venue

SENDS = frozenset({"submit", "submit_direct", "close_position"})


class Gate:
    """Bans, revoked credentials, closed and halted markets last for a while; they end with the quiet."""

    def __init__(self, venue: Venue, faults: Faults, matching: Matching, moment: Callable[[], float]) -> None:
        self.venue = venue
        self.faults = faults
        self.matching = matching
        self._moment = moment
        self._until: dict[Fault, float] = {}
        self._gone: set[str] = set()
        self._halted: set[str] = set()
        self._refused_tifs: set[TimeInForce | OrderType] = set()
        self.says_when = True
        self.meanwhile: Callable[[PositionKey], None] | None = None  # somebody acts before an order arrives
        self.shrink: Callable[[PositionKey], None] | None = None  # somebody reduces the position before it arrives

    def quiet(self) -> None:
        """Everything is open again; a symbol that is gone stays so."""
        self._until.clear()
        self._halted.clear()
        self._refused_tifs.clear()

    def close_market(self, seconds: float, *, says_when: bool) -> None:
        self._until[Fault.CLOSED_MARKET] = self._moment() + seconds
        self.says_when = says_when

    def remove(self, symbol: str) -> None:
        self._gone.add(symbol)

    def gone(self, symbol: str) -> bool:
        return symbol in self._gone

    def open(self, what: str, sent: float) -> None:
        """Raises Refused for a request that the venue does not look at."""
        now, faults, expiry = self._moment(), self.faults, self.venue.manners.expiry
        for fault, refusal in ((Fault.BAN, Refusal.BANNED), (Fault.CREDENTIALS, Refusal.AUTH)):
            if faults.fires(fault):
                self._until[fault] = now + faults.between(5, 600)
            if self._until.get(fault, -1.0) > now:
                raise Refused(refusal, fault.value)
        if what in SENDS and expiry is not None and now - sent > expiry:
            raise Refused(Refusal.CLOCK, "request expired")
        if what in SENDS and faults.fires(Fault.CLOCK_SKEW):
            raise Refused(Refusal.CLOCK, "timestamp outside the window")
        if faults.fires(Fault.RATE_LIMIT):
            wait = faults.between(0.2, 4) if faults.between(0, 1) < 0.7 else None
            raise Refused(Refusal.RATE_LIMITED, "too many requests", retry_after=wait)

    def place(self, request: OrderRequest, n: int) -> Order:
        self._admit(request.symbol)
        self._expressible(request)
        self._race(PositionKey(request.account, request.symbol, request.leg))
        resting = self.venue.place(request, n)
        return self._taken(resting.now.id)

    def close(self, key: PositionKey, client_id: str | None, n: int) -> Order:
        self._admit(key.symbol)
        self._race(key)
        return self._taken(self.venue.close(key, client_id, n).now.id)

    def cancel(self, order_id: str) -> None:
        self.matching.cancel(order_id)

    def _race(self, key: PositionKey) -> None:
        if self.meanwhile is not None and self.faults.fires(Fault.MEANWHILE):
            self.meanwhile(key)
        if self.shrink is not None and self.faults.fires(Fault.SHRINKS):
            self.shrink(key)

    def _taken(self, order_id: str) -> Order:
        resting = self.venue.orders[order_id]
        accepted = resting.now
        self.matching.take(resting)
        return resting.now if self.venue.manners.matches_first else accepted

    def _admit(self, symbol: str) -> None:
        now, faults = self._moment(), self.faults
        if self._until.get(Fault.CLOSED_MARKET, -1.0) > now:
            opens = BIRTH + timedelta(seconds=self._until[Fault.CLOSED_MARKET]) if self.says_when else None
            raise Refused(Refusal.MARKET_CLOSED, "market is closed", opens_at=opens)
        if faults.fires(Fault.HALT):
            self._halted.add(symbol)
        if symbol in self._halted:
            raise Refused(Refusal.HALTED, "trading is halted")
        if symbol in self._gone:
            raise Refused(Refusal.UNKNOWN_SYMBOL, "no such symbol")
        if faults.fires(Fault.BLOCKED):
            raise Refused(Refusal.BLOCKED, "an order on the other side stands against it")
        if faults.fires(Fault.OTHER_REFUSAL):
            raise Refused(Refusal.OTHER, "internal rule 17")

    def _expressible(self, request: OrderRequest) -> None:
        """What this venue turns out not to take, it does not take again."""
        how = request.type if request.type is not OrderType.MARKET else request.tif
        if request.type is OrderType.STOP:
            return
        if self.faults.fires(Fault.UNSUPPORTED):
            self._refused_tifs.add(how)
        if how in self._refused_tifs:
            raise Refused(Refusal.UNSUPPORTED, f"{how.value} is not supported")

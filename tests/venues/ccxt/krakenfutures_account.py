"""What a Kraken Futures account is told when it asks, out of the truth.

``orders/status`` knows orders that are open or ended within five seconds; what ended before that is in the account's
history only, whose newest events come first. Executions are told a hundred at a time, backwards from one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from brokers.paper import reads as reports
from brokers.paper.venue import Venue
from core.model import Fill, Order, OrderStatus, OrderType, TimeInForce
from tests.venues.ccxt import krakenfutures_bodies as bodies
from tests.venues.ccxt.krakenfutures_bodies import Row

PAGE = 100
SHORTLY = timedelta(seconds=5)  # that an order which has ended is still known to ``orders/status``


class No(Exception):
    """A call that is refused as such."""


class KrakenFuturesAccount:
    """``isolated`` are native symbols whose margin is; ``page`` is how many events of the history come at once, and
    ``forgetful`` has ``orders/status`` know no order, ``unknown`` has it say so by an error."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.isolated: set[str] = set()
        self.money, self.gained = Decimal(10_000), Decimal(2_345)
        self.page = 1000
        self.forgetful = self.unknown = False
        self._ends: dict[str, datetime] = {}
        self._placed: dict[str, datetime] = {}

    def now(self) -> datetime:
        return self.venue.matching.now()

    def symbol(self, native: str) -> str | None:
        return next((s for s in self.venue.matching.market.listings if bodies.native(s) == native), None)

    # ---------------------------------------------------------------------------------------------- the market

    def instruments(self, given: Row) -> Row:
        return {"instruments": [bodies.instrument(known) for known in self.venue.matching.market.listings.values()]}

    def tickers(self, given: Row) -> Row:
        tops = self.venue.matching.market.tops
        return {"tickers": [bodies.index(self.now()), *(bodies.ticker(s, tops[s], self.now()) for s in sorted(tops))]}

    def ticker(self, given: Row) -> Row:
        symbol = self.symbol(given["symbol"])
        if symbol is None:
            raise No("contractNotFound")
        return {"ticker": bodies.ticker(symbol, self.venue.matching.market.tops[symbol], self.now())}

    def candles(self, given: Row) -> Row:
        """Five minutes of what the price is now, the oldest first; the last is not closed."""
        symbol = self.symbol(given["symbol"])
        top = self.venue.matching.market.tops[symbol or ""]
        minute, price = bodies.millis(self.now()) // 60_000 * 60_000, str(bodies.num(top.last))
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        first = int(given.get("from", "0")) * 1000
        times = [at for n in reversed(range(5)) if (at := minute - 60_000 * n) >= first]
        return {"candles": [{"time": at, **prices, "volume": "1"} for at in times], "more_candles": False}

    # --------------------------------------------------------------------------------------------- the account

    def accounts(self, given: Row) -> Row:
        coins = Decimal(any(bodies.is_inverse(p.symbol) for p in self.venue.state.positions.values()))
        return {"accounts": bodies.accounts(self.money, self.money + self.gained, coins)}

    def positions(self, given: Row) -> Row:
        held = reports.positions(self.venue)
        return {"openPositions": [bodies.position(p, bodies.native(p.symbol) in self.isolated) for p in held]}

    def open_orders(self, given: Row) -> Row:
        return {"openOrders": [bodies.open_order(o, self.now()) for o in reports.open_orders(self.venue)]}

    def status(self, given: Row) -> Row:
        """Of orders that are asked for by either id; ``orderIds`` may come more than once."""
        ids, names = given.get("orderIds", []), given.get("cliOrdIds", [])
        found = [o for o in self.known() if bodies.uid(o.id) in ids or o.client_id in names]
        if self.unknown and not found:
            raise No("notFound")
        return {"orders": [bodies.status(o, self.now()) for o in found if not self.forgetful]}

    def known(self) -> list[Order]:
        """Those that are open or ended just now."""
        told = [reports.report_order(self.venue, ticket.order) for ticket in self.venue.state.tickets.values()]
        return [o for o in told if not o.status.terminal or self.now() - self._end(o) <= SHORTLY]

    def _end(self, order: Order) -> datetime:
        return self._ends.setdefault(order.id, self.now())

    def look(self) -> None:
        """When each order came and ended, as it is seen by the server's beat and by every request."""
        for ticket in self.venue.state.tickets.values():
            self._placed.setdefault(ticket.order.id, self.now())
            if ticket.order.status.terminal:
                self._end(ticket.order)

    def history(self, given: Row, *, triggers: bool = False) -> Row:
        """Every order that was placed and what ended it, the newest event first, a page at a time."""
        elements: list[Row] = []
        for ticket in self.venue.state.tickets.values():
            order = ticket.order
            if (order.type is OrderType.STOP) is triggers:
                elements += self._events(order)
        since = int(given.get("since", ["0"])[0])
        timely = sorted((e for e in elements if e["timestamp"] >= since), key=lambda e: -e["timestamp"])
        begin = int(given.get("continuation_token", ["0"])[0])
        page = timely[begin : begin + self.page]
        more = {"continuationToken": str(begin + self.page)} if begin + self.page < len(timely) else {}
        return {"accountUid": "406142dd-7c5c-4a8b-acbc-5f16eca30009", "len": len(page), "elements": page, **more}

    def _events(self, order: Order) -> list[Row]:
        """An order that takes at once is placed with what it took; one that rests with nothing."""
        trigger = "Trigger" if order.type is OrderType.STOP else ""
        at_once = order.type is OrderType.MARKET or order.tif is TimeInForce.IOC
        placed = order if at_once else Order(**{**_fields(order), "filled": Decimal(0)})
        rows = [bodies.history(placed, self._placed.get(order.id, self.now()), f"Order{trigger}Placed")]
        if order.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED) and not at_once:
            rows.append(bodies.history(order, self._end(order), f"Order{trigger}Cancelled"))
        elif order.status is OrderStatus.FILLED and not at_once:
            row = bodies.history(order, self._end(order), "OrderUpdated")
            row["event"] = {"OrderUpdated": {"newOrder": row["event"]["OrderUpdated"]["order"], "reason": "full_fill"}}
            rows.append(row)
        return rows

    def fills(self, given: Row) -> Row:
        """The newest hundred, or those before a time."""
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        before = given.get("lastFillTime", [None])[0]
        limit = datetime.fromisoformat(before) if before else None
        shown = [f for f in self.venue.state.fills.values() if f.trade_id not in hidden]
        rows = [f for f in shown if limit is None or _cut(f, self.now()) < limit]
        rows.sort(key=lambda f: _cut(f, self.now()), reverse=True)
        return {"fills": [bodies.fill(f, _cut(f, self.now())) for f in rows[:PAGE]]}


def _cut(fill: Fill, now: datetime) -> datetime:
    """Its time as it is told: to a millisecond."""
    at = fill.at or now
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _fields(order: Order) -> Row:
    return {name: getattr(order, name) for name in order.__struct_fields__}

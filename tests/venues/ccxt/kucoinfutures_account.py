"""What a KuCoin futures account is told when it asks, out of the truth: contracts, prices, positions, orders, fills.

Lists are pages with a number, the newest row first; conditional orders are in a list of their own and are found by
their ids like any other; fills are told of at most a week, and without an end of the first day after their start.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from brokers.paper import reads as reports
from brokers.paper.venue import Venue
from core.model import Fill, Order, OrderType, Position
from core.units import ZERO
from tests.venues.ccxt import kucoinfutures_bodies as bodies
from tests.venues.ccxt.kucoinfutures_bodies import Row

PAGE, MOST = 50, 100
DAY = 86_400_000
NO_ORDER = ("100001", "error.getOrder.orderNotExist")


class No(Exception):
    """A refusal with KuCoin's code, in an answer of HTTP 200 unless its gateway gave it."""

    def __init__(self, code: str, text: str, status: int = 200) -> None:
        super().__init__(text)
        self.code, self.status = code, status


class KucoinFuturesAccount:
    """``isolated`` are native symbols whose margin is; ``cash`` is by currency; ``unified``: the account's kind."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.isolated: set[str] = set()
        self.market_most: dict[str, int] = {}  # native symbols whose market orders have a limit of their own
        self.cash = {"USDT": Decimal("10000")}
        self.unified = False
        self.unlisted: set[str] = set()  # native symbols that are not active any more
        self.permission = "General,Futures"
        self.closes: set[str] = set()  # the truth's ids of orders that were sent to close all
        self._numbers: dict[str, str] = {}

    def now(self) -> datetime:
        return self.venue.matching.now()

    def symbol(self, native: object) -> str:
        for symbol in self.venue.matching.market.listings:
            if bodies.native(symbol) == native:
                return symbol
        raise No("200003", "The symbol is not available.")

    def number(self, name: str) -> str:
        """KuCoin's id of an order, a trade or a position of the truth."""
        return self._numbers.setdefault(name, str(240673378116083712 + len(self._numbers)))

    def mode(self, symbol: str) -> str:
        return "ISOLATED" if bodies.native(symbol) in self.isolated else "CROSS"

    def size(self, symbol: str) -> Decimal:
        return self.venue.matching.market.listings[symbol].instrument.multiplier

    # ------------------------------------------------------------------------------------------------ the market

    def contracts(self, given: Row) -> list[Row]:
        market = self.venue.matching.market
        return [
            bodies.contract(x, market.tops.get(s), self.market_most.get(bodies.native(s)))
            for s, x in market.listings.items()
            if bodies.native(s) not in self.unlisted
        ]

    def contract(self, given: Row) -> Row:
        self.symbol(given["symbol"])
        return next(row for row in self.contracts(given) if row["symbol"] == given["symbol"])

    def tickers(self, given: Row) -> list[Row]:
        return [bodies.ticker(s, top, self.now()) for s, top in sorted(self.venue.matching.market.tops.items())]

    def ticker(self, given: Row) -> Row:
        return next(row for row in self.tickers(given) if row["symbol"] == given["symbol"])

    def candles(self, given: Row) -> list[list[Any]]:
        """Minutes of what the price is now, the oldest first, at most 200; the last is not closed."""
        top = self.venue.matching.market.tops[self.symbol(given["symbol"])]
        price, last = bodies.number(top.last), bodies.millis(self.now()) // 60_000 * 60_000
        times = range(-(-int(given["from"]) // 60_000) * 60_000, last + 1, 60_000)
        return [[t, price, price, price, price, 1] for t in times[:200]]

    # ----------------------------------------------------------------------------------------------- the account

    def account_mode(self, given: Row) -> Row:
        return {"selfAccountMode": "UNIFIED" if self.unified else "CLASSIC"}

    def api_key(self, given: Row) -> Row:
        return {"remark": "loopback", "apiVersion": 3, "permission": self.permission, "uid": 1, "isMaster": True}

    def overview(self, given: Row) -> Row:
        held = self.cash.get(given["currency"], ZERO)
        names = ("accountEquity", "marginBalance", "availableBalance")
        rest = ("unrealisedPNL", "orderMargin", "frozenFunds")
        row = {**dict.fromkeys(names, bodies.number(held)), **dict.fromkeys(rest, 0)}
        margin = sum((Decimal(str(p["posMargin"])) for p in self.positions(given)), ZERO)
        return {**row, "positionMargin": bodies.number(margin), "currency": given["currency"], "riskRatio": 0}

    def positions(self, given: Row) -> list[Row]:
        held = reports.positions(self.venue)
        return [self.told(p) for p in held if given.get("currency") in (None, bodies.settled(p.symbol))]

    def told(self, held: Position) -> Row:
        top = self.venue.matching.market.tops.get(held.symbol)
        mark = (top.mark or top.last) if top else None
        key = self.number(f"position {held.symbol} {held.leg.value}")
        return bodies.position(held, key, self.mode(held.symbol), self.size(held.symbol), mark, self.now())

    def row(self, order: Order) -> Row:
        key, mode, size = self.number(order.id), self.mode(order.symbol), self.size(order.symbol)
        return bodies.order(order, key, mode, size, self.now(), closes=order.id in self.closes)

    def orders(self, given: Row) -> Row:
        if given.get("status", "active") == "active":
            found = [o for o in reports.open_orders(self.venue) if o.type is not OrderType.STOP]
        else:
            told = [reports.report_order(self.venue, t.order) for t in self.venue.state.tickets.values()]
            found = [o for o in told if o.status.terminal]
        return self._paged(self._of(found, given), given)

    def stop_orders(self, given: Row) -> Row:
        if "status" in given:
            raise No("100001", "Parameter status is not supported.")
        found = [o for o in reports.open_orders(self.venue) if o.type is OrderType.STOP]
        return self._paged(self._of(found, given), given)

    def _of(self, orders: list[Order], given: Row) -> list[Row]:
        made = [self.row(o) for o in orders]
        return sorted((r for r in made if given.get("symbol") in (None, r["symbol"])), key=lambda r: -int(r["id"]))

    def _paged(self, rows: list[Row], given: Row) -> Row:
        nth, size = int(given.get("currentPage", 1)), min(int(given.get("pageSize", PAGE)), MOST)
        pages = -(-len(rows) // size)
        items = rows[(nth - 1) * size : nth * size]
        return {"currentPage": nth, "pageSize": size, "totalNum": len(rows), "totalPage": pages, "items": items}

    def find(self, number: str | None, name: str | None, unknown: tuple[str, str] = NO_ORDER) -> Order:
        """An order by either id, of either kind."""
        for ticket in self.venue.state.tickets.values():
            order = ticket.order
            if number == self.number(order.id) or (name and name == order.client_id):
                told = reports.find(self.venue, order.symbol, None, order.id)
                if told is not None:
                    return told
        raise No(*unknown)

    def fills(self, given: Row) -> Row:
        """The venue does not say no to more than a week: it tells the last week of what was asked."""
        now = bodies.millis(self.now())
        first = int(given["startAt"]) if "startAt" in given else int(given.get("endAt", now)) - DAY
        last = int(given.get("endAt", first + DAY))
        first = max(first, last - 7 * DAY)
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        made = [f for f in self.venue.state.fills.values() if f.trade_id not in hidden]
        rows = [self._fill(f) for f in made if given.get("symbol") in (None, bodies.native(f.symbol))]
        timely = [row for row in rows if first <= row["createdAt"] <= last]
        return self._paged(sorted(timely, key=lambda r: (-r["createdAt"], -int(r["tradeId"]))), given)

    def _fill(self, made: Fill) -> Row:
        key, order_key = self.number(made.trade_id), self.number(made.order_id)
        return bodies.fill(made, key, order_key, self.mode(made.symbol), self.size(made.symbol))

    def date(self, fill: Fill, at: datetime) -> None:
        """Have an execution be of another time."""
        self.venue.state.fills[fill.trade_id] = replace(fill, at=at)

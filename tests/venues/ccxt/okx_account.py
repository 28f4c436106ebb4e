"""What an OKX account is told when it asks, out of the truth: rules, prices, balances, positions, orders, fills.

Conditional orders are shown and found by calls of their own only; lists are pages of at most 100, the newest first.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from brokers.paper import reads as reports
from brokers.paper.venue import Venue
from core.model import Fill, Order, OrderType, Position
from core.units import ZERO
from tests.venues.ccxt import okx_bodies as bodies
from tests.venues.ccxt.okx_bodies import Row

PAGE = 100
ISOLATED = ":isolated"  # behind the truth's symbol of a position beside one on cross margin
NO_ORDER = ("51603", "Order does not exist.")


class No(Exception):
    """A refusal with OKX's code."""

    def __init__(self, code: str, text: str, status: int = 200) -> None:
        super().__init__(text)
        self.code, self.status = code, status


class OkxAccount:
    """``isolated`` are native symbols whose margin is; ``cash`` is beside the positions."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.isolated: set[str] = set()
        self.cash = {"USDT": Decimal("10000")}
        self.perm = "read_only,trade"
        self.words: dict[str, str] = {}  # the ordType of each order that was sent, by the truth's id
        self._numbers: dict[str, str] = {}

    def now(self) -> datetime:
        return self.venue.matching.now()

    def symbol(self, native: str, mode: str = "") -> str:
        """``mode``: the margin of the position that is meant, where the truth may hold one on either."""
        listings = self.venue.matching.market.listings
        for symbol in listings:
            if bodies.native(symbol) == native:
                return beside if mode == "isolated" and (beside := symbol + ISOLATED) in listings else symbol
        raise No("51001", "Instrument ID doesn't exist.")

    def number(self, name: str) -> str:
        """OKX's id of an order, a trade or a position of the truth."""
        return self._numbers.setdefault(name, str(2510789768709120001 + len(self._numbers)))

    def mode(self, symbol: str) -> str:
        if ":" not in symbol:
            return "cash"
        return "isolated" if symbol.endswith(ISOLATED) or bodies.native(symbol) in self.isolated else "cross"

    def instruments(self, given: Row) -> list[Row]:
        listings = self.venue.matching.market.listings
        rows = [bodies.instrument(listing) for symbol, listing in listings.items() if not symbol.endswith(ISOLATED)]
        wanted = given.get("instId")
        return [r for r in rows if r["instType"] == given["instType"] and wanted in (None, r["instId"])]

    def tickers(self, given: Row) -> list[Row]:
        rows = [bodies.ticker(s, top, self.now()) for s, top in sorted(self.venue.matching.market.tops.items())]
        rows = list({row["instId"]: row for row in reversed(rows)}.values())  # a market has one price
        key = "instId" if "instId" in given else "instType"
        return [row for row in rows if row[key] == given[key]]

    def marks(self, given: Row) -> list[Row]:
        """Marks of one contract, as the public channel tells them: here the last price."""
        rows = self.tickers(given)
        return [{"instType": r["instType"], "instId": r["instId"], "markPx": r["last"], "ts": r["ts"]} for r in rows]

    def candles(self, given: Row) -> list[list[str]]:
        """Five minutes of what the price is now, the newest first; the last is not closed."""
        top = self.venue.matching.market.tops[self.symbol(given["instId"])]
        minute, price = int(self.now().timestamp()) // 60 * 60, bodies._text(top.last)
        rows = [[str((minute - 60 * n) * 1000), *[price] * 4, "1", "1", "1", "0" if n == 0 else "1"] for n in range(5)]
        return [row for row in rows if int(row[0]) > int(given.get("before", "0"))]

    # ----------------------------------------------------------------------------------------------- the account

    def config(self) -> Row:
        mode = "long_short_mode" if self.venue.book.hedge else "net_mode"
        return {"acctLv": "2", "posMode": mode, "perm": self.perm, "uid": "1", "mainUid": "1", "label": "loopback"}

    def balance(self) -> Row:
        details = [bodies.asset(code, held, held, held, self.now()) for code, held in self.cash.items()]
        tops = self.venue.matching.market.tops
        for held in reports.positions(self.venue):
            if ":" not in held.symbol:
                top = tops.get(held.symbol)
                worth = held.quantity * ((top.last if top else None) or ZERO)
                base = held.symbol.partition("/")[0]
                details.append(bodies.asset(base, held.quantity, held.free, worth, self.now()))
        return bodies.balance(details, self.now())

    def positions(self, given: Row) -> list[Row]:
        wanted = given["instId"].split(",") if given.get("instId") else None
        held = [p for p in reports.positions(self.venue) if ":" in p.symbol]
        return [self.told(p) for p in held if wanted is None or bodies.native(p.symbol) in wanted]

    def told(self, held: Position) -> Row:
        """A position's row."""
        floor = self.venue.matching.market
        top, size = floor.tops.get(held.symbol), floor.listings[held.symbol].instrument.multiplier
        mark = (top.mark or top.last) if top else None
        number = self.number(f"position {held.symbol} {held.leg.value}")
        return bodies.position(held, number, self.mode(held.symbol), size, mark, self.now())

    def row(self, order: Order) -> Row:
        number, mode = self.number(order.id), self.mode(order.symbol)
        if order.type is OrderType.STOP:
            return bodies.algo(order, number, mode, self.now())
        return bodies.order(order, self.placed(order), mode, self.words.get(order.id, ""), self.now())

    def algo(self, order: Order) -> Row:
        """It tells which order it became, and nothing of what that one traded."""
        became = self.placed(order) if _fired(order) else ""
        return bodies.algo(order, self.number(order.id), self.mode(order.symbol), self.now(), became)

    def placed(self, order: Order) -> str:
        """Its id of an order: a conditional one that was triggered is another order by then."""
        return self.number(f"{order.id} fired" if _fired(order) else order.id)

    def _listed(self, orders: list[Order], given: Row, number: str) -> list[Row]:
        """A page of at most 100, those after the one of that number, the newest first."""
        rows = [row for row in map(self.row, reversed(orders)) if given.get("instId") in (None, row["instId"])]
        rows = [row for row in rows if given.get("instType") in (None, row["instType"])]
        before = [row for row in rows if "after" not in given or int(row[number]) < int(given["after"])]
        return before[: min(int(given.get("limit", PAGE)), PAGE)]

    def open(self, given: Row) -> list[Row]:
        orders = [o for o in reports.open_orders(self.venue) if o.type is not OrderType.STOP]
        return self._listed(sorted(orders, key=lambda o: int(self.number(o.id))), given, "ordId")

    def open_algos(self, given: Row) -> list[Row]:
        if "ordType" not in given:
            raise No("50014", "Parameter ordType can not be empty.")
        orders = [o for o in reports.open_orders(self.venue) if o.type is OrderType.STOP]
        return self._listed(orders if given["ordType"] == "conditional" else [], given, "algoId")

    def ended(self, given: Row) -> list[Row]:
        told = [reports.report_order(self.venue, t.order) for t in self.venue.state.tickets.values()]
        return self._listed([o for o in told if o.status.terminal and o.type is not OrderType.STOP], given, "ordId")

    def find(self, given: Row, number: str, name: str, unknown: tuple[str, str]) -> Order:
        """An order by either id. One kind is unknown to the calls of the other, and one that fired is of both."""
        conditional = number == "algoId"
        for ticket in self.venue.state.tickets.values():
            order, client_id = ticket.order, given.get(name)
            known = order.trigger is not None if conditional else order.type is not OrderType.STOP
            named = client_id and (conditional or not _fired(order)) and client_id == order.client_id
            same = given.get(number) == (self.number(order.id) if conditional else self.placed(order)) or named
            if same and known:
                told = reports.find(self.venue, order.symbol, None, order.id)
                if told is not None:
                    return told
        raise No(*unknown)

    def fills(self, given: Row) -> list[Row]:
        """The newest 100 between ``begin`` and ``end``, both of which count."""
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        fills = [f for f in self.venue.state.fills.values() if f.trade_id not in hidden]
        rows = [self._fill(f) for f in fills if given.get("instId") in (None, bodies.native(f.symbol))]
        first, last = int(given.get("begin", "0")), int(given.get("end", 1 << 60))
        timely = [row for row in rows if first <= int(row["ts"]) <= last]
        timely.sort(key=lambda row: (int(row["ts"]), int(row["billId"])), reverse=True)
        return timely[: min(int(given.get("limit", PAGE)), PAGE)]

    def _fill(self, made: Fill) -> Row:
        ticket = self.venue.state.tickets.get(made.order_id)
        name = (ticket.order.client_id if ticket and not _fired(ticket.order) else None) or ""
        order = self.placed(ticket.order) if ticket else self.number(made.order_id)
        return bodies.fill(made, self.number(made.trade_id), order, name)


def _fired(order: Order) -> bool:
    return order.trigger is not None and order.type is not OrderType.STOP

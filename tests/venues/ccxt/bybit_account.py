"""What a Bybit unified account is told when it asks, out of the truth: rules, prices, the wallet, positions, orders.

Lists are of one category, the newest first, and end with a page that has nothing: every other one tells a cursor. An
order that was acknowledged and refused afterwards is in the lists of orders like any other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from brokers.paper import reads as reports
from brokers.paper.venue import Venue
from core.model import Fill, Order, OrderType, Position
from core.units import ZERO
from tests.venues.ccxt import bybit_bodies as bodies
from tests.venues.ccxt.bybit_bodies import Row

WEEK = timedelta(days=7)  # that a list reaches from its start
MISSING = (10001, "Missing some parameters that must be filled in, symbol or settleCoin or baseCoin")


class No(Exception):
    """A refusal with Bybit's code, in an answer that is well for HTTP."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class BybitAccount:
    """``cash`` is beside the positions; ``forgetful``: the service was restarted, after which only history tells what
    has ended."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.cash = {"USDT": Decimal("10000")}
        self.wallet_rights: list[str] = []
        self.forgetful = False
        self.cursors = True  # whether it goes by the cursor that it is given
        self.page = 1000  # rows of any page at most
        self.late: dict[str, tuple[Order, str]] = {}  # acknowledged, then refused: the truth's id → order and reason
        self._numbers: dict[str, str] = {}

    def now(self) -> datetime:
        return self.venue.matching.now()

    def symbol(self, given: Row) -> str:
        for symbol in self.venue.matching.market.listings:
            if (bodies.category(symbol), bodies.native(symbol)) == (given.get("category"), given.get("symbol")):
                return symbol
        raise No(10001, "params error: symbol invalid")

    def number(self, name: str) -> str:
        """Bybit's id of an order or a trade of the truth."""
        nth = len(self._numbers)
        return self._numbers.setdefault(name, f"{0x8C065341 + nth:08x}-7b52-4ca9-ac2c-37e31ac5{nth:04x}")

    # --------------------------------------------------------------------------------------------- what anybody is told

    def instruments(self, given: Row) -> Row:
        listings = self.venue.matching.market.listings
        rows = [bodies.instrument(v) for s, v in listings.items() if bodies.category(s) == given["category"]]
        wanted = [row for row in rows if given.get("symbol") in (None, row["symbol"])]
        return self._list(given, [] if given.get("status") == "PreLaunch" else wanted, cursor="")

    def tickers(self, given: Row) -> Row:
        tops = sorted(self.venue.matching.market.tops.items())
        rows = [bodies.ticker(s, top) for s, top in tops if bodies.category(s) == given["category"]]
        return self._list(given, [row for row in rows if given.get("symbol") in (None, row["symbol"])], cursor="")

    def candles(self, given: Row) -> Row:
        """Five minutes of what the price is now, the newest first; the first is not over."""
        minute = int(self.now().timestamp()) // 60 * 60
        price = bodies.text(self.venue.matching.market.tops[self.symbol(given)].last)
        rows = [[str((minute - 60 * n) * 1000), *[price] * 4, "1", "1"] for n in range(5)]
        return {"category": given["category"], "symbol": given["symbol"], "list": rows}

    def time(self) -> Row:
        seconds = self.now().timestamp()
        return {"timeSecond": str(int(seconds)), "timeNano": str(int(seconds * 1_000_000_000))}

    # ------------------------------------------------------------------------------------------------------ the account

    def key(self) -> Row:
        rights = {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"], "Wallet": self.wallet_rights}
        return {"id": "1", "readOnly": 0, "permissions": rights, "ips": ["*"], "unified": 0, "uta": 1, "userID": 1}

    def info(self) -> Row:
        return {"marginMode": "REGULAR_MARGIN", "unifiedMarginStatus": 6, "dcpStatus": "OFF", "timeWindow": 0}

    def wallet(self, given: Row) -> Row:
        if given.get("accountType") != "UNIFIED":
            raise No(10001, "accountType only support UNIFIED.")
        coins = [bodies.coin(code, held, ZERO, held) for code, held in self.cash.items()]
        tops = self.venue.matching.market.tops
        for held in reports.positions(self.venue):
            if bodies.category(held.symbol) == "spot":
                top = tops.get(held.symbol)
                worth = held.quantity * ((top.last if top else None) or ZERO)
                locked = held.quantity - held.free
                coins.append(bodies.coin(held.symbol.partition("/")[0], held.quantity, locked, worth))
        return {"list": [bodies.wallet(coins)]}

    def positions(self, given: Row) -> Row:
        held = [p for p in reports.positions(self.venue) if bodies.category(p.symbol) == given["category"]]
        if given["category"] == "linear" and not (given.get("symbol") or given.get("settleCoin")):
            raise No(*MISSING)
        held = [p for p in held if given.get("settleCoin") in (None, bodies.settles(p.symbol))]
        return self._list(given, [self.told(p) for p in held], most=200)

    def told(self, held: Position, *, streamed: bool = False) -> Row:
        top = self.venue.matching.market.tops.get(held.symbol)
        return bodies.position(held, (top.mark or top.last) if top else None, self.now(), streamed=streamed)

    def row(self, order: Order, *, streamed: bool = False) -> Row:
        reason = self.late.get(order.id, (order, ""))[1]
        return bodies.order(order, self.number(order.id), self.now(), streamed=streamed, reason=reason)

    def open(self, given: Row) -> Row:
        """Orders that are open; by an id of either kind also one that has ended. The orderId goes before the name."""
        if given.get("orderId") or given.get("orderLinkId"):
            known = [o for o in self._named(given) if not (self.forgetful and o.status.terminal)]
            return self._list(given, [self.row(order) for order in known])
        if given["category"] == "linear" and not (given.get("symbol") or given.get("settleCoin")):
            raise No(*MISSING)
        return self._list(given, [self.row(o) for o in reversed(reports.open_orders(self.venue)) if _meets(o, given)])

    def ended(self, given: Row) -> Row:
        found = self._named(given) if given.get("orderId") or given.get("orderLinkId") else self._all()
        return self._list(given, [self.row(o) for o in reversed(found) if o.status.terminal and _meets(o, given)])

    def _all(self) -> list[Order]:
        told = [reports.find(self.venue, t.order.symbol, None, i) for i, t in self.venue.state.tickets.items()]
        return [order for order in told if order is not None] + [order for order, _ in self.late.values()]

    def _named(self, given: Row) -> list[Order]:
        number, name = given.get("orderId"), given.get("orderLinkId")
        if number:
            return [order for order in self._all() if self.number(order.id) == number]
        return [order for order in self._all() if order.client_id == name]

    def executions(self, given: Row) -> Row:
        hidden = self.venue.matching.list_lag.fills.shown(self.venue.matching.time)
        fills = [f for f in self.venue.state.fills.values() if f.trade_id not in hidden and _meets(f, given)]
        rows = [self.execution(fill) for fill in fills]
        first = int(given.get("startTime", int((self.now() - WEEK).timestamp() * 1000)))
        last = int(given.get("endTime", first + int(WEEK.total_seconds() * 1000)))
        timely = [row for row in rows if first <= int(row["execTime"]) <= last]
        timely.sort(key=lambda row: int(row["execTime"]), reverse=True)
        return self._list(given, timely, most=100, default=50)

    def execution(self, made: Fill, *, streamed: bool = False) -> Row:
        ticket = self.venue.state.tickets.get(made.order_id)
        name = (ticket.order.client_id if ticket else None) or ""
        return bodies.execution(made, self.number(made.trade_id), self.number(made.order_id), name, streamed=streamed)

    def _list(
        self, given: Row, rows: list[Row], *, most: int = 50, default: int = 20, cursor: str | None = None
    ) -> Row:
        """A page. What it tells of the next one is encoded already, as Bybit's cursors are."""
        if cursor is None and int(given.get("limit", default)) > most:
            raise No(10001, "params error: limit invalid")
        start = int(given.get("cursor", "0:0").partition(":")[2]) if self.cursors else 0
        size = min(int(given.get("limit", default)), most, self.page)
        page = rows[start : start + size] if cursor is None else rows
        after = f"0%3A{start + len(page)}" if page and cursor is None else ""
        return {"category": given["category"], "list": page, "nextPageCursor": after}


def _meets(made: Order | Fill, given: Row) -> bool:
    """Whether it is of the category, the market, the settlement and the kind that were asked for."""
    wanted = {"symbol": bodies.native(made.symbol), "settleCoin": bodies.settles(made.symbol)}
    kind = given.get("orderFilter")
    if isinstance(made, Order) and kind is not None and (kind == "Order") is (made.type is OrderType.STOP):
        return False
    same = all(given.get(key) in (None, value) for key, value in wanted.items())
    return same and bodies.category(made.symbol) == given["category"]

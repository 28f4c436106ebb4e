"""What the loopback venue holds true: positions, orders, executions, and what must never have been asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID  # noqa: TID251  # made from a counter, nothing random

from core.ports import Clock
from tests.venues.alpaca import bodies
from tests.venues.alpaca.bodies import Holding, Paper, is_option, plain

ZERO = Decimal(0)
LIVE = ("new", "accepted", "partially_filled", "pending_cancel", "held", "some_new_word")


class No(Exception):
    """The venue's refusal: a status and a body."""

    def __init__(self, status: int, code: int | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {**({} if code is None else {"code": code}), "message": message, **more}


@dataclass
class Manners:
    """How the venue behaves; seconds on its clock."""

    fill_delay: float = 0.0
    parts: dict[str, list[str]] = field(default_factory=dict)  # symbol → shares of 1 that fill, one after another
    leave_rest: set[str] = field(default_factory=set)  # symbols whose first order is cancelled after its parts
    cancel_lag: float = 0.0
    list_lag: float = 0.0  # positions are told as they were so long ago
    activities_lag: float = 0.0
    close_lag: float = 0.0  # after its order is taken, until it shows in the lists
    open: bool = True
    next_open: datetime | None = None
    timestamp: str | None = None  # of the clock, where New York's time matters
    calendar: list[dict[str, str]] | None = None  # the trading days; None: the venue has no calendar
    limit: int = 200
    page: int = 10_000  # bars of one answer, however many are asked for
    fractional: bool = True
    no_prices: bool = False
    no_activities: bool = False
    no_assets: bool = False
    close_refused: str = ""  # the close call of an option fails with this, as was reported
    day_trade_protection: bool = False
    least_cost: str = ""  # an order below this value is refused
    wash_trades: bool = False  # an order is refused while an order of the other side rests
    covered_only: bool = False  # a long option is not closed while a short of its underlying and kind is held


class Truth:
    """One account. Every method is called on the server's loop; tests read when nothing is under way."""

    def __init__(self, clock: Clock, *, buying_power: str = "46296", equity: str = "100000") -> None:
        self.clock = clock
        self.manners = Manners()
        self.buying_power, self.equity = Decimal(buying_power), Decimal(equity)
        self.status = "ACTIVE"
        self.blocked = False
        self.holdings: dict[str, Holding] = {}
        self.orders: dict[str, Paper] = {}
        self.executions: list[dict[str, Any]] = []
        self.violations: list[str] = []  # what must never happen
        self.prices: dict[str, tuple[Decimal, Decimal]] = {}
        self.bars: dict[str, list[dict[str, Any]]] = {}  # by symbol, oldest first; see bodies.bar
        self.untradable: set[str] = set()
        self.odd_rows: list[dict[str, Any]] = []  # positions of a kind that nobody has heard of
        self.on_update: list[Callable[[dict[str, Any]], None]] = []
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._past: list[tuple[float, list[dict[str, Any]]]] = []
        self._count = 0

    def name(self) -> str:
        """A new id."""
        self._count += 1
        return str(UUID(int=0x5EED << 64 | 4 << 76 | self._count))

    def hold(self, symbol: str, quantity: str, *, entry: str = "100", price: str = "100", **more: Any) -> None:
        """Give the account a position; a negative quantity is a short."""
        cls = more.pop("asset_class", "us_option" if is_option(symbol) else "crypto" if "/" in symbol else "us_equity")
        native = symbol.replace("/", "")
        self.prices.setdefault(symbol, (Decimal(price), Decimal(price)))
        self.holdings[native] = Holding(symbol, native, self.name(), cls, Decimal(quantity), Decimal(entry), **more)
        self.snapshot()

    def rest(self, symbol: str, quantity: str, *, side: str = "sell", limit: str | None = "200", **more: Any) -> Paper:
        """An order of the user's own that rests."""
        order = Paper(self.name(), more.pop("client", self.name()), symbol, side, Decimal(quantity), self.clock.now())
        order.limit = None if limit is None else Decimal(limit)
        order.type = "limit" if limit else "market"
        order.tif = "gtc"
        for key, value in more.items():
            setattr(order, key, value)
        self.orders[order.id] = order
        return order

    # ------------------------------------------------------------------------------------------------- time

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self._count += 1
        self._later.append((self.clock.monotonic() + seconds, self._count, act))

    def advance(self) -> None:
        """Everything that is due by now, in its order."""
        while due := sorted(item for item in self._later if item[0] <= self.clock.monotonic()):
            self._later.remove(due[0])
            due[0][2]()

    def snapshot(self) -> None:
        rows = [bodies.position(h, self.price(h.symbol), self.held(h.native)) for h in self.holdings.values()]
        self._past.append((self.clock.monotonic(), rows))

    def settle(self) -> None:
        """What is held now was so for ever: a list that lags tells it too."""
        self.snapshot()
        self._past = [(0.0, self._past[-1][1])]

    def positions(self) -> list[dict[str, Any]]:
        """The list as the venue tells it, which may lag."""
        if self.manners.list_lag <= 0:
            self.snapshot()
        before = [rows for at, rows in self._past if at <= self.clock.monotonic() - self.manners.list_lag]
        return [*(before[-1] if before else self._past[0][1] if self._past else []), *self.odd_rows]

    # ---------------------------------------------------------------------------------------- what is asked

    def price(self, symbol: str) -> Decimal:
        return self.prices.get(symbol, (Decimal(100), Decimal(100)))[0]

    def held(self, native: str) -> Decimal:
        """What live orders hold of a position."""
        holding = self.holdings.get(native)
        if holding is None:
            return ZERO
        closing = "sell" if holding.quantity > 0 else "buy"
        live = [o for o in self.orders.values() if o.native == native and o.side == closing and o.status in LIVE]
        return sum((o.quantity - o.filled for o in live if not o.shares_with), ZERO)

    def close(self, name: str, quantity: Decimal | None) -> Paper:
        """``DELETE /v2/positions/{symbol_or_asset_id}``."""
        holding = self.holdings.get(name) or next((h for h in self.holdings.values() if h.asset_id == name), None)
        if holding is None:
            raise No(404, 40410000, f"position does not exist: {name}")
        if self.manners.close_refused and holding.asset_class == "us_option":
            raise No(403, 40310000, self.manners.close_refused)
        wanted = abs(holding.quantity) if quantity is None else quantity
        self._barred(holding.symbol, "sell" if holding.quantity > 0 else "buy", wanted)
        if self.manners.covered_only and holding.quantity > 0 and self._uncovers(holding):
            raise No(403, 40310000, "account not eligible to trade uncovered option contracts")
        self._available(holding, wanted)
        if not self.manners.open and holding.asset_class != "crypto":
            self.violations.append(f"a close of {holding.symbol} was sent while the market is closed")
        side = "sell" if holding.quantity > 0 else "buy"
        return self._take(holding.symbol, side, wanted, {"type": "market", "time_in_force": "day"})

    def _available(self, holding: Holding, wanted: Decimal) -> None:
        held = self.held(holding.native)
        free = abs(holding.quantity) - held
        if self.manners.day_trade_protection:
            raise No(403, 40310100, "trade denied due to pattern day trading protection")
        if wanted <= free:
            return
        if holding.asset_class == "crypto":
            coin = holding.symbol.partition("/")[0]
            raise No(403, 40310000, f"insufficient balance for {coin} (requested: {wanted}, available: {free})")
        related = [o.id for o in self.orders.values() if o.native == holding.native and o.status in LIVE]
        numbers = {"existing_qty": plain(abs(holding.quantity)), "held_for_orders": plain(held)}
        text = f"insufficient qty available for order (requested: {plain(wanted)}, available: {plain(free)})"
        raise No(403, 40310000, text, symbol=holding.symbol, available=plain(free), related_orders=related, **numbers)

    def _barred(self, symbol: str, side: str, quantity: Decimal) -> None:
        least = self.manners.least_cost
        if least and quantity * self.price(symbol) < Decimal(least):
            raise No(403, 40310000, f"cost basis must be >= minimal amount of order {least}")
        opposite = [o for o in self.orders.values() if o.symbol == symbol and o.side != side and o.status in LIVE]
        if self.manners.wash_trades and opposite:
            why = {"existing_order_id": opposite[0].id, "reject_reason": "opposite side market/stop order exists"}
            raise No(403, 40310000, "potential wash trade detected. use complex orders.", **why)

    def _uncovers(self, holding: Holding) -> bool:
        """Whether a short option of the same underlying and kind is held."""
        about = holding.symbol[:-15], holding.symbol[-9]
        options = [h for h in self.holdings.values() if is_option(h.symbol) and h.quantity < 0]
        return any((h.symbol[:-15], h.symbol[-9]) == about for h in options)

    def submit(self, body: dict[str, Any]) -> Paper:
        """``POST /v2/orders``."""
        symbol, side, quantity = body["symbol"], body["side"], Decimal(body["qty"])
        if any(o.client_id == body.get("client_order_id") for o in self.orders.values()):
            raise No(422, 40010001, "client_order_id must be unique")
        if is_option(symbol):
            self._plain_option(symbol, side, quantity)
        self._time_in_force(symbol, quantity, body)
        self._barred(symbol, side, quantity)
        if not self.manners.open and "/" not in symbol and body["type"] == "market":
            self.violations.append(f"a market order of {symbol} was sent while the market is closed")
        holding = self.holdings.get(symbol.replace("/", ""))
        if side == "sell" and holding is not None and holding.quantity > 0:
            self._available(holding, quantity)
        elif side == "sell" or (holding is not None and holding.quantity < 0 and quantity > abs(holding.quantity)):
            self.violations.append(f"a plain {side} of {quantity} {symbol} opens or flips a position")
        return self._take(symbol, side, quantity, body)

    def _plain_option(self, symbol: str, side: str, quantity: Decimal) -> None:
        """As in life: the venue takes a plain sell of an option as opening a short, which needs cash."""
        self.violations.append(f"a plain {side} order was sent for the option {symbol}")
        needed = Decimal(symbol[-8:]) / 1000 * 100 * quantity
        if side == "sell" and needed > self.buying_power:
            text = "insufficient options buying power for cash-secured put"
            power = plain(self.buying_power)
            raise No(403, 40310000, text, cost_basis=plain(needed), options_buying_power=power)

    def _time_in_force(self, symbol: str, quantity: Decimal, body: dict[str, Any]) -> None:
        tif, extended = body["time_in_force"], body.get("extended_hours")
        if "/" in symbol and tif not in ("gtc", "ioc"):
            raise No(422, 42210000, "invalid time_in_force for crypto order")
        if "/" not in symbol and quantity != quantity.to_integral_value() and tif != "day":
            raise No(422, 42210000, "fractional orders must be DAY orders")
        if extended and (body["type"] != "limit" or tif != "day"):
            raise No(422, 42210000, "extended hours order must be DAY limit orders")

    def _take(self, symbol: str, side: str, quantity: Decimal, body: dict[str, Any]) -> Paper:
        order = Paper(self.name(), self.name(), symbol, side, quantity, self.clock.now())
        order.client_id = body.get("client_order_id") or order.client_id
        order.type, order.tif = body["type"], body["time_in_force"]
        order.limit = Decimal(body["limit_price"]) if body.get("limit_price") else None
        order.stop = Decimal(body["stop_price"]) if body.get("stop_price") else None
        order.extended = bool(body.get("extended_hours"))
        order.shown_at = self.clock.monotonic() + self.manners.close_lag
        self.orders[order.id] = order
        self._told("new", order)
        if order.type == "stop" or not (self.manners.open or order.extended or "/" in symbol):
            return order
        parts = [Decimal(p) for p in self.manners.parts.pop(order.native, ["1"])]
        for n, part in enumerate(parts, 1):
            self.later(self.manners.fill_delay * n, lambda p=part: self.fill(order, quantity * p))
        if order.native in self.manners.leave_rest:
            self.manners.leave_rest.discard(order.native)
            self.later(self.manners.fill_delay * (len(parts) + 1), lambda: self.end(order, "canceled"))
        return order

    def fill(self, order: Paper, quantity: Decimal) -> None:
        """One execution; a position never crosses zero by a closing order."""
        quantity = min(quantity, order.quantity - order.filled)
        if order.status not in LIVE or quantity <= 0:
            return
        bid, ask = self.prices.get(order.symbol, (Decimal(100), Decimal(100)))
        price = bid if order.side == "sell" else ask
        order.paid += price * quantity
        order.filled += quantity
        order.status = "filled" if order.filled >= order.quantity else "partially_filled"
        self._move(order, quantity if order.side == "buy" else -quantity, price)
        row = bodies.execution(order, quantity, price, self.name(), self.clock.now())
        self.later(self.manners.activities_lag, lambda: self.executions.append(row))
        self._told("fill" if order.status == "filled" else "partial_fill", order, quantity, price)
        self.snapshot()

    def _move(self, order: Paper, change: Decimal, price: Decimal) -> None:
        holding = self.holdings.get(order.native)
        before = holding.quantity if holding else ZERO
        if before * (before + change) < 0 or (before == 0 and change < 0):
            self.violations.append(f"the account went short of {order.symbol}")
        if holding is None:
            cls = "crypto" if "/" in order.symbol else "us_equity"
            self.holdings[order.native] = Holding(order.symbol, order.native, self.name(), cls, change, price)
        elif before + change == 0:
            del self.holdings[order.native]
        else:
            holding.quantity += change

    def cancel(self, order_id: str) -> None:
        """``DELETE /v2/orders/{id}``: taken now, done later."""
        order = self.orders.get(order_id)
        if order is None:
            raise No(404, 40410000, f"order not found for {order_id}")
        if order.status not in LIVE:
            raise No(422, 42210000, f'order is already in "{order.status}" state')
        if order.status != "pending_cancel":
            order.status = "pending_cancel"
            self.later(self.manners.cancel_lag, lambda: self.end(order, "canceled"))

    def end(self, order: Paper, status: str) -> None:
        """A terminal state without another execution; the other leg of a pair goes too."""
        if order.status in LIVE:
            order.status = status
            self._told(status, order)
            self.snapshot()
            for other in self.orders.values():
                if other.shares_with == order.id or order.shares_with == other.id:
                    self.end(other, status)

    def _told(self, event: str, order: Paper, quantity: Decimal | None = None, price: Decimal | None = None) -> None:
        holding = self.holdings.get(order.native)
        there = holding.quantity if holding else ZERO
        name = self.name()
        for listener in self.on_update:
            listener(bodies.update(event, order, self.clock.now(), name, there, quantity, price))

    def open_orders(self) -> list[Paper]:
        return [o for o in self.orders.values() if o.status in LIVE]

    def shown(self, order: Paper) -> bool:
        """Whether the lists and look-ups tell of it yet."""
        return self.clock.monotonic() >= order.shown_at

    def clock_row(self) -> dict[str, Any]:
        now, manners = self.clock.now(), self.manners
        opens = manners.next_open or now + timedelta(hours=16)
        return bodies.clock(manners.timestamp or now.isoformat(), manners.open, opens, opens + timedelta(hours=6.5))

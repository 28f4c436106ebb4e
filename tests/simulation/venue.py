"""One account at a venue of its own truth: positions, orders and fills, kept by rules that share no code with others.

Nothing goes wrong in here: requests are judged and executed, everything is recorded, and earlier states are kept so
that what lags can be shown late. What goes wrong is in ``matching``, ``wire`` and ``foreign``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from msgspec import Struct, structs

from core.errors import Refusal, Refused
from core.model import (
    Account,
    Fill,
    Instrument,
    Leg,
    Order,
    OrderRequest,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    PositionKey,
    Side,
)
from tests.simulation.history import Accepted, Event, Filled, Over

BIRTH = datetime(2030, 1, 7, 12, tzinfo=UTC)
ZERO = Decimal(0)
LEVERAGE = {
    "AAA": Decimal(5),
    "BBB": Decimal(1),
    "CCC": Decimal(2),
}  # so that emergencies, stops and targets all come first at times


class Manners(Struct, frozen=True):
    """How this venue behaves, right or wrong for nobody: every one of these is found in the wild."""

    lag: float = 1.0
    expiry: float | None = 2.0
    nameless_close: bool = False  # its close call takes no client id
    reuse_ids: bool = False  # a client id may be used again once its order is terminal
    clamps: bool = True  # an oversized reduce-only order is cut; else it is refused
    matches_first: bool = True  # an acknowledgement already tells of the fills


class Rules(Struct, frozen=True):
    """An instrument as the program sees it, and what the venue does with orders on it."""

    instrument: Instrument
    balance: bool = False  # spot: nothing is sold that is not free
    price: Decimal = Decimal(100)


class Resting:
    """An order at the venue. ``states`` are its earlier reports, for queries that lag."""

    __slots__ = ("deaf", "n", "now", "states", "times")

    def __init__(self, order: Order, n: int | None) -> None:
        self.now = order
        self.n = n
        self.times: list[float] = []
        self.states: list[Order] = []
        self.deaf = False  # it ignores cancels

    def as_of(self, at: float) -> Order | None:
        index = bisect_right(self.times, at)
        return self.states[index - 1] if index else None


class Venue:
    """``record`` takes events, ``moment`` tells the time, ``told`` hears of orders and fills for the streams."""

    def __init__(
        self,
        account: Account,
        manners: Manners,
        rules: dict[str, Rules],
        *,
        record: Callable[[Event], None],
        moment: Callable[[], float],
    ) -> None:
        self.account = account
        self.manners = manners
        self.rules = rules
        self.held: dict[PositionKey, Decimal] = {}  # signed
        self.orders: dict[str, Resting] = {}
        self.fills: list[tuple[float, Fill]] = []
        self.factors: dict[str, Decimal] = {}  # what the market made of each price
        self.told: Callable[[Order | Fill | PositionKey | str], None] | None = None
        self._record = record
        self._moment = moment
        self._numbers = count(1)
        self._named: dict[str, Resting] = {}
        self._times: list[float] = []
        self._positions: list[tuple[Position, ...]] = []
        self._order_times: list[float] = []
        self._open: list[tuple[Order, ...]] = []

    # ----------------------------------------------------------------------------------------------- what is shown

    def positions(self, behind: float) -> tuple[Position, ...]:
        """Positions as they were that many seconds ago."""
        return self._positions[max(bisect_right(self._times, self._moment() - behind) - 1, 0)]

    def open_orders(self, behind: float) -> tuple[Order, ...]:
        return self._open[max(bisect_right(self._order_times, self._moment() - behind) - 1, 0)]

    def find(self, client_id: str | None, order_id: str | None, behind: float) -> Order | None:
        resting = self.orders.get(order_id) if order_id else self._named.get(client_id or "")
        return resting.as_of(self._moment() - behind) if resting else None

    def executions(self, symbol: str, since: datetime, behind: float) -> list[Fill]:
        until = self._moment() - behind
        return [f for at, f in self.fills if f.symbol == symbol and at <= until and f.at is not None and f.at >= since]

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(r.instrument for r in self.rules.values())

    def live(self) -> list[Resting]:
        return [r for r in self.orders.values() if not r.now.status.terminal]

    # ---------------------------------------------------------------------------------------------- what is asked for

    def place(self, request: OrderRequest, n: int | None) -> Resting:
        """Take an order or refuse it; filling it is the matching's affair."""
        key = PositionKey(self.account.id, request.symbol, request.leg)
        self._refuse(request, key)
        quantity = request.quantity
        if request.reduce_only:
            room = self._room(key, request.side)
            if room <= 0:
                raise Refused(Refusal.NO_POSITION if key not in self.held else Refusal.REDUCE_ONLY, "nothing to reduce")
            if quantity > room and not self.manners.clamps:
                raise Refused(Refusal.REDUCE_ONLY, "more than the position")
            quantity = min(quantity, room)
        order = Order(
            account=self.account.id,
            symbol=request.symbol,
            id=f"{self.account.name}{next(self._numbers)}",
            side=request.side,
            quantity=quantity,
            type=request.type,
            client_id=request.client_id or None,
            price=request.price,
            trigger=request.trigger,
            reduce_only=request.reduce_only,
            leg=request.leg,
            tif=request.tif,
        )
        resting = Resting(order, n)
        self.orders[order.id] = resting
        if order.client_id:
            self._named[order.client_id] = resting
        self._record(Accepted(self._moment(), self.account.id, n, order, request.reduce_only or self.guarded(key)))
        self._changed(resting, order)
        return resting

    def guarded(self, key: PositionKey) -> bool:
        """Whether the venue itself keeps any order on this key from crossing zero."""
        return key.leg is not Leg.NET or self.rules[key.symbol].balance

    def _refuse(self, request: OrderRequest, key: PositionKey) -> None:
        rules = self.rules[request.symbol]
        step = rules.instrument.step
        known = self._named.get(request.client_id)
        if known is not None and not (self.manners.reuse_ids and known.now.status.terminal):
            raise Refused(Refusal.DUPLICATE, "client order id is not unique")
        if request.quantity <= 0 or request.quantity % step:
            raise Refused(Refusal.PRECISION, f"quantity is not a multiple of {step:f}")
        exempt = request.reduce_only and rules.instrument.minimum_exempt
        if not exempt and request.quantity < rules.instrument.min_quantity:
            raise Refused(Refusal.BELOW_MINIMUM, "below the minimum")
        if rules.balance and request.side is OrderSide.SELL and request.quantity > self.free(key):
            raise Refused(Refusal.HELD, "insufficient: the rest is held by orders")

    def close(self, key: PositionKey, client_id: str | None, n: int) -> Resting:
        """The venue's own close call: all that it holds now, whatever the caller thinks."""
        held = self.held.get(key, ZERO)
        if not held:
            raise Refused(Refusal.NO_POSITION, "position does not exist")
        side = Side.LONG if held > 0 else Side.SHORT
        rules = self.rules[key.symbol]
        step = rules.instrument.step
        quantity = (abs(held) if not rules.balance else self.free(key)) // step * step
        if quantity <= 0:
            raise Refused(Refusal.HELD if rules.balance else Refusal.BELOW_MINIMUM, "nothing that can be closed")
        named = "" if client_id is None else client_id
        flag = rules.instrument.reduce_only
        return self.place(
            OrderRequest(key.account, key.symbol, side.closing, quantity, named, reduce_only=flag, leg=key.leg), n
        )

    def end(self, resting: Resting, status: OrderStatus, text: str = "") -> None:
        """Bring an order to a terminal state; one that is in one stays in it."""
        if resting.now.status.terminal:
            return
        order = structs.replace(resting.now, status=status, text=text)
        self._changed(resting, order)
        self._record(Over(self._moment(), self.account.id, order))

    def fill(self, resting: Resting, quantity: Decimal) -> None:
        """Execute a part of a live order, as far as the guards of its instrument let it."""
        order = resting.now
        if order.status.terminal or quantity <= 0:
            return
        key = PositionKey(self.account.id, order.symbol, order.leg)
        quantity = min(quantity, order.remaining)
        if order.reduce_only or self.guarded(key):
            quantity = min(quantity, self._room(key, order.side)) if self._closing(key, order) else quantity
            if quantity <= 0:
                self.end(resting, OrderStatus.CANCELLED, "nothing left to reduce")
                return
        filled, price = order.filled + quantity, self.price(order.symbol)
        self._execute(order, key, quantity, price)
        full = filled >= order.quantity
        status = OrderStatus.FILLED if full else OrderStatus.OPEN
        order = structs.replace(order, filled=filled, status=status, average_price=price)
        self._changed(resting, order)
        if full:
            self._record(Over(self._moment(), self.account.id, order))

    def _closing(self, key: PositionKey, order: Order) -> bool:
        return order.reduce_only or order.side is OrderSide.SELL or key.leg is not Leg.NET

    def _execute(self, order: Order, key: PositionKey, quantity: Decimal, price: Decimal) -> None:
        now = self._moment()
        fill = Fill(
            account=self.account.id,
            symbol=order.symbol,
            trade_id=f"t{self.account.name}{next(self._numbers)}",
            order_id=order.id,
            side=order.side,
            quantity=quantity,
            price=price,
            client_id=order.client_id,
            at=BIRTH + timedelta(seconds=now),
            leg=order.leg,
        )
        self.fills.append((now, fill))
        self.move(key, order.side.sign * quantity, order.id)
        self._tell(fill)

    def move(self, key: PositionKey, by: Decimal, order: str | None) -> None:
        """Change a position: by a fill of ``order``, or by whatever else happens at a venue."""
        before = self.held.get(key, ZERO)
        after = before + by
        if after:
            self.held[key] = after
        else:
            self.held.pop(key, None)
        self._record(Filled(self._moment(), self.account.id, order, key, before, after))
        self._remember()
        self._tell(key)

    # ------------------------------------------------------------------------------------------------------- inside

    def free(self, key: PositionKey) -> Decimal:
        """What no live order holds: where there is a balance, resting sells hold it."""
        held = self.held.get(key, ZERO)
        if not self.rules[key.symbol].balance:
            return abs(held)
        sells = (r.now for r in self.live() if r.now.symbol == key.symbol and r.now.side is OrderSide.SELL)
        return max(abs(held) - sum((o.remaining for o in sells), ZERO), ZERO)

    def _room(self, key: PositionKey, side: OrderSide) -> Decimal:
        """How much an order on this side may reduce."""
        held = self.held.get(key, ZERO)
        return abs(held) if held and (held > 0) is (side is OrderSide.SELL) else ZERO

    def _changed(self, resting: Resting, order: Order) -> None:
        now = self._moment()
        resting.now = order
        resting.times.append(now)
        resting.states.append(order)
        self._remember()
        self._tell(order)

    def price(self, symbol: str) -> Decimal:
        """What it costs now; a rule's price is what it cost at the beginning."""
        return self.rules[symbol].price * self.factors.get(symbol, Decimal(1))

    def priced(self, symbol: str) -> None:
        """A price moved: the streams hear of it."""
        self._tell(symbol)

    def _tell(self, news: Order | Fill | PositionKey | str) -> None:
        if self.told is not None:
            self.told(news)

    def _remember(self) -> None:
        """Keep what the lists would show now."""
        now = self._moment()
        positions = tuple(self.position(key, held) for key, held in self.held.items())
        orders = tuple(r.now for r in self.orders.values() if r.now.status is OrderStatus.OPEN)
        for times, kept, value in ((self._times, self._positions, positions), (self._order_times, self._open, orders)):
            if times and times[-1] == now:
                kept[-1] = value
            else:
                times.append(now)
                kept.append(value)

    def position(self, key: PositionKey, held: Decimal) -> Position:
        side = Side.LONG if held > 0 else Side.SHORT
        price = self.rules[key.symbol].price
        return Position(
            key.account,
            key.symbol,
            side,
            abs(held),
            self.free(key),
            price,
            opened_at=BIRTH,
            leverage=LEVERAGE[key.symbol],
            leg=key.leg,
        )

    def stop_order(self, key: PositionKey, quantity: Decimal) -> OrderRequest:
        """A protective order as a user would have placed it."""
        held = self.held[key]
        side = (Side.LONG if held > 0 else Side.SHORT).closing
        price = self.rules[key.symbol].price
        trigger = price / 2 if held > 0 else price * 2
        flag = self.rules[key.symbol].instrument.reduce_only
        return OrderRequest(
            key.account,
            key.symbol,
            side,
            quantity,
            "",
            OrderType.STOP,
            trigger=trigger,
            reduce_only=flag,
            leg=key.leg,
        )

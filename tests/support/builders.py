"""Builders of values: instruments, positions, orders, reads, actions and plans that are right unless told otherwise."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from core.ladder.states import Limits, PositionRead
from core.model import (
    Account,
    Fill,
    Holdings,
    Instrument,
    Kind,
    Order,
    OrderSide,
    OrderStatus,
    OrderType,
    Position,
    PositionKey,
    Side,
)
from core.plans.plan import Action, ActionKind, Plan, Reason
from core.settings import BASE_TIERS, LAST_TIERS
from tests.support.virtual_time import DAWN

D = Decimal
T = TypeVar("T")
ACCOUNT = "ann/paper"
SYMBOL = "BTC"
KEY = PositionKey(ACCOUNT, SYMBOL)
ALL_TIERS = (*BASE_TIERS, *LAST_TIERS)


def account(id_: str = ACCOUNT, broker: str = "paper") -> Account:
    owner, _, name = id_.partition("/")
    return Account(id_, owner, name, broker)


def build(cls: type[T], /, **fields: Any) -> T:
    """Make a value; a number may come as text."""
    numbers = {name for name, hint in _hints(cls).items() if hint == D or D in get_args(hint)}
    return cls(**{name: D(v) if name in numbers and isinstance(v, str) else v for name, v in fields.items()})


_hints = cache(get_type_hints)


def instrument(symbol: str = SYMBOL, **more: Any) -> Instrument:
    """A perpetual with reduce-only, a step of 0.1 and a tick of 0.1."""
    given = {"kind": Kind.PERP, "step": "0.1", "tick": "0.1", "reduce_only": True, **more}
    return build(Instrument, symbol=symbol, **{"native_symbol": symbol, **given})


def spot(**more: Any) -> Instrument:
    """An instrument without reduce-only."""
    return instrument(**{"kind": Kind.SPOT, "reduce_only": False, **more})


def position(quantity: str = "2", side: Side = Side.LONG, *, free: str | None = None, **more: Any) -> Position:
    given = {"account": ACCOUNT, "symbol": SYMBOL, "entry": "90", **more}
    return build(Position, side=side, quantity=quantity, free=quantity if free is None else free, **given)


def order(id_: str = "o1", quantity: str = "2", filled: str = "0", **more: Any) -> Order:
    """A resting sell of somebody's."""
    given = {"account": ACCOUNT, "symbol": SYMBOL, "side": OrderSide.SELL, **more}
    return build(Order, id=id_, quantity=quantity, filled=filled, **given)


def stop(id_: str = "s1", quantity: str = "2", **more: Any) -> Order:
    """A protective stop below a long."""
    return order(id_, quantity, type=OrderType.STOP, trigger=D(80), reduce_only=True, **more)


def done(id_: str, quantity: str, filled: str, price: str | None = "100", **more: Any) -> Order:
    """A terminal order: filled when all of it is, else expired."""
    whole = D(filled) >= D(quantity)
    status = more.pop("status", OrderStatus.FILLED if whole else OrderStatus.EXPIRED)
    average = D(price) if price is not None and D(filled) > 0 else None
    return order(id_, quantity, filled, status=status, average_price=average, type=OrderType.MARKET, **more)


def fill(quantity: str, order_id: str, trade_id: str = "t1", side: OrderSide = OrderSide.SELL, **more: Any) -> Fill:
    return Fill(ACCOUNT, SYMBOL, trade_id, order_id, side, D(quantity), D(100), **more)


def read(
    held: Position | None, *orders: Order, asked: float = 100.0, price: str | None = "100", **more: Any
) -> PositionRead:
    """A complete read with the given open orders."""
    known = more.pop("instrument", None) or instrument()
    received = more.pop("received", asked)
    return PositionRead(held, orders, known, asked, received, None if price is None else D(price), **more)


def holdings(*positions: Position, orders: tuple[Order, ...] = (), asked: float = 0.0, **more: Any) -> Holdings:
    symbols = sorted({p.symbol for p in positions} | {o.symbol for o in orders})
    given = {"instruments": tuple(instrument(s) for s in symbols), "received": asked, **more}
    return Holdings(ACCOUNT, asked, positions=positions, orders=orders, **given)


def close_action(
    quantity: str = "2", side: Side = Side.LONG, *, cancels: tuple[Order, ...] = (), **more: Any
) -> Action:
    given = {
        "kind": ActionKind.CLOSE,
        "reason": Reason.FLATTEN,
        "text": "Flatten",
        "owner": "ann",
        "key": KEY,
        "orders_shown": tuple(o.id for o in cancels),
        "tiers": ALL_TIERS,
        "entry": "90",
        **more,
    }
    return build(Action, side=side, quantity=quantity, cancels=cancels, **given)


def cancel_action(resting: Order, **more: Any) -> Action:
    """A cancel that no close carries."""
    key = PositionKey(resting.account, resting.symbol, resting.leg)
    lone = {"order": resting, "cancels": (resting,), "orders_shown": (resting.id,), "quantity": resting.remaining}
    return Action(ActionKind.CANCEL_ORDER, Reason.CANCEL_ORDERS, "Cancel open order", "ann", key, **lone, **more)


def plan(*actions: Action, id_: str = "p1", cause: str = "flatten", **more: Any) -> Plan:
    return Plan(id_, cause, more.pop("created_at", DAWN), actions, more.pop("owners", ()), **more)


def limits(**more: Any) -> Limits:
    """Three rounds, 5 s a tier, requests that expire in 2 s, lists that lag by 1 s at most."""
    given = {"attempts": 3, "tier_timeout": 5.0, "request_expiry": 2.0, "position_lag": 1.0, **more}
    return Limits(**given)

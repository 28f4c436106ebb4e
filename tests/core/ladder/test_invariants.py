"""The second lock: an order that breaks an invariant never leaves, however it came about."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import structs

from core.errors import InvariantBroken
from core.ladder.invariants import LiveOrders, check_send
from core.ladder.parts import Fills, OrderUnderWay
from core.ladder.states import Ladder, Limits, Phase
from core.model import Instrument, OrderRequest, OrderSide, Position, PositionKey, Side
from core.plans.plan import Action, ActionKind, Reason

D = Decimal
KEY = PositionKey("u/a", "BTC-USD")
ACTION = Action(ActionKind.CLOSE, Reason.DUST, "", "u", KEY, side=Side.LONG, quantity=D(5))
POSITION = Position("u/a", "BTC-USD", Side.LONG, quantity=D(5), free=D(4))
INSTRUMENT = Instrument("BTC-USD", "BTC-USD", step=D("0.5"), reduce_only=True)
REQUEST = OrderRequest("u/a", "BTC-USD", OrderSide.SELL, D(5), "one", reduce_only=True)
LADDER = Ladder(
    plan="p",
    epoch="e",
    action=ACTION,
    steps=(),
    limits=Limits(3, 5.0, 5.0, 1.0),
    deadline=100.0,
    expected=D(5),
    order=OrderUnderWay(REQUEST, sent_at=0.0),
    sent=frozenset({"one"}),
)


def test_an_order_for_what_was_confirmed_and_is_held_may_leave() -> None:
    check_send(LADDER, REQUEST, POSITION, INSTRUMENT)


@pytest.mark.parametrize(
    ("breach", "number"),
    [
        ({"ladder": {"fills": Fills(D(1))}}, "I1"),
        ({"request": {"quantity": D(0)}}, "I1"),
        ({"request": {"side": OrderSide.BUY}}, "I2"),
        ({"position": {"side": Side.SHORT}}, "I2"),
        ({"position": {"quantity": D(4)}}, "I3"),
        ({"request": {"reduce_only": False}}, "I5"),
        ({"instrument": {"reduce_only": False}, "request": {"reduce_only": False}}, "I5"),
        ({"request": {"quantity": D("4.3")}}, "I7"),
        ({"request": {"symbol": "ETH-USD"}}, "I18"),
        ({"request": {"account": "u/b"}}, "I18"),
    ],
)
def test_each_breach_is_named(breach: dict[str, dict[str, object]], number: str) -> None:
    def changed(value: object, name: str) -> object:
        return structs.replace(value, **breach.get(name, {}))  # type: ignore[type-var]

    with pytest.raises(InvariantBroken, match=f"^{number}: "):
        check_send(
            changed(LADDER, "ladder"),  # type: ignore[arg-type]
            changed(REQUEST, "request"),  # type: ignore[arg-type]
            changed(POSITION, "position"),  # type: ignore[arg-type]
            changed(INSTRUMENT, "instrument"),  # type: ignore[arg-type]
        )


def test_a_second_closing_order_on_an_instrument_never_leaves_while_the_first_may_be_live() -> None:
    live = LiveOrders()
    live.enter(REQUEST)
    live.enter(REQUEST)  # the same order again, after it provably did not leave
    second = structs.replace(REQUEST, client_id="two")
    with pytest.raises(InvariantBroken, match=r"^I4: "):
        live.enter(second)
    other = structs.replace(LADDER, sent=frozenset({"two"}), order=None)
    live.follow(other)  # another close's state says nothing about the first
    with pytest.raises(InvariantBroken):
        live.enter(second)
    live.follow(structs.replace(LADDER, order=None))
    live.enter(second)


def test_an_end_frees_the_instrument_too() -> None:
    live = LiveOrders()
    live.enter(REQUEST)
    live.follow(structs.replace(LADDER, phase=Phase.ENDED))
    live.enter(structs.replace(REQUEST, client_id="two"))

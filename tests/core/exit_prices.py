"""Price paths, guards and settings for the tests of the exit rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from msgspec import structs

from core.exits.rules import Exit, rules_of
from core.exits.state import ExitState, as_float, open_guard, step
from core.model import Side
from core.settings import ExitSettings

D = Decimal
LONG, SHORT = Side.LONG, Side.SHORT
both_sides = pytest.mark.parametrize("side", [LONG, SHORT], ids=["long", "short"])

OFF = ExitSettings(
    emergency=(), stop_loss_pct=None, trailing_base=None, take_profit_pct=None, smart_profit=(), drawdown=()
)


def settings(**given: Any) -> ExitSettings:
    return structs.replace(ExitSettings(), **given)


def only(**given: Any) -> ExitSettings:
    """Every rule off but what is given."""
    return structs.replace(OFF, **given)


def guard(
    given: ExitSettings, side: Side = LONG, entry: str | None = "100", leverage: str | None = "1", **more: Any
) -> ExitState:
    known = {"entry": None if entry is None else D(entry), "leverage": None if leverage is None else D(leverage)}
    return open_guard(rules_of(given, side), **known, **more)


def favour(side: Side, move: str, entry: str = "100") -> Decimal:
    """The price at which the position has moved so far in its favour, exactly."""
    return D(entry) * (1 + side.sign * D(move))


def at(held: ExitState, price: Decimal | str) -> str | None:
    """The reason to leave at this price."""
    found = step(held, as_float(D(price)))
    return None if found is None else found.reason


def walk(held: ExitState, *prices: Decimal | str) -> list[str | None]:
    return [at(held, price) for price in prices]


def moves(held: ExitState, *fractions: str) -> list[str | None]:
    """Reasons along moves in the position's favour from an entry of 100."""
    return walk(held, *(favour(held.rules.side, fraction) for fraction in fractions))


def reasons(found: list[Exit | None]) -> list[str | None]:
    return [None if exit_ is None else exit_.reason for exit_ in found]


@st.composite
def paths(draw: st.DrawFn, least: int = 1, most: int = 80) -> list[Decimal]:
    """Prices on a grid of cents that walk, jump and stand still."""
    price, found = 10_000, []
    for _ in range(draw(st.integers(least, most))):
        price = max(100, price + draw(st.one_of(st.integers(-60, 60), st.integers(-900, 900), st.just(0))))
        found.append(D(price) / 100)
    return found


levels = st.sampled_from([D("0.004"), D("0.01"), D("0.02"), D("0.05")])
leverages = st.sampled_from([D(1), D(2), D("3.3"), D(5), D(25), D(125)])


@st.composite
def any_settings(draw: st.DrawFn) -> ExitSettings:
    """Settings with any of the rules on or off."""
    default = ExitSettings()
    return structs.replace(
        default,
        emergency=draw(st.sampled_from([default.emergency, (), (D("-0.9"), D("-0.5"), D("-0.3"), D("-0.2"))])),
        stop_loss_pct=draw(st.one_of(st.none(), levels)),
        trailing_base=draw(st.one_of(st.none(), levels)),
        activation_pct=draw(st.sampled_from([D(0), D("0.01"), D("0.05")])),
        adaptive=draw(st.booleans()),
        take_profit_pct=draw(st.one_of(st.none(), levels, st.just(D("0.10")))),
        trailing_profit=draw(st.sampled_from([default.trailing_profit, (), ((">0.02", D("0.4")),)])),
        trailing_volatility=draw(st.sampled_from([default.trailing_volatility, ((">2", D(3)), (">1", D("0.9")))])),
        target_profit=draw(st.sampled_from([default.target_profit, (("<0", D("0.7")), (">0.01", D(2)))])),
        target_age=draw(st.sampled_from([default.target_age, (D("0.5"), D("0.1"))])),
        target_max=draw(st.sampled_from([default.target_max, D("1.1")])),
        target_hold=draw(st.sampled_from([default.target_hold, D("0.2")])),
        smart_profit=draw(st.sampled_from([default.smart_profit, ()])),
        drawdown=draw(st.sampled_from([default.drawdown, ()])),
        include_fees=draw(st.booleans()),
        fee_rate=D("0.0004"),
    )

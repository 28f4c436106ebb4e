"""The stop that a new position will have: its own or the trailing stop, whichever is tighter; both sides alike."""

from __future__ import annotations

import pytest

from core.exits.first_stop import FirstStop, first_stop
from core.settings import ExitSettings
from tests.core.exit_prices import LONG, SHORT, D

CENT = D("0.01")


@pytest.mark.parametrize(
    ("own", "long", "short", "trail"),
    [
        ("0.10", "98", "102", "0.02"),
        ("0.01", "99", "101", None),
    ],
)
def test_the_tighter_stop_is_in_force(own: str, long: str, short: str, trail: str | None) -> None:
    settings = ExitSettings(stop_loss_pct=D(own))
    for side, stop in ((LONG, long), (SHORT, short)):
        found = first_stop(settings, side, D(100), D(100), D(1), CENT)
        assert found == FirstStop(D(stop), None if trail is None else D(trail), None)


def test_without_trailing_or_before_it_starts_the_own_stop_is_in_force() -> None:
    for settings in (
        ExitSettings(stop_loss_pct=D("0.1"), trailing_base=None),
        ExitSettings(stop_loss_pct=D("0.1"), activation_pct=D("0.03")),
    ):
        assert first_stop(settings, LONG, D(100), D(100), D(1), CENT) == FirstStop(D(90), None, None)


@pytest.mark.parametrize(
    ("leverage", "long", "short"), [("1", None, None), ("7", None, None), ("10", "98.5", "101.5"), (None, None, None)]
)
def test_an_emergency_stop_is_named_where_it_comes_first(
    leverage: str | None, long: str | None, short: str | None
) -> None:
    settings = ExitSettings(stop_loss_pct=D("0.1"))
    for side, price in ((LONG, long), (SHORT, short)):
        found = first_stop(settings, side, D(100), D(100), leverage and D(leverage), CENT)
        assert found.emergency == (price and D(price))


def test_a_stop_lies_on_the_tick_where_it_still_triggers() -> None:
    assert first_stop(ExitSettings(), LONG, D("33.33"), D("33.33"), D(1), CENT).stop == D("32.66")
    assert first_stop(ExitSettings(), SHORT, D("33.33"), D("33.33"), D(1), CENT).stop == D("34.00")

"""A guard's snapshot after a restart: the same position keeps its stop and its peak, another position begins anew."""

from __future__ import annotations

import pytest

from core.exits.rules import rules_of
from core.exits.snapshot import ExitSnapshot, resumed, saved
from core.exits.state import open_guard, peak_price, step, stop_price
from core.model import Side
from core.settings import ExitSettings
from tests.support.builders import KEY, D, position

MANY_DIGITS = ("83.33333333333333333333333333", "0.1234567890123456789", "27654.333333333333333333", "100")


@pytest.mark.parametrize("entry", MANY_DIGITS)
@pytest.mark.parametrize(("side", "best"), [(Side.LONG, 1.3), (Side.SHORT, 0.7)])
def test_an_entry_with_more_digits_than_a_float_keeps_stop_and_peak(entry: str, side: Side, best: float):
    rules = rules_of(ExitSettings(), side)
    held = position("2", side, entry=D(entry), leverage=D(1))
    guard = open_guard(rules, held.entry, held.leverage)
    step(guard, float(entry) * best)
    kept = ExitSnapshot(KEY, side, held.quantity, saved(guard))
    again = resumed(rules, kept, held, None)
    assert again is not None
    assert (stop_price(again), peak_price(again)) == (stop_price(guard), peak_price(guard))


def test_another_entry_of_the_same_size_is_another_position():
    rules = rules_of(ExitSettings(), Side.LONG)
    guard = open_guard(rules, D(100), D(1))
    kept = ExitSnapshot(KEY, Side.LONG, D(2), saved(guard))
    assert resumed(rules, kept, position("2", entry=D("100.1")), None) is None

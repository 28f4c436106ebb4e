"""Planted bugs in what is believed of prices: steep moves, and a touch that nobody means."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from core.market import quotes
from core.market.price_gate import PriceGate
from core.portfolio import book
from tests.simulation.planting import Mutant, instead


def _steps_confirm_nothing() -> Any:
    """Only a price near the held price confirms a jump: no step of a fall does."""
    return instead(PriceGate, "_same_side", lambda gate, price, held: gate._near(price, held))


def _stubs_are_markets() -> Any:
    stack = ExitStack()
    for owner in (quotes, book):
        stack.enter_context(instead(owner, "without_stub", lambda quote, _spread: quote))
    return stack


MUTANTS = (
    Mutant("steps-unconfirmed", "a fall in large steps is not believed", _steps_confirm_nothing, 3000),
    Mutant("stub-believed", "a bid and an ask far apart are a market", _stubs_are_markets, 3000),
)

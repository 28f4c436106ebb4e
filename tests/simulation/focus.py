"""Seeds that are about one rare state: what happens seldom by itself is brought about in half of all seeds.

A focus changes the scenario that was drawn, and makes some faults likely. All else stays as drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct, structs

from core.model import Instrument, Kind, Leg, PositionKey, Tier
from core.plans.request import PlanRequest
from tests.simulation.faults import Fault
from tests.simulation.scenario import Ask, Place, Scenario, draw as drawn

EVERY = 24  # of so many seeds in a row, each focus has one


class Focus(Struct, frozen=True):
    """``chances`` are the least probabilities of its faults."""

    chances: dict[Fault, float]
    arranged: Callable[[Scenario], Scenario]


def _flattened(scenario: Scenario) -> Scenario:
    """Everything is closed at once."""
    return structs.replace(scenario, asks=(Ask(0.0, 0.0, PlanRequest("flatten", everything=True)),))


def _places(scenario: Scenario, change: Callable[[Place], Place]) -> Scenario:
    return structs.replace(_flattened(scenario), places=tuple(map(change, scenario.places)))


def _one_round(scenario: Scenario) -> Scenario:
    ladder = structs.replace(scenario.settings.ladder, attempts=1, total_timeout=120.0)
    return structs.replace(scenario, settings=structs.replace(scenario.settings, ladder=ladder))


def _partly(scenario: Scenario) -> Scenario:
    """One market order for each position, which fills in part, with a stop that goes before it."""

    def change(place: Place) -> Place:
        stops = tuple((key, "stop", abs(q)) for key, q in place.held.items() if not place.rules[key.symbol].balance)
        return structs.replace(place, tiers=frozenset({Tier.MARKET_IOC}), orders=stops)

    return _one_round(_places(scenario, change))


def _lagging(scenario: Scenario) -> Scenario:
    """Futures without reduce-only, whose lists lag behind fills."""

    def change(place: Place) -> Place:
        rules = {
            symbol: structs.replace(
                r, balance=False, instrument=structs.replace(r.instrument, kind=Kind.FUTURE, reduce_only=False)
            )
            for symbol, r in place.rules.items()
        }
        held = {PositionKey(k.account, k.symbol): q for k, q in place.held.items() if k.leg is not Leg.SHORT}
        manners = structs.replace(place.manners, lag=3.0)
        return structs.replace(place, rules=rules, held=held, orders=(), manners=manners)

    return _places(scenario, change)


def _split(*able: Tier) -> Callable[[Scenario], Scenario]:
    """Positions of several market orders each, at venues that take these tiers."""

    def change(place: Place) -> Place:
        rules = {
            symbol: structs.replace(r, instrument=structs.replace(r.instrument, max_market=_least(r.instrument) * 2))
            for symbol, r in place.rules.items()
        }
        held = {key: _least(place.rules[key.symbol].instrument) * (5 if q > 0 else -5) for key, q in place.held.items()}
        return structs.replace(place, tiers=frozenset(able), rules=rules, held=held, orders=())

    return lambda scenario: _places(scenario, change)


def _least(instrument: Instrument) -> Decimal:
    """A quantity that any order there may have."""
    return max(instrument.min_quantity, instrument.step * 10)


def _reducing(scenario: Scenario) -> Scenario:
    """Reduce-only orders at venues that refuse too large an order instead of cutting it."""

    def change(place: Place) -> Place:
        rules = {
            symbol: structs.replace(
                r, balance=False, instrument=structs.replace(r.instrument, kind=Kind.PERP, reduce_only=True)
            )
            for symbol, r in place.rules.items()
        }
        return structs.replace(place, rules=rules, manners=structs.replace(place.manners, clamps=False))

    return _places(scenario, change)


def _expiring(scenario: Scenario) -> Scenario:
    """Requests that expire soon: a slow look-up outlasts the expiry."""
    return _places(scenario, lambda p: structs.replace(p, manners=structs.replace(p.manners, lag=0.4, expiry=1.0)))


def _streaming(scenario: Scenario) -> Scenario:
    places = tuple(structs.replace(p, streams=True) for p in scenario.places)
    return structs.replace(scenario, places=places, mode="service", watches=True)


def _thinking(scenario: Scenario) -> Scenario:
    """A person thinks so long that others act between the plan and its confirmation."""
    asks = tuple(structs.replace(a, think=8.0) for a in _flattened(scenario).asks)
    return structs.replace(scenario, asks=asks)


FOCUSES: dict[str, Focus] = {
    "ban": Focus({Fault.BAN: 0.02}, _flattened),
    "halt": Focus({Fault.HALT: 0.3}, _flattened),
    "silent stream": Focus({Fault.SILENCE: 0.3}, _streaming),
    "another flatdeck": Focus({Fault.OTHER_FLATDECK: 1.0}, _thinking),
    "partial end": Focus({Fault.PARTIAL_FILL: 0.8}, _partly),
    "reduce-only refused": Focus({Fault.SHRINKS: 0.6, Fault.MEANWHILE: 0.4}, _reducing),
    "split market orders": Focus({}, _split(Tier.MARKET_IOC)),
    "split raw orders": Focus({Fault.OTHER_REFUSAL: 0.4}, _split(Tier.MARKET_GTC, Tier.DIRECT_API)),
    "split close calls": Focus({Fault.PARTIAL_FILL: 0.8}, _split(Tier.VENUE_CLOSE)),
    "split last orders": Focus({Fault.PARTIAL_FILL: 0.3}, _split(Tier.MARKET_FOK, Tier.LIMIT_AGGRESSIVE)),
    "lagging list": Focus({Fault.POSITIONS_LAG: 0.7, Fault.PARTIAL_FILL: 0.4}, _lagging),
    "late look-up": Focus({Fault.UNREADABLE: 0.6, Fault.REQUEST_LOST: 0.08, Fault.RESPONSE_LATE: 0.35}, _expiring),
}


def focus_of(seed: int) -> Focus | None:
    """What a seed is about; None for most."""
    nth = seed % EVERY
    return list(FOCUSES.values())[nth] if nth < len(FOCUSES) else None


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    scenario, focus = drawn(seed), focus_of(seed)
    return scenario if focus is None else focus.arranged(scenario)

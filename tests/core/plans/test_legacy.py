"""Positions that were there before: which they are, what they risk, and what is said of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from core.journal.believed import BelievedPosition
from core.model import Instrument, InstrumentKey, Order, OrderSide, OrderType, Position, Side, Tier
from core.plans import legacy
from core.plans.plan import ActionKind, Reason
from core.portfolio.holding import Holding
from core.reconciliation.rules import adopted, unknown
from core.settings import ExitSettings, LegacySettings, Settings, closes_legacy_positions, risk_fingerprint

D = Decimal
ACCOUNT = "ann/paper"
TIERS = {ACCOUNT: (Tier.MARKET_IOC,)}


def settings(risk: str | None = "0.003", *, on: bool = True, stop: str | None = "0.05") -> Settings:
    return Settings(
        legacy=LegacySettings(on, None if risk is None else D(risk)),
        exits=ExitSettings(stop_loss_pct=None if stop is None else D(stop)),
    )


def held(quantity: str = "9.2", side: Side = Side.LONG, **more: Any) -> Position:
    given = {"entry": D(100), "leverage": D(25), **more}
    return Position(ACCOUNT, "BTC", side, D(quantity), D(quantity), **given)


def stop(trigger: str, id_: str = "s1", **more: Any) -> Order:
    given = {"side": OrderSide.SELL, "type": OrderType.STOP, "trigger": D(trigger), **more}
    return Order(ACCOUNT, "BTC", id_, quantity=D(1), **given)


def holding(position: Position | None = None, **more: Any) -> Holding:
    given = {"instrument": Instrument("BTC", "BTC"), "price": D(100), "value": D(920), **more}
    return Holding("ann", position or held(), **given)


@pytest.mark.parametrize(
    ("risk", "on", "expected"),
    [
        ("0.003", True, True),
        ("0.005", True, True),
        ("0.0051", True, False),
        ("0.003", False, False),
        (None, True, False),
    ],
)
def test_only_ultra_conservative_settings_with_the_switch_on_close_by_force(
    risk: str | None, on: bool, expected: bool
) -> None:
    assert closes_legacy_positions(settings(risk, on=on)) is expected


def test_the_fingerprint_changes_with_what_a_position_may_risk_and_with_nothing_else() -> None:
    own = risk_fingerprint(settings(), held().key)
    assert own == risk_fingerprint(settings("0.0030", stop="0.050"), held().key)
    assert own == risk_fingerprint(settings(on=False), held().key)
    assert own != risk_fingerprint(settings("0.004"), held().key)
    assert own != risk_fingerprint(settings(None), held().key)
    assert own != risk_fingerprint(settings(stop="0.06"), held().key)
    assert own != risk_fingerprint(settings(stop=None), held().key)


@pytest.mark.parametrize(
    ("belief", "expected"),
    [
        (None, True),
        ({}, False),
        ({"quantity": D(1)}, False),  # another size is reconciliation's affair
        ({"settings": "before"}, True),
        ({"settings": ""}, True),  # only noticed, not accepted
        ({"side": Side.SHORT}, True),
    ],
)
def test_legacy_is_what_the_journal_does_not_know_under_the_present_settings(
    belief: dict[str, Any] | None, expected: bool
) -> None:
    position = held()
    known = {}
    if belief is not None:
        known[position.key] = structs.replace(
            BelievedPosition(position.key, Side.LONG, D("9.2"), D(100), None, "now"), **belief
        )
    assert (unknown([position], known, lambda _: "now") == [position]) is expected


@pytest.mark.parametrize(
    ("position", "orders", "pct", "expected"),
    [
        (held(), (), "0.05", "95"),
        (held(side=Side.SHORT), (), "0.05", "105"),
        (held(), (stop("98"),), "0.05", "98"),
        (held(), (stop("98"), stop("90", "s2")), "0.05", "90"),
        (
            held(side=Side.SHORT),
            (stop("104", side=OrderSide.BUY), stop("109", "s2", side=OrderSide.BUY)),
            "0.05",
            "109",
        ),
        (held(), (stop("120", side=OrderSide.BUY),), "0.05", "95"),  # it would add
        (held(), (stop("98", type=OrderType.LIMIT),), "0.05", "95"),
        (held(), (), None, None),
        (held(entry=None), (), "0.05", None),
        (held(entry=None), (stop("98"),), None, "98"),
    ],
)
def test_the_stop_is_the_resting_orders_trigger_else_the_initial_one(
    position: Position, orders: tuple[Order, ...], pct: str | None, expected: str | None
) -> None:
    for given in ({"orders": orders}, {"ours": orders}):
        found = legacy.stop_of(holding(position, **given), D(pct) if pct else None)
        assert found == (D(expected) if expected else None)


@pytest.mark.parametrize(
    ("position", "rules", "at", "equity", "expected"),
    [
        (held(), {}, "95", "1000", "0.046"),
        (held(side=Side.SHORT), {}, "105", "1000", "0.046"),
        (held("1"), {"multiplier": D(50)}, "99", "1000", "0.05"),
        (held(), {}, None, "1000", None),
        (held(), {}, "95", None, None),
        (held(), {}, "95", "0", None),
        (held(entry=None), {}, "95", "1000", None),
    ],
)
def test_risk_is_what_the_stop_would_lose_of_the_equity_and_unknown_stays_unknown(
    position: Position, rules: dict[str, Any], at: str | None, equity: str | None, expected: str | None
) -> None:
    found = legacy.risk_of(
        position, Instrument("BTC", "BTC", **rules), D(at) if at else None, D(equity) if equity is not None else None
    )
    assert found == (D(expected) if expected else None)


def test_the_text_says_by_how_much_it_exceeds() -> None:
    limit = D("0.003")
    assert legacy.risk_text(D(25), D("0.046"), limit) == "Legacy position: 25x, risk 4.60 % exceeds 0.30 %"
    assert legacy.risk_text(D("1.0"), D("0.003"), limit) == "Legacy position: 1x, risk 0.30 % is within 0.30 %"
    assert legacy.risk_text(None, None, limit) == "Legacy position: leverage unknown, risk unknown, 0.30 % are allowed"


def test_a_force_close_takes_its_orders_along() -> None:
    one = holding(orders=(stop("95"),))
    made = legacy.make_actions([one], settings(), equity={ACCOUNT: D(1000)}, tiers=TIERS, blocked={})
    assert [(a.kind, a.reason, a.text) for a in made] == [
        (ActionKind.CANCEL_ORDER, Reason.LEGACY, "Legacy position: 25x, risk 4.60 % exceeds 0.30 %"),
        (ActionKind.CLOSE, Reason.LEGACY, "Legacy position: 25x, risk 4.60 % exceeds 0.30 %"),
    ]
    assert made[-1].cancels == one.orders


def test_what_cannot_be_closed_now_is_shown_and_left() -> None:
    blocked = {InstrumentKey(ACCOUNT, "BTC"): (Reason.CLOSING, "a close of it is already in flight")}
    (made,) = legacy.make_actions([holding()], settings(), equity={}, tiers=TIERS, blocked=blocked)
    assert (made.kind, made.reason) == (ActionKind.SKIP, Reason.CLOSING)
    frozen = {ACCOUNT: (Reason.FROZEN, "frozen")}
    (made,) = legacy.make_actions([holding()], settings(), equity={}, tiers=TIERS, blocked=frozen)
    assert (made.kind, made.reason) == (ActionKind.SKIP, Reason.FROZEN)
    halted = holding(instrument=Instrument("BTC", "BTC", tradable=False))
    (made,) = legacy.make_actions([halted], settings(), equity={}, tiers=TIERS, blocked={})
    assert (made.kind, made.reason) == (ActionKind.SKIP, Reason.UNSELLABLE)


def test_an_adoption_takes_over_what_the_broker_says() -> None:
    made = adopted(held(), "legacy", "now")
    assert (made.side, made.quantity, made.entry, made.leverage) == (Side.LONG, D("9.2"), D(100), D(25))
    assert (made.why, made.settings) == ("legacy", "now")


def test_the_risk_of_a_legacy_position_is_by_the_stop_of_its_own_symbol() -> None:
    known = structs.replace(settings(), exit_symbols={"BTC": {"stop_loss_pct": D("0.10")}})
    (action,) = legacy.make_actions([holding()], known, equity={ACCOUNT: D(1000)}, tiers=TIERS, blocked={})
    assert "risk 9.20 % exceeds" in action.text

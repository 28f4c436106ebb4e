"""The exit rules one by one: every level, what is reached exactly, the order, unknown values; both sides alike."""

from __future__ import annotations

from math import inf, nan

import pytest
from msgspec import structs

from core.exits.rules import Rule, emergency_names, rules_of
from core.exits.snapshot import restored, saved
from core.exits.state import changed, open_guard, split, step, stop_price, target_price
from core.model import Side
from core.settings import ExitSettings
from tests.core.exit_prices import LONG, SHORT, D, at, both_sides, favour, guard, moves, only, settings, walk

DEFAULT = ExitSettings()
EMERGENCY = only(emergency=DEFAULT.emergency)
SMART = only(smart_profit=DEFAULT.smart_profit)
DRAWDOWN = only(drawdown=DEFAULT.drawdown)


@both_sides
@pytest.mark.parametrize(
    ("leverage", "move", "reason"),
    [
        ("1", "-0.1499", None),
        ("1", "-0.15", "emergency_stop_excessive_loss"),
        ("1", "-0.2499", "emergency_stop_excessive_loss"),
        ("1", "-0.25", "emergency_stop_severe_loss"),
        ("1", "-0.3999", "emergency_stop_severe_loss"),
        ("1", "-0.40", "emergency_stop_liquidation_risk"),
        ("5", "-0.0299", None),
        ("5", "-0.03", "emergency_stop_excessive_loss"),
        ("5", "-0.05", "emergency_stop_severe_loss"),
        ("5", "-0.08", "emergency_stop_liquidation_risk"),
        ("125", "-0.0012", "emergency_stop_excessive_loss"),
        ("125", "-0.00119999", None),
        ("125", "-0.0032", "emergency_stop_liquidation_risk"),
    ],
)
def test_an_emergency_stop_is_named_by_the_worst_level_that_roi_reached(
    side: Side, leverage: str, move: str, reason: str | None
) -> None:
    assert moves(guard(EMERGENCY, side, leverage=leverage), move) == [reason]


@both_sides
@pytest.mark.parametrize("entry", ["3", "0.07", "61234.56", "0.00000917", "300"])
@pytest.mark.parametrize("leverage", ["1", "3", "7", "20", "33"])
@pytest.mark.parametrize("level", ["0.40", "0.25", "0.15"])
def test_an_emergency_level_that_is_reached_exactly_triggers_and_a_tick_before_does_not(
    side: Side, entry: str, leverage: str, level: str
) -> None:
    price = D(entry) * (1 - side.sign * D(level) / D(leverage))
    tick = D(entry) * D("1e-12")
    held = guard(only(emergency=(-D(level),)), side, entry, leverage)
    assert walk(held, price + side.sign * tick, price) == [None, "emergency_stop_liquidation_risk"]


@pytest.mark.parametrize(
    ("levels", "names"),
    [
        (0, []),
        (1, ["liquidation_risk"]),
        (2, ["liquidation_risk", "severe_loss"]),
        (3, ["liquidation_risk", "severe_loss", "excessive_loss"]),
        (5, ["liquidation_risk", "severe_loss", "severe_loss", "severe_loss", "excessive_loss"]),
    ],
)
def test_custom_emergency_levels_are_named_from_the_worst_on(levels: int, names: list[str]) -> None:
    assert emergency_names(levels) == names


@both_sides
def test_an_emergency_stop_comes_before_every_other_rule(side: Side) -> None:
    assert moves(guard(DEFAULT, side, leverage="5"), "-0.06") == ["emergency_stop_severe_loss"]


@both_sides
@pytest.mark.parametrize(("move", "reason"), [("-0.0499", None), ("-0.05", "stop_loss"), ("-0.09", "stop_loss")])
def test_the_initial_stop_is_a_stop_loss_and_triggers_where_it_stands(
    side: Side, move: str, reason: str | None
) -> None:
    assert moves(guard(only(stop_loss_pct=D("0.05")), side), move) == [reason]


@both_sides
@pytest.mark.parametrize(("pct", "entry"), [("0.10", "100"), ("0.07", "1.1"), ("0.03", "61234.56"), ("0.1", "0.3")])
def test_a_target_that_is_reached_exactly_triggers(side: Side, pct: str, entry: str) -> None:
    price = favour(side, pct, entry)
    held = guard(only(take_profit_pct=D(pct)), side, entry)
    before = price - side.sign * D(entry) * D("1e-12")
    assert walk(held, before, price) == [None, "take_profit"]
    assert target_price(held) == price


@both_sides
@pytest.mark.parametrize(
    ("move", "gap", "reason"),
    [
        ("0.20", "0", "smart_profit_20"),
        ("0.1999", "0.03", "smart_profit_15"),
        ("0.15", "0.0201", "smart_profit_15"),
        ("0.15", "0.02", None),
        ("0.10", "0.0201", "smart_profit_10"),
        ("0.10", "0.02", None),
        ("0.0999", "0.0301", "smart_profit_8"),
        ("0.08", "0.03", None),
        ("0.0799", "0.0501", "smart_profit_5"),
        ("0.05", "0.0501", "smart_profit_5"),
        ("0.05", "0.05", None),
        ("0.0499", "0.5", None),
    ],
)
def test_smart_profit_wants_a_move_and_a_target_further_than_its_gap(
    side: Side, move: str, gap: str, reason: str | None
) -> None:
    price = favour(side, move)
    held = guard(SMART, side)
    aim = price * (1 + side.sign * D(gap))
    held.target = float(aim * side.sign) if D(gap) else inf
    assert at(held, price) == reason


@both_sides
def test_without_a_target_the_gap_is_without_end(side: Side) -> None:
    assert moves(guard(SMART, side), "0.0499", "0.05", "0.08") == [None, "smart_profit_5", "smart_profit_8"]


@both_sides
def test_a_fall_that_widens_the_gap_takes_the_profit(side: Side) -> None:
    """The quiet band must end where a lower price may trigger."""
    held = guard(SMART, side)
    held.target = float(favour(side, "0.05") * (1 + side.sign * D("0.0505")) * side.sign)
    assert moves(held, "0.04", "0.06", "0.055", "0.05") == [None, None, None, "smart_profit_5"]


@both_sides
@pytest.mark.parametrize(
    ("leverage", "peak", "then", "reason"),
    [
        ("1", "0.04", "0.02", "profit_drawdown_50"),
        ("1", "0.04", "0.0201", None),  # below 3 %, less than half
        ("1", "0.05", "0.035", "profit_drawdown_30"),
        ("1", "0.05", "0.0351", None),
        ("1", "0.20", "0.15", None),  # gave back a quarter
        ("1", "0.20", "0.14", "profit_drawdown_30"),
        ("1", "0.25", "0.175", None),  # 30 % but above the band
        ("1", "0.25", "0.15", "profit_drawdown_30"),  # the band's end
        ("1", "0.25", "0.125", "profit_drawdown_50"),
        ("1", "0.03", "0.015", "profit_drawdown_50"),
        ("1", "0.0299", "0", None),  # the peak never counted
        ("10", "0.003", "0.0015", "profit_drawdown_50"),
        ("10", "0.005", "0.0035", "profit_drawdown_30"),
        ("1", "0.04", "-0.01", "profit_drawdown_50"),
    ],
)
def test_momentum_loss_goes_by_what_was_given_back_of_the_peak(
    side: Side, leverage: str, peak: str, then: str, reason: str | None
) -> None:
    assert moves(guard(DRAWDOWN, side, leverage=leverage), peak, then) == [None, reason]


def test_the_names_say_the_percentages_that_are_configured() -> None:
    names = [
        e.reason
        for e in rules_of(only(smart_profit=((D("0.075"), D(0)),), drawdown=((D("0.2"), None, None),)), LONG).exits
    ]
    assert "smart_profit_7.5" in names
    assert "profit_drawdown_20" in names


@both_sides
def test_fees_of_both_ways_count_in_roi_where_that_is_configured(side: Side) -> None:
    with_fees = settings(include_fees=True, fee_rate=D("0.0005"), stop_loss_pct=None, trailing_base=None)
    held = guard(with_fees, side, leverage="10")  # 10 * 2 * 0.0005 = 1 % of the margin
    assert moves(held, "-0.0139", "-0.014") == [None, "emergency_stop_excessive_loss"]
    free = guard(settings(fee_rate=D("0.0005"), stop_loss_pct=None, trailing_base=None), side, leverage="10")
    assert moves(free, "-0.014", "-0.015") == [None, "emergency_stop_excessive_loss"]


@both_sides
def test_the_first_match_in_the_order_of_the_rules_wins(side: Side) -> None:
    everything = settings(stop_loss_pct=D("0.16"), trailing_base=None, take_profit_pct=D("0.2"))
    assert moves(guard(everything, side), "-0.16") == ["emergency_stop_excessive_loss"]
    assert moves(guard(everything, side), "0.2") == ["take_profit"]
    held = guard(everything, side)
    assert moves(held, "0.049", "0.02") == [None, "profit_drawdown_50"]
    stops = settings(stop_loss_pct=D("-0.02"), trailing_base=None)  # a stop in profit
    assert moves(guard(stops, side), "0.049", "0.02") == [None, "stop_loss"]


@both_sides
def test_an_exit_is_named_again_at_every_price_while_it_holds(side: Side) -> None:
    held = guard(only(stop_loss_pct=D("0.05")), side)
    assert moves(held, "-0.05", "-0.06", "-0.04", "-0.05") == ["stop_loss", "stop_loss", None, "stop_loss"]


@both_sides
def test_no_price_that_is_none_triggers_or_moves_anything(side: Side) -> None:
    held = guard(DEFAULT, side)
    moves(held, "0.01")
    before = structs.asdict(held)
    for price in (nan, inf, -inf, 0.0, -0.0, -5.0):
        assert step(held, price) is None
        assert structs.asdict(held) == before


@both_sides
def test_an_unknown_entry_leaves_the_trailing_stop_and_nothing_that_needs_a_move(side: Side) -> None:
    held = guard(DEFAULT, side, entry=None)
    assert stop_price(held) is None
    assert target_price(held) is None
    assert moves(held, "0", "-0.0199") == [None, None]
    assert stop_price(held) == favour(side, "-0.02")
    assert moves(held, "-0.02") == ["trailing_stop"]


@both_sides
def test_an_entry_that_becomes_known_has_the_stop_and_the_target_of_one_that_was_known(side: Side) -> None:
    """What a coin was bought for is learned after it was seen first."""
    held = guard(settings(trailing_base=None), side, entry=None)
    assert moves(held, "-0.04") == [None]
    changed(held, D(100), D(1))
    assert (stop_price(held), target_price(held)) == (favour(side, "-0.05"), favour(side, "0.10"))
    assert moves(held, "-0.05") == ["stop_loss"]


@both_sides
def test_an_entry_that_becomes_known_leaves_a_stop_that_has_climbed_further(side: Side) -> None:
    held = guard(DEFAULT, side, entry=None)
    moves(held, "0.02")
    stop = stop_price(held)
    changed(held, D(100), D(1))
    assert stop_price(held) == stop
    assert at(held, stop) == "trailing_stop"


@both_sides
def test_an_unknown_leverage_silences_what_goes_by_roi(side: Side) -> None:
    held = guard(settings(stop_loss_pct=None, trailing_base=None), side, leverage=None)
    assert moves(held, "-0.9", "0.045", "0.001", "0.10") == [None, None, None, "take_profit"]


def test_an_entry_or_leverage_that_is_not_positive_is_unknown() -> None:
    held = guard(DEFAULT, entry="0", leverage="0")
    assert saved(held).entry is None
    assert saved(held).leverage is None


@both_sides
def test_everything_off_says_nothing(side: Side) -> None:
    held = guard(only(), side)
    assert moves(held, "-0.99", "0.9", "-0.5") == [None] * 3
    assert stop_price(held) is None
    assert target_price(held) is None


@both_sides
def test_a_position_that_is_found_later_has_its_stop_from_the_price_it_was_found_at(side: Side) -> None:
    found = favour(side, "-0.06")
    held = open_guard(rules_of(DEFAULT, side), D(100), D(1), reference=found)
    assert stop_price(held) == favour(side, "-0.05", str(found))
    assert target_price(held) == favour(side, "0.10")
    assert at(held, found) is None
    late = open_guard(rules_of(DEFAULT, side), D(100), D(1), reference=favour(side, "0.12"))
    assert target_price(late) == favour(side, "0.10", str(favour(side, "0.12")))


@both_sides
def test_scaling_keeps_stop_target_and_peak(side: Side) -> None:
    held = guard(DEFAULT, side)
    moves(held, "0.02")
    before = saved(held)
    changed(held, favour(side, "0.01"), D(3))
    after = saved(held)
    assert (after.stop, after.target, after.peak) == (before.stop, before.target, before.peak)
    assert (after.entry, after.leverage) == (favour(side, "0.01"), D(3))


@both_sides
def test_a_split_is_no_loss(side: Side) -> None:
    held = guard(settings(max_jump=D(1)), side)
    moves(held, "0.02")
    stop = stop_price(held)
    assert stop is not None
    split(held, D(4))
    assert stop_price(held) == stop / 4
    assert at(held, favour(side, "0.02") / 4) is None
    assert at(held, stop / 4) == "trailing_stop"


@both_sides
@pytest.mark.parametrize("tick", ["0.01", "0.5", "1"])
def test_the_stop_and_the_target_that_are_shown_are_prices_that_trigger(side: Side, tick: str) -> None:
    held = guard(settings(smart_profit=(), drawdown=(), emergency=()), side, "103.37")
    at(held, "103.37")
    stop, aim = stop_price(held, D(tick)), target_price(held, D(tick))
    assert stop is not None
    assert aim is not None
    assert stop % D(tick) == aim % D(tick) == 0
    state = saved(held)
    assert at(held, stop + side.sign * D(tick)) is None
    assert at(restored(held.rules, state), stop) == "trailing_stop"
    assert at(restored(held.rules, state), aim - side.sign * D(tick)) is None
    assert at(restored(held.rules, state), aim) == "take_profit"


def test_rules_are_compiled_once_and_in_their_order() -> None:
    rules = rules_of(DEFAULT, SHORT)
    assert rules is rules_of(ExitSettings(), SHORT)
    order = list(Rule)
    places = [order.index(exit_.rule) for exit_ in rules.exits]
    assert places == sorted(places)

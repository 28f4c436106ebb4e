"""Every invariant with its checkers: functions of the evidence that yield what was broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.simulation import (
    check_authority,
    check_books,
    check_data,
    check_exits,
    check_firing,
    check_orders,
    check_protect,
    check_quantity,
)
from tests.simulation.evidence import Breach, Evidence
from tests.simulation.history import History

Checker = Callable[[Evidence], Iterable[Breach]]

CHECKERS: dict[str, tuple[Checker, ...]] = {
    "I1": (check_quantity.plan_is_a_limit,),
    "I2": (check_quantity.never_crosses_zero,),
    "I3": (check_quantity.sized_by_the_last_read,),
    "I4": (check_quantity.one_closing_order, check_quantity.one_close_at_a_time),
    "I5": (check_quantity.reduce_only_where_it_exists,),
    "I6": (check_quantity.fills_count_once, check_quantity.terminal_stays_terminal),
    "I7": (check_quantity.rests_are_dust,),
    "I8": (check_orders.intent_before_send,),
    "I9": (check_orders.resolved_before_the_next_tier, check_orders.refusals_are_true),
    "I10": (check_orders.not_found_is_true, check_orders.not_found_is_asked_twice),
    "I11": (check_orders.cancelled_means_gone,),
    "I12": (
        check_orders.strangers_freeze,
        check_orders.every_order_has_a_row,
        check_authority.frozen_for_a_reason,
    ),
    "I13": (
        check_orders.close_call_stands_alone,
        check_orders.names_are_used_once,
        check_data.answers_are_of_our_orders,
    ),
    "I14": (check_data.closed_is_flat, check_data.flat_is_seen_twice),
    "I15": (check_data.prices_are_sane, check_exits.exits_on_usable_prices),
    "I16": (check_data.decisions_are_fresh,),
    "I17": (check_data.silence_is_noticed,),
    "I18": (
        check_authority.only_what_was_confirmed,
        check_authority.growth_is_shown_again,
        check_authority.cancels_are_listed,
        check_authority.not_resumed_too_late,
    ),
    "I19": (check_orders.names_carry_the_epoch,),
    "I20": (check_authority.looked_up_after_a_restart,),
    "I22": (check_authority.bounded,),
    "I23": (
        check_authority.everything_ends,
        check_authority.ends_in_time,
        check_authority.flat_in_the_end,
        check_authority.protection_is_put_back,
        check_authority.stops_come_back_in_size,
        check_authority.reports_agree,
    ),
    "I24": (check_authority.own_key_own_orders,),
    "I25": (
        check_exits.exits_on_their_side,
        check_exits.exits_are_armed,
        check_firing.crossed_stops_are_acted_on,
        check_firing.steep_moves_are_acted_on,
        check_protect.levels_never_loosen,
    ),
    "I26": (
        check_protect.one_stop_rests,
        check_protect.stops_only_reduce,
        check_protect.stops_go_with_their_position,
        check_protect.what_is_left_is_protected,
        check_protect.triggers_never_loosen,
    ),
    "I27": (check_books.differences_are_named,),
}
_ALL = tuple(check for checks in CHECKERS.values() for check in checks)


def judge(history: History) -> list[Breach]:
    """Everything that was broken in a run."""
    return broken(Evidence(history))


def broken(evidence: Evidence) -> list[Breach]:
    """Everything that was broken, in the order of the invariants; errors that escaped come first."""
    breaches = [Breach("error", text) for text in evidence.history.errors]
    for check in _ALL:
        breaches.extend(check(evidence))
    return breaches

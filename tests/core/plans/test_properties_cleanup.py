"""What holds for every cleanup: a total order, nothing beyond the cap, the largest kept, and shadows excluded."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, strategies as st

from core.model import Instrument, InstrumentKey, Order
from core.plans.cancel_policy import CancelIf, Condition, OrderPolicy
from core.plans.cleanup import OwnerPlan, judge, plan_owner, prune_order, unsellable
from core.plans.plan import ActionKind, Plan, Reason, confirm
from core.portfolio.holding import Holding
from tests.support.books import COINBASE, KRAKEN, NOW, TIERS, D, holding, instrument, order

ACCOUNTS = (COINBASE, KRAKEN)
DUST = D("1.00")

known = st.one_of(st.sampled_from(["0.5", "0.99", "1.00", "5", "7", "10"]), st.decimals(0, 50, places=2).map(str))
values = st.one_of(st.none(), known)
ages = st.one_of(st.none(), st.integers(0, 3).map(lambda days: NOW - timedelta(days=days)))
pnls = st.one_of(st.none(), st.sampled_from(["-0.1", "0", "0.1"]))
rules = st.sampled_from([{}, {}, {}, {"tradable": False}, {"step": "10"}])


@st.composite
def portfolios(draw: st.DrawFn, *, plain: bool = False) -> list[Holding]:
    """Holdings of one owner, each of another symbol; ``plain`` ones have a value, no orders and no obstacles."""
    held = []
    for n in range(draw(st.integers(0, 14))):
        at, symbol = draw(st.sampled_from(ACCOUNTS)), f"S{n:02}"
        value = draw(known if plain else values)
        orders: list[Order] = (
            [] if plain else [order(f"o{i}", symbol, account=at) for i in range(draw(st.integers(0, 2)))]
        )
        terms: Instrument = instrument(symbol) if plain else instrument(symbol, **draw(rules))
        held.append(
            holding(
                symbol,
                value,
                account=at,
                pnl=draw(pnls),
                opened_at=draw(ages),
                orders=tuple(orders),
                rules=terms,
                price="1",
            )
        )
    return held


@st.composite
def policies(draw: st.DrawFn) -> OrderPolicy:
    conditions = (Condition("usd_value", "<", D(7)), Condition("rank", ">", None))
    chosen = tuple(draw(st.lists(st.sampled_from(conditions), min_size=1, max_size=2)))
    return OrderPolicy(
        draw(st.sampled_from(["never", "startup", "matching", "always"])), CancelIf(chosen), draw(st.booleans())
    )


blocks = st.dictionaries(
    st.sampled_from(
        [COINBASE, InstrumentKey(COINBASE, "S01"), InstrumentKey(KRAKEN, "S02"), InstrumentKey(KRAKEN, "S03")]
    ),
    st.sampled_from([(Reason.CLOSING, "closing"), (Reason.FROZEN, "frozen")]),
)
caps = st.integers(0, 10)


def planned(
    held: list[Holding], cap: int, policy: OrderPolicy, blocked: dict[str | InstrumentKey, tuple[Reason, str]]
) -> OwnerPlan:
    return plan_owner(
        "user_123",
        held,
        dust_usd=DUST,
        cap=cap,
        policy=policy,
        tiers=dict.fromkeys(ACCOUNTS, TIERS),
        blocked=blocked,
        complete=True,
    )


NEVER = OrderPolicy("never")


def symbols_of(made: OwnerPlan, kind: ActionKind) -> set[str]:
    return {a.key.symbol for a in made.actions if a.kind is kind}


@given(portfolios())
def test_the_pruning_order_is_total(held: list[Holding]) -> None:
    assert len({prune_order(h) for h in held}) == len(held)


@given(portfolios(), caps, policies(), blocks, st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_the_holdings(
    held: list[Holding],
    cap: int,
    policy: OrderPolicy,
    blocked: dict[str | InstrumentKey, tuple[Reason, str]],
    dice: object,
) -> None:
    mixed = list(held)
    dice.shuffle(mixed)  # type: ignore[attr-defined]  # a random.Random
    assert planned(mixed, cap, policy, blocked) == planned(held, cap, policy, blocked)


@given(portfolios(), caps)
def test_every_position_has_exactly_one_verdict_and_ranks_run_from_one(held: list[Holding], cap: int) -> None:
    verdicts = judge(held, DUST, cap)
    assert Counter(v.holding.key for v in verdicts) == Counter(h.key for h in held)
    ranks = [v.rank for v in verdicts if v.rank is not None]
    assert sorted(ranks) == list(range(1, len(ranks) + 1))
    for verdict in verdicts:
        ranked = unsellable(verdict.holding) is None and (verdict.holding.value or D(-1)) >= DUST
        assert (verdict.rank is not None) is ranked


@given(portfolios(), caps)
def test_of_two_ranked_positions_the_larger_is_kept_before_the_smaller(held: list[Holding], cap: int) -> None:
    ranked = sorted((v for v in judge(held, DUST, cap) if v.rank), key=lambda v: v.rank or 0)
    sizes = [v.holding.value or D(0) for v in ranked]
    assert sizes == sorted(sizes, reverse=True)
    assert [v.why for v in ranked] == [None] * min(cap, len(ranked)) + [Reason.CAP_EXCEEDED] * max(len(ranked) - cap, 0)


@given(portfolios(plain=True), caps)
def test_without_obstacles_no_plan_leaves_more_than_the_cap_and_it_leaves_the_largest(
    held: list[Holding], cap: int
) -> None:
    made = planned(held, cap, NEVER, {})
    staying = [h for h in held if h.key.symbol not in symbols_of(made, ActionKind.CLOSE)]
    real = sorted((h for h in held if (h.value or D(0)) >= DUST), key=prune_order, reverse=True)
    assert made.tally.final == len(staying) == min(cap, len(real))
    assert {h.key for h in staying} == {h.key for h in real[:cap]}


@given(portfolios(), caps, policies(), blocks)
def test_what_stays_beyond_the_cap_is_explained_by_skips_and_unknown_values(
    held: list[Holding], cap: int, policy: OrderPolicy, blocked: dict[str | InstrumentKey, tuple[Reason, str]]
) -> None:
    tally = planned(held, cap, policy, blocked).tally
    assert tally.final - tally.unsellable <= cap + tally.skipped
    assert tally.initial - tally.dust - tally.cap_excess == tally.final


@given(portfolios(), caps, policies(), blocks)
def test_obstacles_only_take_closes_away(
    held: list[Holding], cap: int, policy: OrderPolicy, blocked: dict[str | InstrumentKey, tuple[Reason, str]]
) -> None:
    free = planned(held, cap, OrderPolicy("always"), {})
    made = planned(held, cap, policy, blocked)
    assert symbols_of(made, ActionKind.CLOSE) <= symbols_of(free, ActionKind.CLOSE)
    assert symbols_of(made, ActionKind.CLOSE) | symbols_of(made, ActionKind.SKIP) == symbols_of(
        free, ActionKind.CLOSE
    ) | symbols_of(free, ActionKind.SKIP)


@given(portfolios(), caps, policies(), blocks)
def test_nothing_is_sent_for_what_is_unsellable_unknown_blocked_or_held_by_kept_orders(
    held: list[Holding], cap: int, policy: OrderPolicy, blocked: dict[str | InstrumentKey, tuple[Reason, str]]
) -> None:
    by_key = {h.key: h for h in held}
    for action in planned(held, cap, policy, blocked).actions:
        target = by_key[action.key]
        if action.kind is ActionKind.SKIP:
            continue
        assert unsellable(target) is None
        assert target.value is not None
        assert action.key.account not in blocked
        assert action.key.instrument not in blocked
        assert not target.orders or policy.mode != "never"
        if action.kind is ActionKind.CLOSE:
            assert action.quantity == target.position.quantity
            assert action.cancels == target.orders


@given(portfolios(), caps, policies(), blocks)
def test_every_cancel_of_a_cleanup_belongs_to_a_close(
    held: list[Holding], cap: int, policy: OrderPolicy, blocked: dict[str | InstrumentKey, tuple[Reason, str]]
) -> None:
    made = planned(held, cap, policy, blocked)
    plan = Plan("p1", "cleanup", NOW, made.actions, (made.tally,))
    assert plan.lone_cancels == ()
    assert made.tally.orders_to_cancel == sum(len(a.cancels) for a in plan.closes)
    assert confirm(plan, plan.digest, NOW).plan is plan


@given(portfolios(), caps)
def test_a_second_cleanup_after_the_first_finds_nothing_more(held: list[Holding], cap: int) -> None:
    gone = symbols_of(planned(held, cap, OrderPolicy("always"), {}), ActionKind.CLOSE)
    again = planned([h for h in held if h.key.symbol not in gone], cap, OrderPolicy("always"), {})
    assert symbols_of(again, ActionKind.CLOSE) == set()


@given(portfolios(plain=True), caps, st.decimals(D("0.5"), D("2"), places=2))
def test_a_plan_s_digest_ignores_prices_as_long_as_the_same_is_closed(
    held: list[Holding], cap: int, factor: Decimal
) -> None:
    def digest(actions: OwnerPlan) -> tuple[frozenset[tuple[str, Reason]], str]:
        closing = frozenset((a.key.symbol, a.reason) for a in actions.actions)
        return closing, Plan("p1", "cleanup", NOW, actions.actions, ()).digest

    moved = [holding(h.key.symbol, str((h.value or D(0)) * factor), account=h.key.account, price="1") for h in held]
    before, after = digest(planned(held, cap, NEVER, {})), digest(planned(moved, cap, NEVER, {}))
    assert (before[0] == after[0]) is (before[1] == after[1])

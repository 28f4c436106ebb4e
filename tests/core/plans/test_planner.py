"""Plans from a request and the book: whom and what it concerns, and which tiers it would take."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec import structs

from core.events import OrderSeen
from core.model import InstrumentKey, Leg, Order, PositionKey, Side, Tier
from core.plans import planner
from core.plans.plan import ActionKind, Plan, Reason
from core.plans.planner import ladder_tiers
from core.plans.request import PlanRequest
from core.portfolio.book import Book
from core.portfolio.holding import Holding
from core.ports import Capabilities
from core.settings import LadderSettings, Settings
from tests.support.books import (
    COINBASE,
    KRAKEN,
    OURS,
    PLATFORM,
    a_book,
    instrument,
    order,
    plan_of,
    position,
    reading,
    settings_of,
    situation_of,
    stocked,
    told,
)

OTHER = "user_9/alpaca"
ALL = (PLATFORM, COINBASE, KRAKEN, OTHER)
SETTINGS = settings_of(*ALL)


def world() -> Book:
    """Each account holds BTC-USD and a symbol of its own, and has an order on BTC-USD."""
    book = a_book(*ALL)
    for number, at in enumerate(ALL):
        own = f"OWN{number}-USD"
        stocked(book, at, {"BTC-USD": "100", own: "50"}, [order(f"o{number}", account=at)])
    return book


def flatten(book: Book, request: PlanRequest | None = None, settings: Settings = SETTINGS, **selected: object) -> Plan:
    wanted = request or PlanRequest("flatten", **selected)  # type: ignore[arg-type]  # selectors by name
    return plan_of(book, settings, wanted)


def keys(plan: Plan) -> set[tuple[str, str]]:
    return {(a.key.account, a.key.symbol) for a in plan.closes}


def lone(plan: Plan) -> list[str]:
    return [a.order.id for a in plan.lone_cancels if a.order]


EVERYTHING = {(a, s) for n, a in enumerate(ALL) for s in ("BTC-USD", f"OWN{n}-USD")}


@pytest.mark.parametrize(
    ("selected", "chosen"),
    [
        ({"everything": True}, EVERYTHING),
        ({"owners": ("user_123",)}, {(a, s) for a, s in EVERYTHING if a.startswith("user_123/")}),
        ({"owners": ("platform", "user_9")}, {(a, s) for a, s in EVERYTHING if not a.startswith("user_123/")}),
        ({"accounts": (KRAKEN,)}, {(KRAKEN, "BTC-USD"), (KRAKEN, "OWN2-USD")}),
        ({"symbols": ("BTC-USD",)}, {(a, "BTC-USD") for a in ALL}),
        ({"accounts": (KRAKEN, OTHER), "symbols": ("BTC-USD",)}, {(KRAKEN, "BTC-USD"), (OTHER, "BTC-USD")}),
        ({"owners": ("user_123",), "symbols": ("BTC-USD",)}, {(COINBASE, "BTC-USD"), (KRAKEN, "BTC-USD")}),
        ({"owners": ("user_123",), "accounts": (KRAKEN,)}, {(KRAKEN, "BTC-USD"), (KRAKEN, "OWN2-USD")}),
        ({"owners": ("user_9",), "accounts": (KRAKEN,)}, set()),
        ({"keys": (PositionKey(KRAKEN, "BTC-USD"),)}, {(KRAKEN, "BTC-USD")}),
        ({"symbols": ("NONE",)}, set()),
        ({"owners": ("nobody",)}, set()),
    ],
)
def test_selectors_narrow_what_a_flatten_closes(selected: dict[str, object], chosen: set[tuple[str, str]]) -> None:
    plan = flatten(world(), **selected)
    assert keys(plan) == chosen
    assert {a.reason for a in plan.actions} <= {Reason.FLATTEN}
    assert plan.complete


def test_a_symbol_may_be_given_as_the_venue_writes_it() -> None:
    book = told(
        a_book(COINBASE),
        reading(COINBASE, position("BTC/USD"), instruments=[instrument("BTC/USD", native_symbol="XXBTZUSD")]),
    )
    assert keys(flatten(book, symbols=("XXBTZUSD",), settings=settings_of(COINBASE))) == {(COINBASE, "BTC/USD")}


def test_a_key_selects_one_leg_of_a_hedge() -> None:
    long, short = position(leg=Leg.LONG), position(leg=Leg.SHORT, side=Side.SHORT)
    book = told(a_book(COINBASE), reading(COINBASE, long, short))
    plan = flatten(book, keys=(short.key,), settings=settings_of(COINBASE))
    assert [(a.key, a.side) for a in plan.closes] == [(short.key, Side.SHORT)]


@pytest.mark.parametrize("cause", ["flatten", "cancel-orders"])
def test_what_names_nothing_is_refused_unless_it_says_everything(cause: str) -> None:
    with pytest.raises(ValueError, match=f"{cause} needs to know what"):
        plan_of(world(), SETTINGS, PlanRequest(cause))
    assert plan_of(world(), SETTINGS, PlanRequest(cause, everything=True)).actions


def test_an_unknown_cause_is_refused() -> None:
    with pytest.raises(ValueError, match='"panic" is no plan'):
        plan_of(world(), SETTINGS, PlanRequest("panic", everything=True))


def test_a_close_takes_its_orders_along_and_a_flatten_cancels_those_of_nothing_too() -> None:
    book = told(world(), OrderSeen(order("orphan", "ETH-USD", account=KRAKEN)))
    plan = flatten(book, accounts=(KRAKEN,))
    (btc,) = (a for a in plan.closes if a.key.symbol == "BTC-USD")
    assert [o.id for o in btc.cancels] == ["o2"]
    assert lone(plan) == ["orphan"]
    (orphan,) = plan.lone_cancels
    assert (orphan.reason, orphan.text, orphan.quantity) == (Reason.FLATTEN, "Cancel open order", 1)
    assert (orphan.cancels, orphan.orders_shown, orphan.side) == ((orphan.order,), ("orphan",), None)


def test_an_order_is_cancelled_once_and_told_apart_from_one_of_that_id_elsewhere() -> None:
    book = told(world(), OrderSeen(order("o1", "ETH-USD", account=KRAKEN)))
    cancels = [a for a in flatten(book, owners=("user_123",)).actions if a.kind is ActionKind.CANCEL_ORDER]
    assert [(a.key.account, a.key.symbol, a.order.id) for a in cancels if a.order] == [
        (COINBASE, "BTC-USD", "o1"),
        (KRAKEN, "BTC-USD", "o2"),
        (KRAKEN, "ETH-USD", "o1"),
    ]


def test_a_flatten_of_a_symbol_leaves_the_orders_on_others() -> None:
    book = told(world(), OrderSeen(order("orphan", "ETH-USD", account=KRAKEN)))
    assert lone(flatten(book, symbols=("BTC-USD",))) == []
    assert lone(flatten(book, symbols=("ETH-USD",))) == ["orphan"]


def test_a_flatten_of_chosen_positions_touches_no_other_order() -> None:
    book = told(world(), OrderSeen(order("orphan", "ETH-USD", account=KRAKEN)))
    plan = flatten(book, keys=(PositionKey(KRAKEN, "BTC-USD"),))
    assert [a.kind for a in plan.actions] == [ActionKind.CANCEL_ORDER, ActionKind.CLOSE]
    assert lone(plan) == []


def test_a_chosen_position_that_cannot_be_sold_keeps_its_orders() -> None:
    halted = instrument(tradable=False)
    book = told(a_book(COINBASE), reading(COINBASE, position(), orders=[order()], instruments=[halted]))
    plan = flatten(book, keys=(PositionKey(COINBASE, "BTC-USD"),), settings=settings_of(COINBASE))
    assert [(a.kind, a.reason) for a in plan.actions] == [(ActionKind.SKIP, Reason.UNSELLABLE)]


def protected() -> Iterable[Order]:
    return order("user"), order("stop", client_id=OURS)


def test_our_protective_orders_go_with_their_position_and_never_alone() -> None:
    settings = settings_of(COINBASE)
    book = told(a_book(COINBASE), reading(COINBASE, position(), orders=protected()))
    plan = flatten(book, everything=True, settings=settings)
    (close,) = plan.closes
    assert [o.id for o in close.cancels] == ["user", "stop"]
    assert lone(plan_of(book, settings, PlanRequest("cancel-orders", everything=True))) == ["user"]
    bare = told(a_book(COINBASE), reading(COINBASE, orders=protected()))
    assert lone(flatten(bare, everything=True, settings=settings)) == ["user"]


def test_cancel_orders_only_cancels() -> None:
    plan = plan_of(world(), SETTINGS, PlanRequest("cancel-orders", owners=("user_123",)))
    assert lone(plan) == ["o1", "o2"]
    assert {(a.kind, a.reason) for a in plan.actions} == {(ActionKind.CANCEL_ORDER, Reason.CANCEL_ORDERS)}
    (tally,) = plan.owners
    assert (tally.initial, tally.final, tally.orders_to_cancel) == (4, 4, 2)


def test_cancel_orders_by_key_means_the_instrument_whatever_leg_the_order_is_on() -> None:
    book = told(
        a_book(COINBASE), reading(COINBASE, position(leg=Leg.LONG), orders=[order("net"), order("e", "ETH-USD")])
    )
    request = PlanRequest("cancel-orders", keys=(PositionKey(COINBASE, "BTC-USD", Leg.LONG),))
    assert lone(plan_of(book, settings_of(COINBASE), request)) == ["net"]


def test_a_flatten_closes_what_has_no_price_and_shows_what_cannot_be_sold() -> None:
    halted = instrument("HALT", tradable=False, way_out="ask support")
    book = told(a_book(COINBASE), reading(COINBASE, position("WHO"), position("HALT"), instruments=[halted]))
    plan = flatten(book, everything=True, settings=settings_of(COINBASE))
    assert [(a.kind.value, a.key.symbol, a.reason.value) for a in plan.actions] == [
        ("skip", "HALT", "unsellable"),
        ("close", "WHO", "flatten"),
    ]
    (tally,) = plan.owners
    assert (tally.initial, tally.unsellable, tally.final) == (2, 1, 1)


@pytest.mark.parametrize(
    ("where", "reason"), [(KRAKEN, Reason.FROZEN), (InstrumentKey(KRAKEN, "BTC-USD"), Reason.CLOSING)]
)
def test_a_flatten_leaves_alone_what_is_closing_or_frozen_with_its_orders(
    where: str | InstrumentKey, reason: Reason
) -> None:
    blocked = {where: (reason, "why")}
    plan = plan_of(world(), SETTINGS, PlanRequest("flatten", symbols=("BTC-USD",)), blocked=blocked)
    assert keys(plan) == {(a, "BTC-USD") for a in ALL if a != KRAKEN}
    skips = [(a.key.account, a.reason, a.text) for a in plan.actions if a.kind is ActionKind.SKIP]
    assert skips == [(KRAKEN, reason, "why")]
    assert lone(plan_of(world(), SETTINGS, PlanRequest("cancel-orders", accounts=(KRAKEN,)), blocked=blocked)) == []


def test_holdings_are_valued_as_of_the_situation() -> None:
    book = world()
    fresh, late = (
        plan_of(book, SETTINGS, PlanRequest("cleanup")),
        plan_of(book, SETTINGS, PlanRequest("cleanup"), monotonic=9.0),
    )
    assert fresh.empty
    assert not [a for a in fresh.actions if a.reason is Reason.NO_PRICE]
    assert {a.text for a in late.actions} == {"Value unknown: price is 9 s old"}


ABLE = frozenset({Tier.MARKET_IOC, Tier.MARKET_GTC, Tier.MARKET_FOK, Tier.LIMIT_AGGRESSIVE})
CLOSE_ONLY = frozenset({Tier.VENUE_CLOSE})


@pytest.mark.parametrize(
    ("configured", "broker", "able", "tiers", "dropped"),
    [
        ({}, "paper", ABLE, "market_ioc market_gtc market_fok limit_aggressive", "venue_close direct_api"),
        ({}, "alpaca", CLOSE_ONLY, "venue_close", "market_ioc market_gtc direct_api market_fok limit_aggressive"),
        (
            {"alpaca": (Tier.VENUE_CLOSE, Tier.MARKET_IOC)},
            "alpaca",
            ABLE | CLOSE_ONLY,
            "venue_close market_ioc market_fok limit_aggressive",
            "",
        ),
        ({"ccxt:kraken": (Tier.MARKET_GTC,)}, "ccxt:kraken", ABLE, "market_gtc market_fok limit_aggressive", ""),
        ({"ccxt": (Tier.MARKET_GTC,)}, "ccxt:kraken", ABLE, "market_gtc market_fok limit_aggressive", ""),
        (
            {"ccxt": (Tier.MARKET_GTC,), "ccxt:kraken": (Tier.MARKET_IOC,)},
            "ccxt:kraken",
            ABLE,
            "market_ioc market_fok limit_aggressive",
            "",
        ),
        (
            {"ccxt:kraken": (Tier.MARKET_GTC,)},
            "ccxt:binance",
            ABLE,
            "market_ioc market_gtc market_fok limit_aggressive",
            "venue_close direct_api",
        ),
        ({"paper": (Tier.LIMIT_AGGRESSIVE,)}, "paper", ABLE, "limit_aggressive market_fok", ""),
        ({}, "paper", frozenset(), "", "market_ioc market_gtc venue_close direct_api market_fok limit_aggressive"),
    ],
)
def test_the_tiers_are_the_broker_s_configured_ones_that_its_venue_can_express(
    configured: dict[str, tuple[Tier, ...]], broker: str, able: frozenset[Tier], tiers: str, dropped: str
) -> None:
    settings = structs.replace(Settings(), ladder=LadderSettings(tiers=configured))
    taken, left = ladder_tiers(settings, broker, Capabilities(able))
    assert [t.value for t in taken] == tiers.split()
    assert [t.value for t in left] == dropped.split()


def test_a_brief_exit_plan_values_its_own_position_and_counts_the_others() -> None:
    valued: list[str] = []

    class Counting(Book):
        def holding(self, key: PositionKey, monotonic: float) -> Holding | None:
            valued.append(key.symbol)
            return super().holding(key, monotonic)

    book = world()
    book.__class__ = Counting
    request = PlanRequest("exit", keys=(PositionKey(COINBASE, "BTC-USD"),), text="stop")
    whole = plan_of(book, SETTINGS, request)
    valued.clear()
    brief = planner.make("p1", request, SETTINGS, book, situation_of(book), brief=True)
    assert valued == ["BTC-USD"]
    assert (brief.actions, brief.digest) == (whole.actions, whole.digest)
    tally, others = brief.owners[0], whole.owners[0]
    assert (
        (tally.initial, tally.final, tally.complete) == (others.initial, others.final, others.complete) == (4, 3, True)
    )
    assert (tally.value_before, tally.value_after) == (None, None)


def test_a_brief_plan_for_a_position_that_is_gone_closes_nothing() -> None:
    book = world()
    request = PlanRequest("exit", keys=(PositionKey(COINBASE, "GONE"),), text="stop")
    plan = planner.make("p1", request, SETTINGS, book, situation_of(book), brief=True)
    assert plan.empty

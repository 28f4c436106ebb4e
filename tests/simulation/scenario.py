"""What one seed is about: venues, what is held there, what is asked of the program, and what others do meanwhile."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, structs

from core.model import Account, Instrument, Kind, Leg, PositionKey, Tier
from core.plans.request import PlanRequest
from core.settings import (
    AccountSettings,
    AutomationSettings,
    CleanupSettings,
    EngineSettings,
    LadderSettings,
    OwnerSettings,
    ProtectSettings,
    Settings,
)
from tests.simulation.dice import Dice, dice
from tests.simulation.venue import Manners, Rules

SYMBOLS = ("AAA", "BBB", "CCC")
STEPS = (Decimal("0.1"), Decimal("0.001"), Decimal(1))
POLICIES = ("never", "startup", "always", "matching")
BASE = (Tier.MARKET_IOC, Tier.MARKET_GTC, Tier.VENUE_CLOSE, Tier.DIRECT_API)


class Place(Struct, frozen=True):
    """One account: its venue's manners and rules, and what is there at the beginning."""

    account: Account
    manners: Manners
    rules: dict[str, Rules]
    tiers: frozenset[Tier]
    streams: bool
    held: dict[PositionKey, Decimal]
    orders: tuple[tuple[PositionKey, str, Decimal], ...]  # stop or limit, and its quantity


class Ask(Struct, frozen=True):
    """A person asks for a plan ``after`` seconds and confirms it when they have thought."""

    after: float
    think: float
    request: PlanRequest


class Scenario(Struct, frozen=True):
    seed: int
    places: tuple[Place, ...]
    settings: Settings
    asks: tuple[Ask, ...]
    mode: str  # one-shot or service
    watches: bool  # engine.run() beside it: streams, polling, publishing
    fifo: bool
    exits: str = ""  # ask or auto, while prices move; empty: they do not

    @property
    def protects(self) -> bool:
        """Whether stops of the program rest at the venues."""
        return self.settings.protect.enabled

    @property
    def keys(self) -> list[PositionKey]:
        return [k for p in self.places for k in p.held]


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    roll = dice(seed, "scenario")
    owners = roll.choice((("u1",), ("u1",), ("u1", "platform"), ("u1", "u2")))
    places = tuple(_place(roll, roll.choice(owners), nth) for nth in range(roll.choice((1, 1, 2, 2, 3))))
    settings = _settings(roll, owners, places)
    asks = tuple(_ask(roll, places, nth) for nth in range(roll.choice((1, 1, 1, 2))))
    mode = "service" if roll.random() < 0.3 else "one-shot"
    watches = mode == "service" and roll.random() < 0.4
    plain = Scenario(seed, places, settings, asks, mode, watches, roll.random() < 0.25)
    return _with_stops(_with_prices(plain, dice(seed, "market")), dice(seed, "protect"))


def _with_prices(plain: Scenario, roll: Dice) -> Scenario:
    """A quarter of the runs watch prices that move, with exits that wait for a person or are armed."""
    if roll.random() >= 0.25:
        return plain
    exits = roll.choice(("ask", "auto", "auto"))
    target = roll.choice((None, Decimal("0.10")))  # without one profit is taken by the other rules
    rules = structs.replace(plain.settings.exits, take_profit_pct=target)
    settings = structs.replace(plain.settings, automation=AutomationSettings(exits=exits), exits=rules)
    asks = tuple(structs.replace(a, after=a.after + 25) for a in plain.asks)
    return structs.replace(plain, settings=settings, asks=asks, mode="service", watches=True, exits=exits)


def _with_stops(plain: Scenario, roll: Dice) -> Scenario:
    """A third of the runs that watch have stops resting at the venue behind the software's."""
    if not plain.watches or roll.random() > 0.3:
        return plain
    protect = ProtectSettings(
        enabled=True,
        behind=roll.choice((Decimal("0.002"), Decimal("0.01"), Decimal("0.05"))),
        min_interval=roll.choice((1.0, 5.0, 60.0)),
    )
    return structs.replace(plain, settings=structs.replace(plain.settings, protect=protect))


def _place(roll: Dice, owner: str, nth: int) -> Place:
    name = "abc"[nth]
    account = Account(f"{owner}/{name}", owner, name, "sim")
    lag = roll.choice((0.0, 0.4, 1.0, 3.0, 8.0))
    manners = Manners(
        lag=lag,
        expiry=roll.choice((1.0, 2.0, 5.0, 5.0, None)),
        nameless_close=roll.random() < 0.4,
        reuse_ids=roll.random() < 0.4,
        clamps=roll.random() < 0.5,
        matches_first=roll.random() < 0.7,
    )
    rules: dict[str, Rules] = {}
    held: dict[PositionKey, Decimal] = {}
    orders: list[tuple[PositionKey, str, Decimal]] = []
    for symbol in SYMBOLS[: roll.choice((1, 1, 2, 2, 3))]:
        style = roll.choice(("perp", "perp", "spot", "spot", "future", "hedge"))
        rules[symbol] = _rules(roll, symbol, style)
        for key, quantity in _holdings(roll, account.id, symbol, style, rules[symbol].instrument):
            held[key] = quantity
            orders += _orders(roll, key, quantity, rules[symbol])
    return Place(account, manners, rules, _tiers(roll), roll.random() < 0.5, held, tuple(orders))


def _rules(roll: Dice, symbol: str, style: str) -> Rules:
    step = roll.choice(STEPS)
    kinds = {"perp": Kind.PERP, "spot": Kind.SPOT, "future": Kind.FUTURE, "hedge": Kind.PERP}
    reduces = style == "perp" or (style == "hedge" and roll.random() < 0.5)
    instrument = Instrument(
        symbol=symbol,
        native_symbol=symbol.lower(),
        kind=kinds[style],
        step=step,
        tick=Decimal("0.01"),
        min_quantity=step * roll.choice((1, 1, 5)),
        min_cost=Decimal(roll.choice((0, 0, 5))),
        max_market=step * 15 if roll.random() < 0.15 else None,
        quote=roll.choice(("USD", "USD", "EUR")),
        reduce_only=reduces,
        minimum_exempt=reduces and roll.random() < 0.5,
    )
    price = roll.choice((Decimal(100), Decimal("2.5"), Decimal(40000)))
    return Rules(instrument, balance=style == "spot", price=price)


def _holdings(
    roll: Dice, account: str, symbol: str, style: str, instrument: Instrument
) -> list[tuple[PositionKey, Decimal]]:
    """One position, or one per leg; at times off the step's grid, at times too small to be sold."""

    def size() -> Decimal:
        steps = roll.choice((1, 4, 7, 10, 23, 40, 100))
        rest = instrument.step / 4 if style == "spot" and roll.random() < 0.3 else 0
        return instrument.step * steps + rest

    if style == "hedge":
        both = [(PositionKey(account, symbol, Leg.LONG), size()), (PositionKey(account, symbol, Leg.SHORT), -size())]
        return both if roll.random() < 0.6 else both[:1]
    sign = 1 if style == "spot" or roll.random() < 0.5 else -1
    return [(PositionKey(account, symbol), sign * size())]


def _orders(roll: Dice, key: PositionKey, held: Decimal, rules: Rules) -> list[tuple[PositionKey, str, Decimal]]:
    """The user's own resting orders: protective stops, and limits on the closing side."""
    count = roll.choice((0, 0, 1, 2))
    quantity = abs(held) // rules.instrument.step * rules.instrument.step
    if count == 2 and rules.balance:
        quantity = quantity / 2 // rules.instrument.step * rules.instrument.step
    return [(key, roll.choice(("stop", "stop", "limit")), quantity) for _ in range(count) if quantity > 0]


def _tiers(roll: Dice) -> frozenset[Tier]:
    if roll.random() < 0.1:
        return frozenset({Tier.VENUE_CLOSE})
    some = {t for t in Tier if roll.random() < 0.85}
    unified = some - {Tier.DIRECT_API}  # the raw endpoint is only for when another call has failed
    return frozenset(some if unified else some | {Tier.MARKET_GTC})


def _settings(roll: Dice, owners: tuple[str, ...], places: tuple[Place, ...]) -> Settings:
    first = roll.choice(BASE)
    tiers = (first, *(t for t in BASE if t is not first)) if roll.random() < 0.5 else BASE
    ladder = LadderSettings(
        attempts=roll.choice((1, 2, 3)),
        tier_timeout=roll.choice((1.0, 2.0, 5.0)),
        total_timeout=roll.choice((12.0, 30.0, 120.0)),
        tiers={"sim": tiers},
        resume_within=roll.choice((20.0, 900.0)),
    )
    cleanup = CleanupSettings(
        dust_usd=Decimal(roll.choice((1, 10))),
        max_positions=roll.choice((0, 1, 2)),
        cancel_open_orders=roll.choice(POLICIES),
        cancel_if="usd_value<1000,rank>max_positions",
    )
    accounts = {o: tuple(p.account for p in places if p.account.owner == o) for o in owners}
    return Settings(
        engine=EngineSettings(data_dir="nowhere"),
        cleanup=cleanup,
        ladder=ladder,
        owners=tuple(
            OwnerSettings(o, tuple(AccountSettings(a.id, o, a.name, "sim") for a in accounts[o])) for o in owners
        ),
    )


def _ask(roll: Dice, places: tuple[Place, ...], nth: int) -> Ask:
    keys = [k for p in places for k in p.held]
    requests = (
        PlanRequest("flatten", everything=True),
        PlanRequest("flatten", everything=True),
        PlanRequest("flatten", owners=(places[0].account.owner,)),
        PlanRequest("flatten", keys=(roll.choice(keys),)),
        PlanRequest("cleanup", cancel_open_orders=roll.choice(POLICIES)),
        PlanRequest("cleanup"),
        PlanRequest("cancel-orders", everything=True),
    )
    think = roll.choice((0.0, 0.0, 0.5, 4.0, 400.0 if roll.random() < 0.1 else 1.0))
    return Ask(nth * roll.random() * 10, think, roll.choice(requests))

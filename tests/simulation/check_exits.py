"""Exits that fire by themselves: on which price, on which side of their level, and whether they were armed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, pairwise
from operator import mul

from core.model import Side
from core.records import PlanApproved
from tests.simulation.evidence import Breach, Evidence
from tests.simulation.history import Armed, Began, Durable, Quoted, Said

FIRED = re.compile(
    r"\[EXIT\] (?P<symbol>\S+) on (?P<account>\S+) is being closed: (?P<why>\w+) \(price (?P<price>[\d.]+)"
)
STOP = re.compile(r"stop ([\d.]+)")
TARGET = re.compile(r"target ([\d.]+)")
MOMENT = 0.05  # from a price to the word that its exit fires, in virtual seconds
UNSEEN = 8.0  # seconds that a list may be on its way, beyond its lag
JUMP = Decimal("0.2")
TICK = Decimal("0.01")  # levels are told on the grid


def exits_on_usable_prices(evidence: Evidence) -> Iterator[Breach]:
    """I15: an exit fires on a sane and fresh price that was received, and on no jump that nothing else confirmed."""
    stretched = evidence.history.stretched
    for index, said, fired in _fired(evidence):
        read = next((x.at for x in evidence.last_lists(fired["account"], index, 1)), 0.0)
        known = read - UNSEEN - evidence.facts(fired["account"]).lag
        seen = _quotes(evidence, index, fired["account"], fired["symbol"], known)
        price, age = Decimal(fired["price"]), evidence.history.ages[fired["account"]]
        same = [q for q in seen if q.price == price]
        name = f"{fired['symbol']} left at {price}"
        if not any(sane(q) for q in same):
            yield Breach("I15", f"{name}, which no good quote said", said.at)
        elif not stretched and not any(sane(q) and said.at - q.stamped <= age + MOMENT for q in same):
            yield Breach("I15", f"{name}, which was older than {age:.0f} s", said.at)
        stepped = _stepped([q for q in seen if sane(q)], price)
        seen = _quotes(evidence, index, fired["account"], fired["symbol"], said.at)
        ratios = [r for _, r in _splits(evidence, index, fired["account"], fired["symbol"], said.at)]
        divisors = list(accumulate(reversed(ratios), mul, initial=Decimal(1)))
        stamps = {q.stamped for q in seen if sane(q) and any(_near(q.price / by, price) for by in divisors)}
        good = [q for q in seen if sane(q)]
        first = bool(good) and good[0].price == price  # there was nothing yet that it jumped from
        if len(stamps) < 2 <= len({q.stamped for q in good}) and not first and not stepped:
            yield Breach("I15", f"{name}, a jump that nothing confirmed", said.at)


def _stepped(good: Sequence[Quoted], price: Decimal) -> bool:
    """Return True if the price is a further step of a move: the good price before it jumped to the same side."""
    prices = [q.price for q in good]
    at = max((n for n, seen in enumerate(prices) if seen == price), default=0)
    return any(
        min(abs(step - before), abs(price - before)) > JUMP * before and (step > before) == (price > before)
        for before, step in pairwise(prices[:at])
    )


def exits_on_their_side(evidence: Evidence) -> Iterator[Breach]:
    """I25: a long leaves by its stop at or below it and by its target at or above it, a short the other way round."""
    for index, said, fired in _fired(evidence):
        sides = {
            p.side
            for x in evidence.last_lists(fired["account"], index, 3)
            for p in x.positions
            if p.symbol == fired["symbol"]
        }
        sides |= _true_sides(evidence, index, fired["account"], fired["symbol"])
        price = Decimal(fired["price"])
        for pattern, sign in ((STOP, 1), (TARGET, -1)):
            level = pattern.search(said.text)
            if level is None or len(sides) != 1:
                continue
            worse = (Decimal(level[1]) - price) * sign * (1 if sides == {Side.LONG} else -1)
            if worse < -TICK:
                yield Breach("I25", f"{fired['symbol']} left at {price} by {level[0]}", said.at)


def exits_are_armed(evidence: Evidence) -> Iterator[Breach]:
    """I25: nothing leaves by an exit without a person while it is disarmed, nor ever where each waits for one."""
    life, ever = 0, False
    armed: dict[int, bool] = {}
    for event in evidence.events:
        match event:
            case Armed(life=life, on=on):
                armed[life] = on
                ever = ever or on
            case Said(text=text) if FIRED.match(text) and not armed.get(life, False):
                yield Breach("I25", f"fired while disarmed: {text}", event.at)
            case Durable(record=PlanApproved(plan, "rule:exits")) if not ever:
                yield Breach("I25", f"{plan.id} was approved by an exit that was never armed", event.at)
            case _:
                pass


def _fired(evidence: Evidence) -> Iterator[tuple[int, Said, re.Match[str]]]:
    for index, event in enumerate(evidence.events):
        if isinstance(event, Said) and (found := FIRED.match(event.text)):
            yield index, event, found


def _true_sides(evidence: Evidence, index: int, account: str, symbol: str) -> set[Side]:
    """What was held in truth since the last list: that may be older than a turn by hand, which a stream told."""
    listed = evidence.listed_at(account, index)
    held = [t.since(listed, index) for k, t in evidence.held.items() if (k.account, k.symbol) == (account, symbol)]
    return {Side.LONG if quantity > 0 else Side.SHORT for quantities in held for quantity in quantities if quantity}


def _quotes(evidence: Evidence, index: int, account: str, symbol: str, known: float) -> list[Quoted]:
    """Since the last share split, which made it another share, and of this life: a restart forgets prices.

    Of a split after ``known`` the program cannot know, and a price of before it is as good as any.
    """
    splits = _splits(evidence, index, account, symbol, known)
    since = [i for i, e in enumerate(evidence.events[:index]) if isinstance(e, Began)]
    split = max((at for at, _ in splits), default=0.0)  # a price of before it may come late
    return [
        e
        for e in evidence.events[max(since, default=0) : index]
        if isinstance(e, Quoted) and (e.account, e.symbol) == (account, symbol) and e.stamped >= split
    ]


def _splits(evidence: Evidence, index: int, account: str, symbol: str, known: float) -> list[tuple[float, Decimal]]:
    """When the shares were split, and the new shares for an old share."""
    foreign = evidence.foreign.get((account, symbol), ())
    return [(f.at, f.ratio) for i, f in foreign if i < index and f.at <= known and f.ratio is not None]


def _near(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= JUMP * max(one, other)


def sane(quoted: Quoted) -> bool:
    """Whether all that a quote says is a price, and its sides are not crossed."""
    values = (quoted.bid, quoted.ask, quoted.price)
    return all(v.is_finite() and v > 0 for v in values) and quoted.bid <= quoted.ask

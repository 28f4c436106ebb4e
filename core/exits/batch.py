"""The exit rules over many positions of one symbol at once: the same arithmetic on columns, with equal results.

Every operation here is the operation of :mod:`core.exits.state`, in the same order, on 64-bit numbers. So a position's
stop, target, peak and exit are the same to the last bit, for any number of positions. One price has a fixed cost of
some 13 µs, so columns pay off from about ``WORTHWHILE`` positions on.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.exits import target
from core.exits.factors import TargetTables
from core.exits.rules import TOLERANCE, Rules
from core.exits.signal import Leaving
from core.exits.state import MARGIN, BarUpdate, ExitState

WORTHWHILE = 50
FLOATS = ("entry", "leverage", "origin", "opened", "stop", "target", "peak", "floor", "ceiling")
PLACES = ("trail", "behind")
NOTHING = -1

K = TypeVar("K", bound=Hashable)
Column = NDArray[np.float64]
Places = NDArray[np.int16]
Row = dict[str, NDArray[Any]]  # all of every column, or the same slice of every column


class Columns(Generic[K]):
    """Guards that share their rules, each under a key. Removing a guard may move another row; its key stays."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.keys: list[K] = []
        self._places: dict[K, int] = {}
        self._columns: Row = {name: np.empty(0) for name in FLOATS}
        self._columns |= {name: np.empty(0, np.int16) for name in PLACES}
        self._keeps = np.array(rules.keeps)
        self._exits = np.array(rules.exits, dtype=object)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def put(self, key: K, guard: ExitState) -> None:
        """Add a copy of a guard, or replace the guard under this key."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.keys)
            self.keys.append(key)
            if place == len(self._columns["entry"]):
                for name, column in self._columns.items():
                    self._columns[name] = np.resize(column, max(WORTHWHILE, 2 * place))
        for name in (*FLOATS, *PLACES):
            self._columns[name][place] = getattr(guard, name)

    def get(self, key: K) -> ExitState:
        """Return a copy of the guard under this key. Raises KeyError without a guard."""
        place = self._places[key]
        return ExitState(self.rules, **{name: self._columns[name][place].item() for name in (*FLOATS, *PLACES)})

    def remove(self, key: K) -> None:
        """Remove the guard under this key. Raises KeyError without a guard."""
        place, last = self._places.pop(key), self.keys.pop()
        if place < len(self.keys):
            for column in self._columns.values():
                column[place] = column[len(self.keys)]
            self.keys[place], self._places[last] = last, place

    def step(self, price: float) -> Leaving[K]:
        """Apply one usable price. Return the positions to close and their exits."""
        size = len(self.keys)
        if not size or not 0.0 < price < np.inf:
            return Leaving()
        u = price * self.rules.sign
        floor, ceiling = self._columns["floor"][:size], self._columns["ceiling"][:size]
        awake = (floor >= u) | (ceiling < u)
        number = int(np.count_nonzero(awake))
        if not number:
            return Leaving()
        if number == size:
            rows = {name: column[:size] for name, column in self._columns.items()}
            found = _evaluate(rows, self.rules, self._keeps, u)
            keys = self.keys
        else:
            which = np.flatnonzero(awake)
            rows = {name: column[which] for name, column in self._columns.items()}
            found = _evaluate(rows, self.rules, self._keeps, u)
            for name in ("stop", "peak", "floor", "ceiling", "behind"):
                self._columns[name][which] = rows[name]
            keys = [self.keys[place] for place in which.tolist()] if found is not None else []
        return Leaving() if found is None else self._named(keys, found)

    def _named(self, keys: list[K], found: Places) -> Leaving[K]:
        leaving = np.flatnonzero(found != NOTHING)
        if len(leaving) < len(keys):
            return Leaving([keys[place] for place in leaving.tolist()], self._exits[found[leaving]].tolist())
        return Leaving(keys.copy(), self._exits[found].tolist())

    def close_bar(self, news: BarUpdate, price: float, now: float) -> None:
        """Apply a closed bar's update, as :func:`core.exits.state.close_bar` does."""
        size = len(self.keys)
        if not size or not self.rules.adaptive or not 0.0 < price < np.inf:
            return
        rows = {name: column[:size] for name, column in self._columns.items()}
        _move_targets(rows, self.rules, news.push, price * self.rules.sign, now)
        rows["trail"][:] = news.trail
        rows["floor"][:], rows["ceiling"][:] = np.inf, -np.inf


def _evaluate(rows: Row, rules: Rules, keeps: Column, u: float) -> Places | None:
    """Run ``core.exits.state._evaluate`` on columns and change the columns in place.

    Return each row's place in ``rules.exits`` (``NOTHING``: no exit), or None when no row has an exit.
    """
    entry, sign, peak = rows["entry"], rules.sign, rows["peak"]
    move = (u - entry) / entry * sign
    np.maximum(peak, u, out=peak)
    best = (peak - entry) / entry * sign
    if rules.trails:
        _ratchet(rows, rules, keeps, u, move, best)
    found = _matching(rows, rules, u, move, best)
    leaving = found != NOTHING
    if leaving.all():
        rows["floor"][:] = np.inf
        return found
    restless = leaving | (move >= rules.smart_least)
    rows["floor"][:] = _floor(rows, rules, best)
    np.copyto(rows["floor"], np.inf, where=restless)
    np.copyto(rows["ceiling"], u, where=~restless & (rows["ceiling"] < u))
    return found if leaving.any() else None


def _ratchet(rows: Row, rules: Rules, keeps: Column, u: float, move: Column, best: Column) -> None:
    high, middle, low = rules.profits
    places = rows["trail"] + (move > low) + (move > middle) + (move > high)
    candidate = u * keeps[places]
    better = candidate > rows["stop"]
    if not rules.always:
        better &= best >= rules.activation
    np.copyto(rows["stop"], candidate, where=better)
    np.copyto(rows["behind"], places, where=better, casting="same_kind")


def _matching(rows: Row, rules: Rules, u: float, move: Column, best: Column) -> Places:
    """Return each row's place of its exit. The rules run from last to first, so that an earlier rule overwrites."""
    leverage = rows["leverage"]
    slack = leverage * TOLERANCE
    roi = (move - rules.cost) * leverage - slack
    peak = (best - rules.cost) * leverage + slack
    found = np.full(len(move), NOTHING, np.int16)
    armed = peak >= rules.min_peak
    if armed.any():
        upper = roi + 2 * slack
        for kept, start, end, place in reversed(rules.drawdown):
            np.copyto(found, place, where=armed & (roi <= peak * kept) & (upper >= start) & (roi <= end))
    if (move >= rules.smart_least).any():
        for level, further, place in reversed(rules.smart):
            np.copyto(found, place, where=(move >= level) & (rows["target"] > u * further))
    np.copyto(found, rules.take_profit, where=rows["target"] <= u)
    stopped = rows["stop"] >= u
    if stopped.any():
        np.copyto(found, rules.stop_loss, where=stopped)
        np.copyto(found, rules.trailing_stop, where=stopped & (rows["behind"] >= 0))
    if (roi <= rules.mildest).any():
        for level, place in reversed(rules.emergency):
            np.copyto(found, place, where=roi <= level)
    return found


def _floor(rows: Row, rules: Rules, best: Column) -> Column:
    leverage, entry = rows["leverage"], rows["entry"]
    worst: Column | float = rules.mildest
    if rules.drawdown:
        peak = (best - rules.cost) * leverage + leverage * TOLERANCE
        kept = np.maximum(peak * rules.drawdown[-1][0], rules.mildest)
        worst = np.where(peak >= rules.min_peak, kept, rules.mildest)
    loss = entry + entry * rules.sign * (worst / leverage + rules.cost + MARGIN)
    floor: Column = np.fmax(loss, rows["stop"])  # fmax ignores NaN: an unknown loss level leaves the stop
    return floor


def _move_targets(rows: Row, rules: Rules, push: target.Push, u: float, now: float) -> None:
    """Run ``core.exits.target.moved`` on columns."""
    entry, origin, aim, sign, tables = rows["entry"], rows["origin"], rows["target"], rules.sign, rules.aiming
    factor = push.factor * _personal(now - rows["opened"], (u - entry) / entry * sign, tables)
    np.copyto(factor, tables.least, where=factor < tables.least)
    np.copyto(factor, tables.most, where=factor > tables.most)
    wanted = origin + sign * origin * (rules.reach * factor)
    start: Column = np.where(np.isnan(entry), origin, entry)
    if push.levels:
        levels, befores = np.array((*push.levels, np.inf)), np.array(push.befores)
        nearest = origin + sign * origin * (rules.reach * tables.least)
        places = np.searchsorted(befores, np.maximum(u, nearest), side="right")
        before = np.append(befores, np.inf)[places]
        np.copyto(wanted, before, where=levels[places] < wanted)
    wanted *= 1 - sign * TOLERANCE
    away = (wanted > aim) & (u - start >= tables.hold * (aim - start))
    np.copyto(aim, wanted, where=(aim != np.inf) & ~(wanted <= u) & ~away)


def _personal(age: Column, move: Column, tables: TargetTables) -> Column:
    """Run ``core.exits.target.personal_factor`` on columns."""
    share = np.where(age > 0, age / 3600 / tables.age_hours, 0.0)
    np.copyto(share, 1.0, where=share > 1)
    profit = np.ones(len(move))
    for above, bound, factor in reversed(tables.profit.rows):
        np.copyto(profit, factor, where=move > bound if above else move < bound)
    return (1 - (1 - tables.age_factor) * share) * profit

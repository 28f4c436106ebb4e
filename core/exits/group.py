"""All guards of one symbol: single objects while guards are few, columns when guards are many, with equal results."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from core.exits.batch import WORTHWHILE, Columns
from core.exits.rules import Rules
from core.exits.signal import Leaving
from core.exits.state import ExitState, close_bar, news_of, step
from core.market.indicators import Indicators

K = TypeVar("K", bound=Hashable)


class ExitGroup(Generic[K]):
    """The guards of one symbol by key (an account's position). Each price and each closed bar goes to every guard."""

    def __init__(self, worthwhile: int = WORTHWHILE) -> None:
        self._worthwhile = worthwhile
        self._few: dict[Rules, dict[K, ExitState]] = {}
        self._many: dict[Rules, Columns[K]] = {}
        self._rules: dict[K, Rules] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def __contains__(self, key: object) -> bool:
        return key in self._rules

    def __iter__(self) -> Iterator[K]:
        return iter(self._rules)

    def put(self, key: K, guard: ExitState) -> None:
        """Add a guard, or replace the guard under this key. The group owns the guard from then on."""
        if key in self._rules and self._rules[key] is not guard.rules:
            self.remove(key)
        rules = self._rules[key] = guard.rules
        if rules in self._many:
            self._many[rules].put(key, guard)
            return
        few = self._few.setdefault(rules, {})
        few[key] = guard
        if len(few) >= self._worthwhile:
            columns = self._many[rules] = Columns(rules)
            for name, one in self._few.pop(rules).items():
                columns.put(name, one)

    def get(self, key: K) -> ExitState:
        """Return the guard under this key. ``put`` the guard back after a change. Raises KeyError without a guard."""
        rules = self._rules[key]
        return self._many[rules].get(key) if rules in self._many else self._few[rules][key]

    def remove(self, key: K) -> None:
        """Remove the guard under this key. Raises KeyError without a guard."""
        rules = self._rules.pop(key)
        columns = self._many.get(rules)
        if columns is None:
            del self._few[rules][key]
            return
        columns.remove(key)
        if len(columns) < self._worthwhile // 2:  # half: a guard that comes and goes causes no switch
            self._few[rules] = {name: columns.get(name) for name in columns.keys}
            del self._many[rules]

    def step(self, price: float) -> Leaving[K]:
        """Apply one usable price. Return the positions to close and their exits, again at every price while due."""
        found: Leaving[K] = Leaving()
        for few in self._few.values():
            for key, guard in few.items():
                if (why := step(guard, price)) is not None:
                    found.who.append(key)
                    found.exits.append(why)
        for columns in self._many.values():
            leaving = columns.step(price)
            found.who += leaving.who
            found.exits += leaving.exits
        return found

    def close_bar(self, signals: Indicators, price: float, now: float) -> None:
        """Apply a closed bar's indicators. ``price`` is the last usable price, ``now`` is in seconds since 1970."""
        for rules, few in self._few.items():
            news = news_of(signals, rules)
            for guard in few.values():
                close_bar(guard, news, price, now)
        for rules, columns in self._many.items():
            columns.close_bar(news_of(signals, rules), price, now)

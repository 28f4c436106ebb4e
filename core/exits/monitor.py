"""The exit rules over every held position, at each accepted price. Synchronous; the monitor orders nothing.

Each position has one guard, kept by account and symbol. The monitor opens the guard at the position's first read.
The guard follows entry, leverage and splits. The monitor drops the guard with the position. The caller passes only
usable prices: fresh, accepted, of a readable account. After a split or a share's jump the rules wait for a new read
and a new price.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct, structs

from core.exits import state as exits
from core.exits.rules import Exit, Rule, rules_of
from core.exits.snapshot import ExitSnapshot, resumed, split_since
from core.exits.state import ExitState
from core.exits.symbol import BarChanges, SymbolState
from core.exits.trailing import Distance
from core.exits.view import ExitView, StopMove
from core.market.bars import Bars, Candle
from core.market.price_gate import jumps
from core.market.splits import SPLIT, Rereads, split_ratio
from core.model import Bar, Instrument, InstrumentKey, Kind, Position, PositionKey, move, roi
from core.settings import ExitsOf
from core.units import percent, plain

RATCHETS_KEPT = 20
RATCHET_EVERY = 60.0  # seconds; further moves of the stop within them update the last recorded move
PRECEDENCE = {rule: place for place, rule in enumerate(Rule)}
NO_ENTRY = "entry unknown: no stop, target or return from it"
NO_LEVERAGE = "leverage unknown: no emergency stop"


class ExitSignal(Struct, frozen=True):
    """A position to close, the exit, and the price that triggered the exit."""

    key: PositionKey
    exit: Exit
    price: Decimal
    text: str  # the exit's name and its numbers
    rank: int  # a smaller rank is stronger


class ExitMonitor:
    """The monitor of all positions. Monotonic times order reads and prices; snapshots store wall times."""

    def __init__(self, exits_of: ExitsOf) -> None:
        self._exits_of = exits_of
        self._markets: dict[InstrumentKey, SymbolState] = {}
        self._former: dict[InstrumentKey, list[Candle]] = {}  # bars from before a restart, not used yet
        self._held: dict[PositionKey, Position] = {}
        self._kept: dict[PositionKey, ExitSnapshot] = {}  # snapshots from before a restart, not used yet
        self._due: dict[PositionKey, ExitSignal] = {}
        self._ratchets: dict[PositionKey, deque[StopMove]] = {}
        self._asked: dict[str, float] = {}
        self._rereads = Rereads()
        self._changed: set[PositionKey] = set()
        self._bars = BarChanges()
        self._touched: set[InstrumentKey] = set()  # instruments whose bars changed
        self._wanting: set[InstrumentKey] = set()

    # ------------------------------------------------------------------------------------------------- positions

    def remember(self, kept: Iterable[ExitSnapshot], bars: Mapping[InstrumentKey, list[Candle]]) -> None:
        """Add snapshots and bars from before a restart, for positions already held and for positions still to come."""
        self._former.update(bars)
        for place in [place for place in self._former if place in self._markets]:
            for candle in self._former.pop(place):
                self._markets[place].bars.join(candle)
        for one in kept:
            self._kept[one.key] = one
            position = self._held.pop(one.key, None)
            if position is not None:
                self._open(position)
                self._step_again(one.key)

    def follow(
        self, key: PositionKey, position: Position | None, kind: Kind, stop_pct: Decimal | None, now: float
    ) -> bool:
        """Update one position. Return True when the position must be read again after a split or a jump of its entry.

        ``stop_pct`` is the position's own stop, where flatdeck opened the position with its own stop; else None.
        """
        before = self._held.get(key)
        if position is None:
            self._kept.pop(key, None)
            self._drop(key)
            return False
        if before is None or before.side is not position.side:
            known = self._market(key).former
            self._drop(key)
            self._open(position, stop_pct)
            return self._leapt(key, position.entry, known, now)
        self._held[key] = position
        return before is not position and self._adapt(key, before, position, kind, now)

    def read(self, account: str, asked: float) -> None:
        """Record a read of the account's positions. ``asked`` is the time of the read's request."""
        self._asked[account] = max(asked, self._asked.get(account, asked))

    def keys(self, account: str) -> list[PositionKey]:
        """Return the keys of one account's watched positions."""
        return [k for k in self._held if k.account == account]

    def _open(self, position: Position, stop_pct: Decimal | None = None) -> None:
        key = position.key
        settings = self._exits_of(key.account, key.symbol)
        if stop_pct is not None:
            settings = structs.replace(settings, stop_loss_pct=stop_pct)
        rules, kept = rules_of(settings, position.side), self._kept.pop(key, None)
        opened = None if position.opened_at is None else position.opened_at.timestamp()
        guard = resumed(rules, kept, position, opened) if kept is not None else None
        if guard is None:
            guard = exits.open_guard(rules, position.entry, position.leverage, opened=opened)
        elif kept is not None:
            self._ratchets[key] = deque(kept.ratchets, RATCHETS_KEPT)
            if split_since(kept, position) is not None:
                self._clear(key)
        self._held[key] = position
        self._market(key).guards.put(key, guard)
        self._changed.add(key)

    def _drop(self, key: PositionKey) -> None:
        if self._held.pop(key, None) is None:
            return
        self._due.pop(key, None)
        self._ratchets.pop(key, None)
        guards = self._market(key).guards
        guards.remove(key)
        if not len(guards):
            self._clear(key)
            del self._markets[key.instrument]
        self._changed.add(key)

    def _clear(self, key: PositionKey) -> None:
        """Delete the bars and the last price: after a split old prices no longer apply."""
        market, place = self._market(key), key.instrument
        market.bars, market.last = Bars(), None
        self._bars.gone.add(place)
        self._wanting.add(place)

    def _adapt(self, key: PositionKey, before: Position, position: Position, kind: Kind, now: float) -> bool:
        ratio, market = split_ratio(before, position, shares=kind in SPLIT), self._market(key)
        entry, leverage = position.entry, position.leverage
        if ratio is None and (entry, leverage, position.quantity) == (before.entry, before.leverage, before.quantity):
            return False
        guard = market.guards.get(key)
        if ratio is not None:
            exits.split(guard, ratio)
            self._clear(key)
            self._rereads.split(key, now)
            self._due.pop(key, None)
        exits.changed(guard, entry, leverage)
        market.guards.put(key, guard)
        self._changed.add(key)
        return ratio is not None or self._leapt(key, entry, before.entry, now)

    def _leapt(self, key: PositionKey, entry: Decimal | None, known: Decimal | None, now: float) -> bool:
        """Start a wait when the entry is a jump away from the known price. Return True when the wait started.

        A split and a trade between two reads cause such an entry. Older prices then no longer apply to the position.
        """
        if entry is None or known is None or not jumps(entry, known, self._exits_of(key.account, key.symbol).max_jump):
            return False
        self._rereads.split(key, now)
        self._due.pop(key, None)
        return True

    def _market(self, key: PositionKey) -> SymbolState:
        place = key.instrument
        market = self._markets.get(place)
        if market is None:
            market = self._markets[place] = SymbolState(bars=Bars(self._former.pop(place, ())))
            self._wanting.add(place)
        return market

    # ---------------------------------------------------------------------------------------------------- prices

    def take(
        self, account: str, instrument: Instrument, price: Decimal, received: float, at: datetime
    ) -> list[ExitSignal]:
        """Apply one usable price, received at ``received`` (monotonic) and ``at``. Return the positions to close."""
        place = InstrumentKey(account, instrument.symbol)
        market = self._markets.get(place)
        if market is None:
            return []
        keys = list(market.guards)
        former, most = market.former, self._exits_of(account, instrument.symbol).max_jump
        if former is not None and jumps(price, former, most):
            for key in keys:
                self._rereads.jumped(key, instrument.kind, received, former / price)
        for key in keys:
            self._rereads.read(key, asked=self._asked.get(account, 0.0), priced=received)
        if any(self._rereads.waits(key, received) for key in keys):
            return []
        before = {key: _mark(market.guards.get(key)) for key in keys}
        if market.count(price, at.timestamp()):
            self._wanting.add(place)
        self._touched.add(place)
        market.tick = instrument.tick
        return self._step(market, before, price, at)

    def fill(self, place: InstrumentKey, bars: Sequence[Bar], minute: int) -> int | None:
        """Add a broker's bars of minutes before ``minute``. Return how many were missing; None: they do not fit."""
        market = self._markets.get(place)
        if market is None:
            return 0
        self._touched.add(place)
        return market.fill(bars, minute, self._exits_of(*place).max_jump)

    def wanting(self) -> set[InstrumentKey]:
        """Return instruments that use bars and lack some since the last call: new, split, or after a price gap."""
        wanting, self._wanting = self._wanting, set()
        return {place for place in wanting if place in self._markets and self._exits_of(*place).adaptive}

    def waits(self, account: str, symbol: str, now: float) -> bool:
        """Return True when a position of this symbol must be read again before its rules continue."""
        market = self._markets.get(InstrumentKey(account, symbol))
        return market is not None and any(self._rereads.waits(key, now) for key in market.guards)

    def _step(
        self, market: SymbolState, before: dict[PositionKey, tuple[float, ...]], price: Decimal, at: datetime
    ) -> list[ExitSignal]:
        """Apply one price to all guards. ``before``: each guard's mark before the price and the bar that closed."""
        leaving = dict(market.guards.step(exits.as_float(price)))
        for key, mark in before.items():
            after = _mark(market.guards.get(key))
            if after != mark:
                self._changed.add(key)
            if after[0] != mark[0]:
                self._note_ratchet(key, exits.stop_price(market.guards.get(key), market.tick), at)
            if key not in leaving:
                self._due.pop(key, None)
        found = [self._named(key, market, why, price) for key, why in leaving.items()]
        self._due.update({due.key: due for due in found})
        return found

    def _step_again(self, key: PositionKey) -> None:
        """Apply the last price to a guard that replaced another. An exit at this price is ignored."""
        market = self._market(key)
        if market.last is not None:
            market.guards.step(exits.as_float(market.last))

    def _note_ratchet(self, key: PositionKey, stop: Decimal | None, at: datetime) -> None:
        past = self._ratchets.setdefault(key, deque(maxlen=RATCHETS_KEPT))
        if stop is None:
            return
        if past and (at - past[-1].at).total_seconds() < RATCHET_EVERY:
            past[-1] = StopMove(past[-1].at, stop)
        else:
            past.append(StopMove(at, stop))

    def _named(self, key: PositionKey, market: SymbolState, why: Exit, price: Decimal) -> ExitSignal:
        position, guard = self._held[key], market.guards.get(key)
        gain = roi(position.side, position.entry, price, position.leverage, guard.rules.settings.fees)
        words = [f"price {plain(price)}"]
        if why.rule is Rule.STOP and (stop := exits.stop_price(guard, market.tick)) is not None:
            words.append(f"stop {plain(stop)}")
        if why.rule is Rule.TARGET and (target := exits.target_price(guard, market.tick)) is not None:
            words.append(f"target {plain(target)}")
        if gain is not None:
            words.append(f"roi {percent(gain)} %")
        rank = PRECEDENCE[why.rule] * 100 + guard.rules.exits.index(why)
        return ExitSignal(key, why, price, f"{why.reason} ({', '.join(words)})", rank)

    # ------------------------------------------------------------------------------------------------- results

    def due(self) -> list[ExitSignal]:
        """Return the positions that had to close at the latest price."""
        return [self._due[key] for key in sorted(self._due)]

    def changed(self) -> dict[PositionKey, ExitSnapshot | None]:
        """Return snapshots of the guards that changed since the last call; None for a dropped guard."""
        keys, self._changed = self._changed, set()
        return {key: self._kept_of(key) for key in keys}

    def bar_changes(self) -> BarChanges:
        """Return the changes of bars since the last call, to be saved."""
        found, self._bars = self._bars, BarChanges()
        for place in self._touched:
            market = self._markets.get(place)
            changed = {} if market is None else market.bars.changed()
            found.candles.update({(place, minute): candle for minute, candle in changed.items()})
        self._touched.clear()
        return found

    def _kept_of(self, key: PositionKey) -> ExitSnapshot | None:
        position = self._held.get(key)
        if position is None:
            return None
        saved = exits.saved(self._market(key).guards.get(key))
        return ExitSnapshot(key, position.side, position.quantity, saved, tuple(self._ratchets.get(key, ())))

    def view(self, key: PositionKey, tick: Decimal) -> ExitView | None:
        """Return the position's stop and target with the reasons; None when the position is not held."""
        position = self._held.get(key)
        if position is None:
            return None
        market = self._market(key)
        guard = market.guards.get(key)
        stop, target, last = exits.stop_price(guard, tick), exits.target_price(guard, tick), market.last
        now = exits.distance_at(guard, exits.as_float(last)) if last is not None else None
        behind = exits.distance_behind(guard) or now
        trail, factors = (None, None) if behind is None else _explained(behind)
        sign, entry, due = position.side.sign, position.entry, self._due.get(key)
        progress = None
        if last is not None and entry is not None and target is not None and sign * (target - entry) > 0:
            progress = (last - entry) / (target - entry)
        return ExitView(
            price=last,
            stop=stop,
            target=target,
            peak=exits.peak_price(guard),
            initial=guard.behind < 0,
            away=None if last is None or stop is None else sign * (last - stop) / last,
            trail=trail,
            base=guard.rules.settings.trailing_base,
            factors=factors,
            progress=progress,
            move=None if last is None else move(position.side, entry, last),
            due=None if due is None else due.exit.reason,
            ratchets=tuple(self._ratchets.get(key, ())),
            note=_unknown(guard, position),
        )


@lru_cache(maxsize=1024)
def _explained(distance: Distance) -> tuple[Decimal, tuple[Decimal, Decimal, Decimal, Decimal]]:
    """Return a distance and its factors as decimals. Cached: few distances exist, and every position shows one."""
    parts = (distance.volatility, distance.profit, distance.momentum, distance.bounds)
    volatility, profit, momentum, bounds = (exits.as_decimal(part) for part in parts)
    return exits.as_decimal(distance.distance), (volatility, profit, momentum, bounds)


def _unknown(guard: ExitState, position: Position) -> str:
    """Return a note about rules that are silent because entry or leverage is unknown; "" when no rule is."""
    if position.entry is None:
        return NO_ENTRY
    return NO_LEVERAGE if position.leverage is None and guard.rules.emergency else ""


def _mark(guard: ExitState) -> tuple[float, ...]:
    return guard.stop, guard.target, guard.peak, guard.trail, guard.behind

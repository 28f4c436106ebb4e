"""The exit rules over every held position, at each accepted price. Synchronous; the monitor orders nothing.

Each position has one guard, kept by account and symbol. The monitor opens the guard at the position's first read.
The guard follows entry, leverage and splits. The monitor drops the guard with the position. The caller passes only
usable prices: fresh, accepted, of a readable account. After a split or a share's jump the rules wait for a new read
and a new price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import inf

from msgspec import structs

from core.exits import state as exits
from core.exits.renames import Renames
from core.exits.rules import rules_of
from core.exits.signal import ExitSignal, signal_of
from core.exits.snapshot import ExitSnapshot, basis_since, resumed, saved, split_since
from core.exits.state import ExitState
from core.exits.symbol import BarChanges, SymbolState
from core.exits.view import ExitView, StopMove, add_stop_move, view_of
from core.market.bars import Bars, Candle
from core.market.price_gate import jumps
from core.market.splits import SPLIT, PriceGap, Rereads, basis_ratio, split_ratio
from core.model import Bar, Instrument, InstrumentKey, Position, PositionKey
from core.settings import ExitsOf
from core.units import ONE

TRADE_SHOWS = 60.0  # seconds: from a trade to the last list that shows the trade; longer than ``renames.MOMENT``


class ExitMonitor:
    """The monitor of all positions. Monotonic times order reads and prices; snapshots store wall times."""

    def __init__(self, exits_of: ExitsOf) -> None:
        self._exits_of = exits_of
        self._markets: dict[InstrumentKey, SymbolState] = {}
        self._former: dict[InstrumentKey, list[Candle]] = {}  # bars from before a restart, not used yet
        self._held: dict[PositionKey, Position] = {}
        self._kept: dict[PositionKey, ExitSnapshot] = {}  # snapshots from before a restart, not used yet
        self._due: dict[PositionKey, ExitSignal] = {}
        self._ratchets: dict[PositionKey, tuple[StopMove, ...]] = {}
        self._asked: dict[str, float] = {}
        self._rereads = Rereads()
        self._renames = Renames()
        self._known: set[str] = set()  # accounts whose positions were read
        self._traded: dict[InstrumentKey, float] = {}  # when a trade was last seen
        self._changed: set[PositionKey] = set()
        self._basis: dict[PositionKey, Decimal] = {}  # old over new entry of a share, until a price explains it
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
        self, key: PositionKey, position: Position | None, traits: Instrument, stop_pct: Decimal | None, now: float
    ) -> bool:
        """Update one position. Return True when the position must be read again after a split or a jump of its entry.

        ``stop_pct`` is the position's own stop, where flatdeck opened the position with its own stop; else None.
        """
        before = self._held.get(key)
        if position is None:
            self._kept.pop(key, None)
            if (snapshot := self._kept_of(key)) is not None:
                self._renames.add_vanished(snapshot, now)
            self._drop(key)
            return False
        if before is None or before.side is not position.side:
            known = self._market(key).former
            self._drop(key)
            market = self._market(key)
            market.kind, market.venue_id = traits.kind, traits.venue_id
            if key not in self._kept:
                self._renames.add_appeared(key, now if key.account in self._known else -inf)
            self._open(position, stop_pct)
            return self._leapt(key, position.entry, known, now)
        self._held[key] = position
        market = self._market(key)
        market.kind, market.venue_id = traits.kind, traits.venue_id
        return before is not position and self._adapt(key, before, position, now)

    def note_trade(self, place: InstrumentKey, now: float) -> None:
        """Record that a trade on an instrument was seen: the trade explains the position's next change."""
        self._traded[place] = now

    def carry_renamed(self, account: str, now: float) -> list[tuple[PositionKey, PositionKey]]:
        """Give the levels of vanished positions to the same positions under new names. Return old and new keys."""
        held = [(self._held[key], self._market(key).venue_id) for key in self.keys(account)]
        traded = {place for place, at in self._traded.items() if now - at <= TRADE_SHOWS}
        kept = [snapshot for snapshot in self._kept.values() if snapshot.key not in self._held]
        renamed = []
        for snapshot, position in self._renames.find_former(account, held, kept, traded, now):
            old, key = snapshot.key, position.key
            self._kept.pop(old, None)
            self._kept[key] = structs.replace(snapshot, key=key)
            self._due.pop(key, None)
            self._open(position)
            self._changed.add(old)
            renamed.append((old, key))
        self._known.add(account)
        return renamed

    def note_read(self, account: str, asked: float) -> None:
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
        shares = self._market(key).kind in SPLIT
        guard = resumed(rules, kept, position, opened, shares=shares) if kept is not None else None
        if guard is None:
            guard = exits.open_guard(rules, position.entry, position.leverage, opened=opened)
        elif kept is not None:
            self._ratchets[key] = kept.ratchets
            if split_since(kept, position) is not None:
                self._clear(key)
            elif shares and (basis := basis_since(kept, position)) is not None:
                self._basis[key] = basis
        self._held[key] = position
        self._market(key).guards.put(key, guard)
        self._changed.add(key)

    def _drop(self, key: PositionKey) -> None:
        if self._held.pop(key, None) is None:
            return
        for forgotten in (self._due, self._ratchets, self._basis):
            forgotten.pop(key, None)
        guards = self._market(key).guards
        guards.remove(key)
        if not len(guards):
            self._clear(key)
            del self._markets[key.instrument]
        self._changed.add(key)

    def _clear(self, key: PositionKey) -> None:
        """Delete the bars and the last price: after a split old prices no longer apply."""
        market, place = self._market(key), key.instrument
        market.bars, market.last, market.gap = Bars(), None, PriceGap()
        self._bars.gone.add(place)
        self._wanting.add(place)

    def _adapt(self, key: PositionKey, before: Position, position: Position, now: float) -> bool:
        market = self._market(key)
        shares, entry = market.kind in SPLIT, position.entry
        ratio = split_ratio(before, position, shares=shares)
        same = (entry, before.leverage, before.quantity) == (before.entry, position.leverage, position.quantity)
        if ratio is None and same:
            return False
        guard = market.guards.get(key)
        basis = basis_ratio(before, position) if shares and ratio is None and not self._was_traded(key, now) else None
        if ratio is not None:
            exits.split(guard, ratio, market.last if market.gap.preceded(ratio, now) else None)
            self._clear(key)
        elif position.quantity != before.quantity:
            self._traded[key.instrument] = now
        if ratio is not None or basis is not None:
            self._rereads.split(key, now)
            self._due.pop(key, None)
        if basis is not None:
            self._basis[key] = self._basis.get(key, ONE) * basis
        elif entry != before.entry:
            self._basis.pop(key, None)
        kept = basis is not None or entry == before.entry
        exits.changed(guard, exits.entry_price(guard) if kept else entry, position.leverage)
        market.guards.put(key, guard)
        self._changed.add(key)
        return ratio is not None or basis is not None or self._leapt(key, entry, before.entry, now)

    def _was_traded(self, key: PositionKey, now: float) -> bool:
        return now - self._traded.get(key.instrument, -inf) <= TRADE_SHOWS

    def _settle_basis(self, key: PositionKey, market: SymbolState, gap: PriceGap, now: float) -> None:
        """Scale the levels by a changed entry when the price made the same step. ``gap`` includes the new price."""
        ratio = self._basis.get(key)
        if ratio is None:
            return
        guard = market.guards.get(key)
        late = gap is market.gap
        explained = gap.preceded(ratio, now) if late else gap.explains(ratio)
        if not explained and not (market.former is None and exits.peak_price(guard) is None):
            return
        del self._basis[key]
        exits.split(guard, ratio, market.last if late else None)
        exits.changed(guard, self._held[key].entry, self._held[key].leverage)
        self._clear(key)
        market.guards.put(key, guard)
        self._changed.add(key)

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

    def apply_price(
        self, account: str, instrument: Instrument, price: Decimal, received: float, at: datetime
    ) -> list[ExitSignal]:
        """Apply one usable price, received at ``received`` (monotonic) and ``at``. Return the positions to close."""
        place = InstrumentKey(account, instrument.symbol)
        market = self._markets.get(place)
        if market is None:
            return []
        keys, former = list(market.guards), market.former
        most = self._exits_of(account, instrument.symbol).max_jump
        if former is not None and market.may_be_split(price, most):
            for key in keys:
                self._rereads.jumped(key, instrument.kind, received, former / price)
        for key in keys:
            self._rereads.read(key, asked=self._asked.get(account, 0.0), priced=received)
        if any(self._rereads.waits(key, received) for key in keys):
            return []
        gap = market.gap if former is None else market.gap.after(former, price, received)
        for key in keys:
            self._settle_basis(key, market, gap, received)
        market.gap = gap
        before = {key: _mark(market.guards.get(key)) for key in keys}
        if market.count(price, at.timestamp()):
            self._wanting.add(place)
        self._touched.add(place)
        market.tick = instrument.tick
        return self._step(market, before, price, at)

    def fill_bars(self, place: InstrumentKey, bars: Sequence[Bar], minute: int) -> int | None:
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

    def waits_for_read(self, account: str, symbol: str, now: float) -> bool:
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
                stop = exits.stop_price(market.guards.get(key), market.tick)
                self._ratchets[key] = add_stop_move(self._ratchets.get(key, ()), stop, at)
            if key not in leaving:
                self._due.pop(key, None)
        found = [
            signal_of(self._held[key], market.guards.get(key), why, price, market.tick) for key, why in leaving.items()
        ]
        self._due.update({due.key: due for due in found})
        return found

    def _step_again(self, key: PositionKey) -> None:
        """Apply the last price to a guard that replaced another. An exit at this price is ignored."""
        market = self._market(key)
        if market.last is not None:
            market.guards.step(exits.as_float(market.last))

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
        levels = saved(self._market(key).guards.get(key))
        ratchets, venue_id = self._ratchets.get(key, ()), self._market(key).venue_id
        return ExitSnapshot(key, position.side, position.quantity, levels, ratchets, venue_id)

    def view(self, key: PositionKey, tick: Decimal) -> ExitView | None:
        """Return the position's stop and target with the reasons; None when the position is not held."""
        position = self._held.get(key)
        if position is None:
            return None
        market = self._market(key)
        ratchets, due = self._ratchets.get(key, ()), self._due.get(key)
        return view_of(market.guards.get(key), position, market.last, None if due is None else due.exit, ratchets, tick)


def _mark(guard: ExitState) -> tuple[float, ...]:
    return guard.stop, guard.target, guard.peak, guard.trail, guard.behind

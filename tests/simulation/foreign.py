"""What others do to the accounts while the program works: the user by hand, the venue, another flatdeck."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from msgspec import structs

from core.model import Leg, OrderRequest, OrderStatus, OrderType, PositionKey, Side
from tests.simulation.faults import Fault, Faults
from tests.simulation.gate import Gate
from tests.simulation.history import Foreign, History
from tests.simulation.venue import Venue

RATIOS = (Decimal(2), Decimal("1.5"), Decimal("1.2"), Decimal("1.1"), Decimal("1.01"))  # 2:1, 3:2, 6:5, 11:10, 1 %
WITHIN = 12.0  # seconds from the start in which they happen
At = Callable[[float, Callable[[], None]], None]


class Others:
    """Puts what was drawn for a run on the agenda of one account. ``epoch`` is that of the program's journal."""

    def __init__(self, gate: Gate, history: History, moment: Callable[[], float], epoch: str) -> None:
        self._gate = gate
        self._venue: Venue = gate.venue
        self._faults: Faults = gate.faults
        self._history = history
        self._moment = moment
        self._epoch = epoch
        self._ratios: dict[PositionKey, Decimal] = {}

    def schedule(self, at: At, keys: list[PositionKey]) -> None:
        acts: dict[Fault, Callable[[PositionKey], bool]] = {
            Fault.HAND_REDUCES: self._reduce,
            Fault.HAND_CLOSES: self._close,
            Fault.HAND_GROWS: self._grow,
            Fault.HAND_FLIPS: self._flip,
            Fault.HAND_ORDER: self._order,
            Fault.LIQUIDATED: self._liquidate,
            Fault.SPLIT: self._split,
            Fault.OTHER_FLATDECK: self._alien,
            Fault.LIMITS_CHANGED: self._limits,
            Fault.CLOSED_MARKET: self._close_market,
            Fault.SYMBOL_GONE: self._remove,
        }
        self._gate.meanwhile = self._meanwhile
        self._gate.shrink = lambda key: self._event(Fault.HAND_REDUCES, self._reduce, key)()
        for fault, act in acts.items():
            for key in keys:
                if self._faults.drawn(fault):
                    at(self._faults.between(0, WITHIN), self._event(fault, act, key))

    def _event(self, fault: Fault, act: Callable[[PositionKey], bool], key: PositionKey) -> Callable[[], None]:
        def happens() -> None:
            if not self._faults.quiet and act(key):
                self._faults.count(fault)
                ratio = self._ratios.pop(key, None)
                self._history.events.append(Foreign(self._moment(), key.account, key.symbol, fault.value, ratio))

        return happens

    def _meanwhile(self, key: PositionKey) -> None:
        """Somebody acts between the moment an order left and the moment it arrives."""
        acts = {
            Fault.HAND_REDUCES: self._reduce,
            Fault.HAND_CLOSES: self._close,
            Fault.HAND_FLIPS: self._flip,
            Fault.LIMITS_CHANGED: self._limits,
            Fault.HAND_ORDER: self._order,
        }
        fault = list(acts)[int(self._faults.between(0, len(acts)))]
        self._event(fault, acts[fault], key)()

    def _step(self, key: PositionKey) -> Decimal:
        return self._venue.rules[key.symbol].instrument.step

    def _move(self, key: PositionKey, by: Decimal) -> bool:
        if by:
            self._venue.move(key, by, None)
        return bool(by)

    def _reduce(self, key: PositionKey) -> bool:
        held = self._venue.held.get(key, Decimal(0))
        part = abs(held) / 3 // self._step(key) * self._step(key)
        return self._move(key, -part if held > 0 else part)

    def _close(self, key: PositionKey) -> bool:
        return self._move(key, -self._venue.held.get(key, Decimal(0)))

    def _grow(self, key: PositionKey) -> bool:
        held = self._venue.held.get(key, Decimal(0))
        more = self._step(key) * 3
        return self._move(key, more if held > 0 else -more) if held else False

    def _flip(self, key: PositionKey) -> bool:
        held = self._venue.held.get(key, Decimal(0))
        if key.leg is not Leg.NET or self._venue.rules[key.symbol].balance:
            return False
        return self._move(key, -2 * held)

    def _split(self, key: PositionKey) -> bool:
        rules = self._venue.rules[key.symbol]
        if key not in self._venue.held:
            return False
        held = self._venue.held[key]
        ratio = RATIOS[int(self._faults.between(0, len(RATIOS)))]
        if held * ratio % self._step(key):  # the venue pays no fractions out here
            ratio = Decimal(2)
        self._ratios[key] = ratio
        self._venue.rules[key.symbol] = structs.replace(rules, price=rules.price / ratio)
        return self._move(key, held * (ratio - 1))

    def _liquidate(self, key: PositionKey) -> bool:
        if self._venue.rules[key.symbol].balance:
            return False
        for resting in self._venue.live():
            if resting.now.symbol == key.symbol:
                self._venue.end(resting, OrderStatus.CANCELLED, "liquidation")
        return self._close(key)

    def _order(self, key: PositionKey) -> bool:
        """The user places a limit that will not fill."""
        return self._place(key, "")

    def _alien(self, key: PositionKey) -> bool:
        """Another flatdeck's order, or one of ours that our journal knows nothing of."""
        epoch = "zzzz" if self._faults.between(0, 1) < 0.7 else self._epoch
        return self._place(key, f"fd{epoch}{'a' * 26}")

    def _place(self, key: PositionKey, client_id: str) -> bool:
        held = self._venue.held.get(key)
        free = self._venue.free(key) // self._step(key) * self._step(key)
        if not held or free <= 0:
            return False
        side = (Side.LONG if held > 0 else Side.SHORT).closing
        price = self._venue.rules[key.symbol].price * (3 if held > 0 else Decimal("0.3"))
        instrument = self._venue.rules[key.symbol].instrument
        quantity = max(min(free, instrument.min_quantity), self._step(key))
        if quantity < instrument.min_quantity or (client_id and client_id in self._history.alien):
            return False
        request = OrderRequest(
            key.account,
            key.symbol,
            side,
            quantity,
            client_id,
            OrderType.LIMIT,
            price=price,
            reduce_only=instrument.reduce_only,
            leg=key.leg,
        )
        if client_id and self._venue.find(client_id, None, 0.0):
            return False
        resting = self._venue.place(request, None)
        if client_id:
            self._history.alien.add(resting.now.id)
        return True

    def _limits(self, key: PositionKey) -> bool:
        rules = self._venue.rules[key.symbol]
        instrument = structs.replace(rules.instrument, step=rules.instrument.step * 10, max_market=None)
        if self._faults.between(0, 1) < 0.5:
            instrument = structs.replace(rules.instrument, min_quantity=rules.instrument.step * 20, max_market=None)
        self._venue.rules[key.symbol] = structs.replace(rules, instrument=instrument)
        return True

    def _close_market(self, key: PositionKey) -> bool:
        self._gate.close_market(self._faults.between(1, 200), says_when=self._faults.between(0, 1) < 0.7)
        return True

    def _remove(self, key: PositionKey) -> bool:
        self._gate.remove(key.symbol)
        return True

"""Everything of one run that outlives a process: the venues, the wires, the disk, the faults and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count

from msgspec import structs

from core.engine.engine import Engine
from core.journal.journal import Journal
from core.link.messages import LogRow
from core.model import OrderType, PositionKey
from core.ports import Capabilities
from tests.simulation.dice import dice
from tests.simulation.disk import Disk, platter
from tests.simulation.faults import Fault, Faults
from tests.simulation.focus import focus_of
from tests.simulation.foreign import Others
from tests.simulation.gate import Gate
from tests.simulation.history import Armed, Began, Facts, Foreign, History, Left, Quiet, Said
from tests.simulation.life import Life
from tests.simulation.lists import Lists
from tests.simulation.loop import Loop
from tests.simulation.market import Market
from tests.simulation.matching import Matching
from tests.simulation.scenario import Place, Scenario
from tests.simulation.venue import Venue
from tests.simulation.wire import Wire

SUSPENDS = 0.002
MOVES = 90.0  # seconds in which prices move
FAULTS_OF_OURS = ("an event could not be taken in", "a part of the engine failed")
FAULT_IN_A_CLOSE = "a fault in the program"
CAUTION = Decimal("0.99")  # what a close would get is a little less than the price
EPOCH = "sim1"
FIRES = "a stop at the venue fired"


class World:
    """Everything of one run that outlives a process."""

    def __init__(self, scenario: Scenario, without: Iterable[Fault], fifo: bool | None) -> None:
        seed = scenario.seed
        self.scenario = scenario
        self.history = History()
        self.loop = Loop(dice(seed, "loop"), fifo=scenario.fifo if fifo is None else fifo)
        focus = focus_of(seed)
        self.faults = Faults(dice(seed, "faults"), without, focus.chances if focus else {})
        self.data = platter(EPOCH)
        self.gates: dict[str, Gate] = {}
        self.lists: dict[str, Lists] = {}
        self.life: Life | None = None
        self._nth = 0
        self._numbers = count(1)
        ladder = scenario.settings.ladder
        self.history.limits = {
            "attempts": ladder.attempts,
            "tier_timeout": ladder.tier_timeout,
            "total_timeout": ladder.total_timeout,
            "resume_within": ladder.resume_within,
        }
        self.history.watched = scenario.watches
        self.history.protects = scenario.protects
        self.history.stretched = not {Fault.SUSPENDED, Fault.CLOSED_MARKET}.isdisjoint(self.faults.chance)
        for place in scenario.places:
            self._open(place)

    def _open(self, place: Place) -> None:
        """An account with its positions and the user's orders."""
        account, loop = place.account.id, self.loop
        record = self.history.events.append
        venue = Venue(place.account, place.manners, dict(place.rules), record=record, moment=loop.time)
        for key, quantity in place.held.items():
            venue.move(key, quantity, None)
        for key, kind, quantity in place.orders:
            if quantity < place.rules[key.symbol].instrument.min_quantity or venue.free(key) < quantity:
                continue
            request = venue.stop_order(key, quantity)
            if kind == "limit":
                price = place.rules[key.symbol].price * 2
                request = structs.replace(request, type=OrderType.LIMIT, trigger=None, price=price)
            venue.place(request, None)
        matching = Matching(venue, self.faults, lambda after, what: loop.at(loop.time() + after, what))
        gate = self.gates[account] = Gate(venue, self.faults, matching, loop.time)
        self.lists[account] = Lists(venue, self.faults, loop.time, gate.gone)
        Others(gate, self.history, loop.time, EPOCH).schedule(loop.at, list(place.held))
        if self.scenario.exits:
            roll = dice(self.scenario.seed, f"market {account}")
            moved = self._firing(account, matching) if self.scenario.protects else lambda _: None
            Market(venue, roll, lambda: self.faults.quiet, moved).schedule(loop.at, 0.0, MOVES)
            ages = self.scenario.settings.exits
            self.history.ages[account] = ages.max_price_age if place.streams else ages.max_price_age_polling
        rules = place.rules.items()
        self.history.prices.update({(account, s): r.price for s, r in rules})
        self.history.facts[account] = Facts(
            account,
            place.manners.lag,
            place.manners.expiry,
            {s: r.instrument.reduce_only for s, r in rules},
            {s: r.balance for s, r in rules},
        )

    def _firing(self, account: str, matching: Matching) -> Callable[[str], None]:
        """What a price does to stops of the program: for all else that goes on there it is somebody else's doing."""

        def moved(symbol: str) -> None:
            for _ in matching.fire(symbol):
                self.history.events.append(Foreign(self.loop.time(), account, symbol, FIRES))

        return moved

    def begin(self) -> Life:
        """A new process."""
        self._nth += 1
        life = Life(self._nth, self.loop, dice(self.scenario.seed, f"life{self._nth}"), self._record, self._numbers)
        self.life = life
        return life

    def _record(self, event: object) -> None:
        self.history.events.append(event)  # type: ignore[arg-type]  # one of them

    async def engine(self, life: Life, mode: str) -> tuple[Engine, Journal]:
        """A process's engine, on what the disk holds."""
        journal = await Journal.over(Disk(self.data, life, self.faults), life, life.ids)
        life.record(Began(life.at, life.nth, journal.epoch, mode == "one-shot"))
        life.record(Armed(life.at, life.nth, mode == "service" and self.scenario.exits == "auto"))
        wires = [self._wire(life, place) for place in self.scenario.places]
        engine = Engine(
            self.scenario.settings, wires, clock=life, ids=life.ids, journal=journal, lasting=mode == "service"
        )

        def said(row: LogRow) -> None:
            life.record(Said(life.at, row.level, row.text, row.account))
            ours = row.text.startswith(FAULTS_OF_OURS) or FAULT_IN_A_CLOSE in row.text
            if ours and "JournalError" not in row.text:  # a full disk ends parts of the engine, loudly
                self.history.errors.append(row.text)

        engine.on_log(said)
        return engine, journal

    def _wire(self, life: Life, place: Place) -> Wire:
        able = Capabilities(place.tiers, place.manners.expiry, place.manners.lag, place.streams, protective_stops=True)
        account = place.account.id
        return Wire(life, self.gates[account], self.lists[account], able)

    def suspend(self) -> float:
        if self.faults.between(0, 1) < SUSPENDS and self.faults.fires(Fault.SUSPENDED):
            return self.faults.between(0.5, 40)
        return 0.0

    def quieten(self) -> None:
        """From now on nothing goes wrong, and what was under way at the venues comes to its end."""
        self.faults.quiet = True
        for gate in self.gates.values():
            gate.quiet()
            gate.matching.settle()
        self.history.events.append(Quiet(self.loop.time()))

    def held(self) -> dict[PositionKey, Decimal]:
        """What all venues truly hold."""
        return {k: q for gate in self.gates.values() for k, q in gate.venue.held.items()}

    def tell_prices(self) -> None:
        """As they are, to whom it streams."""
        for gate in self.gates.values():
            for symbol in gate.venue.rules:
                gate.venue.priced(symbol)

    def left(self, key: PositionKey) -> Left:
        gate = self.gates[key.account]
        held = gate.venue.held.get(key, Decimal(0))
        instrument = gate.venue.rules[key.symbol].instrument
        exempt = instrument.reduce_only and instrument.minimum_exempt
        whole = abs(held) // instrument.step * instrument.step
        price = gate.venue.price(key.symbol)
        enough = exempt or (whole >= instrument.min_quantity and whole * price * CAUTION >= instrument.min_cost)
        return Left(self.loop.time(), key, held, whole > 0 and enough and not gate.gone(key.symbol))

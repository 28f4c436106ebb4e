"""One run: a scenario from its seed, lives of the program until all is done, a quiet end, and the evidence."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from itertools import count

from msgspec import Struct, structs

from core.engine import Engine
from core.errors import JournalError
from core.journal import Journal
from core.link import LogRow, PlanRequest
from core.model import OrderType, PositionKey
from core.plan import NotApproved, Reason
from core.ports import Capabilities
from tests.simulation.dice import dice
from tests.simulation.disk import Disk, platter
from tests.simulation.faults import Fault, Faults
from tests.simulation.foreign import Others
from tests.simulation.gate import Gate
from tests.simulation.history import Armed, Began, Facts, History, Killed, Left, Quiet, Reported, Said
from tests.simulation.life import Life
from tests.simulation.lists import Lists
from tests.simulation.loop import Deadlock, Endless, Loop
from tests.simulation.loop import Killed as KilledNow
from tests.simulation.market import Market
from tests.simulation.matching import Matching
from tests.simulation.scenario import Ask, Place, Scenario, draw
from tests.simulation.venue import Venue
from tests.simulation.wire import Wire

SUSPENDS = 0.002
MOVES = 90.0  # seconds in which prices move
ARMING = 6.0
LIVES = 3
FAULTS_OF_OURS = ("an event could not be taken in", "a part of the engine failed")
FAULT_IN_A_CLOSE = "a fault in the program"
CAUTION = Decimal("0.99")  # what a close would get is a little less than the price
PLANS = 40
PATIENCE = 300  # seconds that a person leaves a restarted service to what it took up
EPOCH = "sim1"


class Run(Struct):
    """What came of one seed. ``callbacks`` are those of the first life."""

    seed: int
    scenario: Scenario
    history: History
    fired: Counter[Fault]
    callbacks: int
    seconds: float  # virtual


class World:
    """Everything of one run that outlives a process."""

    def __init__(self, scenario: Scenario, without: Iterable[Fault], fifo: bool | None) -> None:
        seed = scenario.seed
        self.scenario = scenario
        self.history = History()
        self.loop = Loop(dice(seed, "loop"), fifo=scenario.fifo if fifo is None else fifo)
        self.faults = Faults(dice(seed, "faults"), without)
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
            market = Market(venue, dice(self.scenario.seed, f"market {account}"), lambda: self.faults.quiet)
            market.schedule(loop.at, 0.0, MOVES)
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

    def left(self, key: PositionKey) -> Left:
        gate = self.gates[key.account]
        held = gate.venue.held.get(key, Decimal(0))
        instrument = gate.venue.rules[key.symbol].instrument
        exempt = instrument.reduce_only and instrument.minimum_exempt
        whole = abs(held) // instrument.step * instrument.step
        price = gate.venue.price(key.symbol)
        enough = exempt or (whole >= instrument.min_quantity and whole * price * CAUTION >= instrument.min_cost)
        return Left(self.loop.time(), key, held, whole > 0 and enough and not gate.gone(key.symbol))


async def _work(world: World, life: Life) -> None:
    """The first life: a person asks for plans and confirms them."""
    scenario = world.scenario
    engine, journal = await world.engine(life, scenario.mode)
    await engine.start()
    running = asyncio.ensure_future(engine.run()) if scenario.watches else None
    await asyncio.gather(*(_ask(engine, life, ask) for ask in scenario.asks), _arming(world, engine, life))
    await _close(engine, journal, running)


async def _arming(world: World, engine: Engine, life: Life) -> None:
    """A person disarms, arms again, and disarms before the end, so that nothing is under way then."""
    if not world.scenario.exits:
        return
    roll = dice(world.scenario.seed, f"arming {life.nth}")
    for on in (False, True, False):
        await life.sleep(4 + ARMING * roll.random())
        try:
            engine.sentry.arm(on, engine.sentry.preview().digest)
            life.record(Armed(life.at, life.nth, on))
        except NotApproved:  # each exit waits for a person here
            continue
    await life.sleep(0.5)
    for _ in range(PATIENCE):
        if not any(reason is Reason.CLOSING for reason, _ in engine.situation().blocked.values()):
            break
        await life.sleep(1.0)


async def _ask(engine: Engine, life: Life, ask: Ask) -> None:
    await life.sleep(ask.after)
    plan = await engine.prepare(ask.request)
    await life.sleep(ask.think)
    try:
        report = await engine.execute(plan.id, plan.digest)
        life.record(Reported(life.at, life.nth, report))
    except (NotApproved, JournalError) as error:
        life.record(Said(life.at, "alarm", f"{type(error).__name__}: {error}", None))


async def _close(engine: Engine, journal: Journal, running: asyncio.Future[None] | None) -> None:
    if running is not None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await engine.stop()
    await journal.aclose()


async def _again(world: World, life: Life) -> None:
    """A life after a kill: what was interrupted is taken up at the start."""
    engine, journal = await world.engine(life, world.scenario.mode)
    await engine.start()
    running = asyncio.ensure_future(engine.run()) if world.scenario.exits else None
    await _arming(world, engine, life)
    await life.sleep(0.5)
    for _ in range(PATIENCE):  # a service goes on in the background
        if not any(reason is Reason.CLOSING for reason, _ in engine.situation().blocked.values()):
            break
        await life.sleep(1.0)
    await _close(engine, journal, running)


async def _quiet(world: World, life: Life) -> None:
    """The end: nothing goes wrong any more, and all that is left is closed."""
    await life.sleep(max(30.0, *(p.manners.lag for p in world.scenario.places)))
    engine, journal = await world.engine(life, "one-shot")
    await engine.start()
    for _ in range(PLANS):  # what must be split may take longer than one ladder's limit
        await life.sleep(1.0)
        before = world.held()
        plan = await engine.prepare(PlanRequest("flatten", everything=True))
        report = await engine.execute(plan.id, plan.digest)
        life.record(Reported(life.at, life.nth, report))
        if world.held() in (before, {}):
            break
    await _close(engine, journal, None)


def play(seed: int, *, fifo: bool | None = None, kill_at: int | None = None, without: Iterable[Fault] = ()) -> Run:
    """Run a seed to its end. ``kill_at`` kills the first life after so many callbacks, whatever the seed would do."""
    scenario = draw(seed)
    world = World(scenario, without, fifo)
    history, loop, faults = world.history, world.loop, world.faults
    if Fault.SUSPENDED in faults.chance:
        loop.pause = world.suspend
    first = 0
    try:
        for nth in range(LIVES):
            life = world.begin()
            loop.kill_at = _kill(world, nth, kill_at)
            try:
                loop.live(_work(world, life) if nth == 0 else _again(world, life))
            except KilledNow:
                _bury(world, life)
                faults.count(Fault.KILL)
            except JournalError:  # a disk that fails at the start, or at the very end, ends the process
                _bury(world, life)
            else:
                break
            finally:
                first = first or loop.callbacks
        else:
            faults.quiet = True
        history.errors += loop.errors
        loop.errors.clear()
        loop.kill_at = loop.pause = None
        world.quieten()
        loop.live(_quiet(world, world.begin()))
        history.errors += loop.errors
        history.events.extend(world.left(k) for k in scenario.keys)
    except (Deadlock, Endless) as error:
        history.errors.append(f"{type(error).__name__}: {error}")
        if world.life is not None:
            _bury(world, world.life)
    except Exception as error:  # noqa: BLE001 - whatever escapes is what is looked for
        history.errors.append(f"escaped: {type(error).__name__}: {error}")
        if world.life is not None:
            _bury(world, world.life)
    finally:
        world.data.close()
        loop.close()
    return Run(seed, scenario, history, faults.fired, first, loop.time())


def _kill(world: World, nth: int, kill_at: int | None) -> int | None:
    """After how many callbacks this life ends."""
    faults = world.faults
    if nth == 0 and kill_at is not None:
        return kill_at
    if faults.drawn(Fault.KILL):
        return int(faults.between(1, 900) ** (1.0 if nth == 0 else 0.8))
    return None


def _bury(world: World, life: Life) -> None:
    """The process is gone; a new one begins a little later, or too late."""
    world.history.events.append(Killed(world.loop.time(), life.nth))
    life.dead = True
    pause = world.loop.pause
    world.loop.bury()
    world.loop.pause = pause
    wait = world.faults.between(0.05, 4)
    if world.faults.drawn(Fault.TOO_LATE):
        world.faults.count(Fault.TOO_LATE)
        wait += world.scenario.settings.ladder.resume_within
    world.loop.skip(wait)

"""One run: a scenario from its seed, lives of the program until all is done, a quiet end, and the evidence."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from core.engine.engine import Engine
from core.errors import JournalError
from core.journal.journal import Journal
from core.plans.plan import NotApproved, Reason
from core.plans.request import PlanRequest
from core.venue_stops.service import LATEST
from tests.simulation.dice import dice
from tests.simulation.faults import Fault
from tests.simulation.focus import draw
from tests.simulation.history import Armed, Calm, History, Killed, Reported, Said
from tests.simulation.life import Life
from tests.simulation.loop import Deadlock, Endless, Killed as KilledNow
from tests.simulation.scenario import Ask, Scenario
from tests.simulation.world import World

ARMING = 6.0
LIVES = 3
PLANS = 40
PATIENCE = 300  # seconds that a person leaves a restarted service to what it took up
SETTLES = 8  # seconds, behind what an order may need to arrive and a list to show it


class Run(Struct):
    """What came of one seed. ``callbacks`` are those of the first life."""

    seed: int
    scenario: Scenario
    history: History
    fired: Counter[Fault]
    callbacks: int
    seconds: float  # virtual


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
            engine.arm(on, engine.exit_service.preview().digest)
            life.record(Armed(life.at, life.nth, on))
        except NotApproved:  # each exit waits for a person here
            continue
    await life.sleep(0.5)
    await _idle(engine, life)


async def _idle(engine: Engine, life: Life) -> None:
    """Until no close is in flight: a service goes on in the background."""
    for _ in range(PATIENCE):
        if not any(reason is Reason.CLOSING for reason, _ in engine.situation().blocked.values()):
            return
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
    await _idle(engine, life)
    await _close(engine, journal, running)


async def _calm(world: World, life: Life) -> None:
    """A service that nobody disturbs and that closes nothing puts the stops at the venues in order."""
    manners = [p.manners for p in world.scenario.places]
    await life.sleep(max(30.0, *(m.lag for m in manners)))
    engine, journal = await world.engine(life, "service")
    await engine.start()
    engine.arm(False, None)
    life.record(Armed(life.at, life.nth, on=False))
    running = asyncio.ensure_future(engine.run())
    await _idle(engine, life)
    for _ in range(int(max((LATEST if m.expiry is None else m.expiry) + m.lag for m in manners)) + SETTLES):
        await life.sleep(1.0)
        world.tell_prices()
    left = [world.left(key) for key in world.held()]
    life.record(Calm(life.at, life.nth, {x.key: x.quantity for x in left if x.sellable}))
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
        _end(world)
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


def _end(world: World) -> None:
    """The lives in which nothing goes wrong any more, and what is left then."""
    history, loop = world.history, world.loop
    history.errors += loop.errors
    loop.errors.clear()
    loop.kill_at = loop.pause = None
    world.quieten()
    for last in (_calm, _quiet) if world.scenario.protects else (_quiet,):
        loop.live(last(world, world.begin()))
    history.errors += loop.errors
    history.events.extend(world.left(k) for k in world.scenario.keys)


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

"""I25: a stop that prices have crossed is acted on. What keeps it from that is known, or it is a breach."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from core.model import PositionKey, Side
from core.records import AccountFrozen, PlanEnded
from tests.simulation.check_exits import JUMP, TICK, sane
from tests.simulation.check_quantity import RECENT
from tests.simulation.evidence import Breach, Evidence
from tests.simulation.history import Began, Durable, Levels, Listed, Quoted, Said

STEPS = 4  # young prices in a row beyond the stop, however far apart: the third at the latest is believed
BOUND = 6.0  # seconds of prices beyond the stop, by when something has been said of it
SETTLED = 0.2  # seconds in which an exit is told after its price
PRICES = 5  # at least: one that jumped is believed when others confirm it
YOUNG = 1.0  # seconds: an older one may have been overtaken
PAUSE = 32.0  # seconds after a close, also one that failed, in which its position is left alone, and some
BEGINS = 15.0  # seconds until a service that began reads and watches all that it can


class Streak(Struct):
    """Prices beyond the stop, one after another."""

    index: int
    at: float
    first: Decimal
    stamped: float
    count: int = 1


def crossed_stops_are_acted_on(evidence: Evidence) -> Iterator[Breach]:
    """I25: when ``PRICES`` good prices over ``BOUND`` seconds all lie beyond the stop that is kept of a position, its
    exit is being closed, waits for a person, or the log says why it cannot be.

    Judged where nothing else may keep it: a service that is past its beginning, a list that showed the position since
    the first of the prices, nobody who did something to the instrument, no plan for its instrument in flight or ended
    a moment ago, and an account that is not frozen; not in runs whose clock jumps.
    """
    if evidence.history.stretched:
        return
    begun, levels, streaks = Began(0.0, 0, "", True), dict[PositionKey, Levels](), dict[PositionKey, Streak]()
    for index, event in enumerate(evidence.events):
        match event:
            case Began():
                begun = event
                levels.clear()
                streaks.clear()
            case Levels(key=key):
                levels[key] = event
            case Quoted() if not begun.one_shot and event.at > begun.at + BEGINS and _young(event):
                for key, level in levels.items():
                    if (key.account, key.symbol) != (event.account, event.symbol):
                        continue
                    streak = _followed(streaks.pop(key, None), index, event, level)
                    if streak is None:
                        continue
                    streaks[key] = streak
                    long = streak.count >= PRICES and event.at >= streak.at + BOUND
                    if not long or _acted(evidence, begun, streak, key, index):
                        continue
                    if _free(evidence, key, level, streak, index):
                        text = f"{key.symbol} on {key.account} is beyond its stop {level.stop} and nothing happens"
                        yield Breach("I25", text, event.at)
                        streaks.pop(key)
            case _:
                pass


def steep_moves_are_acted_on(evidence: Evidence) -> Iterator[Breach]:
    """I25: ``STEPS`` young prices in a row beyond the stop are enough, however far each is from the one before.

    Judged like crossed stops, when the next price comes: until then there is time to act. A price that was bad, late or
    not beyond the stop begins anew. Only venues that stream tell every price.
    """
    if evidence.history.stretched:
        return
    begun, levels = Began(0.0, 0, "", True), dict[PositionKey, Levels]()
    rows: dict[PositionKey, list[tuple[int, Quoted]]] = {}
    for index, event in enumerate(evidence.events):
        match event:
            case Began():
                begun = event
                levels.clear()
                rows.clear()
            case Levels(key=key):
                levels[key] = event
            case Quoted() if not begun.one_shot and event.at > begun.at + BEGINS:
                for key, level in levels.items():
                    if (key.account, key.symbol) != (event.account, event.symbol):
                        continue
                    row = rows.setdefault(key, [])
                    if len(row) >= STEPS and event.at > row[-1][1].at + SETTLED:
                        first = row[0]
                        streak = Streak(first[0], first[1].at, first[1].price, first[1].stamped, len(row))
                        if not _acted(evidence, begun, streak, key, index, 0.0) and _free(
                            evidence, key, level, streak, index
                        ):
                            text = f"{key.symbol} on {key.account} moved beyond its stop {level.stop}, nothing happens"
                            yield Breach("I25", text, event.at)
                        row.clear()
                    beyond = _followed(None, index, event, level) is not None
                    fresh = not row or event.stamped > row[-1][1].stamped
                    if not (_young(event) and beyond):
                        row.clear()
                    elif fresh and len(row) < STEPS:
                        row.append((index, event))
            case _:
                pass


def _young(event: Quoted) -> bool:
    return sane(event) and event.at - event.stamped <= YOUNG


def _followed(streak: Streak | None, index: int, event: Quoted, level: Levels) -> Streak | None:
    """The streak with one more price, a new one, or none."""
    sign = 1 if level.side is Side.LONG else -1
    if level.stop is None or (level.stop - event.price) * sign <= TICK:
        return None
    if streak is None or abs(event.price - streak.first) > JUMP / 2 * streak.first:
        return Streak(index, event.at, event.price, event.stamped)
    if event.stamped > streak.stamped:
        streak.stamped, streak.count = event.stamped, streak.count + 1
    return streak


def _free(evidence: Evidence, key: PositionKey, level: Levels, streak: Streak, index: int) -> bool:
    """Whether nothing else may have kept the exit from firing."""
    start, end = streak.at, evidence.at(index)
    since = start - RECENT - evidence.facts(key.account).lag
    timeline = evidence.held.get(key)
    held = timeline.at(index) if timeline else Decimal(0)
    if held * (1 if level.side is Side.LONG else -1) <= 0 or evidence.meddled(key.account, key.symbol, since, end):
        return False
    between = evidence.events[streak.index : index]
    if not any(isinstance(e, Listed) and any(p.key == key for p in e.positions) for e in between):
        return False
    frozen = (e.record for e in evidence.events[:index] if isinstance(e, Durable))
    if any(isinstance(r, AccountFrozen) and r.account == key.account for r in frozen):
        return False
    return not _closing(evidence, key, start, index)


def _closing(evidence: Evidence, key: PositionKey, start: float, index: int) -> bool:
    """Whether a plan that acts on the instrument, on its other leg too, is in flight, or ended a moment ago."""
    where = (key.account, key.symbol)
    known = [p for i, p in evidence.approved() if i < index]
    mine = {p.id for p in known if any((a.key.account, a.key.symbol) == where for a in p.actions)}
    ends = {
        e.record.plan: e.at
        for e in evidence.events[:index]
        if isinstance(e, Durable) and isinstance(e.record, PlanEnded) and e.record.plan in mine
    }
    return len(ends) < len(mine) or any(at > start - PAUSE for at in ends.values())


def _acted(
    evidence: Evidence, begun: Began, streak: Streak, key: PositionKey, index: int, pause: float = PAUSE
) -> bool:
    """Whether its exit was told since the first of the prices, or a pause before, or waits since before."""
    name = f"[EXIT] {key.symbol} on {key.account} "
    said = [e for e in evidence.events[:index] if isinstance(e, Said) and e.text.startswith(name) and e.at >= begun.at]
    return any(e.at >= streak.at - pause or e.text.startswith((f"{name}waits", f"{name}cannot")) for e in said)

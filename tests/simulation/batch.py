"""Many runs: seeds one after another or crash points of each, judged and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct, field

from core.errors import Refusal
from core.model import Tier
from core.plans.results import Outcome
from core.records import ClosingEnded, IntentWritten
from tests.simulation.check_exits import FIRED
from tests.simulation.checkers import broken, judge
from tests.simulation.evidence import Breach, Evidence
from tests.simulation.faults import Fault
from tests.simulation.history import Answered, Durable, Said
from tests.simulation.mutants import planted
from tests.simulation.play import Run, play
from tests.simulation.reached import STATES, reached

ENDS = frozenset(o.value for o in Outcome) - {"skipped"}
EXITS = frozenset({"emergency_stop", "stop_loss", "trailing_stop", "take_profit", "smart_profit", "profit_drawdown"})
COUNTED = ("ends", "tiers", "refusals", "exits", "states", "fired")
ENOUGH = 1000  # seeds after which all of SELDOM must have happened
ENOUGH_KILLS = 400  # crash points after which all of SELDOM_KILLED must have happened, five of a seed
# How often each must have happened in a batch. What is not named here is not asked for.
SELDOM = {
    "fired": {f.value: 1 for f in Fault},
    "tiers": {t.value: 1 for t in Tier} | {Tier.MARKET_FOK.value: 50, Tier.LIMIT_AGGRESSIVE.value: 50},
    "ends": dict.fromkeys(ENDS, 1) | {Outcome.PARTIAL.value: 20},
    "refusals": {r.value: 1 for r in Refusal} | {Refusal.REDUCE_ONLY.value: 20},
    "exits": dict.fromkeys(EXITS, 1),
    "states": dict.fromkeys(STATES, 3),
}
SELDOM_KILLED = {
    "fired": {
        f.value: 1
        for f in (Fault.BAN, Fault.HALT, Fault.PARTIAL_FILL, Fault.SILENCE, Fault.OTHER_FLATDECK, Fault.LIST_FAILS)
    },
    "tiers": {t.value: 1 for t in Tier},
    "ends": {Outcome.PARTIAL.value: 1},
    "states": dict.fromkeys(STATES, 1),
}
MUTANT_POINTS = 60  # crash points of one seed that are tried before the next one, for a mutant


class Failure(Struct):
    """A run in which something was broken."""

    seed: int
    kill_at: int | None
    breaches: list[Breach]


class Summary(Struct):
    """What was exercised."""

    runs: int = 0
    crash_points: int = 0
    callbacks: int = 0
    virtual: float = 0.0
    fired: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)  # that fired, by rule
    states: Counter[str] = field(default_factory=Counter)  # runs that reached them
    failures: list[Failure] = field(default_factory=list)

    def take(self, run: Run, kill_at: int | None) -> None:
        """Judge one run and add it."""
        evidence = Evidence(run.history)
        breaches = broken(evidence)
        self.states.update(reached(evidence))
        self.runs += 1
        self.crash_points += kill_at is not None
        self.callbacks += run.callbacks
        self.virtual += run.seconds
        self.fired.update({f.value: n for f, n in run.fired.items()})
        for event in run.history.events:
            match event:
                case Durable(record=IntentWritten(tier=tier)) if tier is not None:
                    self.tiers[tier.value] += 1
                case Durable(record=ClosingEnded(result=row)):
                    self.ends[row.outcome] += 1
                case Said(text=text) if text.startswith("[EXIT]"):
                    self.exits.update(_rule(text))
                case Answered(word=word) if word.startswith("refused:"):
                    self.refusals[word.partition(":")[2]] += 1
                case _:
                    pass
        if breaches:
            self.failures.append(Failure(run.seed, kill_at, breaches))

    def add(self, other: Summary) -> None:
        """Add what another process did."""
        for name in ("runs", "crash_points", "callbacks", "virtual"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in COUNTED:
            getattr(self, name).update(getattr(other, name))
        self.failures += other.failures

    def missing(self) -> list[str]:
        """What should have happened and did not, or not often enough."""
        seldom = SELDOM_KILLED if self.crash_points else SELDOM
        return [
            f"{kind} {name}: {found} of {least}"
            for kind, wanted in seldom.items()
            for name, least in sorted(wanted.items())
            if (found := getattr(self, kind)[name]) < least
        ]

    @property
    def too_thin(self) -> bool:
        """Whether a batch that is large enough for all states did not reach some of them."""
        enough = self.crash_points >= ENOUGH_KILLS if self.crash_points else self.runs >= ENOUGH
        return enough and bool(self.missing())

    def text(self) -> str:
        """For a person."""
        lines = [
            f"{self.runs} runs, {self.crash_points} of them crash points, {self.callbacks} callbacks, "
            f"{self.virtual / 3600:.1f} virtual hours, {len(self.failures)} failed"
        ]
        for name in COUNTED:
            counts = getattr(self, name)
            lines.append(f"{name}: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())))
        if self.missing():
            lines.append("too seldom: " + ", ".join(self.missing()))
        return "\n".join(lines)


def _rule(text: str) -> list[str]:
    """The exit that fired, without its level."""
    found = FIRED.match(text)
    return [name for name in EXITS if found and found["why"].startswith(name)]


def seeds(numbers: Iterable[int], *, mutant: str | None = None, told: Callable[[], None] = lambda: None) -> Summary:
    """Play each seed once."""
    summary = Summary()
    with planted(mutant):
        for seed in numbers:
            summary.take(play(seed), None)
            told()
    return summary


def crashes(
    numbers: Iterable[int],
    *,
    points: int | None = None,
    most: int | None = None,
    mutant: str | None = None,
    told: Callable[[], None] = lambda: None,
) -> Summary:
    """Kill the first life of each seed after every callback, restart, finish, and judge both lives.

    ``points`` are the most of one seed, spread evenly over its callbacks; ``most`` are the most of all.
    """
    summary = Summary()
    with planted(mutant):
        for seed in numbers:
            last = play(seed, without={Fault.KILL}).callbacks
            step = 1 if points is None else max(1, -(-last // points))
            for kill_at in range(1 + seed % step, last + 1, step):
                if most is not None and summary.crash_points >= most:
                    return summary
                summary.take(play(seed, kill_at=kill_at), kill_at)
                told()
    return summary


def caught(mutant: str, numbers: Iterable[int], *, crash: bool) -> tuple[int, Failure] | None:
    """After how many of these seeds a mutant was caught, and how; None when it survived all of them."""
    for tried, seed in enumerate(numbers, start=1):
        failure = _first_failure(mutant, seed, crash=crash)
        if failure is not None:
            return tried, failure
    return None


def _first_failure(mutant: str, seed: int, *, crash: bool) -> Failure | None:
    if crash:
        return next(iter(crashes([seed], points=MUTANT_POINTS, mutant=mutant).failures), None)
    with planted(mutant):
        run = play(seed)
        breaches = judge(run.history)
    return Failure(run.seed, None, breaches) if breaches else None

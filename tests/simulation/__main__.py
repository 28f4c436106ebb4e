"""``python -m tests.simulation``: play many seeds or crash points, or replay one seed with its trace."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

from tests.simulation import batch
from tests.simulation.batch import Failure, Summary
from tests.simulation.checkers import judge
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.play import play
from tests.simulation.shrink import shrink, trace

CHUNK = 50
CRASH_CHUNK = 2
BAR = 30
NOTED = Path(__file__).parent / "caught_by.py"


def main() -> int:
    """The exit code is 1 when something was broken, a mutant survived, or a large batch did not reach every state."""
    options = _options()
    if options.seed is not None:
        return _replay(options)
    if options.mutant and not options.crash:
        numbers = range(options.first, options.first + options.seeds)
        found = batch.caught(options.mutant, numbers, crash=MUTANTS[options.mutant].crash)
        print(f"{options.mutant}: {found[1] if found else 'survived'}")  # noqa: T201
        return 0 if found else 1
    if options.mutants:
        return _look_for_all(options.jobs)
    begun = time.perf_counter()
    summary = Summary()
    for done, part in _parts(options):
        summary.add(part)
        for failure in part.failures:
            _tell(failure)
        _show(done, options.seeds, summary, time.perf_counter() - begun)
    seconds = time.perf_counter() - begun
    print(f"\n{summary.text()}\n{summary.runs / seconds:.0f} runs/s, {seconds:.0f} s")  # noqa: T201
    return 1 if summary.failures or summary.too_thin else 0


def _tell(failure: Failure) -> None:
    """At once, because many more runs may follow."""
    kill = "" if failure.kill_at is None else f" --kill-at {failure.kill_at}"
    lines = [f"    {b.name}: {b.text}" for b in failure.breaches[:3]]
    print("\n".join(["", f"python -m tests.simulation --seed {failure.seed}{kill}", *lines]), flush=True)  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay one seed with its trace, and shrink it when it fails")
    parser.add_argument("--kill-at", type=int, help="with --seed: kill the process after so many callbacks")
    parser.add_argument("--fifo", action="store_true", help="with --seed: callbacks in their plain order")
    parser.add_argument("--crash", action="store_true", help="kill after callbacks of each seed")
    parser.add_argument("--points", type=int, help="with --crash: at most so many of one seed, spread evenly")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="plant this bug")
    parser.add_argument("--mutants", action="store_true", help="look for every mutant, note the catching seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    return parser.parse_args()


def _look_for_all(jobs: int) -> int:
    """Look for every mutant from seed 0 on, and write the seeds that caught one into the table that CI plays first."""
    with ProcessPoolExecutor(jobs) as pool:
        found = dict(zip(MUTANTS, pool.map(_look_for, MUTANTS), strict=True))
    survived = [name for name, seed in found.items() if seed is None]
    rows = "".join(f'    "{name}": {seed},\n' for name, seed in found.items() if seed is not None)
    head, _, _ = NOTED.read_text(encoding="utf-8").partition("CAUGHT_BY")
    NOTED.write_text(f"{head}CAUGHT_BY: dict[str, int] = {{\n{rows}}}\n", encoding="utf-8")
    print(f"{rows}survived: {', '.join(survived) or 'none'}")  # noqa: T201
    return 1 if survived else 0


def _look_for(name: str) -> int | None:
    found = batch.caught(name, range(MUTANTS[name].seeds), crash=MUTANTS[name].crash)
    return None if found is None else found[1].seed


def _replay(options: argparse.Namespace) -> int:
    with planted(options.mutant):
        run = play(options.seed, kill_at=options.kill_at, fifo=True if options.fifo else None)
        if not judge(run.history):
            print("\n".join(trace(run.history)))  # noqa: T201
            print(f"seed {run.seed}: nothing was broken; trace {run.history.digest()}")  # noqa: T201
            return 0
        smallest = shrink(options.seed, options.kill_at)
    print(smallest.text() if smallest else "")  # noqa: T201
    return 1


def _parts(options: argparse.Namespace) -> Iterator[tuple[int, Summary]]:
    """Chunks of seeds as they are done, with how many seeds that makes."""
    size = CRASH_CHUNK if options.crash else CHUNK
    last = options.first + options.seeds
    chunks = iter([range(n, min(n + size, last)) for n in range(options.first, last, size)])
    done = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        running = {pool.submit(_chunk, c, options.crash, options.points, options.mutant): c for c in _some(chunks, 4)}
        while running:
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                done += len(running.pop(future))
                yield done, future.result()
                for chunk in _some(chunks, 1):
                    running[pool.submit(_chunk, chunk, options.crash, options.points, options.mutant)] = chunk


def _some(chunks: Iterator[range], count: int) -> list[range]:
    return [c for _, c in zip(range(count), chunks, strict=False)]


def _chunk(numbers: range, crash: bool, points: int | None, mutant: str | None) -> Summary:
    return batch.crashes(numbers, points=points, mutant=mutant) if crash else batch.seeds(numbers, mutant=mutant)


def _show(done: int, seeds: int, summary: Summary, seconds: float) -> None:
    filled = BAR * done // max(seeds, 1)
    bar = "#" * filled + "." * (BAR - filled)
    rate = summary.runs / max(seconds, 1e-9)
    text = f"\r[{bar}] {done}/{seeds} seeds, {summary.runs} runs, {rate:.0f}/s, {len(summary.failures)} failed "
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

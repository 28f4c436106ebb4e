"""A seed plays the same in every process, and a failing one is shrunk to what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.faults import Fault
from tests.simulation.mutants import planted
from tests.simulation.play import play
from tests.simulation.shrink import shrink

SEEDS = (3, 11, 48, 124, 170)
PROGRAM = (
    "from tests.simulation.play import play; import sys; print([play(int(s)).history.digest() for s in sys.argv[1:]])"
)


def digests(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", PROGRAM, *map(str, SEEDS)]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True, timeout=100)
    return run.stdout.strip()


def test_the_trace_is_the_same_whatever_the_hash_seed():
    here = str([play(seed).history.digest() for seed in SEEDS])
    assert digests("0") == digests("4242") == here


def test_another_seed_and_another_order_make_another_trace():
    assert play(3).history.digest() != play(4).history.digest()
    orders = [{play(seed, fifo=fifo).history.digest() for fifo in (True, False)} for seed in range(3, 9)]
    assert any(len(digests) == 2 for digests in orders), "no seed has two callbacks due at one time"


def test_a_kill_point_replays_as_well():
    first, second = play(11, kill_at=40), play(11, kill_at=40)
    assert first.history.digest() == second.history.digest()
    assert first.fired[Fault.KILL] >= 1


def test_a_failing_seed_is_shrunk_to_what_it_needs():
    with planted("list-trusted"):
        seed = next(s for s in range(200) if shrink(s) is not None)
        smallest = shrink(seed)
    assert smallest is not None
    assert len(smallest.run.fired) <= len(play(seed).fired) or smallest.without
    text = smallest.text()
    assert "I14" in text
    assert f"seed {seed}" in text

"""Commands while ``flatdeck run`` guards: they act through the running engine, and print what they always print."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.desk import Desk, position
from tests.scenarios.test_kill import after, consistent, start
from tests.scenarios.test_terminal import Terminal


def a_dozen() -> list[dict[str, Any]]:
    """Twelve positions of different sizes."""
    return [position(f"COIN{n:02d}-USD", f"{3 + n}.5") for n in range(12)]


Engine = Callable[[Desk], "subprocess.Popen[str]"]


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read the process's log up to a line with the text."""
    assert process.stderr is not None
    while text not in (line := process.stderr.readline()):
        assert line, f"it ended before it said {text!r}"


@pytest.fixture
def run() -> Iterator[Engine]:
    """Start ``flatdeck run`` on a desk; it guards when this returns. Its log is read, so that it never waits."""
    started: list[subprocess.Popen[str]] = []
    readers: list[threading.Thread] = []

    def begin(desk: Desk) -> subprocess.Popen[str]:
        started.append(process := start(desk, "run"))
        read_until(process, "Engine running")
        readers.append(threading.Thread(target=process.communicate))
        readers[-1].start()
        return process

    yield begin
    for process in started:
        process.kill()
    for reader in readers:
        reader.join()


LEFT_OUT = {
    *("plan", "created_at", "taken_at", "as_of", "priced_at", "latency", "entry"),  # differ from run to run
    *(
        "engine",
        "watched",
        "warnings",
        "waiting",
        "problems",
        "stop",
        "target",
        "state",
    ),  # of an engine that lasts
}


def plain(document: Any) -> Any:
    """The document without what differs between two runs of the same: ids, times, ages, the engine itself."""
    if isinstance(document, dict):
        return {key: plain(value) for key, value in document.items() if key not in LEFT_OUT}
    return [plain(part) for part in document] if isinstance(document, list) else document


ACTIONS = [
    (("status",), 0),
    (("cleanup", "--dry-run"), 0),
    (("check-entry", "--user=u", "--symbol=NEW-USD", "--side=buy", "--amount=1", "--leverage=1", "--stop-loss=.05"), 1),
    (("reconcile", "--dry-run"), 0),
    (("scale", "--account", "u/main", "--symbol", "C-USD", "--out", "2", "--yes"), 0),
    (("cleanup", "--yes"), 0),
    (("flatten", "--symbol", "NOPE-USD", "--yes"), 2),
    (("flatten", "--user", "u", "--yes"), 0),
    (("flatten", "--all", "--yes"), 0),
]  # fmt: skip


def test_the_documents_of_all_commands_are_the_same_through_a_running_engine(tmp_path: Path, run: Engine) -> None:
    desks = []
    for name in ("alone", "guarded"):
        (tmp_path / name).mkdir()
        held = [position(s, v) for s, v in (("A-USD", "0.5"), ("B-USD", "20"), ("C-USD", "30"))]
        desks.append(Desk(tmp_path / name).account("u", "main", held, cap=1).account("v", "main", held))
    run(desks[1])
    desks[0].call("reconcile")  # adopts what is held, as an engine does at its start
    for args, code in ACTIONS:
        alone, guarded = (desk.call(*args, "--json") for desk in desks)
        assert (alone.exit_code, guarded.exit_code) == (code, code), (args, alone.stderr, guarded.stderr)
        if code == 2:
            assert alone.stderr == guarded.stderr
            continue
        assert plain(json.loads(guarded.stdout)) == plain(json.loads(alone.stdout)), args
    engine = desks[1].document("status")["engine"]
    assert (engine["running"], engine["mode"], engine["consoles"], engine["armed"]) == (True, "service", 0, False)
    assert engine["version"]
    assert engine["started_at"]


def test_a_plan_goes_on_when_the_command_that_confirmed_it_is_killed(desk: Desk, run: Engine) -> None:
    held = {p["symbol"]: Decimal(p["quantity"]) for p in a_dozen()}
    desk.account("platform", "coinbase", a_dozen(), options="latency_ms = 200")
    run(desk)
    client = start(desk, "flatten", "--all", "--yes")
    read_until(client, "[FLATTEN][FORCED]")
    client.kill()
    client.communicate()
    again = desk.call("flatten", "--all", "--yes")
    assert again.exit_code == 0, again.stderr
    assert desk.held() == set()
    check_fills(desk, held)


def test_a_command_says_where_its_plan_is_when_the_engine_is_killed(desk: Desk, run: Engine) -> None:
    held = {p["symbol"]: Decimal(p["quantity"]) for p in a_dozen()}
    desk.account("platform", "coinbase", a_dozen(), options="latency_ms = 200")
    engine = run(desk)
    client = start(desk, "flatten", "--all", "--yes")
    read_until(client, "[FLATTEN][FORCED]")
    engine.kill()
    _, said = client.communicate(timeout=60)
    assert client.returncode == 1
    last = said.splitlines()[-1]
    assert f"pid {engine.pid}" in last
    assert "what was begun is in the journal" in last
    assert "Traceback" not in said

    assert desk.call("flatten", "--all", "--yes").exit_code == 0, "a stale socket keeps nobody from acting"
    assert desk.held() == set()
    check_fills(desk, held)


def test_commands_at_the_same_time_close_each_position_once_and_all_wait_for_the_end(desk: Desk, run: Engine) -> None:
    held = {p["symbol"]: Decimal(p["quantity"]) for p in a_dozen()}
    desk.account("platform", "coinbase", a_dozen(), options="latency_ms = 200")
    run(desk)
    with ThreadPoolExecutor() as pool:
        started = [start(desk, "flatten", "--all", "--yes", "--json") for _ in range(3)]
        ended = list(pool.map(lambda p: p.communicate(timeout=90), started))
    documents = [json.loads(out) for out, _ in ended if out]
    assert [p.returncode for p in started] == [0, 0, 0], [err[-500:] for _, err in ended]
    rows = [(d["plan"], row) for d in documents for row in d["results"]]
    closed = [row["symbol"] for _, row in rows if row["outcome"] == "closed"]
    assert Counter(closed) == Counter(list(held)), "each position is closed by one plan"
    plans = {plan for plan, row in rows if row["outcome"] == "closed"}
    for plan, row in rows:
        if row["outcome"] != "closed":
            assert row["outcome"] == "changed"
            assert any(other in row["error"] for other in plans - {plan})
            assert row["residual"] == "0"
    check_fills(desk, held)


def test_a_second_engine_is_refused_and_names_the_first(desk: Desk, run: Engine) -> None:
    desk.account("u", "main", [position("A-USD", "5")])
    engine = run(desk)
    second = start(desk, "run")
    _, said = second.communicate(timeout=60)
    assert second.returncode != 0
    assert f"pid {engine.pid}" in said


def test_a_console_attaches_to_the_engine_and_to_the_next_one(desk: Desk, run: Engine) -> None:
    desk.account("u", "main", [position("A-USD", "5")])
    engine = run(desk)
    terminal = Terminal(120, 40, "--config", str(desk.config))
    try:
        terminal.shows("A-USD")
        assert desk.document("status")["engine"]["consoles"] == 1
        engine.kill()
        terminal.shows("ENGINE GONE")
        run(desk)
        terminal.until(lambda screen: "ENGINE GONE" not in screen, "the next engine")
        assert desk.call("flatten", "--all", "--yes").exit_code == 0
        terminal.until(lambda screen: "0 positions" in screen, "the position gone")
        terminal.press("q")
        assert terminal.ended() == 0
        assert desk.document("status")["engine"]["running"], "the engine goes on without the console"
    finally:
        terminal.kill()


def check_fills(desk: Desk, held: dict[str, Decimal]) -> None:
    """What was sold is what was held, each plan ended once, and no order is without an answer."""
    fills, entries = asyncio.run(after(desk, list(held)))
    sold: Counter[str] = Counter()
    for fill in fills:
        sold[fill.symbol] += fill.quantity  # type: ignore[assignment]  # a Counter of Decimals
    assert sold == held
    consistent(entries)


def test_a_halt_and_an_accounts_state_go_through_the_running_engine(desk: Desk, run: Engine) -> None:
    desk.account("user_1", "coinbase", [position("BTC-USD", "4")], prices={"ETH-USD": "9"})
    run(desk)
    entry = ("--user", "user_1", "--symbol", "ETH-USD", "--side", "buy", "--amount", "1", "--leverage", "1")
    check = ("check-entry", *entry, "--stop-loss", "0.05")
    assert desk.document(*check)["allowed"] is True

    assert desk.document("halt", "--reason", "the news")["changed"] is True
    assert desk.document("halt")["halted"]["reason"] == "the news"
    assert desk.document("status")["engine"]["halted"]["reason"] == "the news"
    assert desk.document(*check, code=1)["code"] == "halted"
    assert desk.document("resume") == {"halted": None, "changed": True}

    locked = desk.document("account", "user_1/coinbase", "locked", "--until", "1h")["trading"]
    assert locked["state"] == "locked"
    assert desk.document(*check, code=1)["code"] == "locked"
    assert desk.document("status")["accounts"][0]["trading"] == locked
    assert desk.document("flatten", "--all", "--yes")["success"] is True

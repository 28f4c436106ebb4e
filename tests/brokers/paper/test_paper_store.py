"""The venue's memory: what survives a restart, and what leaves no trace."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from brokers.paper import store
from brokers.paper.store import reset, store_path
from core.errors import ConfigError, Refusal, Refused
from core.model import OrderStatus
from tests.brokers.paper.kit import DAWN, GTC, LIMIT, SELL, D, ask, book, held, opened, settings

ROOT = Path(__file__).parents[3]


def traces(directory):
    """Every file below a directory with the hash of its bytes."""
    return {str(p): sha256(p.read_bytes()).hexdigest() for p in sorted(directory.rglob("*")) if p.is_file()}


async def look(broker):
    """What a look at the account does."""
    await broker.connect()
    read = await broker.holdings()
    await broker.quotes(["BTC"])
    await broker.fills("BTC", DAWN)
    await broker.check()
    await broker.aclose()
    return read


async def test_looking_at_an_account_creates_nothing(tmp_path):
    await look(opened(tmp_path))
    assert not (tmp_path / "data").exists()


async def test_a_refused_order_creates_nothing(tmp_path):
    with pytest.raises(Refused):
        await opened(tmp_path).submit(ask("0.05"))
    assert not (tmp_path / "data").exists()


async def test_while_somebody_only_looks_nothing_trades(tmp_path):
    crossing = {"id": "o1", "symbol": "BTC", "side": "sell", "quantity": "1", "price": "50"}
    broker = opened(tmp_path, book() | {"orders": [crossing]})
    assert [p.quantity for p in (await look(broker)).positions] == [D(2)]
    assert not (tmp_path / "data").exists()


async def test_positions_orders_and_fills_survive_a_restart(tmp_path):
    broker = opened(tmp_path)
    await broker.submit(ask("0.5", client_id="a"))
    resting = await broker.submit(ask("1", type=LIMIT, tif=GTC, price=D(110), client_id="b"))
    before = await broker.holdings()
    await broker.aclose()
    again = opened(tmp_path)
    after = await again.holdings()
    assert (after.positions, after.orders) == (before.positions, before.orders)
    assert await again.find_order("BTC", client_id="b") == resting
    assert (await again.find_order("BTC", client_id="a")).status is OrderStatus.FILLED
    assert [f.trade_id for f in await again.fills("BTC", DAWN)] == ["t1"]
    assert (await again.submit(ask("0.1"))).id == "p3"
    assert [f.trade_id for f in await again.fills("BTC", DAWN)] == ["t1", "t2"]


async def test_looking_at_a_saved_account_changes_no_byte(tmp_path):
    broker = opened(tmp_path)
    await broker.submit(ask("0.5"))
    await broker.aclose()
    before = traces(tmp_path)
    assert [p.quantity for p in (await look(opened(tmp_path))).positions] == [D("1.5")]
    assert traces(tmp_path) == before


async def test_what_a_look_tells_is_what_the_file_has(tmp_path):
    broker = opened(tmp_path)
    broker.venue.faults.script("no_fill", times=1000)
    resting = await broker.submit(ask("2", tif=GTC, client_id="a"))
    assert resting.status is OrderStatus.OPEN
    broker.venue._store.close()  # killed here
    later = opened(tmp_path)
    later._clock.seconds += 60
    told = await look(later)
    asked = await later.find_order("BTC", client_id="a")
    assert (len(told.positions), asked.status) == (1, OrderStatus.OPEN), "it rests until somebody acts"
    acting = opened(tmp_path)
    await acting.cancel(resting)
    acting._clock.seconds += 60
    shown = await look(acting)
    found = await acting.find_order("BTC", client_id="a")
    await acting.aclose()
    again = opened(tmp_path)
    assert (await again.holdings()).positions == shown.positions
    assert await again.find_order("BTC", client_id="a") == found


async def test_a_position_that_was_closed_stays_closed(tmp_path):
    broker = opened(tmp_path)
    await broker.submit(ask("2"))
    await broker.aclose()
    assert (await look(opened(tmp_path))).positions == ()


async def test_files_belong_to_their_owner_alone(tmp_path):
    broker = opened(tmp_path)
    await broker.submit(ask("2"))
    for path in (tmp_path / "data").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_a_changed_book_keeps_the_state_and_says_so(tmp_path):
    broker = opened(tmp_path)
    await broker.submit(ask("0.5"))
    await broker.aclose()
    changed = opened(tmp_path, book(quantity="7"))
    assert "book file has changed" in changed.warning
    assert held(changed.venue) == D("1.5")
    assert {c.name: c.ok for c in await changed.check()}["book"] is False


async def test_reset_starts_from_the_book_again(tmp_path):
    broker = opened(tmp_path)
    await broker.submit(ask("0.5"))
    reset(tmp_path / "data", settings(tmp_path))
    assert held(opened(tmp_path).venue) == 2
    assert traces(tmp_path / "data") == {}


async def test_an_order_that_cannot_be_saved_is_not_executed(tmp_path):
    (tmp_path / "data").write_text("a file where the directory should be")
    broker = opened(tmp_path)
    with pytest.raises(Refused) as caught:
        await broker.submit(ask("0.5"))
    assert caught.value.refusal is Refusal.OTHER
    assert held(broker.venue) == 2
    assert await broker.fills("BTC", DAWN) == []


async def test_an_order_that_fails_to_be_saved_later_leaves_what_was_saved(tmp_path):
    broker = opened(tmp_path)
    await broker.submit(ask("0.5"))
    broker.venue._store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(Refused, match="cannot save"):
        await broker.submit(ask("1"))
    assert held(broker.venue) == D("1.5")
    assert (await broker.submit(ask("1"))).status is OrderStatus.FILLED


async def test_of_two_processes_the_one_that_fell_behind_is_refused_and_then_knows(tmp_path):
    one, two = opened(tmp_path), opened(tmp_path)
    await one.submit(ask("0.5"))
    await one.aclose()
    with pytest.raises(Refused, match="another process"):
        await two.submit(ask("2"))
    assert held(two.venue) == D("1.5")


def test_trading_by_hand_is_saved_too(tmp_path):
    opened(tmp_path).venue.trade_by_hand("BTC", SELL, D(1))
    assert held(opened(tmp_path).venue) == 1


def test_a_log_that_goes_while_it_is_copied_is_read_again(tmp_path, monkeypatch):
    first = opened(tmp_path).venue
    first.trade_by_hand("BTC", SELL, D(1))
    copyfile = store.shutil.copyfile

    def copied_late(source, target):
        first.aclose()  # the last writer checkpoints and deletes the log
        return copyfile(source, target)

    monkeypatch.setattr(store.shutil, "copyfile", copied_late)
    assert held(opened(tmp_path).venue) == 1


def test_a_broken_file_is_an_error_that_names_it(tmp_path):
    path = store_path(tmp_path / "data", settings(tmp_path))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match="cannot be read"):
        opened(tmp_path)


def test_a_file_whose_maker_was_killed_at_once_counts_as_none(tmp_path):
    path = store_path(tmp_path / "data", settings(tmp_path))
    path.parent.mkdir(parents=True)
    path.touch()
    broker = opened(tmp_path)
    broker.venue.trade_by_hand("BTC", SELL, D(1))
    assert held(opened(tmp_path).venue) == 1


KILLED = """
import asyncio, os, pathlib, signal, sys
from tests.brokers.paper.kit import ask, opened

async def main():
    broker = opened(pathlib.Path(sys.argv[1]))
    for number in range(5):
        await broker.submit(ask("0.1", client_id=f"k{number}"))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def trade_and_be_killed(directory):
    """A process that sells 0.1 five times and dies by kill -9 once the last was answered."""
    command = [sys.executable, "-c", KILLED, str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr


async def test_an_order_that_was_answered_survives_kill_9_and_looking_after_it_changes_no_byte(tmp_path):
    settings(tmp_path)
    trade_and_be_killed(tmp_path)
    before = traces(tmp_path)
    broker = opened(tmp_path)
    assert [p.quantity for p in (await look(broker)).positions] == [D("1.5")]
    assert traces(tmp_path) == before
    assert (await broker.find_order("BTC", client_id="k4")).status is OrderStatus.FILLED
    await broker.submit(ask("0.5"))
    await broker.aclose()
    assert held(opened(tmp_path).venue) == 1

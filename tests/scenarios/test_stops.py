"""Stops and arming on the command line."""

from __future__ import annotations

import asyncio

import pytest

from core.engine.clock import SystemClock
from tests.scenarios.desk import Desk, position
from tests.support.service import service, soon


@pytest.fixture
def desk(tmp_path) -> Desk:  # type: ignore[no-untyped-def]
    made = Desk(tmp_path)
    held = [
        position("BTC-USD", "1", entry="100"),
        position("ETH-USD", "1", entry="100", side="short"),
        position("SOL-USD", "1", entry=None),
    ]
    prices = {"BTC-USD": "101", "ETH-USD": "99", "SOL-USD": "50"}
    rules = [{"symbol": s, "kind": "perp", "step": "0.1", "tick": "0.01"} for s in prices]
    return made.account("user_123", "paper", held, prices=prices, instruments=rules)


async def watched(desk: Desk) -> None:
    """A service sees the prices, keeps its stops, and ends."""
    async with service(desk.config, SystemClock()) as engine:
        await soon(lambda: len(engine.snapshot().positions) == 3)


def stops(desk: Desk) -> dict[str, tuple[str | None, str | None]]:
    return {p["symbol"]: (p["stop"], p["target"]) for p in desk.document("status")["positions"]}


def test_the_status_has_every_stop_and_target(desk: Desk) -> None:
    assert stops(desk) == {"BTC-USD": ("98.98", "110"), "ETH-USD": ("100.98", "90"), "SOL-USD": ("49", None)}


def test_without_a_trailing_stop_the_initial_one_stays(desk: Desk) -> None:
    desk.head += '[exits]\ntrailing_base = ""\n'
    desk.write()
    assert stops(desk) == {"BTC-USD": ("95", "110"), "ETH-USD": ("105", "90"), "SOL-USD": (None, None)}


def test_with_both_off_there_is_no_stop(desk: Desk) -> None:
    desk.head += '[exits]\ntrailing_base = ""\nstop_loss_pct = ""\n'
    desk.write()
    assert {stop for stop, _ in stops(desk).values()} == {None}


def test_the_status_says_whether_exits_close_by_themselves(desk: Desk) -> None:
    assert desk.document("status")["engine"]["armed"] is False
    desk.head += '[automation]\nexits = "auto"\n'
    desk.write()
    assert desk.document("status")["engine"]["armed"] is True
    assert len(desk.held()) == 3, "to look fires nothing"


def test_what_an_engine_kept_is_what_the_status_shows(desk: Desk) -> None:
    before = stops(desk)
    asyncio.run(watched(desk))
    book = {"BTC-USD": "100", "ETH-USD": "100", "SOL-USD": "49.5"}
    held = [position(s, "1", entry=e, side=w) for s, e, w in (("BTC-USD", "100", "long"), ("ETH-USD", "100", "short"))]
    held.append(position("SOL-USD", "1", entry=None))
    rules = [{"symbol": s, "kind": "perp", "step": "0.1", "tick": "0.01"} for s in book]
    desk.account("user_123", "paper", held, prices=book, instruments=rules)
    assert stops(desk) == before

"""Positions left over from bolder days, met at start under ultra-conservative settings."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.scenarios.desk import Desk, order, position
from tui.main import SystemEnvironment

ULTRA = '[legacy]\nemergency_close_legacy = true\nrisk_per_trade = "0.003"\n'
AUTO = '[automation]\nlegacy = "auto"\n'
OLD = position("BTC-USD", "9.2", entry="100", leverage="25")


def write(desk: Desk, settings: str, *, orders: Any = ()) -> Desk:
    """A position at 25x whose initial stop, 5 % away, would lose 4.60 % of the account."""
    desk.head += settings
    desk.account("ann", "paper", [OLD], prices={"BTC-USD": "100"}, orders=orders)
    file = desk.path / "ann-paper.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "equity": "1000"}), encoding="utf-8")
    return desk


def serve(desk: Desk, seconds: float = 15.0, env: dict[str, str] | None = None) -> list[str]:
    """The engine of ``flatdeck run``, until legacy was dealt with or time is up; its log."""
    world, lines = SystemEnvironment(env or {}), list[str]()

    async def run() -> None:
        loaded = world.load(str(desk.config))
        assert loaded is not None
        ended = asyncio.Event()

        def hear(row: Any) -> None:
            lines.append(row.text)
            if "leanup" in row.text:  # comes behind what is done about legacy
                ended.set()

        async with world.engine(loaded.settings, acting=True, mode="service", lasting=True, on_log=hear) as engine:
            running = asyncio.ensure_future(engine.run())
            try:
                async with asyncio.timeout(seconds):
                    await ended.wait()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
    return lines


def test_an_armed_engine_force_closes_it_at_start_and_says_why(desk: Desk) -> None:
    write(desk, ULTRA + AUTO, orders=[order("o1", "BTC-USD", "9.2")])
    log = serve(desk)
    assert desk.held() == set()
    assert any(
        line.startswith("[LEGACY][FORCED] BTC-USD Account: ann/paper")
        and "Legacy position: 25x, risk 4.60 % exceeds 0.30 %" in line
        for line in log
    )
    assert any(line.startswith("[LEGACY][OPEN_ORDER][CANCELLED] Order o1") for line in log)
    assert any(line == "[LEGACY][FORCED] BTC-USD CLOSED SUCCESSFULLY (market_ioc)" for line in log)


def test_with_the_switch_off_it_is_adopted_and_stays(desk: Desk) -> None:
    write(desk, ULTRA.replace("true", "false") + AUTO)
    log = serve(desk)
    assert desk.held() == {("ann/paper", "BTC-USD")}
    assert any(line.startswith("[LEGACY][ADOPTED] ann/paper: 1 positions") for line in log)
    assert desk.document("reconcile")["discrepancies"] == []
    assert not any("[LEGACY]" in line for line in serve(desk)), "once is enough"


@pytest.mark.parametrize(
    ("env", "held"),
    [
        ({}, False),
        ({"FUTURES_EMERGENCY_CLOSE_LEGACY": "0"}, True),
        ({"FUTURES_RISK_PER_TRADE": "0.01"}, True),
        ({"FUTURES_RISK_PER_TRADE": "0.005"}, False),
    ],
)
def test_the_environment_decides_over_the_file(desk: Desk, env: dict[str, str], held: bool) -> None:
    write(desk, ULTRA + AUTO)
    serve(desk, env=env)
    assert bool(desk.held()) is held


def test_unless_it_is_armed_a_person_decides(desk: Desk) -> None:
    write(desk, ULTRA)
    log = serve(desk)
    assert any(line.startswith("a force-close of legacy waits for a person: 1 to close") for line in log)
    assert desk.held() == {("ann/paper", "BTC-USD")}


def test_the_status_flags_it(desk: Desk) -> None:
    write(desk, ULTRA)
    before = desk.files()
    (row,) = desk.document("status")["positions"]
    assert "legacy" in row["flags"]
    assert desk.files() == before
    (row,) = desk.document("status", env={"FUTURES_EMERGENCY_CLOSE_LEGACY": "0"})["positions"]
    assert "legacy" not in row["flags"]


def test_what_was_opened_here_under_these_settings_is_left_alone(desk: Desk) -> None:
    desk.head += ULTRA + AUTO
    desk.account("ann", "paper", prices={"ETH-USD": "100"})
    desk.document(
        *("open", "--user", "ann", "--symbol", "ETH-USD", "--side", "buy", "--amount", "1"),
        *("--leverage", "1", "--stop-loss", "0.05", "--yes"),
    )
    serve(desk)
    assert desk.held() == {("ann/paper", "ETH-USD")}
    (row,) = desk.document("status")["positions"]
    assert row["flags"] == []

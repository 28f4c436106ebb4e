"""Realised profit and loss: no record of a closed position stays pending."""

from __future__ import annotations

import pytest

from core.records import ClosingEnded, ProfitPending
from tests.support.builders import ACCOUNT
from tests.support.virtual_time import virtual
from tests.support.world import World, book


@pytest.mark.parametrize(
    ("entry", "side", "profit"),
    [
        ("90", "long", "WIN"),
        ("110", "long", "LOSS"),
        ("90", "short", "LOSS"),
        ("110", "short", "WIN"),
        (None, "long", "UNKNOWN"),
    ],
)
@virtual
async def test_every_closed_position_goes_from_pending_to_confirmed(entry: str | None, side: str, profit: str):
    content = book(f"BTC {side} 2")
    content["positions"][0]["entry"] = entry
    async with World({ACCOUNT: content}) as world:
        report = await world.flatten()
        assert (report.results[0].profit_status, report.results[0].profit) == ("CONFIRMED", profit)
        log = await world.log()
        assert any(line.endswith("PROFIT_STATUS = PENDING") for line in log)
        assert any("PROFIT_STATUS = PENDING → CONFIRMED" in line for line in log)
        assert any(f"OUTCOME = {profit}" in line for line in log)


@virtual
async def test_no_record_stays_pending_once_its_plan_has_ended():
    content = book(*(f"S{n} long 1" for n in range(6)))
    async with World({ACCOUNT: content}) as world:
        world.faults.script("halted", symbol="S1", times=100)
        world.faults.script("foreign_order", symbol="S2", times=1)
        await world.flatten()
        pending = {(r.plan, r.key) for r in await world.records(ProfitPending)}
        ended = {(r.plan, r.result.key): r.result for r in await world.records(ClosingEnded)}
        assert len(pending) == 6
        assert pending <= set(ended)
        for row in ended.values():
            assert (row.profit_status == "CONFIRMED") == (row.filled > 0 or row.outcome == "closed")

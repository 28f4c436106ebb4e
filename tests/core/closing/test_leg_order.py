"""A covering leg waits for its shorts, and goes only where all of them are closed."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from core.closing.leg_order import LegOrder
from core.model import PositionKey
from core.plans.results import ResultRow
from tests.support.builders import KEY, close_action

ONE, TWO = PositionKey("ann/paper", "ONE"), PositionKey("ann/paper", "TWO")
LEG = structs.replace(close_action(), after=(ONE, TWO))
SHORTS = [structs.replace(close_action(), key=key) for key in (ONE, TWO)]


def row(key: PositionKey, outcome: str) -> ResultRow:
    return ResultRow(key, "close", outcome)


@pytest.mark.parametrize(("outcome", "goes"), [("closed", True), ("closed_residual", True), ("stuck", False)])
async def test_a_leg_waits_for_every_short(outcome: str, *, goes: bool) -> None:
    order = LegOrder([*SHORTS, LEG], [])
    turn = asyncio.create_task(order.turn(LEG))
    order.end([ONE], [row(ONE, "closed")])
    await asyncio.sleep(0)
    assert not turn.done()
    order.end([TWO], [row(TWO, outcome)])
    assert (await turn == "") is goes


async def test_what_has_no_short_goes_at_once() -> None:
    assert await LegOrder(SHORTS, []).turn(structs.replace(close_action(), key=KEY)) == ""


async def test_after_a_restart_the_ended_shorts_count_by_their_results() -> None:
    assert await LegOrder([LEG], [row(ONE, "closed"), row(TWO, "closed")]).turn(LEG) == ""
    for ended in ([row(ONE, "closed")], [row(ONE, "closed"), row(TWO, "partial")]):
        assert "the short TWO" in await LegOrder([LEG], ended).turn(LEG)


async def test_a_short_whose_task_failed_is_not_closed() -> None:
    async def fail() -> list[ResultRow]:
        raise ValueError

    order, task = LegOrder([*SHORTS, LEG], []), asyncio.create_task(fail())
    await asyncio.wait({task})
    order.end_of([ONE], task)
    assert "the short ONE" in await order.turn(LEG)

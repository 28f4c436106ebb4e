"""Rows are made for somebody who looks, and less often on a machine on which they take long."""

from __future__ import annotations

import asyncio

from core.engine.publisher import Publisher
from core.engine.row_updater import LONGEST, PUBLISH_EVERY, SHARE, UNWATCHED_EVERY, RowUpdater
from core.link.messages import EngineRow
from core.orders.restrictions import Restrictions
from tests.support.books import COINBASE, a_book, settings_of, situation_of, stocked
from tests.support.virtual_time import VirtualClock, virtual


class Desk:
    """A row updater over one position, and the times at which it made rows."""

    def __init__(self, cost: float = 0.0) -> None:
        clock = VirtualClock()
        self.publisher = Publisher(clock, EngineRow())
        self.made: list[float] = []
        book = stocked(a_book(COINBASE), COINBASE, {"BTC-USD": "100"})

        def view(_: object) -> None:
            asyncio.get_running_loop().elapsed += cost  # type: ignore[attr-defined]  # the virtual loop
            self.made.append(clock.monotonic())

        self.rows = RowUpdater(
            *(settings_of(COINBASE), clock, book, self.publisher, Restrictions(clock, None, lambda *_: None)),
            frozen={},
            situation=lambda: situation_of(book),
            closing=set,
            view=view,
        )


async def running(desk: Desk, seconds: float, *, watched: bool) -> list[float]:
    """The updater runs so long, with a console or without. Return the pauses between the rows."""
    console = desk.publisher.subscribe()
    if watched:
        await anext(console)
    task = asyncio.ensure_future(desk.rows.run())
    await asyncio.sleep(seconds)
    task.cancel()
    return [round(b - a, 3) for a, b in zip(desk.made, desk.made[1:], strict=False)]


@virtual
async def test_rows_that_nobody_looks_at_are_made_now_and_then():
    assert set(await running(Desk(), 60, watched=False)) == {UNWATCHED_EVERY}


@virtual
async def test_a_console_gets_rows_every_second_while_nothing_changes():
    assert set(await running(Desk(), 10, watched=True)) == {1.0}


@virtual
async def test_rows_that_take_long_are_made_less_often():
    cost = 4 * PUBLISH_EVERY
    assert set((await running(Desk(cost), 60, watched=True))[1:]) == {(1 + SHARE) * cost}


@virtual
async def test_rows_are_made_now_and_then_however_long_they_take():
    assert set((await running(Desk(30.0), 300, watched=True))[1:]) == {30.0 + LONGEST}

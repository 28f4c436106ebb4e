"""A console whose engine dies: it says so with the age of what it shows, and goes on with the next engine."""

from __future__ import annotations

from msgspec import structs

from core.link.messages import Lost
from tests.tui.console import console
from tests.tui.fakes import position, snapshot
from tui.screens.main_screen import MainScreen


async def test_a_console_without_its_engine_says_so_and_no_destructive_key_opens_a_window() -> None:
    async with console() as it:
        it.link.send(Lost("the engine (pid 7) is gone: it hung up"))
        await it.sees("ENGINE GONE: the engine (pid 7) is gone: it hung up")
        it.clock.forward(75)
        await it.sees("s old")
        for key in ("F", "X", "x", "c", "o", "a"):
            await it.press(key)
            assert isinstance(it.app.screen, MainScreen), key
        assert "flatten all" not in it.text()


async def test_the_next_engine_is_shown_although_it_counts_from_the_start() -> None:
    async with console() as it:
        it.link.send(Lost("the engine (pid 7) is gone: it hung up"))
        await it.sees("ENGINE GONE")
        fresh = structs.replace(snapshot(position("NEXT-USD")), seq=0)
        it.link.send(fresh)
        await it.sees("NEXT-USD")
        await it.until(lambda: "ENGINE GONE" not in it.text())
        assert "BTC-USD" not in it.text()
        await it.press("F")
        await it.planned()

"""Keys: what is shown is what works; read-only has none that could change anything; leaving says what it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from core.link.messages import EngineRow
from tests.tui.console import console
from tests.tui.fakes import closing, crowd, position, snapshot
from tui.app import DESTRUCTIVE, KEYS
from tui.screens.main_screen import MainScreen
from tui.screens.quit_screen import QuitScreen

LETTERS = [k.key for k in KEYS if k.action in DESTRUCTIVE]


async def test_the_footer_shows_the_keys_that_work() -> None:
    async with console(size=(80, 24)) as it:
        text = it.text()
        for words in (
            "d dry-run",
            "x close",
            "X flatten owner",
            "F flatten all",
            "c cleanup",
            "o orders",
            "r reconcile",
        ):
            assert words in text
        for words in ("/ filter", "? help", "q quit", "A acknowledge"):
            assert words in text


async def test_a_click_on_a_key_presses_it() -> None:
    async with console(size=(80, 24)) as it:
        await it.pilot.click("#keys", offset=(2, 0))
        await it.planned()


async def test_help_is_built_from_the_bindings() -> None:
    async with console(size=(120, 60)) as it:
        await it.press("question_mark")
        await it.sees("KEYS AND TAGS")
        text = it.text()
        for binding in KEYS:
            assert binding.description in text
        assert "close: Close the selected positions, else the one under the cursor." in text
        assert "[UNSELLABLE]" in text
        await it.press("q")
        await it.until(lambda: isinstance(it.app.screen, MainScreen))


@pytest.mark.parametrize("how", ["console", "engine"])
async def test_read_only_has_none_of_the_destructive_keys(how: str) -> None:
    engine = EngineRow(mode="service", armed=True, read_only=how == "engine")
    async with console(snapshot(position(), engine=engine), size=(120, 60), read_only=how == "console") as it:
        await it.sees("READ-ONLY")
        await it.until(lambda: "x close" not in it.text())
        active = {b.binding.action for b in it.app.screen.active_bindings.values()}
        assert not active & DESTRUCTIVE
        for words in ("X flatten", "F flatten", "c cleanup", "o orders", "A acknowledge"):
            assert words not in it.text()
        await it.press("g", "j", *LETTERS)
        await it.pilot.pause(0.1)
        assert isinstance(it.app.screen, MainScreen)
        assert it.link.asked == []
        await it.press("question_mark")
        await it.sees("KEYS AND TAGS")
        assert "flatten" not in it.text()


async def test_a_read_only_console_lets_no_confirmation_out() -> None:
    from core.link.messages import Acknowledge, Confirm, Rejected

    async with console(read_only=True) as it:
        for command in (Confirm("p", "d"), Acknowledge(None)):
            assert isinstance(await it.app.ask(command), Rejected)
        assert it.link.asked == []


async def test_a_read_only_console_may_still_look_at_the_dry_run() -> None:
    async with console(read_only=True) as it:
        await it.press("d")
        await it.planned()
        await it.press("y")
        assert it.link.confirmed() == []


@pytest.mark.parametrize("letter", ["q", "ctrl+q"])
async def test_quitting_with_nothing_in_flight_just_quits(letter: str) -> None:
    async with console() as it:
        await it.press(letter)
        assert it.app.return_value == 0


@pytest.mark.parametrize("letter", ["q", "ctrl+q"])
async def test_quitting_with_closes_in_flight_asks_and_says_what_is_left(letter: str) -> None:
    async with console(crowd()) as it:
        await it.press(letter)
        await it.sees("2 closes in flight:")
        assert isinstance(it.app.screen, QuitScreen)
        assert "ETH-USD at user_123/coinbase" in it.text()
        assert "carries on without this console" in it.text()
        await it.press("enter", "ctrl+q")
        assert len(it.app.screen_stack) == 2
        await it.settle()
        await it.press("n")
        await it.until(lambda: isinstance(it.app.screen, MainScreen))
        await it.press(letter)
        await it.settle()
        await it.press("y")
        assert it.app.return_value == 0


async def test_quitting_an_engine_that_ends_with_the_console_says_that_stops_are_unguarded() -> None:
    async with console(snapshot(position(), engine=EngineRow(mode="one-shot", armed=True))) as it:
        await it.press("q")
        await it.sees("no stop is watched")


async def test_ctrl_c_kills_nothing_and_says_how_to_leave() -> None:
    async with console() as it:
        await it.press("ctrl+c")
        await it.sees("q or ctrl+q quits")
        assert it.app.is_running


async def test_ctrl_q_works_over_a_modal() -> None:
    async with console(snapshot(position(), closings=(closing(),))) as it:
        await it.press("c")
        await it.planned()
        await it.press("ctrl+q")
        await it.sees("1 close in flight:")


async def test_the_palette_offers_the_same_actions() -> None:
    async with console() as it:
        names = {command.title for command in it.app.get_system_commands(it.app.screen)}
        assert {"close", "cleanup", "flatten all", "quit"} <= names
    async with console(read_only=True) as it:
        names = {command.title for command in it.app.get_system_commands(it.app.screen)}
        assert not names & {"close", "cleanup", "flatten all", "flatten owner", "orders"}


async def test_a_fault_in_the_console_prints_one_line_and_no_local_variable(tmp_path: Any) -> None:
    from tests.tui.fakes import FakeLink, HandClock
    from tui.app import FlatdeckApp

    file = tmp_path / "console.log"
    app = FlatdeckApp(FakeLink(snapshot(position())), clock=HandClock(), crash_log=file)

    def fail() -> None:
        canary = "-".join(("s3cret", "canary"))
        raise ValueError(f"broken [/] \x1b]0;x\x07 {len(canary)}")

    async def run() -> None:
        async with app.run_test() as pilot:
            await pilot.pause()
            app.call_later(fail)
            await pilot.pause(0.2)

    shown: list[Any] = []
    app._print_error_renderables = lambda: shown.extend(app._exit_renderables)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="broken"):
        await run()
    text = "".join(segment.text for renderable in shown for segment in renderable.segments)
    assert text.count("\n") == 1
    assert text.startswith("The console failed: ValueError: broken [/] \\x1b]0;x\\x07 13.")
    assert str(file) in text
    assert "ValueError" in file.read_text()
    assert "s3cret-canary" not in file.read_text()

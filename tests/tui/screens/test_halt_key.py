"""The kill switch in the console: a key that asks nothing, and the words in the header."""

from __future__ import annotations

from core.link.messages import EngineRow
from core.link.restrict import Halt, HaltRow, Resume
from tests.tui.console import console
from tests.tui.fakes import NOW, crowd


async def test_the_key_halts_at_once_and_the_header_says_so_until_it_is_resumed() -> None:
    async with console(crowd(), size=(160, 40)) as it:
        await it.sees("68 positions")
        await it.press("H")
        await it.until(lambda: it.link.asked)
        assert it.link.asked == [Halt()]
        it.link.update(engine=EngineRow(halted=HaltRow("the news", NOW, "jane")))
        await it.sees("HALTED: the news")
        await it.press("H")
        await it.sees("halted already")
        assert it.link.asked == [Halt()]
        commands = {c.title: c for c in it.app.get_system_commands(it.app.main_screen)}
        commands["resume"].callback()
        await it.until(lambda: len(it.link.asked) == 2)
        assert it.link.asked[1] == Resume()


async def test_a_read_only_console_has_no_such_key() -> None:
    async with console(crowd(), size=(160, 40), read_only=True) as it:
        await it.sees("68 positions")
        it.link.update(engine=EngineRow(halted=HaltRow("the news", NOW, "jane")))
        await it.sees("HALTED")
        assert "resume" not in {c.title for c in it.app.get_system_commands(it.app.main_screen)}
        await it.press("H", "question_mark")
        await it.sees("KEYS AND TAGS")
        assert not it.link.asked

"""The main screen follows the link, draws what changed and nothing else, and says when it is not live."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from textual.geometry import Region

from core.link.messages import AccountRow, OwnerRow, PlanRow
from core.settings import ConsoleSettings
from tests.tui.console import console
from tests.tui.fakes import NOW, alarmed, closing, crowd, key, log, position, snapshot
from tui.present.positions import OwnerKey
from tui.widgets.log import LogView
from tui.widgets.table import LineTable

D = Decimal


async def test_fifty_nine_positions_are_shown_grouped_by_owner() -> None:
    async with console(crowd(), size=(200, 110)) as it:
        text = it.text()
        assert "platform  59/8 ▓▓▓▓▓▓▓▓ +51 over" in text
        assert "user_123  9/8 ▓▓▓▓▓▓▓▓ +1 over" in text
        assert "68 positions" in text
        assert "1 STALE 12s" in text
        assert "[STALE] [CLOSING]" in text
        assert "[STUCK] COIN03-USD" in text
        assert "ALARM COIN03-USD is stuck after 3 rounds" in text
        assert len(it.app.main_screen.positions.table.keys) == 70


async def test_the_title_explains_the_row_under_the_cursor() -> None:
    async with console(crowd(), size=(80, 24)) as it:
        it.app.main_screen.positions.table.go_to(key("NVDA", "user_123/alpaca"))
        await it.sees("NVDA at alpaca: no price for 12 s")


async def test_a_narrow_table_says_at_which_account_the_row_under_the_cursor_is() -> None:
    shown = snapshot(position("BTC-USD"), position("BTC-USD", account="user_123/kraken"))
    async with console(shown, size=(80, 24)) as it:
        it.app.main_screen.positions.table.go_to(key("BTC-USD", "user_123/kraken"))
        await it.sees("BTC-USD at kraken")


def watch_refreshes(table: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Region, ...]]:
    """Notes every region that the table asks to be painted again."""
    seen: list[tuple[Region, ...]] = []
    refresh = table.refresh

    def noted(*regions: Region, **rest: Any) -> Any:
        seen.append(regions)
        return refresh(*regions, **rest)

    monkeypatch.setattr(table, "refresh", noted)
    return seen


async def test_an_update_repaints_only_what_differs_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(snapshot(*(position(f"S{n:02d}", owner="platform") for n in range(20)))) as it:
        seen = watch_refreshes(it.app.main_screen.positions.table, monkeypatch)
        it.link.update(positions=(position("S05", usd_value=D("51.5")),))
        await it.sees("$51.50")
        places = {region.y for regions in seen for region in regions}
        assert () not in seen  # never the whole table
        assert places == {1, 7}  # the owner's sums and the row
        row = next(region for regions in seen for region in regions if region.y == 7)
        assert row.width <= 10


async def test_one_changed_row_among_ten_thousand_draws_a_handful_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [position(f"S{n:05d}", f"user_{n % 50:02d}/x") for n in range(10_000)]
    async with console(snapshot(*rows)) as it:
        drawn: list[int] = []
        render = LineTable.render_line

        def counted(self: LineTable, y: int) -> Any:
            drawn.append(y)
            return render(self, y)

        monkeypatch.setattr(LineTable, "render_line", counted)
        made = it.app.main_screen.positions.position_list.row
        asked: list[Any] = []
        monkeypatch.setattr(
            it.app.main_screen.positions.position_list, "row", lambda k, now: asked.append(k) or made(k, now)
        )
        it.link.update(positions=(position("S00050", "user_00/x", usd_value=D("77.5")),))
        await it.sees("$77.50")
        await it.pilot.pause(0.3)
        assert len(drawn) <= 6
        assert len(asked) <= 6


async def test_a_row_off_screen_costs_no_drawing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [position(f"S{n:04d}") for n in range(500)]
    async with console(snapshot(*rows)) as it:
        seen = watch_refreshes(it.app.main_screen.positions.table, monkeypatch)
        it.link.update(positions=(position("S0400", usd_value=D(1)),))
        await it.until(lambda: it.app.replica.seq == 2)
        await it.pilot.pause(0.3)
        assert {region.y for regions in seen for region in regions} <= {1}
        await it.press("G")
        await it.press(*["k"] * 99)
        await it.sees("S0400")
        assert "$1.00" in it.text()


async def test_a_gap_asks_for_a_snapshot_and_shows_it() -> None:
    async with console() as it:
        it.link.snapshot = snapshot(position("NEW-USD"))
        it.link.snapshot = type(it.link.snapshot)(9, NOW, it.link.snapshot.engine, positions=(position("NEW-USD"),))
        it.link.update(skip=3, positions=(position("LOST-USD"),))
        await it.sees("NEW-USD")
        assert it.link.names() == ["Refresh"]
        assert not it.link.refreshed()[0].read
        assert "BTC-USD" not in it.text()
        it.link.seq = 9
        it.link.update(positions=(position("NEXT-USD"),))
        await it.sees("NEXT-USD")
        assert it.link.names() == ["Refresh"]


async def test_a_gap_without_a_snapshot_is_said() -> None:
    from core.link.messages import Rejected

    async with console() as it:
        it.link.answers["Refresh"] = Rejected("busy", "not now")
        it.link.update(skip=1)
        await it.sees("NOT LIVE")
        assert "not now" in it.text()


async def test_rows_that_go_disappear_and_the_cursor_stays_with_its_row() -> None:
    async with console(snapshot(*(position(f"S{n}") for n in range(5)))) as it:
        await it.press("j", "j", "j")
        assert it.app.main_screen.positions.table.cursor == key("S2")
        it.link.update(gone_positions=(key("S0"),), positions=(position("A-NEW"),))
        await it.sees("A-NEW")
        assert "S0 " not in it.text()
        assert it.app.main_screen.positions.table.cursor == key("S2")


async def test_a_dead_link_is_shown_with_the_time_of_the_data() -> None:
    async with console() as it:
        it.link.send(ConnectionResetError("peer [/] gone"))
        await it.sees("NOT LIVE: the line to the engine broke (peer [/] gone)")
        assert "as of 02:14:07Z" in it.text()
        assert "BTC-USD" in it.text()


async def test_an_engine_that_hangs_up_is_shown() -> None:
    async with console() as it:
        it.link.send(None)
        await it.sees("the engine has hung up")


async def test_ages_grow_without_any_message() -> None:
    async with console(size=(160, 40)) as it:
        it.clock.forward(42)
        await it.sees("42s")
        assert "02:14:49Z" in it.text()


async def test_the_seconds_to_the_next_tier_count_down() -> None:
    rows = (closing(tier="market_ioc", round=1, next_tier="market_gtc", next_at=NOW + timedelta(seconds=9)),)
    async with console(snapshot(position(), closings=rows)) as it:
        await it.sees("→ market_gtc in 9s")
        it.clock.forward(4)
        await it.sees("→ market_gtc in 5s")


async def test_bursts_are_painted_at_most_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console() as it:
        paints: list[Any] = []
        paint = it.app.main_screen.paint
        monkeypatch.setattr(it.app.main_screen, "paint", lambda changes: paints.append(bool(changes)) or paint(changes))
        for n in range(300):
            it.link.update(positions=(position("BTC-USD", usd_value=D(n)),))
        await it.until(lambda: it.app.replica.seq == 301)
        await it.sees("$299.00")
        assert sum(paints) <= 3


async def test_the_log_follows_its_tail_until_scrolled() -> None:
    lines = tuple(log(n, f"line {n}") for n in range(100))
    async with console(snapshot(position(), log=lines)) as it:
        await it.sees("line 99")
        view = it.app.main_screen.query_one(LogView)
        view.focus()
        await it.press("pageup")
        await it.sees("PAUSED")
        it.clock.forward(1)
        it.link.update(log=(log(200, "line 200"),))
        await it.sees("PAUSED, 1 new")
        assert "line 200" not in it.text()
        await it.press("G")
        await it.sees("line 200")
        assert "PAUSED" not in it.text()


async def test_ten_thousand_log_lines_format_only_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.widgets import log as logview

    async with console() as it:
        formatted: list[Any] = []
        cells = logview.log_cells
        monkeypatch.setattr(logview, "log_cells", lambda row: formatted.append(row) or cells(row))
        for start in range(0, 30_000, 1000):
            it.clock.forward(1)
            it.link.update(log=tuple(log(n, f"line {n}") for n in range(start, start + 1000)))
        await it.sees("line 29999")
        view = it.app.main_screen.query_one(LogView)
        assert len(formatted) < 500
        assert len(list(view.lines())) <= logview.KEPT + logview.SLACK


async def test_the_filter_narrows_positions_by_flag_and_empties_again() -> None:
    async with console(crowd(), size=(120, 90)) as it:
        await it.press("slash", *"cap")
        await it.sees("filter: cap")
        await it.until(lambda: len(it.app.main_screen.positions.table.keys) == 7)
        await it.press("enter", "j")
        assert it.app.main_screen.positions.table.has_focus
        await it.press("slash", "backspace", "backspace", "backspace", "enter")
        await it.until(lambda: len(it.app.main_screen.positions.table.keys) == 70)


async def test_the_filter_of_the_log_is_its_own() -> None:
    lines = (log(1, "apples"), log(2, "pears"))
    async with console(snapshot(position(), log=lines)) as it:
        it.app.main_screen.query_one(LogView).focus()
        await it.press("slash", *"pear", "enter")
        await it.until(lambda: "apples" not in it.text())
        assert "pears" in it.text()
        assert len(it.app.main_screen.positions.table.keys) == 2


async def test_enter_folds_an_owner() -> None:
    async with console(crowd()) as it:
        await it.press("g", "enter")
        await it.sees("▸ platform")
        assert "COIN00" not in it.app.main_screen.positions.table.keys
        assert len(it.app.main_screen.positions.table.keys) == 11


async def test_an_owner_that_appears_gets_a_line() -> None:
    async with console() as it:
        it.link.update(owners=(OwnerRow("user_9", 8, 0, True),))
        await it.until(lambda: OwnerKey("user_9") in it.app.main_screen.positions.table)
        await it.sees("user_9  0/8")


async def test_an_account_going_stale_shows_on_its_owner_and_in_the_header() -> None:
    async with console() as it:
        row = AccountRow("platform/coinbase", "platform", "paper", "down", error="no such host", as_of=NOW)
        it.link.update(accounts=(row,))
        await it.sees("[DOWN] platform/coinbase read 0s ago: no such host")
        assert "1 DOWN <5s" in it.text()


async def test_the_engine_alarm_has_a_line_of_its_own_and_is_acknowledged() -> None:
    async with console() as it:
        it.link.update(engine=alarmed("journal: disk full", armed=True))
        await it.sees("ALARM: journal: disk full · since 02:14:07Z  (A acknowledges)")
        await it.press("A")
        await it.until(lambda: it.link.names() == ["Acknowledge"])
        assert it.link.asked[0].key is None


async def test_a_stuck_close_is_acknowledged_by_key() -> None:
    async with console(crowd()) as it:
        await it.press("A")
        await it.until(lambda: it.link.names() == ["Acknowledge"])
        assert it.link.asked[0].key == key("COIN03-USD")
        done = closing("COIN03-USD", outcome="stuck", state="stuck", alarm=True, acknowledged=True)
        it.link.update(closings=(done,))
        await it.until(lambda: "1 STUCK" not in it.text())


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_bell_rings_for_stuck_closes_only_when_asked_to(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(settings=ConsoleSettings(bell=wanted)) as it:
        rung: list[int] = []
        monkeypatch.setattr(it.app, "bell", lambda: rung.append(1))
        it.link.update(closings=(closing(outcome="stuck", alarm=True),))
        await it.sees("1 STUCK")
        it.link.update(closings=(closing(outcome="stuck", alarm=True),))
        await it.until(lambda: it.app.replica.seq == 3)
        await it.pilot.pause(0.2)
        assert len(rung) == int(wanted)


async def test_plans_that_wait_for_a_person_are_listed() -> None:
    async with console(snapshot(position(), plans=(PlanRow("w", "legacy", "waiting", 2, 1, NOW),))) as it:
        await it.sees("[PLAN] legacy waits for a person: 2 closes, 1 cancel")


async def test_reconcile_asks_for_a_complete_read() -> None:
    async with console() as it:
        await it.press("r")
        await it.until(lambda: len(it.link.refreshed()) == 1)
        assert it.link.refreshed()[0].read


async def test_a_window_that_was_too_small_for_a_while_leaves_the_keys_where_they_were() -> None:
    async with console(size=(50, 12)) as it:
        await it.sees("Make the window larger")
        await it.pilot.resize_terminal(120, 40)
        await it.until(lambda: it.app.focused is it.app.main_screen.positions.table)
        await it.press("tab")
        escalations = it.app.main_screen.escalations.table
        assert it.app.focused is escalations
        await it.pilot.resize_terminal(50, 12)
        await it.sees("Make the window larger")
        await it.pilot.resize_terminal(120, 40)
        await it.until(lambda: it.app.focused is escalations)


async def test_the_keys_go_to_the_positions_when_the_panel_that_had_them_has_no_room_any_more() -> None:
    async with console(size=(200, 60)) as it:
        it.app.main_screen.set_focus(it.app.main_screen.stops.table)
        await it.pilot.resize_terminal(80, 24)
        await it.until(lambda: it.app.focused is it.app.main_screen.positions.table)

"""Nothing destructive happens by accident: the modal, key by key."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from core.link.messages import Prepare, Snapshot, Withdraw
from core.plans.plan import ActionKind, Reason
from core.plans.request import PlanRequest
from tests.tui.console import Console, console
from tests.tui.fakes import FakeLink, close, key, order, plan, position, snapshot
from tui.screens.main_screen import MainScreen
from tui.widgets.confirm_controls import ConfirmButton, CountInput
from tui.widgets.table import LineTable

D = Decimal
DESTRUCTIVE = ["x", "X", "F", "c", "o"]


def two() -> Snapshot:
    return snapshot(position("BTC-USD"), position("ETH-USD"))


async def opened(it: Console, letter: str = "x") -> None:
    """Put the cursor on the first position and open the confirmation."""
    await it.press("g", "j", letter)
    await it.planned()


@pytest.mark.parametrize("letter", DESTRUCTIVE)
async def test_a_destructive_key_opens_the_modal_and_only_prepares(letter: str) -> None:
    async with console(two()) as it:
        await opened(it, letter)
        await it.pilot.pause(0.2)
        assert set(it.link.names()) <= {"Prepare", "Withdraw"}
        assert it.app.focused is not None
        assert it.app.focused.id == "cancel"


@pytest.mark.parametrize(
    ("letter", "request_"),
    [
        ("x", PlanRequest("flatten", keys=(key("BTC-USD"),))),
        ("X", PlanRequest("flatten", owners=("platform",))),
        ("F", PlanRequest("flatten", everything=True)),
        ("c", PlanRequest("cleanup")),
        ("d", PlanRequest("cleanup")),
        ("o", PlanRequest("cancel-orders", keys=(key("BTC-USD"),))),
    ],
)
async def test_each_key_asks_for_its_own_plan(letter: str, request_: PlanRequest) -> None:
    async with console(two()) as it:
        await opened(it, letter)
        assert it.link.asked[0] == Prepare(request_)


async def test_close_takes_every_selected_position() -> None:
    async with console(two()) as it:
        await it.press("g", "space", "x")
        await it.planned()
        assert it.link.asked[0].request.keys == (key("BTC-USD"), key("ETH-USD"))


async def test_close_on_a_heading_only_explains() -> None:
    async with console(two()) as it:
        await it.press("g", "x")
        await it.sees("X flattens a whole owner")
        assert isinstance(it.app.screen, MainScreen)
        assert it.link.asked == []


async def test_enter_never_confirms_wherever_the_focus_is() -> None:
    async with console(two()) as it:
        await opened(it)
        modal = it.modal
        await it.until(lambda: not modal.query_one(ConfirmButton).disabled)
        for focus in (ConfirmButton, LineTable):
            modal.query_one(focus).focus()
            await it.press("enter", "enter")
            assert it.app.screen is modal
        await it.pilot.pause(0.1)
        assert it.link.confirmed() == []
        modal.query_one("#cancel").focus()
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, MainScreen))
        assert it.link.confirmed() == []


@pytest.mark.parametrize("how", ["y", "space", "click"])
async def test_y_space_and_click_confirm_exactly_what_is_shown(how: str) -> None:
    async with console(two()) as it:
        it.link.plan = lambda: plan(close("BTC-USD"))
        await opened(it)
        modal = it.modal
        await it.until(lambda: not modal.query_one(ConfirmButton).disabled)
        if how == "space":
            modal.query_one(ConfirmButton).focus()
        await (it.pilot.click("#confirm") if how == "click" else it.press(how))
        await it.until(it.link.confirmed)
        sent = it.link.confirmed()
        assert len(sent) == 1
        assert sent[0].digest == plan(close("BTC-USD")).digest
        prepared = it.link.names().count("Prepare")
        await it.pilot.pause(0.15)
        assert it.link.names().count("Prepare") == prepared  # it no longer looks for another plan


async def test_while_unchanged_the_newest_plan_is_confirmed_and_older_ones_are_withdrawn() -> None:
    async with console(two()) as it:
        await opened(it)
        await it.until(lambda: it.link.names().count("Withdraw") >= 3)
        await it.press("y")
        await it.until(it.link.confirmed)
        await it.pilot.pause(0.1)
        gone = [c.plan for c in it.link.asked if isinstance(c, Withdraw)]
        assert gone[:3] == ["p1", "p2", "p3"]
        assert it.link.confirmed()[0].plan not in gone


async def test_a_change_marks_lines_and_closes_the_gate_until_it_was_looked_at() -> None:
    async with console(two(), size=(160, 40)) as it:
        it.link.plan = lambda: plan(close("BTC-USD"), close("SOL-USD"))
        await opened(it, "c")
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)
        changed = plan(close("BTC-USD", quantity=D(2)), close("NEW-USD"))
        it.link.plan = lambda: changed
        await it.sees("THE PLAN CHANGED")
        assert "(1 changed, 1 new, 1 gone)" in it.text()
        rows = [line for line in it.text().splitlines() if "-USD" in line]
        assert [w for w in ("CHANGED", "NEW", "GONE") if any(w in line and "-USD" in line for line in rows)] == [
            "CHANGED",
            "NEW",
            "GONE",
        ]
        assert it.modal.query_one(ConfirmButton).disabled
        await it.press("y")
        assert it.link.confirmed() == []
        it.clock.forward(1.4)
        await it.press("y")
        assert it.link.confirmed() == []
        it.clock.forward(0.2)  # a letter in the meantime, and be it y, counts as no answer and starts the wait again
        await it.pilot.pause(0.2)
        assert it.modal.query_one(ConfirmButton).disabled
        await it.settle()
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)
        await it.press("y")
        await it.until(it.link.confirmed)
        assert it.link.confirmed()[0].digest == changed.digest


async def test_focus_on_the_button_falls_back_to_cancel_when_it_closes() -> None:
    async with console(two()) as it:
        await opened(it, "c")
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)
        it.modal.query_one(ConfirmButton).focus()
        it.link.plan = lambda: plan(close("OTHER"))
        await it.sees("THE PLAN CHANGED")
        await it.until(lambda: it.app.focused is not None and it.app.focused.id == "cancel")


async def test_moving_prices_change_the_numbers_and_leave_the_gate_open() -> None:
    async with console(two()) as it:
        await opened(it, "c")
        it.link.plan = lambda: plan(close("BTC-USD", usd_value=D("61.25")))
        await it.sees("$61.25")
        assert not it.modal.query_one(ConfirmButton).disabled
        assert "THE PLAN CHANGED" not in it.text()


@pytest.mark.parametrize("letter", ["X", "F"])
async def test_flattening_many_wants_their_number_typed(letter: str) -> None:
    async with console(two()) as it:
        it.link.plan = lambda: plan(*(close(f"S{n}") for n in range(12)), cause="flatten")
        await opened(it, letter)
        await it.sees("Type 12, the number of positions")
        await it.press("y")
        assert it.link.confirmed() == []
        await it.press("1", "2")  # from wherever the focus is
        await it.until(lambda: it.modal.query_one(CountInput).value == "12")
        await it.press("enter")
        await it.pilot.pause(0.1)
        assert it.link.confirmed() == []
        await it.press("y")
        await it.until(it.link.confirmed)


async def test_a_typed_number_no_longer_counts_when_the_plan_grew() -> None:
    async with console(two()) as it:
        await opened(it, "F")
        await it.press("1")
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)
        it.link.plan = lambda: plan(close("BTC-USD"), close("ETH-USD"))
        await it.sees("THE PLAN CHANGED")
        await it.settle()
        await it.sees("Type 2, the number")
        await it.press("y")
        assert it.link.confirmed() == []


@pytest.mark.parametrize("letter", DESTRUCTIVE)
async def test_a_second_press_of_the_key_does_nothing(letter: str) -> None:
    async with console(two()) as it:
        await it.press("g", "j", letter, letter, letter)
        modal = await it.planned()
        await it.press(letter)
        assert it.app.screen is modal
        assert len(it.app.screen_stack) == 2
        assert it.link.confirmed() == []


@pytest.mark.parametrize("letter", ["n", "q", "escape"])
async def test_closing_the_modal_sends_nothing_and_withdraws_the_plan(letter: str) -> None:
    async with console(two()) as it:
        await opened(it)
        await it.press(letter)
        await it.until(lambda: isinstance(it.app.screen, MainScreen))
        await it.until(lambda: it.link.names()[-1] == "Withdraw")
        asked = len(it.link.asked)
        await it.pilot.pause(0.15)
        assert it.link.confirmed() == []
        assert len(it.link.asked) <= asked + 2


async def test_a_plan_that_comes_after_the_modal_was_closed_is_withdrawn() -> None:
    waiting = asyncio.Event()

    class Slow(FakeLink):
        async def ask(self, command: Any) -> Any:
            if isinstance(command, Prepare):
                await waiting.wait()
            return await super().ask(command)

    async with console(link=Slow(two())) as it:
        await it.press("c")
        await it.sees("Preparing the plan")
        await it.press("y", "n")  # eaten: nothing is on the screen yet
        assert not isinstance(it.app.screen, MainScreen)
        await it.press("escape")
        await it.until(lambda: isinstance(it.app.screen, MainScreen))
        waiting.set()
        await it.until(lambda: it.link.names() == ["Prepare", "Withdraw"])


async def test_a_dry_run_has_nothing_to_confirm_with() -> None:
    async with console(two()) as it:
        await opened(it, "d")
        await it.sees("Dry run: nothing is sent from here.")
        assert not it.modal.query_one("#confirm").display
        assert "y Confirm" not in it.text()
        await it.press("y", "space", "enter")
        await it.pilot.pause(0.1)
        assert it.link.confirmed() == []


async def test_an_empty_plan_says_so_and_only_closes() -> None:
    async with console(two()) as it:
        skipped = close(kind=ActionKind.SKIP, reason=Reason.UNSELLABLE, text="below the minimum of 1 USD; convert it")
        it.link.plan = lambda: plan(skipped)
        await opened(it, "c")
        await it.sees("Nothing to do: nothing would be sent.")
        it.modal.query_one(LineTable).focus()
        await it.press("j")
        await it.sees("below the minimum of 1 USD; convert it")
        await it.press("y")
        assert it.link.confirmed() == []


async def test_a_partial_plan_says_what_could_not_be_read() -> None:
    async with console(two()) as it:
        it.link.plan = lambda: plan(close(), unreadable={"user_9/alpaca": "401 unauthorised"})
        await opened(it, "c")
        await it.sees("PARTIAL: 1 account could not be read")
        assert "user_9/alpaca could not be read: 401 unauthorised" in it.text()


async def test_the_row_under_the_cursor_is_shown_in_full_however_narrow() -> None:
    async with console(two(), size=(80, 24)) as it:
        await opened(it, "c")
        it.modal.query_one(LineTable).focus()
        await it.press("j")
        await it.sees("› close long  BTC-USD  platform/coinbase  0.5  $50.50  +1.00%  $0.03  Position")


async def test_whose_each_line_is_can_be_read_at_eighty_columns_where_it_is_not_the_same_for_all() -> None:
    perp, accounts = "BTC/USDT:USDT", ("user_0/bybit", "user_0/kucoin")
    async with console(two(), size=(80, 24)) as it:
        it.link.plan = lambda: plan(*(close(perp, account) for account in accounts))
        await opened(it, "c")
        await it.sees(accounts[1])
        lines = [" ".join(line.split()) for line in it.text().splitlines()]
        assert [n for n in lines if n.startswith("close long")] == [
            f"close long {perp} {account} 0.5 $50.50 +1.00%" for account in accounts
        ]
        it.link.plan = lambda: plan(close(perp, accounts[0]), close("ETH/USDT:USDT", accounts[0]))
        await it.press("n", "c")
        await it.planned()
        await it.sees("Position")
        assert not any(line.split()[3:4] == [accounts[0]] for line in it.text().splitlines())


async def test_five_hundred_lines_scroll_under_fixed_totals() -> None:
    async with console(two(), size=(80, 24)) as it:
        it.link.plan = lambda: plan(*(close(f"S{n:03d}", cancels=(order(f"o{n}", f"S{n:03d}"),)) for n in range(500)))
        await opened(it, "c")
        it.modal.query_one(LineTable).focus()
        await it.press("G")
        await it.sees("its order o499")
        text = it.text()
        assert "500 to close · 500 orders to cancel" in text
        assert "Cancel" in text
        await it.settle()
        await it.press(*"500")
        await it.sees("y Confirm")


async def test_what_cannot_be_seen_cannot_be_confirmed() -> None:
    async with console(two()) as it:
        await opened(it, "c")
        await it.pilot.resize_terminal(50, 12)
        await it.until(lambda: it.modal.query_one(ConfirmButton).disabled)
        await it.press("y")
        assert it.link.confirmed() == []
        await it.pilot.resize_terminal(100, 30)
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)


async def test_a_plan_that_is_no_longer_watched_cannot_be_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(two()) as it:
        await opened(it, "c")
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)

        def broken(_: Any) -> bool:
            raise ValueError("a fault of the console")

        monkeypatch.setattr(it.modal.diff, "show", broken)
        await it.sees("No plan: the console failed at it (ValueError)")
        assert it.modal.query_one(ConfirmButton).disabled
        await it.press("y")
        assert it.link.confirmed() == []

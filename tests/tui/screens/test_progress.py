"""After the confirmation: what is turned down, what is lost, progress, and the end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.link.messages import Confirm, Finished, Planned, Prepare, Rejected, Snapshot, Started
from core.plans.plan import OwnerTally
from core.plans.request import PlanRequest
from tests.tui.console import Console, console
from tests.tui.fakes import close, closing, crowd, plan, position, report, snapshot
from tui.screens.confirm_screen import Stage
from tui.screens.main_screen import MainScreen
from tui.widgets.confirm_controls import ConfirmButton

D = Decimal


def two() -> Snapshot:
    return snapshot(position("BTC-USD"), position("ETH-USD"))


async def opened(it: Console, letter: str = "x") -> None:
    """Put the cursor on the first position and open the confirmation."""
    await it.press("g", "j", letter)
    await it.planned()


@pytest.mark.parametrize("code", ["changed", "expired", "read_only"])
async def test_a_rejection_is_shown_and_what_was_shown_is_looked_at_again(code: str) -> None:
    async with console(two()) as it:
        it.link.answers["Confirm"] = Rejected(code, f"no: {code}")
        await opened(it, "c")
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)
        await it.press("y")
        await it.sees(f"NOT DONE: no: {code}.")
        assert it.modal.stage is Stage.LOOKING
        await it.press("y")
        assert len(it.link.confirmed()) == 1
        await it.settle()
        assert it.modal.query_one(ConfirmButton).disabled is (code == "read_only")


async def test_a_plan_that_cannot_be_made_closes_the_gate_and_says_why() -> None:
    async with console(two()) as it:
        await opened(it, "c")
        it.link.answers["Prepare"] = Rejected("unreadable", "no account could be read")
        await it.sees("No plan: no account could be read")
        assert it.modal.query_one(ConfirmButton).disabled
        it.link.answers["Prepare"] = ConnectionResetError("gone")
        await it.sees("the engine does not answer (gone)")
        await it.press("y")
        assert it.link.confirmed() == []


async def test_a_confirmation_whose_answer_is_lost_is_never_sent_again() -> None:
    async with console(two()) as it:
        it.link.answers["Confirm"] = ConnectionResetError("gone")
        await opened(it, "c")
        await it.until(lambda: not it.modal.query_one(ConfirmButton).disabled)
        await it.press("y")
        await it.sees("It may be under way")
        await it.press("y", "y")
        await it.pilot.pause(0.2)
        assert len(it.link.confirmed()) == 1


async def test_progress_is_live_and_ends_with_a_summary() -> None:
    async with console(two(), size=(160, 40)) as it:
        made = plan(
            close("BTC-USD"), close("ETH-USD"), owners=(OwnerTally("platform", 8, 59, dust=45, cap_excess=6, final=8),)
        )
        it.link.plan = lambda: made
        await opened(it, "c")
        await it.press("y")
        await it.sees("under way")
        name = it.link.confirmed()[0].plan
        it.link.update(closings=(closing("BTC-USD", plan=name, tier="market_ioc", round=1, answer="partial fill"),))
        await it.sees("market_ioc r1")
        assert "partial fill" in it.text()
        it.link.update(closings=(closing("BTC-USD", plan=name, outcome="closed"),))
        await it.sees("1 of 2 closes ended · 1 closed")
        import msgspec

        done = msgspec.structs.replace(made, id=name)
        it.link.send(Finished(report(done)))
        await it.sees("59 → 8 positions · 45 dust · 6 over cap · 2 closed · read again and verified")
        assert "WIN" in it.text()
        assert it.modal.stage is Stage.ENDED
        await it.press("n")
        await it.until(lambda: isinstance(it.app.screen, MainScreen))
        assert "Withdraw" not in it.link.names()[it.link.names().index("Confirm") :]


async def test_a_plan_that_ended_before_its_answer_came_is_still_summed_up() -> None:
    async with console(two(), size=(160, 40)) as it:
        made = plan(close("BTC-USD"))
        it.link.plan = lambda: made

        def at_once(command: Confirm) -> Started:
            import msgspec

            it.app._finished(report(msgspec.structs.replace(made, id=command.plan), outcome="stuck", success=False))
            return Started(command.plan)

        it.link.answers["Confirm"] = at_once
        await opened(it, "c")
        await it.press("y")
        await it.sees("1 STUCK · read again: SOMETHING REMAINED")


async def test_the_end_of_a_plan_nobody_watches_is_announced() -> None:
    async with console(two()) as it:
        it.link.send(Finished(report(plan(name="elsewhere"))))
        await it.sees("cleanup ended")


async def test_the_deck_is_not_painted_under_the_modal_and_catches_up_after_it() -> None:
    async with console(two()) as it:
        await opened(it)
        painted: list[Any] = []
        paint = it.app.main_screen.paint
        it.app.main_screen.paint = lambda changes: painted.append(changes) or paint(changes)  # type: ignore[method-assign]
        it.link.update(positions=(position("BTC-USD", usd_value=D("88.25")),))
        await it.until(lambda: it.app.replica.seq == 2)
        await it.pilot.pause(0.3)
        assert painted == []
        await it.press("n")
        await it.sees("$88.25")


async def test_a_waiting_cleanup_opens_with_enter() -> None:
    from core.link.messages import PlanRow
    from tests.tui.fakes import NOW

    async with console(snapshot(position(), plans=(PlanRow("w", "cleanup", "waiting", 2, 1, NOW),))) as it:
        it.app.main_screen.escalations.table.focus()
        await it.press("enter")
        await it.planned()
        assert it.link.asked[0] == Prepare(PlanRequest("cleanup"))


async def test_the_diff_of_a_whole_cleanup_is_readable() -> None:
    async with console(crowd(), size=(200, 60)) as it:
        it.link.answers["Prepare"] = Planned(plan(*(close(f"COIN{n:02d}-USD") for n in range(8, 59))))
        await opened(it, "c")
        await it.sees("51 to close")
        assert "tried in turn: 51 by market_ioc → market_gtc → venue_close → direct_api" in it.text()
        assert "Position cap exceeded (9/8)" in it.text()

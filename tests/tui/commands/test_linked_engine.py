"""A running engine as a command sees it, where its configuration is not the command's."""

from __future__ import annotations

import asyncio

from msgspec import structs

from core.link.messages import AccountRow, Finished, PlanReport
from core.link.protocol import PROTOCOL, Welcome
from core.link.requests import Answered
from core.link.restrict import Halt, HaltRow
from core.plans.approver import Approver
from core.plans.request import PlanRequest
from core.settings import AccountSettings
from tests.support.books import NOW
from tests.tui.fakes import FakeLink, plan, snapshot
from tui.commands.linked_engine import ABSENT, LinkedEngine
from tui.commands.restrictions import LinkedSwitch

KNOWN, NEW = (AccountSettings(f"u/{name}", "u", name, "paper") for name in ("known", "new"))


def engine(**answers: object) -> tuple[LinkedEngine, FakeLink]:
    rows = structs.replace(snapshot(), accounts=(AccountRow("u/known", "u", "paper", "live", as_of=NOW),))
    link = FakeLink(rows, **answers)
    return LinkedEngine(link, Welcome(PROTOCOL, "1", 7, NOW, 0), correct=True, accounts=(KNOWN, NEW)), link


def test_an_account_that_the_engine_does_not_have_is_down_and_no_plan_is_complete_without_it() -> None:
    async def work() -> None:
        linked, _ = engine()
        await linked.read_all()
        assert [(row.id, row.state) for row in linked.snapshot().accounts] == [("u/known", "live"), ("u/new", "down")]
        for request in (PlanRequest("flatten", everything=True), PlanRequest("flatten", accounts=("u/new",))):
            assert (await linked.prepare(request)).unreadable == {"u/new": ABSENT}
        assert (await linked.prepare(PlanRequest("cleanup", accounts=("u/known",)))).unreadable == {"u/new": ABSENT}
        assert (await linked.prepare(PlanRequest("flatten", accounts=("u/known",)))).complete

    asyncio.run(work())


def test_a_report_without_that_account_is_no_success() -> None:
    async def work() -> None:
        made = plan()
        linked, _ = engine(Execute=Finished(PlanReport(made, (), (), (), complete=True, success=True)))
        await linked.prepare(PlanRequest("flatten", everything=True))
        report = await linked.execute("p1", made.digest)
        assert (report.complete, report.success, report.plan.unreadable) == (False, False, {"u/new": ABSENT})

    asyncio.run(work())


def test_a_halt_leaves_before_any_rows_are_asked_for() -> None:
    async def work() -> None:
        linked, link = engine(Halt=Answered(True))
        who = Approver("jane", "desk1", "--yes")
        link.snapshot = structs.replace(
            link.snapshot, engine=structs.replace(link.snapshot.engine, halted=HaltRow("news", NOW, "jane"))
        )
        began, row = await LinkedSwitch(linked).halt("news", who)
        assert link.asked[0] == Halt("news", who)
        assert (began, row) == (True, HaltRow("news", NOW, "jane"))

    asyncio.run(work())

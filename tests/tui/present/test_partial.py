"""The console's words for an account of which a part is not listed."""

from __future__ import annotations

from msgspec import structs

from tests.tui.command_world import NOW, PLAN, REPORT, SNAPSHOT
from tui.present import plan_diff
from tui.present.labels import account_problem, accounts_cells, report_summary
from tui.present.plan_diff import Diff

ACCOUNT = "user_123/coinbase"
[ROW] = SNAPSHOT.accounts
PARTIAL = structs.replace(ROW, unlisted=("options\x1b",))


def text(cells: object) -> str:
    return " ".join(cell.text for cell in cells)  # type: ignore[attr-defined]  # cells


def test_the_header_counts_partial_accounts_and_their_heading_names_the_part() -> None:
    assert "1 PARTIAL" in text(accounts_cells([ROW, PARTIAL], NOW))
    assert "PARTIAL" not in text(accounts_cells([ROW], NOW))
    problem = account_problem(PARTIAL, NOW)
    assert problem is not None
    assert f"[PARTIAL] {ACCOUNT}: not listed: options" in problem.text
    assert "\x1b" not in problem.text
    assert account_problem(ROW, NOW) is None


def test_a_plan_on_screen_has_a_line_for_the_part_and_a_summary() -> None:
    made = structs.replace(PLAN, unlisted={ACCOUNT: ("options",)})
    shown = Diff()
    shown.show(made)
    assert f"[PARTIAL] {ACCOUNT}: not listed: options" in text(shown.row(shown.keys[0]).spans)
    assert plan_diff.partial(made) == "PARTIAL: 1 account could not be listed in whole"
    assert plan_diff.partial(PLAN) == ""


def test_a_part_that_becomes_unlisted_is_a_change() -> None:
    shown = Diff()
    shown.show(PLAN)
    assert shown.show(structs.replace(PLAN, unlisted={ACCOUNT: ("options",)}))


def test_the_summary_of_a_run_names_the_part() -> None:
    made = structs.replace(REPORT, complete=False, success=False, unlisted={ACCOUNT: ("options",)})
    assert "PARTIAL: not listed: options" in text(report_summary(made))

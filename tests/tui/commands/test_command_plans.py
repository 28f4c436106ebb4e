"""What cleanup, flatten and cancel-orders do: show, ask, act, and say it in the exit code."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from core.journal.data_dir import AlreadyRunning
from core.plans.plan import SHOWN_FOR, Action, NotApproved, Plan, Reason
from tests.tui.command_world import CLOSE, DOWN, EMPTY, NOW, PLAN, REPORT, SKIP, TALLY, FakeWorld, call, document


def test_a_dry_run_shows_the_plan_and_opens_no_engine_that_could_act() -> None:
    world = FakeWorld()
    result = call(world, "cleanup", "--dry-run", "--json")
    assert (result.exit_code, world.engines, world.executed) == (0, [False], [])
    made = document(result)
    assert made["dry_run"] is True
    assert "results" not in made


def test_a_dry_run_wins_over_yes() -> None:
    world = FakeWorld(terminal=True)
    assert call(world, "cleanup", "--dry-run", "--yes").exit_code == 0
    assert world.engines == [False]


def test_without_a_terminal_and_without_yes_the_plan_is_shown_and_nothing_is_touched() -> None:
    world = FakeWorld()
    result = call(world, "cleanup")
    assert (result.exit_code, world.engines, world.executed) == (3, [False], [])
    assert "BTC/USD" in result.stdout
    assert "--yes" in result.stderr


def test_in_json_an_unconfirmed_plan_is_one_document_that_says_so() -> None:
    made = document(call(FakeWorld(), "cleanup", "--json"))
    assert (made["confirmed"], made["dry_run"]) == (False, False)


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_no_and_enter_and_the_end_of_input_all_decline(answer: str) -> None:
    world = FakeWorld(terminal=True)
    assert call(world, "flatten", "--all", answer=answer).exit_code == 3
    assert world.engines == [False]


def test_after_a_yes_exactly_what_was_shown_is_executed() -> None:
    again = structs.replace(PLAN, id="p9")
    world = FakeWorld(terminal=True, plans=[PLAN, again])
    result = call(world, "cleanup", answer="y\n")
    assert (result.exit_code, world.engines) == (0, [False, True])
    assert world.executed == [("p9", PLAN.digest)]


def test_the_approval_tells_whether_a_person_was_asked_and_by_which_command() -> None:
    asked, advance = FakeWorld(terminal=True), FakeWorld()
    call(asked, "cleanup", answer="y\n")
    call(advance, "flatten", "--symbol", "BTC/USD", "--yes")
    told = [(who.how, who.command) for w in (asked, advance) for who in w.approvers if who]
    assert told == [("asked", "flatdeck cleanup"), ("--yes", "flatdeck flatten --symbol BTC/USD --yes")]


def test_a_plan_that_changed_while_it_was_asked_about_is_shown_and_asked_about_again() -> None:
    grown = structs.replace(PLAN, actions=(structs.replace(CLOSE, quantity=Decimal(7)),))
    world = FakeWorld(terminal=True, plans=[PLAN, grown, grown])
    result = call(world, "cleanup", answer="y\nn\n")
    assert (result.exit_code, world.executed) == (3, [])
    assert "no longer what was shown" in result.stderr
    world = FakeWorld(terminal=True, plans=[PLAN, grown, grown])
    assert call(world, "cleanup", answer="y\ny\n").exit_code == 0
    assert world.executed == [("p1", grown.digest)]


def test_a_yes_that_came_too_late_is_asked_for_again() -> None:
    world = FakeWorld(terminal=True, time=NOW + SHOWN_FOR + timedelta(seconds=1))
    assert call(world, "cleanup", answer="y\nn\n").exit_code == 3
    assert world.executed == []


def test_what_went_away_while_it_was_asked_about_leaves_nothing_to_do() -> None:
    world = FakeWorld(terminal=True, plans=[PLAN, EMPTY])
    result = call(world, "cleanup", answer="y\n")
    assert (result.exit_code, world.executed) == (0, [])
    assert "Nothing to do" in result.stdout


def test_that_nothing_is_held_is_believed_when_a_second_read_says_so() -> None:
    nothing = structs.replace(EMPTY, owners=(structs.replace(EMPTY.owners[0], initial=0, final=0),))
    world = FakeWorld(plans=[nothing, PLAN])
    assert call(world, "cleanup", "--yes").exit_code == 0
    assert (world.reads, world.executed) == (1, [("p1", PLAN.digest)])
    world = FakeWorld(plans=[nothing])
    assert "Nothing to do" in call(world, "cleanup", "--yes").stdout
    assert (world.reads, len(world.requests)) == (1, 2)
    world = FakeWorld(plans=[EMPTY])  # positions are there, and none of them is to be closed
    assert "Nothing to do" in call(world, "cleanup", "--yes").stdout
    assert world.reads == 0


def test_yes_shows_the_plan_before_anything_is_sent_and_the_results_after() -> None:
    world = FakeWorld()
    result = call(world, "cleanup", "--yes")
    assert (result.exit_code, world.engines) == (0, [True])
    assert result.stdout.index("Position cap exceeded (9/8)") < result.stdout.index("Results")
    assert "[CAP_EXCEEDED][FORCED]" in result.stderr


def test_the_log_on_stderr_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in call(FakeWorld(), "cleanup", "--yes").stderr


def test_in_json_stdout_has_one_document_and_the_plan_for_people_is_on_stderr() -> None:
    result = call(FakeWorld(), "--json", "cleanup", "--yes")
    made = document(result)
    assert made["verified"]["final"] == 8
    assert made["results"][0]["outcome"] == "closed"
    assert "Position cap exceeded (9/8)" in result.stderr


def test_nothing_to_do_asks_nothing_and_is_a_success() -> None:
    world = FakeWorld(plans=[EMPTY])
    result = call(world, "cleanup", "--json")
    assert (result.exit_code, world.engines) == (0, [False])
    made = document(result)
    assert (made["results"], made["verified"]["complete"]) == ([], True)


@pytest.mark.parametrize("reason", [Reason.OPEN_ORDERS, Reason.UNSELLABLE, Reason.NO_PRICE])
def test_what_the_policy_leaves_alone_is_no_failure(reason: Reason) -> None:
    plan = structs.replace(PLAN, actions=(structs.replace(SKIP, reason=reason),))
    world = FakeWorld(plans=[plan])
    result = call(world, "cleanup", "--yes", "--json")
    assert (result.exit_code, world.executed) == (0, [])
    assert document(result)["results"][0]["outcome"] == "skipped"


def test_what_a_failure_holds_back_remains() -> None:
    plan = structs.replace(PLAN, actions=(structs.replace(SKIP, reason=Reason.FROZEN),))
    assert call(FakeWorld(plans=[plan]), "cleanup", "--yes").exit_code == 1


@pytest.mark.parametrize(("residual", "code"), [("0", 0), ("0.5", 1), (None, 1)])
def test_a_plan_that_meets_another_plan_waits_for_its_end(residual: str | None, code: int) -> None:
    skipped = structs.replace(SKIP, reason=Reason.CLOSING, text="plan p9 is closing it already")
    left = None if residual is None else Decimal(residual)
    row = structs.replace(
        REPORT.results[0], outcome="changed", joined=True, residual=left, error=skipped.text, filled=Decimal(0)
    )
    met = structs.replace(PLAN, actions=(skipped,))
    report = structs.replace(REPORT, plan=met, results=(row,), success=row.done)
    for args in (["--yes"], []):
        world = FakeWorld(plans=[met], report=report)
        result = call(world, "flatten", "--all", "--json", *args)
        assert (result.exit_code, len(world.executed)) == (code, 1)
        (told,) = document(result)["results"]
        assert (told["outcome"], told["error"]) == ("changed", "plan p9 is closing it already")


@pytest.mark.parametrize("outcome", ["partial", "stuck", "waiting_open", "changed", "refused", "skipped"])
def test_whatever_is_not_closed_in_the_end_is_exit_code_1(outcome: str) -> None:
    row = structs.replace(REPORT.results[0], outcome=outcome, error="the venue's answer")
    report = structs.replace(REPORT, results=(row,))
    assert call(FakeWorld(report=report), "cleanup", "--yes").exit_code == 1


@pytest.mark.parametrize("changes", [{"success": False}, {"complete": False}])
def test_a_report_that_is_not_verified_is_exit_code_1(changes: dict[str, bool]) -> None:
    assert call(FakeWorld(report=structs.replace(REPORT, **changes)), "cleanup", "--yes").exit_code == 1


def _partial(plan: Plan) -> Plan:
    return structs.replace(plan, unreadable={"platform/coinbase": "no such host"})


@pytest.mark.parametrize("args", [["--dry-run"], ["--yes"]])
def test_a_partial_plan_is_exit_code_1_and_names_what_could_not_be_read(args: list[str]) -> None:
    partial = _partial(PLAN)
    world = FakeWorld(plans=[partial], report=structs.replace(REPORT, plan=partial))
    result = call(world, "cleanup", *args)
    assert result.exit_code == 1
    assert "PARTIAL" in result.stdout
    assert "no such host" in result.stdout


@pytest.mark.parametrize("args", [["--dry-run"], ["--yes"], []])
def test_when_no_account_could_be_reached_the_exit_code_is_4(args: list[str]) -> None:
    world = FakeWorld(plans=[structs.replace(EMPTY, unreadable=DOWN)])
    result = call(world, "cleanup", *args)
    assert result.exit_code == 4
    assert "No account could be reached" in result.stderr


def test_when_none_of_the_selected_accounts_could_be_reached_the_exit_code_is_4_too() -> None:
    world = FakeWorld(plans=[structs.replace(EMPTY, unreadable={"user_123/coinbase": "down"})])
    assert call(world, "flatten", "--user", "user_123", "--dry-run").exit_code == 4
    assert call(world, "flatten", "--all", "--dry-run").exit_code == 1


@pytest.mark.parametrize(
    ("args", "mode", "condition"),
    [
        ([], None, None),
        (["--include-open-orders"], "always", None),
        (["--include-open-orders", "--startup-only"], "startup", None),
        (["--startup-only"], "startup", None),
        (["--cancel-if", "usd_value<1.0,rank>max_positions"], "matching", "usd_value<1.0,rank>max_positions"),
        (["--include-open-orders", "--startup-only", "--cancel-if", "usd_value<1"], "matching", "usd_value<1"),
    ],
)
def test_of_the_open_order_options_the_most_careful_wins(
    args: list[str], mode: str | None, condition: str | None
) -> None:
    world = FakeWorld()
    call(world, "cleanup", "--dry-run", *args)
    assert (world.requests[0].cancel_open_orders, world.requests[0].cancel_if) == (mode, condition)


def test_selectors_and_overrides_reach_the_engine() -> None:
    world = FakeWorld()
    call(
        world,
        "cleanup",
        "--dry-run",
        "--dust",
        "0.50",
        "--max-positions",
        "5",
        "--user",
        "user_123",
        "--user",
        "platform",
    )
    request = world.requests[0]
    assert (request.dust_usd, request.max_positions) == (Decimal("0.50"), 5)
    assert request.owners == ("user_123", "platform")
    call(world, "cancel-orders", "--symbol", "BTC-USD", "--account", "user_123/coinbase", "--dry-run")
    request = world.requests[-1]
    assert (request.cause, request.symbols, request.accounts) == ("cancel-orders", ("BTC-USD",), ("user_123/coinbase",))
    assert not request.everything


def test_a_selector_narrows_all() -> None:
    world = FakeWorld()
    call(world, "flatten", "--all", "--user", "platform", "--dry-run")
    assert (world.requests[0].everything, world.requests[0].owners) == (False, ("platform",))


@pytest.mark.parametrize(
    ("args", "quoted"),
    [
        (["flatten"], "--all"),
        (["flatten", "--yes"], "--all"),
        (["cancel-orders"], "--all"),
        (["cleanup", "--dust", "-1"], "-1"),
        (["cleanup", "--dust", "x"], "'x'"),
        (["cleanup", "--dust", "nan"], "nan"),
        (["cleanup", "--max-positions", "-2"], "-2"),
        (["cleanup", "--cancel-if", "usd_value<1,age>3"], '"age>3"'),
        (["cleanup", "--cancel-if", ""], '""'),
        (["cleanup", "--user", "user_132"], "user_123"),
        (["flatten", "--account", "user_123/coinbsae"], "user_123/coinbase"),
        (["flatten", "--user", "platform", "--account", "user_123/coinbase"], "platform"),
        (["cleanup", "--dry"], "--dry-run"),
        (["cleanupp"], "cleanup"),
        (["cleanup", "extra"], "extra"),
        (["flatten", "--all", "--yes", "--config", ""], "--config names nothing"),
        (["--config=", "flatten", "--all", "--yes"], "--config names nothing"),
    ],
)
def test_a_usage_error_is_exit_code_5_and_one_sentence_that_quotes_it(args: list[str], quoted: str) -> None:
    world = FakeWorld(terminal=True)
    result = call(world, *args)
    assert (result.exit_code, result.stdout, world.engines) == (2, "", [])
    assert quoted in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_while_an_engine_is_running_a_destructive_command_is_exit_code_5_and_names_its_pid() -> None:
    world = FakeWorld(running=AlreadyRunning(Path("data"), 4711))
    result = call(world, "flatten", "--all", "--yes")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "4711" in result.stderr


def test_a_refused_approval_is_exit_code_1_and_one_sentence() -> None:
    class Changing(FakeWorld):
        def engine(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            raise NotApproved("changed", "the plan changed since it was shown")

    result = call(Changing(), "cleanup", "--yes")
    assert result.exit_code == 1
    assert result.stderr == "the plan changed since it was shown\n"


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("btc/usd", "Nobody holds btc/usd; did you mean BTC/USD (user_123/coinbase)?"),
        ("BTCUSD", "Nobody holds BTCUSD; did you mean BTC/USD (user_123/coinbase)?"),
        ("BTC/USD,ETH/USD", "and no account's venue knows it; did you mean BTC/USD"),
        ("FOO-COIN", "Nobody holds FOO-COIN, and no account's venue knows it"),
    ],
)
def test_a_symbol_that_is_nothing_is_a_mistake_in_typing(symbol: str, said: str) -> None:
    result = call(FakeWorld(plans=[EMPTY]), "flatten", "--symbol", symbol, "--yes")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_symbol_that_the_venue_knows_is_said_and_is_nothing_to_do() -> None:
    result = call(FakeWorld(plans=[EMPTY], symbols={"ETH/USD"}), "flatten", "--symbol", "ETH/USD", "--yes")
    assert result.exit_code == 0
    assert "ETH/USD" in result.stderr


def test_a_symbol_may_be_held_where_an_account_could_not_be_read() -> None:
    unread = structs.replace(EMPTY, unreadable={"platform/coinbase": "no such host"})
    assert call(FakeWorld(plans=[unread]), "flatten", "--symbol", "FOO-COIN", "--yes").exit_code == 1


def skipped(reason: Reason, rank: int | None = None) -> Action:
    return structs.replace(SKIP, reason=reason, rank=rank)


@pytest.mark.parametrize(
    ("cause", "left", "said"),
    [
        ("cleanup", [skipped(Reason.OPEN_ORDERS, 9)], "still 1 over the cap"),
        ("cleanup", [skipped(Reason.NO_PRICE)], "still 1 over the cap"),
        ("cleanup", [skipped(Reason.UNSELLABLE)], None),
        ("cleanup", [skipped(Reason.OPEN_ORDERS)], None),  # dust whose orders are kept
        ("flatten", [], None),  # it counted neither dust nor what cannot be sold
    ],
)
def test_what_a_cleanup_leaves_over_the_cap_is_counted_as_the_cap_counts(
    cause: str, left: list[Action], said: str | None
) -> None:
    tally = structs.replace(TALLY, cap_excess=0, final=9)
    world = FakeWorld(plans=[Plan("p1", cause, NOW, tuple(left), (tally,))])
    args = ["cleanup"] if cause == "cleanup" else ["flatten", "--all"]
    stdout = call(world, *args, "--dry-run").stdout
    assert said in stdout if said else "over the cap" not in stdout


def test_a_flatten_that_leaves_something_which_its_plan_did_not_have_is_not_done() -> None:
    late = structs.replace(PLAN, actions=(structs.replace(CLOSE, key=structs.replace(CLOSE.key, symbol="LATE/USD")),))
    world = FakeWorld(plans=[PLAN, late])
    result = call(world, "flatten", "--all", "--yes", "--json")
    assert (result.exit_code, document(result)["success"]) == (1, False)
    assert "LATE/USD on user_123/coinbase" in result.stderr
    assert [request.cause for request in world.requests] == ["flatten", "flatten"]


def test_a_cleanup_is_not_asked_for_again_behind_itself() -> None:
    late = structs.replace(PLAN, actions=(structs.replace(CLOSE, key=structs.replace(CLOSE.key, symbol="LATE/USD")),))
    assert call(FakeWorld(plans=[PLAN, late]), "cleanup", "--yes").exit_code == 0


def test_a_cost_that_is_not_known_of_every_close_says_of_how_many() -> None:
    unknown = structs.replace(CLOSE, key=structs.replace(CLOSE.key, symbol="LATE/USD"), cost=None)
    stdout = call(FakeWorld(plans=[structs.replace(PLAN, actions=(CLOSE, unknown))]), "cleanup", "--dry-run").stdout
    assert "about $0.01 + 1 unknown in spread and fees" in stdout


@pytest.mark.parametrize(
    ("left", "said"),
    [("20", "Something remained: "), ("0", "Nothing of it is held any more, but how its close ended is not known: ")],
)
def test_the_last_sentence_agrees_with_what_the_final_read_shows(left: str, said: str) -> None:
    row = structs.replace(REPORT.results[0], outcome="stuck", residual=Decimal(left), error="not found out")
    world = FakeWorld(plans=[PLAN], report=structs.replace(REPORT, results=(row,), success=False))
    made = call(world, "flatten", "--all", "--yes")
    assert made.exit_code == 1
    assert f"{said}{row.key.symbol} on {row.key.account} (stuck)." in made.stdout


def test_a_cap_of_zero_must_be_meant() -> None:
    world = FakeWorld()
    refused = call(world, "cleanup", "--max-positions", "0", "--yes")
    assert (refused.exit_code, world.requests) == (2, [])
    assert "write --max-positions none" in refused.stderr
    for wrong in ("-1", "x", "1.5", "99999999", "²"):
        assert call(world, "cleanup", "--max-positions", wrong).exit_code == 2
    call(world, "cleanup", "--max-positions", "none", "--dry-run")
    assert world.requests[-1].max_positions == 0


def test_a_cleanup_may_name_its_accounts() -> None:
    world = FakeWorld()
    call(world, "cleanup", "--account", "user_123/coinbase", "--dry-run")
    assert world.requests[-1].accounts == ("user_123/coinbase",)
    assert call(world, "cleanup", "--account", "user_123/coinbas").exit_code == 2

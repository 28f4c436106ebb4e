"""What the commands say and return where a part of an account is not listed."""

from __future__ import annotations

import pytest
from msgspec import structs

from tests.tui.command_world import CLOSE, EMPTY, PLAN, REPORT, SNAPSHOT, FakeWorld, call, document

ACCOUNT = "user_123/coinbase"
UNLISTED = {ACCOUNT: ("cross margin", "0.5 ETH borrowed")}
SAID = "cross margin; 0.5 ETH borrowed"
NOTHING = structs.replace(EMPTY, cause="flatten", owners=(structs.replace(EMPTY.owners[0], complete=False),))
NOTHING = structs.replace(NOTHING, unlisted=UNLISTED)
SOMETHING = structs.replace(PLAN, unlisted=UNLISTED)
DONE = structs.replace(REPORT, plan=SOMETHING, complete=False, success=False, unlisted=UNLISTED)
SHOWN = structs.replace(
    SNAPSHOT,
    accounts=tuple(structs.replace(row, unlisted=UNLISTED[ACCOUNT]) for row in SNAPSHOT.accounts),
    owners=tuple(structs.replace(row, complete=False) for row in SNAPSHOT.owners),
)


@pytest.mark.parametrize("how", [["--yes"], ["--dry-run"]])
@pytest.mark.parametrize("what", [["flatten", "--all"], ["cleanup"], ["cancel-orders", "--all"]])
def test_nothing_to_do_is_no_success_where_a_part_is_not_listed(what: list[str], how: list[str]) -> None:
    made = call(FakeWorld(plans=[NOTHING]), *what, *how)
    assert made.exit_code == 1
    assert "PARTIAL" in made.stdout
    assert SAID in made.stdout
    assert "Nothing to do.\n" not in made.stdout


def test_an_empty_plan_of_a_partial_account_is_believed_only_after_a_second_read() -> None:
    world = FakeWorld(plans=[NOTHING])
    call(world, "flatten", "--all", "--dry-run")
    assert world.reads == 1


def test_the_document_names_what_is_not_listed() -> None:
    made = document(call(FakeWorld(plans=[NOTHING]), "flatten", "--all", "--yes", "--json"))
    named = {account: list(parts) for account, parts in UNLISTED.items()}
    assert (made["complete"], made["success"], made["unlisted"]) == (False, False, named)
    assert (made["verified"]["complete"], made["verified"]["unlisted"]) == (False, named)


def test_a_run_that_closed_all_that_it_saw_ends_with_1_and_names_the_rest() -> None:
    world = FakeWorld(plans=[SOMETHING], report=DONE)
    made = call(world, "flatten", "--all", "--yes")
    assert made.exit_code == 1
    assert f"PARTIAL: {ACCOUNT}: {SAID} could not be listed." in made.stdout
    assert "Done and verified" not in made.stdout
    assert "not every account could be read" not in made.stdout
    told = document(call(FakeWorld(plans=[SOMETHING], report=DONE), "flatten", "--all", "--yes", "--json"))
    assert told["verified"]["unlisted"] == {ACCOUNT: ["cross margin", "0.5 ETH borrowed"]}


def test_a_plan_shows_the_unlisted_part_before_anybody_confirms_it() -> None:
    made = call(FakeWorld(plans=[SOMETHING]), "flatten", "--all")
    assert made.exit_code == 3
    assert made.stdout.index(SAID) < made.stdout.index(f"close {1} position")
    assert CLOSE.key.symbol in made.stdout


def test_status_says_partial_and_ends_with_0() -> None:
    made = call(FakeWorld(snapshot=SHOWN), "status")
    assert made.exit_code == 0
    assert "live PARTIAL" in made.stdout
    assert f"not listed: {SAID}" in made.stdout
    assert "a part of an account could not be listed" in made.stdout
    told = document(call(FakeWorld(snapshot=SHOWN), "status", "--json"))
    [account] = told["accounts"]
    assert (account["state"], account["complete"]) == ("live", False)
    assert account["unlisted"] == ["cross margin", "0.5 ETH borrowed"]
    assert told["owners"][0]["complete"] is False


def test_a_whole_account_is_complete_and_says_nothing_of_it() -> None:
    made = document(call(FakeWorld(), "status", "--json"))
    assert (made["accounts"][0]["complete"], made["accounts"][0]["unlisted"]) == (True, [])
    assert "PARTIAL" not in call(FakeWorld(), "status").stdout

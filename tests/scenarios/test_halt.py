"""The kill switch and the accounts' states as an operator meets them: commands, status, refusals, what goes on."""

from __future__ import annotations

import pytest

from core.journal.data_dir import DataDir
from tests.scenarios.desk import Desk, order, position

ENTRY = ("--user", "ann", "--symbol", "ETH-USD", "--side", "buy", "--amount", "1", "--leverage", "1")
ENTRY += ("--stop-loss", "0.05")
ADD = ("scale", "--account", "ann/paper", "--symbol", "BTC-USD")


@pytest.fixture
def held(desk: Desk) -> Desk:
    orders = [order("o1", "BTC-USD", "1")]
    return desk.account(
        "ann", "paper", [position("BTC-USD", "400", entry="50")], orders=orders, prices={"ETH-USD": "9"}
    )


def test_a_halt_is_shown_refuses_entries_and_lets_closing_go_on_until_it_is_resumed(held: Desk) -> None:
    said = held.call("halt", "--reason", "the news")
    assert (said.exit_code, said.stdout.splitlines()[0].startswith("HALTED: the news")) == (0, True)
    again = held.document("halt", "--reason", "other")
    assert (again["halted"]["reason"], again["changed"]) == ("the news", False)
    assert "(not asked)" in again["halted"]["by"]

    assert held.document("status")["engine"]["halted"] == again["halted"]
    assert "HALTED: the news" in held.call("status").stdout
    for command in (("check-entry", *ENTRY), ("open", *ENTRY, "--yes"), (*ADD, "--in", "1", "--yes")):
        refused = held.document(*command, code=1)
        assert (refused["allowed"], refused["code"]) == (False, "halted"), command
        assert "the news" in refused["text"]
    assert held.call("cancel-orders", "--all", "--yes").exit_code == 0
    assert held.document(*ADD, "--out", "1", "--yes")["success"]
    assert held.document("flatten", "--all", "--yes")["results"][0]["outcome"] == "closed"

    assert held.call("resume").exit_code == 0
    assert held.document("resume") == {"halted": None, "changed": False}
    assert held.document("status")["engine"]["halted"] is None
    assert "HALTED" not in held.call("status").stdout
    assert held.document("check-entry", *ENTRY)["allowed"] is True
    kinds = [e["kind"] for e in held.document("journal", "--kind", "halted", "--kind", "resumed")["entries"]]
    assert kinds == ["halted", "resumed"]


def test_a_halt_needs_no_venue_and_no_account(desk: Desk) -> None:
    desk.account("ann", "paper", options="faults = { server_error = 1.0 }")
    assert desk.call("halt").exit_code == 0


@pytest.mark.parametrize(("state", "code"), [("close-only", "close_only"), ("locked", "locked")])
def test_an_account_that_only_closes_says_so_until_its_time_is_over(held: Desk, state: str, code: str) -> None:
    made = held.document("account", "ann/paper", state, "--until", "2h", "--reason", "lost enough")
    trading = made["trading"]
    assert (trading["state"], trading["reason"]) == (state, "lost enough")
    assert trading["until"].endswith("Z")
    (row,) = held.document("status")["accounts"]
    assert row["trading"] == trading
    shown = held.call("status").stdout
    assert state.upper() in shown
    assert "lost enough" in shown

    assert held.document("check-entry", *ENTRY, code=1)["code"] == code
    assert held.document("open", *ENTRY, "--yes", code=1)["code"] == code
    assert held.document(*ADD, "--in", "1", "--yes", code=1)["code"] == code
    assert held.document(*ADD, "--out", "1", "--yes")["success"]
    assert held.document("flatten", "--account", "ann/paper", "--yes")["success"]

    assert held.call("account", "ann/paper", "enabled").exit_code == 0
    assert held.document("status")["accounts"][0]["trading"]["state"] == "enabled"
    assert held.document("check-entry", *ENTRY)["allowed"] is True


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("ann/nobody", "locked"), "known: ann/paper"),
        (("ann/paper", "shut"), "'enabled', 'close-only', 'locked'"),
        (("ann/paper", "enabled", "--until", "2h"), "needs no end"),
        (("ann/paper", "locked", "--until", "yesterday"), "has passed"),
        (("ann/paper", "locked", "--until", "2h ago"), "is no time that is known here"),
        (("ann/paper", "locked", "--until", "soon"), "is no time that is known here"),
    ],
)
def test_a_state_that_makes_no_sense_is_a_usage_error(held: Desk, given: tuple[str, ...], said: str) -> None:
    result = held.call("account", *given)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("command", [("halt",), ("resume",), ("account", "ann/paper", "locked")])
def test_while_another_command_has_the_data_directory_the_command_is_refused_as_busy(
    held: Desk, command: tuple[str, ...]
) -> None:
    directory = DataDir(held.path / "data")
    directory.prepare()
    with directory.lock():
        result = held.call(*command)
    assert result.exit_code == 5, result.output

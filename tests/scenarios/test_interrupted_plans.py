"""A signal in the middle of a flatten, and what the next commands say of it: who is left, and what remained."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from click.testing import Result

from core.link.messages import LogRow
from tests.scenarios.desk import Desk, position
from tui.commands.session import CommandContext

HELD = [position(s, "5") for s in ("AAA-USD", "BBB-USD", "CCC-USD")]
TOO_OLD = "[ladder]\nresume_within = 0\n"


@pytest.fixture
def held(desk: Desk) -> Desk:
    """Two owners; every answer of their venues takes a while."""
    desk.account("alice", "paper", HELD, options="latency_ms = 100")
    return desk.account("bob", "paper", [position("AAA-USD", "7")], options="latency_ms = 100")


def interrupted(desk: Desk, number: int, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
    """A command that gets the signal when its first close begins."""
    said = CommandContext.print_log_row
    seen: list[str] = []

    def say(self: CommandContext, row: LogRow) -> None:
        said(self, row)
        if "PROFIT_STATUS = PENDING" in row.text and not seen:
            seen.append(row.text)
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(CommandContext, "print_log_row", say)
        return desk.call(*(args or ("flatten", "--all", "--yes")))


def states(document: Any) -> dict[tuple[str, str], str]:
    return {(c["account"], c["symbol"]): c["state"] for c in document["closings"]}


EVERYTHING = {("alice/paper", p["symbol"]) for p in HELD} | {("bob/paper", "AAA-USD")}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_and_names_what_is_left_of_whom(
    held: Desk, number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = interrupted(held, number, monkeypatch)
    assert result.exit_code == code
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Interrupted: ")]
    for account, symbol in EVERYTHING:
        assert f"{symbol} on {account} (" in line
    assert "goes on with it within 15 minutes (resume_within)" in line
    assert "flatdeck status shows what is unfinished" in line


def test_status_shows_what_is_unfinished_and_the_next_command_goes_on_with_it(
    held: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(held, signal.SIGTERM, monkeypatch)
    left = states(held.document("status"))
    assert set(left) == EVERYTHING
    assert set(left.values()) == {"interrupted"}
    assert "interrupted" in held.call("status").stdout
    other = held.call("cleanup", "--user", "bob", "--yes")
    assert other.exit_code == 0, other.stderr
    assert held.held() == set()
    assert states(held.document("status")) == {}


def test_a_cleanup_that_only_ends_an_old_flatten_says_what_remained(
    held: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(held, signal.SIGTERM, monkeypatch)
    held.head += TOO_OLD
    held.write()
    told = {c["answer"] for c in held.document("status")["closings"]}
    assert [text[:7] for text in told] == ["too old"]
    result = held.call("cleanup", "--yes")
    assert result.exit_code == 1
    left = held.held()
    assert left
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("A plan that was interrupted ended")]
    for account, symbol in left:
        assert f"{symbol} on {account} (changed)" in line
    again = held.call("cleanup", "--yes")
    assert again.exit_code == 0, "the old plan has ended, and its end was said"


def test_a_flatten_that_ends_an_old_one_and_closes_what_it_left_is_done(
    held: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(held, signal.SIGINT, monkeypatch)
    held.head += TOO_OLD
    held.write()
    made = held.document("flatten", "--all", "--yes")
    assert made["verified"]["final"] == 0
    assert held.held() == set()


def test_orders_that_a_signal_leaves_are_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [{"id": n, "symbol": "AAA-USD", "side": "sell", "quantity": "1", "price": "120"} for n in ("o1", "o2")]
    desk.account("alice", "paper", HELD, orders=orders, options="latency_ms = 100")
    said = CommandContext.print_log_row

    def say(self: CommandContext, row: LogRow) -> None:
        said(self, row)
        if "approved by" in row.text:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(CommandContext, "print_log_row", say)
        result = desk.call("cancel-orders", "--all", "--yes")
    assert result.exit_code == 128 + signal.SIGTERM
    assert "Interrupted: 2 orders may still be open." in result.stderr

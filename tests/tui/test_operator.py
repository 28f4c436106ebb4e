"""Who confirmed: the words of an approval, and what the process tells of its operator."""

from __future__ import annotations

import os
import pwd

import pytest

from core.plans.approver import Approver, by_whom
from tui.operator import approver, command_line


@pytest.mark.parametrize(
    ("who", "text"),
    [
        (Approver("jane", "desk1", "asked", terminal="/dev/pts/3"), "jane@desk1 (asked)"),
        (Approver("root", "desk1", "--yes", started_by="cron"), "cron root@desk1 (--yes)"),
        (Approver("root", "desk1", "console", login="jane"), "jane as root@desk1 (console)"),
        (Approver("jane", "desk1", "asked", login="jane"), "jane@desk1 (asked)"),
        (Approver("", "", "--yes"), "unknown@unknown (--yes)"),
    ],
)
def test_an_approval_says_who_where_and_how(who: Approver, text: str) -> None:
    assert by_whom(who) == text


def test_an_approval_that_nobody_told_of_is_a_persons() -> None:
    assert by_whom(None) == "person"


def test_the_operator_is_the_user_of_the_process_whatever_the_environment_says() -> None:
    env = {"USER": "mallory", "LOGNAME": "mallory", "SSH_CONNECTION": "203.0.113.9 5000 10.0.0.1 22"}
    made = approver(env, "asked", ["flatten", "--all"])
    assert made.user == pwd.getpwuid(os.geteuid()).pw_name
    assert (made.how, made.ssh_client, made.command) == ("asked", "203.0.113.9", "flatdeck flatten --all")
    assert made.host


def test_a_command_that_systemd_started_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.operator._terminal", lambda: "")
    assert approver({"INVOCATION_ID": "1"}, "--yes", []).started_by == "systemd"
    monkeypatch.setattr("tui.operator._terminal", lambda: "/dev/pts/1")
    assert approver({"INVOCATION_ID": "1"}, "--yes", []).started_by == ""


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["flatten", "--symbol", "BTC USD", "--yes"], "flatdeck flatten --symbol 'BTC USD' --yes"),
        (["x", "--api-key", "hunter2", "--all"], "flatdeck x --api-key *** --all"),
        (["x", "api_key=hunter2"], "flatdeck x api_key=***"),
        (["x", "--password", "two words"], "flatdeck x --password ***"),
    ],
)
def test_a_command_line_is_kept_without_secrets(args: list[str], text: str) -> None:
    assert command_line(args) == text


def test_a_long_command_line_is_cut() -> None:
    assert len(command_line(["x" * 10_000])) == 500

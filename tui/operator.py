"""The operator: who runs this process, from which terminal, and how the process was started."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from core.plans.approver import Approver

COMMAND_LENGTH = 500  # characters of a command line that are kept
_SCHEDULERS = frozenset({"cron", "crond", "anacron", "atd", "fcron"})
_GENERATIONS = 8  # parents that are looked at
_SECRET = re.compile(r"(?i)((?:secret|token|passw\w*|passphrase|api.?key)\w*(?:=|\s+))('[^']*'|\S+)")


def approver(env: Mapping[str, str], how: str, args: Sequence[str]) -> Approver:
    """Return who confirms now. ``how``: asked, --yes or console. ``args``: the command line without the program."""
    user, terminal = _user(), _terminal()
    return Approver(
        user=user,
        host=socket.gethostname(),
        how=how,
        login=_login(env, user),
        terminal=terminal,
        ssh_client=(env.get("SSH_CONNECTION") or env.get("SSH_CLIENT") or "").partition(" ")[0],
        started_by="" if terminal else _starter(env),
        command=command_line(args),
    )


def command_line(args: Sequence[str]) -> str:
    """Return the command line, without what looks like a secret."""
    return _SECRET.sub(r"\1***", shlex.join(("flatdeck", *args)))[:COMMAND_LENGTH]


def _user() -> str:
    """Return the name of the user that the process runs as. The environment is not asked: anybody can set it."""
    try:
        import pwd  # noqa: PLC0415  (not on every system)

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError, AttributeError):
        return str(getattr(os, "geteuid", lambda: "")())


def _login(env: Mapping[str, str], user: str) -> str:
    """Return the user who logged in, as the system knows it, else as sudo tells; "" for the same user."""
    with suppress(OSError):
        if (name := os.getlogin()) != user:
            return name
    name = env.get("SUDO_USER", "")
    return name if name != user else ""


def _terminal() -> str:
    for stream in (sys.stdin, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            if stream.isatty():
                return os.ttyname(stream.fileno())
    return ""


def _starter(env: Mapping[str, str]) -> str:
    """Return the scheduler that started this process, by the names of its parents; "" where none is known."""
    parent = os.getppid()
    for _ in range(_GENERATIONS):
        try:
            stat = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        name, _, rest = stat.partition("(")[2].rpartition(")")
        if name.casefold() in _SCHEDULERS:
            return "cron"
        parent = int(rest.split()[1])
        if parent <= 1:
            break
    return "systemd" if env.get("INVOCATION_ID") else ""

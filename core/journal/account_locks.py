"""Account locks: on this machine one configuration at a time acts on an account.

The data directory's lock keeps two engines of one configuration apart. Two configurations have two data directories, so
each account has a lock of its own beside them. The name of the file is a hash of the login. A file stays after its
process: it then tells from which data directory the account was used before.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from core.errors import ConfigError, EngineBusy
from core.journal.data_dir import DataDir

UNLOCKED = (
    "The locks of the accounts cannot be kept ({}): nothing keeps another configuration on this machine from acting on "
    "the same accounts at the same time"
)


class Use(NamedTuple):
    """The process that acts, or acted, on an account, and what its configuration calls the account."""

    pid: int
    configuration: str
    data_dir: str
    account: str


class AccountBusy(EngineBusy):
    """Another configuration acts on an account of this one."""

    def __init__(self, account: str, held: Use | None) -> None:
        if held is None:
            super().__init__(f"{account} is being acted on by another flatdeck that only begins; run it again")
            return
        also = f", as {held.account}," if held.account != account else ""
        super().__init__(
            f"another flatdeck (pid {held.pid}) with the configuration {held.configuration}{also} acts on the account "
            f"of {account}; wait for its end, or stop it with: flatdeck --config {held.configuration} stop"
        )


class AccountLocks:
    """The locks of accounts in one directory. ``logins`` maps an account's id to the login that it uses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last_uses(self, logins: Mapping[str, str]) -> list[Use]:
        """Return who used each of the accounts last, where that journal still exists. Nothing is written."""
        found = []
        for login in logins.values():
            try:
                text = self._file(login).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            use = _parsed(text)
            found += [use] if use and DataDir(Path(use.data_dir)).journal.exists() else []
        return found

    @contextmanager
    def lock(self, logins: Mapping[str, str], configuration: str, data_dir: Path) -> Iterator[str | None]:
        """Hold the lock of every account. Raises AccountBusy when another configuration holds one of them.

        Yields None, or an alarm where the locks cannot be used: an exit must not wait for a full or read-only disk.
        """
        with ExitStack() as stack:
            try:
                DataDir(self._folder).prepare()
                accounts = {self._file(login): account for account, login in logins.items()}
                for path in sorted(accounts):  # of two that begin together, one gets the first lock that both want
                    use = Use(os.getpid(), configuration, str(data_dir), accounts[path])
                    stack.callback(os.close, _taken(path, use))
                failure = None
            except ConfigError as error:
                failure = UNLOCKED.format(error)
            except OSError as error:
                failure = UNLOCKED.format(f"{self._folder}: {error.strerror}")
            yield failure

    def _file(self, login: str) -> Path:
        return self._folder / f"{blake2b(login.encode(), digest_size=16).hexdigest()}.lock"


def new_directory(directory: DataDir, uses: Sequence[Use]) -> str:
    """Return the note about the first use of a data directory, with the directories that may be meant instead."""
    text = f"New data directory {directory.path}: no stops, frozen accounts or interrupted plans are known here"
    before = {Path(use.data_dir): f" (configuration {use.configuration})" for use in uses}
    before = dict.fromkeys(directory.earlier(), "") | before
    before.pop(directory.path, None)
    if not before:
        return text
    named = ", ".join(f"{path}{whose}" for path, whose in before.items())
    return (
        f"{text}. The same accounts were used from {named}; if the configuration only has a new name or place, "
        f'stop, and set [engine] data_dir = "{next(reversed(before))}" to go on with what is known there'
    )


def _taken(path: Path, use: Use) -> int:
    """Return the open and locked file. Raises AccountBusy, or OSError when the file cannot be used."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.pwrite(file, "\n".join(map(str, use)).encode(), 0)
    except BlockingIOError:
        held = _parsed(os.pread(file, 10_000, 0).decode("utf-8", "replace"))
        os.close(file)
        raise AccountBusy(use.account, held) from None
    except OSError:
        os.close(file)
        raise
    return file


def _parsed(text: str) -> Use | None:
    """Return what the locking process wrote; None until that process has written it."""
    lines = text.split("\n")
    return Use(int(lines[0]), *lines[1:]) if len(lines) == len(Use._fields) and lines[0].isdecimal() else None

"""The data directory: private to its owner, and written by one engine at a time.

The lock is an ``flock``, which the kernel lets go of however the process ends; the pid inside only serves the message.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import ConfigError


class AlreadyRunning(ConfigError):
    """Another engine holds the data directory; ``pid`` is None in the moment before it wrote its own down."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = "another flatdeck engine" if pid is None else f"another flatdeck engine (pid {pid})"
        super().__init__(f"{who} is running on {path}; stop it first, or set [engine] data_dir to another directory")
        self.pid = pid


class DataDir:
    """A directory of mode 0700 with the journal and the lock in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    def prepare(self) -> None:
        """Create the directory or check the one that is there. Raises ConfigError with the way out."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.path.lstat()
        except OSError as error:
            raise ConfigError(f"data directory {self.path} cannot be made: {_why(error)}; {_ELSEWHERE}") from error
        self._refuse_unsafe(status)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise ConfigError(f"data directory {self.path} is read-only; make it writable, or {_ELSEWHERE}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            self._tighten()

    def _refuse_unsafe(self, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            raise ConfigError(f"data directory {self.path} is a symbolic link; set [engine] data_dir to where it leads")
        if status.st_uid != os.geteuid():
            raise ConfigError(f"data directory {self.path} belongs to another user; {_ELSEWHERE}")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(f"data directory {self.path} can be changed by other users; run: chmod 700 {self.path}")

    def _tighten(self) -> None:
        """An empty directory was made for us; one with something in it may be somebody's home, and is left alone."""
        if any(self.path.iterdir()):
            raise ConfigError(f"data directory {self.path} can be read by other users; run: chmod 700 {self.path}")
        self.path.chmod(0o700)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only engine on this directory. Raises AlreadyRunning, or ConfigError when it cannot be told."""
        path = self.path / "lock"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(f"lock {path} cannot be opened: {_why(error)}; {_ELSEWHERE}") from error
        try:
            self._take(file, path)
            yield
        finally:
            os.close(file)  # the file stays: removing it would let two engines lock two files of that name

    def _take(self, file: int, path: Path) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            pid = os.pread(file, 20, 0).strip()
            raise AlreadyRunning(self.path, int(pid) if pid.isdigit() else None) from None
        except OSError as error:
            raise ConfigError(f"lock {path} cannot be taken: {_why(error)}; {_ELSEWHERE}") from error


_ELSEWHERE = "set [engine] data_dir to a directory of your own on a local disk"


def _why(error: OSError) -> str:
    known = {errno.EROFS: "the file system is read-only", errno.ENOSPC: "the disk is full"}
    return known.get(error.errno or 0, os.strerror(error.errno or 0))

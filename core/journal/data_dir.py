"""The data directory: private to its owner, and written by one engine at a time.

The lock is an ``flock``: the kernel releases the lock however the process ends. The pid in the file is for messages.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from core.errors import ConfigError, EngineBusy


class AlreadyRunning(EngineBusy):
    """Another engine holds the data directory. ``pid`` is None until that engine has written its pid."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = "another flatdeck engine" if pid is None else f"another flatdeck engine (pid {pid})"
        super().__init__(f"{who} is running on {path}; wait for its end, or stop it with flatdeck stop")
        self.pid = pid


_MARK = re.compile(r"[0-9a-f]{8}")  # the end of a default directory's name: the hash of the configuration's path
LASTING = ("service", "console")  # modes of engines that go on watching


class Holder(NamedTuple):
    """The engine that holds the data directory. ``armed`` is None when a person at its console may change that."""

    pid: int | None
    mode: str  # service | console | one-shot
    armed: bool | None
    settings: str = ""  # digest of the settings that the engine started with; "" when not known

    @property
    def watches(self) -> bool:
        return self.mode in LASTING


class DataDir:
    """A directory of mode 0700 with the journal and the lock in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    def earlier(self) -> list[Path]:
        """Return the data directories beside this one that a configuration of the same path used under another name."""
        mark = self.path.name.rpartition("-")[2]
        if not _MARK.fullmatch(mark):
            return []
        beside = self.path.parent.glob(f"*-{mark}")
        return sorted(path for path in beside if path != self.path and DataDir(path).journal.exists())

    @property
    def socket(self) -> Path:
        return self.path / "engine.sock"

    def prepare(self) -> None:
        """Create the directory, or check an existing directory. Raises ConfigError with the way out."""
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
        """Make an empty directory private. Raises ConfigError with content: the directory may be somebody's home."""
        if any(self.path.iterdir()):
            raise ConfigError(f"data directory {self.path} can be read by other users; run: chmod 700 {self.path}")
        self.path.chmod(0o700)

    def holder(self) -> Holder | None:
        """Return the engine that runs on this directory, or None. Nothing is written.

        If the file names a dead process, the lock is not tried: a try could block an engine that starts.
        """
        try:
            file = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            held = _read(file)
            if held.pid is None or not _alive(held.pid):
                return None
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return held
        except OSError:
            return None
        finally:
            os.close(file)
        return None

    @contextmanager
    def lock(self, mode: str = "one-shot", *, armed: bool = False, settings: str = "") -> Iterator[None]:
        """Hold the directory's lock. Raises AlreadyRunning, or ConfigError when the lock cannot be used.

        ``settings`` is a digest of the engine's settings, for commands that look.
        """
        path = self.path / "lock"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(f"lock {path} cannot be opened: {_why(error)}; {_ELSEWHERE}") from error
        try:
            self._take(file, path, f"{os.getpid()}\n{mode}{' armed' * armed}\n{settings}".rstrip() + "\n")
            yield
        finally:
            os.close(file)  # keep the file: without it two engines could lock two files of that name

    def _take(self, file: int, path: Path, text: str) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, text.encode(), 0)
        except BlockingIOError:
            raise AlreadyRunning(self.path, _read(file).pid) from None
        except OSError as error:
            raise ConfigError(f"lock {path} cannot be taken: {_why(error)}; {_ELSEWHERE}") from error


_ELSEWHERE = "set [engine] data_dir to a directory of your own on a local disk"


def _read(file: int) -> Holder:
    """Return what the locking engine wrote into the file. The pid is None until that engine has written."""
    pid, _, rest = os.pread(file, 100, 0).decode("ascii", "replace").strip().partition("\n")
    rest, _, settings = rest.partition("\n")
    mode = next((m for m in LASTING if rest.startswith(m)), "one-shot")
    return Holder(
        int(pid) if pid.isdecimal() else None,
        mode,
        rest.endswith(" armed") if mode == "service" else None,
        settings,
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _why(error: OSError) -> str:
    known = {errno.EROFS: "the file system is read-only", errno.ENOSPC: "the disk is full"}
    return known.get(error.errno or 0, os.strerror(error.errno or 0))

"""The data directory: private, writable, and one engine's at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.journal.data_dir import AlreadyRunning, DataDir

HOLDER = """
import sys, time
from pathlib import Path
from core.journal.data_dir import DataDir
with DataDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock, once this returned."""
    child = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        DataDir(tmp_path / "deep" / "data").prepare()
    finally:
        os.umask(before)
    assert mode(tmp_path / "deep" / "data") == 0o700


def test_preparing_twice_does_no_harm(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "data")
    directory.prepare()
    directory.journal.write_text("x")
    directory.prepare()
    assert directory.journal.read_text() == "x"


def test_an_empty_directory_that_others_may_read_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    path.chmod(0o755)
    DataDir(path).prepare()
    assert mode(path) == 0o700


def test_a_directory_with_something_in_it_that_others_may_read_is_refused_and_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letters").touch()
    with pytest.raises(ConfigError, match="can be read by other users; run: chmod 700"):
        DataDir(tmp_path).prepare()
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("bits", [0o770, 0o702, 0o777])
def test_a_directory_that_others_may_change_is_refused(tmp_path: Path, bits: int) -> None:
    tmp_path.chmod(bits)
    with pytest.raises(ConfigError, match="can be changed by other users"):
        DataDir(tmp_path).prepare()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "data").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match=r"is a symbolic link; set \[engine\] data_dir to where it leads"):
        DataDir(tmp_path / "data").prepare()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(ConfigError, match=r"cannot be made: File exists; set \[engine\] data_dir"):
        DataDir(tmp_path / "data").prepare()


def test_another_users_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        DataDir(tmp_path).prepare()


def test_a_directory_that_cannot_be_written_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o500)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as it is for everybody but root
    with pytest.raises(ConfigError, match=r"is read-only; make it writable, or set \[engine\] data_dir"):
        DataDir(tmp_path).prepare()


def test_the_lock_holds_the_pid_and_is_private(tmp_path: Path) -> None:
    with DataDir(tmp_path).lock():
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\none-shot\n"
        assert mode(tmp_path / "lock") == 0o600


def test_a_second_engine_in_the_same_process_is_refused_until_the_first_let_go(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    with directory.lock(), pytest.raises(AlreadyRunning), directory.lock():
        pass
    with directory.lock():
        pass


def test_a_second_engine_is_refused_with_the_pid_of_the_first_until_that_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        with (
            pytest.raises(AlreadyRunning, match=f"pid {first.pid}.* is running on") as caught,
            DataDir(tmp_path).lock(),
        ):
            pass
        assert caught.value.pid == first.pid
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        with DataDir(tmp_path).lock():
            assert (tmp_path / "lock").read_text().startswith(f"{os.getpid()}\n")


def test_a_lock_whose_holder_did_not_write_its_pid_yet_is_held_all_the_same(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    with directory.lock():
        (tmp_path / "lock").write_text("")
        with pytest.raises(AlreadyRunning, match=r"^another flatdeck engine is running") as caught, directory.lock():
            pass
    assert caught.value.pid is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ("one-shot", None, "")),
        ({"mode": "console", "armed": True}, ("console", None, "")),  # a person may arm and disarm it
        ({"mode": "service"}, ("service", False, "")),
        ({"mode": "service", "armed": True, "settings": "0123456789ab"}, ("service", True, "0123456789ab")),
    ],
)
def test_whoever_looks_is_told_which_engine_runs_and_whether_it_is_armed(
    tmp_path: Path, given: dict[str, Any], said: tuple[str, bool | None, str]
) -> None:
    directory = DataDir(tmp_path)
    assert directory.holder() is None
    with directory.lock(**given):
        assert directory.holder() == (os.getpid(), *said)
    assert directory.holder() is None


def test_what_a_killed_engine_left_behind_is_no_engine(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        held = DataDir(tmp_path).holder()
        assert held is not None
        assert held.pid == first.pid
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    assert DataDir(tmp_path).holder() is None
    assert (tmp_path / "lock").read_text().startswith(f"{first.pid}\n")


def test_a_lock_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep me")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="cannot be opened"), DataDir(tmp_path).lock():
        pass
    assert (tmp_path / "victim").read_text() == "keep me"


def test_without_the_directory_there_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"), DataDir(tmp_path / "none").lock():
        pass

"""The locks of accounts: one configuration at a time acts on an account of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import EngineBusy
from core.journal.account_locks import AccountBusy, AccountLocks, Use, new_directory
from core.journal.data_dir import DataDir

HOLDER = """
import sys
from pathlib import Path
from core.journal.account_locks import AccountLocks
with AccountLocks(Path(sys.argv[1])).lock({"eve/fut": "ccxt : KEY"}, "/etc/desk.toml", Path("/data/desk")):
    print("held", flush=True)
    sys.stdin.read()
"""
LOGIN = {"bob/main": "ccxt : KEY"}


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the account, once this returned."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def used(directory: DataDir) -> DataDir:
    directory.prepare()
    directory.journal.touch()
    return directory


def test_an_account_of_another_configuration_is_refused_until_that_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        locks = AccountLocks(tmp_path)
        with pytest.raises(AccountBusy) as caught, locks.lock(LOGIN, "/etc/prod.toml", tmp_path):
            pass
        said = str(caught.value)
        assert f"pid {first.pid}" in said
        assert "with the configuration /etc/desk.toml, as eve/fut, acts on the account of bob/main" in said
        assert "flatdeck --config /etc/desk.toml stop" in said
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        with locks.lock(LOGIN, "/etc/prod.toml", tmp_path) as failure:
            assert failure is None


def test_busy_accounts_are_an_engine_that_is_busy() -> None:
    assert issubclass(AccountBusy, EngineBusy)


def test_two_accounts_of_one_configuration_may_share_a_login(tmp_path: Path) -> None:
    both = {"bob/spot": "ccxt : KEY", "bob/futures": "ccxt : KEY"}
    with AccountLocks(tmp_path).lock(both, "a.toml", tmp_path) as failure:
        assert failure is None


def test_what_was_locked_before_a_refusal_is_free_again(tmp_path: Path) -> None:
    locks = AccountLocks(tmp_path)
    many = {f"bob/{n}": f"ccxt : {n}" for n in range(9)}
    with locks.lock({"eve/fut": "ccxt : 4"}, "a.toml", tmp_path):
        with pytest.raises(AccountBusy, match="eve/fut"), locks.lock(many, "b.toml", tmp_path):
            pass
        rest = {account: login for account, login in many.items() if account != "bob/4"}
        with locks.lock(rest, "c.toml", tmp_path) as failure:
            assert failure is None


def test_a_lock_whose_holder_did_not_write_yet_is_held_all_the_same(tmp_path: Path) -> None:
    locks = AccountLocks(tmp_path)
    with locks.lock(LOGIN, "a.toml", tmp_path):
        next(tmp_path.glob("*.lock")).write_text("")
        with pytest.raises(AccountBusy, match="only begins"), locks.lock(LOGIN, "b.toml", tmp_path):
            pass


def test_a_folder_that_cannot_be_used_holds_up_nothing_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "accounts").touch()
    with AccountLocks(tmp_path / "accounts").lock(LOGIN, "a.toml", tmp_path) as failure:
        assert failure is not None
        assert "The locks of the accounts cannot be kept" in failure


def test_a_lock_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    locks = AccountLocks(tmp_path / "accounts")
    with locks.lock(LOGIN, "a.toml", tmp_path):
        path = next((tmp_path / "accounts").glob("*.lock"))
    path.unlink()
    (tmp_path / "victim").write_text("keep me")
    path.symlink_to(tmp_path / "victim")
    with locks.lock(LOGIN, "a.toml", tmp_path) as failure:
        assert failure is not None
    assert (tmp_path / "victim").read_text() == "keep me"


def test_no_key_is_written(tmp_path: Path) -> None:
    with AccountLocks(tmp_path).lock(LOGIN, "a.toml", tmp_path / "data"):
        path = next(tmp_path.glob("*.lock"))
        assert "KEY" not in path.read_text() + path.name
        assert path.stat().st_mode & 0o077 == 0


def test_the_last_use_of_an_account_is_known_while_its_journal_exists(tmp_path: Path) -> None:
    locks, before = AccountLocks(tmp_path / "accounts"), used(DataDir(tmp_path / "desk"))
    assert locks.last_uses(LOGIN) == []
    with locks.lock({"eve/fut": "ccxt : KEY"}, "/etc/desk.toml", before.path):
        pass
    assert locks.last_uses(LOGIN) == [Use(os.getpid(), "/etc/desk.toml", str(before.path), "eve/fut")]
    before.journal.unlink()
    assert locks.last_uses(LOGIN) == []


def test_a_new_directory_names_the_directories_that_may_be_meant(tmp_path: Path) -> None:
    new, same = DataDir(tmp_path / "prod-0a1b2c3d"), used(DataDir(tmp_path / "link-0a1b2c3d"))
    used(DataDir(tmp_path / "else-99999999"))
    use = Use(7, "/etc/desk.toml", str(tmp_path / "desk"), "eve/fut")
    text = new_directory(new, [use, use])
    assert "no stops, frozen accounts or interrupted plans are known here" in text
    assert f"were used from {same.path}, {tmp_path / 'desk'} (configuration /etc/desk.toml);" in text
    assert f'[engine] data_dir = "{tmp_path / "desk"}"' in text
    assert "else-99999999" not in text


@pytest.mark.parametrize("name", ["prod", "default", "prod-0a1b2c3d"])
def test_a_new_directory_without_an_earlier_one_names_none(tmp_path: Path, name: str) -> None:
    used(DataDir(tmp_path / "desk-11111111"))
    assert new_directory(DataDir(tmp_path / name), []).endswith("are known here")

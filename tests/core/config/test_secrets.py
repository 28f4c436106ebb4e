"""Secrets: what shows them (nothing) and where they come from."""

from __future__ import annotations

import copy
import json
import os
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import msgspec
import pytest

from core.config.secrets import Secret, is_reference, is_secret_key, resolve, unreadable
from core.errors import ConfigError

CANARY = "canary-5d21c8"


def refused(reference: str, env: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        resolve(reference, env or {})
    assert CANARY not in "".join(traceback.format_exception(raised.value))
    return str(raised.value)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    path = tmp_path / "key"
    path.write_text(CANARY + "\n")
    path.chmod(0o600)
    return path


# ------------------------------------------------------------------------------------------------------ the type


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", "%s" % secret, repr([secret])]  # noqa: UP031
    assert not any(CANARY in text for text in shown)
    assert secret.reveal() == CANARY


def test_a_secret_cannot_be_pickled_copied_or_encoded() -> None:
    secret = Secret(CANARY)
    for leave in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, vars, hash):
        with pytest.raises(TypeError) as raised:
            leave(secret)
        assert CANARY not in str(raised.value)


def test_secrets_are_equal_by_value_and_to_secrets_only() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


# -------------------------------------------------------------------------------------------------- the references


@pytest.mark.parametrize("text", ["env:A_1", "keyring:s/n", "keyring:a/b/c", "file:/x", "file:~/x y"])
def test_a_reference_has_one_of_three_forms(text: str) -> None:
    assert is_reference(text)


@pytest.mark.parametrize(
    "text", ["", "A", "env:", "env:1A", "env:A B", "keyring:s", "keyring:/n", "file:", "file:a\x1b", 5]
)
def test_anything_else_is_none_and_is_refused_without_being_repeated(text: object) -> None:
    assert not is_reference(text)
    assert "never as itself" in refused(f"{CANARY}{text}")


def test_names_of_secrets_are_told_from_others() -> None:
    assert all(map(is_secret_key, ["api_key", "apiKey", "secret", "password", "passphrase", "sec", "token", "app_sec"]))
    assert not any(map(is_secret_key, ["seconds", "seed", "exchange", "endpoint", "uid", "defaultType", "opinion"]))


def test_a_variable_is_read_and_a_missing_or_empty_one_is_named() -> None:
    assert resolve("env:KEY", {"KEY": CANARY}).reveal() == CANARY
    assert "variable KEY is not set" in refused("env:KEY")
    assert "env:KEY is empty" in refused("env:KEY", {"KEY": " \n"})


def test_a_file_of_ones_own_is_read_without_its_line_end(key: Path) -> None:
    assert resolve(f"file:{key}", {}).reveal() == CANARY
    key.write_bytes(f" {CANARY}\r\n".encode())
    assert resolve(f"file:{key}", {}).reveal() == f" {CANARY}"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\n"])
def test_the_end_of_a_line_is_no_part_of_a_secret_wherever_it_comes_from(end: str, key: Path) -> None:
    assert resolve("env:K", {"K": CANARY + end}).reveal() == CANARY
    key.write_bytes((CANARY + end).encode())
    assert resolve(f"file:{key}", {}).reveal() == CANARY


def test_a_file_at_home_may_be_named_with_a_tilde(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(key.parent))
    assert resolve("file:~/key", {}).reveal() == CANARY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_can_read_is_refused(key: Path, mode: int) -> None:
    key.chmod(mode)
    assert f"run `chmod 600 {key}`" in refused(f"file:{key}")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_file_in_a_directory_that_others_can_write_is_refused(key: Path, mode: int) -> None:
    key.parent.chmod(mode)
    assert f"run `chmod go-w {key.parent}`" in refused(f"file:{key}")


def test_a_link_to_a_safe_file_is_followed_as_kubernetes_mounts_secrets(key: Path) -> None:
    volume = key.parent / "volume"
    (volume / "..2026_01_01").mkdir(parents=True, mode=0o755)
    (volume / "..2026_01_01" / "api-key").write_text(CANARY)
    (volume / "..2026_01_01" / "api-key").chmod(0o400)
    (volume / "..data").symlink_to("..2026_01_01")
    (volume / "api-key").symlink_to("..data/api-key")
    assert resolve(f"file:{volume / 'api-key'}", {}).reveal() == CANARY


def linked(key: Path) -> tuple[Path, Path, str]:
    """A link in one directory to the key in another, with the reference to the link."""
    way = key.parent / "way"
    (way / "there").mkdir(parents=True, mode=0o755)
    target, link = way / "there" / "key", key.parent / "link"
    key.rename(target)
    link.symlink_to(target)
    return link, target, f"file:{link}"


@pytest.mark.parametrize(
    ("which", "mode", "said"),
    [
        ("target", 0o644, "can be read by others"),
        ("target", 0o640, "can be read by others"),
        ("there", 0o777, "everybody can write"),
        ("there", 0o775, "run `chmod go-w"),
        ("there", 0o1777, "run `chmod go-w"),
        ("way", 0o777, "everybody can write"),
        ("here", 0o775, "run `chmod go-w"),
    ],
)
def test_a_link_to_a_file_that_others_may_read_or_replace_is_refused(
    key: Path, which: str, mode: int, said: str
) -> None:
    link, target, reference = linked(key)
    assert resolve(reference, {}).reveal() == CANARY
    {"target": target, "there": target.parent, "way": target.parent.parent, "here": link.parent}[which].chmod(mode)
    assert said in refused(reference)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
@pytest.mark.parametrize("which", ["target", "there", "link"])
def test_a_link_or_a_target_of_another_user_is_refused(key: Path, which: str) -> None:
    link, target, reference = linked(key)
    os.chown({"target": target, "there": target.parent, "link": link}[which], 65534, -1, follow_symlinks=False)
    assert "belongs to another user" in refused(reference)


def test_links_that_lead_nowhere_in_a_circle_or_to_no_file_are_refused(key: Path) -> None:
    circle, nowhere, folder = (key.with_name(name) for name in ("circle", "nowhere", "folder"))
    circle.symlink_to(circle)
    nowhere.symlink_to(key.with_name("gone"))
    folder.symlink_to(key.parent)
    assert "behind more than 8 links" in refused(f"file:{circle}")
    assert "cannot be read (No such file" in refused(f"file:{nowhere}")
    assert "cannot be read" in refused(f"file:{folder}")


def test_a_file_of_root_may_be_read_by_a_group_of_ours_and_by_no_others(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("a file of root needs root")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    key.chmod(0o440)
    assert resolve(f"file:{key}", {}).reveal() == CANARY
    key.chmod(0o444)
    assert "can be read by others" in refused(f"file:{key}")


def test_all_that_keeps_secrets_from_being_read_is_told_at_once(key: Path) -> None:
    references = ["env:A", f"file:{key}2", "env:B", "env:C", "env:OK"]
    unset, file = unreadable(references, {"OK": CANARY})
    assert unset == (
        "environment variables A, B and C are not set; export them, or use keyring: or file: in their place"
    )
    assert f"secret file {key}2 cannot be read" in file
    assert unreadable(["env:OK"], {"OK": CANARY}) == []


def test_a_directory_a_pipe_and_a_missing_file_are_refused_at_once(key: Path) -> None:
    folder, pipe = key.with_name("folder"), key.with_name("pipe")
    folder.mkdir(mode=0o700)
    os.mkfifo(pipe, 0o600)
    assert "not a regular file" in refused(f"file:{pipe}")
    assert "file" in refused(f"file:{folder}")
    assert "cannot be read (No such file" in refused(f"file:{key}2")
    assert "cannot be read" in refused(f"file:{key}/x")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_what_belongs_to_another_user_is_refused(key: Path) -> None:
    os.chown(key, 65534, -1)
    assert "belongs to another user" in refused(f"file:{key}")
    os.chown(key, 0, -1)
    os.chown(key.parent, 65534, -1)
    assert "belongs to another user" in refused(f"file:{key}")


def test_a_file_that_is_no_key_is_refused(key: Path) -> None:
    key.write_text("")
    assert "is empty" in refused(f"file:{key}")
    key.write_bytes(CANARY.encode() + b"\xff")
    assert "not UTF-8" in refused(f"file:{key}")
    key.write_text(CANARY * 10_000)
    assert "over 65536 bytes" in refused(f"file:{key}")


# ----------------------------------------------------------------------------------------------------- the keyring


class Ring(keyring.backend.KeyringBackend):
    """A keyring with one entry, or one that fails."""

    priority = 1  # type: ignore[assignment]  # a class property there

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.failure = failure

    def get_password(self, service: str, username: str) -> str | None:
        if self.failure:
            raise self.failure
        return CANARY if (service, username) == ("flatdeck/live", "key") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


def test_a_keyring_entry_is_read_and_a_missing_one_is_named() -> None:
    keyring.set_keyring(Ring())
    assert resolve("keyring:flatdeck/live/key", {}).reveal() == CANARY
    assert "keyring:flatdeck/other has no entry; add it with `keyring set flatdeck other`" in refused(
        "keyring:flatdeck/other"
    )


@pytest.mark.parametrize(
    "failure", [keyring.errors.NoKeyringError(CANARY), keyring.errors.KeyringLocked(), OSError(CANARY)]
)
def test_a_keyring_that_is_absent_locked_or_broken_is_one_sentence(failure: Exception) -> None:
    keyring.set_keyring(Ring(failure))
    sentence = refused("keyring:flatdeck/live/key")
    assert sentence.startswith("the keyring cannot be read for keyring:flatdeck/live/key")
    assert type(failure).__name__ in sentence


def test_no_keyring_a_locked_keyring_and_a_failing_keyring_have_ways_out_of_their_own() -> None:
    said = []
    for failure in (keyring.errors.NoKeyringError(), keyring.errors.KeyringLocked(), OSError()):
        keyring.set_keyring(Ring(failure))
        said.append(refused("keyring:flatdeck/key"))
    assert "this machine has no keyring" in said[0]
    assert "unlock it" not in said[0]
    assert "the keyring is locked; unlock it" in said[1]
    assert "`keyring set flatdeck key`" in said[2]

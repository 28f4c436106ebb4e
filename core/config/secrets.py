"""Secrets: references in the configuration, resolved late, and a type that never shows its value.

A configuration never holds a secret. It holds a reference: ``env:NAME``, ``keyring:SERVICE/NAME`` or ``file:PATH``.
"""

from __future__ import annotations

import errno
import hmac
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, SupportsIndex

from core.errors import ConfigError

FORMS = "env:NAME, keyring:SERVICE/NAME or file:PATH"
REDACTED = "Secret(•••)"
MAX_BYTES = 65_536
MOST_LINKS = 8
_A_LINK = (errno.ELOOP, errno.EMLINK)  # what an open that follows no link says of a link

_ENV = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
_KEYRING = re.compile(r"keyring:[^/\s][^\n\r\0]*/[^/\s][^/\n\r\0]*")
_FILE = re.compile(r"file:[^\n\r\0]+")
_SECRET_WORDS = re.compile(
    r"secret|passw|passphrase|pwd|token|api_?key|private_?key|credential|mnemonic|authori[sz]ation|cookie|two_?fa|(^|_)(sec|pin|otp)$",
    re.IGNORECASE,
)


class Secret:
    """A value that leaves only through ``reveal()``: never printed, formatted, pickled or copied."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would be a fingerprint of the secret

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a secret is not pickled or copied")


def is_secret_key(key: str) -> bool:
    """Return whether a setting called ``key`` holds a secret: its value must be a reference and is never shown."""
    return _SECRET_WORDS.search(key) is not None


def is_reference(text: object) -> bool:
    """Return whether ``text`` has one of the three forms of a reference."""
    return (
        isinstance(text, str) and text.isprintable() and any(form.fullmatch(text) for form in (_ENV, _KEYRING, _FILE))
    )


def resolve(reference: str, env: Mapping[str, str]) -> Secret:
    """Return the secret that ``reference`` points to. Every failure raises a ConfigError without the secret."""
    if not is_reference(reference):
        raise ConfigError(f"a secret must be given as {FORMS}, never as itself")
    scheme, _, rest = reference.partition(":")
    value = {
        "env": lambda: _from_env(rest, env),
        "keyring": lambda: _from_keyring(rest),
        "file": lambda: _from_file(rest),
    }[scheme]()
    if not value.strip():
        raise ConfigError(f"the secret at {reference} is empty; put the key there")
    return Secret(value.rstrip("\r\n"))  # a file or a script may add an end of line


def unreadable(references: Iterable[str], env: Mapping[str, str]) -> list[str]:
    """Return what keeps secrets from being read, a sentence each; variables that are not set share a sentence."""
    unset, others = [], []
    for reference in references:
        scheme, _, name = reference.partition(":")
        if scheme == "env" and name not in env:
            unset.append(name)
            continue
        try:
            resolve(reference, env)
        except ConfigError as error:
            others.append(str(error))
    return ([_unset(unset)] if unset else []) + others


def _unset(names: Sequence[str]) -> str:
    """Return the sentence about environment variables that are not set."""
    if len(names) == 1:
        return f"environment variable {names[0]} is not set; export it, or use keyring: or file: in its place"
    named = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"environment variables {named} are not set; export them, or use keyring: or file: in their place"


def _from_env(name: str, env: Mapping[str, str]) -> str:
    if name not in env:
        raise ConfigError(_unset([name]))
    return env[name]


def _from_keyring(rest: str) -> str:
    service, _, name = rest.rpartition("/")  # a service may have slashes in it
    try:
        import keyring  # noqa: PLC0415  # slow to import, and only some configurations use it

        value = keyring.get_password(service, name)
    except Exception as error:  # noqa: BLE001  # a backend raises any error of its desktop's library
        raise ConfigError(_keyring_trouble(rest, service, name, type(error).__name__)) from None
    if value is None:
        raise ConfigError(f"keyring:{rest} has no entry; add it with `keyring set {service} {name}`")
    return value


def _keyring_trouble(rest: str, service: str, name: str, error: str) -> str:
    """Return the sentence about a keyring that gives nothing: there is none, it is locked, or it fails otherwise."""
    ways = {
        "NoKeyringError": "this machine has no keyring that a program may use; use file: or env:",
        "KeyringLocked": "the keyring is locked; unlock it, or use file: or env:",
    }
    other = (
        f"try `keyring get {service} {name}`, put the key in with `keyring set {service} {name}`, or use file: or env:"
    )
    return f"the keyring cannot be read for keyring:{rest} ({error}): {ways.get(error, other)}"


def _from_file(path: str) -> str:
    full = os.path.abspath(os.path.expanduser(path))  # unlike Path, os.path never raises
    try:
        handle = _opened(full)
        with os.fdopen(handle, "rb") as file:
            _check_file(os.fstat(handle), full)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = f"secret file {full} cannot be read ({error.strerror})"
        raise ConfigError(f"{why}; name a regular file of your own with mode 0600") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"secret file {full} is over {MAX_BYTES} bytes; it should hold one key and nothing else")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"secret file {full} is not UTF-8 text; it should hold one key and nothing else") from None


def _opened(full: str) -> int:
    """Return the opened file, behind links that nobody else could have put there, as Kubernetes mounts secrets.

    Checks look at what was opened, not at a path. A pipe's writer is not waited for.
    """
    at = full
    for followed in range(MOST_LINKS + 1):
        folder, name = os.path.split(at)
        if followed:
            _check_way(at, full)
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _check_folder(parent, folder)
            try:
                return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
            except OSError as error:
                if error.errno not in _A_LINK:
                    raise
            if os.stat(name, dir_fd=parent, follow_symlinks=False).st_uid not in (os.geteuid(), 0):
                raise ConfigError(f"secret file {full}: the link {at} belongs to another user; name the file itself")
            at = os.path.join(folder, os.readlink(name, dir_fd=parent))
        finally:
            os.close(parent)
    raise ConfigError(f"secret file {full} is behind more than {MOST_LINKS} links; name the file itself")


def _check_way(path: str, full: str) -> None:
    """Refuse a way to a link's target on which others could put another file.

    In a directory with the sticky bit others cannot replace an entry.
    """
    for start in (os.path.abspath(path), os.path.realpath(path)):
        for folder in Path(start).parents:
            mode = os.stat(folder).st_mode
            if mode & 0o002 and not mode & stat.S_ISVTX:
                raise ConfigError(
                    f"secret file {full} leads through {folder}, which everybody can write; run `chmod o-w {folder}`"
                )


def _check_folder(opened: int, folder: str) -> None:
    found = os.fstat(opened)
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"directory {folder} of a secret file belongs to another user; move the file to one of yours")
    read_only = os.fstatvfs(opened).f_flag & os.ST_RDONLY  # as a volume that Kubernetes mounts: nobody can write there
    if found.st_mode & 0o022 and not read_only:
        raise ConfigError(f"directory {folder} of a secret file can be written by others; run `chmod go-w {folder}`")


def _check_file(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"secret file {path} is not a regular file; name one of your own with mode 0600")
    mounted = found.st_uid == 0 != os.geteuid()  # root may read every key; a mounted secret comes by its group
    if found.st_uid != os.geteuid() and not mounted:
        raise ConfigError(f"secret file {path} belongs to another user; it must be your own")
    if found.st_mode & (0o037 if mounted else 0o077):
        raise ConfigError(f"secret file {path} can be read by others; run `chmod 600 {path}`")

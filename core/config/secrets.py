"""Secrets: references in the configuration, resolved late, and a type that never shows its value.

A configuration never holds a secret. It holds a reference: ``env:NAME``, ``keyring:SERVICE/NAME`` or ``file:PATH``.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
from collections.abc import Mapping
from typing import NoReturn, SupportsIndex

from core.errors import ConfigError

FORMS = "env:NAME, keyring:SERVICE/NAME or file:PATH"
REDACTED = "Secret(•••)"
MAX_BYTES = 65_536

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


def _from_env(name: str, env: Mapping[str, str]) -> str:
    if name not in env:
        raise ConfigError(f"environment variable {name} is not set; export it, or use keyring: or file: in its place")
    return env[name]


def _from_keyring(rest: str) -> str:
    service, _, name = rest.rpartition("/")  # a service may have slashes in it
    try:
        import keyring  # noqa: PLC0415  # slow to import, and only some configurations use it

        value = keyring.get_password(service, name)
    except Exception as error:  # noqa: BLE001  # a backend raises any error of its desktop's library
        raise ConfigError(
            f"the keyring cannot be read for keyring:{rest} ({type(error).__name__}); unlock it, or use file: or env:"
        ) from None
    if value is None:
        raise ConfigError(f"keyring:{rest} has no entry; add it with `keyring set {service} {name}`")
    return value


def _from_file(path: str) -> str:
    full = os.path.abspath(os.path.expanduser(path))  # unlike Path, os.path never raises
    folder, name = os.path.split(full)
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _check_folder(os.fstat(parent), folder)
            # Follow no link and wait for no pipe's writer. The checks look at the opened file, not at its path.
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)
        with os.fdopen(handle, "rb") as file:
            _check_file(os.fstat(handle), full)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        link = os.path.islink(full)
        why = "is a symbolic link, which is not followed" if link else f"cannot be read ({error.strerror})"
        raise ConfigError(f"secret file {full} {why}; name a regular file of your own with mode 0600") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"secret file {full} is over {MAX_BYTES} bytes; it should hold one key and nothing else")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"secret file {full} is not UTF-8 text; it should hold one key and nothing else") from None


def _check_folder(found: os.stat_result, folder: str) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"directory {folder} of a secret file belongs to another user; move the file to one of yours")
    if found.st_mode & 0o022:
        raise ConfigError(f"directory {folder} of a secret file can be written by others; run `chmod go-w {folder}`")


def _check_file(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"secret file {path} is not a regular file; name one of your own with mode 0600")
    if found.st_uid != os.geteuid():
        raise ConfigError(f"secret file {path} belongs to another user; it must be your own")
    if found.st_mode & 0o077:
        raise ConfigError(f"secret file {path} can be read by others; run `chmod 600 {path}`")

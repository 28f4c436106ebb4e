"""The kinds of values in a configuration. A kind turns a TOML value into a setting or raises ``InvalidValue``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from core.config import secrets
from core.units import decimal

Kind = Callable[[Any], Any]

BROKERS = ("paper", "ccxt", "alpaca", "tradovate")

_NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.@-]{1,64}")
SECRET = f"where the secret is, as {secrets.FORMS}, and never the secret itself"
_WIDEST = 18  # a number with a larger decimal exponent, plus or minus, is no amount of anything


class InvalidValue(ValueError):
    """A value that is not allowed. ``expected`` says what is allowed, ``at`` names a key inside a table or list."""

    def __init__(
        self, expected: str, value: object = None, *, at: tuple[str | int, ...] = (), full: bool = False
    ) -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value
        self.at = at
        self.full = full  # ``expected`` is already the whole predicate


def show(value: object) -> str:
    """Return ``value`` for an error: short, on one line, without terminal control characters."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value[:60])
            return f'"{text}{"…" if len(value) > 60 else ""}"'
        case int():
            return str(value) if abs(value) < 10**20 else "a huge number"
        case Decimal():
            return str(value)[:40]
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def whole(least: int, most: int) -> Kind:
    """Return a kind for integers within bounds, both included."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidValue(f"a whole number from {least} to {most}", value)
        return value

    return check


def seconds(most: float, *, zero: bool = False) -> Kind:
    """Return a kind for seconds, or other numbers that may be inexact: above 0 (or from 0) up to ``most``."""
    expected = f"a number {'from 0' if zero else 'above 0 and up'} to {most:.15g}"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not _finite(value):
            raise InvalidValue(expected, value)
        if not 0 <= value <= most or (value == 0 and not zero):
            raise InvalidValue(expected, value)
        return float(value)

    return check


def _finite(value: int | Decimal) -> bool:
    return isinstance(value, int) or value.is_finite()


def exact(expected: str, within: Callable[[Decimal], bool]) -> Kind:
    """Return a kind for Decimals: text like "0.05", integers, or a bare 0.05 (which TOML's reader leaves exact)."""

    def check(value: Any) -> Decimal:
        try:
            number = decimal(value)
        except ValueError:
            raise InvalidValue(expected, value) from None
        if (number and abs(number.adjusted()) > _WIDEST) or not within(number):
            raise InvalidValue(expected, value)
        return number

    return check


def off(kind: Kind) -> Kind:
    """Return ``kind`` that also takes an empty text, which becomes None: the rule is off."""

    def check(value: Any) -> Any:
        if value == "":
            return None
        try:
            return kind(value)
        except InvalidValue as error:
            raise InvalidValue(f'{error.expected}, or "" to turn it off', value) from None

    return check


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue("true or false", value)
    return value


def choice(*names: str) -> Kind:
    """Return a kind for one of ``names``."""
    expected = f"one of {', '.join(names)}"

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise InvalidValue(expected, value)
        return value

    return check


def text(value: Any) -> str:
    """Return text of one line that is not empty."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidValue("text on one line", value)
    return value


def maybe_text(value: Any) -> str:
    """Return text of one line, or an empty text."""
    return "" if value == "" else text(value)


def identifier(value: Any) -> str:
    """Return text, or as text a number that venues use as an id."""
    return str(whole(0, 10**18)(value)) if isinstance(value, int) and not isinstance(value, bool) else text(value)


def name(value: Any) -> str:
    """Return the id of an owner or the name of an account. A slash joins the two, so neither contains a slash."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidValue("1 to 64 of the characters A-Z a-z 0-9 _ . @ -", value)
    return value


def credential(base: str) -> Kind:
    """Return a kind for references to secrets. A reference to a file becomes absolute."""

    def check(value: Any) -> str:
        if not secrets.is_reference(value):
            raise InvalidValue(SECRET)
        scheme, _, rest = str(value).partition(":")
        return f"file:{absolute(base, rest)}" if scheme == "file" else str(value)

    return check


def address(*schemes: str, empty: bool = False) -> Kind:
    """Return a kind for base addresses. User names, passwords and queries are refused, because secrets hide there."""
    expected = f"a base address like {schemes[0]}://host:port, without user, password, query or fragment"
    expected += ', or "" for none' if empty else ""

    def check(value: Any) -> str:
        if empty and value == "":
            return ""
        try:
            parts = urlsplit(text(value))
            good = parts.scheme in schemes and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        except ValueError:
            raise InvalidValue(expected, value) from None
        if not good or parts.query or parts.fragment or " " in value:
            raise InvalidValue(expected, value)
        return str(value).rstrip("/")

    return check


def path(base: str) -> Kind:
    """Return a kind for paths, made absolute. A relative path starts at the configuration file."""
    return lambda value: absolute(base, text(value))


def absolute(base: str, value: str) -> str:
    return os.path.abspath(os.path.join(base, os.path.expanduser(value)))  # unlike Path, os.path never raises


FAULT_NUMBERS = frozenset({"lag_seconds", "retry_after", "closed_seconds", "stale_seconds"})


def probabilities(value: Any) -> dict[str, float]:
    """Return a table of a paper venue's faults: names to probabilities, or to seconds for FAULT_NUMBERS."""
    if not isinstance(value, dict):
        raise InvalidValue("a table like { reject_ioc = 1.0 }", value)
    probability, duration = seconds(1, zero=True), seconds(86_400, zero=True)
    return {k: _inside(duration if k in FAULT_NUMBERS else probability, k, item) for k, item in value.items()}


def plain_table(value: Any) -> dict[str, Any]:
    """Return a library's table as plain values. A value with a secret's name must be a reference."""
    if not isinstance(value, dict):
        raise InvalidValue("a table", value)
    return {key: _inside(partial(_plain, guarded=secrets.is_secret_key(key)), key, item) for key, item in value.items()}


def _plain(value: Any, *, guarded: bool) -> Any:
    """Return a plain value. ``guarded`` says that the value stands under a secret's name."""
    match value:
        case bool():
            return value
        case list():
            return [_inside(partial(_plain, guarded=guarded), index, item) for index, item in enumerate(value)]
        case dict():
            return {
                key: _inside(partial(_plain, guarded=guarded or secrets.is_secret_key(key)), key, item)
                for key, item in value.items()
            }
        case _ if guarded and not secrets.is_reference(value):
            raise InvalidValue(SECRET)
        case int() | str():
            return value
        case Decimal() if value.is_finite():
            return float(value)
        case _:
            raise InvalidValue("text, a number, true or false, a list or a table")


def _inside(kind: Kind, key: str | int, value: Any) -> Any:
    try:
        return kind(value)
    except InvalidValue as error:
        raise InvalidValue(error.expected, error.value, at=(key, *error.at), full=error.full) from None


def rows(kind: Kind, least: int = 0) -> Kind:
    """Return a kind for lists of ``kind``."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= 100:
            raise InvalidValue("a list" if not least else "a list that is not empty", value)
        return tuple(_inside(kind, index, item) for index, item in enumerate(value))

    return check


def rules(kind: Kind) -> Kind:
    """Return a kind for lists of ``kind``. An empty text is an empty list, and an empty list turns the rule off."""
    return lambda value: () if value == "" else rows(kind)(value)


def row(expected: str, *kinds: Kind) -> Kind:
    """Return a kind for lists with one value of each of ``kinds``."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(kinds):
            raise InvalidValue(expected, value)
        return tuple(_inside(kind, index, item) for index, (kind, item) in enumerate(zip(kinds, value, strict=True)))

    return check

"""Read typed values from a JSON file. An error names the file, the line, the key and the nearest known key.

Pure: text in, values out. Raises ConfigError for a file or a value that cannot be read.
"""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from typing import Any, TypeVar

from core.errors import ConfigError
from core.units import decimal, utc

E = TypeVar("E", bound=Enum)

SHOWN = 60  # an error quotes at most this many characters of a bad value


class Node(dict[str, Any]):
    """A JSON object with its place in the file: ``text`` from ``start`` to ``end``."""

    text: str = ""
    start: int = 0
    end: int = 0

    def line(self, key: str | None = None) -> int:
        """Return the line of ``key`` within this object, or of the object itself."""
        place = re.search(rf'"{re.escape(key)}"\s*:', self.text[self.start : self.end]) if key else None
        return self.text.count("\n", 0, self.start + (place.start() if place else 0)) + 1


class _Decoder(json.JSONDecoder):
    """The standard decoder, but with a ``Node`` in place of each dict."""

    def __init__(self) -> None:
        super().__init__(parse_float=Decimal, parse_constant=_no_constant)
        self.parse_object = _parse_object
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]  # the C scanner ignores hooks


def _parse_object(where: tuple[str, int], strict: bool, scan_once: Any, *rest: Any) -> tuple[Node, int]:
    text, start = where
    pairs, end = json.decoder.JSONObject(where, strict, scan_once, None, list, *rest[2:])  # type: ignore[attr-defined]
    node = Node(pairs)
    node.text, node.start, node.end = text, start, end
    if len(node) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise json.JSONDecodeError(f'"{twice}" is given twice', text, start)
    return node, end


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number a book can hold")


def read_json(text: str, file: str) -> Node:
    """Return the object of a JSON file. Numbers with a point become Decimal from their text.

    Raises ConfigError if the text is not valid JSON or holds no object.
    """
    try:
        top = _Decoder().decode(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}, line {error.lineno}: not valid JSON: {error.msg}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not valid JSON: {error}.") from None
    if not isinstance(top, Node):
        raise ConfigError(f"{file}: must hold one JSON object, like {{}}.")
    return top


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean "step"?``, or the known words if no known word is near."""
    words = sorted(known)
    near = get_close_matches(word, words, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known are {', '.join(words)}."


class Fields:
    """Typed reads of one JSON object's keys. Raises ConfigError for an unknown key or a bad value."""

    def __init__(self, node: object, file: str, path: str, known: Iterable[str]) -> None:
        self.file, self.path = file, path
        if not isinstance(node, Node):
            raise ConfigError(f"{file}: {path} must be an object in braces, not {_shown(node)}.")
        self.node = node
        allowed = tuple(known)
        for key in node:
            if key not in allowed:
                raise self.error(key, f'unknown key "{key}"; {nearest(key, allowed)}', named=True)

    def error(self, key: str | None, what: str, *, named: bool = False) -> ConfigError:
        place = self.path if named or key is None else f"{self.path}.{key}".lstrip(".")
        where = f"{self.file}, line {self.node.line(key)}: {place}".rstrip(": ")
        return ConfigError(f"{where}: {what}")

    def _default(self, key: str) -> bool:
        return self.node.get(key) is None

    def decimal(self, key: str, default: Any = None, *, least: Decimal | None = None, above: int | None = None) -> Any:
        """Return a Decimal, or ``default`` if the key is missing or null."""
        if self._default(key):
            return default
        try:
            value = decimal(self.node[key])
        except ValueError as error:
            raise self.error(key, f"{error}.") from None
        if least is not None and value < least:
            raise self.error(key, f"must be at least {least}, not {value}.")
        if above is not None and value <= above:
            raise self.error(key, f"must be more than {above}, not {value}.")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text. Without a default the key must be given and the text must not be empty."""
        value = self.node.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or (default is None and not value.strip()):
            what = "is missing" if value is None else f"must be text in quotes, not {_shown(value)}"
            raise self.error(key, f"{what}.")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.node.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {_shown(value)}.")
        return value

    def word(self, key: str, words: type[E], default: E | None = None) -> E:
        """Return the member of an enum by its value, in any case of letters."""
        if self._default(key) and default is not None:
            return default
        if not isinstance(self.node.get(key, ""), str):
            named = ", ".join(f'"{w.value}"' for w in words)
            raise self.error(key, f"must be one of {named}, not {_shown(self.node[key])}.")
        text = self.text(key)
        try:
            return words(text.lower())
        except ValueError:
            raise self.error(key, f'"{text}" is not one of them; {nearest(text, [w.value for w in words])}') from None

    def time(self, key: str) -> datetime | None:
        if self._default(key):
            return None
        given = self.node[key]
        try:
            return utc(given)
        except (AttributeError, ValueError):
            like = 'must be a time like "2026-11-30T10:00:00Z", with its time zone'
            raise self.error(key, f"{like}, not {_shown(given)}.") from None

    def items(self, key: str) -> list[tuple[str, Any]]:
        """Return the entries of a list, each with its path."""
        value = self.node.get(key)
        if value is not None and not isinstance(value, list):
            raise self.error(key, f"must be a list in brackets, not {_shown(value)}.")
        return [(f"{key}[{i}]", item) for i, item in enumerate(value or ())]

    def members(self, key: str) -> list[tuple[str, Any]]:
        """Return the names and values of an object that may have any keys."""
        value = self.node.get(key)
        if value is not None and not isinstance(value, Node):
            raise self.error(key, f"must be an object in braces, not {_shown(value)}.")
        return list((value or {}).items())


def _shown(value: object) -> str:
    text = repr(dict(value) if isinstance(value, Node) else value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

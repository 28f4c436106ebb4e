"""The line of each key in a TOML text. The parser of the standard library does not tell lines.

The real parser has already accepted the text. So the scanner looks only at the separators of keys and values. It never
decides what a configuration means. At worst an error names a table's line instead of the key's line.
"""

from __future__ import annotations

import re
from contextlib import suppress

Loc = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_STRINGS = (
    re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL),
    re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_SHORT = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def lines(text: str) -> dict[Loc, int]:
    """Return the line, from 1, of every table, key and list element by its path: ``("users", 0, "id")``."""
    scanner = _Scanner(text)
    with suppress(IndexError, RecursionError):  # not TOML after all: the lines found so far are right
        scanner.document()
    return scanner.found


def nearest(found: dict[Loc, int], loc: Loc) -> int:
    """Return the line of ``loc``, or of the innermost table around ``loc`` with a line of its own, or 1."""
    for end in range(len(loc), 0, -1):
        if loc[:end] in found:
            return found[loc[:end]]
    return 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.counted = 0
        self.found: dict[Loc, int] = {}
        self.lengths: dict[Loc, int] = {}  # lengths of lists of tables, like [[users]]

    def document(self) -> None:
        table: Loc = ()
        self.space()
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self.header()
            else:
                self.pair(table)
            self.space()

    def header(self) -> Loc:
        listed = self.text.startswith("[[", self.at)
        self.at += 2 if listed else 1
        line = self.here()
        keys = self.keys("]")
        self.at += 2 if listed else 1
        loc: Loc = ()
        for key in keys[:-1]:
            loc = self.inside((*loc, key))
            self.found.setdefault(loc, line)  # a parent table; the parent's own header may still follow
        loc = (*loc, keys[-1])
        if listed:
            self.found.setdefault(loc, line)
            self.lengths[loc] = self.lengths.get(loc, 0) + 1
        loc = self.inside(loc)
        self.found[loc] = line
        return loc

    def inside(self, loc: Loc) -> Loc:
        """Return the table that ``loc`` means: for a list of tables, the last table."""
        return (*loc, self.lengths[loc] - 1) if loc in self.lengths else loc

    def pair(self, table: Loc) -> None:
        line = self.here()
        loc = table
        for key in self.keys("="):
            loc = (*loc, key)
            self.found.setdefault(loc, line)
        self.at += 1
        self.space()
        self.value(loc)

    def keys(self, end: str) -> list[str]:
        """Read a dotted key, up to ``end`` and without ``end``."""
        keys: list[str] = []
        while True:
            self.space()
            if self.text[self.at] in "\"'":
                keys.append(_unquoted(self.string()))
            elif bare := _BARE_KEY.match(self.text, self.at):
                keys.append(bare[0])
                self.at = bare.end()
            else:
                raise IndexError
            self.space()
            if self.text[self.at] == end:
                return keys
            if self.text[self.at] != ".":
                raise IndexError
            self.at += 1

    def value(self, loc: Loc) -> None:
        first = self.text[self.at]
        if first == "[":
            self.items(loc, "]")
        elif first == "{":
            self.items(loc, "}")
        elif first in "\"'":
            self.string()
        elif bare := _BARE_VALUE.match(self.text, self.at):
            self.at = bare.end()

    def items(self, loc: Loc, end: str) -> None:
        """Read the elements of a list, or the pairs of an inline table."""
        self.at += 1
        index = 0
        self.space()
        while self.text[self.at] != end:
            if end == "]":
                self.found[(*loc, index)] = self.here()
                self.value((*loc, index))
            else:
                self.pair(loc)
            index += 1
            self.space()
            if self.text[self.at] == ",":
                self.at += 1
                self.space()
            elif self.text[self.at] != end:
                raise IndexError
        self.at += 1

    def string(self) -> str:
        for form in _STRINGS:
            if match := form.match(self.text, self.at):
                self.at = match.end()
                return match[0]
        raise IndexError

    def space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None  # the pattern also matches the empty string
        self.at = match.end()

    def here(self) -> int:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line


def _unquoted(text: str) -> str:
    """Return the key that a quoted key stands for."""
    return text[1:-1] if text.startswith("'") else _ESCAPE.sub(_unescaped, text[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _SHORT.get(match[3], match[3])

"""The one sanitiser: text from venues, files and people becomes plain, printable, one line.

Control, escape, bidirectional, zero-width and other invisible characters are shown escaped (``\\x1b``, ``\\u202e``),
so that no text can move the cursor, fill the clipboard, hide itself or turn a line around. Markup needs nothing here:
what is drawn goes into strips and ``Content`` objects, never through a markup parser.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

MARKS_IN_A_ROW = 2  # combining marks kept after a letter; more would grow over neighbouring lines
_SHOWN = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5")
_VARIATION = range(0xFE00, 0xFE10)


def sanitize(text: object, limit: int = 0) -> str:
    """``text`` with everything invisible escaped, cut to ``limit`` characters (with an ellipsis) when one is given."""
    value = text if type(text) is str else str(text)
    if not (value.isascii() and value.isprintable()):
        value = _escaped(value)
    if limit and len(value) > limit:
        return value[: limit - 1] + "…"
    return value


@lru_cache(maxsize=4096)
def _escaped(value: str) -> str:
    out: list[str] = []
    marks = MARKS_IN_A_ROW  # a mark without a letter before it is escaped
    for char in value:
        category = unicodedata.category(char)
        if category[0] == "M" and ord(char) not in _VARIATION and char not in _BLANK_LETTERS:
            marks += 1
            out.append(char if marks <= MARKS_IN_A_ROW else _escape(char))
            continue
        hidden = category in _HIDDEN_CATEGORIES or category[0] == "M" or char in _BLANK_LETTERS
        if hidden or (category == "Zs" and char != " "):
            out.append(_escape(char))
            marks = MARKS_IN_A_ROW
        else:
            out.append(char)
            marks = 0 if category[0] == "L" else MARKS_IN_A_ROW
    return "".join(out)


def _escape(char: str) -> str:
    code = ord(char)
    if char in _SHOWN:
        return _SHOWN[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

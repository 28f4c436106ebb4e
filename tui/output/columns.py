"""Text in aligned columns, as wide as needed or as narrow as the terminal. Every cell is sanitized first."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tui.present.sanitize import sanitize

GAP = "  "
_NARROWEST = 24  # the last column is never squeezed below this; a narrower terminal wraps it


def cells(text: str) -> int:
    """Return how many terminal cells the text takes: two for a wide character, none for a combining character."""
    if text.isascii():
        return len(text)
    return sum(_cells(c) for c in text)


def clip(text: str, width: int) -> str:
    """Return the text in at most ``width`` cells, with an ellipsis if it was cut."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def columns(rows: Sequence[Sequence[str]], *, right: str = "", width: int | None = None, indent: str = "") -> list[str]:
    """Return the rows as lines. The first row is the heading.

    ``right`` names, by heading and separated by commas, the columns that are aligned to the right. The last column
    takes the rest of ``width`` and is cut there. Without a width nothing is cut.
    """
    safe = [[sanitize(cell) for cell in row] for row in rows]
    rights = set(right.split(",")) if right else set()
    widths = [max(cells(row[i]) for row in safe) for i in range(len(safe[0]))]
    if width is not None:
        before = cells(indent) + sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(width - before, _NARROWEST))
    lines = []
    for row in safe:
        padded = [_pad(clip(cell, widths[i]), widths[i], safe[0][i] in rights) for i, cell in enumerate(row)]
        lines.append((indent + GAP.join(padded)).rstrip())
    return lines


def _pad(text: str, width: int, to_the_right: bool) -> str:
    fill = " " * (width - cells(text))
    return fill + text if to_the_right else text + fill


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

"""Text in aligned columns, as wide as needed or as narrow as the terminal. Every cell is sanitized first."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

from tui.present.sanitize import sanitize

GAP = "  "
LONGEST = 130  # cells of a cell that is not the last: an account's id fits, what a venue sends without end does not
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


def columns(
    rows: Sequence[Sequence[str]],
    *,
    right: str = "",
    width: int | None = None,
    indent: str = "",
    optional: str = "",
    longest: int | None = LONGEST,
) -> list[str]:
    """Return the rows as lines. The first row is the heading.

    ``right`` names, by heading and separated by commas, the columns that are aligned to the right. The last column
    takes the rest of ``width`` and is cut there; without a width only what is longer than ``longest`` is cut, in the
    other columns. ``optional`` names columns that a narrow terminal leaves out, the first first. Then a last column
    that still finds no place stands on lines of its own below its row.
    """
    safe = [[sanitize(cell) for cell in row] for row in rows]
    safe = [[*(clip(cell, longest) if longest else cell for cell in row[:-1]), row[-1]] for row in safe]
    if width is not None and optional:
        safe = _narrowed(safe, width - cells(indent) - _NARROWEST, optional.split(","))
    rights = set(right.split(",")) if right else set()
    widths = [max(cells(row[i]) for row in safe) for i in range(len(safe[0]))]
    room = None if width is None else width - cells(indent) - sum(widths[:-1]) - len(GAP) * (len(widths) - 1)
    if room is not None and width is not None and optional and room < min(widths[-1], _NARROWEST):
        return _with_last_below(safe, widths, rights, width, indent)
    if room is not None:
        widths[-1] = min(widths[-1], max(room, _NARROWEST))
    return [_line(row, widths, safe[0], rights, indent) for row in safe]


def _narrowed(rows: list[list[str]], room: int, optional: Sequence[str]) -> list[list[str]]:
    """Return the rows without the optional columns that find no place."""
    for name in optional:
        if sum(max(cells(row[i]) for row in rows) + len(GAP) for i in range(len(rows[0]) - 1)) <= room:
            break
        if name in rows[0]:
            at = rows[0].index(name)
            rows = [[*row[:at], *row[at + 1 :]] for row in rows]
    return rows


def _with_last_below(rows: list[list[str]], widths: list[int], rights: set[str], width: int, indent: str) -> list[str]:
    lines = []
    for row in rows:
        lines.append(_line(row[:-1], widths, rows[0], rights, indent))
        if row is not rows[0]:
            lines += textwrap.wrap(
                row[-1], max(width, _NARROWEST), initial_indent=indent * 2, subsequent_indent=indent * 2
            )
    return lines


def _line(row: Sequence[str], widths: Sequence[int], heading: Sequence[str], rights: set[str], indent: str) -> str:
    padded = [_pad(clip(cell, widths[i]), widths[i], heading[i] in rights) for i, cell in enumerate(row)]
    return (indent + GAP.join(padded)).rstrip()


def _pad(text: str, width: int, to_the_right: bool) -> str:
    fill = " " * (width - cells(text))
    return fill + text if to_the_right else text + fill


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

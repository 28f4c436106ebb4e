"""Cells to Textual ``Content``, the only way for text of a venue, file or person into a text widget."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from tui.present.cells import Cell
from tui.present.sanitize import sanitize

STYLES = {
    "good": "$text-success",
    "bad": "bold $text-error",
    "warn": "$text-warning",
    "alarm": "bold reverse $text-error",
    "emergency": "bold #ffffff on #b0002e",
    "dim": "$text-muted",
    "strong": "bold",
}


def content(cells: Iterable[Cell], *, separator: str = "") -> Content:
    """Return the cells side by side as Content; nothing in them is markup."""
    parts: list[tuple[str, str]] = []
    for cell in cells:
        if not cell.text:
            continue
        if parts and separator:
            parts.append((separator, STYLES["dim"]))
        parts.append((sanitize(cell.text), STYLES.get(cell.tone, "")))
    return Content.assemble(*parts)


def paragraph(rows: Iterable[Iterable[Cell]]) -> Content:
    """Return lines of cells as Content."""
    return Content("\n").join([content(row) for row in rows])

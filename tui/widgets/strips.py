"""Rows to segments: text in an exact number of cells, with the styles that a widget has for tones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.present.cells import Cell, Fitted, Row
from tui.present.sanitize import sanitize

Tones = Callable[[str], Style]


def fit_text(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` in exactly ``width`` cells, cut with an ellipsis; a wide character counts as two cells."""
    text = sanitize(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, max(width - 1, 0)).rstrip() + "…", width) if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def draw_spans(parts: Sequence[Cell], width: int, base: Style, tones: Tones) -> list[Segment]:
    """Return the cells one after another, cut at ``width`` with an ellipsis."""
    segments, used = [], 0
    for part in parts:
        text = sanitize(part.text)
        length = cell_len(text)
        if used + length > width:
            segments.append(Segment(fit_text(text, width - used), base + tones(part.tone)))
            break
        if text:
            segments.append(Segment(text, base + tones(part.tone)))
            used += length
    return segments


def draw_cells(row: Row, fitted: Sequence[Fitted], base: Style, tones: Tones, scroll: int = 0) -> list[Segment]:
    """Return the cells in their columns. ``scroll`` moves all but the first column, which names the row."""
    drawn = []
    for place, (column, _, width) in enumerate(fitted):
        cell = row.cells.get(column.key, Cell(""))
        indent = " " * row.indent if not place else ""
        cut = indent + fit_text(cell.text, width - len(indent), right=column.right)
        gap = " " if place < len(fitted) - 1 else ""
        drawn.append(Segment(cut + gap, base + tones(cell.tone)))
    return scroll_strip(drawn, scroll)


def scroll_strip(drawn: list[Segment], scroll: int) -> list[Segment]:
    """Return the segments with all but the first moved to the left."""
    return [*drawn[:1], *Strip(drawn[1:]).crop(scroll)] if scroll and drawn[1:] else drawn


def draw_titles(
    fitted: Sequence[Fitted], style: Style, sort: str | None, descending: bool, scroll: int
) -> list[Segment]:
    """Return the columns' titles; the sorted column shows its direction."""
    drawn = []
    for column, _, width in fitted:
        arrow = ("▼" if descending else "▲") if column.key == sort else ""
        drawn.append(Segment(fit_text(column.title + arrow, width, right=column.right) + " ", style))
    return scroll_strip(drawn, scroll)

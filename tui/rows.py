"""What a table shows: columns, cells and rows as values, and which columns fit a width. Pure.

A cell carries a tone, a word for what its colour means; the words in it must say the same without any colour.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

GAP = 1  # cells between two columns
_NOTHING: Mapping[str, Cell] = MappingProxyType({})


class Cell(NamedTuple):
    """``tone``: one of ``good bad warn alarm dim strong`` or nothing."""

    text: str
    tone: str = ""


class Column(NamedTuple):
    """Columns of a higher ``priority`` number are dropped first; ``grow`` is a share of the width left over."""

    key: str
    title: str
    width: int
    priority: int = 0
    right: bool = False
    grow: int = 0


class Row(NamedTuple):
    """One line: ``cells`` by column key, or ``spans`` drawn one after another over the whole width."""

    cells: Mapping[str, Cell] = _NOTHING
    spans: tuple[Cell, ...] = ()
    group: Hashable = None  # rows selected together with a heading
    heading: bool = False
    indent: int = 0
    tone: str = ""


class Fitted(NamedTuple):
    """A column with the place it got."""

    column: Column
    start: int
    width: int


def fit(columns: Sequence[Column], width: int, *, wide: bool = False) -> list[Fitted]:
    """The columns that fit ``width``, in order, the rest of the width shared out; ``wide`` keeps every column."""
    kept = set()
    used = -GAP
    for column in sorted(columns, key=lambda c: c.priority):
        if wide or used + GAP + column.width <= width or not kept:
            kept.add(column.key)
            used += GAP + column.width
    shown = [c for c in columns if c.key in kept]
    shares = sum(c.grow for c in shown)
    spare = max(width - used, 0)
    fitted, start = [], 0
    for column in shown:
        extra = spare * column.grow // shares if shares else 0
        fitted.append(Fitted(column, start, column.width + extra))
        start += column.width + extra + GAP
    return fitted

"""A table's columns, cells and rows as values, and the columns that fit a width. Pure.

A cell carries a tone, which names the meaning of its colour. The words of the cell say the same without a colour.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

GAP = 1  # cells between two columns
NAMES = ("symbol", "account")  # columns, and the attributes of a key with the same names
INDENT = 2  # cells, in the first column of rows below a heading
LONGEST = 28  # characters of a name that is shown whole
_NOTHING: Mapping[str, Cell] = MappingProxyType({})
_NO_TEXTS: Mapping[str, int] = MappingProxyType({})


class Cell(NamedTuple):
    """``tone``: one of ``good bad warn alarm dim strong`` or nothing."""

    text: str
    tone: str = ""


class Column(NamedTuple):
    """One column. Columns with a higher ``priority`` number are dropped first.

    ``grow`` is the column's share of the width that is left over. ``whole`` is the priority at which the column gets
    room for its longest text, if the length is known. Columns with a ``least`` width give up room for it.
    """

    key: str
    title: str
    width: int
    priority: int = 0
    right: bool = False
    grow: int = 0
    whole: int | None = None
    least: int | None = None


class Row(NamedTuple):
    """One line: ``cells`` by column key, or ``spans`` drawn one after another over the whole width."""

    cells: Mapping[str, Cell] = _NOTHING
    spans: tuple[Cell, ...] = ()
    group: Hashable = None  # rows selected together with a heading
    heading: bool = False
    indent: int = 0
    tone: str = ""


class Fitted(NamedTuple):
    """A column with its place on the line."""

    column: Column
    start: int
    width: int


def fit(
    columns: Sequence[Column], width: int, *, wide: bool = False, longest: Mapping[str, int] = _NO_TEXTS
) -> list[Fitted]:
    """Return the columns that fit ``width``, in order, and share out the rest of the width.

    ``wide`` keeps every column. ``longest`` has the length of the longest text of some columns.
    """
    kept: dict[str, Column] = {}
    used = -GAP
    wanted = [(c.priority, False, c) for c in columns]
    wanted += [(c.whole, True, c) for c in columns if c.whole is not None and longest.get(c.key, 0) > c.width]
    for _, widen, column in sorted(wanted, key=lambda w: w[:2]):
        if widen and column.key in kept:
            more = longest[column.key] - column.width
            used += _widen(kept, column.key, more, more if wide else width - used)
        elif not widen and (wide or used + GAP + column.width <= width or not kept):
            kept[column.key] = column
            used += GAP + column.width
    shown = [kept[c.key] for c in columns if c.key in kept]
    shares = sum(c.grow for c in shown)
    spare = max(width - used, 0)
    fitted, start = [], 0
    for column in shown:
        extra = spare * column.grow // shares if shares else 0
        fitted.append(Fitted(column, start, column.width + extra))
        start += column.width + extra + GAP
    return fitted


def _widen(kept: dict[str, Column], key: str, more: int, room: int) -> int:
    """Widen one column by up to ``more`` cells; return by how many cells all columns together grew.

    Beyond ``room`` the cells come from the other columns.
    """
    given = 0
    for other in list(kept.values()):
        less = min(max(more - room - given, 0), other.width - other.least) if other.least is not None else 0
        kept[other.key] = other._replace(width=other.width - less)
        given += less
    more = max(min(more, room + given), 0)
    kept[key] = kept[key]._replace(width=kept[key].width + more)
    return more - given


def longest_names(columns: Sequence[Column], keys: Iterable[Hashable]) -> dict[str, int]:
    """Return the width that the columns of symbols and accounts need to show each name whole.

    Two names that are cut to the same text would look like one order.
    """
    listed, longest = list(keys), dict[str, int]()
    for name in NAMES:
        indent = INDENT if columns and columns[0].key == name else 0
        longest[name] = indent + min(max((len(getattr(key, name, "")) for key in listed), default=0), LONGEST)
    return longest

"""What a table shows: columns, cells and rows as values, and which columns fit a width. Pure.

A cell carries a tone, a word for what its colour means; the words in it must say the same without any colour.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

GAP = 1  # cells between two columns
NAMES = ("symbol", "account")  # columns, and what a key that has one calls it
INDENT = 2  # of rows below a heading, in the first column
LONGEST = 28  # of a name that is shown whole
_NOTHING: Mapping[str, Cell] = MappingProxyType({})
_NO_TEXTS: Mapping[str, int] = MappingProxyType({})


class Cell(NamedTuple):
    """``tone``: one of ``good bad warn alarm dim strong`` or nothing."""

    text: str
    tone: str = ""


class Column(NamedTuple):
    """Columns of a higher ``priority`` number are dropped first; ``grow`` is a share of the width left over.

    ``whole`` is the priority at which it is given room for its longest text, where that is known, by columns which can
    be narrower, too (``least``).
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
    """A column with the place it got."""

    column: Column
    start: int
    width: int


def fit(
    columns: Sequence[Column], width: int, *, wide: bool = False, longest: Mapping[str, int] = _NO_TEXTS
) -> list[Fitted]:
    """The columns that fit ``width``, in order, the rest of the width shared out; ``wide`` keeps every column.

    ``longest`` is the length of the longest text in some of them.
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
    """Make one of them wider by up to ``more``, beyond ``room`` at the cost of others: by how much all are wider."""
    given = 0
    for other in list(kept.values()):
        less = min(max(more - room - given, 0), other.width - other.least) if other.least is not None else 0
        kept[other.key] = other._replace(width=other.width - less)
        given += less
    more = max(min(more, room + given), 0)
    kept[key] = kept[key]._replace(width=kept[key].width + more)
    return more - given


def longest_names(columns: Sequence[Column], keys: Iterable[Hashable]) -> dict[str, int]:
    """What the columns of symbols and accounts need to show each whole: two that are cut to one text are two orders."""
    listed, longest = list(keys), dict[str, int]()
    for name in NAMES:
        indent = INDENT if columns and columns[0].key == name else 0
        longest[name] = indent + min(max((len(getattr(key, name, "")) for key in listed), default=0), LONGEST)
    return longest

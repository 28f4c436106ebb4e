"""Alpaca's bars: rows with ``t`` (when the minute began) and ``o``, ``h``, ``l``, ``c`` as JSON numbers. Pure."""

from __future__ import annotations

from brokers.alpaca import wire
from core.errors import OutcomeUnknown
from core.model import Bar


def page(answer: object, symbol: str) -> tuple[list[Bar], str | None]:
    """Return the bars of one page of ``{"bars": {symbol: rows}}``, and the token of the next page or None.

    An unreadable row is left out: its minute stays missing. ``bars`` is null when there are no bars.
    Raises OutcomeUnknown for an answer without a table of symbols.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("bars", ()), dict | None):
        raise OutcomeUnknown("Alpaca's bars cannot be read: no table of symbols")
    rows = (answer["bars"] or {}).get(symbol)
    made = [_bar(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [bar for bar in made if bar is not None and bar.sane], wire.text(answer, "next_page_token") or None


def _bar(row: wire.Row) -> Bar | None:
    at = wire.moment(row.get("t"))
    first, high, low, last = (wire.number(row.get(key)) for key in "ohlc")
    if at is None or first is None or high is None or low is None or last is None:
        return None
    return Bar(int(at.timestamp()) // 60, first, high, low, last)

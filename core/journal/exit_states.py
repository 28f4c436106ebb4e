"""Converts guards and bars to the journal's rows and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec
from msgspec import structs

from core.exits.snapshot import ExitSnapshot
from core.exits.symbol import BarChanges
from core.journal.tables import BarRows, Row
from core.market.bars import Candle
from core.model import InstrumentKey, PositionKey

_KEPT: msgspec.json.Decoder[ExitSnapshot] = msgspec.json.Decoder(ExitSnapshot)
_PLACE: msgspec.json.Decoder[InstrumentKey] = msgspec.json.Decoder(InstrumentKey)
_PRICES: msgspec.json.Decoder[tuple[float, float, float, float, int, int]] = msgspec.json.Decoder(
    tuple[float, float, float, float, int, int]
)


def states_of(guards: Mapping[PositionKey, ExitSnapshot | None]) -> dict[str, str | None]:
    """Return name and text of each guard's state. The text of a dropped guard is None."""
    return {_name((k.account, k.symbol, k.leg.value)): None if g is None else _text(g) for k, g in guards.items()}


def guards_of(texts: Iterable[str]) -> tuple[list[ExitSnapshot], list[str]]:
    """Return the readable states, and the errors of the unreadable states."""
    found, wrong = list[ExitSnapshot](), list[str]()
    for text in texts:
        try:
            found.append(_KEPT.decode(text))
        except msgspec.MsgspecError as error:
            wrong.append(str(error))
    return found, wrong


def rows_of(bars: BarChanges) -> BarRows:
    gone = {_name(place) for place in bars.gone}
    rows = {(_name(place), minute): _body(candle) for (place, minute), candle in bars.candles.items()}
    return BarRows(gone, rows)


def candles_of(rows: Iterable[Row], watched: set[InstrumentKey]) -> tuple[dict[InstrumentKey, list[Candle]], BarRows]:
    """Return the bars of ``watched`` instruments, oldest first, and the rows to delete: all other rows."""
    found, gone = dict[InstrumentKey, list[Candle]](), BarRows()
    for name, minute, body in rows:
        try:
            place, prices = _PLACE.decode(name), _PRICES.decode(body)
        except msgspec.MsgspecError:
            gone.rows[name, minute] = None
            continue
        if place in watched:
            found.setdefault(place, []).append(Candle(minute, *prices))
        else:
            gone.gone.add(name)
    return found, gone


@lru_cache(maxsize=4096)
def _name(parts: tuple[str, ...]) -> str:
    return msgspec.json.encode(parts).decode()


def _body(candle: Candle | None) -> str | None:
    return None if candle is None else msgspec.json.encode(structs.astuple(candle)[1:]).decode()


def _text(kept: ExitSnapshot) -> str:
    return msgspec.json.encode(kept).decode()

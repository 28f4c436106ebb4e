"""The exits in the configuration, with the same keys for everyone, an owner, an account, and any symbol of these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Protocol, Self

from pydantic import Field, PlainValidator, model_validator

from core.config import values as kinds
from core.config.table import Table
from core.config.values import InvalidValue
from core.settings import ExitLevel, ExitSettings, Factors, Given
from core.units import decimal, plain

DAY = 86_400.0
_EXITS = ExitSettings()
Loc = tuple[str | int, ...]

_share = kinds.exact('a fraction above 0 and below 1, like "0.05" for 5 %', lambda v: 0 < v < 1)
_share_or_zero = kinds.exact('a fraction from 0 and below 1, like "0.05" for 5 %', lambda v: 0 <= v < 1)
_whole_share = kinds.exact('a fraction above 0 and up to 1, like "0.50" for 50 %', lambda v: 0 < v <= 1)
_gain = kinds.exact('a fraction above 0 and up to 10, like "0.10" for 10 %', lambda v: 0 < v <= 10)
_gain_or_zero = kinds.exact('a fraction from 0 up to 10, like "0.03" for 3 %', lambda v: 0 <= v <= 10)
_roi = kinds.exact('a fraction from -10 to 10, like "0.03" for 3 %', lambda v: -10 <= v <= 10)
_loss = kinds.exact('a loss, from -1 and below 0, like "-0.15" for 15 %', lambda v: -1 <= v < 0)


def _emergency(value: Any) -> tuple[Decimal, ...]:
    """Return the losses with the worst first, whatever the order in the file."""
    return tuple(sorted(set(kinds.rules(_loss)(value))))


_smart_row = kinds.row('a pair [move, gap], like ["0.10", "0.02"]', _gain, _gain_or_zero)
_drawdown_row = kinds.row(
    'three values [given back, roi from, roi to], like ["0.30", "0.03", "0.15"]',
    _whole_share,
    kinds.off(_roi),
    kinds.off(_roi),
)


def _smart_profit(value: Any) -> tuple[tuple[Decimal, Decimal], ...]:
    """Return the rows with the biggest move first, so that the biggest move names the exit."""
    return tuple(sorted(kinds.rules(_smart_row)(value), reverse=True, key=lambda row: row[0]))


def _drawdown(value: Any) -> tuple[tuple[Decimal, Decimal | None, Decimal | None], ...]:
    """Return the rows with the most given back first, so that the most given back names the exit."""
    found = kinds.rules(_drawdown_row)(value)
    for index, (_, low, high) in enumerate(found):
        if low is not None and high is not None and low >= high:
            raise InvalidValue(
                "has a band that ends before it begins; put the smaller roi first", at=(index,), full=True
            )
    return tuple(sorted(found, reverse=True, key=lambda row: row[0]))


_CONDITION = re.compile(r"\s*([<>])\s*([+-]?[0-9.]+)\s*")
_A_ROW = 'a pair [condition, factor], like [">1.5", "1.3"] or ["<-1", "0.8"]'
_bound = kinds.exact("a number", lambda v: -1000 <= v <= 1000)
_factor = kinds.exact('a factor from 0.1 to 10, like "1.3"', lambda v: Decimal("0.1") <= v <= 10)
_stretch = kinds.exact('a factor from 1 to 10, like "2"', lambda v: 1 <= v <= 10)
_age = kinds.row(
    'a pair [hours, factor], like ["24", "0.8"]',
    kinds.exact('a number of hours above 0, like "24"', lambda v: 0 < v <= 100_000),
    _factor,
)
MOST_ROWS = 10


def _condition(value: Any) -> str:
    found = _CONDITION.fullmatch(value) if isinstance(value, str) else None
    try:
        bound = _bound(found[2]) if found else None
    except InvalidValue:
        bound = None
    if found is None or bound is None:
        raise InvalidValue('a condition, like ">1.5" or "<-1"', value)
    return f"{found[1]}{plain(bound)}"


def _factors(value: Any) -> Factors:
    found: Factors = kinds.rules(kinds.row(_A_ROW, _condition, _factor))(value)
    if len(found) > MOST_ROWS:
        raise InvalidValue(f"has more than {MOST_ROWS} rows; leave some out", full=True)
    return found


def _tightening(value: Any) -> Factors:
    """Return the rows with the biggest move first. Raises InvalidValue if a growing profit would widen the distance."""
    found = _factors(value)
    if len(found) > 3 or any(condition[0] != ">" for condition, _ in found):
        raise InvalidValue('has up to three rows, and each is above a move, like [">0.05", "0.7"]', full=True)
    found = tuple(sorted(found, reverse=True, key=lambda row: decimal(row[0][1:])))
    factors = [factor for _, factor in found]
    if factors != sorted(factors) or any(factor > 1 for factor in factors):
        raise InvalidValue(
            "must tighten with the profit: factors up to 1, and the smaller the higher the move", full=True
        )
    return found


FactorRows = Annotated[Factors, PlainValidator(_factors)]


class SymbolTable(Table):
    """The keys of the exits for one symbol. ``LevelTable`` has the same keys for a level."""

    emergency: Annotated[tuple[Decimal, ...], PlainValidator(_emergency)] = _EXITS.emergency
    stop_loss_pct: Annotated[Decimal | None, PlainValidator(kinds.off(_share))] = _EXITS.stop_loss_pct
    trailing_base: Annotated[Decimal | None, PlainValidator(kinds.off(_share))] = _EXITS.trailing_base
    trailing_min: Annotated[Decimal, PlainValidator(_share_or_zero)] = _EXITS.trailing_min
    trailing_max: Annotated[Decimal, PlainValidator(_share)] = _EXITS.trailing_max
    activation_pct: Annotated[Decimal, PlainValidator(_gain_or_zero)] = _EXITS.activation_pct
    adaptive: Annotated[bool, PlainValidator(kinds.flag)] = _EXITS.adaptive
    trailing_volatility: FactorRows = _EXITS.trailing_volatility
    trailing_profit: Annotated[Factors, PlainValidator(_tightening)] = _EXITS.trailing_profit
    trailing_momentum: FactorRows = _EXITS.trailing_momentum
    take_profit_pct: Annotated[Decimal | None, PlainValidator(kinds.off(_gain))] = _EXITS.take_profit_pct
    target_momentum: FactorRows = _EXITS.target_momentum
    target_trend: FactorRows = _EXITS.target_trend
    target_volatility: FactorRows = _EXITS.target_volatility
    target_rsi: FactorRows = _EXITS.target_rsi
    target_profit: FactorRows = _EXITS.target_profit
    target_age: Annotated[tuple[Decimal, Decimal], PlainValidator(_age)] = _EXITS.target_age
    target_min: Annotated[Decimal, PlainValidator(_whole_share)] = _EXITS.target_min
    target_max: Annotated[Decimal, PlainValidator(_stretch)] = _EXITS.target_max
    target_hold: Annotated[Decimal, PlainValidator(_whole_share)] = _EXITS.target_hold
    swing_margin: Annotated[Decimal, PlainValidator(_share_or_zero)] = _EXITS.swing_margin
    smart_profit: Annotated[tuple[tuple[Decimal, Decimal], ...], PlainValidator(_smart_profit)] = _EXITS.smart_profit
    drawdown: Annotated[tuple[tuple[Decimal, Decimal | None, Decimal | None], ...], PlainValidator(_drawdown)] = (
        _EXITS.drawdown
    )
    min_peak_roi: Annotated[Decimal, PlainValidator(_gain_or_zero)] = _EXITS.min_peak_roi
    include_fees: Annotated[bool, PlainValidator(kinds.flag)] = _EXITS.include_fees
    fee_rate: Annotated[Decimal, PlainValidator(_share_or_zero)] = _EXITS.fee_rate
    max_jump: Annotated[Decimal, PlainValidator(_gain)] = _EXITS.max_jump
    confirm_window: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _EXITS.confirm_window
    max_spread: Annotated[Decimal, PlainValidator(_gain)] = _EXITS.max_spread
    max_price_age: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _EXITS.max_price_age
    max_price_age_polling: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _EXITS.max_price_age_polling


class LevelTable(SymbolTable):
    """The exits of all positions of a level. ``symbols`` has the exits of single symbols."""

    symbols: dict[str, SymbolTable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _named(self) -> Self:
        for symbol in self.symbols:
            if not symbol.strip() or not symbol.isprintable():
                raise InvalidValue(
                    "names no symbol; write one as the console shows it", at=("symbols", symbol), full=True
                )
        return self

    def level(self) -> ExitLevel:
        """Return the given keys of this level as plain values."""
        given = {key: value for key, value in self.given().items() if key != "symbols"}
        return ExitLevel(given, {symbol: table.given() for symbol, table in self.symbols.items()})


class _Account(Protocol):
    @property
    def exits(self) -> LevelTable: ...


class _Owner(Protocol):
    @property
    def exits(self) -> LevelTable: ...

    @property
    def accounts(self) -> Sequence[_Account]: ...


def misfit(top: LevelTable, owners: Sequence[tuple[Loc, _Owner]]) -> InvalidValue | None:
    """Return an error for keys that are valid alone but do not fit together across levels, or None."""
    for chain in _chains(top, owners):
        for symbol in sorted({symbol for _, level in chain for symbol in level.symbols}) or [""]:
            parts: list[tuple[Loc, Given]] = []
            for loc, level in chain:
                parts += [((*loc, "exits"), level.given)]
                parts += [((*loc, "exits", "symbols", symbol), level.symbols.get(symbol, {}))]
            if wrong := _wrong(parts):
                return wrong
    return None


def _chains(top: LevelTable, owners: Sequence[tuple[Loc, _Owner]]) -> Iterator[list[tuple[Loc, ExitLevel]]]:
    """Yield every chain of levels: the top alone, the top to an owner, and the top to an account."""
    first: tuple[Loc, ExitLevel] = ((), top.level())
    yield [first]
    for loc, owner in owners:
        second = (loc, owner.exits.level())
        yield [first, second]
        for index, account in enumerate(owner.accounts):
            yield [first, second, ((*loc, "accounts", index), account.exits.level())]


def _wrong(parts: Sequence[tuple[Loc, Given]]) -> InvalidValue | None:
    """Check ``parts``, from the most general to the most specific. The error names the more specific of two keys."""
    least, most = _EXITS.trailing_min, _EXITS.trailing_max
    blamed: Loc = ()
    for loc, given in parts:
        least, most = given.get("trailing_min", least), given.get("trailing_max", most)
        key = next((key for key in ("trailing_max", "trailing_min") if key in given), None)
        blamed = blamed if key is None else (*loc, key)
        if least > most:
            text = f"does not fit: trailing_min ({least}) is above trailing_max ({most})"
            return InvalidValue(text, at=blamed, full=True)
    return None

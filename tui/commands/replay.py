"""``replay``: walk one position through recorded prices, as a table and a plot, or as JSON. It places no order."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs

from core import units
from core.errors import ConfigError
from core.model import Side
from core.settings import Settings, resolve_exits, symbols_with_exits
from core.units import ONE, ZERO, iso
from tui.commands.option_types import Way
from tui.commands.session import DONE, CommandContext, known, shared_options, with_context
from tui.output.columns import columns
from tui.output.documents import Document

if TYPE_CHECKING:
    from core.exits.replay import ReplayedPosition, Tick

FIRST_ROWS, LAST_ROWS = 5, 10  # of the notable ticks, when there are more
WIDTH, NARROWEST, WIDEST, HEIGHT = 80, 30, 160, 16
PRICE, STOP, TARGET, EXIT = "*", "_", "=", "X"
MOST_LEVERAGE = Decimal(125)


class Number(click.ParamType):
    """An exact number above, or not below, a bound."""

    name = "number"

    def __init__(self, least: Decimal = ZERO, *, above: bool = True, most: Decimal | None = None) -> None:
        self.least, self.above, self.most = least, above, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        try:
            number = units.decimal(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if number < self.least or (self.above and number == self.least):
            self.fail(f"{value} must be {'more than' if self.above else 'at least'} {self.least}", param, ctx)
        if self.most is not None and number > self.most:
            self.fail(f"{value} must be at most {self.most}", param, ctx)
        return number


@click.command()
@click.argument("prices", metavar="PRICES.csv", type=click.Path())
@click.option("--side", type=Way("long", "short"), required=True, help="Which way; buy and sell mean the same.")
@click.option("--entry", metavar="P", type=Number(), required=True, help="The price it was opened at.")
@click.option(
    "--quantity", "--amount", "quantity", metavar="Q", type=Number(), required=True, help="How much of it there is."
)
@click.option(
    "--leverage", metavar="L", type=Number(ONE, above=False, most=MOST_LEVERAGE), default="1", help="Its leverage; 1."
)
@click.option(
    "--fee-rate",
    metavar="F",
    type=Number(above=False, most=ONE),
    help="The fee of one way as a fraction, counted where include_fees is on; the configured one.",
)
@click.option("--account", metavar="ID", help="Whose exits, owner/name; those of [exits].")
@click.option("--symbol", metavar="SYMBOL", help="Which symbol's exits; the file's name before -1m.")
@shared_options
@with_context
def replay(
    context: CommandContext,
    *,
    prices: str,
    side: str,
    entry: Decimal,
    quantity: Decimal,
    leverage: Decimal,
    fee_rate: Decimal | None,
    account: str | None,
    symbol: str | None,
) -> int:
    """Walk one position through recorded prices by the configured exits.

    The file has a header with timestamp and price, or timestamp,open,high,low,close, and its oldest row first. A
    timestamp is in milliseconds since 1970, or a time with its zone. No order is placed.
    """
    from core.exits.replay import ReplayedPosition, prices_of, walk  # noqa: PLC0415  (numpy and TA-Lib)

    loaded = context.environment.load(context.config)
    configured = loaded.settings if loaded else Settings()
    if account is not None:
        known("account", [account], [a.id for a in configured.accounts])
    settings = resolve_exits(configured, account or "", symbol or _symbol(Path(prices).name, configured))
    if fee_rate is not None:
        settings = structs.replace(settings, fee_rate=fee_rate)
    holding = ReplayedPosition(Side(side), entry, quantity, leverage)
    ticks = walk(prices_of(_rows(prices)), settings, holding)
    if context.json:
        context.print_document(document(ticks))
    else:
        context.print_text(text(ticks, holding, min(context.width or WIDTH, WIDEST)))
    return DONE


def _symbol(name: str, settings: Settings) -> str:
    """Return the symbol in a file's name as the configuration writes it, ``BTC/USD`` for ``BTC-USD-1m.csv``."""
    from core.market.price_file import bare, symbol_of  # noqa: PLC0415  (only here)

    said = symbol_of(name)
    return next((s for s in sorted(symbols_with_exits(settings)) if bare(s) == bare(said)), said)


def _rows(name: str) -> Any:
    from core.market.price_file import read_prices  # noqa: PLC0415  (only here)

    try:
        lines = Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:  # not UTF-8, or a name that no file can have
        why = (error.strerror or "unknown reason") if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"Price file {name} cannot be read ({why}); name a CSV file") from None
    return read_prices(lines, name)


# ---------------------------------------------------------------------------------------------------- the document


def document(ticks: Sequence[Tick]) -> Document:
    """Return the JSON document: ``ticks`` up to the exit, and the exit with its place among them."""
    last = ticks[-1]
    leaving = None
    if last.exit is not None:
        place = {"time": iso(last.at), "price": units.plain(last.price), "index": len(ticks) - 1}
        leaving = {"reason": last.exit.reason, **place}
    return {"ticks": [_tick(tick) for tick in ticks], "exit": leaving}


def _tick(tick: Tick) -> Document:
    return {
        "time": iso(tick.at),
        "price": units.plain(tick.price),
        "roi": _known(tick.roi),
        "peak_roi": _known(tick.peak_roi),
        "stop": _known(tick.stop),
        "target": _known(tick.target),
        "distance": _known(tick.distance),
        "factors": {name: _factor(value) for name, value in tick.factors.items()},
        "exit": None if tick.exit is None else tick.exit.reason,
    }


def _known(value: Decimal | None) -> str | None:
    return None if value is None else units.plain(value)


def _factor(value: Decimal) -> str:
    """Return ``1.0`` or ``0.85``: a factor always shows that it is a fraction."""
    shown = units.plain(value)
    return shown if "." in shown else f"{shown}.0"


# ------------------------------------------------------------------------------------------------ text for a person


def text(ticks: Sequence[Tick], holding: ReplayedPosition, width: int) -> str:
    """Return the ticks at which the stop moved, the plot, and the end in one sentence."""
    return "\n".join([*_table(ticks, width), "", *plot(ticks, width), "", _end(ticks, holding)])


def notable(ticks: Sequence[Tick]) -> list[int]:
    """Return the places of the first tick, of the ticks that moved the stop, and of the exit."""
    found = [0]
    for place in range(1, len(ticks)):
        if ticks[place].exit is not None or ticks[place].stop != ticks[place - 1].stop:
            found.append(place)
    return found


def _table(ticks: Sequence[Tick], width: int) -> list[str]:
    rows = [("tick", "time", "price", "roi", "stop", "target", "distance", "what")]
    places = notable(ticks)
    hidden = len(places) - FIRST_ROWS - LAST_ROWS
    if hidden > 1:
        rows += [_row(ticks, place) for place in places[:FIRST_ROWS]]
        rows.append(("…", f"{hidden} more", "", "", "", "", "", ""))
        places = places[-LAST_ROWS:]
    rows += [_row(ticks, place) for place in places]
    return columns(rows, right="tick,price,roi,stop,target,distance", width=width)


def _row(ticks: Sequence[Tick], place: int) -> tuple[str, ...]:
    tick = ticks[place]
    return (
        *(str(place), iso(tick.at).removesuffix(".000Z").replace("T", " "), units.plain(tick.price)),
        *(_percent(tick.roi), _short(tick.stop), _short(tick.target), _percent(tick.distance)),
        _what(tick, first=not place),
    )


def _what(tick: Tick, *, first: bool) -> str:
    if tick.exit is not None:
        return f"EXIT {tick.exit.reason}"
    if first:
        return "start"
    factors = [f"{name} {_factor(value)}" for name, value in tick.factors.items() if value != 1]
    return "stop follows" + (f" ({', '.join(factors)})" if factors else "")


def _percent(value: Decimal | None) -> str:
    return "—" if value is None else f"{units.percent(value)}%"


def _short(value: Decimal | None) -> str:
    """Return the number with eight digits, which are enough to read."""
    return "—" if value is None else units.plain(Decimal(f"{value:.8g}"))


def _end(ticks: Sequence[Tick], holding: ReplayedPosition) -> str:
    from core.exits.replay import profit  # noqa: PLC0415  (numpy and TA-Lib)

    last = ticks[-1]
    gained = f"{units.money(profit(ticks, holding))} on {units.plain(holding.quantity)}"
    if last.exit is None:
        return f"No exit in {len(ticks)} ticks: at {units.plain(last.price)} the position stands at {gained}."
    where = f"at tick {len(ticks) - 1}, {iso(last.at)}, price {units.plain(last.price)}"
    return f"Exit {last.exit.reason} {where}: {gained}, roi {_percent(last.roi)}."


# ---------------------------------------------------------------------------------------------------------- the plot


def plot(ticks: Sequence[Tick], width: int) -> list[str]:
    """Draw price, stop and target over the ticks in plain characters. A column shows the last of its ticks."""
    top, bottom = _range(ticks)
    labels = [_short(Decimal(f"{top:.6g}")), _short(Decimal(f"{bottom:.6g}"))]
    margin = max(map(len, labels))
    across = max(min(width - margin - 3, len(ticks)), min(NARROWEST, len(ticks)))
    lines = [[" "] * across for _ in range(HEIGHT)]
    for column in range(across):
        tick = ticks[(column + 1) * len(ticks) // across - 1]
        marks = ((tick.target, TARGET), (tick.stop, STOP), (tick.price, EXIT if tick.exit else PRICE))
        for value, mark in marks:
            if value is not None and bottom <= value <= top:
                lines[_line(value, top, bottom)][column] = mark
    edge = {0: labels[0], HEIGHT - 1: labels[1]}
    drawn = [f"{edge.get(number, ''):>{margin}} | {''.join(line)}".rstrip() for number, line in enumerate(lines)]
    return [*drawn, f"{'':>{margin}}   {PRICE} price  {STOP} stop  {TARGET} target  {EXIT} exit"]


def _range(ticks: Sequence[Tick]) -> tuple[Decimal, Decimal]:
    """Return the range of the prices and stops, and of the targets that do not flatten the other lines."""
    seen = [tick.price for tick in ticks] + [tick.stop for tick in ticks if tick.stop is not None]
    targets = [tick.target for tick in ticks if tick.target is not None]
    top, bottom = max(seen), min(seen)
    reach = top - bottom
    near = [target for target in targets if bottom - reach <= target <= top + reach]
    return max([top, *near]), min([bottom, *near])


def _line(value: Decimal, top: Decimal, bottom: Decimal) -> int:
    return 0 if top == bottom else int((top - value) / (top - bottom) * (HEIGHT - 1) + Decimal("0.5"))

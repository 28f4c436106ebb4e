"""Read and check a paper account's options: its book, its prices and its faults."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from brokers.paper.faults import check_faults
from brokers.paper.json_fields import nearest
from brokers.paper.price_replay import ReplayRow, read_rows
from brokers.paper.prices import Feed, FrozenPrices, PriceReplay, RandomWalk
from brokers.paper.random_streams import seeded
from brokers.paper.wire import Book, parse_book
from core.errors import ConfigError
from core.market.price_file import bare, symbol_of
from core.settings import AccountSettings

KNOWN = ("book", "prices", "frozen", "latency_ms", "seed", "faults", "exchange", "speed")


class Options(Struct, frozen=True):
    """A paper account's checked options.

    ``latency`` is in seconds. ``replays`` maps a symbol to the rows of its price file.
    """

    book: Book
    replays: dict[str, list[ReplayRow]]
    faults: dict[str, float]
    frozen: bool = False
    latency: float = 0.0
    seed: int = 0
    speed: float = 1.0


def read_options(settings: AccountSettings, speed: float) -> Options:
    """Return the checked options. ``speed`` is the default of the option ``speed``.

    Raises ConfigError naming the account, the file and the place.
    """
    given = settings.options
    for key in given:
        if key not in KNOWN:
            raise ConfigError(f'Paper account {settings.id}: unknown key "{key}"; {nearest(key, KNOWN)}')
    book = given.get("book")
    seed = given.get("seed") or 0
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"Paper account {settings.id}: seed must be a whole number, not {seed!r}.")
    try:
        faults = check_faults(given.get("faults") or {})
    except ConfigError as error:
        raise ConfigError(f"Paper account {settings.id}: {error}") from None
    listed = parse_book(_text(Path(str(book)), settings), str(book), settings.id) if book else Book()
    return Options(
        book=listed,
        replays=_replays(given.get("prices") or (), listed, settings),
        faults=faults,
        frozen=bool(given.get("frozen", False)),
        latency=_number(settings, "latency_ms", 0.0) / 1000,
        seed=seed,
        speed=_number(settings, "speed", speed) or speed,
    )


def example_book() -> str:
    """Return a complete book, to begin with."""
    return Path(__file__).with_name("example_book.json").read_text(encoding="utf-8")


def make_feeds(options: Options) -> dict[str, Feed]:
    """Return the price feed of each symbol: its replay, else frozen prices, else a random walk.

    The random numbers of a walk depend on the seed and the symbol alone.
    """
    feeds: dict[str, Feed] = {}
    listings = options.book.listings
    for symbol in options.book.quotes:
        tick = listings[symbol].instrument.tick
        walk = RandomWalk(seeded(options.seed, "price", symbol), tick, options.speed)
        feeds[symbol] = FrozenPrices() if options.frozen else walk
    feeds |= {symbol: PriceReplay(rows, options.speed) for symbol, rows in options.replays.items()}
    return feeds


def _replays(paths: Iterable[str], book: Book, settings: AccountSettings) -> dict[str, list[ReplayRow]]:
    """Return each price file's rows by symbol. Raises ConfigError for a file whose symbol the book does not have."""
    found: dict[str, list[ReplayRow]] = {}
    for path in map(Path, paths):
        name = symbol_of(path.name)
        meant = (s for s, li in book.listings.items() if bare(name) in (bare(s), bare(li.instrument.native_symbol)))
        symbol = next(meant, None if book.listings else name)
        if symbol is None:
            named = f"{min(book.listings).replace('/', '-')}-1m.csv"
            why = f"no symbol of its book is called {name}; a price file is called like its symbol, for example {named}"
            raise ConfigError(f"Paper account {settings.id}: {path}: {why}.")
        if symbol in found:
            raise ConfigError(f"Paper account {settings.id}: {path} is a second price file of {symbol}.")
        found[symbol] = _rows(path, settings)
    return found


def _number(settings: AccountSettings, key: str, default: float) -> float:
    value: float = settings.options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"Paper account {settings.id}: {key} must be a number of at least 0, not {value!r}.")
    return value


def _text(path: Path, settings: AccountSettings) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"Paper account {settings.id}: {path} cannot be read: {why}.") from None


def _rows(path: Path, settings: AccountSettings) -> list[ReplayRow]:
    return read_rows(_text(path, settings).splitlines(), str(path))

"""The demo's accounts and positions at embedded paper brokers. Pure: a generator and a scenario in, files out.

There are four owners. The platform has 59 positions at one broker, 45 of them dust. ``user_123`` holds 9 positions over
two brokers; the cap is 8. ``user_456`` has equities with market hours and an option. ``user_789`` has leverage and
shorts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from msgspec import Struct

from core.model import PLATFORM
from core.settings import AccountSettings, EngineSettings, OwnerSettings, Settings
from core.units import floor_to, plain

SCENARIOS = ("default", "crash", "faults")
D = Decimal

_PRICES = (
    "BTC 64250 ETH 3180 SOL 148 XRP 0.612 ADA 0.447 AVAX 34.8 DOT 6.92 LINK 14.6 "
    "LTC 83.1 ATOM 8.41 UNI 7.73 AAVE 94.2 NEAR 6.18 FIL 5.66 SHIB 0.0000242 DOGE 0.158 "
    "PEPE 0.0000118 BONK 0.0000261 ALGO 0.171 XLM 0.108 VET 0.0342 HBAR 0.0896 ICP 11.9 APT 8.87 "
    "ARB 0.991 OP 2.31 GRT 0.268 SAND 0.412 MANA 0.427 AXS 7.02 CHZ 0.112 ENJ 0.287 "
    "BAT 0.231 ZRX 0.498 COMP 54.3 SNX 2.71 CRV 0.418 SUSHI 1.02 YFI 6810 MKR 2740 "
    "LRC 0.246 ANKR 0.0421 SKL 0.0713 STORJ 0.533 NMR 22.4 OXT 0.0917 BAND 1.41 KNC 0.572 "
    "REN 0.0538 RLC 2.38 CTSI 0.187 FET 1.62 OCEAN 0.913 IMX 2.07 LDO 2.02 QNT 98.6 "
    "FLOW 0.874 EGLD 41.2 XTZ 0.942 EOS 0.793 ZEC 22.7 DASH 29.4 ETC 26.8 BCH 471 "
    "KAVA 0.668 ROSE 0.0994 INJ 25.3 "
)
_BASE = {name: D(price) for name, price in zip(*[iter(_PRICES.split())] * 2, strict=True)}
_EQUITIES = {"AAPL": D("189.70"), "MSFT": D("415.20"), "IBM": D("168.90"), "BAC": D("37.85"), "SPY": D("521.40")}
_OPTION = ("SPY261218C00550000", D("12.40"))
_FALL_SPEED = 60  # a falling price moves each second
_HELD_MONEY = (2480, 1210, 640, 355, 210, 140, 96, 61, 33, 18, 11, 7, 4, 2)  # the platform's 14 that are no dust


class Dice(Protocol):
    """A seeded generator."""

    def random(self) -> float: ...


class Demo(Struct, frozen=True):
    """Files by name, and the settings that use them; paths are relative to the directory of the demo."""

    files: dict[str, str]
    settings: Settings


class _Book:
    """A book under construction."""

    def __init__(self, dice: Dice, prices: Mapping[str, Decimal], kind: str, **listing: Any) -> None:
        self.dice, self.prices, self.kind, self.listing = dice, prices, kind, listing
        self.body: dict[str, Any] = {"instruments": [], "quotes": {}, "positions": [], "orders": [], "equity": "25000"}

    def hold(self, symbol: str, usd: float, side: str = "long", leverage: int = 1, **listing: Any) -> None:
        """Add a position worth about ``usd`` with an entry within some percent of the price."""
        price = self.prices[symbol]
        step = D("1") if self.kind == "equity" and usd >= 100 else D("0.00000001")
        multiplier = D(listing.get("multiplier", "1"))
        quantity = max(floor_to(D(str(usd)) / price / multiplier, step), step)
        entry = _exact(price * D(str(round(1 + (self.dice.random() - 0.45) / 8 / leverage, 6))))
        half = price * D("0.0004")
        terms = {"symbol": symbol, "kind": self.kind, "step": plain(step), "tick": _tick(price)}
        self.body["instruments"].append({**terms, **self.listing, **listing})
        self.body["quotes"][symbol] = {"bid": _exact(price - half), "ask": _exact(price + half), "last": plain(price)}
        position = {
            "symbol": symbol,
            "side": side,
            "quantity": plain(quantity),
            "entry": entry,
            "leverage": str(leverage),
        }
        month = 1 + int(self.dice.random() * 9)
        self.body["positions"].append({**position, "opened_at": f"2026-0{month}-1{month}T09:30:00Z"})

    def order(self, symbol: str, part: str, away: str) -> None:
        """Add a resting limit order that takes profit on ``part`` of the position."""
        held = next(p for p in self.body["positions"] if p["symbol"] == symbol)
        side = "sell" if held["side"] == "long" else "buy"
        order = {"id": f"o{len(self.body['orders']) + 1}", "symbol": symbol, "side": side, "type": "limit"}
        quantity, price = D(held["quantity"]) * D(part), self.prices[symbol] * D(away)
        self.body["orders"].append({**order, "quantity": _exact(quantity), "price": _exact(price)})

    def text(self) -> str:
        return json.dumps(self.body, indent=1)


def build(
    directory: str,
    dice: Dice,
    *,
    scenario: str = "default",
    seed: int = 1,
    speed: float = 1.0,
    replays: Mapping[str, tuple[str, Decimal]] | None = None,
) -> Demo:
    """Return the books and settings of a scenario. ``replays``: per symbol its price file and the first price."""
    prices = {f"{name}-USD": price for name, price in _BASE.items()} | _EQUITIES | {_OPTION[0]: _OPTION[1]}
    prices |= {f"{name}-PERP": _BASE[name] for name in ("BTC", "ETH", "SOL", "XRP", "AVAX", "LINK")}
    named = {_bare(symbol): symbol for symbol in prices}
    given = {named.get(_bare(name), name): file for name, file in (replays or {}).items()}
    unheld = [symbol for symbol in given if symbol not in prices]
    prices |= {symbol: first for symbol, (_, first) in given.items()}
    books = _books(dice, prices, unheld)
    falls = _falls(dice, books) if scenario == "crash" else {}
    pace = speed * (_FALL_SPEED if falls else 1)
    files, accounts = dict(falls.values()), []
    for place, (account, book) in enumerate(books.items()):
        owner, name = account.split("/")
        files[f"{owner}-{name}.json"] = book.text()
        options = {
            "book": f"{directory}/{owner}-{name}.json",
            "exchange": name,
            "seed": seed + place,
            "latency_ms": 25.0 + 20 * place,
            "speed": pace,
            "prices": _feeds(directory, book, given, falls),
            **({"faults": _faults(place)} if scenario == "faults" else {}),
        }
        accounts.append(AccountSettings(id=account, owner=owner, name=name, broker="paper", options=options))
    engine = EngineSettings(data_dir=f"{directory}/data")
    return Demo(files, Settings(engine=engine, owners=_owners(accounts)))


def _books(dice: Dice, prices: Mapping[str, Decimal], unheld: Sequence[str]) -> dict[str, _Book]:
    """Return the book of each account. A replayed symbol that nobody else holds goes to an owner of its own."""
    books = {
        f"{PLATFORM}/coinbase": _platform(dice, prices),
        "user_123/coinbase": _spot(dice, prices, {"BTC": 5.0, "ETH": 940, "ADA": 120, "LTC": 310, "DOT": 75}),
        "user_123/kraken": _spot(dice, prices, {"SOL": 480, "XRP": 66, "LINK": 230, "ATOM": 41}),
        "user_456/alpaca": _equities(dice, prices),
        "user_789/perps": _perps(dice, prices),
    }
    books["user_123/coinbase"].order("ETH-USD", "0.5", "1.15")
    books["user_123/kraken"].order("LINK-USD", "1", "1.2")
    if unheld:
        books["user_replay/files"] = _Book(dice, prices, "spot")
        for symbol in unheld:
            books["user_replay/files"].hold(symbol, 1500)
    return books


def _platform(dice: Dice, prices: Mapping[str, Decimal]) -> _Book:
    book = _Book(dice, prices, "spot")
    names = list(_BASE)
    for name, usd in zip(names, _HELD_MONEY, strict=False):
        book.hold(f"{name}-USD", usd)
    for name in names[len(_HELD_MONEY) : len(_HELD_MONEY) + 45]:
        book.hold(f"{name}-USD", round(0.04 + dice.random() * 0.8, 3))
    return book


def _spot(dice: Dice, prices: Mapping[str, Decimal], held: Mapping[str, float]) -> _Book:
    book = _Book(dice, prices, "spot")
    for name, usd in held.items():
        book.hold(f"{name}-USD", usd)
    return book


def _equities(dice: Dice, prices: Mapping[str, Decimal]) -> _Book:
    book = _Book(dice, prices, "equity", hours={"open": "14:30", "close": "21:00", "days": [0, 1, 2, 3, 4]})
    for symbol, usd in zip(_EQUITIES, (3800, 4150, 1690, 760, 1040), strict=True):
        book.hold(symbol, usd)
    way_out = "sell the fraction together with a whole share at the broker"
    book.body["instruments"][3].update(min_quantity="100", way_out=way_out)  # an odd lot that this venue will not take
    book.kind = "option"
    book.hold(_OPTION[0], 2480, multiplier="100", step="1")
    return book


def _perps(dice: Dice, prices: Mapping[str, Decimal]) -> _Book:
    book = _Book(dice, prices, "perp", fee_rate="0.0005")
    for name, usd, side, leverage in (
        ("BTC", 6400, "long", 5),
        ("ETH", 3100, "short", 3),
        ("SOL", 1480, "long", 10),
        ("XRP", 610, "short", 2),
        ("AVAX", 350, "long", 4),
        ("LINK", 150, "short", 5),
    ):
        book.hold(f"{name}-PERP", usd, side, leverage)
    book.order("SOL-PERP", "1", "1.08")
    return book


def _falls(dice: Dice, books: Mapping[str, _Book]) -> dict[str, tuple[str, str]]:
    """Return per symbol a price file that falls by some 40 % within minutes, with small recoveries."""
    falls: dict[str, tuple[str, str]] = {}
    for book in books.values():
        for symbol in book.body["quotes"]:
            price, rows = book.prices[symbol], ["timestamp,price"]
            for minute in range(240):
                rows.append(f"{1_767_225_600_000 + minute * 60_000},{_exact(price)}")
                price *= D(str(round(1 + (dice.random() - 0.68) / 80, 6)))
            falls.setdefault(symbol, (f"{symbol}-1m.csv", "\n".join(rows)))
    return falls


def _feeds(
    directory: str, book: _Book, given: Mapping[str, tuple[str, Decimal]], falls: Mapping[str, tuple[str, str]]
) -> list[str]:
    """Return the price files of an account; given files come before the scenario's files."""
    paths = {symbol: f"{directory}/{name}" for symbol, (name, _) in falls.items()}
    paths |= {symbol: path for symbol, (path, _) in given.items()}
    return [paths[symbol] for symbol in book.body["quotes"] if symbol in paths]


def _faults(place: int) -> dict[str, float]:
    """Return a different kind of fault for each venue."""
    troubles: Sequence[dict[str, float]] = (
        {"reject_ioc": 0.4, "partial_fill": 0.3, "position_lag": 0.2, "lag_seconds": 2.0},
        {"lose_response": 0.3, "delay_ack": 0.3},
        {"read_fails": 0.3, "stream_drops": 0.05, "missing_price": 0.1},
        {"market_closed": 0.5, "cancel_lag": 0.5},
        {"reduce_only_rejected": 0.3, "no_fill": 0.4, "late_fill": 0.3},
    )
    return troubles[place % len(troubles)]


def _owners(accounts: Sequence[AccountSettings]) -> tuple[OwnerSettings, ...]:
    names = dict.fromkeys(account.owner for account in accounts)
    return tuple(OwnerSettings(id=name, accounts=tuple(a for a in accounts if a.owner == name)) for name in names)


def _tick(price: Decimal) -> str:
    """Return a hundred-thousandth of the price or finer, as a power of ten."""
    return plain(D(1).scaleb(price.adjusted() - 5))


def _bare(symbol: str) -> str:
    """Return the symbol without its separator: a file's name may hold ``BTC/USD`` or ``BTC-USD``."""
    return "".join(c for c in symbol.upper() if c.isalnum())


def _exact(value: Decimal) -> str:
    """Return the number with eight significant digits."""
    return plain(value.quantize(D(1).scaleb(value.adjusted() - 7)))

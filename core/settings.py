"""All settings as plain values with defaults. ``core.config.load`` reads the settings from file and environment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import Struct, field, structs

from core.model import PLATFORM, InstrumentKey, PositionKey, Tier
from core.units import ZERO, plain

D = Decimal

BASE_TIERS = (Tier.MARKET_IOC, Tier.MARKET_GTC, Tier.VENUE_CLOSE, Tier.DIRECT_API)
LAST_TIERS = (Tier.MARKET_FOK, Tier.LIMIT_AGGRESSIVE)


class EngineSettings(Struct, frozen=True):
    cycle_seconds: float = 150.0
    data_dir: str = ""  # always set by the configuration
    file: str = ""  # the configuration's real path; empty without a file. No setting: nobody writes it
    log_level: str = "info"  # debug | info | warning | error
    metrics: bool = False  # log the loop's lag and the commit latency once a cycle
    keep_days: int = 90  # days after which the journal's log lines are deleted; 0: never


class CleanupSettings(Struct, frozen=True):
    dust_usd: Decimal = D("1.00")
    max_positions: int = 8
    interval_cycles: int = 20
    cancel_open_orders: str = "never"  # never | startup | matching | always
    cancel_if: str = ""


Factors = tuple[tuple[str, Decimal], ...]  # (">1.5", 1.3): a value above 1.5 multiplies by 1.3; the first match counts


class ExitSettings(Struct, frozen=True):
    """The numbers of the exit rules, as fractions. An empty tuple or None turns a rule off."""

    emergency: tuple[Decimal, ...] = (D("-0.40"), D("-0.25"), D("-0.15"))
    stop_loss_pct: Decimal | None = D("0.05")
    trailing_base: Decimal | None = D("0.02")
    trailing_min: Decimal = D("0.004")
    trailing_max: Decimal = D("0.04")
    activation_pct: Decimal = ZERO
    adaptive: bool = True
    trailing_volatility: Factors = ((">1.5", D("1.3")), ("<0.7", D("0.7")))
    trailing_profit: Factors = (
        (">0.1", D("0.5")),
        (">0.05", D("0.7")),
        (">0.03", D("0.85")),
    )  # at most three
    trailing_momentum: Factors = ((">1", D("1.2")), ("<-1", D("0.8")))
    take_profit_pct: Decimal | None = D("0.10")
    target_momentum: Factors = ((">2", D("1.15")), (">1", D("1.05")), ("<-1", D("0.9")))
    target_trend: Factors = ((">25", D("1.15")), (">20", D("1.05")), ("<-25", D("0.9")))
    target_volatility: Factors = ((">1.5", D("1.2")), ("<0.7", D("0.9")))
    target_rsi: Factors = ((">70", D("0.9")),)
    target_profit: Factors = ((">0.05", D("1.1")), (">0.03", D("1.05")))
    target_age: tuple[Decimal, Decimal] = (D(24), D("0.8"))  # hours, and the factor after them
    target_min: Decimal = D("0.5")  # fraction of the initial distance
    target_max: Decimal = D(2)
    target_hold: Decimal = D("0.7")  # progress from which the target never moves away
    swing_margin: Decimal = D("0.001")
    smart_profit: tuple[tuple[Decimal, Decimal], ...] = (
        (D("0.20"), ZERO),
        (D("0.15"), D("0.02")),
        (D("0.10"), D("0.02")),
        (D("0.08"), D("0.03")),
        (D("0.05"), D("0.05")),
    )
    drawdown: tuple[tuple[Decimal, Decimal | None, Decimal | None], ...] = (
        (D("0.50"), None, None),
        (D("0.30"), D("0.03"), D("0.15")),
    )
    min_peak_roi: Decimal = D("0.03")
    include_fees: bool = False
    fee_rate: Decimal = D("0.001")  # for a single order; a usual taker fee
    max_jump: Decimal = D("0.20")
    confirm_window: float = 3.0
    max_spread: Decimal = D("0.10")  # of the middle: bid and ask that are further apart are no market
    max_price_age: float = 5.0  # seconds, streaming
    max_price_age_polling: float = 15.0

    @property
    def fees(self) -> Decimal:
        """The price move (a fraction) that pays the fees of entry and exit; 0 where fees do not count."""
        return 2 * self.fee_rate if self.include_fees else ZERO


Given = dict[str, Any]  # fields of ExitSettings and their values


class ExitLevel(Struct, frozen=True):
    """The exit settings of one level: for all positions of the level, and for single symbols."""

    given: Given = {}
    symbols: dict[str, Given] = {}


class EntrySettings(Struct, frozen=True):
    duplicate_window: float = 60.0  # seconds in which the same entry request counts once
    limit_offset: Decimal = D("0.001")  # how far a limit order lies on the passive side of the touch


class LadderSettings(Struct, frozen=True):
    """The escalation. ``tiers`` maps a broker (``alpaca``, ``ccxt:kraken``, ``paper``) to its base tiers."""

    attempts: int = 3
    tier_timeout: float = 5.0
    total_timeout: float = 120.0
    limit_offsets: tuple[Decimal, ...] = (D("0.005"), D("0.01"), D("0.02"))
    tiers: dict[str, tuple[Tier, ...]] = {}
    resume_within: float = 900.0  # seconds after approval in which a restart resumes an interrupted plan


class LegacySettings(Struct, frozen=True):
    emergency_close_legacy: bool = True
    risk_per_trade: Decimal | None = None


class AutomationSettings(Struct, frozen=True):
    """``ask`` prepares a plan that waits for a person; ``auto`` carries it out."""

    exits: str = "ask"
    cleanup: str = "ask"
    legacy: str = "ask"


class ProtectSettings(Struct, frozen=True):
    """Stops that rest at the venue behind the software stops. Fractions of a price; seconds."""

    enabled: bool = False
    behind: Decimal = D("0.01")  # how far beyond the software stop the trigger lies
    min_move: Decimal = D("0.005")  # smallest change of a trigger
    min_interval: float = 60.0  # seconds between two changes of one position's order


class ConsoleSettings(Struct, frozen=True):
    """``type_number_from``: closes and dollars from which a person types the number of closes; None never asks."""

    type_number_from: tuple[int | None, Decimal | None] = (3, D(1000))
    bell: bool = True  # for an emergency and a stuck close
    notifications: bool = True  # on the desktop, for the same


class AccountSettings(Struct, frozen=True):
    """One account. ``options`` are the adapter's options; the configuration validated them. Paths are absolute."""

    id: str
    owner: str
    name: str
    broker: str  # paper | ccxt | alpaca | tradovate
    options: dict[str, Any] = {}
    exits: ExitLevel = ExitLevel()

    @property
    def venue(self) -> str:
        """The broker with the exchange where it has one: ``ccxt:kraken``."""
        exchange = self.options.get("exchange")
        return f"{self.broker}:{exchange}" if exchange else self.broker


class OwnerSettings(Struct, frozen=True):
    id: str
    accounts: tuple[AccountSettings, ...] = ()
    max_positions: int | None = None  # overrides the cap of the cleanup
    exits: ExitLevel = ExitLevel()


class Settings(Struct, frozen=True):
    """All settings. ``owners``: the platform first if the platform has accounts, then the users in file order."""

    engine: EngineSettings = EngineSettings()
    cleanup: CleanupSettings = CleanupSettings()
    exits: ExitSettings = ExitSettings()
    entries: EntrySettings = EntrySettings()
    ladder: LadderSettings = LadderSettings()
    legacy: LegacySettings = LegacySettings()
    automation: AutomationSettings = AutomationSettings()
    protect: ProtectSettings = ProtectSettings()
    console: ConsoleSettings = ConsoleSettings()
    owners: tuple[OwnerSettings, ...] = field(default=())
    exit_symbols: dict[str, Given] = {}  # exit settings of single symbols, for all owners

    @property
    def accounts(self) -> tuple[AccountSettings, ...]:
        return tuple(a for o in self.owners for a in o.accounts)

    def cap(self, owner: str) -> int:
        """Return the largest number of positions that ``owner`` may hold."""
        own = next((o.max_positions for o in self.owners if o.id == owner), None)
        return self.cleanup.max_positions if own is None else own

    @property
    def users(self) -> tuple[OwnerSettings, ...]:
        return tuple(o for o in self.owners if o.id != PLATFORM)


ExitsOf = Callable[[str, str], ExitSettings]  # by account and symbol


def resolve_exits(settings: Settings, account: str, symbol: str) -> ExitSettings:
    """Return the exit settings of ``symbol`` at ``account`` (``<owner>/<name>``); neither need be configured.

    The most specific level holds: account and symbol, account, owner and symbol, owner, symbol, all.
    """
    found: Given = dict(settings.exit_symbols.get(symbol, {}))
    owner = next((o for o in settings.owners if o.id == account.partition("/")[0]), None)
    if owner is not None:
        levels = [owner.exits, *(a.exits for a in owner.accounts if a.id == account)]
        for level in levels:
            found |= level.given | level.symbols.get(symbol, {})
    return structs.replace(settings.exits, **found) if found else settings.exits


def exits_of(settings: Settings) -> ExitsOf:
    """Return a lookup that resolves each account and symbol once, because every price asks."""
    known: dict[InstrumentKey, ExitSettings] = {}

    def of(account: str, symbol: str) -> ExitSettings:
        place = InstrumentKey(account, symbol)
        found = known.get(place)
        if found is None:
            found = known[place] = resolve_exits(settings, account, symbol)
        return found

    return of


def symbols_with_exits(settings: Settings) -> set[str]:
    """Return every symbol that has exit settings of its own at some level."""
    levels = [ExitLevel(symbols=settings.exit_symbols), *(o.exits for o in settings.owners)]
    levels += [account.exits for account in settings.accounts]
    return {symbol for level in levels for symbol in level.symbols}


def same_exits(exits: ExitSettings) -> ExitsOf:
    """Return a lookup that gives these exit settings everywhere."""
    return lambda account, symbol: exits


def settings_digest(settings: Settings) -> str:
    """Return a short hash that differs when settings differ. The log level does not count: ``-v`` changes it."""
    judged = structs.replace(settings, engine=structs.replace(settings.engine, log_level="", file=""))
    return hashlib.blake2b(repr(judged).encode(), digest_size=6).hexdigest()


FingerprintOf = Callable[[PositionKey], str]  # a position's risk fingerprint

ULTRA_CONSERVATIVE = Decimal("0.005")


def closes_legacy_positions(settings: Settings) -> bool:
    """Return True if legacy positions are force-closed instead of adopted."""
    risk = settings.legacy.risk_per_trade
    return settings.legacy.emergency_close_legacy and risk is not None and risk <= ULTRA_CONSERVATIVE


def risk_fingerprint(settings: Settings, key: PositionKey) -> str:
    """Return a hash of the settings that limit a position's risk.

    A change of other settings does not make a position legacy.
    """
    numbers = (settings.legacy.risk_per_trade, resolve_exits(settings, key.account, key.symbol).stop_loss_pct)
    text = "|".join("" if n is None else plain(n) for n in numbers)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

"""The tables of the configuration and the values that each key may have. Defaults come from ``core.settings``."""

from __future__ import annotations

import re
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import Field, PlainValidator, model_validator

from core.config import values as kinds
from core.config.accounts import AnyAccount
from core.config.exits import LevelTable, misfit
from core.config.table import Table
from core.config.values import BROKERS, InvalidValue, show
from core.model import PLATFORM, Tier
from core.settings import (
    AccountSettings,
    AutomationSettings,
    CleanupSettings,
    ConsoleSettings,
    EngineSettings,
    EntrySettings,
    LadderSettings,
    LegacySettings,
    OwnerSettings,
    ProtectSettings,
)

DAY = 86_400.0
_ENGINE, _CLEANUP, _ENTRIES = EngineSettings(), CleanupSettings(), EntrySettings()
_LADDER, _LEGACY, _AUTOMATION, _PROTECT = LadderSettings(), LegacySettings(), AutomationSettings(), ProtectSettings()
_CONSOLE = ConsoleSettings()

_amount = kinds.exact('an amount from 0, like "1.00"', lambda v: v >= 0)
_share = kinds.exact('a fraction above 0 and below 1, like "0.05" for 5 %', lambda v: 0 < v < 1)
_whole_share = kinds.exact('a fraction above 0 and up to 1, like "0.50" for 50 %', lambda v: 0 < v <= 1)
_concession = kinds.exact('a fraction from 0 up to 0.20, like "0.005" for 0.5 %', lambda v: 0 <= v <= Decimal("0.20"))


def _log_level(value: Any) -> Any:
    return kinds.choice("debug", "info", "warning", "error")(value.lower() if isinstance(value, str) else value)


def _cancel_if(value: Any) -> str:
    from core.plans.cancel_policy import parse_cancel_if  # noqa: PLC0415  # the cleanup's grammar; few files use it

    condition = kinds.maybe_text(value).strip()
    if condition:
        try:
            parse_cancel_if(condition)
        except ValueError as error:
            raise InvalidValue(f"cannot be read: {error}", full=True) from None
    return condition


def _tiers(value: Any) -> dict[str, tuple[Tier, ...]]:
    if not isinstance(value, dict):
        raise InvalidValue('a table of brokers, like { paper = ["market_ioc"] }', value)
    return {broker: _tiers_of(broker, names) for broker, names in value.items()}


def _tiers_of(broker: str, names: Any) -> tuple[Tier, ...]:
    if broker.partition(":")[0] not in BROKERS:
        raise InvalidValue(unknown_broker(broker), at=(broker,), full=True)
    one = kinds.choice(*(tier.value for tier in Tier))  # the last round adds its own tiers, listed or not
    try:
        chosen = kinds.rows(one, least=1)(names)
    except InvalidValue as error:
        raise InvalidValue(error.expected, error.value, at=(broker, *error.at)) from None
    if len(set(chosen)) < len(chosen):
        raise InvalidValue("names a tier twice; name each once", at=(broker,), full=True)
    return tuple(Tier(name) for name in chosen)


def unknown_broker(name: object) -> str:
    """Return the predicate of an error about an unknown broker."""
    near = get_close_matches(name, BROKERS, n=1) if isinstance(name, str) else []
    exchange = re.sub(r"[^a-z0-9]", "", name.lower()) if isinstance(name, str) else ""
    hint = f'; did you mean broker = "ccxt", exchange = "{exchange}"?' if exchange else ""
    hint = f'; did you mean "{near[0]}"?' if near else hint
    return f"names no known broker ({show(name)}), those known are {', '.join(BROKERS)}{hint}"


class EngineTable(Table):
    cycle_seconds: Annotated[float, PlainValidator(kinds.seconds(7 * DAY))] = _ENGINE.cycle_seconds
    data_dir: Annotated[str, PlainValidator(kinds.maybe_text)] = _ENGINE.data_dir
    log_level: Annotated[str, PlainValidator(_log_level)] = _ENGINE.log_level
    metrics: Annotated[bool, PlainValidator(kinds.flag)] = _ENGINE.metrics
    keep_days: Annotated[int, PlainValidator(kinds.whole(0, 36_500))] = _ENGINE.keep_days


class CleanupTable(Table):
    dust_usd: Annotated[Decimal, PlainValidator(_amount)] = _CLEANUP.dust_usd
    max_positions: Annotated[int, PlainValidator(kinds.whole(0, 1_000_000))] = _CLEANUP.max_positions
    interval_cycles: Annotated[int, PlainValidator(kinds.whole(1, 1_000_000))] = _CLEANUP.interval_cycles
    cancel_open_orders: Annotated[str, PlainValidator(kinds.choice("never", "startup", "matching", "always"))] = (
        _CLEANUP.cancel_open_orders
    )
    cancel_if: Annotated[str, PlainValidator(_cancel_if)] = _CLEANUP.cancel_if

    @model_validator(mode="after")
    def _together(self) -> Self:
        mode = self.cancel_open_orders
        if self.cancel_if and mode != "matching" and "cancel_open_orders" in self.model_fields_set:
            text = f'is used with cancel_open_orders = "matching" only, and that is "{mode}"; remove one of the two'
            raise InvalidValue(text, at=("cancel_if",), full=True)
        if mode == "matching" and not self.cancel_if:
            text = 'is "matching", which needs cancel_if, like cancel_if = "usd_value<1.0"'
            raise InvalidValue(text, at=("cancel_open_orders",), full=True)
        return self


class EntriesTable(Table):
    duplicate_window: Annotated[float, PlainValidator(kinds.seconds(DAY, zero=True))] = _ENTRIES.duplicate_window
    limit_offset: Annotated[Decimal, PlainValidator(_concession)] = _ENTRIES.limit_offset


class LadderTable(Table):
    attempts: Annotated[int, PlainValidator(kinds.whole(1, 100))] = _LADDER.attempts
    tier_timeout: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _LADDER.tier_timeout
    total_timeout: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _LADDER.total_timeout
    limit_offsets: Annotated[tuple[Decimal, ...], PlainValidator(kinds.rules(_concession))] = _LADDER.limit_offsets
    tiers: Annotated[dict[str, tuple[Tier, ...]], PlainValidator(_tiers)] = _LADDER.tiers
    resume_within: Annotated[float, PlainValidator(kinds.seconds(30 * DAY, zero=True))] = _LADDER.resume_within


class LegacyTable(Table):
    emergency_close_legacy: Annotated[bool, PlainValidator(kinds.flag)] = _LEGACY.emergency_close_legacy
    risk_per_trade: Annotated[Decimal | None, PlainValidator(kinds.off(_whole_share))] = _LEGACY.risk_per_trade


Approval = Annotated[str, PlainValidator(kinds.choice("ask", "auto"))]


class AutomationTable(Table):
    exits: Approval = _AUTOMATION.exits
    cleanup: Approval = _AUTOMATION.cleanup
    legacy: Approval = _AUTOMATION.legacy


class ProtectTable(Table):
    enabled: Annotated[bool, PlainValidator(kinds.flag)] = _PROTECT.enabled
    behind: Annotated[Decimal, PlainValidator(_share)] = _PROTECT.behind
    min_move: Annotated[Decimal, PlainValidator(_share)] = _PROTECT.min_move
    min_interval: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _PROTECT.min_interval


_number_from = kinds.row(
    '[closes, dollars], like [3, "1000"]; "" for no limit', kinds.off(kinds.whole(1, 1_000_000)), kinds.off(_amount)
)


class ConsoleTable(Table):
    type_number_from: Annotated[tuple[int | None, Decimal | None], PlainValidator(_number_from)] = (
        _CONSOLE.type_number_from
    )
    bell: Annotated[bool, PlainValidator(kinds.flag)] = _CONSOLE.bell
    notifications: Annotated[bool, PlainValidator(kinds.flag)] = _CONSOLE.notifications


class _Owner(Table):
    accounts: list[AnyAccount] = Field(default_factory=list)
    exits: LevelTable = LevelTable()

    @model_validator(mode="after")
    def _names(self) -> Self:
        seen: set[str] = set()
        for index, account in enumerate(self.accounts):
            if account.name in seen:
                text = f'is "{account.name}" a second time for this owner; give each account its own name'
                raise InvalidValue(text, at=("accounts", index, "name"), full=True)
            seen.add(account.name)
        return self

    def accounts_of(self, owner: str) -> tuple[AccountSettings, ...]:
        return tuple(account.settings(owner) for account in self.accounts)


_HOW = frozenset({"feed", "extended_hours", "stream_endpoint"})  # how an account is used, not whose account it is


class PlatformTable(_Owner):
    max_positions: Annotated[int | None, PlainValidator(kinds.whole(0, 1_000_000))] = None


def _user_id(value: Any) -> str:
    if value == PLATFORM:
        raise InvalidValue(
            f'is "{PLATFORM}", which is the platform itself; use [[platform.accounts]] or another id', full=True
        )
    return str(kinds.name(value))


class UserTable(_Owner):
    id: Annotated[str, PlainValidator(_user_id)]
    max_positions: Annotated[int | None, PlainValidator(kinds.whole(0, 1_000_000))] = None


class Root(Table):
    engine: EngineTable = EngineTable()
    cleanup: CleanupTable = CleanupTable()
    exits: LevelTable = LevelTable()
    entries: EntriesTable = EntriesTable()
    ladder: LadderTable = LadderTable()
    legacy: LegacyTable = LegacyTable()
    automation: AutomationTable = AutomationTable()
    protect: ProtectTable = ProtectTable()
    console: ConsoleTable = ConsoleTable()
    platform: PlatformTable = PlatformTable()
    users: list[UserTable] = Field(default_factory=list)

    @model_validator(mode="after")
    def _stops(self) -> Self:
        without = self.exits.stop_loss_pct is None and self.exits.trailing_base is None
        owners = (self.platform, *self.users)
        finer = [
            self.exits.symbols,
            *(o.exits.given() for o in owners),
            *(a.exits.given() for o in owners for a in o.accounts),
        ]
        if self.protect.enabled and without and not any(finer):
            text = 'needs a stop to rest behind, and [exits] has none; set stop_loss_pct, like stop_loss_pct = "0.05"'
            raise InvalidValue(text, at=("protect", "enabled"), full=True)
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        ids: set[str] = set()
        for index, user in enumerate(self.users):
            if user.id in ids:
                raise InvalidValue(
                    f'is "{user.id}" a second time; give each user one table', at=("users", index, "id"), full=True
                )
            ids.add(user.id)
        self._logins_apart()
        if wrong := misfit(self.exits, self._owners()):
            raise wrong
        return self

    def _owners(self) -> list[tuple[tuple[str | int, ...], _Owner]]:
        users: list[tuple[tuple[str | int, ...], _Owner]] = [(("users", n), user) for n, user in enumerate(self.users)]
        return [(("platform",), self.platform), *users]

    def _logins_apart(self) -> None:
        """Check that no login has two names: its positions would be counted, and closed, twice."""
        seen: set[str] = set()
        for loc, owner in self._owners():
            for index, account in enumerate(owner.accounts_of("")):
                if account.broker == "paper" or "api_key" not in account.options:
                    continue
                whose = {key: value for key, value in account.options.items() if key not in _HOW}
                login = f"{account.broker} {sorted(whose.items())}"
                if login in seen:
                    text = "is the same login as an account before it; remove one, or its positions are counted twice"
                    raise InvalidValue(text, at=(*loc, "accounts", index, "api_key"), full=True)
                seen.add(login)

    def owners(self) -> tuple[OwnerSettings, ...]:
        own = self.platform.accounts_of(PLATFORM)
        users = tuple(OwnerSettings(u.id, u.accounts_of(u.id), u.max_positions, u.exits.level()) for u in self.users)
        platform = OwnerSettings(PLATFORM, own, self.platform.max_positions, self.platform.exits.level())
        return ((platform,) if own else ()) + users

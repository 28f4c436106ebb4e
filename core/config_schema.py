"""The tables of the configuration and what each key may hold; defaults are those of ``core.settings``."""

from __future__ import annotations

from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, model_validator

from core import config_values as kinds
from core.config_accounts import AnyAccount
from core.config_values import BROKERS, Wrong, show
from core.model import PLATFORM, Tier
from core.settings import (
    AccountSettings,
    AutomationSettings,
    CleanupSettings,
    EngineSettings,
    ExitSettings,
    LadderSettings,
    LegacySettings,
    OwnerSettings,
    ProtectSettings,
)

DAY = 86_400.0
_ENGINE, _CLEANUP, _EXITS = EngineSettings(), CleanupSettings(), ExitSettings()
_LADDER, _LEGACY, _AUTOMATION, _PROTECT = LadderSettings(), LegacySettings(), AutomationSettings(), ProtectSettings()

_amount = kinds.exact('an amount from 0, like "1.00"', lambda v: v >= 0)
_share = kinds.exact('a fraction above 0 and below 1, like "0.05" for 5 %', lambda v: 0 < v < 1)
_share_or_zero = kinds.exact('a fraction from 0 and below 1, like "0.05" for 5 %', lambda v: 0 <= v < 1)
_whole_share = kinds.exact('a fraction above 0 and up to 1, like "0.50" for 50 %', lambda v: 0 < v <= 1)
_gain = kinds.exact('a fraction above 0 and up to 10, like "0.10" for 10 %', lambda v: 0 < v <= 10)
_gain_or_zero = kinds.exact('a fraction from 0 up to 10, like "0.03" for 3 %', lambda v: 0 <= v <= 10)
_roi = kinds.exact('a fraction from -10 to 10, like "0.03" for 3 %', lambda v: -10 <= v <= 10)
_loss = kinds.exact('a loss, from -1 and below 0, like "-0.15" for 15 %', lambda v: -1 <= v < 0)
_concession = kinds.exact('a fraction from 0 up to 0.20, like "0.005" for 0.5 %', lambda v: 0 <= v <= Decimal("0.20"))


def _log_level(value: Any) -> Any:
    return kinds.choice("debug", "info", "warning", "error")(value.lower() if isinstance(value, str) else value)


def _cancel_if(value: Any) -> str:
    from core.cleanup import parse_cancel_if  # noqa: PLC0415  # the grammar is the cleanup's; most files do not use it

    condition = kinds.maybe_text(value).strip()
    if condition:
        try:
            parse_cancel_if(condition)
        except ValueError as error:
            raise Wrong(f"cannot be read: {error}", full=True) from None
    return condition


def _emergency(value: Any) -> tuple[Decimal, ...]:
    """The worst first, whatever the order in the file."""
    return tuple(sorted(set(kinds.rows(_loss)(value))))


_smart_row = kinds.row('a pair [move, gap], like ["0.10", "0.02"]', _gain, _gain_or_zero)
_drawdown_row = kinds.row(
    'three values [given back, roi from, roi to], like ["0.30", "0.03", "0.15"]',
    _whole_share,
    kinds.off(_roi),
    kinds.off(_roi),
)


def _smart_profit(value: Any) -> tuple[tuple[Decimal, Decimal], ...]:
    """The biggest move first, so that it names the exit."""
    return tuple(sorted(kinds.rows(_smart_row)(value), reverse=True, key=lambda row: row[0]))


def _drawdown(value: Any) -> tuple[tuple[Decimal, Decimal | None, Decimal | None], ...]:
    """The most given back first, so that it names the exit."""
    found = kinds.rows(_drawdown_row)(value)
    for index, (_, low, high) in enumerate(found):
        if low is not None and high is not None and low >= high:
            raise Wrong("has a band that ends before it begins; put the smaller roi first", at=(index,), full=True)
    return tuple(sorted(found, reverse=True, key=lambda row: row[0]))


def _tiers(value: Any) -> dict[str, tuple[Tier, ...]]:
    if not isinstance(value, dict):
        raise Wrong('a table of brokers, like { paper = ["market_ioc"] }', value)
    return {broker: _tiers_of(broker, names) for broker, names in value.items()}


def _tiers_of(broker: str, names: Any) -> tuple[Tier, ...]:
    if broker.partition(":")[0] not in BROKERS:
        raise Wrong(unknown_broker(broker), at=(broker,), full=True)
    one = kinds.choice(*(tier.value for tier in Tier))  # those of the last round come there, listed or not
    try:
        chosen = kinds.rows(one, least=1)(names)
    except Wrong as error:
        raise Wrong(error.expected, error.value, at=(broker, *error.at)) from None
    if len(set(chosen)) < len(chosen):
        raise Wrong("names a tier twice; name each once", at=(broker,), full=True)
    return tuple(Tier(name) for name in chosen)


def unknown_broker(name: object) -> str:
    """The predicate of an error about a broker that there is not."""
    near = get_close_matches(name, BROKERS, n=1) if isinstance(name, str) else []
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f"names no known broker ({show(name)}), those known are {', '.join(BROKERS)}{hint}"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in self.model_fields_set}


class EngineTable(_Table):
    cycle_seconds: Annotated[float, PlainValidator(kinds.seconds(7 * DAY))] = _ENGINE.cycle_seconds
    data_dir: Annotated[str, PlainValidator(kinds.maybe_text)] = _ENGINE.data_dir
    log_level: Annotated[str, PlainValidator(_log_level)] = _ENGINE.log_level
    metrics: Annotated[bool, PlainValidator(kinds.flag)] = _ENGINE.metrics


class CleanupTable(_Table):
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
            raise Wrong(text, at=("cancel_if",), full=True)
        if mode == "matching" and not self.cancel_if:
            text = 'is "matching", which needs cancel_if, like cancel_if = "usd_value<1.0"'
            raise Wrong(text, at=("cancel_open_orders",), full=True)
        return self


class ExitsTable(_Table):
    emergency: Annotated[tuple[Decimal, ...], PlainValidator(_emergency)] = _EXITS.emergency
    stop_loss_pct: Annotated[Decimal | None, PlainValidator(kinds.off(_share))] = _EXITS.stop_loss_pct
    trailing_base: Annotated[Decimal | None, PlainValidator(kinds.off(_share))] = _EXITS.trailing_base
    trailing_min: Annotated[Decimal, PlainValidator(_share_or_zero)] = _EXITS.trailing_min
    trailing_max: Annotated[Decimal, PlainValidator(_share)] = _EXITS.trailing_max
    activation_pct: Annotated[Decimal, PlainValidator(_gain_or_zero)] = _EXITS.activation_pct
    adaptive: Annotated[bool, PlainValidator(kinds.flag)] = _EXITS.adaptive
    take_profit_pct: Annotated[Decimal | None, PlainValidator(kinds.off(_gain))] = _EXITS.take_profit_pct
    smart_profit: Annotated[tuple[tuple[Decimal, Decimal], ...], PlainValidator(_smart_profit)] = _EXITS.smart_profit
    drawdown: Annotated[tuple[tuple[Decimal, Decimal | None, Decimal | None], ...], PlainValidator(_drawdown)] = (
        _EXITS.drawdown
    )
    min_peak_roi: Annotated[Decimal, PlainValidator(_gain_or_zero)] = _EXITS.min_peak_roi
    include_fees: Annotated[bool, PlainValidator(kinds.flag)] = _EXITS.include_fees
    max_jump: Annotated[Decimal, PlainValidator(_gain)] = _EXITS.max_jump
    confirm_window: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _EXITS.confirm_window
    max_price_age: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _EXITS.max_price_age
    max_price_age_polling: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _EXITS.max_price_age_polling

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.trailing_min > self.trailing_max:
            key = "trailing_max" if "trailing_max" in self.model_fields_set else "trailing_min"
            text = f"does not fit: trailing_min ({self.trailing_min}) is above trailing_max ({self.trailing_max})"
            raise Wrong(text, at=(key,), full=True)
        return self


class LadderTable(_Table):
    attempts: Annotated[int, PlainValidator(kinds.whole(1, 100))] = _LADDER.attempts
    tier_timeout: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _LADDER.tier_timeout
    total_timeout: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _LADDER.total_timeout
    limit_offsets: Annotated[tuple[Decimal, ...], PlainValidator(kinds.rows(_concession))] = _LADDER.limit_offsets
    tiers: Annotated[dict[str, tuple[Tier, ...]], PlainValidator(_tiers)] = _LADDER.tiers
    resume_within: Annotated[float, PlainValidator(kinds.seconds(30 * DAY, zero=True))] = _LADDER.resume_within


class LegacyTable(_Table):
    emergency_close_legacy: Annotated[bool, PlainValidator(kinds.flag)] = _LEGACY.emergency_close_legacy
    risk_per_trade: Annotated[Decimal | None, PlainValidator(kinds.off(_whole_share))] = _LEGACY.risk_per_trade


Approval = Annotated[str, PlainValidator(kinds.choice("ask", "auto"))]


class AutomationTable(_Table):
    exits: Approval = _AUTOMATION.exits
    cleanup: Approval = _AUTOMATION.cleanup
    legacy: Approval = _AUTOMATION.legacy


class ProtectTable(_Table):
    enabled: Annotated[bool, PlainValidator(kinds.flag)] = _PROTECT.enabled
    behind: Annotated[Decimal, PlainValidator(_share)] = _PROTECT.behind
    min_move: Annotated[Decimal, PlainValidator(_share)] = _PROTECT.min_move
    min_interval: Annotated[float, PlainValidator(kinds.seconds(DAY))] = _PROTECT.min_interval


class _Owner(_Table):
    accounts: list[AnyAccount] = []

    @model_validator(mode="after")
    def _names(self) -> Self:
        seen: set[str] = set()
        for index, account in enumerate(self.accounts):
            if account.name in seen:
                text = f'is "{account.name}" a second time for this owner; give each account its own name'
                raise Wrong(text, at=("accounts", index, "name"), full=True)
            seen.add(account.name)
        return self

    def accounts_of(self, owner: str) -> tuple[AccountSettings, ...]:
        return tuple(account.settings(owner) for account in self.accounts)


class PlatformTable(_Owner):
    pass


def _user_id(value: Any) -> str:
    if value == PLATFORM:
        raise Wrong(
            f'is "{PLATFORM}", which is the platform itself; use [[platform.accounts]] or another id', full=True
        )
    return str(kinds.name(value))


class UserTable(_Owner):
    id: Annotated[str, PlainValidator(_user_id)]
    max_positions: Annotated[int | None, PlainValidator(kinds.whole(0, 1_000_000))] = None


class Root(_Table):
    engine: EngineTable = EngineTable()
    cleanup: CleanupTable = CleanupTable()
    exits: ExitsTable = ExitsTable()
    ladder: LadderTable = LadderTable()
    legacy: LegacyTable = LegacyTable()
    automation: AutomationTable = AutomationTable()
    protect: ProtectTable = ProtectTable()
    platform: PlatformTable = PlatformTable()
    users: list[UserTable] = []

    @model_validator(mode="after")
    def _stops(self) -> Self:
        if self.protect.enabled and self.exits.stop_loss_pct is None and self.exits.trailing_base is None:
            text = 'needs a stop to rest behind, and [exits] has none; set stop_loss_pct, like stop_loss_pct = "0.05"'
            raise Wrong(text, at=("protect", "enabled"), full=True)
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        ids: set[str] = set()
        for index, user in enumerate(self.users):
            if user.id in ids:
                raise Wrong(
                    f'is "{user.id}" a second time; give each user one table', at=("users", index, "id"), full=True
                )
            ids.add(user.id)
        self._logins_apart()
        return self

    def _logins_apart(self) -> None:
        """One login under two names would be counted, and closed, twice."""
        owners: list[tuple[tuple[str | int, ...], _Owner]] = [(("platform",), self.platform)]
        owners += [(("users", index), user) for index, user in enumerate(self.users)]
        seen: set[str] = set()
        for loc, owner in owners:
            for index, account in enumerate(owner.accounts_of("")):
                if account.broker == "paper" or "api_key" not in account.options:
                    continue
                login = f"{account.broker} {sorted(account.options.items())}"
                if login in seen:
                    text = "is the same login as an account before it; remove one, or its positions are counted twice"
                    raise Wrong(text, at=(*loc, "accounts", index, "api_key"), full=True)
                seen.add(login)

    def owners(self) -> tuple[OwnerSettings, ...]:
        own = self.platform.accounts_of(PLATFORM)
        users = tuple(OwnerSettings(u.id, u.accounts_of(u.id), u.max_positions) for u in self.users)
        return ((OwnerSettings(PLATFORM, own),) if own else ()) + users

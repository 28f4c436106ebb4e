"""Legacy positions: their stop, their risk and their force-close. Pure.

A position is legacy if the broker holds it at start and the journal has no record of it under the present settings.
The record says that the program opened or adopted the position. With ``emergency_close_legacy`` and an
ultra-conservative ``risk_per_trade`` legacy positions are force-closed; otherwise they are adopted. The text of each
force-close compares the position's risk with the allowed risk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from core.exits.rules import initial_stop
from core.model import Instrument, OrderType, Position, Tier
from core.plans import cleanup
from core.plans.plan import Action, Reason
from core.portfolio.holding import Holding
from core.settings import ULTRA_CONSERVATIVE, Settings, resolve_exits
from core.units import percent, plain


def stop_of(holding: Holding, stop_loss_pct: Decimal | None) -> Decimal | None:
    """Return the trigger of the resting protective order, else the initial stop; None where neither is known.

    With several protective orders, return the trigger that leaves the most at risk.
    """
    position = holding.position
    closing = [o for o in (*holding.orders, *holding.ours) if o.side is position.side.closing]
    triggers = [o.trigger for o in closing if o.type is OrderType.STOP and o.trigger is not None]
    if triggers:
        return min(triggers) if position.side.sign > 0 else max(triggers)
    if holding.orders_flaw:
        return None
    return initial_stop(position.side, position.entry, stop_loss_pct)


def risk_of(position: Position, instrument: Instrument, stop: Decimal | None, equity: Decimal | None) -> Decimal | None:
    """Return ``quantity × multiplier × |entry − stop| / equity``; None where an input is unknown."""
    if position.entry is None or stop is None or equity is None or equity <= 0:
        return None
    return position.quantity * instrument.multiplier * abs(position.entry - stop) / equity


def risk_text(leverage: Decimal | None, at_risk: Decimal | None, limit: Decimal, flaw: str = "") -> str:
    """Return a text such as ``Legacy position: 25x, risk 4.60 % exceeds 0.30 %``.

    ``flaw`` says why the risk is unknown.
    """
    times = "leverage unknown" if leverage is None else f"{plain(leverage)}x"
    allowed = f"{percent(limit)} %"
    if at_risk is None:
        why = f" ({flaw})" if flaw else ""
        return f"Legacy position: {times}, risk unknown{why}, {allowed} are allowed"
    how = "exceeds" if at_risk > limit else "is within"
    return f"Legacy position: {times}, risk {percent(at_risk)} % {how} {allowed}"


def make_actions(
    holdings: Iterable[Holding],
    settings: Settings,
    *,
    equity: Mapping[str, Decimal | None],
    tiers: dict[str, tuple[Tier, ...]],
    blocked: cleanup.Blocked,
    flaws: Mapping[str, str] | None = None,
) -> list[Action]:
    """Return the actions that force-close these legacy positions. The cancels of a position come before its close.

    ``flaws`` says why an account's equity is unknown. ``blocked`` is as in ``cleanup.plan_owner``. Blocked and
    unsellable positions are skipped.
    """
    made: list[Action] = []
    limit = settings.legacy.risk_per_trade
    for holding in holdings:
        key, position = holding.key, holding.position
        stop = stop_of(holding, resolve_exits(settings, key.account, key.symbol).stop_loss_pct)
        at_risk = risk_of(position, holding.instrument, stop, equity.get(key.account))
        allowed = ULTRA_CONSERVATIVE if limit is None else limit
        why = risk_text(position.leverage, at_risk, allowed, _flaw(holding, (flaws or {}).get(key.account, "")))
        barred = cleanup.why_blocked(blocked, key)
        unsellable = cleanup.unsellable(holding)
        if barred:
            made.append(cleanup.skip(holding, *barred))
        elif unsellable:
            made.append(cleanup.skip(holding, Reason.UNSELLABLE, unsellable))
        else:
            made.extend(cleanup.close(holding, Reason.LEGACY, why, tiers[key.account]))
    return made


def _flaw(holding: Holding, equity_flaw: str) -> str:
    """Return why the risk of a position is unknown, where the venue failed to tell it."""
    orders = f"open orders unknown: {holding.orders_flaw}" if holding.orders_flaw else ""
    return f"equity unknown: {equity_flaw}" if equity_flaw else orders

"""Positions that cover a short of the same owner: option spreads, covered calls, spot against a short perpetual. Pure.

A cleanup does not close a covering position alone: the short would be left open. Where a plan closes both, the short
goes first. The strikes and expiries of options do not matter here: a long option limits a short's risk in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import structs

from core.model import Instrument, Kind, PositionKey, Side
from core.plans.plan import Action, ActionKind, Reason
from core.portfolio.holding import Holding
from core.units import ZERO

CALL, PUT = "C", "P"
_OCC = re.compile(r"([A-Z0-9]{1,6})\d{6}([CP])\d{8}")  # SPY260220P00565000
_DATED = re.compile(r"(.+?)-\d{6,8}-[\d.]+-([CP])")  # BTC/USD:BTC-260327-60000-P


class OptionName(NamedTuple):
    underlying: str
    right: str


def option_of(symbol: str) -> OptionName | None:
    """Return the underlying and right of an option's symbol; None for a symbol of another form."""
    found = _OCC.fullmatch(symbol) or _DATED.fullmatch(symbol)
    return OptionName(base_of(found[1]), found[2]) if found else None


def base_of(symbol: str, quote: str = "") -> str:
    """Return the coin or share that a symbol is about: BTC for BTC/USDT:USDT, BTC-USD and BTCUSD quoted in USD."""
    base = re.split(r"[/:_-]", symbol, maxsplit=1)[0]
    return base.removesuffix(quote) or base if base == symbol else base


def covers(cover: Holding, short: Holding) -> bool:
    """Return whether ``cover`` limits the risk of ``short``. Both belong to one owner.

    Options and shares cover within one account. A coin covers a short contract on the coin at any of the accounts.
    """
    if short.position.side is not Side.SHORT or cover.key == short.key:
        return False
    if short.instrument.kind in (Kind.PERP, Kind.FUTURE):
        return cover.instrument.kind is Kind.SPOT and _base(cover.instrument) == _base(short.instrument)
    if cover.key.account != short.key.account:
        return False
    long, held = cover.position.side is Side.LONG, option_of(cover.key.symbol)
    if short.instrument.kind is Kind.EQUITY:
        return long and held == OptionName(short.key.symbol, CALL)
    sold = option_of(short.key.symbol)
    if short.instrument.kind is not Kind.OPTION or sold is None:
        return False
    if cover.instrument.kind is Kind.OPTION:
        return long and held == sold
    shares = cover.instrument.kind in (Kind.EQUITY, Kind.SPOT) and _base(cover.instrument) == sold.underlying
    return shares and long is (sold.right == CALL)


def _base(instrument: Instrument) -> str:
    return instrument.symbol if instrument.kind is Kind.EQUITY else base_of(instrument.symbol, instrument.quote)


def _size(holding: Holding) -> Decimal:
    """Return the position's size in units of what it is about."""
    return holding.position.quantity * holding.instrument.multiplier


def keep_covers(actions: Sequence[Action], holdings: Sequence[Holding]) -> list[Action]:
    """Turn each close that would leave a short with less cover into a skip. The plan's other closes stay.

    A close stays where the shorts that it covers are closed too, or where other positions cover them.
    """
    going = {a.key for a in actions if a.kind is ActionKind.CLOSE}
    kept: dict[PositionKey, Holding] = {}
    for cover in sorted((h for h in holdings if h.key in going), key=_size, reverse=True):
        shorts = [s for s in holdings if s.key not in going and covers(cover, s)]
        others = [h for h in holdings if h.key not in going and any(covers(h, s) for s in shorts)]
        if shorts and sum(map(_size, others), ZERO) < sum(map(_size, shorts), ZERO):
            kept[cover.key] = shorts[0]
            going.discard(cover.key)
    return [made for a in actions for made in (_skip(a, kept[a.key]) if a.key in kept else [a])]


def _skip(action: Action, short: Holding) -> list[Action]:
    """Return the skip in place of a close, and nothing in place of the close's cancels."""
    if action.kind is not ActionKind.CLOSE:
        return [action] if action.kind is ActionKind.SKIP else []
    where = "" if short.key.account == action.key.account else f" on {short.key.account}"
    text = f"{action.text}; skipped: it covers the short {short.key.symbol}{where}, which stays"
    return [
        structs.replace(
            action,
            kind=ActionKind.SKIP,
            reason=Reason.COVERS,
            text=text,
            cancels=(),
            orders_shown=(),
            tiers=(),
            cost=None,
        )
    ]


def shorts_first(
    actions: Iterable[Action], holdings: Sequence[Holding], *, across_accounts: bool = False
) -> list[Action]:
    """Return the actions with each covering close behind the closes of the shorts that it covers.

    Only a cleanup, which can wait, waits across accounts. Otherwise an account without answers holds up no other.
    """
    listed, held = list(actions), {h.key: h for h in holdings}
    closing = [held[a.key] for a in listed if a.kind is ActionKind.CLOSE and a.key in held]
    for n, action in enumerate(listed):
        cover = held.get(action.key)
        if action.kind is not ActionKind.CLOSE or cover is None:
            continue
        shorts = (s.key for s in closing if covers(cover, s))
        after = tuple(k for k in shorts if across_accounts or k.account == action.key.account)
        if after:
            text = f"{action.text}; goes after the short {', '.join(k.symbol for k in after)}, which it covers"
            listed[n] = structs.replace(action, after=after, text=text)
    waiting = {a.key for a in listed if a.after}
    return sorted(listed, key=lambda a: a.key in waiting)

"""Which exits hold for a position: each setting as the most specific level has it.

account and symbol  >  account  >  owner and symbol  >  owner  >  symbol  >  all
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from core.settings import ExitLevel, ExitSettings, Given, Settings

ExitsOf = Callable[[str, str], ExitSettings]  # by account and symbol


def resolved(settings: Settings, account: str, symbol: str) -> ExitSettings:
    """The exits of a position in ``symbol`` at ``account`` (``<owner>/<name>``); neither need be configured."""
    found: Given = dict(settings.exit_symbols.get(symbol, {}))
    owner = next((o for o in settings.owners if o.id == account.partition("/")[0]), None)
    if owner is not None:
        levels = [owner.exits, *(a.exits for a in owner.accounts if a.id == account)]
        for level in levels:
            found |= level.given | level.symbols.get(symbol, {})
    return structs.replace(settings.exits, **found) if found else settings.exits


def exits_of(settings: Settings) -> ExitsOf:
    """``resolved``, asked at every price and therefore worked out once for each account and symbol."""
    known: dict[tuple[str, str], ExitSettings] = {}

    def of(account: str, symbol: str) -> ExitSettings:
        found = known.get((account, symbol))
        if found is None:
            found = known[account, symbol] = resolved(settings, account, symbol)
        return found

    return of


def max_age_of(exits: ExitsOf, streams: Callable[[str], bool]) -> Callable[[str, str], float]:
    """How old a usable price may be, by account and symbol; ``streams`` says whether an account has live prices."""

    def of(account: str, symbol: str) -> float:
        found = exits(account, symbol)
        return found.max_price_age if streams(account) else found.max_price_age_polling

    return of


def symbols(settings: Settings) -> set[str]:
    """Every symbol that has exits of its own at some level."""
    levels = [ExitLevel(symbols=settings.exit_symbols), *(o.exits for o in settings.owners)]
    levels += [account.exits for account in settings.accounts]
    return {symbol for level in levels for symbol in level.symbols}


def same(exits: ExitSettings) -> ExitsOf:
    """These exits everywhere."""
    return lambda account, symbol: exits

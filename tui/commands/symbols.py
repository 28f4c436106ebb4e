"""Symbols that a person names: a symbol that nobody holds and no venue knows is a mistake in typing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import click

from core.entries.rules import same_symbol
from core.link.messages import Snapshot
from core.plans.plan import Plan
from core.plans.position_row import PositionRow
from core.plans.request import PlanRequest
from tui.commands.session import Engine

FEW = 5  # accounts that a message names


async def refuse_unknown_symbols(engine: Engine, request: PlanRequest, plan: Plan) -> None:
    """Raise UsageError with the nearest symbol when the request names a symbol that does not exist anywhere.

    An account that could not be read might hold the symbol: then nothing is refused.
    """
    if plan.unreadable or not request.symbols:
        return
    held = engine.snapshot().positions
    known = {name for row in held for name in (row.key.symbol, row.native_symbol)}
    known |= {action.key.symbol for action in plan.actions}
    accounts = [row.id for row in engine.snapshot().accounts if not request.accounts or row.id in request.accounts]
    for symbol in request.symbols:
        if symbol in known or (
            plan.actions and len(request.symbols) == 1
        ):  # the plan may show the symbol in the venue's words
            continue
        spelled = sorted({row.key.symbol for row in held if same_symbol(row.key.symbol, symbol)})
        if spelled:
            raise click.UsageError(f"Nobody holds {symbol}; did you mean {_where(spelled[0], held)}?")
        if not await _venue_knows(engine, accounts, symbol):
            near = difflib.get_close_matches(symbol, sorted({row.key.symbol for row in held}), n=1)
            hint = f"; did you mean {_where(near[0], held)}?" if near else ""
            raise click.UsageError(f"Nobody holds {symbol}, and no account's venue knows it{hint}")


def refuse_unheld_symbols(snapshot: Snapshot, symbols: Iterable[str]) -> None:
    """Raise UsageError with the nearest symbol when nobody holds a symbol that is looked for.

    An account that could not be read might hold the symbol: then nothing is refused.
    """
    held = snapshot.positions
    known = {name for row in held for name in (row.key.symbol, row.native_symbol)}
    known |= {row.key.symbol for row in snapshot.closings}
    unread = not all(row.whole for row in snapshot.accounts)
    for symbol in symbols if not unread else ():
        if symbol in known:
            continue
        spelled = [row.key.symbol for row in held if same_symbol(row.key.symbol, symbol)]
        near = spelled or difflib.get_close_matches(symbol, sorted({row.key.symbol for row in held}), n=1)
        hint = f"; did you mean {_where(near[0], held)}?" if near else ""
        raise click.UsageError(f"Nobody holds {symbol}{hint}")


def _where(symbol: str, held: Iterable[PositionRow]) -> str:
    accounts = sorted({row.key.account for row in held if row.key.symbol == symbol})
    more = f" and {len(accounts) - FEW} more" if len(accounts) > FEW else ""
    return f"{symbol} ({', '.join(accounts[:FEW])}{more})"


async def _venue_knows(engine: Any, accounts: Iterable[str], symbol: str) -> bool:
    for account in accounts:
        if await engine.entry_service.drafts.knows_symbol(account, symbol):
            return True
    return False

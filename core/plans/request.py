"""The request for a plan: selectors of positions and orders, and values that override the settings."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from core.model import PositionKey


class PlanRequest(Struct, frozen=True):
    """A request for a plan. ``cause``: cleanup, flatten, cancel-orders, exit. An override that was not given is None.

    Empty selectors select everything. A flatten or cancel-orders without a selector needs ``everything``.
    """

    cause: str
    owners: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    keys: tuple[PositionKey, ...] = ()
    everything: bool = False
    dust_usd: Decimal | None = None
    max_positions: int | None = None
    cancel_open_orders: str | None = None  # never, startup, matching, always
    cancel_if: str | None = None
    text: str = ""  # for an exit: the rule and its numbers

    def depends_on(self, owner: str, account: str) -> bool:
        """Return True if the plan depends on the account. A cap counts over all accounts of its owner."""
        if self.owners and owner not in self.owners:
            return False
        if not self.accounts:
            return True
        of_owner = any(named.partition("/")[0] == owner for named in self.accounts)
        return account in self.accounts or (self.cause == "cleanup" and of_owner)

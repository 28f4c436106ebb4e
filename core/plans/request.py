"""The request a plan is made from: which positions, which orders, and what overrides the settings."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from core.model import PositionKey


class PlanRequest(Struct, frozen=True):
    """What a plan is asked for. ``cause``: cleanup, flatten, cancel-orders, exit. Overrides are None where not given.

    Empty selectors select everything, except that a flatten or cancel-orders without any needs ``everything``.
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
    text: str = ""  # of an exit: which rule, and its numbers

"""The part of a snapshot that a person asked for, in the order of the configuration. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

from core.link.messages import Snapshot
from core.model import PositionKey
from core.plans.position_row import PositionRow
from core.settings import Settings
from core.units import ZERO
from tui.present.numbers import usd


class Selection(Struct, frozen=True):
    """Owners, accounts and symbols by name. An empty tuple selects all."""

    owners: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()

    def account(self, account: str) -> bool:
        owner = account.partition("/")[0]
        return (not self.owners or owner in self.owners) and (not self.accounts or account in self.accounts)

    def position(self, key: PositionKey, native_symbol: str = "") -> bool:
        named = not self.symbols or key.symbol in self.symbols or native_symbol in self.symbols
        return named and self.account(key.account)


def selected(snapshot: Snapshot, settings: Settings, wanted: Selection) -> Snapshot:
    """Return the selected rows, accounts and owners in the order of the configuration, so that two calls compare.

    Plans that wait for a person stay: nobody may overlook them.
    """
    places = {account.id: place for place, account in enumerate(settings.accounts)}
    owners = {owner.id: place for place, owner in enumerate(settings.owners)}
    chosen = {account.partition("/")[0] for account in wanted.accounts} | set(wanted.owners)
    last = len(places)

    def by_place(key: PositionKey) -> tuple[int, str, str]:
        return places.get(key.account, last), key.symbol, key.leg.value

    return structs.replace(
        snapshot,
        accounts=tuple(
            sorted((r for r in snapshot.accounts if wanted.account(r.id)), key=lambda r: places.get(r.id, last))
        ),
        owners=tuple(
            sorted((r for r in snapshot.owners if not chosen or r.id in chosen), key=lambda r: owners.get(r.id, last))
        ),
        positions=tuple(
            sorted(
                (r for r in snapshot.positions if wanted.position(r.key, r.native_symbol)),
                key=lambda r: by_place(r.key),
            )
        ),
        closings=tuple(sorted((r for r in snapshot.closings if wanted.position(r.key)), key=lambda r: by_place(r.key))),
    )


def sums(positions: Sequence[PositionRow]) -> dict[str, str]:
    """Return the worth of each owner's positions as text: ``$120.50``, with the number of values that are unknown."""
    found: dict[str, list[PositionRow]] = {}
    for row in positions:
        found.setdefault(row.owner, []).append(row)
    told = {}
    for owner, rows in found.items():
        known = [row.usd_value for row in rows if row.usd_value is not None]
        unknown = f" + {len(rows) - len(known)} unknown" if len(known) < len(rows) else ""
        told[owner] = f"{usd(sum(known, ZERO))}{unknown}" if known else f"{len(rows)} unknown"
    return told

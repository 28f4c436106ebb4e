"""Makes the rows that consoles show from the book, and publishes them at an interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

from msgspec import structs

from core.engine.publisher import Publisher
from core.exits.view import ExitView
from core.ladder.states import Transition
from core.link import rows
from core.model import InstrumentKey, PositionKey
from core.orders.restrictions import Restrictions
from core.plans import planner
from core.plans.planner import Situation
from core.plans.position_row import PositionRow
from core.portfolio.book import Book, Change
from core.ports import Clock
from core.settings import Settings

PUBLISH_EVERY = 0.25  # seconds
UNWATCHED_EVERY = 5.0  # seconds between two sets of rows without a console: alarms about closed positions go with them
LONGEST = 5.0  # seconds between two publications of a slow machine
SHARE = 4  # the pause is at least so many times as long as the rows took: closes get the rest of the time
REVIEW_EVERY = 1.0  # seconds after which all rows are made again, so that ages and staleness show


class RowUpdater:
    """One engine's row maker. The class remembers which owners' rows are out of date."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        publisher: Publisher,
        restrictions: Restrictions,
        *,
        frozen: Mapping[str, str],
        situation: Callable[[], Situation],
        closing: Callable[[], set[InstrumentKey]],  # instruments with a close in flight
        view: Callable[[PositionKey], ExitView | None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._book = book
        self._publisher = publisher
        self._frozen = frozen
        self._restrictions = restrictions
        self._situation = situation
        self._closing = closing
        self._view = view
        self._outdated: set[str] = set()

    def apply_change(self, change: Change) -> None:
        """Show changed accounts now, and their owners' positions with the next publication."""
        accounts = change.accounts | {k.account for k in change.positions}
        self._outdated.update(self._book.accounts[a].account.owner for a in accounts)
        for account in change.accounts:
            self._put_account(account)

    def show_closing(self, transition: Transition) -> None:
        """Show the new state of one close."""
        self._publisher.put_closing(rows.closing_row(transition, self._clock.now()))
        self._outdated.add(transition.ladder.action.owner)

    async def run(self) -> None:
        """Publish until cancelled. Without a console, or on a slow machine, make rows less often."""
        reviewed, made, pause = self._clock.monotonic(), -inf, PUBLISH_EVERY
        while True:
            await self._clock.sleep(pause)
            began = self._clock.monotonic()
            if began - reviewed >= REVIEW_EVERY:
                reviewed = began
                self._outdated.update(o.id for o in self._settings.owners)
            if self._publisher.watched or began - made >= UNWATCHED_EVERY:
                made = began
                self.update_rows(self._outdated)
                self._outdated = set()
            self._publisher.publish()
            pause = min(max(PUBLISH_EVERY, SHARE * (self._clock.monotonic() - began)), LONGEST)

    def outdate(self, owners: Iterable[str]) -> None:
        """Make the rows of these owners again with the next publication."""
        self._outdated.update(owners)

    def update_all_rows(self) -> None:
        """Make the rows of every owner and of every account again."""
        self.update_rows({o.id for o in self._settings.owners})

    def update_rows(self, owners: Iterable[str]) -> list[PositionRow]:
        """Make the rows of these owners and of every account again. Return the owners' position rows."""
        chosen, situation, made = set(owners), self._situation(), list[PositionRow]()
        busy, waiting = self._closing(), rows.waiting_exits(self._publisher.plans.values())
        for owner in (o.id for o in self._settings.owners if o.id in chosen):
            accounts = planner.owner_accounts(self._settings, owner)
            closing = {k for k in self._book.keys(accounts) if k.instrument in busy}
            row, positions = rows.owner_rows(
                owner, self._settings, self._book, situation, closing, self._view, waiting=waiting
            )
            self._publisher.put_owner(row, positions, self._is_closed)
            made.extend(positions)
        for account in self._book.accounts:
            self._put_account(account)
        self._publisher.put_engine(
            structs.replace(self._publisher.engine, halted=rows.halt_row(self._restrictions.halted))
        )
        return made

    def _put_account(self, account: str) -> None:
        state = self._restrictions.account_state(account)
        self._publisher.put_account(rows.account_row(self._book.accounts[account], self._frozen.get(account), state))

    def _is_closed(self, key: PositionKey) -> bool:
        """Return whether nothing is left of a position that is not held: no order, no part that was not listed.

        In a frozen account an order of unknown fate may still execute.
        """
        account = self._book.accounts[key.account]
        orders = self._book.orders_on(key.account, key.symbol)
        return account.whole and key.account not in self._frozen and not orders

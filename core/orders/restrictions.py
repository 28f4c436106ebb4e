"""The restrictions of new risk: the kill switch, and accounts that a person made close-only or locked.

A restriction refuses entries, and protective orders that could open a position. A restriction never holds back an
order that reduces, a cancel or an exit. Restrictions are durable: a restart finds them in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from core.journal.journal import Journal, JournalView
from core.journal.query import EntryFilter
from core.model import Instrument, Kind, Leg, OrderRequest, OrderSide
from core.plans.approver import Approver, by_whom
from core.plans.plan import NotApproved
from core.ports import Clock
from core.records import ACCOUNT_STATES, ENABLED, AccountStateSet, Halted, Resumed
from core.units import iso


class Restriction(Struct, frozen=True):
    """Why an account takes no new risk now. ``code``: halted, close_only, locked."""

    code: str
    text: str


class Restrictions:
    """The restrictions of one data directory. Without a journal to write they can only be asked.

    A restriction holds from the call that asks for it, even before the journal has it. Its end holds only once the
    journal has it.
    """

    def __init__(self, clock: Clock, journal: Journal | None, say: Callable[..., None]) -> None:
        self.halted: Halted | None = None
        self.unknown = ""  # why the journal could not tell the restrictions
        self._clock = clock
        self._journal = journal
        self._say = say
        self._states: dict[str, AccountStateSet] = {}
        self._unwritten = False  # the journal did not take the halt that is in force
        self._turn = asyncio.Lock()

    async def recall(self, view: JournalView) -> None:
        """Read the restrictions. Raises JournalError."""
        last = await view.entries(EntryFilter(kinds=("halted", "resumed")), limit=1, tail=True)
        self.halted = next((e.record for e in last if isinstance(e.record, Halted)), None)
        records = await view.last_of_accounts("account_state_set")
        self._states = {r.account: r for r in records if isinstance(r, AccountStateSet)}

    def find_restriction(self, account: str) -> Restriction | None:
        """Return why the account takes no new risk now, or None."""
        if self.unknown:
            return Restriction("halted", f"whether trading is halted is not known: {self.unknown}")
        if self.halted is not None:
            return Restriction("halted", f"trading is halted{_since(self.halted)}")
        state = self.account_state(account)
        if state is None:
            return None
        until = f" until {iso(state.until)}" if state.until else ""
        return Restriction(state.state.replace("-", "_"), f"{account} is {state.state}{until}{_since(state)}")

    def account_state(self, account: str) -> AccountStateSet | None:
        """Return the account's state where it is in force and not enabled."""
        state = self._states.get(account)
        if state is None or state.state == ENABLED:
            return None
        return state if state.until is None or self._clock.now() < state.until else None

    def why_not_placed(self, instrument: Instrument | None, request: OrderRequest) -> str:
        """Return why a protective order may not be placed now; "" when it may."""
        found = self.find_restriction(request.account) if could_open(request, instrument) else None
        return f"{found.text}; the order could open a position" if found else ""

    async def halt(self, reason: str = "", approver: Approver | None = None) -> bool:
        """Stop all new risk. Return False when trading was halted before.

        Raises JournalError: then the halt holds in this process, and not after it. Raises NotApproved when read-only.
        """
        journal = self._writable()
        async with self._turn:
            began = self.halted is None
            if self.halted is None:
                self.halted = Halted(reason, by_whom(approver), self._clock.now(), approver)
                self._unwritten = True
                self._say("warning", f"HALTED by {self.halted.by}{_why(reason)}. No entry is sent; closing goes on")
            if self._unwritten:
                await journal.append(self.halted)
                self._unwritten = False
            return began

    async def resume(self, approver: Approver | None = None) -> bool:
        """Allow new risk again. Return False when trading was not halted. Raises JournalError, NotApproved."""
        journal = self._writable()
        async with self._turn:
            if self.halted is None:
                return False
            by = by_whom(approver)
            await journal.append(Resumed(by, self._clock.now(), approver))
            self.halted, self._unwritten = None, False
            self._say("warning", f"RESUMED by {by}. Entries are allowed again")
            return True

    async def set_account(
        self,
        account: str,
        state: str,
        reason: str = "",
        until: datetime | None = None,
        approver: Approver | None = None,
    ) -> None:
        """Set what an account may do. Raises ValueError for an unknown state, JournalError, NotApproved."""
        journal = self._writable()
        if state not in ACCOUNT_STATES:
            raise ValueError(f"there is no state {state!r} of an account; known: {', '.join(ACCOUNT_STATES)}")
        wanted = AccountStateSet(account, state, reason, by_whom(approver), self._clock.now(), until, approver)
        async with self._turn:
            if state != ENABLED:
                self._states[account] = wanted
            await journal.append(wanted)
            self._states[account] = wanted
            end = f" until {iso(until)}" if until else ""
            self._say("warning", f"{account} is {state}{end}, by {wanted.by}{_why(reason)}", account)

    def _writable(self) -> Journal:
        if self._journal is None:
            raise NotApproved("read_only", "this engine is read-only; nothing can be halted or resumed from here")
        return self._journal


def could_open(request: OrderRequest, instrument: Instrument | None) -> bool:
    """Return whether an order on the closing side could open a position once the position is gone."""
    if request.reduce_only or request.leg is not Leg.NET:
        return False
    cash = instrument is not None and instrument.kind in (Kind.SPOT, Kind.EQUITY)
    return not (cash and request.side is OrderSide.SELL)  # the venue reserves the quantity for a resting sell


def _since(record: Halted | AccountStateSet) -> str:
    return f"{_why(record.reason)}, by {record.by} since {iso(record.at)}"


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""

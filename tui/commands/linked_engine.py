"""The running engine as a command sees it: every call goes over the link, and errors come back as they would here."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

from msgspec import structs

from core.entries.report import Report
from core.entries.rules import LIMIT_WAIT, Code, EntryDraft, EntryRequest, NotAllowed, Rejection
from core.errors import EngineGone, FlatdeckError
from core.link.messages import (
    LIVE_STATES,
    AccountRow,
    Command,
    Done,
    Execute,
    Finished,
    Link,
    Planned,
    Prepare,
    Refresh,
    Rejected,
    Reply,
    Snapshot,
    Thaw,
)
from core.link.protocol import Welcome
from core.link.requests import (
    Answered,
    Compared,
    Drafted,
    DraftEntry,
    DraftScaling,
    Entered,
    FindRefusals,
    KnowSymbol,
    Reconcile,
    Refusals,
    SendEntry,
)
from core.plans.approver import Approver
from core.plans.plan import NotApproved, Plan
from core.plans.request import PlanRequest
from core.plans.results import PlanReport
from core.reconciliation.rules import Reconciled
from core.settings import AccountSettings

ABSENT = "the running engine does not have this account; restart the engine with the present configuration"
GATE_CODES = frozenset(code.value for code in Code)

R = TypeVar("R", bound=Reply)


class LinkedEngine:
    """The engine at the other end of a link. ``snapshot`` has the rows of the last answer.

    ``accounts`` are those of this process's configuration. An engine that started before an account was configured does
    not have it: the account is unreadable then, because nothing is known of its positions.
    """

    taken_up: Sequence[PlanReport] = ()  # the running engine reports interrupted plans itself

    def __init__(
        self, link: Link, welcome: Welcome, *, correct: bool, accounts: Sequence[AccountSettings] = ()
    ) -> None:
        self._link = link
        self._welcome = welcome
        self._accounts = accounts
        self._absent: dict[str, str] = {}  # accounts that the last plan lacks
        self._rows: Snapshot
        self.entry_service = LinkedEntries(self)
        self.reconciliation = LinkedReconciliation(self, correct=correct)

    async def read_all(self) -> None:
        """Have every account read again."""
        self._rows = await self.ask(Refresh(read=True), Snapshot)

    async def refresh(self) -> Snapshot:
        """Take the rows as they are, and return them."""
        self._rows = await self.ask(Refresh(), Snapshot)
        return self._rows

    def snapshot(self) -> Snapshot:
        """Return the rows of the last answer, with who gave the answer."""
        told = self._welcome
        engine = structs.replace(
            self._rows.engine,
            pid=told.pid,
            version=told.version,
            started_at=told.started_at,
            consoles=told.consoles,
        )
        lacking = (AccountRow(a.id, a.owner, a.broker, "down", ABSENT) for a in self._accounts if not self._has(a.id))
        return structs.replace(self._rows, engine=engine, accounts=(*self._rows.accounts, *lacking))

    def _has(self, account: str) -> bool:
        return any(row.id == account for row in self._rows.accounts)

    def reached(self) -> int:
        return sum(row.state in LIVE_STATES and row.as_of is not None for row in self._rows.accounts)

    async def prepare(self, request: PlanRequest) -> Plan:
        """Return a plan of the engine for what is held now, and take the rows that belong to it."""
        plan = (await self.ask(Prepare(request), Planned)).plan
        await self.refresh()
        asked = (a.id for a in self._accounts if request.depends_on(a.owner, a.id))
        self._absent = {account: ABSENT for account in asked if not self._has(account)}
        return self._told(plan)

    def _told(self, plan: Plan) -> Plan:
        return structs.replace(plan, unreadable=plan.unreadable | self._absent)

    async def execute(self, plan_id: str, digest: str, approver: Approver | None = None) -> PlanReport:
        """Have the plan carried out and return its report. The engine goes on when this process ends."""
        report = (await self.confirmed(Execute(plan_id, digest, approver), Finished, f"plan {plan_id}")).report
        await self.refresh()
        whole = not self._absent
        return structs.replace(
            report, plan=self._told(report.plan), complete=report.complete and whole, success=report.success and whole
        )

    async def thaw(self, account: str, approver: Approver) -> None:
        """Let a frozen account be acted on again."""
        await self.ask(Thaw(account, approver), Done)

    def goes_on(self, plan: Plan) -> str:
        """Return what becomes of a confirmed plan when this command ends before the plan."""
        return (
            f"Interrupted: the engine (pid {self._welcome.pid}) goes on with plan {plan.id}; flatdeck status shows it."
        )

    async def confirmed(self, command: Command, kind: type[R], what: str) -> R:
        """Send a command that a person confirmed. When the engine dies, say that the journal has what was begun."""
        try:
            return await self.ask(command, kind)
        except EngineGone as gone:
            if not gone.asked:
                raise
            raise FlatdeckError(
                f"{gone}; {what} was confirmed: what was begun is in the journal, and the next engine resolves it "
                "first; flatdeck status and flatdeck journal show it"
            ) from gone

    async def ask(self, command: Command, kind: type[R]) -> R:
        """Return the reply. Raises NotAllowed or NotApproved for a command that the engine rejects."""
        reply = await self._link.ask(command)
        if isinstance(reply, kind):
            return reply
        if isinstance(reply, Rejected):
            if reply.code in GATE_CODES and not isinstance(command, Execute | Prepare):
                raise NotAllowed(Rejection(Code(reply.code), reply.text))
            raise NotApproved(reply.code, reply.text)
        raise FlatdeckError(f"the engine answered {type(reply).__name__} to {type(command).__name__}")


class LinkedEntries:
    """The running engine's entries."""

    def __init__(self, engine: LinkedEngine) -> None:
        self._engine = engine
        self.drafts = LinkedDrafts(engine)

    async def carry_out(
        self, draft: EntryDraft, approver: Approver | None = None, *, wait: float = LIMIT_WAIT
    ) -> Report:
        """Have a confirmed order sent. The engine goes on when this process ends."""
        what = f"the order for {draft.key.symbol} on {draft.key.account}"
        return (await self._engine.confirmed(SendEntry(draft, wait, approver), Entered, what)).report


class LinkedDrafts:
    """The running engine's entry gate."""

    def __init__(self, engine: LinkedEngine) -> None:
        self._engine = engine

    async def knows_symbol(self, account: str, symbol: str) -> bool:
        return (await self._engine.ask(KnowSymbol(account, symbol), Answered)).yes

    async def find_refusals(self, signal: EntryRequest) -> list[Rejection]:
        return list((await self._engine.ask(FindRefusals(signal), Refusals)).found)

    async def draft_entry(
        self, signal: EntryRequest, *, limit: bool = False, flatten_first: bool = False
    ) -> EntryDraft:
        return (await self._engine.ask(DraftEntry(signal, limit, flatten_first), Drafted)).draft

    async def draft_scaling(self, account: str, symbol: str, quantity: Decimal, *, inward: bool) -> EntryDraft:
        return (await self._engine.ask(DraftScaling(account, symbol, quantity, inward), Drafted)).draft


class LinkedReconciliation:
    """The running engine's comparison. A client that may only look corrects nothing."""

    def __init__(self, engine: LinkedEngine, *, correct: bool) -> None:
        self._engine = engine
        self._correct = correct

    async def reconcile(self) -> Reconciled:
        return (await self._engine.ask(Reconcile(self._correct), Compared)).reconciled

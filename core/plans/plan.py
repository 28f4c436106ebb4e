"""A plan, and its approval. A plan lists the planned actions; a person sees them as a diff.

Nothing is sent without an ``ApprovedPlan``. A person approves a plan by confirming the digest of the plan on screen.
An automation rule approves a plan if the configuration armed the rule. The digest covers account, instrument, side,
quantity, orders and tiers. It does not cover value and P&L, so a person can confirm the plan while prices move.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.errors import FlatdeckError
from core.ids import is_ours
from core.model import Order, OrderType, PositionKey, Side, Tier
from core.plans.approver import Approver, by_whom
from core.plans.money import Valuation
from core.units import ZERO, plain

SHOWN_FOR = timedelta(minutes=5)  # an older plan cannot be confirmed: it may not show the present state


def is_our_stop(order: Order) -> bool:
    """Return whether this program placed ``order`` as a protective stop.

    The program may move such a stop at any time, so a confirmation does not bind its id.
    """
    return order.type is OrderType.STOP and is_ours(order.client_id)


class ActionKind(Enum):
    CANCEL_ORDER = "cancel_order"
    CLOSE = "close"
    SKIP = "skip"


class Reason(Enum):
    """The reason why an action is in a plan."""

    DUST = "dust"
    CAP_EXCEEDED = "cap_exceeded"
    OPEN_ORDERS = "open_orders"
    UNSELLABLE = "unsellable"
    COVERS = "covers"  # the position covers a short that stays
    NO_PRICE = "no_price"
    CLOSING = "closing"  # a close of the position is already in flight
    FROZEN = "frozen"  # the account is frozen until a person thaws it
    FLATTEN = "flatten"
    CANCEL_ORDERS = "cancel_orders"
    LEGACY = "legacy"
    EXIT = "exit"


class Action(Struct, frozen=True):
    """One line of the diff.

    A close has the orders that it cancels first, and the ids of all open orders that the plan showed.
    """

    kind: ActionKind
    reason: Reason
    text: str
    owner: str
    key: PositionKey
    side: Side | None = None
    quantity: Decimal = ZERO
    entry: Decimal | None = None
    usd_value: Decimal | None = None
    pnl: Decimal | None = None  # fraction of the entry, without leverage
    rank: int | None = None  # 1 is the largest; only where positions were ranked for the cap
    order: Order | None = None  # the order that a cancel_order cancels
    cancels: tuple[Order, ...] = ()  # orders that a close cancels before the first tier
    orders_shown: tuple[str, ...] = ()  # ids of all open orders on the instrument when the close was planned
    orders_flaw: str = ""  # why more orders may have been open than were shown
    tiers: tuple[Tier, ...] = ()
    after: tuple[PositionKey, ...] = ()  # closes of the same plan that go first
    cost: Decimal | None = None  # estimated half spread and fee, USD
    valuation: Valuation | None = None  # of a close; earlier records do not have it

    def binding(self) -> str:
        """Return the part of the action that a confirmation binds, as canonical text."""
        orders = ",".join(sorted(o.id for o in self.cancels if not is_our_stop(o))) or (
            self.order.id if self.order else ""
        )
        tiers = ",".join(t.value for t in self.tiers)
        side = self.side.value if self.side else ""
        where = f"{self.key.account}|{self.key.symbol}|{self.key.leg.value}"
        return f"{self.kind.value}|{self.reason.value}|{where}|{side}|{plain(self.quantity)}|{orders}|{tiers}"


class OwnerTally(Struct, frozen=True):
    """One owner's numbers before and after the plan."""

    id: str
    cap: int
    initial: int
    dust: int = 0
    cap_excess: int = 0
    skipped: int = 0
    unsellable: int = 0
    orders_to_cancel: int = 0
    final: int = 0
    complete: bool = True
    value_before: Decimal | None = None
    value_after: Decimal | None = None


class Plan(Struct, frozen=True):
    """The planned actions, and a tally per owner.

    ``unreadable`` maps each account id that could not be read to the reason. ``unlisted`` maps each account id to the
    parts that no list covers. A plan with either is PARTIAL: what was not listed is not flat.
    """

    id: str
    cause: str
    created_at: datetime
    actions: tuple[Action, ...]
    owners: tuple[OwnerTally, ...]
    unreadable: dict[str, str] = {}
    unlisted: dict[str, tuple[str, ...]] = {}

    @property
    def complete(self) -> bool:
        return not self.unreadable and not self.unlisted

    @property
    def digest(self) -> str:
        """Return a hash of all that a confirmation binds.

        The plan's id, the order of the lines and the prices do not change the hash.
        """
        alone = self.lone_cancels  # a stop of ours is bound only where no close of this plan cancels it

        def bound(action: Action) -> bool:
            own = action.order is not None and is_our_stop(action.order) and action not in alone
            return action.kind is not ActionKind.SKIP and not own

        lines = sorted(a.binding() for a in self.actions if bound(a))
        return hashlib.sha256("\n".join([self.cause, *lines]).encode(errors="surrogatepass")).hexdigest()

    @property
    def closes(self) -> tuple[Action, ...]:
        return tuple(a for a in self.actions if a.kind is ActionKind.CLOSE)

    @property
    def lone_cancels(self) -> tuple[Action, ...]:
        """The cancels of orders that no close of this plan cancels."""
        own = {(a.key.account, o.id) for a in self.closes for o in a.cancels}
        return tuple(
            a
            for a in self.actions
            if a.kind is ActionKind.CANCEL_ORDER and a.order and (a.key.account, a.order.id) not in own
        )

    @property
    def empty(self) -> bool:
        """True when an execution of the plan would send nothing."""
        return all(a.kind is ActionKind.SKIP for a in self.actions)

    @property
    def joined(self) -> tuple[Action, ...]:
        """The positions that another plan closes. An execution of this plan waits for the other plan's end."""
        return tuple(a for a in self.actions if a.kind is ActionKind.SKIP and a.reason is Reason.CLOSING)

    @property
    def only_waits(self) -> bool:
        """True when an execution sends nothing and waits for other plans, so that there is nothing to confirm."""
        return self.empty and bool(self.joined)

    @property
    def totals(self) -> OwnerTally:
        """The sum of the owners' tallies. The sum of the caps limits nothing."""
        names = ("cap", "initial", "dust", "cap_excess", "skipped", "unsellable", "orders_to_cancel", "final")
        return OwnerTally(id="", **{n: sum(getattr(o, n) for o in self.owners) for n in names}, complete=self.complete)


class NotApproved(FlatdeckError):
    """The error for a plan that may not be executed. ``code``: ``changed``, ``expired``, ``not_armed`` and others."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


EXITS = "exits"  # the rule under which the automation approves the plan of an exit
_SEAL = object()


class ApprovedPlan:
    """A plan that may be executed. Made by :func:`confirm`, :func:`by_rule` and :func:`reopened`, never directly."""

    __slots__ = ("approved_at", "approver", "by", "plan")

    def __init__(
        self, plan: Plan, by: str, approved_at: datetime, *, approver: Approver | None = None, seal: object
    ) -> None:
        if seal is not _SEAL:
            raise NotApproved("not_armed", "a plan is approved by confirming it or by an armed rule, not by hand")
        self.plan = plan
        self.by = by
        self.approver = approver  # None for a rule, or where nobody told
        self.approved_at = approved_at

    @property
    def by_exit(self) -> bool:
        """True when an armed exit rule approved the plan."""
        return self.by == f"rule:{EXITS}"


def confirm(plan: Plan, shown_digest: str, now: datetime, approver: Approver | None = None) -> ApprovedPlan:
    """Approve the plan that ``approver`` confirmed on screen.

    Raises NotApproved if the screen showed another plan, or if the plan is too old.
    """
    if shown_digest != plan.digest:
        raise NotApproved("changed", "the plan changed since it was shown; look at the new one and confirm that")
    if now - plan.created_at > SHOWN_FOR:
        raise NotApproved("expired", "the plan was shown too long ago; make a new one")
    return ApprovedPlan(plan, by_whom(approver), now, approver=approver, seal=_SEAL)


def by_rule(plan: Plan, rule: str, armed: bool, now: datetime) -> ApprovedPlan:
    """Approve the plan by an automation rule. Raises NotApproved unless the configuration armed the rule."""
    if not armed:
        raise NotApproved("not_armed", f"automation of {rule} is not armed; confirm the plan yourself")
    return ApprovedPlan(plan, f"rule:{rule}", now, seal=_SEAL)


def reopened(plan: Plan, by: str, approved_at: datetime) -> ApprovedPlan:
    """Return the approved plan that the journal recorded before a restart."""
    return ApprovedPlan(plan, by, approved_at, seal=_SEAL)

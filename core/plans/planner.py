"""Make a plan from a request and the book: select owners, accounts and rules, and skip what is blocked. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct, structs

from core.model import Order, PositionKey, Tier
from core.plans import cleanup, legacy, legs
from core.plans.cancel_policy import CancelIf, OrderPolicy, parse_cancel_if
from core.plans.plan import Action, ActionKind, OwnerTally, Plan, Reason
from core.plans.request import PlanRequest
from core.portfolio.book import Book
from core.portfolio.holding import AccountView, Holding
from core.ports import Broker, Capabilities
from core.settings import BASE_TIERS, LAST_TIERS, CleanupSettings, Settings


class Situation(Struct, frozen=True):
    """The inputs of a plan besides the book. ``tiers`` is by account; ``blocked`` is as in ``cleanup.plan_owner``."""

    now: datetime
    monotonic: float
    tiers: dict[str, tuple[Tier, ...]]
    blocked: cleanup.Blocked
    first_run: bool
    legacy: frozenset[PositionKey] = frozenset()  # positions from before this program, to be force-closed


def ladder_tiers(settings: Settings, broker: str, able: Capabilities) -> tuple[tuple[Tier, ...], tuple[Tier, ...]]:
    """Return the tiers to try at a broker that its venue supports, and the tiers that its venue does not support.

    The configuration is searched for the whole name of the broker (``ccxt:kraken``), then for the name without its
    exchange. Without a configuration the venue's default tiers are used.
    """
    configured = settings.ladder.tiers
    base = configured.get(broker) or configured.get(broker.partition(":")[0]) or able.default_tiers or BASE_TIERS
    wanted = (*base, *(t for t in LAST_TIERS if t not in base))
    return tuple(t for t in wanted if t in able.tiers), tuple(t for t in wanted if t not in able.tiers)


def account_tiers(settings: Settings, brokers: Iterable[Broker]) -> dict[str, tuple[Tier, ...]]:
    """Return the tiers of every account by account id."""
    return {b.account.id: ladder_tiers(settings, b.account.broker, b.capabilities)[0] for b in brokers}


def make(
    plan_id: str, request: PlanRequest, settings: Settings, book: Book, situation: Situation, *, brief: bool = False
) -> Plan:
    """Make the plan for the book as it is now. Two plans with one digest are the same to a person.

    A ``brief`` plan values only the positions that the request names, so that its cost does not grow with the others.
    Raises ValueError for an unknown cause, and for a request without a selector where one is required.
    """
    builders = {"cleanup": _cleanup, "flatten": _flatten, "cancel-orders": _cancel_orders, "legacy": _legacy}
    builders["exit"] = _exit
    build = builders.get(request.cause)
    if build is None:
        raise ValueError(f'"{request.cause}" is no plan; there are cleanup, flatten, cancel-orders, legacy and exit')
    selectors = (request.owners, request.accounts, request.symbols, request.keys)
    if request.cause not in ("cleanup", "legacy") and not request.everything and not any(selectors):
        raise ValueError(f"{request.cause} needs to know what: owners, accounts, symbols, positions or everything")
    actions: list[Action] = []
    tallies: list[OwnerTally] = []
    for owner in _owners(request, settings):
        accounts = [a for a in owner_accounts(settings, owner) if _reads(request, a)]
        readable = [a for a in accounts if book.readable(a)]
        keys = [k for k in request.keys if k.account in readable] if brief else book.keys(readable)
        holdings = list(holdings_of(book, keys, situation))
        made, tally = build(_Scope(owner, holdings, readable, request, settings, book, situation))
        actions.extend(made)
        if brief:
            others = book.count(readable) - len(holdings)
            tally = structs.replace(tally, initial=tally.initial + others, final=tally.final + others)
            tally = structs.replace(tally, value_before=None, value_after=None)
        tallies.append(structs.replace(tally, complete=all(book.accounts[a].whole for a in accounts)))
    return Plan(
        id=plan_id,
        cause=request.cause,
        created_at=situation.now,
        actions=tuple(actions),
        owners=tuple(tallies),
        unreadable=_unreadable(request, settings, book),
        unlisted=_unlisted(request, settings, book),
    )


def holdings_of(book: Book, keys: Iterable[PositionKey], situation: Situation) -> Iterable[Holding]:
    """Yield the holdings of these positions, valued at the situation's time."""
    for key in keys:
        holding = book.holding(key, situation.monotonic)
        if holding is not None:
            yield holding


def owner_accounts(settings: Settings, owner: str) -> list[str]:
    """Return the ids of an owner's accounts."""
    return [a.id for o in settings.owners if o.id == owner for a in o.accounts]


def _owners(request: PlanRequest, settings: Settings) -> list[str]:
    """Return the owners that a request selects. Every named owner, account and position narrows the selection."""
    having = {a.partition("/")[0] for a in (*request.accounts, *(k.account for k in request.keys))}
    wanted = [set(request.owners), having]
    return [o.id for o in settings.owners if all(not names or o.id in names for names in wanted)]


def _asked(request: PlanRequest, settings: Settings, book: Book) -> list[AccountView]:
    """Return the accounts that a request's plan depends on."""
    owners = _owners(request, settings)
    chosen = (a.id for a in settings.accounts if a.owner in owners)
    return [book.accounts[a] for a in chosen if _reads(request, a)]


def _reads(request: PlanRequest, account: str) -> bool:
    """Return True if a plan depends on the account. A cap counts over all accounts of its owner."""
    return request.cause == "cleanup" or not request.accounts or account in request.accounts


def _unreadable(request: PlanRequest, settings: Settings, book: Book) -> dict[str, str]:
    views = _asked(request, settings, book)
    return {view.account.id: view.error or "not read yet" for view in views if not view.readable}


def _unlisted(request: PlanRequest, settings: Settings, book: Book) -> dict[str, tuple[str, ...]]:
    views = _asked(request, settings, book)
    return {view.account.id: view.unlisted for view in views if view.readable and view.unlisted}


def cleanup_settings(request: PlanRequest, settings: Settings) -> CleanupSettings:
    """Return the configured rules with the request's overrides."""
    own = settings.cleanup
    mode = own.cancel_open_orders if request.cancel_open_orders is None else request.cancel_open_orders
    return structs.replace(
        own,
        dust_usd=own.dust_usd if request.dust_usd is None else request.dust_usd,
        cancel_open_orders=mode if request.cancel_if is None else "matching",
        cancel_if=own.cancel_if if request.cancel_if is None else request.cancel_if,
    )


class _Scope(Struct, frozen=True):
    """One owner's part of a request."""

    owner: str
    holdings: list[Holding]
    readable: list[str]
    request: PlanRequest
    settings: Settings
    book: Book
    situation: Situation

    def tally(self, actions: list[Action]) -> OwnerTally:
        return cleanup.tally(self.owner, self.settings.cap(self.owner), self.holdings, actions, True)


Made = tuple[list[Action], OwnerTally]


def _cleanup(scope: _Scope) -> Made:
    request, situation = scope.request, scope.situation
    rules = cleanup_settings(request, scope.settings)
    cap = scope.settings.cap(scope.owner) if request.max_positions is None else request.max_positions
    condition: CancelIf | None = None
    if rules.cancel_open_orders == "matching":
        condition = parse_cancel_if(rules.cancel_if)
    made = cleanup.plan_owner(
        scope.owner,
        scope.holdings,
        dust_usd=rules.dust_usd,
        cap=cap,
        policy=OrderPolicy(rules.cancel_open_orders, condition, situation.first_run),
        tiers=situation.tiers,
        blocked=situation.blocked,
        complete=True,
        accounts=request.accounts,
    )
    return list(made.actions), made.tally


def _flatten(scope: _Scope) -> Made:
    """Close every selected position, its orders first. Cancel also orders that would open a position again."""
    actions = _closes(scope, Reason.FLATTEN, "Flatten")
    if not scope.request.keys:
        going = {(o.account, o.id) for a in actions for o in a.cancels}
        actions.extend(_lone_cancels(scope, Reason.FLATTEN, going))
    return actions, scope.tally(actions)


def _exit(scope: _Scope) -> Made:
    """Close the positions that an exit rule wants to leave."""
    actions = _closes(scope, Reason.EXIT, scope.request.text or "Exit")
    return actions, scope.tally(actions)


def _closes(scope: _Scope, why: Reason, text: str) -> list[Action]:
    actions: list[Action] = []
    for holding in scope.holdings:
        if not selected(scope.request, holding.key, holding.instrument.native_symbol):
            continue
        blocked = cleanup.why_blocked(scope.situation.blocked, holding.key)
        reason = cleanup.unsellable(holding)
        if blocked:
            actions.append(cleanup.skip(holding, *blocked))
        elif reason:
            actions.append(cleanup.skip(holding, Reason.UNSELLABLE, reason))
        else:
            tiers = scope.situation.tiers[holding.key.account]
            actions.extend(cleanup.close(holding, why, text, tiers))
    return legs.shorts_first(actions, scope.holdings)


def _legacy(scope: _Scope) -> Made:
    """Close the positions from before this program, their orders first."""
    situation, book = scope.situation, scope.book
    actions = legacy.make_actions(
        [h for h in scope.holdings if h.key in situation.legacy],
        scope.settings,
        equity={account: book.accounts[account].equity for account in scope.readable},
        tiers=situation.tiers,
        blocked=situation.blocked,
        flaws={account: book.accounts[account].equity_flaw for account in scope.readable},
    )
    return legs.shorts_first(actions, scope.holdings), scope.tally(actions)


def _cancel_orders(scope: _Scope) -> Made:
    actions = _lone_cancels(scope, Reason.CANCEL_ORDERS, set())
    return actions, scope.tally(actions)


def _lone_cancels(scope: _Scope, reason: Reason, going: set[tuple[str, str]]) -> list[Action]:
    """Cancel open orders that no close cancels. A protective order of ours is cancelled only with its position."""
    actions, book = [], scope.book
    for account in scope.readable:
        for order in book.orders(account):
            key = PositionKey(account, order.symbol, order.leg)
            native = book.instrument(account, order.symbol).native_symbol
            wanted = selected(scope.request, key, native) and (account, order.id) not in going
            if wanted and not book.is_ours(order.client_id) and not cleanup.why_blocked(scope.situation.blocked, key):
                actions.append(_cancel(scope.owner, key, order, reason))
    return actions


def _cancel(owner: str, key: PositionKey, order: Order, reason: Reason) -> Action:
    return Action(
        kind=ActionKind.CANCEL_ORDER,
        reason=reason,
        text="Cancel open order",
        owner=owner,
        key=key,
        quantity=order.remaining,
        order=order,
        cancels=(order,),
        orders_shown=(order.id,),
    )


def selected(request: PlanRequest, key: PositionKey, native_symbol: str) -> bool:
    """Return whether a request selects this position, by key, or by account and symbol."""
    if request.keys:
        same = {k.instrument for k in request.keys}
        return key in request.keys or (request.cause == "cancel-orders" and key.instrument in same)
    in_accounts = not request.accounts or key.account in request.accounts
    in_symbols = not request.symbols or key.symbol in request.symbols or native_symbol in request.symbols
    return in_accounts and in_symbols


def counted(verdicts: list[cleanup.Verdict]) -> int:
    """Return how many positions count against the cap: all that are neither dust nor unsellable."""
    return sum(v.why not in (Reason.DUST, Reason.UNSELLABLE) for v in verdicts)

"""The commands that add risk or take a part of it off: check-entry, open, scale.

As with the destructive ones, what would be sent is shown before anything is opened for writing, and what was agreed to
is drafted again by the engine that acts; if that is no longer the same, it is shown and asked about in its turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, NamedTuple

import click
from msgspec import structs

from core.entries.rules import LIMIT_WAIT, Code, EntryDraft, EntryRequest, NotAllowed, Rejection
from core.link.messages import PlanReport
from core.model import OrderSide
from core.plans.plan import ActionKind, Plan
from core.plans.request import PlanRequest
from core.settings import Settings
from core.units import decimal
from tui.commands.plans import carry_through
from tui.commands.session import (
    DECLINED,
    DONE,
    REMAINED,
    UNREACHED,
    CommandContext,
    known,
    shared_options,
    with_session,
)
from tui.output import entries as entry_texts, plans as output


class Number(click.ParamType):
    """Any exact decimal number; whether it makes sense is for the gate to say."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            return decimal(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Offer(NamedTuple):
    """What is shown and agreed to: a close that comes first, and the order."""

    plan: Plan | None
    draft: EntryDraft

    def same(self, other: Offer) -> bool:
        digests = [o.plan.digest if o.plan else None for o in (self, other)]
        return digests[0] == digests[1] and self.draft.binding() == other.draft.binding()


class Done(NamedTuple):
    """What came of it: of the close that went first, and of the order unless something kept it from being sent."""

    closed: PlanReport | None = None
    report: Any = None
    refused: NotAllowed | None = None


Asking = Callable[[Any], Awaitable[Offer]]


def _signalling(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--stop-loss", metavar="PCT", type=Number(), required=True, help="As a fraction: 0.05 is 5 %."),
        click.option("--leverage", metavar="L", type=Number(), required=True, help="From 1 to 125."),
        click.option("--amount", metavar="A", type=Number(), required=True, help="Quantity, in the symbol's units."),
        click.option("--side", type=click.Choice(["buy", "sell"], case_sensitive=False), required=True),
        click.option("--symbol", metavar="S", required=True),
        click.option("--account", metavar="ID", help="One of the user's accounts, owner/name."),
        click.option("--user", "owner", metavar="ID", required=True, help="A user, or platform."),
    ):
        command = option(command)
    return command


def _confirming(command: Callable[..., Any]) -> Callable[..., Any]:
    yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    dry = click.option("--dry-run", is_flag=True, help="Show what would be sent and end there.")
    return dry(yes(command))


@click.command("check-entry")
@_signalling
@shared_options
@with_session
def check_entry(session: CommandContext, **given: Any) -> int:
    """Ask the gate whether a position may be opened: 0 allowed, 1 refused."""
    settings = session.load().settings
    signal = _signal(settings, **given)
    found, priced, reached = session.run(_check(session, settings, signal))
    warnings = [] if priced else [f"no usable price of {signal.symbol} is known; without one open refuses"]
    if session.json:
        session.document(entry_texts.check(signal, found, warnings))
    else:
        session.say(entry_texts.verdict(found))
    for warning in warnings if not found else ():
        session.note(f"Note: {warning}.")
    if found and not reached and all(no.code is Code.ACCOUNT_UNREADABLE for no in found):
        return UNREACHED
    return REMAINED if found else DONE


async def _check(
    session: CommandContext, settings: Settings, signal: EntryRequest
) -> tuple[list[Rejection], bool, bool]:
    async with session.world.engine(settings, acting=False, on_log=session.log) as engine:
        drafts = engine.opener.drafts
        found = await drafts.check(signal)
        meant = [a.id for a in settings.accounts if a.owner == signal.owner]
        return found, bool(found) or await drafts.priced(signal), any(engine.book.readable(a) for a in meant)


@click.command("open")
@_signalling
@click.option("--limit", is_flag=True, help="A limit order 0.1 % on the passive side, instead of one at the market.")
@click.option(
    "--wait", metavar="SECONDS", type=click.FloatRange(0, 3600), default=LIMIT_WAIT, help="How long a limit may rest."
)
@click.option("--flatten-first", is_flag=True, help="Close what the user holds in the symbol first, verified flat.")
@_confirming
@shared_options
@with_session
def open_position(
    session: CommandContext, *, limit: bool, wait: float, flatten_first: bool, dry_run: bool, yes: bool, **given: Any
) -> int:
    """Open a position, when the gate allows it."""
    settings = session.load().settings
    signal = _signal(settings, **given)
    if signal.account is None:
        accounts = [a.id for a in settings.accounts if a.owner == signal.owner]
        if len(accounts) != 1:
            several = f"several accounts, name one with --account: {', '.join(accounts)}"
            raise click.UsageError(f"{signal.owner} has {several if accounts else 'no account'}")
        signal = structs.replace(signal, account=accounts[0])

    async def asking(engine: Any) -> Offer:
        plan = None
        if flatten_first:
            plan = await engine.prepare(PlanRequest("flatten", owners=(signal.owner,), symbols=(signal.symbol,)))
            stays = next((a for a in plan.actions if a.kind is ActionKind.SKIP), None)
            if stays is not None:
                text = f"{stays.key.symbol} on {stays.key.account} cannot be flattened first: {stays.text}"
                raise NotAllowed(Rejection(Code.POSITION_EXISTS, text))
        return Offer(plan, await engine.opener.drafts.open(signal, limit=limit, flatten_first=flatten_first))

    return _allowed(session, lambda: _carry(session, settings, asking, wait, dry_run=dry_run, yes=yes))


@click.command()
@click.option("--account", metavar="ID", required=True, help="The account, owner/name.")
@click.option("--symbol", metavar="S", required=True)
@click.option("--in", "add", metavar="Q", type=Number(), help="Add this much to the position.")
@click.option("--out", "take", metavar="Q", type=Number(), help="Take this much off it; all of it closes it.")
@_confirming
@shared_options
@with_session
def scale(
    session: CommandContext,
    *,
    account: str,
    symbol: str,
    add: Decimal | None,
    take: Decimal | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Add to a position, or take a part off it."""
    if (add is None) is (take is None):
        raise click.UsageError("scale needs either --in or --out, with how much")
    quantity = take if add is None else add
    settings = session.load().settings
    known("account", (account,), [a.id for a in settings.accounts])

    async def asking(engine: Any) -> Offer:
        return Offer(None, await engine.opener.drafts.scale(account, symbol, quantity, inward=add is not None))

    def go() -> int:
        draft = session.run(_look(session, settings, asking)).draft
        if draft.kind == "close":
            for warning in draft.warnings:
                session.note(f"Warning: {warning}.")
            session.note("That is all of the position, which is closed.")
            return carry_through(session, PlanRequest("flatten", keys=(draft.key,)), dry_run=dry_run, yes=yes)
        return _carry(session, settings, asking, LIMIT_WAIT, dry_run=dry_run, yes=yes)

    return _allowed(session, go)


def _signal(settings: Settings, *, owner: str, account: str | None, side: str, **given: Any) -> EntryRequest:
    known("user", (owner,), [o.id for o in settings.owners])
    if account is not None:
        known("account", (account,), [a.id for a in settings.accounts])
        if account not in [a.id for a in settings.accounts if a.owner == owner]:
            raise click.UsageError(f"Account {account} does not belong to {owner}")
    return EntryRequest(
        owner=owner,
        symbol=given["symbol"],
        side=OrderSide(side.lower()),
        amount=given["amount"],
        leverage=given["leverage"],
        stop_pct=given["stop_loss"],
        account=account,
    )


def _allowed(session: CommandContext, go: Callable[[], int]) -> int:
    """What the gate refuses is refused: one sentence, its code, and 1."""
    try:
        return go()
    except NotAllowed as refused:
        no = Rejection(refused.code, str(refused))
        if session.json:
            session.document(entry_texts.refused(no))
        session.note(entry_texts.verdict([no]))
        return REMAINED


def _carry(
    session: CommandContext, settings: Settings, asking: Asking, wait: float, *, dry_run: bool, yes: bool
) -> int:
    """From the offer to the exit code."""
    agreed: Offer | None = None
    if not yes or dry_run:
        agreed = session.run(_look(session, settings, asking))
        if not (session.json and dry_run):
            _show(session, agreed)
        if dry_run:
            if session.json:
                session.document(entry_texts.offered(agreed.plan, agreed.draft, dry_run=True))
            session.note("Dry run: nothing was sent.")
            return DONE
        if not _agreed(session, agreed):
            return DECLINED
    while True:
        offer, done = session.run(_act(session, settings, asking, agreed, wait))
        if done is not None:
            return _conclude(session, offer, done)
        session.note("It is no longer what was shown, and nothing was sent; this is what it is now.")
        _show(session, offer)
        if yes or not _agreed(session, offer):
            return REMAINED if yes else DECLINED
        agreed = offer


async def _look(session: CommandContext, settings: Settings, asking: Asking) -> Offer:
    """The offer, by an engine that cannot act."""
    async with session.world.engine(settings, acting=False, on_log=session.log) as engine:
        return await asking(engine)


async def _act(
    session: CommandContext, settings: Settings, asking: Asking, agreed: Offer | None, wait: float
) -> tuple[Offer, Done | None]:
    """Draft again and send it if it is what was agreed to (None: agreed in advance), else only the new offer."""
    async with session.world.engine(settings, acting=True, on_log=session.log) as engine:
        offer = await asking(engine)
        if offer.draft.kind == "close" or (agreed is not None and not offer.same(agreed)):
            return offer, None
        if agreed is None:
            _show(session, offer)
        draft = offer.draft if agreed is None else agreed.draft  # a limit goes at the price that was shown
        closed = None
        if offer.plan is not None and not offer.plan.empty:
            closed = await engine.execute(offer.plan.id, offer.plan.digest)
            if not closed.success:
                return offer, Done(closed)
        try:
            return offer, Done(closed, await engine.opener.carry_out(draft, wait=wait))
        except NotAllowed as refused:
            return offer, Done(closed, None, refused)


def _show(session: CommandContext, offer: Offer) -> None:
    if offer.plan is not None and not offer.plan.empty:
        session.say(output.plan(offer.plan, width=session.width) + "\n")
    session.say(entry_texts.draft(offer.draft))


def _agreed(session: CommandContext, offer: Offer) -> bool:
    """The question, where there is somebody to ask."""
    why = "there is no terminal to ask on; add --yes to go ahead without"
    if session.world.interactive():
        if session.ask(entry_texts.question(offer.draft, closing=offer.plan is not None and not offer.plan.empty)):
            return True
        why = ""
    if session.json:
        session.document({**entry_texts.offered(offer.plan, offer.draft, dry_run=False), "confirmed": False})
    session.note(f"Not confirmed, nothing was sent{': ' + why if why else ''}.")
    return False


def _conclude(session: CommandContext, offer: Offer, done: Done) -> int:
    """Print what came of it, and say it in the exit code."""
    if session.json:
        session.document(entry_texts.ended(offer.plan, offer.draft, done.closed, done.report, done.refused))
    else:
        if done.closed is not None:
            session.say(output.report(done.closed, width=session.width) + "\n")
        if done.report is not None:
            session.say(entry_texts.result(done.report))
    if done.closed is not None and done.report is None:
        why = f": {done.refused}" if done.refused else ", because it is not verified flat"
        session.note(f"What was there was closed first; nothing was opened{why}.")
    elif done.refused is not None:
        session.note(entry_texts.verdict([Rejection(done.refused.code, str(done.refused))]))
    return DONE if done.report is not None and done.report.success else REMAINED

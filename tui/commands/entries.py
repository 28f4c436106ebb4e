"""The commands that open a position, add to it, or take a part off it: check-entry, open, scale.

The command shows the order before it opens anything for writing, as the closing commands do. After a person has agreed,
the engine that acts drafts the order again. If the new draft differs, the command shows it and asks again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, NamedTuple

import click
from msgspec import structs

from core.entries.rules import LIMIT_WAIT, Code, EntryDraft, EntryRequest, NotAllowed, Rejection
from core.link.messages import LIVE_STATES
from core.model import OrderSide
from core.plans.plan import ActionKind, Plan
from core.plans.request import PlanRequest
from core.plans.results import PlanReport
from core.settings import Settings
from core.units import decimal
from tui.commands.option_types import Way
from tui.commands.plans import carry_through
from tui.commands.session import (
    DECLINED,
    DONE,
    REMAINED,
    UNREACHED,
    CommandContext,
    known,
    shared_options,
    with_context,
)
from tui.output import entries
from tui.output.plans import plan_text, report_text


class Number(click.ParamType):
    """Any exact decimal number. The entry gate decides whether the number makes sense."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            return decimal(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Offer(NamedTuple):
    """The offer that is shown and agreed to: a close that comes first, if any, and the order."""

    plan: Plan | None
    draft: EntryDraft

    def same(self, other: Offer) -> bool:
        digests = [o.plan.digest if o.plan else None for o in (self, other)]
        return digests[0] == digests[1] and self.draft.binding() == other.draft.binding()


class Done(NamedTuple):
    """The outcome of an offer: of the close that came first, and of the order if it was sent."""

    closed: PlanReport | None = None
    report: Any = None
    refused: NotAllowed | None = None


Asking = Callable[[Any], Awaitable[Offer]]


def _signalling(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--stop-loss", metavar="PCT", type=Number(), required=True, help="As a fraction: 0.05 is 5 %."),
        click.option("--leverage", metavar="L", type=Number(), required=True, help="From 1 to 125."),
        click.option(
            *("--amount", "--quantity", "amount"),
            metavar="A",
            type=Number(),
            required=True,
            help="Quantity, in the symbol's units.",
        ),
        click.option("--side", type=Way("buy", "sell"), required=True, help="buy or long, sell or short."),
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
@with_context
def check_entry(context: CommandContext, **given: Any) -> int:
    """Ask the gate whether a position may be opened: 0 allowed, 1 refused."""
    settings = context.load_config().settings
    signal = _signal(settings, **given)
    found, reached = context.run_to_end(_check(context, settings, signal))
    if context.json:
        context.print_document(entries.check(signal, found))
    else:
        context.print_text(entries.verdict(found))
    if found and not reached and all(no.code is Code.ACCOUNT_UNREADABLE for no in found):
        return UNREACHED
    return REMAINED if found else DONE


async def _check(context: CommandContext, settings: Settings, signal: EntryRequest) -> tuple[list[Rejection], bool]:
    async with context.environment.engine(settings, acting=False, on_log=context.print_log_row) as engine:
        found = await engine.entry_service.drafts.find_refusals(signal)
        rows = [row for row in engine.snapshot().accounts if row.owner == signal.owner]
        return found, any(row.state in LIVE_STATES and row.as_of is not None for row in rows)


@click.command("open")
@_signalling
@click.option("--limit", is_flag=True, help="A limit order 0.1 % on the passive side, instead of one at the market.")
@click.option(
    "--wait", metavar="SECONDS", type=click.FloatRange(0, 3600), default=LIMIT_WAIT, help="How long a limit may rest."
)
@click.option("--flatten-first", is_flag=True, help="Close what the user holds in the symbol first, verified flat.")
@_confirming
@shared_options
@with_context
def open_position(
    context: CommandContext, *, limit: bool, wait: float, flatten_first: bool, dry_run: bool, yes: bool, **given: Any
) -> int:
    """Open a position, when the gate allows it."""
    settings = context.load_config().settings
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
        return Offer(
            plan, await engine.entry_service.drafts.draft_entry(signal, limit=limit, flatten_first=flatten_first)
        )

    return _allowed(context, lambda: _carry(context, settings, asking, wait, dry_run=dry_run, yes=yes))


@click.command()
@click.option("--account", metavar="ID", required=True, help="The account, owner/name.")
@click.option("--symbol", metavar="S", required=True)
@click.option("--in", "add", metavar="Q", type=Number(), help="Add this much to the position.")
@click.option("--out", "take", metavar="Q", type=Number(), help="Take this much off it; all of it closes it.")
@_confirming
@shared_options
@with_context
def scale(
    context: CommandContext,
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
    settings = context.load_config().settings
    known("account", (account,), [a.id for a in settings.accounts])

    async def asking(engine: Any) -> Offer:
        return Offer(
            None, await engine.entry_service.drafts.draft_scaling(account, symbol, quantity, inward=add is not None)
        )

    def go() -> int:
        draft = context.run_to_end(_look(context, settings, asking)).draft
        if draft.kind == "close":
            for warning in draft.warnings:
                context.print_note(f"Warning: {warning}.")
            context.print_note("That is all of the position, which is closed.")
            return carry_through(context, PlanRequest("flatten", keys=(draft.key,)), dry_run=dry_run, yes=yes)
        return _carry(context, settings, asking, LIMIT_WAIT, dry_run=dry_run, yes=yes)

    return _allowed(context, go)


def _signal(settings: Settings, *, owner: str, account: str | None, side: str, **given: Any) -> EntryRequest:
    known("user", (owner,), [o.id for o in settings.owners])
    if account is not None:
        known("account", (account,), [a.id for a in settings.accounts])
        if account not in [a.id for a in settings.accounts if a.owner == owner]:
            raise click.UsageError(f"Account {account} does not belong to {owner}")
    return EntryRequest(
        owner=owner,
        symbol=given["symbol"],
        side=OrderSide(side),
        amount=given["amount"],
        leverage=given["leverage"],
        stop_pct=given["stop_loss"],
        account=account,
    )


def _allowed(context: CommandContext, go: Callable[[], int]) -> int:
    """Call ``go``; for a refusal of the entry gate print one sentence with its code and return 1."""
    try:
        return go()
    except NotAllowed as refused:
        no = Rejection(refused.code, str(refused))
        if context.json:
            context.print_document(entries.refused(no))
        context.print_note(entries.verdict([no]))
        return REMAINED


UNWATCHED = "no engine is running: nothing watches this stop; start flatdeck run"


def _carry(
    context: CommandContext, settings: Settings, offering: Asking, wait: float, *, dry_run: bool, yes: bool
) -> int:
    """Show the offer, ask, send it, and return the exit code."""
    holder = context.environment.elsewhere(settings)
    watched = holder is not None and holder.watches

    async def asking(engine: Any) -> Offer:
        plan, draft = await offering(engine)
        return Offer(plan, draft if watched else structs.replace(draft, warnings=(*draft.warnings, UNWATCHED)))

    agreed: Offer | None = None
    if not yes or dry_run:
        agreed = context.run_to_end(_look(context, settings, asking))
        if not (context.json and dry_run):
            _show(context, agreed)
        if dry_run:
            if context.json:
                context.print_document(entries.offered(agreed.plan, agreed.draft, dry_run=True))
            context.print_note("Dry run: nothing was sent.")
            return DONE
        if not _agreed(context, agreed):
            return DECLINED
    while True:
        offer, done = context.run_to_end(_act(context, settings, asking, agreed, wait))
        if done is not None:
            return _conclude(context, offer, done)
        context.print_note("It is no longer what was shown, and nothing was sent; this is what it is now.")
        _show(context, offer)
        if yes or not _agreed(context, offer):
            return REMAINED if yes else DECLINED
        agreed = offer


async def _look(context: CommandContext, settings: Settings, asking: Asking) -> Offer:
    """Return the offer, drafted by an engine that cannot act."""
    async with context.environment.engine(settings, acting=False, on_log=context.print_log_row) as engine:
        return await asking(engine)


async def _act(
    context: CommandContext, settings: Settings, asking: Asking, agreed: Offer | None, wait: float
) -> tuple[Offer, Done | None]:
    """Draft again and send the draft if it equals what was agreed to; else return only the new offer.

    ``agreed`` is None if the person agreed in advance.
    """
    async with context.environment.engine(settings, acting=True, on_log=context.print_log_row) as engine:
        offer = await asking(engine)
        if offer.draft.kind == "close" or (agreed is not None and not offer.same(agreed)):
            return offer, None
        if agreed is None:
            _show(context, offer)
        draft = offer.draft if agreed is None else agreed.draft  # a limit goes at the price that was shown
        closed, approver = None, context.approver(yes=agreed is None)
        if offer.plan is not None and not offer.plan.empty:
            closed = await engine.execute(offer.plan.id, offer.plan.digest, approver)
            if not closed.success:
                return offer, Done(closed)
        try:
            return offer, Done(closed, await engine.entry_service.carry_out(draft, approver, wait=wait))
        except NotAllowed as refused:
            return offer, Done(closed, None, refused)


def _show(context: CommandContext, offer: Offer) -> None:
    if offer.plan is not None and not offer.plan.empty:
        context.print_text(plan_text(offer.plan, width=context.width) + "\n")
    context.print_text(entries.draft(offer.draft))


def _agreed(context: CommandContext, offer: Offer) -> bool:
    """Ask the question if there is a terminal to ask on."""
    why = "there is no terminal to ask on; add --yes to go ahead without"
    if context.environment.interactive():
        if context.confirm(entries.question(offer.draft, closing=offer.plan is not None and not offer.plan.empty)):
            return True
        why = ""
    if context.json:
        context.print_document({**entries.offered(offer.plan, offer.draft, dry_run=False), "confirmed": False})
    context.print_note(f"Not confirmed, nothing was sent{': ' + why if why else ''}.")
    return False


def _conclude(context: CommandContext, offer: Offer, done: Done) -> int:
    """Print the outcome and return the exit code."""
    if context.json:
        context.print_document(entries.ended(offer.plan, offer.draft, done.closed, done.report, done.refused))
    else:
        if done.closed is not None:
            context.print_text(report_text(done.closed, width=context.width) + "\n")
        if done.report is not None:
            context.print_text(entries.result(done.report))
    if done.closed is not None and done.report is None:
        why = f": {done.refused}" if done.refused else ", because it is not verified flat"
        context.print_note(f"What was there was closed first; nothing was opened{why}.")
    elif done.refused is not None:
        context.print_note(entries.verdict([Rejection(done.refused.code, str(done.refused))]))
    return DONE if done.report is not None and done.report.success else REMAINED

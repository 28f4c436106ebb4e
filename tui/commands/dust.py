"""``dust``: convert, by the venue's own conversion, the amounts that the venue's rules keep from being sold.

A conversion cannot be taken back. Therefore ``dust`` is a command of its own and never a part of another command. The
command shows the conversions before it opens anything for writing. After a person has agreed, it reads the amounts
again right before it sends them. An amount that has changed is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import click

from core.closing.convert_dust import REMEMBERED, ConversionChanged, ConversionReport, DustConverter, unsettled
from core.errors import FlatdeckError, Refusal, Refused
from core.journal.query import EntryFilter
from core.plans.approver import Approver
from core.plans.conversion import Conversion, ConversionOffer, ConversionOutcome, Converted, Converter
from core.records import Record
from core.settings import AccountSettings, Settings
from core.units import plain
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
from tui.output.dust import NO_CONVERSION, Preview, dust_document, dust_question, preview_text, results_text

MOST_CONVERSIONS = 10_000  # records that are read of the last days
LOOK_SECONDS = 30.0  # seconds for one account's preview


@click.command()
@click.option("--user", "owners", metavar="ID", multiple=True, help="Only this user, or platform. Repeatable.")
@click.option("--account", "accounts", metavar="ID", multiple=True, help="Only this account, owner/name. Repeatable.")
@click.option("--into", metavar="ASSET", help="Convert into this, where the venue lets one choose.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be converted and end there.")
@shared_options
@with_context
def dust(
    context: CommandContext,
    *,
    owners: tuple[str, ...],
    accounts: tuple[str, ...],
    into: str | None,
    yes: bool,
    dry_run: bool,
) -> int:
    """Convert what the venue's rules keep from being sold.

    Only where the venue has a conversion of its own. It costs a fee, about 2 %, and cannot be taken back.
    """
    settings = context.load_config().settings
    known("user", owners, [owner.id for owner in settings.owners])
    known("account", accounts, [account.id for account in settings.accounts])
    asked = [a for a in settings.accounts if (not owners or a.owner in owners) and (not accounts or a.id in accounts)]
    if not asked and settings.accounts:
        raise click.UsageError(f"{', '.join(owners)} has no account that was asked for; name one or the other")
    into = into.upper() if into else None
    found = context.run_to_end(_look(context, settings, asked, into))
    if not (context.json and dry_run):
        context.print_text(preview_text(found, context.width))
    if dry_run:
        if context.json:
            context.print_document(dust_document(found, {}, dry_run=True))
        context.print_note("Dry run: nothing was converted.")
        return _code(context, found, {})
    if any(p.conversions for p in found) and not yes and not _agreed(context, found):
        return DECLINED
    ended: Mapping[str, Sequence[Converted]] = {}
    if any(p.conversions or p.open for p in found):
        ended = context.run_to_end(_act(context, settings, found, into, context.approver(yes=yes)))
        if not context.json:
            context.print_text("\n" + results_text(ended, context.width))
    if context.json:
        context.print_document(dust_document(found, ended, dry_run=False))
    return _code(context, found, ended)


async def _look(
    context: CommandContext, settings: Settings, accounts: Sequence[AccountSettings], into: str | None
) -> list[Preview]:
    """Return each account's dust, read by an engine that can only read."""
    frozen = await context.environment.frozen(settings)
    since = context.environment.clock.now() - REMEMBERED
    async with context.environment.journal_reader(settings) as reader:
        asked = EntryFilter(since=since, kinds=("conversion_asked", "conversion_answered"))
        records = [entry.record for entry in await reader.entries(asked, limit=MOST_CONVERSIONS)]
    each = (_preview(context, settings, a, into, frozen.get(a.id), records) for a in accounts)
    return list(await asyncio.gather(*each))


async def _preview(
    context: CommandContext,
    settings: Settings,
    account: AccountSettings,
    into: str | None,
    frozen: str | None,
    records: Sequence[Record],
) -> Preview:
    """Return one account's dust. A failure to read this account does not affect the other accounts."""
    try:
        async with _converting(context, settings, account) as (way_out, converter):
            if converter is None:
                return Preview(account.id, way_out=way_out)
            left = unsettled(records, account.id)
            open_ = tuple(dict.fromkeys(c.asset for asked, _ in left for c in asked.conversions))
            if frozen is not None:
                return Preview(account.id, error=_frozen(account.id, frozen), way_out=way_out, converts=True)
            async with asyncio.timeout(LOOK_SECONDS):
                offered = tuple(await converter.conversions(into))
            return Preview(account.id, way_out=way_out, conversions=offered, open=open_, converts=True)
    except FlatdeckError as error:
        answered = isinstance(error, Refused) and error.refusal is Refusal.UNSUPPORTED
        return Preview(account.id, error=str(error), read=answered)
    except TimeoutError:
        return Preview(account.id, error=f"no complete answer within {LOOK_SECONDS:g} seconds", read=False)


@asynccontextmanager
async def _converting(
    context: CommandContext, settings: Settings, account: AccountSettings
) -> AsyncIterator[tuple[str, Converter | None]]:
    """Yield the account's way out of dust, connected, and its converter if the venue has one."""
    broker = context.environment.broker(settings, account)
    try:
        if not isinstance(broker, ConversionOffer) or broker.converter is None:
            yield (broker.way_out if isinstance(broker, ConversionOffer) else ""), None
            return
        async with asyncio.timeout(LOOK_SECONDS):
            await broker.connect()
        yield broker.way_out, broker.converter
    finally:
        await broker.aclose()


async def _act(
    context: CommandContext, settings: Settings, found: Sequence[Preview], into: str | None, approver: Approver
) -> dict[str, list[Converted]]:
    """Convert what was agreed to, under the lock of the data directory. Return the outcomes per account."""
    accounts = {account.id: account for account in settings.accounts}
    meant = [p for p in found if p.conversions or p.open]
    async with context.environment.journal(settings) as (journal, ids):
        frozen = await journal.frozen()

        async def one(agreed: Preview) -> list[Converted]:
            if agreed.account in frozen:
                return _none(agreed.conversions, _frozen(agreed.account, frozen[agreed.account]))
            try:
                async with _converting(context, settings, accounts[agreed.account]) as (_, converter):
                    if converter is None:
                        return _none(agreed.conversions, NO_CONVERSION)
                    way = DustConverter(agreed.account, converter, journal, context.environment.clock, ids, approver)
                    return _ended(await way.carry_out(agreed.conversions, into))
            except FlatdeckError as error:
                return _none(agreed.conversions, f"not sent: {error}")
            except TimeoutError:
                return _none(agreed.conversions, "not sent: the venue could not be reached in time")

        try:
            ended = await asyncio.gather(*(one(p) for p in meant))
        except asyncio.CancelledError:
            context.print_note(
                "Interrupted while converting: the journal has what was asked for; flatdeck dust looks it up."
            )
            raise
    return {p.account: some for p, some in zip(meant, ended, strict=True)}


def _ended(done: ConversionReport) -> list[Converted]:
    """Return the outcomes of earlier requests and of these requests, and the conversions that were left alone."""
    return [*done.earlier, *done.results, *(_left(c) for c in done.changed)]


def _left(changed: ConversionChanged) -> Converted:
    shown, now = changed.agreed, changed.now
    if shown is None:
        assert now is not None
        return Converted(
            now.asset, now.quantity, ConversionOutcome.REFUSED, error="new since the preview; not converted"
        )
    if now is None:
        text = "no longer there to be converted"
    elif now.quantity != shown.quantity:
        text = f"now it is {plain(now.quantity)}; not converted"
    else:
        text = "it would get less than was shown; not converted"
    return Converted(changed.asset, shown.quantity, ConversionOutcome.REFUSED, error=text)


def _none(conversions: Sequence[Conversion], why: str) -> list[Converted]:
    return [Converted(c.asset, c.quantity, ConversionOutcome.REFUSED, error=why) for c in conversions]


def _frozen(account: str, why: str) -> str:
    return f"it is frozen ({why}); look at it, then run flatdeck thaw {account}"


def _agreed(context: CommandContext, found: Sequence[Preview]) -> bool:
    """Ask the question if there is a terminal to ask on."""
    why = ": there is no terminal to ask on; add --yes to go ahead without"
    if context.environment.interactive():
        if context.confirm(dust_question(found)):
            return True
        why = ""
    if context.json:
        context.print_document(dust_document(found, {}, dry_run=False, confirmed=False))
    context.print_note(f"Not confirmed, nothing was converted{why}.")
    return False


def _code(context: CommandContext, found: Sequence[Preview], ended: Mapping[str, Sequence[Converted]]) -> int:
    """Return 0 if every possible conversion was done, 4 if no account that was asked answered, else 1."""
    asked = [p for p in found if p.converts or not p.read]
    if asked and not any(p.read for p in asked):
        context.print_note(f"No account could be reached; {asked[0].account}: {asked[0].error}")
        return UNREACHED
    left = any(r.outcome is not ConversionOutcome.CONVERTED for some in ended.values() for r in some)
    return REMAINED if left or any(p.error for p in found) else DONE

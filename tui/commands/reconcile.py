"""``reconcile``: compare the brokers' positions with the journal's; the brokers are right."""

from __future__ import annotations

from typing import Any

import click

from core.settings import Settings
from tui.commands.session import DONE, REMAINED, UNREACHED, CommandContext, shared_options, with_context
from tui.output import entries


@click.command()
@click.option("--dry-run", is_flag=True, help="Compare and change nothing.")
@shared_options
@with_context
def reconcile(context: CommandContext, *, dry_run: bool) -> int:
    """Compare with the brokers, and make the journal say what they say.

    Exits with 0 when nothing differed, else with 1.
    """
    settings = context.load_config().settings
    compared = context.run_to_end(_compare(context, settings, acting=not dry_run))
    found, unread = compared.found, compared.unread
    if context.json:
        context.print_document(entries.reconciled(found, unread, context.environment.clock.now(), dry_run=dry_run))
    else:
        context.print_text(entries.discrepancies(found, unread, context.width))
    if found:
        said = "Dry run: the journal was left as it is." if dry_run else "The journal now says what the brokers say."
        context.print_note(said)
    if settings.accounts and len(unread) == len(settings.accounts):
        context.print_note("No account could be reached.")
        return UNREACHED
    return REMAINED if found or unread else DONE


async def _compare(context: CommandContext, settings: Settings, *, acting: bool) -> Any:
    async with context.environment.engine(settings, acting=acting, on_log=context.print_log_row) as engine:
        return await engine.reconciliation.reconcile()

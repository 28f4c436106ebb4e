"""``reconcile``: what the brokers hold against what the journal believes; broker truth wins."""

from __future__ import annotations

from typing import Any

import click

from core.settings import Settings
from tui.commands.session import DONE, REMAINED, UNREACHED, CommandContext, shared_options, with_session
from tui.output import entries as entry_texts


@click.command()
@click.option("--dry-run", is_flag=True, help="Compare and change nothing.")
@shared_options
@with_session
def reconcile(session: CommandContext, *, dry_run: bool) -> int:
    """Compare with the brokers, and make the journal say what they say.

    Exits with 0 when nothing differed, else with 1.
    """
    settings = session.load().settings
    compared = session.run(_compare(session, settings, acting=not dry_run))
    found, unread = compared.found, compared.unread
    if session.json:
        session.document(entry_texts.reconciled(found, unread, session.world.clock.now(), dry_run=dry_run))
    else:
        session.say(entry_texts.discrepancies(found, unread, session.width))
    if found:
        said = "Dry run: the journal was left as it is." if dry_run else "The journal now says what the brokers say."
        session.note(said)
    if settings.accounts and len(unread) == len(settings.accounts):
        session.note("No account could be reached.")
        return UNREACHED
    return REMAINED if found or unread else DONE


async def _compare(session: CommandContext, settings: Settings, *, acting: bool) -> Any:
    async with session.world.engine(settings, acting=acting, on_log=session.log) as engine:
        return await engine.reconciler.reconcile()

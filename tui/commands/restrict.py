"""``halt``, ``resume`` and ``account``: hold back new risk, and allow it again. They ask nothing.

Closing, cancelling and exits are never held back. The journal keeps each restriction, so that it outlasts a restart.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from core.plans.approver import UNASKED
from core.records import ACCOUNT_STATES, ENABLED
from core.settings import Settings
from core.units import iso
from tui.commands.moments import Until
from tui.commands.session import DONE, CommandContext, known, shared_options, with_context
from tui.operator import approver
from tui.output import accounts as documents
from tui.present.labels import halted_words, restricted_words
from tui.present.sanitize import sanitize

if TYPE_CHECKING:
    from tui.commands.restrictions import Switch

GOES_ON = "No entry is sent; closing, cancelling and exits go on"


def _restrictions(context: CommandContext, settings: Settings) -> AbstractAsyncContextManager[Switch]:
    from tui.commands.restrictions import restrictions  # noqa: PLC0415  (the journal, not for --help)

    return restrictions(context, settings)


def _reason(value: str) -> str:
    return sanitize(" ".join(value.split()))


@click.command()
@click.option("--reason", metavar="TEXT", default="", help="Why, for everyone who reads the status.")
@shared_options
@with_context
def halt(context: CommandContext, *, reason: str) -> int:
    """The kill switch: send no entry from now on, until resume.

    While halted, open, scale --in and check-entry are refused. Closing, cancelling and exits go on as always. A stop of
    yours that a close cancelled is not put back if it could open a position. The halt outlasts a restart.
    """
    settings = context.load_config().settings
    who = approver(context.environment.env, UNASKED, context.args)

    async def work() -> int:
        async with _restrictions(context, settings) as switch:
            began, halted = await switch.halt(_reason(reason), who)
            if context.json:
                context.print_document({"halted": documents.halted(halted), "changed": began})
            since = f" (by {halted.by} since {iso(halted.since)})" if halted and not began else ""
            words = halted_words(halted) if halted else "Halted, and resumed by somebody since"
            context.print_text(f"{words}{since}. {GOES_ON}. `flatdeck resume` allows entries again.")
            return DONE

    return context.run_to_end(work())


@click.command()
@shared_options
@with_context
def resume(context: CommandContext) -> int:
    """Allow entries again after a halt."""
    settings = context.load_config().settings
    who = approver(context.environment.env, UNASKED, context.args)

    async def work() -> int:
        async with _restrictions(context, settings) as switch:
            ended = await switch.resume(who)
            if context.json:
                context.print_document({"halted": None, "changed": ended})
            context.print_text("Resumed: entries are allowed again." if ended else "Trading was not halted.")
            return DONE

    return context.run_to_end(work())


@click.command()
@click.argument("account", metavar="ACCOUNT")
@click.argument("state", type=click.Choice(ACCOUNT_STATES))
@click.option("--until", metavar="T", type=Until(), help="It ends by itself then: 2h, 3d, 18:00, tomorrow, 2026-12-31.")
@click.option("--reason", metavar="TEXT", default="", help="Why, for everyone who reads the status.")
@shared_options
@with_context
def account(context: CommandContext, *, account: str, state: str, until: datetime | None, reason: str) -> int:
    """Let an account only close, lock it, or enable it again.

    At an account that is close-only or locked no position is opened and none is added to; the refusals carry the code
    close_only or locked. Closing, cancelling and exits go on as always. The state outlasts a restart.
    """
    settings = context.load_config().settings
    known("account", (account,), [a.id for a in settings.accounts])
    if until is not None and state == ENABLED:
        raise click.UsageError("--until ends close-only or locked by itself; an enabled account needs no end")
    who = approver(context.environment.env, UNASKED, context.args)

    async def work() -> int:
        async with _restrictions(context, settings) as switch:
            row = await switch.set_account(account, state, _reason(reason), until, who)
            if context.json:
                context.print_document({"account": account, "trading": documents.trading(row)})
            words = restricted_words(row)
            context.print_text(f"{account} is {words}. {GOES_ON}." if words else f"{account} is enabled.")
            return DONE

    return context.run_to_end(work())

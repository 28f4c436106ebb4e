"""``thaw``: let a frozen account be acted on again after a person has looked at it."""

from __future__ import annotations

import click

from tui.commands.session import DECLINED, DONE, CommandContext, known, shared_options, with_context


@click.command()
@click.argument("account", required=False)
@click.option("--account", "named", metavar="ID", help="The account, owner/name, as in the other commands.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@shared_options
@with_context
def thaw(context: CommandContext, *, account: str | None, named: str | None, yes: bool) -> int:
    """Let a frozen account be acted on again, once you looked at it at the venue.

    An account is frozen when something was seen that must never be, such as an order that another flatdeck placed.
    """
    if (account is None) == (named is None):
        raise click.UsageError("thaw needs one account, like: flatdeck thaw user_123/coinbase")
    account = account or named or ""
    settings = context.load_config().settings
    known("account", (account,), [a.id for a in settings.accounts])
    why = context.run_to_end(context.environment.frozen(settings)).get(account)
    if why is None:
        context.print_text(f"{account} is not frozen.")
        return DONE
    context.print_note(f"{account} is frozen: {why}")
    if not yes:
        if not context.environment.interactive():
            context.print_note("Not confirmed, it stays frozen: there is no terminal to ask on; add --yes.")
            return DECLINED
        if not context.confirm("Did you look at its positions and orders at the venue, and may it be acted on again?"):
            context.print_note("Not confirmed, it stays frozen.")
            return DECLINED
    context.run_to_end(context.environment.thaw(settings, account, context.approver(yes=yes)))
    context.print_text(f"{account} may be acted on again.")
    return DONE

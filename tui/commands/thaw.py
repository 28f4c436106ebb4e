"""``thaw``: a person looked at a frozen account, and it may be acted on again."""

from __future__ import annotations

import click

from tui.commands.session import DECLINED, DONE, CommandContext, known, shared_options, with_session


@click.command()
@click.argument("account")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@shared_options
@with_session
def thaw(session: CommandContext, *, account: str, yes: bool) -> int:
    """Let a frozen account be acted on again, once you looked at it at the venue.

    An account is frozen when something was seen that must never be, such as an order that another flatdeck placed.
    """
    settings = session.load().settings
    known("account", (account,), [a.id for a in settings.accounts])
    why = session.run(session.world.frozen(settings)).get(account)
    if why is None:
        session.say(f"{account} is not frozen.")
        return DONE
    session.note(f"{account} is frozen: {why}")
    if not yes:
        if not session.world.interactive():
            session.note("Not confirmed, it stays frozen: there is no terminal to ask on; add --yes.")
            return DECLINED
        if not session.ask("Did you look at its positions and orders at the venue, and may it be acted on again?"):
            session.note("Not confirmed, it stays frozen.")
            return DECLINED
    session.run(session.world.thaw(settings, account))
    session.say(f"{account} may be acted on again.")
    return DONE

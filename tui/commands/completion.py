"""Shell completion: its script, and the values that options complete: users, accounts, symbols, plans, kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from tui.commands.session import DONE, Environment, shared_options
from tui.output import documents

_VALUES = {  # the name of a parameter → what it names
    "owner": "user",
    "owners": "user",
    "account": "account",
    "accounts": "account",
    "named": "account",
    "symbol": "symbol",
    "symbols": "symbol",
    "plan": "plan",
    "plans": "plan",
    "kinds": "kind",
}


class Named(click.ParamType):
    """A text that names something that the configuration or the journal knows."""

    name = "text"

    def __init__(self, what: str) -> None:
        self._what = what

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin with ``incomplete``. A shell gets no error: then it gets no name."""
        environment: Any = ctx.find_object(object)
        try:
            found = _names(environment, ctx.meta.get("config"), self._what, incomplete)
        except Exception:  # noqa: BLE001  (an error's text would land in the command line)
            return []
        return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]


def _names(environment: Environment, config: str | None, what: str, begin: str) -> Iterable[str]:
    if what == "kind":
        return documents.journal_kinds()
    loaded = environment.load(config)
    if loaded is None:
        return ()
    settings = loaded.settings
    if what == "user":
        return [owner.id for owner in settings.owners]
    if what == "account":
        return [account.id for account in settings.accounts]

    async def read() -> Sequence[str]:
        async with environment.journal_reader(settings) as reader:
            return await reader.names(what, begin)

    return asyncio.run(read())


def complete_values(command: click.Command) -> click.Command:
    """Give the command's options the values that a shell can complete."""
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        complete_values(inner)
    for param in command.params:
        what = _VALUES.get(param.name or "")
        if what and param.type is click.STRING:
            param.type = Named(what)
    return command


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@shared_options
def completion(shell: str) -> int:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415  (only here)

    root = click.get_current_context().find_root()
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(root.command, {}, "flatdeck", "_FLATDECK_COMPLETE").source())
    return DONE

"""The commands about files, and those of the paper broker: ``init``, ``paper example``, ``paper reset``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click

from core.errors import ConfigError
from tui.commands.session import DECLINED, DONE, CommandContext, known, shared_options, with_context


@click.command()
@shared_options
@with_context
def init(context: CommandContext) -> int:
    """Write a commented configuration."""
    from core.config.load import defaults_commented  # noqa: PLC0415  (only here)

    path = context.environment.new_config(context.config)
    _write_new(path, defaults_commented())
    if context.json:
        context.print_document({"path": str(path)})
    else:
        context.print_text(f"Wrote {path}. Fill in your accounts, then try them with: flatdeck check")
    return DONE


def _write_new(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; ConfigError if the file exists."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        text = f"{path} is already there and was left alone; move it away, or name another with --config"
        raise ConfigError(text) from None
    except OSError as error:
        why = error.strerror or "unknown reason"
        raise ConfigError(f"{path} cannot be written ({why}); name another place with --config") from error


@click.group()
@shared_options
def paper() -> None:
    """What concerns the embedded paper broker."""


@paper.command("example")
@shared_options
@with_context
def paper_example(context: CommandContext) -> int:
    """Print a complete book for a paper account, ready to be changed.

    docs/paper.md explains every key. Example: flatdeck paper example > positions.json
    """
    from brokers.paper.options import example_book  # noqa: PLC0415  (only here)

    click.echo(example_book().rstrip())
    return DONE


@paper.command()
@click.option("--account", "accounts", metavar="ID", multiple=True, help="Only this account, owner/name. Repeatable.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@shared_options
@with_context
def reset(context: CommandContext, *, accounts: tuple[str, ...], yes: bool) -> int:
    """Forget what paper accounts did, so that they start from their books again."""
    settings = context.load_config().settings
    papers = [account for account in settings.accounts if account.broker == "paper"]
    known("paper account", accounts, [account.id for account in papers])
    chosen = [account for account in papers if not accounts or account.id in accounts]
    names = ", ".join(account.id for account in chosen)
    if chosen and not yes:
        if not context.environment.interactive():
            context.print_note(f"Not confirmed, {names} left alone: there is no terminal to ask on; add --yes.")
            return DECLINED
        if not context.confirm(f"Forget what {names} did and start from the book again?"):
            context.print_note("Not confirmed, nothing was forgotten.")
            return DECLINED
    context.run_to_end(context.environment.reset_paper(settings, chosen))
    if context.json:
        context.print_document({"reset": [account.id for account in chosen]})
    else:
        context.print_text(f"Started anew: {names}" if chosen else "No paper account is configured.")
    return DONE


def read_price_files(files: Sequence[str]) -> dict[str, tuple[str, Decimal]]:
    """Return the price files by the symbol in their name, each with its absolute path and its first price."""
    from brokers.paper.price_replay import read_rows  # noqa: PLC0415  (only the demo)

    found: dict[str, tuple[str, Decimal]] = {}
    for name in files:
        path = Path(name).expanduser().absolute()
        try:
            rows = read_rows(path.read_text(encoding="utf-8").splitlines(), name)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ConfigError(f"Price file {name} cannot be read ({why}); name a CSV file") from None
        found[path.name.split("-1m")[0].removesuffix(".csv")] = str(path), rows[0].prices[0]
    return found

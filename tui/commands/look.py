"""The commands that only read: status, check, config."""

from __future__ import annotations

import asyncio

import click

from core.errors import FlatdeckError, MissingCredentials, Refusal, Refused
from core.link.messages import LIVE_STATES, Snapshot
from core.ports import Broker, Check
from core.settings import AccountSettings, Settings, settings_digest
from tui.commands.session import (
    DONE,
    REMAINED,
    UNREACHED,
    USAGE,
    CommandContext,
    known,
    no_configuration,
    shared_options,
    with_context,
)
from tui.commands.symbols import refuse_unheld_symbols
from tui.output import documents
from tui.output.columns import columns
from tui.output.plans import status_text
from tui.output.problems import problems
from tui.output.selection import Selection, selected
from tui.present.sanitize import sanitize

CHECK_SECONDS = 30.0  # seconds for all checks of one account
_MARKS = {True: "ok", False: "WRONG", None: "unknown"}

Checked = tuple[str, str, str | None, list[Check]]


@click.command()
@click.option("--check", "judged", is_flag=True, help="End with 1 when something must be looked at, and say what.")
@click.option("--user", "owners", metavar="ID", multiple=True, help="Only this user, or platform. Repeatable.")
@click.option("--account", "accounts", metavar="ID", multiple=True, help="Only this account, owner/name. Repeatable.")
@click.option("--symbol", "symbols", metavar="S", multiple=True, help="Only this symbol. Repeatable.")
@shared_options
@with_context
def status(context: CommandContext, *, judged: bool, **names: tuple[str, ...]) -> int:
    """Show accounts, owners, positions, stops and closings."""
    settings, wanted = context.load_config().settings, Selection(**names)
    known("user", wanted.owners, [owner.id for owner in settings.owners])
    known("account", wanted.accounts, [account.id for account in settings.accounts])
    whole, reached = context.run_to_end(look(context, settings))
    refuse_unheld_symbols(whole, wanted.symbols)
    snapshot = selected(whole, settings, wanted)
    if wanted != Selection():
        reached = sum(row.state in LIVE_STATES for row in snapshot.accounts)
    elsewhere = context.environment.elsewhere(settings)
    found = problems(snapshot, elsewhere)
    if elsewhere and elsewhere.settings not in ("", settings_digest(settings)):
        old = f"the configuration changed after the engine (pid {elsewhere.pid}) started; the engine uses the old one"
        found.insert(0, old)
    if context.json:
        context.print_document({**documents.status(snapshot, elsewhere), "problems": found})
    else:
        context.print_text(status_text(snapshot, elsewhere, width=context.width))
    for text in found if judged or (elsewhere and found) else ():
        context.print_note(text)
    if settings.accounts and not reached:
        context.print_note(f"No account could be reached; {_first_error(snapshot)}")
        return UNREACHED
    return REMAINED if judged and found else DONE


async def look(context: CommandContext, settings: Settings) -> tuple[Snapshot, int]:
    """Return a snapshot by an engine that cannot act, and the number of accounts that could be read."""
    async with context.environment.engine(settings, acting=False) as engine:
        return engine.snapshot(), engine.reached()


def _first_error(snapshot: Snapshot) -> str:
    row = next((row for row in snapshot.accounts if row.error), None)
    return f"{row.id}: {row.error}" if row else "none of them said why; flatdeck check tries each"


@click.command()
@shared_options
@with_context
def check(context: CommandContext) -> int:
    """Try every account and the journal, and say what is wrong."""
    settings = context.load_config().settings
    found, journal = context.run_to_end(_check_all(context, settings))
    if context.json:
        context.print_document(documents.check(found, journal))
    else:
        context.print_text(_check_text(found, journal, context.width))
    if not found:
        context.print_note("There is nothing to check; add an account to the configuration.")
        return USAGE
    if not any(error is None or checks for *_, error, checks in found):
        context.print_note("No account could be reached.")
        return UNREACHED
    trials = [journal, *(trial for *_, checks in found for trial in checks)]
    wrong = any(error is not None for *_, error, _ in found) or any(trial.ok is False for trial in trials)
    return REMAINED if wrong else DONE


async def _check_all(context: CommandContext, settings: Settings) -> tuple[list[Checked], Check]:
    found = await asyncio.gather(*(_check(context, settings, account) for account in settings.accounts))
    return list(found), await context.environment.check_journal(settings)


async def _check(context: CommandContext, settings: Settings, account: AccountSettings) -> Checked:
    """Try one account. A failure to reach this account does not affect the other accounts."""
    try:
        broker = context.environment.broker(settings, account)
    except FlatdeckError as error:
        return account.id, account.venue, str(error), _credentials(error)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await broker.connect()
            return account.id, account.venue, None, [*await broker.check(), *protected(settings, broker)]
    except FlatdeckError as error:
        return account.id, account.venue, str(error), _credentials(error)
    except TimeoutError:
        return account.id, account.venue, f"no complete answer within {CHECK_SECONDS:g} seconds", []
    finally:
        await broker.aclose()


def _credentials(error: FlatdeckError) -> list[Check]:
    """Return the failed check of the credentials, if it is the credentials that keep an account from being reached."""
    wrong = isinstance(error, MissingCredentials) or (isinstance(error, Refused) and error.refusal is Refusal.AUTH)
    return [Check("credentials", ok=False, text=str(error))] if wrong else []


def protected(settings: Settings, broker: Broker) -> list[Check]:
    """Return whether this account's venue offers the resting stops that the configuration asks for."""
    if not settings.protect.enabled:
        return []
    if not broker.capabilities.protective_stops:
        text = "[protect] is on, and the venue has no resting stops: here only this machine watches the stops"
        return [Check("protective stops", ok=False, text=text)]
    text = "a stop rests behind each software stop where it cannot open a position; status says of each"
    return [Check("protective stops", ok=True, text=text)]


def _check_text(found: list[Checked], journal: Check, width: int | None) -> str:
    rows = [("account", "broker", "check", "", "what was found")]
    for account, broker, error, checks in found:
        if error is not None and not checks:
            rows.append((account, broker, "reach", _MARKS[False], error))
        rows += [(account, broker, trial.name, _MARKS[trial.ok], trial.text) for trial in checks]
    rows.append(("", "", journal.name, _MARKS[journal.ok], journal.text))
    return "\n".join([*([] if found else ["No account is configured."]), *columns(rows, width=width)])


@click.command()
@click.option("--changed", is_flag=True, help="Only what is set somewhere, without the defaults.")
@shared_options
@with_context
def config(context: CommandContext, *, changed: bool) -> int:
    """Show every setting and where it came from."""
    from core.config import load  # noqa: PLC0415  (reads the schema)

    loaded = context.environment.load(context.config)
    if loaded is None:
        context.print_note(f"{no_configuration()}. These are the defaults.")
        loaded = load.load(None, context.environment.env)
    if context.json:
        settings = {
            key: {"value": origin.value, "source": origin.source, "where": origin.where}
            for key, origin in load.origins(loaded, changed=changed).items()
        }
        context.print_document({"path": str(loaded.path) if loaded.path else None, "settings": settings})
        return DONE
    context.print_text(f"# {sanitize(loaded.path or 'no file, defaults only')}")
    rows = [("setting", "value", "from"), *load.describe(loaded, changed=changed)]
    context.print_text("\n".join(columns(rows, longest=None)))
    return DONE

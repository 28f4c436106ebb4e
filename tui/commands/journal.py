"""``journal``: read the audit trail."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import click

from core.entries.rules import same_symbol
from core.journal.data_dir import DataDir
from core.journal.query import EntryFilter
from core.records import Entry
from core.settings import Settings
from tui.commands.journal_files import NewFile, export_entries
from tui.commands.moments import Moment, utc_note
from tui.commands.session import DONE, CommandContext, JournalReader, known, shared_options, with_context
from tui.output import documents
from tui.present.sanitize import sanitize

POLL_SECONDS = 0.5  # seconds between two reads of a followed journal
NAMED = 5  # names in the answer to a name that fits several or none
PAGE = 1000  # entries of one read


@click.command()
@click.option("--follow", is_flag=True, help="Go on printing records as they are written.")
@click.option(
    "--since", metavar="T", type=Moment(), help="From this time on: 2h, 1h30m, yesterday, 2026-11-30, 00:10 (UTC)."
)
@click.option("--until", metavar="T", type=Moment(end=True), help="Up to this time; a day counts to its end.")
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="The last N records only.")
@click.option("--user", "owners", metavar="ID", multiple=True, help="Records of this user's accounts. Repeatable.")
@click.option("--account", "accounts", metavar="ID", multiple=True, help="Records of this account. Repeatable.")
@click.option("--symbol", "symbols", metavar="S", multiple=True, help="Records of this symbol. Repeatable.")
@click.option("--plan", "plans", metavar="ID", multiple=True, help="Records of this plan, or the start of its id.")
@click.option("--kind", "kinds", metavar="K", multiple=True, help="Records of this kind only. Repeatable.")
@click.option(
    "--export", metavar="FILE", type=NewFile(".jsonl", ".csv"), help="Write the records to a new file, .jsonl or .csv."
)
@click.option(
    "--backup", metavar="FILE", type=NewFile(), help="Copy the whole journal to a new file, while an engine runs, too."
)
@shared_options
@with_context
def journal(
    context: CommandContext,
    *,
    follow: bool,
    since: datetime | None,
    until: datetime | None,
    last: int | None,
    export: Path | None,
    backup: Path | None,
    kinds: tuple[str, ...],
    **names: tuple[str, ...],
) -> int:
    """Read the audit trail. All times are UTC."""
    known_kinds = documents.journal_kinds()
    for kind in kinds:
        if kind not in known_kinds:
            raise click.UsageError(f"There is no kind {kind!r} of record; known: {', '.join(known_kinds)}")
    if until is not None and follow:
        raise click.UsageError("--follow waits for later records and --until leaves them out; give one of the two")
    if since is not None and until is not None and until < since:
        raise click.UsageError(f"--until is before --since: {utc_note(since, until)}")
    if export and (follow or backup):
        raise click.UsageError("--export goes neither with --follow nor with --backup")
    settings = context.load_config().settings
    if backup:
        from core.journal.backup import back_up  # noqa: PLC0415

        count = back_up(DataDir(Path(settings.engine.data_dir)).journal, backup)
        context.print_note(f"{backup} has the journal's {count} records.")
        return DONE
    if since or until:
        context.print_note(utc_note(since, until))
    where = EntryFilter(since, until, kinds, **names)
    if export:
        context.run_to_end(_export(context, settings, where, last, export))
    else:
        context.run_to_end(_print(context, settings, where, last, follow))
    return DONE


async def _export(
    context: CommandContext, settings: Settings, where: EntryFilter, last: int | None, file: Path
) -> None:
    async with context.environment.journal_reader(settings) as reader:
        where = await _named(reader, settings, where, False)
        count = await export_entries(file, _entries(context, reader, where, last, False))
    context.print_note(f"{file} has {count} records.")


async def _print(
    context: CommandContext, settings: Settings, where: EntryFilter, last: int | None, follow: bool
) -> None:
    """Print the records. Without ``follow`` there is one JSON document; with it, one document a line."""
    found = []
    async with context.environment.journal_reader(settings) as reader:
        where = await _named(reader, settings, where, follow)
        async for entry in _entries(context, reader, where, last, follow):
            document = documents.journal_entry(entry)
            if context.json and not follow:
                found.append(document)
            else:
                click.echo(documents.document_line(document) if context.json else journal_line(document))
    if context.json and not follow:
        context.print_document({"entries": found})


async def _entries(
    context: CommandContext, reader: JournalReader, where: EntryFilter, last: int | None, follow: bool
) -> AsyncIterator[Entry]:
    """Yield the matching records in order, or the last of them; with ``follow`` wait for later records."""
    after = 0
    page = await reader.entries(where, limit=last or PAGE, tail=last is not None)
    while True:
        for entry in page:
            after = entry.seq
            yield entry
        if not follow and (last is not None or len(page) < PAGE):
            return
        if len(page) < PAGE:
            await context.environment.clock.sleep(POLL_SECONDS)
        last = None
        page = await reader.entries(where, after=after, limit=PAGE)


async def _named(reader: JournalReader, settings: Settings, where: EntryFilter, follow: bool) -> EntryFilter:
    """Return the filter with whole plan ids. Raises UsageError for a name that nothing has."""
    accounts = {account.id for account in settings.accounts}
    if where.accounts or where.owners:
        accounts |= set(await reader.names("account"))
    known("account", where.accounts, sorted(accounts))
    owners = {owner.id for owner in settings.owners} | {account.partition("/")[0] for account in accounts}
    known("user", where.owners, sorted(owners))
    symbols = await reader.names("symbol") if where.symbols and not follow else []
    for symbol in where.symbols if symbols else ():
        if symbol not in symbols:
            raise click.UsageError(f"No record names the symbol {symbol!r}; {_nearest(symbol, symbols)}")
    plans = tuple([await whole_plan(reader, plan) for plan in where.plans])
    return EntryFilter(where.since, where.until, where.kinds, where.owners, where.accounts, where.symbols, plans)


async def whole_plan(reader: JournalReader, start: str) -> str:
    """Return the id of the one plan that begins with ``start``. Raises UsageError where none or several do."""
    found = await reader.names("plan", start, NAMED + 1)
    if start in found or len(found) == 1:
        return start if start in found else found[0]
    if not found:
        raise click.UsageError(f"The journal has no plan {start!r}; flatdeck report lists the newest plans")
    more = " and more" if len(found) > NAMED else ""
    raise click.UsageError(f"Several plans begin with {start!r}: {', '.join(found[:NAMED])}{more}")


def _nearest(name: str, names: Sequence[str]) -> str:
    """Return the names that are spelled alike, whatever their case and separators, else the nearest."""
    alike = [other for other in names if same_symbol(other, name)]
    begun = [other for other in names if other.upper().startswith(name.upper())]
    near = alike or begun[:NAMED] or difflib.get_close_matches(name.upper(), names, n=1)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names[:NAMED])}"


def journal_line(document: documents.Document) -> str:
    """Return one record as one line for a person. Nested values are only in the JSON."""
    place = [document[key] for key in ("account", "symbol") if document[key]]
    plan = [f"plan {document['plan']}"] if document["plan"] else []
    said = [document["text"]] if document["kind"] == "log" else []
    approver = document.get("approver") or {}
    result = document.get("result", {})
    money = {key: "unknown" if value is None else value for key, value in (result.get("money") or {}).items()}
    body = {**document, **result, **money, **{key: approver.get(key, "") for key in _OF_APPROVER}}
    told = _TOLD | {"text", "level", "owner"} if said else _TOLD
    told |= {"joined"} if not body.get("joined") else set()
    facts = [f"{key}={value}" for key, value in body.items() if key not in told and _plainly_told(value)]
    return sanitize(" ".join(str(part) for part in (document["at"], document["kind"], *place, *plan, *said, *facts)))


_OF_APPROVER = ("terminal", "ssh_client", "command")
_TOLD = frozenset({"seq", "at", "kind", "account", "symbol", "plan", "leg", "key"})


def _plainly_told(value: object) -> bool:
    return isinstance(value, str | int | bool) and value != ""

"""``journal``: read the audit trail."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from core.settings import Settings
from core.units import utc
from tui.commands.session import DONE, CommandContext, shared_options, with_context
from tui.output import documents
from tui.present.sanitize import sanitize

_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Since(click.ParamType):
    """A time in ISO 8601, or how long ago: ``30m``, ``2h``, ``7d``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        number, unit = value[:-1], value[-1:]
        if unit in _SPANS and number.isascii() and number.isdigit():
            try:
                return timedelta(seconds=int(number) * _SPANS[unit])
            except OverflowError:
                self.fail(f"{value} is longer ago than there are dates", param, ctx)
        try:
            return utc(value)
        except ValueError:
            self.fail(f"{value!r} is neither a time like 2026-01-31T08:00:00Z nor a span like 2h", param, ctx)


@click.command()
@click.option("--follow", is_flag=True, help="Go on printing records as they are written.")
@click.option("--since", metavar="T", type=Since(), help="Records from this time on, or this long ago (2h).")
@click.option("--kind", "kinds", metavar="K", multiple=True, help="Records of this kind only. Repeatable.")
@shared_options
@with_context
def journal(
    context: CommandContext, *, follow: bool, since: datetime | timedelta | None, kinds: tuple[str, ...]
) -> int:
    """Read the audit trail."""
    known_kinds = documents.journal_kinds()
    for kind in kinds:
        if kind not in known_kinds:
            raise click.UsageError(f"There is no kind {kind!r} of record; known: {', '.join(known_kinds)}")
    start = context.environment.clock.now() - since if isinstance(since, timedelta) else since
    settings = context.load_config().settings
    context.run_to_end(_journal(context, settings, start, kinds, follow))
    return DONE


async def _journal(
    context: CommandContext, settings: Settings, since: datetime | None, kinds: tuple[str, ...], follow: bool
) -> None:
    """Print the records. Without ``follow`` there is one JSON document; with it, one document a line."""
    found = []
    async for entry in context.environment.entries(settings, since=since, follow=follow):
        document = documents.journal_entry(entry)
        if kinds and document["kind"] not in kinds:
            continue
        if context.json and not follow:
            found.append(document)
        else:
            click.echo(documents.document_line(document) if context.json else journal_line(document))
    if context.json and not follow:
        context.print_document({"entries": found})


def journal_line(document: documents.Document) -> str:
    """Return one record as one line for a person. Nested values are only in the JSON."""
    place = [document[key] for key in ("account", "symbol") if document[key]]
    plan = [f"plan {document['plan']}"] if document["plan"] else []
    said = [document["text"]] if document["kind"] == "log" else []
    body = {**document, **document.get("result", {})}
    told = _TOLD | {"text", "level", "owner"} if said else _TOLD
    facts = [f"{key}={value}" for key, value in body.items() if key not in told and _plainly_told(value)]
    return sanitize(" ".join(str(part) for part in (document["at"], document["kind"], *place, *plan, *said, *facts)))


_TOLD = frozenset({"seq", "at", "kind", "account", "symbol", "plan", "leg", "key"})


def _plainly_told(value: object) -> bool:
    return isinstance(value, str | int | bool) and value != ""

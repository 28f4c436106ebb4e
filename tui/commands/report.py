"""``report``: one plan from its trigger to its verified end, from the journal alone."""

from __future__ import annotations

from typing import Any

import click

from core.journal.query import EntryFilter
from core.records import Entry, EntryApproved, EntryEnded, PlanApproved, PlanEnded
from core.settings import Settings
from core.units import iso
from tui.commands.journal import PAGE, whole_plan
from tui.commands.session import DONE, CommandContext, JournalReader, shared_options, with_context
from tui.output.columns import columns
from tui.output.plan_history import DONE as ENDED, OPEN, REMAINED, history, history_text

NEWEST = 20  # plans of the list


@click.command()
@click.argument("plan", required=False)
@shared_options
@with_context
def report(context: CommandContext, *, plan: str | None) -> int:
    """Tell one plan from its trigger to its verified end; without PLAN, list the newest plans.

    PLAN is a plan's id or the start of it. The report has what was shown, who confirmed, every request and answer,
    the decision price against the fills, slippage and fees, and what remained.
    """
    settings = context.load_config().settings
    context.run_to_end(_print_list(context, settings) if plan is None else _print(context, settings, plan))
    return DONE


async def _print(context: CommandContext, settings: Settings, start: str) -> None:
    async with context.environment.journal_reader(settings) as reader:
        plan = await whole_plan(reader, start)
        entries = await _every(reader, EntryFilter(plans=(plan,)))
    made = history(plan, entries)
    if context.json:
        context.print_document(made)
    else:
        context.print_text(history_text(made, entries, width=context.width))


async def _every(reader: JournalReader, where: EntryFilter) -> list[Entry]:
    found = await reader.entries(where, limit=PAGE)
    page = found
    while len(page) == PAGE:
        page = await reader.entries(where, after=page[-1].seq, limit=PAGE)
        found = found + page
    return found


async def _print_list(context: CommandContext, settings: Settings) -> None:
    async with context.environment.journal_reader(settings) as reader:
        begun = await reader.entries(EntryFilter(kinds=("plan_approved", "entry_approved")), limit=NEWEST, tail=True)
        names = tuple(_head(entry.record)["plan"] for entry in begun)
        ends = await _every(reader, EntryFilter(kinds=("plan_ended", "entry_ended"), plans=names)) if names else []
    ended = {e.record.plan: _end_state(e.record) for e in ends if isinstance(e.record, PlanEnded | EntryEnded)}
    rows = [{**_head(entry.record), "state": ended.get(_head(entry.record)["plan"], OPEN)} for entry in reversed(begun)]
    if context.json:
        context.print_document({"plans": rows})
    elif not rows:
        context.print_text("The journal has no plan.")
    else:
        cells = [("plan", "approved", "cause", "closes", "by", "state")]
        cells += [(r["plan"], r["approved_at"], r["cause"], str(r["closes"]), r["by"], r["state"]) for r in rows]
        context.print_text("\n".join(columns(cells, right="closes", width=context.width)))


def _end_state(record: PlanEnded | EntryEnded) -> str:
    success = record.success if isinstance(record, PlanEnded) else record.outcome == "filled"
    return ENDED if success else REMAINED


def _head(record: object) -> dict[str, Any]:
    assert isinstance(record, PlanApproved | EntryApproved)
    if isinstance(record, PlanApproved):
        whole = record.plan
        head = {"plan": whole.id, "cause": whole.cause, "closes": len(whole.closes)}
    else:
        head = {"plan": record.plan, "cause": f"{record.what} {record.key.symbol}", "closes": 0}
    return {**head, "approved_at": iso(record.at), "by": record.by}

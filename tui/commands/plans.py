"""The commands that close or cancel: plan, show, ask, carry out, verify.

The command opens nothing for writing before a person (or ``--yes``) has agreed. The plan in the question comes from an
engine that can only read. After a person has agreed, the engine that acts plans again. If the new plan differs, the
command shows it and asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import click
from msgspec import structs

from core.errors import FlatdeckError
from core.link.messages import Snapshot
from core.plans.plan import SHOWN_FOR, ActionKind, Plan, Reason
from core.plans.request import PlanRequest
from core.plans.results import PlanReport, ResultRow
from core.settings import Settings
from tui.commands.linked_engine import LinkedEngine
from tui.commands.option_types import Amount, Cap, Condition
from tui.commands.session import (
    DECLINED,
    DONE,
    REMAINED,
    UNREACHED,
    CommandContext,
    Engine,
    known,
    shared_options,
    with_context,
)
from tui.commands.symbols import refuse_unknown_symbols
from tui.output import documents
from tui.output.interrupted import interrupted_text, still_there, unfinished_text
from tui.output.plans import plan_question, plan_text, report_text

SURE_AFTER = 0.5  # seconds until an empty list is read again

_GOOD = frozenset({"closed", "closed_residual", "cancelled"})
_GOOD_ENOUGH = _GOOD | {"skipped"}
_LEFT_BY_POLICY = frozenset({Reason.OPEN_ORDERS, Reason.UNSELLABLE, Reason.NO_PRICE, Reason.COVERS})


def _confirming(command: Callable[..., Any]) -> Callable[..., Any]:
    yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    dry = click.option("--dry-run", is_flag=True, help="Show the plan and end there.")
    return dry(yes(command))


def _selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--all", "everything", is_flag=True, help="Everything of every owner."),
        click.option(
            "--symbol", "symbols", metavar="S", multiple=True, help="A symbol, ours or the venue's. Repeatable."
        ),
        click.option("--account", "accounts", metavar="ID", multiple=True, help="An account, owner/name. Repeatable."),
        click.option("--user", "owners", metavar="ID", multiple=True, help="A user, or platform. Repeatable."),
    ):
        command = option(command)
    return command


@click.command()
@click.option("--dust", metavar="USD", type=Amount(), help="Positions worth less are dust.")
@click.option("--max-positions", metavar="N", type=Cap(), help="The most positions an owner may hold, from 1.")
@click.option("--include-open-orders", is_flag=True, help="Cancel the open orders of what is closed.")
@click.option("--startup-only", is_flag=True, help="Like --include-open-orders, in this first run only.")
@click.option(
    "--cancel-if", metavar="EXPR", type=Condition(), help='Cancel them where e.g. "usd_value<1,rank>max_positions".'
)
@click.option("--user", "owners", metavar="ID", multiple=True, help="Only this user, or platform. Repeatable.")
@click.option(
    "--account", "accounts", metavar="ID", multiple=True, help="Close only in this account; caps count all. Repeatable."
)
@_confirming
@shared_options
@with_context
def cleanup(
    context: CommandContext,
    *,
    dust: Decimal | None,
    max_positions: int | None,
    include_open_orders: bool,
    startup_only: bool,
    cancel_if: str | None,
    owners: tuple[str, ...],
    accounts: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> int:
    """Close dust and what exceeds each owner's cap."""
    mode = "matching" if cancel_if else "startup" if startup_only else "always" if include_open_orders else None
    request = PlanRequest(
        cause="cleanup",
        owners=owners,
        accounts=accounts,
        dust_usd=dust,
        max_positions=max_positions,
        cancel_open_orders=mode,
        cancel_if=cancel_if,
    )
    return carry_through(context, request, dry_run=dry_run, yes=yes)


@click.command()
@_selecting
@_confirming
@shared_options
@with_context
def flatten(context: CommandContext, *, dry_run: bool, yes: bool, everything: bool, **selected: tuple[str, ...]) -> int:
    """Force-close what is selected."""
    return carry_through(context, _selection("flatten", everything, selected), dry_run=dry_run, yes=yes)


@click.command("cancel-orders")
@_selecting
@_confirming
@shared_options
@with_context
def cancel_orders(
    context: CommandContext, *, dry_run: bool, yes: bool, everything: bool, **selected: tuple[str, ...]
) -> int:
    """Cancel open orders and nothing else."""
    return carry_through(context, _selection("cancel-orders", everything, selected), dry_run=dry_run, yes=yes)


def _selection(cause: str, everything: bool, selected: dict[str, Any]) -> PlanRequest:
    if not everything and not any(selected.values()):
        raise click.UsageError(f"{cause} needs to know what: --user, --account, --symbol, or --all for everything")
    return PlanRequest(cause=cause, everything=everything and not any(selected.values()), **selected)


def carry_through(context: CommandContext, request: PlanRequest, *, dry_run: bool, yes: bool) -> int:
    """Prepare the plan, show it, ask, carry it out, and return the exit code."""
    settings = context.load_config().settings
    known("user", request.owners, [owner.id for owner in settings.owners])
    known("account", request.accounts, [account.id for account in settings.accounts])
    for account in settings.accounts:
        if account.id in request.accounts and request.owners and account.owner not in request.owners:
            raise click.UsageError(
                f"Account {account.id} does not belong to {', '.join(request.owners)}; name one or the other"
            )
    unfinished: list[ResultRow] = []  # what interrupted plans left, as far as it is still there
    if yes and not dry_run:
        plan, seen = context.run_to_end(_act(context, settings, request, None, unfinished))
        return _conclude(context, settings, request, plan, seen, unfinished)
    plan, seen = context.run_to_end(_look(context, settings, request))
    if dry_run:
        return _preview(context, settings, request, plan)
    _show(context, plan)
    while plan.only_waits or (not plan.empty and _agreed(context, plan)):
        agreed = plan
        plan, seen = context.run_to_end(_act(context, settings, request, agreed, unfinished))
        if seen is not None:
            break
        context.print_note("The plan is no longer what was shown, and nothing was sent; this is what it is now.")
        _show(context, plan)
    if seen is None or (not plan.empty and isinstance(seen, Snapshot)):
        return DECLINED
    return _conclude(context, settings, request, plan, seen, unfinished)


async def _look(context: CommandContext, settings: Settings, request: PlanRequest) -> tuple[Plan, Snapshot]:
    """Return the plan and the snapshot that it was made from, by an engine that cannot act."""
    async with context.environment.engine(settings, acting=False, on_log=context.print_log_row) as engine:
        plan = await _planned(context, engine, request)
        return plan, engine.snapshot()


async def _planned(context: CommandContext, engine: Engine, request: PlanRequest) -> Plan:
    """Return the plan. An empty plan is believed only after a second read, because one list may be empty."""
    plan = await engine.prepare(request)
    if (
        plan.empty
        and not plan.unreadable
        and (request.cause != "cleanup" or not any(owner.initial for owner in plan.owners))
    ):
        await context.environment.clock.sleep(SURE_AFTER)
        await engine.read_all()
        plan = await engine.prepare(request)
    await refuse_unknown_symbols(engine, request, plan)
    return plan


async def _act(
    context: CommandContext, settings: Settings, request: PlanRequest, agreed: Plan | None, unfinished: list[ResultRow]
) -> tuple[Plan, PlanReport | Snapshot | None]:
    """Plan again and carry the plan out if it equals what was agreed to; else return only the new plan.

    ``agreed`` is None if the person agreed in advance. ``unfinished`` gets what interrupted plans left.
    """
    async with context.environment.engine(settings, acting=True, on_log=context.print_log_row) as engine:
        unfinished += [row for report in engine.taken_up for row in report.results if row.outcome not in _GOOD_ENOUGH]
        plan, seen = await _carry_out(context, settings, engine, request, agreed)
        unfinished[:] = still_there(unfinished, seen, engine.snapshot())
        return plan, seen


async def _carry_out(
    context: CommandContext, settings: Settings, engine: Engine, request: PlanRequest, agreed: Plan | None
) -> tuple[Plan, PlanReport | Snapshot | None]:
    plan = await _planned(context, engine, request)
    stale = agreed is not None and context.environment.clock.now() - agreed.created_at > SHOWN_FOR
    changed = agreed is not None and (stale or plan.digest != agreed.digest)
    if agreed is None or (changed and plan.empty):
        _show_first(context, plan)
    if plan.empty and not plan.joined:
        return plan, engine.snapshot()
    if changed and not plan.only_waits:
        return plan, None
    context.committed = True
    try:
        return plan, await _checked(
            context, engine, request, await engine.execute(plan.id, plan.digest, context.approver(yes=agreed is None))
        )
    except asyncio.CancelledError:
        if isinstance(engine, LinkedEngine):
            context.print_note(engine.goes_on(plan))
        else:
            context.print_note(interrupted_text(plan, engine.snapshot().closings, settings.ladder.resume_within))
        raise
    finally:
        context.committed = False


async def _checked(context: CommandContext, engine: Engine, request: PlanRequest, report: PlanReport) -> PlanReport:
    """Return the report; a flatten succeeds only if nothing it asked for is left, even outside of its plan."""
    if request.cause != "flatten" or not all(owner.read for owner in report.owners):
        return report
    again, known_of = await engine.prepare(request), {row.key for row in report.results}
    missed = [action.key for action in again.closes if action.key not in known_of]
    if not missed:
        return report
    named = ", ".join(f"{key.symbol} on {key.account}" for key in missed[:5])
    more = f" and {len(missed) - 5} more" if len(missed) > 5 else ""
    context.print_note(f"Held now and not in the plan, so left alone: {named}{more}; run it again for what is left.")
    return structs.replace(report, success=False)


def _show(context: CommandContext, plan: Plan) -> None:
    """Print a plan. A failure to print is an error: nobody agrees to a plan that was not shown."""
    click.echo(plan_text(plan, width=context.width), err=context.json)


def _show_first(context: CommandContext, plan: Plan) -> None:
    """Print a plan that nobody was asked about, so that it leaves a trace; a failure to print stops it."""
    try:
        _show(context, plan)
    except OSError as error:
        why = error.strerror or type(error).__name__
        text = f"The plan cannot be written to the output ({why}), so nothing was sent; mend that, or send it elsewhere"
        raise FlatdeckError(text) from error


def _note_unheld(context: CommandContext, request: PlanRequest, plan: Plan) -> None:
    """Tell the person about a symbol without a position or an order: it may be a typing error."""
    if request.symbols and not plan.actions:
        context.print_note(f"Nothing is held or open in {', '.join(request.symbols)} where it was looked for.")


def _agreed(context: CommandContext, plan: Plan) -> bool:
    """Ask the question if there is a terminal to ask on."""
    if not context.environment.interactive():
        if context.json:
            context.print_document({**documents.plan(plan, dry_run=False), "confirmed": False})
        context.print_note(
            "Not confirmed, nothing was sent: there is no terminal to ask on; add --yes to go ahead without."
        )
        return False
    if context.confirm(plan_question(plan)):
        return True
    if context.json:
        context.print_document({**documents.plan(plan, dry_run=False), "confirmed": False})
    context.print_note("Not confirmed, nothing was sent.")
    return False


def _preview(context: CommandContext, settings: Settings, request: PlanRequest, plan: Plan) -> int:
    if context.json:
        context.print_document(documents.plan(plan, dry_run=True))
    else:
        context.print_text(plan_text(plan, width=context.width))
        context.print_note("Dry run: nothing was sent.")
    _note_unheld(context, request, plan)
    return _unreached(context, settings, request, plan) or (DONE if plan.complete else REMAINED)


def _conclude(
    context: CommandContext,
    settings: Settings,
    request: PlanRequest,
    plan: Plan,
    seen: PlanReport | Snapshot | None,
    unfinished: Sequence[ResultRow],
) -> int:
    """Print the outcome and return the exit code."""
    if unfinished:
        context.print_note(unfinished_text(unfinished))
    if isinstance(seen, PlanReport):
        if context.json:
            context.print_document(documents.run(seen))
        else:
            context.print_text("\n" + report_text(seen, width=context.width))
        return REMAINED if unfinished else code_of(seen)
    assert seen is not None
    if context.json:
        context.print_document(documents.nothing_to_do(plan, seen))
    _note_unheld(context, request, plan)
    held_back = any(a.reason not in _LEFT_BY_POLICY for a in plan.actions)
    remained = held_back or unfinished or not plan.complete
    return _unreached(context, settings, request, plan) or (REMAINED if remained else DONE)


def code_of(report: PlanReport) -> int:
    """Return 0 if every action of the plan was done and verified, else 1."""
    left_by_policy = {a.key for a in report.plan.actions if a.kind is ActionKind.SKIP and a.reason in _LEFT_BY_POLICY}

    def fine(row: ResultRow) -> bool:
        left_alone = row.outcome == "skipped" and not row.error and row.key in left_by_policy
        return row.outcome in _GOOD or left_alone or (row.joined and row.done)

    whole = report.success and report.complete and report.plan.complete
    return DONE if whole and all(fine(row) for row in report.results) else REMAINED


def _unreached(context: CommandContext, settings: Settings, request: PlanRequest, plan: Plan) -> int:
    """Return 4, with a sentence, if no account that was asked for could be read, else 0."""
    asked = _accounts(settings, request)
    if not asked or not all(account in plan.unreadable for account in asked):
        return 0
    first = asked[0]
    context.print_note(f"No account could be reached; {first}: {plan.unreadable[first]}")
    return UNREACHED


def _accounts(settings: Settings, request: PlanRequest) -> Sequence[str]:
    return [
        account.id
        for account in settings.accounts
        if (not request.owners or account.owner in request.owners)
        and (not request.accounts or account.id in request.accounts)
    ]

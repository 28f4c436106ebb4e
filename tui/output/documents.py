"""The JSON documents of the command line, made from plain values and nothing else.

Their keys are a public contract: decimals are strings, times are ISO 8601 in UTC, unknown is null. Keys may be added;
none may change its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, get_args

import msgspec

from core.journal.data_dir import Holder
from core.link.messages import ClosingRow, OwnerRow, Snapshot
from core.plans.plan import Action, ActionKind, OwnerTally, Plan
from core.plans.position_row import PositionRow
from core.plans.results import PlanReport, ResultRow
from core.ports import Check
from core.records import Entry, Logged, Record
from core.units import iso, money, percent, plain
from tui.output import accounts
from tui.output.costs import money_document, sum_documents
from tui.output.distances import lasting, nearest_document
from tui.output.waiting import waiting, waiting_document

Document = dict[str, Any]
CLOSED = frozenset({"closed", "closed_residual"})


def document_text(document: Document) -> str:
    """Return the document as it is printed. A venue's text stays ASCII, so that no terminal acts on it."""
    return json.dumps(document, indent=2, ensure_ascii=True)


def document_line(document: Document) -> str:
    """Return the document on one line, for a stream of documents."""
    return json.dumps(document, ensure_ascii=True)


def status(snapshot: Snapshot, elsewhere: Holder | None = None) -> Document:
    """Return accounts, owners, positions and closings, and the engine that runs ``elsewhere``, if any."""
    engine, watched = snapshot.engine, elsewhere is not None and elsewhere.watches
    return {
        "taken_at": iso(snapshot.taken_at),
        "engine": {
            "running": elsewhere is not None,
            "mode": elsewhere.mode if elsewhere else engine.mode,
            "armed": elsewhere.armed if elsewhere and engine.pid is None else engine.armed,
            "pid": elsewhere.pid if elsewhere else None,
            "version": engine.version or None,
            "started_at": iso(engine.started_at) if engine.started_at else None,
            "consoles": engine.consoles,
            "read_only": elsewhere is None,
            "alarm": engine.alarm,
            "next_cleanup": _iso(engine.next_cleanup),
            "halted": accounts.halted(engine.halted),
        },
        "accounts": [{**accounts.account(row), "watched": watched} for row in snapshot.accounts],
        "owners": [_owner(row) for row in snapshot.owners],
        "positions": [{**position(row), **lasting(row, snapshot.taken_at)} for row in snapshot.positions],
        "nearest_stop": nearest_document(snapshot.positions),
        "closings": [_closing(row) for row in snapshot.closings],
        "waiting": [waiting_document(row) for row in waiting(snapshot)],
    }


def plan(value: Plan, *, dry_run: bool) -> Document:
    """Return the diff: the actions, and each owner's positions before and after."""
    total = value.totals
    return {
        "plan": value.id,
        "cause": value.cause,
        "dry_run": dry_run,
        "complete": value.complete,
        "unreadable": dict(value.unreadable),
        "unlisted": _unlisted(value.unlisted),
        "created_at": iso(value.created_at),
        "actions": [_action(action) for action in value.actions],
        "owners": [{"id": tally.id, "cap": tally.cap, **_counts(tally)} for tally in value.owners],
        "totals": {**_counts(total), "reduction": total.initial - total.final},
    }


def run(report: PlanReport) -> Document:
    """Return a plan that was carried out: the diff, each action's outcome, and the brokers' values afterwards."""
    return {
        **plan(report.plan, dry_run=False),
        "success": report.success,
        "results": [result(row) for row in results(report)],
        "costs": sum_documents(report.plan, report.results),
        "verified": _verified(
            report.complete, report.positions, {owner.id: owner.final for owner in report.owners}, report.unlisted
        ),
    }


def nothing_to_do(value: Plan, snapshot: Snapshot) -> Document:
    """Return a plan that sends nothing; the read that it was made from serves as the verification."""
    counted = {owner.id: owner.counted for owner in snapshot.owners}
    return {
        **plan(value, dry_run=False),
        "success": value.complete,
        "results": [result(row) for row in skipped(value)],
        "verified": _verified(value.complete, snapshot.positions, counted, value.unlisted),
    }


def results(report: PlanReport) -> tuple[ResultRow, ...]:
    """Return a row for each action that was carried out or skipped."""
    told = {row.key for row in report.results if row.joined}
    return (*report.results, *(row for row in skipped(report.plan) if row.key not in told))


def skipped(value: Plan) -> tuple[ResultRow, ...]:
    """Return the results of a plan in which every action is skipped."""
    return tuple(
        ResultRow(key=action.key, kind=action.kind.value, outcome="skipped", residual=action.quantity)
        for action in value.actions
        if action.kind is ActionKind.SKIP
    )


def position(row: PositionRow) -> Document:
    """Return one held position."""
    return {
        "account": row.key.account,
        "owner": row.owner,
        "symbol": row.key.symbol,
        "native_symbol": row.native_symbol,
        "leg": row.key.leg.value,
        "side": row.side,
        "quantity": plain(row.quantity),
        "free": plain(row.free),
        "entry": _plain(row.entry),
        "mark": _plain(row.mark),
        "leverage": _plain(row.leverage),
        "usd_value": _money(row.usd_value),
        "pnl_pct": _percent(row.pnl),
        "roi_pct": _percent(row.roi),
        "opened_at": _iso(row.opened_at),
        "open_orders": row.open_orders,
        "stop": _plain(row.stop),
        "target": _plain(row.target),
        "protective": _plain(row.protective),
        "flags": list(row.flags),
        "note": row.note,
        "priced_at": _iso(row.priced_at),
    }


def result(row: ResultRow) -> Document:
    """Return how one action ended."""
    return {
        "account": row.key.account,
        "symbol": row.key.symbol,
        "leg": row.key.leg.value,
        "kind": row.kind,
        "outcome": row.outcome,
        "order_id": row.order_id,
        "tier": row.tier,
        "filled": plain(row.filled),
        "average_price": _plain(row.average_price),
        "residual": _plain(row.residual),
        "profit_status": row.profit_status,
        "profit": row.profit,
        **money_document(row.money),
        "reason": row.reason,
        "text": row.why,
        "error": row.error,
    }


def journal_kinds() -> tuple[str, ...]:
    """Return every kind of record that ``--kind`` takes."""
    return tuple(_kind(record) for record in get_args(Record))


def _kind(record: type) -> str:
    """Return ``intent_written`` for ``IntentWritten``, and ``log`` for a line of the log."""
    if record is Logged:
        return "log"
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in record.__name__).lstrip("_")


def journal_entry(entry: Entry) -> Document:
    """Return one record of the audit trail. ``account``, ``symbol`` and ``plan`` are lifted to the top level."""
    body = builtins(entry.record)
    body.pop("type", None)
    where: Document = next((body[name] for name in ("key", "fill") if isinstance(body.get(name), dict)), {})
    inner = body.get("result")
    if not where and isinstance(inner, dict):
        where = inner.get("key", {})
    whole = body.get("plan")
    head = {
        "seq": entry.seq,
        "at": iso(entry.at),
        "kind": _kind(type(entry.record)),
        "account": body.pop("account", None) or where.get("account"),
        "symbol": body.pop("symbol", None) or where.get("symbol"),
        "plan": whole.get("id") if isinstance(whole, dict) else whole,
    }
    if not isinstance(whole, dict):
        body.pop("plan", None)
    else:
        body["contents"] = body.pop("plan")
    body.pop("at", None)
    return {**head, **body}


def check(found: Sequence[tuple[str, str, str | None, Sequence[Check]]], journal: Check) -> Document:
    """Return the results of ``check``: per account its id, broker, the error that blocked it, and each trial."""
    return {
        "journal": {"ok": journal.ok, "text": journal.text},
        "accounts": [
            {
                "id": account,
                "broker": broker,
                "reached": error is None,
                "error": error,
                "checks": [{"name": c.name, "ok": c.ok, "text": c.text} for c in checks],
            }
            for account, broker, error, checks in found
        ],
    }


def builtins(value: object) -> Any:
    """Return a value for JSON: structs as objects, decimals without exponent, times in UTC, enums by value."""
    made = msgspec.to_builtins(value, builtin_types=(datetime, Decimal))
    return _plainly(made)


def _plainly(value: Any) -> Any:
    match value:
        case dict():
            return {str(_plainly(k)): _plainly(v) for k, v in value.items()}
        case list() | tuple():
            return [_plainly(item) for item in value]
        case Decimal():
            return plain(value)
        case datetime():
            return iso(value)
        case Enum():
            return value.value
        case _:
            return value


def _owner(row: OwnerRow) -> Document:
    uncounted = {"dust": row.dust, "unsellable": row.unsellable}
    return {"id": row.id, "cap": row.cap, "counted": row.counted, **uncounted, "complete": row.complete}


def _closing(row: ClosingRow) -> Document:
    return {
        "account": row.key.account,
        "symbol": row.key.symbol,
        "leg": row.key.leg.value,
        "plan": row.plan,
        "reason": row.reason,
        "tier": row.tier,
        "round": row.round,
        "attempt": row.attempt,
        "next_tier": row.next_tier,
        "next_at": _iso(row.next_at),
        "state": row.state,
        "quantity": plain(row.quantity),
        "filled": plain(row.filled),
        "answer": row.answer,
        "outcome": row.outcome,
    }


def _action(action: Action) -> Document:
    return {
        "kind": action.kind.value,
        "reason": action.reason.value,
        "text": action.text,
        "owner": action.owner,
        "account": action.key.account,
        "symbol": action.key.symbol,
        "leg": action.key.leg.value,
        "side": action.side.value if action.side else None,
        "quantity": plain(action.quantity),
        "usd_value": _money(action.usd_value),
        "pnl_pct": _percent(action.pnl),
        "rank": action.rank,
        "order_id": action.order.id if action.order else None,
        "cancels": [order.id for order in action.cancels],
        "tiers": [tier.value for tier in action.tiers],
        "cost": _money(action.cost),
    }


def _counts(tally: OwnerTally) -> Document:
    names = ("initial", "dust", "cap_excess", "skipped", "unsellable", "orders_to_cancel", "final")
    return {**{name: getattr(tally, name) for name in names}, "complete": tally.complete}


def _unlisted(parts: Mapping[str, Sequence[str]]) -> Document:
    return {account: list(names) for account, names in parts.items()}


def _verified(
    complete: bool, positions: Sequence[PositionRow], finals: dict[str, int], unlisted: Mapping[str, Sequence[str]]
) -> Document:
    total = sum(finals.values())
    return {
        "complete": complete,
        "unlisted": _unlisted(unlisted),
        "positions": [position(row) for row in positions],
        "owners": [{"id": owner, "final": final} for owner, final in finals.items()],
        "final": total,
        "totals": {"final": total},
    }


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _money(value: Decimal | None) -> str | None:
    return None if value is None else money(value)


def _percent(value: Decimal | None) -> str | None:
    return None if value is None else percent(value)


def _iso(value: datetime | None) -> str | None:
    return None if value is None else iso(value)

"""Texts for people and documents for programs about entries and reconciliation. Plain values in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.entries.rules import EntryDraft, EntryRequest, NotAllowed, Rejection, direction
from core.exits.rules import initial_stop
from core.journal.believed import BelievedPosition
from core.model import Position
from core.plans.plan import Plan
from core.plans.results import PlanReport
from core.reconciliation.rules import Discrepancy, counts
from core.units import iso, percent, plain
from tui.output import documents
from tui.output.columns import columns
from tui.output.documents import Document
from tui.present.numbers import number
from tui.present.sanitize import sanitize

if TYPE_CHECKING:
    from core.entries.report import Report

_VERBS = {"open": "Open", "scale_in": "Add to", "scale_out": "Take off", "close": "Close"}
_ENDS = {
    "filled": "Filled",
    "partial": "Filled in part",
    "not_filled": "Not filled",
    "refused": "Refused by the venue",
    "unreachable": "The venue could not be reached, nothing was sent",
    "not_sent": "Never executed",
    "unknown": "NOT KNOWN what became of it",
}


def verdict(found: Sequence[Rejection]) -> str:
    """Return "allowed", or each refusal with its code."""
    return "\n".join(f"Refused ({no.code.value}): {sanitize(no.text)}." for no in found) or "Allowed."


def draft(value: EntryDraft) -> str:
    """Return the order as it would be sent."""
    at = f"a limit at {plain(value.price)}" if value.price is not None else "the market"
    about = f" (about {number(value.reference)})" if value.price is None and value.reference is not None else ""
    what = f"{value.side.value} {plain(value.quantity)} {sanitize(value.key.symbol)} on {sanitize(value.key.account)}"
    lines = [f"{heading(value)}: {what} at {at}{about}"]
    if value.kind == "open":
        lines.append(f"  leverage {plain(value.leverage or Decimal(1))}x, {_first_stop(value)}")
    else:
        lines.append(f"  held: {plain(value.before)}, entry {_known(value.entry)}, {_stop(value)}")
    return "\n".join([*lines, *(f"  WARNING {sanitize(w)}" for w in value.warnings)])


def _first_stop(value: EntryDraft) -> str:
    """Return ``stop at about 147 (2.00 % trailing, tighter than your 10.00 %: 135.07)``."""
    own = initial_stop(direction(value.side), value.price or value.reference, value.stop_pct)
    if value.stop is None:
        return f"stop-loss {_pct(value.stop_pct)}, but no stop will be in force"
    if value.trail is None:
        return f"stop at about {number(value.stop)} (your {_pct(value.stop_pct)})"
    mine = f", tighter than your {_pct(value.stop_pct)}: {_known(own)}"
    return f"stop at about {number(value.stop)} ({_pct(value.trail)} trailing{mine})"


def _stop(value: EntryDraft) -> str:
    """Return ``its stop at 147 stays (2.00 % trailing)``."""
    trail = f" ({_pct(value.trail)} trailing)" if value.trail is not None else ""
    return f"its stop at {number(value.stop)} stays{trail}" if value.stop is not None else "no stop"


def heading(value: EntryDraft) -> str:
    side = direction(value.side).value if value.kind == "open" else ""
    return f"{_VERBS[value.kind]} {side}".strip()


def question(value: EntryDraft, *, closing: bool) -> str:
    """Return the question that is asked before anything is sent."""
    first = "Close what is held, verified, then " if closing else ""
    what = f"{value.side.value} {plain(value.quantity)} {sanitize(value.key.symbol)}"
    return f"{first}{what}?" if first else f"{what.capitalize()}?"


def result(report: Report) -> str:
    """Return how the order ended and the position that is held now."""
    price = f" at {number(report.average_price)}" if report.average_price is not None else ""
    filled = f": {plain(report.filled)}{price}" if report.filled else ""
    lines = [f"{_ENDS[report.outcome]}{filled}." + (f" {sanitize(report.error)}." if report.error else "")]
    if report.realised is not None:
        lines.append(f"Realised {number(report.realised)} before fees.")
    if report.position is not None:
        held = report.position
        lines.append(f"Held now: {plain(held.quantity)} {held.side.value}, entry {_known(held.entry)}.")
    lines += [f"WARNING {sanitize(w)}." for w in report.warnings]
    return "\n".join([*lines, *(["Done and verified at the broker."] if report.success else [])])


def check(signal: EntryRequest, found: Sequence[Rejection]) -> Document:
    """Return the document of the entry gate's answer."""
    return {
        **(refused(found[0]) if found else {"allowed": True, "code": None, "text": "allowed"}),
        "refusals": [{"code": no.code.value, "text": no.text} for no in found],
        "warnings": [],
        "signal": documents.builtins(signal),
    }


def refused(no: Rejection) -> Document:
    return {"allowed": False, "code": no.code.value, "text": no.text}


def offered(plan: Plan | None, value: EntryDraft, *, dry_run: bool) -> Document:
    """Return the document of an offer; ``flatten`` comes first if a close comes first."""
    return {
        "kind": value.kind,
        "dry_run": dry_run,
        "allowed": True,
        "code": None,
        "text": "allowed",
        "flatten": documents.plan(plan, dry_run=dry_run) if plan is not None else None,
        "order": _order(value),
        "warnings": list(value.warnings),
    }


def ended(
    plan: Plan | None, value: EntryDraft, closed: PlanReport | None, report: Report | None, no: NotAllowed | None
) -> Document:
    """Return the document of everything that was done."""
    made = offered(plan, value, dry_run=False)
    if closed is not None:
        made["flatten"] = documents.run(closed)
    if no is not None:
        made |= refused(Rejection(no.code, str(no)))
    if report is None:
        return {**made, "entry": None, "success": False, "result": None}
    found = {
        "outcome": report.outcome,
        "filled": plain(report.filled),
        "average_price": _exact(report.average_price),
        "realised": _exact(report.realised),
        "verified": report.verified,
        "position": _position(report.position),
        "error": report.error,
    }
    made["warnings"] += list(report.warnings)
    return {**made, "entry": report.entry.plan, "success": report.success, "result": found}


def discrepancies(found: Sequence[Discrepancy], unread: Mapping[str, str], width: int | None) -> str:
    """Return one line for each difference, then the accounts that could not be compared."""
    lines = []
    if found:
        rows = [("kind", "symbol", "account", "what differs")]
        rows += [(d.kind.value, d.key.symbol, d.key.account, _after_place(d.text)) for d in found]
        lines += columns(rows, width=width)
    lines += [f"{sanitize(account)} could not be read: {sanitize(why)}" for account, why in unread.items()]
    if not found:
        lines.append("No discrepancies." if not unread else "No discrepancies in what could be read.")
    return "\n".join(lines)


def reconciled(found: Sequence[Discrepancy], unread: Mapping[str, str], taken_at: Any, *, dry_run: bool) -> Document:
    """Return the document; ``updated`` tells whether the journal now says what the brokers say."""
    return {
        "taken_at": iso(taken_at),
        "dry_run": dry_run,
        "complete": not unread,
        "unreadable": dict(unread),
        "discrepancies": [_discrepancy(d) for d in found],
        "counts": counts(found),
        "updated": bool(found) and not dry_run,
    }


def _discrepancy(one: Discrepancy) -> Document:
    return {
        "kind": one.kind.value,
        "account": one.key.account,
        "symbol": one.key.symbol,
        "leg": one.key.leg.value,
        "text": one.text,
        "ours": _believed(one.ours),
        "theirs": _position(one.theirs),
        "order_id": one.order.id if one.order else None,
    }


def _believed(value: BelievedPosition | None) -> Document | None:
    if value is None:
        return None
    return {"side": value.side.value, "quantity": plain(value.quantity), "entry": _exact(value.entry)}


def _position(value: Position | None) -> Document | None:
    if value is None:
        return None
    return {
        "side": value.side.value,
        "quantity": plain(value.quantity),
        "entry": _exact(value.entry),
        "leverage": _exact(value.leverage),
    }


def _order(value: EntryDraft) -> Document:
    return {
        "account": value.key.account,
        "owner": value.owner,
        "symbol": value.key.symbol,
        "leg": value.key.leg.value,
        "side": value.side.value,
        "type": "market" if value.price is None else "limit",
        "quantity": plain(value.quantity),
        "asked": plain(value.asked),
        "price": _exact(value.price),
        "reference": _exact(value.reference),
        "leverage": _exact(value.leverage),
        "stop_loss": _exact(value.stop_pct),
        "stop": _exact(value.stop),
        "trailing": _exact(value.trail),
        "reduce_only": value.reduce_only,
        "held": plain(value.before),
        "entry": _exact(value.entry),
    }


def _after_place(text: str) -> str:
    """Return the text without its place, which has columns of its own."""
    return text.partition(": ")[2] or text


def _exact(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _known(value: Decimal | None) -> str:
    return "unknown" if value is None else number(value)


def _pct(value: Decimal | None) -> str:
    return "none" if value is None else f"{percent(value)} %"

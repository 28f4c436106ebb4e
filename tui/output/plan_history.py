"""One plan from its trigger to its verified end, made from the journal's entries alone: a document, and its text.

A record of an earlier flatdeck lacks facts that came later. They are null in the document and left out of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from core.model import Fill, Order, PositionKey
from core.plans.plan import Action, ActionKind, Plan
from core.plans.results import Outcome, ResultRow
from core.records import (
    CancelAsked,
    ClosingEnded,
    ConversionAnswered,
    ConversionAsked,
    Entry,
    EntryApproved,
    EntryEnded,
    FillRecorded,
    IntentAnswered,
    IntentWritten,
    PlanApproved,
    PlanEnded,
)
from core.units import iso
from tui.output import documents
from tui.output.costs import sum_documents, sum_lines
from tui.output.plans import plan_text
from tui.present.sanitize import sanitize

Document = dict[str, Any]
DONE, REMAINED, OPEN = "done", "something remained", "no end recorded"
_SETTLED = {outcome.value for outcome in Outcome if outcome.settled}
_MONEY = ("decision_price", "proceeds", "realised", "fee", "slippage")


def history(plan: str, entries: Sequence[Entry]) -> Document:
    """Return the whole story of a plan, an entry or a conversion."""
    approval = next((e for e in entries if isinstance(e.record, PlanApproved | EntryApproved | ConversionAsked)), None)
    end = next(
        (e for e in reversed(entries) if isinstance(e.record, PlanEnded | EntryEnded | ConversionAnswered)), None
    )
    whole = approval.record.plan if approval and isinstance(approval.record, PlanApproved) else None
    results = _results(entries)
    actions = _actions(whole, entries, results)
    return {
        "plan": plan,
        "state": _state(end, actions),
        "trigger": _trigger(approval),
        "shown": documents.plan(whole, dry_run=False) if whole else None,
        "approved": _approved(approval),
        "actions": actions,
        "costs": sum_documents(whole, results.values()) if whole else [],
        "ended": _ended(end),
        "remained": [_named(action) for action in actions if _remains(action)],
    }


def _trigger(approval: Entry | None) -> Document | None:
    match approval.record if approval else None:
        case PlanApproved(plan=whole):
            texts = dict.fromkeys(action.text for action in whole.actions)
            return {"cause": whole.cause, "made_at": iso(whole.created_at), "reasons": list(texts)}
        case EntryApproved() as entry:
            return {"cause": entry.what, "made_at": iso(entry.at), "reasons": []}
        case ConversionAsked() as asked:
            return {"cause": "dust conversion", "made_at": iso(asked.at), "reasons": []}
    return None


def _approved(approval: Entry | None) -> Document | None:
    record = approval.record if approval else None
    if not isinstance(record, PlanApproved | EntryApproved | ConversionAsked):
        return None
    who = documents.builtins(record.approver) if record.approver else None
    return {"at": iso(record.at), "by": record.by or None, "approver": who}


def _ended(end: Entry | None) -> Document | None:
    match end.record if end else None:
        case PlanEnded(success=success, final=final):
            owners = [{"id": owner.id, "final": owner.final, "complete": owner.complete} for owner in final]
            return {"at": iso(end.at), "success": success, "owners": owners} if end else None
        case EntryEnded() as ended:
            return {"at": iso(end.at), "success": ended.outcome == "filled", **_plain(ended)} if end else None
        case ConversionAnswered() as answered:
            return {"at": iso(end.at), "success": None, **_plain(answered)} if end else None
    return None


def _plain(record: object) -> Document:
    made: Document = documents.builtins(record)
    return {name: value for name, value in made.items() if name not in ("type", "plan", "key")}


def _state(end: Entry | None, actions: Sequence[Document]) -> str:
    if end is None:
        return OPEN
    failed = isinstance(end.record, PlanEnded) and not end.record.success
    unfilled = isinstance(end.record, EntryEnded) and end.record.outcome != "filled"
    return REMAINED if failed or unfilled or any(_remains(action) for action in actions) else DONE


def _results(entries: Iterable[Entry]) -> dict[tuple[PositionKey, str, str | None], ResultRow]:
    """Return each action's last result: the final read may overrule an earlier result."""
    rows = [e.record.result for e in entries if isinstance(e.record, ClosingEnded)]
    return {(row.key, row.kind, row.order_id): row for row in rows}


def _actions(
    plan: Plan | None, entries: Sequence[Entry], results: dict[tuple[PositionKey, str, str | None], ResultRow]
) -> list[Document]:
    """Return what was done for each position, in the plan's order, with the requests and their answers.

    A cancel that comes before a close is part of the close.
    """
    of_a_close = {(a.key.account, o.id) for a in plan.closes for o in a.cancels} if plan else set()
    own = [a for a in plan.actions if (a.key.account, _order_id(a)) not in of_a_close] if plan else []
    planned = [(a.key, a.kind.value, _order_id(a), a) for a in own]
    known = {(key, kind, order_id) for key, kind, order_id, _ in planned}
    other = [(*key, None) for key in results if key not in known]
    bare = {e.record.key for e in entries if isinstance(e.record, IntentWritten)} - {key for key, *_ in planned}
    lines = [*planned, *other, *((key, "order", None, None) for key in sorted(bare))]
    return [_action(line, entries, results.get(line[:3])) for line in lines]


def _order_id(action: Action) -> str | None:
    return action.order.id if action.kind is ActionKind.CANCEL_ORDER and action.order else None


def _action(
    line: tuple[PositionKey, str, str | None, Action | None], entries: Sequence[Entry], result: ResultRow | None
) -> Document:
    key, kind, order_id, action = line
    acts = kind in ("close", "order")
    return {
        "account": key.account,
        "symbol": key.symbol,
        "leg": key.leg.value,
        "kind": kind,
        "order_id": order_id,
        "reason": action.reason.value if action else result.reason if result else None,
        "text": action.text if action else result.why if result else "",
        "cancels": [_cancel(e, e.record.order) for e in entries if acts and _is_of(e, key, CancelAsked)],
        "requests": [_request(e, entries) for e in entries if acts and _is_of(e, key, IntentWritten)],
        "result": documents.result(result) if result else None,
    }


def _is_of(entry: Entry, key: PositionKey, kind: type) -> bool:
    return isinstance(entry.record, kind) and entry.record.key == key  # type: ignore[attr-defined]


def _cancel(entry: Entry, order: Order) -> Document:
    return {"at": iso(entry.at), **_order(order)}


def _request(entry: Entry, entries: Sequence[Entry]) -> Document:
    """Return one request with the answers up to the next request of the same name."""
    intent = entry.record
    assert isinstance(intent, IntentWritten)
    again = [e.seq for e in entries if _names(e, intent.client_id, IntentWritten) and e.seq > entry.seq]
    last = min(again, default=None)
    mine = [e for e in entries if e.seq > entry.seq and (last is None or e.seq < last)]
    request = intent.request
    return {
        "at": iso(intent.at),
        "client_id": intent.client_id,
        "tier": intent.tier.value if intent.tier else None,
        "round": intent.round,
        "side": request.side.value,
        "quantity": documents.builtins(request.quantity),
        "type": request.type.value,
        "price": documents.builtins(request.price),
        "position_before": documents.builtins(intent.position_before),
        "answers": [_answer(e) for e in mine if _names(e, intent.client_id, IntentAnswered)],
        "fills": [
            _fill(e.record.fill)
            for e in mine
            if isinstance(e.record, FillRecorded) and e.record.fill.client_id == intent.client_id
        ],
    }


def _names(entry: Entry, client_id: str, kind: type) -> bool:
    return isinstance(entry.record, kind) and entry.record.client_id == client_id  # type: ignore[attr-defined]


def _answer(entry: Entry) -> Document:
    record = entry.record
    assert isinstance(record, IntentAnswered)
    order = _order(record.order) if record.order else {}
    return {"at": iso(entry.at), "outcome": record.outcome, "text": record.text, **order}


def _order(order: Order) -> Document:
    names = ("side", "quantity", "price", "status", "filled", "average_price", "fee")
    return {"order_id": order.id, **{name: documents.builtins(getattr(order, name)) for name in names}}


def _fill(fill: Fill) -> Document:
    names = ("trade_id", "quantity", "price", "fee", "at")
    return {name: documents.builtins(getattr(fill, name)) for name in names}


def _remains(action: Document) -> bool:
    """Return True for an action without an end, or with an end that leaves something."""
    if action["kind"] == "skip" or (action["kind"] == "order" and action["result"] is None):
        return False
    return action["result"] is None or action["result"]["outcome"] not in _SETTLED


def _named(action: Document) -> Document:
    result = action["result"] or {}
    names = {name: action[name] for name in ("account", "symbol", "leg", "kind", "order_id")}
    return {**names, "outcome": result.get("outcome"), "residual": result.get("residual"), "error": result.get("error")}


# --------------------------------------------------------------------------------------------------------------- text


def history_text(made: Document, entries: Sequence[Entry], *, width: int | None) -> str:
    """Return the story for a person. Times are UTC."""
    plan = next((e.record.plan for e in entries if isinstance(e.record, PlanApproved)), None)
    trigger, approved = made["trigger"], made["approved"]
    lines = [f"Plan {made['plan']}: {made['state']}"]
    if trigger:
        reasons = f": {'; '.join(trigger['reasons'][:3])}" if trigger["reasons"] else ""
        lines.append(f"Trigger   {trigger['made_at']}  {trigger['cause']}{reasons}")
    if approved:
        lines.append(f"Approved  {approved['at']}  by {approved['by'] or 'unknown'}{_from(approved['approver'])}")
    if plan is not None:
        lines += ["", "What was shown", *(f"  {line}".rstrip() for line in plan_text(plan, width=width).splitlines())]
    lines += ["", "What was done"]
    for action in made["actions"]:
        lines += _action_lines(action)
    if plan is not None:
        sums = sum_lines(plan, _results(entries).values())
        lines += ["", *sums] if sums else []
    return sanitize_lines([*lines, "", *_end_lines(made)])


def sanitize_lines(lines: Iterable[str]) -> str:
    return "\n".join(sanitize(line) for line in lines)


def _from(approver: Document | None) -> str:
    if approver is None:
        return ""
    parts = [
        approver["terminal"],
        f"from {approver['ssh_client']}" if approver["ssh_client"] else "",
        approver["command"],
    ]
    return "".join(f", {part}" for part in parts if part)


def _action_lines(action: Document) -> list[str]:
    if action["kind"] == "skip":
        return [f"  {action['symbol']} on {action['account']}: left alone, {action['text']}"]
    order = f" order {action['order_id']}" if action["order_id"] else ""
    lines = [f"  {action['symbol']} on {action['account']}: {action['kind']}{order}, {action['text']}"]
    for cancel in action["cancels"]:
        lines.append(
            f"    {cancel['at']}  cancel asked: order {cancel['order_id']}, {cancel['side']} {cancel['quantity']}"
        )
    for request in action["requests"]:
        at = f" at {request['price']}" if request["price"] else " at the market"
        tier = f"{request['tier']} round {request['round']}" if request["tier"] else "order put back"
        lines.append(
            f"    {request['at']}  {tier}: {request['side']} {request['quantity']}{at} ({request['client_id']})"
        )
        lines += [f"    {answer['at']}    {_answer_text(answer)}" for answer in request["answers"]]
        lines += [f"    {fill['at'] or ''}    fill {fill['quantity']} at {fill['price']}" for fill in request["fills"]]
        lines += ["    no answer is recorded"] if not request["answers"] else []
    return [*lines, f"    {_result_text(action['result'])}"]


def _answer_text(answer: Document) -> str:
    text = f": {answer['text']}" if answer["text"] else ""
    if "order_id" not in answer:
        return f"{answer['outcome']}{text}"
    price = f" at {answer['average_price']}" if answer["average_price"] else ""
    fee = f", fee {answer['fee']}" if answer["fee"] is not None else ""
    order = f"order {answer['order_id']}, filled {answer['filled']}{price}{fee}"
    return f"{answer['outcome']} {answer['status']}: {order}{text}"


def _result_text(result: Document | None) -> str:
    if result is None:
        return "no end is recorded"
    error = f": {result['error']}" if result["error"] else ""
    if result["kind"] != "close":
        return f"{result['outcome']}{error}"
    price = f" at {result['average_price']}" if result["average_price"] else ""
    left = "unknown" if result["residual"] is None else result["residual"]
    facts = (
        [f"{name.replace('_', ' ')} {result[name] or 'unknown'}" for name in _MONEY] if result["filled"] != "0" else []
    )
    money = f"; {', '.join(facts)} {result['currency'] or ''}".rstrip() if facts else ""
    return f"{result['outcome']}: filled {result['filled']}{price}, left {left}{money}{error}"


def _end_lines(made: Document) -> list[str]:
    ended = made["ended"]
    if ended is None:
        return ["No end is in the journal: the plan is under way, or it was interrupted and the next engine ends it."]
    left = [f"{one['symbol']} on {one['account']} ({one['outcome'] or 'no end'})" for one in made["remained"]]
    owners = [f"{o['id']} {o['final']}{'' if o['complete'] else ' PARTIAL'}" for o in ended.get("owners", [])]
    held = f"; positions then: {', '.join(owners)}" if owners else ""
    how = {True: "verified", False: "not all done or verified", None: "answered"}[ended["success"]]
    how = ended.get("outcome") or how
    return [f"Ended     {ended['at']}  {how}{held}", f"Remained  {', '.join(left) or 'nothing'}"]

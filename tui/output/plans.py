"""Texts of the command line for people: a plan's diff, its results, the status. Values in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from msgspec import structs

from core.closing.log_text import TAGS, tag, would_cancel
from core.journal.data_dir import Holder
from core.link.messages import LIVE_STATES, AccountRow, Snapshot
from core.plans.plan import Action, ActionKind, OwnerTally, Plan, Reason
from core.plans.position_row import PositionRow
from core.plans.results import PlanReport, ResultRow, owner_tallies
from core.units import iso
from tui.output.columns import columns
from tui.output.costs import amount, sum_lines
from tui.output.distances import (
    away,
    held_against_cap,
    leverage_line,
    nearest_line,
    without_leverage_note,
)
from tui.output.documents import results
from tui.output.selection import sums
from tui.output.waiting import waiting_lines
from tui.present.labels import halted_words, not_listed, restricted_words, tags, tally_words
from tui.present.numbers import UNKNOWN, age, left, number, pct, usd
from tui.present.sanitize import sanitize

_TAGS = {**TAGS, Reason.UNSELLABLE: "[UNSELLABLE]", Reason.OPEN_ORDERS: "[OPEN_ORDER]"}
_VERBS = {ActionKind.CLOSE: "close", ActionKind.CANCEL_ORDER: "cancel", ActionKind.SKIP: "skip"}
_SPARE = "held,price,target,entry,side,mark,P&L"  # columns that a narrow terminal leaves out, the first first
_BAD = frozenset({"partial", "stuck", "waiting_open", "changed", "refused"})


def plan_text(value: Plan, *, width: int | None = None) -> str:
    """Return the diff: per owner before → after, then each line, then the accounts that could not be read."""
    lines = [f"Plan {value.id}: {value.cause}" + ("" if value.complete else "  PARTIAL")]
    for tally in value.owners:
        lines += ["", _owner_heading(tally, over_cap(value, tally))]
        actions = [action for action in value.actions if action.owner == tally.id]
        lines += _action_lines(actions, width) if actions else ["  nothing to do"]
    known = {tally.id for tally in value.owners}
    rest = [action for action in value.actions if action.owner not in known]
    lines += _action_lines(rest, width) if rest else []
    if value.unreadable:
        lines += ["", "Could not be read, so nothing is planned for:"]
        lines += [f"  {sanitize(account)}: {sanitize(why)}" for account, why in value.unreadable.items()]
    if value.unlisted:
        lines += ["", "Not listed, so look at the exchange yourself:", *_unlisted_lines(value.unlisted)]
    lines += ["", *_tier_lines(value), _plan_totals(value)]
    return "\n".join(lines)


def report_text(value: PlanReport, *, width: int | None = None) -> str:
    """Return how every action ended, and the summary with the brokers' counts afterwards."""
    rows = results(value)
    lines = ["Results", *_result_lines(rows, width), ""] if rows else []
    money = sum_lines(value.plan, value.results)
    lines += ["Summary", *_summary_lines(value, rows, width), "", *money, *[""] * bool(money), _verdict(value)]
    return "\n".join(lines)


def status_text(snapshot: Snapshot, elsewhere: Holder | None = None, *, width: int | None = None) -> str:
    """Return accounts, owners, positions and closings, and the engine that runs ``elsewhere``, if any."""
    engine = snapshot.engine
    if elsewhere:
        known = elsewhere.armed if engine.pid is None else engine.armed
        armed = {True: "ARMED", False: "not armed", None: "armed or not is seen in its console"}[known]
        marks = [f"engine {elsewhere.mode} (pid {elsewhere.pid})", armed]
    else:
        marks = ["no engine is running: no stop is watched", "ARMED once one runs" if engine.armed else "not armed"]
    lines = [*waiting_lines(snapshot), f"flatdeck  {', '.join(marks)}  {iso(snapshot.taken_at)}"]
    if engine.halted:
        by = f"by {engine.halted.by} since {iso(engine.halted.since)}"
        lines.append(sanitize(f"{halted_words(engine.halted)} ({by}). No entry is sent; closing goes on."))
    if engine.alarm:
        lines.append(f"ALARM {sanitize(engine.alarm)}")
    lines += ["", "Accounts", *_account_lines(snapshot, width)]
    lines += ["", "Owners", *_owner_lines(snapshot, width)]
    if engine.next_cleanup is not None:
        lines.append(f"  next cleanup in {left(engine.next_cleanup, snapshot.taken_at)}")
    held = _position_lines(snapshot.positions, snapshot.taken_at, width)
    lines += ["", "Positions", *(held or [_none(snapshot.accounts)])]
    lines += [*nearest_line(snapshot.positions), *leverage_line(snapshot.positions)]
    if snapshot.closings:
        lines += ["", "Closings", *_closing_lines(snapshot, width)]
    return "\n".join(lines)


def _unlisted_lines(unlisted: Mapping[str, Iterable[str]]) -> list[str]:
    return [f"  {sanitize(account)}: {sanitize('; '.join(parts))}" for account, parts in unlisted.items()]


def plan_question(value: Plan) -> str:
    """Return the question that is asked before anything is sent."""
    return f"{_what(value).capitalize()}?"


def _what(value: Plan) -> str:
    """Return ``close 51 positions and cancel 1 order``."""
    closes, cancels = len(value.closes), sum(action.kind is ActionKind.CANCEL_ORDER for action in value.actions)
    parts = [f"close {closes} position{'s' * (closes != 1)}"] if closes else []
    parts += [f"cancel {cancels} order{'s' * (cancels != 1)}"] if cancels else []
    return " and ".join(parts)


def over_cap(value: Plan, tally: OwnerTally) -> int:
    """Return how far a cleanup leaves the owner over the cap. Dust and unsellable positions do not count."""
    if value.cause != "cleanup":
        return 0
    left = [a for a in value.actions if a.owner == tally.id and a.kind is ActionKind.SKIP]
    uncounted = sum(a.rank is None and a.reason is not Reason.NO_PRICE for a in left)
    return max(tally.final - uncounted - tally.cap, 0)


def _owner_heading(tally: OwnerTally, over_by: int) -> str:
    value = ""
    if tally.value_before is not None and tally.value_after is not None:
        value = f", {usd(tally.value_before)} → {usd(tally.value_after)}"
    partial = "" if tally.complete else "  PARTIAL"
    over = f"  still {over_by} over the cap" if over_by else ""
    counts = f"{tally.initial} → {tally.final} positions (cap {tally.cap}){value}"
    return f"{sanitize(tally.id)}: {', '.join([counts, *tally_words(tally)])}{over}{partial}"


def _action_lines(actions: Iterable[Action], width: int | None) -> list[str]:
    rows = [("", "symbol", "account", "side", "quantity", "value", "P&L", "why")]
    rows += [
        (
            _VERBS[action.kind],
            action.key.symbol,
            action.key.account,
            action.side.value if action.side else UNKNOWN,
            number(action.quantity),
            usd(action.usd_value) if action.kind is not ActionKind.CANCEL_ORDER else "",
            pct(action.pnl) if action.kind is not ActionKind.CANCEL_ORDER else "",
            _why(action),
        )
        for action in actions
    ]
    return columns(rows, right="quantity,value,P&L", width=width, indent="  ")


def _why(action: Action) -> str:
    if action.kind is ActionKind.CANCEL_ORDER:
        return would_cancel(action)
    if action.kind is ActionKind.CLOSE:
        return f"{tag(action.reason)} {action.text}"
    return f"{_TAGS.get(action.reason, '')} {action.text}".strip()


def _tier_lines(value: Plan) -> list[str]:
    """Return each ladder that occurs, with the accounts that use it."""
    ways: dict[str, list[str]] = {}
    for action in value.closes:
        accounts = ways.setdefault(" → ".join(tier.value for tier in action.tiers), [])
        if action.key.account not in accounts:
            accounts.append(action.key.account)
    return [f"Closing by {way}: {sanitize(', '.join(accounts))}" for way, accounts in ways.items()]


def _plan_totals(value: Plan) -> str:
    total = value.totals
    if value.empty:
        return "Nothing to do." if value.complete else "Nothing to do in what could be read. PARTIAL."
    cost = [action.cost for action in value.closes if action.cost is not None]
    unknown = f" + {len(value.closes) - len(cost)} unknown" if len(cost) < len(value.closes) else ""
    about = f", about {usd(sum(cost, Decimal(0)))}{unknown} in spread and fees" if cost else ""
    return f"To {_what(value)}: {total.initial} → {total.final} positions{about}."


def _result_lines(results: Iterable[ResultRow], width: int | None) -> list[str]:
    rows = [
        ("outcome", "symbol", "account", "tier", "filled", "price", "left", "profit", "realised", "fee", "slippage", "")
    ]
    rows += [
        (
            row.outcome.upper() if row.outcome in _BAD else row.outcome,
            row.key.symbol,
            row.key.account,
            row.tier or "",
            number(row.filled) if row.filled else "",
            number(row.average_price) if row.average_price is not None else "",
            number(row.residual) if row.kind == "close" and row.residual != 0 else "",
            row.profit or "",
            *_money_cells(row),
            f"order {row.order_id} {row.error or ''}"
            if row.order_id and row.kind == "cancel_order"
            else row.error or "",
        )
        for row in results
    ]
    return columns(rows, right="filled,price,left,realised,fee,slippage", width=width, indent="  ")


def _money_cells(row: ResultRow) -> tuple[str, str, str]:
    money = row.money
    if money is None:
        return "", "", ""
    realised = amount(money.realised, money.currency, signed=True)
    return realised, amount(money.fee, money.currency), amount(money.slippage, money.currency)


def _summary_lines(value: PlanReport, results: Iterable[ResultRow], width: int | None) -> list[str]:
    """Return, per owner and in all, the actions that were done and the positions held now."""
    owner_of = {action.key: action.owner for action in value.plan.actions}
    failed = Counter(owner_of.get(row.key) for row in results if row.outcome in _BAD)
    heading = ("", "initial", "dust closed", "cap excess closed", "orders cancelled", "skipped", "unsellable", "failed")
    rows: list[tuple[str, ...]] = [(*heading, "final", "reduction", " ")]
    done = owner_tallies(value.plan, value.results, {owner.id: owner.final for owner in value.owners})
    total = structs.replace(value.plan, owners=done).totals
    read = {owner.id for owner in value.owners if owner.complete}
    for tally, name in (*((tally, tally.id) for tally in done), *([(total, "in all")] if len(done) > 1 else [])):
        counts = (tally.initial, tally.dust, tally.cap_excess, tally.orders_to_cancel, tally.skipped, tally.unsellable)
        bad = failed.total() if tally is total else failed[tally.id]
        numbers = (*counts, bad, tally.final, tally.initial - tally.final)
        partial = "" if tally is total or (tally.complete and tally.id in read) else "PARTIAL"
        rows.append((name, *(str(number) for number in numbers), partial))
    return columns(rows, right=",".join((*heading[1:], "final", "reduction")), width=width, indent="  ")


def _verdict(value: PlanReport) -> str:
    if value.success and value.complete:
        over = [(tally.id, over_cap(value.plan, tally)) for tally in value.plan.owners]
        told = [f"{sanitize(owner)} is still {by} over the cap" for owner, by in over if by]
        return f"Done and verified at the brokers{''.join(f'; {text}' for text in told)}."
    bad = [row for row in value.results if row.outcome in _BAD]
    named = ", ".join(f"{sanitize(row.key.symbol)} on {sanitize(row.key.account)} ({row.outcome})" for row in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    gone = all(row.kind == "close" and row.residual == 0 for row in bad)
    what = "Nothing of it is held any more, but how its close ended is not known" if gone else "Something remained"
    remained = f"{what}: {named}{more}." if bad else "Not everything could be verified."
    if value.complete and value.plan.complete:
        return remained
    unread = value.plan.unreadable or not value.unlisted or not all(owner.read for owner in value.owners)
    parts = ["not every account could be read."] if unread else []
    parts += [f"{line.strip()} could not be listed." for line in _unlisted_lines(value.unlisted)]
    return f"{remained} PARTIAL: {' '.join(parts)}"


def _account_lines(snapshot: Snapshot, width: int | None) -> list[str]:
    if not snapshot.accounts:
        return ["  none configured"]
    rows = [("account", "broker", "state", "age", "")]
    rows += [
        (row.id, row.broker, _state(row), age(row.as_of, snapshot.taken_at), _trouble(row)) for row in snapshot.accounts
    ]
    return columns(rows, right="age", width=width, indent="  ")


def _state(row: AccountRow) -> str:
    state = row.state if row.state in LIVE_STATES else row.state.upper()
    state += " PARTIAL" if row.unlisted and row.state in LIVE_STATES else ""
    state += f" {row.trading.state.upper()}" if row.trading.state != "enabled" else ""
    return f"{state} FROZEN" if row.frozen else state


def _trouble(row: AccountRow) -> str:
    parts = (row.frozen or row.error, not_listed(row.unlisted) if row.unlisted else "", restricted_words(row.trading))
    return "; ".join(part for part in parts if part)


def _owner_lines(snapshot: Snapshot, width: int | None) -> list[str]:
    if not snapshot.owners:
        return ["  none configured"]
    worth = sums(snapshot.positions)
    rows = [("owner", "held/cap", "value", "")]
    for row in snapshot.owners:
        over = f"{row.counted - row.cap} over the cap" if row.counted > row.cap else ""
        unread = any(a.owner == row.id and not a.whole and not a.unlisted for a in snapshot.accounts)
        why = "an account could not be read" if unread else "a part of an account could not be listed"
        partial = "" if row.complete else f"PARTIAL: {why}"
        why = "; ".join(filter(None, (over, partial)))
        rows.append((row.id, held_against_cap(row), worth.get(row.id, ""), why))
    return columns(rows, right="held/cap,value", width=width, indent="  ")


def _position_lines(positions: Iterable[PositionRow], now: datetime, width: int | None) -> list[str]:
    rows: list[tuple[str, ...]] = [
        (
            *("symbol", "account", "side", "quantity", "entry", "mark", "value", "P&L"),
            *("stop", "away", "target", "held", "price", "flags"),
        )
    ]
    for row in positions:
        prices = (number(price) for price in (row.entry, row.mark))
        levels = (number(row.stop), pct(away(row)).lstrip("+"), number(row.target))
        rows.append(
            (
                *(row.key.symbol, row.key.account, row.side, number(row.quantity), *prices),
                *(usd(row.usd_value), pct(row.pnl), *levels, age(row.opened_at, now), age(row.priced_at, now)),
                f"{tags(row.flags)} {without_leverage_note(row)}".strip(),
            )
        )
    if len(rows) == 1:
        return []
    numbers = "quantity,entry,mark,value,P&L,stop,away,target,held,price"
    return columns(rows, right=numbers, width=width, indent="  ", optional=_SPARE)


def _none(accounts: Iterable[AccountRow]) -> str:
    """Return the line in place of positions. What was not read or listed is not flat."""
    unread = sum(not row.whole for row in accounts)
    which = f"{unread} account{'s' * (unread != 1)} could not be read whole"
    return f"  none in what could be read ({which})" if unread else "  none"


def _closing_lines(snapshot: Snapshot, width: int | None) -> list[str]:
    rows = [("symbol", "account", "reason", "state", "tier", "round", "next", "last answer")]
    rows += [
        (
            row.key.symbol,
            row.key.account,
            row.reason,
            row.outcome or row.state,
            row.tier or UNKNOWN,
            str(row.round),
            f"{row.next_tier} {iso(row.next_at)}" if row.next_tier and row.next_at else row.next_tier or UNKNOWN,
            row.answer,
        )
        for row in snapshot.closings
    ]
    return columns(rows, right="round", width=width, indent="  ")

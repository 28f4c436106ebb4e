"""Words for the replica's values: tags, severities, account states, and the warnings before a quit. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.link.messages import LIVE_STATES, AccountRow, ClosingRow, EngineRow, LogRow, Snapshot
from core.link.replica import Replica
from core.link.restrict import HaltRow, TradingRow
from core.plans.plan import OwnerTally
from core.plans.position_row import PositionRow
from core.plans.results import PlanReport
from core.units import ONE, ZERO, iso
from tui.present.cells import Cell
from tui.present.numbers import UNKNOWN, age, clock, span, tone_of, usd
from tui.present.sanitize import sanitize

TAGS = {"dust": "DUST", "cap": "CAP", "open_orders": "ORDERS", "stale": "STALE", "unsellable": "UNSELLABLE"}
TAGS |= {"legacy": "LEGACY", "closing": "CLOSING"}
LEGEND = {
    "[DUST]": "worth less than the dust limit",
    "[CAP]": "ranked beyond its owner's cap",
    "[ORDERS]": "has open orders at the venue",
    "[STALE]": "its price is missing, old or unusable",
    "[UNSELLABLE]": "below the venue's minimum or untradable",
    "[LEGACY]": "held before this program knew it",
    "[CLOSING]": "a close of it is in flight",
    "[PARTIAL]": "an account, or a part of it, could not be listed: the figures cover only the rest",
    "[EMERGENCY]": "an emergency stop, or a stuck close of $1,000 or more: look here first",
    "[STUCK]": "every way to close it was tried; a person must look",
    "[CLOSE-ONLY]": "at that account nothing is opened or added to; closing goes on",
    "[LOCKED]": "at that account nothing is opened or added to; closing goes on",
    "[FROZEN]": "nothing is sent for that account until a person looked",
}
_TONES = {"dust": "dim", "cap": "warn", "stale": "bad", "unsellable": "bad", "closing": "strong"}
LEVEL_TONES = {"debug": "dim", "warning": "warn", "error": "bad", "alarm": "alarm"}


def tags(flags: Iterable[str]) -> str:
    """Return ``[DUST] [CAP]``; an unknown flag is shown by its own name."""
    return " ".join(f"[{TAGS.get(f, sanitize(f, 16).upper())}]" for f in flags)


def flags_tone(flags: Iterable[str]) -> str:
    """Return the tone of the worst flag."""
    tones = {_TONES.get(f, "warn") for f in flags}
    return next((t for t in ("bad", "warn", "strong", "dim") if t in tones), "")


def pnl_usd(row: PositionRow) -> Decimal | None:
    """Return P&L in dollars, from the value now and the move since entry.

    None if either is unknown, or if the move means a price of 0 or less.
    """
    if row.usd_value is None or row.pnl is None:
        return None
    base = ONE + row.pnl if row.side == "long" else ONE - row.pnl
    return row.usd_value * row.pnl / base if base > 0 else None


class Totals(NamedTuple):
    """Sums over positions. Unknown values are counted and never taken for 0."""

    count: int = 0
    value: Decimal = ZERO
    pnl: Decimal = ZERO
    unpriced: int = 0
    unknown_pnl: int = 0

    def plus(self, value: Decimal | None, pnl: Decimal | None, sign: int) -> Totals:
        """Return the sums with one position more (``sign`` 1) or less (-1)."""
        return Totals(
            self.count + sign,
            self.value + sign * (value or ZERO),
            self.pnl + sign * (pnl or ZERO),
            self.unpriced + sign * (value is None),
            self.unknown_pnl + sign * (pnl is None),
        )

    def money(self) -> tuple[Cell, Cell]:
        """Return value and P&L, each with the number of positions that are missing; ``—`` if all are."""
        value = usd(self.value, whole=True) if self.count > self.unpriced else UNKNOWN
        pnl = usd(self.pnl, signed=True, whole=True) if self.count > self.unknown_pnl else UNKNOWN
        more = f" ({self.unpriced} unpriced)" if self.unpriced and self.count > self.unpriced else ""
        missing = f" ({self.unknown_pnl} unknown)" if self.unknown_pnl and self.count > self.unknown_pnl else ""
        return Cell(value + more), Cell(pnl + missing, tone_of(self.pnl) if pnl != UNKNOWN else "dim")


PARKED = "parked"  # state of a close that waits for its market to open


def in_flight(closings: Iterable[ClosingRow]) -> list[ClosingRow]:
    """Return the closes that have not ended."""
    return [c for c in closings if c.outcome is None]


def under_way(snapshot: Snapshot) -> bool:
    """Return whether a confirmed plan runs or a close is in flight.

    A close that waits for its market does not count, because a closed market may stay closed for days.
    """
    flying = in_flight(snapshot.closings)
    parked = {c.plan for c in flying if c.state == PARKED}
    # a running plan without a close may be in its final read
    begun = any(p.state == "running" and p.id not in parked for p in snapshot.plans)
    return begun or any(c.state != PARKED for c in flying)


def engine_cells(engine: EngineRow, *, read_only: bool) -> list[Cell]:
    """Return whether the engine is armed, read-only, late or not running.

    A read-only engine says nothing of arming, because another engine may be armed.
    """
    cells = [Cell("ARMED", "strong") if engine.armed else Cell("NOT ARMED", "warn")] if not engine.read_only else []
    if engine.halted:
        cells.append(Cell(sanitize(halted_words(engine.halted), 60), "alarm"))
    if read_only or engine.read_only:
        cells.append(Cell("READ-ONLY", "warn"))
    if engine.exits_late:
        cells.append(Cell(f"EXITS {engine.exits_late} s LATE", "alarm"))
    if not engine.running:
        cells.append(Cell("ENGINE NOT RUNNING", "alarm"))
    return cells


def halted_words(halted: HaltRow) -> str:
    """Return the words for the kill switch that is on."""
    return f"HALTED: {halted.reason}" if halted.reason else "HALTED"


def restricted_words(trading: TradingRow) -> str:
    """Return ``locked until 2026-12-01T18:00:00Z: lost enough``; "" for an enabled account."""
    if trading.state == "enabled":
        return ""
    until = f" until {iso(trading.until)}" if trading.until else ""
    return f"{trading.state}{until}{f': {trading.reason}' if trading.reason else ''}"


def accounts_cells(accounts: Iterable[AccountRow], now: datetime) -> list[Cell]:
    """Return ``5 accounts: 4 live <5s`` · ``1 STALE 12s``, each with the age of its oldest read."""
    rows = list(accounts)
    live = [a for a in rows if a.state in LIVE_STATES]
    age_of = f" {_worst(live, now)}" if live else ""
    cells = [Cell(f"{len(rows)} account{'s' * (len(rows) != 1)}: {len(live)} live{age_of}")]
    for state in sorted({a.state for a in rows} - LIVE_STATES):
        bad = [a for a in rows if a.state == state]
        cells.append(Cell(f"{len(bad)} {sanitize(state).upper()} {_worst(bad, now)}", "bad"))
    if partial := sum(bool(a.unlisted) for a in live):
        cells.append(Cell(f"{partial} PARTIAL", "bad"))
    if frozen := sum(a.frozen is not None for a in rows):
        cells.append(Cell(f"{frozen} FROZEN", "alarm"))
    for state in sorted({a.trading.state for a in rows} - {"enabled"}):
        cells.append(Cell(f"{sum(a.trading.state == state for a in rows)} {sanitize(state).upper()}", "warn"))
    return cells


def _worst(accounts: list[AccountRow], now: datetime) -> str:
    moments = [a.as_of for a in accounts]
    if None in moments or not moments:
        return "never"
    return age(min(m for m in moments if m is not None), now)


def account_problem(account: AccountRow, now: datetime) -> Cell | None:
    """Return the warning for an account that is frozen, not live or not listed in whole, else None."""
    if account.frozen is not None:
        return Cell(f"[FROZEN] {sanitize(account.id, 40)}: {sanitize(account.frozen, 80)}", "alarm")
    if account.state in LIVE_STATES:
        return (
            Cell(f"[PARTIAL] {sanitize(account.id, 40)}: {not_listed(account.unlisted)}", "bad")
            if account.unlisted
            else None
        )
    read = f"read {span((now - account.as_of).total_seconds())} ago" if account.as_of else "never read"
    why = f": {sanitize(account.error, 80)}" if account.error else ""
    return Cell(f"[{sanitize(account.state).upper()}] {sanitize(account.id, 40)} {read}{why}", "bad")


def account_restriction(account: AccountRow) -> Cell | None:
    """Return the tag of an account that a person made close-only or locked, with its end and reason, else None."""
    words = restricted_words(account.trading)
    if not words:
        return None
    state, more = sanitize(account.trading.state).upper(), sanitize(words.removeprefix(account.trading.state), 100)
    return Cell(f"[{state}] {sanitize(account.id, 40)}{more}", "warn")


def not_listed(parts: Iterable[str]) -> str:
    """Return the words for parts of an account that no list covers."""
    return f"not listed: {sanitize('; '.join(parts), 240)}"


def log_cells(row: LogRow) -> tuple[Cell, ...]:
    """Return one line of the log. A level that matters has a word of its own."""
    tone = LEVEL_TONES.get(row.level, "")
    level = "" if row.level in ("info", "debug") else f"{sanitize(row.level, 8).upper()} "
    where = sanitize(row.account or row.owner or "")
    symbol = sanitize(row.symbol) if row.symbol and row.symbol not in row.text else ""
    source = " ".join(w for w in (where, symbol) if w)
    return (
        Cell(f"{clock(row.at)} ", "dim"),
        Cell(level, tone),
        Cell(sanitize(row.text, 2000), tone),
        Cell(f"  {source}" if source else "", "dim"),
    )


def log_text(row: LogRow) -> str:
    """Return the text that a filter searches."""
    return f"{row.level} {row.text} {row.account or ''} {row.owner or ''} {row.symbol or ''}".casefold()


def matches(text: str, words: Iterable[str]) -> bool:
    """Return whether every word occurs; ``text`` and ``words`` are casefolded."""
    return all(word in text for word in words)


def left_unguarded(replica: Replica, alarms: int, *, read_only: bool) -> list[str]:
    """Return what a quit leaves unwatched; empty if a quit loses nothing.

    The engine of a read-only console is another one, and goes on.
    """
    engine, flying = replica.engine, in_flight(replica.closings.values())
    if read_only or engine.read_only:
        return []
    lines = []
    if flying:
        lines.append(f"{len(flying)} close{'s' * (len(flying) != 1)} in flight:")
        lines += [
            f"  {sanitize(c.key.symbol, 24)} at {sanitize(c.key.account, 32)}: {sanitize(c.state, 20)}"
            for c in flying[:8]
        ]
        if len(flying) > 8:
            lines.append(f"  and {len(flying) - 8} more")
    if engine.mode == "service":
        goes_on = "The engine is a process of its own: it carries on without this console, with nobody watching."
        return [*lines, goes_on] if flying else []
    held = len(replica.positions)
    plans = sum(p.state == "waiting" for p in replica.plans.values())
    counted = ((held, "position", "held"), (plans, "plan", "waiting for a person"), (alarms, "alarm", "not silenced"))
    left = [f"{count} {noun}{'s' * (count != 1)} {what}" for count, noun, what in counted if count]
    if not flying and not left:
        return []
    end = "The engine ends with this console: closes stay where they are, and no stop is watched any more."
    return [*lines, *([", ".join(left) + "."] if left else []), end]


def report_summary(report: PlanReport) -> list[Cell]:
    """Return the closing summary of a plan: ``59 → 8 · 45 dust · 6 over cap · verified``."""
    totals = report.plan.totals
    final = sum(o.final for o in report.owners)
    outcomes = [r.outcome for r in report.results]
    cells = [Cell(f"{totals.initial} → {final} positions", "strong")]
    cells += [Cell(t) for t in tally_words(totals)]
    for outcome in sorted(set(outcomes), key=lambda o: (o not in GOOD_OUTCOMES, o)):
        tone = "good" if outcome in GOOD_OUTCOMES else "alarm" if outcome == "stuck" else "warn"
        word = outcome.replace("_", " ")
        cells.append(Cell(f"{outcomes.count(outcome)} {word.upper() if tone != 'good' else word}", tone))
    if report.complete:
        cells.append(
            Cell(
                "read again and verified" if report.success else "read again: SOMETHING REMAINED",
                "good" if report.success else "bad",
            )
        )
    else:
        parts = "; ".join(part for names in report.unlisted.values() for part in names)
        why = not_listed([parts]) if parts else "not every account could be read again"
        cells.append(Cell(f"PARTIAL: {why}", "bad"))
    if (more := _unplanned(report)) > 0:
        cells.append(Cell(f"{more} MORE HELD than the plan had", "bad"))
    return cells


def _unplanned(report: PlanReport) -> int:
    """Return the number of positions at the end that neither the plan nor a failed close explains."""
    left = sum(r.kind == "close" and r.outcome != "closed" for r in report.results)
    return sum(o.final for o in report.owners) - report.plan.totals.final - left


GOOD_OUTCOMES = frozenset({"closed", "closed_residual", "cancelled"})


def tally_words(tally: OwnerTally) -> list[str]:
    """Return ``45 dust``, ``6 over cap`` and so on, without the zeros."""
    words = [(tally.dust, "dust"), (tally.cap_excess, "over cap"), (tally.skipped, "skipped")]
    words += [(tally.unsellable, "unsellable"), (tally.orders_to_cancel, orders_word(tally.orders_to_cancel))]
    return [f"{count} {word}" for count, word in words if count]


def orders_word(count: int) -> str:
    """Return the noun behind a number of orders."""
    return f"order{'s' * (count != 1)} to cancel"

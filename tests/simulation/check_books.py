"""I27: what the journal believes to be held is compared with what is held when a service begins, and made right."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from core.model import PositionKey, Side
from core.records import AccountFrozen, Adopted, ClosingEnded, PositionClosed
from tests.simulation.evidence import ZERO, Breach, Evidence
from tests.simulation.history import Began, Calm, Durable, Event, Filled, Said

NAMES = ("[RECONCILE][", "[LEGACY]")
FIRED = "fired at the venue"  # a protective stop's own words


def differences_are_named(evidence: Evidence) -> Iterator[Breach]:
    """I27: by the end of an undisturbed service the journal believes what the venue holds, and the log has named what
    differed at its beginning: positions that were gone, new, turned, or of another size.

    Left out are frozen accounts and positions that traded or were closed meanwhile: these are what they are by then.
    """
    for index, event in enumerate(evidence.events):
        if not isinstance(event, Calm):
            continue
        begun = max(i for i, e in enumerate(evidence.events[:index]) if isinstance(e, Began))
        during = evidence.events[begun:index]
        frozen = {r.account for r in _records(evidence.events[:index]) if isinstance(r, AccountFrozen)}
        keys = {e.key for e in during if isinstance(e, Filled)}
        keys |= {r.result.key for r in _records(during) if isinstance(r, ClosingEnded)}
        touched = {(key.account, key.symbol) for key in keys}
        before, after = _believed(evidence.events[:begun]), _believed(evidence.events[:index])
        for key in sorted({*before, *after, *evidence.held}):
            held = evidence.held[key].at(index) if key in evidence.held else ZERO
            if key.account in frozen or (key.account, key.symbol) in touched:
                continue
            if after.get(key, ZERO) != held:
                text = f"{key.symbol} on {key.account}: {after.get(key, ZERO)} believed in the end, {held} held"
                yield Breach("I27", text, event.at)
            if before.get(key, ZERO) != held and not _named(during, key):
                text = f"{key.symbol} on {key.account}: {before.get(key, ZERO)} was believed, {held} held, nothing said"
                yield Breach("I27", text, event.at)


def _records(events: list[Event]) -> Iterator[object]:
    return (e.record for e in events if isinstance(e, Durable))


def _believed(events: list[Event]) -> dict[PositionKey, Decimal]:
    """What the records say is held, signed."""
    held: dict[PositionKey, Decimal] = {}
    for record in _records(events):
        match record:
            case Adopted():
                held[record.key] = record.quantity * (1 if record.side is Side.LONG else -1)
            case PositionClosed():
                held.pop(record.key, None)
            case ClosingEnded(result=row) if row.kind == "close" and row.key in held:
                gone = row.outcome in ("closed", "closed_residual")
                if not gone and not row.filled:
                    continue
                before = held.pop(row.key)
                rest = (ZERO if gone else abs(before) - row.filled) if row.residual is None else row.residual
                if rest > 0:
                    held[row.key] = rest.copy_sign(before)
            case _:
                pass
    return held


def _named(events: list[Event], key: PositionKey) -> bool:
    where = f"{key.symbol} on {key.account}"
    return any(
        (e.text.startswith(NAMES) and (where in e.text or e.text.startswith(f"[LEGACY][ADOPTED] {key.account}")))
        or (where in e.text and FIRED in e.text)
        for e in events
        if isinstance(e, Said)
    )

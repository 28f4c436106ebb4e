"""Carry out conversions of dust: read the offers again, write the intent, send once, look up the outcome.

An intent is durable before its request leaves. A missing or unreadable answer proves nothing. A record that the venue
does not show yet proves nothing either. We ask for the venue's records several times. An outcome that the records never
show stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from core.errors import FlatdeckError, JournalError, OutcomeUnknown, Refused, Unreachable
from core.ids import Ids
from core.plans.approver import Approver, by_whom
from core.plans.conversion import Conversion, ConversionOutcome, Converted, Converter
from core.ports import Clock
from core.records import ConversionAnswered, ConversionAsked, Logged, Record
from core.units import plain

if TYPE_CHECKING:  # the journal imports the database, and some command lines do not need a database
    from core.journal.journal import Journal
from core.journal.query import EntryFilter

PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each query of the venue's records
SETTLED = timedelta(minutes=10)  # after this time a request of unknown outcome can no longer act
REMEMBERED = timedelta(days=2)  # age limit of the search for requests without a final outcome


class ConversionChanged(Struct, frozen=True):
    """A conversion that changed since it was agreed to, and was not carried out.

    ``agreed`` is None for a new offer. ``now`` is None for an offer that is gone.
    """

    asset: str
    agreed: Conversion | None
    now: Conversion | None


class ConversionReport(Struct, frozen=True):
    """Result of a conversion run. ``earlier``: outcomes found for the requests of an earlier run."""

    results: tuple[Converted, ...]
    changed: tuple[ConversionChanged, ...] = ()
    earlier: tuple[Converted, ...] = ()


class DustConverter:
    """Converts the dust of one account. The caller holds the journal."""

    def __init__(
        self,
        account: str,
        converter: Converter,
        journal: Journal,
        clock: Clock,
        ids: Ids,
        approver: Approver | None = None,
    ) -> None:
        self._account = account
        self._converter = converter
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._approver = approver

    async def carry_out(self, agreed: Sequence[Conversion], into: str | None) -> ConversionReport:
        """Convert the agreed offers that still stand. If the call raises, nothing was sent."""
        earlier, blocked = await self._settle_earlier()
        still, changed = await self._still(agreed, into)
        results: list[Converted] = []
        for group in _groups([c for c in still if c.asset not in blocked], self._converter.most):
            if any(r.outcome is ConversionOutcome.UNKNOWN for r in results):
                text = "not sent, because the outcome of what went before is not known"
                results += _all(group, ConversionOutcome.REFUSED, text)
                continue
            try:
                results += await self._one(group, into)
            except JournalError as error:
                results += _all(group, ConversionOutcome.REFUSED, f"not sent: {error}")
        held = [c for c in still if c.asset in blocked]
        results += _all(
            held, ConversionOutcome.REFUSED, "not sent: what became of an earlier request for it is not known yet"
        )
        return ConversionReport(tuple(results), tuple(changed), tuple(earlier))

    async def _still(
        self, agreed: Sequence[Conversion], into: str | None
    ) -> tuple[list[Conversion], list[ConversionChanged]]:
        """Return the offers that still stand as agreed, and the changed ones.

        Ask for a new offer until the offer contains only agreed conversions.
        """
        known = {c.asset: c for c in agreed}
        offered = await self._converter.conversions(into)
        now = {c.asset: c for c in offered}
        kept = [c for c in offered if c.asset in known and known[c.asset].stands(c)]
        while kept and len(kept) < len(offered):
            offered = await self._converter.conversions(into, [c.asset for c in kept])
            now |= {c.asset: c for c in offered}
            kept = [c for c in offered if c.asset in known and known[c.asset].stands(c)]
        going = {c.asset for c in kept}
        names = dict.fromkeys([*known, *now])
        return kept, [ConversionChanged(a, known.get(a), now.get(a)) for a in names if a not in going]

    async def _one(self, asked: Sequence[Conversion], into: str | None) -> list[Converted]:
        """Send one request and return the last known results. Raises JournalError: the request was not sent."""
        plan, at = self._ids.plan_id(), self._clock.now()
        await self._journal.append(
            ConversionAsked(plan, self._account, tuple(asked), at, by_whom(self._approver), self._approver)
        )
        try:
            told = await self._converter.convert(asked)
        except (Refused, Unreachable) as error:
            results = _all(asked, ConversionOutcome.REFUSED, str(error))
        except OutcomeUnknown as error:
            results = _all(asked, ConversionOutcome.UNKNOWN, str(error))
        else:
            results = _merged(_all(asked, ConversionOutcome.UNKNOWN, "the venue's answer does not name it"), told)
        results = await self._followed(asked, results, at)
        if any(r.outcome is ConversionOutcome.UNKNOWN for r in results):
            results = await self._as_it_is(asked, results, into)
        try:
            await self._write(plan, results)
        except JournalError as error:  # already sent: return the result even without a record
            return [replace(r, error=f"{r.error or r.outcome.value}; not written down: {error}") for r in results]
        return results

    async def _followed(self, asked: Sequence[Conversion], results: list[Converted], at: datetime) -> list[Converted]:
        """Ask for the venue's records until every result is final, or until the PAUSES are used up."""
        for pause in PAUSES:
            if not any(r.outcome.open for r in results):
                break
            await self._clock.sleep(pause)
            results = await self._looked_up(asked, results, at)
        return results

    async def _looked_up(self, asked: Sequence[Conversion], results: list[Converted], at: datetime) -> list[Converted]:
        left = {r.asset for r in results if r.outcome.open}
        try:
            return _merged(results, await self._converter.look_up([c for c in asked if c.asset in left], at))
        except FlatdeckError:
            return results

    async def _as_it_is(
        self, asked: Sequence[Conversion], results: list[Converted], into: str | None
    ) -> list[Converted]:
        """Add to each unknown result whether the asset is still there.

        An asset that is still there proves nothing: the venue may convert it a moment later.
        """
        try:
            there = {c.asset: c.quantity for c in await self._converter.conversions(into, [c.asset for c in asked])}
        except FlatdeckError:
            return results
        quantities = {c.asset: c.quantity for c in asked}

        def told(result: Converted) -> Converted:
            if result.outcome is not ConversionOutcome.UNKNOWN:
                return result
            same = there.get(result.asset) == quantities[result.asset]
            seen = "it was still there when it was read again" if same else "it is no longer there as it was"
            return replace(result, error=f"{result.error}; {seen}")

        return [told(r) for r in results]

    async def _settle_earlier(self) -> tuple[list[Converted], set[str]]:
        """Look up requests that an earlier run left open. Return new results, and the assets that may still move."""
        found: list[Converted] = []
        blocked: set[str] = set()
        for asked, known in unsettled(await self._records(), self._account):
            begun = known or _all(
                asked.conversions, ConversionOutcome.UNKNOWN, "flatdeck ended before the answer was written"
            )
            results = await self._looked_up(asked.conversions, begun, asked.at)
            if results != known:
                await self._write(asked.plan, results)
            found += [r for r in results if r not in known]
            if self._clock.now() - asked.at < SETTLED:
                blocked |= {r.asset for r in results if r.outcome.open}
        return found, blocked

    async def _records(self) -> list[Record]:
        found: list[Record] = []
        since = self._clock.now() - REMEMBERED
        for kind in ("conversion_asked", "conversion_answered"):
            last = 0
            while page := await self._journal.entries(EntryFilter(kinds=(kind,), since=since), after=last):
                last = page[-1].seq
                found += [entry.record for entry in page]
        return found

    async def _write(self, plan: str, results: Sequence[Converted]) -> None:
        lines = [Logged(_level(r), _line(r), account=self._account, symbol=r.asset) for r in results]
        await self._journal.append(ConversionAnswered(plan, self._account, tuple(results)), *lines)


def unsettled(records: Iterable[Record], account: str) -> list[tuple[ConversionAsked, list[Converted]]]:
    """Return the account's requests without a final outcome, each with its known results.

    An empty list of results means that no answer was written.
    """
    asked: dict[str, ConversionAsked] = {}
    answered: dict[str, list[Converted]] = {}
    for record in records:
        if isinstance(record, ConversionAsked) and record.account == account:
            asked[record.plan] = record
        elif isinstance(record, ConversionAnswered):
            answered[record.plan] = list(record.results)
    listed = [(record, answered.get(plan, [])) for plan, record in asked.items()]
    return [(a, known) for a, known in listed if not known or any(r.outcome.open for r in known)]


def _groups(conversions: Sequence[Conversion], most: int) -> Iterable[list[Conversion]]:
    """Return groups of at most ``most`` conversions. All conversions of a group share an offer and a target."""
    offers: dict[tuple[str, str], list[Conversion]] = {}
    for conversion in conversions:
        offers.setdefault((conversion.reference, conversion.into), []).append(conversion)
    return [offer[n : n + most] for offer in offers.values() for n in range(0, len(offer), most)]


def _all(asked: Iterable[Conversion], outcome: ConversionOutcome, error: str) -> list[Converted]:
    return [Converted(c.asset, c.quantity, outcome, error=error) for c in asked]


def _merged(results: Iterable[Converted], told: Iterable[Converted]) -> list[Converted]:
    """Replace open results by those in ``told``. Ignore an asset that was not asked about."""
    by_asset = {r.asset: r for r in told}
    return [by_asset.get(r.asset, r) if r.outcome.open else r for r in results]


def _level(result: Converted) -> str:
    return "info" if result.outcome is ConversionOutcome.CONVERTED else "warning"


def _line(result: Converted) -> str:
    got = f" for {plain(result.gets)}" if result.gets is not None else ""
    why = f": {result.error}" if result.error else ""
    return f"dust {plain(result.quantity)} {result.asset} {result.outcome.value}{got}{why}"

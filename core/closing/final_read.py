"""The complete reads after a plan: they show what is held, and overrule a close that did not last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from core.errors import FlatdeckError
from core.model import Holdings
from core.orders.account_reader import AccountReader
from core.orders.lookup import limited
from core.plans.results import ResultRow
from core.ports import Clock

FINAL_TRIES, FINAL_WAIT = 3, 1.0  # reads after a plan, and seconds between them


async def read_finally(
    readers: Mapping[str, AccountReader], clock: Clock, results: list[ResultRow], *, spared: set[str]
) -> dict[str, Holdings | None]:
    """Return one complete read per account. Repeat a read that failed or contradicts a close just done.

    Repeat the first read where another plan closed a position, because nothing else here proves its end.
    A ``spared`` account was unreadable before the plan. It is tried once: the plan has waited for it already.
    """
    reads: dict[str, Holdings | None] = dict.fromkeys(readers)
    pending = list(readers)
    for attempt in range(FINAL_TRIES):
        answers = await asyncio.gather(*(_try_read(readers[a]) for a in pending))
        reads.update(zip(pending, answers, strict=True))
        failed = {a for a in pending if reads[a] is None} - spared
        once = {r.key.account for r in results if r.joined} if attempt == 0 else set()  # flat is read twice
        pending = [a for a in pending if a in failed or a in once or still_there(results, a, reads[a])]
        if not pending or attempt + 1 == FINAL_TRIES:
            break
        await clock.sleep(FINAL_WAIT)
    return reads


async def _try_read(reader: AccountReader) -> Holdings | None:
    try:
        return await limited(reader.read_account())
    except (FlatdeckError, TimeoutError):
        return None


def still_there(results: Iterable[ResultRow], account: str, holdings: Holdings | None) -> bool:
    """Return whether the read shows a position of the account that counts as closed."""
    keys = {p.key for p in holdings.positions} if holdings else set()
    return any(r.key in keys and r.outcome == "closed" and r.key.account == account for r in results)

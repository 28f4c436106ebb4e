"""Executions are read to their end, or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from brokers.alpaca.lookups import FILLS_PAGE, MOST_PAGES, Lookups
from core.errors import OutcomeUnknown
from tests.support.virtual_time import DAWN, VirtualClock, virtual


class Pages:
    """Alpaca's lists: full pages of executions, so many of them, and no orders."""

    def __init__(self, pages: int) -> None:
        self._left = pages
        self.skew = 0.0

    async def ask_urgently(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        if not path.endswith("/FILL"):
            return []
        self._left -= 1
        rows = FILLS_PAGE if self._left >= 0 else 0
        told = {"symbol": "AAPL", "side": "sell", "qty": "1", "price": "100", "order_id": "o1"}
        return [{**told, "id": f"{self._left}-{n}", "transaction_time": DAWN.isoformat()} for n in range(rows)]


async def executions(pages: int) -> list[Any]:
    reads = SimpleNamespace(pairs={})
    return await Lookups("u/a", Pages(pages), reads, VirtualClock()).fills("AAPL", DAWN)  # type: ignore[arg-type]


@virtual
async def test_a_list_of_executions_that_does_not_end_is_an_error_and_no_short_list():
    with pytest.raises(OutcomeUnknown, match="does not end"):
        await executions(MOST_PAGES + 5)


@virtual
async def test_a_list_that_ends_on_the_last_allowed_page_is_whole():
    assert len(await executions(MOST_PAGES - 1)) == (MOST_PAGES - 1) * FILLS_PAGE

"""The account's own trades of one symbol since a moment: all pages, or an error.

Exchanges page in four ways: forwards from a moment; the newest rows before an end that is given (``until``) or
counted (``offset``); the whole account's newest rows before a moment (``before``); numbered pages (``paged``) of a
``span``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.kraken_margin import MARGIN, listed_as, position_symbol
from brokers.ccxt.exchanges.order_table import OrderFields, Params
from brokers.ccxt.wire import Row
from core.errors import OutcomeUnknown
from core.model import Fill, OrderRequest
from core.ports import Clock
from core.units import iso

MOST_PAGES = 20
AHEAD = timedelta(seconds=60)  # the venue's clock may be ahead by this; added to an end that must be given


class FillReader:
    """One account's executions. ``asked`` maps the venue's order ids to the requests that were sent."""

    def __init__(
        self,
        account: str,
        client: Client,
        fields: OrderFields,
        clock: Clock,
        asked: Mapping[str, OrderRequest],
    ) -> None:
        self._account = account
        self._client = client
        self._fields = fields
        self._clock = clock
        self._asked = asked

    async def read_fills(self, symbol: str, since: datetime) -> list[Fill]:
        """Return the executions at or after ``since``. Where one question covers a limited span, each span is read
        separately.

        The exchange's clock dates the executions, so ``since`` is converted to that clock.
        """
        since = self._client.to_venue_time(since)
        if self._fields.before:
            found = await self._before(symbol, since)
        elif self._fields.span is None:
            found = await self._within(symbol, since, {})
        else:
            found, end = {}, self._client.to_venue_time(self._clock.now()) + AHEAD
            while since < end:
                start = max(since, end - timedelta(seconds=self._fields.span))
                found |= await self._within(symbol, start, {"until": int(end.timestamp() * 1000)})
                end = start
        return [f for f in found.values() if f.at is None or f.at >= since]

    async def _within(self, symbol: str, since: datetime, more: Params) -> dict[str, Fill]:
        """Read page by page: forwards from ``since``, or backwards from now or from the end in ``more``."""
        fields, start, found = self._fields, int(since.timestamp() * 1000), dict[str, Fill]()
        for page in range(1, MOST_PAGES + 1):
            rows = await self._page(None if fields.offset else listed_as(symbol), start, more)
            before = len(found)
            found |= self._of(symbol, rows)
            times = [int(at) for row in rows if (at := row.get("timestamp"))]
            if fields.paged:
                last, more = len(rows) < fields.newest, {**more, fields.paged: page + 1}
            elif fields.newest:
                last = len(rows) < fields.newest
                more = {fields.offset: page * fields.newest} if fields.offset else {"until": min(times, default=start)}
                if not last and not fields.offset and len(found) == before:
                    break
            else:
                last = len(found) == before or max(times, default=start) <= start
                start = max(times, default=start)
            if last:
                return found
        raise self._endless(len(found))

    async def _before(self, symbol: str, since: datetime) -> dict[str, Fill]:
        """Read the whole account's list backwards, page by page, until a page reaches beyond ``since``."""
        start, found, seen, more = int(since.timestamp() * 1000), dict[str, Fill](), set[str](), Params()
        for _ in range(MOST_PAGES):
            rows = await self._page(None, None, more)
            found |= self._of(symbol, rows)
            ids = {wire.text(row, "id") for row in rows}
            oldest = min((int(at) for row in rows if (at := row.get("timestamp"))), default=0)
            if len(rows) < self._fields.newest or oldest < start:
                return found
            if ids <= seen:
                break
            seen |= ids
            until = datetime.fromtimestamp((oldest + 1) / 1000, UTC)  # includes other rows of the oldest row's moment
            more = {self._fields.before: iso(until)}
        raise self._endless(len(seen))

    async def _page(self, symbol: str | None, start: int | None, more: Params) -> list[Row]:
        answer = await self._client.ask_urgently("fetch_my_trades", symbol, start, None, dict(more))
        return wire.rows(answer, "trades", self._client.settings.exchange)

    def _of(self, symbol: str, rows: list[Row]) -> dict[str, Fill]:
        """Return the symbol's executions by their ids. A list of the whole account has other symbols as well."""
        made = [wire.fill(self._account, row) for row in rows if self._is_of(symbol, row)]
        return {fill.trade_id: replace(fill, symbol=symbol) for fill in made if fill is not None}

    def _is_of(self, symbol: str, row: Row) -> bool:
        """Return whether a row belongs to ``symbol``.

        OKX does not tell an execution's margin mode: an execution of an unknown order may belong to either position.
        """
        ours, told = self._asked.get(wire.text(row, "order")), position_symbol(row, self._client.settings.exchange)
        if ours is not None:
            return ours.symbol == symbol
        return told == symbol or (not symbol.endswith(MARGIN) and told == listed_as(symbol))

    def _endless(self, count: int) -> OutcomeUnknown:
        return OutcomeUnknown(f"{self._client.settings.exchange}'s list of trades does not end after {count}")

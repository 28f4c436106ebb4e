"""Read an exchange's lists of positions. A list that the exchange refuses is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from brokers.ccxt import pagination, wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.contract_lists import position_lists
from brokers.ccxt.exchanges.read_table import Params, ReadCalls, split
from brokers.ccxt.markets import Markets
from brokers.ccxt.pagination import together
from brokers.ccxt.unlisted import refused_part
from brokers.ccxt.wire import Row
from core.errors import FlatdeckError, OutcomeUnknown, Refused

Ask = Callable[..., Awaitable[Any]]


class PositionRows(Struct, frozen=True):
    """The rows of one or more lists, and the lists that the exchange refuses, in words for a person."""

    rows: list[Row]
    refused: tuple[str, ...] = ()


class PositionLists:
    """The lists of positions of one account."""

    def __init__(self, client: Client, markets: Markets, calls: ReadCalls) -> None:
        self._client = client
        self._markets = markets
        self._calls = calls

    async def read(self, ask: Ask, *, held: bool) -> PositionRows:
        """Return the rows of all lists. ``held``: positions are known, and a refused list does not make them go.

        Raises the error of a list that fails, because its positions would look closed.
        """
        rows, calls = self._markets.rows, self._calls
        lists = position_lists(self._client.settings.exchange, rows) if calls.positions else []
        asked = lists or split(calls.positions, rows)
        read = await together(*(self._allowed(ask, params, n, held=held) for n, params in enumerate(asked)))
        return PositionRows([row for one in read for row in one.rows], tuple(p for one in read for p in one.refused))

    async def _allowed(self, ask: Ask, params: Params, nth: int, *, held: bool) -> PositionRows:
        """Return one list, or the part that the exchange refuses to list: the account may never have used the part."""
        try:
            return PositionRows(await self._list(ask, params))
        except Refused as refused:
            if not self._calls.guessed or nth == 0 or held:
                raise
            return PositionRows([], refused_part("positions", params, refused))

    async def _list(self, ask: Ask, params: Params) -> list[Row]:
        name = self._client.settings.exchange
        method = self._calls.positions_method
        if self._calls.paged:
            return await pagination.read_all_pages(ask, self._client.exchange, method, self._calls.parse, params)
        if not self._calls.parse:
            return wire.rows(await ask(method, None, params), "positions", name)
        parse = getattr(self._client.exchange, self._calls.parse)
        raw = wire.rows(wire.listed(await ask(method, params)), "positions", name)
        try:
            return wire.rows([parse(row) for row in raw], "positions", name)
        except FlatdeckError:
            raise
        except Exception as error:  # ccxt's parsers raise anything
            raise OutcomeUnknown(f"{name}'s list of positions cannot be read: {type(error).__name__}") from error

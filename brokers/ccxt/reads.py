"""Complete reads of one account: every position and open order that the exchange has, or an error.

The parts are requested at the same time. One failed part fails the read, because a missing part would look like
closed positions. The equity is no such part. A list of open orders that fails for long is left out and named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from functools import cached_property
from math import inf
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from brokers.ccxt import wire, wire_balances, wire_markets, wire_unlisted
from brokers.ccxt.account_kind import AccountKind
from brokers.ccxt.client import Client
from brokers.ccxt.cost_basis import CostBasis
from brokers.ccxt.exchanges import kraken_margin
from brokers.ccxt.exchanges.contract_lists import order_lists, unlisted_parts
from brokers.ccxt.exchanges.kraken_margin import listed_as, position_symbol
from brokers.ccxt.exchanges.okx_margin_modes import MarginModes, margin_mode, margin_quantity
from brokers.ccxt.exchanges.proofs import QUESTIONS
from brokers.ccxt.exchanges.read_table import ReadCalls, calls_of, split
from brokers.ccxt.markets import Markets
from brokers.ccxt.order_lists import OrderLists, OrderRows
from brokers.ccxt.pagination import together
from brokers.ccxt.position_lists import PositionLists
from brokers.ccxt.unlisted import TRANSIENT, UnlistedParts
from brokers.ccxt.wire import Row
from brokers.ccxt.worth import AccountWorth
from brokers.sharing import SharedReads
from core.errors import OutcomeUnknown, Refused
from core.model import Holdings, Instrument, Leg, Order, Position, PositionKey
from core.ports import Clock

OF_THE_MOMENT = 1.0  # seconds for which a mark of a read may complete a newer bid and ask
Ask = Callable[..., Awaitable[Any]]


class MarkPrice(Struct, frozen=True):
    """The venue's mark price, its time, and for how many seconds it may complete a newer bid and ask."""

    price: Decimal
    at: float
    lasts: float


class PositionList(Struct, frozen=True):
    """The positions of all lists with their rows, and the symbols of the rows that cannot be read."""

    positions: tuple[Position, ...] = ()
    rows: tuple[Row, ...] = ()
    unread: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # lists that the exchange refuses

    @property
    def unlisted(self) -> tuple[str, ...]:
        """The refused lists and the unreadable rows, in words for a person."""
        return *self.refused, *(f"a position that cannot be read ({symbol or 'no symbol'})" for symbol in self.unread)


class AccountReads:
    """Reads holdings and keeps their symbols, margin modes and marks for prices and streams."""

    def __init__(self, account: str, client: Client, markets: Markets, clock: Clock) -> None:
        self._account = account
        self._client = client
        self._markets = markets
        self._known: ReadCalls | None = None
        self._clock = clock
        self._shared = SharedReads(self._read)
        self._unlisted = UnlistedParts(QUESTIONS.get(client.settings.exchange, ()), client.ask_exchange, clock)
        self._worth = AccountWorth(client, markets, clock)
        self._listed: list[Position] | None = None  # positions of the last list
        self._sold_in: dict[str, list[Row]] = {}  # currency → the market that sold the currency at the last read
        self._unsold: frozenset[str] = frozenset()  # held currencies that no market sells
        self.cost_basis = CostBasis(client, clock)
        self.instruments: dict[str, Instrument] = {}
        self.held: frozenset[str] = frozenset()  # symbols of positions
        self.marks: dict[str, MarkPrice] = {}  # the venue's marks of held symbols
        self.modes: dict[tuple[str, Leg], str] = {}  # the margin mode of each position, where the exchange tells it
        self.margin_modes = MarginModes()
        self.reducing: frozenset[str] = frozenset()  # ids of open orders that only reduce
        self._kind = AccountKind(client.settings)
        self._latest = -inf  # when the newest list of positions was requested
        self.unread = ""  # why the exchange refuses the list of derivatives

    @property
    def _calls(self) -> ReadCalls:
        if self._known is None:
            exchange = self._client.exchange
            self._known = calls_of(self._client.settings.exchange, exchange.has, exchange.features)
        return self._known

    @cached_property
    def _position_lists(self) -> PositionLists:
        return PositionLists(self._client, self._markets, self._calls)

    @cached_property
    def _order_lists(self) -> OrderLists:
        return OrderLists(lambda: self._client.exchange, self._client.settings.exchange, self._calls, self._clock)

    @property
    def proven_empty(self) -> tuple[str, ...]:
        """The parts that no list covers, if the last read proved them empty."""
        return self._unlisted.parts

    @property
    def lists_positions(self) -> bool:
        """Return whether the account has a list of positions besides balances."""
        return bool(self._calls.positions)

    def last_position(self, key: PositionKey) -> Position | None:
        """Return the position of the last list; None if the list lacked it."""
        return next((p for p in self._listed or () if p.key == key), None)

    async def holdings(self, *, urgent: bool = False) -> Holdings:
        """Start a complete read after this call. Urgent reads go first."""
        return await self._shared.holdings(urgent=urgent)

    async def _read(self, urgent: bool) -> Holdings:
        ask = self._client.ask_urgently if urgent else self._client.ask_exchange
        await self._markets.load()
        asked = self._clock.monotonic()
        balance, listed, told, unlisted, _ = await together(
            self._balance(ask),
            self._positions(ask, urgent, asked),
            self._order_rows(ask, at_once=True),
            self._unlisted.read(),
            self._kind.check(ask, self._calls.kind, asked),
        )
        if self._order_lists.by_symbol:
            told = await self._order_rows(
                ask, {*self._coins(balance), *(listed_as(p.symbol) for p in listed.positions)}
            )
        received = self._clock.monotonic()
        orders, unreadable = self._resting(told.rows)
        spot = await self._spot(balance, orders) if self._calls.balance is not None else []
        equity, flaw = await self._worth.read(self._calls, balance)
        positions = [*spot, *listed.positions]
        debts = wire_unlisted.debts(balance, listed.rows)
        symbols = {p.symbol for p in positions} | {o.symbol for o in orders}
        instruments = {s: self._instrument(s) for s in symbols}
        self.instruments |= instruments
        if asked >= self._latest:
            self.held = frozenset(p.symbol for p in positions)
            self.reducing = frozenset(o.id for o in orders if o.reduce_only)
        return Holdings(
            account=self._account,
            asked=asked,
            received=received,
            positions=tuple(positions),
            orders=tuple(orders),
            instruments=tuple(instruments.values()),
            equity=equity,
            equity_flaw=flaw,
            orders_flaw=told.flaw or next(iter(unreadable), ""),
            unlisted=(*unlisted, *self._uncovered(), *debts, *told.unlisted, *unreadable, *listed.unlisted),
            unread=listed.unread,
        )

    def _instrument(self, symbol: str) -> Instrument:
        if symbol in self._unsold:
            return wire_markets.unsold(symbol)
        made = self._markets.instrument(listed_as(symbol))
        if made.symbol == symbol:
            return made
        closed = self._calls.margin or not symbol.endswith(kraken_margin.MARGIN)
        return wire_markets.beside(made, symbol, way_out="" if closed else kraken_margin.BORROWED)

    async def _balance(self, ask: Ask) -> Any:
        return None if self._calls.balance is None else await ask("fetch_balance", self._calls.balance)

    async def _spot(self, balance: Any, orders: list[Order]) -> list[Position]:
        """Return each balance as a position in the market that sells the currency.

        Without an active market, the market of the last read counts, else a halted market. A currency without any
        market is a position under its own name, which nobody can close from here.
        """
        held = wire_balances.holdings(balance, self._client.settings.exchange)
        known = [(h, self._selling(h.code) or [{"symbol": h.code}]) for h in held]
        self._unsold = frozenset(h.code for h, markets in known if wire.text(markets[0], "symbol") == h.code)
        self._sold_in = {h.code: markets[:1] for h, markets in known if h.code not in self._unsold}
        sold = {wire.text(m[0], "symbol"): (h.total, m) for h, m in known if h.code not in self._unsold}
        names = {symbol: [wire.text(market, "symbol") for market in markets] for symbol, (_, markets) in sold.items()}
        totals = {symbol: total for symbol, (total, _) in sold.items()}
        await self.cost_basis.learn_costs(totals, names, at_once=self._calls.trades_at_once)
        costs = self.cost_basis.costs
        return [
            wire_balances.position(self._account, h, m[0], orders, costs.get((wire.text(m[0], "symbol"), h.total)))
            for h, m in known
        ]

    def _selling(self, code: str) -> list[Row]:
        markets, prefer = self._markets, self._calls.prefer
        return markets.all_of_code(code, prefer) or self._sold_in.get(code) or markets.halted_of_code(code, prefer)[:1]

    async def _positions(self, ask: Ask, urgent: bool, asked: float) -> PositionList:
        if self._calls.margin and urgent and self._listed == []:
            return PositionList()  # margin positions are rare: closing must not spend a call of its small limit on them
        try:
            answer = await self._position_lists.read(ask, held=bool(self._listed))
        except Refused as error:
            if not self._calls.optional or error.refusal in TRANSIENT or self._listed:
                raise  # known positions are not gone because the list is refused now
            self.unread = str(error)
            return PositionList()
        received = self._clock.monotonic()
        found: dict[PositionKey, Position] = {}
        twice: set[PositionKey] = set()
        modes: dict[tuple[str, Leg], str] = {}
        rows, unread = self._told(answer.rows)
        legs = wire.part_legs([(made, margin_mode(row)) for made, row in rows], netted=self._calls.margin)
        rows = [(replace(made, leg=leg), row) for (made, row), leg in zip(rows, legs, strict=True)]
        if not rows and self._calls.pledged and self._listed != []:
            await self._without_margin(ask)
        if asked >= self._latest:
            self.margin_modes.update([(made, margin_mode(row)) for made, row in rows], self.modes)
        for told, row in rows:
            mode = margin_mode(row)
            made = replace(told, symbol=self.margin_modes.symbol_of(told.key, mode))
            if self._calls.margin and made.key in found:
                found[made.key] = kraken_margin.merged(found[made.key], made)
                continue
            if made.key in found:  # an order closes one of the two, and we cannot say which
                twice.add(made.key)
            found[made.key] = made
            modes[made.symbol, made.leg] = mode
            mark = wire.positive(row.get("markPrice"))
            if mark is not None:
                self.marks[made.symbol] = MarkPrice(mark, received, OF_THE_MOMENT)
        unread += tuple(listed_as(found.pop(key).symbol) for key in sorted(twice))
        made_of = PositionList(tuple(found.values()), tuple(row for _, row in rows), unread, answer.refused)
        if asked < self._latest:  # a later read has already been stored
            return made_of
        self._latest = asked
        self.modes = {key: mode for key, mode in modes.items() if mode}
        self.marks = {symbol: self.marks[symbol] for symbol in {p.symbol for p in found.values()} & set(self.marks)}
        self._listed = list(found.values())
        return made_of

    def _told(self, rows: list[Row]) -> tuple[list[tuple[Position, Row]], tuple[str, ...]]:
        """Return the positions with their rows, and the symbols of the rows that cannot be read."""
        read: list[tuple[Position, Row]] = []
        unread: list[str] = []
        for row in rows:
            try:
                made = self._position(row)
            except OutcomeUnknown:  # a bad row must not hide the rest of the account
                unread.append(wire.text(row, "symbol"))
            else:
                read += [(made, row)] if made is not None else []
        return read, tuple(unread)

    async def _without_margin(self, ask: Ask) -> None:
        """Check that no margin is held for positions if the list is empty. Raises OutcomeUnknown.

        KuCoin's list was empty for minutes while there were positions (ccxt#15606).
        """
        settled = {wire.text(self._markets.row(p.symbol) or {}, "settle") for p in self._listed or ()}
        for code in sorted(settled - {""} or self._worth.currencies()):
            try:
                [balance] = await self._worth.balances(ask, self._calls, [code])
            except Refused as refused:
                if refused.refusal in TRANSIENT or self._listed:
                    raise
                continue  # the account may hold nothing in this currency
            held = wire_balances.pledged(balance, self._calls.pledged)
            if held:
                name = self._client.settings.exchange
                raise OutcomeUnknown(f"{name} lists no position and holds a margin of {held} for positions")

    def _position(self, row: Row) -> Position | None:
        name = self._client.settings.exchange
        if self._calls.margin:
            return kraken_margin.position(self._account, row, name)
        made = wire.position(self._account, row, name)
        market = self._markets.row(made.symbol) if made is not None else None
        if made is None or market is None or market.get("spot") is not True:
            return made
        held = margin_quantity(row, market)  # OKX lists margin positions beside contracts
        if held is None or held == 0:
            raise OutcomeUnknown(f"{name}'s list has a margin position of an unknown size ({made.symbol})")
        return replace(made, symbol=made.symbol + kraken_margin.MARGIN, quantity=held, free=held)

    async def _order_rows(self, ask: Ask, symbols: Iterable[str] = (), *, at_once: bool = False) -> OrderRows:
        """Return the open orders. ``at_once``: beside the positions, so nothing where the list needs their markets."""
        if at_once and self._order_lists.by_symbol:
            return OrderRows([])
        rows = self._markets.rows
        asked = order_lists(self._client.settings.exchange, rows, split(self._calls.orders, rows))
        return await self._order_lists.read(ask, asked, symbols)

    def _coins(self, balance: Any) -> list[str]:
        """Return the market that sells each held coin."""
        if self._calls.balance is None:
            return []
        held = wire_balances.holdings(balance, self._client.settings.exchange)
        return [wire.text(markets[0], "symbol") for h in held if (markets := self._selling(h.code))]

    def _uncovered(self) -> tuple[str, ...]:
        calls = self._calls
        if not calls.guessed:
            return ()
        exchange, rows = self._client.settings.exchange, self._markets.rows
        parts = unlisted_parts(exchange, rows, positions=bool(calls.positions))
        return tuple(part for part in parts if part not in self._unlisted.parts)

    def _resting(self, rows: list[Row]) -> tuple[list[Order], tuple[str, ...]]:
        """Return the open orders under their positions' symbols, after the positions, and the unreadable orders."""
        made: dict[tuple[str, str], Order] = {}
        unreadable: dict[str, None] = {}
        for row in rows:
            try:
                order = self._order(row)
            except OutcomeUnknown:  # a bad row must not hide the positions
                unreadable[f"an open order that cannot be read ({wire.text(row, 'symbol') or 'no symbol'})"] = None
            else:
                made |= {} if order.status.terminal else {(order.symbol, order.id): order}
        return list(made.values()), tuple(unreadable)

    def _order(self, row: Row) -> Order:
        name = self._client.settings.exchange
        made = wire.order(self._account, row, name)
        its = PositionKey(self._account, position_symbol(row, name), made.leg)
        return replace(made, symbol=self.margin_modes.symbol_of(its, margin_mode(row)))

    async def aclose(self) -> None:
        await self._worth.aclose()
        await self._unlisted.aclose()
        await self.cost_basis.aclose()

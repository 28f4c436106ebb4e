"""The positions, orders and prices of every account now. Only ``apply(event)`` changes the book and returns the change.

A complete read is the truth. A stream event refines the book until the next read. A read may lack a position that the
book holds. The book believes such a read when the stream reported the position closed. The book also believes a second
such read that was asked after the first was received. Until then the position stays and its account is *doubted*: the
engine reads a doubted account again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from core.events import (
    AccountChanged,
    BrokerEvent,
    FillSeen,
    HoldingsRead,
    OrderSeen,
    PositionSeen,
    QuoteSeen,
    RatesSeen,
)
from core.market.quotes import QuoteBook, without_stub
from core.market.splits import SPLIT, split_ratio
from core.model import Account, Holdings, Instrument, InstrumentKey, Leg, Order, Position, PositionKey, Quote
from core.portfolio.holding import AccountView, Holding, MinimumRefusal, _unvalued, closing_loss
from core.settings import ExitSettings, ExitsOf, same_exits
from core.valuation import move, roi, usd_rate, usd_value

AGREE = 45.0  # seconds within which a second list that lacks a position confirms the first


class Change(Struct):
    """The positions and accounts that one event changed.

    ``doubted`` accounts must be read again: a read lacked a position without a reason, or a share split was seen.
    """

    positions: set[PositionKey] = msgspec.field(default_factory=set)
    accounts: set[str] = msgspec.field(default_factory=set)
    doubted: set[str] = msgspec.field(default_factory=set)


class Book:
    """Positions, orders, instruments and prices of every account."""

    def __init__(
        self,
        accounts: Iterable[Account],
        is_ours: Callable[[str | None], bool],
        exits_of: ExitsOf | None = None,
        polled: frozenset[str] = frozenset(),  # accounts without live prices
    ) -> None:
        self.accounts = {a.id: AccountView(a) for a in accounts}
        self.is_ours = is_ours
        self._positions: dict[str, dict[PositionKey, Position]] = {a: {} for a in self.accounts}
        self._orders: dict[str, dict[str, dict[str, Order]]] = {a: {} for a in self.accounts}  # account, symbol, id
        self._ended: dict[str, set[str]] = {a: set() for a in self.accounts}  # order ids, since the last read
        self._instruments: dict[InstrumentKey, Instrument] = {}
        self._exits_of = exits_of or same_exits(ExitSettings())
        self._quotes = QuoteBook(self._exits_of, polled)
        self._rates: dict[str, dict[str, Decimal]] = {a: {} for a in self.accounts}
        self._missing: dict[PositionKey, float] = {}  # monotonic time at which a read first lacked the position
        self.refusals: dict[PositionKey, MinimumRefusal] = {}  # closes that the venues refused as too small
        self._gone: set[PositionKey] = set()  # the stream reported these positions closed

    def apply(self, event: BrokerEvent, now: datetime) -> Change:
        """Apply one event and return the change. ``now`` is the wall time of the event's receipt."""
        match event:
            case HoldingsRead(holdings):
                return self._read(holdings, now)
            case QuoteSeen(quote):
                return self._quoted(quote)
            case OrderSeen(order):
                return self._ordered(order)
            case PositionSeen(key, position):
                return self._positioned(key, position)
            case FillSeen():
                return Change()
            case RatesSeen(account, rates):
                self._rates[account].update(rates)
                return Change(positions=set(self._positions[account]))
            case AccountChanged():
                return self._account(event)

    def _account(self, event: AccountChanged) -> Change:
        view = self.accounts[event.account]
        view.state, view.error = event.state, event.error
        view.latency = event.latency if event.latency is not None else view.latency
        return Change(accounts={event.account})

    def _quoted(self, quote: Quote) -> Change:
        return Change(positions=self._on(quote.account, quote.symbol)) if self._quotes.take_quote(quote) else Change()

    def _ordered(self, order: Order) -> Change:
        orders = self._orders[order.account].setdefault(order.symbol, {})
        known = orders.get(order.id)
        if order.status.terminal:
            orders.pop(order.id, None)
            self._ended[order.account].add(order.id)
        elif order.id not in self._ended[order.account]:  # an ended order never reopens: this event is late
            orders[order.id] = _further(known, order)
        return Change(positions=self._on(order.account, order.symbol))

    def _on(self, account: str, symbol: str) -> set[PositionKey]:
        """Return the keys of the positions held in one instrument: at most one per leg."""
        return {k for leg in Leg if (k := PositionKey(account, symbol, leg)) in self._positions[account]}

    def _positioned(self, key: PositionKey, position: Position | None) -> Change:
        """Apply a stream's position, which is a hint. None means closed, and explains why a later read lacks it."""
        if position is None:
            self._gone.add(key)
        else:
            self._gone.discard(key)
            self._missing.pop(key, None)
            return self._hold(position, Change(positions={key}))
        return Change(positions={key})

    def _hold(self, position: Position, change: Change) -> Change:
        """Store a position. After a share split drop its price and doubt its account.

        A split looks like a loss, so position and price are read again before any use.
        """
        held = self._positions[position.account]
        before = held.get(position.key)
        shares = self.instrument(position.account, position.symbol).kind in SPLIT
        ratio = None if before is None else split_ratio(before, position, shares=shares)
        if ratio is not None:
            self._quotes.split(position.account, position.symbol, ratio)
            change.doubted.add(position.account)
        held[position.key] = position
        return change

    def _read(self, holdings: Holdings, now: datetime) -> Change:
        view = self.accounts[holdings.account]
        if view.asked is not None and holdings.asked < view.asked:
            return Change()  # the book already holds a newer read
        view.asked, view.received = holdings.asked, holdings.received
        view.as_of, view.equity, view.equity_flaw = now, holdings.equity, holdings.equity_flaw
        view.unlisted, view.orders_flaw = holdings.unlisted, holdings.orders_flaw
        view.latency = holdings.received - holdings.asked
        for instrument in holdings.instruments:
            self._instruments[InstrumentKey(holdings.account, instrument.symbol)] = instrument
        self._list_orders(holdings)
        return self._reconcile(holdings)

    def _list_orders(self, holdings: Holdings) -> None:
        """Store the open orders. An order that a read with a flaw lacks stays, because it may still be open."""
        before, ended = self._orders[holdings.account], self._ended[holdings.account]
        flawed = bool(holdings.orders_flaw)
        orders = {symbol: dict(known) for symbol, known in before.items()} if flawed else dict[str, dict[str, Order]]()
        for order in holdings.orders:
            if not order.status.terminal and not (flawed and order.id in ended):
                known = before.get(order.symbol, {}).get(order.id)
                orders.setdefault(order.symbol, {})[order.id] = _further(known, order)
        self._orders[holdings.account] = orders
        if not flawed:
            ended.clear()

    def _reconcile(self, holdings: Holdings) -> Change:
        held = self._positions[holdings.account]
        read = {p.key: p for p in holdings.positions}
        change = Change(accounts={holdings.account}, positions=set(held) | set(read))
        for key in [k for k in held if k not in read and holdings.tells_of(k.symbol)]:
            first = self._missing.get(key)
            if first is not None and holdings.asked > first + AGREE:
                first = None  # the first read is too old to confirm the second: a venue can err twice
            if key in self._gone or (first is not None and holdings.asked >= first):
                del held[key]
                self._missing.pop(key, None)
            else:
                self._missing[key] = holdings.received if first is None else first
                change.doubted.add(holdings.account)
        for key, position in read.items():
            self._missing.pop(key, None)
            self._hold(position, change)
        self._gone -= {k for k in self._gone if k.account == holdings.account}
        return change

    def position(self, key: PositionKey) -> Position | None:
        return self._positions[key.account].get(key)

    def positions(self, account: str) -> list[Position]:
        """Return the account's positions in a stable order."""
        return [p for _, p in sorted(self._positions[account].items(), key=lambda item: _sort(item[0]))]

    def orders(self, account: str) -> list[Order]:
        """Return every open order of the account, our own included, in a stable order."""
        return [o for symbol in sorted(self._orders[account]) for o in self.orders_on(account, symbol)]

    def instrument(self, account: str, symbol: str) -> Instrument:
        """Return the venue's rules for a symbol; permissive rules where the venue reported none."""
        known = self._instruments.get(InstrumentKey(account, symbol))
        return known or Instrument(symbol=symbol, native_symbol=symbol)

    def quote(self, account: str, symbol: str) -> Quote | None:
        return self._quotes.get(account, symbol)

    def usable_quote(self, account: str, symbol: str, monotonic: float) -> Quote | None:
        """Return the last quote if it is usable at ``monotonic``, else None."""
        return self._quotes.usable(account, symbol, monotonic)

    def without_stub(self, quote: Quote) -> Quote:
        """Return the quote as this book takes it: without a bid and ask that are no market."""
        return without_stub(quote, self._exits_of(quote.account, quote.symbol).max_spread)

    def readable(self, account: str) -> bool:
        return self.accounts[account].readable

    def holding(self, key: PositionKey, monotonic: float) -> Holding | None:
        """Return the position with its price and value at ``monotonic``; None when nothing is held."""
        position = self.position(key)
        if position is None:
            return None
        instrument = self.instrument(key.account, key.symbol)
        quote = self.quote(key.account, key.symbol)
        orders, ours = self.concerning(key, ours=False), self.concerning(key, ours=True)
        orders_flaw = self.accounts[key.account].orders_flaw
        flaw = self._quotes.flaw(key.account, key.symbol, monotonic)
        owner = self.accounts[key.account].account.owner
        if quote is None or flaw:
            small = self._too_small(position, None, instrument)
            return Holding(owner, position, instrument, orders, ours, orders_flaw, flaw=flaw, too_small=small)
        price, mark = quote.closing_price(position.side), quote.reference
        fx = usd_rate(instrument.quote, self._rates[key.account])
        exits = self._exits_of(key.account, key.symbol)
        return Holding(
            owner,
            position,
            instrument,
            orders,
            ours,
            orders_flaw,
            price=price,
            mark=mark,
            value=usd_value(position.quantity, instrument, price, fx),
            rate=fx,
            pnl=move(position.side, position.entry, mark),
            roi=roi(position.side, position.entry, mark, position.leverage, exits.fees),
            spread=closing_loss(quote, position.side),
            fee_rate=exits.fee_rate,
            flaw=_unvalued(instrument, price, fx),
            too_small=self._too_small(position, price, instrument),
        )

    def _too_small(self, position: Position, price: Decimal | None, instrument: Instrument) -> str:
        """Return the venue's refusal of a close of just this size, "" without one."""
        refusal = self.refusals.get(position.key)
        return refusal.text if refusal is not None and refusal.holds(position.quantity, price, instrument) else ""

    def orders_on(self, account: str, symbol: str) -> list[Order]:
        """Return the account's open orders on one symbol, our own included, sorted by id."""
        return [o for _, o in sorted(self._orders[account].get(symbol, {}).items())]

    def concerning(self, key: PositionKey, *, ours: bool) -> tuple[Order, ...]:
        """Return the open orders that concern one position, without the other leg's: our own, or the user's."""
        orders = self.orders_on(key.account, key.symbol)
        mine = (o for o in orders if o.leg is key.leg or Leg.NET in (o.leg, key.leg))
        return tuple(o for o in mine if self.is_ours(o.client_id) is ours)

    def count(self, accounts: Iterable[str]) -> int:
        """Return how many positions ``accounts`` hold."""
        return sum(len(self._positions[a]) for a in accounts)

    def keys(self, accounts: Iterable[str]) -> list[PositionKey]:
        """Return the keys of every position of ``accounts`` in a stable order."""
        return sorted((k for a in accounts for k in self._positions[a]), key=_sort)


def _sort(key: PositionKey) -> tuple[str, str, str]:
    return key.account, key.symbol, key.leg.value


def _further(known: Order | None, order: Order) -> Order:
    """Return the later state of an order: the cumulative filled quantity never falls."""
    return known if known is not None and known.filled > order.filled else order

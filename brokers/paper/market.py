"""The top of each symbol's book: the prices, and the quantity that is left until the next refresh."""

from __future__ import annotations

from decimal import Decimal

from brokers.paper.wire import ListedInstrument, TopOfBook, default_listing
from core.model import Kind, Order, OrderSide, OrderType
from core.units import ZERO


class Market:
    """Listings, quotes and the remaining depth of every symbol."""

    def __init__(self, listings: dict[str, ListedInstrument], tops: dict[str, TopOfBook]) -> None:
        self.listings = dict(listings)
        self.tops = dict(tops)
        self._taken: dict[tuple[str, OrderSide], Decimal] = {}

    def listing(self, symbol: str, kind: Kind = Kind.SPOT) -> ListedInstrument:
        """Return the symbol's listing. A symbol without a listing gets a permissive listing of ``kind``."""
        return self.listings.setdefault(symbol, default_listing(symbol, kind))

    def top(self, symbol: str) -> TopOfBook:
        return self.tops.get(symbol, TopOfBook())

    def set_top(self, symbol: str, top: TopOfBook) -> None:
        """Set the prices of a symbol and restore its full depth."""
        self.tops[symbol] = top
        self.refresh(symbol)

    def refresh(self, symbol: str | None = None) -> None:
        """Restore the full depth of one symbol, or of all symbols."""
        for key in [k for k in self._taken if symbol in (None, k[0])]:
            del self._taken[key]

    def touch(self, symbol: str, side: OrderSide, otherwise: Decimal | None = None) -> Decimal | None:
        """Return the price at which an order on ``side`` trades.

        The price is the bid or ask, else the last price, else the mark, else ``otherwise``. None without any of these.
        """
        top = self.top(symbol)
        touch = top.bid if side is OrderSide.SELL else top.ask
        known = (touch, top.last, top.mark, otherwise)
        return next((p for p in known if p is not None and p.is_finite() and p > 0), None)

    def available(self, symbol: str, side: OrderSide) -> Decimal | None:
        """Return the quantity that an order on ``side`` can get before the next refresh. None means unlimited."""
        top = self.top(symbol)
        size = top.bid_size if side is OrderSide.SELL else top.ask_size
        if size is None:
            size = self.listing(symbol).depth
        return None if size is None else max(size - self._taken.get((symbol, side), ZERO), ZERO)

    def take(self, symbol: str, side: OrderSide, quantity: Decimal) -> None:
        self._taken[symbol, side] = self._taken.get((symbol, side), ZERO) + quantity

    def reached(self, order: Order) -> bool:
        """Return whether the price has reached a stop's trigger."""
        price = self.touch(order.symbol, order.side)
        if order.trigger is None or price is None:
            return False
        return price <= order.trigger if order.side is OrderSide.SELL else price >= order.trigger

    def crosses(self, order: Order) -> bool:
        """Return whether an order can trade at the touch. Every order except a limit order can."""
        if order.type is not OrderType.LIMIT or order.price is None:
            return True
        touch = self.touch(order.symbol, order.side)
        if touch is None:
            return False
        return touch >= order.price if order.side is OrderSide.SELL else touch <= order.price

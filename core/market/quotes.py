"""The prices of every symbol at every account, each behind its gate.

A bad price or an unconfirmed jump does not replace a good price. The good price stays and gets older.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import structs

from core.market.price_gate import PriceGate, PriceVerdict
from core.model import InstrumentKey, Quote
from core.settings import ExitsOf


def without_stub(quote: Quote, max_spread: Decimal) -> Quote:
    """Return the quote with bid and ask set aside when they are no market.

    They are no market when they are further apart than ``max_spread``, a fraction of their middle. A mark or last price
    that is not between them is then no price either.
    """
    bid, ask = quote.bid, quote.ask
    if bid is None or ask is None or quote.flaw() or 2 * (ask - bid) <= max_spread * (ask + bid):
        return quote
    mark, last = (p if p is not None and bid <= p <= ask else None for p in (quote.mark, quote.last))
    return structs.replace(quote, bid=None, ask=None, last=last, mark=mark, stub=(bid, ask))


class QuoteBook:
    """Quotes by account and symbol, and the one judge of their age. Times are seconds of the local monotonic clock.

    ``polled``: accounts without live prices, whose prices may be older.
    """

    def __init__(self, exits_of: ExitsOf, polled: frozenset[str] = frozenset()) -> None:
        self._exits_of = exits_of
        self._polled = polled
        self._quotes: dict[InstrumentKey, Quote] = {}
        self._gates: dict[InstrumentKey, PriceGate] = {}
        self._flaws: dict[InstrumentKey, str] = {}  # the reason why the latest quote was not taken

    def take_quote(self, quote: Quote) -> bool:
        """Take one quote. Return True when the price is usable or the reason changed.

        A bad or unconfirmed price changes the reason; a bad quote is kept only where no good quote is known.
        A quote older than the known quote changes nothing.
        """
        name = InstrumentKey(quote.account, quote.symbol)
        quote = without_stub(quote, self._exits_of(*name).max_spread)
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = PriceGate(self._exits_of(*name))
        known = self._quotes.get(name)
        if known is not None and quote.received < known.received:
            return False
        verdict = gate.judge_quote(quote)
        usable = verdict.usable
        flaw = "" if usable else quote.flaw() or f"a jump to {quote.reference} waits to be confirmed"
        if usable or (verdict is not PriceVerdict.HELD and (known is None or known.flaw())):
            self._quotes[name] = quote
        changed = usable or flaw != self._flaws.get(name, "")
        self._flaws[name] = flaw
        return changed

    def get(self, account: str, symbol: str) -> Quote | None:
        """Return the last good quote, else the last quote that the gate did not hold; None without a quote."""
        return self._quotes.get(InstrumentKey(account, symbol))

    def usable(self, account: str, symbol: str, now: float) -> Quote | None:
        """Return the last good quote if it is young enough at ``now``, else None."""
        return None if self.flaw(account, symbol, now) else self.get(account, symbol)

    def flaw(self, account: str, symbol: str, now: float) -> str:
        """Return the reason why no price is usable at ``now``; "" when a price is usable."""
        place = InstrumentKey(account, symbol)
        quote = self._quotes.get(place)
        if quote is None:
            return self._flaws.get(place) or "no price"
        age = now - quote.received
        if age >= self._max_age(place):
            why = self._flaws.get(place, "")
            return f"price is {age:.0f} s old" + (f" ({why})" if why else "")
        return quote.flaw() or ""

    def _max_age(self, place: InstrumentKey) -> float:
        exits = self._exits_of(*place)
        return exits.max_price_age_polling if place.account in self._polled else exits.max_price_age

    def split(self, account: str, symbol: str, ratio: Decimal) -> None:
        """Drop the old share's quote after a split of ``ratio`` new shares for an old share.

        The gate expects the new share's price at the old price divided by ``ratio``.
        """
        place = InstrumentKey(account, symbol)
        self._quotes.pop(place, None)
        gate = self._gates.get(place)
        if gate is not None:
            gate.split(ratio)

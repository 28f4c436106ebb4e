"""The prices of every symbol at every account, each behind its gate.

A bad price or an unconfirmed jump does not replace a good price. The good price stays and gets older.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import structs

from core.market.price_gate import PriceGate, PriceVerdict
from core.model import Quote
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
    """Quotes by account and symbol. Ages are seconds of the local monotonic clock."""

    def __init__(self, exits_of: ExitsOf) -> None:
        self._exits_of = exits_of
        self._quotes: dict[tuple[str, str], Quote] = {}
        self._gates: dict[tuple[str, str], PriceGate] = {}
        self._flaws: dict[tuple[str, str], str] = {}  # the reason why the latest quote was not taken

    def take_quote(self, quote: Quote) -> bool:
        """Take one quote. Return True when the price is usable or the reason changed.

        A bad or unconfirmed price changes the reason; a bad quote is kept only where no good quote is known.
        A quote older than the known quote changes nothing.
        """
        name = (quote.account, quote.symbol)
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
        return self._quotes.get((account, symbol))

    def flaw(self, account: str, symbol: str, monotonic: float, max_age: float) -> str:
        """Return the reason why no price is usable now; "" when a price is usable."""
        quote = self._quotes.get((account, symbol))
        if quote is None:
            return self._flaws.get((account, symbol)) or "no price"
        age = monotonic - quote.received
        if age >= max_age:
            why = self._flaws.get((account, symbol), "")
            return f"price is {age:.0f} s old" + (f" ({why})" if why else "")
        return quote.flaw() or ""

    def split(self, account: str, symbol: str, ratio: Decimal) -> None:
        """Drop the old share's quote after a split of ``ratio`` new shares for an old share.

        The gate expects the new share's price at the old price divided by ``ratio``.
        """
        self._quotes.pop((account, symbol), None)
        gate = self._gates.get((account, symbol))
        if gate is not None:
            gate.split(ratio)

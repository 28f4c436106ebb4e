"""The prices of every symbol at every account, each behind its gate: what is bad or jumped without confirmation does
not replace what was good, and what was good grows old."""

from __future__ import annotations

from decimal import Decimal

from core.market.price_gate import PriceGate, PriceVerdict
from core.model import Quote
from core.settings import ExitsOf


class QuoteBook:
    """Quotes by account and symbol. Ages are seconds of the local monotonic clock."""

    def __init__(self, exits_of: ExitsOf) -> None:
        self._exits_of = exits_of
        self._quotes: dict[tuple[str, str], Quote] = {}
        self._gates: dict[tuple[str, str], PriceGate] = {}
        self._flaws: dict[tuple[str, str], str] = {}  # why the latest was not taken

    def take(self, quote: Quote) -> bool:
        """Whether it changed what is known. A late, bad or unconfirmed price changes nothing but the reason."""
        name = (quote.account, quote.symbol)
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = PriceGate(self._exits_of(*name))
        known = self._quotes.get(name)
        if known is not None and quote.received < known.received:
            return False
        verdict = gate.take(quote, quote.received)
        usable = verdict.usable
        flaw = "" if usable else quote.flaw() or f"a jump to {quote.reference} waits to be confirmed"
        if usable or (verdict is not PriceVerdict.HELD and (known is None or known.flaw())):
            self._quotes[name] = quote
        changed = usable or flaw != self._flaws.get(name, "")
        self._flaws[name] = flaw
        return changed

    def get(self, account: str, symbol: str) -> Quote | None:
        """The last good one, else the last one."""
        return self._quotes.get((account, symbol))

    def flaw(self, account: str, symbol: str, monotonic: float, max_age: float) -> str:
        """Why there is no usable price now, or empty."""
        quote = self._quotes.get((account, symbol))
        if quote is None:
            return self._flaws.get((account, symbol)) or "no price"
        age = monotonic - quote.received
        if age >= max_age:
            why = self._flaws.get((account, symbol), "")
            return f"price is {age:.0f} s old" + (f" ({why})" if why else "")
        return quote.flaw() or ""

    def split(self, account: str, symbol: str, ratio: Decimal) -> None:
        """So many new shares for an old one: the old share's price is none of the new one, but says where to look."""
        self._quotes.pop((account, symbol), None)
        gate = self._gates.get((account, symbol))
        if gate is not None:
            gate.split(ratio)

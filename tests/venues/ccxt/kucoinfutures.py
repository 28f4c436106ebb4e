"""KuCoin Futures on loopback: REST and streams over one truth, and books to begin with."""

from __future__ import annotations

from typing import Any

from brokers.paper.venue import Venue
from tests.venues.ccxt.host import Streamed
from tests.venues.ccxt.kucoinfutures_rest import KucoinFuturesRest
from tests.venues.ccxt.kucoinfutures_streams import KucoinFuturesStreams

KEY = "kucoin-loopback-key"
SECRET = "canary-of-the-kucoin-venue"
PASSPHRASE = "canary-of-the-kucoin-passphrase"
LOGIN = {"api_key": KEY, "secret": SECRET, "password": PASSPHRASE}


class KucoinFutures(Streamed):
    def __init__(self, venue: Venue) -> None:
        rest = KucoinFuturesRest(venue, KEY, SECRET, PASSPHRASE)
        super().__init__(rest, KucoinFuturesStreams(rest))


def contract(symbol: str, size: str, **more: Any) -> dict[str, Any]:
    """One perpetual's row of a book; ``size`` is what one lot is: of the coin, or dollars of an inverse contract."""
    rules = {"step": "1", "tick": "0.1", "min_quantity": "1", "fee_rate": "0.0006", "multiplier": size}
    return {"symbol": symbol, "kind": "perp", "quote": "USDT", "reduce_only": True, **rules, **more}


BTC, ETH, INVERSE = "BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USD:BTC"
DATED = "BTC/USD:BTC-270326"
BOOK: dict[str, Any] = {
    "instruments": [
        contract(BTC, "0.001"),
        contract(ETH, "0.01", tick="0.01"),
        contract(INVERSE, "1", quote="USD"),
        contract(DATED, "1", quote="USD", kind="future"),
    ],
    "quotes": {
        BTC: {"bid": "50000", "ask": "50000.1", "last": "50000"},
        ETH: {"bid": "2500", "ask": "2500.01", "last": "2500"},
        INVERSE: {"bid": "50000", "ask": "50000.1", "last": "50000"},
        DATED: {"bid": "50000", "ask": "50000.1", "last": "50000"},
    },
    "positions": [
        {"symbol": BTC, "side": "long", "quantity": "500", "entry": "40000", "leverage": "5"},
        {"symbol": ETH, "side": "short", "quantity": "305", "entry": "2400", "leverage": "25"},
        {"symbol": INVERSE, "side": "long", "quantity": "1200", "entry": "48000", "leverage": "3"},
    ],
    "orders": [
        {"id": "h1", "symbol": BTC, "side": "sell", "quantity": "100", "price": "60000", "reduce_only": True},
        {
            "id": "h2",
            "symbol": BTC,
            "side": "sell",
            "quantity": "500",
            "type": "stop",
            "trigger": "38000",
            "reduce_only": True,
        },
    ],
}
HEDGED: dict[str, Any] = {
    **BOOK,
    "hedge": True,
    "positions": [
        {"symbol": BTC, "side": "long", "quantity": "500", "entry": "40000", "leverage": "5"},
        {"symbol": BTC, "side": "short", "quantity": "200", "entry": "52000", "leverage": "5"},
        {"symbol": ETH, "side": "short", "quantity": "305", "entry": "2400", "leverage": "25"},
    ],
    "orders": [
        {"id": "h1", "symbol": BTC, "side": "sell", "quantity": "100", "price": "60000", "leg": "long"},
        {
            "id": "h2",
            "symbol": BTC,
            "side": "buy",
            "quantity": "200",
            "type": "stop",
            "trigger": "60000",
            "leg": "short",
        },
    ],
}

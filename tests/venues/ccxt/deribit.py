"""Deribit on loopback: inverse perpetuals in US dollars, a linear one in coins, asked and never streamed.

An order list is of one settlement currency. Bodies are those of the documentation's samples; ``contract_size`` is that
of the real instruments and is no factor of anything.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokers.paper.state import VenueOrder
from brokers.paper.venue import Venue
from core.errors import Refusal, Refused
from core.model import Fill, Instrument, OrderRequest, OrderSide, OrderStatus, OrderType, Position, TimeInForce
from core.units import ZERO
from tests.venues.ccxt.polled import Polled, Row

KEY, SECRET = "deribit-loopback-key", "canary-of-the-deribit-venue"
ROOT = "/www/api/v2"
STATES = {OrderStatus.OPEN: "open", OrderStatus.FILLED: "filled", OrderStatus.REJECTED: "rejected"}
TIFS = {
    "good_til_cancelled": TimeInForce.GTC,
    "immediate_or_cancel": TimeInForce.IOC,
    "fill_or_kill": TimeInForce.FOK,
}
ERRORS = {
    Refusal.NO_POSITION: (11030, "other_reject reduce_only_not_possible"),
    Refusal.REDUCE_ONLY: (11030, "other_reject reduce_only_not_possible"),
    Refusal.UNKNOWN_ORDER: (10004, "order_not_found"),
    Refusal.PRECISION: (-32602, "Invalid params"),
}
LABEL = re.compile(r".{1,64}")


class Deribit(Polled):
    """One account. A request with a wrong signature is refused."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue, KEY, SECRET)

    def add_to(self, app: web.Application) -> None:
        gets: dict[str, Callable[[Row], Any]] = {
            "public/get_time": lambda _: self.millis(),
            "public/get_currencies": lambda _: [{"currency": code} for code in self._settled()],
            "public/get_instruments": lambda q: [self._listed(i) for i in self._of(q.get("currency", "any"))],
            "public/ticker": lambda q: self._ticker(self._named(q["instrument_name"])),
            "private/get_account_summaries": lambda _: {"summaries": [self._summary(c) for c in self._settled()]},
            "private/get_positions": self._positions,
            "private/get_open_orders_by_currency": lambda q: self._open(self._of(q["currency"])),
            "private/get_open_orders_by_instrument": lambda q: self._open([self._named(q["instrument_name"])]),
            "private/get_order_history_by_instrument": self._history,
            "private/get_order_state": lambda q: self._order(self._ticket(q["order_id"])),
            "private/get_user_trades_by_instrument": self._trades,
            "private/get_user_trades_by_instrument_and_time": self._trades,
            "private/buy": lambda q: self._place(q, OrderSide.BUY),
            "private/sell": lambda q: self._place(q, OrderSide.SELL),
            "private/cancel": self._cancel,
        }
        for path, act in gets.items():
            app.router.add_get(f"{ROOT}/{path}", self._handler(path, act))

    def _handler(self, path: str, act: Callable[[Row], Any]) -> Any:
        async def answer(request: web.Request) -> web.Response:
            self.venue.advance()
            if path.startswith("private") and not self._is_signed(request):
                return self._error(13004, "invalid_credentials")
            given = dict(request.query)
            if path.rpartition("/")[2] in ("buy", "sell", "cancel"):
                self.calls.append((path, given))
            try:
                result = act(given)
            except Refused as refused:
                return self._error(*ERRORS.get(refused.refusal, (11044, str(refused))))
            return web.json_response({"jsonrpc": "2.0", "result": result, "testnet": False})

        return answer

    def _error(self, code: int, text: str) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "error": {"code": code, "message": text}}, status=400)

    def _is_signed(self, request: web.Request) -> bool:
        """The signature is over time, nonce, method and path with its query."""
        kind, _, said = request.headers.get("Authorization", "").partition(" ")
        given = dict(part.split("=", 1) for part in said.split(",") if "=" in part)
        text = f"{given.get('ts')}\n{given.get('nonce')}\n{request.method}\n{request.raw_path.removeprefix('/www')}\n\n"
        wanted = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        signed = hmac.compare_digest(given.get("sig", ""), wanted)
        return kind == "deri-hmac-sha256" and given.get("id") == self.key and signed

    # ------------------------------------------------------------------------------------------------- the market

    def _settled(self) -> list[str]:
        return sorted({_settle(i.symbol) for i in self.instruments()})

    def _of(self, currency: str) -> list[Instrument]:
        return [i for i in self.instruments() if currency in ("any", _settle(i.symbol))]

    def _named(self, name: str) -> Instrument:
        found = next((i for i in self.instruments() if i.native_symbol == name), None)
        if found is None:
            raise Refused(Refusal.UNKNOWN_SYMBOL, "instrument_not_found")
        return found

    def _listed(self, instrument: Instrument) -> Row:
        base, _, rest = instrument.symbol.partition("/")
        inverse = _settle(instrument.symbol) == base
        return {
            "instrument_name": instrument.native_symbol,
            "kind": "future",
            "settlement_period": "perpetual",
            "base_currency": base,
            "counter_currency": rest.partition(":")[0],
            "quote_currency": rest.partition(":")[0],
            "settlement_currency": _settle(instrument.symbol),
            "instrument_type": "reversed" if inverse else "linear",
            "contract_size": 10.0 if inverse else 0.001,
            "min_trade_amount": float(instrument.min_quantity),
            "tick_size": float(instrument.tick),
            "is_active": True,
            "expiration_timestamp": 32503708800000,
            "taker_commission": 0.0005,
            "maker_commission": 0,
        }

    def _ticker(self, instrument: Instrument) -> Row:
        top, last = self.venue.matching.market.top(instrument.symbol), float(self.price(instrument.symbol))
        touch = {"best_bid_price": float(top.bid or ZERO), "best_ask_price": float(top.ask or ZERO)}
        names = {"instrument_name": instrument.native_symbol, "timestamp": self.millis(), "state": "open"}
        return {**names, **touch, "mark_price": last, "last_price": last, "index_price": last, "stats": {}}

    # ------------------------------------------------------------------------------------------------ the account

    def _summary(self, currency: str) -> Row:
        worth = 10000 if currency == "USDC" else 0
        return {"currency": currency, "equity": worth, "balance": worth, "available_funds": worth, "initial_margin": 0}

    def _positions(self, query: Row) -> list[Row]:
        wanted = query.get("currency", "any")
        return [self._position(p) for p in self.positions() if wanted in ("any", _settle(p.symbol))]

    def _position(self, held: Position) -> Row:
        """The size is in US dollars where the contract is inverse, else in coins; a short has a negative size."""
        price, size = self.price(held.symbol), held.side.sign * held.quantity
        inverse = _settle(held.symbol) == held.symbol.partition("/")[0]
        return {
            "instrument_name": self.instrument(held.symbol).native_symbol,
            "kind": "future",
            "direction": "buy" if size > 0 else "sell",
            "size": float(size),
            "size_currency": float(size / price if inverse else size),
            "average_price": float(held.entry or ZERO),
            "mark_price": float(price),
            "leverage": int(held.leverage or 1),
            "initial_margin": 0.0001,
            "maintenance_margin": 0.0001,
            "floating_profit_loss": 0.0,
            "realized_profit_loss": 0.0,
        }

    def _order(self, ticket: VenueOrder) -> Row:
        told = self.told(ticket)
        return {
            "order_id": told.id,
            "label": told.client_id or "",
            "instrument_name": self.instrument(told.symbol).native_symbol,
            "direction": told.side.value,
            "order_type": "market" if told.type is OrderType.MARKET else "limit",
            "order_state": STATES.get(told.status, "cancelled"),
            "time_in_force": next(word for word, tif in TIFS.items() if tif is ticket.tif),
            "amount": float(told.quantity),
            "filled_amount": float(told.filled),
            "average_price": float(told.average_price or ZERO),
            "price": float(told.price) if told.price else "market_price",
            "reduce_only": told.reduce_only,
            "creation_timestamp": self.millis(),
            "last_update_timestamp": self.millis(),
        }

    def _open(self, instruments: list[Instrument]) -> list[Row]:
        names = {i.symbol for i in instruments}
        return [self._order(t) for t in self.open_orders() if t.order.symbol in names]

    def _history(self, query: Row) -> list[Row]:
        symbol = self._named(query["instrument_name"]).symbol
        tickets = reversed(self.venue.state.tickets.values())
        return [self._order(t) for t in tickets if t.order.symbol == symbol and self.told(t).status.terminal]

    def _trades(self, query: Row) -> Row:
        symbol, since = self._named(query["instrument_name"]).symbol, int(query.get("start_timestamp", 0))
        rows = [self._trade(f) for f in self.fills() if f.symbol == symbol]
        return {"trades": [row for row in reversed(rows) if row["timestamp"] >= since], "has_more": False}

    def _trade(self, fill: Fill) -> Row:
        return {
            "trade_id": fill.trade_id,
            "order_id": fill.order_id,
            "instrument_name": self.instrument(fill.symbol).native_symbol,
            "direction": fill.side.value,
            "amount": float(fill.quantity),
            "price": float(fill.price),
            "fee": 0.0,
            "fee_currency": _settle(fill.symbol),
            "liquidity": "T",
            "label": fill.client_id or "",
            "timestamp": int(fill.at.timestamp() * 1000) if fill.at else 0,
        }

    # ------------------------------------------------------------------------------------------------- the orders

    def _ticket(self, order_id: str) -> VenueOrder:
        ticket = self.find(None, order_id)
        if ticket is None:
            raise Refused(Refusal.UNKNOWN_ORDER, "order_not_found")
        return ticket

    def _place(self, query: Row, side: OrderSide) -> Row:
        """The unknown word ``clientOrderId`` is ignored: an order is named by its ``label``."""
        market = query["type"] == "market"
        label = query.get("label", "")
        if label and not LABEL.fullmatch(label):
            raise Refused(Refusal.OTHER, "label: invalid")
        order = self.place(
            OrderRequest(
                account=self.venue.account.id,
                symbol=self._named(query["instrument_name"]).symbol,
                side=side,
                quantity=Decimal(query["amount"]),
                client_id=label,
                type=OrderType.MARKET if market else OrderType.LIMIT,
                tif=TIFS[query.get("time_in_force", "immediate_or_cancel" if market else "good_til_cancelled")],
                price=None if market else Decimal(query["price"]),
                reduce_only=query.get("reduce_only", "").lower() == "true",
            )
        )
        return {"order": self._order(self.venue.state.tickets[order.id]), "trades": []}

    def _cancel(self, query: Row) -> Row:
        ticket = self._ticket(query["order_id"])
        self.venue.cancel(ticket.order.id)
        return self._order(ticket)


def _settle(symbol: str) -> str:
    return symbol.partition(":")[2]


def inverse(base: str, tick: str, least: str) -> Row:
    """One inverse contract's row of a book: its quantity is in US dollars, so the truth's money is dollars as well."""
    names = {"symbol": f"{base}/USD:{base}", "native_symbol": f"{base}-PERPETUAL", "kind": "perp", "quote": "USD"}
    return {**names, "step": least, "tick": tick, "min_quantity": least}


LINEAR = {"symbol": "BTC/USDC:USDC", "native_symbol": "BTC_USDC-PERPETUAL", "kind": "perp", "quote": "USDC"}
BOOK: dict[str, Any] = {
    "instruments": [
        inverse("BTC", "0.5", "10"),
        inverse("ETH", "0.05", "1"),
        {**LINEAR, "step": "0.001", "tick": "0.5", "min_quantity": "0.001"},
    ],
    "quotes": {
        "BTC/USD:BTC": {"bid": "50000", "ask": "50000.5", "last": "50000"},
        "ETH/USD:ETH": {"bid": "2500", "ask": "2500.05", "last": "2500"},
        "BTC/USDC:USDC": {"bid": "50000", "ask": "50000.5", "last": "50000"},
    },
    "positions": [
        {"symbol": "BTC/USD:BTC", "side": "long", "quantity": "50", "entry": "40000", "leverage": "10"},
        {"symbol": "ETH/USD:ETH", "side": "short", "quantity": "200", "entry": "2600", "leverage": "5"},
        {"symbol": "BTC/USDC:USDC", "side": "long", "quantity": "0.2", "entry": "45000", "leverage": "5"},
    ],
    "orders": [
        {"id": "h1", "symbol": "ETH/USD:ETH", "side": "buy", "quantity": "100", "price": "2000"},
    ],
}

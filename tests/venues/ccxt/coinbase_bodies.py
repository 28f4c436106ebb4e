"""Coinbase Advanced's JSON made of the truth: accounts, products, orders, fills, futures positions, stream events.

Shapes are those of the documentation's samples. A spot product's id is its symbol with a dash; a future's is its
instrument's native symbol. Ids of the truth are seen as ``0000-000000-p12``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.paper.state import VenueOrder
from brokers.paper.wire import ListedInstrument, TopOfBook
from core.model import Fill, Instrument, Kind, Order, OrderStatus, OrderType, Position, Side, TimeInForce
from core.units import ZERO, plain

Row = dict[str, Any]
HEAD = "0000-000000-"
FIAT = ("USD", "EUR", "GBP")
STATUSES = {
    OrderStatus.OPEN: "OPEN",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELLED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "FAILED",
    OrderStatus.UNKNOWN: "SOME_NEW_WORD",
}
TIFS = {
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.FOK: "FILL_OR_KILL",
    TimeInForce.GTC: "GOOD_UNTIL_CANCELLED",
    TimeInForce.DAY: "GOOD_UNTIL_DATE_TIME",
}
KINDS = {OrderType.MARKET: "MARKET", OrderType.LIMIT: "LIMIT", OrderType.STOP: "STOP_LIMIT"}


def native(name: str) -> str:
    return HEAD + name


def own(name: str) -> str:
    return name.removeprefix(HEAD)


def product_id(instrument: Instrument) -> str:
    return instrument.symbol.replace("/", "-") if instrument.kind is Kind.SPOT else instrument.native_symbol


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def money(value: Decimal, currency: str) -> Row:
    return {"value": f"{value:.16f}", "currency": currency}


def account(currency: str, free: Decimal, hold: Decimal) -> Row:
    """One wallet of ``accounts``."""
    return {
        "uuid": f"8bfc20d7-f7c6-4422-bf07-8243ca41{currency.encode().hex()[:4]:0<4}",
        "name": f"{currency} Wallet",
        "currency": currency,
        "available_balance": money(free, currency),
        "default": True,
        "active": True,
        "created_at": "2021-05-31T09:59:59Z",
        "updated_at": "2024-01-15T10:30:00Z",
        "deleted_at": None,
        "type": "ACCOUNT_TYPE_FIAT" if currency in FIAT else "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
        "hold": money(hold, currency),
        "retail_portfolio_id": "portfolio-001",
    }


def product(listing: ListedInstrument, top: TopOfBook) -> Row:
    """One of ``products``; a future has its details and no base currency of its own."""
    instrument = listing.instrument
    base, _, rest = instrument.symbol.partition("/")
    quote = rest.partition(":")[0]
    future = instrument.kind is not Kind.SPOT
    row: Row = {
        "product_id": product_id(instrument),
        "price": plain(top.last or top.bid or ZERO),
        "price_percentage_change_24h": "-0.28560028286595",
        "volume_24h": "11005.02587005",
        "base_increment": plain(instrument.step),
        "quote_increment": "0.01",
        "quote_min_size": plain(instrument.min_cost),
        "quote_max_size": "150000000",
        "base_min_size": plain(instrument.min_quantity),
        "base_max_size": "3400",
        "base_name": "" if future else base,
        "quote_name": quote,
        "is_disabled": False,
        "status": "" if future else "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": not instrument.tradable,
        "auction_mode": False,
        "product_type": "FUTURE" if future else "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": "" if future else base,
        "alias": "",
        "alias_to": [],
        "price_increment": plain(instrument.tick),
        "display_name": f"{base} PERP" if instrument.kind is Kind.PERP else product_id(instrument),
        "product_venue": "FCM" if future else "CBE",
        "approximate_quote_24h_volume": "758506771.41",
    }
    return {**row, "future_product_details": details(instrument, base)} if future else row


def details(instrument: Instrument, base: str) -> Row:
    perpetual = instrument.kind is Kind.PERP
    day = instrument.symbol.rpartition("-")[2]
    expiry = "2030-12-20T16:00:00Z" if perpetual else f"20{day[:2]}-{day[2:4]}-{day[4:6]}T16:00:00Z"
    return {
        "venue": "cde",
        "contract_code": instrument.native_symbol[:3],
        "contract_expiry": expiry,
        "contract_size": plain(instrument.multiplier),
        "contract_root_unit": base,
        "contract_expiry_type": "EXPIRING",
        "funding_interval": "3600s" if perpetual else None,
    }


def book(instrument: Instrument, top: TopOfBook, at: datetime) -> Row:
    """One of ``best_bid_ask``'s price books; a side that nobody quotes is empty."""
    sides = {"bids": (top.bid, top.bid_size), "asks": (top.ask, top.ask_size)}
    rows = {name: [{"price": plain(p), "size": plain(s or Decimal(1))}] if p else [] for name, (p, s) in sides.items()}
    return {"product_id": product_id(instrument), **rows, "time": iso(at)}


def ticker(instrument: Instrument, top: TopOfBook, at: datetime) -> Row:
    """``products/{id}/ticker``: the last trades, and the touch beside them."""
    trade = {
        "trade_id": "995098663",
        "product_id": product_id(instrument),
        "price": plain(top.last or top.bid or ZERO),
        "size": "0.00064",
        "time": iso(at),
        "side": "SELL",
        "bid": "",
        "ask": "",
        "exchange": "coinbase",
    }
    return {"trades": [trade], "best_bid": plain(top.bid or ZERO), "best_ask": plain(top.ask or ZERO)}


def candle(at: int, price: Decimal) -> Row:
    text = plain(price)
    return {"start": str(at), "low": text, "high": text, "open": text, "close": text, "volume": "1.5"}


def configuration(order: Order, tif: TimeInForce) -> Row:
    """``order_configuration``: what kind of order it is, in one key."""
    size = {"base_size": plain(order.quantity)}
    limit = {"limit_price": plain(order.price or ZERO)}
    if order.type is OrderType.STOP:
        way = "STOP_DIRECTION_STOP_DOWN" if order.side.sign < 0 else "STOP_DIRECTION_STOP_UP"
        stop = {"stop_price": plain(order.trigger or ZERO), "stop_direction": way}
        return {"stop_limit_stop_limit_gtc": {**size, **limit, **stop}}
    if order.type is OrderType.MARKET:
        return {"market_market_ioc": size}
    if tif is TimeInForce.IOC:
        return {"sor_limit_ioc": {**size, **limit}}
    if tif is TimeInForce.FOK:
        return {"limit_limit_fok": {**size, **limit}}
    return {"limit_limit_gtc": {**size, **limit, "post_only": False}}


def order(ticket: VenueOrder, told: Order, instrument: Instrument, placed: datetime, fills: int) -> Row:
    """One of ``orders/historical``."""
    average = told.average_price or ZERO
    return {
        "order_id": native(told.id),
        "product_id": product_id(instrument),
        "user_id": "2222-000000-000000",
        "order_configuration": configuration(told, ticket.tif),
        "side": told.side.name,
        "client_order_id": told.client_id or f"by-hand-{told.id}",
        "status": STATUSES[told.status],
        "time_in_force": TIFS[ticket.tif],
        "created_time": iso(placed),
        "completion_percentage": plain((told.filled / told.quantity * 100).quantize(Decimal("0.01"))),
        "filled_size": plain(told.filled),
        "average_filled_price": plain(average),
        "fee": "",
        "number_of_fills": str(fills),
        "filled_value": plain(told.filled * average * instrument.multiplier),
        "pending_cancel": False,
        "size_in_quote": False,
        "total_fees": "0",
        "size_inclusive_of_fees": False,
        "total_value_after_fees": plain(told.filled * average * instrument.multiplier),
        "trigger_status": "INVALID_ORDER_TYPE" if told.type is not OrderType.STOP else "STOP_PENDING",
        "order_type": KINDS[told.type],
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": told.status is OrderStatus.FILLED,
        "product_type": "SPOT" if instrument.kind is Kind.SPOT else "FUTURE",
        "reject_message": told.text,
        "cancel_message": "User requested cancel" if told.status is OrderStatus.CANCELLED else "",
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": "0",
        "is_liquidation": False,
        "last_fill_time": None,
        "leverage": "",
        "margin_type": "",
        "retail_portfolio_id": "",
    }


def fill(found: Fill, instrument: Instrument) -> Row:
    at = iso(found.at) if found.at is not None else "1970-01-01T00:00:00Z"
    return {
        "entry_id": f"entry-{found.trade_id}",
        "trade_id": found.trade_id,
        "order_id": native(found.order_id),
        "trade_time": at,
        "trade_type": "FILL",
        "price": plain(found.price),
        "size": plain(found.quantity),
        "commission": plain(found.fee),
        "product_id": product_id(instrument),
        "sequence_timestamp": at,
        "liquidity_indicator": "TAKER",
        "size_in_quote": False,
        "user_id": "3333-333333-3333333",
        "side": found.side.name,
        "retail_portfolio_id": "",
    }


def position(held: Position, instrument: Instrument, top: TopOfBook, *, objects: bool) -> Row:
    """One of ``cfm/positions``; amounts are texts, or objects as in other samples."""
    price, entry = top.mark or top.last or top.bid or ZERO, held.entry or ZERO
    gain = held.side.sign * (price - entry) * held.quantity * instrument.multiplier
    amounts = {"current_price": price, "avg_entry_price": entry, "unrealized_pnl": gain, "daily_realized_pnl": ZERO}
    return {
        "product_id": product_id(instrument),
        "expiration_time": "2030-12-20T16:00:00Z",
        "side": "LONG" if held.side is Side.LONG else "SHORT",
        "number_of_contracts": plain(held.quantity),
        **{k: {"value": plain(v), "currency": "USD"} if objects else plain(v) for k, v in amounts.items()},
    }


def ws_order(told: Order, instrument: Instrument, at: datetime) -> Row:
    """An order in the ``user`` channel: what was traded and what is left of it, never its whole size."""
    return {
        "order_id": native(told.id),
        "client_order_id": told.client_id or f"by-hand-{told.id}",
        "cumulative_quantity": plain(told.filled),
        "leaves_quantity": plain(told.remaining),
        "avg_price": plain(told.average_price or ZERO),
        "total_fees": "0",
        "status": STATUSES[told.status],
        "product_id": product_id(instrument),
        "creation_time": iso(at),
        "order_side": told.side.name,
        "order_type": {"STOP_LIMIT": "Stop Limit"}.get(KINDS[told.type], KINDS[told.type].capitalize()),
        "limit_price": plain(told.price or ZERO),
        "stop_price": plain(told.trigger or ZERO),
    }


def ws_ticker(instrument: Instrument, top: TopOfBook, *, batch: bool) -> Row:
    """The batch, which comes every five seconds, has no bid and ask."""
    last = plain(top.last or top.bid or ZERO)
    row = {
        "type": "ticker",
        "product_id": product_id(instrument),
        "price": last,
        "volume_24_h": "15328.12345678",
        "low_24_h": last,
        "high_24_h": last,
        "low_52_w": last,
        "high_52_w": last,
        "price_percent_chg_24_h": "1.85",
    }
    touch = {"best_bid": plain(top.bid or ZERO), "best_ask": plain(top.ask or ZERO)}
    sizes = {"best_bid_quantity": "1.5", "best_ask_quantity": "0.5"}
    return row if batch else {**row, **touch, **sizes}

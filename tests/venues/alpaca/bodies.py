"""The loopback venue's JSON, field by field as Alpaca's documentation and its own library have it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
OCC = re.compile(r"[A-Z0-9]{1,6}\d{6}[CP]\d{8}")


def is_option(symbol: str) -> bool:
    return OCC.fullmatch(symbol) is not None


def plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def stamp(moment: datetime) -> str:
    """With nine digits of a second, as Alpaca writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}000Z"


@dataclass
class Holding:
    """A position; the quantity has its sign."""

    symbol: str
    native: str
    asset_id: str
    asset_class: str
    quantity: Decimal
    entry: Decimal
    side: str = ""  # said instead of the true one
    multiplier: int = 100


@dataclass
class Paper:
    """An order."""

    id: str
    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    submitted_at: datetime
    type: str = "market"
    tif: str = "day"
    limit: Decimal | None = None
    stop: Decimal | None = None
    status: str = "new"
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    extended: bool = False
    shares_with: str = ""  # the other leg of a pair, whose quantity this one does not hold again
    parent: str = ""
    shown_at: float = field(default=0.0)

    @property
    def native(self) -> str:
        return self.symbol.replace("/", "")


def position(holding: Holding, price: Decimal, held: Decimal) -> dict[str, Any]:
    quantity = holding.quantity
    size = holding.multiplier if holding.asset_class == "us_option" else 1
    value, cost = quantity * price * size, quantity * holding.entry * size
    free = abs(quantity) - held
    return {
        "asset_id": holding.asset_id,
        "symbol": holding.native,
        "exchange": "CRYPTO" if holding.asset_class == "crypto" else "NASDAQ",
        "asset_class": holding.asset_class,
        "asset_marginable": holding.asset_class == "us_equity",
        "avg_entry_price": plain(holding.entry),
        "qty": plain(quantity),
        "qty_available": plain(free if quantity > 0 else -free),
        "side": holding.side or ("long" if quantity > 0 else "short"),
        "market_value": plain(value),
        "cost_basis": plain(cost),
        "unrealized_pl": plain(value - cost),
        "unrealized_plpc": "0",
        "unrealized_intraday_pl": "0",
        "unrealized_intraday_plpc": "0",
        "current_price": plain(price),
        "lastday_price": plain(price),
        "change_today": "0",
    }


def order(paper: Paper, legs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    cls = "us_option" if is_option(paper.symbol) else "crypto" if "/" in paper.symbol else "us_equity"
    return {
        "id": paper.id,
        "client_order_id": paper.client_id,
        "created_at": stamp(paper.submitted_at),
        "updated_at": stamp(paper.submitted_at),
        "submitted_at": stamp(paper.submitted_at),
        **dict.fromkeys(("filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at"), None),
        "replaced_by": None,
        "replaces": None,
        "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
        "symbol": paper.symbol,
        "asset_class": cls,
        "notional": None,
        "qty": plain(paper.quantity),
        "filled_qty": plain(paper.filled),
        "filled_avg_price": plain(paper.paid / paper.filled) if paper.filled else None,
        "order_class": "bracket" if legs else "simple",
        "order_type": paper.type,
        "type": paper.type,
        "side": paper.side,
        "time_in_force": paper.tif,
        "limit_price": None if paper.limit is None else plain(paper.limit),
        "stop_price": None if paper.stop is None else plain(paper.stop),
        "status": paper.status,
        "extended_hours": paper.extended,
        "legs": legs or None,
    }


def execution(paper: Paper, quantity: Decimal, price: Decimal, name: str, at: datetime) -> dict[str, Any]:
    return {
        "id": f"{at:%Y%m%d%H%M%S}000::{name}",
        "activity_type": "FILL",
        "transaction_time": stamp(at),
        "type": "fill" if paper.filled >= paper.quantity else "partial_fill",
        "price": plain(price),
        "qty": plain(quantity),
        "side": paper.side,
        "symbol": paper.symbol,
        "leaves_qty": plain(paper.quantity - paper.filled),
        "order_id": paper.id,
        "cum_qty": plain(paper.filled),
        "order_status": paper.status,
    }


def update(
    event: str,
    paper: Paper,
    at: datetime,
    name: str,
    there: Decimal,
    quantity: Decimal | None,
    price: Decimal | None,
) -> dict[str, Any]:
    data: dict[str, Any] = {"event": event, "execution_id": name, "timestamp": stamp(at), "order": order(paper)}
    if quantity is not None and price is not None:
        data |= {"qty": plain(quantity), "price": plain(price), "position_qty": plain(there)}
    return {"stream": "trade_updates", "data": data}


def account(status: str, blocked: bool, equity: Decimal, power: Decimal) -> dict[str, Any]:
    return {
        "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
        "account_number": "PA3XYZ",
        "status": status,
        "currency": "USD",
        "cash": plain(power),
        "portfolio_value": plain(equity),
        "equity": plain(equity),
        "buying_power": plain(power),
        "options_buying_power": plain(power),
        "pattern_day_trader": False,
        "daytrade_count": 1,
        "trading_blocked": blocked,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": "2024-01-02T03:04:05.678901Z",
        "shorting_enabled": True,
        "multiplier": "2",
    }


def clock(timestamp: str, is_open: bool, opens: datetime, closes: datetime) -> dict[str, Any]:
    row = {"timestamp": timestamp, "is_open": is_open}
    return row | {"next_open": opens.isoformat(), "next_close": closes.isoformat()}


def bar(minute: datetime, *prices: str) -> dict[str, Any]:
    """Open, high, low and close of a minute. Numbers, not text, as the data hosts write them."""
    first, high, low, last = map(float, prices)
    return {"t": f"{minute:%Y-%m-%dT%H:%M:00Z}", "o": first, "h": high, "l": low, "c": last, "v": 7, "n": 2, "vw": last}


def asset(symbol: str, tradable: bool) -> dict[str, Any]:
    crypto = "/" in symbol
    row = {
        "id": "904837e3-3b76-47ec-b432-046db621571b",
        "class": "crypto" if crypto else "us_equity",
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "symbol": symbol,
        "name": symbol,
        "status": "active",
        "tradable": tradable,
        "marginable": not crypto,
        "shortable": not crypto,
        "easy_to_borrow": not crypto,
        "fractionable": True,
    }
    if crypto:
        row |= {"min_order_size": "0.0001", "min_trade_increment": "0.0001", "price_increment": "0.01"}
    return row

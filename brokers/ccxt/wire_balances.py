"""Convert balances to spot positions, their cost, and an account's worth. Pure.

A balance is a position, whatever money its asset is sold for. Money is no position: US dollars and the like, state
currencies, and coins that stand for either. Staked or lent assets are none either (``LDBTC``, ``BTC.M``, ``ETH2.S``).
An asset that nobody can sell now is a position that cannot be closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from brokers.ccxt.wire import Row, inner, moment, number, positive, text
from core.errors import OutcomeUnknown
from core.model import Order, OrderSide, Position, Side
from core.units import ONE, ZERO
from core.valuation import USD_LIKE

STATE_MONEY = frozenset(
    {"EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "TRY", "BRL"}
    | {"ARS", "MXN", "COP", "ZAR", "NGN", "UAH", "RUB", "KZT", "INR", "IDR", "PHP", "THB", "VND", "KRW", "SGD", "HKD"}
    | {"TWD", "CNY", "AED", "SAR", "ILS", "GEL"}
)
# Coins that stand for one unit of money, beside ``USD_LIKE``: parked cash, no bet. A coin that lost its peg is not
# listed.
STABLE = frozenset(
    {"USD1", "USDD", "USDE", "USDG", "USDQ", "USDR", "USDS", "USDTB", "RLUSD", "GUSD", "LUSD", "CRVUSD", "XUSD"}
    | {"EURC", "EURI", "AEUR", "EURQ", "EURR", "EURS", "EURCV", "TGBP"}
)
DOLLARS = ("USD", "USDT", "USDC", "FDUSD", "USDP", "PYUSD", "TUSD", "BUSD", "DAI")
TETHER_FIRST = ("USDT", "USDC", "FDUSD", "USD", "TUSD", "BUSD", "DAI", "USDP", "PYUSD")
OTHER_MONEY = ("EUR", "GBP", "BTC", "ETH")
# Kraken sells earning balances under the coin's own name: "to interact with your balances in them please use the base
# asset (e.g. USDT to transact with your USDT and USDT.F balances)" (its documentation of balances).
EARNING = {"kraken": ".F"}
NOT_CODES = frozenset({"info", "timestamp", "datetime", "free", "used", "total", "debt"})
EQUITY_FIELDS = (
    "totalEquity",  # before ``totalMarginBalance``, which at Bybit has only the collateral
    "totalMarginBalance",
    "totalEq",
    "portfolioValue",  # Kraken Futures; its marginEquity omits the uncounted part of the collateral
    "marginEquity",
    "accountEquity",
    "eb",
)


class CoinBalance(Struct, frozen=True):
    """A balance of one asset. ``free`` is None where the exchange does not tell the free quantity."""

    code: str
    total: Decimal
    free: Decimal | None


class PurchaseCost(Struct, frozen=True):
    """A holding's average purchase price, and the time of the purchase."""

    entry: Decimal
    opened_at: datetime | None


def is_money(code: str) -> bool:
    """Return whether a currency is money and so no position."""
    return code in USD_LIKE or code in STATE_MONEY or code in STABLE


def is_lent(code: str, exchange: str) -> bool:
    """Return whether a code stands for a staked or lent asset: a claim that no market sells."""
    if exchange == "kraken":
        return "." in code or code == "ETH2"
    return exchange.startswith("binance") and code.startswith("LD") and code not in ("LD", "LDO")


def holdings(balance: object, exchange: str) -> list[CoinBalance]:
    """Return every balance above 0 that is neither money nor lent. Raises OutcomeUnknown if it is no balance."""
    if not isinstance(balance, dict) or not isinstance(balance.get("total"), dict):
        raise OutcomeUnknown(f"{exchange}'s answer is no balance")
    told = (_holding(code, row, exchange) for code, row in balance.items() if code not in NOT_CODES)
    found: dict[str, CoinBalance] = {}
    for held in told:
        if held is not None:
            code = held.code.removesuffix(EARNING.get(exchange, ""))
            found[code] = _with(found.get(code), CoinBalance(code, held.total, held.free))
    coins = (held for held in found.values() if not is_money(held.code) and not is_lent(held.code, exchange))
    return [held for held in coins if held.total > 0]


def _with(one: CoinBalance | None, other: CoinBalance) -> CoinBalance:
    """Add two balances of one asset. ``free`` may be negative: orders may hold more than a balance has."""
    if one is None:
        return other
    free = None if one.free is None or other.free is None else one.free + other.free
    return CoinBalance(one.code, one.total + other.total, free)


def _holding(code: str, row: object, exchange: str) -> CoinBalance | None:
    parts: Mapping[str, Any] = row if isinstance(row, dict) else {}
    free, used, total = (number(parts.get(key)) for key in ("free", "used", "total"))
    if total is None and free is not None:
        total = free + (used or ZERO)
    if total is None:
        if all(parts.get(key) in (None, "") for key in ("free", "used", "total")):
            return None
        raise OutcomeUnknown(f"{exchange}'s balance of {code} cannot be read")
    return CoinBalance(code, total, free)


def spot_markets(markets: Mapping[str, Row]) -> dict[str, list[Row]]:
    """Return the spot markets by the currency that they sell."""
    found: dict[str, list[Row]] = {}
    for market in markets.values():
        if market.get("spot") is True:
            found.setdefault(text(market, "base"), []).append(market)
    return found


def markets_of(spot: Sequence[Row], prefer: Sequence[str] = DOLLARS, *, active: bool = True) -> list[Row]:
    """Return the currency's markets that trade (``active``) or that are halted, best first.

    The markets for dollars or other large money come in the order of ``prefer``. Only without any of them the others
    count: markets for state money first.
    """
    wanted = tuple(dict.fromkeys((*prefer, *OTHER_MONEY)))
    found = [m for m in spot if (m.get("active") is not False) is active]
    best = [m for m in found if text(m, "quote") in wanted]
    if best:
        return sorted(best, key=lambda m: wanted.index(text(m, "quote")))
    return sorted(found, key=lambda m: (text(m, "quote") not in STATE_MONEY, text(m, "quote")))


def position(
    account: str, held: CoinBalance, market: Row, orders: Sequence[Order], cost: PurchaseCost | None
) -> Position:
    """Return the whole balance as a position.

    ``free`` is the exchange's number, else the total minus open sell orders.
    """
    symbol = text(market, "symbol")
    free = held.free
    if free is None:
        selling = (o.remaining for o in orders if o.symbol.startswith(f"{held.code}/") and o.side is OrderSide.SELL)
        free = held.total - sum(selling, ZERO)
    return Position(
        account=account,
        symbol=symbol,
        side=Side.LONG,
        quantity=held.total,
        free=max(min(free, held.total), ZERO),
        entry=cost.entry if cost is not None else None,
        leverage=ONE,
        opened_at=cost.opened_at if cost is not None else None,
    )


def cost_of(quantity: Decimal, trades: Sequence[Row], quote: str) -> PurchaseCost | None:
    """Return the average price of the newest buys that make up ``quantity``, as if the oldest had been sold first.

    None if the trades do not cover the quantity: a part came another way, came before them, or was paid in another
    currency than ``quote``.
    """
    left, paid, since = quantity, ZERO, None
    for row in sorted(trades, key=_at, reverse=True):
        amount, price = positive(row.get("amount")), positive(row.get("price"))
        if text(row, "side") != "buy" or amount is None or price is None:
            continue
        money = text(row, "symbol").partition(":")[0].partition("/")[2]
        if money != quote and not {money, quote} <= USD_LIKE:
            return None
        taken = min(left, amount)
        left, paid, since = left - taken, paid + taken * price, moment(row.get("timestamp"))
        if left <= quantity * FEES:
            return PurchaseCost(paid / (quantity - left), since)
    return None


FEES = Decimal("0.005")  # part of a purchase that the fee may have taken


def bought_since(moment: int, trades: Sequence[Row]) -> bool:
    """Return whether a trade is a buy at or after that time in milliseconds."""
    return any(text(row, "side") == "buy" and _at(row) >= moment for row in trades)


def as_far_back(lists: Sequence[Sequence[Row]], page: int) -> list[Row]:
    """Return the newest trades of several markets, back to the time that every full list reaches."""
    begin = max((min(_at(row) for row in rows) for rows in lists if len(rows) >= page), default=ZERO)
    return [row for rows in lists for row in rows if _at(row) >= begin]


def pledged(balance: object, field: str) -> Decimal:
    """Return the margin held for positions; 0 if the balance does not tell."""
    data = inner(inner(balance, "info"), "data") if isinstance(balance, dict) else {}
    return number(data.get(field)) or ZERO


def _at(row: Row) -> Decimal:
    return number(row.get("timestamp")) or ZERO


def equity(balance: object) -> Decimal | None:
    """Return the account's worth in US dollars by the exchange, else its money, else None."""
    if not isinstance(balance, dict) or _has_more(balance.get("info")):
        return None
    told = _told(balance.get("info"), 3)
    if told is not None:
        return told
    rows = _equities(balance.get("info"))
    if rows:
        return sum(rows.values(), ZERO) if rows.keys() <= USD_LIKE else None
    total = balance.get("total")
    money = {code: number(v) for code, v in total.items()} if isinstance(total, dict) else {}
    held = {code: amount for code, amount in money.items() if amount}
    if not held or any(code not in USD_LIKE for code in held):
        return None
    return sum((amount for amount in held.values() if amount is not None), ZERO)


def _equities(info: object) -> dict[str, Decimal]:
    """Return the equity by currency, without the currencies that hold nothing (MEXC).

    ccxt reads the available part only.
    """
    data = info.get("data") if isinstance(info, dict) else None
    rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    told = {text(row, "currency"): equity for row in rows if (equity := number(row.get("equity"))) is not None}
    return {code: equity for code, equity in told.items() if code and equity}


def money(balances: Sequence[object]) -> Decimal | None:
    """Return the sum of single-currency balances in US dollars; None if one is in another currency."""
    total = ZERO
    for balance in balances:
        totals = balance.get("total") if isinstance(balance, dict) else None
        if not isinstance(totals, dict) or not totals:
            return None
        for code, told in totals.items():
            amount = number(told)
            if amount is None or (amount and code not in USD_LIKE):
                return None
            total += amount
    return total if balances else None


def _has_more(info: object) -> bool:
    """Return whether a Kraken Futures account also has a margin account of one inverse contract, in its coin."""
    accounts = info.get("accounts") if isinstance(info, dict) else None
    rows = [row for row in accounts.values() if isinstance(row, dict)] if isinstance(accounts, dict) else []
    single = [inner(row, "auxiliary").get("pv") for row in rows if row.get("type") == "marginAccount"]
    return any(number(value) != 0 for value in single if value is not None)


def _told(info: object, depth: int) -> Decimal | None:
    """Return the first field of ``EQUITY_FIELDS``, up to ``depth`` levels deep.

    Each exchange wraps the field differently.
    """
    inner = info[0] if isinstance(info, list) and len(info) == 1 else info
    if not isinstance(inner, dict) or depth == 0:
        return None
    found = next((value for key in EQUITY_FIELDS if (value := positive(inner.get(key))) is not None), None)
    if found is not None:
        return found
    below = (
        _told(value, depth - 1) for key in ("data", "result", "list", "accounts", "flex") if (value := inner.get(key))
    )
    return next((value for value in below if value is not None), None)

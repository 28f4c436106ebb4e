"""Which calls make one complete read at an exchange: the table of those that are known, and a guess for the rest.

What an exchange leaves out of an answer is not there for whoever reads it, so that each list is asked for in all its
parts: settlement currencies, conditional orders, pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from brokers.ccxt.wire_balances import DOLLARS, TETHER_FIRST

Params = dict[str, Any]


class ReadCalls(Struct, frozen=True):
    """``positions`` and ``orders``: parameters of each call. ``balance`` is None where none is a position."""

    balance: Params | None = None
    positions: tuple[Params, ...] = ()
    positions_method: str = "fetch_positions"  # or a raw call, whose rows ``parse`` reads
    parse: str = ""
    optional: bool = False  # an account may have no derivatives at all, which the exchange refuses to list
    trades_at_once: bool = False  # the list of own trades is asked for once, not for each symbol
    margin: bool = False  # its positions are spot margin, beside balances of the same symbols
    orders: tuple[Params, ...] = ({},)
    orders_method: str = "fetch_open_orders"  # or a raw call of paged lists
    paged: bool = False  # both raw lists come in pages with a cursor (``pages``)
    page: int | None = None  # rows after which there may be more
    cursor: str = ""  # the parameter that asks for the page after; empty: ccxt collects all pages itself
    cursor_in: str = ""  # of which raw row of a page it is told by; empty: it is the smallest id of the page
    counted: bool = False  # the cursor is the number of a page
    worth: Params = {}  # of the balance that says what the account is worth
    worth_each: bool = False  # that balance is of one currency of settlement at a time
    pledged: str = ""  # where that balance tells the margin of all positions, which none is without
    markets: Params = {}  # of the call that loads them
    kind: str = ""  # the raw call that tells whether the account is a unified one, whose calls are not known here
    prefer: tuple[str, ...] = TETHER_FIRST
    exempt: bool = False  # orders that only reduce may be below its minimums
    unlisted: str = ""  # what an account can have there that no list here has
    way_out: str = ""  # how what is too small to be sold can be got rid of
    options: Params = {}  # of ccxt


_BINANCE: Params = {
    "fetchOpenOrders": {"warnWithoutSymbol": False},
    "warnOnFetchOpenOrdersWithoutSymbol": False,
    "fetchMargins": False,  # which pairs may be traded on margin takes two signed calls
}
_ALGO = ("conditional", "oco", "trigger", "move_order_stop", "iceberg", "twap", "chase")
_BYBIT: tuple[Params, ...] = (
    {"category": "linear", "settleCoin": "USDT"},
    {"category": "linear", "settleCoin": "USDC"},
    {"category": "inverse"},
)
_CODED: dict[str, ReadCalls] = {
    "binance": ReadCalls(
        balance={"type": "spot"},
        orders=({"type": "spot"},),
        way_out="Binance converts small balances to BNB",
        options={**_BINANCE, "fetchMarkets": {"types": ["spot"]}},
    ),
    # ccxt's own list leaves out a position whose entry price is 0 and asks for the brackets of every symbol first.
    "binanceusdm": ReadCalls(
        positions=({},),
        positions_method="fapiPrivateV3GetPositionRisk",
        parse="parse_position_risk",
        orders=({}, {"trigger": True}),
        exempt=True,
        options={**_BINANCE, "fetchMarkets": {"types": ["linear"]}},
    ),
    "binancecoinm": ReadCalls(
        positions=({},),
        positions_method="dapiPrivateGetPositionRisk",
        parse="parse_position_risk",
        orders=({}, {"trigger": True}),
        exempt=True,
        options={**_BINANCE, "fetchMarkets": {"types": ["inverse"]}},
    ),
    # ccxt's own list of them cannot read rows that are not consolidated, and drops what was closed of each.
    "kraken": ReadCalls(
        balance={},
        positions=({"consolidation": "market"},),
        positions_method="privatePostOpenPositions",
        parse="parse_position",
        trades_at_once=True,
        margin=True,
        prefer=DOLLARS,
        way_out="Kraken's app converts small balances",
    ),
    # An account of a type that ccxt does not list is left out of its balance without a word.
    "coinbase": ReadCalls(
        balance={"v3": True},
        positions=({},),
        optional=True,
        page=100,
        cursor="cursor",
        cursor_in="cursor",
        prefer=("USD", "USDC"),
        way_out="Coinbase converts no small balances; buy up to the minimum, then sell all of it",
        options={"v3Accounts": ["ACCOUNT_TYPE_CRYPTO", "ACCOUNT_TYPE_FIAT", "CRYPTO", "FIAT"]},
    ),
    "okx": ReadCalls(
        balance={"type": "trading"},
        positions=({},),
        orders=({}, *({"trigger": True, "ordType": kind} for kind in _ALGO)),
        page=100,
        cursor="after",
        way_out="OKX converts small balances (easy convert)",
        options={"fetchMarkets": {"types": ["spot", "future", "swap"]}},
    ),
    # A unified account is what is asked for: else ccxt asks what it is, in front of an order when nothing else did.
    # Conditional orders are in the same lists. An order that closes is exempt there from the least value, not from the
    # least size (help centre, "Derivatives Trading Rules").
    "bybit": ReadCalls(
        balance={"type": "unified"},
        positions=tuple({**asked, "limit": 200} for asked in _BYBIT),
        positions_method="privateGetV5PositionList",
        parse="parse_position",
        orders=tuple({**asked, "limit": 50} for asked in ({"category": "spot"}, *_BYBIT)),
        orders_method="privateGetV5OrderRealtime",
        paged=True,
        exempt=True,
        unlisted="options and borrowed coins",
        way_out="Bybit converts small balances",
        options={
            "fetchMarkets": {"types": ["spot", "linear", "inverse"]},
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "unifiedMarginStatus": 6,
        },
    ),
    "krakenfutures": ReadCalls(positions=({},)),
    # Which pairs may be borrowed for, and whether the account trades spot by its newer calls, takes signed calls each.
    "kucoinfutures": ReadCalls(
        positions=({},),
        orders=({"type": "swap", "pageSize": 50}, {"type": "swap", "trigger": True, "pageSize": 50}),
        page=50,
        cursor="currentPage",
        counted=True,
        worth_each=True,
        pledged="positionMargin",
        markets={"marginables": False},
        kind="utaPrivateGetAccountMode",
        options={"hf": True, "uta": False},
    ),
}
_CODED |= dict.fromkeys(("myokx", "okxus"), _CODED["okx"])


# Whose orders of contracts ccxt has no word for that says that they only reduce; it sends its own along, which nobody
# there reads (its source: ``create_order``).
UNBOUND = frozenset({"bullish", "cryptocom", "zebpay"})


def known_calls(exchange: str) -> ReadCalls:
    """What is known of the exchange before ccxt is asked: its options, its way out of dust."""
    return _CODED.get(exchange, ReadCalls())


def is_known(exchange: str) -> bool:
    """Whether every list of it is known to be asked for in all its parts."""
    return exchange in _CODED


def calls_of(exchange: str, has: Mapping[str, Any], features: Mapping[str, Any] | None = None) -> ReadCalls:
    """Those of a known exchange, else by what ccxt says that it has."""
    if exchange in _CODED:
        return _CODED[exchange]
    known = features or {}
    contracts = has.get("fetchPositions") is True and (has.get("swap") is True or has.get("future") is True)
    spot = has.get("spot") is not False and not (contracts and has.get("spot") is None)
    both = spot and contracts
    orders: list[Params] = []
    for kind, there in (("spot", spot), ("swap", contracts)):
        if there:
            params: Params = {"type": kind} if both else {}
            orders.append(params)
            orders += [{**params, "trigger": True}] if _lists_triggers(known, kind) else []
    return ReadCalls(
        balance=({"type": "spot"} if both else {}) if spot else None,
        positions=(({"type": "swap"} if both else {}),) if contracts else (),
        orders=tuple(orders),
        worth={"type": "swap"} if both else {},
    )


def conditional_of(exchange: str, features: Mapping[str, Any] | None, symbol: str) -> Params:
    """With what a conditional order is cancelled at an exchange that is not known, where ccxt lists those apart."""
    listed = _lists_triggers(features or {}, "swap" if ":" in symbol else "spot")
    return {"trigger": True} if listed and exchange not in _CODED else {}


def _lists_triggers(features: Mapping[str, Any], kind: str) -> bool:
    """Whether ccxt says that conditional orders of that kind of market are a list of their own."""
    part = features.get(kind)
    part = part.get("linear") if isinstance(part, dict) and kind == "swap" else part
    listed = part.get("fetchOpenOrders") if isinstance(part, dict) else None
    return isinstance(listed, dict) and listed.get("trigger") is True

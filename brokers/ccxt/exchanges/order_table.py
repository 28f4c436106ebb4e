"""How each known exchange takes orders, and the defaults for other exchanges.

Sources: the exchanges' documentation of their order calls, and the source of the pinned ccxt version. ``expiry`` is
None where an exchange promises no time after which an unanswered order is dead. There an unknown outcome freezes the
account.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from brokers.ccxt.wire_client_ids import NameRule, name_rule_of
from core.model import Kind, Leg, Tier, TimeInForce

Params = dict[str, Any]
UPPER = {TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK", TimeInForce.GTC: "GTC"}
CONTRACTS = frozenset({Kind.PERP, Kind.FUTURE})


class OrderFields(Struct, frozen=True):
    """Parameters and promises of one exchange. All times are seconds."""

    names: NameRule = NameRule()  # the parameter that carries our order name
    tifs: dict[TimeInForce, str] = field(
        default_factory=UPPER.copy
    )  # for a limit order; a missing time in force cannot be expressed
    market: dict[TimeInForce, str] = field(
        default_factory=lambda: {TimeInForce.IOC: ""}
    )  # times in force of a market order, and the exchange's word for each
    leg: str = ""  # the raw parameter that names the position in hedge mode
    hedged: bool = False  # ccxt names the position by ``hedged``, reduce-only and the closing side
    leg_by_side: bool = False  # the exchange names the position by reduce-only and the closing side alone
    legs: dict[Leg, Any] = {}  # values of ``leg``
    reduce_with_leg: bool = False  # send reduce-only together with the leg
    sized: str = (
        ""  # where ccxt turns a reduce-only order into a close call: the size parameter (without it everything closes)
    )
    margin_mode: str = ""  # the parameter that takes the position's margin mode
    inverse_close: Params = {}  # sent with the close of an inverse contract, together with the position's leverage
    isolated_leverage: bool = False  # ccxt demands the leverage in an order of a position on isolated margin
    priced: frozenset[Kind] = frozenset()  # kinds of which a market order needs a price, the side it trades against
    # kinds of which the exchange's close call closes one whole position and opens none
    close: frozenset[Kind] = frozenset()
    expiry: float | None = None
    hmac_expiry: float | None = None  # expiry where the secret is no private key
    window: Params = {}  # sent with every order, so that ``expiry`` holds
    deadline: str = ""  # the parameter that takes the time after which the order is not accepted
    lag: float = 10.0
    conditional: Params = {}  # extra parameters to find and cancel a conditional order, where that is another call
    became: str = ""  # field with the id of the order that a trigger created; only that order has the fills
    find: str = ""  # the parameter that finds an order by our name; "": search the lists
    lists: tuple[str, ...] = ()  # ccxt's lists that accept ``orderId`` or ``find`` as a filter, asked in turn
    look_ups: tuple[Params, ...] = ({},)  # parameters of each question about an order of a contract
    coin_kinds: tuple[Params, ...] = ()  # parameters that a cancel of a coin's conditional order needs
    stop: str = ""  # the parameter that makes a market order a stop; "": no stop can rest there
    stop_id: str = ""  # a second parameter that carries our name in a stop
    stops: frozenset[Kind] = frozenset(Kind)  # kinds for which a stop can rest there
    newest: int = 0  # rows per page of executions where a page has the newest rows; 0: a page has the oldest rows
    paged: str = ""  # the parameter for the page number of executions
    span: float | None = None  # longest span of one question about executions, whose end must be given; seconds
    whole: bool = False  # sizes of contracts are whole numbers of lots, which ccxt compares as numbers
    close_leg: bool = False  # the close call takes the hedge mode position by ``leg``, not by ccxt's side
    offset: str = ""  # the parameter that pages back through the whole account's list; "": ``until``, per symbol
    before: str = ""  # like ``offset``, but takes the time before which a page of ``newest`` rows ends
    raw: bool = False  # ``submit_direct`` knows the raw call

    @property
    def tiers(self) -> frozenset[Tier]:
        """The tiers that the exchange can express, each under one name only."""
        said = {
            Tier.MARKET_IOC: TimeInForce.IOC in self.market,
            Tier.MARKET_GTC: TimeInForce.GTC in self.market,
            Tier.MARKET_FOK: TimeInForce.FOK in self.market,
            Tier.VENUE_CLOSE: bool(self.close),
            Tier.DIRECT_API: self.raw,
            Tier.LIMIT_AGGRESSIVE: TimeInForce.GTC in self.tifs,
        }
        return frozenset(tier for tier, able in said.items() if able)


# Binance refuses a time in force in a market order (-1106). The order is immediate; the rest expires.
_BINANCE = OrderFields(expiry=5.0, window={"recvWindow": 5000}, find="origClientOrderId", raw=True)
_BINANCE_CONTRACTS = OrderFields(
    expiry=5.0,
    window={"recvWindow": 5000},
    find="origClientOrderId",
    raw=True,
    leg="positionSide",
    legs={Leg.LONG: "LONG", Leg.SHORT: "SHORT"},
    conditional={"trigger": True},
    became="actualOrderId",
    stop="stopLossPrice",
)
_VENUES: dict[str, OrderFields] = {
    "binance": _BINANCE,
    "binanceus": _BINANCE,
    "binanceusdm": _BINANCE_CONTRACTS,
    "binancecoinm": _BINANCE_CONTRACTS,
    # OKX has two kinds of market order: ``optimal_limit_ioc`` and ``market``. A signature is valid for 30 s (50102).
    # An algo order is found only by ``algoClOrdId``. ccxt sends a coin's algo order on cross margin, where it could
    # borrow.
    "okx": OrderFields(
        market={TimeInForce.IOC: "IOC", TimeInForce.GTC: ""},
        expiry=30.0,
        leg="posSide",
        legs={Leg.LONG: "long", Leg.SHORT: "short"},
        margin_mode="tdMode",
        close=CONTRACTS,
        conditional={"trigger": True},
        became="ordId",
        find="clOrdId",
        stop="stopLossPrice",
        stop_id="algoClOrdId",
        stops=CONTRACTS,
        newest=100,
        raw=True,
    ),
    # ccxt's look-up of one order sends ``orderId=None`` with our name, and Bybit prefers the id. Ended orders are in
    # the history only after the service was restarted. A signature is valid for ``recvWindow``, 5 s.
    "bybit": OrderFields(
        expiry=5.0,
        leg="positionIdx",
        legs={Leg.LONG: 1, Leg.SHORT: 2},
        reduce_with_leg=True,
        find="orderLinkId",
        lists=("fetch_open_orders", "fetch_canceled_and_closed_orders"),
        coin_kinds=({"orderFilter": "StopOrder"}, {"orderFilter": "tpslOrder"}),
        stop="stopLossPrice",
        newest=50,
        raw=True,
    ),
    # Kraken promises the deadline.
    "kraken": OrderFields(
        expiry=10.0,
        deadline="deadline",
        stop="stopLossPrice",
        newest=50,
        offset="ofs",
        raw=True,
    ),
    # An upper-case IOC becomes a resting limit order. ccxt sends no fill-or-kill. Kraken Futures promises the
    # deadline.
    "krakenfutures": OrderFields(
        tifs={TimeInForce.IOC: "ioc", TimeInForce.GTC: "gtc"},
        expiry=10.0,
        deadline="processBefore",
        stop="stopLossPrice",
        newest=100,
        before="lastFillTime",
        raw=True,
    ),
    # A signature is valid for 30 s, a signature by a private key for 120 s.
    "coinbase": OrderFields(
        market={TimeInForce.IOC: "", TimeInForce.FOK: "FOK"},
        sized="size",
        expiry=120.0,
        hmac_expiry=30.0,
        newest=100,
        raw=True,
    ),
    # A request is valid while its time is within 5 s of the venue's (400002), so for 10 s if our clock is ahead. A
    # limit order is GTC or IOC. Stops have a list of their own but are found and cancelled like any order. A close
    # order has neither side nor size and opens nothing. In hedge mode it must name its position, or it is refused.
    "kucoinfutures": OrderFields(
        tifs={TimeInForce.IOC: "IOC", TimeInForce.GTC: "GTC"},
        expiry=10.0,
        leg="positionSide",
        legs={Leg.LONG: "LONG", Leg.SHORT: "SHORT"},
        reduce_with_leg=True,
        margin_mode="marginMode",
        close=CONTRACTS,
        close_leg=True,
        find="clientOid",
        stop="stopLossPrice",
        newest=50,
        paged="currentPage",
        span=7 * 86_400.0,
        whole=True,
        raw=True,
    ),
}
# At these exchanges ccxt's closing order names the right position of hedge mode (its source). At Blofin and MEXC it
# names the other position, which the order would open or close. At the rest it names none, or we do not know.
_NAMED = ("bingx", "phemex", "bydfi", "hashkey", "weex", "toobit", "xt")
_VENUES |= dict.fromkeys(_NAMED, OrderFields(hedged=True))
# Without the position's margin mode ccxt sends "cross" at these exchanges, and the exchange refuses the order.
_MODED = "marginMode"
_VENUES |= {
    **dict.fromkeys(("bitget", "deepcoin"), OrderFields(hedged=True, margin_mode=_MODED)),
    **dict.fromkeys(("bequant", "btse", "fmfwio", "hitbtc", "poloniex", "woo"), OrderFields(margin_mode=_MODED)),
    "kucoin": OrderFields(margin_mode=_MODED, whole=True),
    # Blofin's documentation of place order: ``positionSide`` is "long" or "short" in hedge mode.
    "blofin": OrderFields(margin_mode=_MODED, leg="positionSide", legs={Leg.LONG: "long", Leg.SHORT: "short"}),
    # HTX's documentation of the V5 order: ``position_side`` is "long" or "short" in hedge mode.
    "htx": OrderFields(
        margin_mode=_MODED,
        leg="position_side",
        legs={Leg.LONG: "long", Leg.SHORT: "short"},
        inverse_close={"offset": "close"},
        look_ups=({"marginMode": "cross"}, {"marginMode": "isolated"}),
    ),
    # MEXC's sides are 2 (close short) and 4 (close long), in either mode.
    "mexc": OrderFields(margin_mode=_MODED, isolated_leverage=True, leg_by_side=True),
    # Gate: "to partially close, set size to the opposite direction", with ``reduce_only``, in either mode.
    **dict.fromkeys(("gate", "gateeu"), OrderFields(leg_by_side=True)),
    # ccxt makes a limit order of a market order, at most 5 % beyond the given price. There is no fill-or-kill.
    "hyperliquid": OrderFields(
        tifs={TimeInForce.IOC: "IOC", TimeInForce.GTC: "GTC"}, find="clientOrderId", priced=frozenset(Kind)
    ),
    "mudrex": OrderFields(priced=CONTRACTS),
}
_VENUES |= dict.fromkeys(("myokx", "okxus"), _VENUES["okx"])
PLAIN = OrderFields()


def order_fields_of(exchange: str) -> OrderFields:
    """Return the fields of an exchange.

    Unknown exchanges get the defaults: no stop can rest there and no order expires.
    """
    return replace(_VENUES.get(exchange, PLAIN), names=name_rule_of(exchange))

"""What is particular to acting at each exchange: the table of those that are known, and what holds for the rest.

Sources: the exchanges' documentation of their order calls, and the source of the ccxt version that is pinned. Where an
exchange promises no time after which an unanswered order is dead, ``expiry`` is None, and an outcome that cannot be
found out freezes the account.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from core.model import Kind, Leg, Tier, TimeInForce

Params = dict[str, Any]
UPPER = {TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK", TimeInForce.GTC: "GTC"}
CONTRACTS = frozenset({Kind.PERP, Kind.FUTURE})


class OrderFields(Struct, frozen=True):
    """Words, parameters and promises of one exchange; seconds throughout."""

    client_id: str = "clientOrderId"  # the parameter of an order that carries our name of it
    client_id_length: int = 32
    tifs: dict[TimeInForce, str] = field(
        default_factory=UPPER.copy
    )  # of a limit order; one that is missing cannot be said
    market: dict[TimeInForce, str] = field(
        default_factory=lambda: {TimeInForce.IOC: ""}
    )  # what a market order may be, and the word for it
    leg: str = ""  # the raw parameter that names a position of hedge mode
    hedged: bool = False  # ccxt names it itself by ``hedged``, reduce-only and the side that closes
    legs: dict[Leg, Any] = {}  # its values
    reduce_with_leg: bool = False  # reduce-only is said beside the leg
    sized: str = (
        ""  # where ccxt makes a close call of a reduce-only order: its parameter for the size, else it closes all
    )
    margin_mode: str = ""  # the parameter that takes the position's margin mode
    close: frozenset[Kind] = frozenset()  # of what its own close call closes one whole position and opens none
    expiry: float | None = None
    hmac_expiry: float | None = None  # the same where the secret is no private key
    window: Params = {}  # said with every order, so that what ``expiry`` says is so
    deadline: str = ""  # the parameter that takes the time after which the order is not accepted
    lag: float = 10.0
    conditional: Params = {}  # with what a conditional order is found and cancelled, where that is another call
    became: str = ""  # where a conditional order tells the id of the one that it became, which alone tells what traded
    find: str = ""  # the parameter that finds an order by our name of it; empty: lists are searched
    lists: tuple[str, ...] = ()  # ccxt's lists that take ``orderId`` or ``find`` as a filter; they are asked in turn
    coin_kinds: tuple[Params, ...] = ()  # what a cancel has to name of a coin's conditional orders
    stop: str = ""  # the parameter of a market order that makes it a stop; empty: none can rest there
    stop_id: str = ""  # where a stop carries our name in another parameter, too
    stops: frozenset[Kind] = frozenset(Kind)  # of what a stop can rest there
    newest: int = 0  # rows of one answer of executions, where those are the newest of a time; 0: the first of it
    paged: str = ""  # the parameter that is the number of a page of executions
    span: float | None = None  # seconds of executions that one question can be about, whose end has to be said
    whole: bool = False  # sizes are numbers of lots, which ccxt compares as numbers
    close_leg: bool = False  # its own close call takes the position of hedge mode by ``leg``, not by ccxt's side
    offset: str = ""  # the parameter that goes back in a list of the whole account; empty: ``until``, of one symbol
    before: str = ""  # the same where it takes the time before which a page of ``newest`` is
    raw: bool = False  # ``direct`` knows its raw call

    @property
    def tiers(self) -> frozenset[Tier]:
        """The ways of closing that it can express, none of them twice under two names."""
        said = {
            Tier.MARKET_IOC: TimeInForce.IOC in self.market,
            Tier.MARKET_GTC: TimeInForce.GTC in self.market,
            Tier.MARKET_FOK: TimeInForce.FOK in self.market,
            Tier.VENUE_CLOSE: bool(self.close),
            Tier.DIRECT_API: self.raw,
            Tier.LIMIT_AGGRESSIVE: TimeInForce.GTC in self.tifs,
        }
        return frozenset(tier for tier, able in said.items() if able)


# A market order of Binance takes no time in force (-1106): it is immediate, and what is left of it expires.
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
    # ``optimal_limit_ioc`` and ``market`` are two kinds of order there. A signature is good for 30 s (50102). An algo
    # order is found by ``algoClOrdId`` only, and ccxt sends one of a coin on cross margin, where it could borrow.
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
    # ccxt's look-up of one order sends ``orderId=None`` beside our name, and Bybit goes by the id first; what has ended
    # is in the history only once the service was restarted. A signature is good for ``recvWindow``, 5 s.
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
    # 18 free characters are the longest name that is neither a UUID nor a number. The deadline is its own promise.
    "kraken": OrderFields(
        client_id_length=18,
        expiry=10.0,
        deadline="deadline",
        stop="stopLossPrice",
        newest=50,
        offset="ofs",
        raw=True,
    ),
    # An upper-case IOC is taken for a limit order that rests. ccxt sends no fill-or-kill. The deadline is its promise.
    "krakenfutures": OrderFields(
        tifs={TimeInForce.IOC: "ioc", TimeInForce.GTC: "gtc"},
        expiry=10.0,
        deadline="processBefore",
        stop="stopLossPrice",
        newest=100,
        before="lastFillTime",
        raw=True,
    ),
    # ccxt drops the unified name. A signature is good for 30 s, one by a private key for 120.
    "coinbase": OrderFields(
        client_id="client_order_id",
        market={TimeInForce.IOC: "", TimeInForce.FOK: "FOK"},
        sized="size",
        expiry=120.0,
        hmac_expiry=30.0,
        newest=100,
        raw=True,
    ),
    # A request is good while its time is within 5 s of the venue's (400002): by a clock that is ahead, for 10 s. A
    # limit order is GTC or IOC. Stops are listed apart, but found and cancelled like any order. An order to close says
    # neither side nor size and opens nothing; in hedge mode it names its position like any order, or is refused.
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
# What ccxt sends of an order that closes one of two positions names that one (its source). At Blofin and MEXC it is the
# other, which would be opened or closed in its place, and of the rest none is named or it is not known.
_NAMED = ("bitget", "bingx", "phemex", "bydfi", "deepcoin", "hashkey", "weex", "toobit", "xt")
_VENUES |= dict.fromkeys(_NAMED, OrderFields(hedged=True))
# ccxt refuses a longer name, and puts a prefix before it (``wire.client_id``).
_VENUES |= dict.fromkeys(("gate", "gateeu"), OrderFields(client_id_length=28))
_VENUES["cryptocom"] = OrderFields(client_id="client_oid")  # ccxt drops the unified name
_VENUES |= dict.fromkeys(("myokx", "okxus"), _VENUES["okx"])
PLAIN = OrderFields()


def order_fields_of(exchange: str) -> OrderFields:
    """What is known of the exchange. Of others nothing is taken for granted: no stop rests there, nothing expires."""
    return _VENUES.get(exchange, PLAIN)

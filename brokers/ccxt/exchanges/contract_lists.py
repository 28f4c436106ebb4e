"""The lists of positions that ccxt does not ask by itself, and the contracts that each list covers.

A contract that no list covers makes its account PARTIAL: what was not listed is not flat. A list is asked only if the
exchange has a market that the list covers. At an exchange without a row here ccxt's one list is asked. That list is
proven to cover one kind of contract, and every kind where ``WHOLE`` has the exchange.

Sources: ccxt's ``fetch_positions`` and ``fetch_open_orders``, and the documentation of the calls that they make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from brokers.ccxt.wire import Row, text
from brokers.ccxt.wire_unlisted import ON_MARGIN

Params = dict[str, Any]


class ContractList(Struct, frozen=True):
    """One list of positions and its list of open orders, with the parameters of each."""

    positions: Params
    orders: Params
    kinds: frozenset[str] = frozenset({"swap"})  # ccxt's types of the markets that the list covers
    inverse: bool | None = None  # None: both linear and inverse contracts
    settles: tuple[str, ...] = ()  # settlement currencies; empty: all
    # the parameter of the positions, or of the orders, that takes one settlement currency: the list is asked for each
    each_settle: str = ""
    orders_each: str = ""

    def covers(self, market: Row) -> bool:
        """Return whether a position in this market is on the list."""
        told = self.inverse is None or (market.get("inverse") is True) is self.inverse
        settle = not self.settles or text(market, "settle") in self.settles
        return text(market, "type") in self.kinds and told and settle

    def positions_of(self, markets: Iterable[Row]) -> list[Params]:
        """Return the parameters of each list of positions for these markets."""
        return _each(self.positions, self.each_settle, markets)

    def orders_of(self, markets: Iterable[Row], *, triggers: bool) -> list[Params]:
        """Return the parameters of each list of open orders. ``triggers``: conditional orders have their own lists."""
        asked = _each(self.orders, self.orders_each, markets)
        return [*asked, *({**params, "trigger": True} for params in asked if triggers)]


def _each(params: Params, word: str, markets: Iterable[Row]) -> list[Params]:
    settles = sorted({text(market, "settle") for market in markets})
    return [{**params, word: settle} for settle in settles] if word else [params]


SWAP_AND_FUTURE = frozenset({"swap", "future"})


def _futures(settle: str) -> tuple[ContractList, ContractList]:
    """Return Gate's two lists of contracts that settle in one currency."""
    perpetual = {"type": "swap", "settle": settle.lower()}
    delivery = {"type": "future", "settle": settle.lower()}
    return (
        ContractList(perpetual, perpetual, settles=(settle,)),
        ContractList(delivery, delivery, frozenset({"future"}), settles=(settle,)),
    )


_COIN_SWAP: Params = {"type": "swap", "subType": "inverse"}
_COIN_FUTURE: Params = {"type": "future", "subType": "inverse"}
LISTS: dict[str, tuple[ContractList, ...]] = {
    "bingx": (
        ContractList({}, {"type": "swap"}, inverse=False),
        ContractList({"subType": "inverse"}, {"type": "swap", "subType": "inverse"}, inverse=True),
    ),
    # ccxt asks for a margin of USDT unless it is told another.
    "bitget": (
        *(
            ContractList(
                {"productType": f"{money}-FUTURES"},
                {"type": "swap", "productType": f"{money}-FUTURES"},
                SWAP_AND_FUTURE,
                inverse=False,
                settles=(money,),
            )
            for money in ("USDT", "USDC")
        ),
        ContractList(
            {"productType": "COIN-FUTURES"},
            {"type": "swap", "productType": "COIN-FUTURES"},
            SWAP_AND_FUTURE,
            inverse=True,
            each_settle="marginCoin",
        ),
    ),
    "gate": (*_futures("USDT"), *_futures("BTC")),
    "htx": (
        ContractList({"type": "swap"}, {"type": "swap"}, SWAP_AND_FUTURE, inverse=False),
        ContractList(_COIN_SWAP, _COIN_SWAP, inverse=True),
        ContractList(_COIN_FUTURE, _COIN_FUTURE, frozenset({"future"}), inverse=True, orders_each="symbol"),
    ),
}
# The list of these exchanges has no filter (their documentation of the call).
WHOLE = frozenset(
    {"aster", "backpack", "bitfinex", "blofin", "cryptocom", "dydx", "mexc", "modetrade", "whitebit", "woo", "woofipro"}
)
# The balance of these exchanges has coins on margin, too.
ONE_WALLET = frozenset({"backpack", "cryptocom", "woo"})


def position_lists(exchange: str, markets: Mapping[str, Row]) -> list[Params]:
    """Return the parameters of each list of positions; empty where the exchange has no row here."""
    return [params for one, covered in contract_lists(exchange, markets) for params in one.positions_of(covered)]


def order_lists(exchange: str, markets: Mapping[str, Row], guess: Sequence[Params]) -> list[Params]:
    """Return the parameters of each list of open orders. ``guess``: the lists that ccxt's features suggest."""
    lists = contract_lists(exchange, markets)
    if not lists:
        return list(guess)
    triggers = any(params.get("trigger") is True and params.get("type") != "spot" for params in guess)
    found = [p for one, covered in lists for p in one.orders_of(covered, triggers=triggers)]
    return [*(params for params in guess if params.get("type") == "spot"), *found]


def contract_lists(exchange: str, markets: Mapping[str, Row]) -> list[tuple[ContractList, list[Row]]]:
    """Return the lists that cover a market of the exchange, each with its markets."""
    contracts = _contracts(markets)
    of_list = ((one, [m for m in contracts if one.covers(m)]) for one in LISTS.get(exchange, ()))
    return [(one, covered) for one, covered in of_list if covered]


def unlisted_parts(exchange: str, markets: Mapping[str, Row], *, positions: bool) -> tuple[str, ...]:
    """Return the parts of an account that no list covers. ``positions``: ccxt has a list of positions there."""
    contracts = _contracts(markets)
    if exchange in LISTS:
        left = [m for m in contracts if not any(one.covers(m) for one in LISTS[exchange])]
    elif positions and (exchange in WHOLE or len({_kind(m) for m in contracts}) <= 1):
        left = []
    else:
        left = contracts
    named = sorted({_kind(market) for market in left})
    borrowed = any(m.get("spot") is True and m.get("margin") is True for m in markets.values())
    return (*named, *((ON_MARGIN,) if borrowed and exchange not in ONE_WALLET else ()))


def _contracts(markets: Mapping[str, Row]) -> list[Row]:
    return [m for m in markets.values() if m.get("contract") is True and m.get("active") is not False]


def _kind(market: Row) -> str:
    """Return the name of a market's kind. ccxt's one list covers a single kind for certain."""
    kind = text(market, "type")
    if kind == "option":
        return "options"
    shape = "inverse" if market.get("inverse") is True else f"{text(market, 'settle')}-settled"
    return f"{shape} {'perpetuals' if kind == 'swap' else 'dated futures'}"

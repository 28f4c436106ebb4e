"""ccxt's structures become values; what cannot be read stays unknown or is an error."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from brokers.ccxt import wire, wire_balances, wire_markets
from core.errors import OutcomeUnknown
from core.model import Kind, Leg, Order, OrderSide, OrderStatus, OrderType, Side, TimeInForce
from core.valuation import usd_rate, usd_value

D = Decimal
TICK = wire_markets.TICK_SIZE


def market(**more: Any) -> dict[str, Any]:
    return {
        "id": "BTCUSDT",
        "symbol": "BTC/USDT:USDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "type": "swap",
        "contract": True,
        "linear": True,
        "inverse": False,
        "active": True,
        "contractSize": "1",
        "precision": {"amount": "0.001", "price": "0.1"},
        "limits": {
            "amount": {"min": "0.001", "max": "1000"},
            "cost": {"min": "5"},
            "market": {"min": None, "max": "120"},
        },
    } | more


def order(**more: Any) -> Order:
    row = {"id": "1", "symbol": "BTC/USD", "side": "sell", "amount": "2", "filled": "0", "status": "open"}
    return wire.order("u/a", {**row, **more}, "kraken")


def position(**more: Any) -> Any:
    row = {"symbol": "BTC/USDT:USDT", "side": "long", "contracts": "3", "entryPrice": "100", "leverage": "5"}
    return wire.position("u/a", {**row, **more}, "okx")


def balance(**held: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Code → free, used, total, as ccxt gives it."""
    rows = {code: dict(zip(("free", "used", "total"), given, strict=True)) for code, given in held.items()}
    return {**rows, "info": {}, "free": {}, "used": {}, "total": {code: row["total"] for code, row in rows.items()}}


def spot(symbol: str, **more: Any) -> dict[str, Any]:
    base, _, quote = symbol.partition("/")
    row = {
        "symbol": symbol,
        "id": base + quote,
        "base": base,
        "quote": quote,
        "spot": True,
        "type": "spot",
        "active": True,
    }
    return row | more


# ---------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("nothing", [None, "", "NaN", float("nan"), "Infinity", "abc", True, [], "1E+900"])
def test_what_is_no_number_is_unknown_and_never_zero(nothing: object) -> None:
    assert wire.number(nothing) is None
    assert wire.positive(nothing) is None


@pytest.mark.parametrize("nobody", [0, "0", "0.00", "-1", None, "NaN"])
def test_a_price_of_nothing_is_no_price(nobody: object) -> None:
    row = {"symbol": "BTC/USD", "bid": nobody, "ask": "101", "last": nobody}
    quote = wire.quote("u/a", row, 1.0)
    assert quote is not None
    assert (quote.bid, quote.ask, quote.last) == (None, D(101), None)
    assert wire.quote("u/a", {**row, "ask": nobody}, 1.0) is None


def test_text_becomes_a_decimal_exactly_and_a_binary_fraction_as_it_is_written() -> None:
    assert wire.number("123456789.123456789012345678") == D("123456789.123456789012345678")
    assert wire.number(0.1) == D("0.1")


def test_timestamps_are_utc_in_milliseconds_and_seconds_are_recognised() -> None:
    at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert wire.moment(1_700_000_000_000) == at
    assert wire.moment("1700000000") == at
    for nothing in (None, 0, "", -5, "soon", 10**20):
        assert wire.moment(nothing) is None


# ------------------------------------------------------------------------------------------------------ instruments


def test_a_precision_is_a_tick_size_and_can_be_more_than_one() -> None:
    made = wire_markets.instrument(market(precision={"amount": "1000", "price": "0.5"}), TICK)
    assert (made.step, made.tick) == (D(1000), D("0.5"))
    assert wire_markets.step_of("3", wire_markets.DECIMAL_PLACES) == D("0.001")
    assert wire_markets.step_of("0", wire_markets.DECIMAL_PLACES) == 1
    assert wire_markets.step_of("5", 3) is None
    assert wire_markets.step_of("0", TICK) is None


def test_limits_of_none_are_no_limits() -> None:
    bare = {"amount": {"min": None, "max": None}, "cost": {"min": None}, "market": None}
    for limits in (bare, {}, None):
        made = wire_markets.instrument(market(limits=limits), TICK)
        assert (made.min_quantity, made.min_cost, made.max_market) == (D(0), D(0), None)
    for lot in ({"min": "0", "max": "0"}, {"min": None, "max": "0.00000000"}):
        made = wire_markets.instrument(market(limits={"market": lot}), TICK)
        assert (made.min_quantity, made.max_market) == (D(0), None)


def test_a_market_order_is_bound_by_the_lot_of_market_orders() -> None:
    limits = {"amount": {"min": "0.001", "max": "1000"}, "market": {"min": "0.01", "max": "120"}, "cost": {"min": "5"}}
    made = wire_markets.instrument(market(limits=limits), TICK, exempt=True)
    assert (made.min_quantity, made.max_market, made.min_cost) == (D("0.01"), D(120), D(5))
    assert (made.reduce_only, made.minimum_exempt, made.kind) == (True, True, Kind.PERP)


@pytest.mark.parametrize(
    ("info", "of_contract", "of_coin"),
    [
        ({"maxMktSz": "300"}, 300, 1000),  # OKX, which says that of a coin in USDT
        ({"lotSizeFilter": {"maxMktOrderQty": "200"}}, 200, 200),
        ({"lotSizeFilter": {"maxMarketOrderQty": "7"}}, 7, 7),
        ({"lotSizeFilter": {"maxMktOrderQty": ""}, "maxMktSz": ""}, 1000, 1000),
    ],
)
def test_the_most_of_one_market_order_is_read_where_ccxt_leaves_it_out(
    info: dict[str, Any], of_contract: int, of_coin: int
) -> None:
    limits = {"amount": {"max": "1000"}}
    assert wire_markets.instrument(market(limits=limits, info=info), TICK).max_market == of_contract
    assert wire_markets.instrument(spot("BTC/USDT", limits=limits, info=info), TICK).max_market == of_coin


def test_contracts_times_contract_size_is_the_base() -> None:
    made = wire_markets.instrument(market(contractSize="0.01"), TICK)
    assert made.multiplier == D("0.01")
    assert wire_markets.instrument(spot("BTC/USD", contractSize="0.01"), TICK).multiplier == 1


def test_an_inverse_contract_is_valued_by_its_size_and_not_by_the_price() -> None:
    made = wire_markets.instrument(
        market(quote="USD", settle="BTC", inverse=True, linear=False, contractSize="100"), TICK
    )
    assert (made.multiplier, made.quote) == (D(100), "1/BTC")


def test_a_contract_that_settles_in_a_third_currency_has_no_value_that_can_be_told() -> None:
    assert wire_markets.value_currency(market(quote="USD", settle="ETH")) == "USD settled in ETH"
    assert wire_markets.value_currency(market(quote="USD", settle="USDC")) == "USD"


@pytest.mark.parametrize("size", [None, "0", ""])
def test_contracts_of_a_size_that_is_not_told_have_no_value_that_can_be_told(size: object) -> None:
    unsized = wire_markets.instrument(market(contractSize=size), TICK)
    for made in (unsized, wire_markets.unknown_instrument("NEW/USDT:USDT", "")):
        assert usd_value(D(3), made, D(100), usd_rate(made.quote, {"USDT": D(1), "USD": D(1)})) is None
    coin = wire_markets.instrument(spot("BTC/USD", contractSize=size), TICK)
    assert usd_value(D(3), coin, D(100), usd_rate(coin.quote, {})) == 300


def test_a_market_that_is_not_active_or_not_known_is_shown_and_not_tradable() -> None:
    closed = wire_markets.instrument(market(active=False), TICK)
    assert (closed.tradable, closed.way_out) == (False, wire_markets.NOT_ACTIVE)
    assert not wire_markets.unknown_instrument("NEW/USDT:USDT", "").tradable
    assert wire_markets.instrument(market(active=None), TICK).tradable


# -------------------------------------------------------------------------------------------------------- positions


def test_hedge_mode_has_a_leg_and_one_way_mode_has_none() -> None:
    assert position(hedged=False).leg is Leg.NET
    assert position(hedged=True).leg is Leg.LONG
    assert position(hedged=True, side="short").leg is Leg.SHORT
    assert position(info={"positionSide": "SHORT"}, side="short").leg is Leg.SHORT
    assert position(info={"positionSide": "BOTH"}).leg is Leg.NET
    assert position(info={"posSide": "net"}).leg is Leg.NET
    one_way = {"posSide": "long", "holdMode": "one_way_mode"}  # Bitget's unified accounts tell the side by it
    assert (position(info=one_way).leg, order(info=one_way).leg) == (Leg.NET, Leg.NET)
    assert position(info={**one_way, "holdMode": "hedge_mode"}).leg is Leg.LONG
    bingx = {"positionSide": "LONG", "onlyOnePosition": True}
    assert (position(info=bingx).leg, order(info=bingx).leg) == (Leg.NET, Leg.NET)
    assert position(info={**bingx, "onlyOnePosition": False}).leg is Leg.LONG
    assert position(info={"positionIdx": 2}, side="short").leg is Leg.SHORT
    assert position(info={"positionIdx": 0}).leg is Leg.NET


def test_a_position_that_cannot_be_read_is_an_error_and_one_of_nothing_is_none() -> None:
    assert position(contracts="0", side=None) is None
    for broken in ({"contracts": None}, {"contracts": "NaN"}, {"side": None}, {"symbol": None}, {"side": "both"}):
        with pytest.raises(OutcomeUnknown, match="cannot be read"):
            position(**broken)


def test_a_side_that_ccxt_reads_off_a_missing_value_comes_from_the_amount_s_sign() -> None:
    assert position(side=None, info={"positionAmt": "-0.5"}).side is Side.SHORT
    assert position(side=None, info={"positionAmt": "0.5"}).side is Side.LONG


def test_unknown_entry_and_leverage_stay_unknown() -> None:
    bare = position(entryPrice="0", leverage=None)
    assert (bare.entry, bare.leverage) == (None, None)
    assert position(leverage="0.5").leverage is None
    told = position(leverage=None, notional="12750", info={"positionInitialMargin": "1275"})
    assert told.leverage == 10


# ----------------------------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize("word", ["", None, "pending_mystery", "partially_filled", 7])
def test_an_unknown_word_for_a_status_stays_unknown(word: object) -> None:
    made = order(status=word)
    assert made.status is OrderStatus.UNKNOWN
    assert not made.status.terminal


def test_closed_with_a_part_filled_is_a_cancelled_rest() -> None:
    assert order(status="closed", filled="2").status is OrderStatus.FILLED
    assert order(status="closed", filled="0.5").status is OrderStatus.CANCELLED
    assert order(status="closed", filled=None).status is OrderStatus.UNKNOWN
    assert order(status="expired", filled="0").status is OrderStatus.EXPIRED


@pytest.mark.parametrize("nothing", [None, [], "OK", {}, {"id": None, "symbol": "BTC/USD"}, {"id": "1"}, {"id": ""}])
def test_an_answer_without_an_id_is_no_order(nothing: object) -> None:
    with pytest.raises(OutcomeUnknown):
        wire.order("u/a", nothing, "okx")


def test_a_conditional_order_is_a_stop_with_its_trigger() -> None:
    for row in ({"triggerPrice": "90"}, {"stopLossPrice": "90"}, {"stopPrice": "90", "type": "market"}):
        made = order(**row)
        assert (made.type, made.trigger) == (OrderType.STOP, D(90))
    assert order(type="STOP_MARKET").type is OrderType.STOP
    assert order(type="market").type is OrderType.MARKET
    assert order(stopPrice="0").type is OrderType.LIMIT


def test_an_order_keeps_its_words() -> None:
    made = order(side="buy", price="99", timeInForce="IOC", reduceOnly=True, clientOrderId="mine", average="98")
    assert (made.side, made.price, made.tif) == (OrderSide.BUY, D(99), TimeInForce.IOC)
    assert (made.reduce_only, made.client_id, made.average_price) == (True, "mine", D(98))
    assert order(clientOrderId="0").client_id is None
    assert order(clientOrderId="7", info={"cl_ord_id": "ours"}).client_id == "ours"
    assert order(info={"positionSide": "LONG"}).leg is Leg.LONG


def test_an_order_without_an_amount_is_as_big_as_what_is_told_of_it() -> None:
    assert order(amount=None, filled="1", remaining="2").quantity == 3
    assert order(amount=None, filled=None, remaining=None).quantity == 0


def test_a_fill_has_its_fee_in_the_quote_currency() -> None:
    row = {"id": "t", "order": "o", "symbol": "BTC/USD", "side": "buy", "amount": "2", "price": "100", "timestamp": 1}
    for fee, cost in (
        ({"cost": "0.5", "currency": "USD"}, D("0.5")),
        ({"cost": "0.01", "currency": "BTC"}, D(1)),
        ({"cost": "0.3", "currency": "BNB"}, None),
        ({"cost": "0.3", "currency": "USDT"}, D("0.3")),
        (None, None),
    ):
        made = wire.fill("u/a", {**row, "fee": fee})
        assert made is not None
        assert made.fee == cost
    assert wire.fill("u/a", {**row, "price": None}) is None
    assert wire.fill("u/a", {**row, "amount": "0"}) is None


@pytest.mark.parametrize(
    ("symbol", "told", "fee"),
    [
        ("BTC/USDT", {"fee": {"cost": "0.5", "currency": "USDT"}}, D("0.5")),
        ("BTC/USDT", {"fee": {"cost": "0.001", "currency": "BTC"}}, D("0.1")),
        ("BTC/USDT", {"fee": {"cost": "0.3", "currency": "BNB"}}, None),
        ("BTC/USDT", {"fees": [{"cost": "0.1", "currency": "USDT"}, {"cost": "0.2", "currency": "USDT"}]}, D("0.3")),
        ("BTC/USDT", {"fees": [{"cost": "0.1", "currency": "USDT"}, {"cost": "0.2", "currency": "BNB"}]}, None),
        ("BTC/USDT", {"fee": {"cost": "0", "currency": "USDT"}}, None),
        ("BTC/USDT", {"fee": {"cost": None, "currency": None}, "fees": []}, None),
        ("BTC/USDT", {}, None),
        ("BTC/USD:BTC", {"fee": {"cost": "0.00002", "currency": "BTC"}}, D("0.002")),
        ("BTC/USD:BTC", {"fee": {"cost": "0.00002", "currency": None}}, None),
        ("BTC/USD:BTC-261225-100000-C", {"fee": {"cost": "0.0003", "currency": "BTC"}}, D("0.0003")),
        ("ETH/USDT:USDT", {"fee": {"cost": "0.4", "currency": "USDC"}}, D("0.4")),
    ],
)
def test_an_order_has_the_fee_that_the_exchange_tells_in_the_quote_currency(
    symbol: str, told: dict[str, Any], fee: Decimal | None
) -> None:
    assert order(symbol=symbol, average="100", **told).fee == fee


# --------------------------------------------------------------------------------------------------------- balances


def test_money_is_no_position() -> None:
    given = balance(USD=("1", "0", "1"), USDC=("1", "0", "1"), EUR=("5", "0", "5"), BTC=("1", "0", "1"))
    assert [h.code for h in wire_balances.holdings(given, "kraken")] == ["BTC"]


@pytest.mark.parametrize("code", ["USDG", "USD1", "RLUSD", "USDE", "GUSD", "USDS", "EURC", "EURI"])
def test_a_stablecoin_is_money_whoever_issues_it_and_takes_no_place_under_the_cap(code: str) -> None:
    given = balance(**{code: ("50000", "0", "50000"), "USTC": ("1", "0", "1")})
    assert [h.code for h in wire_balances.holdings(given, "kraken")] == ["USTC"]


@pytest.mark.parametrize(
    ("code", "exchange", "lent"),
    [
        ("LDBTC", "binance", True),
        ("LDO", "binance", False),
        ("LDBTC", "kraken", False),
        ("BTC.M", "kraken", True),
        ("ETH2.S", "kraken", True),
        ("ETH2", "kraken", True),
        ("BTC.M", "luno", False),
    ],
)
def test_what_is_staked_or_lent_is_no_position(code: str, exchange: str, lent: bool) -> None:
    held = wire_balances.holdings(balance(**{code: ("1", "0", "1")}), exchange)
    assert [h.code for h in held] == ([] if lent else [code])


def selling(*symbols: str, **halted: str) -> dict[str, list[Any]]:
    markets = {s: spot(s) for s in symbols} | {s: spot(s, active=False) for s in halted.values()}
    return wire_balances.spot_markets({**markets, "X/USDT": spot("X/USDT", spot=False)})


def test_a_halted_market_is_kept_apart_and_a_derivative_sells_no_coin() -> None:
    found = selling("LUNC/TRY", one="LUNC/USDT")
    assert [m["symbol"] for m in wire_balances.markets_of(found["LUNC"])] == ["LUNC/TRY"]
    assert [m["symbol"] for m in wire_balances.markets_of(found["LUNC"], active=False)] == ["LUNC/USDT"]
    assert "X" not in found


def test_the_market_is_the_first_of_the_money_that_is_preferred() -> None:
    found = selling("BTC/TRY", "BTC/USDC", "BTC/USDT", "BTC/EUR", "LTC/BTC", "A/BNB", "A/ZAR", "A/KRW", "B/BNB")
    first = {code: wire_balances.markets_of(markets)[0]["symbol"] for code, markets in found.items()}
    assert first == {"BTC": "BTC/USDT", "LTC": "LTC/BTC", "A": "A/KRW", "B": "B/BNB"}
    assert wire_balances.markets_of(found["BTC"], ("USD", "USDC"))[0]["symbol"] == "BTC/USDC"
    assert wire_balances.markets_of(found["BTC"], wire_balances.TETHER_FIRST)[0]["symbol"] == "BTC/USDT"
    assert [m["symbol"] for m in wire_balances.markets_of(found["BTC"])] == ["BTC/USDT", "BTC/USDC", "BTC/EUR"]


def test_free_is_what_may_be_sold_and_never_the_total() -> None:
    [held] = wire_balances.holdings(balance(BTC=("0.3", "0.2", "0.5")), "kraken")
    made = wire_balances.position("u/a", held, spot("BTC/USD"), [], None)
    assert (made.quantity, made.free, made.leverage) == (D("0.5"), D("0.3"), D(1))


def test_a_free_amount_that_is_not_told_is_what_no_order_sells() -> None:
    [held] = wire_balances.holdings(balance(BTC=(None, None, "0.5")), "kraken")
    resting = [order(amount="0.2"), order(amount="0.1", side="buy"), order(amount="9", symbol="ETH/USD")]
    assert wire_balances.position("u/a", held, spot("BTC/USD"), resting, None).free == D("0.3")


def test_a_balance_that_cannot_be_read_is_an_error_and_one_of_nothing_is_none() -> None:
    assert wire_balances.holdings(balance(BTC=("0", "0", "0"), ETH=(None, None, None)), "kraken") == []
    with pytest.raises(OutcomeUnknown, match="balance of BTC"):
        wire_balances.holdings(balance(BTC=("NaN", None, "NaN")), "kraken")
    nobody: tuple[object, ...] = (None, [], "", {})
    for nothing in nobody:
        with pytest.raises(OutcomeUnknown, match="no balance"):
            wire_balances.holdings(nothing, "kraken")


def trade(side: str, amount: str, price: str, at: int) -> dict[str, Any]:
    return {"symbol": "X/USDT", "side": side, "amount": amount, "price": price, "timestamp": at * 1000}


def test_an_entry_is_walked_from_the_newest_buy_to_the_oldest_until_it_is_covered() -> None:
    trades = [trade("buy", "1", "10", 1_000), trade("sell", "1", "50", 2_000), trade("buy", "1", "20", 3_000)]
    trades.append(trade("buy", "2", "40", 4_000))
    cost = wire_balances.cost_of(D("2.5"), trades, "USDT")
    assert cost is not None
    assert cost.entry == D(2 * 40 + 10) / D("2.5")
    assert cost.opened_at == wire.moment(3_000_000)


def test_an_entry_that_the_trades_do_not_cover_is_unknown() -> None:
    assert wire_balances.cost_of(D(3), [trade("buy", "1", "10", 1), trade("sell", "2", "10", 2)], "USDT") is None
    assert wire_balances.cost_of(D(3), [], "USDT") is None
    assert wire_balances.cost_of(D(1), [trade("buy", "1", "0", 1)], "USDT") is None


def test_a_fee_that_was_taken_from_what_was_bought_still_covers_it() -> None:
    cost = wire_balances.cost_of(D("0.999"), [trade("buy", "1", "10", 1)], "USDT")
    assert cost is not None
    assert cost.entry == 10


def test_a_buy_that_was_paid_in_another_currency_leaves_the_entry_unknown() -> None:
    older, newer = trade("buy", "1", "10", 1), {**trade("buy", "1", "9", 2), "symbol": "X/EUR"}
    assert wire_balances.cost_of(D(1), [older, newer], "USDT") is None
    dollars = wire_balances.cost_of(D(1), [older, {**newer, "symbol": "X/USD"}], "USDT")
    assert dollars is not None
    assert dollars.entry == 9


def test_trades_of_several_markets_reach_no_further_back_than_a_list_that_is_full() -> None:
    full = [trade("buy", "1", "10", 30), trade("sell", "1", "10", 40)]
    short = [trade("buy", "1", "10", 20), trade("buy", "1", "10", 50)]
    assert [row["timestamp"] for row in wire_balances.as_far_back([full, short[:1], []], 2)] == [30_000, 40_000]
    assert len(wire_balances.as_far_back([full, short], 3)) == 4
    assert wire_balances.as_far_back([[]], 2) == []


def test_what_an_account_is_worth_is_told_or_is_its_money_or_is_unknown() -> None:
    assert wire_balances.equity({"info": {"totalMarginBalance": "12.5"}}) == D("12.5")
    assert wire_balances.equity({"info": {"data": [{"totalEq": "7"}]}}) == 7
    assert wire_balances.equity(balance(USD=("1", "0", "1"), USDC=("2", "0", "2"))) == 3
    assert wire_balances.equity(balance(USD=("1", "0", "1"), BTC=("2", "0", "2"))) is None
    assert wire_balances.equity(None) is None

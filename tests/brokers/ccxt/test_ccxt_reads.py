"""Complete reads: every part of every list, asked for as each exchange needs it, or an error."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt import wire_markets
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused
from core.model import Leg, OrderRequest, OrderSide, OrderType, Side
from tests.brokers.ccxt import bodies
from tests.brokers.ccxt.bodies import kraken, kraken_pair, usdm
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import ScriptedClock, soon
from tests.venues.alpaca.clocks import FastClock

FAST = 20  # Kraken allows few requests

D = Decimal


def params(venue: Any, end: str) -> list[dict[str, str]]:
    """Query and form of each request to paths of that end."""
    said = [text for _, path, text in venue.asked if path.endswith(end)]
    return [dict(part.split("=", 1) for part in text.split("&") if "=" in part) for text in said]


def bybit(
    positions: dict[str, list[Any]], orders: dict[str, list[Any]] | None = None, page: int = 50
) -> dict[str, Any]:
    """Bybit, its lists by category and settlement currency: ``linear USDC``; orders come in pages."""

    def answer(rows: list[Any], cursor: str = "", category: str = "linear") -> web.Response:
        result = {"category": category, "list": rows, "nextPageCursor": cursor}
        return web.json_response({"retCode": 0, "retMsg": "OK", "time": 1, "result": result})

    def key(request: web.Request) -> str:
        return f"{request.query['category']} {request.query.get('settleCoin', '')}".strip()

    def markets(request: web.Request, form: str) -> web.Response:
        spot = {
            **bodies.bybit_market("BTCUSDT", "BTC", "USDT", "", ""),
            "lotSizeFilter": {"basePrecision": "0.000001", "minOrderQty": "0.00001", "minOrderAmt": "5"},
        }
        inverse = bodies.bybit_market("BTCUSD", "BTC", "USD", "BTC", "InversePerpetual")
        rows = {
            "spot": [spot],
            "linear": [
                bodies.bybit_market("BTCUSDT", "BTC", "USDT", "USDT", "LinearPerpetual"),
                bodies.bybit_market("BTCPERP", "BTC", "USDC", "USDC", "LinearPerpetual"),
            ],
            "inverse": [{**inverse, "lotSizeFilter": {**inverse["lotSizeFilter"], "minOrderQty": "1", "qtyStep": "1"}}],
        }
        return answer(rows[request.query["category"]], category=request.query["category"])

    def listed(request: web.Request, form: str) -> web.Response:
        rows = (orders or {}).get(key(request), []) if request.query.get("orderFilter") != "StopOrder" else []
        start = int(request.query.get("cursor") or 0)
        more = str(start + page) if start + page < len(rows) else ""
        return answer(rows[start : start + page], more)

    wallet = {"totalEquity": "321.5", "accountType": "UNIFIED", "coin": []}
    return {
        "/instruments-info": markets,
        "/position/list": lambda r, f: answer(positions.get(key(r), [])),
        "/order/realtime": listed,
        "/wallet-balance": lambda r, f: answer([wallet]),
        "/user/query-api": {
            "retCode": 0,
            "retMsg": "",
            "result": {"uta": 1, "unified": 0, "permissions": {"Wallet": []}},
        },
        "/account/info": {"retCode": 0, "retMsg": "", "result": {"unifiedMarginStatus": 6}},
    }


def bybit_order(number: int) -> dict[str, Any]:
    return {
        "orderId": f"o{number:04}",
        "symbol": "BTCUSDT",
        "orderStatus": "New",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "0.1",
        "price": "40000",
        "cumExecQty": "0",
        "leavesQty": "0.1",
        "timeInForce": "GTC",
        "createdTime": str(1_700_000_000_000 + number),
        "updatedTime": str(1_700_000_000_000 + number),
    }


async def test_a_short_a_limit_and_a_stop_are_read_as_they_are(at: Opened) -> None:
    broker, _ = await at("binanceusdm", usdm())
    read = await broker.holdings()
    [short] = read.positions
    assert (short.symbol, short.side, short.quantity, short.free) == ("BTC/USDT:USDT", Side.SHORT, D("0.25"), D("0.25"))
    assert (short.entry, short.leverage, short.leg, short.opened_at) == (D(50000), D(10), Leg.NET, None)
    [limit, stop] = sorted(read.orders, key=lambda o: o.id)
    assert (limit.id, limit.client_id, limit.type) == ("42", "mine1", OrderType.LIMIT)
    assert (stop.id, stop.type, stop.trigger, stop.reduce_only) == ("77", OrderType.STOP, D(56000), True)
    [rules] = read.instruments
    assert (rules.step, rules.max_market, rules.min_cost, rules.minimum_exempt) == (D("0.001"), D(120), D(100), True)
    assert read.equity == D("1234.5")
    assert read.asked <= read.received


async def test_conditional_orders_are_invisible_without_asking_for_them(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm())
    await broker.holdings()
    assert len(venue.paths("/openAlgoOrders")) == 1
    assert len(venue.paths("/openOrders")) == 1


async def test_open_orders_without_a_symbol_are_asked_for_without_ccxt_s_warning(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm())
    await broker.holdings()
    [asked] = params(venue, "/openOrders")
    assert "symbol" not in asked


async def test_a_position_without_an_entry_price_is_not_left_out(at: Opened) -> None:
    """ccxt's own list of Binance's positions has none whose entry price is 0."""
    row = {**bodies.USDM_POSITION, "entryPrice": "0.0"}
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": [row]}))
    [held] = (await broker.holdings()).positions
    assert (held.quantity, held.entry) == (D("0.25"), None)


async def test_a_position_without_a_mark_keeps_its_side(at: Opened) -> None:
    row = {**bodies.USDM_POSITION, "notional": "0", "markPrice": "0"}
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": [row]}))
    [held] = (await broker.holdings()).positions
    assert held.side is Side.SHORT


async def test_both_legs_of_hedge_mode_are_positions_of_their_own(at: Opened) -> None:
    rows = [
        {**bodies.USDM_POSITION, "positionSide": "LONG", "positionAmt": "1", "notional": "51000"},
        {**bodies.USDM_POSITION, "positionSide": "SHORT"},
        {**bodies.USDM_POSITION, "positionAmt": "0", "notional": "0"},
    ]
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": rows}))
    held = (await broker.holdings()).positions
    assert {(p.leg, p.side, p.quantity) for p in held} == {
        (Leg.LONG, Side.LONG, D(1)),
        (Leg.SHORT, Side.SHORT, D("0.25")),
    }


async def test_orders_of_two_markets_may_have_the_same_number(at: Opened) -> None:
    """Binance's are unique within a symbol."""
    other = {**bodies.USDM_BTC, "symbol": "ETHUSDT", "pair": "ETHUSDT", "baseAsset": "ETH"}
    answers = {
        "/fapi/v1/exchangeInfo": {"symbols": [bodies.USDM_BTC, other]},
        "/openOrders": [bodies.USDM_ORDER, {**bodies.USDM_ORDER, "symbol": "ETHUSDT"}],
    }
    broker, _ = await at("binanceusdm", usdm(**answers))
    read = await broker.holdings()
    assert [o.symbol for o in read.orders if o.id == "42"] == ["BTC/USDT:USDT", "ETH/USDT:USDT"]


@pytest.mark.parametrize("body", [{"symbols": []}, {}])
async def test_markets_that_are_loaded_anew_and_are_none_leave_the_old_ones(at: Opened, body: Any) -> None:
    broker, venue = await at("binanceusdm", usdm(), clock=(clock := ScriptedClock()))
    venue.answers["/fapi/v1/exchangeInfo"] = body
    clock.at += 3601
    await broker.holdings()
    await soon(broker.markets._renewing.done)
    read = await broker.holdings()
    assert [p.symbol for p in read.positions] == ["BTC/USDT:USDT"]
    assert all(i.tradable for i in read.instruments)


async def test_a_position_that_is_listed_twice_is_named_and_hides_no_other(at: Opened) -> None:
    other = {**bodies.USDM_POSITION, "symbol": "ETHUSDT"}
    rows = [bodies.USDM_POSITION, other, {**bodies.USDM_POSITION, "positionAmt": "0.1"}]
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": rows}))
    read = await broker.holdings()
    assert ([p.symbol for p in read.positions], read.unread) == (["ETHUSDT"], ("BTC/USDT:USDT",))


async def test_a_position_of_a_market_that_is_not_known_is_shown_and_not_tradable(at: Opened) -> None:
    row = {**bodies.USDM_POSITION, "symbol": "NEWUSDT"}
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": [row]}))
    read = await broker.holdings()
    assert [p.quantity for p in read.positions] == [D("0.25")]
    assert [i.tradable for i in read.instruments if i.symbol == read.positions[0].symbol] == [False]


@pytest.mark.parametrize("part", ["/positionRisk", "/openOrders", "/openAlgoOrders"])
async def test_a_read_without_one_of_its_parts_is_an_error(at: Opened, part: str) -> None:
    broker, venue = await at("binanceusdm", usdm(**{part: lambda r, f: web.json_response({}, status=503)}))
    with pytest.raises(FlatdeckError):
        await broker.holdings()
    venue.answers |= usdm()
    assert (await broker.holdings()).positions


@pytest.mark.parametrize("body", [{}, {"data": None}, "<html>", "[", ["x"], "null"])
async def test_a_list_of_positions_that_is_none_is_an_error(at: Opened, body: Any) -> None:
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": body}))
    with pytest.raises(OutcomeUnknown):
        await broker.holdings()


async def test_what_an_account_is_worth_is_unknown_when_it_is_not_told_and_fails_nothing(at: Opened) -> None:
    broker, _ = await at("binanceusdm", usdm(**{"/v3/account": web.Response(status=500)}))
    read = await broker.holdings()
    assert read.equity is None
    assert "/v3/account" in read.equity_flaw


async def test_no_read_waits_for_an_equity_that_is_never_told(at: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging(request: web.Request, form: str) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    monkeypatch.setattr("brokers.ccxt.worth.PATIENCE", 0.01)
    broker, _ = await at("binanceusdm", usdm(**{"/v3/account": hanging}))
    async with asyncio.timeout(5):
        for urgent in (False, True):
            read = await broker.holdings(urgent=urgent)
            assert read.positions
            assert read.equity is None


async def test_who_asks_during_a_read_shares_the_next_one(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm())
    await asyncio.gather(*(broker.holdings() for _ in range(50)))
    assert len(venue.paths("/positionRisk")) <= 2


async def test_an_urgent_read_does_not_wait_behind_one_that_only_watches(at: Opened) -> None:
    gate, isolated = asyncio.Event(), list[str]()

    async def slow(request: web.Request, form: str) -> web.Response:
        if not gate.is_set() and len(venue.paths("/positionRisk")) == 1:
            await gate.wait()
            return web.json_response([bodies.USDM_POSITION])
        return web.json_response([{**bodies.USDM_POSITION, **({"isolatedMargin": "5"} if isolated else {})}])

    broker, venue = await at("binanceusdm", usdm(**{"/positionRisk": slow}))
    watching = asyncio.create_task(broker.holdings())
    await soon(lambda: venue.paths("/positionRisk"))
    assert (await broker.holdings(urgent=True)).positions
    assert not watching.done()
    isolated.append("5")
    assert (await broker.holdings(urgent=True)).positions
    gate.set()
    assert (await watching).positions
    assert broker.reads.modes == {("BTC/USDT:USDT", Leg.NET): "isolated"}, "what was asked before has no say"


async def test_an_urgent_read_at_kraken_saves_the_call_for_margin_where_nothing_was_on_it(at: Opened) -> None:
    row = {"pair": "XXBTZUSD", "type": "buy", "cost": "40000", "vol": "1", "vol_closed": "0.25", "leverage": "2.0"}
    broker, venue = await at("kraken", kraken(), clock=FastClock(FAST))
    for asked, urgent in ((1, True), (1, True), (2, False)):
        await broker.holdings(urgent=urgent)
        assert len(venue.paths("/OpenPositions")) == asked
    venue.answers["/OpenPositions"] = {"error": [], "result": [row]}
    await broker.holdings()
    [first] = [p for p in (await broker.holdings(urgent=True)).positions if p.symbol == "BTC/USD:margin"]
    assert first.quantity == D("0.75")
    assert len(venue.paths("/OpenPositions")) == 4, "what is held on margin is read again"


async def test_bybit_s_usdc_and_inverse_positions_are_asked_for_too(at: Opened) -> None:
    held = {
        "linear USDT": [bodies.bybit_position("BTCUSDT", "1")],
        "linear USDC": [bodies.bybit_position("BTCPERP", "2")],
        "inverse": [bodies.bybit_position("BTCUSD", "300")],
    }
    broker, _ = await at("bybit", bybit(held))
    read = await broker.holdings()
    assert {(p.symbol, p.quantity) for p in read.positions} == {
        ("BTC/USDT:USDT", D(1)),
        ("BTC/USDC:USDC", D(2)),
        ("BTC/USD:BTC", D(300)),
    }
    [inverse] = [i for i in read.instruments if i.symbol == "BTC/USD:BTC"]
    assert (inverse.quote, inverse.multiplier) == ("1/BTC", 1)


async def test_every_page_of_bybit_s_open_orders_is_read(at: Opened) -> None:
    broker, _ = await at("bybit", bybit({}, {"linear USDT": [bybit_order(n) for n in range(123)]}))
    assert len((await broker.holdings()).orders) == 123


async def test_krakenfutures_has_no_limits_and_its_mark_is_joined_from_the_tickers(at: Opened) -> None:
    market = {
        "symbol": "PF_SHIBUSD",
        "type": "flexible_futures",
        "base": "SHIB",
        "quote": "USD",
        "pair": "SHIB:USD",
        "tickSize": 1e-9,
        "contractSize": 1,
        "contractValueTradePrecision": -4,
        "tradeable": True,
        "openingDate": "2022-01-01T00:00:00.000Z",
        "marginLevels": [],
    }
    held = {
        "side": "short",
        "symbol": "PF_SHIBUSD",
        "price": 0.00001,
        "fillTime": "2024-01-01T00:00:00Z",
        "size": 20000,
    }
    account = {"type": "multiCollateralMarginAccount", "currencies": {}, "marginEquity": 9}
    ticker = {"symbol": "PF_SHIBUSD", "markPrice": 0.0000099, "bid": 0.0000098, "ask": 0.00001, "last": 0.0000099}
    broker, _ = await at(
        "krakenfutures",
        {
            "/instruments": {"result": "success", "instruments": [market]},
            "/openpositions": {"result": "success", "openPositions": [held]},
            "/openorders": {"result": "success", "openOrders": []},
            "/tickers": {"result": "success", "tickers": [ticker]},
            "/accounts": {"result": "success", "accounts": {"flex": account}},
        },
    )
    read = await broker.holdings()
    [short] = read.positions
    assert (short.symbol, short.side, short.quantity) == ("SHIB/USD:USD", Side.SHORT, D(20000))
    [rules] = read.instruments
    assert (rules.step, rules.min_quantity, rules.min_cost, rules.max_market) == (D(10000), 0, 0, None)
    [quote] = await broker.quotes([short.symbol])
    assert quote.mark == D("0.0000099")
    assert quote.bid == D("0.0000098")
    assert read.equity == 9


async def test_spot_holdings_are_what_a_market_sells_with_what_is_free(at: Opened) -> None:
    held = bodies.balance_ex(
        ZUSD=("100", "0"),
        ZEUR=("50", "0"),
        USDT=("10", "0"),
        XXBT=("0.5", "0.2"),
        XETH=("0.00001", "0"),
        XLTC=("3", "0"),
        BTC__M=("1", "0"),
        ETH2__S=("1", "0"),
        DOGEX=("9", "0"),
    )
    broker, _ = await at("kraken", kraken(**{"/BalanceEx": held}))
    read = await broker.holdings()
    assert {(p.symbol, p.quantity, p.free) for p in read.positions} == {
        ("BTC/USD", D("0.5"), D("0.3")),
        ("ETH/USD", D("0.00001"), D("0.00001")),
        ("LTC/USD", D(3), D(3)),
        ("DOGEX", D(9), D(9)),
    }
    cannot = {i.symbol: i.way_out for i in read.instruments if not i.tradable}
    assert cannot == {"LTC/USD": wire_markets.NOT_ACTIVE, "DOGEX": wire_markets.NOT_SOLD}
    [ether] = [i for i in read.instruments if i.symbol == "ETH/USD"]
    assert (ether.min_quantity, ether.reduce_only) == (D("0.0001"), False)
    assert ether.way_out


async def test_what_earns_by_itself_at_kraken_is_sold_as_the_coin_that_it_is(at: Opened) -> None:
    """By the name of the coin all of it is sold: an order may hold more than the coin's own balance."""
    held = bodies.balance_ex(XXBT=("0.2", "0.5"), XBT__F=("1.1", "0"), ETH__F=("3", "0"), USDT__F=("9", "0"))
    broker, _ = await at("kraken", kraken(**{"/BalanceEx": held}))
    assert {(p.symbol, p.quantity, p.free) for p in (await broker.holdings()).positions} == {
        ("BTC/USD", D("1.3"), D("0.8")),
        ("ETH/USD", D(3), D(3)),
    }


@pytest.mark.parametrize("listed", [True, False])
async def test_a_coin_whose_market_is_halted_while_it_is_held_does_not_vanish(at: Opened, listed: bool) -> None:
    clock = ScriptedClock()
    broker, venue = await at("kraken", kraken(), clock=clock)
    assert {p.symbol for p in (await broker.holdings()).positions} == {"BTC/USD", "ETH/USD"}
    pairs = {"XETHZUSD": kraken_pair("XETH", "ZUSD", "ETHUSD", "ETH/USD")}
    if listed:
        pairs["XXBTZUSD"] = kraken_pair("XXBT", "ZUSD", "XBTUSD", "XBT/USD", status="cancel_only")
    venue.answers["/AssetPairs"] = {"error": [], "result": pairs}
    clock.at += 3601
    await broker.holdings()
    await soon(lambda: len(venue.paths("/AssetPairs")) == 2)
    await broker.markets._renewing  # type: ignore[misc]
    read = await broker.holdings()
    assert {p.symbol: p.quantity for p in read.positions} == {"BTC/USD": D("0.5"), "ETH/USD": D(2)}
    [rules] = [i for i in read.instruments if i.symbol == "BTC/USD"]
    assert not rules.tradable
    assert rules.way_out


def history(*trades: tuple[str, str, str, float]) -> dict[str, Any]:
    made = {"ordertxid": "O", "pair": "XXBTZUSD", "cost": "1", "fee": "0"}
    rows = {
        f"T{n}": {**made, "time": at, "type": side, "price": price, "vol": vol}
        for n, (side, vol, price, at) in enumerate(trades)
    }
    return {"error": [], "result": {"trades": rows, "count": len(rows)}}


async def test_an_entry_comes_from_the_account_s_own_trades_or_is_unknown(at: Opened) -> None:
    told = history(("buy", "0.4", "40000", 1_700_000_000.0), ("buy", "0.1", "50000", 1_700_000_900.0))
    broker, venue = await at("kraken", kraken(**{"/TradesHistory": told}))
    entries = {p.symbol: (p.entry, p.opened_at) for p in (await broker.holdings()).positions}
    assert entries["BTC/USD"][0] == D(42000)
    assert entries["BTC/USD"][1] is not None
    assert entries["ETH/USD"] == (None, None)
    await broker.holdings()
    assert len(venue.paths("/TradesHistory")) == 1


async def test_trades_that_cannot_be_had_leave_the_entry_unknown_and_fail_nothing(at: Opened) -> None:
    broker, _ = await at("kraken", kraken(**{"/TradesHistory": {"error": ["EGeneral:Permission denied"]}}))
    assert [p.entry for p in (await broker.holdings()).positions] == [None, None]


async def test_a_quantity_that_changed_has_its_entry_looked_for_again(at: Opened) -> None:
    told = history(("buy", "0.5", "40000", 1_700_000_000.0))
    broker, venue = await at("kraken", kraken(**{"/TradesHistory": told}), clock=FastClock(FAST))
    await broker.holdings()
    venue.answers["/BalanceEx"] = bodies.balance_ex(XXBT=("0.7", "0"))
    now = broker.client.milliseconds() / 1000
    venue.answers["/TradesHistory"] = history(("buy", "0.5", "40000", 1_700_000_000.0), ("buy", "0.2", "47000", now))
    [changed] = (await broker.holdings()).positions
    assert changed.entry is None  # never the old quantity's
    await asyncio.gather(broker.reads.cost_basis._learning)
    [known] = (await broker.holdings()).positions
    assert known.entry == D(42000)


@pytest.mark.parametrize("consolidated", [True, False])
async def test_kraken_s_margin_is_a_position_beside_the_balance(at: Opened, consolidated: bool) -> None:
    row = {"pair": "XXBTZUSD", "type": "buy", "cost": "40000", "vol": "1", "vol_closed": "0.25", "leverage": "2.0"}
    listed = [row] if consolidated else {"T1": row, "T2": {**row, "cost": "50000", "vol_closed": "0.75"}}
    broker, _ = await at("kraken", kraken(**{"/OpenPositions": {"error": [], "result": listed}}))
    read = await broker.holdings()
    [margin] = [p for p in read.positions if p.symbol == "BTC/USD:margin"]
    assert margin.quantity == (D("0.75") if consolidated else D(1))
    assert margin.entry == (D(40000) if consolidated else D(42500))
    [rules] = [i for i in read.instruments if i.symbol == margin.symbol]
    assert (rules.tradable, rules.reduce_only) == (True, True)
    assert [p.quantity for p in read.positions if p.symbol == "BTC/USD"] == [D("0.5")]


async def test_kraken_s_margin_of_both_sides_at_once_is_not_summed_up(at: Opened) -> None:
    row = {"pair": "XXBTZUSD", "type": "buy", "cost": "40000", "vol": "1", "vol_closed": "0.25", "leverage": "2.0"}
    listed = {"T1": row, "T2": {**row, "type": "sell"}}
    broker, _ = await at("kraken", kraken(**{"/OpenPositions": {"error": [], "result": listed}}))
    with pytest.raises(OutcomeUnknown, match="long and short"):
        await broker.holdings()


async def test_an_account_without_derivatives_is_read_and_says_why_it_has_none(at: Opened) -> None:
    product = {
        "product_id": "BTC-USD",
        "price": "50000",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "price_increment": "0.01",
        "base_min_size": "0.00000001",
        "base_max_size": "3400",
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_currency_id": "BTC",
        "quote_currency_id": "USD",
        "product_type": "SPOT",
        "status": "online",
        "trading_disabled": False,
    }
    rows = [("BTC", "ACCOUNT_TYPE_CRYPTO", "1.5"), ("ETH", "CRYPTO", "2"), ("USD", "ACCOUNT_TYPE_FIAT", "9")]

    def accounts(request: web.Request, form: str) -> web.Response:
        start = int(request.query.get("cursor") or 0)
        made = [
            {
                "currency": code,
                "type": kind,
                "available_balance": {"value": free, "currency": code},
                "hold": {"value": "0.5", "currency": code},
            }
            for code, kind, free in rows[start : start + 1]
        ]
        more = start + 1 < len(rows)
        return web.json_response({"accounts": made, "has_next": more, "cursor": str(start + 1) if more else ""})

    def products(request: web.Request, form: str) -> web.Response:
        if request.query.get("product_type") == "FUTURE":
            return web.json_response({"products": []})
        ether = {**product, "product_id": "ETH-USD", "base_currency_id": "ETH"}
        return web.json_response({"products": [product, ether]})

    refusal = {"error": "PERMISSION_DENIED", "error_details": "Futures not enabled", "message": "Futures not enabled"}
    broker, venue = await at(
        "coinbase",
        {
            "/products": products,
            "/transaction_summary": {"fee_tier": {"taker_fee_rate": "0.008", "maker_fee_rate": "0.006"}},
            "/accounts": accounts,
            "/cfm/positions": lambda r, f: web.json_response(refusal, status=403),
            "/batch": {"orders": [], "has_next": False, "cursor": ""},
            "/fills": {"fills": [], "cursor": ""},
        },
    )
    read = await broker.holdings()
    assert {(p.symbol, p.quantity, p.free) for p in read.positions} == {
        ("BTC/USD", D(2), D("1.5")),
        ("ETH/USD", D("2.5"), D(2)),
    }
    assert "Futures not enabled" in broker.reads.unread
    assert len(venue.paths("/v3/brokerage/accounts")) == 3  # every page of the balance, of its third version
    venue.answers["/cfm/positions"] = lambda r, f: web.json_response({"error": "RATE", "message": "slow"}, status=429)
    with pytest.raises(Refused) as caught:
        await broker.holdings()
    assert caught.value.refusal is Refusal.RATE_LIMITED


async def test_prices_are_asked_for_once_for_each_kind_of_market_and_fail_nothing(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm())
    await broker.holdings()
    [quote] = await broker.quotes(["BTC/USDT:USDT", "NO/PE"])
    assert (quote.bid, quote.ask, quote.mark) == (D(50990), D(51010), D(51000))
    venue.answers["/bookTicker"] = web.Response(status=500)
    [left] = await broker.quotes(["BTC/USDT:USDT"])
    assert (left.bid, left.mark) == (None, D(51000))
    assert broker.prices.errors


async def test_rates_are_what_a_sale_gets_and_one_over_it_for_inverse_contracts(at: Opened) -> None:
    def tickers(request: web.Request, form: str) -> web.Response:
        prices = {"XXBTZUSD": "50000", "ZEURZUSD": "1.25"}
        rows = {pair: {"a": ["1000000", "1", "1"], "b": [p, "1", "1"], "c": [p, "1"]} for pair, p in prices.items()}
        return web.json_response({"error": [], "result": rows})

    broker, _ = await at("kraken", kraken(**{"/Ticker": tickers}))
    assert await broker.rates(["EUR", "BTC", "1/BTC", "XYZ"]) == {"EUR": "1.25", "BTC": "50000", "1/BTC": "0.00002"}


async def test_an_order_of_a_market_that_is_not_known_is_listed_too(at: Opened) -> None:
    pairs = {"XXBTZUSD": kraken_pair("XXBT", "ZUSD", "XBTUSD", "XBT/USD")}
    resting = {
        "O1": {
            "status": "open",
            "opentm": 1_700_000_000.5,
            "descr": {"pair": "NEWUSD", "type": "sell", "ordertype": "limit", "price": "3", "price2": "0"},
            "vol": "5",
            "vol_exec": "1",
            "cl_ord_id": "ours1",
            "userref": 0,
        }
    }
    told = {"error": [], "result": {"open": resting}}
    broker, _ = await at("kraken", kraken(**{"/AssetPairs": {"error": [], "result": pairs}, "/OpenOrders": told}))
    [order] = (await broker.holdings()).orders
    assert (order.id, order.remaining, order.client_id) == ("O1", D(4), "ours1")


async def test_the_margin_mode_of_a_position_is_kept_for_who_closes_it(at: Opened) -> None:
    broker, venue = await at(
        "binanceusdm", usdm(**{"/positionRisk": [{**bodies.USDM_POSITION, "isolatedMargin": "5"}]})
    )
    await broker.holdings()
    assert broker.reads.modes == {("BTC/USDT:USDT", Leg.NET): "isolated"}
    venue.answers["/positionRisk"] = []
    await broker.holdings()
    assert broker.reads.modes == {}


async def test_a_mark_that_a_read_told_does_not_hide_where_the_price_went_since(at: Opened) -> None:
    broker, _ = await at("binanceusdm", usdm())
    await broker.holdings()
    (symbol, mark), *_ = broker.reads.marks.items()
    row = {"symbol": symbol, "bid": "99", "ask": "101", "last": "100"}
    for age, told in ((0.5, mark.price), (1.5, None)):
        quote = broker.prices.quote(symbol, row, mark.at + age)
        assert quote is not None
        assert quote.mark == told


async def test_a_ticker_without_a_touch_is_as_old_as_the_touch_it_stands_beside(at: Opened) -> None:
    clock = ScriptedClock()
    broker, _ = await at("kraken", kraken(), clock=clock)
    whole = {"symbol": "BTC/USD", "bid": "99", "ask": "101", "last": "100"}
    for at_, row, told in (
        (1.0, {"symbol": "BTC/USD", "last": "98"}, (1.0, None, D(98))),
        (2.0, whole, (2.0, D(99), D(100))),
        (4.0, {"symbol": "BTC/USD", "last": "97"}, (2.0, D(99), D(97))),
        (9.0, {"symbol": "BTC/USD", "last": "96"}, (9.0, None, D(96))),
    ):
        quote = broker.prices.quote("BTC/USD", row, at_)
        assert quote is not None
        assert (quote.received, quote.bid, quote.last) == told


async def test_a_coin_on_margin_at_okx_is_shown_beside_the_balance_and_nothing_is_sold_for_it(at: Opened) -> None:
    answered = {"code": "0", "msg": ""}
    coin = {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "lotSz": "0.0001"}
    rules = {**coin, "tickSz": "0.1", "minSz": "0.0001", "state": "live", "maxMktSz": "1"}
    detail = {"ccy": "BTC", "eq": "2", "cashBal": "2", "availBal": "2", "frozenBal": "0", "availEq": "2"}
    borrowed = {"instId": "BTC-USDT", "instType": "MARGIN", "mgnMode": "isolated", "pos": "0.5", "posSide": "net"}

    def rules_of(request: web.Request, form: str) -> web.Response:
        return web.json_response({**answered, "data": [rules] if request.query["instType"] == "SPOT" else []})

    broker, venue = await at(
        "okx",
        {
            "/public/instruments": rules_of,
            "/account/balance": {**answered, "data": [{"details": [detail], "totalEq": "80000"}]},
            "/account/positions": {**answered, "data": [{**borrowed, "posCcy": "BTC", "avgPx": "30000"}]},
            "/orders-pending": {**answered, "data": []},
            "/orders-algo-pending": {**answered, "data": []},
        },
    )
    read = await broker.holdings()
    assert {p.symbol: p.quantity for p in read.positions} == {"BTC/USDT": D(2), "BTC/USDT:margin": D("0.5")}
    [rule] = [i for i in read.instruments if i.symbol == "BTC/USDT:margin"]
    assert (rule.tradable, rule.reduce_only) == (False, True)
    assert "own pages" in rule.way_out
    sale = OrderRequest("user_1/a", "BTC/USDT:margin", OrderSide.SELL, D("0.5"), "mine", reduce_only=True)
    with pytest.raises(Refused, match="nothing was sent"):
        await broker.submit(sale)
    assert venue.paths("order") == venue.paths("pending"), "orders were listed and none was sent"


async def test_every_page_of_okx_s_open_orders_is_read_and_each_of_its_lists_of_conditional_ones(at: Opened) -> None:
    made = [
        {"ordId": str(900 + n), "instId": "BTC-USDT", "side": "buy", "sz": "1", "state": "live"} for n in range(230)
    ]

    def pending(request: web.Request, form: str) -> web.Response:
        rows = [row for row in reversed(made) if int(row["ordId"]) < int(request.query.get("after") or 10**9)]
        return web.json_response({"code": "0", "msg": "", "data": rows[:100]})

    def algo(request: web.Request, form: str) -> web.Response:
        kind = request.query["ordType"]
        row = {"algoId": kind, "instId": "BTC-USDT", "side": "sell", "sz": "", "ordType": kind, "slTriggerPx": "9"}
        return web.json_response({"code": "0", "msg": "", "data": [{**row, "state": "live"}]})

    nothing = {"code": "0", "msg": "", "data": []}
    broker, _ = await at(
        "okx",
        {
            "/public/instruments": nothing,
            "/account/balance": {"code": "0", "msg": "", "data": [{"details": [], "totalEq": "0"}]},
            "/account/positions": nothing,
            "/orders-pending": pending,
            "/orders-algo-pending": algo,
        },
    )
    read = await broker.holdings()
    ids = {order.id for order in read.orders}
    kinds = {"conditional", "oco", "trigger", "move_order_stop", "iceberg", "twap", "chase"}
    assert len(ids) == 230 + len(kinds)
    assert kinds <= ids
    assert {o.type for o in read.orders if o.id == "oco"} == {OrderType.STOP}


async def test_a_list_of_orders_that_does_not_end_is_an_error(at: Opened) -> None:
    row = {"instId": "BTC-USDT", "side": "buy", "sz": "1", "state": "live"}
    same = [{**row, "ordId": str(n)} for n in range(100)]
    answers = {
        "/public/instruments": {"code": "0", "msg": "", "data": []},
        "/orders-pending": {"code": "0", "msg": "", "data": same},
    }
    broker, _ = await at("okx", answers)
    with pytest.raises(OutcomeUnknown, match="does not end"):
        await broker.reads._order_lists.read_list(broker.client.ask_exchange, {})

"""What an account does not list is named, until the exchange itself says that there is nothing in it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt import wire_unlisted
from brokers.ccxt.exchanges.proofs import QUESTIONS
from brokers.ccxt.unlisted import STANDS, UnlistedParts
from brokers.ccxt.wire_errors import NoSuchCall
from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from tests.brokers.ccxt import offline
from tests.brokers.ccxt.bodies import USDM_POSITION, usdm
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import ScriptedClock, soon

D = Decimal
MARGIN = ("cross margin", "isolated margin", "options")
NAMES = ("Spot", "Funding", "Cross Margin", "Isolated Margin", "USDⓈ-M Futures", "Earn", "Options", "Trading Bots")


def wallets(**worth: str) -> list[dict[str, Any]]:
    """Binance's answer; an underscore stands for a blank."""
    held = {name.replace("_", " "): balance for name, balance in worth.items()}
    return [{"activate": True, "balance": held.get(name, "0"), "walletName": name} for name in NAMES]


def spot(**more: Any) -> dict[str, Any]:
    filters = [{"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "9000"}]
    market = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": filters}
    return {
        "/api/v3/exchangeInfo": {"symbols": [{**market, "isSpotTradingAllowed": True, "permissions": ["SPOT"]}]},
        "/api/v3/account": {"balances": [{"asset": "BTC", "free": "0.5", "locked": "0"}]},
        "/openOrders": [],
        "/myTrades": [],
        "/wallet/balance": wallets(Spot="0.5"),
    } | more


async def told_again(broker: Any) -> None:
    """Until the question that is under way is answered."""
    await asyncio.gather(*(kept._asking for kept in broker.reads._unlisted._kept.values()))


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (wallets(Spot="1", Funding="2", Earn="3"), ()),
        (wallets(Cross_Margin="0.5"), ("cross margin",)),
        (wallets(Isolated_Margin="-0.5", Options="0.1"), ("isolated margin", "options")),
        ([], MARGIN),
        ([{"walletName": "Spot", "balance": "0"}], MARGIN),
        (lambda r, f: web.json_response({"code": -2015, "msg": "Invalid API-key"}, status=401), MARGIN),
        (lambda r, f: web.json_response({"code": -1000, "msg": "An unknown error"}, status=500), MARGIN),
    ],
)
async def test_binance_s_other_wallets_are_named_unless_they_are_empty(
    at: Opened, answer: Any, named: tuple[str, ...]
) -> None:
    broker, _ = await at("binance", spot(**{"/wallet/balance": answer}))
    read = await broker.holdings()
    assert read.unlisted == named
    assert [p.symbol for p in read.positions] == ["BTC/USDT"]


async def test_a_place_without_that_call_has_no_such_wallets(at: Opened) -> None:
    answers = spot()
    del answers["/wallet/balance"]
    broker, venue = await at("binance", answers)
    assert (await broker.holdings()).unlisted == ()
    assert venue.paths("/wallet/balance")


async def test_binance_s_wallets_are_asked_for_once_a_minute(at: Opened) -> None:
    clock = ScriptedClock()
    broker, venue = await at("binance", spot(), clock=clock)
    for _ in range(3):
        await broker.holdings()
    assert len(venue.paths("/wallet/balance")) == 1
    clock.at += 61
    venue.answers["/wallet/balance"] = wallets(Cross_Margin="1")
    assert (await broker.holdings(urgent=True)).unlisted == (), "who acts does not wait for it"
    await soon(lambda: len(venue.paths("/wallet/balance")) == 2)
    await told_again(broker)
    assert (await broker.holdings()).unlisted == ("cross margin",)


async def test_check_names_the_part_or_says_that_it_is_empty(at: Opened) -> None:
    broker, venue = await at("binance", spot(), clock=(clock := ScriptedClock()))
    [found] = [c for c in await broker.check() if c.name == "lists"]
    assert (found.ok, "cross margin, isolated margin, options" in found.text) == (True, True)
    clock.at += 61
    venue.answers["/wallet/balance"] = wallets(Options="1")
    await broker.holdings()
    await told_again(broker)
    [found] = [c for c in await broker.check() if c.name == "lists"]
    assert found.ok is None
    assert found.text.startswith("PARTIAL: not listed here, see to it at the exchange: options")


class Asked:
    """An exchange that gives these answers in turn, the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def __call__(self, method: str, params: Any) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def asked(exchange: str, clock: ScriptedClock, *answers: Any) -> UnlistedParts:
    return UnlistedParts(QUESTIONS[exchange], Asked(*answers), clock)


async def read_anew(parts: UnlistedParts) -> tuple[str, ...]:
    """Read when the questions that are due were answered."""
    await parts.read()
    await asyncio.gather(*(kept._asking for kept in parts._kept.values()))
    return await parts.read()


@pytest.mark.parametrize("lost", [OutcomeUnknown("?"), Unreachable("?")])
async def test_an_earlier_proof_stands_for_a_while_when_the_exchange_cannot_be_asked(lost: Exception) -> None:
    clock = ScriptedClock()
    parts = asked("binance", clock, wallets(), lost)
    assert await parts.read() == ()
    clock.at += 61
    assert await read_anew(parts) == ()
    clock.at += STANDS
    assert await read_anew(parts) == MARGIN


async def test_a_refusal_ends_an_earlier_proof() -> None:
    clock = ScriptedClock()
    parts = asked("binance", clock, wallets(), Refused(Refusal.AUTH, "no"))
    assert await parts.read() == ()
    clock.at += 61
    assert await read_anew(parts) == MARGIN


async def test_an_account_that_was_never_made_holds_nothing() -> None:
    never = Refused(Refusal.OTHER, "please transfer funds first to make options account")
    assert await asked("gate", ScriptedClock(), never).read() == ()
    assert await asked("gate", ScriptedClock(), Refused(Refusal.AUTH, "no")).read() == ("coins on margin", "options")


@pytest.mark.parametrize("first", [OutcomeUnknown("?"), Unreachable("?"), Refused(Refusal.OTHER, "no")])
async def test_without_any_answer_every_part_is_named(first: Exception) -> None:
    assert await asked("binance", ScriptedClock(), first).read() == MARGIN


async def test_bybit_s_options_are_asked_for_as_positions_and_as_orders() -> None:
    none, some = ({"result": {"list": rows}} for rows in ([], [{"symbol": "BTC-1JAN27-90000-C"}]))
    for answers, named in (((none,), ()), ((some, none), ("options",)), ((none, some), ("options",))):
        assert await asked("bybit", ScriptedClock(), *answers).read() == named
    assert await asked("bybit", ScriptedClock(), {}).read() == ("options",)
    assert await asked("bybit", ScriptedClock(), NoSuchCall("?")).read() == ()


@pytest.mark.parametrize(
    ("kind", "named"),
    [("DEFAULT", ()), ("CONSUMER", ()), ("INTX", ("INTX perpetuals",)), ("UNDEFINED", ("INTX perpetuals",))],
)
async def test_a_key_of_coinbase_sees_its_own_portfolio_only(kind: str, named: tuple[str, ...]) -> None:
    told = {"can_view": True, "portfolio_type": kind}
    assert await asked("coinbase", ScriptedClock(), told).read() == named


@pytest.mark.parametrize(
    ("balance", "named"),
    [
        ({"info": {}, "total": {"USDT": "5"}, "USDT": {"total": "5", "debt": "2"}}, ()),
        ({"info": {}, "ETH": {"total": "0", "debt": "0"}}, ()),
        ({"info": {}, "ETH": {"total": "1"}}, ("coins on margin",)),
        ({"info": {}, "ETH": {"total": "0", "debt": "0.5"}}, ("coins on margin",)),
        ({"info": {}, "ETH/USDT": {"ETH": {"total": "0.1"}, "USDT": {"total": "9"}}}, ("coins on margin",)),
        ({"info": {}, "ETH/USDT": {"ETH": {"total": "0"}, "USDT": {"total": "9"}}}, ()),
    ],
)
def test_a_margin_wallet_that_holds_or_owes_a_coin_is_named(balance: Any, named: tuple[str, ...]) -> None:
    assert wire_unlisted.coins_on_margin(balance) == named


@pytest.mark.parametrize(("total", "named"), [("0", ()), ("0.0", ()), ("12", ("options",))])
def test_gate_s_account_of_options_is_named_if_it_has_money(total: str, named: tuple[str, ...]) -> None:
    assert wire_unlisted.options_with_money({"total": total}) == named
    for told in (wire_unlisted.options_with_money, wire_unlisted.coins_on_margin):
        with pytest.raises(OutcomeUnknown):
            told({"label": "USER_NOT_FOUND"})


def test_a_borrowed_coin_is_named_unless_a_listed_position_explains_it() -> None:
    def okx(code: str, liab: str) -> dict[str, Any]:
        details = [{"ccy": code, "liab": liab, "eq": "-1"}]
        return {"info": {"data": [{"details": details}]}, "total": {}, code: {"total": "-1"}}

    margin = {"info": {"instType": "MARGIN", "liab": "-1", "liabCcy": "ETH"}}
    assert wire_unlisted.debts(okx("ETH", "1"), []) == ("1 ETH borrowed",)
    assert wire_unlisted.debts(okx("ETH", "-1"), []) == ("1 ETH borrowed",)
    assert wire_unlisted.debts(okx("ETH", "1"), [margin]) == ()
    assert wire_unlisted.debts(okx("ETH", "1.5"), [margin]) == ("1.5 ETH borrowed",)
    assert wire_unlisted.debts(okx("USDT", "500"), []) == ()
    assert wire_unlisted.debts(okx("ETH", ""), []) == ()
    assert wire_unlisted.debts({"SOL": {"total": "2", "debt": "0.25"}}, []) == ("0.25 SOL borrowed",)
    assert wire_unlisted.debts(None, []) == ()


async def test_a_row_that_cannot_be_read_is_named_and_hides_nothing_else(at: Opened) -> None:
    rows = [USDM_POSITION, {"symbol": "ETHUSDT"}]
    broker, _ = await at("binanceusdm", usdm(**{"/positionRisk": rows}))
    read = await broker.holdings()
    assert [(p.symbol, p.quantity) for p in read.positions] == [("BTC/USDT:USDT", D("0.250"))]
    assert len(read.orders) == 2
    [named] = read.unlisted
    assert "cannot be read" in named
    assert read.unread == ("ETHUSDT",)


# ------------------------------------------------------------------------------- coins that are sold for local money


def luno(**more: Any) -> dict[str, Any]:
    """Luno as its documentation shows it: two coins that are sold for rand only."""
    limits = {"min_volume": "0.0001", "max_volume": "100", "volume_scale": 4, "price_scale": 0}
    pairs = {"XBTZAR": "XBT", "SOLZAR": "SOL"}
    markets = [
        {**limits, "market_id": name, "trading_status": "ACTIVE", "base_currency": coin, "counter_currency": "ZAR"}
        | {"min_price": "1", "max_price": "10000000", "fee_scale": 8}
        for name, coin in pairs.items()
    ]
    rows = [("XBT", "0.25", "0.05"), ("SOL", "40", "0"), ("ZAR", "900", "0")]
    held = [{"account_id": c, "asset": c, "balance": b, "reserved": r, "unconfirmed": "0"} for c, b, r in rows]
    prices = {"XBTZAR": "1700000", "SOLZAR": "2600"}
    return {
        "/exchange/1/markets": {"markets": markets},
        "/balance": {"balance": held},
        "/listorders": {"orders": None},
        "/listtrades": {"trades": None},
        "/api/1/tickers": {
            "tickers": [
                {"pair": p, "timestamp": 1, "bid": v, "ask": v, "last_trade": v, "rolling_24_hour_volume": "1"}
                for p, v in prices.items()
            ]
        },
    } | more


async def test_coins_that_are_sold_for_rand_only_are_positions(at: Opened) -> None:
    broker, _ = await at("luno", luno())
    read = await broker.holdings()
    assert {(p.symbol, p.quantity, p.free) for p in read.positions} == {
        ("BTC/ZAR", D("0.25"), D("0.20")),
        ("SOL/ZAR", D(40), D(40)),
    }
    assert {i.quote for i in read.instruments} == {"ZAR"}
    assert all(i.tradable for i in read.instruments)
    assert await broker.rates(["ZAR"]) == {}, "no rate is known, so the value is unknown"
    assert read.unlisted == ()


async def test_a_rate_of_the_exchange_s_own_is_used(at: Opened) -> None:
    answers = luno()
    [first, *_] = answers["/exchange/1/markets"]["markets"]
    answers["/exchange/1/markets"]["markets"].append({**first, "market_id": "USDCZAR", "base_currency": "USDC"})
    ticker = answers["/api/1/tickers"]["tickers"][0]
    answers["/api/1/tickers"]["tickers"].append({**ticker, "pair": "USDCZAR", "bid": "17", "ask": "17"})
    broker, _ = await at("luno", answers)
    assert {c: D(rate) for c, rate in (await broker.rates(["ZAR"])).items()} == {"ZAR": 1 / D(17)}


async def test_binance_shows_coins_that_only_lira_or_bnb_buy_and_halted_ones(at: Opened) -> None:
    [market] = spot()["/api/v3/exchangeInfo"]["symbols"]
    made = [("SHIB", "TRY", "TRADING"), ("XYZ", "BNB", "TRADING"), ("OLD", "USDT", "BREAK")]
    markets = [
        {**market, "symbol": base + quote, "baseAsset": base, "quoteAsset": quote, "status": status}
        for base, quote, status in made
    ]
    held = [{"asset": a, "free": q, "locked": "0"} for a, q in (("SHIB", "100000"), ("XYZ", "3"), ("OLD", "50"))]
    gone = [{"asset": "AIR", "free": "7", "locked": "0"}, {"asset": "LDBTC", "free": "1", "locked": "0"}]
    answers = spot(**{"/api/v3/exchangeInfo": {"symbols": markets}, "/api/v3/account": {"balances": [*held, *gone]}})
    broker, _ = await at("binance", answers)
    read = await broker.holdings()
    tradable = {i.symbol: i.tradable for i in read.instruments}
    assert tradable == {"SHIB/TRY": True, "XYZ/BNB": True, "OLD/USDT": False, "AIR": False}
    assert {p.symbol: p.quantity for p in read.positions}["OLD/USDT"] == D(50)


# ------------------------------------------------------------------------------------------- lists of other orders


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({"data": {"entrustedList": None, "endId": None}}, ()),
        ({"data": {"entrustedList": [{"orderId": "1"}]}}, ("open orders (trailing)",)),
        ({"code": 200, "data": []}, ()),
        ({"code": 200, "data": None}, ()),
        ({"code": 200, "data": [{"algo_id": "1"}]}, ("open orders (trailing)",)),
    ],
)
def test_a_list_of_other_orders_is_named_when_it_has_one(answer: Any, named: tuple[str, ...]) -> None:
    assert wire_unlisted.listed_orders(wire_unlisted.TRAILING, answer) == named


@pytest.mark.parametrize("answer", [None, {}, {"data": {}}, {"data": {"entrustedList": "x"}}, "page"])
def test_an_answer_without_a_list_of_orders_proves_nothing(answer: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        wire_unlisted.listed_orders(wire_unlisted.TRAILING, answer)


@pytest.mark.parametrize("exchange", sorted(QUESTIONS))
def test_each_question_is_another_request(exchange: str) -> None:
    asked = [(q.method, q.words) for q in QUESTIONS[exchange]]
    assert len(set(asked)) == len(asked)
    client = offline.client(exchange)
    assert all(callable(getattr(client, method)) for method, _ in asked)

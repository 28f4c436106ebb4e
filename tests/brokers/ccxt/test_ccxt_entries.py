"""What spot holdings were bought for, while they come and go."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt.broker import CcxtBroker
from core.engine.clock import SystemClock
from tests.brokers.ccxt import bodies
from tests.brokers.ccxt.bodies import kraken
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import ScriptedClock, soon
from tests.venues.alpaca.clocks import FastClock

D = Decimal
FAST = 20  # Kraken allows few requests


class Wall(ScriptedClock):
    """Its date is the machine's."""

    def now(self) -> datetime:
        return SystemClock().now()


def history(*trades: tuple[str, str, str, str], ago: float = 100.0) -> dict[str, Any]:
    """Side, pair, volume and price of each trade, the last of them now and the others ``ago`` seconds apart."""
    made, now = {"ordertxid": "O", "cost": "1", "fee": "0"}, SystemClock().now().timestamp()
    rows = {
        f"T{n}": {**made, "time": now - ago * n, "type": side, "pair": pair, "vol": vol, "price": price}
        for n, (side, pair, vol, price) in enumerate(reversed(trades))
    }
    return {"error": [], "result": {"trades": rows, "count": len(rows)}}


async def learned(broker: CcxtBroker) -> Decimal | None:
    """The entry of the only position after what is asked of it was answered."""
    await broker.holdings()
    await soon(lambda: (task := broker.reads.cost_basis._learning) is None or task.done())
    [held] = (await broker.holdings()).positions
    return held.entry


PAIR = "XXBTZUSD"
BOUGHT = ("buy", PAIR, "1", "40000")
SOLD = ("sell", PAIR, "1", "41000")
HELD = bodies.balance_ex(XXBT=("1", "0"))
NOTHING = bodies.balance_ex(ZUSD=("41000", "0"))


async def test_what_is_bought_again_has_the_entry_of_that_purchase(at: Opened) -> None:
    answers = {"/BalanceEx": HELD, "/TradesHistory": history(BOUGHT)}
    broker, venue = await at("kraken", kraken(**answers), clock=FastClock(FAST))
    assert await learned(broker) == D(40000)
    venue.answers |= {"/BalanceEx": NOTHING, "/TradesHistory": history(BOUGHT, SOLD)}
    assert (await broker.holdings()).positions == ()
    venue.answers |= {"/BalanceEx": HELD, "/TradesHistory": history(BOUGHT, SOLD, ("buy", PAIR, "1", "60000"))}
    assert await learned(broker) == D(60000)


async def test_a_sale_and_a_purchase_that_no_read_saw_are_noticed_after_a_while(at: Opened) -> None:
    answers = {"/BalanceEx": HELD, "/TradesHistory": history(BOUGHT)}
    broker, venue = await at("kraken", kraken(**answers), clock=(clock := ScriptedClock()))
    assert await learned(broker) == D(40000)
    venue.answers["/TradesHistory"] = history(BOUGHT, SOLD, ("buy", PAIR, "1", "60000"))
    clock.at += 301
    assert await learned(broker) == D(40000), "not before it costs little of the limit"
    clock.at += 3601
    assert await learned(broker) == D(60000)


async def test_a_purchase_that_the_list_of_trades_does_not_reach_any_more_keeps_its_entry(at: Opened) -> None:
    """Bybit's list is of seven days, Kraken's of the newest 50 of the whole account."""
    answers = {"/BalanceEx": HELD, "/TradesHistory": history(BOUGHT)}
    broker, venue = await at("kraken", kraken(**answers), clock=(clock := Wall()))
    assert await learned(broker) == D(40000)
    venue.answers["/TradesHistory"] = history()
    for _ in range(3):
        clock.at += 3601
        assert await learned(broker) == D(40000)


async def test_an_entry_that_a_later_purchase_contradicts_is_not_kept(at: Opened) -> None:
    answers = {"/BalanceEx": HELD, "/TradesHistory": history(BOUGHT)}
    broker, venue = await at("kraken", kraken(**answers), clock=(clock := Wall()))
    assert await learned(broker) == D(40000)
    venue.answers["/TradesHistory"] = history(("buy", PAIR, "0.5", "60000"))
    clock.at += 3601
    assert await learned(broker) is None


async def test_a_purchase_has_its_entry_although_this_clock_is_ahead_of_the_exchange_s(at: Opened) -> None:
    class Ahead(Wall):
        def now(self) -> datetime:
            return super().now() + timedelta(minutes=10)

    answers = {"/BalanceEx": NOTHING, "/TradesHistory": history(BOUGHT, SOLD)}
    broker, venue = await at("kraken", kraken(**answers), clock=Ahead())
    assert (await broker.holdings()).positions == ()
    bought = history(BOUGHT, SOLD, ("buy", PAIR, "1", "60000"))
    venue.answers |= {"/BalanceEx": HELD, "/TradesHistory": bought}
    assert await learned(broker) == D(60000)


async def test_a_trade_that_the_stream_told_has_the_entry_asked_for_again_at_once(at: Opened) -> None:
    answers = {"/BalanceEx": HELD, "/TradesHistory": history(BOUGHT)}
    broker, venue = await at("kraken", kraken(**answers), clock=ScriptedClock())
    assert await learned(broker) == D(40000)
    venue.answers["/TradesHistory"] = history(BOUGHT, SOLD, ("buy", PAIR, "1", "60000"))
    broker.reads.cost_basis.forget_costs("BTC/EUR")
    assert await learned(broker) == D(60000)


async def test_a_purchase_that_the_list_of_trades_lacks_yet_has_not_the_entry_of_an_older_one(at: Opened) -> None:
    answers = {"/BalanceEx": NOTHING, "/TradesHistory": history(BOUGHT, SOLD, SOLD)}
    broker, venue = await at("kraken", kraken(**answers), clock=(clock := Wall()))
    assert (await broker.holdings()).positions == ()
    venue.answers["/BalanceEx"] = HELD
    assert await learned(broker) is None
    venue.answers["/TradesHistory"] = history(BOUGHT, SOLD, ("buy", PAIR, "1", "60000"))
    clock.at += 9
    assert await learned(broker) == D(60000)


async def test_interest_does_not_take_the_entry_away(at: Opened) -> None:
    answers = {"/BalanceEx": HELD, "/TradesHistory": history(BOUGHT, SOLD, SOLD)}
    broker, venue = await at("kraken", kraken(**answers), clock=Wall())
    assert await learned(broker) == D(40000)
    venue.answers["/BalanceEx"] = bodies.balance_ex(XXBT=("1.0001", "0"))
    assert await learned(broker) == D(40000)


@pytest.mark.parametrize(("currency", "entry"), [("USDC", D(60000)), ("ZEUR", None)])
async def test_a_coin_that_was_bought_in_another_market_has_not_the_entry_of_an_old_trade(
    at: Opened, currency: str, entry: Decimal | None
) -> None:
    other = f"XXBT{currency}"
    pairs = {
        PAIR: bodies.kraken_pair("XXBT", "ZUSD", "XBTUSD", "XBT/USD"),
        other: bodies.kraken_pair("XXBT", currency, other, f"XBT/{currency}"),
    }
    answers = {
        "/AssetPairs": {"error": [], "result": pairs},
        "/BalanceEx": HELD,
        "/TradesHistory": history(BOUGHT, SOLD, ("buy", other, "1", "60000")),
    }
    broker, _ = await at("kraken", kraken(**answers), clock=FastClock(FAST))
    assert await learned(broker) == entry


async def test_trades_are_asked_for_in_each_market_in_which_a_coin_may_have_been_bought(at: Opened) -> None:
    def rules(quote: str) -> dict[str, str]:
        coin = {"instId": f"BTC-{quote}", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": quote, "state": "live"}
        return {**coin, "lotSz": "0.0001", "tickSz": "0.1", "minSz": "0.0001"}

    def listed(request: web.Request, form: str) -> dict[str, Any]:
        return answer([rules("USDT"), rules("USDC")] if request.query["instType"] == "SPOT" else [])

    def fills(request: web.Request, form: str) -> Any:
        return trades.get(request.query["instId"]) or web.json_response({}, status=503)

    def bought(market: str, price: str, at: int) -> dict[str, Any]:
        row = {"instId": market, "side": "buy", "fillSz": "2", "fillPx": price, "ts": str(at), "fee": "0"}
        return answer([{**row, "tradeId": market, "ordId": "1", "feeCcy": "USDT"}])

    def answer(rows: list[Any]) -> dict[str, Any]:
        return {"code": "0", "msg": "", "data": rows}

    trades = {"BTC-USDT": bought("BTC-USDT", "20000", 1_700_000_000_000)}
    detail = {"ccy": "BTC", "eq": "2", "availBal": "2", "frozenBal": "0"}
    broker, _ = await at(
        "okx",
        {
            "/public/instruments": listed,
            "/account/balance": answer([{"details": [detail], "totalEq": "80000"}]),
            "/account/positions": answer([]),
            "/orders-pending": answer([]),
            "/orders-algo-pending": answer([]),
            "/fills-history": fills,
        },
        clock=(clock := ScriptedClock()),
    )
    assert await learned(broker) is None, "one of the lists could not be had"
    trades["BTC-USDC"] = bought("BTC-USDC", "60000", 1_700_000_900_000)
    clock.at += 301
    assert await learned(broker) == D(60000)

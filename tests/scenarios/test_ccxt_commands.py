"""Every command on an account of each exchange, and an engine that closes all while it watches the streams."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from core.model import OrderSide
from core.plans.request import PlanRequest
from tests.support.service import marks, service, soon
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import bybit, coinbase, kraken, krakenfutures, kucoinfutures, okx, usdm
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator


class Desk(Struct):
    """An exchange, what the account holds there at the start, and which position is worth most."""

    make: Any
    book: dict[str, Any]
    login: dict[str, str]
    largest: str
    speed: float  # of the clock; Binance and KuCoin refuse what was signed by one that is apart from their own
    acts: tuple[str, ...]  # what a call that changes something is named like in the loopback exchange's list


VENUES = {
    "binanceusdm": Desk(
        usdm.Usdm,
        usdm.BOOK,
        {"api_key": usdm.KEY, "secret": usdm.SECRET},
        "BTC/USDT:USDT",
        1.0,
        ("POST /v1/order", "POST /v1/algoOrder", "DELETE"),
    ),
    "kraken": Desk(
        kraken.Kraken,
        kraken.BOOK,
        {"api_key": kraken.KEY, "secret": kraken.SECRET},
        "BTC/USD",
        20.0,
        ("AddOrder", "Cancel"),
    ),
    "coinbase": Desk(
        coinbase.Coinbase,
        coinbase.BOOK,
        {"api_key": coinbase.KEY, "secret": coinbase.SECRET},
        "BTC/USD",
        20.0,
        ("orders", "batch_cancel", "close_position"),
    ),
    "krakenfutures": Desk(
        krakenfutures.KrakenFutures,
        krakenfutures.BOOK,
        krakenfutures.LOGIN,
        krakenfutures.LINEAR,
        20.0,
        ("POST ",),
    ),
    "okx": Desk(okx.Okx, okx.BOOK, okx.LOGIN, "BTC/USDT:USDT", 20.0, ("POST /trade",)),
    "bybit": Desk(bybit.Bybit, bybit.BOOK, bybit.LOGIN, "BTC/USDT:USDT", 5.0, ("POST /order",)),
    "kucoinfutures": Desk(
        kucoinfutures.KucoinFutures,
        kucoinfutures.BOOK,
        kucoinfutures.LOGIN,
        "BTC/USDT:USDT",
        5.0,
        ("POST /orders", "DELETE"),
    ),
}


CLOSES = {"long": "sell", "short": "buy"}


def acts(running: Exchange, desk: Desk) -> list[str]:
    return [call for call, _ in running.stall.rest.calls if call.startswith(desk.acts)]


def outcomes(document: Any) -> set[str]:
    return {result["outcome"] for result in document["results"]}


@pytest.mark.parametrize("exchange", list(VENUES))
def test_an_account_is_well_by_every_check(tmp_path: Path, exchange: str) -> None:
    desk = VENUES[exchange]
    with Exchange(desk.make, desk.book, FastClock()) as running:  # a check compares clocks
        checked = Operator(tmp_path, running, exchange, desk.login, streams=True).call("check")
        assert checked.exit_code == 0, checked.output
        assert acts(running, desk) == []


@pytest.mark.parametrize("exchange", list(VENUES))
def test_an_account_is_shown_cleaned_up_and_flattened(tmp_path: Path, exchange: str) -> None:
    desk = VENUES[exchange]
    rules = "[cleanup]\nmax_positions = 1"
    with Exchange(desk.make, desk.book, FastClock(desk.speed)) as running:
        operator = Operator(tmp_path, running, exchange, desk.login, streams=True, rules=rules)
        shown = operator.document("status")
        assert len(shown["positions"]) == len(desk.book["positions"])
        planned = operator.document("cleanup", "--dry-run", "--include-open-orders")
        assert len(planned["actions"]) >= len(desk.book["positions"]) - 1
        assert acts(running, desk) == []
        assert outcomes(operator.document("cancel-orders", "--all", "--yes")) == {"cancelled"}
        assert list(running.venue.state.live_orders()) == []
        assert outcomes(operator.document("cleanup", "--yes")) == {"closed"}
        assert [symbol for symbol, _ in running.venue.state.positions] == [desk.largest]
        assert outcomes(operator.document("flatten", "--all", "--yes")) == {"closed"}
        assert running.venue.state.positions == {}


@pytest.mark.parametrize("exchange", list(VENUES))
async def test_prices_and_trades_by_hand_arrive_live_and_a_flatten_ends_flat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: str
) -> None:
    desk = VENUES[exchange]
    by_hand = next(p for p in desk.book["positions"] if p["symbol"] != desk.largest)
    with Exchange(desk.make, desk.book, FastClock(min(desk.speed, 5.0))) as running:
        operator = Operator(tmp_path, running, exchange, desk.login, streams=True)
        for name, value in operator.secrets.items():
            monkeypatch.setenv(name, value)
        async with service(operator.config, running.clock) as engine:
            await soon(lambda: str(engine.snapshot().accounts[0].state) == "live")
            await soon(lambda: len(marks(engine)) == len(desk.book["positions"]))
            price = dict.fromkeys(("bid", "ask", "last"), Decimal(51000))
            running.do(lambda: running.venue.set_quote(desk.largest, **price))
            await soon(lambda: marks(engine)[desk.largest] == 51000)
            side, quantity = OrderSide(CLOSES[by_hand["side"]]), Decimal(by_hand["quantity"])
            running.do(lambda: running.venue.trade_by_hand(by_hand["symbol"], side, quantity))
            await soon(lambda: by_hand["symbol"] not in marks(engine))
            plan = await engine.prepare(PlanRequest("flatten", everything=True))
            report = await engine.execute(plan.id, plan.digest)
            assert {r.outcome for r in report.results} <= {"closed", "cancelled"}
            await soon(lambda: not engine.snapshot().positions)
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []

"""An answer that went well and lacks the list which was asked for: no exchange's account is flat for it."""

from __future__ import annotations

from typing import Any

import pytest

from brokers.ccxt import wire_lists
from core.errors import OutcomeUnknown
from tests.venues.ccxt import bybit, coinbase, kraken, krakenfutures, kucoinfutures, okx, usdm
from tests.venues.ccxt.accounts import live

KRAKEN = {"api_key": kraken.KEY, "secret": kraken.SECRET}
COINBASE = {"api_key": coinbase.KEY, "secret": coinbase.SECRET}
VENUES: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "binanceusdm": (usdm.Usdm, usdm.BOOK, usdm.LOGIN),
    "bybit": (bybit.Bybit, bybit.BOOK, bybit.LOGIN),
    "coinbase": (coinbase.Coinbase, coinbase.BOOK, COINBASE),
    "kraken": (kraken.Kraken, kraken.BOOK, KRAKEN),
    "krakenfutures": (krakenfutures.KrakenFutures, krakenfutures.BOOK, krakenfutures.LOGIN),
    "kucoinfutures": (kucoinfutures.KucoinFutures, kucoinfutures.BOOK, kucoinfutures.LOGIN),
    "okx": (okx.Okx, okx.BOOK, okx.LOGIN),
}
WITHOUT: dict[str, tuple[str, tuple[str, ...]]] = {
    "binanceusdm": ("{}", ("positionRisk", "openOrders", "openAlgoOrders")),
    "bybit": ('{"retCode":0,"result":{}}', ("wallet-balance", "position/list", "order/realtime")),
    "coinbase": ("{}", ("brokerage/accounts", "orders/historical/batch", "cfm/positions")),
    "kraken": ('{"error":[]}', ("BalanceEx", "OpenOrders", "OpenPositions")),
    "krakenfutures": ('{"result":"success"}', ("openpositions", "openorders")),
    "kucoinfutures": ('{"code":"200000"}', ("/positions", "/orders", "/stopOrders")),
    "okx": ('{"code":"0","msg":""}', ("account/balance", "account/positions", "orders-pending", "orders-algo-pending")),
}


@pytest.mark.parametrize("exchange", list(VENUES))
async def test_an_answer_without_its_list_is_no_empty_list(exchange: str) -> None:
    body, paths = WITHOUT[exchange]
    async with live(exchange, *VENUES[exchange]) as (running, broker):
        for path in paths:
            method = "POST" if exchange == "kraken" else "GET"
            odd = running.mishap(method, path, "status", times=99, status=200, body=body)
            with pytest.raises(OutcomeUnknown):
                await broker.holdings()
            assert odd.struck
            running.mishaps.clear()


def test_an_order_that_kucoin_took_is_answered_without_a_list() -> None:
    wire_lists.check("kucoinfutures", "orders", {"code": "200000", "data": {"orderId": "1", "clientOid": "a"}})
    with pytest.raises(OutcomeUnknown, match=r"data\.items"):
        wire_lists.check("kucoinfutures", "orders", {"code": "200000", "data": None})
    wire_lists.check("binance", "order", {})

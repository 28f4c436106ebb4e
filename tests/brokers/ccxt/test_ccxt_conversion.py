"""Converting dust at OKX and Bybit: what the real ccxt sends there, and how their words are read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio

from brokers.ccxt import wire_conversion
from core.errors import OutcomeUnknown, Refusal, Refused
from core.plans.conversion import Conversion, ConversionOffer, ConversionOutcome, Converted, Converter
from tests.brokers.ccxt.kit import Bodies, broker_at

D = Decimal
AT = datetime(2023, 11, 15, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)

OKX_LIST = {
    "code": "0",
    "msg": "",
    "data": [
        {
            "fromData": [{"fromAmt": "6.580712708344864", "fromCcy": "ADA"}, {"fromAmt": "2.9", "fromCcy": "USDC"}],
            "toCcy": ["BTC", "USDT", "OKB"],
        }
    ],
}
BYBIT_COIN = {"fromCoin": "ADA", "supportConvert": 1, "availableBalance": "0.7", "baseValue": "0.2"}
BYBIT_LIST = {
    "smallAssetCoins": [BYBIT_COIN, {**BYBIT_COIN, "fromCoin": "GBPX", "supportConvert": 2}],
    "supportToCoins": ["MNT", "USDT", "USDC"],
}


def bybit(result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "ok", "result": result, "retExtInfo": {}, "time": MS}


def quote(reference: str, into: str = "USDT", coins: tuple[str, ...] = ("ADA",)) -> dict[str, Any]:
    row = {**BYBIT_COIN, "toCoin": into, "toAmount": "0.196", "feeInfo": {"feeCoin": into, "amount": "0.004"}}
    inner = {"quoteCreateTime": "1", "quoteExpireTime": "2", "exchangeCoins": [{**row, "fromCoin": c} for c in coins]}
    return bybit({"quoteId": reference, "result": inner})


def history(reference: str, status: str) -> dict[str, Any]:
    sub = {"fromCoin": "ADA", "fromAmount": "0.7", "toCoin": "USDT", "toAmount": "0.195", "feeCoin": "USDT"}
    records = [
        {"exchangeTxId": "another", "subRecords": [{**sub, "toAmount": "9", "feeAmount": "9", "status": "success"}]},
        {"exchangeTxId": reference, "status": status, "subRecords": [{**sub, "feeAmount": "0.005", "status": status}]},
    ]
    return bybit({"records": records})


@pytest_asyncio.fixture
async def venue() -> AsyncIterator[Bodies]:
    made = Bodies({})
    await made.start()
    yield made
    await made.stop()


# ------------------------------------------------------------------------------------------------------------- OKX


@pytest_asyncio.fixture
async def okx(venue: Bodies) -> AsyncIterator[Converter]:
    venue.answers["/public/instruments"] = {"code": "0", "msg": "", "data": []}
    venue.answers["/account/balance"] = {
        "code": "0",
        "msg": "",
        "data": [{"details": [], "totalEq": "0", "uTime": "1"}],
    }
    venue.answers["/trade/easy-convert-currency-list"] = OKX_LIST
    broker = broker_at("okx", venue)
    await broker.connect()
    assert broker.converter is not None
    yield broker.converter
    await broker.aclose()


async def test_okx_lists_what_it_takes_and_not_what_it_gives(okx: Converter) -> None:
    assert await okx.conversions(None) == [Conversion("ADA", D("6.580712708344864"), "USDT")]
    assert [c.into for c in await okx.conversions("OKB")] == ["OKB"]
    assert await okx.conversions("OKB", ["SOL"]) == []


async def test_okx_refuses_what_it_does_not_convert_into(okx: Converter) -> None:
    with pytest.raises(Refused, match="BTC, USDT, OKB, not into DOGE") as refused:
        await okx.conversions("DOGE")
    assert refused.value.refusal is Refusal.UNSUPPORTED


async def test_okx_is_sent_names_only_and_finishes_later(okx: Converter, venue: Bodies) -> None:
    row = {"fromCcy": "ADA", "toCcy": "USDT", "fillFromSz": "6.5807127", "fillToSz": "1.9", "uTime": str(MS)}
    venue.answers["/trade/easy-convert"] = {"code": "0", "msg": "", "data": [{**row, "status": "running"}]}
    asked = await okx.conversions(None)
    (pending,) = await okx.convert(asked)
    assert (pending.outcome, pending.gets) == (ConversionOutcome.PENDING, None)
    method, _, sent = venue.asked[-1]
    assert (method, json.loads(sent.removeprefix("&"))) == ("POST", {"fromCcy": ["ADA"], "toCcy": "USDT"})
    row["uTime"] = str(MS - 9000)  # a clock may be off by that much
    rows = [{**row, "status": "filled"}, {**row, "status": "filled", "uTime": str(MS - 60_000), "fillToSz": "7"}]
    rows.append({**row, "status": "filled", "toCcy": "OKB", "fillToSz": "8"})
    venue.answers["/trade/easy-convert-history"] = {"code": "0", "msg": "", "data": rows}
    skew = okx._client.skew  # type: ignore[attr-defined]
    done = await okx.look_up(asked, AT - timedelta(seconds=skew))
    assert done == [Converted("ADA", D("6.5807127"), ConversionOutcome.CONVERTED, D("1.9"))]
    assert await okx.look_up(asked, AT + timedelta(minutes=1) - timedelta(seconds=skew)) == []


# ----------------------------------------------------------------------------------------------------------- Bybit


@pytest_asyncio.fixture
async def at_bybit(venue: Bodies) -> AsyncIterator[Converter]:
    venue.answers["/v5/market/instruments-info"] = bybit({"category": "spot", "list": [], "nextPageCursor": ""})
    venue.answers["/v5/user/query-api"] = bybit({"unified": 1, "uta": 1})
    venue.answers["/v5/account/info"] = bybit({"unifiedMarginStatus": 5})
    venue.answers["/v5/account/wallet-balance"] = bybit({"list": [{"accountType": "UNIFIED", "coin": []}]})
    venue.answers["/small-balance-list"] = bybit(BYBIT_LIST)
    venue.answers["/get-quote"] = quote("q1")
    broker = broker_at("bybit", venue)
    await broker.connect()
    assert broker.converter is not None
    yield broker.converter
    await broker.aclose()


async def test_bybit_offers_by_a_quote_of_what_it_converts(at_bybit: Converter, venue: Bodies) -> None:
    offered = await at_bybit.conversions(None)
    assert offered == [Conversion("ADA", D("0.7"), "USDT", D("0.196"), D("0.004"), "q1")]
    (sent,) = [json.loads(body.removeprefix("&")) for _, path, body in venue.asked if path.endswith("/get-quote")]
    assert sent == {"accountType": "eb_convert_uta", "fromCoinList": ["ADA"], "toCoin": "USDT"}


async def test_bybit_is_sent_the_quote_and_asked_for_its_end(at_bybit: Converter, venue: Bodies) -> None:
    venue.answers["/small-balance-execute"] = bybit({"quoteId": "q1", "exchangeTxId": "q1", "status": "processing"})
    asked = await at_bybit.conversions(None)
    (pending,) = await at_bybit.convert(asked)
    assert pending.outcome is ConversionOutcome.PENDING
    assert json.loads(venue.asked[-1][2].removeprefix("&")) == {"quoteId": "q1"}
    venue.answers["/small-balance-history"] = history("q1", "processing")
    assert [r.outcome for r in await at_bybit.look_up(asked, AT)] == [ConversionOutcome.PENDING]
    assert parse_qs(venue.asked[-1][2])["quoteId"] == ["q1"]
    venue.answers["/small-balance-history"] = history("q1", "success")
    assert await at_bybit.look_up(asked, AT) == [
        Converted("ADA", D("0.7"), ConversionOutcome.CONVERTED, D("0.195"), D("0.005")),
    ]
    venue.answers["/small-balance-history"] = history("q1", "failure")
    (failed,) = await at_bybit.look_up(asked, AT)
    assert (failed.outcome, failed.gets) == (ConversionOutcome.REFUSED, None)


async def test_a_quote_is_of_twenty_coins_at_most(at_bybit: Converter, venue: Bodies) -> None:
    names = [f"C{n:02d}" for n in range(45)]
    coins = [{**BYBIT_COIN, "fromCoin": name} for name in names]
    venue.answers["/small-balance-list"] = bybit({**BYBIT_LIST, "smallAssetCoins": coins})
    asked: list[list[str]] = []

    def answer(_request: Any, form: str) -> dict[str, Any]:
        asked.append(json.loads(form)["fromCoinList"])
        return quote(f"q{len(asked)}", coins=tuple(asked[-1]))

    venue.answers["/get-quote"] = answer
    offered = await at_bybit.conversions(None)
    assert [len(part) for part in asked] == [20, 20, 5]
    assert [c.asset for c in offered] == names
    assert {c.reference for c in offered} == {"q1", "q2", "q3"}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("init", ConversionOutcome.PENDING),
        ("success", ConversionOutcome.PENDING),  # the history has what it gave
        ("failure", ConversionOutcome.REFUSED),
        ("partial_fulfillment", ConversionOutcome.PENDING),
        ("a new word", ConversionOutcome.UNKNOWN),
        ("", ConversionOutcome.UNKNOWN),
    ],
)
def test_bybits_words_are_read_as_what_they_say(status: str, outcome: ConversionOutcome) -> None:
    asked = [Conversion("ADA", D("0.7"), "USDT", reference="q1")]
    (result,) = wire_conversion.bybit_converted(bybit({"status": status}), asked)
    assert result.outcome is outcome


# -------------------------------------------------------------------------------------------------- all of them


def test_the_documented_binance_answers_are_read_as_they_are() -> None:
    offer = {"asset": "ADA", "amountFree": "6.21", "toBNB": "0.01777302", "exchange": "0.00035546"}
    told = {"details": [{**offer, "toBNBOffExchange": "0.01741756"}]}
    silent = {"details": [offer]}
    expected = (Conversion("ADA", D("6.21"), "BNB", D("0.01741756"), D("0.00035546")),)
    assert (
        wire_conversion.binance_listed(told).conversions
        == wire_conversion.binance_listed(silent).conversions
        == expected
    )
    row = {"amount": "0.03", "fromAsset": "ETH", "operateTime": 1, "serviceChargeAmount": "0.005"}
    answer = {"transferResult": [{**row, "transferedAmount": "0.25"}]}
    assert wire_conversion.binance_converted(answer) == [
        Converted("ETH", D("0.03"), ConversionOutcome.CONVERTED, D("0.245"), D("0.005"))
    ]


def test_a_logged_conversion_is_ours_only_from_then_on_and_of_about_that_quantity() -> None:
    asked = [Conversion("LTC", D("0.006"), "BNB")]

    def logged(amount: str, at: int) -> list[Converted]:
        row = {"fromAsset": "LTC", "amount": amount, "transferedAmount": "2", "serviceChargeAmount": "1"}
        body = {"userAssetDribblets": [{"userAssetDribbletDetails": [{**row, "operateTime": str(at)}]}]}
        return wire_conversion.binance_logged(body, asked, AT)

    assert [r.outcome for r in logged("0.006", MS)] == [ConversionOutcome.CONVERTED]
    assert logged("0.006", MS - 1) == []
    assert logged("0.004", MS) == []
    assert wire_conversion.binance_logged({"userAssetDribblets": None}, asked, AT) == []


@pytest.mark.parametrize("body", [None, "", [], {}, {"details": 3}, {"details": ["x"]}, {"details": [{"asset": "A"}]}])
def test_a_list_that_cannot_be_read_is_no_empty_list(body: object) -> None:
    with pytest.raises(OutcomeUnknown):
        wire_conversion.binance_listed(body)


@pytest.mark.parametrize("body", [None, "", {}, {"data": 3}, {"data": [3]}, {"data": [{"status": "filled"}]}])
def test_an_answer_that_cannot_be_read_says_nothing(body: object) -> None:
    with pytest.raises(OutcomeUnknown):
        wire_conversion.okx_converted(body)


def test_a_status_that_okx_never_had_is_unknown() -> None:
    (result,) = wire_conversion.okx_converted({"data": [{"fromCcy": "ADA", "status": "melted"}]})
    assert result.outcome is ConversionOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("exchange", "converts", "way_out"),
    [
        ("binance", True, "BNB"),
        ("okx", True, "OKX"),
        ("bybit", True, "Bybit"),
        ("kraken", False, "app"),
        ("coinbase", False, "no small balances"),
        ("binanceusdm", False, "reduce-only"),
        ("krakenfutures", False, "reduce-only"),
        ("gate", False, ""),
    ],
)
async def test_who_has_a_conversion_and_what_the_others_have_instead(
    venue: Bodies, exchange: str, converts: bool, way_out: str
) -> None:
    broker = broker_at(exchange, venue)
    assert isinstance(broker, ConversionOffer)
    assert (broker.converter is not None) is converts
    assert way_out in broker.way_out

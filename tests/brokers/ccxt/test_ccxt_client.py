"""What became of a request: refused, unreachable or unknown, sent once, without a secret in its text."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import traceback
from datetime import datetime, timedelta
from decimal import Decimal, getcontext
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt.limits import Priority
from core.config.secrets import Secret
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.model import Kind
from tests.brokers.ccxt import bodies
from tests.brokers.ccxt.bodies import usdm
from tests.brokers.ccxt.conftest import Opened
from tests.brokers.ccxt.kit import KEY, SECRET, RealClock, ScriptedClock, soon

ORDER = "fapiPrivatePostOrder"
SYMBOL = {"symbol": "BTCUSDT"}


async def failed(call: Any) -> FlatdeckError:
    with pytest.raises(FlatdeckError) as caught:
        await call
    return caught.value


def dropped(request: web.Request, form: str) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def cut(request: web.Request, form: str) -> web.StreamResponse:
    """Headers that promise more than comes."""
    response = web.StreamResponse(headers={"Content-Length": "500", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"orderId": 1')
    assert request.transport is not None
    request.transport.close()
    return response


def redirect(request: web.Request, form: str) -> web.Response:
    return web.Response(status=307, headers={"Location": "/elsewhere"})


async def test_a_refused_connection_is_unreachable_and_a_dropped_one_unknown(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm(**{"/order": dropped}))
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), OutcomeUnknown)
    await venue.stop()
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), Unreachable)


@pytest.mark.parametrize("what", [cut, "", "<html>busy</html>", '{"orderId": 1', redirect])
async def test_a_truncated_an_empty_or_an_html_body_is_unknown(at: Opened, what: Any) -> None:
    broker, venue = await at("binanceusdm", usdm(**{"/order": what}))
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), OutcomeUnknown)
    assert len(venue.paths("/order")) == 1
    assert venue.paths("/elsewhere") == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_a_server_error_says_nothing_about_an_order(at: Opened, status: int) -> None:
    broken = web.json_response({"code": -1000, "msg": "unknown"}, status=status)
    broker, _ = await at("binanceusdm", usdm(**{"/order": lambda r, f: broken}))
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), OutcomeUnknown)


@pytest.mark.parametrize("method", ["fapiPrivatePostOrder", "fapiPrivateDeleteOrder", "fapiPrivateGetOpenOrders"])
async def test_nothing_is_sent_twice_when_a_kept_connection_dies(at: Opened, method: str) -> None:
    """aiohttp sends what it takes to be idempotent once more by itself, a DELETE among it."""
    broker, venue = await at("binanceusdm", usdm(**{"/order": dropped, "/openOrders": dropped}))
    await broker.client.ask_exchange("fapiPublicGetTime")  # so that there is a kept connection
    assert isinstance(await failed(broker.client.send_action(method, SYMBOL)), OutcomeUnknown)
    assert len(venue.paths("/o")) == 1


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (-2022, Refusal.REDUCE_ONLY),
        (-4118, Refusal.HELD),
        (-4164, Refusal.BELOW_MINIMUM),
        (-1111, Refusal.PRECISION),
        (-2011, Refusal.UNKNOWN_ORDER),
        (-1021, Refusal.CLOCK),
        (-2015, Refusal.AUTH),
        (-4116, Refusal.DUPLICATE),
    ],
)
async def test_a_refusal_keeps_the_exchange_s_code_and_sentence(at: Opened, code: int, refusal: Refusal) -> None:
    said = web.json_response({"code": code, "msg": "No, because of it."}, status=400)
    broker, _ = await at("binanceusdm", usdm(**{"/order": lambda r, f: said}))
    error = await failed(broker.client.send_action(ORDER, SYMBOL))
    assert isinstance(error, Refused)
    assert (error.refusal, error.code, str(error)) == (refusal, str(code), "No, because of it.")


async def test_the_exchange_s_own_time_out_is_unknown_although_it_is_a_400(at: Opened) -> None:
    said = web.json_response({"code": -1007, "msg": "Timeout waiting for response from backend server."}, status=400)
    broker, _ = await at("binanceusdm", usdm(**{"/order": lambda r, f: said}))
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), OutcomeUnknown)


@pytest.mark.parametrize("word", ["EService:Timeout", "EService:Deadline elapsed", "EService:Unavailable"])
async def test_kraken_s_time_out_is_unknown_although_ccxt_raises_it_as_a_refusal(at: Opened, word: str) -> None:
    broker, _ = await at("kraken", {"/AssetPairs": {"error": [], "result": {}}, "/AddOrder": {"error": [word]}})
    assert isinstance(await failed(broker.client.send_action("privatePostAddOrder", {})), OutcomeUnknown)


async def test_a_429_pauses_for_as_long_as_it_says_and_what_waits_is_told_so(at: Opened) -> None:
    limited = web.json_response({"code": -1003, "msg": "Too many"}, status=429, headers={"Retry-After": "30"})
    clock = ScriptedClock()
    broker, venue = await at("binanceusdm", usdm(**{"/order": lambda r, f: limited}), clock=clock)
    error = await failed(broker.client.send_action(ORDER, SYMBOL))
    assert isinstance(error, Refused)
    assert (error.refusal, error.retry_after) == (Refusal.RATE_LIMITED, 30)
    again = await failed(broker.client.send_action(ORDER, SYMBOL))
    assert isinstance(again, Refused)
    assert again.refusal is Refusal.RATE_LIMITED
    assert again.retry_after == pytest.approx(30)
    assert len(venue.paths("/order")) == 1
    clock.at += 31
    await broker.client.ask_exchange("fapiPublicGetTime")


async def test_a_ban_is_told_as_one_and_pauses_every_account_at_the_address(at: Opened) -> None:
    banned = web.json_response(
        {"code": -1003, "msg": "Way too many; IP banned"}, status=418, headers={"Retry-After": "90"}
    )
    clock = ScriptedClock()
    one, venue = await at("binanceusdm", usdm(**{"/order": lambda r, f: banned}), clock=clock)
    other, _ = await at("binanceusdm", {}, clock=clock, endpoint=venue.endpoint)
    elsewhere, _ = await at("binanceusdm", usdm(), clock=clock)
    error = await failed(one.client.send_action(ORDER, SYMBOL))
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.BANNED
    second = await failed(other.client.ask_exchange("fapiPublicGetTime"))
    assert isinstance(second, Refused)
    assert second.refusal is Refusal.BANNED
    await elsewhere.client.ask_exchange("fapiPublicGetTime")


async def test_a_limit_of_an_account_s_own_orders_holds_no_other_account_back(at: Opened) -> None:
    """Binance counts new orders by account (−1015), and everything else by address."""
    limited = web.json_response({"code": -1015, "msg": "Too many new orders; current limit is 50"}, status=400)
    clock = ScriptedClock()
    one, venue = await at("binanceusdm", usdm(**{"/order": lambda r, f: limited}), clock=clock)
    other, _ = await at("binanceusdm", {}, clock=clock, endpoint=venue.endpoint)
    error = await failed(one.client.send_action(ORDER, SYMBOL))
    assert isinstance(error, Refused)
    assert (error.refusal, error.retry_after) == (Refusal.RATE_LIMITED, 5.0)
    before = clock.monotonic()
    await other.client.ask_exchange("fapiPublicGetTime")
    assert clock.monotonic() == before, "it waited for what is not its own"


async def test_a_ban_of_the_address_is_heeded_by_every_account_where_limits_are_an_account_s_own(at: Opened) -> None:
    clock, listed = ScriptedClock(), {"retCode": 0, "result": {"list": []}}
    page = "<html><body>access too frequent</body></html>"
    answers = {"/instruments-info": listed, "/v5/market/time": {"retCode": 0, "result": {"timeNano": "1"}}}
    one, venue = await at("bybit", answers, clock=clock)
    other, _ = await at("bybit", {}, clock=clock, endpoint=venue.endpoint)
    venue.answers["/v5/order/create"] = lambda r, f: web.Response(status=403, text=page, content_type="text/html")
    error = await failed(one.client.send_action("privatePostV5OrderCreate", {}))
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.BANNED
    asked = len(venue.asked)
    second = await failed(other.client.send_action("privatePostV5OrderCreate", {}))
    assert isinstance(second, Refused)
    assert (second.refusal, len(venue.asked)) == (Refusal.BANNED, asked)
    clock.at += 121
    await other.client.ask_exchange("publicGetV5MarketTime")


async def test_a_key_that_is_locked_out_locks_no_other_account_out(at: Opened) -> None:
    clock = ScriptedClock()
    answers = {"/AssetPairs": {"error": [], "result": {}}, "/Balance": {"error": ["EGeneral:Temporary lockout"]}}
    one, venue = await at("kraken", answers, clock=clock)
    other, _ = await at("kraken", {}, clock=clock, endpoint=venue.endpoint)
    error = await failed(one.client.ask_exchange("privatePostBalance"))
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.BANNED
    venue.answers["/Balance"] = {"error": [], "result": {}}
    await other.client.ask_exchange("privatePostBalance")


@pytest.mark.parametrize("wild", [-3600.0, 3600.0])
async def test_one_answer_with_a_date_of_its_own_moves_no_clock(at: Opened, wild: float) -> None:
    clock, apart = RealClock(), [30.0, 30.0, wild, 30.0]

    def dated(request: web.Request, form: str) -> web.Response:
        headers = {"Date": format_datetime(clock.now() + timedelta(seconds=apart.pop(0)), usegmt=True)}
        return web.json_response({"serverTime": 1}, headers=headers)

    broker, _ = await at("binanceusdm", usdm(**{"/fapi/v1/time": dated}), clock=clock)
    broker.client._skews.clear()
    while apart:
        await broker.client.ask_exchange("fapiPublicGetTime")
    assert broker.client.skew == pytest.approx(30, abs=2)


async def test_the_end_of_a_limit_is_told_by_the_exchange_s_clock_and_waited_for_by_it(at: Opened) -> None:
    """By the time of a machine that is behind it would be as far away as that."""
    clock, listed = RealClock(), {"retCode": 0, "result": {"list": []}}

    def limited(request: web.Request, form: str) -> web.Response:
        there = clock.now() + timedelta(minutes=10)
        headers = {"Date": format_datetime(there, usegmt=True)}
        headers["X-Bapi-Limit-Reset-Timestamp"] = str(int(there.timestamp() * 1000) + 400)
        return web.json_response({"retCode": 10006, "retMsg": "Too many visits!"}, headers=headers)

    broker, _ = await at("bybit", {"/instruments-info": listed, "/v5/order/create": limited}, clock=clock)
    broker.client._skews.clear()
    error = await failed(broker.client.send_action("privatePostV5OrderCreate", {}))
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.RATE_LIMITED
    assert error.retry_after is not None
    assert error.retry_after < 3


async def test_no_secret_is_in_an_error(at: Opened) -> None:
    said = {"code": -1, "msg": f"bad key {KEY} and {SECRET}"}
    broker, venue = await at("binanceusdm", usdm(**{"/order": lambda r, f: web.json_response(said, status=400)}))
    told = [await failed(broker.client.send_action(ORDER, SYMBOL))]
    venue.answers["/order"] = dropped
    told.append(await failed(broker.client.send_action(ORDER, SYMBOL)))
    venue.answers["/order"] = web.Response(status=404, text="no")
    told.append(await failed(broker.client.send_action(ORDER, SYMBOL)))
    venue.answers["/openOrders"] = dropped  # of a GET the address has it all
    told.append(await failed(broker.client.ask_exchange("fapiPrivateGetOpenOrders", SYMBOL)))
    await venue.stop()
    told.append(await failed(broker.client.send_action(ORDER, SYMBOL)))
    for error in told:
        for text in (str(error), "".join(traceback.format_exception(error, limit=0))):
            assert KEY not in text
            assert SECRET not in text
            assert "signature" not in text


async def test_what_ccxt_would_not_send_was_not_sent(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm())
    before = len(venue.asked)
    error = await failed(broker.client.send_action("create_order", "NO/PE", "market", "sell", "1"))
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.UNKNOWN_SYMBOL
    assert len(venue.asked) == before


async def test_a_cancelled_call_is_cancelled_and_leaves_the_limiter_as_it_was(at: Opened) -> None:
    async def never(request: web.Request, form: str) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    broker, venue = await at("kraken", {"/AssetPairs": {"error": [], "result": {}}, "/AddOrder": never})
    task = asyncio.create_task(broker.client.send_action("privatePostAddOrder", {}))
    await soon(lambda: venue.paths("/AddOrder"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    venue.answers["/AddOrder"] = {"error": [], "result": {"txid": ["O1"]}}
    async with asyncio.timeout(5):
        assert await broker.client.send_action("privatePostAddOrder", {})


async def test_numbered_requests_arrive_one_at_a_time_in_the_order_of_their_numbers(at: Opened) -> None:
    under_way, most, numbers = 0, 0, []

    async def slow(request: web.Request, form: str) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        numbers.append(int(form.partition("nonce=")[2].partition("&")[0]))
        await asyncio.sleep(0.01)
        under_way -= 1
        return web.json_response({"error": [], "result": {}})

    broker, _ = await at("kraken", {"/AssetPairs": {"error": [], "result": {}}, "/Balance": slow})
    await asyncio.gather(*(broker.client.ask_exchange("privatePostBalance") for _ in range(8)))
    assert most == 1
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 8


async def test_numbered_requests_that_are_given_up_together_leave_the_way_to_the_next(at: Opened) -> None:
    """As the lists of one read are when it takes too long, or when the program ends it."""

    async def never(request: web.Request, form: str) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    broker, venue = await at("kraken", {"/AssetPairs": {"error": [], "result": {}}, "/Balance": never})
    read = asyncio.gather(*(broker.client.ask_exchange("privatePostBalance") for _ in range(3)))
    await soon(lambda: venue.paths("/Balance"))
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read
    venue.answers["/Balance"] = {"error": [], "result": {}}
    async with asyncio.timeout(2):
        await broker.client.ask_exchange("privatePostBalance")


async def test_an_order_does_not_wait_for_the_answer_to_a_numbered_read(at: Opened) -> None:
    numbers = []

    def number(form: str) -> None:
        numbers.append(int(form.partition("nonce=")[2].partition("&")[0]))

    async def slow(request: web.Request, form: str) -> web.Response:
        number(form)
        await asyncio.sleep(2 if len(numbers) == 1 else 0)
        return web.json_response({"error": [], "result": {}})

    def taken(request: web.Request, form: str) -> dict[str, Any]:
        number(form)
        return {"error": [], "result": {"txid": ["O1"]}}

    answers = {"/AssetPairs": {"error": [], "result": {}}, "/Balance": slow, "/AddOrder": taken}
    broker, venue = await at("kraken", answers)
    reads = asyncio.gather(*(broker.client.ask_exchange("privatePostBalance") for _ in range(2)))
    await soon(lambda: venue.paths("/Balance"))
    async with asyncio.timeout(1.8):
        await broker.client.send_action("privatePostAddOrder", {})
    assert len(venue.paths("/Balance")) == 1
    await reads
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 3


async def test_a_refusal_over_the_clock_makes_ccxt_learn_the_difference(at: Opened) -> None:
    late = web.json_response(
        {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, status=400
    )
    broker, venue = await at("binanceusdm", usdm(**{"/order": lambda r, f: late}))
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), Refused)
    venue.answers["/order"] = {"orderId": 1}
    await broker.client.send_action(ORDER, SYMBOL)
    assert [p for p in venue.paths() if p.endswith(("/time", "/order"))][1].endswith("/time")
    assert broker.client.exchange.options["timeDifference"] != 0


async def test_an_order_does_not_wait_for_a_time_that_is_never_told(
    at: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hanging(request: web.Request, form: str) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    late = web.json_response(
        {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, status=400
    )
    broker, venue = await at("binanceusdm", usdm(**{"/order": lambda r, f: late, "/time": hanging}))
    monkeypatch.setattr("brokers.ccxt.client.PROMPT", 20)
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), Refused)
    venue.answers["/order"] = {"orderId": 1}
    async with asyncio.timeout(5):
        await broker.client.send_action(ORDER, SYMBOL)
    assert [p for p in venue.paths() if p.endswith(("/time", "/order"))][1].endswith("/time")


class Slow(RealClock):
    """The machine's time, and what has passed of it while an answer was on its way."""

    passed = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return super().monotonic() + self.passed


async def test_a_time_that_was_long_on_its_way_is_no_time_to_sign_by(at: Opened) -> None:
    """It would be signed as far in the past for a minute, and refused for it each time."""
    clock, late = Slow(), {"code": -1021, "msg": "Timestamp is outside of the recvWindow."}
    answers = usdm(**{"/order": lambda r, f: web.json_response(late, status=400)})
    broker, venue = await at("binanceusdm", answers, clock=clock)

    def slowly(request: web.Request, form: str) -> dict[str, int]:
        told = int(clock.now().timestamp() * 1000)
        clock.passed += 6.0
        return {"serverTime": told}

    venue.answers["/fapi/v1/time"] = slowly
    for _ in range(2):
        assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), Refused)
    assert len(venue.paths("/time")) == 1
    assert broker.client.exchange.options["timeDifference"] == 0
    clock.passed += 6.0
    venue.answers["/fapi/v1/time"] = lambda r, f: {"serverTime": int(clock.now().timestamp() * 1000) - 3000}
    await failed(broker.client.send_action(ORDER, SYMBOL))
    assert broker.client.exchange.options["timeDifference"] == pytest.approx(3000, abs=500)


async def test_the_time_that_an_order_is_signed_by_is_asked_before_what_only_reads(at: Opened) -> None:
    late = web.json_response({"code": -1021, "msg": "Timestamp is outside of the recvWindow."}, status=400)
    clock = ScriptedClock()
    broker, venue = await at("binanceusdm", usdm(**{"/order": lambda r, f: late}), clock=clock)
    assert isinstance(await failed(broker.client.send_action(ORDER, SYMBOL)), Refused)
    venue.answers["/order"] = {"orderId": 1}
    limiter = broker.client.limiters[1]
    await limiter.acquire(limiter.left - 1, Priority.LOOK_UP)
    before = clock.at
    await broker.client.send_action(ORDER, SYMBOL)
    assert venue.paths("/time")
    assert clock.at == before


async def test_aclose_really_closes_and_connecting_again_works(at: Opened) -> None:
    broker, _ = await at("binanceusdm", usdm(), stream_endpoint="")
    await broker.holdings()
    inner = broker.client._session._inner
    await broker.aclose()
    assert inner.closed
    assert inner.connector is None or inner.connector.closed
    assert isinstance(await failed(broker.client.ask_exchange("fapiPublicGetTime")), Unreachable)
    await broker.aclose()
    await broker.connect()
    assert len((await broker.holdings()).positions) == 1


async def test_two_accounts_of_an_exchange_load_its_markets_once(at: Opened) -> None:
    clock = RealClock()
    one, venue = await at("binanceusdm", usdm(), clock=clock)
    other, _ = await at("binanceusdm", {}, clock=clock, endpoint=venue.endpoint)
    assert len(venue.paths("/exchangeInfo")) == 1
    assert (await other.holdings()).positions[0].symbol == "BTC/USDT:USDT"
    assert one.client.exchange.markets is other.client.exchange.markets
    assert one.client.exchange is not other.client.exchange


async def test_markets_that_could_not_be_loaded_are_loaded_by_the_next_who_asks(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm(**{"/exchangeInfo": "<html>"}), connect=False)
    del venue.answers["/fapi/v1/exchangeInfo"]
    assert isinstance(await failed(broker.connect()), OutcomeUnknown)
    venue.answers |= usdm()
    await broker.connect()
    assert "BTC/USDT:USDT" in broker.markets


async def test_every_host_of_an_exchange_is_under_the_endpoint_by_its_first_label(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm(), stream_endpoint="ws://127.0.0.1:9")
    urls = broker.client.exchange.urls["api"]
    assert urls["fapiPublic"] == f"{venue.endpoint}/fapi/fapi/v1"
    assert urls["ws"]["linear"] == "ws://127.0.0.1:9/fstream/ws"
    assert not [u for u in _texts(urls) if "binance.com" in u]


def _texts(urls: Any) -> list[str]:
    return [text for value in urls.values() for text in _texts(value)] if isinstance(urls, dict) else [str(urls)]


async def test_a_credential_that_is_not_there_is_a_refused_login(at: Opened) -> None:
    broker, venue = await at("binanceusdm", usdm(), connect=False, api_key="env:NOT_THERE")
    error = await failed(broker.connect())
    assert isinstance(error, Refused)
    assert error.refusal is Refusal.AUTH
    assert venue.asked == []


async def test_an_exchange_that_ccxt_does_not_have_is_refused_in_a_sentence(at: Opened) -> None:
    broker, _ = await at("nosuchexchange", {}, connect=False)
    assert "no exchange that ccxt knows" in str(await failed(broker.connect()))


@pytest.mark.parametrize("exchange", ["kraken", "coinbase", "kucoinfutures"])
async def test_a_sandbox_that_there_is_not_is_refused_in_a_sentence(
    at: Opened, exchange: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broker, venue = await at(exchange, {}, connect=False, sandbox=True)
    error = await failed(broker.connect())
    assert isinstance(error, Refused)
    assert "no test system" in str(error)
    assert isinstance(await failed(broker.client.ask_exchange("fetch_time")), Unreachable)
    assert venue.asked == []
    assert capsys.readouterr() == ("", "")


async def test_where_ccxt_cannot_say_that_an_order_only_reduces_nothing_relies_on_it(at: Opened) -> None:
    """Its order goes out all the same, and one that came too late would open a position."""
    perp = {"symbol": "RUNEUSD-PERP", "inst_type": "PERPETUAL_SWAP", "base_ccy": "RUNE", "quote_ccy": "USD"}
    steps = {"price_tick_size": "0.001", "qty_tick_size": "0.1", "tradable": True, "contract_size": "1"}
    listed = {"code": 0, "result": {"data": [{**perp, **steps, "expiry_timestamp_ms": 0}]}}
    broker, _ = await at("cryptocom", {"/public/get-instruments": listed})
    made = broker.markets.instrument("RUNE/USD:USD")
    assert (made.kind, made.reduce_only) == (Kind.PERP, False)
    asked = broker.client.exchange.create_order_request(
        "RUNE/USD:USD", "market", "sell", "1", None, {"reduceOnly": True}
    )
    assert "exec_inst" not in asked


async def test_a_sandbox_that_is_a_word_in_each_request_is_one(at: Opened) -> None:
    """Bitget's demo has the addresses of the real one."""
    told: list[str | None] = []

    def settings(request: web.Request, form: str) -> dict[str, Any]:
        told.append(request.headers.get("PAPTRADING"))
        return {"code": "00000", "msg": "success", "data": {}}

    broker, _ = await at("bitget", {"/account/settings": settings}, connect=False, sandbox=True)
    await broker.client.open({name: Secret("s") for name in ("apiKey", "secret", "password")})
    assert await broker.client.ask_exchange("privateUtaGetV3AccountSettings")
    assert told == ["1"]


async def test_what_kind_of_account_it_is_is_asked_again_after_it_could_not_be_told(at: Opened) -> None:
    """ccxt takes a unified one for a classic one from then on, whose calls Bitget refuses it."""
    told = {"code": "00000", "msg": "success", "data": []}
    markets = dict.fromkeys(("/contracts", "/symbols", "/currencies", "/instruments"), told)
    answers = {**markets, "/account/settings": web.Response(status=502)}
    broker, venue = await at("bitget", answers, connect=False)
    assert isinstance(await failed(broker.connect()), OutcomeUnknown)
    venue.answers["/account/settings"] = told
    await broker.connect()
    assert broker.client.exchange.options["uta"] is True


async def test_a_host_without_a_name_is_unreachable(at: Opened) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    broker, _ = await at("binanceusdm", {}, connect=False, endpoint=f"http://127.0.0.1:{port}")
    assert isinstance(await failed(broker.connect()), Unreachable)


async def test_importing_ccxt_leaves_the_process_as_it_was() -> None:
    """Its own import would switch another compression on for every connection of aiohttp's."""
    code = (
        "import asyncio, sys, aiohttp.http_writer, aiohttp.compression_utils as c;"
        "before = asyncio.get_event_loop_policy().__class__, c.ZLibBackend._zlib_backend;"
        "from brokers.ccxt import lazy_import; made = lazy_import.load('binanceusdm');"
        "after = asyncio.get_event_loop_policy().__class__, c.ZLibBackend._zlib_backend;"
        "assert before == after and 'aiohttp_fast_zlib' not in sys.modules;"
        "assert not [m for m in sys.modules if m.startswith('ccxt.pro.kraken')];"
        "import ccxt; assert issubclass(ccxt.NetworkError, ccxt.BaseError) and made().id == 'binanceusdm'"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def test_an_exchange_found_by_the_whole_import_is_the_same_class() -> None:
    code = "import ccxt.pro; from brokers.ccxt import lazy_import; assert lazy_import.load('okx') is ccxt.pro.okx"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def test_closing_never_raises_before_anything_was_opened(at: Opened) -> None:
    broker, _ = await at("binanceusdm", {}, connect=False)
    await broker.aclose()
    with contextlib.suppress(Unreachable):
        await broker.client.open({"apiKey": Secret("k" * 8)})


async def test_markets_are_loaded_anew_beside_the_reads_and_the_old_ones_serve_meanwhile(at: Opened) -> None:
    clock = ScriptedClock()
    broker, venue = await at("binanceusdm", usdm(), clock=clock)
    gate = asyncio.Event()

    async def slow(request: web.Request, form: str) -> web.Response:
        await gate.wait()
        return web.json_response({"symbols": [{**bodies.USDM_BTC, "status": "SETTLING"}]})

    venue.answers["/fapi/v1/exchangeInfo"] = slow
    clock.at += 4000
    for _ in range(3):
        assert (await broker.holdings()).instruments[0].tradable
    gate.set()
    await soon(lambda: len(venue.paths("/exchangeInfo")) == 2)
    async with asyncio.timeout(5):
        while (await broker.holdings()).instruments[0].tradable:  # noqa: ASYNC110  # a read takes them up
            await asyncio.sleep(0.01)
    assert len(venue.paths("/exchangeInfo")) == 2


async def test_prices_do_not_take_an_account_s_own_calls_away(at: Opened) -> None:
    """Kraken counts what is signed by account; its tickers are counted apart."""
    clock = ScriptedClock()
    ticker: dict[str, Any] = {"error": [], "result": {}}
    broker, _ = await at("kraken", {"/AssetPairs": ticker, "/Ticker": ticker, "/Balance": ticker}, clock=clock)
    for _ in range(60):
        await broker.client.ask_exchange("publicGetTicker")
    before = clock.at
    await broker.client.ask_exchange("privatePostBalance")
    assert clock.at == before


@pytest.mark.parametrize(("amount", "rounded"), [("1.23456", "1.234"), ("0.0000001", "0")])
async def test_ccxt_rounds_without_changing_how_everybody_else_does(at: Opened, amount: str, rounded: str) -> None:
    broker, _ = await at("binanceusdm", usdm())
    exchange = broker.client.exchange
    before = getcontext().copy()
    assert exchange.decimal_to_precision(amount, 0, 0.001, exchange.precisionMode) == rounded
    assert (getcontext().rounding, getcontext().traps) == (before.rounding, before.traps)
    assert round(Decimal("0.125"), 2) == Decimal("0.12")

"""The adapter at a loopback venue: complete reads, orders that may be sent and those that never are, look-ups."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import aiohttp
import pytest

from brokers.alpaca.broker import AlpacaBroker, open_account, read_options
from core.errors import ConfigError, FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.model import Kind, OrderStatus, OrderType, Position, Side, Tier, TimeInForce
from tests.brokers.alpaca.kit import ACCOUNT, PUT, broker_at, request, settings, soon
from tests.venues.alpaca.clocks import FastClock
from tests.venues.alpaca.desk import ENV
from tests.venues.alpaca.schema import PATH
from tests.venues.alpaca.server import KEY, SECRET, AlpacaVenue


async def position(broker: AlpacaBroker, symbol: str) -> Position:
    return next(p for p in (await broker.holdings()).positions if p.symbol == symbol)


async def refused(call: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await call  # type: ignore[misc]  # a coroutine of any kind
    return caught.value


def test_the_venue_checks_its_bodies_against_the_published_schema(venue: AlpacaVenue) -> None:
    if not PATH.exists():
        pytest.skip(f"{PATH.name} is not at hand: the loopback venue's bodies are checked against nothing")
    assert venue.rest.schema is not None
    row = {"id": "x", "status": 5}
    assert list(venue.rest.schema.faults("Position", row))
    assert venue.rest.schema.faults("Order", {"legs": [{}]})


# ------------------------------------------------------------------------------------------------------ reading


async def test_every_page_of_open_orders_is_read_though_many_came_in_the_same_moment(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    start = venue.clock.now()
    for n in range(1207):
        order = venue.truth.rest("AAPL", "1")
        order.submitted_at = start + timedelta(milliseconds=n // 300)
    read = await broker.holdings()
    assert len({o.id for o in read.orders}) == len(read.orders) == 1207
    assert len(venue.rest.sent("GET", "/v2/orders")) == 4


async def test_a_list_of_orders_that_cannot_be_told_apart_is_an_error_and_never_cut(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    moment = venue.clock.now()
    for _ in range(600):
        venue.truth.rest("AAPL", "1").submitted_at = moment
    with pytest.raises(OutcomeUnknown, match="does not end after 500"):
        await broker.holdings()


async def test_the_legs_of_a_bracket_are_orders_of_their_own(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10")
    parent = venue.truth.rest("AAPL", "10", status="partially_filled")
    for kind in ("limit", "stop"):
        leg = venue.truth.rest("AAPL", "10", status="held", type=kind, stop=Decimal(90) if kind == "stop" else None)
        leg.parent, leg.shares_with = parent.id, parent.id
    read = await broker.holdings()
    assert sorted(o.type.value for o in read.orders) == ["limit", "limit", "stop"]
    assert {o.status for o in read.orders} == {OrderStatus.OPEN}


async def test_closes_that_read_at_once_share_their_reads(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10")
    first = asyncio.create_task(broker.holdings())
    await asyncio.sleep(0)
    rest = [asyncio.create_task(broker.holdings()) for _ in range(58)]
    reads = await asyncio.gather(first, *rest)
    assert len({r.asked for r in reads}) <= 2
    assert len(venue.rest.sent("GET", "/v2/positions")) <= 2


async def test_an_unreadable_position_makes_the_list_an_error(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.odd_rows.append({"symbol": "AAPL", "qty": "a lot", "odd": 1})
    with pytest.raises(OutcomeUnknown, match=r"cannot be read \(AAPL\)"):
        await broker.holdings()


async def test_instruments_have_the_venues_rules(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.untradable.add("GONE")
    venue.truth.hold("GONE", "10", price="0.5")
    venue.truth.hold("ETH/BTC", "1", price="0.05")
    venue.truth.hold(PUT, "1")
    venue.truth.hold("QCOM1260220P00145000", "1", price="5", multiplier=150)  # adjusted after a split
    found = {i.symbol: i for i in (await broker.holdings()).instruments}
    assert (found["GONE"].tradable, found["GONE"].tick) == (False, Decimal("0.0001"))
    assert found["GONE"].way_out
    eth = found["ETH/BTC"]
    assert (eth.kind, eth.quote, eth.step, eth.min_quantity) == (Kind.SPOT, "BTC", Decimal("0.0001"), Decimal("0.0001"))
    assert (found[PUT].kind, found[PUT].multiplier, found[PUT].tiers) == (Kind.OPTION, 100, (Tier.VENUE_CLOSE,))
    assert found["QCOM1260220P00145000"].multiplier == 150
    assert (await broker.rates(["BTC"])) == {}
    venue.truth.prices["BTC/USD"] = (Decimal(50000), Decimal(50001))
    assert (await broker.rates(["BTC"])) == {"BTC": "50000"}


async def test_the_rules_of_many_shares_are_one_request_and_only_the_first_read_waits_for_them(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    for n in range(59):
        venue.truth.hold(f"S{n}", "1")
    venue.truth.untradable.add("S7")
    found = {i.symbol: i.tradable for i in (await broker.holdings()).instruments}
    assert [s for s, tradable in found.items() if not tradable] == ["S7"]
    assert [a.query.get("asset_class") for a in venue.rest.sent("GET", "/v2/assets")] == ["us_equity"]
    venue.truth.hold("NEW", "1")
    venue.fault("GET", "/v2/assets/NEW", "hang")
    async with asyncio.timeout(1):
        assert len((await broker.holdings()).positions) == 60
    await soon(lambda: venue.rest.sent("GET", "/v2/assets/NEW"))


async def test_a_stub_quote_of_one_exchange_is_no_price(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    """A bid of a cent beside an ask of 199 would make dust of a position that is worth 1,100 dollars."""
    venue.truth.hold("AAPL", "10", price="110")
    await broker.holdings()
    venue.truth.prices["AAPL"] = (Decimal("0.01"), Decimal(199))
    [quote] = await broker.quotes(["AAPL"])
    assert (quote.bid, quote.ask, quote.mark) == (None, None, Decimal(110))


# ------------------------------------------------------------------------------------------------------ sending


async def test_no_plain_order_is_sent_for_an_option(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold(PUT, "8")
    for send in (broker.submit, broker.submit_direct):
        assert (await refused(send(request(PUT, "8")))).refusal is Refusal.UNSUPPORTED
    await broker.holdings()
    assert (await refused(broker.submit(request(PUT, "8")))).refusal is Refusal.UNSUPPORTED
    assert venue.rest.sent("POST") == []


async def test_the_venue_refuses_a_plain_sell_of_a_long_put_as_in_life(venue: AlpacaVenue) -> None:
    """What the adapter never does: 8 puts at 145 need 116,000 dollars, and there are 46,296."""
    venue.truth.hold(PUT, "8")
    body = {"symbol": PUT, "qty": "8", "side": "sell", "type": "market", "time_in_force": "day"}
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    async with aiohttp.ClientSession(venue.endpoint, headers=headers) as session:
        async with session.post("/v2/orders", json=body) as answer:
            said = await answer.json()
        assert answer.status == 403
        assert said["message"] == "insufficient options buying power for cash-secured put"
        assert (said["cost_basis"], said["options_buying_power"]) == ("116000", "46296")
        async with session.delete(f"/v2/positions/{PUT}") as answer:
            assert answer.status == 200
    assert venue.truth.violations == [f"a plain sell order was sent for the option {PUT}"]
    venue.truth.violations.clear()


async def test_a_close_asks_for_the_quantity_that_is_free(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10.5")
    venue.truth.rest("AAPL", "4")
    order = await broker.close_position(await position(broker, "AAPL"), "fdignored")
    assert (order.quantity, order.client_id) == (Decimal("6.5"), None)
    assert venue.rest.sent("DELETE")[0].query == {"qty": "6.5"}


async def test_each_refusal_of_a_close_has_its_name(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10")
    held = await position(broker, "AAPL")
    resting = venue.truth.rest("AAPL", "10")
    said = await refused(broker.close_position(held, "x"))
    assert said.refusal is Refusal.HELD
    assert str(said).endswith(f"(requested: 10, available: 0) (held by order {resting.id})")
    del venue.truth.holdings["AAPL"]
    assert (await refused(broker.close_position(held, "x"))).refusal is Refusal.NO_POSITION


async def test_429_says_how_long(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.manners.limit = 3
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    async with aiohttp.ClientSession(venue.endpoint, headers=headers) as another:  # with the same keys
        for _ in range(3):
            await another.get("/v2/clock")
    said = await refused(broker.client.get("/v2/clock"))
    assert (said.refusal, str(said)) == (Refusal.RATE_LIMITED, "rate limit exceeded")
    assert said.retry_after is not None
    assert 50 < said.retry_after <= 62
    again = await refused(broker.client.get("/v2/clock"))
    assert again.refusal is Refusal.RATE_LIMITED
    assert len(venue.rest.audit) == 4  # what is certain to be refused is not sent


async def test_protective_stops_are_for_whole_shares_only(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10")
    stop = {"type": OrderType.STOP, "trigger": Decimal(90), "tif": TimeInForce.GTC}
    venue.manners.open = False  # it may rest while the market is closed
    order = await broker.submit(request("AAPL", "10", **stop))
    assert (order.type, order.trigger, order.tif, order.client_id) == (
        OrderType.STOP,
        Decimal(90),
        TimeInForce.GTC,
        "fdtest",
    )
    for symbol, quantity in (("AAPL", "1.5"), ("BTC/USD", "1"), (PUT, "1")):
        said = await refused(broker.submit(request(symbol, quantity, client_id="fdother", **stop)))
        assert said.refusal is Refusal.UNSUPPORTED, symbol


async def test_a_client_id_is_taken_once_and_found_again(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10")
    first = await broker.submit(request("AAPL", "4"))
    assert (await refused(broker.submit(request("AAPL", "4")))).refusal is Refusal.DUPLICATE
    found = await broker.find_order("AAPL", client_id="fdtest")
    assert found is not None
    assert found.id == first.id
    assert await broker.find_order("AAPL", client_id="fdnone") is None
    assert await broker.find_order("AAPL", order_id="none") is None


async def test_many_look_ups_of_a_moment_are_one_request(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    orders = [venue.truth.rest("AAPL", "1") for _ in range(59)]
    found = await asyncio.gather(*(broker.find_order("AAPL", order_id=o.id) for o in orders))
    assert [o.id for o in found if o] == [o.id for o in orders]
    assert len(venue.rest.sent("GET", "/v2/orders")) == 1


async def test_executions_come_from_the_activities_and_as_long_as_those_lag_from_the_orders(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    venue.truth.hold("AAPL", "10", price="110")
    venue.manners.activities_lag = 20.0
    since = venue.clock.now() - timedelta(seconds=2)
    order = await broker.close_position(await position(broker, "AAPL"), "x")
    await soon(lambda: not venue.truth.holdings)
    [early] = await broker.fills("AAPL", since)
    await soon(lambda: venue.truth.executions)
    [late] = await broker.fills("AAPL", since)
    for fill in (early, late):
        assert (fill.order_id, fill.quantity, fill.price) == (order.id, Decimal(10), Decimal(110))
    assert late.trade_id == venue.truth.executions[0]["id"]
    assert await broker.fills("MSFT", since) == []


async def test_a_cancel_of_what_is_gone_says_so(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10")
    resting = venue.truth.rest("AAPL", "4")
    [order] = (await broker.holdings()).orders
    await broker.cancel(order)
    await soon(lambda: resting.status == "canceled")
    assert 'already in "canceled" state' in str(await refused(broker.cancel(order)))
    del venue.truth.orders[resting.id]
    assert (await refused(broker.cancel(order))).refusal is Refusal.UNKNOWN_ORDER


# ---------------------------------------------------------------------------------------------- what goes wrong


async def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    with AlpacaVenue() as venue:
        broker = broker_at(venue, endpoint="http://127.0.0.1:9")
        await broker.connect()
        for call in (broker.holdings(), broker.submit(request("AAPL", "1"))):
            with pytest.raises(Unreachable, match=r"cannot be reached at 127\.0\.0\.1"):
                await call
        await broker.aclose()
        with pytest.raises(Unreachable, match="not connected"):
            await broker.holdings()


@pytest.mark.parametrize("do", ["504", "503", "drop", "empty", "garbage", "302", "408"])
async def test_an_answer_that_says_nothing_is_an_unknown_outcome_and_sent_once(
    venue: AlpacaVenue, broker: AlpacaBroker, do: str
) -> None:
    venue.truth.hold("AAPL", "10")
    held = await position(broker, "AAPL")
    resting = venue.truth.rest("AAPL", "1")
    [order] = (await broker.holdings()).orders
    venue.fault("POST", "/v2/orders", do, times=5)
    venue.fault("DELETE", "/v2/positions", do, times=5)
    for call in (broker.submit(request("AAPL", "1")), broker.close_position(held, "x")):
        with pytest.raises(OutcomeUnknown):
            await call
    if do not in ("empty", "garbage"):  # a cancel's answer is empty anyway
        venue.fault("DELETE", "/v2/orders", do, times=5)
        with pytest.raises(OutcomeUnknown):
            await broker.cancel(order)
        assert len(venue.rest.sent("DELETE", f"/v2/orders/{resting.id}")) == 1
    assert (len(venue.rest.sent("POST")), len(venue.rest.sent("DELETE", "/v2/positions"))) == (1, 1)


async def test_a_read_that_fails_is_never_an_empty_account(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    for do, body in (("500", ""), ("empty", ""), ("200", '{"message": "ok"}'), ("200", "null"), ("404", "{}")):
        venue.fault("GET", "/v2/positions", do, body=body)
        with pytest.raises(FlatdeckError):
            await broker.holdings()


async def test_a_question_is_asked_once_more_on_a_connection_that_had_died(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    venue.fault("GET", "/v2/clock", "drop")
    assert (await broker.client.get("/v2/clock"))["is_open"]
    venue.fault("GET", "/v2/clock", "drop", times=2)
    with pytest.raises(OutcomeUnknown, match="no answer from Alpaca"):
        await broker.client.get("/v2/clock")


async def test_an_order_of_crypto_that_is_called_as_its_position_is_the_same(
    venue: AlpacaVenue, broker: AlpacaBroker
) -> None:
    venue.manners.no_assets = True
    venue.truth.hold("BTC/USD", "0.5")
    held = await position(broker, "BTC/USD")
    venue.fault("DELETE", "/v2/positions", "200", body='{"id": "1", "symbol": "BTCUSD", "status": "new", "qty": "0.5"}')
    assert (await broker.close_position(held, "x")).symbol == "BTC/USD"


async def test_an_answer_about_another_symbol_is_none(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("AAPL", "10")
    held = await position(broker, "AAPL")
    venue.fault("DELETE", "/v2/positions", "200", body='{"id": "1", "symbol": "MSFT", "status": "new"}')
    with pytest.raises(OutcomeUnknown, match="asked was for AAPL"):
        await broker.close_position(held, "x")


async def test_check_tells_a_clock_that_is_off(venue: AlpacaVenue) -> None:
    behind = FastClock(start=venue.clock.now() - timedelta(seconds=60))
    broker = AlpacaBroker(broker_at(venue).account, read_options(settings(venue)), behind, ENV)
    await broker.connect()
    checks = {c.name: c for c in await broker.check()}
    await broker.aclose()
    assert checks["clock"].ok is False
    assert "s apart" in checks["clock"].text


def test_what_is_missing_in_the_configuration_is_named() -> None:
    with AlpacaVenue() as venue:
        for key in ("api_key", "secret"):
            with pytest.raises(ConfigError, match=f"^account {ACCOUNT}: {key} is missing"):
                open_account(settings(venue, **{key: None}), None, venue.clock)
        with pytest.raises(ConfigError, match='feed must be iex or sip, not "nasdaq"'):
            open_account(settings(venue, feed="nasdaq"), None, venue.clock)


def test_without_an_endpoint_the_hosts_are_alpacas_own() -> None:
    with AlpacaVenue() as venue:
        real = open_account(settings(), None, venue.clock).options.hosts
        paper = open_account(settings(paper=True), None, venue.clock).options.hosts
        own = open_account(settings(endpoint="http://127.0.0.1:1/"), None, venue.clock).options.hosts
    assert (real.rest, real.stream) == ("https://api.alpaca.markets", "wss://api.alpaca.markets")
    assert (paper.rest, paper.stream) == ("https://paper-api.alpaca.markets", "wss://paper-api.alpaca.markets")
    assert (paper.data, paper.prices) == ("https://data.alpaca.markets", "wss://stream.data.alpaca.markets")
    assert (own.rest, own.data, own.stream, own.prices) == ("http://127.0.0.1:1", "http://127.0.0.1:1", "", "")


async def test_a_short_is_bought_back(venue: AlpacaVenue, broker: AlpacaBroker) -> None:
    venue.truth.hold("TSLA", "-2")
    held = await position(broker, "TSLA")
    assert (held.side, held.quantity, held.free) == (Side.SHORT, 2, 2)
    order = await broker.close_position(held, "x")
    assert order.side.value == "buy"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import brokers, core.config.load, tui.main", {"aiohttp", "alpaca", "pandas"}),
        ("import brokers.alpaca.broker as b; b._hosts({'endpoint': 'http://x'})", {"alpaca", "pandas"}),
        ("import brokers.alpaca.broker as b; b._hosts({})", {"pandas", "requests", "websockets"}),
    ],
)
def test_libraries_are_imported_on_first_use_and_the_slow_ones_never(code: str, absent: set[str]) -> None:
    asked = f"import sys; {code}; print([m for m in {sorted(absent)} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

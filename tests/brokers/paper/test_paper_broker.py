"""The paper account as a Broker: what its answers, its latency and its stream are like."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from brokers import open_broker
from core.errors import ConfigError, Refused
from core.events import FillSeen, PositionSeen, QuoteSeen
from core.model import OrderStatus, Tier
from tests.brokers.paper.kit import (
    DAWN,
    GTC,
    LIMIT,
    SELL,
    D,
    HandClock,
    ask,
    book,
    held,
    listen,
    make_broker,
    opened,
    settings,
)


async def test_holdings_are_complete_with_instruments_and_free_quantities():
    broker = make_broker()
    await broker.submit(ask("0.5", type=LIMIT, tif=GTC, price=D(110), client_id="a"))
    read = await broker.holdings()
    assert [(p.quantity, p.free) for p in read.positions] == [(D(2), D("1.5"))]
    assert [o.client_id for o in read.orders] == ["a"]
    assert [i.symbol for i in read.instruments] == ["BTC"]
    assert read.received - read.asked == pytest.approx(0.05)


async def test_a_request_executes_after_half_of_the_latency_and_answers_after_all_of_it():
    broker = make_broker(latency=1.0)
    sending = asyncio.create_task(broker.submit(ask("1")))
    await asyncio.sleep(0.4)
    assert held(broker.venue) == 2
    await asyncio.sleep(0.2)
    broker.venue.advance()
    assert held(broker.venue) == 1
    assert not sending.done()
    await sending
    (fill,) = await broker.fills("BTC", DAWN)
    assert fill.at == DAWN + timedelta(seconds=0.5)


async def test_a_request_that_has_left_executes_although_its_sender_stopped_waiting():
    broker = make_broker(latency=1.0)
    sending = asyncio.create_task(broker.submit(ask("1", client_id="a")))
    await asyncio.sleep(0.1)
    sending.cancel()
    assert held(broker.venue) == 2
    await asyncio.sleep(1)
    found = await broker.find_order("BTC", client_id="a")
    assert found is not None
    assert found.status is OrderStatus.FILLED


async def test_an_order_is_found_by_either_id_and_only_in_its_symbol():
    broker = make_broker()
    order = await broker.submit(ask("1", client_id="a"))
    assert await broker.find_order("BTC", client_id="a") == order
    assert await broker.find_order("BTC", order_id=order.id) == order
    assert await broker.find_order("ETH", order_id=order.id) is None


async def test_fills_are_those_of_the_symbol_since_the_time():
    broker = make_broker()
    await broker.submit(ask("1"))
    assert len(await broker.fills("BTC", DAWN)) == 1
    assert await broker.fills("BTC", DAWN + timedelta(hours=1)) == []
    assert await broker.fills("ETH", DAWN) == []


async def test_all_tiers_are_offered_and_a_request_expires_after_two_seconds_and_its_latency():
    capabilities = make_broker(latency=0.5).capabilities
    assert capabilities.tiers == frozenset(Tier)
    assert capabilities.request_expiry == 2.5
    assert capabilities.position_lag == 1


async def test_the_stream_repeats_quotes_each_second_although_they_are_frozen():
    events, _ = await listen(make_broker(), 10)
    times = [e.quote.received for e in events if isinstance(e, QuoteSeen)]
    assert len(times) >= 9
    assert max(b - a for a, b in pairwise(times)) <= 1


async def test_the_stream_tells_of_fills_when_they_happen_and_that_nothing_is_left():
    broker = make_broker()

    async def trade():
        broker.venue.trade_by_hand("BTC", SELL, D(2))

    events, _ = await listen(broker, 1.2, trade)
    assert [e.fill.quantity for e in events if isinstance(e, FillSeen)] == [D(2)]
    assert [e.position for e in events if isinstance(e, PositionSeen)][-1] is None


async def test_a_resting_order_goes_on_while_only_the_stream_is_open():
    broker = make_broker(book(depth="0.5"))
    await broker.submit(ask("2", tif=GTC))
    events, _ = await listen(broker, 6)
    assert sum(e.fill.quantity for e in events if isinstance(e, FillSeen)) == D("1.5")
    assert held(broker.venue) == 0


async def test_closing_the_account_ends_its_streams():
    broker = make_broker()
    reading = asyncio.create_task(_count(broker))
    await asyncio.sleep(2)
    await broker.aclose()
    await asyncio.sleep(0.1)
    assert reading.done()


async def _count(broker):
    return len([event async for event in broker.stream()])


async def test_rates_are_the_books_and_unknown_ones_are_left_out():
    broker = make_broker(book() | {"rates": {"EUR": "1.10"}})
    assert await broker.rates(["EUR", "USDT", "XYZ"]) == {"EUR": "1.1", "USDT": "1"}


async def test_a_position_without_a_quote_has_no_price_but_is_held():
    content = book()
    content["quotes"] = {}
    broker = make_broker(content)
    assert await broker.quotes(["BTC"]) == []
    assert len((await broker.holdings()).positions) == 1


async def test_two_runs_with_one_seed_are_the_same(tmp_path):
    async def run():
        faults = {"partial_fill": 0.5, "lose_response": 0.3, "held": 0.2}
        broker = opened(tmp_path, book(quantity="50"), frozen=False, seed=3, faults=faults)
        broker.venue._store = None
        told = []
        for number in range(40):
            try:
                order = await broker.submit(ask("1", client_id=f"c{number}"))
                told.append((order.status, order.filled, order.average_price))
            except Exception as error:  # noqa: BLE001  # whatever it is, it must be the same in both runs
                told.append(repr(error))
            await broker._clock.sleep(0.7)
        return told

    assert await run() == await run()


async def test_check_says_what_kind_of_account_it_is_and_which_faults_are_on(tmp_path):
    broker = opened(tmp_path, faults={"held": 0.5})
    checks = {check.name: check for check in await broker.check()}
    assert checks["credentials"].ok
    assert checks["faults"].text == "scripted: held"


async def test_check_reports_bad_credentials(tmp_path):
    (check,) = await opened(tmp_path, faults={"auth": 1.0}).check()
    assert check.ok is False


def test_the_registry_opens_a_paper_account_under_its_venues_name(tmp_path):
    broker = open_broker(settings(tmp_path, exchange="kraken"), None, HandClock())
    assert broker.account.broker == "paper:kraken"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"boook": "x"}, 'unknown key "boook"; did you mean "book"'),
        ({"book": "/nowhere/book.json"}, "/nowhere/book.json cannot be read"),
        ({"faults": {"hold": 1.0}}, 'user_1/paper: faults: unknown fault "hold"; did you mean "held"'),
        ({"latency_ms": -1}, "latency_ms must be a number"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"prices": ["/nowhere/BTC-1m.csv"]}, "/nowhere/BTC-1m.csv cannot be read"),
    ],
)
def test_a_bad_option_is_an_error_of_one_sentence(tmp_path, options, said):
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, **options)
    assert said in str(caught.value)


async def test_a_book_with_a_byte_order_mark_is_read(tmp_path):
    book = tmp_path / "marked.json"
    book.write_bytes(b'\xef\xbb\xbf{"positions": [{"symbol": "X", "side": "long", "quantity": "1"}]}')
    (held,) = (await opened(tmp_path, book=str(book)).holdings()).positions
    assert held.symbol == "X"


async def test_an_account_without_a_book_is_empty(tmp_path):
    broker = opened(tmp_path, book=None)
    assert (await broker.holdings()).positions == ()
    with pytest.raises(Refused):
        await broker.submit(ask("1"))

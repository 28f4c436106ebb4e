"""Orders at Kraken Futures whose answers are lost or that are soon forgotten, its stops and cancels, its raw call."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import OrderStatus, OrderType
from tests.venues.ccxt import krakenfutures
from tests.venues.ccxt.krakenfutures import INVERSE, LINEAR, LOTS
from tests.venues.ccxt.krakenfutures_desk import (
    LONG,
    PLACE,
    SHORT,
    closing,
    connected,
    opened,
    operator,
    resting,
    sent,
    stop,
)

# ------------------------------------------------------------------------------------------------------ lost answers


@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken"])
def test_an_order_whose_answer_is_lost_is_found_by_its_name_and_not_sent_again(tmp_path: Path, do: str) -> None:
    with opened(orders=[], positions=LONG) as running:
        lost = running.mishap("POST", PLACE, do)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert lost.struck == 1
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        (order,) = sent(running)
        asked = [given for call, given in running.stall.rest.calls if call == "GET orders/status"]
        assert [order["cliOrdId"]] in [given.get("cliOrdIds") for given in asked]


@pytest.mark.parametrize("direct", [False, True], ids=["unified", "raw"])
async def test_an_order_that_is_refused_after_it_was_executed_in_part_is_looked_up(direct: bool) -> None:
    part = '{"type":"EXECUTION","executionId":"e1","price":50000,"amount":0.2,"orderPriorExecution":{"quantity":0.5}}'
    status = f'{{"status":"selfFill","receivedTime":"2026-01-01T00:00:00.000Z","orderEvents":[{part}]}}'
    with opened(orders=[]) as running:
        running.mishap("POST", PLACE, "status", status=200, body=f'{{"result":"success","sendStatus":{status}}}')
        async with connected(running) as broker:
            with pytest.raises(OutcomeUnknown, match="refused and executed"):
                await (broker.submit_direct if direct else broker.submit)(closing())


def test_an_order_whose_answer_and_look_ups_are_lost_for_a_while_is_found_in_the_history(tmp_path: Path) -> None:
    with opened(orders=[], positions=SHORT) as running:
        running.mishap("POST", PLACE, "drop")
        running.mishap("GET", "/orders/status", "status", times=3, status=503, body="{}")
        began = running.clock.monotonic()
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["filled"]) for r in said["results"]] == [("closed", "3000")]
        assert running.clock.monotonic() - began > 5
        assert len(sent(running)) == 1
        assert sent(running, "GET orders") != []


@pytest.mark.parametrize("how", ["forgetful", "unknown"])
async def test_what_rests_is_found_among_the_open_orders_where_its_status_is_not_told(how: str) -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = {way: await broker.submit(order) for way, order in (("a", resting(name="a")), ("b", stop(name="b")))}
            setattr(running.stall.rest, how, True)
            for name, order in made.items():
                for given in ({"client_id": name}, {"order_id": order.id}):
                    found = await broker.find_order(LINEAR, **given)
                    assert found is not None
                    assert (found.id, found.status, found.type) == (order.id, OrderStatus.OPEN, order.type)
            assert await broker.find_order(LINEAR, client_id="never") is None


def test_an_order_that_never_arrived_is_sent_again_once_its_deadline_has_passed(tmp_path: Path) -> None:
    with opened(orders=[], positions=SHORT) as running:
        running.mishap("POST", PLACE, "never")
        began = running.clock.monotonic()
        said = operator(tmp_path, running, rules="[ladder]\ntotal_timeout = 400").document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.clock.monotonic() - began > 10
        assert len(sent(running)) == 1


@pytest.mark.parametrize("way", ["name", "id"])
@pytest.mark.parametrize("symbol", [LINEAR, INVERSE])
async def test_an_order_that_ended_a_while_ago_is_found_in_the_account_s_history(symbol: str, way: str) -> None:
    quantity = "0.5" if symbol == LINEAR else "3000"
    with opened(orders=[]) as running:
        running.stall.rest.page = 1
        async with connected(running) as broker:
            made = await broker.submit(closing(symbol, quantity))
            await broker.submit(closing(LOTS, "10", "another"))
            await running.clock.sleep(6)
            given = {"client_id": "mine"} if way == "name" else {"order_id": made.id}
            found = await broker.find_order(symbol, **given)
            assert found is not None
            assert (found.id, found.status, found.filled) == (made.id, OrderStatus.FILLED, Decimal(quantity))
            assert await broker.find_order(symbol, client_id="another") is None


async def test_a_resting_order_is_open_until_it_is_cancelled_and_cancelled_a_while_after() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = await broker.submit(resting())
            await running.clock.sleep(6)
            found = await broker.find_order(LINEAR, order_id=made.id)
            assert found is not None
            assert (found.status, found.quantity, found.client_id) == (OrderStatus.OPEN, Decimal("0.1"), "mine")
            await broker.cancel(found)
            for _ in range(2):
                found = await broker.find_order(LINEAR, order_id=made.id)
                assert found is not None
                assert (found.status, found.filled) == (OrderStatus.CANCELLED, 0)
                await running.clock.sleep(6)


async def test_a_resting_order_that_traded_later_is_filled_in_the_history() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = await broker.submit(resting())
            running.do(lambda: running.venue.set_quote(LINEAR, bid=Decimal(60001), ask=Decimal(60002)))
            await running.clock.sleep(8)
            found = await broker.find_order(LINEAR, client_id="mine")
            assert found is not None
            assert (found.id, found.status, found.filled) == (made.id, OrderStatus.FILLED, Decimal("0.1"))


async def test_an_order_that_there_never_was_is_denied() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            assert await broker.find_order(LINEAR, client_id="never") is None
            assert await broker.find_order(LINEAR, order_id="never") is None


# ---------------------------------------------------------------------------------------------------- stops, cancels


async def test_a_stop_rests_among_the_open_orders_and_is_found_by_its_name_and_cancelled() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = await broker.submit(stop())
            (row,) = sent(running)
            assert (row["orderType"], row["stopPrice"], row["reduceOnly"]) == ("stp", "39000", "true")
            assert row["triggerSignal"] == "last"
            assert "limitPrice" not in row
            assert (made.type, made.status) == (OrderType.STOP, OrderStatus.OPEN)
            found = await broker.find_order(LINEAR, client_id="mine")
            assert found is not None
            assert (found.id, found.type, found.trigger) == (made.id, OrderType.STOP, Decimal(39000))
            (listed,) = (await broker.holdings()).orders
            assert (listed.client_id, listed.trigger, listed.reduce_only) == ("mine", Decimal(39000), True)
            await broker.cancel(found)
            assert (await broker.holdings()).orders == ()
            await running.clock.sleep(6)
            found = await broker.find_order(LINEAR, order_id=made.id)
            assert found is not None
            assert (found.status, found.type) == (OrderStatus.CANCELLED, OrderType.STOP)


@pytest.mark.parametrize("word", ["notFound", "filled"])
async def test_a_cancel_of_what_is_gone_is_an_unknown_order(word: str) -> None:
    with opened() as running:
        running.stall.rest.cancel_word = word
        async with connected(running) as broker:
            first = (await broker.holdings()).orders[0]
            with pytest.raises(Refused) as refused:
                await broker.cancel(first)
            assert refused.value.refusal is Refusal.UNKNOWN_ORDER


@pytest.mark.parametrize("body", ['{"result":"success"}', '{"result":"success","cancelStatus":{"status":"newWord"}}'])
async def test_a_cancel_that_is_answered_with_nothing_known_is_an_unknown_outcome(body: str) -> None:
    with opened() as running:
        running.mishap("POST", "/cancelorder", "status", status=200, body=body)
        async with connected(running) as broker:
            first = (await broker.holdings()).orders[0]
            with pytest.raises(OutcomeUnknown):
                await broker.cancel(first)


# -------------------------------------------------------------------------------------------------------- the raw call


@pytest.mark.parametrize("nth", range(4), ids=[p["symbol"] for p in krakenfutures.BOOK["positions"]])
def test_a_unified_order_whose_size_is_refused_is_followed_by_the_raw_call(tmp_path: Path, nth: int) -> None:
    status = '{"status":"invalidSize","receivedTime":"2026-01-01T00:00:00.000Z","orderEvents":[]}'
    with opened(orders=[], positions=krakenfutures.BOOK["positions"][nth : nth + 1]) as running:
        running.mishap("POST", PLACE, "status", status=200, body=f'{{"result":"success","sendStatus":{status}}}')
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "direct_api")]
        assert [(o["orderType"], o["reduceOnly"]) for o in sent(running)] == [("mkt", "true")]
        assert running.venue.state.positions == {}


async def test_the_raw_call_is_sized_by_lots_of_ten_and_refused_below_one() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = await broker.submit_direct(closing(LOTS, "12345678"))
            assert (sent(running)[0]["size"], made.status, made.filled) == ("12345670", OrderStatus.FILLED, 12345670)
            with pytest.raises(Refused, match="nothing was sent") as refused:
                await broker.submit_direct(closing(LOTS, "9"))
            assert refused.value.refusal is Refusal.BELOW_MINIMUM
            assert len(sent(running)) == 1


# ------------------------------------------------------------------------------------------------------------- limits


async def test_each_call_takes_of_the_limit_what_the_exchange_counts_it() -> None:
    with opened(speed=0.001, orders=[]) as running:
        async with connected(running) as broker:
            limiter = broker.client.limiters[0]

            async def taken(call: Awaitable[object]) -> int:
                before = limiter.left
                await call
                return round(before - limiter.left)

            since = running.clock.now() - timedelta(minutes=5)
            given = {"lastFillTime": "2026-01-01T00:00:00.000Z"}
            assert limiter.capacity == 180
            assert await taken(broker.submit(closing())) == 10
            assert await taken(broker.holdings()) == 4
            assert await taken(broker.find_order(LINEAR, client_id="mine")) == 1
            assert await taken(broker.fills(LINEAR, since)) == 2
            assert await taken(broker.client.ask_urgently("fetch_my_trades", None, None, None, given)) == 25

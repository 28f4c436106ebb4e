"""Kraken Futures through the command line and real sockets: every kind of contract, and refusals in answers that went
well."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Kind, OrderRequest, OrderSide, OrderStatus, OrderType, TimeInForce
from tests.venues.ccxt import krakenfutures
from tests.venues.ccxt.krakenfutures import DATED, INVERSE, INVERSE_DATED, LINEAR, LOTS
from tests.venues.ccxt.krakenfutures_desk import LONG, PLACE, SHORT, closing, connected, opened, operator, sent

# ------------------------------------------------------------------------------------------------- commands and reads


def test_an_account_is_shown_with_what_each_kind_of_contract_is_worth(tmp_path: Path) -> None:
    with opened() as running:
        shown = operator(tmp_path, running).document("status")
    made = {p["symbol"]: p for p in shown["positions"]}
    assert {s: Decimal(p["quantity"]) for s, p in made.items()} == {
        LINEAR: Decimal("0.5"),
        INVERSE: Decimal(3000),
        LOTS: Decimal(12345670),
        DATED: Decimal("1.5"),
    }
    worth = {s: abs(Decimal(p["usd_value"])) for s, p in made.items()}
    assert worth == pytest.approx({LINEAR: 25_000, INVERSE: 3_000, LOTS: 123, DATED: 3_750}, rel=Decimal("0.005"))


@pytest.mark.parametrize(("held", "worth"), [(LONG, 12_345), (SHORT, None)], ids=["linear", "inverse"])
async def test_an_account_is_worth_its_portfolio_unless_some_of_it_is_in_a_coin(held: Any, worth: int | None) -> None:
    with opened(positions=held, orders=[]) as running:
        async with connected(running) as broker:
            assert (await broker.holdings()).equity == worth


async def test_rules_are_the_exchange_s_and_marks_come_with_the_prices() -> None:
    with opened() as running:
        async with connected(running) as broker:
            read = await broker.holdings()
            rules = {i.symbol: (i.kind, i.step, i.tick) for i in read.instruments}
            quotes = {q.symbol: q.mark for q in await broker.quotes([LINEAR])}
    assert rules == {
        LINEAR: (Kind.PERP, Decimal("0.0001"), Decimal("0.5")),
        INVERSE: (Kind.PERP, Decimal(1), Decimal("0.5")),
        LOTS: (Kind.PERP, Decimal(10), Decimal("0.000000001")),
        DATED: (Kind.FUTURE, Decimal("0.001"), Decimal("0.1")),
    }
    assert quotes == {LINEAR: 50_000}  # of the ticker: the list of positions has none
    assert {(o.type, o.trigger) for o in read.orders} == {(OrderType.LIMIT, None), (OrderType.STOP, Decimal(38000))}


def test_everything_is_flattened_by_market_orders_that_only_reduce_and_die_at_their_deadline(tmp_path: Path) -> None:
    with opened() as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert {(r["outcome"], r["tier"]) for r in said["results"] if r["kind"] == "close"} == {
            ("closed", "market_ioc")
        }
        assert {(o["orderType"], o["reduceOnly"]) for o in sent(running)} == {("mkt", "true")}
        assert len(sent(running)) == 4
        assert len({o["cliOrdId"] for o in sent(running)}) == 4
        assert all("processBefore" in o for o in sent(running))
        assert running.venue.state.positions == {}


def test_an_inverse_future_of_a_fixed_maturity_is_a_future_that_is_closed_in_contracts(tmp_path: Path) -> None:
    held = [{"symbol": INVERSE_DATED, "side": "short", "quantity": "500", "entry": "2600"}]
    with opened(orders=[], positions=held) as running:
        desk = operator(tmp_path, running)
        (shown,) = desk.document("status")["positions"]
        assert Decimal(shown["quantity"]) == 500
        assert desk.document("flatten", "--all", "--yes")["results"][0]["outcome"] == "closed"
        (row,) = sent(running)
        assert (row["symbol"], row["side"], row["size"]) == ("FI_ETHUSD_991231", "buy", "500")
        assert running.venue.state.positions == {}


def test_a_market_order_that_took_a_part_is_followed_by_orders_of_the_rest(tmp_path: Path) -> None:
    quotes = {**krakenfutures.BOOK["quotes"], LINEAR: {"bid": "50000", "ask": "50000.5", "bid_size": "0.2"}}
    with opened(orders=[], positions=LONG, quotes=quotes) as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [(r["outcome"], Decimal(r["filled"])) for r in said["results"]] == [("closed", Decimal("0.5"))]
        sizes = [Decimal(o["size"]) for o in sent(running)]
        assert sizes[0] == Decimal("0.5")
        assert len(sizes) > 1
        assert sizes == sorted(sizes, reverse=True)
        assert running.venue.state.positions == {}


async def test_what_was_executed_of_an_inverse_contract_is_told_at_once_in_contracts() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = await broker.submit(closing(INVERSE, "3000"))
            assert (made.status, made.filled, made.average_price) == (OrderStatus.FILLED, 3000, Decimal("50010.5"))
            (fill,) = await broker.fills(INVERSE, running.clock.now() - timedelta(minutes=5))
            assert (fill.quantity, fill.order_id, fill.client_id) == (3000, made.id, "mine")


async def test_an_order_that_took_what_there_was_at_its_price_is_not_called_whole() -> None:
    quotes = {**krakenfutures.BOOK["quotes"], LINEAR: {"bid": "50000", "ask": "50000.5", "bid_size": "0.2"}}
    with opened(orders=[], quotes=quotes) as running:
        async with connected(running) as broker:
            await broker.submit(closing(type=OrderType.LIMIT, price=Decimal(50000), tif=TimeInForce.IOC))
            (row,) = sent(running)
            assert row["orderType"] == "ioc"
            found = await broker.find_order(LINEAR, client_id="mine")
            assert found is not None
            assert (found.status, found.filled) == (OrderStatus.CANCELLED, Decimal("0.2"))


@pytest.mark.parametrize("path", ["/openorders", "/openpositions"])
async def test_an_answer_without_its_list_is_no_list_that_is_empty(path: str) -> None:
    with opened() as running:
        async with connected(running) as broker:
            running.mishap("GET", path, "status", status=200, body='{"result":"success"}')
            with pytest.raises(OutcomeUnknown):
                await broker.holdings()
            assert len((await broker.holdings()).orders) == 2


@pytest.mark.parametrize("path", ["/orders/status", "/openorders", "/history/v2/orders", "/history/v2/triggers"])
async def test_an_order_is_denied_only_by_lists_that_came(path: str) -> None:
    with opened() as running:
        async with connected(running) as broker:
            running.mishap("GET", path, "status", status=200, body='{"result":"success"}')
            with pytest.raises(OutcomeUnknown):
                await broker.find_order(LINEAR, client_id="never")


async def test_executions_without_their_list_are_not_none() -> None:
    with opened() as running:
        async with connected(running) as broker:
            running.mishap("GET", "/fills", "status", status=200, body='{"result":"success"}')
            with pytest.raises(OutcomeUnknown):
                await broker.fills(LINEAR, running.clock.now() - timedelta(minutes=5))


# ----------------------------------------------------------------------------------------- refusals in good answers


REFUSALS = {
    "iocWouldNotExecute": Refusal.OTHER,
    "insufficientAvailableFunds": Refusal.HELD,
    "wouldNotReducePosition": Refusal.REDUCE_ONLY,
    "invalidSize": Refusal.PRECISION,
    "tooManyOrders": Refusal.OTHER,
    "tooManySmallOrders": Refusal.OTHER,
    "clientOrderIdAlreadyExist": Refusal.DUPLICATE,
    "marketSuspended": Refusal.HALTED,
    "marketInactive": Refusal.HALTED,
    "marketIsPostOnly": Refusal.HALTED,
    "outsidePriceCollar": Refusal.OTHER,
    "wouldProcessAfterSpecifiedTime": Refusal.CLOCK,
    "selfFill": Refusal.HELD,
}


@pytest.mark.parametrize("direct", [False, True], ids=["unified", "raw"])
@pytest.mark.parametrize("word", list(REFUSALS))
async def test_a_status_that_says_no_is_that_refusal(word: str, direct: bool) -> None:
    with opened(orders=[]) as running:
        running.stall.rest.word = word
        async with connected(running) as broker:
            with pytest.raises(Refused) as refused:
                await (broker.submit_direct if direct else broker.submit)(closing())
            assert (refused.value.refusal, refused.value.code) == (REFUSALS[word], word)


@pytest.mark.parametrize("direct", [False, True], ids=["unified", "raw"])
@pytest.mark.parametrize("word", ["someNewWord", "edited", ""])
async def test_a_status_that_nobody_knows_says_nothing_about_the_order(word: str, direct: bool) -> None:
    status = f'"sendStatus":{{"status":"{word}","receivedTime":"2026-01-01T00:00:00.000Z","orderEvents":[]}}'
    with opened(orders=[]) as running:
        running.mishap("POST", PLACE, "status", status=200, body=f'{{"result":"success",{status}}}')
        async with connected(running) as broker:
            with pytest.raises(OutcomeUnknown):
                await (broker.submit_direct if direct else broker.submit)(closing())


@pytest.mark.parametrize("direct", [False, True], ids=["unified", "raw"])
@pytest.mark.parametrize(
    "body",
    [
        '{"result":"success"}',
        '{"result":"success","sendStatus":{"status":"placed","orderEvents":[]}}',
        '{"result":"error","error":"Server Error"}',
        '{"result":"error","error":"unknownError"}',
        '{"result":"error","error":"Unavailable"}',
        "{}",
        "[]",
    ],
)
async def test_an_answer_that_does_not_say_what_became_of_the_order_is_an_unknown_outcome(
    body: str, direct: bool
) -> None:
    with opened(orders=[]) as running:
        running.mishap("POST", PLACE, "status", status=200, body=body)
        async with connected(running) as broker:
            with pytest.raises(OutcomeUnknown):
                await (broker.submit_direct if direct else broker.submit)(closing())


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        ("apiLimitExceeded", Refusal.RATE_LIMITED),
        ("authenticationError", Refusal.AUTH),
        ("marketUnavailable", Refusal.HALTED),
        ("contractNotFound", Refusal.UNKNOWN_SYMBOL),
        ("requiredArgumentMissing", Refusal.OTHER),
    ],
)
async def test_an_error_with_which_the_call_itself_is_refused_is_that_refusal(error: str, refusal: Refusal) -> None:
    with opened(orders=[]) as running:
        running.mishap("POST", PLACE, "status", status=200, body=f'{{"result":"error","error":"{error}"}}')
        async with connected(running) as broker:
            with pytest.raises(Refused) as refused:
                await broker.submit(closing())
            assert refused.value.refusal is refusal


MORE = ("wouldCauseLiquidation", "maxPositionViolation", "wouldIncreasePriceDislocation", "someNewWord")
ONCE = (*(word for word, refusal in REFUSALS.items() if refusal is not Refusal.HALTED), *MORE)


@pytest.mark.parametrize("word", ONCE)
def test_a_position_whose_order_is_refused_once_is_closed_in_the_end(tmp_path: Path, word: str) -> None:
    status = f'{{"status":"{word}","receivedTime":"2026-01-01T00:00:00.000Z","orderEvents":[]}}'
    with opened(orders=[], positions=LONG) as running:
        running.mishap("POST", PLACE, "status", status=200, body=f'{{"result":"success","sendStatus":{status}}}')
        said = operator(tmp_path, running, rules="[ladder]\ntotal_timeout = 400").document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 1


async def test_an_order_that_arrives_after_its_deadline_is_not_carried_out() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            running.mishap("POST", PLACE, "late", seconds=0.6)  # twelve of the clock's
            with pytest.raises((OutcomeUnknown, Refused)):
                await broker.submit(closing())
            await running.clock.sleep(15)
            assert running.held(LINEAR) == Decimal("0.5")


async def test_a_reduce_only_order_on_the_wrong_side_is_refused_by_the_exchange() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            wrong = OrderRequest("user_1/a", LINEAR, OrderSide.BUY, Decimal("0.1"), "mine", reduce_only=True)
            with pytest.raises(Refused) as refused:
                await broker.submit(wrong)
            assert refused.value.refusal is Refusal.REDUCE_ONLY

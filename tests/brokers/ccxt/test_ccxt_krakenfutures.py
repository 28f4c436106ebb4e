"""What Kraken Futures says of an order in its four shapes, and what it leaves unsaid."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokers.ccxt.exchanges import krakenfutures_wire
from brokers.ccxt.exchanges.krakenfutures_stream import KrakenFuturesStream
from core.errors import OutcomeUnknown
from core.events import OrderSeen, PositionSeen
from core.model import OrderStatus, PositionKey

D = Decimal
ID, NAME, MARKET = "179f9af8-e45e-469d-b3e9-2fd4675cb7d0", "fdab12abc", "PF_XBTUSD"


def executed(amount: str, price: str = "50000", quantity: str = "1") -> dict[str, Any]:
    return {
        "type": "EXECUTION",
        "price": price,
        "amount": amount,
        "orderPriorExecution": {"orderId": ID, "symbol": MARKET, "quantity": quantity, "filled": "0"},
    }


def answer(*events: dict[str, Any], status: str = "placed") -> dict[str, Any]:
    return {"info": {"order_id": ID, "status": status, "orderEvents": list(events)}}


@pytest.mark.parametrize(
    ("events", "filled", "average", "status"),
    [
        ((executed("1"),), "1", "50000", "closed"),
        ((executed("0.4"), executed("0.6", "49000")), "1", "49400", "closed"),
        ((executed("0.4"),), "0.4", "50000", "open"),
        ((), "0", None, "open"),
    ],
)
def test_what_was_executed_at_once_is_the_sum_of_its_events(
    events: tuple[dict[str, Any], ...], filled: str, average: str | None, status: str
) -> None:
    made = krakenfutures_wire.order_from_status(answer(*events))
    assert (made["id"], made["filled"], made["average"], made["status"]) == (ID, filled, average, status)


@pytest.mark.parametrize("row", [None, [], "", {}, {"info": {}}, {"info": {"status": ""}}, answer(status="newWord")])
def test_an_answer_without_a_status_that_is_known_says_nothing(row: object) -> None:
    with pytest.raises(OutcomeUnknown):
        krakenfutures_wire.order_from_status(row)


@pytest.mark.parametrize(
    ("word", "quantity", "filled", "status", "told"),
    [
        ("FULLY_EXECUTED", "1", "1", "closed", "1"),
        ("FULLY_EXECUTED", "1", "0", "closed", "1"),  # as it was before
        ("FULLY_EXECUTED", "0", "1", "closed", "1"),  # what remains of it
        ("FULLY_EXECUTED", "1", "0.3", "closed", "0.3"),  # there was no more to reduce
        ("CANCELLED", "1", "0.4", "canceled", "0.4"),
        ("REJECTED", "1", "0", "rejected", "0"),
        ("REJECTED", "1", "0.4", "canceled", "0.4"),
        ("ENTERED_BOOK", "1", "0.4", "open", "0.4"),
        ("TRIGGER_PLACED", "1", "0", "open", "0"),
        ("TRIGGER_ACTIVATION_FAILURE", "1", "0", None, "0"),
        ("SOME_NEW_WORD", "1", "0", None, "0"),
    ],
)
def test_a_state_is_what_its_word_says_and_none_where_that_is_not_known(
    word: str, quantity: str, filled: str, status: str | None, told: str
) -> None:
    row = {"id": ID, "info": {"status": word, "order": {"quantity": quantity, "filled": filled}}}
    made = krakenfutures_wire.order_state(row)
    assert (made["status"], made["filled"], made["amount"]) == (status, told, "1")


def event(kind: str, quantity: str, filled: str, word: str = "Limit", body: str = "order", **more: str) -> Any:
    order = {"uid": ID, "clientId": NAME, "tradeable": MARKET, "direction": "Sell", "orderType": word}
    return {"event": {kind: {body: {**order, "quantity": quantity, "filled": filled, **more}}}}


PLACED = event("OrderPlaced", "1", "0")


@pytest.mark.parametrize(
    ("events", "status", "filled"),
    [
        ([PLACED], None, "0"),  # nothing tells that it ended
        ([event("OrderPlaced", "0", "1", "IoC")], "closed", "1"),
        ([event("OrderPlaced", "0.6", "0.4", "IoC")], "canceled", "0.4"),
        ([event("OrderPlaced", "1", "0", "IoC")], "canceled", "0"),
        ([event("OrderUpdated", "0", "1", body="newOrder"), PLACED], "closed", "1"),
        ([event("OrderUpdated", "0.6", "0.4", body="newOrder"), PLACED], None, "0.4"),
        ([event("OrderCancelled", "0.6", "0.4"), PLACED], "canceled", "0.4"),
        ([event("OrderRejected", "1", "0")], "rejected", "0"),
        ([event("OrderTriggerPlaced", "1", "0", "IoC", "orderTrigger")], None, "0"),
        ([event("OrderTriggerActivated", "1", "0", "IoC", "orderTrigger")], None, "0"),
        ([event("OrderTriggerCancelled", "1", "0", "IoC", "orderTrigger")], "canceled", "0"),
    ],
)
def test_the_history_tells_an_end_or_none(events: list[Any], status: str | None, filled: str) -> None:
    for given in ((ID, ""), ("", NAME)):
        made = krakenfutures_wire.order_from_events(events, MARKET, *given)
        assert made is not None
        assert (made["id"], made["status"], made["filled"], made["amount"]) == (ID, status, filled, "1")
        assert (made["side"], made["clientOrderId"]) == ("sell", NAME)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [None, "", {}, {"event": None}, {"event": {"OrderPlaced": None}}, {"event": {"OrderPlaced": {"order": []}}}],
        [event("OrderPlaced", "1", "0", uid="another", clientId="")],
        [event("OrderPlaced", "1", "0", tradeable="PF_ETHUSD")],
    ],
)
def test_an_order_that_no_event_tells_of_is_not_in_the_history(events: list[Any]) -> None:
    assert krakenfutures_wire.order_from_events(events, MARKET, ID, "") is None
    assert krakenfutures_wire.order_from_events(events, MARKET, "", "fdother") is None


# ----------------------------------------------------------------------------------------------------------- streams


def streamed(**more: Any) -> dict[str, Any]:
    order = {"instrument": MARKET, "qty": 1, "filled": 0, "limit_price": 5, "stop_price": 0, "type": "limit"}
    return {**order, "order_id": ID, "cli_ord_id": NAME, "direction": 1, "reduce_only": True, **more}


def futures_stream(*held: str) -> KrakenFuturesStream:
    return KrakenFuturesStream("u/x", {MARKET: "BTC/USD:USD", "PI_XBTUSD": "BTC/USD:BTC"}.__getitem__, held, 1_000_000)


def orders(found: KrakenFuturesStream, *messages: dict[str, Any]) -> list[tuple[OrderStatus, Decimal, Decimal]]:
    seen = [
        e.order for m in messages for e in found.read_message({"feed": "open_orders", **m}) if isinstance(e, OrderSeen)
    ]
    assert {(o.id, o.client_id, o.symbol, o.reduce_only) for o in seen} <= {(ID, NAME, "BTC/USD:USD", True)}
    return [(o.status, o.quantity, o.filled) for o in seen]


def test_parts_are_told_in_all_and_an_end_by_its_id_with_what_is_certain_of_it() -> None:
    first = {"order": streamed(), "is_cancel": False, "reason": "new_placed_order_by_user"}
    part = {"order": streamed(qty=0.6, filled=0.4), "is_cancel": False, "reason": "partial_fill"}
    whole, gone = ({"order_id": ID, "is_cancel": True, "reason": r} for r in ("full_fill", "cancelled_by_user"))
    told = [(OrderStatus.OPEN, D(1), D(0)), (OrderStatus.OPEN, D(1), D("0.4"))]
    assert orders(futures_stream(), first, part, whole) == [*told, (OrderStatus.FILLED, D(1), D(1))]
    assert orders(futures_stream(), first, part, gone) == [*told, (OrderStatus.CANCELLED, D(1), D("0.4"))]


def test_the_end_of_an_order_that_was_never_told_is_left_to_the_reads() -> None:
    assert orders(futures_stream(), {"order_id": ID, "is_cancel": True, "reason": "full_fill"}) == []


def test_an_order_that_is_refused_on_its_way_is_told_as_ended_at_once() -> None:
    message = {"order": streamed(), "is_cancel": True, "reason": "post_order_failed_because_it_would_be_filled"}
    assert orders(futures_stream(), message) == [(OrderStatus.CANCELLED, D(1), D(0))]


def positions(*rows: tuple[str, float]) -> dict[str, Any]:
    return {"feed": "open_positions", "positions": [{"instrument": name, "balance": held} for name, held in rows]}


def test_a_position_that_the_list_has_no_more_is_gone_once() -> None:
    found = futures_stream()
    gone = [PositionSeen(PositionKey("u/x", "BTC/USD:BTC"), None)]
    assert found.read_message(positions((MARKET, 0.5), ("PI_XBTUSD", -3000))) == []
    assert found.read_message({"feed": "open_positions"}) == []  # without a list nothing is said
    assert found.read_message({"feed": "open_positions", "positions": [None]}) == []
    assert found.read_message(positions((MARKET, 0.5))) == gone
    assert found.read_message(positions((MARKET, 0.5))) == []
    assert found.read_message(positions((MARKET, 0.5), ("PI_XBTUSD", 100))) == []
    assert found.read_message(positions((MARKET, 0.5), ("PI_XBTUSD", 0))) == gone


def test_a_position_of_the_last_read_that_the_first_list_lacks_is_gone() -> None:
    found = futures_stream("BTC/USD:USD", "BTC/USD:BTC")
    assert found.read_message(positions((MARKET, 0.5))) == [PositionSeen(PositionKey("u/x", "BTC/USD:BTC"), None)]


def test_of_the_executions_before_the_stream_those_of_just_now_are_news() -> None:
    rows = [{"time": 1_000_000}, {"time": 940_000}, {"time": 939_999}, {"time": None}, None]
    made = futures_stream().drop_old_fills({"feed": "fills_snapshot", "fills": rows})
    assert made["fills"] == rows[:2]
    assert futures_stream().drop_old_fills({"feed": "fills_snapshot"})["fills"] == []
    live = {"feed": "fills", "fills": [{"time": 1}]}
    assert futures_stream().drop_old_fills(live) is live


@pytest.mark.parametrize("message", [None, "pong", [], {}, {"feed": "heartbeat"}, {"event": "info"}])
def test_other_messages_say_nothing_of_orders_and_positions(message: object) -> None:
    found = futures_stream()
    assert (found.read_message(message), found.drop_old_fills(message)) == ([], message)

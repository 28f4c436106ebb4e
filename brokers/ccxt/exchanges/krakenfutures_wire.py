"""Kraken Futures' raw fields, where ccxt's parsing loses information. Pure.

Kraken Futures reports most refusals in a successful answer, with a status instead of an error. ccxt treats every
unknown status as a rejection, omits the traded size of inverse contracts, and gives an ended order its earlier state.
Sources: the venue's documentation of ``sendorder``, ``cancelorder``, ``orders/status``, ``history/orders`` and
``open_orders``, and ccxt's examples of their bodies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from brokers.ccxt.wire import Row, inner, number, text
from brokers.ccxt.wire_errors import CODES
from core.errors import FlatdeckError, OutcomeUnknown, Refused
from core.units import ZERO, plain

KRAKEN_FUTURES = "krakenfutures"
TAKEN = ("placed", "partiallyFilled", "filled")
# ended statuses of ``orders/status``
ENDS = {"FULLY_EXECUTED": "closed", "CANCELLED": "canceled", "REJECTED": "rejected"}
LIVE = ("ENTERED_BOOK", "TRIGGER_PLACED")
# lists that ccxt reads as empty when they are missing
LISTS = {"openorders": "openOrders", "orders/status": "orders", "fills": "fills"}


def check(path: str, answer: object) -> None:
    """Check an answer. Raises OutcomeUnknown if the requested list is missing.

    Also raises it for an order that was refused but partly executed: the venue has the reason
    ``REJECTED_AFTER_EXECUTION``.
    """
    told = answer if isinstance(answer, dict) else {}
    if path in LISTS and not isinstance(told.get(LISTS[path]), list):
        raise OutcomeUnknown(f"{KRAKEN_FUTURES} answered without the list {LISTS[path]}")
    status = inner(told, "sendStatus")
    if text(status, "status") not in TAKEN and _executions(status):
        raise OutcomeUnknown(
            f"{KRAKEN_FUTURES} answered an order that it refused and executed: {text(status, 'status')}"
        )


def _executions(status: Row) -> list[Row]:
    """Return the executions among the events of an order's status."""
    events = status.get("orderEvents")
    listed = events if isinstance(events, list) else []
    return [event for event in listed if isinstance(event, dict) and event.get("type") == "EXECUTION"]


# -------------------------------------------------------------------------------------------- what an order is answered


def order_from_status(row: object) -> Row:
    """Return the order of a ``sendStatus`` (``info``) with the executed quantity of its events.

    Raises Refused for a status that refuses, and OutcomeUnknown for an unknown status.
    """
    if not isinstance(row, dict):
        raise OutcomeUnknown(f"{KRAKEN_FUTURES}'s answer is no order")
    told = inner(row, "info")
    if text(told, "status") not in TAKEN:
        raise _refusal(text(told, "status"))
    events = _executions(told)
    parts = [(number(e.get("amount")) or ZERO, number(e.get("price")) or ZERO) for e in events]
    filled = sum((quantity for quantity, _ in parts), ZERO)
    asked = number(inner(events[0], "orderPriorExecution").get("quantity")) if events else number(row.get("amount"))
    paid = sum((quantity * price for quantity, price in parts), ZERO)
    return {
        **row,
        "id": text(told, "order_id") or None,
        "amount": plain(asked) if asked is not None else None,
        "filled": plain(filled),
        "average": plain(paid / filled) if filled > 0 and all(price > 0 for _, price in parts) else None,
        "status": "closed" if asked is not None and 0 < asked <= filled else "open",
    }


def _refusal(word: str) -> FlatdeckError:
    known = CODES[KRAKEN_FUTURES].get(word)
    if known is None:
        return OutcomeUnknown(
            f"{KRAKEN_FUTURES} answered an order with a status that says nothing known: {word or 'none'}"
        )
    return Refused(known, word, code=word)


def check_cancelled(row: object) -> None:
    """Check the answer to a cancel.

    Raises OutcomeUnknown unless the status is ``cancelled``; ccxt raises for known failures.
    """
    word = text(inner(row, "info"), "status") if isinstance(row, dict) else ""
    if word != "cancelled":
        raise OutcomeUnknown(
            f"{KRAKEN_FUTURES} answered a cancel with a status that says nothing known: {word or 'none'}"
        )


# ------------------------------------------------------------------------------------------- what became of one


def order_state(row: Row) -> Row:
    """Return a row of ``orders/status`` in unified form.

    A fully executed order traded, even where the row shows the order as it was before the execution.
    """
    told, word = inner(row, "info"), text(inner(row, "info"), "status")
    order = inner(told, "order")
    filled, quantity = number(order.get("filled")) or ZERO, number(order.get("quantity")) or ZERO
    whole = max(filled, quantity)
    if word == "FULLY_EXECUTED":
        filled = filled or whole
    return {
        **row,
        "type": "stop" if text(order, "type") == "TRIGGER_ORDER" else None,
        "amount": plain(whole) if whole > 0 else None,
        "filled": plain(filled),
        "remaining": None,
        "status": _ended_or_live(word, filled),
        "info": {**told, "reason": text(told, "error")},
    }


def _ended_or_live(word: str, filled: Decimal) -> str | None:
    if word == "REJECTED" and filled > 0:
        return "canceled"
    return ENDS.get(word, "open" if word in LIVE else None)


def order_from_events(elements: Iterable[object], native: str, order_id: str, client_id: str) -> Row | None:
    """Return one order from the events of the account's history, which is no longer open; None without events.

    An event's quantity is the remaining quantity. An immediate order has ended even without an event of its end. The
    status is None (unknown) if no event tells the order's end.
    """
    kinds, orders = set(), []
    for element in elements:
        event = inner(element, "event") if isinstance(element, dict) else {}
        for kind, body in event.items():
            order = _order_of(body)
            ours = (order_id and text(order, "uid") == order_id) or (client_id and text(order, "clientId") == client_id)
            if ours and text(order, "tradeable").upper() == native.upper():
                kinds.add(kind)
                orders.append(order)
    if not orders:
        return None
    filled = max(number(o.get("filled")) or ZERO for o in orders)
    quantity = max((number(o.get("filled")) or ZERO) + (number(o.get("quantity")) or ZERO) for o in orders)
    return {
        "id": text(orders[0], "uid"),
        "clientOrderId": next((name for o in orders if (name := text(o, "clientId"))), None),
        "side": text(orders[0], "direction").lower(),
        "type": "stop" if any("Trigger" in kind for kind in kinds) else None,
        "amount": plain(quantity) if quantity > 0 else None,
        "filled": plain(filled),
        "reduceOnly": orders[0].get("reduceOnly"),
        "status": _end(kinds, orders, filled, quantity),
        "info": orders[0],
    }


def _order_of(body: object) -> Row:
    if not isinstance(body, Mapping):
        return {}
    names = ("newOrder", "order", "newOrderTrigger", "orderTrigger")
    return next((found for name in names if (found := inner(body, name))), {})


def _end(kinds: set[str], orders: list[Row], filled: Decimal, quantity: Decimal) -> str | None:
    if 0 < quantity <= filled:
        return "closed"
    if "OrderRejected" in kinds and filled == 0:
        return "rejected"
    trigger = any("Trigger" in kind for kind in kinds)
    at_once = any(text(o, "orderType").lower() in ("ioc", "mkt", "fok") for o in orders) and not trigger
    if at_once or {"OrderCancelled", "OrderTriggerCancelled"} & kinds:
        return "canceled"
    return None  # a later event may have executed or triggered the order


# ------------------------------------------------------------------------------------------- what the stream says


def orders_from_message(message: Mapping[str, Any], known: dict[str, Row]) -> list[Row]:
    """Return the orders of an ``open_orders`` message, as rows without a symbol. ``market`` has the venue's name.

    ``filled`` is cumulative and ``qty`` is the remaining quantity. An ended order comes with its id only: ``known``
    keeps the other fields.
    """
    listed = message.get("orders") if message.get("feed") == "open_orders_snapshot" else [message.get("order")]
    made = [_told(order) for order in listed if isinstance(order, dict)] if isinstance(listed, list) else []
    if message.get("is_cancel") is True:
        last = made[0] if made else known.pop(text(message, "order_id"), None)
        made = [_ended(last, text(message, "reason"))] if last is not None else []
    known |= {text(row, "id"): row for row in made if row["status"] == "open"}
    return made


def _told(order: Row) -> Row:
    filled, left = number(order.get("filled")) or ZERO, number(order.get("qty")) or ZERO
    return {
        "market": text(order, "instrument"),
        "id": text(order, "order_id"),
        "clientOrderId": text(order, "cli_ord_id") or None,
        "side": "buy" if text(order, "direction") == "0" else "sell",
        "type": text(order, "type"),
        "price": order.get("limit_price"),
        "triggerPrice": order.get("stop_price"),
        "amount": plain(filled + left),
        "filled": plain(filled),
        "reduceOnly": order.get("reduce_only"),
        "status": "open",
    }


def _ended(last: Row, reason: str) -> Row:
    """Return the row of an ended order, with the filled quantity where it is certain."""
    whole = reason == "full_fill"
    return {**last, "filled": last["amount"] if whole else last["filled"], "status": "closed" if whole else "canceled"}

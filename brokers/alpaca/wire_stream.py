"""The messages of Alpaca's streams. Pure.

``trade_updates`` is JSON, in binary frames on paper accounts. The price streams are msgpack both ways, and the server
speaks first. Unknown messages are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from brokers.alpaca import wire
from core.errors import OutcomeUnknown, Refusal, Refused
from core.events import BrokerEvent, FillSeen, OrderSeen, PositionSeen
from core.model import Fill, Kind, PositionKey, Quote
from core.units import ZERO

LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}
NO_LOGIN = frozenset({401, 402, 404})  # not authenticated, authentication failed, authentication timed out
NO_DATA = frozenset({405, 406, 409, 410})  # symbol limit, connection limit, subscription: prices by REST instead

_JSON = msgspec.json.Decoder(float_hook=Decimal)
_MSGPACK = msgspec.msgpack.Decoder()


class NoData(Exception):  # the name says what happened
    """Alpaca refuses a price stream to this account. REST is asked for the prices instead."""


def decode_json(raw: bytes | str) -> Any:
    """Return the value of JSON text with exact numbers. Raises OutcomeUnknown for unreadable text."""
    try:
        return _JSON.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutcomeUnknown(f"Alpaca's answer cannot be read: {error}") from None


def decode_frame(raw: bytes | str) -> list[wire.Row]:
    """Return the messages of a price stream's frame, which is msgpack when binary and JSON when text.

    Raises OutcomeUnknown for an unreadable frame.
    """
    if isinstance(raw, str):
        value = decode_json(raw)
    else:
        try:
            value = _MSGPACK.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OutcomeUnknown(f"a frame of Alpaca's price stream cannot be read: {error}") from None
    rows = value if isinstance(value, list) else [value]
    return [row for row in rows if isinstance(row, dict)]


def authenticate(key: str, secret: str) -> dict[str, object]:
    return {"action": "authenticate", "data": {"key_id": key, "secret_key": secret}}


def auth(key: str, secret: str) -> dict[str, object]:
    return {"action": "auth", "key": key, "secret": secret}


def subscribe(symbols: Iterable[str]) -> dict[str, object]:
    return {"action": "subscribe", "quotes": sorted(symbols)}


def authorized(message: object) -> bool:
    """Return whether a message of the account's stream accepts our login. Any other message returns False.

    Raises Refused when the message refuses the login.
    """
    row: wire.Row = message if isinstance(message, dict) else {}
    data = row.get("data")
    if row.get("stream") != "authorization" or not isinstance(data, dict):
        return False
    if data.get("status") != "authorized":
        raise Refused(Refusal.AUTH, f"Alpaca's stream does not take the credentials: {data.get('status')}", code="401")
    return True


def greeted(row: wire.Row, word: str) -> bool:
    """Return whether a price stream says ``word`` (connected, authenticated). Raises an error message's meaning."""
    if row.get("T") == "error":
        raise_error(row)
    return row.get("T") == "success" and row.get("msg") == word


def raise_error(row: wire.Row) -> None:
    said, code = str(row.get("msg") or "no reason given"), row.get("code")
    code = code if isinstance(code, int) else 0
    if code in NO_LOGIN:
        raise Refused(Refusal.AUTH, f"Alpaca's price stream does not take the credentials: {said}", code=str(code))
    if code in NO_DATA:
        raise NoData(said)
    raise OutcomeUnknown(f"Alpaca's price stream failed: {said}")


def quote(account: str, row: wire.Row, symbol: str, received: float) -> Quote | None:
    """Return a quote with at least one side, or None."""
    bid, ask = wire.touch(row)
    if bid is None and ask is None:
        return None
    return Quote(account, symbol, received, bid=bid, ask=ask)


def updates(account: str, message: object, pairs: Mapping[str, str]) -> list[BrokerEvent]:
    """Return the events of a ``trade_updates`` message: the order, its execution, and a position that is gone."""
    data = message.get("data") if isinstance(message, dict) and message.get("stream") == "trade_updates" else None
    if not isinstance(data, dict) or not isinstance(data.get("order"), dict):
        return []
    row = data["order"]
    made: list[BrokerEvent] = [OrderSeen(r.order) for r in wire.orders(account, [row], pairs)]
    if wire.text(data, "event") not in ("fill", "partial_fill") or not made or not wire.text(row, "symbol"):
        return made
    order = wire.order(account, row, pairs).order
    quantity, price = wire.number(data.get("qty")), wire.number(data.get("price"))
    if quantity is not None and price is not None:
        fill = Fill(
            account=account,
            symbol=order.symbol,
            trade_id=wire.text(data, "execution_id") or f"{order.id}:{order.filled}",
            order_id=order.id,
            side=order.side,
            quantity=abs(quantity),
            price=price,
            client_id=order.client_id,
            at=wire.moment(data.get("timestamp")),
        )
        made.append(FillSeen(fill))
    if wire.number(data.get("position_qty")) == ZERO:
        made.append(PositionSeen(PositionKey(account, order.symbol), None))
    return made


def path(kind: Kind, feed: str, option_feed: str) -> str:
    """Return the path of the price stream for a kind of instrument."""
    return {
        Kind.EQUITY: f"/v2/{feed}",
        Kind.OPTION: f"/v1beta1/{option_feed}",
    }.get(kind, "/v1beta3/crypto/us")

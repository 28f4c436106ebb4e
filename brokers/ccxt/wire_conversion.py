"""Parse the exchanges' answers about converting dust. Pure.

The shapes are from the exchanges' documentation. Binance spot: wallet endpoints "assets that can be converted into
BNB", "dust transfer", "dust log". Binance tells the proceeds before a fee of 2 % of the proceeds. The difference
arrives.

OKX, "easy convert": OKX names the convertible assets, at most five at a time, but not the proceeds.

Bybit, "convert small balance": a quote with an id, valid for thirty seconds, of at most twenty coins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from brokers.ccxt.wire import Row, inner, moment, number, positive, text
from core.errors import OutcomeUnknown, Refusal, Refused
from core.plans.conversion import Conversion, ConversionOutcome, Converted

SAME = Decimal("0.01")  # a record's quantity may differ from ours by this part: exchanges cut digits
PREFERRED = "USDT"

BYBIT_ENDS = {
    "init": ConversionOutcome.PENDING,
    "processing": ConversionOutcome.PENDING,
    "success": ConversionOutcome.CONVERTED,
    "partial_fulfillment": ConversionOutcome.CONVERTED,
    "failure": ConversionOutcome.REFUSED,
}
OKX_ENDS = {
    "running": ConversionOutcome.PENDING,
    "filled": ConversionOutcome.CONVERTED,
    "failed": ConversionOutcome.REFUSED,
}


class ConvertibleAssets(Struct, frozen=True):
    """Assets that can be converted, and the possible targets.

    A conversion's ``into`` is empty until a target is chosen.
    """

    conversions: tuple[Conversion, ...]
    targets: tuple[str, ...]


def target(listed: ConvertibleAssets, into: str | None, exchange: str) -> str:
    """Return the currency to convert into. Raises Refused for a currency that the exchange does not offer."""
    if into is not None and into not in listed.targets:
        text_ = f"{exchange} converts into {', '.join(listed.targets) or 'nothing'}, not into {into}"
        raise Refused(Refusal.UNSUPPORTED, text_)
    return into or (PREFERRED if PREFERRED in listed.targets else next(iter(listed.targets), ""))


# --------------------------------------------------------------------------------------------------------- Binance


def binance_listed(body: object) -> ConvertibleAssets:
    rows = _rows(body, "details", "Binance's list of dust")
    return ConvertibleAssets(tuple(_binance_offer(row) for row in rows), ("BNB",))


def _binance_offer(row: Row) -> Conversion:
    gross, fee = number(row.get("toBNB")), number(row.get("exchange"))
    gets = number(row.get("toBNBOffExchange"))
    if gets is None and gross is not None and fee is not None:
        gets = gross - fee
    return Conversion(_name(row, "asset"), _quantity(row, "amountFree"), "BNB", gets, fee)


def binance_converted(body: object) -> list[Converted]:
    return [_binance_row(row) for row in _rows(body, "transferResult", "Binance's answer")]


def _binance_row(row: Row) -> Converted:
    gross, fee = number(row.get("transferedAmount")), number(row.get("serviceChargeAmount"))
    gets = gross - fee if gross is not None and fee is not None else None
    return Converted(_name(row, "fromAsset"), _quantity(row, "amount"), ConversionOutcome.CONVERTED, gets, fee)


def binance_logged(body: object, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
    rows = [
        row
        for group in _rows(body, "userAssetDribblets", "Binance's dust log")
        for row in _rows(group, "userAssetDribbletDetails", "Binance's dust log")
    ]
    return _ours(rows, "operateTime", _binance_row, asked, since)


# ------------------------------------------------------------------------------------------------------------- OKX


def okx_listed(body: object) -> ConvertibleAssets:
    found: list[Conversion] = []
    targets: dict[str, None] = {}
    for group in _rows(body, "data", "OKX's list of small balances"):
        offered = group.get("toCcy")
        names = offered if isinstance(offered, list) else [offered]
        targets |= dict.fromkeys(str(name) for name in names if name)
        for row in _rows(group, "fromData", "OKX's list of small balances"):
            found.append(Conversion(_name(row, "fromCcy"), _quantity(row, "fromAmt"), ""))
    return ConvertibleAssets(tuple(found), tuple(targets))


def okx_converted(body: object) -> list[Converted]:
    return [_okx_row(row) for row in _rows(body, "data", "OKX's answer")]


def _okx_row(row: Row) -> Converted:
    outcome = OKX_ENDS.get(text(row, "status"), ConversionOutcome.UNKNOWN)
    quantity = number(row.get("fillFromSz")) or Decimal(0)
    gets = number(row.get("fillToSz")) if outcome is ConversionOutcome.CONVERTED else None
    said = None if outcome is ConversionOutcome.CONVERTED else f"OKX calls it {text(row, 'status') or 'nothing'}"
    return Converted(_name(row, "fromCcy"), quantity, outcome, gets, error=said)


def okx_logged(body: object, asked: Sequence[Conversion], since: datetime) -> list[Converted]:
    into = {c.asset: c.into for c in asked}
    rows = [r for r in _rows(body, "data", "OKX's history") if into.get(text(r, "fromCcy")) == text(r, "toCcy")]
    return _ours(rows, "uTime", _okx_row, asked, since)


# ----------------------------------------------------------------------------------------------------------- Bybit


def bybit_listed(body: object) -> ConvertibleAssets:
    result = _result(body)
    targets = result.get("supportToCoins")
    return ConvertibleAssets(tuple(_bybit_offers(result, "smallAssetCoins", "", "")), _texts(targets))


def bybit_quoted(body: object, into: str) -> list[Conversion]:
    """Return the coins of a quote, each with the quote's id."""
    result = _result(body)
    reference = text(result, "quoteId")
    if not reference:
        raise OutcomeUnknown("Bybit's quote has no id")
    return _bybit_offers(inner(result, "result"), "exchangeCoins", into, reference)


def _bybit_offers(result: Row, key: str, into: str, reference: str) -> list[Conversion]:
    found = []
    for row in _rows(result, key, "Bybit's list of small balances"):
        if number(row.get("supportConvert")) != 1 or positive(row.get("availableBalance")) is None:
            continue
        fees = inner(row, "feeInfo")
        fee = number(fees.get("amount")) if text(fees, "feeCoin") in ("", into) else None
        gets = positive(row.get("toAmount"))
        quantity = _quantity(row, "availableBalance")
        found.append(Conversion(_name(row, "fromCoin"), quantity, into, gets, fee, reference))
    return found


def bybit_converted(body: object, asked: Sequence[Conversion]) -> list[Converted]:
    """Return the state of each coin of a quote.

    Bybit accepts a request and finishes it later, for all coins at once.
    """
    result = _result(body)
    status = text(result, "status")
    outcome = BYBIT_ENDS.get(status, ConversionOutcome.UNKNOWN)
    if outcome is ConversionOutcome.REFUSED:
        return [Converted(c.asset, c.quantity, outcome, error=text(result, "msg") or "Bybit failed it") for c in asked]
    open_ = (
        ConversionOutcome.UNKNOWN if outcome is ConversionOutcome.UNKNOWN else ConversionOutcome.PENDING
    )  # the history has the proceeds
    return [Converted(c.asset, c.quantity, open_, error=f"Bybit calls it {status or 'nothing'}") for c in asked]


def bybit_logged(body: object, reference: str) -> list[Converted]:
    """Return the history's result of one quote, coin by coin."""
    found: list[Converted] = []
    for record in _rows(_result(body), "records", "Bybit's history"):
        if reference in (text(record, "exchangeTxId"), text(record, "quoteId")):
            found += [_bybit_row(row) for row in _rows(record, "subRecords", "Bybit's history")]
    return found


def _bybit_row(row: Row) -> Converted:
    status = text(row, "status")
    outcome = BYBIT_ENDS.get(status, ConversionOutcome.UNKNOWN)
    said = None if status == "success" else f"Bybit calls it {status or 'nothing'}"
    done = outcome is ConversionOutcome.CONVERTED
    fee = number(row.get("feeAmount")) if text(row, "feeCoin") in ("", text(row, "toCoin")) else None
    quantity = number(row.get("fromAmount")) or Decimal(0)
    gets = number(row.get("toAmount")) if done else None
    return Converted(_name(row, "fromCoin"), quantity, outcome, gets, fee if done else None, said)


# --------------------------------------------------------------------------------------------------------- parts


def _ours(
    rows: Sequence[Row],
    at: str,
    read: Callable[[Row], Converted],
    asked: Sequence[Conversion],
    since: datetime,
) -> list[Converted]:
    """Return the last row of each asked asset that is not older than ``since`` and has the asked quantity."""
    wanted = {c.asset: c.quantity for c in asked}
    found: dict[str, Converted] = {}
    for row in sorted(rows, key=lambda r: number(r.get(at)) or Decimal(0)):
        done, when = read(row), moment(row.get(at))
        quantity = wanted.get(done.asset)
        if quantity is None or when is None or when < since:
            continue
        if done.outcome is not ConversionOutcome.CONVERTED or abs(done.quantity - quantity) <= quantity * SAME:
            found[done.asset] = done
    return list(found.values())


def chosen(conversions: Sequence[Conversion], only: Collection[str] | None) -> list[Conversion]:
    return [c for c in conversions if only is None or c.asset in only]


def _rows(body: object, key: str, what: str) -> list[Row]:
    """Return the rows under a key. Raises OutcomeUnknown unless they are a list of objects."""
    found = body.get(key) if isinstance(body, dict) else None
    if found is None and isinstance(body, dict) and key in body:
        return []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise OutcomeUnknown(f"{what} cannot be read")
    return found


def _result(body: object) -> Row:
    found = body.get("result") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        raise OutcomeUnknown("Bybit's answer cannot be read")
    return found


def _texts(found: object) -> tuple[str, ...]:
    return tuple(str(name) for name in found) if isinstance(found, list) else ()


def _name(row: Row, key: str) -> str:
    found = text(row, key)
    if not found:
        raise OutcomeUnknown("a conversion without the name of its asset cannot be read")
    return found


def _quantity(row: Row, key: str) -> Decimal:
    found = number(row.get(key))
    if found is None or found < 0:
        raise OutcomeUnknown(f"a conversion's quantity cannot be read: {text(row, key)!r}")
    return found

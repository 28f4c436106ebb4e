"""Translate ccxt's exceptions to refused, unreachable or unknown. Pure: it sees names and texts, not ccxt.

An exception's class alone does not tell whether an order was executed. Kraken's time-out is an ``ExchangeError`` like
any refusal; so is a body that breaks off. A refused connection has the class of a connection that broke after
sending. So the exchange's own code decides first, then the state of the connection, then the class. Anything else
says nothing about an order.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable

LONGEST = 300  # characters kept of a venue's sentence

# The exchange's code → its meaning; None: the code does not tell the outcome. Binance's derivatives share Binance's.
CODES: dict[str, dict[str, Refusal | None]] = {
    "binance": {
        "-1000": None, "-1001": None, "-1006": None, "-1007": None, "-1016": None, "-1008": Refusal.RATE_LIMITED,
        "-1003": Refusal.RATE_LIMITED, "-1015": Refusal.RATE_LIMITED, "-1021": Refusal.CLOCK, "-1022": Refusal.AUTH,
        "-1111": Refusal.PRECISION, "-1121": Refusal.UNKNOWN_SYMBOL,
        "-1102": Refusal.UNSUPPORTED, "-1106": Refusal.UNSUPPORTED, "-1115": Refusal.UNSUPPORTED,
        "-1116": Refusal.UNSUPPORTED, "-1117": Refusal.UNSUPPORTED, "-1128": Refusal.UNSUPPORTED,
        "-2011": Refusal.UNKNOWN_ORDER, "-2013": Refusal.UNKNOWN_ORDER, "-2014": Refusal.AUTH, "-2015": Refusal.AUTH,
        "-2019": Refusal.OTHER, "-2021": Refusal.OTHER, "-2022": Refusal.REDUCE_ONLY, "-4003": Refusal.BELOW_MINIMUM,
        "-4005": Refusal.BELOW_MINIMUM, "-4014": Refusal.PRECISION, "-4023": Refusal.PRECISION,
        "-4015": Refusal.UNSUPPORTED, "-4061": Refusal.UNSUPPORTED, "-4116": Refusal.DUPLICATE,
        "-4118": Refusal.HELD, "-4131": Refusal.UNSUPPORTED, "-4140": Refusal.HALTED, "-4164": Refusal.BELOW_MINIMUM,
        "-4509": Refusal.NO_POSITION, "-5021": Refusal.UNSUPPORTED, "-5022": Refusal.UNSUPPORTED,
    },
    "bybit": {
        "10000": None, "10016": None, "10019": None, "10002": Refusal.CLOCK, "10003": Refusal.AUTH,
        "10004": Refusal.AUTH, "10005": Refusal.AUTH, "10006": Refusal.RATE_LIMITED, "10018": Refusal.RATE_LIMITED,
        "10010": Refusal.AUTH, "33004": Refusal.AUTH, "110001": Refusal.UNKNOWN_ORDER, "110008": Refusal.UNKNOWN_ORDER,
        "110010": Refusal.UNKNOWN_ORDER, "110017": Refusal.REDUCE_ONLY, "110020": Refusal.OTHER,
        "110072": Refusal.DUPLICATE, "110079": Refusal.OTHER, "110094": Refusal.BELOW_MINIMUM,
        "110092": Refusal.OTHER, "110093": Refusal.OTHER, "110009": Refusal.OTHER, "170131": Refusal.HELD,
        "170136": Refusal.BELOW_MINIMUM, "170140": Refusal.BELOW_MINIMUM, "170137": Refusal.PRECISION,
        "170141": Refusal.DUPLICATE, "170213": Refusal.UNKNOWN_ORDER, "170210": Refusal.OTHER,
        "170007": None, "170035": None, "170005": Refusal.RATE_LIMITED, "170222": Refusal.RATE_LIMITED,
        "170146": None, "170147": None, "10429": Refusal.RATE_LIMITED, "10008": Refusal.AUTH, "10024": Refusal.AUTH,
        "10027": Refusal.AUTH, "110034": Refusal.NO_POSITION, "110003": Refusal.UNSUPPORTED,
        "170132": Refusal.UNSUPPORTED, "170133": Refusal.UNSUPPORTED, "170193": Refusal.UNSUPPORTED,
        "170194": Refusal.UNSUPPORTED, "170148": Refusal.PRECISION, "170139": Refusal.UNKNOWN_ORDER,
        "170142": Refusal.UNKNOWN_ORDER, "170143": Refusal.UNKNOWN_ORDER, "170190": Refusal.UNKNOWN_ORDER,
        "110063": Refusal.HELD,  # a settlement is in progress
    },
    "okx": {
        "50001": None, "50004": None, "50013": None, "50026": None, "51149": None, "50011": Refusal.RATE_LIMITED,
        "50061": Refusal.RATE_LIMITED, "50040": Refusal.RATE_LIMITED, "50101": Refusal.AUTH, "50102": Refusal.CLOCK,
        "50112": Refusal.CLOCK, "50103": Refusal.AUTH, "50104": Refusal.AUTH, "50105": Refusal.AUTH,
        "50110": Refusal.AUTH, "50111": Refusal.AUTH, "50113": Refusal.AUTH, "50114": Refusal.AUTH,
        "50119": Refusal.AUTH, "50120": Refusal.AUTH, "51001": Refusal.UNKNOWN_SYMBOL, "51016": Refusal.DUPLICATE,
        "51020": Refusal.BELOW_MINIMUM, "51120": Refusal.BELOW_MINIMUM, "51121": Refusal.PRECISION,
        "51022": Refusal.HALTED, "51021": Refusal.HALTED, "51027": Refusal.HALTED, "51028": Refusal.HALTED,
        "51023": Refusal.NO_POSITION, "51112": Refusal.HELD, "51113": Refusal.RATE_LIMITED,
        "51169": Refusal.REDUCE_ONLY, "51170": Refusal.REDUCE_ONLY, "51202": Refusal.UNSUPPORTED,
        "51201": Refusal.UNSUPPORTED, "51400": Refusal.UNKNOWN_ORDER, "51401": Refusal.UNKNOWN_ORDER,
        "51402": Refusal.UNKNOWN_ORDER, "51509": Refusal.UNKNOWN_ORDER, "51603": Refusal.UNKNOWN_ORDER,
        "51008": Refusal.HELD, "51115": Refusal.HELD, "51131": Refusal.HELD, "51119": Refusal.HELD,
        # A settlement, liquidation or deleveraging is in progress; HELD until its end.
        "50017": Refusal.HELD, "50018": Refusal.HELD, "50019": Refusal.HELD, "50020": Refusal.HELD,
        "50021": Refusal.HELD, "50022": Refusal.HELD, "50023": Refusal.HELD, "51029": Refusal.HELD,
        "51030": Refusal.HELD,
    },
    "kucoinfutures": {
        "200002": Refusal.RATE_LIMITED, "429000": Refusal.RATE_LIMITED, "400002": Refusal.CLOCK,
        "400003": Refusal.AUTH, "400004": Refusal.AUTH, "400005": Refusal.AUTH, "400006": Refusal.AUTH,
        "400007": Refusal.AUTH, "300009": Refusal.NO_POSITION, "330005": Refusal.REDUCE_ONLY,
        "330011": Refusal.REDUCE_ONLY, "330012": Refusal.REDUCE_ONLY, "100004": Refusal.UNKNOWN_ORDER,
        "200003": Refusal.UNKNOWN_SYMBOL, "300002": Refusal.HALTED, "300014": Refusal.HALTED,
        "300015": Refusal.HALTED, "300011": Refusal.UNSUPPORTED, "300012": Refusal.UNSUPPORTED,
        "300018": Refusal.DUPLICATE, "300005": Refusal.OTHER, "500000": None,
    },
    # Kraken Futures' errors, and the statuses of refused orders and cancels in successful answers.
    "krakenfutures": {
        "Server Error": None, "unknownError": None, "Unavailable": None, "unavailable": None,
        "apiLimitExceeded": Refusal.RATE_LIMITED, "authenticationError": Refusal.AUTH,
        "nonceBelowThreshold": Refusal.CLOCK, "nonceDuplicate": Refusal.CLOCK,
        "wouldProcessAfterSpecifiedTime": Refusal.CLOCK, "contractNotFound": Refusal.UNKNOWN_SYMBOL,
        "marketUnavailable": Refusal.HALTED, "marketSuspended": Refusal.HALTED, "marketInactive": Refusal.HALTED,
        "marketIsPostOnly": Refusal.HALTED, "invalidOrderType": Refusal.UNSUPPORTED, "invalidSide": Refusal.OTHER,
        "invalidSize": Refusal.PRECISION, "invalidPrice": Refusal.UNSUPPORTED, "postWouldExecute": Refusal.OTHER,
        "outsidePriceCollar": Refusal.OTHER, "wouldIncreasePriceDislocation": Refusal.OTHER,
        "iocWouldNotExecute": Refusal.OTHER, "insufficientAvailableFunds": Refusal.HELD, "selfFill": Refusal.HELD,
        "wouldCauseLiquidation": Refusal.OTHER, "fixedLeverageTooHigh": Refusal.OTHER,
        "maxPositionViolation": Refusal.OTHER, "tooManyOrders": Refusal.OTHER, "tooManySmallOrders": Refusal.OTHER,
        "clientOrderIdAlreadyExist": Refusal.DUPLICATE, "clientOrderIdTooLong": Refusal.OTHER,
        "clientOrderIdTooBig": Refusal.OTHER, "clientOrderIdInvalid": Refusal.OTHER,
        "wouldNotReducePosition": Refusal.REDUCE_ONLY, "filled": Refusal.UNKNOWN_ORDER,
        "notFound": Refusal.UNKNOWN_ORDER,
    },
}  # fmt: skip
CODES |= dict.fromkeys(("binanceusdm", "binancecoinm", "binanceus"), CODES["binance"])
CODES |= {"myokx": CODES["okx"], "okxus": CODES["okx"], "kucoin": CODES["kucoinfutures"]}
# KuCoin has one code for every faulty request. ccxt reads the code as "order not found". The sentence tells more.
DENIALS = {("kucoinfutures", "100001"): "notexist", ("kucoin", "100001"): "notexist"}
NOT_BASE64 = ("Error", "ValueError")  # errors of binascii for a secret that is not base64
BANS_OF_ADDRESS = frozenset({"403", "418", "10009"})  # HTTP statuses and Bybit's code; other bans concern a key
ORDERS_OF_ACCOUNT = "-1015"  # Binance's limit of new orders counts per account, unlike its other limits
CODED = frozenset({"kucoinfutures", "kucoin"})  # every refusal has a code there: an answer without a code is no refusal

# The first row with a phrase in the lower-case sentence gives the refusal; None: the outcome is unknown.
_PHRASES: tuple[tuple[Refusal | None, tuple[str, ...]], ...] = (
    (None, ("eservice:timeout", "deadline elapsed", "unknown_failure_reason", "eservice:busy", "eservice:unavailable")),
    (None, ("internal error", "internal_error", "timeout", "timed out", "send status unknown", "unknown error")),
    (None, ("system error", "service error", "server error", "network error", "server is busy", "system is busy")),
    (Refusal.REDUCE_ONLY, ("reduce only", "reduce-only", "reduceonly", "reduce_only", "wouldnotreduceposition")),
    (Refusal.NO_POSITION, ("position does not exist", "no open position", "position not found", "position is zero")),
    (Refusal.NO_POSITION, ("no position", "current position is zero", "no positions to close")),
    (Refusal.CLOCK, ("recvwindow", "einvalid nonce", "invalid nonce", "timestamp for this request", "request expired")),
    (Refusal.AUTH, ("invalid key", "invalid signature", "permission denied", "permission_denied", "unauthorized")),
    (Refusal.HALTED, ("cancel_only", "cancel only", "post_only mode", "trading disabled", "trading is disabled")),
    (Refusal.HALTED, ("market is suspended", "is halted", "marketsuspended", "is suspended", "not trading")),
    (Refusal.BELOW_MINIMUM, ("minimum not met", "min_notional", "minimum", "notional", "too small", "toosmall")),
    (
        Refusal.BELOW_MINIMUM,
        ("size too low", "below the min", "must be greater than", "must be no smaller"),
    ),
    # Binance LOT_SIZE error although we rounded: the filter changed, so reload markets.
    (
        Refusal.PRECISION,
        ("precision", "increment", "tick size", "step size", "too accurate", "multiple of", "lot_size"),
    ),
    (Refusal.UNSUPPORTED, ("time in force", "timeinforce", "time_in_force", "order type", "ordertype", "price band")),
    (Refusal.UNSUPPORTED, ("not supported", "unsupported", "percent_price", "price_filter", "outside price")),
    (Refusal.OTHER, ("insufficient margin", "margin is insufficient", "insufficientavailablefunds")),
    (Refusal.HELD, ("insufficient", "not enough", "insufficient_fund")),
    (Refusal.DUPLICATE, ("duplicate", "already exists", "clientorderidalreadyexist")),
    (Refusal.UNKNOWN_ORDER, ("unknown order", "order not found", "order does not exist", "unknown_cancel_order")),
)

# The first matching class of the exception counts, so specific classes come before general classes.
_CLASSES: tuple[tuple[str, Refusal], ...] = (
    ("AccountSuspended", Refusal.HALTED),
    ("AuthenticationError", Refusal.AUTH),
    ("RestrictedLocation", Refusal.AUTH),
    ("ManualInteractionNeeded", Refusal.AUTH),
    ("DuplicateOrderId", Refusal.DUPLICATE),
    ("OrderNotFound", Refusal.UNKNOWN_ORDER),
    ("BadSymbol", Refusal.UNKNOWN_SYMBOL),
    ("MarketClosed", Refusal.MARKET_CLOSED),
    ("ContractUnavailable", Refusal.HALTED),
    ("InsufficientFunds", Refusal.HELD),
    ("NotSupported", Refusal.UNSUPPORTED),
    ("ArgumentsRequired", Refusal.UNSUPPORTED),
)
_FAILED = ("NetworkError", "OperationFailed", "RequestTimeout", "ExchangeNotAvailable", "BadResponse", "NullResponse")
# The exchanges' words for the sender's name of an order, in a sentence that calls the name wrong.
_NAME = re.compile(
    r"\b(new)?(client|cl|custom|external)[_ -]?(order|ord)?[_ -]?(oid|id)\b.*(invalid|illegal|format|must)"
    r"|(invalid|illegal|wrong) (new)?(client|cl)[_ -]?(order|ord)?[_ -]?(oid|id)\b"
)
_URL = re.compile(r"(?:https?|wss?)://\S+")


class NoSuchCall(OutcomeUnknown):
    """The place has no call of that path (HTTP 404), as Binance's test network has none of its wallets."""


class VenueError(Struct, frozen=True):
    """The observed facts of a failed request."""

    exchange: str
    classes: tuple[str, ...]  # the exception's class and base classes, the root last
    text: str  # secrets are already removed
    status: int | None = None  # HTTP status; None without an answer
    sent: bool = True  # False if the request provably never left
    broke: bool = False  # the connection failed, whatever the class
    retry_after: float | None = None


def translate(said: VenueError, *, acts: bool) -> FlatdeckError:
    """Return the error that leaves the adapter. ``acts``: the request may have placed or cancelled an order."""
    code, sentence = reason(said.exchange, said.text)
    if not said.sent:
        return Unreachable(f"{said.exchange} cannot be reached: {sentence}")
    codes = CODES.get(said.exchange, {})
    low = sentence.lower()
    ban = said.status == 418 or "banned" in low or "ip ban" in low or "temporary lockout" in low
    ban = ban or (said.status == 403 and "RateLimitExceeded" in said.classes)  # Bybit bans an address for minutes
    ban = ban and codes.get(code) is not Refusal.AUTH  # an account without permission to trade is not banned for a time
    limited = codes.get(code) is Refusal.RATE_LIMITED or said.status in (418, 429) or ban
    if limited or {"RateLimitExceeded", "DDoSProtection"} & set(said.classes):
        refusal = Refusal.BANNED if ban else Refusal.RATE_LIMITED
        return Refused(refusal, sentence, code=code or str(said.status or ""), retry_after=said.retry_after)
    if said.broke or (said.status is not None and (said.status >= 500 or said.status == 408)):
        return OutcomeUnknown(f"no answer from {said.exchange} that counts: {sentence}")
    told, known = (
        (True, codes[code]) if code in codes else phrase(low) if "BaseError" in said.classes else (False, None)
    )
    if told and known is None:
        return OutcomeUnknown(f"{said.exchange} does not know the outcome itself: {sentence}")
    if acts and not code and said.exchange in CODED and (said.status or 200) < 300:
        return OutcomeUnknown(f"{said.exchange} answered with neither an order nor a refusal: {sentence}")
    denial = DENIALS.get((said.exchange, code))
    if denial is not None:
        refusal = Refusal.UNKNOWN_ORDER if denial in low.replace(" ", "") else known or Refusal.OTHER
        return Refused(refusal, sentence, code=code)
    return _by_class(said, known, code, sentence, acts=acts)


def _by_class(said: VenueError, known: Refusal | None, code: str, sentence: str, *, acts: bool) -> FlatdeckError:
    """Return the error by ccxt's class. ``known``, the meaning of the code or sentence, takes precedence."""
    if "InvalidNonce" in said.classes:
        return Refused(Refusal.CLOCK, sentence, code=code)
    if said.classes[:2] == NOT_BASE64 and not acts:
        return Refused(Refusal.AUTH, f"the secret is not one that {said.exchange} gives: {sentence}")
    if "BaseError" not in said.classes:  # a fault of ccxt or ours; the request may have left
        return OutcomeUnknown(f"what {said.exchange} said cannot be read: {sentence}")
    if known is None:
        known = next((refusal for name, refusal in _CLASSES if name in said.classes), None)
    if known is None and set(_FAILED) & set(said.classes):
        unknown = NoSuchCall if said.status == 404 and not acts else OutcomeUnknown
        return unknown(f"no answer from {said.exchange} that counts: {sentence}")
    if known is None or (known is Refusal.HELD and not acts):
        known = Refusal.OTHER
    return Refused(known, sentence, code=code)


def refuses_name(refused: Refused) -> bool:
    """Return whether the exchange refuses an order because of the form of its name. It then made no order."""
    return refused.refusal is not Refusal.DUPLICATE and _NAME.search(str(refused).lower()) is not None


def limiters_hit(refused: Refused) -> int:
    """Return how many of a client's limiters a limit or ban concerns: its own two first, then the address's."""
    if refused.code == ORDERS_OF_ACCOUNT:
        return 0
    return 3 if refused.refusal is Refusal.BANNED and refused.code in BANS_OF_ADDRESS else 2


def phrase(low: str) -> tuple[bool, Refusal | None]:
    """Return whether a known phrase is in the sentence, and its meaning; None: nothing about the outcome."""
    found = [refusal for refusal, phrases in _PHRASES if any(p in low for p in phrases)]
    return bool(found), found[0] if found else None


def reason(exchange: str, text: str) -> tuple[str, str]:
    """Return the exchange's code and sentence from an exception's text, which mostly is ``<exchange> <body>``."""
    body = text.removeprefix(f"{exchange} ")
    begins = body.find("{")
    found: Any = None
    if begins >= 0:
        try:
            found = msgspec.json.decode(body[begins:])
        except msgspec.DecodeError:
            found = None
    if not isinstance(found, dict):
        return _code_of(body), plainly(body)
    code, sentence = _fields(found)
    return code, plainly(sentence or body)


def _fields(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return code and sentence of an error's body, innermost first: OKX, Bybit, Coinbase, Kraken and the rest."""
    data, inner, status = body.get("data"), body.get("error_response"), body.get("sendStatus")
    error, errors = body.get("error"), body.get("errors")
    row: Mapping[str, Any] = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    if isinstance(inner, dict):
        failed, preview = inner.get("error"), inner.get("preview_failure_reason")
        if failed == "UNKNOWN_FAILURE_REASON" and preview not in (None, "", "UNKNOWN_PREVIEW_FAILURE_REASON"):
            failed = preview  # the preview of the order failed, and Coinbase made no order
        words = (failed, inner.get("message"), preview)
        return str(failed or ""), ": ".join(dict.fromkeys(str(w) for w in words if w))
    if isinstance(error, list) and error:
        return str(error[0]), "; ".join(str(e) for e in error)
    if isinstance(status, dict):
        return str(status.get("status") or ""), str(status.get("status") or "")
    codes = (row.get("sCode"), body.get("retCode"), body.get("code"), error)
    texts = (row.get("sMsg"), body.get("retMsg"), body.get("msg"), body.get("message"), error)
    code = next((str(c) for c in codes if isinstance(c, str | int) and c not in ("", "0", 0)), "")
    sentence = next((str(t) for t in texts if isinstance(t, str) and t), "")
    if not sentence and isinstance(errors, list):
        sentence = "; ".join(str(e.get("message", e)) if isinstance(e, dict) else str(e) for e in errors)
    return code, sentence


def is_json(text: str) -> bool:
    """Return whether a text is one JSON value. Hyperliquid answers a question with a bare string."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _code_of(body: str) -> str:
    """Return the code in a text; "" without a code.

    Kraken's ``EOrder:Insufficient funds`` is a code. ccxt puts Kraken Futures' code into a sentence.
    """
    said = re.search(r" failed due to (\w+)$", body)
    if said is not None:
        return said.group(1)
    return body if re.fullmatch(r"E[A-Za-z]+:[^:{]{1,60}", body) else ""


def plainly(text: str) -> str:
    """Return one printable line of limited length. Addresses lose their query, which carries keys and signatures."""
    text = _URL.sub(lambda found: found.group().partition("?")[0], text)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:LONGEST] or "without a reason"


def redacted(text: str, secrets: Collection[str]) -> str:
    """Return ``text`` without these values. Very short values are no secrets and are kept."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "•••")
    return text

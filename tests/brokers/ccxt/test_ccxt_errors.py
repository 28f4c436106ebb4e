"""Exchanges' own sentences and codes, as ccxt raises them, become one of three outcomes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from brokers.ccxt.wire_errors import VenueError, plainly, redacted, translate
from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable

REFUSING = ("InvalidOrder", "ExchangeError", "BaseError")
FAILING = ("ExchangeNotAvailable", "NetworkError", "OperationFailed", "BaseError")


def said(exchange: str, body: Any, classes: tuple[str, ...] = REFUSING, **more: Any) -> VenueError:
    text = body if isinstance(body, str) else json.dumps(body)
    return VenueError(exchange, classes, f"{exchange} {text}", **{"status": 200, **more})


@pytest.mark.parametrize(
    ("exchange", "body", "refusal", "code"),
    [
        ("kraken", {"error": ["EOrder:Order minimum not met"]}, Refusal.BELOW_MINIMUM, "EOrder:Order minimum not met"),
        ("kraken", {"error": ["EOrder:Cost minimum not met"]}, Refusal.BELOW_MINIMUM, "EOrder:Cost minimum not met"),
        (
            "kraken",
            {"error": ["EOrder:Reduce only:No position"]},
            Refusal.REDUCE_ONLY,
            "EOrder:Reduce only:No position",
        ),
        ("kraken", {"error": ["EOrder:Insufficient funds"]}, Refusal.HELD, "EOrder:Insufficient funds"),
        ("kraken", {"error": ["EOrder:Unknown order"]}, Refusal.UNKNOWN_ORDER, "EOrder:Unknown order"),
        ("bybit", {"retCode": 110017, "retMsg": "current position is zero"}, Refusal.REDUCE_ONLY, "110017"),
        ("bybit", {"retCode": 110034, "retMsg": "There is no net position."}, Refusal.NO_POSITION, "110034"),
        ("bybit", {"retCode": 170139, "retMsg": "Order has been filled."}, Refusal.UNKNOWN_ORDER, "170139"),
        ("bybit", {"retCode": 10027, "retMsg": "Transactions are banned."}, Refusal.AUTH, "10027"),
        ("bybit", {"retCode": 10009, "retMsg": "IP has been banned."}, Refusal.BANNED, "10009"),
        ("okx", {"code": "1", "data": [{"sCode": "51169", "sMsg": "no positions"}]}, Refusal.REDUCE_ONLY, "51169"),
        ("okx", {"code": "1", "data": [{"sCode": "51016", "sMsg": "clOrdId exists"}]}, Refusal.DUPLICATE, "51016"),
        (
            "okx",
            {"code": "1", "data": [{"sCode": "51030", "sMsg": "Funding fee is being settled."}]},
            Refusal.HELD,
            "51030",
        ),
        ("okx", {"code": "50023", "data": [], "msg": "Funding fee frozen."}, Refusal.HELD, "50023"),
        ("bybit", {"retCode": 110063, "retMsg": "Settlement in progress!"}, Refusal.HELD, "110063"),
        ("binanceusdm", {"code": -4164, "msg": "too little"}, Refusal.BELOW_MINIMUM, "-4164"),
        ("binance", {"code": -1013, "msg": "Filter failure: NOTIONAL"}, Refusal.BELOW_MINIMUM, "-1013"),
        ("binance", {"code": -1013, "msg": "Filter failure: MARKET_LOT_SIZE"}, Refusal.PRECISION, "-1013"),
        ("binance", {"code": -1013, "msg": "Filter failure: PERCENT_PRICE_BY_SIDE"}, Refusal.UNSUPPORTED, "-1013"),
        (
            "coinbase",
            {"success": False, "error_response": {"error": "INSUFFICIENT_FUND", "message": "Insufficient balance"}},
            Refusal.HELD,
            "INSUFFICIENT_FUND",
        ),
        ("gate", {"label": "X", "message": "Order size too small"}, Refusal.BELOW_MINIMUM, ""),
        ("gate", {"label": "X", "message": "something that nobody knows"}, Refusal.OTHER, ""),
    ],
)
def test_a_sentence_or_code_names_the_refusal(exchange: str, body: Any, refusal: Refusal, code: str) -> None:
    error = translate(said(exchange, body), acts=True)
    assert isinstance(error, Refused)
    assert (error.refusal, error.code) == (refusal, code)


@pytest.mark.parametrize(
    ("exchange", "body"),
    [
        ("binanceusdm", {"code": -1007, "msg": "Timeout"}),
        ("binanceusdm", {"code": -1006, "msg": "Execution status unknown."}),
        ("bybit", {"retCode": 10000, "retMsg": "Server Timeout"}),
        ("bybit", {"retCode": 10016, "retMsg": "Service error"}),
        ("bybit", {"retCode": 170146, "retMsg": "Order creation timeout"}),
        ("okx", {"code": "50004", "data": [], "msg": "Endpoint request timeout"}),
        ("binance", {"code": -1004, "msg": "Server is busy, please wait and try again"}),
        ("bybit", {"retCode": 5004, "retMsg": "Server Timeout"}),
        ("bybit", {"retCode": 170032, "retMsg": "Network error. Please try again later"}),
        ("bybit", {"retCode": 170035, "retMsg": "Submitted to the system for processing!"}),
        ("bybit", {"retCode": 170234, "retMsg": "System Error"}),
        ("bybit", {"retCode": 131200, "retMsg": "Service error"}),
        ("kucoinfutures", {"code": "408000", "msg": "Network timeout, please try again later"}),
        ("okx", {"code": "63999", "data": [], "msg": "Internal system error"}),
        ("kraken", {"error": ["EService:Timeout"]}),
        ("kraken", {"error": ["EService:Deadline elapsed"]}),
    ],
)
def test_an_exchange_that_does_not_know_the_outcome_itself_is_unknown(exchange: str, body: Any) -> None:
    assert isinstance(translate(said(exchange, body), acts=True), OutcomeUnknown)


@pytest.mark.parametrize(
    ("body", "classes", "refusal"),
    [
        ({"code": -2019, "msg": "Margin is insufficient."}, ("InsufficientFunds", *REFUSING[1:]), Refusal.OTHER),
        ({"code": -2019, "msg": "Margin is insufficient."}, ("OperationFailed", "BaseError"), Refusal.OTHER),
        ({"code": -1013, "msg": "Market is closed."}, ("MarketClosed", *REFUSING[1:]), Refusal.MARKET_CLOSED),
    ],
)
def test_a_code_that_is_known_decides_before_the_class_and_the_class_before_nothing(
    body: Any, classes: tuple[str, ...], refusal: Refusal
) -> None:
    error = translate(said("binance", body, classes), acts=True)
    assert isinstance(error, Refused)
    assert error.refusal is refusal


def test_a_failure_says_nothing_and_a_limit_a_nonce_and_a_login_are_refusals() -> None:
    cases: list[tuple[tuple[str, ...], Refusal | None]] = [
        (FAILING, None),
        (("OnMaintenance", *FAILING), None),
        (("BadResponse", "OperationFailed", "BaseError"), None),
        (("RateLimitExceeded", "NetworkError", "OperationFailed", "BaseError"), Refusal.RATE_LIMITED),
        (("DDoSProtection", "NetworkError", "OperationFailed", "BaseError"), Refusal.RATE_LIMITED),
        (("InvalidNonce", "NetworkError", "OperationFailed", "BaseError"), Refusal.CLOCK),
        (("PermissionDenied", "AuthenticationError", "ExchangeError", "BaseError"), Refusal.AUTH),
        (("TypeError",), None),
    ]
    for classes, refusal in cases:
        error = translate(said("gate", "words", classes), acts=True)
        assert (error.refusal if isinstance(error, Refused) else None) is refusal, classes


def test_the_connection_decides_before_the_class() -> None:
    assert isinstance(translate(said("gate", "x", sent=False), acts=True), Unreachable)
    assert isinstance(translate(said("gate", "x", broke=True), acts=True), OutcomeUnknown)
    assert isinstance(translate(said("gate", "x", status=502), acts=True), OutcomeUnknown)


def test_text_is_one_printable_line_without_queries_and_secrets() -> None:
    line = plainly("GET https://x.example/a?apiKey=k&signature=s \x1b[31m\n  bad" + "!" * 999)
    assert line.startswith("GET https://x.example/a [31m bad!")
    assert len(line) == 300
    assert redacted("a long-secret and more", ["long-secret", "a"]) == "a ••• and more"


def test_a_secret_that_nothing_can_be_signed_with_is_refused_and_no_fault_of_the_exchange() -> None:
    with pytest.raises(ValueError, match=r"base64|padding") as caught:
        base64.b64decode("not base64!")
    classes = tuple(c.__name__ for c in type(caught.value).__mro__)
    error = translate(VenueError("kraken", classes, str(caught.value)), acts=False)
    assert isinstance(error, Refused)
    assert (error.refusal, str(error).startswith("the secret is not one that kraken gives: ")) == (Refusal.AUTH, True)
    assert isinstance(translate(VenueError("kraken", classes, str(caught.value)), acts=True), OutcomeUnknown)

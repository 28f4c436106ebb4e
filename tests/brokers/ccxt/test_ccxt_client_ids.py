"""Our name of an order leaves every exchange of ccxt under the exchange's own word, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from brokers.ccxt import wire
from brokers.ccxt.exchanges.order_table import order_fields_of
from brokers.ccxt.wire_client_ids import UNIFIED, Form, decode, encode
from brokers.ccxt.wire_errors import refuses_name
from core.errors import Refusal, Refused
from tests.brokers.ccxt import offline

NAME = "fdab12abcdefghijklmnopqrstuvwxyz"
# ccxt passes these words on as they are, and does not read them in an order. The exchanges document them.
DOCUMENTED = {
    ("bitso", "origin_id"),
    ("bitvavo", UNIFIED),
    ("hashkey", UNIFIED),
    ("coinsph", "newClientOrderId"),
    ("deribit", "label"),
    ("indodax", "client_order_id"),
    ("luno", "client_order_id"),
    ("toobit", "newClientOrderId"),
}
# A made-up account and market do not lead these to an order: they need a real key, chain or answer first.
SILENT = frozenset(
    {"apex", "bithumb", "bittrade", "coinbaseinternational", "derive", "extended", "hyperliquid", "kucoinfutures"}
    | {"pacifica", "paradex", "polymarket"}
)


def words_of(name: str, symbol: str) -> list[str] | None:
    """The words under which our name leaves; None where no order leaves."""
    names = order_fields_of(name).names
    word = names.word_of(spot=symbol == offline.SPOT)
    value = encode(NAME[: names.length], names.form)
    params: dict[str, Any] = {word: value, **({} if symbol == offline.SPOT else {"reduceOnly": True, "size": "5"})}
    made = offline.order(name, symbol, params) or offline.order(name, symbol, params, kind="limit")
    return None if made is None else list(offline.words(made[2], value))


def is_read(name: str, symbol: str, word: str) -> bool:
    """Whether ccxt reads the word in an order of the exchange."""
    exchange = offline.client(name)
    for more in ({}, {"id": "1"}, {"orderId": "1", "order_id": "1"}):
        try:
            told = exchange.parse_order({**more, word: NAME}, exchange.markets[symbol])
        except Exception:  # noqa: BLE001  # a made-up order may lack a field
            continue
        if NAME in (told.get("clientOrderId"), told.get("id")):
            return True
    return False


def test_our_name_leaves_under_a_word_that_the_exchange_knows() -> None:
    wrong, silent = dict[tuple[str, str], Any](), set[str]()
    for name in offline.names():
        has, names = offline.class_of(name)().has, order_fields_of(name).names
        kinds = [(offline.SPOT, "spot")] + ([(offline.SWAP, "swap")] if has.get("fetchPositions") else [])
        for symbol, kind in kinds:
            word = names.word_of(spot=kind == "spot")
            if has.get(kind) is not True or not word:
                continue
            found = words_of(name, symbol)
            if found is None:
                silent.add(name)
            elif not (set(found) - {word}) and (name, word) not in DOCUMENTED and not is_read(name, symbol, word):
                wrong[name, kind] = found
    assert wrong == {}
    assert silent - {"htx", "kucoin"} == SILENT  # both place the other kind of order


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("name", ["fd0000aaaaaaaaaaaaaaaa", "fdzzzz7777777777777777", "fd0123abcdefghijklmnop"])
def test_a_name_in_any_form_is_read_as_our_name_again(form: Form, name: str) -> None:
    written = encode(name, form)
    assert decode(written) == name
    assert wire.client_id({"clientOrderId": None, "info": {"some_word": written}}) == name


@pytest.mark.parametrize(
    "text", ["", "0x" + "0" * 32, "0x" + "f" * 32, "00000000-0000-4000-8000-000000000001", "web-1"]
)
def test_a_name_of_another_sender_is_left_as_it_is(text: str) -> None:
    assert decode(text) == text


def test_a_name_of_hyperliquid_has_32_hexadecimal_digits() -> None:
    names = order_fields_of("hyperliquid").names
    assert encode(NAME[: names.length], names.form).removeprefix("0x").isalnum()
    assert len(encode(NAME[: names.length], names.form)) == 34


def test_htx_gets_its_own_word_and_none_for_a_contract_that_takes_numbers_only() -> None:
    names = order_fields_of("htx").names
    assert names.word_of(spot=True) == UNIFIED
    assert names.word_of(spot=False) == "client_order_id"
    assert names.word_of(spot=False, inverse=True) == ""
    asked = offline.order("htx", offline.SWAP, {"client_order_id": NAME, "reduceOnly": True})
    assert asked is not None
    assert list(offline.words(asked[2], NAME)) == ["client_order_id"]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("bitvavo: clientOrderId parameter is invalid.", True),
        ("The client_order_id field is invalid. Please re-enter.", True),
        ("clientOid format error", True),
        ("Invalid cl_ord_id", True),
        ("order size is invalid", False),
        ("Client has insufficient margin", False),
    ],
)
def test_a_refusal_of_the_name_is_told_from_other_refusals(text: str, refused: bool) -> None:
    assert refuses_name(Refused(Refusal.OTHER, text)) is refused
    assert not refuses_name(Refused(Refusal.DUPLICATE, text))

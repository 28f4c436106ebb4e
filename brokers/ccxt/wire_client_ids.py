"""Our name of an order in each exchange's own word and form. Pure.

ccxt passes a word that it does not know through to the exchange, which ignores the word. The order then has no name of
ours. So each exchange has its own word here, or none. ``tests/brokers/ccxt/test_ccxt_client_ids.py`` compares the words
with the requests of every exchange of ccxt.

Sources: the exchanges' documentation of their order calls, and the source of the pinned ccxt version.
"""

from __future__ import annotations

import re
from enum import Enum

from msgspec import Struct

from core.ids import is_ours

UNIFIED = "clientOrderId"  # ccxt translates its own word at most exchanges
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 22  # characters of a name that fit into 114 bits
_HEX = re.compile(r"0x[0-9a-f]{32}")
_UUID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-4([0-9a-f]{3})-8([0-9a-f]{3})-([0-9a-f]{12})")


class Form(Enum):
    """How an exchange wants a name written."""

    PLAIN = "plain"
    HEX = "hex"  # 128 bits: "0x" and 32 hexadecimal digits
    UUID = "uuid"


class NameRule(Struct, frozen=True):
    """``word`` carries the name of a contract's order; "" where no word does. ``spot_word``: the word for a coin."""

    word: str = UNIFIED
    spot_word: str | None = None  # None: the same word
    length: int = 32
    form: Form = Form.PLAIN

    def word_of(self, *, spot: bool, inverse: bool = False) -> str:
        """Return the word for a market. HTX takes only small numbers as the name of an inverse contract's order."""
        if inverse and self.word == HTX_WORD:
            return ""
        return self.word if self.spot_word is None or not spot else self.spot_word


HTX_WORD = "client_order_id"
_NAMELESS = NameRule(word="")
# Exchanges that know no name of the sender, or take only a number that is too small for our names.
NAMELESS = frozenset(
    {"backpack", "bit2c", "bitbank", "bitbns", "bitfinex", "bitflyer", "bitopro", "bitteam", "btcbox", "coincheck"}
    | {"coinmate", "coinone", "coinspot", "digifinex", "dydx", "grvt", "hibachi", "hollaex", "independentreserve"}
    | {"lighter", "mercado", "mudrex", "nado", "ndax", "p2b", "paymium", "woo", "zaif"}
)
_RULES: dict[str, NameRule] = {
    **dict.fromkeys(NAMELESS, _NAMELESS),
    "bitso": NameRule("origin_id"),
    **dict.fromkeys(("bequant", "fmfwio", "hitbtc"), NameRule("client_order_id")),
    "bitvavo": NameRule(length=_LENGTH, form=Form.UUID),
    "coinbase": NameRule("client_order_id"),
    "coinsph": NameRule("newClientOrderId"),
    "cryptocom": NameRule("client_oid"),
    "deribit": NameRule("label"),
    **dict.fromkeys(("gate", "gateeu"), NameRule(length=28)),  # ccxt refuses a longer name and adds a prefix
    "htx": NameRule(HTX_WORD, spot_word=UNIFIED),
    "hyperliquid": NameRule(length=_LENGTH, form=Form.HEX),
    "indodax": NameRule("client_order_id"),
    # The longest free-form name has 18 characters (longer names must be a UUID or a number).
    "kraken": NameRule(length=18),
    "luno": NameRule("client_order_id"),
    **dict.fromkeys(("onetrading", "pacifica", "revolutx"), NameRule(length=_LENGTH, form=Form.UUID)),
    "toobit": NameRule("newClientOrderId"),
}
_UNIFIED = NameRule()


def name_rule_of(exchange: str) -> NameRule:
    """Return the rule of an exchange; ccxt's own word for an exchange without a rule here."""
    return _RULES.get(exchange, _UNIFIED)


def encode(name: str, form: Form) -> str:
    """Return our name in the exchange's form. The form keeps the whole name, so that ``decode`` finds it again."""
    if form is Form.PLAIN:
        return name
    number = int(name, 36)
    if form is Form.HEX:
        return f"0x{number:032x}"
    digits = f"{number:030x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-8{digits[15:18]}-{digits[18:]}"


def decode(text: str) -> str:
    """Return our name if the text is one of ours in an exchange's form, else the text itself."""
    bare = text.removeprefix("t-")  # Gate's names must begin with "t-"
    if is_ours(bare):
        return bare
    low = text.lower()
    found = _UUID.fullmatch(low)
    number = int("".join(found.groups()), 16) if found else int(low, 16) if _HEX.fullmatch(low) else 0
    name = ""
    while number:
        number, digit = divmod(number, 36)
        name = _DIGITS[digit] + name
    return name if is_ours(name) else text

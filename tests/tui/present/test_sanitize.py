"""Whatever a venue sends is shown as what it is, and does nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, strategies as st

from tui.present.sanitize import sanitize


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b]52;c;cm0gLXJm\x07", "\\x1b]52;c;cm0gLXJm\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("DOGE\u202eDSU", "DOGE\\u202eDSU"),
        ("A\u200bB\ufeff\u00ad", "A\\u200bB\\ufeff\\xad"),
        ("\U000e0041tag", "\\U000e0041tag"),
        ("wide\u3000blank\u00a0", "wide\\u3000blank\\xa0"),
        ("heart\ufe0f", "heart\\ufe0f"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_cannot_be_seen_is_shown_escaped(raw: str, shown: str) -> None:
    assert sanitize(raw) == shown


def test_letters_of_every_script_stay() -> None:
    for text in ("BTC/USD:USDT", "žluťoučký", "東京電力", "ñ", "n\u0303", "हिन्दी", "Ω≈ç"):
        assert sanitize(text) == text


def test_a_pile_of_combining_marks_does_not_grow_over_other_lines() -> None:
    assert sanitize("a" + "\u0301" * 5) == "a\u0301\u0301" + "\\u0301" * 3


def test_markup_is_left_alone_because_nothing_parses_it() -> None:
    assert sanitize("[@click=app.quit]x[/]") == "[@click=app.quit]x[/]"


def test_a_limit_cuts_with_an_ellipsis() -> None:
    assert sanitize("abcdef", 4) == "abc…"


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_invisible_ever_comes_out(text: str) -> None:
    for char in sanitize(text):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert not char.isspace() or char == " "

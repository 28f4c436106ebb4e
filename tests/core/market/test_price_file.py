"""Price files: every spelling that is read, and one sentence with the line for everything else."""

from __future__ import annotations

import pytest

from core.errors import ConfigError
from core.market.price_file import read_prices
from tests.support.builders import D

AT = 1_767_225_600_000
NEXT = AT + 60_000
BAR = "timestamp,open,high,low,close"
FULL = f"{BAR},volume,bid,ask"


def read(*lines: str) -> list[tuple[int, tuple[str, ...]]]:
    return [(row.at, tuple(str(price) for price in row.prices)) for row in read_prices(lines, "x.csv")]


@pytest.mark.parametrize(
    "lines",
    [
        ("timestamp,price", f"{AT},100", f"{NEXT},101"),
        ("\ufefftimestamp,price", f"{AT},100", f"{NEXT},101"),
        ('\ufeff"Timestamp","PRICE"', f'"{AT}","100"', f'"{NEXT}","101"'),
        (" TimeStamp ; Price ", f"{AT} ; 100", "", ";", f"{NEXT};101"),
        ("timestamp\tprice", f"{AT}\t100", f"{NEXT}\t101"),
        ("price,note,timestamp", f"100,a,{AT}", f"101,,{NEXT}"),
        ("timestamp,price", "2026-01-01T00:00:00Z,100", "2026-01-01 00:01:00+00:00,101"),
        ("timestamp,price", "2026-01-01T01:00:00.000999+01:00,100", "2025-12-31 19:01:00-05:00,101"),
        ("timestamp,price", f"{AT}.0,100", "1.76722566e12,101"),
    ],
)
def test_every_common_spelling_is_read(lines: tuple[str, ...]) -> None:
    assert read(*lines) == [(AT, ("100",)), (NEXT, ("101",))]


def test_a_recording_may_count_its_milliseconds_from_0() -> None:
    assert read("timestamp,price", "0,100", "60000,101") == [(0, ("100",)), (60_000, ("101",))]


def test_prices_of_one_millisecond_are_read_in_their_order() -> None:
    assert read("timestamp,price", f"{AT},100", f"{AT},99", f"{AT},99") == [(AT, (p,)) for p in ("100", "99", "99")]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("timestamp,price", f"{NEXT},97", f"{AT},104"), "line 3: its time is before that of the row above. Sort"),
        ((BAR, f"{AT},1,1,1,1", f"{AT},1,1,1,1"), "line 3: the row above has the same time"),
        (("timestamp,price", f"{AT // 1000},97"), "must be milliseconds since 1970, or a time with its zone"),
        (("timestamp,price", f"{AT // 1000},97"), "Seconds need three more digits."),
        (("timestamp,price", "946684800,97"), "Seconds need three more digits."),
        (("timestamp,price", "-1,97"), "line 2: timestamp must be milliseconds since 1970"),
        (("timestamp,price", "946684799999,97"), "must be milliseconds since 1970"),
        (("timestamp,price", f"{AT}000,97"), "must be milliseconds since 1970"),
        (("timestamp,price", "2026-01-02 14:30:00,97"), "has no time zone. Write milliseconds since 1970"),
        (("timestamp,price", "2026-01-02,97"), "has no time zone"),
        (("timestamp,price", "yesterday,97"), "must be milliseconds since 1970, or a time with its zone"),
        (("timestamp,price", ",97"), "must be milliseconds since 1970"),
        (("timestamp,price", f"{AT},100", f"{NEXT},"), "line 3: price is empty."),
        (("timestamp,price", f"{AT}"), "line 2: price is empty."),
        ((BAR, f"{AT},1,2,,1"), "line 2: low is empty."),
        ((BAR, f"{AT},100,101,99,60"), "line 2: close 60 is below low 99."),
        ((BAR, f"{AT},100,96,104,103"), "line 2: high 96 is below low 104."),
        ((BAR, f"{AT},105,104,99,100"), "line 2: open 105 is above high 104."),
        ((FULL, f"{AT},100,101,99,100,1,100.5,99.5"), "line 2: bid 100.5 is above ask 99.5."),
        (("timestamp,price", f"{AT},NaN"), "line 2: price: 'NaN' is not a finite number."),
        (("timestamp,price", f"{AT},inf"), "line 2: price: 'inf' is not a finite number."),
        (("timestamp,price", f"{AT},-5"), "line 2: price must be more than 0, not -5."),
        (("timestamp,price", f"{AT},1,234.5"), "line 2: it has more cells than the header."),
        (("timestamp;price", f"{AT};1,5"), "line 2: price: '1,5' is not a number."),
        (("timestamp,price,Price", f"{AT},1,2"), "its header names price twice."),
        (("time,price", f"{AT},1"), "its header must have timestamp and price"),
        ((), "its header must have timestamp and price"),
        (("timestamp,price", ",", ""), "there is no price in it."),
    ],
)
def test_anything_else_is_one_sentence_with_its_line(lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(*lines)
    assert str(caught.value).startswith("x.csv")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bar_at_its_own_bounds_is_possible() -> None:
    assert read(BAR, f"{AT},99,101,99,101") == [(AT, ("99", "99", "101", "101"))]
    assert read_prices([FULL, f"{AT},99,101,99,101,,100,102"], "x.csv")[0].bid_below == D(1)

"""Numbers from text, rounding to a venue's grid, how amounts read, and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from core.units import decimal, dollars, floor_to, iso, money, percent, plain, round_price, utc

D = Decimal

amounts = st.decimals(min_value=D("-1e24"), max_value=D("1e24"), allow_nan=False, allow_infinity=False)
positive = st.decimals(min_value=0, max_value=D("1e15"), allow_nan=False, allow_infinity=False, places=18)
steps = st.sampled_from(["1e-18", "0.00000001", "0.0001", "0.01", "0.05", "0.25", "0.3", "1", "3", "7", "100", "1000"])


@pytest.mark.parametrize(
    ("given_", "number"),
    [
        ("0.5", "0.5"),
        (" 1 ", "1"),
        ("1e-8", "0.00000001"),
        ("1E+3", "1000"),
        ("-0", "0"),
        (7, "7"),
        (D("2.50"), "2.50"),
    ],
)
def test_a_number_comes_from_text_an_integer_or_a_decimal(given_: object, number: str) -> None:
    assert decimal(given_) == D(number)


@pytest.mark.parametrize("wrong", [0.5, 1.0, float("nan"), True, False, None, [], (0, (1,), 0), b"1"])
def test_a_float_a_bool_and_what_is_no_number_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="not an exact number"):
        decimal(wrong)


@pytest.mark.parametrize("wrong", ["", "abc", "1,5", "0x10", "1 2", "--1", "1_5", "٣", "１"])
def test_text_that_is_no_number_is_refused_and_quoted(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a number") as caught:
        decimal(wrong)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["NaN", "sNaN", "Infinity", "-inf", D("NaN"), D("sNaN"), D("-Infinity")])
def test_nan_and_infinity_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a finite number"):
        decimal(wrong)


@pytest.mark.parametrize("wrong", ["1e999999999", "-1e101", "1e-999999999", "0e-999999999", D("1e101"), 10**101])
def test_a_number_beyond_any_amount_is_refused_before_anything_writes_it_out(wrong: object) -> None:
    with pytest.raises(ValueError, match="is out of range"):
        decimal(wrong)


@pytest.mark.parametrize(
    ("quantity", "step", "rounded"),
    [
        ("1.999", "0.01", "1.99"),
        ("1.99", "0.01", "1.99"),
        ("0.0099", "0.01", "0"),
        ("17", "5", "15"),
        ("1.2345", "0", "1.2345"),
        ("1.2345", "-1", "1.2345"),
        ("0.3", "0.1", "0.3"),
        ("999999999999.999999999999999999", "1e-18", "999999999999.999999999999999999"),
        ("2.9999999999999999999999999999", "3", "0"),
    ],
)
def test_a_quantity_is_rounded_down_to_the_step(quantity: str, step: str, rounded: str) -> None:
    assert floor_to(D(quantity), D(step)) == D(rounded)


@given(positive, steps)
def test_rounding_down_never_gives_more_and_leaves_less_than_a_step(quantity: Decimal, step: str) -> None:
    rounded = floor_to(quantity, D(step))
    assert rounded <= quantity
    assert quantity - rounded < D(step)
    assert floor_to(rounded, D(step)) == rounded


@pytest.mark.parametrize(
    ("price", "tick", "down", "up"),
    [
        ("100.004", "0.01", "100", "100.01"),
        ("100.01", "0.01", "100.01", "100.01"),
        ("99.9", "0.25", "99.75", "100"),
        ("0.00000123", "0.0000001", "0.0000012", "0.0000013"),
        ("1.2345", "0", "1.2345", "1.2345"),
    ],
)
def test_a_price_is_rounded_to_the_tick_down_or_up(price: str, tick: str, down: str, up: str) -> None:
    assert round_price(D(price), D(tick), up=False) == D(down)
    assert round_price(D(price), D(tick), up=True) == D(up)


@given(positive, steps)
def test_a_price_lies_between_its_two_roundings(price: Decimal, tick: str) -> None:
    down, up = round_price(price, D(tick), up=False), round_price(price, D(tick), up=True)
    assert down <= price <= up
    assert up - down in (0, D(tick))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.50", "0.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1.2E-7", "0.00000012"),
        ("0E-8", "0"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("-1.50", "-1.5"),
        ("10.0", "10"),
    ],
)
def test_plain_text_has_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert plain(D(value)) == text


@given(amounts)
def test_plain_text_is_the_same_number_again(value: Decimal) -> None:
    text = plain(value)
    assert D(text) == value
    assert "e" not in text.lower()
    assert text == "0" or not text.startswith("-0") or "." in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("50.5", "50.50"),
        ("0.43", "0.43"),
        ("1", "1.00"),
        ("0.999", "0.999"),
        ("0.9999999", "0.999999"),
        ("0.9999999999999", "0.999999"),
        ("0.000001", "0.000001"),
        ("0.0000001", "0.00"),
        ("0", "0.00"),
        ("-0", "0.00"),
        ("-0.0000001", "0.00"),
        ("-0.999", "-0.999"),
        ("9.9999999", "9.999999"),
        ("10", "10.00"),
        ("10.005", "10.00"),
        ("10.015", "10.02"),
        ("1234567.891", "1234567.89"),
        ("1E+3", "1000.00"),
        ("1E+40", "1" + "0" * 40 + ".00"),
    ],
)
def test_an_amount_has_two_decimals_and_small_ones_more(value: str, text: str) -> None:
    assert money(D(value)) == text


@given(st.decimals(min_value=0, max_value=D("9.99"), places=2), st.decimals(D("1e-12"), D("0.0099"), places=12))
def test_an_amount_below_a_threshold_never_reads_as_the_threshold(threshold: Decimal, less: Decimal) -> None:
    assert money(threshold - less) != money(threshold) or threshold == 0


@given(amounts)
def test_an_amount_reads_within_a_cent_of_what_it_is(value: Decimal) -> None:
    text = money(value)
    assert abs(D(text) - value) < D("0.01")
    assert len(text.partition(".")[2]) >= 2
    assert text != "-0.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.9999", "0.99"),
        ("10.999", "10.99"),
        ("5", "5.00"),
        ("-0.001", "0.00"),
        ("-1.999", "-1.99"),
        ("1E+40", "1" + "0" * 40 + ".00"),
    ],
)
def test_an_amount_in_a_sentence_is_cut_to_cents(value: str, text: str) -> None:
    assert dollars(D(value)) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        ("0.01", "1.00"),
        ("-0.0215", "-2.15"),
        ("0.00001", "0.00"),
        ("-0.00001", "0.00"),
        ("-0", "0.00"),
        ("12.3456789", "1234.57"),
        ("1E+30", "1" + "0" * 32 + ".00"),
    ],
)
def test_a_fraction_reads_as_percent(fraction: str, text: str) -> None:
    assert percent(D(fraction)) == text


def test_a_time_is_written_in_utc_with_milliseconds_and_z() -> None:
    berlin = timezone(timedelta(hours=2))
    assert iso(datetime(2026, 7, 1, 12, 0, 0, 123_999, tzinfo=berlin)) == "2026-07-01T10:00:00.123Z"
    assert iso(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", " 2025-12-31T19:00:00.000-05:00 ", "20260101T000000Z"]
)
def test_a_time_with_any_zone_is_read_as_utc(text: str) -> None:
    moment = utc(text)
    assert moment == datetime(2026, 1, 1, tzinfo=UTC)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-01-01", "2026-01-01 00:00"])
def test_a_time_without_a_zone_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ValueError, match="has no time zone; end it with Z"):
        utc(text)


@pytest.mark.parametrize("text", ["", "Z", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+01:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        utc(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_read_back_to_the_millisecond(moment: datetime) -> None:
    assert utc(iso(moment)) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)

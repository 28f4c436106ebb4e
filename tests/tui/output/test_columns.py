"""Columns of text: never wider than the terminal, and nothing that matters is cut."""

from __future__ import annotations

from tui.output.columns import LONGEST, columns

ROWS = [
    ("symbol", "entry", "value", "flags"),
    ("BTC-USD", "60000", "$5,999.00", "[DUST] Dust position ($0.50 is below $1.00)"),
    ("ETH-USD", "3000", "$12.00", ""),
]


def test_a_symbol_without_end_pads_no_other_row() -> None:
    lines = columns([("symbol", "why"), ("X" * 10_000, "short"), ("BTC-USD", "w" * 10_000)])
    assert len(lines[1]) < LONGEST + 20
    assert "…" in lines[1]
    assert lines[1].endswith("short")
    assert lines[2].endswith("w" * 10_000), "the last column pads nothing, so that a pipe gets all of it"


def test_a_settings_value_is_never_cut_where_nothing_may_be() -> None:
    assert "v" * 500 in columns([("key", "value", "from"), ("k", "v" * 500, "file")], longest=None)[1]


def test_an_optional_column_goes_before_the_last_is_cut() -> None:
    assert "entry" in columns(ROWS, width=80, optional="entry")[0]
    assert "entry" not in columns(ROWS, width=50, optional="entry")[0]
    assert "entry" in columns(ROWS, width=50)[0]


def test_what_finds_no_place_beside_its_row_stands_below_it_whole() -> None:
    lines = columns(ROWS, width=30, indent="  ", optional="entry")
    assert all(len(line) <= 30 for line in lines)
    assert lines[0].split() == ["symbol", "value"]
    assert " ".join(" ".join(lines[2:-1]).split()) == ROWS[1][3]
    assert lines[-1].split() == ["ETH-USD", "$12.00"]


def test_without_a_width_nothing_is_left_out() -> None:
    assert columns(ROWS, optional="entry")[1].split()[1] == "60000"

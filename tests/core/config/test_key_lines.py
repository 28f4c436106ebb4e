"""Line numbers of keys, which the standard parser does not give."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, strategies as st

from core.config.key_lines import Loc, lines, nearest

TEXT = '''\
top = 1
[a.b] # [not.a.table]
c.d = "x # no comment"
"e.f" = { g = 1, h = [1, { i = 2 }] }
many = [
  1, # one, [
  [2,
   "]"],
]
text = """
[fake]
key = 1
"""
after = \'\'\'
x = 1 \'\'\'
last = 2026-01-01T00:00:00Z
[[users]]
id = 1
[[users.accounts]]
name = 1
[[users.accounts]]
name = 2
[users.accounts.options]
x = 1
[[users]]
id = 2
[[users.accounts]]
name = 3
'''


def test_every_key_table_and_element_has_its_line() -> None:
    found = lines(TEXT)
    expected: dict[Loc, int] = {
        ("top",): 1,
        ("a", "b"): 2,
        ("a", "b", "c", "d"): 3,
        ("a", "b", "e.f", "g"): 4,
        ("a", "b", "e.f", "h", 1, "i"): 4,
        ("a", "b", "many"): 5,
        ("a", "b", "many", 0): 6,
        ("a", "b", "many", 1): 7,
        ("a", "b", "many", 1, 1): 8,
        ("a", "b", "text"): 10,
        ("a", "b", "after"): 14,
        ("a", "b", "last"): 16,
        ("users",): 17,
        ("users", 0, "id"): 18,
        ("users", 0, "accounts", 0): 19,
        ("users", 0, "accounts", 1, "name"): 22,
        ("users", 0, "accounts", 1, "options", "x"): 24,
        ("users", 1, "accounts", 0, "name"): 28,
    }
    assert {loc: found.get(loc) for loc in expected} == expected
    assert not any("fake" in loc or "not" in loc for loc in found)


def test_a_key_that_is_not_written_is_where_its_table_is() -> None:
    found = lines(TEXT)
    assert nearest(found, ("users", 1, "max_positions")) == 25
    assert nearest(found, ("nowhere", "x")) == 1


def test_quoted_keys_are_what_they_stand_for() -> None:
    assert lines('\n\'a"b\' = 1\n"c\\u00e9\\t\\"\\U0001F600" = 2') == {('a"b',): 2, ('cé\t"😀',): 3}


@given(st.text(alphabet="ab=.[]{}\"'#,\\\n 1", max_size=60))
def test_text_that_is_no_toml_never_raises(text: str) -> None:
    lines(text)


KEYS = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True), st.text(max_size=4))
LEAVES = st.one_of(st.integers(-9, 9), st.booleans(), st.text(max_size=6))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" if c in '"\\' or not c.isprintable() else c for c in text) + '"'


def written(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case list():
            return "[" + ",\n".join(map(written, value)) + " # ]\n]"
        case dict():
            return "{" + ", ".join(f"{quoted(key)} = {written(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)


def paths(value: Any, loc: Loc = ()) -> set[Loc]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path for key, item in items for path in ({(*loc, key)} | paths(item, (*loc, key)))}


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=3))
def test_it_finds_exactly_the_keys_that_the_parser_finds(tables: dict[str, Any], listed: list[dict[str, Any]]) -> None:
    text = "".join(f"{quoted(key)} = {written(value)}\n" for key, value in tables.items())
    for table in listed:
        body = "".join(f" {quoted(key)}={written(value)}\n" for key, value in table.items())
        text += f"[[ 'a list' . b ]] # [[x]]\n{body}[['a list'.b.\"in\".c]]\n"
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # a key of a table's own is in the way
        return
    assert set(lines(text)) == paths(parsed)

"""Whatever a file holds, it loads or it is a ConfigError; nothing else ever comes out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, strategies as st

from core.config.accounts import ACCOUNTS
from core.config.load import describe, load
from core.config.schema import Root, UserTable
from core.errors import ConfigError

SECTIONS = [key for key in Root.model_fields if key not in ("users", "platform")]
TABLES = [*(f"[{name}]" for name in [*SECTIONS, "platform", "users", "ladder.tiers", "x"])]
TABLES += ["[[users]]", "[[users.accounts]]", "[[platform.accounts]]", "[users.accounts.options]", "[[cleanup]]"]
MODELS = [*ACCOUNTS.values(), UserTable, *(Root.model_fields[key].annotation for key in SECTIONS)]
KEYS = sorted({key for model in MODELS for key in model.model_fields})
LEAVES = [
    '""',
    '"a"',
    '"0.05"',
    '"env:A"',
    '"file:b"',
    '"paper"',
    '"ccxt"',
    '"alpaca"',
    '"matching"',
    '"rank>max_positions"',
]
LEAVES += [
    "0",
    "1",
    "-1",
    "8",
    "0.5",
    "nan",
    "inf",
    "1e400",
    "0x" + "f" * 5000,
    "true",
    "2026-01-01",
    "07:32:00",
    '"é\\u0000"',
]
VALUES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{key} = {item}" for key, item in table.items()) + "}"
        )
    ),
    max_leaves=6,
)
PAIRS = st.tuples(st.sampled_from(KEYS), VALUES).map(" = ".join)
LINES = st.one_of(st.sampled_from(TABLES), PAIRS, PAIRS, st.text(max_size=8))


def loads_or_says_why(content: bytes, env: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_bytes(content)
        sentence = ""
        try:
            assert describe(load(path, env))
        except ConfigError as error:
            sentence = str(error)
        assert sentence.isprintable()
        assert not sentence or sentence.startswith((str(path), "environment variable"))


@given(st.binary(max_size=80))
def test_bytes_load_or_are_a_configuration_error(content: bytes) -> None:
    loads_or_says_why(content, {})


@given(st.lists(LINES, max_size=12))
def test_lines_of_toml_load_or_are_a_configuration_error(content: list[str]) -> None:
    loads_or_says_why("\n".join(content).encode("utf-8", "replace"), {})


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=3), st.sampled_from(TABLES))
def test_any_value_under_any_key_loads_or_is_a_configuration_error(pairs: list[tuple[str, str]], table: str) -> None:
    text = "\n".join([table, *(f"{key} = {value}" for key, value in dict(pairs).items())])
    loads_or_says_why(text.encode(), {})


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "FORCED_CLEANUP_CANCEL_OPEN_ORDERS",
                "FORCED_CLEANUP_STARTUP_ONLY",
                "FORCED_CLEANUP_CANCEL_OPEN_ORDERS_IF",
                "FUTURES_EMERGENCY_CLOSE_LEGACY",
                "FUTURES_RISK_PER_TRADE",
            ]
        ),
        st.text(max_size=6) | st.sampled_from(["true", "0", "usd_value<1", "0.004"]),
    )
)
def test_any_environment_loads_or_is_a_configuration_error(env: dict[str, str]) -> None:
    loads_or_says_why(b"", env)

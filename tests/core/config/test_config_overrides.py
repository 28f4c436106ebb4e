"""Environment over file, option over environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config.load import Loaded, Option, load
from core.errors import ConfigError

CANCEL, STARTUP = "FORCED_CLEANUP_CANCEL_OPEN_ORDERS", "FORCED_CLEANUP_STARTUP_ONLY"
CANCEL_IF = "FORCED_CLEANUP_CANCEL_OPEN_ORDERS_IF"
LEGACY, RISK = "FUTURES_EMERGENCY_CLOSE_LEGACY", "FUTURES_RISK_PER_TRADE"
MODE = "cleanup.cancel_open_orders"
ALWAYS = '[cleanup]\ncancel_open_orders = "always"'
MATCHING = '[cleanup]\ncancel_if = "usd_value<1"'


def loaded(tmp_path: Path, text: str, env: dict[str, str], **options: Option) -> Loaded:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, env, {key.replace("__", "."): option for key, option in options.items()})


@pytest.mark.parametrize(
    ("text", "env", "mode", "condition"),
    [
        ("", {CANCEL: "true"}, "always", ""),
        ("", {CANCEL: "1", STARTUP: "true"}, "startup", ""),
        ("", {CANCEL: "TRUE", STARTUP: "0"}, "always", ""),
        ("", {CANCEL: ""}, "never", ""),
        ("", {STARTUP: "true"}, "never", ""),
        (ALWAYS, {}, "always", ""),
        (ALWAYS, {STARTUP: "true"}, "startup", ""),
        (ALWAYS, {STARTUP: "false"}, "always", ""),
        (ALWAYS, {CANCEL: "false"}, "never", ""),
        (ALWAYS, {CANCEL: "no", STARTUP: "yes"}, "never", ""),
        (ALWAYS, {CANCEL_IF: "usd_value<2"}, "matching", "usd_value<2"),
        ("", {CANCEL: "true", STARTUP: "true", CANCEL_IF: "rank>max_positions"}, "matching", "rank>max_positions"),
        (MATCHING, {}, "matching", "usd_value<1"),
        (MATCHING, {CANCEL: "true"}, "always", ""),
        (MATCHING, {CANCEL_IF: " "}, "matching", "usd_value<1"),
    ],
)
def test_the_environment_decides_on_open_orders_and_the_most_careful_variable_wins(
    tmp_path: Path, text: str, env: dict[str, str], mode: str, condition: str
) -> None:
    cleanup = loaded(tmp_path, text, env).settings.cleanup
    assert (cleanup.cancel_open_orders, cleanup.cancel_if) == (mode, condition)


@pytest.mark.parametrize(("word", "expected"), [("0", False), ("false", False), ("1", True), ("True", True)])
def test_the_environment_decides_on_legacy_positions(tmp_path: Path, word: str, expected: bool) -> None:
    found = loaded(tmp_path, "[legacy]\nrisk_per_trade = 0.5", {LEGACY: word, RISK: "0.004"})
    assert found.settings.legacy.emergency_close_legacy is expected
    assert str(found.settings.legacy.risk_per_trade) == "0.004"
    assert found.origins["legacy.risk_per_trade"].where == RISK
    assert found.origins["legacy.emergency_close_legacy"].source == "environment"


@pytest.mark.parametrize(
    ("name", "value"),
    [(CANCEL, "maybe"), (STARTUP, "2"), (LEGACY, "tru"), (RISK, "a lot"), (RISK, "7"), (RISK, "nan"), (CANCEL_IF, "x")],
)
def test_a_bad_value_names_the_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^environment variable {name}\b"):
        loaded(tmp_path, "", {name: value})


def test_a_variable_does_not_hide_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":1: legacy must be a table"):
        loaded(tmp_path, "legacy = 1", {RISK: "0.004"})


def test_the_environment_counts_without_a_file_too() -> None:
    assert load(None, {CANCEL: "true"}).settings.cleanup.cancel_open_orders == "always"


def test_an_option_wins_over_variable_and_file(tmp_path: Path) -> None:
    found = loaded(tmp_path, ALWAYS, {CANCEL: "true"}, cleanup__cancel_open_orders=Option("--startup-only", "startup"))
    assert found.settings.cleanup.cancel_open_orders == "startup"
    assert str(found.origins[MODE]) == "option --startup-only"


def test_conditions_of_an_option_make_it_matching_and_a_mode_drops_those_of_the_file(tmp_path: Path) -> None:
    found = loaded(tmp_path, ALWAYS, {}, cleanup__cancel_if=Option("--cancel-if", "usd_value<3"))
    assert found.settings.cleanup.cancel_open_orders == "matching"
    assert str(found.origins[MODE]) == "option --cancel-if"
    found = loaded(tmp_path, MATCHING, {}, cleanup__cancel_open_orders=Option("--include-open-orders", "always"))
    assert (found.settings.cleanup.cancel_open_orders, found.settings.cleanup.cancel_if) == ("always", "")


def test_options_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^option --cancel-if: cleanup\.cancel_if"):
        loaded(
            tmp_path,
            "",
            {},
            cleanup__cancel_if=Option("--cancel-if", "usd_value<3"),
            cleanup__cancel_open_orders=Option("--include-open-orders", "always"),
        )


def test_an_option_on_a_key_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^option --x: cleanup\.dust is not a known key; did you mean dust_usd"):
        load(None, {}, {"cleanup.dust": Option("--x", "1")})

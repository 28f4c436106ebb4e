"""Environment variables and command-line options that override the file, each with its source.

The environment overrides the file, and an option overrides the environment. The open-order mode and its conditions
belong together: a source that sets only the mode or only the conditions decides both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.errors import ConfigError

CANCEL = "FORCED_CLEANUP_CANCEL_OPEN_ORDERS"
STARTUP = "FORCED_CLEANUP_STARTUP_ONLY"
CANCEL_IF = "FORCED_CLEANUP_CANCEL_OPEN_ORDERS_IF"
LEGACY = "FUTURES_EMERGENCY_CLOSE_LEGACY"
RISK = "FUTURES_RISK_PER_TRADE"

_MODE_KEY, _IF_KEY = "cleanup.cancel_open_orders", "cleanup.cancel_if"
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Option(NamedTuple):
    """A command-line option that overrides a setting. Errors and origins name its ``flag``."""

    flag: str
    value: str | int | bool


class Override(NamedTuple):
    source: str  # environment | option
    where: str  # the variable's or the option's name
    value: Any


def overlay(raw: dict[str, Any], env: Mapping[str, str], options: Mapping[str, Option]) -> dict[str, Override]:
    """Change ``raw`` in place. Return the override of each key that was set."""
    given = {key: Override("option", option.flag, option.value) for key, option in options.items()}
    applied: dict[str, Override] = {}
    for layer in (_from_environment(env, raw), given):
        _pair(layer)
        for key, override in layer.items():
            section, _, inner = key.partition(".")
            table = raw.setdefault(section, {})
            if isinstance(table, dict):  # otherwise the file is wrong there, and validation says so
                table[inner] = override.value
                applied[key] = override
    return applied


def _pair(layer: dict[str, Override]) -> None:
    mode, condition = layer.get(_MODE_KEY), layer.get(_IF_KEY)
    if condition and condition.value and not mode:
        layer[_MODE_KEY] = condition._replace(value="matching")
    elif mode and mode.value != "matching" and not condition:
        layer[_IF_KEY] = mode._replace(value="")


def _from_environment(env: Mapping[str, str], raw: Mapping[str, Any]) -> dict[str, Override]:
    found: dict[str, Override] = {}
    cancel, startup, legacy = _truth(env, CANCEL), _truth(env, STARTUP), _truth(env, LEGACY)
    condition, risk = env.get(CANCEL_IF, "").strip(), env.get(RISK, "").strip()
    if condition:  # the most careful of the three variables wins
        found[_IF_KEY] = Override("environment", CANCEL_IF, condition)
    elif cancel is not None:
        mode, name = ("startup", STARTUP) if cancel and startup else ("always" if cancel else "never", CANCEL)
        found[_MODE_KEY] = Override("environment", name, mode)
    elif startup and _file_mode(raw) == "always":  # STARTUP alone only narrows the mode
        found[_MODE_KEY] = Override("environment", STARTUP, "startup")
    if legacy is not None:
        found["legacy.emergency_close_legacy"] = Override("environment", LEGACY, legacy)
    if risk:
        found["legacy.risk_per_trade"] = Override("environment", RISK, risk)
    return found


def _file_mode(raw: Mapping[str, Any]) -> Any:
    table = raw.get("cleanup")
    return table.get("cancel_open_orders") if isinstance(table, dict) else None


def _truth(env: Mapping[str, str], name: str) -> bool | None:
    """Return a variable as true or false, or None when the variable is unset or empty.

    Raises ConfigError for any other word.
    """
    word = env.get(name, "").strip().lower()
    if not word:
        return None
    if word not in _WORDS:
        raise ConfigError(f"environment variable {name} must be true or false (or 1 or 0); correct or unset it")
    return _WORDS[word]

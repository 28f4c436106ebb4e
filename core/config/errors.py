"""Validation errors → a sentence: which file and line, which key, what is wrong, and the way out."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.config.accounts import ACCOUNTS
from core.config.exits import LevelTable, SymbolTable
from core.config.key_lines import Loc
from core.config.schema import Root, UserTable, unknown_broker
from core.config.values import InvalidValue, name, show
from core.model import PLATFORM

_SECTIONS: dict[str, type[BaseModel]] = {
    key: field.annotation
    for key, field in Root.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
_LISTS = {"users": "[[users]]", "accounts": "[[users.accounts]] or [[platform.accounts]]"}


def problems(error: ValidationError) -> list[tuple[Loc, str]]:
    """Return every problem as the path of its key and the predicate of a sentence."""
    return [_problem(details) for details in error.errors(include_url=False, include_input=True)]


def dotted(loc: Loc, raw: dict[str, Any]) -> str:
    """Return a path like ``users.user_123.accounts.alpaca.secret``.

    Owners and accounts appear by name, or by number when the name is missing or unusable.
    """
    parts: list[str] = []
    here: Any = raw
    for key in loc:
        if isinstance(here, list) and isinstance(key, int) and 0 <= key < len(here):
            here = here[key]
            parts.append(_called(here) or str(key + 1))
        else:
            here = here.get(key) if isinstance(here, dict) else None
            parts.append(str(key))
    return ".".join(parts) or "the file"


def _called(table: Any) -> str:
    """Return the name of an owner or an account, or "" when the name is missing or unusable."""
    try:
        return str(name(table.get("id", table.get("name")))) if isinstance(table, dict) else ""
    except InvalidValue:
        return ""


def _problem(details: ErrorDetails) -> tuple[Loc, str]:
    loc, broker = _untagged(details["loc"])
    match details["type"]:
        case "extra_forbidden":
            return loc, _unknown(loc, broker)
        case "missing":
            return loc, "is missing; add it"
        case "union_tag_not_found":
            return (*loc, "broker"), f"is missing; it is one of {', '.join(ACCOUNTS)}"
        case "union_tag_invalid":
            return (*loc, "broker"), unknown_broker(details["input"].get("broker"))
        case "value_error":
            return _wrong(loc, details.get("ctx", {}).get("error"))
        case "list_type":
            return loc, f"must be a list of tables; write {_LISTS.get(str(loc[-1]), 'a list')}"
        case _:  # tables are the only other structure
            return loc, f"must be a table, not {show(details['input'])}"


def _untagged(loc: Loc) -> tuple[Loc, str]:
    """Return the path without the broker's name, and the name. Validation puts the name after an account's number."""
    for at, key in enumerate(loc[:-2]):
        if key == "accounts" and isinstance(loc[at + 1], int):
            return loc[: at + 2] + loc[at + 3 :], str(loc[at + 2])
    return loc, ""


def _wrong(loc: Loc, error: object) -> tuple[Loc, str]:
    if not isinstance(error, InvalidValue):
        return loc, "cannot be used"
    loc = (*loc, *error.at)
    if error.full:
        return loc, error.expected
    # A value in an account may be a secret key in the wrong line, so the error does not repeat the value.
    quiet = error.value is None or "accounts" in loc
    return loc, f"must be {error.expected}" + ("" if quiet else f", not {show(error.value)}")


def _unknown(loc: Loc, broker: str) -> str:
    key, table = str(loc[-1]), loc[:-1]
    known, broker = _known(table, broker), "" if "exits" in table else broker
    if elsewhere := [at for at, model in _SECTIONS.items() if key in model.model_fields and at != PLATFORM]:
        return f"is not a known key here; it belongs in [{elsewhere[0]}]"
    if near := get_close_matches(key.lower(), known, n=1, cutoff=0.5):
        return f"is not a known key; did you mean {near[0]}?"
    where = f"of a{'n' * (broker == 'alpaca')} {broker} account" if broker else "here"
    return f"is not a known key; those known {where} are {', '.join(known)}"


def _known(table: Loc, broker: str) -> list[str]:
    if "exits" in table:
        return list((LevelTable if table[-1] == "exits" else SymbolTable).model_fields)
    if broker:
        own = [key for key in ACCOUNTS[broker].model_fields if key != "exits"]
        return [*own, "exits"]
    match table:
        case ():
            return list(Root.model_fields)
        case ("users", int()):
            return list(UserTable.model_fields)
        case _:
            return list(_SECTIONS[str(table[0])].model_fields)

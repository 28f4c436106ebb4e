"""Find, read, override and check the configuration, and keep the origin of every setting.

The schema is imported on use: a command that reads no configuration does not pay for the import.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from core.config.key_lines import Loc, lines, nearest
from core.config.overrides import Option, Override, overlay
from core.config.values import BROKERS
from core.errors import ConfigError
from core.model import PLATFORM
from core.settings import (
    AutomationSettings,
    CleanupSettings,
    ConsoleSettings,
    EngineSettings,
    EntrySettings,
    ExitLevel,
    ExitSettings,
    Given,
    LadderSettings,
    LegacySettings,
    ProtectSettings,
    Settings,
)

if TYPE_CHECKING:
    from core.config.schema import Root

__all__ = ["BROKERS", "Loaded", "Option", "Origin", "describe", "example", "find", "load"]

CONFIG_VARIABLE = "FLATDECK_CONFIG"
MAX_BYTES = 1_000_000
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class Origin(Struct, frozen=True):
    """A setting's value as text, and its source. ``where`` is a file with its line, a variable or an option."""

    value: str
    source: str  # default | file | environment | option
    where: str = ""

    def __str__(self) -> str:
        return f"{self.source} {self.where}".rstrip()


class Loaded(Struct, frozen=True):
    """A configuration in force, its file (None: defaults only) and the origin of each setting."""

    settings: Settings
    path: Path | None
    origins: dict[str, Origin]


def find(option: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the first configuration file: the option's, the environment's, the user's, the present directory's.

    None when there is no file. Raises ConfigError when the option or the environment names a missing file.
    """
    named = [(str(option), "--config") if option is not None else (env.get(CONFIG_VARIABLE, ""), CONFIG_VARIABLE)]
    for text, source in named:
        if text:
            path = Path(os.path.expanduser(text))  # unlike Path.expanduser, os.path.expanduser never raises
            if not _exists(path):
                raise ConfigError(
                    f"{path}: there is no such file ({source}); correct it, or write one with `flatdeck init`"
                )
            return path
    from platformdirs import user_config_dir  # noqa: PLC0415  # only this line and _data_dir need platformdirs

    usual = (Path(user_config_dir("flatdeck")) / "config.toml", Path("config.toml"))
    return next((path for path in usual if _exists(path)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # the read reports the reason
    except (OSError, ValueError):
        return False


def load(path: Path | None, env: Mapping[str, str], options: Mapping[str, Option] | None = None) -> Loaded:
    """Read ``path`` (None: only defaults), apply the environment and then ``options`` (by dotted key), and check all.

    Raises ConfigError for the first problem.
    """
    text = "" if path is None else _read(path)
    raw = _parse(text, path)
    sources = _Sources(path, text, overlay(raw, env, options or {}))
    base = os.getcwd() if path is None else os.path.dirname(os.path.abspath(path))
    root = _checked(raw, sources, base)
    settings = _settings(root, path, base)
    return Loaded(settings, path, sources.origins(settings))


def describe(loaded: Loaded, *, changed: bool = False) -> list[tuple[str, str, str]]:
    """Return every setting as key, value and origin, for a person. Secrets are references here, as everywhere.

    ``changed``: leave out what nobody set.
    """
    return [(key, origin.value, str(origin)) for key, origin in origins(loaded, changed=changed).items()]


def origins(loaded: Loaded, *, changed: bool) -> dict[str, Origin]:
    """Return the settings with their origins. ``changed``: leave out what nobody set."""
    return {key: origin for key, origin in loaded.origins.items() if not changed or origin.source != "default"}


def example() -> str:
    """Return the commented configuration, which names every setting with its default."""
    return Path(__file__).with_name("example.toml").read_text(encoding="utf-8")


def defaults_commented() -> str:
    """Return the configuration that ``flatdeck init`` writes: the example with every default as a comment.

    A later version's better default then reaches the user, and ``config --changed`` has what the user set.
    """
    defaults, mark, accounts = example().partition("\n[platform]")
    keep = re.compile(r"#|\[\w+\]|$")  # comments, sections, empty lines; a table in a section is a default, too
    lines = [line if keep.match(line) else f"# {line}" for line in defaults.split("\n")]
    return "\n".join(lines) + mark + accounts


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; correct the path, or write one with `flatdeck init`"
        ) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError(
            f"{path}: cannot be read ({why}); name a readable file, or write one with `flatdeck init`"
        ) from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: is over {MAX_BYTES} bytes; a configuration is smaller than that, name another file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)  # Decimal keeps an unquoted 0.05 exact too
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply; no setting needs that") from None
    except (ValueError, ArithmeticError) as error:  # a TOMLDecodeError, or a plain ValueError for a huge integer
        raise _broken(str(error), text, path) from None
    return raw


def _broken(message: str, text: str, path: Path | None) -> ConfigError:
    """Return the error for text that is not TOML. The parser's message has keys at most, so it reveals no secret."""
    at = _AT.search(message)
    if at is None:  # a number beyond any limit; the parser names no line
        return ConfigError(f"{path}: a number in it is too long to read; no setting needs that")
    line = int(at[1]) if at[1] else max(1, len(text.splitlines()))
    return ConfigError(_clean(f"{path}:{line}: is not valid TOML: {message[: at.start()]}; correct that line"))


def _clean(text: str) -> str:
    """Return one line of bounded length without terminal control characters: errors quote keys from the file as is."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:1_000])


class _Sources:
    """The source of each key: a line of the file, unless a variable or an option overrides the key."""

    def __init__(self, path: Path | None, text: str, overrides: Mapping[str, Override]) -> None:
        self.path = path
        self.lines = lines(text.replace("\r\n", "\n"))
        self.overrides = overrides

    def prefix(self, loc: Loc) -> tuple[int, str]:
        """Return a rank to sort an error about ``loc`` by, and the start of the error's text."""
        override = self.overrides.get(".".join(map(str, loc[:2])))
        if override is not None:
            return 0, f"{_SOURCES[override.source]} {override.where}"
        line = nearest(self.lines, loc)
        return line, f"{self.path}:{line}"

    def origins(self, settings: Settings) -> dict[str, Origin]:
        found: dict[str, Origin] = {}
        for section in settings.__struct_fields__:
            table = getattr(settings, section)
            for key, value in structs.asdict(table).items() if isinstance(table, Struct) else ():
                found[f"{section}.{key}"] = self._origin((section, key), value)
        del found["engine.file"]
        found |= self._exits("", (), ExitLevel(symbols=settings.exit_symbols))
        users = {owner.id: index for index, owner in enumerate(settings.users)}
        for owner in settings.owners:
            loc: Loc = ("platform",) if owner.id == PLATFORM else ("users", users[owner.id])
            label = PLATFORM if owner.id == PLATFORM else f"users.{owner.id}"
            if owner.max_positions is not None:
                found[f"{label}.max_positions"] = self._origin((*loc, "max_positions"), owner.max_positions)
            found |= self._exits(f"{label}.", loc, owner.exits)
            for index, account in enumerate(owner.accounts):
                for key, value in {"broker": account.broker, **account.options}.items():
                    at = (*loc, "accounts", index, key)
                    found[f"{label}.accounts.{account.name}.{key}"] = self._origin(at, value)
                found |= self._exits(f"{label}.accounts.{account.name}.", (*loc, "accounts", index), account.exits)
        return found

    def _exits(self, label: str, loc: Loc, level: ExitLevel) -> dict[str, Origin]:
        """Return the origins of the exits that a level sets in place of the level above."""
        tables: list[tuple[Loc, Given]] = [(("exits",), level.given)]
        tables += [(("exits", "symbols", symbol), given) for symbol, given in level.symbols.items()]
        return {
            f"{label}{'.'.join(map(str, table))}.{key}": self._origin((*loc, *table, key), value)
            for table, given in tables
            for key, value in given.items()
        }

    def _origin(self, loc: Loc, value: Any) -> Origin:
        text = _shown(value)
        override = self.overrides.get(".".join(map(str, loc)))
        if override is not None:
            return Origin(text, override.source, override.where)
        if loc in self.lines:
            return Origin(text, "file", f"{self.path}:{self.lines[loc]}")
        if loc == ("cleanup", "cancel_open_orders") and value == "matching":  # the mode follows from the conditions
            return self._origin(("cleanup", "cancel_if"), value)
        return Origin(text, "default")


_SOURCES = {"environment": "environment variable", "option": "option"}


def _shown(value: Any, *, inner: bool = False) -> str:
    """Return a value as the file writes it, without quotes around a lone text. None is ``""``."""
    match value:
        case None | "":
            return '""'
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return f"[{', '.join(_shown(item, inner=True) for item in value)}]"
        case dict():
            return "{%s}" % ", ".join(f"{key} = {_shown(item, inner=True)}" for key, item in value.items())  # noqa: UP031
        case float():
            return repr(int(value)) if value.is_integer() else repr(value)
        case Enum():
            return _shown(value.value, inner=inner)
        case str() | Decimal():
            return f'"{value}"' if inner else str(value)
        case _:
            return str(value)


def _checked(raw: dict[str, Any], sources: _Sources, base: str) -> Root:
    from pydantic import ValidationError  # noqa: PLC0415

    from core.config.schema import Root  # noqa: PLC0415

    try:
        return Root.model_validate(raw, context={"base": base})
    except ValidationError as error:
        failed = error
    from core.config.errors import dotted, problems  # noqa: PLC0415

    found = sorted(((*sources.prefix(loc), dotted(loc, raw), text) for loc, text in problems(failed)))
    _, prefix, key, text = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise ConfigError(_clean(f"{prefix}: {key} {text}") + more) from None


def _settings(root: Root, path: Path | None, base: str) -> Settings:
    cleanup = root.cleanup.given()
    if cleanup.get("cancel_if"):
        cleanup["cancel_open_orders"] = "matching"
    exits = root.exits.level()
    engine = root.engine.given() | {"data_dir": _data_dir(root.engine.data_dir, path, base)}
    engine["file"] = "" if path is None else os.path.realpath(path)
    return Settings(
        engine=EngineSettings(**engine),
        cleanup=CleanupSettings(**cleanup),
        exits=ExitSettings(**exits.given),
        entries=EntrySettings(**root.entries.given()),
        ladder=LadderSettings(**root.ladder.given()),
        legacy=LegacySettings(**root.legacy.given()),
        automation=AutomationSettings(**root.automation.given()),
        protect=ProtectSettings(**root.protect.given()),
        console=ConsoleSettings(**root.console.given()),
        owners=root.owners(),
        exit_symbols=exits.symbols,
    )


def _data_dir(given: str, path: Path | None, base: str) -> str:
    """Return the given directory, relative to the file's directory, or else this configuration's own directory."""
    if given:
        return os.path.abspath(os.path.join(base, os.path.expanduser(given)))  # unlike Path, os.path never raises
    from platformdirs import user_data_dir  # noqa: PLC0415

    if path is None:
        return str(Path(user_data_dir("flatdeck")) / "default")
    resolved = os.path.realpath(path)
    mark = hashlib.blake2b(os.fsencode(resolved), digest_size=4).hexdigest()
    return str(Path(user_data_dir("flatdeck")) / f"{Path(resolved).stem}-{mark}")

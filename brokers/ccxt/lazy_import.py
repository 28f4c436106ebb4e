"""Import ccxt on first use, in a thread, and only one exchange of it.

``ccxt.async_support`` and ``ccxt.pro`` import every exchange, which takes over a second and twice the memory. So
empty packages replace them and import a name when it is used. All modules below are ccxt's own. If this fails with a
version of ccxt, or somebody imported ccxt before, ccxt is imported whole.

The import of ``ccxt.async_support`` also enables ``aiohttp_fast_zlib`` where it is installed. That replaces the
compression of every aiohttp connection of the process (its ``base/exchange.py``). An adapter must not decide this, so
the import does not find that module.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import re
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import localcontext
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from core.errors import ConfigError

PATCHER = "aiohttp_fast_zlib"
PARTS = ("ccxt.base.errors", "ccxt.base.exchange", "ccxt.base.precise", "ccxt.base.decimal_to_precision")
_lock = threading.Lock()


async def exchange_class(exchange: str) -> Any:
    """Return ccxt's class of an exchange, with streams where it has them. Raises ConfigError for an unknown id."""
    return await asyncio.to_thread(load, exchange)


def load(exchange: str) -> Any:
    """Like ``exchange_class``, in the calling thread."""
    with _lock, _unpatched():
        if not exchange.isidentifier() or not exists(exchange):
            raise ConfigError(f'"{exchange}" is no exchange that ccxt knows; {nearest(exchange)}')
        logging.getLogger("ccxt").setLevel(logging.WARNING)  # a lower level logs requests with their signatures
        part = "pro" if streamed(exchange) else "async_support"
        try:
            if "ccxt" not in sys.modules:
                _stand_in()
            return getattr(importlib.import_module(f"ccxt.{part}.{exchange}"), exchange)
        except (ImportError, AttributeError, TypeError):
            for name in [n for n in sys.modules if n.partition(".")[0] == "ccxt"]:
                del sys.modules[name]
            return getattr(importlib.import_module(f"ccxt.{part}"), exchange)


@contextmanager
def _unpatched() -> Iterator[None]:
    """Hide the patching module while the context is open."""
    before = sys.modules.get(PATCHER)
    sys.modules[PATCHER] = None  # type: ignore[assignment]  # marks a module as not importable
    try:
        yield
    finally:
        if before is None:
            del sys.modules[PATCHER]
        else:
            sys.modules[PATCHER] = before


@cache
def folder() -> Path:
    """Return the folder in which ccxt is installed."""
    found = importlib.util.find_spec("ccxt") if "ccxt" not in sys.modules else sys.modules["ccxt"].__spec__
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise ConfigError("ccxt is not installed; install what requirements.lock names")
    return Path(next(iter(places)))


def exists(exchange: str) -> bool:
    """Return whether ccxt has an asynchronous exchange of this id."""
    return (folder() / "async_support" / f"{exchange}.py").is_file()


async def required_credentials(exchange: str) -> list[str]:
    """Return the credentials that an exchange requires, by ccxt's names; nothing for an exchange that ccxt lacks."""
    try:
        made = (await exchange_class(exchange))({"enableRateLimit": False, "session": None})
    except ConfigError:
        return []
    return [name for name, needed in (made.requiredCredentials or {}).items() if needed]


def nearest(exchange: str) -> str:
    """Return the hint for a name that is no id: the nearest id, or how ids look."""
    known = [path.stem for path in (folder() / "async_support").glob("[!_]*.py")]
    near = get_close_matches(re.sub(r"[^a-z0-9_]", "", exchange.lower()), known, n=1)
    return f'did you mean "{near[0]}"?' if near else 'its ids are like "binanceusdm" or "kraken"'


def streamed(exchange: str) -> bool:
    """Return whether ccxt has streams of this exchange."""
    return (folder() / "pro" / f"{exchange}.py").is_file()


def _stand_in() -> None:
    """Register the three packages without their ``__init__`` imports. A name is imported when it is used."""
    root = _package("ccxt", folder(), _from_base)
    for name in ("async_support", "pro"):
        setattr(root, name, _package(f"ccxt.{name}", folder() / name, _exchange_of(f"ccxt.{name}")))


class _Package(ModuleType):
    """Like ccxt's packages, has an exchange's class under the name of its module."""

    def __setattr__(self, name: str, value: Any) -> None:
        own = getattr(value, name, None) if isinstance(value, ModuleType) else None
        super().__setattr__(name, own if isinstance(own, type) else value)


def _package(name: str, place: Path, find: Any) -> ModuleType:
    module = _Package(name, "Stands for ccxt's package without importing every exchange.")
    module.__path__ = [str(place)]
    module.__package__ = name
    module.__spec__ = importlib.util.spec_from_file_location(
        name, place / "__init__.py", submodule_search_locations=[str(place)]
    )
    module.__getattr__ = find  # type: ignore[method-assign]
    sys.modules[name] = module
    return module


def _from_base(name: str) -> Any:
    """Find a name of ``ccxt`` (``Exchange``, an error, a constant) in the module that defines it."""
    if not name.startswith("_"):
        for part in PARTS:
            module = importlib.import_module(part)
            if hasattr(module, name):
                return getattr(module, name)
        if (folder() / f"{name}.py").is_file():
            return getattr(importlib.import_module(f"ccxt.{name}"), name)
    raise AttributeError(f"module 'ccxt' has no attribute '{name}'")


def _exchange_of(package: str) -> Any:
    def find(name: str) -> Any:
        if name.startswith("_") or not (folder() / package.partition(".")[2] / f"{name}.py").is_file():
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(f"{package}.{name}"), name)

    return find


@cache
def trust() -> ssl.SSLContext:
    """Return the TLS context for server certificates. It is created once, because this takes tens of milliseconds."""
    return ssl.create_default_context()


def to_test_system(exchange: Any) -> None:
    """Switch to the exchange's sandbox. Raises ConfigError where ccxt knows none; ccxt would leave some without any
    address.

    Bitget's sandbox uses the real addresses, and ccxt has its own way of entering it.
    """
    if not exchange.urls.get("test") and type(exchange).set_sandbox_mode.__module__ == PARTS[1]:
        exchange.session = None  # ccxt does not own it; else ccxt warns that nobody closed it
        raise ConfigError(f"ccxt knows no test system of {exchange.id}; without sandbox it is real money")
    exchange.set_sandbox_mode(True)


def rebase(urls: Any, endpoint: str, stream: str, hostname: str) -> Any:
    """Move every address in ``urls`` (nested as in ccxt) below ``endpoint`` or ``stream``, plus the host's first label.

    ``https://fapi.binance.com/fapi/v1`` → ``<endpoint>/fapi/fapi/v1``. An empty base leaves its addresses alone.
    """
    if isinstance(urls, dict):
        return {name: rebase(value, endpoint, stream, hostname) for name, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    parts = urlsplit(urls.replace("{hostname}", hostname))
    base = stream if parts.scheme in ("ws", "wss") else endpoint
    if not base or not parts.hostname:
        return urls
    query = f"?{parts.query}" if parts.query else ""
    return f"{base.rstrip('/')}/{parts.hostname.partition('.')[0]}{parts.path}{query}"


def below(stream: str, connection: Callable[[str], Any], url: str) -> Any:
    """Return the connection of an address below ``stream``.

    Addresses that a venue tells at run time (KuCoin) move as well.
    """
    base = stream.rstrip("/")
    return connection(url if url.startswith(f"{base}/") else rebase(url, "", base, ""))


def contained(rounding: Callable[..., str], *given: Any) -> str:
    """Call ccxt's rounding in a decimal context of its own.

    ccxt sets the rounding mode and a trap in the current context (``base/decimal_to_precision.py``), which is the
    whole program's.
    """
    with localcontext():
        return rounding(*given)

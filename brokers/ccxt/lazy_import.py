"""ccxt on first use, off the event loop's path, and one exchange of it alone.

``ccxt.async_support`` and ``ccxt.pro`` import every exchange there is: over a second and twice the memory of one. So
the packages are stood for by empty ones that look for a name when it is asked for; everything below them is ccxt's
own. Where that does not work with a version of ccxt, or somebody imported it whole before, it is taken whole.

Importing ``ccxt.async_support`` also switches ``aiohttp_fast_zlib`` on where that is installed, which replaces the
compression of every aiohttp connection of the process (its ``base/exchange.py``). That is no adapter's to decide, so
the import does not find it.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
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
    """ccxt's class of that id, with its streams where it has them. Raises ConfigError for an id that there is not."""
    return await asyncio.to_thread(load, exchange)


def load(exchange: str) -> Any:
    """The same where it is called."""
    with _lock, _unpatched():
        if not exchange.isidentifier() or not exists(exchange):
            raise ConfigError(f'"{exchange}" is no exchange that ccxt knows; {_nearest(exchange)}')
        logging.getLogger("ccxt").setLevel(logging.WARNING)  # below that it writes requests, with their signatures
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
    """Within this the patching module is not there."""
    before = sys.modules.get(PATCHER)
    sys.modules[PATCHER] = None  # type: ignore[assignment]  # the import system's own way of saying so
    try:
        yield
    finally:
        if before is None:
            del sys.modules[PATCHER]
        else:
            sys.modules[PATCHER] = before


@cache
def folder() -> Path:
    """Where ccxt is installed."""
    found = importlib.util.find_spec("ccxt") if "ccxt" not in sys.modules else sys.modules["ccxt"].__spec__
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise ConfigError("ccxt is not installed; install what requirements.lock names")
    return Path(next(iter(places)))


def exists(exchange: str) -> bool:
    """Whether ccxt has an asynchronous exchange of that id."""
    return (folder() / "async_support" / f"{exchange}.py").is_file()


def _nearest(exchange: str) -> str:
    known = [path.stem for path in (folder() / "async_support").glob("[!_]*.py")]
    near = get_close_matches(exchange.lower(), known, n=1)
    return f'did you mean "{near[0]}"?' if near else 'its ids are like "binanceusdm" or "kraken"'


def streamed(exchange: str) -> bool:
    """Whether ccxt has streams of that exchange."""
    return (folder() / "pro" / f"{exchange}.py").is_file()


def _stand_in() -> None:
    """The three packages without what their ``__init__`` imports; a name of theirs is looked for when it is used."""
    root = _package("ccxt", folder(), _from_base)
    for name in ("async_support", "pro"):
        setattr(root, name, _package(f"ccxt.{name}", folder() / name, _exchange_of(f"ccxt.{name}")))


class _Package(ModuleType):
    """ccxt's packages have the class of an exchange under the name of its module; so does what stands for them."""

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
    """``from ccxt import Exchange``, an error, a constant: from the module that has it."""
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
    """What servers' certificates are checked against, made once: it takes tens of milliseconds."""
    return ssl.create_default_context()


def to_test_system(exchange: Any) -> None:
    """Its sandbox from now on. Raises ConfigError where ccxt knows none; some it leaves without any address then.

    Bitget's has the real one's addresses, and ccxt's own way of entering it.
    """
    if not exchange.urls.get("test") and type(exchange).set_sandbox_mode.__module__ == PARTS[1]:
        exchange.session = None  # which it does not own; else ccxt complains that nobody closed it
        raise ConfigError(f"ccxt knows no test system of {exchange.id}; without sandbox it is real money")
    exchange.set_sandbox_mode(True)


def rebase(urls: Any, endpoint: str, stream: str, hostname: str) -> Any:
    """Every address in ``urls``, nested as ccxt has them, below ``endpoint`` or ``stream`` and its host's first label.

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
    """The connection of an address: of one that a venue told (KuCoin) as of every other it is below ``stream``."""
    base = stream.rstrip("/")
    return connection(url if url.startswith(f"{base}/") else rebase(url, "", base, ""))


def contained(rounding: Callable[..., str], *given: Any) -> str:
    """ccxt's rounding of a number, without what it does to everybody's: it sets the rounding mode and a trap in the
    decimal context that it finds (``base/decimal_to_precision.py``), which is the whole program's."""
    with localcontext():
        return rounding(*given)

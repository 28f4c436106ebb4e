"""How a bug is planted at run time: something of the product is something else for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct


class Mutant(Struct, frozen=True):
    """``seeds`` is the number of seeds within which it must be caught, with ``crash`` at crash points of each."""

    name: str
    text: str
    plant: Callable[[], Any]
    seeds: int = 1500
    crash: bool = False


@contextmanager
def instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute of a module or class is another one for a while."""
    real = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, real)


@contextmanager
def entry(table: dict[Any, Any], key: Any, value: Any) -> Iterator[None]:
    """The same for an entry of a table."""
    real = table[key]
    table[key] = value
    try:
        yield
    finally:
        table[key] = real

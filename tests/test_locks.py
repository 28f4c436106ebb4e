"""The locks pin by hash all that the project asks for, wherever it runs, and name no address.

Each check is tried on a sample that breaks it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import distribution
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILT_WITH = PROJECT["build-system"]["requires"]
RUNS_ON = PROJECT["project"]["dependencies"]
TOOLS = PROJECT["dependency-groups"]["dev"]

PIN = re.compile(r"^([a-z0-9-]+)(?:\[([a-z0-9,-]+)\])?==(\S+)(?: ; (.+))? \\$")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?|#(?!.*(?:://|file:)).*")

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
MACOS = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}

Where = dict[str, str]


class Pin(NamedTuple):
    """What a lock says of one package."""

    version: str
    extras: frozenset[str] = frozenset()
    marker: str | None = None

    def holds(self, where: Where) -> bool:
        """Whether it gets installed there."""
        return self.marker is None or Marker(self.marker).evaluate(where)


class Metadata(NamedTuple):
    """What an installed package says of itself."""

    requires: tuple[str, ...] = ()
    compiled: bool = False


Pins = dict[str, Pin]
Read = Callable[[str], Metadata]

EVERYWHERE: tuple[Where, ...] = tuple(
    system | {"python_version": python, "python_full_version": f"{python}.0"}
    for python, system in product(PYTHONS, (LINUX, MACOS))
)


# ------------------------------------------------------------------------------------------------ the checks


def pins_of(lock: str) -> tuple[Pins, list[str]]:
    """What a lock pins, and the lines that are neither a pin, a hash nor a comment."""
    pins: Pins = {}
    odd: list[str] = []
    for number, line in enumerate(lock.splitlines(), 1):
        if pin := PIN.match(line):
            pins[pin[1]] = Pin(pin[3], frozenset((pin[2] or "").split(",")) - {""}, pin[4])
        elif not HASH.fullmatch(line):
            odd.append(f"{number}: {line[:60]!r}")
    return pins, odd


def asked(requires: Iterable[str], extras: Iterable[str], where: Where) -> Iterator[Requirement]:
    """The requirements that count there, for a package that is installed with these extras."""
    for requirement in map(Requirement, requires):
        marker = requirement.marker
        if marker is None or any(marker.evaluate(where | {"extra": extra}) for extra in ("", *extras)):
            yield requirement


def unmet(who: str, requirements: Iterable[Requirement], pins: Pins, where: Where) -> Iterator[str]:
    """What is not pinned, or at another version, or without an extra. pip 23 then looks for the newest, unhashed."""
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        pin = pins.get(name)
        if pin is None or not pin.holds(where) or not requirement.specifier.contains(pin.version, prereleases=True):
            yield f"{who} asks for {requirement}, and {pin and pin.version} is pinned"
        elif lacking := {canonicalize_name(extra) for extra in requirement.extras} - pin.extras:
            yield f"{who} asks for {requirement}, and {name} is pinned without {', '.join(sorted(lacking))}"


def unmet_anywhere(project: list[str], pins: Pins, read: Read) -> Iterator[str]:
    """What the project or a package that is pinned asks for on some system, and the lock does not have there."""
    for where in EVERYWHERE:
        yield from unmet("pyproject.toml", asked(project, (), where), pins, where)
        for name, pin in pins.items():
            if pin.holds(where):
                yield from unmet(name, asked(read(name).requires, pin.extras, where), pins, where)


def compiled_for_nobody(project: list[str], pins: Pins, read: Read) -> Iterator[str]:
    """What is installed where nobody asks for it, although it is compiled: there may be no wheel of it there."""
    compiled = {name for name in pins if read(name).compiled}
    for where in EVERYWHERE:
        here = {name: pin for name, pin in pins.items() if pin.holds(where)}
        wanted = {canonicalize_name(r.name) for r in asked(project, (), where)}
        for name, pin in here.items():
            wanted |= {canonicalize_name(r.name) for r in asked(read(name).requires, pin.extras, where)}
        for name in sorted(compiled & here.keys() - wanted):
            yield f"{name}: {where['platform_system']}, Python {where['python_version']}; it needs a marker in .ci/lock"


# --------------------------------------------------------------------------------------- the project obeys them


def told(broken: Iterable[str]) -> None:
    lines = sorted(set(broken))
    assert not lines, "\n" + "\n".join(lines)


LOCKS = {
    name: pins_of((ROOT / name).read_text(encoding="utf-8")) for name in ("requirements.lock", "requirements-dev.lock")
}
ASKED = {"requirements.lock": BUILT_WITH + RUNS_ON, "requirements-dev.lock": BUILT_WITH + RUNS_ON + TOOLS}


@cache
def installed(name: str) -> Metadata:
    """Read from where the tests run; what is not pinned there has nothing to say."""
    if not LOCKS["requirements-dev.lock"][0][name].holds({}):
        return Metadata()
    found = distribution(name)
    tags = re.findall(r"^Tag: (.+)$", found.read_text("WHEEL") or "", re.MULTILINE)
    return Metadata(tuple(found.requires or ()), compiled=not all(tag.endswith("-any") for tag in tags))


def test_a_lock_has_pins_and_hashes_and_names_no_address() -> None:
    told(f"{name}:{line}" for name, (_, odd) in LOCKS.items() for line in odd)
    assert LOCKS["requirements.lock"][0].items() <= LOCKS["requirements-dev.lock"][0].items()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_all_that_is_asked_for_on_every_system(lock: str) -> None:
    told(unmet_anywhere(ASKED[lock], LOCKS[lock][0], installed))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_compiles_nothing_that_nobody_asked_for(lock: str) -> None:
    told(compiled_for_nobody(ASKED[lock], LOCKS[lock][0], installed))


# ------------------------------------------------------------------------------- and each check is able to fail


SAMPLE = {
    "pytest-cov": Metadata(("coverage[toml]>=7; python_version >= '3.0'", "nowhere; extra == 'dev'")),
    "coverage": Metadata(("tomli; python_version < '3.0'", "toml-reader<2; extra == 'toml'")),
    "toml-reader": Metadata(("fast[c]; sys_platform == 'darwin' and python_version >= '3.14'",)),
    "fast": Metadata((), compiled=True),
}
FAST = Pin("3", frozenset({"c"}))
WHOLE: Pins = {
    "pytest-cov": Pin("7.1"),
    "coverage": Pin("7.17", frozenset({"toml"})),
    "toml-reader": Pin("1.0"),
    "fast": FAST._replace(marker="sys_platform == 'darwin' and python_version >= '3.14'"),
}


@pytest.mark.parametrize(
    ("name", "pin", "found"),
    [
        ("coverage", Pin("7.17"), "pytest-cov asks for coverage[toml]>=7; .* coverage is pinned without toml"),
        ("coverage", Pin("6.9", frozenset({"toml"})), "pytest-cov asks for .* 6.9 is pinned"),
        ("toml-reader", None, "coverage asks for toml-reader<2.* None is pinned"),
        ("toml-reader", Pin("2.0"), "coverage asks for toml-reader<2.* 2.0 is pinned"),
        ("fast", Pin("3"), "toml-reader asks for fast.* fast is pinned without c"),
        ("fast", FAST._replace(marker="python_version < '3.14'"), "toml-reader asks for fast.* 3 is pinned"),
        ("pytest-cov", None, "pyproject.toml asks for pytest-cov.* None is pinned"),
        ("pytest-cov", Pin("8.0"), "pyproject.toml asks for pytest-cov<8.* 8.0 is pinned"),
    ],
)
def test_a_lock_that_lacks_a_pin_a_version_or_an_extra_is_found(name: str, pin: Pin | None, found: str) -> None:
    pins = {n: p for n, p in (WHOLE | {name: pin}).items() if p is not None}
    lines = set(unmet_anywhere(["pytest-cov<8"], pins, SAMPLE.__getitem__))
    assert len(lines) == 1, lines
    assert re.match(found.replace("[", r"\["), lines.pop())


def test_a_whole_lock_is_let_pass() -> None:
    assert not list(unmet_anywhere(["pytest-cov<8"], WHOLE, SAMPLE.__getitem__))
    assert not list(compiled_for_nobody(["pytest-cov<8"], WHOLE, SAMPLE.__getitem__))


def test_what_would_be_compiled_where_nobody_asks_for_it_is_found() -> None:
    found = list(compiled_for_nobody(["pytest-cov<8"], WHOLE | {"fast": FAST}, SAMPLE.__getitem__))
    assert len(found) == len(EVERYWHERE) - 1
    assert "fast: Linux, Python 3.14; it needs a marker in .ci/lock" in found


def test_a_lock_with_an_address_an_option_or_a_missing_hash_is_found() -> None:
    good = 'click[a,b]==8.3.0 ; python_version < "3.14" \\\n    --hash=sha256:' + "0" * 64
    pin = Pin("8.3.0", frozenset({"a", "b"}), 'python_version < "3.14"')
    assert pins_of("# Written\n" + good) == ({"click": pin}, [])
    for bad in ("--index-url x", "click @ file:///x", "# https://example.org", "click==8.3.0", "click[a]==8.3.0"):
        assert pins_of(bad)[1], bad

"""What holds for every test: a home directory of its own, no keyring, no settings of the person who runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from decimal import DefaultContext, getcontext
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling

HERE = Path(__file__).parent
UNTRACED = {HERE / "simulation", HERE / "brokers", HERE / "tui", HERE / "venues"}
OF_ADAPTERS = ("test_alpaca_", "test_ccxt_")  # names of scenarios; the other scenarios reach the same lines of the core
FOREIGN = ("FLATDECK_CONFIG", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
FOLDERS = {"XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share", "XDG_STATE_HOME": ".local/state"}

settings.register_profile("patient", deadline=None)
if "CI" not in os.environ:  # there hypothesis takes its own profile: no deadline, and the same examples each time
    settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Workers take a file each; in the simulation, where tests take long, what has the same parameters."""
    return Shares(config, log) if config.getvalue("dist") == "loadfile" else None


class Shares(LoadFileScheduling):
    """Which tests stay together in one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return f"{file}[{test.partition('[')[2]}" if file.startswith("tests/simulation/") else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that prove behaviour, not lines of the core: a tracer doubles their time."""
    for item in items:
        if not UNTRACED.isdisjoint(item.path.parents) or item.path.name.startswith(OF_ADAPTERS):
            item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A worker of several is a process that coverage traces by itself: ``no_cover`` stops another tracer only."""
    tracer = sys.gettrace()
    if tracer is None or item.get_closest_marker("no_cover") is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configuration, data and sockets of a test land in a directory of its own, never in the user's."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    monkeypatch.setenv("HOME", str(home))
    for name, folder in FOLDERS.items():
        monkeypatch.setenv(name, str(home / folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def same_arithmetic() -> Iterator[None]:
    """Nobody's library changes how this program calculates: the decimal context is everybody's, and stays as it was."""
    yield
    now = getcontext()
    assert (now.prec, now.rounding, now.traps) == (DefaultContext.prec, DefaultContext.rounding, DefaultContext.traps)

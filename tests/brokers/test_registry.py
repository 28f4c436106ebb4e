"""A broker's name becomes its adapter."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from brokers import AVAILABLE, KNOWN, open_broker
from core.config.accounts import ACCOUNTS
from core.errors import ConfigError
from core.settings import AccountSettings


class StillClock:
    """Time does not pass."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        return None


def account(broker: str) -> AccountSettings:
    return AccountSettings("u/a", "u", "a", broker)


def test_the_brokers_known_are_those_of_the_configuration() -> None:
    assert tuple(ACCOUNTS) == KNOWN
    assert set(AVAILABLE) <= set(KNOWN)


def test_an_adapter_is_opened_with_all_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, opened = ModuleType("brokers.paper.broker"), object()

    def open_account(*given: object, **named: object) -> object:
        asked.append((given, named))
        return opened

    asked: list[object] = []
    adapter.open_account = open_account  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "brokers.paper.broker", adapter)
    clock = StillClock()
    assert open_broker(account("paper"), tmp_path, clock, speed=2.0) is opened
    assert asked == [((account("paper"), tmp_path, clock), {"speed": 2.0})]


@pytest.mark.parametrize("name", sorted(set(KNOWN) - set(AVAILABLE)))
def test_a_broker_of_another_version_is_an_error_that_says_what_this_one_has(name: str) -> None:
    with pytest.raises(ConfigError, match=rf'^account u/a: broker "{name}" is not part of this version; it has: paper'):
        open_broker(account(name), None, StillClock())


def test_an_unknown_broker_names_the_nearest_or_all() -> None:
    with pytest.raises(ConfigError, match=r'"papr" is not a known broker; did you mean "paper"\?'):
        open_broker(account("papr"), None, StillClock())
    with pytest.raises(ConfigError, match=f"those known are {', '.join(KNOWN)}"):
        open_broker(account("zzz"), None, StillClock())


def test_no_adapter_and_no_schema_is_imported_before_its_first_use() -> None:
    late = ("pydantic", "keyring", "brokers.paper.broker")
    code = f"import sys, brokers, core.config.load; print([m for m in {late} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

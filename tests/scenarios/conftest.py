"""A desk for every story."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty desk in a directory of its own."""
    return Desk(tmp_path)

"""An operator's desk with one Alpaca account at a loopback venue: the command line, on the venue's clock."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.venues.alpaca.server import KEY, SECRET, AlpacaVenue
from tui.main import SystemEnvironment, cli

ENV = {"ALPACA_KEY": KEY, "ALPACA_SECRET": SECRET}


class AlpacaDesk:
    """``call`` runs a command, ``document`` runs it with ``--json``; no output may ever hold the secret."""

    def __init__(
        self, path: Path, venue: AlpacaVenue, *, streams: bool = False, more: str = "", rules: str = ""
    ) -> None:
        self.venue = venue
        self.config = path / "config.toml"
        stream = venue.stream_endpoint if streams else ""
        self.config.write_text(
            f'[engine]\ndata_dir = "data"\n{rules}\n[[users]]\nid = "user_1"\n[[users.accounts]]\nname = "alpaca"\n'
            f'broker = "alpaca"\npaper = true\napi_key = "env:ALPACA_KEY"\nsecret = "env:ALPACA_SECRET"\n'
            f'endpoint = "{venue.endpoint}"\nstream_endpoint = "{stream}"\n{more}\n',
            encoding="utf-8",
        )

    def call(self, *args: str) -> Result:
        world = SystemEnvironment({**os.environ})
        world.clock = self.venue.clock  # type: ignore[assignment]  # a Clock too
        result = CliRunner().invoke(cli, ["--config", str(self.config), *args], obj=world)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert SECRET not in result.output
        return result

    def document(self, *args: str, code: int = 0) -> Any:
        """The JSON document of one command, whose exit code must be ``code``."""
        result = self.call(*args, "--json")
        assert result.exit_code == code, result.stderr + result.stdout
        return json.loads(result.stdout)

    def outcomes(self, document: Any) -> dict[str, str]:
        """Symbol → outcome of the closes."""
        return {r["symbol"]: r["outcome"] for r in document["results"] if r["kind"] == "close"}

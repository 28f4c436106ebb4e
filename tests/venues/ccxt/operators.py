"""An operator with one account at a loopback exchange: the command line, on the exchange's clock."""

from __future__ import annotations

import json
import os
from copy import copy
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.venues.ccxt.host import Exchange
from tui.main import SystemEnvironment, cli


class Operator:
    """``call`` runs a command, ``document`` runs it with ``--json``; no output may ever hold a credential.

    ``login`` has the configuration's names of the credentials; they reach the program through the environment.
    """

    def __init__(
        self,
        path: Path,
        running: Exchange,
        exchange: str,
        login: dict[str, str],
        *,
        streams: bool = False,
        more: str = "",
        rules: str = "",
    ) -> None:
        self.running = running
        self.secrets = {f"LOOPBACK_{name.upper()}": value for name, value in login.items()}
        names = "\n".join(f'{name} = "env:LOOPBACK_{name.upper()}"' for name in login)
        stream = running.stream_endpoint if streams else ""
        self.config = path / "config.toml"
        self.config.write_text(
            f'[engine]\ndata_dir = "data"\n{rules}\n[[users]]\nid = "user_1"\n[[users.accounts]]\nname = "loopback"\n'
            f'broker = "ccxt"\nexchange = "{exchange}"\n{names}\n'
            f'endpoint = "{running.endpoint}"\nstream_endpoint = "{stream}"\n{more}\n',
            encoding="utf-8",
        )

    def call(self, *args: str) -> Result:
        os.environ.update(self.secrets)
        world = SystemEnvironment({**os.environ})
        world.clock = copy(self.running.clock)  # type: ignore[assignment]  # a process of its own counts for itself
        try:
            result = CliRunner().invoke(cli, ["--config", str(self.config), *args], obj=world)
        finally:
            for name in self.secrets:
                del os.environ[name]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert not any(secret in result.output for secret in self.secrets.values())
        return result

    def document(self, *args: str, code: int = 0) -> Any:
        """The JSON document of one command, whose exit code must be ``code``."""
        result = self.call(*args, "--json")
        assert result.exit_code == code, result.stderr + result.stdout
        return json.loads(result.stdout)

"""An operator's desk: a configuration with paper accounts in a directory, and the command line on it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tui.main import SystemEnvironment, cli


def position(symbol: str, value: str, *, entry: str | None = "1", side: str = "long", **more: Any) -> dict[str, Any]:
    """A position whose price is 1, so that its quantity is its value in dollars."""
    made = {"symbol": symbol, "side": side, "quantity": value, **more}
    return made if entry is None else {**made, "entry": entry}


def order(name: str, symbol: str, quantity: str) -> dict[str, str]:
    """A resting sell far above the market, which holds the quantity."""
    return {"id": name, "symbol": symbol, "side": "sell", "quantity": quantity, "price": "120", "type": "limit"}


def fifty_nine() -> list[dict[str, Any]]:
    """45 positions worth less than a dollar, 14 worth more, the largest last."""
    dust = [position(f"DUST{n:02d}-USD", f"0.{n + 10}") for n in range(45)]
    return dust + [position(f"COIN{n:02d}-USD", f"{3 + n}.5") for n in range(14)]


class Desk:
    """``account`` adds one; ``call`` runs a command; ``document`` runs it with ``--json``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.head = '[engine]\ndata_dir = "data"\n'
        self._accounts: dict[str, dict[str, str]] = {}
        self._caps: dict[str, int] = {}

    def account(
        self,
        owner: str,
        name: str,
        positions: Sequence[dict[str, Any]] = (),
        *,
        orders: Sequence[dict[str, Any]] = (),
        prices: dict[str, str] | None = None,
        touches: dict[str, dict[str, str]] | None = None,
        unpriced: Sequence[str] = (),
        instruments: Sequence[dict[str, Any]] = (),
        cap: int | None = None,
        options: str = "",
    ) -> Desk:
        """A paper account of an owner, or the same one anew; ``options`` is TOML.

        Everything costs 1 unless ``prices`` says otherwise; ``touches`` has whole quotes.
        """
        symbols = {p["symbol"] for p in (*positions, *orders)} - set(unpriced)
        price = dict.fromkeys(symbols, "1") | (prices or {})
        quotes = {s: {"bid": p, "ask": p, "last": p} for s, p in sorted(price.items())} | (touches or {})
        book = {"instruments": [*instruments], "quotes": quotes, "positions": [*positions], "orders": [*orders]}
        file = f"{owner}-{name}.json"
        (self.path / file).write_text(json.dumps(book), encoding="utf-8")
        text = f'name = "{name}"\nbroker = "paper"\nbook = "{file}"\nfrozen = true\n{options}\n'
        self._accounts.setdefault(owner, {})[name] = text
        if cap is not None:
            self._caps[owner] = cap
        self.write()
        return self

    def write(self) -> None:
        """The configuration file as it stands."""
        parts = [self.head]
        parts += [f"[[platform.accounts]]\n{a}" for a in self._accounts.get("platform", {}).values()]
        for owner in (o for o in self._accounts if o != "platform"):
            cap = f"max_positions = {self._caps[owner]}\n" if owner in self._caps else ""
            parts.append(f'[[users]]\nid = "{owner}"\n{cap}')
            parts += [f"[[users.accounts]]\n{a}" for a in self._accounts[owner].values()]
        self.config.write_text("\n".join(parts), encoding="utf-8")

    def call(self, *args: str, env: dict[str, str] | None = None) -> Result:
        """One command without a terminal. What is no exit is the test's error."""
        world = SystemEnvironment({**os.environ, **(env or {})})
        result = CliRunner().invoke(cli, ["--config", str(self.config), *args], obj=world)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def document(self, *args: str, code: int = 0, env: dict[str, str] | None = None) -> Any:
        """The JSON document of one command, whose exit code must be ``code``."""
        result = self.call(*args, "--json", env=env)
        assert result.exit_code == code, result.stderr
        return json.loads(result.stdout)

    def held(self) -> set[tuple[str, str]]:
        """What the accounts hold by a new status: account and symbol."""
        return {(p["account"], p["symbol"]) for p in self.document("status")["positions"]}

    def files(self) -> dict[str, str]:
        """Every file below the desk with a hash of what is in it."""
        found = (p for p in sorted(self.path.rglob("*")))
        return {
            str(p.relative_to(self.path)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "directory"
            for p in found
        }


def closes(document: Any, reason: str | None = None) -> list[str]:
    """Symbols of a plan's closes, in its order."""
    return [a["symbol"] for a in document["actions"] if a["kind"] == "close" and reason in (None, a["reason"])]


def skips(document: Any, reason: str) -> list[str]:
    """Symbols of a plan's positions that are left alone for a reason."""
    return [a["symbol"] for a in document["actions"] if a["kind"] == "skip" and a["reason"] == reason]

"""Exits of an owner, an account and a symbol: the most specific key wins, from the file to the rules."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest

from core.config.load import Origin, load
from core.errors import ConfigError
from core.settings import AccountSettings, ExitLevel, ExitSettings, OwnerSettings, Settings, exits_of, resolve_exits

D = Decimal
LEVELS = ("account and symbol", "account", "owner and symbol", "owner", "symbol")
MARKS = dict(zip(LEVELS, ("0.11", "0.12", "0.13", "0.14", "0.15"), strict=True))


def made(*said: str) -> Settings:
    """Settings in which these levels have a stop of their own, and other accounts and symbols have others."""

    def level(own: str, symbol: str) -> ExitLevel:
        other = {"ETH/USD": {"stop_loss_pct": D("0.99")}}
        return ExitLevel(given(own), {"BTC/USD": given(symbol), **other})

    def given(name: str) -> dict[str, Decimal]:
        return {"stop_loss_pct": D(MARKS[name])} if name in said else {}

    beside = AccountSettings("ann/b", "ann", "b", "paper", exits=ExitLevel({"stop_loss_pct": D("0.98")}))
    account = AccountSettings("ann/a", "ann", "a", "paper", exits=level("account", "account and symbol"))
    owner = OwnerSettings("ann", (beside, account), exits=level("owner", "owner and symbol"))
    bob = OwnerSettings("bob", exits=ExitLevel({"stop_loss_pct": D("0.97")}))
    symbols = {"BTC/USD": given("symbol"), "SOL/USD": {"stop_loss_pct": D("0.96")}}
    return Settings(owners=(bob, owner), exit_symbols=symbols)


@pytest.mark.parametrize("which", product([True, False], repeat=5))
def test_the_most_specific_level_that_says_something_holds(which: tuple[bool, ...]) -> None:
    said = [level for level, given in zip(LEVELS, which, strict=True) if given]
    expected = D(MARKS[said[0]]) if said else D("0.05")
    assert resolve_exits(made(*said), "ann/a", "BTC/USD").stop_loss_pct == expected


def test_what_one_level_does_not_say_comes_from_the_one_above() -> None:
    account = AccountSettings("ann/a", "ann", "a", "paper", exits=ExitLevel({"stop_loss_pct": None}))
    owner = OwnerSettings("ann", (account,), exits=ExitLevel({"adaptive": False, "stop_loss_pct": D("0.2")}))
    settings = Settings(exits=ExitSettings(max_jump=D("0.3")), owners=(owner,))
    assert resolve_exits(settings, "ann/a", "X") == ExitSettings(max_jump=D("0.3"), adaptive=False, stop_loss_pct=None)
    assert resolve_exits(settings, "ann/other", "X").stop_loss_pct == D("0.2")
    assert resolve_exits(settings, "eve/a", "X") is settings.exits


def test_what_was_worked_out_once_is_kept() -> None:
    of = exits_of(made(*LEVELS))
    assert of("ann/a", "BTC/USD") is of("ann/a", "BTC/USD")
    assert of("ann/a", "SOL/USD").stop_loss_pct == D("0.12")


# --------------------------------------------------------------------------------------------------- in the file

FILE = """[exits]
stop_loss_pct = "0.06"
[exits.symbols."BTC/USD"]
stop_loss_pct = "0.15"
adaptive = false
[platform.exits]
trailing_base = "0.03"
[[platform.accounts]]
name = "desk"
broker = "paper"
[[users]]
id = "ann"
[users.exits]
stop_loss_pct = "0.14"
symbols."BTC/USD".smart_profit = []
[[users.accounts]]
name = "a"
broker = "paper"
[users.accounts.exits]
stop_loss_pct = ""
[users.accounts.exits.symbols."BTC/USD"]
stop_loss_pct = "0.11"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_level_is_read_and_told_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    loaded = load(path, {})
    of = exits_of(loaded.settings)
    btc = of("ann/a", "BTC/USD")
    assert (btc.stop_loss_pct, btc.adaptive, btc.smart_profit) == (D("0.11"), False, ())
    assert of("ann/a", "ETH/USD").stop_loss_pct is None
    assert (of("platform/desk", "X").trailing_base, of("platform/desk", "X").stop_loss_pct) == (D("0.03"), D("0.06"))
    assert of("platform/desk", "BTC/USD").stop_loss_pct == D("0.15")
    assert loaded.settings.accounts[-1].options == {}

    def origin(value: str, line: int) -> Origin:
        return Origin(value, "file", f"{path}:{line}")

    assert loaded.origins["exits.symbols.BTC/USD.stop_loss_pct"] == origin("0.15", 4)
    assert loaded.origins["platform.exits.trailing_base"] == origin("0.03", 7)
    assert loaded.origins["users.ann.exits.stop_loss_pct"] == origin("0.14", 14)
    assert loaded.origins["users.ann.exits.symbols.BTC/USD.smart_profit"] == origin("[]", 15)
    assert loaded.origins["users.ann.accounts.a.exits.stop_loss_pct"] == origin('""', 20)
    assert loaded.origins["users.ann.accounts.a.exits.symbols.BTC/USD.stop_loss_pct"] == origin("0.11", 22)
    assert loaded.origins["exits.trailing_base"] == Origin("0.02", "default")


ANN = '[[users]]\nid = "ann"\n[[users.accounts]]\nname = "a"\nbroker = "paper"\n'  # the next line is the sixth


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("[exits.symbols.BTC]\nstop_los = 1", 2, ["exits.symbols.BTC.stop_los", "did you mean stop_loss_pct"]),
        ("[exits.symbol.BTC]\nx = 1", 1, ["exits.symbol", "did you mean symbols"]),
        ("[exits.symbols.BTC.symbols]\nx = 1", 1, ["exits.symbols.BTC.symbols is not a known key"]),
        ("[exits]\nsymbols = 5", 2, ["exits.symbols must be a table, not 5"]),
        ("[exits.symbols]\nBTC = 5", 2, ["exits.symbols.BTC must be a table, not 5"]),
        ('[exits.symbols." "]\nadaptive = true', 1, ["names no symbol"]),
        ('[platform.exits]\nmax_jmp = "0.1"', 2, ["platform.exits.max_jmp", "did you mean max_jump"]),
        (ANN + '[users.exits]\nstop_loss_pct = "5"', 7, ["users.ann.exits.stop_loss_pct must be a fraction"]),
        (ANN + "[users.accounts.exits]\nadaptve = 1", 7, ["accounts.a.exits.adaptve", "did you mean adaptive"]),
        (
            ANN + '[users.accounts.exits.symbols."BTC/USD"]\ndrawdown = [["50", "", ""]]',
            7,
            ["users.ann.accounts.a.exits.symbols.BTC/USD.drawdown"],
        ),
        (ANN + 'stop_loss_pct = "0.1"', 6, ["users.ann.accounts.a.stop_loss_pct", "it belongs in [exits]"]),
        (ANN + "[users.accounts.exits]\nfrozen = true", 7, ["users.ann.accounts.a.exits.frozen is not a known key"]),
    ],
)
def test_a_mistake_in_an_override_names_line_key_and_the_nearest_known_one(
    tmp_path: Path, text: str, line: int, parts: list[str]
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load(path, {})
    sentence = str(raised.value)
    assert sentence.startswith(f"{path}:{line}: "), sentence
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('[exits]\ntrailing_min = "0.01"\n[exits.symbols.BTC]\ntrailing_max = "0.009"', 4, "exits.symbols.BTC"),
        (ANN + '[users.exits]\ntrailing_max = "0.003"', 7, "users.ann.exits.trailing_max"),
        (
            '[exits]\nsymbols.BTC.trailing_max = "0.01"\n' + ANN + '[users.accounts.exits]\ntrailing_min = "0.02"',
            9,
            "users.ann.accounts.a.exits.trailing_min",
        ),
    ],
)
def test_keys_that_do_not_fit_where_the_levels_meet_are_an_error_of_the_more_specific(
    tmp_path: Path, text: str, line: int, key: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match="does not fit: trailing_min") as raised:
        load(path, {})
    assert str(raised.value).startswith(f"{path}:{line}: {key}")

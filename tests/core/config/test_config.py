"""Finding and reading a configuration: what is in force and where it came from."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from core.config.load import Loaded, Origin, defaults_commented, describe, example, find, load, origins
from core.errors import ConfigError
from core.model import Tier
from core.settings import (
    AutomationSettings,
    CleanupSettings,
    ConsoleSettings,
    EntrySettings,
    ExitSettings,
    LadderSettings,
    LegacySettings,
    ProtectSettings,
    Settings,
)

D = Decimal
ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def read(path: Path, text: str, env: dict[str, str] | None = None) -> Loaded:
    path.write_text(text, encoding="utf-8")
    return load(path, env or {})


# ------------------------------------------------------------------------------------------------------- finding


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_option_wins_over_the_variable_the_users_directory_and_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    assert find(None, {}) is None
    touch(tmp_path / "config.toml")
    assert find(None, {}) == Path("config.toml")
    users = touch(tmp_path / "home" / "flatdeck" / "config.toml")
    if Path(users).is_relative_to(tmp_path / "home"):  # the convention of this platform
        assert find(None, {}) in (users, Path("config.toml"))
    named = touch(tmp_path / "named.toml")
    assert find(None, {"FLATDECK_CONFIG": str(named)}) == named
    option = touch(tmp_path / "option.toml")
    assert find(option, {"FLATDECK_CONFIG": str(named)}) == option


def test_a_named_file_that_is_missing_is_an_error_that_names_it_and_the_way_out(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file \(--config\).*flatdeck init"):
        find(missing, {})
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file \(FLATDECK_CONFIG\).*flatdeck init"):
        find(None, {"FLATDECK_CONFIG": str(missing)})
    with pytest.raises(ConfigError, match="no such file"):
        find(None, {"FLATDECK_CONFIG": "a\0b"})


def test_an_empty_variable_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(None, {"FLATDECK_CONFIG": ""}) is None


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: there is no such file.*flatdeck init"):
        load(tmp_path / "gone.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Path("a\0b"), {})


def test_a_file_that_is_no_configuration_at_all_is_refused_before_it_is_parsed(path: Path) -> None:
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="is over 1000000 bytes"):
        load(path, {})
    path.write_bytes(b"# fine\n# \xff\n")
    with pytest.raises(ConfigError, match=r"config\.toml:2: is not UTF-8"):
        load(path, {})


# ------------------------------------------------------------------------------------------------------- reading


def test_without_a_file_everything_has_its_default_and_nobody_has_an_account() -> None:
    loaded = load(None, {})
    assert loaded.path is None
    assert loaded.settings == Settings(engine=loaded.settings.engine)
    assert loaded.settings.engine.data_dir.endswith("flatdeck/default")
    assert {origin.source for origin in loaded.origins.values()} == {"default"}


def test_an_empty_file_means_the_defaults(path: Path) -> None:
    assert read(path, "").settings.exits == ExitSettings()


def test_every_key_of_the_contract_is_read(path: Path) -> None:
    settings = read(
        path,
        """
        [engine]
        cycle_seconds = 0.5
        log_level = "DEBUG"
        metrics = true
        [cleanup]
        dust_usd = "2.50"
        max_positions = 0
        interval_cycles = 1
        cancel_open_orders = "matching"
        cancel_if = "usd_value<1.0,rank>max_positions"
        [exits]
        emergency = ["-0.15", "-0.5"]
        stop_loss_pct = "0.04"
        trailing_base = "0.03"
        trailing_min = "0.01"
        trailing_max = "0.05"
        activation_pct = "0.02"
        adaptive = false
        take_profit_pct = "0.2"
        smart_profit = [["0.05", "0.05"], ["0.2", "0"]]
        drawdown = [["0.3", "0.03", ""], ["0.5", "", ""]]
        min_peak_roi = "0.04"
        include_fees = true
        max_jump = "0.3"
        confirm_window = 2
        max_price_age = 7
        max_price_age_polling = 20
        [ladder]
        attempts = 5
        tier_timeout = 2
        total_timeout = 60.5
        limit_offsets = []
        resume_within = 0
        tiers = { alpaca = ["venue_close"], "ccxt:kraken" = ["market_ioc", "direct_api"] }
        [entries]
        duplicate_window = 0
        limit_offset = "0.02"
        [legacy]
        emergency_close_legacy = false
        risk_per_trade = "0.003"
        [automation]
        exits = "auto"
        cleanup = "auto"
        legacy = "auto"
        [protect]
        enabled = true
        behind = "0.02"
        min_move = "0.01"
        min_interval = 30
        [console]
        type_number_from = [5, ""]
        bell = false
        notifications = false
        """,
    ).settings
    assert (settings.engine.cycle_seconds, settings.engine.log_level, settings.engine.metrics) == (0.5, "debug", True)
    assert settings.cleanup == CleanupSettings(D("2.50"), 0, 1, "matching", "usd_value<1.0,rank>max_positions")
    assert settings.exits == ExitSettings(
        emergency=(D("-0.5"), D("-0.15")),
        stop_loss_pct=D("0.04"),
        trailing_base=D("0.03"),
        trailing_min=D("0.01"),
        trailing_max=D("0.05"),
        activation_pct=D("0.02"),
        adaptive=False,
        take_profit_pct=D("0.2"),
        smart_profit=((D("0.2"), D(0)), (D("0.05"), D("0.05"))),
        drawdown=((D("0.5"), None, None), (D("0.3"), D("0.03"), None)),
        min_peak_roi=D("0.04"),
        include_fees=True,
        max_jump=D("0.3"),
        confirm_window=2.0,
        max_price_age=7.0,
        max_price_age_polling=20.0,
    )
    tiers = {"alpaca": (Tier.VENUE_CLOSE,), "ccxt:kraken": (Tier.MARKET_IOC, Tier.DIRECT_API)}
    assert settings.ladder == LadderSettings(5, 2.0, 60.5, (), tiers, 0.0)
    assert settings.entries == EntrySettings(0.0, D("0.02"))
    assert settings.legacy == LegacySettings(False, D("0.003"))
    assert settings.automation == AutomationSettings("auto", "auto", "auto")
    assert settings.protect == ProtectSettings(True, D("0.02"), D("0.01"), 30.0)
    assert settings.console == ConsoleSettings((5, None), False, False)


def test_an_empty_text_or_list_turns_a_rule_off(path: Path) -> None:
    exits = read(
        path,
        '[exits]\nstop_loss_pct=""\ntrailing_base=""\ntake_profit_pct=""\nemergency=[]\nsmart_profit=[]\ndrawdown=[]',
    ).settings.exits
    assert (exits.stop_loss_pct, exits.trailing_base, exits.take_profit_pct) == (None, None, None)
    assert (exits.emergency, exits.smart_profit, exits.drawdown) == ((), (), ())


@pytest.mark.parametrize("key", ["emergency", "smart_profit", "drawdown", "trailing_profit", "target_trend"])
def test_a_rule_that_is_a_list_takes_an_empty_text_as_well(path: Path, key: str) -> None:
    assert getattr(read(path, f'[exits]\n{key} = ""').settings.exits, key) == ()
    assert read(path, '[ladder]\nlimit_offsets = ""').settings.ladder.limit_offsets == ()


@pytest.mark.parametrize("written", ['"0.07"', "0.07", "7e-2"])
def test_a_fraction_is_exact_with_and_without_quotes(path: Path, written: str) -> None:
    assert read(path, f"[exits]\nstop_loss_pct = {written}").settings.exits.stop_loss_pct == D("0.07")


def test_an_amount_may_be_a_whole_number(path: Path) -> None:
    assert read(path, "[cleanup]\ndust_usd = 2").settings.cleanup.dust_usd == D(2)


def test_conditions_alone_mean_matching(path: Path) -> None:
    loaded = read(path, '[cleanup]\ncancel_if = "usd_value<1"')
    assert loaded.settings.cleanup.cancel_open_orders == "matching"
    assert loaded.origins["cleanup.cancel_open_orders"] == Origin("matching", "file", f"{path}:2")


def test_a_byte_order_mark_and_windows_line_ends_are_taken(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf[engine]\r\ncycle_seconds = 9\r\n")
    loaded = load(path, {})
    assert loaded.settings.engine.cycle_seconds == 9
    assert loaded.origins["engine.cycle_seconds"].where.endswith(":2")


# --------------------------------------------------------------------------------------------------- data directory


def test_each_configuration_has_a_data_directory_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "prod.toml", tmp_path / "b" / "prod.toml"
    for each in (one, other):
        each.parent.mkdir()
        each.touch()
    link = tmp_path / "link.toml"
    link.symlink_to(one)
    dirs = [Path(load(each, {}).settings.engine.data_dir) for each in (one, other, link)]
    assert all(d.is_absolute() and d.parent.name == "flatdeck" for d in dirs)
    assert dirs[0].name.startswith("prod-")
    assert len(dirs[0].name) == len("prod-") + 8
    assert dirs[0] != dirs[1]
    assert dirs[0] == dirs[2]  # the same file


def test_a_relative_data_directory_starts_at_the_file_and_a_tilde_at_home(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/home/someone")
    assert read(path, '[engine]\ndata_dir = "../data"').settings.engine.data_dir == str(tmp_path.parent / "data")
    assert read(path, '[engine]\ndata_dir = "~/data"').settings.engine.data_dir == "/home/someone/data"


# ----------------------------------------------------------------------------------------------------- owners, origins

OWNERS = """
[[platform.accounts]]
name = "desk"
broker = "paper"

[[users]]
id = "user_1"
max_positions = 3
[[users.accounts]]
name = "a"
broker = "paper"
book = "positions.json"
faults = { reject_ioc = 1.0 }
[[users.accounts]]
name = "b"
broker = "ccxt"
exchange = "kraken"
api_key = "env:KEY"

[[users]]
id = "user_2"
"""


def test_owners_are_the_platform_and_then_the_users_in_file_order(path: Path) -> None:
    settings = read(path, OWNERS).settings
    assert [owner.id for owner in settings.owners] == ["platform", "user_1", "user_2"]
    assert [(a.id, a.venue) for a in settings.accounts] == [
        ("platform/desk", "paper"),
        ("user_1/a", "paper"),
        ("user_1/b", "ccxt:kraken"),
    ]
    assert (settings.cap("user_1"), settings.cap("user_2"), settings.cap("platform")) == (3, 8, 8)


def test_a_platform_without_accounts_is_no_owner(path: Path) -> None:
    assert read(path, "[platform]").settings.owners == ()


def test_every_setting_tells_its_value_and_where_it_came_from(path: Path) -> None:
    loaded = read(path, '[cleanup]\n# why\ndust_usd = "2"\n' + OWNERS, {"FUTURES_RISK_PER_TRADE": "0.004"})
    origins = loaded.origins
    assert origins["cleanup.dust_usd"] == Origin("2", "file", f"{path}:3")
    assert origins["cleanup.max_positions"] == Origin("8", "default")
    assert origins["legacy.risk_per_trade"] == Origin("0.004", "environment", "FUTURES_RISK_PER_TRADE")
    assert origins["users.user_1.max_positions"] == Origin("3", "file", f"{path}:11")
    assert origins["users.user_1.accounts.a.faults"] == Origin("{reject_ioc = 1}", "file", f"{path}:16")
    assert origins["users.user_1.accounts.b.api_key"] == Origin("env:KEY", "file", f"{path}:21")
    assert origins["platform.accounts.desk.broker"].where == f"{path}:7"


def test_the_description_has_every_key_once_as_text(path: Path) -> None:
    described = describe(read(path, OWNERS))
    assert len({key for key, _, _ in described}) == len(described)
    found = {key: (value, origin) for key, value, origin in described}
    assert found["exits.stop_loss_pct"] == ("0.05", "default")
    assert found["exits.drawdown"][0] == '[["0.50", "", ""], ["0.30", "0.03", "0.15"]]'
    assert found["engine.cycle_seconds"][0] == "150"
    assert found["engine.metrics"][0] == "false"
    assert found["cleanup.cancel_if"][0] == '""'
    assert found["legacy.risk_per_trade"][0] == '""'
    assert found["users.user_1.max_positions"] == ("3", f"file {path}:8")


# -------------------------------------------------------------------------------------------------------- example


def test_the_example_of_the_package_is_the_one_that_is_shown() -> None:
    assert (ROOT / "config.example.toml").read_bytes() == example().encode()


def test_what_init_writes_sets_nothing_but_the_demo_account_and_names_every_key(path: Path) -> None:
    loaded = read(path, defaults_commented())
    assert loaded.settings.owners == read(path, example()).settings.owners
    assert all(key.startswith("users.demo.") for key in origins(loaded, changed=True))
    assert len(defaults_commented().splitlines()) == len(example().splitlines())


def test_the_comments_that_init_writes_are_the_defaults(path: Path) -> None:
    text = defaults_commented().partition("\n[platform]")[0]
    kept = [line.removeprefix("# ") for line in text.splitlines()]
    live = [line for line in example().partition("\n[platform]")[0].splitlines() if not line.startswith("#")]
    assert set(live) <= {*kept, *text.splitlines()}


def test_the_platform_can_have_its_own_cap(path: Path) -> None:
    account = '[[platform.accounts]]\nname = "a"\nbroker = "paper"\n'
    loaded = read(path, f"[platform]\nmax_positions = 14\n{account}")
    assert (loaded.settings.cap("platform"), loaded.settings.cap("ann")) == (14, 8)
    assert loaded.origins["platform.max_positions"].value == "14"
    assert loaded.origins["platform.max_positions"].source == "file"
    assert set(origins(loaded, changed=True)) == {"platform.max_positions", "platform.accounts.a.broker"}


def test_the_example_loads_on_any_machine_and_says_nothing_but_the_defaults(path: Path) -> None:
    settings = read(path, example()).settings
    assert settings == Settings(engine=settings.engine, owners=settings.owners)
    assert [a.id for a in settings.accounts] == ["demo/paper"]


def test_the_example_has_every_key(path: Path) -> None:
    from core.config.accounts import ACCOUNTS
    from core.config.schema import Root, UserTable

    text = example()
    models = [*ACCOUNTS.values(), UserTable]
    models += [field.annotation for key, field in Root.model_fields.items() if key not in ("platform", "users")]
    missing = [key for model in models for key in model.model_fields if key not in text]
    assert not missing


def test_what_the_example_comments_out_is_right_too(path: Path) -> None:
    kept = []
    for line in example().splitlines():
        code = line.removeprefix("# ")
        is_code = line.startswith("# ") and (code.startswith("[") or code.split(" ")[1:2] == ["="])
        kept.append(code if is_code else line)
    text = "\n".join(kept)
    assert len(tomllib.loads(text)["users"][0]["accounts"]) == 3
    assert [a.venue for a in read(path, text).settings.accounts] == [
        "ccxt:coinbase",
        "paper:sim",
        "alpaca",
        "tradovate",
    ]

"""A configuration that cannot be used: one sentence with the file, the line, the key, what is wrong and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config.load import Option, load
from core.errors import ConfigError

ACCOUNT = '[[users]]\nid = "u"\n[[users.accounts]]\nname = "a"\n'  # the next line is the fifth


def error(tmp_path: Path, text: str, options: dict[str, Option] | None = None) -> str:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(path, {}, options)
    sentence = str(raised.value)
    assert sentence.isprintable()
    return sentence.removeprefix(f"{path}:")


def says(sentence: str, line: int, *parts: str) -> None:
    assert sentence.startswith(f"{line}: "), sentence
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ('[cleanup]\ndust_uds = "1"', 2, ["cleanup.dust_uds", "not a known key", "did you mean dust_usd"]),
        ("[cleanpu]\nx = 1", 1, ["cleanpu", "did you mean cleanup"]),
        ("[engine]\nmax_positions = 3", 2, ["engine.max_positions", "it belongs in [cleanup]"]),
        ("[engine]\n\n\nzzzzzzzzzz = 3", 4, ["engine.zzzzzzzzzz", "those known here are cycle_seconds, data_dir"]),
        ('[[users]]\nid = "u"\nmaxpositions = 3', 3, ["users.u.maxpositions", "did you mean max_positions"]),
        (ACCOUNT + 'broker = "paper"\nfroze = true', 6, ["users.u.accounts.a.froze", "did you mean frozen"]),
        (ACCOUNT + 'broker = "paper"\nQQQ = true', 6, ["those known of a paper account are name, broker, book"]),
        ("[platform]\nacounts = []", 2, ["platform.acounts", "did you mean accounts"]),
        ("exits.stop_los = 1", 1, ["exits.stop_los", "did you mean stop_loss_pct"]),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path, text: str, line: int, parts: list[str]) -> None:
    says(error(tmp_path, text), line, *parts)


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ('[engine]\ncycle_seconds = "fast"', 2, ["engine.cycle_seconds must be a number above 0", 'not "fast"']),
        ("[engine]\nmetrics = 1", 2, ["engine.metrics must be true or false, not 1"]),
        ("[engine]\nlog_level = 3", 2, ["must be one of debug, info, warning, error, not 3"]),
        ('[cleanup]\nmax_positions = "8"', 2, ['must be a whole number from 0 to 1000000, not "8"']),
        ("[cleanup]\nmax_positions = 8.0", 2, ["must be a whole number", "not 8.0"]),
        ("[cleanup]\nmax_positions = true", 2, ["must be a whole number", "not true"]),
        ("[cleanup]\ndust_usd = [1]", 2, ["must be an amount from 0", "not a list"]),
        ("[cleanup]\ndust_usd = 2026-01-01", 2, ["not a date or time"]),
        ("[cleanup]\ndust_usd = {a = 1}", 2, ["not a table"]),
        ("[cleanup]\ncancel_if = 1", 2, ["cleanup.cancel_if must be text"]),
        ("cleanup = 5", 1, ["cleanup must be a table, not 5"]),
        ("users = 5", 1, ["users must be a list of tables; write [[users]]"]),
        ('[users]\nid = "u"', 1, ["users must be a list of tables; write [[users]]"]),
        ("users = [5]", 1, ["users.1 must be a table, not 5"]),
        ('[platform.accounts]\nname = "a"', 1, ["platform.accounts must be a list of tables"]),
        ("[platform]\naccounts = [5]", 2, ["platform.accounts.1 must be a table, not 5"]),
        ("[exits]\nemergency = 5", 2, ["exits.emergency must be a list"]),
        ('[exits]\nsmart_profit = [\n["0.1"]]', 3, ["exits.smart_profit.1", "a pair [move, gap]"]),
        ('[exits]\ndrawdown = [\n["0.1", "", ""],\n["0.1", ""]]', 4, ["exits.drawdown.2", "three values"]),
        ("[ladder]\ntiers = 5", 2, ["ladder.tiers must be a table"]),
        ("[ladder.tiers]\npaper = 5", 2, ["ladder.tiers.paper must be a list"]),
        ("[legacy]\nrisk_per_trade = true", 2, ["legacy.risk_per_trade must be a fraction"]),
        (ACCOUNT + 'broker = "paper"\nfaults = 1', 6, ["users.u.accounts.a.faults must be a table"]),
        (ACCOUNT + 'broker = "paper"\nprices = "x.csv"', 6, ["users.u.accounts.a.prices must be a list"]),
    ],
)
def test_a_wrong_type_says_what_it_must_be(tmp_path: Path, text: str, line: int, parts: list[str]) -> None:
    says(error(tmp_path, text), line, *parts)


@pytest.mark.parametrize(
    "text",
    [
        "[engine]\ncycle_seconds = 0",
        "[engine]\ncycle_seconds = inf",
        "[engine]\ncycle_seconds = nan",
        "[engine]\ncycle_seconds = 1e300",
        '[engine]\nlog_level = "loud"',
        '[engine]\ndata_dir = "a\\u001bb"',
        '[cleanup]\ndust_usd = "-1"',
        '[cleanup]\ndust_usd = "NaN"',
        '[cleanup]\ndust_usd = "Infinity"',
        "[cleanup]\ndust_usd = nan",
        '[cleanup]\ndust_usd = "1e30"',
        '[cleanup]\ndust_usd = "1e-30"',
        '[cleanup]\ndust_usd = ""',
        "[cleanup]\nmax_positions = -1",
        "[cleanup]\nmax_positions = 0xffffffffffffffffffffffffffffffffffff",
        "[cleanup]\ninterval_cycles = 0",
        '[cleanup]\ncancel_open_orders = "sometimes"',
        '[cleanup]\ncancel_open_orders = "matching"',
        '[exits]\nemergency = ["0.15"]',
        '[exits]\nemergency = ["-40"]',
        '[exits]\nstop_loss_pct = "5"',
        '[exits]\nstop_loss_pct = "0"',
        '[exits]\nstop_loss_pct = "1"',
        '[exits]\nstop_loss_pct = "-0.05"',
        '[exits]\ntrailing_min = "-0.1"',
        '[exits]\ntrailing_min = "0.05"',
        '[exits]\ntrailing_max = "0.003"',
        '[exits]\nactivation_pct = "-1"',
        '[exits]\ntake_profit_pct = "20"',
        '[exits]\nsmart_profit = [["0", "0"]]',
        '[exits]\nsmart_profit = [["0.1", "-1"]]',
        '[exits]\ndrawdown = [["50", "", ""]]',
        '[exits]\ndrawdown = [["0.5", "0.2", "0.1"]]',
        '[exits]\nmin_peak_roi = "-0.1"',
        '[exits]\nmax_jump = "0"',
        "[exits]\nconfirm_window = 0",
        "[exits]\nmax_price_age = 0",
        "[exits]\nmax_price_age_polling = -1",
        "[entries]\nduplicate_window = -1",
        '[entries]\nlimit_offset = "0.5"',
        "[ladder]\nattempts = 0",
        "[ladder]\ntier_timeout = 0",
        "[ladder]\ntotal_timeout = -5",
        "[ladder]\nresume_within = -1",
        '[ladder]\nlimit_offsets = ["0.5"]',
        "[ladder.tiers]\npaper = []",
        '[ladder.tiers]\npaper = ["market"]',
        '[ladder.tiers]\npaper = ["market_ioc", "market_ioc"]',
        '[legacy]\nrisk_per_trade = "0"',
        '[legacy]\nrisk_per_trade = "1.5"',
        '[automation]\nexits = "yes"',
        '[protect]\nenabled = "sometimes"',
        '[protect]\nbehind = "0"',
        '[protect]\nbehind = "1"',
        '[protect]\nmin_move = "-0.01"',
        "[protect]\nmin_interval = 0",
        "[console]\ntype_number_from = 3",
        "[console]\ntype_number_from = [0, 1000]",
        '[console]\ntype_number_from = [3, "-1"]',
        '[[users]]\nid = "a/b"',
        '[[users]]\nid = ""',
        '[[users]]\nid = ".."',
        '[[users]]\nid = "ü"',
        '[[users]]\nid = "platform"',
        "[[users]]\nid = 5",
    ],
)
def test_an_impossible_value_is_an_error_that_names_line_and_key(tmp_path: Path, text: str) -> None:
    table, key = text.split("\n")
    section = table.strip("[]")
    says(error(tmp_path, text), 2, section, key.split(" ")[0])


def test_a_resting_stop_needs_a_stop_to_rest_behind(tmp_path: Path) -> None:
    text = '[protect]\nenabled = true\n[exits]\nstop_loss_pct = ""\ntrailing_base = ""'
    says(error(tmp_path, text), 2, "protect.enabled", "stop_loss_pct")


def test_the_two_keys_of_open_orders_must_agree(tmp_path: Path) -> None:
    both = '[cleanup]\ncancel_open_orders = "always"\ncancel_if = "usd_value<1"'
    says(error(tmp_path, both), 3, "cleanup.cancel_if", '"always"', "remove one")


def test_a_condition_that_cannot_be_read_is_quoted(tmp_path: Path) -> None:
    sentence = error(tmp_path, '[cleanup]\ncancel_if = "usd_value<1,colour=red"')
    says(sentence, 2, "cleanup.cancel_if cannot be read", "colour=red")


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("[[users]]\nmax_positions = 3", 1, ["users.1.id is missing"]),
        (ACCOUNT, 3, ["users.u.accounts.a.broker is missing", "paper, ccxt, alpaca, tradovate"]),
        ('[[platform.accounts]]\nbroker = "paper"', 1, ["platform.accounts.1.name is missing"]),
        (ACCOUNT + 'broker = "ccxt"', 3, ["users.u.accounts.a.exchange is missing"]),
    ],
)
def test_a_missing_key_is_named(tmp_path: Path, text: str, line: int, parts: list[str]) -> None:
    says(error(tmp_path, text), line, *parts)


def test_an_unknown_broker_names_those_known_and_the_nearest(tmp_path: Path) -> None:
    sentence = error(tmp_path, ACCOUNT + 'broker = "alpcaa"')
    says(
        sentence, 5, "users.u.accounts.a.broker", '"alpcaa"', "paper, ccxt, alpaca, tradovate", 'did you mean "alpaca"'
    )
    for given in ("binance", "Binance"):
        sentence = error(tmp_path, ACCOUNT + f'broker = "{given}"')
        says(sentence, 5, 'did you mean broker = "ccxt", exchange = "binance"?')
    says(error(tmp_path, ACCOUNT + "broker = 7"), 5, "users.u.accounts.a.broker", "paper, ccxt, alpaca")
    says(error(tmp_path, ACCOUNT + "broker = [1]"), 5, "users.u.accounts.a.broker", "paper, ccxt, alpaca")
    says(error(tmp_path, '[ladder.tiers]\nalpacca = ["venue_close"]'), 2, "ladder.tiers.alpacca", '"alpaca"')


def test_names_that_are_used_twice_are_errors(tmp_path: Path) -> None:
    says(error(tmp_path, '[[users]]\nid = "u"\n[[users]]\nid = "u"'), 4, "users.u.id", "second time")
    twice = ACCOUNT + 'broker = "paper"\n[[users.accounts]]\nbroker = "paper"\nname = "a"'
    says(error(tmp_path, twice), 8, "users.u.accounts.a.name", "second time")


def test_one_login_under_two_names_is_an_error_because_its_positions_would_count_twice(tmp_path: Path) -> None:
    login = 'broker = "ccxt"\nexchange = "kraken"\napi_key = "env:K"\nsecret = "env:S"\n'
    other = '[[users.accounts]]\nname = "b"\n'
    says(error(tmp_path, ACCOUNT + login + other + login), 13, "users.u.accounts.b.api_key", "same login")
    alpaca = 'broker = "alpaca"\napi_key = "env:K"\nsecret = "env:S"\n'
    used = alpaca + 'feed = "sip"\nextended_hours = true\nstream_endpoint = ""'  # the same account all the same
    says(error(tmp_path, ACCOUNT + alpaca + other + used), 11, "users.u.accounts.b.api_key", "same login")
    path = tmp_path / "config.toml"
    path.write_text(ACCOUNT + login + other + login + 'options = { defaultType = "swap" }')
    assert len(load(path, {}).settings.accounts) == 2  # another market of one exchange is another account


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[engine]\ncycle_seconds = ", 2),
        ("[engine\n", 1),
        ("a = 1\na = 2", 2),
        ('x = "open\n', 1),
        ("[engine]\nx = [1,\n\n2", 4),
        ("[[users]]\nid = 1\n[users]\n", 3),
    ],
)
def test_broken_toml_names_the_line(tmp_path: Path, text: str, line: int) -> None:
    says(error(tmp_path, text), line, "is not valid TOML", "correct that line")


@pytest.mark.parametrize("text", ["a = " + "1" * 5000, "a = 1e" + "9" * 40, "a = " + "[" * 5000])
def test_numbers_and_nesting_beyond_any_use_are_errors_too(tmp_path: Path, text: str) -> None:
    assert "no setting needs that" in error(tmp_path, text)


def test_of_several_problems_the_first_is_told_and_the_others_counted(tmp_path: Path) -> None:
    sentence = error(tmp_path, "[ladder]\nattempts = 0\n[engine]\nmetrics = 1\n[cleanup]\nmax_positions = -1")
    says(sentence, 2, "ladder.attempts", "(and 2 more)")


def test_an_error_passes_no_terminal_codes_and_no_endless_text_on(tmp_path: Path) -> None:
    assert "\\x1b" in error(tmp_path, '[engine]\n"\\u001b[31m" = 1')
    assert len(error(tmp_path, f"[engine]\n{'x' * 90_000} = 1")) < 1_500
    assert len(error(tmp_path, f'[engine]\nlog_level = "{"x" * 90_000}"')) < 1_500


def test_an_option_that_is_wrong_is_named_instead_of_the_file(tmp_path: Path) -> None:
    options = {"cleanup.dust_usd": Option("--dust", "-1")}
    assert error(tmp_path, '[cleanup]\ndust_usd = "1"', options).startswith("option --dust: cleanup.dust_usd must be")

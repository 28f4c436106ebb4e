"""Command lines against the real engine, journal and paper broker: what is printed, and what is left on the disk."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.config.load import load
from core.engine.clock import SystemClock, system_ids
from core.exits.snapshot import ExitSnapshot, SavedExit
from core.journal import exit_states
from core.journal.data_dir import DataDir
from core.journal.journal import Journal
from core.journal.tables import StateRows
from core.model import PositionKey, Side
from core.records import Opened, PlanApproved
from core.settings import settings_digest
from tests.support.builders import D, close_action, plan
from tui.main import SystemEnvironment, cli

Call = Callable[..., Result]

BOOK = {
    "quotes": {
        "BTC-USD": {"bid": "99.9", "ask": "100.1", "last": "100"},
        "ETH-USD": {"bid": "10", "ask": "10.1", "last": "10"},
        "SHIB-USD": {"bid": "0.01", "ask": "0.011", "last": "0.01"},
    },
    "positions": [
        {"symbol": "BTC-USD", "side": "long", "quantity": "0.5", "entry": "98"},
        {"symbol": "ETH-USD", "side": "long", "quantity": "2", "entry": "9"},
        {"symbol": "SHIB-USD", "side": "long", "quantity": "12", "entry": "0.02"},
    ],
    "orders": [{"id": "o1", "symbol": "ETH-USD", "side": "sell", "quantity": "1", "price": "20", "type": "limit"}],
}


def account(name: str, owner: str = "user_123", **more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[users]]\nid = "{owner}"\n[[users.accounts]]\nname = "{name}"\nbroker = "paper"\nfrozen = true\n{lines}'


@pytest.fixture
def setup(tmp_path: Path) -> Callable[..., Call]:
    """A configuration of these accounts; what it gives calls flatdeck on it, without a terminal."""

    def make(*accounts: str, book: Any = BOOK) -> Call:
        (tmp_path / "book.json").write_text(json.dumps(book))
        (tmp_path / "config.toml").write_text('[engine]\ndata_dir = "data"\n' + "".join(accounts))

        def call(*args: str) -> Result:
            return CliRunner().invoke(
                cli, ["--config", str(tmp_path / "config.toml"), *args], obj=SystemEnvironment({})
            )

        return call

    return make


@pytest.fixture
def one(setup: Callable[..., Call]) -> Call:
    return setup(account("coinbase", book='"book.json"'))


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "args",
    [
        ["status"],
        ["cleanup", "--dry-run"],
        ["flatten", "--all", "--dry-run", "--json"],
        ["cancel-orders", "--all", "--dry-run"],
        ["flatten", "--all"],
        ["check"],
        ["journal"],
        ["config"],
    ],
)
def test_what_only_looks_or_is_not_confirmed_leaves_no_trace_on_the_disk(
    one: Call, tmp_path: Path, args: list[str]
) -> None:
    before = files(tmp_path)
    assert one(*args).exit_code in (0, 3)
    assert files(tmp_path) == before


def test_neither_does_it_beside_the_traces_of_an_earlier_run(one: Call, tmp_path: Path) -> None:
    assert one("cleanup", "--yes").exit_code == 0
    before = files(tmp_path)
    for args in (["status"], ["flatten", "--all", "--dry-run"], ["flatten", "--all"], ["journal"]):
        assert one(*args).exit_code in (0, 3)
    assert files(tmp_path) == before


def test_a_flatten_is_verified_and_a_second_one_has_nothing_to_do(one: Call) -> None:
    done = one("flatten", "--all", "--yes", "--json")
    assert done.exit_code == 0
    made = json.loads(done.stdout)
    assert made["verified"] == {**made["verified"], "complete": True, "positions": [], "final": 0}
    assert {row["outcome"] for row in made["results"]} == {"closed", "cancelled"}
    assert {(row["symbol"], row["profit"]) for row in made["results"] if row["kind"] == "close"} == {
        ("BTC-USD", "WIN"),
        ("ETH-USD", "WIN"),
        ("SHIB-USD", "LOSS"),
    }
    assert "PROFIT_STATUS = PENDING → CONFIRMED" in done.stderr
    again = one("flatten", "--all", "--yes", "--json")
    assert (again.exit_code, json.loads(again.stdout)["actions"]) == (0, [])


def test_a_flatten_tells_what_it_earned_and_cost_and_the_sum_of_each_owner(setup: Callable[..., Call]) -> None:
    book = {**BOOK, "instruments": [{"symbol": "BTC-USD", "kind": "spot", "fee_rate": "0.001"}], "orders": []}
    one = setup(account("coinbase", book='"book.json"'), book=book)
    made = json.loads(one("flatten", "--all", "--yes", "--json").stdout)
    bitcoin = next(row for row in made["results"] if row["symbol"] == "BTC-USD")
    assert {key: bitcoin[key] for key in ("decision_price", "proceeds", "realised", "fee", "slippage", "currency")} == {
        "decision_price": "99.9",
        "proceeds": "49.95",
        "realised": "0.95",
        "fee": "0.04995",
        "slippage": "0",
        "currency": "USD",
    }
    assert (bitcoin["reason"], bool(bitcoin["text"])) == ("flatten", True)
    (total,) = made["costs"]
    assert (total["owner"], total["closes"], total["proceeds"], total["realised"]) == ("user_123", 3, "70.07", "2.83")
    (line,) = [text for text in one("journal", "--kind", "closing_ended").stdout.splitlines() if "BTC-USD" in text]
    assert line.endswith("decision_price=99.9 proceeds=49.95 realised=0.95 fee=0.04995 slippage=0")
    assert "reason=flatten" in line


def test_what_a_close_did_not_earn_or_cost_is_unknown_and_not_nothing(setup: Callable[..., Call]) -> None:
    book = {**BOOK, "positions": [{"symbol": "BTC-USD", "side": "long", "quantity": "0.5"}], "orders": []}
    one = setup(account("coinbase", book='"book.json"'), book=book)
    made = one("flatten", "--all", "--yes", "--json")
    (row,), (total,) = json.loads(made.stdout)["results"], json.loads(made.stdout)["costs"]
    assert (row["realised"], row["proceeds"], total["realised"], total["unknown"]) == (
        *(None, "49.95", None),
        {"realised": 1},
    )
    assert "realised=unknown" in one("journal", "--kind", "closing_ended").stdout


def test_the_audit_trail_says_who_confirmed_and_with_which_command(one: Call) -> None:
    one("flatten", "--symbol", "BTC-USD", "--yes")
    (approved,) = json.loads(one("journal", "--kind", "plan_approved", "--json").stdout)["entries"]
    who = approved["approver"]
    assert approved["by"].endswith(f"{who['user']}@{who['host']} (--yes)")
    assert who["command"].endswith("flatten --symbol BTC-USD --yes")
    line = one("journal", "--kind", "plan_approved").stdout
    assert f"by={approved['by']}" in line
    assert "flatten --symbol BTC-USD --yes" in line


def test_by_default_a_position_with_open_orders_is_skipped_and_that_is_no_failure(one: Call) -> None:
    done = one("cleanup", "--max-positions", "1", "--yes", "--json")
    made = json.loads(done.stdout)
    assert done.exit_code == 0
    outcomes = {row["symbol"]: row["outcome"] for row in made["results"]}
    assert outcomes == {"SHIB-USD": "closed", "ETH-USD": "skipped"}
    assert made["verified"]["final"] == 2


def test_open_orders_are_cancelled_where_the_condition_says_so(one: Call) -> None:
    made = json.loads(
        one("cleanup", "--max-positions", "1", "--cancel-if", "rank>max_positions", "--yes", "--json").stdout
    )
    kinds = {(row["kind"], row["symbol"]): row["outcome"] for row in made["results"]}
    assert kinds[("cancel_order", "ETH-USD")] == "cancelled"
    assert kinds[("close", "ETH-USD")] == "closed"


def test_a_symbol_selects_one_position_only(one: Call) -> None:
    made = json.loads(one("flatten", "--symbol", "BTC-USD", "--yes", "--json").stdout)
    assert {row["symbol"] for row in made["verified"]["positions"]} == {"ETH-USD", "SHIB-USD"}


def test_an_unreadable_account_blocks_nobody_and_the_run_is_partial(setup: Callable[..., Call]) -> None:
    call = setup(
        account("coinbase", book='"book.json"'),
        account("kraken", "user_456", book='"book.json"', faults="{ read_fails = 1.0 }"),
    )
    seen = call("status", "--json")
    assert seen.exit_code == 0
    states = {row["id"]: row["state"] for row in json.loads(seen.stdout)["accounts"]}
    assert states["user_456/kraken"] == "down"
    done = call("flatten", "--all", "--yes", "--json")
    made = json.loads(done.stdout)
    assert (done.exit_code, made["complete"], list(made["unreadable"])) == (1, False, ["user_456/kraken"])
    assert all(row["outcome"] in ("closed", "cancelled") for row in made["results"])


@pytest.mark.parametrize("args", [["status"], ["cleanup", "--dry-run"], ["flatten", "--all", "--yes"], ["cleanup"]])
def test_with_every_account_unreadable_the_exit_code_is_4(setup: Callable[..., Call], args: list[str]) -> None:
    call = setup(account("coinbase", book='"book.json"', faults="{ read_fails = 1.0 }"))
    result = call(*args)
    assert result.exit_code == 4
    assert "user_123/coinbase" in result.stderr


def test_a_venue_that_refuses_every_way_leaves_it_stuck_and_exit_code_1(setup: Callable[..., Call]) -> None:
    refused = "reject_ioc = 1.0, reject_gtc = 1.0, reject_fok = 1.0"
    refused += ", reject_limit = 1.0, reject_close_call = 1.0, reject_direct = 1.0"
    call = setup(account("coinbase", book='"book.json"', faults=f"{{ {refused} }}"))
    result = call("flatten", "--symbol", "BTC-USD", "--yes")
    assert result.exit_code == 1
    assert "STUCK" in result.stdout
    assert "Something remained: BTC-USD" in result.stdout


def test_59_positions_become_8(setup: Callable[..., Call]) -> None:
    symbols = [f"C{n:02}-USD" for n in range(59)]
    book = {
        "quotes": {symbol: {"bid": "1", "ask": "1", "last": "1"} for symbol in symbols},
        "positions": [
            {"symbol": symbol, "side": "long", "quantity": "0.5" if n < 45 else str(n), "entry": "1"}
            for n, symbol in enumerate(symbols)
        ],
    }
    call = setup(account("coinbase", book='"book.json"'), book=book)
    done = call("cleanup", "--yes", "--json")
    made = json.loads(done.stdout)
    totals = {"initial": 59, "dust": 45, "cap_excess": 6, "final": 8, "reduction": 51}
    assert made["totals"].items() >= totals.items()
    assert (done.exit_code, made["verified"]["final"]) == (0, 8)
    assert sorted(row["symbol"] for row in made["verified"]["positions"]) == symbols[-8:]


def test_while_another_engine_runs_one_can_look_but_not_touch(one: Call, tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "data")
    directory.prepare()
    with directory.lock():
        assert one("status").exit_code == 0
        assert one("flatten", "--all", "--dry-run").exit_code == 0
        for args in (["flatten", "--all", "--yes"], ["run"], ["paper", "reset", "--yes"]):
            result = one(*args)
            assert (result.exit_code, result.stdout) == (5, "")
            assert "pid" in result.stderr


def test_no_account_is_nothing_to_do(setup: Callable[..., Call]) -> None:
    call = setup()
    assert call("status").exit_code == 0
    assert call("cleanup", "--yes").exit_code == 0
    assert call("check").exit_code == 2
    assert call("run").exit_code == 2


def test_the_journal_tells_what_was_done(one: Call) -> None:
    one("flatten", "--symbol", "BTC-USD", "--yes")
    entries = json.loads(one("journal", "--json").stdout)["entries"]
    kinds = [entry["kind"] for entry in entries]
    assert kinds.index("plan_approved") < kinds.index("intent_written") < kinds.index("closing_ended")
    assert all(set(entry) >= {"seq", "at", "kind", "account", "symbol", "plan"} for entry in entries)
    ended = json.loads(one("journal", "--json", "--kind", "closing_ended", "--since", "1h").stdout)["entries"]
    assert [entry["symbol"] for entry in ended] == ["BTC-USD"]
    assert json.loads(one("journal", "--json", "--since", "2100-01-01T00:00:00Z").stdout)["entries"] == []


def test_a_reset_lets_paper_accounts_begin_again(one: Call) -> None:
    one("flatten", "--all", "--yes")
    assert json.loads(one("status", "--json").stdout)["positions"] == []
    assert one("paper", "reset").exit_code == 3
    assert json.loads(one("status", "--json").stdout)["positions"] == []
    assert one("paper", "reset", "--account", "user_123/coinbase", "--yes").exit_code == 0
    assert len(json.loads(one("status", "--json").stdout)["positions"]) == 3
    assert one("paper", "reset", "--account", "user_123/x", "--yes").exit_code == 2


def test_a_reset_forgets_the_stops_of_its_accounts_and_no_other(setup: Callable[..., Call], tmp_path: Path) -> None:
    held = [{"symbol": "BTC-USD", "side": "long", "quantity": "1", "entry": "90"}]
    call = setup(
        *(account(name, name, book='"book.json"') for name in ("ann", "bob")), book={**BOOK, "positions": held}
    )

    async def believe() -> None:
        """Write a tight stop and an own stop for both accounts, as an earlier position left them."""
        clock = SystemClock()
        journal = await Journal.open(tmp_path / "data" / "journal.db", clock, system_ids())
        for where in ("ann/ann", "bob/bob"):
            key = PositionKey(where, "BTC-USD")
            await journal.append(Opened("p", key, Side.LONG, D(1), D(90), D(1), D(1), D("0.001"), ""))
            levels = SavedExit(D(90), D(1), D(90), None, D("99.99"), D(200), D(100), (1.0, 1.0), None)
            kept = ExitSnapshot(key, Side.LONG, D(1), levels)
            journal.keep(StateRows(guards=exit_states.states_of({key: kept})))
        await journal.aclose()

    def stops() -> list[str]:
        return [row["stop"] for row in json.loads(call("status", "--json").stdout)["positions"]]

    assert call("cleanup", "--max-positions", "100", "--yes").exit_code == 0
    asyncio.run(believe())
    assert stops() == ["99.99", "99.99"]
    assert call("paper", "reset", "--account", "ann/ann", "--yes").exit_code == 0
    assert stops() == ["99", "99.99"]
    closed = json.loads(call("journal", "--json", "--kind", "position_closed").stdout)["entries"]
    assert [(entry["account"], entry["why"]) for entry in closed] == [("ann/ann", "the paper account was started anew")]


def test_a_reset_ends_an_interrupted_plan_which_would_close_the_new_positions(one: Call, tmp_path: Path) -> None:
    assert one("cleanup", "--max-positions", "100", "--yes").exit_code == 0

    async def interrupt() -> None:
        """Approve the close of everything, and die."""
        clock = SystemClock()
        journal = await Journal.open(tmp_path / "data" / "journal.db", clock, system_ids())
        keys = [PositionKey("user_123/coinbase", symbol) for symbol in ("BTC-USD", "ETH-USD")]
        closes = (close_action(key=key, quantity="0.5", owner="user_123") for key in keys)
        await journal.append(PlanApproved(plan(*closes, id_="p1"), "person", clock.now()))
        await journal.aclose()

    asyncio.run(interrupt())
    assert len(json.loads(one("status", "--json").stdout)["closings"]) == 2
    assert one("paper", "reset", "--yes").exit_code == 0
    assert json.loads(one("status", "--json").stdout)["closings"] == []
    assert one("flatten", "--symbol", "SHIB-USD", "--yes").exit_code == 0
    assert [row["symbol"] for row in json.loads(one("status", "--json").stdout)["positions"]] == ["BTC-USD", "ETH-USD"]


def test_check_looks_at_the_journal_and_leaves_it_alone(one: Call, tmp_path: Path) -> None:
    made = json.loads(one("check", "--json").stdout)["journal"]
    assert (made["ok"], "none yet" in made["text"]) == (True, True)
    assert one("flatten", "--symbol", "BTC-USD", "--yes").exit_code == 0
    assert "journal.db can be read and written" in one("check").stdout
    (tmp_path / "data" / "journal.db").write_bytes(b"no database at all, but long enough to be read as such" * 9)
    before = files(tmp_path)
    result = one("check")
    assert result.exit_code == 1
    assert "is damaged" in " ".join(result.stdout.split())
    assert files(tmp_path) == before


def test_the_example_of_a_book_makes_an_account_with_prices(setup: Callable[..., Call]) -> None:
    printed = setup()("paper", "example")
    assert printed.exit_code == 0
    call = setup(account("drill", book='"book.json"'), book=json.loads(printed.stdout))
    assert len(rows := json.loads(call("status", "--json").stdout)["positions"]) == 3
    assert all(row["mark"] for row in rows)
    assert call("check").exit_code == 0


def test_check_names_a_position_without_a_price(setup: Callable[..., Call]) -> None:
    call = setup(
        account("drill", book='"book.json"'),
        book={"positions": [{"symbol": "BTC-USD", "side": "long", "quantity": "0.5"}]},
    )
    found = call("check")
    assert found.exit_code == 1
    assert "no price for BTC-USD: add a quote to the book" in found.stdout


def test_check_reaches_the_paper_account(one: Call) -> None:
    result = one("check", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["accounts"][0]["reached"] is True


def test_config_shows_each_setting_with_its_origin(one: Call) -> None:
    made = json.loads(one("config", "--json").stdout)
    assert made["settings"]["cleanup.dust_usd"] == {"value": "1.00", "source": "default", "where": ""}
    assert made["settings"]["engine.data_dir"]["source"] == "file"
    assert "default" in one("config").stdout


def test_init_writes_a_private_configuration_that_loads_and_never_overwrites_one(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "config.toml"
    result = CliRunner().invoke(cli, ["init", "--config", str(path)], obj=SystemEnvironment({}))
    assert result.exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    written = path.read_text()
    assert CliRunner().invoke(cli, ["config", "--config", str(path)], obj=SystemEnvironment({})).exit_code == 0
    again = CliRunner().invoke(cli, ["init", "--config", str(path)], obj=SystemEnvironment({}))
    assert (again.exit_code, path.read_text()) == (2, written)
    assert len(again.stderr.splitlines()) == 1


def test_a_mistake_in_the_configuration_names_file_line_and_key(one: Call, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[cleanup]\nmax_postions = 8\n")
    result = one("status", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["kind"] == "configuration"
    assert "config.toml:2" in result.stderr
    assert "max_positions" in result.stderr
    assert len(result.stderr.splitlines()) == 1


NETWORK = (
    '[[users]]\nid = "user_123"\n[[users.accounts]]\nname = "alpaca"\nbroker = "alpaca"\npaper = true\n'
    'endpoint = "http://127.0.0.1:9"\nstream_endpoint = ""\napi_key = "env:KEY"\nsecret = "env:SECRET"\n'
)  # port 9 refuses: a lock asks no venue


def other_configuration(tmp_path: Path, name: str = "prod.toml") -> Call:
    """A second configuration with the same account and a data directory of its own."""
    (tmp_path / name).write_text(f'[engine]\ndata_dir = "{name}-data"\n{NETWORK}')
    environment = SystemEnvironment({"KEY": "k", "SECRET": "s"})
    return lambda *args: CliRunner().invoke(cli, ["--config", str(tmp_path / name), *args], obj=environment)


@pytest.fixture
def held_account(tmp_path: Path) -> Iterator[Path]:
    """The lock of the account, held as by an engine of the first configuration."""
    assert other_configuration(tmp_path, "config.toml")("reconcile").exit_code == 4
    (lock,) = Path(os.environ["XDG_DATA_HOME"]).glob("flatdeck/accounts/*.lock")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield lock


@pytest.mark.parametrize(
    "args",
    [
        ["flatten", "--all", "--yes"],
        ["cleanup", "--yes"],
        ["cancel-orders", "--all", "--yes"],
        ["reconcile"],
        ["run"],
    ],
)
def test_what_acts_is_refused_while_another_configuration_acts(
    held_account: Path, tmp_path: Path, args: list[str]
) -> None:
    done = other_configuration(tmp_path)(*args)
    assert done.exit_code == 5, done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert str(tmp_path / "config.toml") in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("args", [["status"], ["flatten", "--all", "--dry-run"], ["reconcile", "--dry-run"], ["check"]])
def test_what_looks_takes_no_lock(held_account: Path, tmp_path: Path, args: list[str]) -> None:
    assert other_configuration(tmp_path)(*args).exit_code in (0, 1, 4)
    assert not (tmp_path / "prod.toml-data").exists()


def test_a_renamed_configuration_is_told_where_its_account_was_used_before(tmp_path: Path) -> None:
    before = other_configuration(tmp_path, "config.toml")
    data = tmp_path / "config.toml-data"
    assert f"New data directory {data}: no stops" in before("reconcile").stderr
    assert "New data directory" not in before("reconcile").stderr
    told = other_configuration(tmp_path)("reconcile").stderr
    assert f'set [engine] data_dir = "{data}" to go on' in told
    assert str(tmp_path / "config.toml") in told


def test_a_configuration_under_another_path_is_the_same_configuration(one: Call, tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to(tmp_path / "config.toml")
    real, linked = (load(tmp_path / name, {}).settings for name in ("config.toml", "link.toml"))
    assert (linked.engine.file, settings_digest(linked)) == (real.engine.file, settings_digest(real))

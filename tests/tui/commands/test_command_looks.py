"""The commands that look: status, check, config; their texts and their exit codes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from core.errors import ConfigError, MissingCredentials, Refusal, Refused, Unreachable
from core.exits.view import NO_LEVERAGE, ExitView
from core.journal.data_dir import Holder
from core.link.messages import AccountRow, ClosingRow, OwnerRow, PlanRow
from core.plans.request import PlanRequest
from core.ports import Capabilities, Check
from core.settings import ProtectSettings, Settings
from tests.tui.command_world import DOWN, KEY, NOW, POSITION, SNAPSHOT, D, FakeWorld, call, document
from tests.tui.fakes import closing, guard
from tui.output.plans import status_text


class Venue:
    """An account whose checks are given."""

    def __init__(self, *checks: Check, refuses: Exception | None = None) -> None:
        self.checks, self.refuses, self.closed = list(checks), refuses, False
        self.capabilities = Capabilities(frozenset())

    async def connect(self) -> None:
        if self.refuses:
            raise self.refuses

    async def check(self) -> list[Check]:
        return self.checks

    async def aclose(self) -> None:
        self.closed = True


def _checked(*venues: Any) -> FakeWorld:
    return FakeWorld(brokers=dict(zip(("platform/coinbase", "user_123/coinbase"), venues, strict=True)))


def test_status_tells_accounts_owners_and_positions_with_their_age() -> None:
    result = call(FakeWorld(), "status")
    assert result.exit_code == 0
    assert "9/8" in result.stdout
    assert "1 over the cap" in result.stdout
    assert "$50.50" in result.stdout
    assert "[CAP]" in result.stdout
    assert "<5s" in result.stdout


def test_status_in_json_is_one_document_wherever_the_option_stands() -> None:
    before, after = call(FakeWorld(), "--json", "status"), call(FakeWorld(), "status", "--json")
    assert document(before) == document(after)
    assert document(after)["positions"][0]["symbol"] == "BTC/USD"


@pytest.mark.parametrize(
    ("armed", "said"), [(True, ", ARMED  "), (False, ", not armed  "), (None, "armed or not is seen in its console")]
)
def test_status_tells_of_the_engine_that_runs_and_not_of_its_own(armed: bool | None, said: str) -> None:
    world = FakeWorld(holder=Holder(4711, "service" if armed is not None else "one-shot", armed))
    engine = document(call(world, "status", "--json"))["engine"]
    assert engine.items() >= {"running": True, "mode": world.holder.mode, "armed": armed, "pid": 4711}.items()
    text = call(world, "status").stdout.splitlines()[0]
    assert f"engine {world.holder.mode} (pid 4711)" in text
    assert said in text


def test_status_says_that_nothing_is_watched_where_no_engine_runs_armed_or_not() -> None:
    armed = structs.replace(SNAPSHOT, engine=structs.replace(SNAPSHOT.engine, armed=True))
    for world, said in ((FakeWorld(), "not armed"), (FakeWorld(snapshot=armed), "ARMED once one runs")):
        first = call(world, "status").stdout.splitlines()[0]
        assert f"no engine is running: no stop is watched, {said}  " in first


def test_status_only_looks() -> None:
    world = FakeWorld()
    call(world, "status")
    assert world.engines == [False]


def test_status_with_some_accounts_down_is_a_success_and_says_so() -> None:
    down = AccountRow("platform/coinbase", "platform", "paper", "down", error="no such host")
    world = FakeWorld(snapshot=structs.replace(SNAPSHOT, accounts=(*SNAPSHOT.accounts, down)))
    result = call(world, "status")
    assert result.exit_code == 0
    assert "DOWN" in result.stdout
    assert "no such host" in result.stdout


def test_status_with_every_account_down_is_exit_code_4() -> None:
    rows = tuple(AccountRow(name, name.split("/")[0], "paper", "down", error=why) for name, why in DOWN.items())
    world = FakeWorld(reached=0, snapshot=structs.replace(SNAPSHOT, accounts=rows, positions=()))
    result = call(world, "status", "--json")
    assert result.exit_code == 4
    assert document(result)["accounts"][0]["error"] == "no such host"
    assert "No account could be reached" in result.stderr


def test_status_without_any_account_is_a_success() -> None:
    world = FakeWorld(settings=Settings(), reached=0, snapshot=structs.replace(SNAPSHOT, accounts=(), owners=()))
    assert call(world, "status").exit_code == 0


@pytest.mark.parametrize("evil", ["\x1b]52;c;AAAA\x07", "\u202egnp", "a\u200bb", "x\ny", "\x9b2J"])
def test_what_a_venue_calls_a_symbol_cannot_drive_the_terminal(evil: str) -> None:
    row = structs.replace(POSITION, key=structs.replace(KEY, symbol=evil), reason=evil)
    result = call(FakeWorld(snapshot=structs.replace(SNAPSHOT, positions=(row,))), "status")
    assert evil not in result.stdout
    assert all(c.isprintable() or c == "\n" for c in result.stdout)
    assert len(result.stdout.splitlines()) == len(call(FakeWorld(), "status").stdout.splitlines())


def test_without_a_configuration_the_way_out_is_named() -> None:
    result = call(FakeWorld(settings=None), "status", "--json")
    assert (result.exit_code, "error" in document(result)) == (2, True)
    assert "flatdeck demo" in result.stderr
    assert "flatdeck init" in result.stderr


def test_an_error_is_one_sentence_and_with_v_it_has_a_traceback() -> None:
    class Broken(FakeWorld):
        def load(self, path: str | None) -> Any:
            raise RuntimeError("a mistake")

    plain, verbose = call(Broken(), "status"), call(Broken(), "status", "-v")
    assert (plain.exit_code, len(plain.stderr.splitlines())) == (1, 1)
    assert "Traceback" not in plain.stderr
    assert "-v" in plain.stderr
    assert "Traceback" in verbose.stderr


def test_check_says_ok_wrong_and_unknown() -> None:
    venue = Venue(Check("credentials", True, "accepted"), Check("clock", None, "cannot be told"))
    world = _checked(venue, Venue())
    result = call(world, "check")
    assert result.exit_code == 0
    assert "unknown" in result.stdout
    assert venue.closed


def test_check_with_something_wrong_is_exit_code_1() -> None:
    world = _checked(Venue(Check("permissions", False, "the key may withdraw")), Venue())
    result = call(world, "check", "--json")
    assert result.exit_code == 1
    assert document(result)["accounts"][0]["checks"][0]["ok"] is False


@pytest.mark.parametrize(
    ("enabled", "has", "found"), [(True, False, [False]), (True, True, [True]), (False, False, [])]
)
def test_check_says_where_no_stop_can_rest_at_the_venue(enabled: bool, has: bool, found: list[bool]) -> None:
    venues = Venue(), Venue()
    for venue in venues:
        venue.capabilities = Capabilities(frozenset(), protective_stops=has)
    world = _checked(*venues)
    assert world.settings is not None
    world.settings = structs.replace(world.settings, protect=ProtectSettings(enabled=enabled))
    result = call(world, "check", "--json")
    assert result.exit_code == (1 if False in found else 0)
    for row in document(result)["accounts"]:
        assert [c["ok"] for c in row["checks"] if c["name"] == "protective stops"] == found


@pytest.mark.parametrize("error", [Unreachable("no such host"), ConfigError("the key is not set")])
def test_check_isolates_an_account_that_cannot_be_reached(error: Exception) -> None:
    result = call(_checked(Venue(refuses=error), Venue(Check("credentials", True, "accepted"))), "check")
    assert result.exit_code == 1
    assert str(error) in result.stdout
    assert "accepted" in result.stdout


@pytest.mark.parametrize(
    "error",
    [MissingCredentials("api_key is missing"), Venue(refuses=Refused(Refusal.AUTH, "KEY is not set"))],
)
def test_keys_that_are_missing_fail_the_check_of_the_credentials(error: Any) -> None:
    result = call(_checked(error, Venue(Check("credentials", True, "accepted"))), "check")
    assert result.exit_code == 1
    wrong = [line for line in result.stdout.splitlines() if "WRONG" in line]
    assert len(wrong) == 1
    assert "credentials" in wrong[0]
    row = document(call(_checked(error, error), "check", "--json"))["accounts"][0]
    assert (row["reached"], [c["ok"] for c in row["checks"]]) == (False, [False])


def test_check_that_reaches_nobody_is_exit_code_4() -> None:
    world = _checked(ConfigError("the key is not set"), Venue(refuses=Unreachable("no such host")))
    assert call(world, "check").exit_code == 4


# ------------------------------------------------------------------------------------------------- status --check

WELL = structs.replace(SNAPSHOT, owners=(structs.replace(SNAPSHOT.owners[0], counted=8),))
ENGINE = Holder(4711, "service", False)


def waits(symbol: str, text: str, seconds: int, cause: str = "exit") -> PlanRow:
    key = structs.replace(KEY, symbol=symbol)
    request = PlanRequest(cause, keys=(key,) if cause == "exit" else ())
    return PlanRow(f"p{symbol}", cause, "waiting", 1, 0, NOW - timedelta(seconds=seconds), request, text)


EMERGENCY = waits("BTC/USD", "emergency_stop_liquidation_risk (price 60000, roi -125.00 %)", 8)


DOWN_ROW = AccountRow("user_123/kraken", "user_123", "ccxt:kraken", "down", error="no such host")


def checked(held: Any = WELL, holder: Holder | None = ENGINE) -> tuple[int, str, list[str]]:
    world = FakeWorld(snapshot=held, holder=holder)
    result = call(world, "status", "--check", "--json")
    return result.exit_code, result.stderr, document(result)["problems"]


def test_a_status_that_is_well_passes_its_check() -> None:
    assert checked() == (0, "", [])


@pytest.mark.parametrize(
    ("held", "holder", "said"),
    [
        (WELL, None, "no engine watches: 1 position is held and no stop is watched"),
        (WELL, Holder(7, "one-shot", None), "no engine watches"),
        (SNAPSHOT, ENGINE, "user_123 has 9 positions, 1 over the cap of 8"),
        (structs.replace(WELL, accounts=(*WELL.accounts, DOWN_ROW)), ENGINE, "user_123/kraken is down: no such host"),
        (structs.replace(WELL, positions=(structs.replace(POSITION, mark=D("98.98")),)), ENGINE, "beyond its stop at"),
        (
            structs.replace(
                WELL, positions=(structs.replace(POSITION, side="short", guard=ExitView(stop=D(100)), mark=D(101)),)
            ),
            ENGINE,
            "BTC/USD on user_123/coinbase is at 101, beyond its stop at 100",
        ),
        (
            structs.replace(WELL, positions=(structs.replace(POSITION, mark=None, reason="no price"),)),
            ENGINE,
            "no price",
        ),
        (structs.replace(WELL, engine=structs.replace(WELL.engine, alarm="look")), ENGINE, "look"),
        (WELL, Holder(4711, "service", False, "ffffffffffff"), "the engine uses the old one"),
        (structs.replace(WELL, plans=(EMERGENCY,)), ENGINE, "an exit waits for a person: BTC/USD user_123/coinbase"),
        (structs.replace(WELL, plans=(waits("", "", 9, "legacy"),)), ENGINE, "1 plan waits for you: legacy, 1 close"),
    ],
)
def test_what_must_be_looked_at_is_said_and_ends_with_1(held: Any, holder: Holder | None, said: str) -> None:
    code, stderr, found = checked(held, holder)
    assert (code, len(found)) == (1, 1)
    assert said in found[0]
    assert found[0] in stderr
    assert call(FakeWorld(snapshot=held, holder=holder), "status").exit_code == 0, "without --check it only tells"


def test_a_status_begins_with_what_waits_for_a_person() -> None:
    row = structs.replace(POSITION, flags=("waiting",))
    world = FakeWorld(snapshot=structs.replace(WELL, positions=(row,), plans=(EMERGENCY,)), holder=ENGINE)
    first, second, *_ = call(world, "status").stdout.splitlines()
    assert first == "1 exit waits for you: BTC/USD user_123/coinbase emergency stop liquidation risk, since 8s"
    assert second.startswith("flatdeck  engine service (pid 4711)")
    assert "[WAITING]" in call(world, "status").stdout
    made = document(call(world, "status", "--json"))
    assert made["positions"][0]["flags"] == ["waiting"]
    (waiting,) = made["waiting"]
    assert waiting == {
        "plan": EMERGENCY.id,
        "cause": "exit",
        "account": KEY.account,
        "symbol": "BTC/USD",
        "leg": "net",
        "reason": "emergency_stop_liquidation_risk",
        "text": EMERGENCY.text,
        "closes": 1,
        "cancels": 0,
        "since": "2026-03-01T02:13:59.000Z",
    }


def test_many_exits_that_wait_are_one_line_and_other_plans_have_their_own() -> None:
    plans = (waits("", "", 70, "cleanup"), *(waits(f"C{n}", "trailing_stop (price 1)", 5 - n) for n in range(5)))
    text = call(FakeWorld(snapshot=structs.replace(WELL, plans=plans), holder=ENGINE), "status").stdout.splitlines()
    where = "user_123/coinbase trailing stop, since"
    assert text[0] == f"5 exits wait for you: C0 {where} 5s; C1 {where} 4s; C2 {where} 3s; and 2 more"
    assert text[1] == "1 plan waits for you: cleanup, 1 close, since 1m10s"


BARE = structs.replace(POSITION, flags=(), guard=guard(note=NO_LEVERAGE))


def rows(*positions: Any, **fields: Any) -> list[str]:
    """The lines of a status about these positions."""
    return call(FakeWorld(snapshot=structs.replace(WELL, positions=positions, **fields)), "status").stdout.splitlines()


def named(symbol: str, stop: Decimal | None = None, note: str = NO_LEVERAGE, **fields: Any) -> Any:
    watched = guard(stop=stop, note=note)
    return structs.replace(BARE, key=structs.replace(KEY, symbol=symbol), guard=watched, **fields)


def test_an_unknown_leverage_is_noted_once_below_the_positions() -> None:
    held = [*(named(f"C{n}") for n in range(5)), named("D", reason="Dust position ($0.40)")]
    lines = rows(*held)
    (note,) = [line for line in lines if NO_LEVERAGE in line]
    where = "user_123/coinbase"
    assert note == f"  {NO_LEVERAGE}: C0 {where}, C1 {where}, C2 {where} and 3 more"
    assert any(line.endswith("Dust position ($0.40)") for line in lines)
    assert not any(NO_LEVERAGE in line for line in rows(named("C", note="")))
    made = call(FakeWorld(snapshot=structs.replace(WELL, positions=(BARE,))), "status", "--json")
    assert document(made)["positions"][0]["note"] == NO_LEVERAGE


def test_what_does_not_count_against_the_cap_stands_beside_it() -> None:
    held = [named("A")]
    owners = (OwnerRow("user_123", 4, 1, True, dust=3, unsellable=1),)
    assert any("1/4 + 3 dust + 1 unsellable" in line for line in rows(*held, owners=owners))
    made = call(FakeWorld(snapshot=structs.replace(WELL, positions=tuple(held), owners=owners)), "status", "--json")
    (owner,) = document(made)["owners"]
    assert owner == {"id": "user_123", "cap": 4, "counted": 1, "dust": 3, "unsellable": 1, "complete": True}
    bare = (OwnerRow("user_123", 4, 1, True),)
    assert any(line.split()[:2] == ["user_123", "1/4"] and "+" not in line for line in rows(*held, owners=bare))


def test_a_position_has_its_age_and_its_distance_to_the_stop() -> None:
    opened = NOW - timedelta(hours=2, minutes=4)
    long = named("L", mark=D(100), stop=D("99.5"), opened_at=opened)
    short = named("S", side="short", mark=D(100), stop=D("100.25"))
    beyond = named("B", side="short", mark=D(100), stop=D(99))
    lines = rows(long, short)
    assert any("0.50%" in line and "2h04m" in line for line in lines if line.lstrip().startswith("L "))
    assert "  nearest stop: S user_123/coinbase, 0.25% away" in lines
    assert "  beyond its stop: B user_123/coinbase, by 1.00%" in rows(long, beyond)
    assert not any("nearest stop" in line for line in rows(named("N"), named("M", stop=D(1), mark=None)))
    made = document(
        call(FakeWorld(snapshot=structs.replace(WELL, positions=(long, short, beyond))), "status", "--json")
    )
    told = {row["symbol"]: (row["held_seconds"], row["stop_distance_pct"]) for row in made["positions"]}
    assert told == {"L": (7440, "0.50"), "S": (None, "0.25"), "B": (None, "-1.00")}
    assert made["nearest_stop"] == {
        "account": KEY.account,
        "symbol": "B",
        "leg": "net",
        "stop": "99",
        "stop_distance_pct": "-1.00",
    }
    assert (
        document(call(FakeWorld(snapshot=structs.replace(WELL, positions=())), "status", "--json"))["nearest_stop"]
        is None
    )


def test_the_next_cleanup_is_told_where_the_engine_tells_it() -> None:
    assert not any("next cleanup" in line for line in rows(BARE))
    engine = structs.replace(WELL.engine, next_cleanup=NOW + timedelta(minutes=47))
    assert "  next cleanup in 47m00s" in rows(BARE, engine=engine)
    made = call(FakeWorld(snapshot=structs.replace(WELL, engine=engine)), "status", "--json")
    assert document(made)["engine"]["next_cleanup"] == "2026-03-01T03:01:07.000Z"


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_narrow_terminal_loses_columns_and_no_flags(width: int) -> None:
    row = structs.replace(POSITION, flags=("dust", "waiting"))
    lines = status_text(structs.replace(WELL, positions=(row,)), None, width=width).splitlines()
    head, body = (next(line for line in lines if line.lstrip().startswith(word)) for word in ("symbol", "BTC/USD"))
    assert max(len(head), len(body)) <= width
    assert "[DUST] [WAITING]" in body
    assert ("held" in head) is (width == 200)


def test_a_plan_that_runs_waits_for_nobody() -> None:
    held = structs.replace(WELL, plans=(structs.replace(EMERGENCY, state="running"),))
    assert document(call(FakeWorld(snapshot=held, holder=ENGINE), "status", "--json"))["waiting"] == []


DUE = structs.replace(POSITION, guard=guard(due="emergency_stop_severe_loss", price=D("101")))


@pytest.mark.parametrize(
    ("flags", "closings", "said"),
    [((), (), 1), (("waiting",), (), 0), ((), (closing("BTC/USD", "user_123/coinbase", outcome="closed"),), 0)],
)
def test_an_exit_that_is_due_is_told_unless_it_waits_or_closes(
    flags: tuple[str, ...], closings: tuple[ClosingRow, ...], said: int
) -> None:
    row = structs.replace(DUE, flags=flags)
    found = checked(structs.replace(WELL, positions=(row,), closings=closings))[2]
    assert len([text for text in found if "is due to leave at 101 (emergency_stop_severe_loss)" in text]) == said


def test_a_status_without_an_engine_does_not_claim_one() -> None:
    made = document(call(FakeWorld(), "status", "--json"))
    assert (made["engine"]["running"], made["accounts"][0]["watched"]) == (False, False)
    made = document(call(FakeWorld(holder=ENGINE), "status", "--json"))
    assert (made["engine"]["running"], made["engine"]["read_only"], made["accounts"][0]["watched"]) == (
        True,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("args", "symbols"),
    [
        (["--user", "user_123"], ["BTC/USD"]),
        (["--user", "platform"], []),
        (["--account", "user_123/coinbase", "--symbol", "BTC-USD"], ["BTC/USD"]),
    ],
)
def test_status_can_be_narrowed(args: list[str], symbols: list[str]) -> None:
    made = document(call(FakeWorld(), "status", "--json", *args))
    assert [row["symbol"] for row in made["positions"]] == symbols


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--user", "user_12"], "did you mean user_123?"),
        (["--account", "user_123/coinbas"], "did you mean user_123/coinbase?"),
        (["--symbol", "btc-usd"], "did you mean BTC/USD (user_123/coinbase)?"),
    ],
)
def test_status_refuses_a_name_that_nobody_has(args: list[str], said: str) -> None:
    result = call(FakeWorld(), "status", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_symbol_may_be_held_where_an_account_could_not_be_read() -> None:
    down = structs.replace(SNAPSHOT.accounts[0], state="down")
    world = FakeWorld(snapshot=structs.replace(SNAPSHOT, accounts=(down,)))
    assert call(world, "status", "--symbol", "XRP-USD").exit_code == 4

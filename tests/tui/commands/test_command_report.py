"""``report``: one plan from the journal alone, done, interrupted or unknown, and the list of the newest plans."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from core.model import Order, OrderRequest, OrderSide, OrderStatus, Tier
from core.plans.approver import Approver
from core.plans.money import CloseMoney
from core.records import (
    CancelAsked,
    ClosingEnded,
    Entry,
    IntentAnswered,
    IntentWritten,
    PlanApproved,
    PlanEnded,
    Record,
)
from tests.tui.command_world import CLOSE, KEY, NOW, PLAN, RESULT, FakeWorld, call, document
from tui.main import SystemEnvironment, cli

D = Decimal
JANE = Approver("jane", "desk1", "asked", terminal="/dev/pts/3", ssh_client="203.0.113.9", command="flatdeck cleanup")
REQUEST = OrderRequest(KEY.account, KEY.symbol, OrderSide.SELL, D("0.5"), "fd1")
SOLD = Order(
    *(KEY.account, KEY.symbol, "o1", OrderSide.SELL, D("0.5"), D("0.5"), OrderStatus.FILLED),
    average_price=D(101),
    fee=D("0.05"),
)
MONEY = CloseMoney("USD", D("101.5"), D("50.5"), D("0.5"), D("0.05"), D("0.25"))
BEGUN: tuple[Record, ...] = (
    PlanApproved(PLAN, JANE.text, NOW, JANE),
    CancelAsked(PLAN.id, KEY, Order(KEY.account, KEY.symbol, "o9", OrderSide.SELL, D("0.5"))),
    IntentWritten(PLAN.id, KEY, "fd1", 0, 1, Tier.MARKET_IOC, REQUEST, D("0.5"), NOW),
)
ENDED = (
    IntentAnswered(PLAN.id, KEY, "fd1", "terminal", SOLD),
    ClosingEnded(PLAN.id, structs.replace(RESULT, money=MONEY)),
    PlanEnded(PLAN.id, success=True, final=(PLAN.owners[0],)),
)


def world(*records: Record) -> FakeWorld:
    return FakeWorld(found=tuple(Entry(n, NOW + timedelta(seconds=n), r) for n, r in enumerate(records, 1)))


def test_a_plan_is_told_from_its_trigger_to_its_end() -> None:
    made = document(call(world(*BEGUN, *ENDED), "report", PLAN.id, "--json"))
    assert (made["state"], made["remained"]) == ("done", [])
    assert made["trigger"]["reasons"] == [CLOSE.text]
    assert made["shown"]["actions"][0]["symbol"] == KEY.symbol
    assert (made["approved"]["by"], made["approved"]["approver"]["ssh_client"]) == (JANE.text, "203.0.113.9")
    (action,) = made["actions"]
    assert [cancel["order_id"] for cancel in action["cancels"]] == ["o9"]
    (request,) = action["requests"]
    assert (request["tier"], request["quantity"], request["price"]) == ("market_ioc", "0.5", None)
    (answer,) = request["answers"]
    assert (answer["outcome"], answer["average_price"], answer["fee"]) == ("terminal", "101", "0.05")
    assert {name: action["result"][name] for name in ("decision_price", "realised", "fee", "slippage")} == {
        "decision_price": "101.5",
        "realised": "0.5",
        "fee": "0.05",
        "slippage": "0.25",
    }
    assert made["costs"][0]["slippage"] == "0.25"
    assert made["ended"]["success"] is True


def test_the_text_names_who_confirmed_the_requests_the_money_and_the_end() -> None:
    text = call(world(*BEGUN, *ENDED), "report", PLAN.id).stdout
    for said in (
        "by jane@desk1 (asked), /dev/pts/3, from 203.0.113.9, flatdeck cleanup",
        "cancel asked: order o9, sell 0.5",
        "market_ioc round 1: sell 0.5 at the market (fd1)",
        "terminal filled: order o1, filled 0.5 at 101, fee 0.05",
        "decision price 101.5, proceeds 50.5, realised 0.5, fee 0.05, slippage 0.25 USD",
        "Remained  nothing",
    ):
        assert said in text


def test_an_interrupted_plan_says_what_has_no_answer_and_no_end() -> None:
    found = world(*BEGUN)
    made = document(call(found, "report", PLAN.id, "--json"))
    assert (made["state"], made["ended"]) == ("no end recorded", None)
    assert [one["symbol"] for one in made["remained"]] == [KEY.symbol]
    text = call(found, "report", PLAN.id).stdout
    assert "no answer is recorded" in text
    assert "No end is in the journal" in text


def test_what_nobody_told_is_unknown_and_not_nothing() -> None:
    bare = (*ENDED[:1], ClosingEnded(PLAN.id, RESULT), *ENDED[2:])
    text = call(world(*BEGUN, *bare), "report", PLAN.id).stdout
    assert "decision price unknown, proceeds unknown, realised unknown, fee unknown, slippage unknown" in text


def test_a_plan_that_was_overruled_by_the_final_read_has_its_last_result() -> None:
    again = ClosingEnded(PLAN.id, structs.replace(RESULT, outcome="stuck", residual=D("0.5"), error="still there"))
    records = (*BEGUN, *ENDED[:2], again, PlanEnded(PLAN.id, success=False, final=()))
    made = document(call(world(*records), "report", PLAN.id, "--json"))
    assert (made["state"], made["remained"][0]["error"]) == ("something remained", "still there")


def test_without_a_plan_the_newest_are_listed_first() -> None:
    later = PlanApproved(structs.replace(PLAN, id="p2later"), "rule:exits", NOW + timedelta(hours=1))
    made = document(call(world(*BEGUN, *ENDED, later), "report", "--json"))
    assert [(row["plan"], row["by"], row["state"]) for row in made["plans"]] == [
        ("p2later", "rule:exits", "no end recorded"),
        (PLAN.id, JANE.text, "done"),
    ]
    assert call(FakeWorld(), "report").stdout == "The journal has no plan.\n"


@pytest.mark.parametrize("start", ["p", "q"])
def test_a_start_that_names_no_plan_or_several_is_a_usage_error(start: str) -> None:
    later = PlanApproved(structs.replace(PLAN, id="p2later"), "rule:exits", NOW)
    assert call(world(*BEGUN, later), "report", start).exit_code == 2


@pytest.fixture
def flatdeck(tmp_path: Path) -> Callable[..., Result]:
    book = {
        "quotes": {"BTC-USD": {"bid": "99.9", "ask": "100.1", "last": "100"}},
        "positions": [{"symbol": "BTC-USD", "side": "short", "quantity": "0.5", "entry": "98"}],
        "instruments": [{"symbol": "BTC-USD", "kind": "perp"}],
    }
    (tmp_path / "book.json").write_text(json.dumps(book))
    user = '[[users]]\nid = "ann"\n[[users.accounts]]\nname = "a"\nbroker = "paper"\n'
    config = f'[engine]\ndata_dir = "data"\n{user}frozen = true\nbook = "book.json"\n'
    (tmp_path / "config.toml").write_text(config)

    def run(*args: str) -> Result:
        return CliRunner().invoke(cli, ["--config", str(tmp_path / "config.toml"), *args], obj=SystemEnvironment({}))

    return run


def test_the_report_of_a_real_flatten_agrees_with_its_result(flatdeck: Callable[..., Result]) -> None:
    done = json.loads(flatdeck("flatten", "--all", "--yes", "--json").stdout)
    made = json.loads(flatdeck("report", done["plan"][:8], "--json").stdout)
    (result,) = done["results"]
    assert made["actions"][0]["result"] == result
    assert (result["realised"], result["slippage"]) == ("-1.05", "0")
    assert (made["costs"], made["state"]) == (done["costs"], "done")
    assert made["actions"][0]["requests"][0]["answers"][-1]["outcome"] == "terminal"

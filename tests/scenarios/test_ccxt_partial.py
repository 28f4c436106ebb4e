"""Accounts with parts that were once never listed, by the real commands: nothing is silently flat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.venues.ccxt import shapes
from tests.venues.ccxt.operators import Operator
from tests.venues.ccxt.shapes import Shape


def held(document: Any) -> dict[str, tuple[str, str, str | None]]:
    return {p["symbol"]: (p["side"], p["quantity"], p["usd_value"]) for p in document["positions"]}


def test_coins_that_are_sold_for_rand_only_are_shown_and_planned_for(tmp_path: Path) -> None:
    with Shape(shapes.luno()) as running:
        desk = Operator(tmp_path, running, "luno", shapes.LOGIN)
        status = desk.document("status")
        assert held(status) == {"BTC/ZAR": ("long", "0.25", None), "SOL/ZAR": ("long", "40", None)}
        assert status["owners"][0]["complete"] is True
        assert "2 positions" in desk.call("check").output
        plan = desk.document("flatten", "--all", "--dry-run")
        assert [(a["kind"], a["symbol"]) for a in plan["actions"]] == [("close", "BTC/ZAR"), ("close", "SOL/ZAR")]


def test_inverse_and_dated_contracts_of_htx_are_shown_and_planned_for(tmp_path: Path) -> None:
    with Shape(shapes.htx()) as running:
        desk = Operator(tmp_path, running, "htx", shapes.LOGIN)
        status = desk.document("status")
        assert {s: row[:2] for s, row in held(status).items()} == {
            "BTC/USD:BTC": ("long", "500"),
            "BTC/USD:BTC-270326": ("short", "3"),
        }
        assert (status["accounts"][0]["complete"], status["accounts"][0]["unlisted"]) == (True, [])
        plan = desk.document("flatten", "--all", "--dry-run")
        assert {a["symbol"] for a in plan["actions"] if a["kind"] == "close"} == held(status).keys()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/cross-margin/accounts/balance", {"status": "error", "err-code": "x", "err-msg": "no"}, "coins on margin"),
        ("/contract_position_info", {"status": "error", "err_code": 1, "err_msg": "no permission"}, "no permission"),
    ],
)
def test_a_part_of_htx_that_cannot_be_listed_makes_the_account_partial(
    tmp_path: Path, path: str, body: dict[str, Any], said: str
) -> None:
    empty = {"status": "ok", "data": [], "ts": 1}
    answers = {**shapes.htx(), "/swap_position_info": empty, "/contract_position_info": empty, path: body}
    with Shape(answers) as running:
        desk = Operator(tmp_path, running, "htx", shapes.LOGIN)
        [account] = desk.document("status")["accounts"]
        assert account["complete"] is False
        assert any(said in part for part in account["unlisted"])
        made = desk.call("flatten", "--all", "--yes")
        assert made.exit_code == 1
        assert "PARTIAL" in made.output
        assert said in desk.call("check").output

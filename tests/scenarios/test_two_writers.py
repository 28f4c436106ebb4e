"""Two programs on one account: the second one's order freezes it for us until a person looked."""

from __future__ import annotations

from tests.scenarios.desk import Desk, order, position

FOREIGN = "fdzzzz" + "a" * 26  # as another journal's flatdeck would name its order


def test_an_order_of_another_flatdeck_freezes_the_account_until_a_person_thaws_it(desk: Desk) -> None:
    held = [position("A-USD", "5"), position("B-USD", "6")]
    desk.account("user_1", "coinbase", held, orders=[{**order("o1", "A-USD", "1"), "client_id": FOREIGN}])
    first = desk.call("flatten", "--all", "--yes")
    assert first.exit_code == 1
    assert "another flatdeck" in first.output
    assert len(desk.held()) == 2
    assert "another flatdeck" in desk.document("status")["accounts"][0]["frozen"]

    desk.account("user_1", "coinbase", held)  # somebody cancelled it at the venue
    second = desk.document("flatten", "--symbol", "B-USD", "--yes", code=1)
    assert [a["reason"] for a in second["actions"]] == ["frozen"]
    assert desk.call("thaw", "user_1/coinbase").exit_code == 3
    assert desk.call("thaw", "user_1/nobody").exit_code == 2
    thawed = desk.call("thaw", "user_1/coinbase", "--yes")
    assert thawed.exit_code == 0, thawed.stderr
    assert "not frozen" in desk.call("thaw", "user_1/coinbase").output
    assert desk.document("flatten", "--symbol", "B-USD", "--yes")["results"][0]["outcome"] == "closed"

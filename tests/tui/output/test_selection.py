"""What status shows of a snapshot: the selected rows, in the configuration's order."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from core.link.messages import AccountRow, OwnerRow, PlanRow, Snapshot
from core.model import Leg, PositionKey
from core.settings import AccountSettings, OwnerSettings, Settings
from tests.tui import fakes
from tests.tui.command_world import NOW, SNAPSHOT, D
from tui.output.selection import Selection, selected, sums

SETTINGS = Settings(
    owners=tuple(
        OwnerSettings(owner, tuple(AccountSettings(f"{owner}/{n}", owner, n, "paper") for n in names))
        for owner, names in (("platform", ("main",)), ("bob", ("spot", "futures")), ("alice", ("spot",)))
    )
)


def position(account: str, symbol: str, **more: Any) -> Any:
    return fakes.position(symbol, account, owner=account.partition("/")[0], **more)


ROWS = (
    position("alice/spot", "BTC-USD"),
    position("bob/futures", "SOL-USD"),
    position("bob/futures", "BTC-USD"),
    structs.replace(position("bob/spot", "ETH-USD"), native_symbol="ETHUSD"),
)


def seen(order: tuple[str, ...] = ("alice/spot", "bob/futures", "platform/main", "bob/spot")) -> Snapshot:
    return structs.replace(
        SNAPSHOT,
        accounts=tuple(AccountRow(a, a.partition("/")[0], "paper", "live", as_of=NOW) for a in order),
        owners=tuple(OwnerRow(owner, 8, 1, True) for owner in ("alice", "platform", "bob")),
        positions=ROWS,
    )


def keys(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(row.key.account, row.key.symbol) for row in snapshot.positions]


def test_rows_stand_in_the_order_of_the_file_whoever_answered_first() -> None:
    first = selected(seen(), SETTINGS, Selection())
    assert [row.id for row in first.accounts] == ["platform/main", "bob/spot", "bob/futures", "alice/spot"]
    assert [row.id for row in first.owners] == ["platform", "bob", "alice"]
    assert keys(first) == [
        ("bob/spot", "ETH-USD"),
        ("bob/futures", "BTC-USD"),
        ("bob/futures", "SOL-USD"),
        ("alice/spot", "BTC-USD"),
    ]
    other = selected(seen(("bob/spot", "platform/main", "alice/spot", "bob/futures")), SETTINGS, Selection())
    assert (other.accounts, keys(other)) == (first.accounts, keys(first))


def test_a_selection_narrows_all_rows() -> None:
    bob = selected(seen(), SETTINGS, Selection(owners=("bob",)))
    assert ([row.id for row in bob.owners], len(bob.accounts), len(bob.positions)) == (["bob"], 2, 3)
    spot = selected(seen(), SETTINGS, Selection(accounts=("bob/spot",)))
    assert ([row.id for row in spot.owners], keys(spot)) == (["bob"], [("bob/spot", "ETH-USD")])
    symbols = selected(seen(), SETTINGS, Selection(symbols=("BTC-USD", "ETHUSD")))
    assert len(symbols.accounts) == 4
    assert len(keys(symbols)) == 3


def test_a_plan_that_waits_is_never_left_out() -> None:
    plans = (PlanRow("p1", "exit", "waiting", 1, 0, NOW),)
    whole = structs.replace(seen(), plans=plans)
    assert selected(whole, SETTINGS, Selection(owners=("alice",))).plans == plans


def test_an_owners_worth_counts_what_is_not_known() -> None:
    rows = [
        position("bob/spot", "A", usd_value=D("1.50")),
        position("bob/futures", "B", usd_value=D(2)),
        position("bob/futures", "C", usd_value=None),
        position("alice/spot", "A", usd_value=None),
    ]
    assert sums(rows) == {"bob": "$3.50 + 1 unknown", "alice": "1 unknown"}


def test_two_legs_of_a_symbol_keep_their_order() -> None:
    long, short = (PositionKey("bob/futures", "SOL-USD", leg) for leg in (Leg.LONG, Leg.SHORT))
    rows = tuple(structs.replace(ROWS[1], key=key) for key in (short, long))
    made = selected(structs.replace(seen(), positions=rows), SETTINGS, Selection())
    assert [row.key for row in made.positions] == [long, short]

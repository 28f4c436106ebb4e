"""Exchanges that no code of ours names, by configuration alone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import bitget, bitstamp, bitvavo
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SPEED = 20.0
BITGET = {"api_key": bitget.KEY, "secret": bitget.SECRET, "password": bitget.PASSWORD}
BITVAVO = {"api_key": bitvavo.KEY, "secret": bitvavo.SECRET}
BITSTAMP = {"api_key": bitstamp.KEY, "secret": bitstamp.SECRET}
VENUES: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "bitget": (bitget.Bitget, bitget.BOOK, BITGET),
    "bitvavo": (bitvavo.Bitvavo, bitvavo.BOOK, BITVAVO),
    "bitstamp": (bitstamp.Bitstamp, bitstamp.BOOK, BITSTAMP),
}
HELD = {
    "bitget": {
        "BTC/USDT:USDT": ("long", "0.5", "0.5", "40000", "25000.00", 1),
        "ETH/USDT:USDT": ("short", "3", "3", "2400", "7500.03", 0),
    },
    "bitvavo": {
        "BTC/EUR": ("long", "0.5", "0.4", "40000", None, 1),
        "ETH/EUR": ("long", "2", "2", None, None, 0),
    },
    "bitstamp": {
        "BTC/USD": ("long", "0.5", "0.4", "40000", "25000.00", 1),
        "ETH/USD": ("long", "2", "2", None, "5000.00", 0),
    },
}


def operator(path: Path, running: Exchange, exchange: str, **more: Any) -> Operator:
    return Operator(path, running, exchange, VENUES[exchange][2], **more)


@pytest.mark.parametrize("exchange", list(VENUES))
def test_status_shows_what_is_held_with_entries_values_and_orders(tmp_path: Path, exchange: str) -> None:
    with Exchange(*VENUES[exchange][:2]) as running:
        made = operator(tmp_path, running, exchange).document("status")
    fields = ("side", "quantity", "free", "entry", "usd_value", "open_orders")
    assert {p["symbol"]: tuple(p[f] for f in fields) for p in made["positions"]} == HELD[exchange]
    assert [(a["broker"], a["state"]) for a in made["accounts"]] == [(f"ccxt:{exchange}", "polling")]


@pytest.mark.parametrize("exchange", list(VENUES))
def test_reading_places_and_cancels_nothing(tmp_path: Path, exchange: str) -> None:
    with Exchange(*VENUES[exchange][:2]) as running:
        desk = operator(tmp_path, running, exchange)
        desk.call("status")
        desk.call("check")
        desk.call("flatten", "--all", "--dry-run")
        assert running.stall.calls == []
        assert len(running.venue.state.tickets) == 1


@pytest.mark.parametrize("exchange", list(VENUES))
def test_an_account_whose_markets_are_all_listed_is_whole(tmp_path: Path, exchange: str) -> None:
    with Exchange(*VENUES[exchange][:2]) as running:
        desk = operator(tmp_path, running, exchange)
        [account] = desk.document("status")["accounts"]
        assert (account["complete"], account["unlisted"]) == (True, [])
        assert "PARTIAL" not in desk.call("check").output


def test_a_value_without_a_rate_is_unknown_and_said_to_be(tmp_path: Path) -> None:
    with Exchange(*VENUES["bitvavo"][:2]) as running:
        made = operator(tmp_path, running, "bitvavo").call("status")
    assert made.exit_code == 0
    assert "no USD rate for EUR" in made.stdout


@pytest.mark.parametrize(
    ("exchange", "wrong", "said"),
    [
        ("bitget", {"secret": "another"}, "sign signature error"),
        ("bitget", {"password": "another"}, "apikey/password is incorrect"),
        ("bitvavo", {"secret": "another"}, "signature is invalid"),
        ("bitstamp", {"secret": "another"}, "invalid signature"),
    ],
)
def test_wrong_credentials_are_said_in_the_exchanges_words(
    tmp_path: Path, exchange: str, wrong: dict[str, str], said: str
) -> None:
    with Exchange(*VENUES[exchange][:2]) as running:
        made = Operator(tmp_path, running, exchange, VENUES[exchange][2] | wrong).call("check")
    assert made.exit_code == 1
    assert said in made.stdout


def test_a_credential_that_the_exchange_needs_besides_is_named(tmp_path: Path) -> None:
    login = {name: value for name, value in BITGET.items() if name != "password"}
    with Exchange(*VENUES["bitget"][:2]) as running:
        made = Operator(tmp_path, running, "bitget", login).call("check")
    assert made.exit_code == 1
    assert "bitget needs password, too" in made.stdout


@pytest.mark.parametrize(
    ("given", "hint"), [("bitgot", 'did you mean "bitget"?'), ("Kraken", 'did you mean "kraken"?'), ("_x", "like")]
)
def test_an_exchange_that_there_is_not_is_named_with_the_nearest(tmp_path: Path, given: str, hint: str) -> None:
    with Exchange(*VENUES["bitget"][:2]) as running:
        made = Operator(tmp_path, running, given, BITGET).call("status")
    assert made.exit_code == 4
    assert f'"{given}" is no exchange that ccxt knows; ' in made.stdout + made.stderr
    assert hint in made.stderr


# ---------------------------------------------------------------------------------------------------------- the ladder


def closed(document: Any) -> dict[str, tuple[str, str | None]]:
    """Symbol → outcome and tier of the closes."""
    return {r["symbol"]: (r["outcome"], r["tier"]) for r in document["results"] if r["kind"] == "close"}


@pytest.mark.parametrize("hedge", [False, True])
def test_bitget_is_flattened_one_way_and_hedged(tmp_path: Path, hedge: bool) -> None:
    made, book, _ = VENUES["bitget"]
    with Exchange(
        made, {**book, "hedge": hedge, "orders": [] if hedge else book["orders"]}, FastClock(SPEED)
    ) as running:
        said = operator(tmp_path, running, "bitget").document("flatten", "--all", "--yes")
        assert closed(said) == dict.fromkeys(HELD["bitget"], ("closed", "market_ioc"))
        assert running.venue.state.positions == {}
        orders = [body for call, body in running.stall.calls if call == "place-order"]
    assert len(orders) == 2
    if hedge:
        assert {(o["side"], o["tradeSide"]) for o in orders} == {("buy", "Close"), ("sell", "Close")}
    else:
        assert {o["reduceOnly"] for o in orders} == {"YES"}


@pytest.mark.parametrize("hedge", [False, True])
def test_a_bitget_position_on_isolated_margin_is_closed_on_isolated_margin(tmp_path: Path, hedge: bool) -> None:
    made, book, _ = VENUES["bitget"]
    with Exchange(made, {**book, "hedge": hedge, "orders": []}, FastClock(SPEED)) as running:
        running.stall.mode = "isolated"
        said = operator(tmp_path, running, "bitget").document("flatten", "--all", "--yes")
        assert closed(said) == dict.fromkeys(HELD["bitget"], ("closed", "market_ioc"))
        assert running.venue.state.positions == {}
        orders = [body for call, body in running.stall.calls if call == "place-order"]
    assert [o["marginMode"] for o in orders] == ["isolated", "isolated"]


def test_bitget_s_stop_is_cancelled_although_it_is_another_kind_of_order(tmp_path: Path) -> None:
    made, book, _ = VENUES["bitget"]
    stop = {"side": "sell", "quantity": "0.5", "type": "stop", "trigger": "30000", "reduce_only": True}
    orders = [*book["orders"], {"id": "h2", "symbol": "BTC/USDT:USDT", **stop}]
    with Exchange(made, {**book, "orders": orders}, FastClock(SPEED)) as running:
        said = operator(tmp_path, running, "bitget").document("flatten", "--all", "--yes")
        assert closed(said) == dict.fromkeys(HELD["bitget"], ("closed", "market_ioc"))
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []


def test_bitstamp_is_flattened_after_its_order_was_cancelled(tmp_path: Path) -> None:
    with Exchange(*VENUES["bitstamp"][:2], FastClock(SPEED)) as running:
        said = operator(tmp_path, running, "bitstamp").document("flatten", "--all", "--yes")
        assert closed(said) == dict.fromkeys(HELD["bitstamp"], ("closed", "market_ioc"))
        assert running.venue.state.positions == {}
        paths = [path.removeprefix("/www/api/v2") for path, _ in running.stall.calls]
    assert sorted(paths) == ["/cancel_order/", "/sell/market/btcusd/", "/sell/market/ethusd/"]


@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken"])
@pytest.mark.parametrize(("exchange", "path"), [("bitget", "place-order"), ("bitstamp", "/sell/market/")])
def test_an_order_whose_answer_is_lost_is_found_and_not_sent_again(
    tmp_path: Path, exchange: str, path: str, do: str
) -> None:
    made, book, _ = VENUES[exchange]
    with Exchange(made, {**book, "orders": [], "positions": book["positions"][:1]}, FastClock(SPEED)) as running:
        lost = running.mishap("POST", path, do)
        said = operator(tmp_path, running, exchange).document("flatten", "--all", "--yes")
        assert lost.struck == 1
        assert [outcome for outcome, _ in closed(said).values()] == ["closed"]
        assert running.venue.state.positions == {}
        assert len([call for call, _ in running.stall.calls if path in call or call in path]) == 1


def test_what_an_exchange_lacks_for_closing_is_said_in_one_sentence(tmp_path: Path) -> None:
    made, book, _ = VENUES["bitvavo"]
    with Exchange(made, {**book, "orders": []}, FastClock(SPEED)) as running:
        results = operator(tmp_path, running, "bitvavo").document("flatten", "--all", "--yes", code=1)["results"]
        assert {r["outcome"] for r in results} == {"stuck"}
        assert all("bitvavo createOrder() requires an operatorId" in r["error"] for r in results)
        assert running.held("BTC/EUR") == Decimal("0.5")


def test_bitvavo_is_flattened_with_names_in_the_form_of_a_uuid(tmp_path: Path) -> None:
    made, book, _ = VENUES["bitvavo"]
    with Exchange(made, {**book, "orders": []}, FastClock(SPEED)) as running:
        desk = operator(tmp_path, running, "bitvavo", more="options = { operatorId = 7 }")
        said = desk.document("flatten", "--all", "--yes")
        assert closed(said) == dict.fromkeys(HELD["bitvavo"], ("closed", "market_ioc"))
        assert running.venue.state.positions == {}


def test_an_exchange_that_refuses_the_form_of_our_names_gets_the_order_without_a_name(tmp_path: Path) -> None:
    made, book, _ = VENUES["bitstamp"]
    with Exchange(made, {**book, "orders": []}, FastClock(SPEED)) as running:
        running.stall.names = False
        said = operator(tmp_path, running, "bitstamp").document("flatten", "--all", "--yes")
        assert closed(said) == dict.fromkeys(HELD["bitstamp"], ("closed", "market_ioc"))
        assert running.venue.state.positions == {}
        assert [("client_order_id" in body) for _, body in running.stall.calls].count(False) == 2


def test_an_order_without_a_name_whose_answer_is_lost_is_found_among_the_new_orders(tmp_path: Path) -> None:
    made, book, _ = VENUES["bitstamp"]
    with Exchange(made, {**book, "orders": [], "positions": book["positions"][1:]}, FastClock(SPEED)) as running:
        running.stall.names = False
        lost = running.mishap("POST", "/sell/market/", "drop", after=1)
        said = operator(tmp_path, running, "bitstamp").document("flatten", "--all", "--yes")
        assert (lost.struck, running.venue.state.positions, len(running.stall.calls)) == (1, {}, 2)
    assert closed(said) == {"ETH/USD": ("closed", "market_ioc")}


@pytest.mark.parametrize("path", ["orders-pending", "orders-plan-pending"])
def test_one_list_of_orders_that_fails_for_long_is_named_and_the_positions_are_closed(
    tmp_path: Path, path: str
) -> None:
    with Exchange(*VENUES["bitget"][:2], FastClock(SPEED)) as running:
        running.mishap("GET", path, "status", times=9999, status=503, body='{"code": "40725", "msg": "service"}')
        desk = operator(tmp_path, running, "bitget")
        [account] = desk.document("status")["accounts"]
        assert account["complete"] is False
        assert any(part.startswith("open orders (swap, USDT-FUTURES") for part in account["unlisted"])
        said = desk.document("flatten", "--all", "--yes", code=1)
        assert closed(said) == dict.fromkeys(HELD["bitget"], ("closed", "market_ioc"))
        assert running.venue.state.positions == {}
        cancelled = [call for call, _ in running.stall.calls if call == "cancel-order"]
    assert len(cancelled) == (path == "orders-plan-pending")  # the other lists are read


def test_a_list_of_orders_that_fails_once_fails_the_read_and_is_asked_again(tmp_path: Path) -> None:
    with Exchange(*VENUES["bitget"][:2], FastClock(SPEED)) as running:
        lost = running.mishap("GET", "orders-pending", "status", status=503, body='{"code": "40725", "msg": "service"}')
        [account] = operator(tmp_path, running, "bitget").document("status")["accounts"]
        assert (lost.struck, account["complete"]) == (1, True)


@pytest.mark.parametrize(
    ("plan", "part"),
    [("track_plan", "open orders (trailing)"), ("profit_loss", "open orders (take-profit and stop-loss)")],
)
def test_bitget_s_conditional_orders_of_other_kinds_are_named(tmp_path: Path, plan: str, part: str) -> None:
    with Exchange(*VENUES["bitget"][:2]) as running:
        running.stall.plans[plan] = [{"orderId": "7", "symbol": "BTCUSDT", "planStatus": "live"}]
        [account] = operator(tmp_path, running, "bitget").document("status")["accounts"]
    assert (account["complete"], account["unlisted"]) == (False, [part])

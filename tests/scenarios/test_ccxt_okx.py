"""OKX through the command line and real sockets: margin modes, position sides, two kinds of orders, lost answers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.ccxt.broker import CcxtBroker, Options
from brokers.ccxt.settings import ExchangeSettings
from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import Account, Leg, OrderRequest, OrderSide, OrderType
from tests.venues.alpaca.clocks import FastClock
from tests.venues.ccxt import okx
from tests.venues.ccxt.host import Exchange
from tests.venues.ccxt.operators import Operator

SPEED = 20.0
SWAP = "BTC/USDT:USDT"
LONG = okx.BOOK["positions"][:1]
PLACE = "/trade/batch-orders"


def opened(rows: dict[str, Any] = okx.BOOK, speed: float = SPEED, **book: Any) -> Exchange:
    return Exchange(okx.Okx, {**rows, **book}, FastClock(speed))


def operator(path: Path, running: Exchange, **more: Any) -> Operator:
    return Operator(path, running, "okx", okx.LOGIN, **more)


def sent(running: Exchange, path: str = PLACE) -> list[dict[str, Any]]:
    """Every order, cancel or close that went to that path, a row each."""
    bodies = [body for call, body in running.stall.rest.calls if call == f"POST {path}"]
    return [row for body in bodies for row in (body if isinstance(body, list) else [body])]


async def connected(running: Exchange) -> CcxtBroker:
    login = {"apiKey": "env:api_key", "secret": "env:secret", "password": "env:password"}
    options = Options(settings=ExchangeSettings(exchange="okx", endpoint=running.endpoint), login=login)
    broker = CcxtBroker(Account("user_1/a", "user_1", "a", "ccxt:okx"), options, running.clock, okx.LOGIN)
    await broker.connect()
    return broker


def test_an_account_is_checked_and_shown_with_contracts_of_a_hundredth(tmp_path: Path) -> None:
    with opened(speed=1.0) as running:  # the check compares clocks
        desk = operator(tmp_path, running)
        checked = desk.call("check")
        assert checked.exit_code == 0, checked.stdout
        made = {p["symbol"]: p for p in desk.document("status")["positions"]}
    assert sorted(made) == [SWAP, "ETH/USDT:USDT", "SOL/USDT"]
    assert {s: Decimal(p["quantity"]) for s, p in made.items()} == {
        SWAP: Decimal(25),
        "ETH/USDT:USDT": Decimal("30.5"),
        "SOL/USDT": Decimal("12.5"),
    }
    assert Decimal(made[SWAP]["usd_value"]) == 12_500


ISOLATED = SWAP + ":isolated"
TWINS = {
    **okx.BOOK,
    "instruments": [*okx.BOOK["instruments"], {**okx.swap(SWAP, "0.01"), "symbol": ISOLATED}],
    "quotes": {**okx.BOOK["quotes"], ISOLATED: okx.BOOK["quotes"][SWAP]},
    "positions": [
        *LONG,
        {"symbol": ISOLATED, "side": "short", "quantity": "4", "entry": "41000", "leverage": "3"},
    ],
    "orders": [{"id": "h1", "symbol": ISOLATED, "side": "buy", "quantity": "4", "price": "30000", "reduce_only": True}],
}


def test_a_position_on_cross_and_one_on_isolated_margin_are_closed_each_by_its_own_order(tmp_path: Path) -> None:
    with opened(TWINS) as running:
        desk = operator(tmp_path, running)
        shown = desk.document("status")
        assert {p["symbol"]: (p["side"], p["quantity"]) for p in shown["positions"]} == {
            SWAP + ":cross": ("long", "25"),
            ISOLATED: ("short", "4"),
        }
        said = desk.document("flatten", "--symbol", ISOLATED, "--yes")
        assert {(r["symbol"], r["outcome"]) for r in said["results"]} == {(ISOLATED, "cancelled"), (ISOLATED, "closed")}
        assert [(o["tdMode"], o["side"], o["sz"]) for o in sent(running)] == [("isolated", "buy", "4")]
        assert (running.held(SWAP), running.held(ISOLATED)) == (25, 0)


@pytest.mark.parametrize("do", ["drop", "empty", "never"])
def test_both_are_flattened_once_though_answers_are_lost(tmp_path: Path, do: str) -> None:
    with opened(TWINS) as running:
        running.mishap("POST", PLACE, do, times=2)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed", "cancelled"}
        assert sorted((o["tdMode"], o["side"], o["sz"]) for o in sent(running)) == [
            ("cross", "sell", "25"),
            ("isolated", "buy", "4"),
        ]
        assert running.venue.state.positions == {}


async def test_the_one_that_was_there_first_keeps_its_symbol_as_long_as_either_is_there() -> None:
    book = {**TWINS, "positions": TWINS["positions"][1:], "orders": []}
    with opened(book) as running:
        broker = await connected(running)

        async def read() -> dict[str, str]:
            return {p.symbol: p.side.value for p in (await broker.holdings()).positions}

        assert await read() == {SWAP: "short"}
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.BUY, Decimal(7)))
        assert await read() == {SWAP: "short", SWAP + ":cross": "long"}
        running.do(lambda: running.venue.trade_by_hand(ISOLATED, OrderSide.BUY, Decimal(4)))
        assert await read() == {SWAP + ":cross": "long"}
        [rules] = [i for i in (await broker.holdings()).instruments if i.symbol == SWAP + ":cross"]
        assert (rules.native_symbol, rules.reduce_only, rules.multiplier) == ("BTC-USDT-SWAP", True, Decimal("0.01"))
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal(7)))
        assert await read() == {}, "and nobody remembers"
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.BUY, Decimal(7)))
        assert await read() == {SWAP: "long"}
        await broker.aclose()


async def test_an_execution_that_may_be_of_either_position_is_told_of_both_and_one_of_ours_of_its_own() -> None:
    with opened(TWINS, orders=[]) as running:
        broker = await connected(running)
        await broker.holdings()
        running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal(3)))
        mine = OrderRequest("user_1/a", ISOLATED, OrderSide.BUY, Decimal(1), "mine", reduce_only=True)
        await broker.submit(mine)
        since = running.clock.now() - timedelta(minutes=5)
        told = {s: sorted(str(f.quantity) for f in await broker.fills(s, since)) for s in (SWAP + ":cross", ISOLATED)}
        assert told == {SWAP + ":cross": ["3"], ISOLATED: ["1", "3"]}
        await broker.aclose()


def test_what_one_market_order_may_not_have_at_once_is_closed_in_several(tmp_path: Path) -> None:
    small = [{**row, "max_market": "10"} if row["symbol"] == SWAP else row for row in okx.BOOK["instruments"]]
    with opened(instruments=small, positions=LONG, orders=[]) as running:
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [(r["outcome"], r["tier"]) for r in said["results"]] == [("closed", "market_ioc")]
        assert [row["sz"] for row in sent(running)] == ["10", "10", "5"]


def test_keys_that_may_withdraw_are_reported(tmp_path: Path) -> None:
    with opened() as running:
        running.stall.rest.perm = "read_only,trade,withdraw"
        made = operator(tmp_path, running).call("check")
    assert made.exit_code == 1
    assert "withdraw" in made.stdout


@pytest.mark.parametrize("mode", ["cross", "isolated"])
@pytest.mark.parametrize("rows", [okx.BOOK, okx.HEDGED], ids=["one-way", "hedge"])
def test_everything_is_flattened_each_order_with_the_margin_mode_of_its_position(
    tmp_path: Path, rows: dict[str, Any], mode: str
) -> None:
    with opened(rows) as running:
        running.stall.rest.isolated = {"BTC-USDT-SWAP"} if mode == "isolated" else set()
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert {(r["outcome"], r["tier"]) for r in said["results"] if r["kind"] == "close"} == {
            ("closed", "market_ioc")
        }
        assert running.venue.state.positions == {}
        assert list(running.venue.state.live_orders()) == []
        orders = sent(running)
        assert {o["tdMode"] for o in orders if o["instId"] == "BTC-USDT-SWAP"} == {mode}
        assert {o["tdMode"] for o in orders if o["instId"] == "SOL-USDT"} == {"cash"}
        assert len(orders) == 3


def test_a_dry_run_sends_nothing_and_a_cleanup_closes_what_is_above_the_cap(tmp_path: Path) -> None:
    with opened() as running:
        desk = operator(tmp_path, running, rules="[cleanup]\nmax_positions = 1")
        desk.document("cleanup", "--dry-run")
        assert [call for call, _ in running.stall.rest.calls if call.startswith("POST")] == []
        desk.document("cleanup", "--include-open-orders", "--yes")
        assert [key for key, _ in running.venue.state.positions] == [SWAP]


def test_a_conditional_order_that_the_plain_list_does_not_show_is_cancelled(tmp_path: Path) -> None:
    with opened() as running:
        said = operator(tmp_path, running).document("cancel-orders", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"cancelled"}
        assert list(running.venue.state.live_orders()) == []
        assert len(sent(running, "/trade/cancel-algos")) == 1
        assert len(sent(running, "/trade/cancel-order")) == 2


@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken"])
def test_an_order_whose_answer_is_lost_is_found_by_its_name_and_not_sent_again(tmp_path: Path, do: str) -> None:
    with opened(orders=[], positions=LONG) as running:
        lost = running.mishap("POST", PLACE, do)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert lost.struck == 1
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 1
        asked = [given for call, given in running.stall.rest.calls if call == "GET /trade/order"]
        assert sent(running)[0]["clOrdId"] in [given.get("clOrdId") for given in asked]


def test_nothing_to_reduce_means_that_the_position_is_read_again(tmp_path: Path) -> None:
    body = '{"code":"1","msg":"All operations failed","data":[{"ordId":"","clOrdId":"","sCode":"51169","sMsg":"no"}]}'
    with opened(orders=[], positions=LONG) as running:
        running.mishap("POST", PLACE, "status", status=200, body=body)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        reads = [n for n, (call, _) in enumerate(running.stall.rest.calls) if call == "GET /account/positions"]
        first = next(n for n, (call, _) in enumerate(running.stall.rest.calls) if call.startswith("POST"))
        assert max(n for n in reads if n < first) > min(reads)
        assert running.venue.state.positions == {}


@pytest.mark.parametrize("rows", [okx.BOOK, okx.HEDGED], ids=["one-way", "hedge"])
def test_the_close_call_which_tells_no_order_s_id_is_looked_up_by_its_name(
    tmp_path: Path, rows: dict[str, Any]
) -> None:
    with opened(rows, orders=[]) as running:
        running.stall.rest.isolated = {"BTC-USDT-SWAP"}
        desk = operator(tmp_path, running, rules='[ladder.tiers]\n"ccxt:okx" = ["venue_close"]')
        said = desk.document("flatten", "--symbol", SWAP, "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed"}
        assert running.held(SWAP) == 0
        closes = sent(running, "/trade/close-position")
        assert {c["mgnMode"] for c in closes} == {"isolated"}
        assert len(closes) == len({c["clOrdId"] for c in closes}) == (2 if rows is okx.HEDGED else 1)
        assert sent(running) == []


async def test_a_stop_rests_and_is_found_by_its_name_and_cancelled() -> None:
    with opened(orders=[], speed=1.0) as running:
        running.stall.rest.isolated = {"BTC-USDT-SWAP"}
        broker = await connected(running)
        await broker.holdings()
        asked = OrderRequest(
            "user_1/a",
            SWAP,
            OrderSide.SELL,
            Decimal(25),
            "mine",
            type=OrderType.STOP,
            trigger=Decimal(39000),
            reduce_only=True,
        )
        made = await broker.submit(asked)
        (row,) = sent(running, "/trade/order-algo")
        assert (row["tdMode"], row["reduceOnly"], row["slOrdPx"]) == ("isolated", True, "-1")
        found = await broker.find_order(SWAP, client_id="mine")
        assert found is not None
        assert (found.id, found.client_id, found.type) == (made.id, "mine", OrderType.STOP)
        (listed,) = (await broker.holdings()).orders
        assert (listed.client_id, listed.trigger, listed.reduce_only) == ("mine", Decimal(39000), True)
        await broker.cancel(found)
        assert (await broker.holdings()).orders == ()
        await broker.aclose()


async def test_no_stop_of_a_coin_is_sent_because_it_would_be_one_on_margin() -> None:
    with opened(orders=[], speed=1.0) as running:
        broker = await connected(running)
        await broker.holdings()
        asked = OrderRequest(
            "user_1/a", "SOL/USDT", OrderSide.SELL, Decimal(1), "mine", type=OrderType.STOP, trigger=Decimal(100)
        )
        with pytest.raises(Refused, match="nothing was sent") as refused:
            await broker.submit(asked)
        assert refused.value.refusal is Refusal.UNSUPPORTED
        assert sent(running, "/trade/order-algo") == []
        await broker.aclose()


@pytest.mark.parametrize("rows", [okx.BOOK, okx.HEDGED], ids=["one-way", "hedge"])
async def test_the_raw_call_reduces_by_the_exchange_s_own_limit_of_a_market_order(rows: dict[str, Any]) -> None:
    first = {**okx.BOOK["instruments"][0], "max_market": "20"}
    with opened(rows, orders=[], instruments=[first, *okx.BOOK["instruments"][1:]], speed=1.0) as running:
        broker = await connected(running)
        await broker.holdings()
        leg = Leg.LONG if rows is okx.HEDGED else Leg.NET
        await broker.submit_direct(
            OrderRequest("user_1/a", SWAP, OrderSide.SELL, Decimal(25), "mine", reduce_only=True, leg=leg)
        )
        (row,) = sent(running, "/trade/order")
        assert (row["ordType"], row["sz"], row["tdMode"]) == ("market", "20", "cross")
        assert running.venue.state.positions[SWAP, leg].quantity == 5
        await broker.aclose()


async def test_more_than_the_position_is_refused_with_the_exchange_s_code() -> None:
    with opened(orders=[], speed=1.0) as running:
        broker = await connected(running)
        await broker.holdings()
        asked = OrderRequest("user_1/a", SWAP, OrderSide.SELL, Decimal(26), "mine", reduce_only=True)
        with pytest.raises(Refused) as refused:
            await broker.submit(asked)
        assert (refused.value.refusal, refused.value.code) == (Refusal.REDUCE_ONLY, "51169")
        assert running.held(SWAP) == 25
        await broker.aclose()


async def test_a_name_is_taken_once() -> None:
    with opened(orders=[], speed=1.0) as running:
        broker = await connected(running)
        await broker.holdings()
        asked = OrderRequest("user_1/a", SWAP, OrderSide.SELL, Decimal(1), "mine", reduce_only=True)
        await broker.submit(asked)
        with pytest.raises(Refused) as refused:
            await broker.submit(asked)
        assert (refused.value.refusal, refused.value.code) == (Refusal.DUPLICATE, "51016")
        assert running.held(SWAP) == 24
        await broker.aclose()


async def test_a_close_call_is_an_unknown_outcome_until_its_name_is_looked_up() -> None:
    with opened(orders=[], positions=LONG, speed=1.0) as running:
        broker = await connected(running)
        (held,) = (await broker.holdings()).positions
        with pytest.raises(OutcomeUnknown):
            await broker.close_position(held, "mine")
        found = await broker.find_order(SWAP, client_id="mine")
        assert found is not None
        assert (found.filled, running.held(SWAP)) == (25, 0)
        await broker.aclose()


async def test_every_execution_is_read_when_there_are_more_than_a_page() -> None:
    with opened(orders=[], positions=LONG, speed=1.0) as running:
        broker = await connected(running)
        since = running.clock.now() - timedelta(seconds=1)  # what is told is cut to a millisecond
        await broker.holdings()
        for nth in range(230):
            running.do(lambda: running.venue.trade_by_hand(SWAP, OrderSide.SELL, Decimal("0.01")))
            if nth % 60 == 0:
                await running.clock.sleep(0.01)
        fills = await broker.fills(SWAP, since)
        assert sum((fill.quantity for fill in fills), Decimal(0)) == Decimal("2.30")
        await broker.aclose()


async def test_a_row_that_is_refused_in_an_answer_that_went_well_is_a_refusal() -> None:
    row = '{"algoId":"","algoClOrdId":"mine","sCode":"51000","sMsg":"Parameter instId error"}'
    with opened(orders=[], speed=1.0) as running:
        broker = await connected(running)
        await broker.holdings()
        body = f'{{"code":"0","msg":"","data":[{row}]}}'
        running.mishap("POST", "/trade/order-algo", "status", status=200, body=body)
        asked = OrderRequest(
            "user_1/a",
            SWAP,
            OrderSide.SELL,
            Decimal(25),
            "mine",
            type=OrderType.STOP,
            trigger=Decimal(39000),
            reduce_only=True,
        )
        with pytest.raises(Refused, match="Parameter instId error") as refused:
            await broker.submit(asked)
        assert refused.value.code == "51000"
        await broker.aclose()


def test_an_order_that_never_arrived_is_sent_again_once_its_signature_is_worth_nothing(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG) as running:
        running.mishap("POST", PLACE, "never")
        began = running.clock.monotonic()
        desk = operator(tmp_path, running, rules="[ladder]\ntotal_timeout = 400")
        said = desk.document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.clock.monotonic() - began > 30
        assert len(sent(running)) == 1

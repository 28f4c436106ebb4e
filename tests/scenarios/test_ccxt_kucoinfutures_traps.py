"""KuCoin Futures: answers that are lost, late or say nothing, and refusals in answers that went well."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import OutcomeUnknown, Refusal, Refused
from core.model import OrderStatus
from tests.venues.ccxt.kucoinfutures import BTC
from tests.venues.ccxt.kucoinfutures_desk import LONG, PLACE, asked, close, connected, opened, operator, sent

# ------------------------------------------------------------------------------------------------- lost and odd answers


@pytest.mark.parametrize("do", ["drop", "empty", "page", "broken"])
@pytest.mark.parametrize("tier", ["market_ioc", "venue_close", "direct_api"])
def test_an_order_whose_answer_is_lost_is_found_by_its_name_and_not_sent_again(
    tmp_path: Path, do: str, tier: str
) -> None:
    with opened(orders=[], positions=LONG) as running:
        lost = running.mishap("POST", PLACE, do)
        desk = operator(tmp_path, running, rules=f'[ladder.tiers]\n"ccxt:kucoinfutures" = ["{tier}"]')
        said = desk.document("flatten", "--all", "--yes")
        assert lost.struck == 1
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        (row,) = sent(running)
        assert row["clientOid"] in [given["clientOid"] for given in asked(running, "GET /orders/byClientOid")]


def test_an_order_that_is_answered_without_an_id_is_looked_up_by_its_name(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG) as running:
        running.stall.rest.nameless = True
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert len(sent(running)) == 1
        assert running.venue.state.positions == {}


def test_an_id_of_an_order_that_there_is_not_is_no_end_and_another_order_closes(tmp_path: Path) -> None:
    with opened(speed=20.0, orders=[], positions=LONG) as running:
        running.stall.rest.window = 20.0
        running.mishap("POST", PLACE, "status", status=200, body='{"code":"200000","data":{"orderId":"77"}}')
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 1


def test_a_cancel_that_was_only_promised_is_not_called_done(tmp_path: Path) -> None:
    with opened(speed=20.0) as running:
        running.stall.rest.window = 20.0
        body = '{"code":"200000","data":{"cancelledOrderIds":["240673378116083712"]}}'
        running.mishap("DELETE", PLACE, "status", status=200, body=body, times=99)
        said = operator(tmp_path, running).call("cancel-orders", "--all", "--yes")
        assert said.exit_code != 0
        assert len(list(running.venue.state.live_orders())) == 2


def test_by_a_clock_that_is_half_a_minute_apart_everything_is_signed_with_the_venue_s_time(tmp_path: Path) -> None:
    with opened(orders=[]) as running:
        running.stall.rest.ahead = 30.0
        desk = operator(tmp_path, running)
        said = desk.document("flatten", "--all", "--yes")
        assert {r["outcome"] for r in said["results"]} == {"closed"}
        assert running.venue.state.positions == {}


@pytest.mark.parametrize("body", ["{}", '{"data":{}}', "[]", '{"code":"500000","msg":"Internal Server Error"}'])
async def test_an_answer_without_a_code_or_with_one_of_a_fault_says_nothing_about_an_order(body: str) -> None:
    with opened(orders=[], positions=LONG) as running:
        async with connected(running) as broker:
            running.mishap("POST", PLACE, "status", status=200, body=body)
            with pytest.raises(OutcomeUnknown):
                await broker.submit(close())
            running.mishap("POST", PLACE, "status", status=200, body=body)
            (held,) = (await broker.holdings()).positions
            with pytest.raises(OutcomeUnknown):
                await broker.close_position(held, "mine")


def test_an_order_that_never_arrived_is_sent_again_once_its_signature_is_worth_nothing(tmp_path: Path) -> None:
    with opened(speed=20.0, orders=[], positions=LONG) as running:
        running.stall.rest.window = 20.0
        running.mishap("POST", PLACE, "never")
        began = running.clock.monotonic()
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.clock.monotonic() - began > 10
        assert len(sent(running)) == 1


def test_an_order_that_arrives_long_after_its_time_out_is_refused_there_and_closed_once(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG) as running:
        running.mishap("POST", PLACE, "late", seconds=2.0)  # ten seconds of the clock, by which a request is dead
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 1


# ------------------------------------------------------------------------------------------------------------- refusals

CODES = {
    "300009": ("No open positions to close.", Refusal.NO_POSITION),
    "300003": ("Balance not enough, please first deposit.", Refusal.HELD),
    "100001": ("Quantity parameter cannot be empty or invalid.", Refusal.OTHER),
    "400100": ("Parameter Error", Refusal.OTHER),
    "330005": ("The order's margin mode does not match the selected one.", Refusal.REDUCE_ONLY),
    "330011": ("The order's position mode does not match your selected mode.", Refusal.REDUCE_ONLY),
    "330012": ("Your order is in One-Way Mode, while your account is set to Hedge Mode.", Refusal.REDUCE_ONLY),
    "300012": ("Order price cannot be lower than 49000.", Refusal.UNSUPPORTED),
    "300015": ("The contract is undergoing the settlement process.", Refusal.HALTED),
    "300018": ("clientOid parameter repeated", Refusal.DUPLICATE),
    "400002": ("KC-API-TIMESTAMP Invalid", Refusal.CLOCK),
    "400007": ("Access Denied--Your api key does not have sufficient permissions", Refusal.AUTH),
    "411100": ("User is frozen", Refusal.HALTED),
    "429000": ("Too many requests. System-level rate limit exceeded.", Refusal.RATE_LIMITED),
    "200002": ("Too many requests in a short period of time", Refusal.RATE_LIMITED),
}


@pytest.mark.parametrize("code", list(CODES))
async def test_a_refusal_in_an_answer_that_went_well_is_told_by_its_code(code: str) -> None:
    text, refusal = CODES[code]
    with opened(orders=[], positions=LONG) as running:
        async with connected(running) as broker:
            running.mishap("POST", PLACE, "status", status=200, body=f'{{"code":"{code}","msg":"{text}"}}')
            with pytest.raises(Refused) as refused:
                await broker.submit(close())
    assert (refused.value.refusal, refused.value.code) == (refusal, code)
    assert text in str(refused.value)


async def test_a_look_up_whose_parameter_is_not_taken_denies_no_order() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            assert await broker.find_order(BTC, client_id="nobody") is None
            body = '{"code":"100001","msg":"clientOid parameter invalid."}'
            running.mishap("GET", "byClientOid", "status", status=200, body=body)
            with pytest.raises(Refused) as refused:
                await broker.find_order(BTC, client_id="nobody")
            assert refused.value.refusal is not Refusal.UNKNOWN_ORDER


@pytest.mark.parametrize("code", ["300009", "330005", "330011"])
def test_a_refusal_over_the_position_has_it_read_again_and_closed(tmp_path: Path, code: str) -> None:
    with opened(orders=[], positions=LONG) as running:
        running.mishap("POST", PLACE, "status", status=200, body=f'{{"code":"{code}","msg":"no"}}')
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}


async def test_the_margin_mode_of_an_order_is_the_one_that_was_read_last() -> None:
    with opened(orders=[], positions=LONG) as running:
        async with connected(running) as broker:
            running.stall.rest.isolated = {"XBTUSDTM"}
            with pytest.raises(Refused, match="margin mode does not match"):
                await broker.submit(close())
            await broker.holdings()
            await broker.submit(close())
        assert running.venue.state.positions == {}


def test_an_exceeded_limit_is_waited_for_as_its_header_says(tmp_path: Path) -> None:
    with opened(orders=[], positions=LONG) as running:
        body = '{"code":"429000","msg":"Too many requests. System-level rate limit exceeded."}'
        running.mishap("POST", PLACE, "status", status=429, body=body)
        said = operator(tmp_path, running).document("flatten", "--all", "--yes")
        assert [r["outcome"] for r in said["results"]] == ["closed"]
        assert running.venue.state.positions == {}
        assert len(sent(running)) == 1


async def test_more_than_the_position_is_cut_to_it_and_ends_filled() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = await broker.submit(close(501))
            found = await broker.find_order(BTC, order_id=made.id)
            assert found is not None
            assert (found.status, found.filled) == (OrderStatus.FILLED, 500)
        assert running.held(BTC) == 0


async def test_a_name_is_taken_once_and_an_order_that_ended_cannot_be_cancelled() -> None:
    with opened(orders=[]) as running:
        async with connected(running) as broker:
            made = await broker.submit(close(1))
            with pytest.raises(Refused) as refused:
                await broker.submit(close(1))
            assert refused.value.refusal is Refusal.DUPLICATE
            with pytest.raises(Refused) as refused:
                await broker.cancel(made)
            assert refused.value.refusal is Refusal.UNKNOWN_ORDER
        assert running.held(BTC) == 499


async def test_a_list_of_positions_that_is_empty_for_minutes_is_not_believed_while_margin_is_held_for_some() -> None:
    with opened(orders=[], positions=LONG) as running:
        async with connected(running) as broker:
            for _ in range(3):
                running.mishap("GET", "/positions", "status", status=200, body='{"code":"200000","data":[]}')
                with pytest.raises(OutcomeUnknown, match="holds a margin of"):
                    await broker.holdings()
            assert [p.symbol for p in (await broker.holdings()).positions] == [BTC]
            await broker.submit(close())
            assert (await broker.holdings()).positions == ()


async def test_a_first_list_that_is_empty_is_not_believed_either() -> None:
    with opened(orders=[], positions=LONG) as running:
        running.mishap("GET", "/positions", "status", status=200, body='{"code":"200000","data":[]}')
        async with connected(running, read=False) as broker:
            with pytest.raises(OutcomeUnknown, match="holds a margin of"):
                await broker.holdings()


async def test_a_currency_that_is_refused_hides_no_account_that_is_flat() -> None:
    with opened(orders=[], positions=[]) as running:
        body = '{"code":"400100","msg":"The currency is not supported"}'
        running.mishap("GET", "/account-overview", "status", status=200, body=body)
        async with connected(running, read=False) as broker:
            assert (await broker.holdings()).positions == ()


async def test_whether_margin_is_held_is_asked_once_of_an_account_that_is_flat() -> None:
    with opened(orders=[], positions=[]) as running:
        async with connected(running) as broker:
            before = len(asked(running, "GET /account-overview"))
            await broker.holdings()
            assert len(asked(running, "GET /account-overview")) == before

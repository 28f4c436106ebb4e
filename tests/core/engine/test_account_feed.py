"""The watcher keeps one account's picture true: tries, streams, silence, polling, and prices asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.engine.account_feed import (
    JUST_READ,
    OTHERS_WAIT,
    POLL_EVERY,
    QUOTES_EVERY,
    READ_EVERY,
    SILENCE,
    SOON,
    AccountFeed,
    first_of_all,
)
from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.events import (
    AccountChanged,
    AccountState,
    BrokerEvent,
    FillSeen,
    HoldingsRead,
    OrderSeen,
    PositionSeen,
    QuoteSeen,
    RatesSeen,
)
from core.orders.account_reader import AccountReader
from tests.support.builders import D, fill, holdings, instrument, order, position
from tests.support.fake_broker import HANG, STREAM_END, FakeBroker, quote
from tests.support.virtual_time import VirtualClock, virtual

HELD = holdings(position())


class Watched:
    """A watcher over a fake broker, and everything it told."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.seen: list[BrokerEvent] = []
        self.clock = VirtualClock()
        self.reader = AccountReader(broker, self.clock, self.seen.append)
        self.watcher = AccountFeed(broker, self.reader, self.clock, self.seen.append)

    @property
    def states(self) -> list[tuple[str, str | None]]:
        return [(e.state.value, e.error) for e in self.seen if isinstance(e, AccountChanged)]

    def count(self, kind: type) -> int:
        return sum(isinstance(e, kind) for e in self.seen)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watched]:
        task = asyncio.create_task(self.watcher.run())
        try:
            yield self
        finally:
            assert not task.done(), "nothing that an account meets ends its watcher"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def watched(**answers: object) -> Watched:
    return Watched(FakeBroker(**{"holdings": [HELD], **answers}))


# ------------------------------------------------------------------------------------------------------- the first read


@virtual
async def test_the_first_read_makes_an_account_readable():
    account = watched()
    assert await account.watcher.first()
    assert account.states == [("polling", None)]
    assert (account.count(HoldingsRead), account.count(QuoteSeen)) == (1, 1)


@virtual
async def test_the_first_read_is_tried_three_times_half_a_second_and_a_second_apart():
    account = watched(holdings=[Unreachable("no such host")])
    began = account.clock.monotonic()
    assert not await account.watcher.first()
    assert account.broker.calls["holdings"] == 3
    assert account.states == [("down", "no such host")] * 3
    assert account.clock.monotonic() - began == pytest.approx(0.5 + 1.0, abs=0.1)


@virtual
async def test_a_second_try_that_succeeds_is_enough():
    account = watched(holdings=[OutcomeUnknown("reset"), HELD])
    assert await account.watcher.first()
    assert account.states[-1] == ("polling", None)


@pytest.mark.parametrize("refusal", [Refusal.AUTH, Refusal.BANNED])
@virtual
async def test_credentials_that_are_refused_are_not_tried_again(refusal: Refusal):
    account = watched(connect=[Refused(refusal, "the key is revoked")])
    assert not await account.watcher.first()
    assert account.broker.calls["connect"] == 1
    assert account.states == [("down", "the key is revoked")]


@virtual
async def test_a_venue_that_never_answers_is_down_after_its_time():
    account = watched(connect=[HANG])
    assert not await account.watcher.first()
    assert account.states == [("down", "no answer in time")] * 3


@virtual
async def test_accounts_that_can_be_read_do_not_wait_long_for_one_that_never_answers():
    good, hung = watched(), watched(connect=[HANG])
    began = good.clock.monotonic()
    await first_of_all([hung.watcher, good.watcher])
    assert good.clock.monotonic() - began == pytest.approx(OTHERS_WAIT, abs=0.1)
    assert good.states == [("polling", None)] * 2
    assert hung.states == [("down", "no answer in time")]
    assert good.count(QuoteSeen) == 2, "what was read aged meanwhile"


@virtual
async def test_an_account_that_was_read_is_not_lost_by_one_failure_while_others_were_waited_for():
    hung, good = watched(connect=[HANG]), watched(holdings=[HELD, Unreachable("a moment"), HELD])
    await first_of_all([hung.watcher, good.watcher])
    assert good.states == [("polling", None), ("down", "a moment"), ("polling", None)]
    gone = watched(holdings=[HELD, HANG])
    await first_of_all([hung.watcher, gone.watcher])
    assert gone.states == [("polling", None), ("down", "no answer in time")]


@virtual
async def test_accounts_of_which_none_can_be_read_have_all_their_tries():
    hung, refusing = watched(connect=[HANG]), watched(holdings=[Unreachable("no such host")])
    await first_of_all([hung.watcher, refusing.watcher])
    assert hung.states == [("down", "no answer in time")] * 3
    assert refusing.states == [("down", "no such host")] * 3


@virtual
async def test_a_fault_of_the_adapter_is_that_accounts_state_and_nothing_more():
    account = watched(holdings=[KeyError("positionAmt")])
    assert not await account.watcher.first()
    assert account.states[-1][0] == "down"
    assert "positionAmt" in str(account.states[-1][1])


@virtual
async def test_rates_are_asked_for_what_is_not_like_the_dollar():
    euro = holdings(position(), instruments=(instrument(quote="EUR"),))
    account = watched(holdings=[euro], rates=[{"EUR": "1.1"}])
    await account.watcher.first()
    (seen,) = [e for e in account.seen if isinstance(e, RatesSeen)]
    assert seen.rates == {"EUR": D("1.1")}
    assert ("rates", ["EUR"]) in account.broker.asked


@virtual
async def test_a_rate_that_is_no_number_is_left_unknown():
    euro = holdings(position(), instruments=(instrument(quote="EUR"),))
    account = watched(holdings=[euro], rates=[{"EUR": "NaN"}])
    assert await account.watcher.first()
    assert [e.rates for e in account.seen if isinstance(e, RatesSeen)] in ([], [{}])


# -------------------------------------------------------------------------------------------------------------- prices


@virtual
async def test_a_missing_price_is_asked_for_three_times_with_growing_pauses_and_then_left_unknown():
    account = watched(quotes=[[]])
    began = account.clock.monotonic()
    assert await account.watcher.first()
    assert account.broker.calls["quotes"] == 3
    assert account.clock.monotonic() - began == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(
    "bad", [{"bid": "0"}, {"bid": "-1"}, {"bid": "NaN"}, {"bid": "101"}, {"bid": None, "ask": None}]
)
@virtual
async def test_a_bad_price_is_asked_for_again_and_a_good_one_ends_it(bad: dict[str, str]):
    good, worse = quote("BTC", 1000.0), quote("BTC", 1000.0, **bad)
    account = watched(quotes=[[worse], [good]])
    await account.watcher.first()
    assert account.broker.calls["quotes"] == 2
    assert [e.quote for e in account.seen if isinstance(e, QuoteSeen)][-1] == good


@virtual
async def test_only_the_symbols_that_lack_a_price_are_asked_for_again():
    both = holdings(position(), position(symbol="ETH"))
    account = watched(holdings=[both], quotes=[[quote("ETH", 1000.0)], []])
    await account.watcher.first()
    asked = [what for name, what in account.broker.asked if name == "quotes"]
    assert asked == [["BTC", "ETH"], ["BTC"], ["BTC"]]


@virtual
async def test_what_the_start_read_is_not_read_again_before_the_stream_but_what_grew_old_is():
    for age, reads in ((JUST_READ / 2, 1), (JUST_READ * 2, 2)):
        account = watched()
        assert await account.watcher.first()
        await asyncio.sleep(age)
        async with account.running():
            await asyncio.sleep(0.1)
            assert account.count(HoldingsRead) == reads
            assert account.broker.streams_open == 1


# -------------------------------------------------------------------------------------------------------------- streams


@virtual
async def test_a_stream_makes_it_live_and_its_events_are_passed_on():
    async with watched().running() as account:
        seen = QuoteSeen(quote("BTC", 1000.0))
        await asyncio.sleep(1)
        account.broker.events.put_nowait(seen)
        await asyncio.sleep(0.1)
        assert account.states == [("polling", None), ("live", None)]
        assert account.seen[-1] is seen


@pytest.mark.parametrize("end", [STREAM_END, Unreachable("the stream broke"), OutcomeUnknown("reset"), KeyError("e")])
@virtual
async def test_after_a_stream_ends_everything_is_read_again_before_a_new_one(end: object):
    async with watched().running() as account:
        await asyncio.sleep(1)
        reads = account.count(HoldingsRead)
        account.broker.events.put_nowait(end)
        await asyncio.sleep(0.1)
        assert account.states[-1][0] == "stale"
        assert account.broker.streams_open == 0
        await asyncio.sleep(2)
        assert account.count(HoldingsRead) == reads + 1
        assert account.states[-1] == ("polling", None)
        assert account.broker.streams_open == 1


@virtual
async def test_a_stream_that_ends_as_soon_as_it_has_begun_is_not_dialled_all_the_time_and_polling_stands_in():
    account, dialled = watched(), 0

    async def refuse() -> None:
        nonlocal dialled
        while True:
            if account.broker.streams_open:
                dialled += 1
                account.broker.events.put_nowait(Refused(Refusal.AUTH, "no permission for streams"))
            await asyncio.sleep(0.05)

    async with account.running():
        refusing = asyncio.create_task(refuse())
        await asyncio.sleep(300)
        assert 5 < dialled < 25
        assert account.count(HoldingsRead) < 300 / POLL_EVERY + 3 * dialled
        readable = 0
        for _ in range(300):
            await asyncio.sleep(1)
            readable += account.states[-1][0] == "polling"
        assert readable > 270, "its rules see what is polled"
        refusing.cancel()
        dialled = 0
        for _ in range(60):
            account.broker.events.put_nowait(QuoteSeen(quote("BTC", account.clock.monotonic())))
            await asyncio.sleep(1)
        assert account.states[-1] == ("live", None)


@virtual
async def test_an_account_that_a_refresh_gave_up_is_readable_again_while_its_stream_goes_on():
    account, other = watched(), watched()

    async def talk() -> None:
        while True:
            account.broker.events.put_nowait(QuoteSeen(quote("BTC", account.clock.monotonic())))
            await asyncio.sleep(1)

    async with account.running():
        talking = asyncio.create_task(talk())
        await asyncio.sleep(5)
        account.broker.answers["connect"] = [HANG, None]
        await first_of_all([account.watcher, other.watcher])
        assert account.states[-1] == ("down", "no answer in time")
        await asyncio.sleep(1.5)
        talking.cancel()
        assert account.states[-1] == ("live", None), "its next price says so, not the next read half a minute later"
        assert account.broker.calls["connect"] == 2, "its stream went on"


@virtual
async def test_a_stream_that_ends_at_once_for_a_day_is_still_dialled():
    account, dialled = watched(), 0

    async def refuse() -> None:
        nonlocal dialled
        while True:
            if account.broker.streams_open:
                dialled += 1
                account.broker.events.put_nowait(STREAM_END)
            await asyncio.sleep(0.5)

    async with account.running():
        refusing = asyncio.create_task(refuse())
        await asyncio.sleep(10 * 3600)
        before = dialled
        assert before > 1024
        await asyncio.sleep(600)
        refusing.cancel()
        assert dialled > before
        assert not [error for _, error in account.states if error and error != "stream ended"]


@virtual
async def test_a_stream_is_not_silent_while_the_engine_stood_still():
    async with watched().running() as account:
        await asyncio.sleep(SILENCE / 4 + 1)
        asyncio.get_running_loop().elapsed += 3 * SILENCE  # type: ignore[attr-defined]  # the virtual loop
        await asyncio.sleep(SILENCE / 2)
        assert account.states == [("polling", None)]
        await asyncio.sleep(SILENCE)
        assert ("stale", "stream silent for 10 s") in account.states


@virtual
async def test_a_stream_that_says_nothing_is_not_believed_to_be_alive():
    async with watched().running() as account:
        await asyncio.sleep(SILENCE - 1)
        assert account.states == [("polling", None)]
        await asyncio.sleep(4.0)
        assert ("stale", "stream silent for 10 s") in account.states
        await asyncio.sleep(2.0)
        assert account.states[-1] == ("polling", None), "it is read again and a new stream begun"
        assert account.count(HoldingsRead) >= 2


@virtual
async def test_beside_a_stream_everything_is_read_every_so_often():
    async with watched().running() as account:
        for _ in range(int(READ_EVERY) + 2):
            account.broker.events.put_nowait(QuoteSeen(quote("BTC", account.clock.monotonic())))
            await asyncio.sleep(1)
        assert account.count(HoldingsRead) == 2
        assert account.states == [("polling", None), ("live", None)]


TRADED = [
    FillSeen(fill("1", "o1")),
    OrderSeen(order(filled="1")),
    PositionSeen(position().key, None),
]


@virtual
@pytest.mark.parametrize("event", TRADED, ids=["execution", "order", "position"])
async def test_a_trade_that_the_stream_tells_is_read_soon_and_again_when_lagging_lists_have_it(event: BrokerEvent):
    async with watched().running() as account:
        await asyncio.sleep(1)
        account.broker.events.put_nowait(event)
        reads = []
        for _ in range(14):
            reads.append(account.count(HoldingsRead))
            account.broker.events.put_nowait(QuoteSeen(quote("BTC", account.clock.monotonic())))
            await asyncio.sleep(1)
        assert (reads[0], reads[1], reads[9], reads[-1]) == (1, 2, 2, 3)


@virtual
async def test_a_stream_full_of_trades_is_not_read_more_often_than_that():
    async with watched().running() as account:
        await asyncio.sleep(1)
        for nth in range(200):
            account.broker.events.put_nowait(FillSeen(fill("1", "o1", f"t{nth}")))
            await asyncio.sleep(0.1)
        assert account.count(HoldingsRead) == 1 + 3


@virtual
async def test_what_somebody_read_since_a_trade_is_not_read_once_more():
    async with watched().running() as account:
        await asyncio.sleep(1)
        account.broker.events.put_nowait(FillSeen(fill("1", "o1")))
        await asyncio.sleep(SOON / 2)
        await account.reader.read_account()
        await asyncio.sleep(SOON * 2)
        assert account.count(HoldingsRead) == 2


@virtual
async def test_an_order_that_only_rests_is_nothing_to_read_for():
    async with watched().running() as account:
        await asyncio.sleep(1)
        account.broker.events.put_nowait(OrderSeen(order()))
        account.broker.events.put_nowait(PositionSeen(position().key, position()))
        await asyncio.sleep(SILENCE / 2)
        assert account.count(HoldingsRead) == 1


@virtual
async def test_a_read_beside_the_stream_that_fails_makes_it_stale_and_begins_anew():
    async with watched(holdings=[HELD, Unreachable("no such host"), HELD]).running() as account:
        for _ in range(int(READ_EVERY) + 4):
            account.broker.events.put_nowait(QuoteSeen(quote("BTC", account.clock.monotonic())))
            await asyncio.sleep(1)
        assert [state for state, _ in account.states] == ["polling", "live", "stale", "polling", "live"]


@virtual
async def test_a_venue_that_stays_away_is_tried_ever_more_slowly_but_never_given_up():
    async with watched(holdings=[Unreachable("no such host")]).running() as account:
        await asyncio.sleep(300)
        first = account.broker.calls["holdings"]
        assert 10 <= first <= 16
        await asyncio.sleep(300)
        assert account.broker.calls["holdings"] - first == pytest.approx(10, abs=1)
        assert set(account.states) == {("stale", "no such host")}


@virtual
async def test_an_outage_of_half_a_day_does_not_end_the_watching():
    account = watched(connect=[Unreachable("no route")])
    async with account.running():
        await asyncio.sleep(12 * 3600)
        assert account.broker.calls["connect"] > 1024
        account.broker.answers["connect"] = [None]
        await asyncio.sleep(60)
        assert account.states[-1] == ("polling", None)


@virtual
async def test_a_fault_of_the_adapter_does_not_end_the_watching():
    async with watched(holdings=[KeyError("positionAmt"), HELD]).running() as account:
        await asyncio.sleep(5)
        assert account.states[0][0] == "stale"
        assert account.states[-1] == ("polling", None)


# -------------------------------------------------------------------------------------------------------------- polling


def polled(**answers: object) -> Watched:
    return Watched(FakeBroker(streams=False, **{"holdings": [HELD], **answers}))


@virtual
async def test_without_a_stream_positions_and_prices_are_polled():
    async with polled().running() as account:
        await asyncio.sleep(20.5)
        assert account.states == [("polling", None)]
        assert account.count(HoldingsRead) == pytest.approx(2 + 20 / POLL_EVERY, abs=1)
        assert account.count(QuoteSeen) == pytest.approx(2 + 20 / QUOTES_EVERY, abs=1)


@virtual
async def test_prices_are_polled_for_what_is_held_now():
    """A position that was opened later gets its price as well."""
    later = holdings(position(), position(symbol="ETH"))
    async with polled(holdings=[HELD, HELD, later]).running() as account:
        await asyncio.sleep(20)
        asked = [what for name, what in account.broker.asked if name == "quotes"]
        assert ["BTC", "ETH"] in asked


@virtual
async def test_beside_a_stream_a_new_position_gets_its_price_and_rates_are_read_again():
    later = holdings(position(), position(symbol="ETH"), instruments=(instrument(quote="EUR"),))
    async with watched(holdings=[HELD, later], rates=[{"EUR": "1.1"}, {"EUR": "1.2"}]).running() as account:
        for _ in range(2 * int(READ_EVERY) + 2):
            account.broker.events.put_nowait(QuoteSeen(quote("BTC", account.clock.monotonic())))
            await asyncio.sleep(1)
        asked = [what for name, what in account.broker.asked if name == "quotes"]
        assert asked == [["BTC"], ["ETH"]]
        assert [e.rates["EUR"] for e in account.seen if isinstance(e, RatesSeen)] == [D("1.1"), D("1.2")]


@virtual
async def test_a_poll_that_fails_makes_it_stale_and_it_comes_back():
    async with polled(holdings=[HELD, HELD, Unreachable("no such host"), HELD]).running() as account:
        await asyncio.sleep(30)
        assert account.states == [("polling", None), ("stale", "no such host"), ("polling", None)]


@virtual
async def test_all_states_are_among_those_that_consoles_know():
    account = watched()
    await account.watcher.first()
    assert {s for s, _ in account.states} <= {s.value for s in AccountState}

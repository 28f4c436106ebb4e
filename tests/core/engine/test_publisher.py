"""What consoles are sent: a snapshot first, then every change once, in sequence; a slow one starts anew."""

from __future__ import annotations

import asyncio

from msgspec import structs

from core.engine.log import LogWriter
from core.engine.publisher import BACKLOG, ENDED_KEPT, LOG_KEPT, Publisher
from core.link.messages import (
    AccountRow,
    AlarmRow,
    ClosingRow,
    EngineRow,
    Finished,
    LogRow,
    OwnerRow,
    PlanReport,
    PositionRow,
    Snapshot,
    Update,
)
from core.model import PositionKey
from tests.support.builders import D, close_action, plan
from tests.support.virtual_time import DAWN, VirtualClock, virtual

REPORT = Finished(PlanReport(plan(close_action()), (), (), (), True, True))


def hub() -> Publisher:
    return Publisher(VirtualClock(), EngineRow())


def log(n: int) -> LogRow:
    return LogRow(n, DAWN, "info", f"line {n}")


def row(symbol: str, quantity: str = "1", owner: str = "ann") -> PositionRow:
    unknown = dict.fromkeys(("entry", "mark", "leverage", "usd_value", "pnl", "roi", "opened_at"))
    key = PositionKey(f"{owner}/paper", symbol)
    return PositionRow(key, owner, symbol, "long", D(quantity), D(quantity), **unknown, open_orders=0)


def closing(symbol: str, **more: object) -> ClosingRow:
    return ClosingRow(PositionKey("ann/paper", symbol), "p1", "flatten", "sending", **more)


OWNER = OwnerRow("ann", 8, 1, True)


def texts(desk: Publisher) -> tuple[str | None, str]:
    """The newest alarm, and the letters of all, oldest first."""
    return desk.engine.alarm, "".join(a.text for a in desk.engine.alarms)


@virtual
async def test_a_console_gets_a_snapshot_first_and_then_what_changes_in_sequence():
    desk = hub()
    desk.put_owner(OWNER, [row("BTC")])
    console = desk.subscribe()
    first = await anext(console)
    assert isinstance(first, Snapshot)
    assert [p.key.symbol for p in first.positions] == ["BTC"]
    desk.put_owner(OWNER, [row("BTC", "2"), row("ETH")])
    desk.publish()
    desk.put_log(log(1))
    desk.publish()
    second, third = await anext(console), await anext(console)
    assert isinstance(second, Update)
    assert isinstance(third, Update)
    assert [first.seq + 1, first.seq + 2] == [second.seq, third.seq]
    assert [(p.key.symbol, p.quantity) for p in second.positions] == [("BTC", D(2)), ("ETH", D(1))]
    assert (second.log, third.log) == ((), (log(1),))


@virtual
async def test_what_did_not_change_is_not_sent():
    desk = hub()
    desk.put_owner(OWNER, [row("BTC")])
    desk.publish()
    seq = desk.snapshot().seq
    desk.put_owner(OWNER, [row("BTC")])
    desk.put_engine(desk.engine)
    desk.publish()
    assert desk.snapshot().seq == seq


@virtual
async def test_a_position_that_is_gone_is_said_to_be_gone_once():
    desk = hub()
    desk.put_owner(OWNER, [row("BTC"), row("ETH")])
    console = desk.subscribe()
    await anext(console)
    desk.put_owner(OWNER, [row("ETH", "5")])
    desk.publish()
    update = await anext(console)
    assert isinstance(update, Update)
    assert update.gone_positions == (row("BTC").key,)
    assert [p.key.symbol for p in update.positions] == ["ETH"]
    assert [p.key.symbol for p in desk.snapshot().positions] == ["ETH"]


@virtual
async def test_a_position_that_comes_back_before_it_was_published_is_not_gone():
    desk = hub()
    desk.put_owner(OWNER, [row("BTC")])
    console = desk.subscribe()
    await anext(console)
    desk.put_owner(OWNER, [])
    desk.put_owner(OWNER, [row("BTC", "3")])
    desk.publish()
    update = await anext(console)
    assert isinstance(update, Update)
    assert (update.gone_positions, [p.quantity for p in update.positions]) == ((), [D(3)])


@virtual
async def test_one_owners_positions_never_push_out_anothers():
    desk = hub()
    desk.put_owner(OWNER, [row("BTC")])
    desk.put_owner(structs.replace(OWNER, id="bob"), [row("BTC", owner="bob")])
    desk.put_owner(OWNER, [])
    assert [p.owner for p in desk.snapshot().positions] == ["bob"]


@virtual
async def test_a_console_that_is_too_far_behind_gets_a_snapshot_instead_of_a_flood():
    desk = hub()
    console = desk.subscribe()
    await anext(console)
    for n in range(BACKLOG * 3):
        desk.put_log(log(n))
        desk.publish()
    waiting = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                waiting.append(await anext(console))
        except TimeoutError:
            break
    assert len(waiting) <= BACKLOG + 1
    assert isinstance(waiting[0], Snapshot)
    assert [m.seq for m in waiting] == list(range(waiting[0].seq, waiting[0].seq + len(waiting)))  # type: ignore[union-attr]
    assert waiting[-1].seq == desk.snapshot().seq  # type: ignore[union-attr]


@virtual
async def test_a_report_is_never_lost_however_slow_a_console_is():
    desk = hub()
    console = desk.subscribe()
    await anext(console)
    desk.finished(REPORT)
    for n in range(BACKLOG * 2):
        desk.put_log(log(n))
        desk.publish()
    got = [await anext(console) for _ in range(3)]
    assert REPORT in got
    assert any(isinstance(m, Snapshot) for m in got)


@virtual
async def test_a_report_comes_after_what_led_to_it():
    desk = hub()
    console = desk.subscribe()
    await anext(console)
    desk.put_closing(closing("BTC", outcome="closed"))
    desk.finished(REPORT)
    update, report = await anext(console), await anext(console)
    assert isinstance(update, Update)
    assert update.closings[0].outcome == "closed"
    assert report == REPORT


@virtual
async def test_a_console_that_hung_up_is_not_sent_to_any_more():
    desk = hub()
    console = desk.subscribe()
    await anext(console)
    await console.aclose()  # type: ignore[attr-defined]
    desk.put_log(log(1))
    desk.publish()
    again = await anext(desk.subscribe())
    assert isinstance(again, Snapshot)
    assert again.log == (log(1),)


@virtual
async def test_several_consoles_see_the_same():
    desk = hub()
    one, other = desk.subscribe(), desk.subscribe()
    assert await anext(one) == await anext(other)
    desk.put_account(AccountRow("ann/paper", "ann", "paper", "live"))
    desk.publish()
    assert await anext(one) == await anext(other)


@virtual
async def test_an_alarm_stands_until_somebody_acknowledges_it():
    desk = hub()
    desk.put_engine(structs.replace(desk.engine, alarm="stuck"))
    desk.put_closing(closing("BTC", outcome="stuck", alarm=True))
    desk.acknowledge(closing("BTC").key)
    assert [(c.alarm, c.acknowledged) for c in desk.snapshot().closings] == [(True, True)]
    assert desk.engine.alarm == "stuck"
    desk.acknowledge(None)
    assert desk.engine.alarm is None


@virtual
async def test_one_alarm_is_acknowledged_by_its_text_and_the_others_stay():
    desk = hub()
    rows = tuple(AlarmRow(text, DAWN) for text in "abc")
    desk.put_engine(structs.replace(desk.engine, alarm="c", alarms=rows))
    desk.acknowledge(None, "b")
    assert texts(desk) == ("c", "ac")
    desk.acknowledge(None, "c")
    assert texts(desk) == ("a", "a")
    desk.acknowledge(None, "gone")
    assert texts(desk) == ("a", "a")


@virtual
async def test_a_later_alarm_replaces_no_earlier_one():
    desk = hub()
    log = LogWriter(desk, None, desk._clock, "info")
    for text in ("a", "b", "a"):
        log.say("alarm", text)
    assert texts(desk) == ("a", "ba")


@virtual
async def test_an_alarm_that_is_raised_again_keeps_its_time():
    desk = hub()
    log = LogWriter(desk, None, desk._clock, "info")
    log.say("alarm", "a", "ann/paper")
    await asyncio.sleep(60)
    log.say("alarm", "a", "ann/paper")
    assert desk.engine.alarms == (AlarmRow("a", DAWN, "ann/paper"),)


@virtual
async def test_the_alarms_of_a_position_go_with_it_and_all_others_stay():
    desk = hub()
    log = LogWriter(desk, None, desk._clock, "info")
    desk.put_owner(OWNER, [row("BTC"), row("ETH")])
    action = close_action(key=PositionKey("ann/paper", "BTC"))
    log.say("alarm", "1", action)
    log.say("alarm", "2", action.key)
    log.say("alarm", "3", action, lasts=True)
    log.say("alarm", "4", "ann/paper")
    log.say("alarm", "5", structs.replace(action.key, symbol="ETH"))
    desk.put_owner(OWNER, [row("BTC"), row("ETH")])
    assert texts(desk) == ("5", "12345")
    desk.put_owner(OWNER, [row("ETH")])
    assert texts(desk) == ("5", "345")


@virtual
async def test_a_stuck_close_needs_nobody_once_its_position_is_closed():
    for closed in (True, False):
        desk = hub()
        desk.put_owner(OWNER, [row("BTC"), row("ETH")])
        desk.put_closing(closing("BTC", outcome="stuck", alarm=True))
        desk.put_closing(closing("ETH", outcome="stuck", alarm=True))
        desk.put_owner(OWNER, [row("ETH")], lambda _key, is_closed=closed: is_closed)
        assert [c.acknowledged for c in desk.snapshot().closings] == [closed, False]


@virtual
async def test_acknowledging_what_is_not_there_any_more_hides_no_other_alarm():
    desk = hub()
    desk.put_engine(structs.replace(desk.engine, alarm="stuck"))
    desk.acknowledge(closing("GONE").key)
    assert desk.engine.alarm == "stuck"


@virtual
async def test_memory_is_bounded_and_alarms_that_nobody_saw_are_kept():
    desk = hub()
    desk.put_closing(closing("ALARM", outcome="stuck", alarm=True))
    for n in range(ENDED_KEPT + 20):
        desk.put_closing(closing(f"S{n}", outcome="closed"))
        desk.show_plan(plan(close_action(), id_=f"p{n}"), "done")
    for n in range(LOG_KEPT + 20):
        desk.put_log(log(n))
    shown = desk.snapshot()
    assert len(shown.closings) == ENDED_KEPT + 1
    assert shown.closings[0].key.symbol == "ALARM"
    assert len(shown.plans) == ENDED_KEPT
    assert (len(shown.log), shown.log[-1].seq) == (LOG_KEPT, LOG_KEPT + 19)


@virtual
async def test_a_plan_is_shown_with_what_it_would_do_and_dropped_when_withdrawn():
    desk = hub()
    console = desk.subscribe()
    await anext(console)
    desk.show_plan(plan(close_action()), "waiting")
    desk.publish()
    desk.drop_plan("p1")
    desk.drop_plan("p1")
    desk.publish()
    shown, gone = await anext(console), await anext(console)
    assert isinstance(shown, Update)
    assert isinstance(gone, Update)
    assert (shown.plans[0].closes, shown.plans[0].state) == (1, "waiting")
    assert gone.gone_plans == ("p1",)


@virtual
async def test_listeners_hear_every_line_of_the_log_at_once():
    desk, heard = hub(), list[LogRow]()
    desk.listeners.append(heard.append)
    desk.put_log(log(1))
    assert heard == [log(1)]

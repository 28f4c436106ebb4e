"""An account that cannot be read is in the log: once when it lasts, at once when its keys are refused, and its end."""

from __future__ import annotations

import pytest

from core.engine.outages import PATIENCE, OutageLog
from core.events import AccountChanged, AccountState
from core.link.messages import LogRow
from tests.support.builders import ACCOUNT
from tests.support.virtual_time import virtual
from tests.support.world import QUIET, World


def heard(*events: tuple[float, AccountState, bool]) -> list[str | None]:
    """The level of what each event says; an event is when, which state, and whether the keys were refused."""
    outages = OutageLog()
    lines = (outages.take(AccountChanged(ACCOUNT, s, "no answer in time", refused=r), at) for at, s, r in events)
    return [line and line[0] for line in lines]


LIVE, POLLING, STALE, DOWN = AccountState.LIVE, AccountState.POLLING, AccountState.STALE, AccountState.DOWN
LONG = PATIENCE + 1


@pytest.mark.parametrize("bad", [STALE, DOWN])
def test_what_lasts_is_said_once_and_so_is_its_end(bad: AccountState) -> None:
    told = heard((0, bad, False), (LONG, bad, False), (60, bad, False), (61, POLLING, False), (62, LIVE, False))
    assert told == [None, "warning", None, "info", None]


def test_a_stream_that_is_read_behind_at_once_is_no_news_however_often() -> None:
    assert set(heard(*((n, POLLING if n % 2 else STALE, False) for n in range(60)))) == {None}


def test_refused_keys_are_an_alarm_at_once_and_one() -> None:
    assert heard((0, DOWN, True), (5, STALE, True), (LONG, STALE, False), (60, STALE, True)) == [
        *("alarm", None, None, None)
    ]


def test_keys_refused_in_an_outage_that_was_said_already_are_an_alarm_all_the_same() -> None:
    assert heard((0, DOWN, False), (LONG, DOWN, False), (60, STALE, True)) == [None, "warning", "alarm"]


def test_the_next_outage_is_said_again_and_begins_anew() -> None:
    one = [(0, STALE, False), (LONG, STALE, False), (LONG + 1, LIVE, False)]
    assert heard(*one, (100, STALE, False), (101, STALE, False), (100 + LONG, STALE, False))[3:] == [
        *(None, None, "warning")
    ]


async def said(fault: str, *, lasting: bool = True) -> list[tuple[str, str]]:
    """What an engine says of an account while a fault stands for a minute, and in the minute after it."""
    async with World(lasting=lasting, exits=QUIET) as world:
        lines: list[LogRow] = []
        world.engine.on_log(lines.append)
        world.run()
        await world.clock.sleep(2.0)
        world.faults.probabilities = {fault: 1.0}
        await world.clock.sleep(60.0)
        world.faults.clear()
        await world.clock.sleep(60.0)
        return [(row.level, row.text) for row in lines if "read" in row.text and row.account == ACCOUNT]


@virtual
async def test_a_service_says_which_account_it_cannot_read_and_when_it_can_again() -> None:
    (first, lost), (last, found) = await said("read_fails")
    assert (first, last) == ("warning", "info")
    assert lost.startswith(f"{ACCOUNT} cannot be read, no stop is watched there: ")
    assert found.startswith(f"{ACCOUNT} is read again, after ")


@virtual
async def test_keys_that_are_revoked_under_a_service_are_an_alarm() -> None:
    (first, _), (last, _) = await said("auth")
    assert (first, last) == ("alarm", "info")


@virtual
async def test_a_command_that_ends_says_it_in_its_output_and_not_in_the_log() -> None:
    assert await said("auth", lasting=False) == []

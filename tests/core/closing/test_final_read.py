"""The reads after a plan: a position that another plan closed is flat only if two reads say so."""

from __future__ import annotations

import pytest

from core.closing.final_read import read_finally
from core.model import PositionKey
from core.orders.account_reader import AccountReader
from core.plans.results import ResultRow
from tests.support.builders import ACCOUNT, holdings
from tests.support.fake_broker import FakeBroker
from tests.support.virtual_time import VirtualClock, virtual


@virtual
@pytest.mark.parametrize(("joined", "reads"), [(True, 2), (False, 1)])
async def test_a_position_that_another_plan_closed_is_read_twice(joined: bool, reads: int):
    broker, clock = FakeBroker(holdings=[holdings()]), VirtualClock()
    readers = {ACCOUNT: AccountReader(broker, clock, lambda _: None)}
    row = ResultRow(PositionKey(ACCOUNT, "GONE"), "close", "changed", joined=joined)
    found = await read_finally(readers, clock, [row], spared=set())
    assert found[ACCOUNT] is not None
    assert broker.calls["holdings"] == reads

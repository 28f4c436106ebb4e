"""An answer that is kept: asked for beside the reads, so that a slow or failed question delays nothing else."""

from __future__ import annotations

import asyncio

import pytest

from brokers.sharing import KeptAnswer
from core.errors import OutcomeUnknown
from tests.support.virtual_time import VirtualClock, virtual


class Source:
    """A source that numbers its answers, takes ``seconds`` for each, and fails while ``error`` is set."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.error: Exception | None = None
        self.asked = 0

    async def ask(self) -> int:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.asked


def kept(source: Source) -> KeptAnswer[int]:
    return KeptAnswer(source.ask, VirtualClock(), keep=60.0, again=5.0)


@virtual
async def test_the_first_answer_is_waited_for_and_then_kept() -> None:
    source = Source()
    source.seconds = 2.0
    answer = kept(source)
    assert await answer.get(3.0) == 1
    await asyncio.sleep(58)
    assert await answer.get(3.0) == 1
    await asyncio.sleep(1)
    assert await answer.get(3.0) == 1  # the old answer serves while the new one is on its way
    await asyncio.sleep(2)
    assert await answer.get(3.0) == 2


@virtual
async def test_nobody_waits_longer_than_their_patience_nor_after_a_failure() -> None:
    source, loop = Source(), asyncio.get_running_loop()
    source.seconds, source.error = 10.0, OutcomeUnknown("time-out")
    answer = kept(source)
    began = loop.time()
    assert await answer.get(3.0) is None
    assert loop.time() - began == pytest.approx(3)
    await asyncio.sleep(8)
    assert answer.flaw == "time-out"
    began = loop.time()
    assert await answer.get(3.0) is None
    await asyncio.sleep(5)
    assert await answer.get(3.0) is None
    assert loop.time() - began == pytest.approx(5)
    await asyncio.sleep(0)
    assert source.asked == 2
    await answer.aclose()


@virtual
async def test_a_failure_keeps_the_last_answer_and_an_answer_ends_the_failure() -> None:
    source = Source()
    answer = kept(source)
    await answer.get(1.0)
    source.error = ValueError("a fault in the adapter")
    await asyncio.sleep(61)
    answer.refresh()
    await asyncio.sleep(0.1)
    assert (answer.value, answer.flaw) == (1, "a fault in the adapter")
    source.error = None
    await asyncio.sleep(6)
    answer.refresh()
    await asyncio.sleep(0.1)
    assert (answer.value, answer.flaw) == (3, "")


@virtual
async def test_a_due_answer_is_asked_for_at_once() -> None:
    source = Source()
    source.seconds = 1.0
    answer = kept(source)
    await answer.get(2.0)
    assert await answer.get(2.0, due=True) == 2

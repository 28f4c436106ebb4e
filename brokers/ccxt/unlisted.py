"""The parts of one account that no list covers, by the exchange's own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

from brokers.ccxt.exchanges.proofs import Question
from brokers.ccxt.wire_errors import NoSuchCall
from brokers.sharing import KeptAnswer
from core.errors import OutcomeUnknown, Refusal, Refused, Unreachable
from core.ports import Clock

EVERY, AGAIN = 60.0, 15.0  # seconds to the next question, also after a failure: a part can be used at any time
PATIENCE = 3.0  # seconds that the first read waits
WAITS = (0.3, 0.6)  # seconds before a lost question is repeated
STANDS = 600.0  # seconds for which an earlier answer stands while the exchange cannot be asked
TRANSIENT = (Refusal.RATE_LIMITED, Refusal.BANNED, Refusal.CLOCK)
NEVER_USED = "transfer funds first"
Ask = Callable[..., Awaitable[Any]]
Parts = tuple[str, ...]


def refused_part(what: str, params: Mapping[str, Any], refused: Refused) -> Parts:
    """Return the part that an exchange refuses to list; empty if the account never had it. Raises if it is asked again.

    Gate says ``please transfer funds first`` of a part that was never used.
    """
    if refused.refusal in TRANSIENT:
        raise refused
    return () if NEVER_USED in str(refused).lower() else (named_part(what, params, str(refused)),)


def named_part(what: str, params: Mapping[str, Any], why: str) -> str:
    """Return a list that cannot be read in words for a person, with the parameters that tell it from other lists."""
    words = ", ".join("conditional" if key == "trigger" else str(value) for key, value in params.items())
    return f"{what} ({words}: {why})" if words else f"{what} ({why})"


class UnlistedParts:
    """Asks the questions of one account beside its reads, and keeps the answers for a while."""

    def __init__(self, questions: Sequence[Question], ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._proven: dict[Question, tuple[float, Parts]] = {}  # the last answers
        self._kept = {q: KeptAnswer(partial(self._asked, q), clock, keep=EVERY, again=AGAIN) for q in questions}

    @property
    def parts(self) -> Parts:
        """All parts that no list covers, held or not."""
        return tuple(dict.fromkeys(part for question in self._kept for part in question.parts))

    async def read(self) -> Parts:
        """Return the parts that hold something or did not prove to be empty. Never raises a FlatdeckError."""
        await asyncio.gather(*(kept.get(PATIENCE) for kept in self._kept.values()))
        known = [q.parts if k.flaw or k.value is None else k.value for q, k in self._kept.items()]
        return tuple(dict.fromkeys(part for parts in known for part in parts))

    async def _asked(self, question: Question) -> Parts:
        try:
            told = await self._told(question)
        except NoSuchCall:  # a test network or a simulated exchange, which has only the parts that its calls serve
            return ()
        except Refused as refused:
            if NEVER_USED not in str(refused).lower():
                raise
            return ()
        except (OutcomeUnknown, Unreachable):
            at, before = self._proven.get(question, (-inf, ()))
            if self._clock.monotonic() - at >= STANDS:
                raise
            return before
        self._proven[question] = self._clock.monotonic(), told
        return told

    async def _told(self, question: Question) -> Parts:
        for wait in WAITS:
            try:
                return question.told(await self._ask(question.method, question.params()))
            except NoSuchCall:
                raise
            except (OutcomeUnknown, Unreachable):
                await self._clock.sleep(wait)
        return question.told(await self._ask(question.method, question.params()))

    async def aclose(self) -> None:
        await asyncio.gather(*(kept.aclose() for kept in self._kept.values()))

"""The kind of an account where we know only the calls of a classic account, not of a unified one (KuCoin)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from brokers.ccxt import wire
from brokers.ccxt.settings import ExchangeSettings
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused

EVERY = 60.0  # seconds
UNIFIED = "a unified account of {}, whose calls are others than those that are known here; have it be a classic one"


class AccountKind:
    """One account's kind. An account can become unified at any time."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._classic_at: float | None = None  # when the venue last said that the account is not unified

    async def check(self, ask: Callable[..., Awaitable[Any]], question: str, now: float) -> None:
        """Raise Refused for a unified account, whose classic lists say nothing.

        Another host answers this question. If it fails, an earlier answer stands. ``uta = false`` in the
        configuration's options turns the question off, and so does an empty ``question``.
        """
        settings, before = self._settings, self._classic_at
        unasked = not question or settings.options.get("uta") is False
        if unasked or (before is not None and now - before < EVERY):
            return
        try:
            answer = await ask(question)
        except FlatdeckError:
            if before is None:
                raise
            return
        kind = wire.text(wire.inner(answer, "data"), "selfAccountMode") if isinstance(answer, dict) else ""
        if kind == "UNIFIED":
            self._classic_at = None
            raise Refused(Refusal.UNSUPPORTED, UNIFIED.format(settings.exchange))
        if not kind:
            raise OutcomeUnknown(f"{settings.exchange} does not tell what kind of account this is")
        self._classic_at = now

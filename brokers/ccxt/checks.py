"""The checks of ``flatdeck check`` at an exchange.

Each check is independent: a failed check does not hide the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from brokers.ccxt.client import Client
from brokers.ccxt.reads import AccountReads
from brokers.ccxt.settings import CREDENTIALS, IDENTIFIERS, ExchangeSettings
from core.errors import FlatdeckError, Refusal, Refused, explain
from core.events import BrokerEvent
from core.ports import Capabilities, Check

MOST_SKEW = 1.0  # seconds. Binance accepts a request that is one second ahead; every signed request carries the time.
STREAM_TIME = 8.0
WITHDRAWS = "these keys may withdraw or transfer: make ones that may only read and trade"
UNTOLD = "cannot verify: {} does not tell what these keys may do; see to it there that they may not withdraw"

Streaming = Callable[[], AsyncGenerator[BrokerEvent, None]]
# The raw call that tells the permissions of a key. Kraken's and Coinbase's other kinds of keys tell nothing.
RIGHTS = {
    "binance": "sapiGetAccountApiRestrictions",
    "binanceusdm": "sapiGetAccountApiRestrictions",
    "bybit": "privateGetV5UserQueryApi",
    "okx": "privateGetAccountConfig",
    "coinbase": "v3PrivateGetBrokerageKeyPermissions",
    "kucoinfutures": "privateGetUserApiKey",
}


async def run_checks(client: Client, reads: AccountReads, able: Capabilities, stream: Streaming) -> list[Check]:
    """Run all checks, credentials first: without credentials no other check is possible."""
    try:
        found = await reads.holdings()
    except Refused as refused:
        if refused.refusal is Refusal.CLOCK:
            return [Check("credentials", ok=None, text=f"cannot verify: {refused}"), await _clock(client)]
        if refused.refusal is not Refusal.AUTH:
            raise
        return [Check("credentials", ok=False, text=f"{client.settings.exchange} does not take them: {refused}")]
    held = f"{len(found.positions)} positions, {len(found.orders)} open orders"
    place = "sandbox" if client.settings.sandbox else "real money"
    results = [Check("credentials", ok=True, text=f"{held}, {place}"), await _rights(client), await _clock(client)]
    results.append(_limits(client))
    if found.unlisted:
        said = "; ".join(found.unlisted)
        results.append(Check("lists", ok=None, text=f"PARTIAL: not listed here, see to it at the exchange: {said}"))
    elif reads.proven_empty:
        text = f"whole: the exchange says that there is nothing in {', '.join(reads.proven_empty)}"
        results.append(Check("lists", ok=True, text=text))
    if reads.unread:
        results.append(Check("derivatives", ok=None, text=f"not listed for this account: {reads.unread}"))
    return [*results, *_able(able), await _stream(client, able, stream)]


def missing(exchange: Any) -> list[str]:
    """Return the credentials that the exchange requires and the account lacks, by ccxt's names."""
    needed = exchange.requiredCredentials or {}
    return [name for name, is_needed in needed.items() if is_needed and not getattr(exchange, name, None)]


def needs(settings: ExchangeSettings, lacking: Sequence[str]) -> list[str]:
    """Return the sentence about credentials that the configuration lacks, if any, in the configuration's words."""
    words = {name: key for key, name in (CREDENTIALS | IDENTIFIERS).items()}
    return [f"{settings.exchange} needs {', '.join(words.get(name, name) for name in lacking)}, too"] if lacking else []


async def _rights(client: Client) -> Check:
    name = client.settings.exchange
    if name not in RIGHTS:
        return Check("permissions", ok=None, text=UNTOLD.format(name))
    try:
        answer = await client.ask_exchange(RIGHTS[name])
    except FlatdeckError as error:
        return Check("permissions", ok=None, text=f"cannot verify: {error}")
    may = may_withdraw(name, answer if isinstance(answer, dict) else {})
    if may is None:
        return Check("permissions", ok=None, text=UNTOLD.format(name))
    if may and client.settings.allow_withdraw:
        return Check("permissions", ok=None, text="these keys may withdraw or transfer, which the configuration allows")
    return Check("permissions", ok=not may, text=WITHDRAWS if may else "these keys may not withdraw or transfer")


def may_withdraw(exchange: str, answer: Mapping[str, Any]) -> bool | None:
    """Return whether the key may withdraw or transfer; None if the exchange's answer does not tell."""
    flags: list[Any]
    if exchange.startswith("binance"):
        keys = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")
        flags = [answer.get(key) for key in keys]
        if answer.get("enableWithdrawals") is None:
            return None
    elif exchange == "coinbase":
        flags = [answer.get("can_transfer")]
    elif exchange == "okx":
        rows = answer.get("data")
        word = rows[0].get("perm") if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
        return "withdraw" in word if isinstance(word, str) else None
    elif exchange == "kucoinfutures":
        data = answer.get("data")
        word = data.get("permission") if isinstance(data, dict) else None
        low = word.lower() if isinstance(word, str) else None
        return "withdraw" in low or "transfer" in low if low is not None else None
    else:
        result = answer.get("result")
        rights = result.get("permissions") if isinstance(result, dict) else None
        return bool(rights.get("Wallet")) if isinstance(rights, dict) else None
    told = [flag for flag in flags if isinstance(flag, bool)]
    return any(told) if told else None


async def _clock(client: Client) -> Check:
    """Compare the clocks by the exchange's own time, else by the date of its answers (exact to a second)."""
    if client.has("fetchTime"):
        try:
            before = client.milliseconds()
            there = await client.ask_exchange("fetch_time")
            here = (before + client.milliseconds()) / 2
        except FlatdeckError as error:
            return Check("clock", ok=None, text=f"cannot verify: {error}")
        skew = (int(there) - here) / 1000 if isinstance(there, int | str) else None
    else:
        skew = client.skew
    if skew is None:
        return Check("clock", ok=None, text=f"{client.settings.exchange} sent no time")
    return Check("clock", ok=abs(skew) <= MOST_SKEW, text=f"this machine and the exchange are {abs(skew):.1f} s apart")


def _limits(client: Client) -> Check:
    limiter = client.limiters[0]
    whose = "all accounts at this address" if client.settings.by_address else "this account"
    text = (
        f"{max(limiter.left, 0):.0f} of {limiter.capacity:.0f} units left for {whose}, {limiter.per_second:g} a second"
    )
    return Check("limits", ok=limiter.left > 0, text=text)


def _able(able: Capabilities) -> list[Check]:
    tiers = ", ".join(sorted(tier.value for tier in able.tiers)) or "none"
    stops = "can rest at the exchange" if able.protective_stops else "cannot rest at the exchange from here"
    return [
        Check("tiers", ok=bool(able.tiers), text=f"a position can be closed by {tiers}"),
        Check("protective stops", ok=True if able.protective_stops else None, text=stops),
    ]


async def _stream(client: Client, able: Capabilities, stream: Streaming) -> Check:
    """Open the stream and wait for its first event."""
    if not able.streams:
        return Check("stream", ok=None, text="off; the account is polled")
    try:
        async with asyncio.timeout(STREAM_TIME), aclosing(stream()) as events:
            async for _ in events:
                break
    except (FlatdeckError, TimeoutError) as error:
        return Check("stream", ok=False, text=explain(error))
    return Check("stream", ok=True, text="logged in")

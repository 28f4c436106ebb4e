"""The checks of ``flatdeck check`` at Alpaca. The checks are separate: a failed check does not hide the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from brokers.alpaca import wire
from brokers.alpaca.client import Client
from brokers.alpaca.market_hours import MarketHours
from brokers.alpaca.prices import Prices
from core.errors import FlatdeckError, Refusal, Refused, explain
from core.events import BrokerEvent
from core.ports import Check
from core.units import iso

MOST_SKEW = 5.0  # seconds; Alpaca signs nothing with the time, but ages and sessions depend on the clock
SAMPLE = "SPY"
STREAM_TIME = 8.0
ACTIVE = ("ACTIVE", "PAPER_ONLY", "ACCOUNT_UPDATED", "APPROVED")

Streaming = Callable[[], AsyncGenerator[BrokerEvent, None]]


async def run(client: Client, prices: Prices, market: MarketHours, stream: Streaming, paper: bool) -> list[Check]:
    """Run the checks, credentials first: without valid credentials no other check can run.

    The credentials are wrong where every endpoint refuses them. An account that is not told is a check of its own.
    """
    account, flaw = {}, ""
    try:
        row = await client.get("/v2/account")
        account = row if isinstance(row, dict) else {}
    except FlatdeckError as error:
        flaw = str(error)
        try:
            await client.get("/v2/positions")
        except Refused as refused:
            if refused.refusal is not Refusal.AUTH:
                raise
            hint = "these may be keys of the real account" if paper else "keys of a paper account need paper = true"
            return [Check("credentials", ok=False, text=f"{refused}; {hint}")]
    number = wire.text(account, "account_number") or wire.text(account, "id") or "unknown"
    return [
        Check("credentials", ok=True, text=f"account {number}, {'paper' if paper else 'real'} money"),
        Check("account", ok=None, text=f"not told: {flaw}") if flaw else _standing(account),
        _day_trades(account),
        Check("permissions", ok=None, text="Alpaca does not tell whether these keys may withdraw"),
        _skew(client.skew),
        _limit(client),
        await _hours(market),
        await _data(prices),
        await _stream(client, stream),
    ]


def _standing(row: wire.Row) -> Check:
    """Check whether the account may trade at all."""
    status = wire.text(row, "status")
    flags = {
        "account_blocked": "the account is blocked",
        "trading_blocked": "trading is blocked",
        "trade_suspended_by_user": "trading is suspended by the account's own setting",
    }
    wrong = [said for flag, said in flags.items() if row.get(flag) is True]
    if status and status not in ACTIVE:
        wrong.append(f"its status is {status}")
    return Check("account", ok=not wrong, text="; ".join(wrong) or f"active, equity {row.get('equity', 'unknown')} USD")


def _day_trades(row: wire.Row) -> Check:
    """Check the day-trade protection, which may refuse to close a position opened today."""
    count = row.get("daytrade_count")
    trades = f"{count} day trades in five days" if isinstance(count, int) else "number of day trades unknown"
    if row.get("pattern_day_trader") is True:
        return Check("day trading", ok=None, text=f"marked as a pattern day trader, {trades}: closes may be refused")
    return Check("day trading", ok=True, text=trades)


def _skew(skew: float | None) -> Check:
    if skew is None:
        return Check("clock", ok=None, text="Alpaca sent no time")
    text = f"this machine and Alpaca are {abs(skew):.0f} s apart"
    return Check("clock", ok=abs(skew) <= MOST_SKEW, text=text)


def _limit(client: Client) -> Check:
    left = "unknown how many are" if client.remaining is None else f"{client.remaining}"
    ok = None if client.remaining is None else client.remaining > 0
    return Check("limits", ok=ok, text=f"{left} left of {client.limiter.limit} requests a minute")


async def _hours(market: MarketHours) -> Check:
    now = await market.hours()
    if market.flaw:
        return Check("market", ok=None, text=f"{market.flaw}; closes are sent")
    if now.is_open:
        return Check("market", ok=True, text="open")
    return Check("market", ok=None, text=f"closed until {iso(now.opens_at)}" if now.opens_at else "closed")


async def _data(prices: Prices) -> Check:
    """Check whether the account gets quotes of equities. Without quotes, Alpaca's own mark of a position is used."""
    found = await prices.quotes([SAMPLE])
    if prices.errors:
        said = "; ".join(f"{kind.value}: {error}" for kind, error in prices.errors.items())
        return Check("prices", ok=None, text=f"no quotes ({said}), Alpaca's mark of a position is used")
    return Check("prices", ok=True, text=f"quotes arrive ({SAMPLE})" if found else f"no quote of {SAMPLE} now")


async def _stream(client: Client, stream: Streaming) -> Check:
    """Log in on the account's stream and wait for the first event."""
    if not client.hosts.stream:
        return Check("stream", ok=None, text="off; the account is polled")
    try:
        async with asyncio.timeout(STREAM_TIME), aclosing(stream()) as events:
            async for _ in events:
                break
    except (FlatdeckError, TimeoutError) as error:
        return Check("stream", ok=False, text=explain(error))
    return Check("stream", ok=True, text="logged in")

"""Books, holdings and settings in a few words: several accounts, a price of 100, the user's orders at 120."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from core.events import AccountChanged, AccountState, BrokerEvent, HoldingsRead, QuoteSeen
from core.ids import client_order_id, is_ours
from core.model import (
    Holdings,
    Instrument,
    Leg,
    Order,
    OrderType,
    Position,
    PositionKey,
    Quote,
    Tier,
)
from core.plans import planner
from core.plans.plan import Plan, Reason
from core.plans.planner import Situation
from core.plans.request import PlanRequest
from core.portfolio.book import Book
from core.portfolio.holding import Holding
from core.settings import AccountSettings, CleanupSettings, ExitSettings, OwnerSettings, Settings, same_exits
from tests.support import builders

D = Decimal
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
COINBASE, KRAKEN = "user_123/coinbase", "user_123/kraken"
PLATFORM = "platform/coinbase"
TIERS = (Tier.MARKET_IOC, Tier.MARKET_GTC)
OURS = client_order_id("ab12", "p1", PositionKey(COINBASE, "BTC-USD"), 0, "restore", 0)


def instrument(symbol: str = "BTC-USD", **rules: object) -> Instrument:
    """Permissive unless a rule is given; numbers as text."""
    return builders.build(Instrument, symbol=symbol, **{"native_symbol": symbol, **rules})


def position(symbol: str = "BTC-USD", quantity: str = "1", **more: object) -> Position:
    given = {"account": COINBASE, "entry": "100", "leverage": "1", **more}
    return builders.position(quantity, symbol=symbol, **given)


def order(id_: str = "o1", symbol: str = "BTC-USD", *, quantity: str = "1", **more: object) -> Order:
    given = {"account": COINBASE, "type": OrderType.LIMIT, "price": "120", **more}
    return builders.order(id_, quantity, symbol=symbol, **given)


def quote(symbol: str = "BTC-USD", price: str = "100", *, account: str = COINBASE, received: float = 0.0) -> Quote:
    """No spread: what a close gets is the mark."""
    return Quote(account, symbol, received, bid=D(price), ask=D(price), last=D(price))


def reading(
    account: str,
    *positions: Position,
    orders: Iterable[Order] = (),
    instruments: Iterable[Instrument] = (),
    asked: float = 0.0,
    received: float | None = None,
    equity: Decimal | None = None,
) -> HoldingsRead:
    """A complete read that took half a second."""
    got = asked + 0.5 if received is None else received
    return HoldingsRead(Holdings(account, asked, got, positions, tuple(orders), tuple(instruments), equity))


def a_book(*accounts: str, live: bool = True, exits: ExitSettings | None = None) -> Book:
    """An empty book; ``live`` accounts become readable with their first read."""
    book = Book([builders.account(a) for a in accounts], is_ours, same_exits(exits or ExitSettings()))
    for a in accounts if live else ():
        book.apply(AccountChanged(a, AccountState.LIVE), NOW)
    return book


def told(book: Book, *events: BrokerEvent) -> Book:
    for event in events:
        book.apply(event, NOW)
    return book


def stocked(book: Book, at: str, values: Mapping[str, str | None], orders: Iterable[Order] = ()) -> Book:
    """One position per symbol, worth that many dollars; None leaves it without a price."""
    told(book, reading(at, *(position(s, account=at) for s in values), orders=orders))
    return told(book, *(QuoteSeen(quote(s, v, account=at)) for s, v in values.items() if v is not None))


def holding(
    symbol: str = "BTC-USD",
    value: str | None = "100",
    *,
    account: str = COINBASE,
    pnl: str | None = "0",
    opened_at: datetime | None = NOW,
    orders: tuple[Order, ...] = (),
    ours: tuple[Order, ...] = (),
    quantity: str = "1",
    price: str | None = None,
    rules: Instrument | None = None,
    spread: str | None = None,
    flaw: str = "",
    leg: Leg = Leg.NET,
) -> Holding:
    """As the book would hand it out; ``price`` is the value unless told otherwise."""
    per_unit = value if price is None else price
    return Holding(
        account.partition("/")[0],
        position(symbol, quantity, account=account, opened_at=opened_at, leg=leg),
        rules or instrument(symbol),
        orders,
        ours,
        price=None if per_unit is None else D(per_unit),
        mark=None if per_unit is None else D(per_unit),
        value=None if value is None else D(value),
        pnl=None if pnl is None else D(pnl),
        spread=None if spread is None else D(spread),
        flaw=flaw or ("no price" if value is None else ""),
    )


def settings_of(
    *accounts: str, caps: Mapping[str, int] | None = None, cleanup: CleanupSettings | None = None
) -> Settings:
    """Owners in the order in which their accounts come."""
    owners = dict.fromkeys(a.partition("/")[0] for a in accounts)
    return Settings(
        cleanup=cleanup or CleanupSettings(),
        owners=tuple(
            OwnerSettings(
                o,
                tuple(AccountSettings(a, o, a.partition("/")[2], "paper") for a in accounts if a.startswith(f"{o}/")),
                (caps or {}).get(o),
            )
            for o in owners
        ),
    )


def situation_of(
    book: Book,
    *,
    monotonic: float = 1.0,
    first_run: bool = True,
    blocked: Mapping[str, tuple[Reason, str]] | None = None,
) -> Situation:
    """Every account takes the same tiers."""
    return Situation(
        now=NOW,
        monotonic=monotonic,
        tiers=dict.fromkeys(book.accounts, TIERS),
        blocked=dict(blocked or {}),
        first_run=first_run,
    )


def plan_of(book: Book, settings: Settings, request: PlanRequest, **changes: object) -> Plan:
    return planner.make("p1", request, settings, book, situation_of(book, **changes))  # type: ignore[arg-type]  # by name

"""The gate before a new position, and the sizes and prices of what may pass it. Pure.

Opening adds risk, so the gate is the opposite of a close: what is not known refuses. An account of the owner that
cannot be read might hold the symbol or fill the cap, and then nothing is opened. Entries that are on their way count
as if they were positions, from the record of their approval to the record of their end, so that any number of them
begun at once stays below the cap.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from core.errors import FlatdeckError
from core.model import Instrument, InstrumentKey, OrderSide, PositionKey, Quote, Side
from core.records import EntryApproved
from core.settings import EntrySettings
from core.units import ONE, ZERO, floor_to, percent, plain, round_price

MAX_LEVERAGE = Decimal(125)
LIMIT_WAIT = 30.0  # seconds in which a limit order may be filled before the rest of it is withdrawn


class Code(Enum):
    """Why an entry is refused."""

    AMOUNT = "amount"
    LEVERAGE = "leverage"
    STOP_LOSS = "stop_loss"
    UNKNOWN_SYMBOL = "unknown_symbol"
    CLOSING = "closing"
    POSITION_EXISTS = "position_exists"
    ENTRY_PENDING = "entry_pending"
    DUPLICATE_SIGNAL = "duplicate_signal"
    CAP_REACHED = "cap_reached"
    ACCOUNT_UNREADABLE = "account_unreadable"
    ACCOUNT_FROZEN = "account_frozen"
    NOT_TRADABLE = "not_tradable"
    NO_PRICE = "no_price"
    BELOW_MINIMUM = "below_minimum"
    NO_POSITION = "no_position"  # there is nothing to scale
    SEVERAL_POSITIONS = "several_positions"  # hedge mode holds one of each side: which is meant?
    HELD = "held"  # open orders hold what would be sold
    CHANGED = "changed"  # it is not what was shown any more


class Rejection(Struct, frozen=True):
    """A refusal: the code for programs, one sentence for a person."""

    code: Code
    text: str


class NotAllowed(FlatdeckError):
    """The gate refused; nothing was sent."""

    def __init__(self, no: Rejection) -> None:
        super().__init__(no.text)
        self.code = no.code


class EntryRequest(Struct, frozen=True):
    """What somebody wants to open. Without an account every account of the owner is meant."""

    owner: str
    symbol: str
    side: OrderSide
    amount: Decimal
    leverage: Decimal
    stop_pct: Decimal
    account: str | None = None


class GateInput(Struct, frozen=True):
    """What is known of an owner at the moment of asking."""

    now: datetime
    cap: int
    counted: int  # positions that count against the cap
    accounts: tuple[str, ...]
    held: frozenset[InstrumentKey] = frozenset()
    closing: frozenset[InstrumentKey] = frozenset()
    pending: tuple[EntryApproved, ...] = ()  # approved and not ended, of any owner
    signals: dict[tuple[str, str, OrderSide], datetime] = {}  # when each was last approved
    unreadable: dict[str, str] = {}
    frozen: dict[str, str] = {}
    duplicate_window: float = EntrySettings().duplicate_window  # seconds; 0: the same again is no repetition
    unknown_at: dict[str, str] = {}  # accounts whose venue says that there is no such symbol


def validate(signal: EntryRequest, scene: GateInput) -> Rejection | None:
    """The first reason why this may not be opened, or None when it may."""
    return next(iter(refusals(signal, scene)), None)


def refusals(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    """Every reason why this may not be opened: what is wrong with it, then what speaks against it, then what is
    not known."""
    found = [*_parameters(signal), *_symbol(signal, scene), *_taken(signal, scene), *_room(signal, scene)]
    return [*found, *access(scene, signal.account)]


def _parameters(signal: EntryRequest) -> list[Rejection]:
    found = []
    if not signal.amount.is_finite() or signal.amount <= 0:
        found.append(Rejection(Code.AMOUNT, f"the amount must be more than 0, not {plain(signal.amount)}"))
    if not ONE <= signal.leverage <= MAX_LEVERAGE:
        text = f"the leverage must be from 1 to {MAX_LEVERAGE}, not {plain(signal.leverage)}"
        found.append(Rejection(Code.LEVERAGE, text))
    if not ZERO < signal.stop_pct < ONE:
        text = f"the stop-loss must be a fraction between 0 and 1 (0.05 is 5 %), not {plain(signal.stop_pct)}"
        found.append(Rejection(Code.STOP_LOSS, text))
    return found


def _symbol(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    """Refused where every account that is meant says that there is no such symbol."""
    meant = [signal.account] if signal.account else list(scene.accounts)
    if meant and all(a in scene.unknown_at for a in meant):
        return [Rejection(Code.UNKNOWN_SYMBOL, f"{signal.symbol} is not known at {', '.join(meant)}")]
    return []


def _taken(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    """At most one position of an owner in a symbol, and nothing under way in it."""
    found, symbol = [], signal.symbol
    for account, _ in sorted(place for place in scene.closing if place[1] == symbol):
        found.append(Rejection(Code.CLOSING, f"a close of {symbol} is in progress on {account}"))
    for account, _ in sorted(place for place in scene.held if place[1] == symbol):
        found.append(Rejection(Code.POSITION_EXISTS, f"{signal.owner} holds {symbol} already, on {account}"))
    if any(e.owner == signal.owner and e.key.symbol == symbol for e in scene.pending):
        found.append(Rejection(Code.ENTRY_PENDING, f"an entry of {signal.owner} in {symbol} is on its way"))
    last = scene.signals.get((signal.owner, symbol, signal.side))
    window = scene.duplicate_window
    if window and last is not None and (scene.now - last).total_seconds() < window:
        ago = max((scene.now - last).total_seconds(), 0)
        text = f"{signal.side.value} {symbol} was signalled {ago:.0f} s ago; the same again counts after {window:.0f} s"
        found.append(Rejection(Code.DUPLICATE_SIGNAL, text))
    return found


def _room(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    on_the_way = arriving(signal.owner, scene)
    if scene.counted + on_the_way < scene.cap:
        return []
    more = f" and {on_the_way} on the way" if on_the_way else ""
    return [
        Rejection(Code.CAP_REACHED, f"{signal.owner} has {scene.counted} positions{more}, and may have {scene.cap}")
    ]


def arriving(owner: str, scene: GateInput) -> int:
    """New positions of an owner on their way that are not among those held yet."""
    entries = {e.plan: e.key.instrument for e in scene.pending if e.owner == owner and e.what == "open"}
    return sum(place not in scene.held for place in entries.values())


def access(scene: GateInput, account: str | None) -> list[Rejection]:
    """Every account of the owner must be readable; the one that is meant, or at least one, must not be frozen."""
    found = [
        Rejection(Code.ACCOUNT_UNREADABLE, f"{a} cannot be read: {why}") for a, why in sorted(scene.unreadable.items())
    ]
    meant = [account] if account else list(scene.accounts)
    if not meant:
        found.append(Rejection(Code.ACCOUNT_UNREADABLE, "the owner has no account"))
    elif all(a in scene.frozen for a in meant):
        found.append(Rejection(Code.ACCOUNT_FROZEN, f"{meant[0]} is frozen: {scene.frozen[meant[0]]}"))
    return found


class EntryDraft(Struct, frozen=True):
    """What would be sent. ``kind``: open, scale_in, scale_out, or close where a scaling takes all of it."""

    kind: str
    owner: str
    key: PositionKey
    side: OrderSide
    quantity: Decimal
    asked: Decimal
    reference: Decimal | None = None  # about what it will trade at
    price: Decimal | None = None  # of a limit order
    leverage: Decimal | None = None
    stop_pct: Decimal | None = None
    before: Decimal = ZERO  # what is held
    entry: Decimal | None = None  # of what is held
    reduce_only: bool = False
    warnings: tuple[str, ...] = ()

    def binding(self) -> tuple[object, ...]:
        """The part that a confirmation binds. A limit's price is sent as it was shown."""
        limit = self.price is not None
        return self.kind, self.key, self.side, self.quantity, limit, self.leverage, self.stop_pct, self.before


def sized(
    asked: Decimal, instrument: Instrument, price: Decimal | None, *, exempt: bool = False
) -> tuple[Decimal, str]:
    """``asked`` on the venue's step; a size below the minimum is raised to the minimum, with a warning that says so.

    Where the venue exempts the order from its minimum, that is one step.
    """
    quantity = floor_to(asked, instrument.step)
    least = instrument.step if exempt else minimum(instrument, price)
    if quantity >= least and quantity > 0:
        return quantity, ""
    return least, f"{plain(asked)} is below the venue's minimum and is raised to it: {plain(least)}"


def minimum(instrument: Instrument, price: Decimal | None) -> Decimal:
    """The least quantity that the venue takes, by its own minimum and by its minimum cost at ``price``."""
    least = max(instrument.min_quantity, instrument.step)
    if price is not None and price > 0 and instrument.min_cost > 0:
        least = max(least, instrument.min_cost / (price * instrument.multiplier))
    return round_price(least, instrument.step, up=True)


def limit_price(side: OrderSide, quote: Quote, tick: Decimal, offset: Decimal) -> Decimal | None:
    """``offset``, a fraction, on the passive side of the touch: below the bid to buy, above the ask to sell."""
    touch = quote.bid if side is OrderSide.BUY else quote.ask
    base = touch if touch is not None else quote.reference
    return None if base is None else round_price(base * (1 - side.sign * offset), tick, up=side is OrderSide.SELL)


def taking_price(side: OrderSide, quote: Quote) -> Decimal | None:
    """About what a market order on ``side`` trades at."""
    touch = quote.ask if side is OrderSide.BUY else quote.bid
    return touch if touch is not None else quote.reference


def averaged(entry: Decimal | None, held: Decimal, price: Decimal | None, added: Decimal) -> Decimal | None:
    """The entry after adding to a position: weighted by quantity; unknown when either is. Reducing keeps it."""
    if held <= 0:
        return price
    if entry is None or price is None:
        return None
    return (entry * held + price * added) / (held + added)


def realised(
    side: Side, entry: Decimal | None, price: Decimal | None, quantity: Decimal, multiplier: Decimal
) -> Decimal | None:
    """P&L of the part that was taken off, in the instrument's currency, without fees; unknown without an entry."""
    if entry is None or price is None:
        return None
    return side.sign * (price - entry) * quantity * multiplier


def direction(side: OrderSide) -> Side:
    """What an order opens."""
    return Side.LONG if side is OrderSide.BUY else Side.SHORT


def begun(entry: EntryApproved) -> str:
    """The line that opens an entry."""
    at = "at the market" if entry.price is None else f"at {plain(entry.price)}"
    stop = f", stop-loss {percent(entry.stop_pct)} %" if entry.stop_pct is not None else ""
    what = f"{entry.side.value} {plain(entry.quantity)} {entry.key.symbol} {at}"
    return f"[ENTRY] {entry.what} {entry.plan}: {what}, Account: {entry.key.account}{stop}"

"""The gate before a new position, and the sizes and prices of allowed entries. Pure.

Opening adds risk. The gate therefore refuses an entry when a fact is unknown, unlike a close. An unreadable account of
the owner might hold the symbol or fill the cap. Nothing is opened then. An entry counts as a position from the record
of its approval to the record of its end. Any number of entries begun at once therefore stays within the cap.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from itertools import compress

from msgspec import Struct

from core.errors import FlatdeckError
from core.market.price_file import bare
from core.model import Instrument, InstrumentKey, Kind, OrderSide, PositionKey, Quote, Side
from core.records import EntryApproved
from core.settings import EntrySettings
from core.units import ONE, ZERO, floor_to, percent, plain, round_price

MAX_LEVERAGE = Decimal(125)
LIMIT_WAIT = 30.0  # seconds until the unfilled rest of a limit order is withdrawn


class Code(Enum):
    """Reason why an entry is refused."""

    HALTED = "halted"
    CLOSE_ONLY = "close_only"
    LOCKED = "locked"
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
    NO_POSITION = "no_position"  # scaling needs a position
    SEVERAL_POSITIONS = "several_positions"  # hedge mode: long and short, and the request does not say which
    HELD = "held"  # open orders hold the quantity that would be sold
    CHANGED = "changed"  # the draft is no longer as it was shown


class Rejection(Struct, frozen=True):
    """A refusal: a code for programs, a sentence for a person."""

    code: Code
    text: str


class NotAllowed(FlatdeckError):
    """The gate refused; nothing was sent."""

    def __init__(self, no: Rejection) -> None:
        super().__init__(no.text)
        self.code = no.code


class EntryRequest(Struct, frozen=True):
    """A request to open a position. Without an account, the request means every account of the owner."""

    owner: str
    symbol: str
    side: OrderSide
    amount: Decimal
    leverage: Decimal
    stop_pct: Decimal
    account: str | None = None


class GateInput(Struct, frozen=True):
    """Facts about an owner at the time of a request."""

    now: datetime
    cap: int
    counted: int  # positions that count against the cap
    accounts: tuple[str, ...]
    held: frozenset[InstrumentKey] = frozenset()
    closing: frozenset[InstrumentKey] = frozenset()
    pending: tuple[EntryApproved, ...] = ()  # approved and not ended, of any owner
    signals: dict[tuple[str, str, OrderSide], datetime] = {}  # time of the last approval, by owner, symbol and side
    unreadable: dict[str, str] = {}  # account → reason
    frozen: dict[str, str] = {}  # account → reason
    restricted: dict[str, Rejection] = {}  # accounts that take no new risk
    duplicate_window: float = EntrySettings().duplicate_window  # seconds; 0: a repeated signal is never refused
    unknown_at: dict[str, str] = {}  # accounts whose venue does not know the symbol


def refusals(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    """Return every reason against this entry.

    First comes what a person restricted, then faults of the request, positions and limits, then accounts that are
    unreadable or frozen.
    """
    found = [
        *_restricted(signal, scene),
        *_parameters(signal),
        *_taken(signal, scene),
        *_symbol(signal, scene),
        *_room(signal, scene),
    ]
    return [*found, *access(scene, signal.account)]


def _restricted(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    """Refuse the entry when no requested account takes new risk, and a person restricted at least one."""
    meant = [signal.account] if signal.account else list(scene.accounts)
    found = [scene.restricted[a] for a in meant if a in scene.restricted]
    return [] if any(a not in scene.restricted and a not in scene.frozen for a in meant) else found[:1]


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
    """Refuse the entry when no requested account knows the symbol."""
    meant = [signal.account] if signal.account else list(scene.accounts)
    if meant and all(a in scene.unknown_at for a in meant):
        return [Rejection(Code.UNKNOWN_SYMBOL, f"{signal.symbol} is not known at {', '.join(meant)}")]
    return []


def _taken(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    """Refuse a second position of an owner in a symbol, and an entry beside another action in the symbol."""
    found, symbol = [], signal.symbol
    for account, _ in sorted(place for place in scene.closing if same_symbol(symbol, place.symbol)):
        found.append(Rejection(Code.CLOSING, f"a close of {symbol} is in progress on {account}"))
    for account in sorted({place.account for place in scene.held if same_symbol(symbol, place.symbol)}):
        found.append(Rejection(Code.POSITION_EXISTS, f"{signal.owner} holds {symbol} already, on {account}"))
    if any(e.owner == signal.owner and same_symbol(symbol, e.key.symbol) for e in scene.pending):
        found.append(Rejection(Code.ENTRY_PENDING, f"an entry of {signal.owner} in {symbol} is on its way"))
    mine = (o == signal.owner and side is signal.side and same_symbol(symbol, s) for o, s, side in scene.signals)
    last = max(compress(scene.signals.values(), mine), default=None)
    window = scene.duplicate_window
    if window and last is not None and (scene.now - last).total_seconds() < window:
        ago = max((scene.now - last).total_seconds(), 0)
        text = f"{signal.side.value} {symbol} was signalled {ago:.0f} s ago; the same again counts after {window:.0f} s"
        found.append(Rejection(Code.DUPLICATE_SIGNAL, text))
    return found


def same_symbol(one: str, other: str) -> bool:
    """Return True for two spellings of one symbol: ``BTC-USD``, ``BTC/USD``, ``btcusd``."""
    return bare(one) == bare(other)


def _room(signal: EntryRequest, scene: GateInput) -> list[Rejection]:
    on_the_way = arriving(signal.owner, scene)
    if scene.counted + on_the_way < scene.cap:
        return []
    more = f" and {on_the_way} on the way" if on_the_way else ""
    return [
        Rejection(Code.CAP_REACHED, f"{signal.owner} has {scene.counted} positions{more}, and may have {scene.cap}")
    ]


def arriving(owner: str, scene: GateInput) -> int:
    """Return the number of new positions of an owner that are on their way and not yet held."""
    entries = {e.plan: e.key.instrument for e in scene.pending if e.owner == owner and e.what == "open"}
    return sum(place not in scene.held for place in entries.values())


def access(scene: GateInput, account: str | None) -> list[Rejection]:
    """Return the reasons from the accounts' states.

    Every account of the owner must be readable. The requested account must not be frozen; without a requested account,
    at least one must not be frozen.
    """
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
    """A prepared order. ``kind``: open, scale_in, scale_out, or close when a scaling closes the whole position."""

    kind: str
    owner: str
    key: PositionKey
    side: OrderSide
    quantity: Decimal
    asked: Decimal
    reference: Decimal | None = None  # the expected price of the trade
    price: Decimal | None = None  # the limit; None: a market order
    leverage: Decimal | None = None
    stop_pct: Decimal | None = None
    before: Decimal = ZERO  # the quantity held before
    entry: Decimal | None = None  # the entry price of the held position
    reduce_only: bool = False
    warnings: tuple[str, ...] = ()
    stop: Decimal | None = None  # the software stop that will be in force, about
    trail: Decimal | None = None  # the trailing distance behind ``stop``; None: the position's own stop

    def binding(self) -> tuple[object, ...]:
        """Return the values that a confirmation fixes. A limit price is left out: it is sent as it was shown."""
        limit = self.price is not None
        return self.kind, self.key, self.side, self.quantity, limit, self.leverage, self.stop_pct, self.before


def untradable(signal: EntryRequest, account: str, instrument: Instrument) -> Rejection | None:
    """Return the reason why this instrument cannot be opened at the account, or None."""
    if instrument.symbol != signal.symbol:
        return Rejection(Code.UNKNOWN_SYMBOL, f"{account} does not know {signal.symbol}; write {instrument.symbol}")
    if not instrument.tradable:
        return Rejection(Code.NOT_TRADABLE, f"{signal.symbol} cannot be traded at {account}")
    if instrument.kind is Kind.SPOT and signal.side is OrderSide.SELL:
        return Rejection(Code.NOT_TRADABLE, f"{signal.symbol} is spot at {account}: a short of it cannot be opened")
    return None


def sized(
    asked: Decimal, instrument: Instrument, price: Decimal | None, *, exempt: bool = False
) -> tuple[Decimal, str]:
    """Return ``asked`` rounded down to the venue's step, and a warning.

    A size below the venue's minimum is raised to the minimum, and the warning says so. The warning is empty otherwise.
    When the venue exempts the order from its minimum, the minimum is one step.
    """
    quantity = floor_to(asked, instrument.step)
    least = instrument.step if exempt else minimum(instrument, price)
    if quantity >= least and quantity > 0:
        return quantity, ""
    return least, f"{plain(asked)} is below the venue's minimum and is raised to it: {plain(least)}"


def minimum(instrument: Instrument, price: Decimal | None) -> Decimal:
    """Return the least quantity that the venue takes, by its minimum quantity and its minimum cost at ``price``."""
    least = max(instrument.min_quantity, instrument.step)
    if price is not None and price > 0 and instrument.min_cost > 0:
        least = max(least, instrument.min_cost / (price * instrument.multiplier))
    return round_price(least, instrument.step, up=True)


def limit_price(side: OrderSide, quote: Quote, tick: Decimal, offset: Decimal) -> Decimal | None:
    """Return a price on the passive side of the best quote: below the bid to buy, above the ask to sell.

    ``offset`` is a fraction of the best quote. Return None without a price.
    """
    touch = quote.bid if side is OrderSide.BUY else quote.ask
    base = touch if touch is not None else quote.reference
    return None if base is None else round_price(base * (1 - side.sign * offset), tick, up=side is OrderSide.SELL)


def taking_price(side: OrderSide, quote: Quote) -> Decimal | None:
    """Return the expected price of a market order on ``side``, or None when there is no price."""
    touch = quote.ask if side is OrderSide.BUY else quote.bid
    return touch if touch is not None else quote.reference


def averaged(entry: Decimal | None, held: Decimal, price: Decimal | None, added: Decimal) -> Decimal | None:
    """Return the entry price after adding to a position, weighted by quantity.

    Return None when the old entry or the new price is unknown. Reducing a position keeps its entry price.
    """
    if held <= 0:
        return price
    if entry is None or price is None:
        return None
    return (entry * held + price * added) / (held + added)


def direction(side: OrderSide) -> Side:
    """Return the side of the position that an order opens."""
    return Side.LONG if side is OrderSide.BUY else Side.SHORT


def begun(entry: EntryApproved) -> str:
    """Return the log line for the start of an entry."""
    at = "at the market" if entry.price is None else f"at {plain(entry.price)}"
    stop = f", stop-loss {percent(entry.stop_pct)} %" if entry.stop_pct is not None else ""
    what = f"{entry.side.value} {plain(entry.quantity)} {entry.key.symbol} {at}"
    return f"[ENTRY] {entry.what} {entry.plan}: {what}, Account: {entry.key.account}{stop}"

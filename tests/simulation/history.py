"""What happened in a run, as the venues, the wire and the disk know it: the evidence that the checkers judge.

None of it is taken from what the program believes, except what it made durable and what it reported.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from msgspec import Struct

from core.link.messages import PlanReport
from core.model import Leg, Order, OrderRequest, Position, PositionKey, Side
from core.records import Record


class Began(Struct):
    """A life of the program began: a process with the journal of this epoch."""

    at: float
    life: int
    epoch: str
    one_shot: bool


class Killed(Struct):
    at: float
    life: int


class Durable(Struct):
    """A record survived from here on, whether or not anybody was told."""

    at: float
    life: int
    record: Record


class Called(Struct):
    """The program called an account's broker. ``life`` 0 is no life of it: traffic of others is not recorded here."""

    at: float
    life: int
    account: str
    n: int
    what: str
    request: OrderRequest | None = None  # of a send; of a close call, what would describe it
    order_id: str | None = None  # of a cancel; of a look-up, the id or the client id that it asks for


class Answered(Struct):
    """What the program was told. ``word``: ok, refused:…, unreachable, unknown, broken."""

    at: float
    account: str
    n: int
    what: str
    word: str
    order: Order | None = None
    retry_after: float | None = None


class Listed(Struct):
    """A complete list reached the program. ``wrong``: the venue left something out."""

    at: float
    account: str
    asked: float
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]
    wrong: bool


class Quoted(Struct):
    """A price reached the program. ``stamped`` is when the venue said it."""

    at: float
    account: str
    symbol: str
    stamped: float
    bid: Decimal
    ask: Decimal
    price: Decimal


class Armed(Struct):
    """Exits close by themselves from here on, or do not, in this life."""

    at: float
    life: int
    on: bool


class Levels(Struct):
    """What is kept on the disk of a position's exits, for the next life. ``stop`` is None while there is none."""

    at: float
    life: int
    key: PositionKey
    side: Side
    entry: Decimal | None
    stop: Decimal | None


class Nothing(Struct):
    """A send came to nothing for good: lost, too late or refused. Only now is that certain."""

    at: float
    account: str
    n: int


class Accepted(Struct):
    """The venue took an order. ``n`` is the call that brought it, None for everybody else's orders."""

    at: float
    account: str
    n: int | None
    order: Order
    reduces: bool  # the venue itself keeps it from crossing zero


class Filled(Struct):
    """The venue's position moved. ``order`` None: not by an order that was resting or sent through a broker here."""

    at: float
    account: str
    order: str | None
    key: PositionKey
    before: Decimal
    after: Decimal


class Over(Struct):
    """An order at the venue reached a terminal state."""

    at: float
    account: str
    order: Order


class Foreign(Struct):
    """Somebody else did something to an instrument. ``ratio``: new shares for an old share, of a split."""

    at: float
    account: str
    symbol: str
    what: str
    ratio: Decimal | None = None


class Said(Struct):
    at: float
    level: str
    text: str
    account: str | None


class Reported(Struct):
    """A plan came to its end as its caller saw it."""

    at: float
    life: int
    report: PlanReport


class Quiet(Struct):
    """From here on nothing goes wrong any more."""

    at: float


class Calm(Struct):
    """A service ran undisturbed, without closing anything, for as long as it takes to put everything in order."""

    at: float
    life: int
    sizes: dict[PositionKey, Decimal]  # what is truly held and could be sold


class Left(Struct):
    """What the venue truly holds of one key when all is over. ``sellable``: a close of it was possible."""

    at: float
    key: PositionKey
    quantity: Decimal
    sellable: bool


Event = (
    Began
    | Killed
    | Durable
    | Called
    | Answered
    | Listed
    | Quoted
    | Armed
    | Levels
    | Nothing
    | Accepted
    | Filled
    | Over
    | Foreign
    | Said
    | Reported
    | Quiet
    | Calm
    | Left
)


class Facts(Struct):
    """What is true of an account's venue and stays so: what the checkers may hold the program to."""

    account: str
    lag: float
    expiry: float | None
    reduce_only: dict[str, bool]
    guarded: dict[str, bool]  # by symbol: the venue itself keeps a close from crossing zero


class History(Struct):
    """The events of one run in their order, and the facts of its venues."""

    events: list[Event] = []
    facts: dict[str, Facts] = {}
    alien: set[str] = set()  # orders at the venues that another flatdeck placed
    limits: dict[str, float] = {}  # attempts, tier_timeout, total_timeout, resume_within
    prices: dict[tuple[str, str], Decimal] = {}  # by account and symbol, at the beginning
    ages: dict[str, float] = {}  # by account: how old a price may be that an exit fires on
    protects: bool = False  # stops of the program rest at the venues
    watched: bool = False  # the first life follows its accounts' streams
    stretched: bool = False  # a clock that jumps or a market that is closed makes time limits mean nothing
    errors: list[str] = []  # exceptions that no task should have ended in

    def digest(self) -> str:
        """The same for the same run, in every process."""
        return hashlib.blake2b("\n".join(map(line, self.events)).encode(), digest_size=12).hexdigest()


def line(event: Event) -> str:
    """One event as text, with nothing in it that another process would write differently."""
    values = ((name, getattr(event, name)) for name in event.__struct_fields__ if name != "at")
    return f"{event.at:10.3f} {type(event).__name__:<9} " + " ".join(
        f"{n}={_text(v)}" for n, v in values if v is not None
    )


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, PositionKey):
        return f"{value.account}:{value.symbol}" + ("" if value.leg is Leg.NET else f":{value.leg.value}")
    if isinstance(value, Position):
        return f"{value.symbol}:{value.leg.value}:{value.side.value}:{value.quantity:f}({value.free:f})"
    if isinstance(value, OrderRequest):
        flags = "".join(f" {f}" for f, on in (("reduce", value.reduce_only), (f"@{value.price}", value.price)) if on)
        how = f"{value.type.value}/{value.tif.value}{flags}"
        return f"[{value.symbol} {value.side.value} {value.quantity:f} {how} {value.client_id}]"
    if isinstance(value, Order):
        name = f"{value.id}/{value.client_id}"
        return f"[{value.symbol} {name} {value.side.value} {value.filled:f}/{value.quantity:f} {value.status.value}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(k)}={_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ",".join(map(_text, value)) + ")"
    if isinstance(value, PlanReport):
        rows = [f"{_text(r.key)} {r.kind} {r.outcome} filled={r.filled:f} {r.error or ''}" for r in value.results]
        return f"{value.plan.id} success={value.success} [" + "; ".join(rows) + "]"
    if isinstance(value, Struct):
        fields = ((n, getattr(value, n)) for n in value.__struct_fields__)
        return f"{type(value).__name__}(" + " ".join(f"{n}={_text(v)}" for n, v in fields if v not in (None, ())) + ")"
    return str(value)

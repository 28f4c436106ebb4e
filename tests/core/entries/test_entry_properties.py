"""Whatever the order in which entries are asked for, filled, shown by the broker and lost: never beyond the cap."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given, strategies as st

from core.entries.rules import EntryRequest, GateInput, refusals
from core.journal.believed import BelievedPositions
from core.model import InstrumentKey, OrderSide, PositionKey, Side
from core.records import Entry, EntryApproved, EntryEnded, Opened, Record
from tests.support.virtual_time import DAWN

D = Decimal
SYMBOLS = [f"S{n}" for n in range(6)]
ACCOUNTS = ["ann/one", "ann/two"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "fill", "show", "end", "close"]), st.sampled_from(SYMBOLS), st.sampled_from(ACCOUNTS)
    ),
    max_size=60,
)


class Venue:
    """Positions that are true, those the broker shows already, and the journal's records of entries."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.true: set[InstrumentKey] = set()
        self.shown: set[InstrumentKey] = set()
        self.flying: dict[InstrumentKey, EntryApproved] = {}
        self.beliefs = BelievedPositions()
        self.seq = 0

    def write(self, record: Record) -> None:
        self.seq += 1
        self.beliefs.take(Entry(self.seq, DAWN, record))

    def scene(self) -> GateInput:
        now = DAWN + timedelta(hours=self.seq)  # no signal counts as a duplicate
        return GateInput(
            now=now,
            cap=self.cap,
            counted=len(self.shown),
            accounts=tuple(ACCOUNTS),
            held=frozenset(self.shown),
            pending=tuple(self.beliefs.pending.values()),
        )

    def step(self, what: str, symbol: str, account: str) -> None:
        place = InstrumentKey(account, symbol)
        match what:
            case "ask":
                signal = EntryRequest("ann", symbol, OrderSide.BUY, D(1), D(1), D("0.1"), account)
                if not refusals(signal, self.scene()):
                    plan = f"e{self.seq}"
                    key = PositionKey(account, symbol)
                    entry = EntryApproved(plan, "ann", key, "open", OrderSide.BUY, D(1), "person", DAWN)
                    self.flying[place] = entry
                    self.write(entry)
            case "fill" if place in self.flying:
                self.true.add(place)
            case "show":
                self.shown = set(self.true)
            case "end" if place in self.flying and (place not in self.true or place in self.shown):
                entry = self.flying.pop(place)
                self.write(EntryEnded(entry.plan, entry.key, "filled" if place in self.true else "not_filled"))
            case "close" if place in self.shown and place not in self.flying:
                self.true.discard(place)
                self.shown.discard(place)
            case _:
                pass


@given(cap=st.integers(0, 4), steps=STEPS)
def test_no_interleaving_of_entries_exceeds_the_cap(cap: int, steps: list[tuple[str, str, str]]) -> None:
    venue = Venue(cap)
    for step in steps:
        venue.step(*step)
        assert len(venue.true | set(venue.flying)) <= cap


@given(cap=st.integers(1, 4), steps=STEPS)
def test_an_owner_never_holds_a_symbol_twice(cap: int, steps: list[tuple[str, str, str]]) -> None:
    venue = Venue(cap)
    for step in steps:
        venue.step(*step)
        symbols = [symbol for _, symbol in venue.true | set(venue.flying)]
        assert len(symbols) == len(set(symbols))


@given(steps=STEPS)
def test_below_the_cap_with_nothing_against_it_an_entry_is_allowed(steps: list[tuple[str, str, str]]) -> None:
    venue = Venue(len(SYMBOLS) + 1)
    for step in steps:
        venue.step(*step)
    free = [s for s in SYMBOLS if s not in {p[1] for p in venue.shown | venue.true | set(venue.flying)}]
    for symbol in free:
        assert not refusals(EntryRequest("ann", symbol, OrderSide.SELL, D(1), D(1), D("0.1")), venue.scene())


def test_an_opened_position_is_believed_and_its_entry_no_longer_on_its_way() -> None:
    venue, key = Venue(1), PositionKey("ann/one", "S0")
    venue.step("ask", "S0", "ann/one")
    (plan,) = venue.beliefs.pending
    venue.write(Opened(plan, key, Side.LONG, D(1), D(9), None, D(1), D("0.1"), "x"))
    venue.write(EntryEnded(plan, key, "filled"))
    assert venue.beliefs.pending == {}
    assert venue.beliefs.held[key].settings == "x"

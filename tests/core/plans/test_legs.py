"""Which positions cover a short, which closes a cleanup leaves out for it, and what goes first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from core.model import Kind, Side, Tier
from core.plans.cleanup import close
from core.plans.legs import base_of, covers, keep_covers, option_of, shorts_first
from core.plans.plan import Action, ActionKind, Reason
from core.portfolio.holding import Holding
from tests.support.books import COINBASE, KRAKEN, D, holding, instrument

P565, P560, C700 = "SPY260220P00565000", "SPY260220P00560000", "SPY260220C00700000"
MARCH = "SPY260320P00560000"


def held(symbol: str, quantity: str = "1", *, account: str = COINBASE, kind: Kind | None = None) -> Holding:
    """A position of the symbol's kind; a negative quantity is a short."""
    option = option_of(symbol) is not None
    rules = instrument(symbol, kind=kind or (Kind.OPTION if option else Kind.EQUITY), multiplier=100 if option else 1)
    made = holding(symbol, account=account, quantity=quantity.lstrip("-"), rules=rules)
    side = Side.SHORT if quantity.startswith("-") else Side.LONG
    return structs.replace(made, position=structs.replace(made.position, side=side))


def coin(symbol: str, quantity: str = "1", **more: object) -> Holding:
    return held(symbol, quantity, kind=Kind.PERP if quantity.startswith("-") else Kind.SPOT, **more)  # type: ignore[arg-type]


def closing(*holdings: Holding) -> list[Action]:
    return [a for h in holdings for a in close(h, Reason.DUST, "dust", (Tier.MARKET_IOC,))]


def left(holdings: Sequence[Holding], *going: Holding) -> dict[str, str]:
    """What a cleanup that wants to close ``going`` does, by symbol."""
    return {a.key.symbol: a.kind.value for a in keep_covers(closing(*going), holdings)}


@pytest.mark.parametrize(
    ("cover", "short", "expected"),
    [
        (held(P560), held(P565, "-1"), True),
        (held(P565), held(P560, "-1"), True),  # a debit spread
        (held(MARCH), held(P565, "-1"), True),  # another expiry
        (held(P565), held(MARCH, "-1"), True),
        (held(P560, "-1"), held(P565, "-1"), False),
        (held(P560), held(P565), False),
        (held(C700), held(P565, "-1"), False),
        (held("QQQ260220P00560000"), held(P565, "-1"), False),
        (held(P560, account=KRAKEN), held(P565, "-1"), False),
        (held("SPY", "100"), held(C700, "-1"), True),  # a covered call
        (held("SPY", "100"), held(P565, "-1"), False),
        (held("SPY", "-100"), held(P565, "-1"), True),
        (held("SPY", "-100"), held(C700, "-1"), False),
        (held(C700), held("SPY", "-100"), True),
        (held(P565), held("SPY", "-100"), False),
        (held("SPY", "100"), held("SPY", "-100", account=KRAKEN), False),
        (coin("BTC/USD"), coin("BTC/USDT:USDT", "-1", account=KRAKEN), True),
        (coin("BTC-USD"), coin("BTC-USD", "-1", account=KRAKEN), True),
        (coin("ETH/USD"), coin("BTC/USDT:USDT", "-1"), False),
        (coin("BTC/USD"), held("BTC/USDT:USDT", kind=Kind.PERP), False),
    ],
)
def test_what_covers_a_short(cover: Holding, short: Holding, *, expected: bool) -> None:
    assert covers(cover, short) is expected


def test_symbols_tell_what_they_are_about() -> None:
    assert option_of(P565) == ("SPY", "P")
    assert option_of("BTC/USD:BTC-260327-60000-C") == ("BTC", "C")
    assert option_of("SPY") is None
    names = {"BTC/USDT:USDT": "USDT", "BTC-USD": "USD", "BTCUSD": "USD", "USD": "USD", "AAPL": "USD"}
    assert [base_of(symbol, quote) for symbol, quote in names.items()] == ["BTC", "BTC", "BTC", "USD", "AAPL"]


def test_a_cover_is_not_closed_alone_and_a_short_is() -> None:
    short, long = held(P565, "-1"), held(P560)
    assert left([short, long], long) == {P560: "skip"}
    assert left([short, long], short) == {P565: "close"}
    assert left([short, long], short, long) == {P565: "close", P560: "close"}


def test_a_ratio_keeps_what_it_has_and_gives_away_what_is_too_much() -> None:
    shorts, long = held(P565, "-2"), held(P560)
    assert left([shorts, long], long) == {P560: "skip"}
    short, many, more = held(P565, "-1"), held(P560, "5"), held(MARCH)
    assert left([short, many, more], more) == {MARCH: "close"}  # the five cover the one
    assert left([short, many, more], many) == {P560: "close"}  # and so does the other one
    assert left([short, many, more], many, more) == {P560: "skip", MARCH: "close"}


def test_one_cover_of_two_shorts_stays_until_both_go() -> None:
    one, two, long = held(P565, "-1"), held(MARCH, "-1"), held(P560, "2")
    assert left([one, two, long], long, one) == {P560: "skip", P565: "close"}
    assert left([one, two, long], long, one, two) == dict.fromkeys((P560, P565, MARCH), "close")


def test_shares_cover_by_the_hundred() -> None:
    call, shares, more = held(C700, "-1"), held("SPY", "150"), held("SPY260220C00710000", "-1")
    assert left([call, shares], shares) == {"SPY": "skip"}
    assert left([call, shares, more], shares, more) == {"SPY": "skip", "SPY260220C00710000": "close"}


def test_a_skip_says_which_short_stays_and_cancels_nothing() -> None:
    short, long = coin("BTC/USDT:USDT", "-1", account=KRAKEN), coin("BTC/USD")
    [skip] = keep_covers(closing(long), [short, long])
    assert (skip.kind, skip.reason, skip.cancels, skip.tiers) == (ActionKind.SKIP, Reason.COVERS, (), ())
    assert skip.text == f"dust; skipped: it covers the short BTC/USDT:USDT on {KRAKEN}, which stays"


def test_the_short_goes_first_and_the_plan_says_so() -> None:
    short, long = held(P565, "-1"), held(P560)
    first, second = shorts_first(closing(long, short), [short, long])
    assert (first.key.symbol, first.after) == (P565, ())
    assert (second.key.symbol, second.after) == (P560, (short.key,))
    assert second.text == f"dust; goes after the short {P565}, which it covers"


def test_only_a_cleanup_waits_for_another_account() -> None:
    short, long = coin("BTC/USDT:USDT", "-1", account=KRAKEN), coin("BTC/USD")
    assert [a.after for a in shorts_first(closing(long, short), [short, long])] == [(), ()]
    waiting = shorts_first(closing(long, short), [short, long], across_accounts=True)
    assert [a.after for a in waiting] == [(), (short.key,)]


def test_quantities_of_contracts_count_by_their_multiplier() -> None:
    short = coin("BTC/USDT:USDT", "-100")
    short = structs.replace(short, instrument=structs.replace(short.instrument, multiplier=D("0.01")))
    one, two = coin("BTC/USD"), coin("BTC/EUR")
    assert left([short, one, two], one) == {"BTC/USD": "close"}
    assert left([short, one], one) == {"BTC/USD": "skip"}

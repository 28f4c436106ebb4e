"""Which ways of closing a plan names at Alpaca: the venue's own call first, and nothing else for an option."""

from __future__ import annotations

from msgspec import structs

from brokers.alpaca.broker import DEFAULT_TIERS, TIERS
from core.model import Kind, Tier
from core.plans.cleanup import close, tiers_of
from core.plans.plan import Reason
from core.plans.planner import ladder_tiers
from core.ports import Capabilities
from core.settings import LadderSettings, Settings
from tests.support.books import holding, instrument

ABLE = Capabilities(TIERS, default_tiers=DEFAULT_TIERS)
CLOSE_FIRST = (Tier.VENUE_CLOSE, Tier.MARKET_IOC, Tier.MARKET_GTC, Tier.MARKET_FOK, Tier.LIMIT_AGGRESSIVE)


def test_alpaca_starts_with_its_own_close_call() -> None:
    assert ladder_tiers(Settings(), "alpaca", ABLE)[0] == CLOSE_FIRST


def test_configured_tiers_are_taken_as_they_are_written() -> None:
    settings = Settings(ladder=LadderSettings(tiers={"alpaca": (Tier.MARKET_GTC, Tier.VENUE_CLOSE)}))
    assert ladder_tiers(settings, "alpaca", ABLE)[0][:2] == (Tier.MARKET_GTC, Tier.VENUE_CLOSE)


def test_an_instrument_that_closes_in_one_way_only_keeps_to_it_whatever_is_configured() -> None:
    option = instrument("QCOM260220P00145000", kind=Kind.OPTION, tiers=(Tier.VENUE_CLOSE,))
    held = structs.replace(holding(option.symbol, "550"), instrument=option)
    assert tiers_of(held, CLOSE_FIRST) == (Tier.VENUE_CLOSE,)
    assert tiers_of(held, (Tier.MARKET_GTC,)) == (Tier.VENUE_CLOSE,)
    assert [a.tiers for a in close(held, Reason.FLATTEN, "Flatten", CLOSE_FIRST)] == [(Tier.VENUE_CLOSE,)]


def test_any_other_instrument_takes_all_of_its_accounts_tiers() -> None:
    assert tiers_of(holding("AAPL", "100"), CLOSE_FIRST) == CLOSE_FIRST

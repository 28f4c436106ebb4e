"""The loopback bodies against recorded ones: every field that the venue has is there, and of the same kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.paper.state import VenueOrder
from brokers.paper.wire import TopOfBook, parse_book
from core.model import Fill, Order, OrderSide, OrderStatus, OrderType, Position, Side, TimeInForce
from tests.venues.ccxt import coinbase, coinbase_bodies, kraken, kraken_bodies, okx, okx_bodies

DATA = Path(__file__).parents[3] / "shared" / "data" / "venues"
AT = datetime(2026, 1, 2, tzinfo=UTC)
TOP = TopOfBook(Decimal("50000"), Decimal("50000.1"), Decimal("50000"), None, Decimal(1), Decimal(1))
LIMIT = Order(
    account="user_1/loopback",
    symbol="BTC/USD",
    id="p1",
    side=OrderSide.SELL,
    quantity=Decimal("0.5"),
    price=Decimal("60000"),
    client_id="mine",
)
ENDED = Order(
    account="user_1/loopback",
    symbol="BTC/USD",
    id="p2",
    side=OrderSide.SELL,
    quantity=Decimal("0.5"),
    filled=Decimal("0.5"),
    status=OrderStatus.FILLED,
    type=OrderType.MARKET,
    average_price=Decimal("50000"),
)
FILL = Fill(
    "user_1/loopback", "BTC/USD", "t1", "p1", OrderSide.SELL, Decimal("0.5"), Decimal("50000"), at=AT, fee=Decimal(0)
)
HELD = Position("user_1/loopback", "BTC/USD:USD", Side.LONG, Decimal(2), Decimal(2), Decimal("49000"), Decimal(5))
KRAKEN = parse_book(json.dumps(kraken.BOOK), "book", "user_1/loopback").listings
COINBASE = parse_book(json.dumps(coinbase.BOOK), "book", "user_1/loopback").listings
OKX = parse_book(json.dumps(okx.BOOK), "book", "user_1/loopback").listings
SPOT, PERP = COINBASE["BTC/USD"], COINBASE["BTC/USD:USD"]
FREE = {  # fields that say nothing about an account's orders or money, which the loopback leaves out
    *("long_position_limit", "short_position_limit", "fcm_trading_session_details", "index_price", "time_to_expiry_ms"),
    *(
        "watched",
        "new",
        "view_only",
        "mid_market_price",
        "market_cap",
        "new_at",
        "about_description",
        "is_alpha_testing",
    ),
    *("volume_percentage_change_24h", "user_id", "originating_order_id", "attached_order_id", "product_cbrn"),
    *("base_cbrn", "quote_cbrn", "icon_color", "icon_url", "display_name_overwrite", "best_bid_price"),
    *("best_ask_price", "base_display_symbol", "quote_display_symbol"),
    *("total_fees", "contract_size", "entry_vwap", "liquidation_price", "leverage", "im_contribution"),
    *("mm_contribution", "position_notional", "timestamp"),
}


def recorded(name: str, *way: str | int) -> Any:
    if not DATA.exists():
        pytest.skip("the recorded bodies are not here")
    found = json.loads((DATA / name).read_text(encoding="utf-8"))
    for step in way:
        found = next(iter(found.values())) if step == "*" else found[step]
    return found


def faults(real: Any, made: Any, where: str = "") -> Iterator[str]:
    """What ``made`` lacks of ``real``, or has of another kind. A value that is null may be anything."""
    if isinstance(real, dict) and isinstance(made, dict):
        for key in real.keys() - FREE:
            if key not in made:
                yield f"{where}.{key} is missing"
            else:
                yield from faults(real[key], made[key], f"{where}.{key}")
    elif isinstance(real, list) and isinstance(made, list):
        if real and made:
            yield from faults(real[0], made[0], f"{where}[0]")
    elif real is not None and made is not None:
        kinds = [float if isinstance(x, int) and not isinstance(x, bool) else type(x) for x in (real, made)]
        if kinds[0] is not kinds[1]:
            yield f"{where} is {made!r}, recorded is {real!r}"


CASES: dict[str, tuple[tuple[str, tuple[str | int, ...]], Any]] = {
    "kraken pair": (("kraken/http_asset_pairs.json", ("result", "*")), kraken_bodies.pair(KRAKEN["BTC/USD"])),
    "kraken ticker": (("kraken/http_ticker.json", ("result", "*")), kraken_bodies.ticker(TOP)),
    "kraken open order": (
        ("kraken/http_open_orders.json", ("result", "open", "*")),
        kraken_bodies.order(VenueOrder(LIMIT), LIMIT, 1.5, []),
    ),
    "kraken closed order": (
        ("kraken/http_closed_orders.json", ("result", "closed", "*")),
        kraken_bodies.order(VenueOrder(ENDED), ENDED, 1.5, []),
    ),
    "kraken stream ticker": (
        ("kraken/ws_ticker_snapshot.json", ()),
        kraken_bodies.ws_ticker("BTC/USD", TOP, "snapshot"),
    ),
    "coinbase account": (
        ("coinbase/http_accounts.json", ("accounts", 0)),
        coinbase_bodies.account("BTC", Decimal(1), Decimal(0)),
    ),
    "coinbase product": (("coinbase/http_product.json", ()), coinbase_bodies.product(SPOT, TOP)),
    "coinbase order": (
        ("coinbase/http_order.json", ("order",)),
        coinbase_bodies.order(VenueOrder(LIMIT), LIMIT, SPOT.instrument, AT, 0),
    ),
    "coinbase market order": (
        ("coinbase/http_orders_list.json", ("orders", 1, "status")),
        coinbase_bodies.order(VenueOrder(ENDED, TimeInForce.IOC), ENDED, SPOT.instrument, AT, 1)["status"],
    ),
    "coinbase fill": (("coinbase/http_fills.json", ("fills", 0)), coinbase_bodies.fill(FILL, SPOT.instrument)),
    "coinbase touch": (
        ("coinbase/http_product_book.json", ("pricebook",)),
        coinbase_bodies.book(SPOT.instrument, TOP, AT),
    ),
    "coinbase ticker": (("coinbase/http_ticker.json", ()), coinbase_bodies.ticker(SPOT.instrument, TOP, AT)),
    "coinbase position": (
        ("coinbase/http_cfm_positions.json", ("positions", 0)),
        coinbase_bodies.position(HELD, PERP.instrument, TOP, objects=True),
    ),
    "coinbase stream ticker": (
        ("coinbase/ws_ticker.json", ("events", 0, "tickers", 0)),
        coinbase_bodies.ws_ticker(SPOT.instrument, TOP, batch=False),
    ),
    "okx coin": (("okx/http_get_instruments_spot.json", ("data", 0)), okx_bodies.instrument(OKX["BTC/USDT"])),
    "okx swap": (("okx/http_get_instruments_swap.json", ("data", 1)), okx_bodies.instrument(OKX["BTC/USDT:USDT"])),
    "okx balance": (
        ("okx/http_get_account_balance.json", ("data", 0)),
        okx_bodies.balance([okx_bodies.asset("BTC", Decimal(1), Decimal(1), Decimal(50000), AT)], AT),
    ),
    "okx position": (
        ("okx/http_get_positions.json", ("data", 0)),
        okx_bodies.position(HELD, "1", "cross", Decimal("0.01"), Decimal(50000), AT),
    ),
    "okx order": (
        ("okx/http_get_orders_pending.json", ("data", 0)),
        okx_bodies.order(LIMIT, "1", "cash", "", AT),
    ),
    "okx conditional order": (
        ("okx/http_get_orders_algo_pending.json", ("data", 0)),
        okx_bodies.algo(LIMIT, "1", "cross", AT),
    ),
    "okx stream ticker": (("okx/ws_tickers.json", ("data", 0)), okx_bodies.ticker("BTC/USDT:USDT", TOP, AT)),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_body_has_what_the_recorded_one_has(case: str) -> None:
    (name, way), made = CASES[case]
    assert list(faults(recorded(name, *way), made)) == []


def test_a_missing_field_and_one_of_another_kind_are_seen() -> None:
    real = {"price": "1", "sizes": [{"size": "2"}]}
    assert list(faults(real, {"price": 1.0, "sizes": [{}]})) != []
    assert len(list(faults(real, {"price": 1.0, "sizes": [{}]}))) == 2

"""Bodies from exchanges' documentation and captures: read by ccxt's own parsers and ours, or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from brokers.ccxt import wire, wire_balances, wire_errors
from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.exchanges import kraken_margin
from core.errors import OutcomeUnknown, Refusal, Refused
from tests.brokers.ccxt.bodies import usdm
from tests.brokers.ccxt.conftest import Opened

DATA = Path(__file__).parents[4] / "shared" / "data" / "venues"
EXCHANGES = {"binance/spot": "binance", "binance/futures": "binanceusdm"}
FUTURES, SPOT = "binance/futures", "binance/spot"

# How each file is read, and how many values come of it.
READ: dict[str, tuple[str, int]] = {
    f"{FUTURES}/http_json/account_info_v2": ("worth", 1),
    f"{FUTURES}/http_json/open_algo_orders": ("orders", 1),
    f"{FUTURES}/http_json/order_response": ("orders", 1),
    f"{FUTURES}/http_json/position_risk": ("position risk", 1),
    f"{FUTURES}/market_data_json/book_ticker_stream": ("stream of prices", 1),
    f"{FUTURES}/market_data_json/mark_price_stream": ("stream of prices", 1),
    f"{FUTURES}/market_data_json/ticker_stream": ("stream of prices", 1),
    f"{FUTURES}/user_data_json/account_update": ("stream of positions", 3),
    f"{FUTURES}/user_data_json/account_update_bnfcr": ("stream of positions", 0),  # of money only
    **{
        f"{FUTURES}/user_data_json/{name}": ("stream of orders", 1)
        for name in (
            *("algo_update_canceled", "algo_update_new", "order_update_adl", "order_update_calculated"),
            *("order_update_calculated_pending", "order_update_delivery", "order_update_insurance"),
            *("order_update_new", "order_update_settlement", "order_update_trade", "order_update_trade_partial"),
        )
    },
    f"{SPOT}/http_json/account_response": ("balance", 1),
    f"{SPOT}/http_json/account_trades_response": ("fills", 1),
    f"{SPOT}/http_json/all_orders_response": ("orders", 1),
    f"{SPOT}/http_json/book_ticker_response": ("tickers", 1),
    f"{SPOT}/http_json/cancel_order_response": ("orders", 1),
    f"{SPOT}/http_json/exchange_info_response": ("markets", 1),
    f"{SPOT}/http_json/new_order_full_response": ("orders", 1),
    f"{SPOT}/http_json/open_orders_response": ("orders", 1),
    f"{SPOT}/http_json/order_response": ("orders", 1),
    f"{SPOT}/http_json/ticker_24hr_response": ("tickers", 1),
    **{
        f"{SPOT}/user_data_json/execution_report_{name}": ("stream of orders", 1)
        for name in ("canceled", "expired", "new", "stop_loss", "trade")
    },
    f"{SPOT}/user_data_json/execution_report_wrapped": ("stream of orders", 1),
    "coinbase/http_accounts": ("balance", 1),
    "coinbase/http_cfm_balance_summary": ("worth", 1),
    "coinbase/http_cfm_position": ("positions", 1),
    "coinbase/http_cfm_positions": ("positions", 1),
    "coinbase/http_fills": ("fills", 1),
    "coinbase/http_order": ("orders", 1),
    "coinbase/http_orders_list": ("orders", 1),
    "coinbase/http_product": ("markets", 1),
    "coinbase/http_products": ("markets", 1),
    "coinbase/http_products_future": ("markets", 1),
    "coinbase/ws_ticker": ("stream of prices", 1),
    "kraken/http_add_order_spot": ("acknowledgement", 1),
    "kraken/http_asset_pairs": ("markets", 1),
    "kraken/http_closed_orders": ("orders", 1),
    "kraken/http_open_orders": ("orders", 2),
    "kraken/http_spot_open_positions": ("margin", 1),
    "kraken/http_ticker": ("tickers", 1),
    "kraken/ws_ticker_snapshot": ("stream of prices", 1),
    "okx/http_get_account_balance": ("worth", 1),
    "okx/http_get_instruments_futures": ("markets", 1),
    "okx/http_get_instruments_margin": ("markets", 1),
    "okx/http_get_instruments_spot": ("markets", 1),
    "okx/http_get_instruments_swap": ("markets", 1),
    "okx/http_get_orders_algo_pending": ("orders", 1),
    "okx/http_get_orders_algo_pending_attached_oco": ("orders", 1),
    "okx/http_get_orders_algo_pending_close_fraction": ("orders", 1),
    "okx/http_get_orders_pending": ("orders", 1),
    "okx/http_get_orders_pending_with_attached_tp_sl": ("orders", 1),
    "okx/http_get_positions": ("positions", 1),
    "okx/http_place_order_response": ("acknowledgement", 1),
    "okx/http_place_algo_order_response": ("acknowledgement", 1),
    **{
        f"okx/ws_orders{name}": ("stream of orders", 1)
        for name in ("", "_adl", "_algo", "_fok", "_ioc", "_liquidation", "_optimal_limit_ioc", "_trigger")
    },
    "okx/ws_tickers": ("stream of prices", 1),
}
# What the adapter says of those that it will not take.
REFUSED = {
    "okx/http_place_algo_order_rejected": ("51000", Refusal.OTHER, "Parameter instId error"),
    "kraken/ws_add_order_response_failure": ("EOrder:Insufficient funds", Refusal.HELD, "EOrder:Insufficient funds"),
}
# What the adapter never asks for, and where it has the same from.
NOT_MET = {
    f"{FUTURES}/http_json/balance": "what the account is worth comes from the account",
    f"{FUTURES}/market_data_json/agg_trade_stream": "prices come from the book's touch",
    f"{FUTURES}/market_data_json/trade_stream": "prices come from the book's touch",
    f"{SPOT}/http_json/cancel_open_orders_response": "orders are cancelled by their ids; what became of them is read",
    f"{SPOT}/http_json/ticker_price_response": "bids and asks come from bookTicker",
    f"{SPOT}/user_data_json/account_position": "balances are read, an order's event makes it sooner",
    f"{SPOT}/user_data_json/account_position_wrapped": "balances are read, an order's event makes it sooner",
    f"{SPOT}/user_data_json/balance_update": "balances are read, an order's event makes it sooner",
    f"{SPOT}/user_data_json/balance_update_wrapped": "balances are read, an order's event makes it sooner",
    "coinbase/http_product_book": "bids and asks come from best_bid_ask",
    "coinbase/http_ticker": "bids and asks come from best_bid_ask",
    "kraken/http_cancel_order_spot": "it counts orders and names none; what became of one is read",
    "kraken/http_order_book": "bids and asks come from Ticker",
    "kraken/http_spot_balance": "balances come from BalanceEx, which tells what is held in orders",
    "kraken/http_spot_trade_balance": "of margin only; what the account is worth is its money or unknown",
    "kraken/ws_add_order_request": "a request; orders go by REST",
    "kraken/ws_add_order_response_success": "orders go by REST",
    "kraken/ws_amend_order_request": "a request; orders are not amended",
    "kraken/ws_cancel_order_request": "a request; cancels go by REST",
    "okx/http_balance_detail_new_fields": "a part of a balance",
    "okx/http_balance_detail_old_fields": "a part of a balance",
    "okx/http_cancel_algo_order_response": "names the order; what became of it is read",
    "okx/http_get_mark_price": "marks come with positions",
    "okx/http_get_order_book": "bids and asks come from tickers",
    "okx/http_get_position_tiers": "leverage is never set",
    "okx/http_set_position_mode_response": "the mode is never set",
    "okx/ws_account": "balances are read, an order's event makes it sooner",
    "okx/ws_account_empty": "balances are read, an order's event makes it sooner",
    "okx/ws_instruments": "markets are read",
}


def body(name: str) -> Any:
    path = DATA / f"{name}.json"
    if not path.exists():
        pytest.skip("the recorded bodies are not here")
    return json.loads(path.read_text(encoding="utf-8"))


def exchange_of(name: str) -> str:
    return next((e for folder, e in EXCHANGES.items() if name.startswith(folder)), name.partition("/")[0])


def markets_of(name: str) -> dict[str, Any]:
    """Where the exchange's markets are asked for, and the recorded ones."""
    if name == "binanceusdm":
        return usdm()
    if name == "okx":
        spot = [*body("okx/http_get_instruments_spot")["data"], *body("okx/http_get_instruments_margin")["data"]]
        bodies = {
            "SPOT": {"code": "0", "data": [{**row, "instType": "SPOT"} for row in spot]},
            "SWAP": body("okx/http_get_instruments_swap"),
            "FUTURES": body("okx/http_get_instruments_futures"),
        }
        return {"/public/instruments": lambda r, f: web.json_response(bodies[r.query["instType"]])}
    if name == "coinbase":
        kinds = {None: body("coinbase/http_products"), "FUTURE": body("coinbase/http_products_future")}
        fees = {"fee_tier": {"taker_fee_rate": "0", "maker_fee_rate": "0"}}
        products = lambda r, f: web.json_response(kinds[r.query.get("product_type")])  # noqa: E731
        return {"/market/products": products, "/transaction_summary": fees}
    ends = {"kraken": ("/AssetPairs", "kraken/http_asset_pairs")}
    end, recorded = ends.get(name, ("/exchangeInfo", f"{SPOT}/http_json/exchange_info_response"))
    return {end: body(recorded)}


@pytest.fixture
async def broker(request: pytest.FixtureRequest, at: Opened) -> Any:
    """An account of the exchange that the file is of, with its recorded markets."""
    name = exchange_of(request.getfixturevalue("name"))
    return (await at(name, markets_of(name)))[0]


def rows_of(found: Any) -> list[Any]:
    """The rows of a body, however it wraps them; Kraken's are named by their keys."""
    if isinstance(found, list):
        return found
    if "orderId" in found:
        return [found]
    for key in (
        "data",
        "orders",
        "fills",
        "positions",
        "products",
        "symbols",
        "order",
        "position",
        "result",
        "open",
        "closed",
    ):
        if key in found:
            return rows_of(found[key])
    if found and all(isinstance(row, dict) and "descr" in row for row in found.values()):
        return [{**row, "id": key} for key, row in found.items()]
    return [found]


def values(broker: CcxtBroker, how: str, found: Any) -> list[Any]:
    """What the adapter makes of a REST answer."""
    exchange = broker.client.exchange
    rows, name = rows_of(found), exchange.id
    match how:
        case "orders":
            return [wire.order("u/a", exchange.parse_order(row), name) for row in rows]
        case "acknowledgement":  # it names the order and nothing else; the symbol is known to who asked
            return [exchange.parse_order(row)["id"] for row in rows]
        case "positions":
            return [wire.position("u/a", exchange.parse_position(row), name) for row in rows]
        case "position risk":
            return [wire.position("u/a", exchange.parse_position_risk(row), name) for row in rows]
        case "margin":
            listed = wire.rows(wire.listed(found), "positions", name)
            return [kraken_margin.position("u/a", exchange.parse_position(row), name) for row in listed]
        case "fills":
            return [wire.fill("u/a", exchange.parse_trade(row)) for row in rows]
        case "tickers":
            pairs = found["result"].items() if name == "kraken" else enumerate(rows)
            tickers = (exchange.parse_ticker(row, exchange.safe_market(str(key))) for key, row in pairs)
            return [wire.quote("u/a", ticker, 1.0) for ticker in tickers]
        case "markets":
            return [made for symbol in broker.markets.rows if (made := broker.markets.instrument(symbol)).native_symbol]
        case "balance":
            coinbase = name == "coinbase"
            balance = exchange.parse_custom_balance(found) if coinbase else exchange.parse_balance_custom(found, "spot")
            return list(wire_balances.holdings(balance, name))
        case _:
            balance = exchange.parse_custom_balance(found) if name == "coinbase" else {"info": found}
            return [wire_balances.equity(exchange.safe_balance(balance))]


def heard(broker: CcxtBroker, how: str, message: Any) -> list[Any]:
    """What the adapter makes of a message of a stream."""
    exchange = broker.client.exchange
    ws = exchange.urls["api"]["ws"]
    kinds = {"binance": "spot", "binanceusdm": "linear", "kraken": "publicV2"}
    client = exchange.client(ws[kinds[exchange.id]] if exchange.id in kinds else ws)
    client.subscriptions = {kinds.get(exchange.id, "1"): {"type": exchange.id}}
    exchange.balance["linear"] = {}  # as watching positions begins
    exchange.handle_message(client, message)
    match how:
        case "stream of orders":
            rows = [*(exchange.orders or []), *(getattr(exchange, "triggerOrders", None) or [])]
            return [wire.order("u/a", row, exchange.id) for row in rows]
        case "stream of positions":
            rows = [row for cache in exchange.positions.values() for row in cache]
            return [(row["symbol"], wire.position("u/a", row, exchange.id)) for row in rows]
        case _:
            told = {**exchange.tickers, **getattr(exchange, "bidsasks", {}), **getattr(exchange, "markPrices", {})}
            return [wire.quote("u/a", row, 1.0) for row in told.values()]


@pytest.mark.parametrize("name", sorted(READ))
async def test_a_recorded_body_is_read(name: str, broker: CcxtBroker) -> None:
    how, least = READ[name]
    found = body(name)
    got = heard(broker, how, found) if how.startswith("stream") else values(broker, how, found)
    assert len([value for value in got if value is not None]) >= least


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_recorded_refusal_keeps_its_code_and_sentence(name: str) -> None:
    exchange = exchange_of(name)
    said = wire_errors.VenueError(exchange, ("ExchangeError", "BaseError"), f"{exchange} {json.dumps(body(name))}", 200)
    error = wire_errors.translate(said, acts=True)
    assert isinstance(error, Refused)
    assert (error.code, error.refusal, str(error)) == REFUSED[name]


def test_an_answer_that_names_no_order_is_none() -> None:
    with pytest.raises(OutcomeUnknown):
        wire.order("u/a", {"symbol": "BTC/USDT", **body("okx/http_place_algo_order_rejected")["data"][0]}, "okx")


def test_every_recorded_body_is_accounted_for() -> None:
    if not DATA.exists():
        pytest.skip("the recorded bodies are not here")
    folders = ("binance", "kraken", "coinbase", "okx")
    there = {p.relative_to(DATA).with_suffix("").as_posix() for f in folders for p in (DATA / f).rglob("*.json")}
    assert there == READ.keys() | REFUSED.keys() | NOT_MET.keys()
    assert len(there) == len(READ) + len(REFUSED) + len(NOT_MET)
    assert all(NOT_MET.values())

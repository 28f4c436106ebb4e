"""Small answers of several exchanges, as their documentation shows them: markets, positions, orders, prices."""

from __future__ import annotations

from typing import Any

USDM_BTC: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "maxQty": "1000", "minQty": "0.001"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.001", "maxQty": "120", "minQty": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ],
    "orderTypes": ["LIMIT", "MARKET"],
    "timeInForce": ["GTC", "IOC", "FOK"],
}
USDM_POSITION: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "positionSide": "BOTH",
    "positionAmt": "-0.250",
    "entryPrice": "50000.0",
    "breakEvenPrice": "50010.0",
    "markPrice": "51000.00",
    "unRealizedProfit": "-250.0",
    "liquidationPrice": "90000",
    "isolatedMargin": "0",
    "notional": "-12750.0",
    "marginAsset": "USDT",
    "isolatedWallet": "0",
    "initialMargin": "1275",
    "maintMargin": "51",
    "positionInitialMargin": "1275",
    "openOrderInitialMargin": "0",
    "adl": 2,
    "bidNotional": "0",
    "askNotional": "0",
    "updateTime": 1720736417660,
}
USDM_ORDER: dict[str, Any] = {
    "orderId": 42,
    "symbol": "BTCUSDT",
    "status": "NEW",
    "clientOrderId": "mine1",
    "price": "49000",
    "avgPrice": "0",
    "origQty": "0.1",
    "executedQty": "0",
    "cumQuote": "0",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "reduceOnly": False,
    "closePosition": False,
    "side": "BUY",
    "positionSide": "BOTH",
    "stopPrice": "0",
    "workingType": "CONTRACT_PRICE",
    "priceProtect": False,
    "origType": "LIMIT",
    "time": 1720736417660,
    "updateTime": 1720736417660,
}
USDM_ALGO: dict[str, Any] = {
    "algoId": 77,
    "clientAlgoId": "stop1",
    "algoType": "CONDITIONAL",
    "orderType": "STOP_MARKET",
    "symbol": "BTCUSDT",
    "side": "BUY",
    "positionSide": "BOTH",
    "timeInForce": "GTC",
    "quantity": "0.25",
    "algoStatus": "NEW",
    "triggerPrice": "56000",
    "price": "0",
    "reduceOnly": True,
    "closePosition": False,
    "createTime": 1720736417660,
    "updateTime": 1720736417660,
}


def usdm(**more: Any) -> dict[str, Any]:
    """Binance USD-M: one short, one limit and one stop."""
    return {
        "/fapi/v1/exchangeInfo": {"symbols": [USDM_BTC]},
        "/positionRisk": [USDM_POSITION],
        "/openOrders": [USDM_ORDER],
        "/openAlgoOrders": [USDM_ALGO],
        "/v3/account": {"assets": [], "positions": [], "totalMarginBalance": "1234.5"},
        "/bookTicker": [{"symbol": "BTCUSDT", "bidPrice": "50990", "bidQty": "1", "askPrice": "51010", "askQty": "1"}],
        "/fapi/v1/time": {"serverTime": 1720736417660},
    } | more


def bybit_market(symbol: str, base: str, quote: str, settle: str, kind: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "contractType": kind,
        "status": "Trading",
        "baseCoin": base,
        "quoteCoin": quote,
        "settleCoin": settle,
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1190",
            "maxMktOrderQty": "120",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "minNotionalValue": "5",
        },
    }


def bybit_position(symbol: str, size: str) -> dict[str, Any]:
    return {
        "positionIdx": 0,
        "symbol": symbol,
        "side": "Buy",
        "size": size,
        "avgPrice": "50000",
        "positionValue": "5000",
        "leverage": "10",
        "markPrice": "51000",
        "liqPrice": "40000",
        "unrealisedPnl": "1",
        "createdTime": "1676538056258",
        "updatedTime": "1697673600012",
        "tradeMode": 0,
    }


def balance_ex(**held: tuple[str, str]) -> dict[str, Any]:
    """Kraken's balances with what is held in orders; a dot of a code is written as two underscores."""
    rows = {code.replace("__", "."): {"balance": b, "hold_trade": h} for code, (b, h) in held.items()}
    return {"error": [], "result": rows}


def kraken_pair(base: str, quote: str, altname: str, wsname: str, **more: Any) -> dict[str, Any]:
    return {
        "altname": altname,
        "wsname": wsname,
        "base": base,
        "quote": quote,
        "pair_decimals": 1,
        "lot_decimals": 8,
        "cost_decimals": 5,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
    } | more


def kraken(**more: Any) -> dict[str, Any]:
    """Kraken spot: Bitcoin and Ether, some of it staked, no orders."""
    pairs = {
        "XXBTZUSD": kraken_pair("XXBT", "ZUSD", "XBTUSD", "XBT/USD"),
        "XETHZUSD": kraken_pair("XETH", "ZUSD", "ETHUSD", "ETH/USD"),
        "XLTCZUSD": kraken_pair("XLTC", "ZUSD", "LTCUSD", "LTC/USD", status="cancel_only"),
        "ZEURZUSD": kraken_pair("ZEUR", "ZUSD", "EURUSD", "EUR/USD"),
        "USDTZUSD": kraken_pair("USDT", "ZUSD", "USDTZUSD", "USDT/USD"),
    }
    return {
        "/AssetPairs": {"error": [], "result": pairs},
        "/BalanceEx": balance_ex(XXBT=("0.5", "0.2"), XETH=("2", "0")),
        "/OpenPositions": {"error": [], "result": []},
        "/OpenOrders": {"error": [], "result": {"open": {}}},
        "/TradesHistory": {"error": [], "result": {"trades": {}, "count": 0}},
        "/Time": {"error": [], "result": {"unixtime": 1700000000}},
    } | more

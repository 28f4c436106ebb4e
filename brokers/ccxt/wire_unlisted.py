"""Read what an exchange tells about parts of an account that no list of ours covers. Pure.

A part that is not listed is not flat. So each function returns the parts that hold something, in words for a person.

Sources: the documentation of Binance's ``asset/wallet/balance`` (one row per wallet, its worth in BTC), of Coinbase's
``key_permissions`` (a key sees only its own portfolio), of Bybit's ``position/list`` and ``order/realtime``, of
``liab`` in OKX's ``account/balance`` and ``account/positions``, and of ``borrowAmount`` in Bybit's ``wallet-balance``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from brokers.ccxt.wire import Row, inner, number, text
from brokers.ccxt.wire_balances import NOT_CODES, is_money
from core.errors import OutcomeUnknown
from core.units import ZERO, plain

# Binance's wallets without an exchange id in ccxt: no account of ours can list them.
WALLETS = {"Cross Margin": "cross margin", "Isolated Margin": "isolated margin", "Options": "options"}
PERPETUALS = "INTX perpetuals"
ON_MARGIN = "coins on margin"
TRAILING = "open orders (trailing)"
EXITS = "open orders (take-profit and stop-loss)"


def wallets_with_money(answer: object) -> tuple[str, ...]:
    """Return the wallets of Binance that hold something. Raises OutcomeUnknown if a wallet is not told."""
    rows = answer if isinstance(answer, list) else []
    worth = {text(row, "walletName"): number(row.get("balance")) for row in rows if isinstance(row, dict)}
    if any(worth.get(name) is None for name in WALLETS):
        raise OutcomeUnknown("binance does not tell what each wallet holds")
    return tuple(said for name, said in WALLETS.items() if worth[name])


def perpetuals_of_key(answer: object) -> tuple[str, ...]:
    """Return whether a key of Coinbase sees a portfolio of perpetuals. Raises OutcomeUnknown if that is not told."""
    kind = text(answer, "portfolio_type") if isinstance(answer, dict) else ""
    if kind not in ("DEFAULT", "CONSUMER", "INTX"):
        raise OutcomeUnknown("coinbase does not tell the kind of the key's portfolio")
    return (PERPETUALS,) if kind == "INTX" else ()


def listed_options(answer: object) -> tuple[str, ...]:
    """Return whether a list of Bybit has an option. Raises OutcomeUnknown for an answer without a list."""
    found = inner(answer, "result").get("list") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise OutcomeUnknown("bybit's answer has no list of options")
    return ("options",) if found else ()


def listed_orders(part: str, answer: object) -> tuple[str, ...]:
    """Return the part if Bitget's or HTX's list of orders has a row. An empty list may come as null.

    Raises OutcomeUnknown for an answer without a list.
    """
    data = answer.get("data", ()) if isinstance(answer, dict) else ()
    data = data.get("entrustedList", ()) if isinstance(data, dict) else data
    if data is not None and not isinstance(data, list):
        raise OutcomeUnknown(f"the answer has no list of {part}")
    return (part,) if data else ()


def options_with_money(answer: object) -> tuple[str, ...]:
    """Return whether Gate's account of options has money. Raises OutcomeUnknown if that is not told."""
    total = number(answer.get("total")) if isinstance(answer, dict) else None
    if total is None:
        raise OutcomeUnknown("gate does not tell what the account of options holds")
    return ("options",) if total else ()


def coins_on_margin(balance: object) -> tuple[str, ...]:
    """Return whether a margin wallet holds or owes a coin. Money there is no position.

    The balance of isolated margin has the balances of each market. Raises OutcomeUnknown if it is no balance.
    """
    if not isinstance(balance, dict) or "info" not in balance:
        raise OutcomeUnknown("the answer is no balance of a margin wallet")
    rows = [(code, row) for code, row in balance.items() if code not in NOT_CODES and isinstance(row, dict)]
    inner_rows = [pair for _, row in rows for pair in row.items() if isinstance(pair[1], dict)]
    held = (c for c, row in (*rows, *inner_rows) if number(row.get("total")) or number(row.get("debt")))
    return (ON_MARGIN,) if any(not is_money(code) for code in held) else ()


def debts(balance: object, positions: Iterable[Row]) -> tuple[str, ...]:
    """Return the borrowed coins that no listed position explains.

    A borrowed coin that was sold is a short. Borrowed money is no position.
    """
    owed = {code: abs(debt) for code, debt in _owed(balance).items() if debt and not is_money(code)}
    explained: dict[str, Decimal] = defaultdict(Decimal)
    for row in positions:
        info = inner(row, "info")
        explained[text(info, "liabCcy")] += abs(number(info.get("liab")) or ZERO)
    return tuple(f"{plain(debt)} {code} borrowed" for code, debt in sorted(owed.items()) if debt > explained[code])


def _owed(balance: object) -> dict[str, Decimal]:
    """Return the debts by currency. ccxt leaves OKX's out."""
    if not isinstance(balance, dict):
        return {}
    rows = {code: row for code, row in balance.items() if code not in NOT_CODES and isinstance(row, dict)}
    found = {code: debt for code, row in rows.items() if (debt := number(row.get("debt"))) is not None}
    data = inner(balance, "info").get("data")
    account = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    details = account.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and (debt := number(detail.get("liab"))) is not None:
            found[text(detail, "ccy")] = debt
    return found

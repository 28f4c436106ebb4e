"""Connections to an exchange: in time, no redirect followed, nothing repeated.

aiohttp itself sends a GET or DELETE once more over a connection that broke; not here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import aiohttp

from brokers.ccxt import lazy_import

TOTAL = 10.0  # seconds for one request
CONNECT = 4.0
CLOSING = 1.0  # for the other side's good-bye
KEEP_ALIVE = 50.0


class HttpSession:
    """aiohttp's session as ccxt uses one, without redirects; ccxt neither makes nor closes it."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE, ssl=lazy_import.trust(), limit_per_host=30)
        self._inner = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._inner._retry_connection = False
        self.cookie_jar = self._inner.cookie_jar

    def __getattr__(self, name: str) -> Any:
        """``get``, ``post`` and the others once and in time; ``ws_connect`` without a long good-bye."""
        method = getattr(self._inner, name)
        if name == "ws_connect":
            return partial(method, timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING))
        if name not in ("get", "post", "put", "delete", "patch", "head"):
            return method

        def once(url: Any, **given: Any) -> Any:
            limit = aiohttp.ClientTimeout(total=TOTAL, sock_connect=CONNECT)
            return method(url, **{**given, "timeout": limit, "allow_redirects": False})

        return once

    async def close(self) -> None:
        await self._inner.close()

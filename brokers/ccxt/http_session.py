"""HTTP connections to an exchange: with time limits, without redirects, without repeats.

aiohttp repeats a GET or DELETE when a kept connection breaks. This session switches that off.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import aiohttp

from brokers.ccxt import lazy_import

TOTAL = 10.0  # seconds for one request
CONNECT = 4.0
CLOSING = 1.0  # seconds to wait for the other side's close frame
KEEP_ALIVE = 50.0


class HttpSession:
    """The aiohttp session that ccxt uses. ccxt neither creates nor closes it."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE, ssl=lazy_import.trust(), limit_per_host=30)
        self._inner = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._inner._retry_connection = False
        self.cookie_jar = self._inner.cookie_jar

    def __getattr__(self, name: str) -> Any:
        """Return the method; requests get a time limit and no redirects, ``ws_connect`` a short closing time."""
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

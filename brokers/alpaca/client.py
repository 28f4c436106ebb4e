"""Alpaca's REST calls over aiohttp. Each call has a time limit and one of three kinds of outcome.

We do not use alpaca-py's own client. That client is synchronous, has no time-outs and sends a POST up to four times on
a 429 or 504. Here no request that acts is ever sent twice; aiohttp does not repeat such a request either.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from brokers.alpaca.limits import Limiter
from brokers.alpaca.wire_errors import Call, refusal
from brokers.alpaca.wire_stream import decode_json
from core.config.secrets import Secret
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.ports import Clock

TOTAL = 10.0  # seconds for one request; less than the time that a close waits for any call
CONNECT = 4.0
RETRY_AFTER = 5.0  # seconds to wait when a 429 does not say how long
KEEP_ALIVE = 50.0  # seconds; servers keep an idle connection for longer
BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
MOST_WAIT = 120.0
SHORT = 2.0  # seconds that other requests wait after a 429 whose headers say that requests are left


class Hosts(Struct, frozen=True):
    """The hosts of an account's calls and streams. ``stream`` and ``prices`` are empty without streaming."""

    rest: str
    data: str
    stream: str = ""  # the stream of orders and executions
    prices: str = ""


class Client:
    """One account's connections. ``open`` may be called again. ``get`` reads; ``send_action`` orders or cancels."""

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self.hosts = hosts
        self.limiter = Limiter(clock)
        self._data_limiter = Limiter(clock)  # price requests are counted separately
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.skew: float | None = None  # seconds that the venue's clock is ahead, accurate to a second
        self.remaining: int | None = None

    def open(self, key: Secret, secret: Secret) -> None:
        """Open a session with these credentials. A session that is already open is kept."""
        if self._session is not None and not self._session.closed:
            return
        self._session = aiohttp.ClientSession(
            headers={"APCA-API-KEY-ID": key.reveal(), "APCA-API-SECRET-KEY": secret.reveal()},
            timeout=aiohttp.ClientTimeout(total=TOTAL, sock_connect=CONNECT),
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # Otherwise aiohttp sends a DELETE a second time when the connection breaks before the answer.
        self._session._retry_connection = False

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            raise Unreachable("not connected to Alpaca")
        return self._session

    async def get(self, path: str, params: dict[str, str] | None = None) -> Any:
        """Return the answer to a question about the account."""
        return await self._send("GET", self.hosts.rest, path, params or {}, None, Call.READ)

    async def ask_urgently(self, path: str, params: dict[str, str]) -> Any:
        """Return the answer to a question that our order waits for. The limiter treats it like a request that acts."""
        return await self._send("GET", self.hosts.rest, path, params, None, Call.LOOK_UP)

    async def get_data(self, path: str, params: dict[str, str]) -> Any:
        """Return the answer to a question for prices."""
        return await self._send("GET", self.hosts.data, path, params, None, Call.READ)

    async def send_action(self, call: Call, method: str, path: str, params: dict[str, str], body: object = None) -> Any:
        """Send a request that closes, orders or cancels, once.

        Raises Refused when Alpaca refuses, Unreachable without a connection, OutcomeUnknown without a readable answer.
        """
        return await self._send(method, self.hosts.rest, path, params, body, call)

    async def _send(self, method: str, host: str, path: str, params: dict[str, str], body: object, call: Call) -> Any:
        """Send a request. The text of a failure names the request: one endpoint may fail while the others answer."""
        asked = f" ({method} {path})"
        try:
            return await self._answer(method, host, path, params, body, call)
        except OutcomeUnknown as unknown:
            raise OutcomeUnknown(f"{unknown}{asked}") from unknown.__cause__
        except Refused as refused:
            if method == "GET" and refused.refusal is not Refusal.RATE_LIMITED:
                refused.args = (f"{refused}{asked}",)
            raise

    async def _answer(self, method: str, host: str, path: str, params: dict[str, str], body: object, call: Call) -> Any:
        limiter = self._data_limiter if host == self.hosts.data != self.hosts.rest else self.limiter
        await limiter.enter(acts=call is not Call.READ)
        try:
            status, heard, raw = await self._once(method, host + path, params, body)
        except OutcomeUnknown as unknown:
            if method != "GET" or not isinstance(unknown.__cause__, BROKEN):
                raise
            status, heard, raw = await self._once(method, host + path, params, body)  # the idle connection had died
        return self._read(limiter, call, status, raw, self._heard(limiter, heard))

    async def _once(self, method: str, url: str, params: dict[str, str], body: object) -> tuple[int, Any, bytes]:
        """Send one request. Return the status, headers and body of its answer."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self.session.request(
                method, url, params=params, data=data, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, answer.headers, await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Unreachable(f"Alpaca cannot be reached at {urlsplit(url).hostname}: {reason(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknown(f"no answer from Alpaca: {reason(error)}") from error

    def _read(self, limiter: Limiter, call: Call, status: int, raw: bytes, reset_in: float | None) -> Any:
        if 200 <= status < 300:
            if call is Call.CANCEL:
                return None  # a 204 has no body; a later read tells the order's state
            return decode_json(raw)
        if status < 400 or status >= 500 or status == 408:
            raise OutcomeUnknown(f"Alpaca answered {status}{_snippet(raw)}")
        refused = refusal(call, status, _body(raw))
        if refused.refusal is Refusal.RATE_LIMITED:
            wait = RETRY_AFTER if reset_in is None else min(max(reset_in, 0.5), MOST_WAIT)
            limiter.refused(wait if not self.remaining else min(wait, SHORT))
            refused.retry_after = wait
        raise refused

    def _heard(self, limiter: Limiter, headers: Any) -> float | None:
        """Learn the venue's time and the remaining requests from an answer's headers.

        Return the seconds to the reset of the limit, or None when the headers do not say.
        """
        now = self._clock.now()
        there = _date(headers.get("Date"))
        if there is not None:
            self.skew = (there - now).total_seconds()
        remaining, reset = _whole(headers.get("X-RateLimit-Remaining")), _whole(headers.get("X-RateLimit-Reset"))
        after = _whole(headers.get("Retry-After"))
        reset_in = after if reset is None else reset - (there or now).timestamp()
        if limiter is self.limiter:
            self.remaining = remaining
        limiter.learn(_whole(headers.get("X-RateLimit-Limit")), remaining, reset_in)
        return reset_in


def reason(error: BaseException) -> str:
    """Return a short phrase for a library's exception, whose own text may be empty."""
    if isinstance(error, TimeoutError):
        return "time-out"
    return str(error) or type(error).__name__


def _body(raw: bytes) -> object:
    """Return an error's body as JSON, otherwise as text: a proxy's page is a reason too."""
    try:
        return decode_json(raw)
    except FlatdeckError:
        return raw.decode(errors="replace")


def _snippet(raw: bytes) -> str:
    said = " ".join(raw.decode(errors="replace").split())[:120]
    return f": {said}" if said and "<" not in said else ""


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None

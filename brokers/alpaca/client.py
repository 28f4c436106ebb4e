"""Alpaca's REST calls over aiohttp: a limit in time on each, three kinds of outcome, nothing that acts sent twice.

alpaca-py's own client is not used for them: it is synchronous, has no time-outs and sends a POST up to four times on
a 429 or 504. Here nothing that acts is ever repeated, not by aiohttp either.
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
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Unreachable
from core.ports import Clock

TOTAL = 10.0  # seconds for one request, below what a close waits for any call
CONNECT = 4.0
RETRY_AFTER = 5.0  # when a 429 does not say
KEEP_ALIVE = 50.0  # below what servers keep an idle connection
BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
MOST_WAIT = 120.0
SHORT = 2.0  # seconds that all else waits after a 429 that says itself that requests are left


class Hosts(Struct, frozen=True):
    """Where things are. ``stream`` and ``prices`` are empty where there is no streaming."""

    rest: str
    data: str
    stream: str = ""  # the account's own
    prices: str = ""


class Client:
    """One account's connections. ``open`` may be called again; ``get`` reads, ``act`` sends something that acts."""

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self.hosts = hosts
        self.limiter = Limiter(clock)
        self._data_limiter = Limiter(clock)  # prices are counted apart
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.skew: float | None = None  # seconds that the venue's clock is ahead, to a second
        self.remaining: int | None = None

    def open(self, key: Secret, secret: Secret) -> None:
        """Have a session with these credentials; one that is there already is kept."""
        if self._session is not None and not self._session.closed:
            return
        self._session = aiohttp.ClientSession(
            headers={"APCA-API-KEY-ID": key.reveal(), "APCA-API-SECRET-KEY": secret.reveal()},
            timeout=aiohttp.ClientTimeout(total=TOTAL, sock_connect=CONNECT),
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # Else aiohttp sends a DELETE once more when the connection breaks before the answer.
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
        """What a question to the account is answered with."""
        return await self._send("GET", self.hosts.rest, path, params or {}, None, Call.READ)

    async def look_up(self, path: str, params: dict[str, str]) -> Any:
        """The same for what an order of ours waits for, which goes as early as what acts."""
        return await self._send("GET", self.hosts.rest, path, params, None, Call.LOOK_UP)

    async def get_data(self, path: str, params: dict[str, str]) -> Any:
        """What a question for prices is answered with."""
        return await self._send("GET", self.hosts.data, path, params, None, Call.READ)

    async def act(self, call: Call, method: str, path: str, params: dict[str, str], body: object = None) -> Any:
        """Send what closes, orders or cancels, once. Anything but a readable answer is OutcomeUnknown."""
        return await self._send(method, self.hosts.rest, path, params, body, call)

    async def _send(self, method: str, host: str, path: str, params: dict[str, str], body: object, call: Call) -> Any:
        limiter = self._data_limiter if host == self.hosts.data != self.hosts.rest else self.limiter
        await limiter.enter(acts=call is not Call.READ)
        try:
            status, heard, raw = await self._once(method, host + path, params, body)
        except OutcomeUnknown as unknown:
            if method != "GET" or not isinstance(unknown.__cause__, BROKEN):
                raise
            status, heard, raw = await self._once(method, host + path, params, body)  # an idle connection had died
        return self._read(limiter, call, status, raw, self._heard(limiter, heard))

    async def _once(self, method: str, url: str, params: dict[str, str], body: object) -> tuple[int, Any, bytes]:
        """One request: status, headers and body of its answer."""
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
                return None  # 204; what became of the order is read
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
        """Learn from an answer's headers: the venue's time and what is left of the limit. Seconds to its reset."""
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
    """One phrase of a library's exception, which may have none."""
    if isinstance(error, TimeoutError):
        return "time-out"
    return str(error) or type(error).__name__


def _body(raw: bytes) -> object:
    """An error's body as JSON, else as text: a proxy's page is a reason too."""
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

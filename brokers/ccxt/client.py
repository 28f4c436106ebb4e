"""One account's ccxt exchange. It limits, watches and sends each request once and translates every error.

``ask_exchange`` reads. ``ask_urgently`` reads the result of an order of ours. ``send_action`` orders, cancels, closes.
Callers name ccxt's unified and raw methods. Each HTTP request of such a method passes ``fetch2``, which waits for the
limiters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import aiohttp

from brokers.ccxt import lazy_import, request_trace, third_parties
from brokers.ccxt.http_session import TOTAL, HttpSession
from brokers.ccxt.limits import BURST, Limiter, NonceQueue, Priority, cost_of_call, highest_cost, retry_after_of, shared
from brokers.ccxt.settings import ExchangeSettings
from brokers.ccxt.wire_errors import VenueError, is_json, limiters_hit, redacted, translate
from core.config.secrets import Secret
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.ports import Clock

RETRY_AFTER = 5.0  # seconds, when a 429 does not tell
BAN = 120.0  # seconds, when a ban does not tell
ANSWERS = 8  # number of answers whose dates give the venue's clock
RESYNC = 60.0  # seconds until the clock difference is measured again
PROMPT = 2500  # milliseconds within which the venue's time must arrive: half of the shortest validity of a request
# The reads already give the snapshot that ccxt would fetch by REST before the stream.
DEFAULTS = {"watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False}}
MOST_BURST = 30.0  # seconds of a rate; one program must not take the whole window
# options in which ccxt keeps a guess of the account's kind after its question failed
GUESSED = frozenset({"uta", "unifiedAccount"})
LARGE = 65_536  # bytes; a larger body is a list, and a list that breaks off fails in its parser
NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


class Client:
    """One account's exchange. ``open`` may be called again; ``exchange`` is ccxt's instance while it is open."""

    def __init__(self, settings: ExchangeSettings, clock: Clock) -> None:
        self.settings = settings
        self._skews: deque[float] = deque(maxlen=ANSWERS)
        self._clock = clock
        self._exchange: Any = None
        self._session: HttpSession | None = None
        self._secrets: tuple[str, ...] = ()
        self._limiters: tuple[Limiter, Limiter, Limiter] | None = None
        self._opening = asyncio.Lock()
        self._nonce_queue = NonceQueue()
        self._last_number = 0
        self._resync_at: float | None = None
        self._place = f"{settings.exchange} {settings.endpoint} {settings.sandbox}"

    @property
    def exchange(self) -> Any:
        if self._exchange is None:
            raise Unreachable(f"not connected to {self.settings.exchange}")
        return self._exchange

    @property
    def limiters(self) -> tuple[Limiter, Limiter, Limiter]:
        """The limiters of signed calls, of other calls, and of the address, which has no rate but can be banned.

        The first two are the same limiter where the venue counts by address.
        """
        if self._limiters is None:
            raise Unreachable(f"not connected to {self.settings.exchange}")
        return self._limiters

    def milliseconds(self) -> int:
        """Return the time that ccxt signs with. The program's clock also counts ages and deadlines."""
        return int(self._clock.now().timestamp() * 1000)

    @property
    def skew(self) -> float | None:
        """Seconds that the venue's clock is ahead: the median of the last answers, because a single answer may be late
        or wrong. Exact to a second."""
        return sorted(self._skews)[len(self._skews) // 2] if self._skews else None

    def to_venue_time(self, at: datetime) -> datetime:
        """Convert a moment of this program's clock to the venue's clock, as far as its answers tell.

        The result is rather too early.
        """
        return at + timedelta(seconds=self.skew or 0.0)

    def has(self, feature: str) -> bool:
        """Return whether ccxt says that the exchange has the feature natively, not by emulation."""
        return self.exchange.has.get(feature) is True

    async def open(self, login: Mapping[str, Secret]) -> None:
        """Create the exchange with these credentials (ccxt's names). An exchange that is already open is kept."""
        async with self._opening:
            if self._exchange is not None:
                return
            made = await lazy_import.exchange_class(self.settings.exchange)
            await asyncio.to_thread(lazy_import.trust)
            session = HttpSession()
            try:
                exchange = await asyncio.to_thread(self._make, made, session, login)
            except BaseException:
                await session.close()
                raise
            self._secrets = tuple(secret.reveal() for secret in login.values())
            # Unsigned requests have a limiter of their own, so that prices never use up an account's calls.
            together = self.settings.by_address, self.settings.by_address or self.settings.open_by_address
            own = self._limit(exchange, together[0]), self._limit(exchange, together[1])
            self._limiters = self._limiters or (*own, shared(self._clock, f"{self._place} banned", per_second=1.0))
            self._session, self._exchange = session, exchange

    def _make(self, made: Any, session: HttpSession, login: Mapping[str, Secret]) -> Any:
        """Create ccxt's instance. This takes some milliseconds and therefore runs in a thread."""
        exchange = made({"enableRateLimit": False, "timeout": int(TOTAL * 1000), "session": session})
        exchange.number = str  # keep every number as the venue's text: no binary floats
        exchange.milliseconds = self.milliseconds
        exchange.microseconds = lambda: self.milliseconds() * 1000
        exchange.seconds = lambda: self.milliseconds() // 1000
        exchange.decimal_to_precision = partial(lazy_import.contained, exchange.decimal_to_precision)
        exchange.ssl_context = lazy_import.trust()  # else ccxt creates one and blocks the event loop
        exchange.timeout_on_exit = 0
        for name, secret in login.items():
            setattr(exchange, name, secret.reveal())
        if self.settings.sandbox:
            lazy_import.to_test_system(exchange)
        exchange.options = exchange.deep_extend(
            exchange.options, DEFAULTS, third_parties.OPTIONS, self.settings.defaults, self.settings.options
        )
        third_parties.leave_out(exchange, self.settings.options)
        exchange.options["maxRetriesOnFailure"] = 0
        hostname = exchange.hostname or ""
        urls = lazy_import.rebase(exchange.urls["api"], self.settings.endpoint, self.settings.stream, hostname)
        exchange.urls = {**exchange.urls, "api": urls}
        if self.settings.stream:
            exchange.client = partial(lazy_import.below, self.settings.stream, exchange.client)
        self._watch(exchange)
        return exchange

    def _limit(self, exchange: Any, by_address: bool) -> Limiter:
        per_second = self.settings.per_second or 1000 / max(exchange.rateLimit or 1, 1)
        window = (exchange.rollingWindowSize or 0) / 1000
        burst = self.settings.burst or min(max(window, BURST), MOST_BURST)
        if not by_address:
            return Limiter(self._clock, per_second=per_second, burst=burst)
        return shared(self._clock, self._place, per_second=per_second, burst=burst)

    def _watch(self, exchange: Any) -> None:
        """Wrap ccxt's requests: wait for the limiters before each request, inspect each answer."""
        send = exchange.fetch2

        async def fetch2(
            path: Any, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None
        ) -> Any:
            trace = request_trace.current.get()
            priority = Priority.READ if trace is None else trace.priority
            cost = highest_cost(self.settings.costs, str(path), params or {})
            if cost is None:
                cost = exchange.calculate_rate_limiter_cost(api, method, path, params or {}, config or {})
            signed = "private" in str(api).lower()
            if isinstance(params, dict):
                params = third_parties.params_without(self.settings.exchange, params, self.settings.options)
            await self.limiters[2].acquire(0.0, priority)
            await self.limiters[0 if signed else 1].acquire(cost_of_call(cost), priority)
            if self.settings.numbered and signed:
                async with self._nonce_queue.wait_turn(priority):
                    answer = await self._sent(trace, send(path, api, method, params or {}, config or {}))
            else:
                answer = await self._sent(trace, send(path, api, method, params or {}, config or {}))
            if self.settings.check is not None:
                self.settings.check(str(path), answer)
            return answer

        def heard(code: int, *given: Any) -> str:
            return self._heard(code, given[3], given[4])

        exchange.fetch2 = fetch2
        if self.settings.numbered:
            exchange.nonce = self._number
        exchange.on_rest_response = heard

    async def _sent(self, trace: request_trace.RequestTrace | None, sending: Awaitable[Any]) -> Any:
        if trace is None:
            return await sending
        trace.left += 1
        try:
            return await sending
        except Exception as error:
            trace.failed = error
            raise

    def _number(self) -> int:
        """Return a nonce greater than the one before: two requests may leave in one millisecond."""
        now = self.milliseconds() - int(self.exchange.options.get("timeDifference") or 0)
        self._last_number = max(now, self._last_number + 1)
        return self._last_number

    def _heard(self, status: int, headers: Mapping[str, str], body: str) -> str:
        """Inspect an answer before ccxt reads it. Raises OutcomeUnknown for a success that is not JSON."""
        trace = request_trace.current.get()
        if trace is not None:
            trace.status, trace.headers = status, headers
        there = request_trace.answer_date(headers)
        if there is not None:
            self._skews.append((there - self._clock.now()).total_seconds())
        said = body.strip()
        if 300 <= status < 400:
            raise OutcomeUnknown(f"{self.settings.exchange} answered {status}, a redirect, which is not followed")
        if status < 300 and status != 204 and len(said) < LARGE and not is_json(said):
            what = "an empty body" if not said else "a page" if said.startswith("<") else "no whole JSON"
            raise OutcomeUnknown(f"{self.settings.exchange} answered {status} with {what}")
        return said

    async def ask_exchange(self, method: str, *args: Any, **named: Any) -> Any:
        """Return the answer of a read."""
        return await self._call(Priority.READ, method, args, named)

    async def ask_whole(self, method: str, *args: Any) -> Any:
        """Like ``ask_exchange``, for methods in which ccxt ignores a failed part.

        Only a part that is refused for good may be missing.
        """
        return await self._call(Priority.READ, method, args, {}, whole=True)

    async def ask_urgently(self, method: str, *args: Any, **named: Any) -> Any:
        """Like ``ask_exchange``, for what an order of ours waits for; it goes before other reads."""
        return await self._call(Priority.LOOK_UP, method, args, named)

    async def send_action(self, method: str, *args: Any, **named: Any) -> Any:
        """Send a request that places or cancels an order, once. Raises OutcomeUnknown unless the answer is readable."""
        return await self._call(Priority.ACT, method, args, named)

    async def _call(
        self, priority: Priority, method: str, args: tuple[Any, ...], named: dict[str, Any], *, whole: bool = False
    ) -> Any:
        call = getattr(self.exchange, method, None)
        if call is None:
            raise Refused(Refusal.UNSUPPORTED, f"ccxt has no {method} of {self.settings.exchange}")
        await self._resync(priority)
        token = request_trace.current.set(trace := request_trace.RequestTrace(priority))
        try:
            answer = await call(*args, **named)
            if whole and trace.failed is not None:
                self._weigh(trace.failed, trace)
            return answer
        except FlatdeckError:
            raise
        except Exception as error:  # noqa: BLE001  # every exception of ccxt becomes one of three outcomes
            # the cause holds addresses and the venue's text
            told = any(c.__name__ == "BaseError" for c in type(error).__mro__)
            raise self.translate_error(error, trace) from (None if told else error)
        finally:
            request_trace.current.reset(token)

    def _weigh(self, failed: Exception, trace: request_trace.RequestTrace) -> None:
        """Raise the error of a part that ccxt ignored, if a later attempt may succeed."""
        told = failed if isinstance(failed, FlatdeckError) else self.translate_error(failed, trace)
        if not isinstance(told, Refused) or told.refusal in (Refusal.RATE_LIMITED, Refusal.BANNED, Refusal.CLOCK):
            given = {**self.settings.defaults, **self.settings.options}
            self.exchange.options |= {kind: given.get(kind) for kind in GUESSED & self.exchange.options.keys()}
            raise told

    def translate_error(self, error: Exception, trace: request_trace.RequestTrace | None = None) -> FlatdeckError:
        """Return ccxt's exception as our error. Apply its consequences to the limiters and the clock."""
        acts = trace is not None and trace.priority is Priority.ACT
        if trace is not None and trace.left == 0:  # ccxt refused to send it
            kind = Refusal.UNSUPPORTED if acts else Refusal.OTHER
            classes = {c.__name__ for c in type(error).__mro__}
            kind = Refusal.UNKNOWN_SYMBOL if "BadSymbol" in classes else kind
            kind = Refusal.AUTH if "AuthenticationError" in classes else kind
            return Refused(kind, f"nothing was sent: {self.error_text(error)}")
        made = translate(self._seen(error, trace), acts=acts)
        if isinstance(made, Refused):
            self._obey(made)
        return made

    def _seen(self, error: Exception, trace: request_trace.RequestTrace | None) -> VenueError:
        cause = error.__cause__ or error
        dialled = isinstance(cause, NEVER_LEFT)  # a failed name lookup raises one of these as well
        status = trace.status if trace is not None else None
        return VenueError(
            exchange=self.settings.exchange,
            classes=tuple(c.__name__ for c in type(error).__mro__),
            text=self.error_text(error),
            status=status,
            sent=not (dialled and (trace is None or trace.left <= 1)),
            broke=isinstance(cause, aiohttp.ClientError | TimeoutError | OSError),
            retry_after=retry_after_of(trace.headers, self.to_venue_time(self._clock.now()))
            if trace is not None
            else None,
        )

    def _obey(self, refused: Refused) -> None:
        if refused.refusal in (Refusal.RATE_LIMITED, Refusal.BANNED):
            banned = refused.refusal is Refusal.BANNED
            wait = refused.retry_after or (BAN if banned else RETRY_AFTER)
            refused.retry_after = wait
            for limiter in self.limiters[: limiters_hit(refused)]:
                limiter.pause(wait, str(refused), banned=banned)
        elif refused.refusal is Refusal.CLOCK and self._resync_at is None:
            self._resync_at = self._clock.monotonic()

    async def _resync(self, priority: Priority) -> None:
        """After a refusal because of the clock, ask the venue's time before the next call; a slow answer is no use."""
        due = self._resync_at
        if due is None or self._clock.monotonic() < due:
            return
        self._resync_at = self._clock.monotonic() + RETRY_AFTER
        token = request_trace.current.set(request_trace.RequestTrace(priority))
        try:
            before = self.milliseconds()
            async with asyncio.timeout(PROMPT / 1000):  # the call that waits is worth more than a slow answer
                there = int(await self.exchange.fetch_time())
            after = self.milliseconds()
        except Exception:  # noqa: BLE001  # the next call is refused again and reports it
            return
        finally:
            request_trace.current.reset(token)
        if after - before <= PROMPT:
            self.exchange.options["timeDifference"] = after - there
            self._resync_at = self._clock.monotonic() + RESYNC

    def error_text(self, error: BaseException) -> str:
        """Return an exception's text without credentials. For a network error it is the reason, without the address."""
        cause = error.__cause__
        text = str(error)
        if isinstance(cause, aiohttp.ClientError | TimeoutError | OSError):
            text = "time-out" if isinstance(cause, TimeoutError) else str(cause) or type(cause).__name__
        return redacted(text or type(error).__name__, self._secrets)

    async def aclose(self) -> None:
        """Close the exchange and its session. Never raises."""
        exchange, self._exchange = self._exchange, None
        session, self._session = self._session, None
        for closing in (exchange, session):
            if closing is None:
                continue
            try:
                await closing.close()
            except Exception:  # noqa: BLE001, S112  # errors while closing do not matter
                continue

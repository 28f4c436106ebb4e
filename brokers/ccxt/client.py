"""One ccxt exchange for one account: every request of it limited, watched and sent once, every error translated.

``ask`` reads, ``look_up`` reads what an order of ours waits for, ``act`` places or cancels. Callers name ccxt's
unified and raw methods. Each HTTP request of such a method passes ``fetch2``, which waits for the limiters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
from msgspec import Struct

from brokers.ccxt import lazy_import, request_trace
from brokers.ccxt.http_session import TOTAL, HttpSession
from brokers.ccxt.limits import BURST, Limiter, NonceQueue, Priority, cost_of_call, highest_cost, retry_after_of, shared
from brokers.ccxt.wire_errors import VenueError, limiters_hit, redacted, translate
from core.config.secrets import Secret
from core.errors import FlatdeckError, OutcomeUnknown, Refusal, Refused, Unreachable
from core.ports import Clock

RETRY_AFTER = 5.0  # when a 429 does not say
BAN = 120.0  # when a ban does not say
ANSWERS = 8  # whose dates tell the venue's clock
RESYNC = 60.0  # seconds until the difference of the clocks is learned again
PROMPT = 2500  # milliseconds in which the venue's time has to come: half of the shortest window that a request has
# A snapshot by REST in front of the stream is what the reads are for.
DEFAULTS = {"watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False}}
MOST_BURST = 30.0  # seconds of a rate; the whole window is not for one program
GUESSED = frozenset({"uta", "unifiedAccount"})  # which kind of account ccxt takes it for when its question failed
LARGE = 65_536  # a body beyond this is a list, whose parser fails where it breaks off
NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


class ExchangeSettings(Struct, frozen=True):
    """What the configuration says of an account, without credentials. ``stream`` may be empty: no streams."""

    exchange: str
    endpoint: str = ""
    stream: str = ""
    sandbox: bool = False
    defaults: dict[str, Any] = {}  # of ccxt's options, by what is known of the exchange
    options: dict[str, Any] = {}  # of ccxt's options, by the configuration, which has the last word
    allow_withdraw: bool = False  # keys that may withdraw are taken without complaint
    numbered: bool = False  # each signed request has to carry a greater number than the one before
    by_address: bool = False  # the venue counts requests by address, not by account
    open_by_address: bool = False  # it counts those so that are not signed
    per_second: float | None = None  # cost that a second allows; None: as ccxt says
    burst: float | None = None  # seconds of its rate that may leave at once; None: as ccxt says, within bounds
    check: Callable[[str, object], None] | None = None  # of an answer by its path; raises for what ccxt would misread
    costs: dict[str, float] = {}  # of calls by path, and by path and a parameter that makes them dearer; else ccxt's


class Client:
    """One account's exchange. ``open`` may be called again; ``exchange`` is ccxt's instance while it is open."""

    def __init__(self, settings: ExchangeSettings, clock: Clock, account: str) -> None:
        self.settings = settings
        self._skews: deque[float] = deque(maxlen=ANSWERS)
        self._clock = clock
        self._account = account
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
        """The time that ccxt signs with: the program's, which ages and deadlines are counted by, too."""
        return int(self._clock.now().timestamp() * 1000)

    @property
    def skew(self) -> float | None:
        """Seconds that the venue's clock is ahead, to a second, as most answers say: one may be late or wrong."""
        return sorted(self._skews)[len(self._skews) // 2] if self._skews else None

    def to_venue_time(self, at: datetime) -> datetime:
        """A moment of this program's clock by the venue's, as far as its answers told it, and rather too early."""
        return at + timedelta(seconds=self.skew or 0.0)

    def has(self, feature: str) -> bool:
        """Whether ccxt says that the exchange has it, itself and not by emulation."""
        return self.exchange.has.get(feature) is True

    async def open(self, login: Mapping[str, Secret]) -> None:
        """Have an exchange with these credentials, by ccxt's names of them; one that is there already is kept."""
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
            # What is not signed is counted apart, so that prices never take an account's own calls away.
            together = self.settings.by_address, self.settings.by_address or self.settings.open_by_address
            own = self._limit(exchange, together[0]), self._limit(exchange, together[1])
            self._limiters = self._limiters or (*own, shared(self._clock, f"{self._place} banned", per_second=1.0))
            self._session, self._exchange = session, exchange

    def _make(self, made: Any, session: HttpSession, login: Mapping[str, Secret]) -> Any:
        """The instance. Describing one takes some milliseconds, which is why this runs in a thread."""
        exchange = made({"enableRateLimit": False, "timeout": int(TOTAL * 1000), "session": session})
        exchange.number = str  # every number is the venue's own text: no binary fraction on the way
        exchange.milliseconds = self.milliseconds
        exchange.microseconds = lambda: self.milliseconds() * 1000
        exchange.seconds = lambda: self.milliseconds() // 1000
        exchange.decimal_to_precision = partial(lazy_import.contained, exchange.decimal_to_precision)
        exchange.ssl_context = lazy_import.trust()  # else it makes one, while everything waits
        exchange.timeout_on_exit = 0
        for name, secret in login.items():
            setattr(exchange, name, secret.reveal())
        if self.settings.sandbox:
            lazy_import.to_test_system(exchange)
        exchange.options = exchange.deep_extend(
            exchange.options, DEFAULTS, self.settings.defaults, self.settings.options
        )
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
        """Stand between ccxt and the network: a turn before each request, a look at each answer."""
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
        """A nonce greater than the one before: a millisecond can have two requests."""
        now = self.milliseconds() - int(self.exchange.options.get("timeDifference") or 0)
        self._last_number = max(now, self._last_number + 1)
        return self._last_number

    def _heard(self, status: int, headers: Mapping[str, str], body: str) -> str:
        """Learn from an answer before ccxt reads it. One that is no JSON although all went well is no answer."""
        trace = request_trace.current.get()
        if trace is not None:
            trace.status, trace.headers = status, headers
        there = request_trace.answer_date(headers)
        if there is not None:
            self._skews.append((there - self._clock.now()).total_seconds())
        said = body.strip()
        if 300 <= status < 400:
            raise OutcomeUnknown(f"{self.settings.exchange} answered {status}, a redirect, which is not followed")
        if status < 300 and status != 204 and len(said) < LARGE and self.exchange.parse_json(said) is None:
            what = "an empty body" if not said else "a page" if said.startswith("<") else "no whole JSON"
            raise OutcomeUnknown(f"{self.settings.exchange} answered {status} with {what}")
        return said

    async def ask(self, method: str, *args: Any, **named: Any) -> Any:
        """What a question is answered with."""
        return await self._call(Priority.READ, method, args, named)

    async def ask_whole(self, method: str, *args: Any) -> Any:
        """The same where ccxt passes over a part that failed; one that is refused for good may be missing."""
        return await self._call(Priority.READ, method, args, {}, whole=True)

    async def look_up(self, method: str, *args: Any, **named: Any) -> Any:
        """The same for what an order of ours waits for, which goes before other reads."""
        return await self._call(Priority.LOOK_UP, method, args, named)

    async def act(self, method: str, *args: Any, **named: Any) -> Any:
        """Send what places or cancels an order, once. Anything but a readable answer is OutcomeUnknown."""
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
        except Exception as error:  # noqa: BLE001  # whatever leaves ccxt is one of three outcomes
            told = any(c.__name__ == "BaseError" for c in type(error).__mro__)  # with addresses, and the venue's words
            raise self.translate_error(error, trace) from (None if told else error)
        finally:
            request_trace.current.reset(token)

    def _weigh(self, failed: Exception, trace: request_trace.RequestTrace) -> None:
        """Raises what a part that was passed over failed with, if it may be there the next time."""
        told = failed if isinstance(failed, FlatdeckError) else self.translate_error(failed, trace)
        if not isinstance(told, Refused) or told.refusal in (Refusal.RATE_LIMITED, Refusal.BANNED, Refusal.CLOCK):
            given = {**self.settings.defaults, **self.settings.options}
            self.exchange.options |= {kind: given.get(kind) for kind in GUESSED & self.exchange.options.keys()}
            raise told

    def translate_error(self, error: Exception, trace: request_trace.RequestTrace | None = None) -> FlatdeckError:
        """ccxt's exception as ours, and what follows from it for the limit and the clock."""
        acts = trace is not None and trace.priority is Priority.ACT
        if trace is not None and trace.left == 0:  # ccxt itself would not send it
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
        dialled = isinstance(cause, NEVER_LEFT)  # a host that has no name ends in one of these, too
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
            there = int(await self.exchange.fetch_time())
            after = self.milliseconds()
        except Exception:  # noqa: BLE001  # the call that follows is refused again, and says so
            return
        finally:
            request_trace.current.reset(token)
        if after - before <= PROMPT:
            self.exchange.options["timeDifference"] = after - there
            self._resync_at = self._clock.monotonic() + RESYNC

    def error_text(self, error: BaseException) -> str:
        """An exception's text without any of the credentials; a network error's is the reason and not the address."""
        cause = error.__cause__
        text = str(error)
        if isinstance(cause, aiohttp.ClientError | TimeoutError | OSError):
            text = "time-out" if isinstance(cause, TimeoutError) else str(cause) or type(cause).__name__
        return redacted(text or type(error).__name__, self._secrets)

    async def aclose(self) -> None:
        """Close everything; never raises."""
        exchange, self._exchange = self._exchange, None
        session, self._session = self._session, None
        for closing in (exchange, session):
            if closing is None:
                continue
            try:
                await closing.close()
            except Exception:  # noqa: BLE001, S112  # what is being left need not say good-bye
                continue

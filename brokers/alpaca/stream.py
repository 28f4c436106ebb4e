"""The account's live stream: orders and executions, and the prices of what is held, over up to four sockets.

alpaca-py's streams are not used: a refused login loops for ever in them, and a reconnect is not told to anybody. Here
a socket that ends, is refused or does not answer pings ends the whole stream with its reason; the core then reads
everything again and begins a new one. A quiet market is not a silent stream: pings tell the two apart, and prices
that did not change are asked for again so that they do not look stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import aiohttp
import msgspec

from brokers.alpaca import wire_stream as says
from brokers.alpaca.client import CONNECT, Client, reason
from brokers.alpaca.prices import Prices
from brokers.alpaca.reads import Reads
from brokers.alpaca.wire import Row, text
from core.config.secrets import Secret
from core.errors import OutcomeUnknown, Refused, Unreachable
from core.events import AccountChanged, AccountState, BrokerEvent, QuoteSeen
from core.model import Kind
from core.ports import Clock

PULSE = 3.0  # seconds between pings, and until a price that did not come is asked for
SILENCE = 8.0  # a socket that says nothing for so long, not even to a ping, is not believed to be alive
LOGIN = 5.0
CLOSING = 1.0  # for the other side's good-bye
BACKLOG = 10_000
STREAMED = (Kind.EQUITY, Kind.OPTION, Kind.SPOT)
Said = BrokerEvent | BaseException


class Stream:
    """One run of the stream. ``events`` yields until a socket fails, and hangs up when it is closed."""

    def __init__(
        self,
        account: str,
        client: Client,
        reads: Reads,
        prices: Prices,
        clock: Clock,
        login: tuple[Secret, Secret],
        feeds: tuple[str, str],
    ) -> None:
        self._account = account
        self._client = client
        self._reads = reads
        self._prices = prices
        self._clock = clock
        self._key, self._secret = login
        self._feeds = feeds
        self._said: asyncio.Queue[Said] = asyncio.Queue(BACKLOG)
        self._heard: dict[str, float] = {}  # symbol → when its price was last told
        self._sockets: dict[Kind, aiohttp.ClientWebSocketResponse] = {}
        self._subscribed: dict[Kind, set[str]] = {}
        self._polled: set[Kind] = set()  # kinds whose stream this account may not have
        self._alive: dict[aiohttp.ClientWebSocketResponse, float] = {}  # when each socket last said anything
        self._tasks: list[asyncio.Task[None]] = []

    async def events(self) -> AsyncGenerator[BrokerEvent, None]:
        """Everything that the sockets say, until one of them ends."""
        try:
            self._run(self._follow(await self._log_in()))
            self._run(self._pulse())
            while True:
                said = await self._said.get()
                if isinstance(said, BaseException):
                    raise said
                yield said
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.gather(*(socket.close() for socket in list(self._alive)), return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(self._guarded(work)))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever ends a socket ends the stream, in the words of the port."""
        try:
            await work
        except (Refused, Unreachable, OutcomeUnknown) as error:
            self._say(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._say(OutcomeUnknown(f"Alpaca's stream broke: {reason(error)}"))
        except Exception as error:  # noqa: BLE001  # a socket that nobody reads any more is never silent
            self._say(OutcomeUnknown(f"what Alpaca's stream said cannot be read: {error!r}"))

    def _say(self, said: Said) -> None:
        try:
            self._said.put_nowait(said)
        except asyncio.QueueFull:
            if not isinstance(said, QuoteSeen):  # a price that is dropped is followed by another
                while not self._said.empty():
                    self._said.get_nowait()
                self._said.put_nowait(OutcomeUnknown("more came over the stream than could be taken"))

    async def _open(self, url: str) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(CONNECT):
                return await self._client.session.ws_connect(
                    url,
                    autoping=False,
                    max_msg_size=0,
                    headers={"Content-Type": "application/msgpack"},
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise OutcomeUnknown(f"Alpaca's stream answered {error.status}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"Alpaca's stream cannot be reached: {reason(error)}") from error

    async def _log_in(self) -> aiohttp.ClientWebSocketResponse:
        """The account's stream: in, and listening. A refused login raises Refused."""
        socket = await self._open(self._client.hosts.stream + "/stream")
        self._alive[socket] = self._clock.monotonic()
        try:
            async with asyncio.timeout(LOGIN):
                await socket.send_json(says.authenticate(self._key.reveal(), self._secret.reveal()))
                while not says.authorized(says.decode_json(await self._frame(socket))):
                    continue
                await socket.send_json(says.LISTEN)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknown(f"Alpaca's stream did not answer the login: {reason(error)}") from error
        return socket

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = says.decode_json(await self._frame(socket))
            for event in says.updates(self._account, message, self._reads.pairs):
                self._say(event)

    async def _pulse(self) -> None:
        """A sign of life while every socket answers, a socket for each kind that is held, and prices that are due."""
        while True:
            await self._ping()
            self._say(AccountChanged(self._account, AccountState.LIVE))
            for kind, symbols in self._held().items():
                if kind in self._polled:
                    continue
                if kind not in self._subscribed:
                    self._subscribed[kind] = set()
                    self._run(self._follow_prices(kind))
                elif kind in self._sockets:
                    await self._subscribe(kind, symbols)
            await self._ask()
            await self._clock.sleep(PULSE)

    async def _ping(self) -> None:
        now = self._clock.monotonic()
        for socket, heard in list(self._alive.items()):
            if now - heard > SILENCE:
                raise OutcomeUnknown(f"Alpaca's stream is silent for {now - heard:.0f} s")
            await socket.ping()

    def _held(self) -> dict[Kind, set[str]]:
        kinds: dict[Kind, set[str]] = {}
        for symbol in self._reads.held:
            kind = self._reads.kind(symbol)
            if kind in STREAMED:
                kinds.setdefault(kind, set()).add(symbol)
        return kinds

    async def _ask(self) -> None:
        """Prices of what was not heard of for a while: quiet symbols, and kinds that are not streamed."""
        now = self._clock.monotonic()
        quiet = [s for s in sorted(self._reads.held) if now - self._heard.get(s, -PULSE) >= PULSE]
        for quote in await self._prices.quotes(quiet) if quiet else ():
            self._heard[quote.symbol] = now
            self._say(QuoteSeen(quote))

    async def _follow_prices(self, kind: Kind) -> None:
        """One price stream. Where the account may not have it, its prices are asked for by REST."""
        socket = await self._open(self._client.hosts.prices + says.path(kind, *self._feeds))
        async with socket:
            try:
                async with asyncio.timeout(LOGIN):
                    await self._enter(socket)
                self._sockets[kind] = socket
                await self._subscribe(kind, self._held().get(kind, set()))
                while True:
                    for row in says.decode_frame(await self._frame(socket)):
                        self._price(row)
            except says.NoData:
                self._polled.add(kind)
                self._sockets.pop(kind, None)
            finally:
                self._alive.pop(socket, None)

    async def _enter(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._greeting(socket, "connected")
        await socket.send_bytes(msgspec.msgpack.encode(says.auth(self._key.reveal(), self._secret.reveal())))
        await self._greeting(socket, "authenticated")

    async def _greeting(self, socket: aiohttp.ClientWebSocketResponse, word: str) -> None:
        while not _heard(says.decode_frame(await self._frame(socket)), word):
            continue

    async def _frame(self, socket: aiohttp.ClientWebSocketResponse) -> bytes | str:
        """The next text or binary frame, pings answered on the way; a socket that ended is an error."""
        while True:
            message = await socket.receive()
            self._alive[socket] = self._clock.monotonic()
            match message.type:
                case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                    data: bytes | str = message.data
                    return data
                case aiohttp.WSMsgType.PING:
                    await socket.pong(message.data)
                case aiohttp.WSMsgType.PONG:
                    continue
                case aiohttp.WSMsgType.ERROR:
                    raise OutcomeUnknown(f"Alpaca's stream broke: {reason(message.data)}")
                case _:
                    code = f" ({socket.close_code})" if socket.close_code else ""
                    raise OutcomeUnknown(f"Alpaca's stream ended{code}")

    async def _subscribe(self, kind: Kind, symbols: set[str]) -> None:
        fresh = symbols - self._subscribed[kind]
        if fresh:
            self._subscribed[kind] |= fresh
            await self._sockets[kind].send_bytes(msgspec.msgpack.encode(says.subscribe(fresh)))

    def _price(self, row: Row) -> None:
        if row.get("T") == "error":
            says.raise_error(row)
        symbol = text(row, "S")
        if row.get("T") != "q" or not symbol:
            return
        now = self._clock.monotonic()
        quote = self._prices.usable(says.quote(self._account, row, symbol, now), symbol)
        if quote is not None:
            self._heard[symbol] = now
            self._say(QuoteSeen(quote))


def _heard(rows: list[Row], word: str) -> bool:
    return any(says.greeted(row, word) for row in rows)

"""The account's live stream: orders, executions and the prices of held instruments, over up to four sockets.

We do not use alpaca-py's streams: they try a refused login again for ever, and they tell nobody of a reconnect. Here a
socket that ends, is refused or does not answer pings ends the whole stream with the reason. The core then reads
everything again and begins a new stream. Pings tell a quiet market from a silent stream. Prices that did not change
are asked for again, so that they do not look stale.
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
from core.errors import FlatdeckError, OutcomeUnknown, Refused, Unreachable
from core.events import AccountChanged, AccountState, BrokerEvent, QuoteSeen
from core.model import Kind
from core.ports import Clock

PING_EVERY = 3.0  # seconds between pings
QUIET = 2.0  # seconds without a price after which the price is asked for at the next ping
SILENCE = 8.0  # seconds; a socket that sends nothing for so long, not even a pong, counts as dead
LOGIN = 5.0
CLOSING = 1.0  # seconds to wait for the other side's close frame
BACKLOG = 10_000
STREAMED = (Kind.EQUITY, Kind.OPTION, Kind.SPOT)
Said = BrokerEvent | BaseException


class Stream:
    """One run of the stream. ``events`` yields until a socket fails. A caller that closes it closes the sockets."""

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
        self._heard: dict[str, float] = {}  # symbol → time of its last price
        self._sockets: dict[Kind, aiohttp.ClientWebSocketResponse] = {}
        self._subscribed: dict[Kind, set[str]] = {}
        self._polled: set[Kind] = set()  # kinds whose price stream Alpaca refuses to this account
        self._alive: dict[aiohttp.ClientWebSocketResponse, float] = {}  # socket → time of its last frame
        self._tasks: set[asyncio.Task[None]] = set()

    async def events(self) -> AsyncGenerator[BrokerEvent, None]:
        """Yield every event of the sockets until a socket ends. Raises the reason of the end."""
        try:
            self._run(self._follow(await self._log_in()))
            self._run(self._keep_alive())
            while True:
                said = await self._said.get()
                if isinstance(said, BaseException):
                    raise said
                yield said
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(socket.close() for socket in list(self._alive)), return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # a task that is cancelled before its start leaves it unawaited
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work``. Any failure ends the stream, with one of the port's errors."""
        try:
            await work
        except (Refused, Unreachable, OutcomeUnknown) as error:
            self._say(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._say(OutcomeUnknown(f"Alpaca's stream broke: {reason(error)}"))
        except Exception as error:  # noqa: BLE001  # a socket whose reader failed must end the stream with a reason
            self._say(OutcomeUnknown(f"what Alpaca's stream said cannot be read: {error!r}"))

    def _say(self, said: Said) -> None:
        try:
            self._said.put_nowait(said)
        except asyncio.QueueFull:
            if not isinstance(said, QuoteSeen):  # another price follows a dropped price
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
        """Log in on the account's stream and listen. Raises Refused when Alpaca refuses the login."""
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

    async def _keep_alive(self) -> None:
        """Ping the sockets, report the account LIVE, open a socket for each held kind, and ask for due prices.

        The requests for prices run beside the pings, because their answers say nothing about the sockets.
        """
        asking: asyncio.Task[None] | None = None
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
            if asking is None or asking.done():
                asking = self._run(self._ask())
            await self._clock.sleep(PING_EVERY)

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
        """Ask for prices that did not arrive for a while: of quiet symbols, and of kinds without a stream.

        Where quotes fail, the venue's own marks of the positions serve, so the positions are read.
        """
        now = self._clock.monotonic()
        quiet = [s for s in sorted(self._reads.held) if now - self._heard.get(s, -QUIET) >= QUIET]
        if quiet and self._prices.errors:
            await self._read_marks()
        for quote in await self._prices.quotes(quiet) if quiet else ():
            self._heard[quote.symbol] = now
            self._say(QuoteSeen(quote))

    async def _read_marks(self) -> None:
        try:
            await self._reads.holdings()
        except FlatdeckError:
            return  # the account's next read reports the failure

    async def _follow_prices(self, kind: Kind) -> None:
        """Follow one price stream. If Alpaca refuses the stream to the account, REST is asked for the prices."""
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
        """Return the next text or binary frame; answer pings until then. Raises OutcomeUnknown for an ended socket."""
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

"""The account's live stream: ccxt's ``watch`` calls for orders, executions, positions and prices in one.

ccxt reconnects silently and does not report what was missed. Here the first failed call ends the whole stream with
its reason. The core then reads everything again and starts a new stream on new sockets. The reads cover what an
exchange does not stream. Prices that did not come for a while are requested. A socket that answers no ping counts as
dead, however quiet its market is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

from msgspec.structs import replace

from brokers.ccxt import wire
from brokers.ccxt.client import Client
from brokers.ccxt.exchanges.kraken_margin import position_symbol
from brokers.ccxt.exchanges.krakenfutures_stream import KrakenFuturesStream
from brokers.ccxt.exchanges.krakenfutures_wire import KRAKEN_FUTURES
from brokers.ccxt.exchanges.okx_margin_modes import margin_mode
from brokers.ccxt.markets import Markets
from brokers.ccxt.prices import PriceReader
from brokers.ccxt.reads import AccountReads
from brokers.ccxt.stream_prices import PING_EVERY, PriceStream
from brokers.ccxt.wire import Row
from brokers.ccxt.wire_errors import plainly, redacted
from core.errors import FlatdeckError, OutcomeUnknown, Unreachable
from core.events import (
    AccountChanged,
    AccountState,
    BrokerEvent,
    FillSeen,
    OrderSeen,
    PositionSeen,
    QuoteSeen,
)
from core.model import Leg, PositionKey
from core.ports import Clock

SILENCE = 8.0
LOGIN = 8.0
BACKLOG = 10_000
RAW_POSITIONS = frozenset({"bybit"})  # position messages are read raw, as they arrive
NEGATIVE_FEES = frozenset({"okx", "myokx", "okxus"})  # fees are negative there; ccxt inverts them in reads only
# ccxt watches positions on the socket of unified accounts, which we do not support.
NOT_WATCHED = {"kucoinfutures": frozenset({"watchPositions"})}
NO_REDUCE_ONLY = frozenset({"kucoinfutures"})  # the stream omits reduce-only; reads have the flag
# Binance's messages for the end of the account's stream: for derivatives and for spot. The socket stays open.
ENDED = {
    "listenKeyExpired": "the listen key of {}'s stream has expired",
    "eventStreamTerminated": "{} has ended the stream of the account",
}
# Coinbase closes a quiet account's channels silently: "Most channels close within 60-90 seconds if no updates are
# sent".
KEPT_OPEN = {"coinbase": "heartbeats"}
Said = BrokerEvent | BaseException


class AccountStream:
    """One run of the stream. ``events`` yields until a call fails; closing it closes the sockets."""

    def __init__(
        self, account: str, client: Client, markets: Markets, reads: AccountReads, prices: PriceReader, clock: Clock
    ) -> None:
        self._account = account
        self._client = client
        self._reads = reads
        self._clock = clock
        self._name = client.settings.exchange
        self._said: asyncio.Queue[Said] = asyncio.Queue(BACKLOG)
        self._alive: dict[str, tuple[object, float]] = {}  # socket → its last sign of life, and when we saw it
        self._tasks: set[asyncio.Task[None]] = set()
        self._price_stream = PriceStream(client, markets, reads, prices, clock, self._run, self._emit)
        self._ending = False

    async def events(self) -> AsyncGenerator[BrokerEvent, None]:
        """Yield all events of the exchange. Raises the reason of the stream's end."""
        try:
            self._intercept_messages()
            self._start()
            self._run(self._keep_alive())
            while True:
                said = await self._said.get()
                if isinstance(said, BaseException):
                    raise said
                yield said
        finally:
            await self._hang_up()

    async def _hang_up(self) -> None:
        self._ending = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            vars(self._client.exchange).pop("handle_message", None)
            # KuCoin's addresses have tokens that expire; the next stream gets new ones
            self._client.exchange.options.pop("urls", None)
            await self._client.exchange.close_ws_clients()
            self._client.exchange.clean_ws_data()
        except Exception:  # noqa: BLE001  # errors while closing do not matter
            return

    def _intercept_messages(self) -> None:
        """Wrap ccxt's message handler.

        ccxt ignores the message that a listen key or a subscription has ended. After it the socket answers pings but
        sends no events. The stream ends, and the next stream requests a new key. If ccxt fails over a message, such
        as a refused login, its socket is no longer read. That ends the stream as well.
        """
        exchange = self._client.exchange
        pass_on = exchange.handle_message
        futures_stream = self._futures_stream() if self._name == KRAKEN_FUTURES else None

        def heard(socket: Any, message: Any) -> None:
            if futures_stream is not None:
                for event in futures_stream.read_message(message):
                    self._emit(event)
                message = futures_stream.drop_old_fills(message)
            if (sentence := _ended(message)) is not None:
                for known in self._listen_keys():
                    known["lastAuthenticatedTime"] = 0
                self._emit(OutcomeUnknown(sentence.format(self._name)))
            try:
                pass_on(socket, message)
            except Exception as error:  # noqa: BLE001  # ccxt's parsers raise anything
                self._emit(self._broken(error))
            if self._name in RAW_POSITIONS and isinstance(message, dict) and message.get("topic") == "position":
                self._positions(message.get("data"))

        exchange.handle_message = heard

    def _futures_stream(self) -> KrakenFuturesStream:
        milliseconds = self._client.milliseconds()
        return KrakenFuturesStream(self._account, self._client.exchange.safe_symbol, self._reads.held, milliseconds)

    async def _extend_listen_key(self) -> None:
        """Extend the listen key by asking for a key.

        ccxt extends it once and then only when called again, which never happens for a quiet account. Its
        ``keep_alive_listen_key`` looks for subscriptions in an object that is no dictionary.
        """
        before = [known["listenKey"] for known in self._listen_keys()]
        if before:
            await self._client.exchange.authenticate()  # does nothing if the last call was recent
            if before != [known["listenKey"] for known in self._listen_keys()]:
                raise OutcomeUnknown(f"the listen key of {self._name}'s stream is not valid any more")

    def _listen_keys(self) -> list[dict[str, Any]]:
        """Return ccxt's stored options of each listen key (one per kind of market)."""
        options = self._client.exchange.options.values()
        return [known for known in options if isinstance(known, dict) and isinstance(known.get("listenKey"), str)]

    def _start(self) -> None:
        """Start the watch calls. Positions are watched only where the reads list them.

        For a spot account ccxt would watch Binance's futures positions, which belong to another account here or to
        none.
        """
        positions = (lambda _: None) if self._name in RAW_POSITIONS else self._position
        watches: tuple[tuple[str, str, Callable[[Row], BrokerEvent | None]], ...] = (
            ("watchOrders", "watch_orders", self._order),
            ("watchMyTrades", "watch_my_trades", self._fill),
            ("watchPositions", "watch_positions", positions),
        )
        spot_only = set() if self._reads.lists_positions else {"watchPositions"}
        left_out = NOT_WATCHED.get(self._name, frozenset()) | spot_only
        for feature, method, made in watches:
            if self._client.has(feature) and feature not in left_out:
                self._run(self._follow(method, made))
        if self._name in KEPT_OPEN:
            self._run(self._keep_open(KEPT_OPEN[self._name]))

    async def _keep_open(self, channel: str) -> None:
        """Subscribe to a channel that keeps the socket open; ccxt drops the channel's messages."""
        await self._client.exchange.subscribe(channel, False)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._end_stream_with(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # a task that is cancelled before its start never awaits the coroutine
        task.add_done_callback(lambda _: work.close())
        return task

    async def _end_stream_with(self, work: Coroutine[Any, Any, None]) -> None:
        """Run one call; any error of it ends the stream as one of the port's errors."""
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._ending and task is not None and not task.cancelling():
                # ccxt cancels calls that wait on a closed socket
                self._emit(OutcomeUnknown(f"{self._name}'s stream was cut off"))
                return
            raise
        except FlatdeckError as error:
            self._emit(error)
        except Exception as error:  # noqa: BLE001  # every failed call must end the stream
            self._emit(self._broken(error))

    def _broken(self, error: Exception) -> FlatdeckError:
        told = self._client.translate_error(error)
        broke = isinstance(told, OutcomeUnknown)
        return OutcomeUnknown(f"{self._name}'s stream broke: {self._plain(error)}") if broke else told

    def _plain(self, error: Exception) -> str:
        """Return the error's text without the listen key, which is in the address of a failed socket."""
        return plainly(redacted(self._client.error_text(error), [known["listenKey"] for known in self._listen_keys()]))

    def _emit(self, said: Said) -> None:
        try:
            self._said.put_nowait(said)
        except asyncio.QueueFull:
            if not isinstance(said, QuoteSeen):  # a dropped price is followed by another
                while not self._said.empty():
                    self._said.get_nowait()
                self._said.put_nowait(OutcomeUnknown("more came over the stream than could be taken"))

    async def _follow(self, method: str, made: Callable[[Row], BrokerEvent | None]) -> None:
        watch = getattr(self._client.exchange, method)
        while True:
            for row in list(await watch()):
                try:
                    event = made(row)
                except OutcomeUnknown:
                    continue  # unreadable; the next read has the truth
                if event is not None:
                    self._emit(event)

    def _order(self, row: Row) -> BrokerEvent | None:
        """Return the event of an order.

        At Bybit a coin and its perpetual share an id, and ccxt takes the order for the perpetual's; ``category``
        tells.
        """
        if self._name == KRAKEN_FUTURES:
            return None  # read from the raw messages
        info = wire.inner(row, "info")
        if info.get("category") == "spot" and ":" in wire.text(row, "symbol"):
            row = {**row, "symbol": self._client.exchange.safe_symbol(info.get("symbol"), None, None, "spot")}
        made = wire.order(self._account, row, self._name)
        reduces = made.reduce_only or (self._name in NO_REDUCE_ONLY and made.id in self._reads.reducing)
        return OrderSeen(replace(made, symbol=self._symbol(row, made.leg), reduce_only=reduces))

    def _fill(self, row: Row) -> BrokerEvent | None:
        made = wire.fill(self._account, row)
        if made is not None and ":" not in made.symbol:
            self._reads.cost_basis.forget_costs(made.symbol)
        if made is not None and made.fee is not None and self._name in NEGATIVE_FEES:
            made = replace(made, fee=-made.fee)
        return None if made is None else FillSeen(replace(made, symbol=self._symbol(row, made.leg)))

    def _symbol(self, row: Row, leg: Leg) -> str:
        """Return the symbol of the position to which a row belongs."""
        key = PositionKey(self._account, position_symbol(row, self._name), leg)
        return self._reads.margin_modes.symbol_of(key, margin_mode(row))

    def _positions(self, rows: Any) -> None:
        """Emit Bybit's positions from the raw message.

        ccxt passes on only the first of several messages, out of sequence.
        """
        for row in rows if isinstance(rows, list) else ():
            try:
                event = self._position(self._client.exchange.parse_position(row))
            except Exception:  # noqa: BLE001, S112  # ccxt's parsers raise anything; the reads have the truth
                continue
            if event is not None:
                self._emit(event)

    def _position(self, row: Row) -> BrokerEvent | None:
        leg = wire.leg_of(row)
        made, symbol, mode = wire.position(self._account, row, self._name), self._symbol(row, leg), margin_mode(row)
        if not symbol or mode not in ("", self._reads.modes.get((symbol, leg), mode)):
            return None  # not the position that was read under this name: only a complete list tells which
        if made is None:
            return PositionSeen(PositionKey(self._account, symbol, leg), None)
        made = replace(made, symbol=symbol)
        known = self._reads.last_position(made.key)  # Binance's stream omits the leverage
        if made.leverage is None and known is not None and known.side is made.side:
            made = replace(made, leverage=known.leverage)
        return PositionSeen(made.key, made)

    async def _keep_alive(self) -> None:
        """While every socket answers: report the account as live, watch the prices of holdings, request missing prices.

        The requests run beside the pings, because their answers say nothing about the sockets.
        """
        await self._connected()
        asking: asyncio.Task[None] | None = None
        while True:
            await self._ping()
            await self._extend_listen_key()
            self._emit(AccountChanged(self._account, AccountState.LIVE))
            self._price_stream.watch_held()
            if asking is None or asking.done():
                asking = self._run(self._price_stream.ask_quiet())
            await self._clock.sleep(PING_EVERY)

    async def _connected(self) -> None:
        """Wait until every socket is open. Nothing is needed if nothing is watched; some sockets are never dialled."""
        until = self._clock.monotonic() + LOGIN
        while self._tasks and len(self._tasks) > 1:
            sockets = list(self._sockets().values())
            if any(socket.isConnected for socket in sockets) and not any(socket.connecting for socket in sockets):
                return
            if self._clock.monotonic() > until:
                raise Unreachable(f"{self._name}'s stream cannot be reached")
            await self._clock.sleep(0.1)

    def _sockets(self) -> Mapping[str, Any]:
        return self._client.exchange.clients or {}

    async def _ping(self) -> None:
        """Ping each socket. Raises OutcomeUnknown for a socket that was silent for too long."""
        now = self._clock.monotonic()
        for url, socket in list(self._sockets().items()):
            if not socket.isConnected or socket.closed():
                continue
            sign = (socket.lastPong, socket.last_message_at)
            known = self._alive.get(url)
            if known is None or known[0] != sign:
                self._alive[url] = sign, now
            elif now - known[1] > SILENCE:
                raise OutcomeUnknown(f"{self._name}'s stream is silent for {now - known[1]:.0f} s")
            if socket.ping:  # the exchange has its own ping and may ignore the protocol's
                await socket.send(socket.ping(socket))
            else:
                await socket.connection.ping()


def _ended(message: Any) -> str | None:
    """Return the reason if a message ends the account's stream, else None. Binance's spot wraps its messages."""
    told = message.get("event", message) if isinstance(message, dict) else None
    return ENDED.get(wire.text(told, "e")) if isinstance(told, dict) else None

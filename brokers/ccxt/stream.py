"""The account's live stream: ccxt's ``watch`` calls as one, for orders, executions, positions and prices.

ccxt dials again by itself after a connection broke and tells nobody what was missed. Here the first call that fails
ends the whole stream with its reason; the core then reads everything again and begins a new one on new sockets. What
an exchange does not stream is left to the reads beside the stream, and prices that nobody told for a while are asked
for. A socket that answers no ping is not believed to be alive, however quiet its market.
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
RAW_POSITIONS = frozenset({"bybit"})  # whose messages of positions are read as they come
NEGATIVE_FEES = frozenset({"okx", "myokx", "okxus"})  # what is paid is negative there, which ccxt turns in reads only
# ccxt listens for these on the socket of unified accounts, which are not what is connected here.
NOT_WATCHED = {"kucoinfutures": frozenset({"watchPositions"})}
NO_REDUCE_ONLY = frozenset({"kucoinfutures"})  # whether an order only reduces; the reads tell it
# Binance's words for the end of the account's stream, whose socket stays open: of its derivatives, and of its spot.
ENDED = {
    "listenKeyExpired": "the listen key of {}'s stream has expired",
    "eventStreamTerminated": "{} has ended the stream of the account",
}
# "Most channels close within 60-90 seconds if no updates are sent": Coinbase's of a quiet account, without a word.
KEPT_OPEN = {"coinbase": "heartbeats"}
Said = BrokerEvent | BaseException


class AccountStream:
    """One run of the stream. ``events`` yields until a call fails, and hangs up when it is closed."""

    def __init__(
        self, account: str, client: Client, markets: Markets, reads: AccountReads, prices: PriceReader, clock: Clock
    ) -> None:
        self._account = account
        self._client = client
        self._markets = markets
        self._reads = reads
        self._clock = clock
        self._name = client.settings.exchange
        self._said: asyncio.Queue[Said] = asyncio.Queue(BACKLOG)
        self._alive: dict[str, tuple[object, float]] = {}  # socket → its last sign, and when that was seen
        self._tasks: set[asyncio.Task[None]] = set()
        self._price_stream = PriceStream(client, markets, reads, prices, clock, self._run, self._emit)
        self._ending = False

    async def events(self) -> AsyncGenerator[BrokerEvent, None]:
        """Everything that the exchange says, until it stops saying it."""
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
            self._client.exchange.options.pop("urls", None)  # KuCoin's, with tokens that end: the next stream's are new
            await self._client.exchange.close_ws_clients()
            self._client.exchange.clean_ws_data()
        except Exception:  # noqa: BLE001  # what is being left need not say good-bye
            return

    def _intercept_messages(self) -> None:
        """ccxt passes over the word that a listen key or a subscription has ended, after which its socket answers pings
        and tells nothing; the stream ends, and the next one asks for another. A message over which ccxt fails, as one
        that refuses a login, has its socket read no more, and ends the stream as well."""
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
        """ccxt prolongs a listen key once and then when it is called again, which for a quiet account is never: its
        ``keep_alive_listen_key`` looks for subscriptions in what is no dictionary. Asking for a key prolongs it."""
        before = [known["listenKey"] for known in self._listen_keys()]
        if before:
            await self._client.exchange.authenticate()  # does nothing as long as the last time is not long ago
            if before != [known["listenKey"] for known in self._listen_keys()]:
                raise OutcomeUnknown(f"the listen key of {self._name}'s stream is not valid any more")

    def _listen_keys(self) -> list[dict[str, Any]]:
        """What ccxt keeps of each kind of market's listen key."""
        options = self._client.exchange.options.values()
        return [known for known in options if isinstance(known, dict) and isinstance(known.get("listenKey"), str)]

    def _start(self) -> None:
        """Positions only where the reads list them: of a spot account ccxt would tell those of Binance's futures, which
        are another account's here, or nobody's."""
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
        """Until the socket breaks: ccxt tells nobody what comes over it."""
        await self._client.exchange.subscribe(channel, False)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._end_stream_with(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one that is cancelled before it began never awaited it
        return task

    async def _end_stream_with(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever ends one call ends the stream, in the words of the port."""
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._ending and task is not None and not task.cancelling():
                self._emit(OutcomeUnknown(f"{self._name}'s stream was cut off"))  # ccxt cancels what waits on a socket
                return
            raise
        except FlatdeckError as error:
            self._emit(error)
        except Exception as error:  # noqa: BLE001  # a call that nobody follows any more is never silent
            self._emit(self._broken(error))

    def _broken(self, error: Exception) -> FlatdeckError:
        told = self._client.translate_error(error)
        broke = isinstance(told, OutcomeUnknown)
        return OutcomeUnknown(f"{self._name}'s stream broke: {self._plain(error)}") if broke else told

    def _plain(self, error: Exception) -> str:
        """Without the listen key, which is in the address of a socket that could not be opened."""
        return plainly(redacted(self._client.error_text(error), [known["listenKey"] for known in self._listen_keys()]))

    def _emit(self, said: Said) -> None:
        try:
            self._said.put_nowait(said)
        except asyncio.QueueFull:
            if not isinstance(said, QuoteSeen):  # a price that is dropped is followed by another
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
                    continue  # a hint that cannot be read; the reads beside it have the truth
                if event is not None:
                    self._emit(event)

    def _order(self, row: Row) -> BrokerEvent | None:
        """At Bybit a coin and its perpetual share an id: ccxt takes an order for one of the latter that says better."""
        if self._name == KRAKEN_FUTURES:
            return None  # overheard
        info = wire.inner(row, "info")
        if info.get("category") == "spot" and ":" in wire.text(row, "symbol"):
            row = {**row, "symbol": self._client.exchange.safe_symbol(info.get("symbol"), None, None, "spot")}
        made = wire.order(self._account, row, self._name)
        reduces = made.reduce_only or (self._name in NO_REDUCE_ONLY and made.id in self._reads.reducing)
        return OrderSeen(replace(made, symbol=self._symbol(row, made.leg), reduce_only=reduces))

    def _fill(self, row: Row) -> BrokerEvent | None:
        made = wire.fill(self._account, row, self._markets.row(wire.text(row, "symbol")))
        if made is not None and ":" not in made.symbol:
            self._reads.cost_basis.forget_costs(made.symbol)
        if made is not None and self._name in NEGATIVE_FEES:
            made = replace(made, fee=-made.fee)
        return None if made is None else FillSeen(replace(made, symbol=self._symbol(row, made.leg)))

    def _symbol(self, row: Row, leg: Leg) -> str:
        """That of the position which a row is about."""
        key = PositionKey(self._account, position_symbol(row, self._name), leg)
        return self._reads.margin_modes.symbol_of(key, margin_mode(row))

    def _positions(self, rows: Any) -> None:
        """Of messages that were read together ccxt hands on the first, and keeps no order of positions."""
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
            return None  # another position than the one that was read under that name: only a whole list tells which
        if made is None:
            return PositionSeen(PositionKey(self._account, symbol, leg), None)
        made = replace(made, symbol=symbol)
        known = self._reads.last_position(made.key)  # Binance's stream leaves the leverage out
        if made.leverage is None and known is not None and known.side is made.side:
            made = replace(made, leverage=known.leverage)
        return PositionSeen(made.key, made)

    async def _keep_alive(self) -> None:
        """A sign of life while every socket answers, prices of what is held now, and those that are due, whose answers
        are not waited for: they say nothing about the sockets."""
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
        """Until every socket that is dialled is open; what watches nothing needs none. Some are never dialled."""
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
        """Ask each socket for a sign; one that gave none for too long ends the stream."""
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
            if socket.ping:  # the exchange has a ping of its own; frames of the protocol may go unanswered there
                await socket.send(socket.ping(socket))
            else:
                await socket.connection.ping()


def _ended(message: Any) -> str | None:
    """The sentence for a message that says that the account's stream is over; Binance's spot wraps what it says."""
    told = message.get("event", message) if isinstance(message, dict) else None
    return ENDED.get(wire.text(told, "e")) if isinstance(told, dict) else None

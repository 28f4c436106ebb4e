"""Keeps a resting stop at the venue behind every position's software stop, where the configuration asks for a stop.

The service looks at the book once a second. Before acting on an instrument, the service reads the account completely.
Only a lasting engine that may send runs the service. An error is shown and tried again after growing pauses, and is
never an exit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping

from msgspec import structs

from core.errors import FlatdeckError, OutcomeUnknown, Refusal, explain
from core.exits.view import ExitView
from core.journal.journal import Journal
from core.journal.ledger import PositionLedger
from core.model import InstrumentKey, Order, OrderStatus, Position, PositionKey
from core.orders.account_reader import AccountReader
from core.orders.instrument_locks import InstrumentLocks
from core.orders.lookup import limited
from core.orders.other_writer import find_foreign_orders, why_foreign
from core.orders.submit import Submitted
from core.plans.plan import is_our_stop
from core.plans.results import win_or_loss
from core.portfolio.book import Book
from core.ports import Broker, Clock
from core.records import IntentWritten, PositionClosed
from core.settings import Settings
from core.units import ZERO, plain
from core.venue_stops.orders import WITHDRAW, VenueStopOrders
from core.venue_stops.rules import MOST_REFUSALS, StopAction, StopDecision, StopSituation, VenueStop, decide, same_place

LOOK_EVERY, LOOK_SELDOM = 1.0, 5.0  # seconds with [protect] on, and with only leftovers to cancel
AT_ONCE = 4  # instruments of one account that the service acts on at the same time
STEPS = 4  # per go: find out, cancel, place
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
NOT_NOW = frozenset({Refusal.RATE_LIMITED, Refusal.MARKET_CLOSED, Refusal.HALTED, Refusal.CLOCK})
LATEST, LATELY = 30.0, 60.0  # seconds: an order without an expiry may arrive so late; a close is recent for so long
FIRED = "protective_stop"


class VenueStopService:
    """One engine's protective orders. Without a journal to write, the service does nothing."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        brokers: Mapping[str, Broker],
        readers: Mapping[str, AccountReader],
        journal: Journal | None,
        ledger: PositionLedger,
        locks: InstrumentLocks,
        *,
        frozen: Mapping[str, str],
        watched: Callable[[PositionKey], ExitView | None],
        spawn: Callable[[Coroutine[object, object, object]], None],
        say: Callable[..., None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._book = book
        self._journal = journal
        self._ledger = ledger
        self._locks = locks
        self._frozen = frozen
        self._watched = watched
        self._spawn = spawn
        self._log = say
        self._orders: dict[str, VenueStopOrders] = {}
        if journal is not None:
            for account, broker in brokers.items():
                self._orders[account] = VenueStopOrders(broker, readers[account], journal, clock, locks)
        self._gates = {account: asyncio.Semaphore(AT_ONCE) for account in brokers}
        self._stops: dict[PositionKey, VenueStop] = {}
        self._known: dict[str, IntentWritten | None] = {}  # by client id; None: no protective order of ours
        self._working: set[InstrumentKey] = set()  # own tasks; no lock: a close only waits for an order that leaves
        self._begun = 0.0

    def view(self, key: PositionKey) -> ExitView | None:
        """Return how a position is watched, and why a protective order is missing or troubled."""
        seen, post = self._watched(key), self._stops.get(key)
        if seen is None or post is None or not post.note:
            return seen
        note = f"no protective order: {post.note}" if post.order is None else f"protective order: {post.note}"
        return structs.replace(seen, note=f"{seen.note}; {note}" if seen.note else note)

    async def run(self) -> None:
        """Run until cancelled, with one task per account."""
        self._begun = self._clock.monotonic()
        await asyncio.gather(*(self._watch(account) for account in self._orders))

    async def _watch(self, account: str) -> None:
        failed, recalled = "", False
        every = LOOK_EVERY if self._settings.protect.enabled else LOOK_SELDOM
        while True:
            await self._clock.sleep(every)
            try:
                if account not in self._frozen and not self._book.accounts[account].unread:
                    recalled = recalled or await self._recall(account)
                    await self._look(account)
                failed = ""
            except Exception as error:  # noqa: BLE001 - a fault in one account must not end the protection of the others
                if failed != (failed := str(error) or repr(error)):
                    self._log("alarm", f"[PROTECT] {account} cannot be looked after: {failed}", account)

    async def _recall(self, account: str) -> bool:
        """Load the believed positions, to report a stop that fired while no engine ran. Raises JournalError."""
        for belief in list((await self._ledger.read()).held.values()):
            if belief.key.account == account:
                (await self._opened(belief.key)).position = belief.position
        return True

    async def _look(self, account: str) -> None:
        """Start to act on every position whose order needs a change. Raises JournalError."""
        book, now = self._book, self._clock.monotonic()
        ours = await self._protective(book.orders(account))
        listed, asked = {o.id for o in ours}, book.accounts[account].asked or 0.0
        keys = {PositionKey(o.account, o.symbol, o.leg) for o in ours} | {
            k for k in self._stops if k.account == account
        }
        if self._settings.protect.enabled:
            keys |= set(book.keys([account]))
        for key in sorted(keys):
            where = key.instrument
            post = self._stops.get(key) or await self._opened(key)
            if where in self._working or post.until > now:
                continue
            decision = self._decided(key, post, book.position(key), ours, now)  # _act reads again
            self._tell(key, post, decision)
            missing = post.order is not None and post.order.id not in listed and asked > post.changed
            if decision.do is not StopAction.NOTHING or post.unknown or (missing and not self._locks.closing(where)):
                self._working.add(where)
                self._spawn(self._act(key, post))
            elif post.order is None and book.position(key) is None:
                if post.fired and not self._closed_lately(key):
                    self._orders[account].remember(key, PositionClosed(key, FIRED))
                del self._stops[key]

    async def _opened(self, key: PositionKey) -> VenueStop:
        """Return the position's order as an earlier process left it. Raises JournalError."""
        past = await self._orders[key.account].read_past(key)
        self._stops[key] = post = VenueStop(past.number, intent=past.open, changed=self._begun)
        return post

    async def _protective(self, orders: Iterable[Order]) -> list[Order]:
        """Return the live protective orders that this program's journal knows. Raises JournalError."""
        assert self._journal is not None
        mine = [o for o in orders if is_our_stop(o) and not o.status.terminal]
        for name in sorted({o.client_id or "" for o in mine} - set(self._known)):
            intent = await self._journal.find_intent(name)
            self._known[name] = intent if intent is not None and intent.protects else None
        return [o for o in mine if self._known[o.client_id or ""] is not None]

    # -------------------------------------------------------------------------------------------------- deciding

    def _decided(
        self, key: PositionKey, post: VenueStop, position: Position | None, listed: Iterable[Order], asked: float
    ) -> StopDecision:
        """Return the decision for one position, and update ``post``. ``asked`` is the time of the read."""
        where, now, settings = key.instrument, self._clock.monotonic(), self._settings.protect
        live = {o.id: o for o in listed if same_place(o, key) and o.id not in post.gone}
        if post.order is not None:
            post.order = live.setdefault(post.order.id, post.order)
        elif live and not post.unknown:  # from an earlier process, or put back by a close
            post.order = max(live.values(), key=lambda o: o.id)
            post.intent, post.note = self._known[post.order.client_id or ""], ""
        post.position = position or post.position
        guard, book = self._watched(key), self._book
        quote = book.usable_quote(*where, now)
        seen = StopSituation(
            position=position,
            instrument=book.instrument(*where),
            orders=tuple(live.values()),
            stop=guard.stop if guard else None,
            price=quote.reference if quote else None,
            able=self._orders[key.account].broker.capabilities.protective_stops,
            closing=self._locks.closing(where),
            unknown=post.unknown,
            fresh=asked > post.changed,
            settled=asked >= self._settled(key),
            asked=post.intent.request.quantity if post.intent else None,
            moved=post.moved,
            replaced=post.replaced,
        )
        decision = decide(seen, settings, now)
        if decision.do is StopAction.PLACE and post.stubborn(decision, settings.min_move):
            return StopDecision(why=post.note)
        return decision

    def _settled(self, key: PositionKey) -> float:
        """Return the time from which a read shows the last order of a close or of an earlier process."""
        able = self._orders[key.account].broker.capabilities
        latest = LATEST if able.request_expiry is None else able.request_expiry
        closed = self._locks.closed(key.instrument)
        return max(self._begun, closed or self._begun) + latest + able.position_lag

    # ---------------------------------------------------------------------------------------------------- acting

    async def _act(self, key: PositionKey, post: VenueStop) -> None:
        """Act on one instrument in a few steps. An error is shown and tried again after a pause."""
        try:
            async with self._gates[key.account]:
                for _ in range(STEPS):
                    if key.account in self._frozen or not await self._step(key, post):
                        return
        except (FlatdeckError, TimeoutError) as error:
            self._failed(key, post, explain(error))
        except Exception as error:  # noqa: BLE001 - without a pause the error would repeat at once, forever
            self._failed(key, post, f"a fault in the program: {error!r}")
        finally:
            self._working.discard(key.instrument)

    async def _step(self, key: PositionKey, post: VenueStop) -> bool:
        """Resolve, read and do one thing. Return whether to go on. Raises the errors of a read and of the journal."""
        hand = self._orders[key.account]
        if post.order is None and post.intent is not None:
            await self._took(key, post, post.intent, await hand.orders.resolve_order(post.intent), sent_now=False)
            return not post.unknown
        holdings = await limited(hand.reader.read_account())
        if holdings.orders_flaw:  # a stop that is not listed may rest
            raise OutcomeUnknown(f"the open orders are not known: {holdings.orders_flaw}")
        if foreign := await find_foreign_orders(self._journal, holdings.orders):
            self._failed(key, post, why_foreign(foreign[0]))
            return False
        listed = await self._protective(holdings.orders)
        if post.order is not None and post.intent is not None and post.order.id not in {o.id for o in listed}:
            post.order = await hand.orders.read_order(post.intent, post.order)
            if post.order.status.terminal:
                await self._ended(key, post, post.order, post.intent)
                return post.until <= self._clock.monotonic()
            post.until = self._clock.monotonic() + FIRST_PAUSE  # do not ask for a lagging list every second
        position = holdings.position(key)
        if position is None and self._book.position(key) is not None:
            return False  # a single list is no proof; the book asks for a second list
        decision = self._decided(key, post, position, listed, holdings.asked)
        self._tell(key, post, decision)
        if decision.do is StopAction.PLACE and position is not None:
            post.number += 1
            rules = self._book.instrument(key.account, key.symbol)
            intent, sent = await hand.place_stop(position, rules, decision, post.number)
            self._known[intent.client_id] = intent
            await self._took(key, post, intent, sent, sent_now=True)
            return post.unknown
        gone = [await self._withdraw(key, post, order, decision) for order in decision.orders]
        return bool(gone) and all(gone)

    async def _took(
        self, key: PositionKey, post: VenueStop, intent: IntentWritten, sent: Submitted, *, sent_now: bool
    ) -> None:
        """Apply the outcome of a protective order that was sent."""
        post.changed, order, request = self._clock.monotonic(), sent.order, intent.request
        post.intent = intent if sent.outcome == "unknown" else None
        if order is not None and order.status.terminal:
            self._orders[key.account].orders.record_end(intent, order)
        if order is not None and not order.status.terminal:
            post.order, post.intent, post.moved, post.replaced = order, intent, post.changed, None
            post.failures, post.refusals, post.refused, post.note, post.told, post.fired = 0, 0, None, "", "", False
            self._say("info", key, f"a stop for {plain(order.quantity)} rests at {plain(request.trigger or ZERO)}")
        elif order is not None and order.filled > 0:
            await self._fired(key, post, order, intent)
        elif sent.outcome == "unknown":
            self._failed(key, post, f"what became of it is not known: {sent.text}")
        elif sent_now and sent.outcome != "not_sent":
            refusal = sent.refusal
            if sent.outcome != "unreachable" and (refusal is None or refusal.refusal not in NOT_NOW):
                post.refusals, post.refused = post.refusals + 1, (request.quantity, request.trigger or ZERO)
            text = sent.text or (order.text if order else "") or "the venue ended it at once"
            self._failed(key, post, text, (refusal.retry_after if refusal else None) or 0.0)

    async def _withdraw(self, key: PositionKey, post: VenueStop, order: Order, decision: StopDecision) -> bool:
        """Cancel one protective order. Return whether the order has ended."""
        intent = self._known[order.client_id or ""]
        assert intent is not None
        ended, text = await self._orders[key.account].orders.cancel_order(intent, order, WITHDRAW)
        if not ended.status.terminal:
            self._failed(key, post, f"order {order.id} could not be cancelled: {text}")
            return False
        post.replaced = order.trigger if decision.do is StopAction.REPLACE else None
        if decision.do is StopAction.CANCEL:
            self._say("info", key, f"the stop at {plain(order.trigger or ZERO)} is cancelled: {decision.why}")
        await self._ended(key, post, ended, intent, asked=True)
        return True

    async def _ended(
        self, key: PositionKey, post: VenueStop, order: Order, intent: IntentWritten, *, asked: bool = False
    ) -> None:
        """Handle the end of an order: our cancel, another's cancel, a rejection, or because the stop fired."""
        post.gone.add(order.id)
        post.changed = now = self._clock.monotonic()
        if post.order is not None and post.order.id == order.id:
            post.order = post.intent = None
        self._orders[key.account].orders.record_end(intent, order)
        rests = plain(intent.request.trigger or ZERO)
        if order.filled > 0:
            await self._fired(key, post, order, intent)
        elif order.status is OrderStatus.REJECTED:
            post.refusals, post.refused = post.refusals + 1, (order.quantity, order.trigger or ZERO)
            self._failed(key, post, order.text or "the venue rejected it")
        elif not asked and not self._closed_lately(key):
            post.until = now + self._settings.protect.min_interval
            self._say("warning", key, f"the stop at {rests} is {order.status.value}, and not by this program")

    async def _fired(self, key: PositionKey, post: VenueStop, order: Order, intent: IntentWritten) -> None:
        """Report that the venue's stop closed the position, or a part of the position."""
        hand, held = self._orders[key.account], post.position
        post.changed = self._clock.monotonic() + hand.broker.capabilities.position_lag  # a list may lag behind the fill
        fills = await hand.read_fills(intent, order)
        price = order.average_price
        if price is None and fills and sum((f.quantity for f in fills), ZERO) == order.filled:
            price = sum((f.quantity * f.price for f in fills), ZERO) / order.filled
        outcome = win_or_loss(held.side, held.entry, price) if held else "UNKNOWN"
        at = "an unknown price" if price is None else plain(price)
        rests = plain(intent.request.trigger or ZERO)  # a venue may not report the trigger of a fired stop
        text = f"the stop at {rests} fired at the venue: {order.side.value} {plain(order.filled)}"
        self._say("warning", key, f"{text} at {at}, Reason: {FIRED}, OUTCOME = {outcome}")
        post.fired = not self._closed_lately(key)

    def _closed_lately(self, key: PositionKey) -> bool:
        """Return whether a close runs or ended lately: a close cancels our order and reports the outcome itself."""
        closed = self._locks.closed(key.instrument)
        late = closed is not None and self._clock.monotonic() - closed < LATELY
        return late or self._locks.closing(key.instrument)

    def _tell(self, key: PositionKey, post: VenueStop, decision: StopDecision) -> None:
        """Log once why no stop rests at the venue."""
        if decision.why and decision.do is StopAction.NOTHING:
            post.note = decision.why
            if post.told != decision.why:
                post.told = decision.why
                self._say("warning", key, f"no stop rests at the venue: {decision.why}")

    def _failed(self, key: PositionKey, post: VenueStop, text: str, least: float = 0.0) -> None:
        post.failures += 1
        pause = min(FIRST_PAUSE * 2 ** min(post.failures - 1, 10), LONGEST_PAUSE)
        post.until = self._clock.monotonic() + max(pause, least)
        post.note = text
        given_up = post.refusals >= MOST_REFUSALS
        if post.told != (said := f"{text}|{given_up}"):
            post.told = said
            more = "; it is tried again only when it is another order" if given_up else ""
            self._say("alarm" if given_up else "warning", key, f"{text}{more}")

    def _say(self, level: str, key: PositionKey, text: str) -> None:
        self._log(level, f"[PROTECT] {key.symbol} on {key.account}: {text}", key)

"""Drafts orders that open or scale a position, or says why not. Asks brokers only for prices and rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from msgspec import structs

from core.entries import rules as entries
from core.entries.rules import Code, EntryDraft, EntryRequest, GateInput, NotAllowed, Rejection
from core.errors import FlatdeckError, Refusal, Refused
from core.exits.first_stop import FirstStop, first_stop
from core.exits.view import ExitView
from core.journal.ledger import PositionLedger
from core.model import Instrument, InstrumentKey, OrderSide, Position, PositionKey, Quote
from core.orders.lookup import limited
from core.orders.restrictions import Restrictions
from core.plans import cleanup, planner
from core.plans.plan import is_our_stop
from core.plans.planner import Situation
from core.portfolio.book import Book
from core.portfolio.holding import leg_for
from core.ports import Broker, Clock, InstrumentLister
from core.settings import Settings, exits_of
from core.units import ZERO, floor_to, plain


class EntryDrafter:
    """One engine's drafts, from the book and the journal's ledger. The caller has had the accounts read."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        book: Book,
        brokers: Mapping[str, Broker],
        ledger: PositionLedger,
        restrictions: Restrictions,
        *,
        frozen: Mapping[str, str],
        situation: Callable[[], Situation],
        view: Callable[[PositionKey], ExitView | None],  # how a held position is watched
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._book = book
        self._brokers = brokers
        self._ledger = ledger
        self._frozen = frozen
        self._restrictions = restrictions
        self._situation = situation
        self._view = view
        self._exits_of = exits_of(settings)

    async def find_refusals(self, signal: EntryRequest, *, flatten_first: bool = False) -> list[Rejection]:
        """Return every reason against opening now. With ``flatten_first`` the symbol counts as flat already.

        When the gate has no reason, each account of the request is asked for the symbol's rules and price. One account
        that offers both is enough. Raises JournalError.
        """
        found = await self._refusals(signal, flatten_first)
        if found:
            return found
        for account in [signal.account] if signal.account else planner.owner_accounts(self._settings, signal.owner):
            if account in self._frozen:  # another account is not, so that its answer counts
                continue
            try:
                await self._offer(account, signal)
            except NotAllowed as refused:
                found.append(Rejection(refused.code, str(refused)))
            else:
                return []
        return found

    async def _refusals(self, signal: EntryRequest, flatten_first: bool) -> list[Rejection]:
        scene = await self.read_gate_input(signal.owner, signal.symbol if flatten_first else None)
        meant = [signal.account] if signal.account else list(scene.accounts)
        unknown = {a: "" for a in meant if a not in scene.unreadable and not await self._listed(a, signal.symbol)}
        return entries.refusals(signal, structs.replace(scene, unknown_at=unknown))

    async def _offer(self, account: str, signal: EntryRequest) -> tuple[Instrument, Quote]:
        """Return the symbol's rules and price at one account. Raises NotAllowed where nothing can be opened there."""
        self.check_restrictions(account)
        instrument = await self._instrument(account, signal.symbol)
        no = entries.untradable(signal, account, instrument)
        if no is not None:
            raise NotAllowed(no)
        quote = await self._quote(account, signal.symbol)
        least = entries.minimum(instrument, entries.taking_price(signal.side, quote))
        if floor_to(signal.amount, instrument.step) < least:
            text = f"{plain(signal.amount)} {signal.symbol} is below the venue's minimum of {plain(least)}"
            raise NotAllowed(Rejection(Code.BELOW_MINIMUM, text))
        return instrument, quote

    async def draft_entry(
        self, signal: EntryRequest, *, limit: bool = False, flatten_first: bool = False
    ) -> EntryDraft:
        """Return the draft for a signal that names its account. Raises NotAllowed, JournalError."""
        assert signal.account is not None
        found = await self._refusals(signal, flatten_first)
        if found:
            raise NotAllowed(found[0])
        account, symbol = signal.account, signal.symbol
        instrument, quote = await self._offer(account, signal)
        reference = entries.taking_price(signal.side, quote)
        offset = self._settings.entries.limit_offset
        price = entries.limit_price(signal.side, quote, instrument.tick, offset) if limit else None
        quantity = floor_to(signal.amount, instrument.step)
        stop = self._first_stop(signal, instrument, quote, price or reference)
        return EntryDraft(
            kind="open",
            owner=signal.owner,
            key=PositionKey(account, symbol, leg_for(entries.direction(signal.side), self._book.positions(account))),
            side=signal.side,
            quantity=quantity,
            asked=signal.amount,
            reference=reference,
            price=price,
            leverage=signal.leverage,
            stop_pct=signal.stop_pct,
            warnings=_warnings(signal, quantity, stop),
            stop=stop.stop,
            trail=stop.trail,
        )

    def _first_stop(
        self, signal: EntryRequest, instrument: Instrument, quote: Quote, entry: Decimal | None
    ) -> FirstStop:
        """Return the stop that a position entered at ``entry`` would have at the present price."""
        price = quote.reference if quote.reference is not None else entry
        if entry is None or price is None or signal.account is None:
            return FirstStop(None, None, None)
        settings = structs.replace(self._exits_of(signal.account, signal.symbol), stop_loss_pct=signal.stop_pct)
        side = entries.direction(signal.side)
        return first_stop(settings, side, entry, price, signal.leverage, instrument.tick)

    async def draft_scaling(self, account: str, symbol: str, quantity: Decimal, *, inward: bool) -> EntryDraft:
        """Return the draft that adds to a position or takes a part off; kind ``close`` when it takes everything.

        Raises NotAllowed, JournalError.
        """
        if inward:
            self.check_restrictions(account)
        if not quantity.is_finite() or quantity <= 0:
            raise NotAllowed(Rejection(Code.AMOUNT, f"the amount must be more than 0, not {plain(quantity)}"))
        held = await self.find_scalable(account, symbol)
        instrument = self._book.instrument(account, held.symbol)
        quote = await self._quote(account, held.symbol)
        side = OrderSide.BUY if (held.side.sign > 0) is inward else OrderSide.SELL
        size, warning = entries.sized(
            quantity, instrument, entries.taking_price(side, quote), exempt=not inward and instrument.minimum_exempt
        )
        closes = not inward and size >= held.quantity
        ours = (o.remaining for o in self._book.concerning(held.key, ours=True) if is_our_stop(o))
        guard = self._view(held.key)
        free = min(held.free + sum(ours, ZERO), held.quantity)  # our protective order is cancelled first
        if not inward and not closes and not instrument.reduce_only and size > free:
            text = f"{plain(free)} of {plain(held.quantity)} {held.symbol} is free, open orders hold the rest"
            raise NotAllowed(Rejection(Code.HELD, text))
        return EntryDraft(
            kind="scale_in" if inward else "close" if closes else "scale_out",
            owner=account.partition("/")[0],
            key=held.key,
            side=side,
            quantity=held.quantity if closes else size,
            asked=quantity,
            reference=entries.taking_price(side, quote),
            before=held.quantity,
            entry=held.entry,
            reduce_only=not inward and instrument.reduce_only,
            warnings=(warning,) if warning else (),
            stop=guard.stop if guard else None,
            trail=guard.trail if guard and not guard.initial else None,
        )

    def check_restrictions(self, account: str) -> None:
        """Raise NotAllowed where the account takes no new risk."""
        if (no := self._rejection(account)) is not None:
            raise NotAllowed(no)

    def _rejection(self, account: str) -> Rejection | None:
        found = self._restrictions.find_restriction(account)
        return Rejection(Code(found.code), found.text) if found else None

    async def read_gate_input(self, owner: str, spared: str | None = None) -> GateInput:
        """Return the gate's input. Positions in the symbol ``spared`` count as gone. Raises JournalError."""
        book, settings = self._book, self._settings
        beliefs = await self._ledger.read()
        situation, accounts = self._situation(), planner.owner_accounts(settings, owner)
        held = list(planner.holdings_of(book, book.keys(a for a in accounts if book.readable(a)), situation))
        held = [h for h in held if spared not in (h.position.symbol, h.instrument.native_symbol)]
        verdicts = cleanup.judge(held, settings.cleanup.dust_usd, settings.cap(owner))
        closing = {i for i in situation.blocked if isinstance(i, InstrumentKey) and i.account in accounts}
        return GateInput(
            now=self._clock.now(),
            cap=settings.cap(owner),
            counted=planner.counted(verdicts),
            accounts=tuple(accounts),
            held=frozenset(
                InstrumentKey(h.key.account, name)
                for h in held
                for name in (h.position.symbol, h.instrument.native_symbol)
            ),
            closing=frozenset(closing),
            pending=tuple(beliefs.pending.values()),
            signals=dict(beliefs.signals),
            duplicate_window=settings.entries.duplicate_window,
            unreadable={a: why for a in accounts if (why := book.accounts[a].unread)},
            frozen={a: why for a, why in self._frozen.items() if a in accounts},
            restricted={a: no for a in accounts if (no := self._rejection(a)) is not None},
        )

    async def find_scalable(self, account: str, symbol: str) -> Position:
        """Return the account's only position in the symbol. Raises NotAllowed, also during a close or an entry."""
        book = self._book
        scene = await self.read_gate_input(account.partition("/")[0])
        found = [
            p for p in book.positions(account) if symbol in (p.symbol, book.instrument(account, p.symbol).native_symbol)
        ]
        no = None
        if account in scene.unreadable:
            no = Rejection(Code.ACCOUNT_UNREADABLE, f"{account} cannot be read: {scene.unreadable[account]}")
        elif account in scene.frozen:
            no = Rejection(Code.ACCOUNT_FROZEN, f"{account} is frozen: {scene.frozen[account]}")
        elif not found:
            no = Rejection(Code.NO_POSITION, f"{account} holds no {symbol}")
        elif len(found) > 1:
            no = Rejection(Code.SEVERAL_POSITIONS, f"{account} holds a long and a short position in {symbol}")
        elif (account, found[0].symbol) in scene.closing:
            no = Rejection(Code.CLOSING, f"a close of {symbol} is in progress on {account}")
        elif any(e.key == found[0].key for e in scene.pending):
            no = Rejection(Code.ENTRY_PENDING, f"an entry in {symbol} is on its way on {account}")
        if no is not None:
            raise NotAllowed(no)
        return found[0]

    async def knows_symbol(self, account: str, symbol: str) -> bool:
        """Return whether the venue has rules or a price for the symbol; True also when the question fails."""
        broker = self._brokers[account]
        if isinstance(broker, InstrumentLister):
            return await self._listed(account, symbol)
        try:
            return bool(await limited(broker.quotes([symbol])))
        except (FlatdeckError, TimeoutError):
            return await self._listed(account, symbol)

    async def _listed(self, account: str, symbol: str) -> bool:
        """Return False when the venue says that it has no such symbol, True also when the question fails."""
        broker = self._brokers[account]
        try:
            if isinstance(broker, InstrumentLister):
                return await limited(broker.instrument(symbol)) is not None
            await limited(broker.quotes([symbol]))
        except Refused as refused:
            return refused.refusal is not Refusal.UNKNOWN_SYMBOL
        except (FlatdeckError, TimeoutError):
            return True
        return True

    async def _instrument(self, account: str, symbol: str) -> Instrument:
        """Return the venue's rules. Unknown rules are permissive: the venue then refuses a bad order.

        Raises NotAllowed when the question fails.
        """
        broker = self._brokers[account]
        if isinstance(broker, InstrumentLister):
            try:
                return await limited(broker.instrument(symbol)) or Instrument(symbol, symbol)
            except (FlatdeckError, TimeoutError) as error:
                text = f"the rules for {symbol} at {account} cannot be asked: {error}"
                raise NotAllowed(Rejection(Code.ACCOUNT_UNREADABLE, text)) from error
        return self._book.instrument(account, symbol)

    async def _quote(self, account: str, symbol: str) -> Quote:
        """Return a fresh quote. Raises NotAllowed without a quote: no position is opened or scaled without a price."""
        try:
            seen = [q for q in await limited(self._brokers[account].quotes([symbol])) if q.symbol == symbol]
        except (FlatdeckError, TimeoutError) as error:
            raise NotAllowed(Rejection(Code.NO_PRICE, f"no price of {symbol} at {account}: {error}")) from error
        quote = self._book.without_stub(seen[0]) if seen else None
        flaw = "the venue has none" if quote is None else quote.flaw()
        if quote is None or flaw:
            raise NotAllowed(Rejection(Code.NO_PRICE, f"no price of {symbol} at {account}: {flaw}"))
        return quote


def _warnings(signal: EntryRequest, quantity: Decimal, stop: FirstStop) -> tuple[str, ...]:
    found = []
    if quantity != signal.amount:
        found.append(f"the amount is rounded down to the venue's step: {plain(quantity)}")
    if signal.leverage != 1:
        found.append(f"the leverage is not set by this program: the position gets what {signal.account} has there")
    if stop.emergency is not None:
        found.append(
            f"with a leverage of {plain(signal.leverage)}x an emergency stop comes first: at about "
            f"{plain(stop.emergency)}"
        )
    return tuple(found)

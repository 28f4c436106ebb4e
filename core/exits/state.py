"""The exit rules over one position: emergency stops, stop, target, smart profit, momentum loss; the first match wins.

At every usable price ``step`` updates the peak, ratchets the stop, and names the exit if a rule matches. Between prices
the state keeps a *quiet band*. Above ``floor`` and up to ``ceiling`` no price changes anything, so most ticks cost two
comparisons. ``ceiling`` is the best price without an exit since the signals last changed. A lower price has a lower
candidate for the stop. At or below ``floor`` a loss may trigger an exit. Between ``ceiling`` and ``roof`` a price moves
only peak and stop, by the distance at ``place``. From ``roof`` on a gain may change more.

    move = s * (price - entry) / entry        roi = leverage * (move - fees of both ways)

Unknown is NaN here. An unknown entry silences only rules that need a move, an unknown leverage only rules that need a
roi. Prices inside are signed (``u = s * price``, see :mod:`core.exits.rules`). ``None`` is no level.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan

from msgspec import Struct

from core.exits import target, trailing
from core.exits.factors import BANDS
from core.exits.rules import TOLERANCE, Exit, Rules
from core.exits.trailing import Distance
from core.market.indicators import Indicators
from core.units import ONE, ZERO, round_price

MARGIN = 1e-13  # fraction of the price: the gap between quiet band and level, where exact comparisons decide


class ExitState(Struct, gc=False):
    """The state of one position's rules.

    ``trail`` is the start of the signals' group in ``rules.distances``. ``behind`` is the place of the stop's distance
    there; -1 while the stop is the initial stop.
    """

    rules: Rules
    entry: float
    leverage: float
    origin: float  # the price from which the target is measured
    opened: float  # seconds since 1970; NaN when unknown
    stop: float = -inf
    target: float = inf
    peak: float = -inf
    trail: int = 0
    behind: int = -1
    floor: float = inf
    ceiling: float = -inf
    roof: float = -inf
    place: int = 0


def open_guard(
    rules: Rules,
    entry: Decimal | None,
    leverage: Decimal | None = ONE,
    *,
    opened: float | None = None,
    reference: Decimal | None = None,
) -> ExitState:
    """Return the first state of a position's rules. ``opened`` is seconds since 1970.

    ``reference`` is the price at which a position was found. The first stop is measured from the reference instead of
    the entry. The target is measured from the reference only where the price has already reached the entry's target.
    """
    sign, settings = rules.side.sign, rules.settings
    entry = None if entry is None or entry <= 0 else entry
    start = reference if reference is not None else entry
    loss, reach = settings.stop_loss_pct, settings.take_profit_pct
    stop = -inf if loss is None or start is None else float(start * (1 - sign * loss) * sign)
    origin, aim = entry if entry is not None else reference, inf
    if origin is not None and reach is not None:
        if reference is not None and sign * (reference - origin * (1 + sign * reach)) >= 0:
            origin = reference
        aim = float(origin * (1 + sign * reach) * sign)
    age = nan if opened is None else opened
    return ExitState(rules, signed(entry, rules), number_of(leverage), signed(origin, rules), age, stop, aim)


def step(guard: ExitState, price: float) -> Exit | None:
    """Apply one usable price. Return the exit, again at every price while due. NaN, infinite or <= 0 is ignored."""
    u = price if guard.rules.sign > 0 else -price
    if guard.floor < u:
        if u <= guard.ceiling:
            return None
        if u < guard.roof:
            _climb(guard, u)
            return None
    return _evaluate(guard, guard.rules, u, price)


def _climb(guard: ExitState, u: float) -> None:
    """Update peak and stop as :func:`_evaluate` does between ceiling and roof."""
    guard.ceiling = u
    if u > guard.peak:  # noqa: PLR1730  (max is a call)
        guard.peak = u
    place = guard.place
    candidate = u * guard.rules.keeps[place]
    if candidate > guard.stop:
        guard.stop, guard.behind = candidate, place
        if candidate > guard.floor:  # noqa: PLR1730
            guard.floor = candidate


def _evaluate(guard: ExitState, rules: Rules, u: float, price: float) -> Exit | None:
    if not 0.0 < price < inf:
        return None
    entry, sign = guard.entry, rules.sign
    move = (u - entry) / entry * sign
    if u > guard.peak:
        guard.peak, best = u, move
    else:
        best = (guard.peak - entry) / entry * sign
    if rules.trails and (rules.always or best >= rules.activation):
        high, middle, low = rules.profits
        band = 0 if not move > low else 3 if move > high else 2 if move > middle else 1
        guard.place = guard.trail + band
        candidate = u * rules.keeps[guard.place]
        if candidate > guard.stop:
            guard.stop, guard.behind = candidate, guard.place
        roof = rules.roofs[band]
    else:
        roof = -inf
    place = _matching(guard, rules, u, move, best)
    if place is not None:
        guard.floor = inf
        return rules.exits[place]
    if move >= rules.smart_least:  # a lower price has a larger gap to the target and may take the profit
        guard.floor = inf
        return None
    guard.floor = _floor(guard, rules, best)
    guard.roof = _roof(guard, rules, roof)
    guard.ceiling = max(guard.ceiling, u)
    return None


def _matching(guard: ExitState, rules: Rules, u: float, move: float, best: float) -> int | None:
    """Return the place in ``rules.exits`` of the first rule that holds, else None."""
    leverage, slack = guard.leverage, guard.leverage * TOLERANCE
    roi = (move - rules.cost) * leverage - slack
    if roi <= rules.mildest:
        for level, place in rules.emergency:
            if roi <= level:
                return place
    if u <= guard.stop:
        return rules.trailing_stop if guard.behind >= 0 else rules.stop_loss
    if u >= guard.target:
        return rules.take_profit
    if move >= rules.smart_least:
        for level, further, place in rules.smart:
            if move >= level and guard.target > u * further:
                return place
    peak = (best - rules.cost) * leverage + slack
    if peak >= rules.min_peak:
        for kept, start, end, place in rules.drawdown:
            if roi <= peak * kept and roi + 2 * slack >= start and roi <= end:
                return place
    return None


def _floor(guard: ExitState, rules: Rules, best: float) -> float:
    """Return the signed price at and below which a loss may trigger an exit. A comparison with NaN is False."""
    worst = rules.mildest
    leverage = guard.leverage
    peak = (best - rules.cost) * leverage + leverage * TOLERANCE
    if peak >= rules.min_peak and rules.drawdown:
        kept = peak * rules.drawdown[-1][0]
        worst = kept if kept > worst else worst
    entry = guard.entry
    loss = entry + entry * rules.sign * (worst / leverage + rules.cost + MARGIN)
    return loss if loss > guard.stop else guard.stop


def _roof(guard: ExitState, rules: Rules, move: float) -> float:
    """Return the signed price from which a gain may change more than peak and stop. ``move`` ends the profit band."""
    if rules.drawdown:
        armed = rules.min_peak / guard.leverage + rules.cost
        move = armed if not move < armed else move
    entry = guard.entry
    gain = entry + entry * rules.sign * (move - MARGIN)
    return gain if gain < guard.target else guard.target if gain == gain else -inf  # noqa: PLR0124  (NaN)


class BarUpdate(Struct, frozen=True):
    """A closed bar's update for every position of a symbol under the same rules."""

    trail: int
    push: target.Push


def news_of(signals: Indicators, rules: Rules) -> BarUpdate:
    """Return the bar's update for all positions that share ``rules``: computed once per bar."""
    trail = trailing.trail_of(signals, rules.sign, rules.trailing)
    return BarUpdate(trail, target.push_of(signals, rules.sign, rules.aiming))


def close_bar(guard: ExitState, news: BarUpdate, price: float, now: float) -> None:
    """Apply a closed bar's update: set the next distances' factors and move the target. ``now``: seconds since 1970."""
    rules = guard.rules
    if not rules.adaptive or not 0.0 < price < inf:
        return
    u = price * rules.sign
    move = (u - guard.entry) / guard.entry * rules.sign
    guard.target = target.moved(
        guard.target,
        u,
        entry=guard.entry,
        origin=guard.origin,
        sign=rules.sign,
        reach=rules.reach,
        push=news.push,
        personal=target.personal_factor(now - guard.opened, move, rules.aiming),
        tables=rules.aiming,
    )
    guard.trail = news.trail
    guard.floor, guard.ceiling = inf, -inf


# ------------------------------------------------------------------------------------------------ outside changes


def changed(guard: ExitState, entry: Decimal | None, leverage: Decimal | None) -> None:
    """Set a new entry and leverage, for example after scaling in. Stop, target and peak price stay.

    But the first known entry sets the target. The first known entry also sets the stop where the new stop is tighter.
    """
    guard.entry, guard.leverage = signed(entry, guard.rules), number_of(leverage)
    guard.floor, guard.ceiling = inf, -inf
    if guard.origin != guard.origin and guard.entry == guard.entry:  # NaN is not itself
        first = open_guard(guard.rules, entry, leverage)
        guard.origin, guard.target = first.origin, first.target
        if first.stop > guard.stop:
            guard.stop, guard.behind = first.stop, first.behind


def split(guard: ExitState, ratio: Decimal, used: Decimal | None = None) -> None:
    """Divide every price by ``ratio`` after a share split: ``ratio`` new shares for an old share.

    ``used`` is the new share's latest price where the rules used such prices before. Where those prices looked like a
    gain they may have set stop and peak. Then stop and peak stay: a divided stop would be beyond the price.
    """
    by = float(ratio)
    guard.entry, guard.origin, guard.target = guard.entry / by, guard.origin / by, guard.target / by
    gained = used is not None and guard.rules.sign * (1 / by - 1) > 0
    crossed = gained and float(used or 0) * guard.rules.sign <= guard.stop / by
    if not crossed:
        guard.stop /= by
    if not crossed and not (gained and guard.behind < 0):
        guard.peak /= by
    guard.floor, guard.ceiling = inf, -inf


# ------------------------------------------------------------------------------------- decimals at the edge


def stop_price(guard: ExitState, tick: Decimal = ZERO) -> Decimal | None:
    """Return the stop for people and orders: the nearest price on the tick grid that triggers the stop."""
    return _on_grid(guard.stop * guard.rules.sign, tick, up=guard.rules.sign < 0)


def target_price(guard: ExitState, tick: Decimal = ZERO) -> Decimal | None:
    """Return the target for people and orders: the nearest price on the tick grid that reaches the target."""
    return _on_grid(guard.target * guard.rules.sign, tick, up=guard.rules.sign > 0)


def entry_price(guard: ExitState) -> Decimal | None:
    """Return the entry that the rules use; None when it is unknown."""
    return exact(guard.entry * guard.rules.sign)


def peak_price(guard: ExitState) -> Decimal | None:
    """Return the position's best price so far; None before the first price."""
    return _on_grid(guard.peak * guard.rules.sign, ZERO, up=False)


def distance_at(guard: ExitState, price: float) -> Distance | None:
    """Return the distance of the stop that this price would set, with its factors; None without trailing."""
    if not guard.rules.trails:
        return None
    move = (price * guard.rules.sign - guard.entry) / guard.entry * guard.rules.sign
    return guard.rules.distances[guard.trail + sum(move > above for above in guard.rules.profits)]


def distance_behind(guard: ExitState) -> Distance | None:
    """Return the distance that set the current stop, with its factors; None while the stop is the initial stop."""
    return guard.rules.distances[guard.behind] if guard.behind >= 0 else None


def as_float(number: Decimal) -> float:
    """Return the nearest binary fraction of a price, for the rules."""
    return float(number)


def as_decimal(number: float) -> Decimal:
    """Return a binary fraction as a decimal of fourteen significant digits: 110.00000000000001 gives 110."""
    return Decimal(f"{number:.14g}")


def _on_grid(price: float, tick: Decimal, *, up: bool) -> Decimal | None:
    return round_price(as_decimal(price), tick, up=up) if -inf < price < inf else None


def exact(number: float) -> Decimal | None:
    """Return a number of the rules without loss; None for no level and for unknown."""
    return Decimal(repr(number)) if -inf < number < inf else None


def number_of(value: Decimal | None) -> float:
    """Return a positive number for the rules; NaN when it is unknown."""
    return nan if value is None or value <= 0 else float(value)


def signed(price: Decimal | None, rules: Rules) -> float:
    """Return a price for the rules, with the sign of the position's side; NaN when it is unknown."""
    return nan if price is None or price <= 0 else float(price) * rules.sign


assert BANDS == 4  # ``_evaluate`` has four bands

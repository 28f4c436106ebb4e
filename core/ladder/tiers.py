"""The rungs of the escalation ladder: their sequence, and the order that each rung sends.

| tier | what is sent |
|---|---|
| ``market_ioc`` | market, immediate-or-cancel |
| ``market_gtc`` | market, good-till-cancelled |
| ``venue_close`` | the venue's own close-position call |
| ``direct_api`` | market through the venue's raw endpoint, only after a unified call failed |
| ``market_fok`` | market, fill-or-kill, in the last round only |
| ``limit_aggressive`` | limit through the book, once per offset, in the last round only |
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from core.ids import client_order_id
from core.model import Instrument, OrderRequest, OrderType, Position, Side, Tier, TimeInForce
from core.settings import LAST_TIERS
from core.units import ONE, round_price

_TIF = {
    Tier.MARKET_IOC: TimeInForce.IOC,
    Tier.MARKET_GTC: TimeInForce.GTC,
    Tier.VENUE_CLOSE: TimeInForce.GTC,
    Tier.DIRECT_API: TimeInForce.GTC,
    Tier.MARKET_FOK: TimeInForce.FOK,
    Tier.LIMIT_AGGRESSIVE: TimeInForce.GTC,  # the order may rest for the tier's time-out, then we withdraw it
}


class Step(Struct, frozen=True):
    """One rung.

    ``offset`` is the fraction of the touch by which a limit goes beyond the touch.
    ``nth`` numbers the steps of one tier in one round.
    """

    round: int
    tier: Tier
    offset: Decimal | None = None
    nth: int = 0


def schedule(tiers: Sequence[Tier], attempts: int, offsets: Sequence[Decimal]) -> tuple[Step, ...]:
    """Return all steps in sequence: ``attempts`` rounds of the base tiers.

    The last round has fill-or-kill and limits as well.
    """
    base = [t for t in tiers if t not in LAST_TIERS]
    steps = [Step(round_, tier) for round_ in range(1, attempts + 1) for tier in base]
    if Tier.MARKET_FOK in tiers:
        steps.append(Step(attempts, Tier.MARKET_FOK))
    if Tier.LIMIT_AGGRESSIVE in tiers:
        steps.extend(Step(attempts, Tier.LIMIT_AGGRESSIVE, o, n) for n, o in enumerate(offsets))
    return tuple(steps)


def request(
    step: Step, position: Position, instrument: Instrument, quantity: Decimal, client_id: str, touch: Decimal | None
) -> OrderRequest | None:
    """Return the order of one step; None for a limit order without a touch.

    A limit is rounded toward the touch, so the conceded price never exceeds the offset.
    """
    price = None
    if step.tier is Tier.LIMIT_AGGRESSIVE:
        if touch is None or step.offset is None:
            return None
        long = position.side is Side.LONG
        price = round_price(touch * (ONE - step.offset if long else ONE + step.offset), instrument.tick, up=long)
    return OrderRequest(
        account=position.account,
        symbol=position.symbol,
        side=position.side.closing,
        quantity=quantity,
        client_id=client_id,
        type=OrderType.MARKET if price is None else OrderType.LIMIT,
        tif=_TIF[step.tier],
        price=price,
        reduce_only=instrument.reduce_only,
        leg=position.leg,
    )


def client_id(epoch: str, plan: str, position: Position, step: Step, part: int) -> str:
    """Return the client order id of one part of a step's order.

    After a restart the same plan, position, round, tier and part give the same id.
    """
    return client_order_id(epoch, plan, position.key, step.round, step.tier.value, step.nth * 1000 + part)

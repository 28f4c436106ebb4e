"""Protective stops at the venue that must not be: two of them, one for nothing, one that may open or was moved back."""

from __future__ import annotations

from typing import Any

from core.model import Order, OrderRequest, OrderStatus, OrderType, Side
from core.records import AccountFrozen, Adopted, IntentWritten, PositionClosed
from tests.simulation.history import Began, Calm, Filled, Over, Said
from tests.simulation.planted import KEY, ONE, TWO, D, Story, order, request
from tests.simulation.venue import BIRTH

PHANTOM = "[RECONCILE][PHANTOM] AAA on u1/a: 10 long is not held at the broker any more"


def asked(client_id: str = ONE, trigger: str = "90", **more: Any) -> OrderRequest:
    return request(client_id, type=OrderType.STOP, trigger=D(trigger), **more)


def placed(story: Story, sent: OrderRequest, number: int = 0) -> Story:
    """One that the program places by itself: its intent is durable, and it leaves."""
    name = "protect|u1/a|AAA|net"
    intent = IntentWritten(name, KEY, sent.client_id, number, 0, None, sent, D(10), BIRTH, protects=True)
    return story.durable(intent).send(sent)


def resting(order_id: str = "s1", client_id: str = ONE) -> Order:
    return order(order_id, client_id, type=OrderType.STOP, trigger=D(90))


def protected() -> Story:
    """A position of 10 and its stop."""
    story = Story().tell(Began, 1, "sim1", one_shot=False).tell(Filled, "u1/a", None, KEY, D(0), D(10)).read()
    story.durable(Adopted(KEY, Side.LONG, D(10), D(100), D(1), "legacy"))
    return placed(story, asked()).accept(resting())


def gone(story: Story, order_id: str = "s1", client_id: str = ONE) -> Story:
    """It ended without a fill."""
    ended = order(order_id, client_id, type=OrderType.STOP, status=OrderStatus.CANCELLED)
    return story.tell(Over, "u1/a", ended).answer("terminal", ended, client_id)


def calm(story: Story, held: str = "10") -> Story:
    """A service put everything in order."""
    return story.tell(Calm, 1, {KEY: D(held)} if D(held) else {})


def moved() -> Story:
    """A stop that was moved as it should be."""
    return calm(placed(gone(protected()).read(), asked(TWO, "92"), 1).accept(resting("s2", TWO)))


def beside_a_live_one() -> Story:
    return placed(protected().read(), asked(TWO, "92"), 1)


def beside_one_of_unknown_outcome() -> Story:
    story = Story().tell(Began, 1, "sim1", one_shot=False).tell(Filled, "u1/a", None, KEY, D(0), D(10)).read()
    return placed(placed(story, asked()).read(), asked(TWO, "92"), 1)


def for_no_position() -> Story:
    return placed(Story().tell(Began, 1, "sim1", one_shot=False).read("0").read("0"), asked())


def larger_than_its_position() -> Story:
    return placed(Story().begin(), asked(quantity="14"))


def without_reduce_only() -> Story:
    return placed(Story().begin(), asked(reduce_only=False))


def that_opened_a_position() -> Story:
    return protected().fill("10", "0").fill("0", "-10", "s1")


def outlived_its_position() -> Story:
    return calm(protected().fill("10", "0", None), "0")


def left_when_all_is_over() -> Story:
    return calm(protected()).fill("10", "0", None)


def forgotten_after_a_stuck_close() -> Story:
    return calm(gone(protected()))


def moved_back() -> Story:
    return placed(gone(protected()).read(), asked(TWO, "88"), 1)


def without_one_and_told() -> Story:
    """Why nothing rests is in the log."""
    said = "[PROTECT] AAA on u1/a: no stop rests at the venue: the price is already beyond where it would rest"
    return calm(gone(protected()).tell(Said, "warning", said, "u1/a"))


def left_on_a_frozen_account() -> Story:
    return calm(protected().fill("10", "0", None).durable(AccountFrozen("u1/a", "another flatdeck acts on it")), "0")


def adopted(quantity: str = "10") -> Story:
    """A position that the journal knows, and a service that begins once it is gone."""
    story = Story().tell(Began, 1, "sim1", one_shot=False).tell(Filled, "u1/a", None, KEY, D(0), D(10))
    story.durable(Adopted(KEY, Side.LONG, D(quantity), D(100), D(1), "legacy")).fill("10", "0", None)
    story.life = 2
    return story.tell(Began, 2, "sim1", one_shot=False)


def gone_in_silence() -> Story:
    return calm(adopted().durable(PositionClosed(KEY, "not held at the broker any more")), "0")


def gone_and_believed() -> Story:
    return calm(adopted().tell(Said, "warning", PHANTOM, "u1/a"), "0")


def gone_and_named() -> Story:
    said = adopted().tell(Said, "warning", PHANTOM, "u1/a")
    return calm(said.durable(PositionClosed(KEY, "not held at the broker any more")), "0")


BREACHES = (
    *(beside_a_live_one, beside_one_of_unknown_outcome, for_no_position, larger_than_its_position),
    *(without_reduce_only, that_opened_a_position, outlived_its_position, left_when_all_is_over),
    *(forgotten_after_a_stuck_close, moved_back),
)
AS_THEY_SHOULD_BE = (moved, without_one_and_told, left_on_a_frozen_account, gone_and_named)
NOT_COMPARED = (gone_in_silence, gone_and_believed)

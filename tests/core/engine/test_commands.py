"""The answers to commands: every command has one, whatever happens in the engine."""

from __future__ import annotations

from core.engine.commands import run_command
from core.link.messages import Rejected
from core.link.requests import DraftScaling
from core.units import ONE
from tests.support.virtual_time import virtual
from tests.support.world import World


@virtual
async def test_a_fault_of_the_engine_is_an_answer_and_an_alarm():
    async with World() as world:
        reply = await run_command(world.engine, DraftScaling("nobody/nowhere", "BTC", ONE, inward=False))
        assert isinstance(reply, Rejected)
        assert "flatdeck journal" in reply.text
        assert any("DraftScaling failed" in alarm.text for alarm in world.engine.snapshot().engine.alarms)

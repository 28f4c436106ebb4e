"""Hostile text on every screen is text: no markup, no escape sequence, no crash."""

from __future__ import annotations

from decimal import Decimal
from itertools import cycle

import msgspec
import pytest

from core.link.messages import AccountRow, Finished, PlanRow, Rejected, Snapshot
from core.model import OrderSide
from core.plans.plan import ActionKind, Reason
from tests.tui.console import Console, console
from tests.tui.fakes import NOW, alarmed, close, closing, log, order, plan, position, report, snapshot

PAYLOADS = {
    "markup": "[@click=app.quit]x[/]",
    "stray": "[/",
    "tag": "[EURUSD]",
    "style": "[bold red]Z[/bold red]",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x9b2J",
    "bidi": "\u202egpj\u2066",
    "hidden": "A\u200bB\u200dC\ufeff",
    "lines": "a\nb\r\nc",
    "wide": "東京" * 30,
    "surrogate": "\ud83d",
    "link": "[link=file:///etc/passwd]x[/link]",
    "variable": "$error {x} %s \\[",
}
VISIBLE = {"markup": "[@click=", "tag": "[EURUSD]", "clipboard": "\\x1b]52", "bidi": "\\u202e", "lines": "a\\nb"}
FORBIDDEN = "\x1b\x07\x9b\u202e\u2066\u200b\u200d\ufeff\n\r"


def hostile(bad: str) -> Snapshot:
    account = f"{bad}/{bad}"
    base = snapshot(
        position(bad, account, owner=bad, reason=bad, flags=("stale", bad), native_symbol=bad),
        position("SAFE-USD"),
        engine=alarmed(bad, armed=True),
        closings=(
            closing(bad, account, reason=bad, state=bad, tier=bad, next_tier=bad, answer=bad, alarm=True),
            closing("SAFE-USD", state=bad, answer=bad),
        ),
        plans=(PlanRow(bad, bad, "waiting", 1, 1, NOW),),
        log=(log(1, bad, bad, account=bad, owner=bad, symbol=bad),),
    )
    row = AccountRow(account, bad, bad, bad, error=bad, as_of=NOW, frozen=bad)
    return msgspec.structs.replace(base, accounts=(*base.accounts, row))


def look(it: Console, name: str, *, shown: bool = True) -> None:
    """Nothing on screen may act; and where it fits, the payload can be read as what it is."""
    strips = it.app.screen._compositor.render_strips()
    for strip in strips:
        text = "".join(s.text for s in strip)
        assert not set(text) & set(FORBIDDEN), text
        for segment in strip:
            meta = segment.style.meta if segment.style else {}
            assert "@click" not in meta
            assert segment.style is None or segment.style.link is None
    if shown and name in VISIBLE:
        assert VISIBLE[name] in it.text()


@pytest.mark.parametrize(("name", "size"), zip(PAYLOADS, cycle([(80, 24), (200, 60)]), strict=False))
async def test_hostile_text_is_plain_on_the_main_screen(name: str, size: tuple[int, int]) -> None:
    async with console(hostile(PAYLOADS[name]), size=size) as it:
        look(it, name)
        await it.press("slash", *"safe", "enter")
        look(it, name)
        await it.press("w", "l", "l", "tab", "tab", "question_mark")
        look(it, name, shown=False)


@pytest.mark.parametrize("name", [n for n in PAYLOADS if n != "surrogate"])  # no digest of what is no text
async def test_hostile_text_is_plain_in_the_confirmation_and_its_progress(name: str) -> None:
    bad = PAYLOADS[name]
    account = f"{bad}/{bad}"
    strange = msgspec.structs.replace(order(bad, bad, account), side=OrderSide.BUY, text=bad)
    made = plan(
        close(bad, account, owner=bad, text=bad, cancels=(strange,)),
        close(bad, account, owner=bad, text=bad, kind=ActionKind.SKIP, reason=Reason.UNSELLABLE),
        unreadable={bad: bad},
    )
    async with console(hostile(bad), size=(160, 50)) as it:
        it.link.plan = lambda: made
        await it.press("c")
        await it.planned()
        await it.pilot.pause(0.1)
        look(it, name)
        it.link.answers["Confirm"] = Rejected("changed", bad)
        await it.press("y")
        await it.sees("NOT DONE")
        look(it, name)
        del it.link.answers["Confirm"]
        await it.settle()
        await it.press("y")
        await it.sees("under way")
        running = it.link.confirmed()[-1].plan
        it.link.update(closings=(closing(bad, account, plan=running, tier=bad, answer=bad, state=bad, round=1),))
        await it.until(lambda: it.app.replica.seq == 2)
        await it.pilot.pause(0.2)
        look(it, name)
        it.link.send(Finished(report(msgspec.structs.replace(made, id=running), outcome=bad, error=bad, success=False)))
        await it.sees("something remains")
        look(it, name)


@pytest.mark.parametrize("name", PAYLOADS)
async def test_hostile_text_is_plain_in_notices_and_when_leaving(name: str) -> None:
    bad = PAYLOADS[name]
    async with console(hostile(bad)) as it:
        it.link.answers["Acknowledge"] = Rejected(bad, bad)
        await it.press("A")
        await it.sees("Not done")
        look(it, name)
        it.link.send(Finished(report(plan(cause=bad, name="z"), success=False)))
        await it.sees("ended")
        look(it, name)
        it.link.send(ConnectionResetError(bad))
        await it.sees("NOT LIVE")
        look(it, name)
        await it.press("q")
        await it.sees("QUIT?")
        look(it, name)


async def test_absurd_numbers_are_shown_and_kill_nothing() -> None:
    huge = Decimal("1E+400")
    row = position(
        "X", quantity=huge, free=huge, mark=huge, usd_value=huge, pnl=huge, roi=-huge, entry=Decimal("1E-30")
    )
    async with console(snapshot(row, position("Y", pnl=Decimal("-1"), usd_value=Decimal(0)))) as it:
        await it.sees("1.000e+400")

"""How much of the product one must know to follow what it does: the files that three short ways go through.

    python -m benchmarks rooms

A *room* is a file of the product whose functions are called on the way. *Doors* are the changes of file from one call
to the next on the main thread. What a library paints or stores in between belongs to the way, too. A module that is
only imported is not entered, and a coroutine that goes on after waiting is not entered again. Each way is taken
several times on one quiet paper account; the first time fills the caches, and of the others the shortest counts.

Only surfaces that stay are used: the command line, the console's keys and screen, the paper venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import inspect
import io
import json
import os
import sys
import tempfile
import threading
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from textual.app import App

import brokers
import tui.main

ROOT = Path(tui.main.__file__).parents[1]
PRODUCT = ("core", "brokers", "tui")
VENUE = "brokers/paper/"  # stands for what is on the other side of a network elsewhere
TIMES = 3
GOALS = {"trailing stop": 30, "console cleanup": 45, "cleanup --yes": 45}
LONGEST = 350  # lines that a file may have
NEARLY = 330
SETTLED = 1.5  # seconds until an engine that starts has nothing to do any more
PATIENCE = 20.0
HEAD = '[engine]\ndata_dir = "data"\n[exits]\nsmart_profit = []\ndrawdown = []\n[automation]\nexits = "auto"\n'
ACCOUNT = '[[users]]\nid = "ann"\n[[users.accounts]]\nname = "paper"\nbroker = "paper"\n'
BODY = inspect.CO_OPTIMIZED  # the flag that functions have; bodies of modules and classes have not
RESUMED = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class Way:
    """The rooms that are entered while it is open, and the doors between them."""

    def __init__(self) -> None:
        self.rooms: dict[str, None] = {}
        self.doors = 0
        self._open = False
        self._last = ""
        self._main = threading.get_ident()

    def begin(self) -> None:
        self.rooms, self.doors, self._last, self._open = {}, 0, "", True

    def end(self) -> None:
        self._open = False

    def see(self, frame: FrameType, event: str, _: object) -> None:
        """What ``sys.setprofile`` calls for every call and return."""
        if not self._open or event != "call" or (room := room_of(frame.f_code)) is None:
            return
        if frame.f_lasti > first_line(frame.f_code):
            return  # it waited, and goes on
        self.rooms[room] = None
        if threading.get_ident() == self._main:
            self.doors += room != self._last
            self._last = room

    @contextlib.contextmanager
    def watched(self) -> Iterator[Way]:
        """This thread and those that begin meanwhile."""
        threading.setprofile(self.see)
        sys.setprofile(self.see)
        try:
            yield self
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            self.end()


@cache
def room_of(code: CodeType) -> str | None:
    """The product's file that a function is in."""
    path = Path(code.co_filename)
    if not code.co_flags & BODY or not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT)
    return name.as_posix() if name.parts[0] in PRODUCT else None


@cache
def first_line(code: CodeType) -> int:
    """Where a coroutine begins that was not begun before; any other function begins whenever it is called."""
    if not code.co_flags & RESUMED:
        return sys.maxsize
    return next((i.offset for i in dis.get_instructions(code) if i.opname == "RESUME"), 0)


# ------------------------------------------------------------------------------------------------------- the world


def make(directory: Path, price: str) -> Path:
    """A configuration with one paper account that holds one position, entered at its price."""
    directory.mkdir(exist_ok=True)
    held = {"symbol": "BTC-USD", "side": "long", "quantity": "0.5", "entry": price, "leverage": "1"}
    rules = {"symbol": "BTC-USD", "kind": "perp", "step": "0.1", "tick": "0.01"}
    quote = {"bid": price, "ask": price, "last": price}
    book = {"instruments": [rules], "quotes": {"BTC-USD": quote}, "positions": [held]}
    (directory / "book.json").write_text(json.dumps(book), encoding="utf-8")
    path = directory / "config.toml"
    path.write_text(f'{HEAD}{ACCOUNT}book = "book.json"\nfrozen = true\n', encoding="utf-8")
    return path


class Seated(tui.main.SystemEnvironment):
    """The real world, with a person at a terminal."""

    def interactive(self) -> bool:
        return True

    def full_screen(self) -> bool:
        return True


def command(path: Path, *args: str) -> str:
    """What one command prints on stdout; it must end well."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            tui.main.cli.main(["--config", str(path), *args], obj=Seated(os.environ))
        except SystemExit as ended:
            code = ended.code
    assert not code, f"{args} ended with {code}: {out.getvalue()}{err.getvalue()}"
    return out.getvalue()


async def until(true: Callable[[], Any], pause: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> None:
    for _ in range(int(PATIENCE / 0.02)):
        if true():
            return
        await pause(0.02)
    raise AssertionError("it never happened")


# -------------------------------------------------------------------------------------------------------- the ways


def trailing_stop(directory: Path, way: Way) -> None:
    """From one price behind the trailing stop to its order at the venue."""
    path, world, made = make(directory, "100"), Seated(os.environ), list[Any]()
    opened = brokers.open_broker

    def opening(*args: Any, **more: Any) -> Any:
        made.append(opened(*args, **more))
        return made[-1]

    async def fire() -> None:
        loaded = world.load(str(path))
        assert loaded is not None
        async with world.engine(loaded.settings, acting=True, mode="service", lasting=True) as engine:
            running = asyncio.ensure_future(engine.run())
            venue = made[-1].venue
            arrived = leaving(venue, way)
            for price in ("102", "104"):
                venue.set_quote("BTC-USD", **dict.fromkeys(("bid", "ask", "last"), Decimal(price)))
                await asyncio.sleep(SETTLED)
            way.begin()
            venue.set_quote("BTC-USD", **dict.fromkeys(("bid", "ask", "last"), Decimal(101)))
            await until(lambda: arrived)
            await asyncio.sleep(SETTLED)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    brokers.open_broker = opening
    try:
        asyncio.run(fire())
    finally:
        brokers.open_broker = opened


def leaving(venue: Any, way: Way) -> list[str]:
    """The way ends where the venue takes an order; what it took."""
    arrived: list[str] = []
    for name in ("place", "close"):
        taken = getattr(venue, name)

        def take(*args: Any, name: str = name, taken: Callable[..., Any] = taken, **more: Any) -> Any:
            way.end()
            arrived.append(name)
            return taken(*args, **more)

        setattr(venue, name, take)
    return arrived


def console_cleanup(directory: Path, way: Way) -> None:
    """From the key ``c`` over ``y`` to the screen that says that it was read again and verified."""
    path, ran = make(directory, "1"), App.run_async

    def text(app: App[Any]) -> str:
        strips = app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def seated(app: App[Any], **_: Any) -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(lambda: "BTC-USD" in text(app), pilot.pause)
            await asyncio.sleep(SETTLED)
            way.begin()
            await pilot.press("c")
            await until(lambda: "y confirms exactly what is shown" in text(app), pilot.pause)  # a quiet second
            await pilot.press("y")
            await until(lambda: "read again and verified" in " ".join(text(app).split()), pilot.pause)
            way.end()
            app.exit(0)

    App.run_async = seated  # type: ignore[method-assign, assignment]
    try:
        command(path)
    finally:
        App.run_async = ran  # type: ignore[method-assign]


def cleanup(directory: Path, way: Way) -> None:
    """The whole command, from its arguments to its last line."""
    path = make(directory, "1")
    way.begin()
    said = command(path, "cleanup", "--yes")
    way.end()
    assert "verified" in said, said


WAYS = {"trailing stop": trailing_stop, "console cleanup": console_cleanup, "cleanup --yes": cleanup}


def shortest(take: Callable[[Path, Way], None]) -> Way:
    """The way with the fewest rooms of several."""
    found: list[Way] = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(TIMES + 1):
            way = Way()
            with way.watched():
                take(Path(directory) / str(number), way)
            found.append(way)
    return min(found[1:], key=lambda w: (len(w.rooms), w.doors))


# -------------------------------------------------------------------------------------------------------- the house


def names_in_contracts() -> set[str]:
    """Every module that an import contract names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: set[str] = set()
    for contract in project["tool"]["importlinter"]["contracts"]:
        prefix = contract.get("containers", [""])[0]
        for layer in contract.get("layers", ()):
            names = (name.strip(" ()") for part in layer.split(":") for name in part.split("|"))
            found |= {f"{prefix}.{name}" if prefix else name for name in names}
        for key in ("modules", "source_modules", "forbidden_modules", "protected_modules", "allowed_importers"):
            found |= set(contract.get(key, ()))
    return found


def house() -> dict[str, Any]:
    """Counts of what is there."""
    files = [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))]
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    nearly = sorted(name for name, count in lines.items() if NEARLY <= count <= LONGEST)
    figures: dict[str, Any] = {"names in import contracts": len(names_in_contracts())}
    for folder in ("core", "tui"):
        entries = [p for p in (ROOT / folder).iterdir() if p.is_dir() or p.suffix == ".py"]
        figures[f"first-level entries of {folder}"] = sum(p.name not in ("__init__.py", "__pycache__") for p in entries)
    figures |= {"product files": len(files), "product lines": sum(lines.values())}
    figures |= {f"files with {NEARLY} to {LONGEST} lines": len(nearly), "which": " ".join(nearly)}
    return figures


def run() -> dict[str, Any]:
    """Figures by name."""
    figures: dict[str, Any] = {}
    for name, take in WAYS.items():
        way = shortest(take)
        figures[f"{name}: rooms (goal {GOALS[name]})"] = len(way.rooms)
        figures[f"{name}: without the venue"] = sum(not room.startswith(VENUE) for room in way.rooms)
        figures[f"{name}: doors"] = way.doors
        for folder in PRODUCT:
            rooms = sorted(r.removeprefix(f"{folder}/") for r in way.rooms if r.startswith(f"{folder}/"))
            figures[f"{name}: in {folder}"] = f"{len(rooms)}  {' '.join(rooms)}"
    return figures | house()

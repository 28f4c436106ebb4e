"""The commands that keep an engine going: the service, the console and the demo."""

from __future__ import annotations

import asyncio
import math
import signal
import tempfile
from pathlib import Path

import click

from core.errors import ConfigError, EngineBusy
from core.settings import Settings
from tui import demo_books
from tui.commands.files import read_price_files
from tui.commands.session import (
    DONE,
    UNREACHED,
    USAGE,
    CommandContext,
    Engine,
    no_configuration,
    shared_options,
    with_context,
)
from tui.commands.unwinding import Terminated
from tui.present.labels import in_flight, under_way
from tui.process_signals import TerminalLine, terminals

LONGEST_CLOSE = 900.0  # seconds that a close may take after its terminal was lost
LEAVING = 1.0  # seconds that a console may take to leave a terminal, which may be gone


@click.command()
@shared_options
@with_context
def run(context: CommandContext) -> int:
    """Run the engine without a screen until it is told to stop."""
    settings = context.load_config().settings
    if not settings.accounts:
        raise ConfigError("No account is configured, so there is nothing to watch; add one to the configuration")
    context.committed = not context.environment.interactive()  # without a terminal a hang-up is no request to stop
    try:
        context.run_to_end(_serve(context, settings))
    except KeyboardInterrupt:
        code = DONE
    except Terminated as ended:
        code = DONE if ended.number == signal.SIGTERM else 128 + ended.number
    else:
        return DONE
    context.print_note("Stopped; no stop is watched any more.")
    return code


async def _serve(context: CommandContext, settings: Settings) -> None:
    async with context.environment.engine(
        settings, acting=True, mode="service", lasting=True, on_log=context.print_log_row
    ) as engine:
        reached, asked = engine.reached(), len(settings.accounts)
        context.print_note(f"Engine running: {reached} of {asked} accounts reached. Ctrl+C stops it.")
        try:
            await engine.run()
        finally:
            flying = in_flight(engine.snapshot().closings)
            if flying:
                context.print_note(f"{len(flying)} closes were in flight; the next start takes them up again.")


def console(context: CommandContext, *, read_only: bool) -> int:
    """Run the console on the configured accounts."""
    loaded = context.environment.load(context.config)
    if not context.environment.full_screen():
        raise ConfigError(
            "The console needs a terminal; without one use flatdeck status, cleanup, flatten, run"
            if loaded
            else no_configuration()
        )
    if loaded is None:
        context.print_note(f"{no_configuration()}.")
        return _demo(context, "default", 1, (), 1.0) if context.confirm("Start the demo now?") else USAGE
    context.run_to_end(_console(context, loaded.settings, read_only))
    return DONE


async def _console(context: CommandContext, settings: Settings, read_only: bool) -> None:
    """Run the console of the running engine; where none runs, with an engine of its own.

    If another process has the data or an account and cannot be spoken to, the console is read-only and says so.
    """
    with TerminalLine().watch(terminals()) as line:
        if await _attached(context, settings, line, read_only):
            return None
        if not read_only:
            try:
                async with context.environment.engine(settings, acting=True, lasting=True) as engine:
                    return await _show(context, engine, line, read_only=False)
            except EngineBusy as error:
                context.print_note(f"{error}; this console is read-only.")
        async with context.environment.engine(settings, acting=False, lasting=True) as engine:
            return await _show(context, engine, line, read_only=True)


async def _attached(context: CommandContext, settings: Settings, line: TerminalLine, read_only: bool) -> bool:
    """Show the console of the running engine, if one runs, until the person leaves it or the terminal is lost."""
    screen = asyncio.ensure_future(context.environment.attached_console(settings, line, read_only=read_only))
    lost = asyncio.ensure_future(line.lost.wait())
    try:
        await asyncio.wait({screen, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():  # the engine goes on with what was confirmed
            raise Terminated(signal.SIGHUP)
        return await screen
    finally:
        for task in (screen, lost):
            task.cancel()
        left, _ = await asyncio.wait({screen, lost}, timeout=LEAVING)
        await asyncio.gather(*left, return_exceptions=True)


async def _show(context: CommandContext, engine: Engine, line: TerminalLine, *, read_only: bool) -> None:
    """Show the console while the engine runs behind it. An engine that fails ends the console with its error.

    If the terminal is lost, the engine first ends the closes that were confirmed: a broken line is not a decision to
    leave positions open. The next start takes up the closes that wait for a market to open.
    """
    line.busy = lambda: under_way(engine.publisher.snapshot())
    behind = asyncio.ensure_future(engine.run())
    screen = asyncio.ensure_future(context.environment.console(engine, line, read_only=read_only))
    lost = asyncio.ensure_future(line.lost.wait())
    try:
        await asyncio.wait({behind, screen, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            await _carried_through(context, line, behind)
            raise Terminated(signal.SIGHUP)
        if behind.done() and behind.exception() is not None:
            behind.result()
        await screen
    finally:
        for task in (screen, behind, lost):
            task.cancel()
        left, _ = await asyncio.wait({screen, behind, lost}, timeout=LEAVING)
        await asyncio.gather(*left, return_exceptions=True)


async def _carried_through(context: CommandContext, line: TerminalLine, behind: asyncio.Future[None]) -> None:
    clock = context.environment.clock
    end = clock.monotonic() + LONGEST_CLOSE
    while line.busy() and clock.monotonic() < end and not behind.done():
        await clock.sleep(0.2)


@click.command()
@click.option("--scenario", metavar="NAME", type=click.Choice(demo_books.SCENARIOS), default="default")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), default=1, help="Another seed, another market.")
@click.option(
    "--replay", "replays", metavar="CSV...", multiple=True, help="Price files for the symbols they are named after."
)
@click.option(
    "--speed",
    metavar="X",
    type=click.FloatRange(0, 1_000_000, min_open=True),
    default=1.0,
    help="How fast time passes.",
)
@click.argument("more", nargs=-1, metavar="")
@shared_options
@with_context
def demo(
    context: CommandContext, *, scenario: str, seed: int, replays: tuple[str, ...], speed: float, more: tuple[str, ...]
) -> int:
    """The console on embedded paper brokers: nothing is real and nothing is kept.

    Scenarios: default; crash, where prices fall; faults, where venues refuse, lose and lag.
    """
    if math.isnan(speed):
        raise click.UsageError("--speed nan is not a number")
    if more and not replays:
        raise click.UsageError(f"demo takes no argument {more[0]!r}; price files follow --replay")
    return _demo(context, scenario, seed, (*replays, *more), speed)


def _demo(context: CommandContext, scenario: str, seed: int, replays: tuple[str, ...], speed: float) -> int:
    given = read_price_files(replays)
    if context.json or not context.environment.full_screen():
        raise ConfigError("The demo is a console and needs a terminal")
    with tempfile.TemporaryDirectory(prefix="flatdeck-demo-") as directory:
        made = demo_books.build(
            directory, context.environment.dice(seed), scenario=scenario, seed=seed, replays=given, speed=speed
        )
        for name, text in made.files.items():
            Path(directory, name).write_text(text, encoding="utf-8")
        return context.run_to_end(_play(context, made.settings))


async def _play(context: CommandContext, settings: Settings) -> int:
    environment = context.environment
    with TerminalLine().watch(terminals()) as line:
        async with environment.engine(settings, acting=True, lasting=True) as engine:
            await _show(context, engine, line, read_only=False)
            return DONE if engine.reached() else UNREACHED

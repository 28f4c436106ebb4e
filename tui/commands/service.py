"""The commands about the running engine: ``stop`` ends it, ``service`` has systemd keep it running."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from core.errors import ConfigError, FlatdeckError
from core.plans.position_row import PositionRow
from core.settings import Settings
from tui.commands.look import look
from tui.commands.session import DONE, REMAINED, CommandContext, shared_options, with_context
from tui.present.sanitize import sanitize

PATIENCE = 60.0  # seconds for an engine to close everything down
LOOK_EVERY = 0.2

UNIT = """[Unit]
Description=flatdeck: watches the positions of {config}
Wants=network-online.target
After=network-online.target

[Service]
# A secret that is given as env:NAME must be in the environment of the unit: EnvironmentFile=%h/.config/flatdeck/secrets
ExecStart={program} run --config {config}
Restart=on-failure
RestartSec=5
# What is wrong in the configuration is not mended by starting again.
RestartPreventExitStatus=2
TimeoutStopSec=60

[Install]
WantedBy=default.target
"""


@click.command()
@shared_options
@with_context
def stop(context: CommandContext) -> int:
    """Stop the running engine, and say what is left unguarded."""
    settings = context.load_config().settings
    engine = context.environment.elsewhere(settings)
    if engine is None or engine.pid is None:
        return _nothing_runs(context, settings)
    if engine.mode != "service":
        raise FlatdeckError(
            f"The engine that is running (pid {engine.pid}) belongs to a console or to another command; end it there"
        )
    snapshot, _ = context.run_to_end(look(context, settings))
    _terminate(engine.pid)
    stopped = context.run_to_end(_gone(context, settings, engine.pid))
    held = snapshot.positions
    if context.json:
        left = [{"account": row.key.account, "symbol": row.key.symbol, "leg": row.key.leg.value} for row in held]
        context.print_document({"stopped": stopped, "pid": engine.pid, "unguarded": left})
    if not stopped:
        context.print_note(
            f"The engine (pid {engine.pid}) was asked to stop and has not within {PATIENCE:g} s; look at it."
        )
        return REMAINED
    context.print_text(f"Stopped the engine (pid {engine.pid}). {unguarded(held)}")
    unread = [row.id for row in snapshot.accounts if row.error]
    if unread:
        context.print_note(f"What is held there could not be read: {', '.join(unread)}.")
    return DONE


def _nothing_runs(context: CommandContext, settings: Settings) -> int:
    if context.json:
        context.print_document({"stopped": False, "pid": None, "unguarded": []})
    context.print_text(f"No engine is running on {sanitize(settings.engine.data_dir)}.")
    return DONE


def _terminate(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except OSError as error:
        raise FlatdeckError(f"The engine (pid {pid}) cannot be asked to stop: {error.strerror}") from None


async def _gone(context: CommandContext, settings: Settings, pid: int) -> bool:
    """Return whether the engine let go of its data directory within the time limit."""
    for _ in range(int(PATIENCE / LOOK_EVERY)):
        engine = context.environment.elsewhere(settings)
        if engine is None or engine.pid != pid:
            return True
        await context.environment.clock.sleep(LOOK_EVERY)
    return False


def unguarded(held: Sequence[PositionRow]) -> str:
    """Return one sentence: which positions nobody watches any more, and which orders rest at a venue."""
    if not held:
        return "Nothing is held."
    resting = sum(row.protective is not None for row in held)
    many = f"{len(held)} position{'s are' if len(held) != 1 else ' is'} held and no stop is watched any more"
    return f"{many}; {resting} of them with a stop that rests at its venue." if resting else f"{many}."


@click.command()
@click.option("--install", is_flag=True, help="Write it among your own units instead of printing it.")
@shared_options
@with_context
def service(context: CommandContext, *, install: bool) -> int:
    """Print a systemd user unit that keeps `flatdeck run` going, or install it."""
    loaded = context.load_config()
    if loaded.path is None:
        raise ConfigError("A service needs a configuration file; write one with `flatdeck init`")
    text = unit(str(Path(sys.argv[0]).absolute()), str(loaded.path.absolute()))
    path = _units(context) / "flatdeck.service"
    if install:
        _install(path, text)
    if context.json:
        context.print_document({"unit": text, "path": str(path) if install else None})
    elif install:
        context.print_text(
            f"Wrote {sanitize(path)}. Start it with: systemctl --user daemon-reload && "
            "systemctl --user enable --now flatdeck; so that it goes on when you log out: loginctl enable-linger"
        )
    else:
        context.print_text(text.rstrip())
    return DONE


def unit(program: str, config: str) -> str:
    """Return the unit's text, with its two paths quoted by systemd's rules."""
    return UNIT.format(program=_quoted(program), config=_quoted(config))


def _quoted(path: str) -> str:
    if not path.isprintable():
        raise ConfigError(f"systemd takes no such path: {sanitize(path)}; move it to one of plain characters")
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _units(context: CommandContext) -> Path:
    home = context.environment.env.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "systemd" / "user"


def _install(path: Path, text: str) -> None:
    try:
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                f"{path} is already there and differs; remove it, or write what `flatdeck service` prints"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"{path} cannot be written ({why}); put what `flatdeck service` prints where you want"
        ) from error

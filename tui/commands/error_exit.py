"""Turn an error that ends a command into one sentence on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys

import click

from core.errors import ConfigError, EngineBusy, FlatdeckError
from tui.commands.session import BUSY, INTERRUPTED, REMAINED, USAGE, Terminated
from tui.present.sanitize import sanitize


def explain_error(error: BaseException, *, verbose: bool) -> int:
    """Print what happened in one sentence and return its exit code. The traceback appears only on request."""
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else REMAINED
        case BrokenPipeError():
            _silence()
            return REMAINED
        case click.Abort() | KeyboardInterrupt():
            code, text = INTERRUPTED, "Interrupted."
        case Terminated():
            code, text = 128 + error.number, "Terminated."
        case click.UsageError():
            help_of = f"; see {error.ctx.command_path} --help" if error.ctx else ""
            code, text = USAGE, error.format_message().rstrip(".") + help_of
        case click.ClickException():
            code, text = error.exit_code, error.format_message()
        case FlatdeckError():
            kinds = {EngineBusy: BUSY, ConfigError: USAGE}
            code, text = next((c for kind, c in kinds.items() if isinstance(error, kind)), REMAINED), str(error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EIO):
            code, text = REMAINED, f"Nothing can be written ({error.strerror}); flatdeck journal says what was done"
        case _:
            hint = "" if verbose else "; run it again with -v for the traceback"
            code, text = REMAINED, f"Unexpected {type(error).__name__}: {error}{hint}"
    if verbose and not isinstance(error, click.UsageError | click.Abort | KeyboardInterrupt | Terminated):
        import traceback  # noqa: PLC0415  (rarely)

        traceback.print_exception(error)
    try:
        click.echo(sanitize(text), err=True)
    except OSError:
        _silence()
    return code


def _silence() -> None:
    """Keep the interpreter from reporting a closed output again when it flushes."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(null, stream.fileno())
        except (OSError, ValueError, AttributeError):
            continue

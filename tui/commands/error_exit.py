"""Turn an error that ends a command into one sentence on stderr and an exit code."""

from __future__ import annotations

import errno
import re
import sys

import click

from core.errors import ConfigError, EngineBusy, FlatdeckError
from tui.commands.session import BUSY, INTERRUPTED, REMAINED, USAGE, silence
from tui.commands.unwinding import Terminated
from tui.output.documents import document_text
from tui.present.sanitize import sanitize


def explain_error(error: BaseException, *, verbose: bool, json: bool = False) -> int:
    """Print what happened in one sentence and return its exit code. The traceback appears only on request.

    With ``json`` the error is the JSON document on stdout, too.
    """
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else REMAINED
        case BrokenPipeError():
            silence()
            return REMAINED
    code, kind, text = _described(error, verbose=verbose)
    if verbose and not isinstance(error, click.UsageError | click.Abort | KeyboardInterrupt | Terminated):
        import traceback  # noqa: PLC0415  (rarely)

        traceback.print_exception(error)
    try:
        if json:
            click.echo(document_text({"error": {"kind": kind, "text": text, "exit_code": code}}))
        click.echo(sanitize(text), err=True)
    except OSError:
        silence()
    return code


def _described(error: BaseException, *, verbose: bool) -> tuple[int, str, str]:
    """Return the exit code, the kind and the sentence of an error."""
    match error:
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED, "interrupted", "Interrupted."
        case Terminated():
            return 128 + error.number, "terminated", "Terminated."
        case click.exceptions.NoArgsIsHelpError(ctx=click.Context(command=click.Group() as group) as context):
            names = ", ".join(group.list_commands(context))
            path = context.command_path
            return USAGE, "usage", f"{path} needs to know what: {names}; see {path} --help"
        case click.UsageError():
            help_of = f"; see {error.ctx.command_path} --help" if error.ctx else ""
            return USAGE, "usage", _on_one_line(error.format_message()) + help_of
        case click.ClickException():
            return error.exit_code, "usage", error.format_message()
        case EngineBusy():
            return BUSY, "busy", str(error)
        case ConfigError():
            return USAGE, "configuration", str(error)
        case FlatdeckError():
            return REMAINED, "refused", str(error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EIO):
            text = f"Nothing can be written ({error.strerror}); flatdeck journal says what was done"
            return REMAINED, "disk", text
        case _:
            hint = "" if verbose else "; run it again with -v for the traceback"
            return REMAINED, "unexpected", f"Unexpected {type(error).__name__}: {error}{hint}"


def _on_one_line(message: str) -> str:
    """Return a usage error of click as one sentence in plain words."""
    whole = re.sub(r"\s*\n\s*", " ", message.strip()).rstrip(".")
    whole = re.sub(r" is not in the range x>=(\d+)$", r" must be a number from \1", whole)
    whole = re.sub(r" is not a valid integer( range)?$", " must be a whole number", whole)
    found = re.fullmatch(r"(.*)\. Choose from: (.*)", whole)
    if found is None:
        return whole
    *first, last = found[2].split(", ")
    return f"{found[1]}: {', '.join(first)} or {last}" if first else f"{found[1]}: {last}"


def flush_output() -> None:
    """Write out what waits for stdout. A reader that closed the pipe has read enough: the exit code stays."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        silence()

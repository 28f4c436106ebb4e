"""A fault of the console: one line for the terminal, the traceback for a file."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from tui.present.sanitize import sanitize

_log = logging.getLogger("flatdeck.console")


def record_fault(error: BaseException, file: Path | None) -> None:
    """Append the traceback to ``file``, or log it. Local variables are never written, because they may hold secrets."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    text = "\n".join(sanitize(line) for line in lines) + "\n"
    try:
        if file is not None:
            with file.open("a", encoding="utf-8") as opened:
                opened.write(text)
            return
    except OSError:
        pass
    _log.error("fault in the console\n%s", text)


def fault_line(error: BaseException, file: Path | None) -> str:
    """Return the line that the terminal gets."""
    where = f" Details are in {file}." if file else ""
    return f"The console failed: {type(error).__name__}: {sanitize(error, 200)}. The engine is not affected.{where}"

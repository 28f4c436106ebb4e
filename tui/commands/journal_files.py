"""``journal --export`` and ``journal --backup``: the audit trail as a file."""

from __future__ import annotations

import csv
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TextIO

import click

from core.records import Entry
from tui.output import documents

HEAD = ("seq", "at", "kind", "account", "symbol", "plan")


class NewFile(click.ParamType):
    """The path of a file that does not exist. Its name ends in one of ``suffixes``, where there are any."""

    name = "file"

    def __init__(self, *suffixes: str) -> None:
        self._suffixes = suffixes

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if self._suffixes and path.suffix not in self._suffixes:
            self.fail(f"the name {value} must end in {' or '.join(self._suffixes)}", param, ctx)
        if path.exists():
            self.fail(f"{value} is there already; give a file that does not exist", param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no directory {path.absolute().parent}", param, ctx)
        return path


async def export_entries(path: Path, entries: AsyncIterator[Entry]) -> int:
    """Write the records to a new file of mode 0600, and return their number. Raises OSError.

    The file gets its name only when it is whole.
    """
    part, count = path.with_name(f"{path.name}.part"), 0
    try:
        with _private(part) as file:
            write = _csv(file) if path.suffix == ".csv" else _lines(file)
            async for entry in entries:
                write(documents.journal_entry(entry))
                count += 1
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _private(path: Path) -> TextIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w", newline="")


def _lines(file: TextIO) -> Callable[[documents.Document], object]:
    return lambda document: file.write(documents.document_line(document) + "\n")


def _csv(file: TextIO) -> Callable[[documents.Document], object]:
    rows = csv.writer(file)
    rows.writerow((*HEAD, "contents"))

    def write(document: documents.Document) -> None:
        rest = {key: value for key, value in document.items() if key not in HEAD}
        rows.writerow((*(document[key] for key in HEAD), documents.document_line(rest)))

    return write

"""A command's context: the options that every command shares, and the environment that it runs in."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

import click
from msgspec import structs

from core.errors import ConfigError
from core.journal.query import EntryFilter
from core.link.messages import LogRow, Snapshot
from core.plans.approver import ASKED, YES, Approver
from core.plans.plan import Plan
from core.plans.request import PlanRequest
from core.plans.results import PlanReport
from core.ports import Broker, Check, Clock
from core.records import Entry
from core.settings import AccountSettings, Settings
from tui.commands.unwinding import unwound
from tui.demo_books import Dice
from tui.operator import approver
from tui.output.documents import Document, document_text
from tui.present.labels import log_cells
from tui.present.sanitize import sanitize
from tui.process_signals import TerminalLine, drop_typed_text

if TYPE_CHECKING:
    from core.config.load import Loaded
    from core.ids import Ids
    from core.journal.data_dir import Holder
    from core.journal.journal import Journal

DONE, REMAINED, USAGE, DECLINED, UNREACHED, BUSY = 0, 1, 2, 3, 4, 5
INTERRUPTED = 130
DOCUMENT_PRINTED = "document printed"  # set among a call's options once its one JSON document is out

_SHOWN_WHEN_QUIET = frozenset({"error", "alarm"})  # levels of log lines

T = TypeVar("T")


def no_configuration() -> str:
    """Return the sentence about a missing configuration, with the places that were looked at."""
    from platformdirs import user_config_dir  # noqa: PLC0415  (only without a configuration)

    return (
        f"No configuration was found in {Path(user_config_dir('flatdeck')) / 'config.toml'} or ./config.toml: run "
        "`flatdeck demo` to try it on embedded paper brokers, or `flatdeck init` to write a commented configuration"
    )


class Rows(Protocol):
    """An engine's rows as they are. Any thread may ask for them."""

    def snapshot(self) -> Snapshot: ...


class Engine(Protocol):
    """The part of an engine that the command line uses.

    ``taken_up`` has the reports of interrupted plans that the engine ended at its start.
    """

    @property
    def taken_up(self) -> Sequence[PlanReport]: ...

    def snapshot(self) -> Snapshot: ...

    @property
    def publisher(self) -> Rows: ...

    def reached(self) -> int: ...

    async def read_all(self) -> None: ...

    async def prepare(self, request: PlanRequest) -> Plan: ...

    async def execute(self, plan_id: str, digest: str, approver: Approver | None = None) -> PlanReport: ...

    async def run(self) -> None: ...


class JournalReader(Protocol):
    """The part of a journal's reading side that the command line uses."""

    async def entries(
        self, where: EntryFilter = ..., *, after: int = 0, limit: int = 1000, tail: bool = False
    ) -> list[Entry]: ...

    async def names(self, column: str, prefix: str = "", limit: int = 10_000) -> list[str]: ...


class Environment(Protocol):
    """Everything outside of the commands; :mod:`tui.main` composes the real environment."""

    @property
    def clock(self) -> Clock: ...

    @property
    def env(self) -> Mapping[str, str]: ...

    def interactive(self) -> bool:
        """Return whether a person is at a terminal and can be asked."""

    def full_screen(self) -> bool:
        """Return whether a console can be drawn."""

    def load(self, path: str | None) -> Loaded | None:
        """Return the configuration, or None if no file exists; ConfigError if a file is unusable."""

    def engine(
        self,
        settings: Settings,
        *,
        acting: bool,
        mode: str = "one-shot",
        lasting: bool = False,
        on_log: Callable[[LogRow], None] | None = None,
    ) -> AbstractAsyncContextManager[Engine]:
        """Connect with the running engine; where none runs, start an engine and stop it at the end.

        A ``lasting`` engine is always started here. Without ``acting`` an engine touches no file and never sends.
        """

    def elsewhere(self, settings: Settings) -> Holder | None:
        """Return the engine of another process that runs on the same data, or None."""

    def broker(self, settings: Settings, account: AccountSettings) -> Broker: ...

    def journal_reader(self, settings: Settings) -> AbstractAsyncContextManager[JournalReader]:
        """Open the journal for reading. A missing journal is empty."""

    async def console(self, engine: Engine, line: TerminalLine, *, read_only: bool) -> None:
        """Draw the console until the person leaves it or the terminal is lost."""

    async def check_journal(self, settings: Settings) -> Check:
        """Return whether the journal can be used."""

    async def attached_console(self, settings: Settings, line: TerminalLine, *, read_only: bool) -> bool:
        """Draw the console of the engine that runs; return False at once when no engine runs."""

    async def reset_paper(self, settings: Settings, accounts: Sequence[AccountSettings]) -> None:
        """Forget the trades of paper accounts; refused while an engine runs on them."""

    async def frozen(self, settings: Settings) -> dict[str, str]:
        """Return the frozen accounts with the reason, by the journal."""

    def journal(self, settings: Settings, *, sends: bool = True) -> AbstractAsyncContextManager[tuple[Journal, Ids]]:
        """Open the journal for writing; refused while an engine runs. With ``sends`` the accounts are locked, too."""

    async def thaw(self, settings: Settings, account: str, approver: Approver) -> None:
        """Record that ``approver`` looked at the account; refused while an engine runs."""

    def new_config(self, path: str | None) -> Path:
        """Return the path that ``init`` writes: the given path, else the environment's, else the user's directory."""

    def dice(self, seed: int) -> Dice: ...


class CommandContext:
    """The shared options of one call, and the ways in which a command prints and asks."""

    def __init__(self, environment: Environment, given: dict[str, Any]) -> None:
        self.environment = environment
        self.config: str | None = given.get("config")
        self.json = bool(given.get("json"))
        self.verbose = bool(given.get("verbose"))
        self.args: Sequence[str] = given.get("args", ())  # the command line
        self.quiet = bool(given.get("quiet"))
        self._given = given
        self.committed = False  # True while a lost terminal must not end the work

    def load_config(self) -> Loaded:
        """Return the configuration; ConfigError, with the way out, if there is none."""
        loaded = self.environment.load(self.config)
        if loaded is None:
            raise ConfigError(no_configuration())
        if not self.verbose:
            return loaded
        engine = structs.replace(loaded.settings.engine, log_level="debug")
        return structs.replace(loaded, settings=structs.replace(loaded.settings, engine=engine))

    def print_text(self, text: str) -> None:
        """Print the result on stdout. With ``--json`` a text for people goes to stderr.

        A reader that closed the pipe has read enough: the exit code says what was done.
        """
        try:
            click.echo(text, err=self.json)
        except BrokenPipeError:
            silence()

    def print_note(self, text: str) -> None:
        """Print one line on stderr. A failure to print is ignored, so that a service goes on."""
        _aside(sanitize(text))

    def print_document(self, document: Document) -> None:
        """Print the one JSON document on stdout."""
        self._given[DOCUMENT_PRINTED] = True
        try:
            click.echo(document_text(document))
        except BrokenPipeError:
            silence()

    def print_log_row(self, row: LogRow) -> None:
        """Print a line of the engine's log on stderr. A failure to print never disturbs the engine."""
        if self.quiet and row.level not in _SHOWN_WHEN_QUIET:
            return
        _aside("".join(cell.text for cell in log_cells(row)).rstrip())

    @property
    def width(self) -> int | None:
        """The width of a table: the terminal's width; None, without a limit, if the output is no terminal."""
        import shutil  # noqa: PLC0415  (only where a table is printed)

        return shutil.get_terminal_size().columns if at_terminal(sys.stdout) else None

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question on stderr. The default, an interrupt and the end of input mean no.

        Text that was typed into a terminal before the question answers nothing.
        """
        if at_terminal(sys.stdin):
            drop_typed_text(sys.stdin.fileno())
        try:
            return click.confirm(question, default=False, err=True)
        except click.Abort:
            click.echo("", err=True)
            return False

    def approver(self, *, yes: bool) -> Approver:
        """Return who confirmed, for the journal: asked at the terminal, or in advance by ``--yes``."""
        return approver(self.environment.env, YES if yes else ASKED, self.args)

    def run_to_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end.

        A hang-up or a request to terminate unwinds like Ctrl+C, so that everything is closed. A hang-up does not end a
        plan that was confirmed: a broken line is not a decision to leave positions open.
        """
        return asyncio.run(unwound(work, lambda number: number == signal.SIGHUP and self.committed))


def silence() -> None:
    """Keep the interpreter from reporting a closed output again when it flushes."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(null, stream.fileno())
        except (OSError, ValueError, AttributeError):
            continue


def _aside(line: str) -> None:
    try:
        click.echo(line, err=True)
    except OSError:
        return


def at_terminal(*streams: TextIO | None) -> bool:
    """Return whether every stream is a terminal; a stream that was closed before the start is not."""
    return all(stream is not None and stream.isatty() for stream in streams)


def with_context(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command its :class:`CommandContext` as the first argument."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> T:
        context = click.get_current_context()
        environment: Any = context.find_object(object)
        return command(CommandContext(environment, context.meta), *args, **kwargs)

    return wrapped


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value == "":  # an unset variable of a script: the default may name other accounts
            raise click.UsageError(f"--{name} names nothing; name a file, or leave it out", context)
        if value not in (None, False):
            context.meta[name] = value
        if name == "no_color" and value:
            context.find_root().color = False

    return keep


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from tui.commands.attach import program_version  # noqa: PLC0415  (slow, and only for --version)

        click.echo(f"flatdeck {program_version()}")
        context.exit(0)


def shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that a person may write before or after the name of a command."""
    quiet: dict[str, Any] = {"expose_value": False, "is_eager": True}
    for option in (
        click.option("--version", is_flag=True, callback=_version, help="Show the version and leave.", **quiet),
        click.option(
            "-v", "--verbose", is_flag=True, callback=_keep("verbose"), help="More log, and tracebacks.", **quiet
        ),
        click.option("-q", "--quiet", is_flag=True, callback=_keep("quiet"), help="No log but errors.", **quiet),
        click.option("--no-color", is_flag=True, callback=_keep("no_color"), help="No colour; also NO_COLOR.", **quiet),
        click.option("--json", is_flag=True, callback=_keep("json"), help="One JSON document on stdout.", **quiet),
        click.option(
            "--config",
            metavar="PATH",
            type=click.Path(),
            callback=_keep("config"),
            help="The configuration file; else FLATDECK_CONFIG, the user's configuration directory, ./config.toml.",
            **quiet,
        ),
    ):
        command = option(command)
    return command


def known(kind: str, asked: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that were asked for; a usage error with the nearest known name if one is unknown."""
    import difflib  # noqa: PLC0415  (only for a mistake, but cheap either way)

    for name in asked:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names) or 'none'}"
            raise click.UsageError(f"There is no {kind} {name!r} in the configuration; {hint}")
    return tuple(asked)

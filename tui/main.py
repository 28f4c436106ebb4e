"""The composition root: the program ``flatdeck``, and the one module that sees engine, brokers and console alike.

What is slow to import is imported where it is needed, so that ``--help`` and ``status`` start without a console.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from core.engine.clock import SystemClock, system_ids
from core.journal.data_dir import DataDir
from core.link.messages import Link, LogRow
from core.plans.approver import CONSOLE
from core.settings import AccountSettings, Settings, settings_digest
from tui.commands import (
    completion as commands_completion,
    dust as commands_dust,
    engine as commands_engine,
    entries as commands_entries,
    files as commands_files,
    help as commands_help,
    journal as commands_journal,
    look as commands_look,
    plans as commands_plans,
    reconcile,
    replay,
    report as commands_report,
    restrict,
    service as commands_service,
    thaw as commands_thaw,
)
from tui.commands.attach import attach_console, attached, serve
from tui.commands.error_exit import explain_error, flush_output
from tui.commands.session import (
    DOCUMENT_PRINTED,
    CommandContext,
    Engine,
    at_terminal,
    shared_options,
    with_context,
)
from tui.operator import approver

if TYPE_CHECKING:
    from core.config.load import Loaded
    from core.ids import Ids
    from core.journal.data_dir import Holder
    from core.journal.journal import Journal, JournalView
    from core.plans.approver import Approver
    from core.ports import Broker, Check
    from tui.demo_books import Dice
    from tui.process_signals import TerminalLine


class SystemEnvironment:
    """The real environment: this machine's terminal, files, clock and brokers."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self.env = env
        self.clock = SystemClock()

    def interactive(self) -> bool:
        return at_terminal(sys.stdin, sys.stderr)

    def full_screen(self) -> bool:
        return at_terminal(sys.stdin, sys.stdout) and self.env.get("TERM") != "dumb"

    def load(self, path: str | None) -> Loaded | None:
        from core.config import load as config  # noqa: PLC0415  (reads files with pydantic)

        found = config.find(Path(path) if path else None, self.env)
        return None if found is None else config.load(found, self.env)

    def new_config(self, path: str | None) -> Path:
        from platformdirs import user_config_dir  # noqa: PLC0415  (only init)

        given = path or self.env.get("FLATDECK_CONFIG")
        return Path(given).expanduser() if given else Path(user_config_dir("flatdeck")) / "config.toml"

    @asynccontextmanager
    async def engine(
        self,
        settings: Settings,
        *,
        acting: bool,
        mode: str = "one-shot",
        lasting: bool = False,
        on_log: Callable[[LogRow], None] | None = None,
    ) -> AsyncIterator[Engine]:
        """Yield the running engine; where none runs, and for a ``lasting`` engine, a started engine of this process."""
        if not lasting:
            async with attached(settings, self.clock, acting=acting, on_log=on_log) as running:
                if running is not None:
                    yield running
                    return
        async with self._own_engine(settings, acting, mode, lasting, on_log) as engine:
            yield engine

    @asynccontextmanager
    async def _own_engine(
        self, settings: Settings, acting: bool, mode: str, lasting: bool, on_log: Callable[[LogRow], None] | None
    ) -> AsyncIterator[Engine]:
        """Yield a started engine. Only an acting engine prepares and locks the data directory and opens the journal."""
        from brokers import open_broker  # noqa: PLC0415  (adapters are imported on use)
        from core.engine.engine import Engine as RealEngine  # noqa: PLC0415
        from core.engine.read_only import load_read_only  # noqa: PLC0415
        from core.journal.health import LOG_LOST  # noqa: PLC0415
        from core.journal.journal import Journal  # noqa: PLC0415
        from core.journal.sqlite import log_is_lost  # noqa: PLC0415

        directory, ids = DataDir(Path(settings.engine.data_dir)), system_ids()
        alarms, first_use = [LOG_LOST] * log_is_lost(directory.journal), ""
        brokers = [open_broker(a, directory.path, self.clock) for a in settings.accounts]  # a bad book stops here
        async with AsyncExitStack() as stack:
            journal = None
            if acting:
                directory.prepare()
                kind = "console" if lasting and mode == "one-shot" else mode
                armed = settings.automation.exits == "auto"
                stack.enter_context(directory.lock(kind, armed=armed, settings=settings_digest(settings)))
                first_use, unlocked = stack.enter_context(self._acting(settings, directory))
                alarms += filter(None, [unlocked])
                journal = await Journal.open(directory.journal, self.clock, ids)
                stack.push_async_callback(journal.aclose)
            how = {"mode": mode, "lasting": lasting, "read_only": not acting}
            engine = RealEngine(settings, brokers, clock=self.clock, ids=ids, journal=journal, **how)
            if on_log is not None:
                engine.on_log(on_log)
            stack.push_async_callback(engine.stop)
            if first_use and settings.engine.log_level != "error":  # for who looks now, and no part of the audit trail
                engine.publisher.put_log(LogRow(0, self.clock.now(), "warning", first_use))
            await engine.start()
            if not acting:
                holder = directory.holder()
                await load_read_only(engine, directory.journal, watched=holder is not None and holder.watches)
            for alarm in alarms:
                engine.say("alarm", alarm)
            if acting and lasting:
                await stack.enter_async_context(serve(engine, directory, self.clock))
            yield engine

    @contextmanager
    def _acting(self, settings: Settings, directory: DataDir) -> Iterator[tuple[str, str]]:
        """Hold the lock of each account. Yield the note about a new data directory and the alarm about locks, or "".

        Settings without a file are the demo's: nobody else has its accounts.
        """
        if not settings.engine.file:
            yield "", ""
            return
        from platformdirs import user_data_dir  # noqa: PLC0415

        from core.config.logins import login_of  # noqa: PLC0415
        from core.journal.account_locks import AccountLocks, new_directory  # noqa: PLC0415

        locks = AccountLocks(Path(user_data_dir("flatdeck")) / "accounts")
        known = {account.id: login_of(account, self.env) for account in settings.accounts}
        logins = {account: login for account, login in known.items() if login is not None}
        note = "" if directory.journal.exists() else new_directory(directory, locks.last_uses(logins))
        with locks.lock(logins, settings.engine.file, directory.path) as failure:
            yield note, failure or ""

    def elsewhere(self, settings: Settings) -> Holder | None:
        return DataDir(Path(settings.engine.data_dir)).holder()

    def broker(self, settings: Settings, account: AccountSettings) -> Broker:
        from brokers import open_broker  # noqa: PLC0415

        return open_broker(account, Path(settings.engine.data_dir), self.clock)

    @asynccontextmanager
    async def journal_reader(self, settings: Settings) -> AsyncIterator[JournalView]:
        from core.journal.journal import Journal  # noqa: PLC0415

        journal = await Journal.open_readonly(DataDir(Path(settings.engine.data_dir)).journal)
        try:
            yield journal
        finally:
            await journal.aclose()

    async def console(self, engine: Any, line: TerminalLine, *, read_only: bool) -> None:
        from core.engine.local_link import LocalLink  # noqa: PLC0415

        link = LocalLink(engine, approver(self.env, CONSOLE, sys.argv[1:]))
        await self._draw(link, engine.settings, line, read_only)

    async def attached_console(self, settings: Settings, line: TerminalLine, *, read_only: bool) -> bool:
        who = approver(self.env, CONSOLE, sys.argv[1:])
        link = await attach_console(settings, self.clock, acting=not read_only, approver=who)
        if link is not None:
            await self._draw(link, settings, line, read_only)
        return link is not None

    async def _draw(self, link: Link, settings: Settings, line: TerminalLine, read_only: bool) -> None:
        from tui.app import FlatdeckApp  # noqa: PLC0415  (Textual is slow to import)

        crash_log = Path(settings.engine.data_dir) / "console-fault.log"
        app = FlatdeckApp(
            link, read_only=read_only, clock=self.clock, settings=settings.console, crash_log=crash_log, line=line
        )
        await app.run_async()

    async def check_journal(self, settings: Settings) -> Check:
        from core.journal.health import check_journal  # noqa: PLC0415

        return await check_journal(DataDir(Path(settings.engine.data_dir)))

    async def reset_paper(self, settings: Settings, accounts: Sequence[AccountSettings]) -> None:
        from brokers.paper.store import reset  # noqa: PLC0415
        from core.journal.forget import forget_accounts  # noqa: PLC0415

        directory = DataDir(Path(settings.engine.data_dir))
        if not directory.path.exists():
            return
        async with self.journal(settings) as (journal, _):
            await forget_accounts(journal, {a.id for a in accounts}, "the paper account was started anew")
            for account in accounts:
                reset(directory.path, account)

    async def frozen(self, settings: Settings) -> dict[str, str]:
        async with self.journal_reader(settings) as journal:
            return await journal.frozen()

    @asynccontextmanager
    async def journal(self, settings: Settings, *, sends: bool = True) -> AsyncIterator[tuple[Journal, Ids]]:
        with self._acting(settings, DataDir(Path(settings.engine.data_dir))) if sends else nullcontext():
            async with self._journal(settings) as opened:
                yield opened

    @asynccontextmanager
    async def _journal(self, settings: Settings) -> AsyncIterator[tuple[Journal, Ids]]:
        from core.journal.journal import Journal  # noqa: PLC0415

        directory, ids = DataDir(Path(settings.engine.data_dir)), system_ids()
        directory.prepare()
        with directory.lock():
            journal = await Journal.open(directory.journal, self.clock, ids)
            try:
                yield journal, ids
            finally:
                await journal.aclose()

    async def thaw(self, settings: Settings, account: str, approver: Approver) -> None:
        from core.records import AccountFrozen, Logged  # noqa: PLC0415

        async with attached(settings, self.clock, acting=True) as running:
            if running is not None:
                return await running.thaw(account, approver)
        async with self._journal(settings) as (journal, _):
            await journal.append(
                AccountFrozen(account, None, approver.text, approver),
                Logged("warning", f"{account} was thawed by {approver.text}", account),
            )
        return None

    def dice(self, seed: int) -> Dice:
        from brokers.paper.random_streams import seeded  # noqa: PLC0415

        return seeded("demo", seed)


class Program(click.Group):
    """The root command: every error ends as one sentence on stderr and an exit code."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        given = list(sys.argv[1:] if args is None else args)
        extra.pop("standalone_mode", None)
        extra.setdefault("obj", SystemEnvironment())
        if extra["obj"].env.get("NO_COLOR"):
            extra["color"] = False
        if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that has no arrow or dash gets an escape instead
            sys.stdout.reconfigure(errors="backslashreplace")
        self._asked: dict[str, Any] = {}
        try:
            code = super().main(given, prog_name or "flatdeck", standalone_mode=False, **extra) or 0
            flush_output()
        except BaseException as error:  # noqa: BLE001  (every one of them is turned into a sentence and a code)
            json = "--json" in given and DOCUMENT_PRINTED not in self._asked
            code = explain_error(error, verbose=_verbose(given), json=json)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        self._asked = ctx.meta
        return super().invoke(ctx)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        given = tuple(args)
        context = super().make_context(info_name, args, *rest, **extra)
        context.meta["args"] = given
        return context


def _verbose(args: Sequence[str]) -> bool:
    return any(arg in ("-v", "--verbose") for arg in args)


@click.group(cls=Program, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--read-only", is_flag=True, help="The console without any key that could change something.")
@shared_options
@with_context
def cli(context: CommandContext, *, read_only: bool) -> int:
    """Watch trading positions across users and brokers, and get them closed, verified.

    Without a command: the console.
    """
    if click.get_current_context().invoked_subcommand is not None:
        if read_only:
            raise click.UsageError("--read-only belongs to the console and takes no command")
        return 0
    if context.json:
        raise click.UsageError("--json belongs to a command; for the positions it is flatdeck status --json")
    return commands_engine.console(context, read_only=read_only)


for _command in (
    *(commands_look.status, commands_plans.cleanup, commands_plans.flatten, commands_plans.cancel_orders),
    *(commands_engine.demo, commands_engine.run, commands_journal.journal, commands_look.check, commands_look.config),
    *(commands_files.init, commands_files.paper, commands_thaw.thaw, commands_completion.completion, replay.replay),
    *(commands_report.report, commands_help.help_command, restrict.halt, restrict.resume, restrict.account),
    *(commands_entries.check_entry, commands_entries.open_position, commands_entries.scale),
    *(reconcile.reconcile, commands_dust.dust, commands_service.stop, commands_service.service),
):
    cli.add_command(commands_help.add_help(commands_completion.complete_values(_command)))


def main() -> NoReturn:
    """The entry point of the installed program."""
    cli.main(obj=SystemEnvironment())

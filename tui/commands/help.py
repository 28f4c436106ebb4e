"""The help of commands: ``flatdeck help``, and an example in each command's own help."""

from __future__ import annotations

import click

from tui.commands.session import DONE, shared_options

EXAMPLES = {
    "account": 'flatdeck account user_123/coinbase locked --until 18:00 --reason "lost enough"',
    "cancel-orders": "flatdeck cancel-orders --account user_123/coinbase --dry-run",
    "check": "flatdeck check --config desk.toml",
    "check-entry": "flatdeck check-entry --user user_123 --symbol BTC-USD --side buy --amount 0.1 "
    "--leverage 1 --stop-loss 0.05",
    "cleanup": "flatdeck cleanup --user user_123 --max-positions 8 --dry-run",
    "completion": "flatdeck completion bash > ~/.local/share/bash-completion/completions/flatdeck",
    "config": "flatdeck config --json",
    "demo": "flatdeck demo --scenario crash --seed 7",
    "dust": "flatdeck dust --account user_123/binance --dry-run",
    "flatten": "flatdeck flatten --user user_123 --symbol BTC-USD --dry-run",
    "halt": 'flatdeck halt --reason "the news"',
    "help": "flatdeck help cleanup",
    "init": "flatdeck init --config desk.toml",
    "journal": "flatdeck journal --since 2h --kind log",
    "open": "flatdeck open --user user_123 --symbol BTC-USD --side buy --amount 0.1 --leverage 1 --stop-loss 0.05 "
    "--dry-run",
    "paper": "flatdeck paper example > positions.json",
    "reconcile": "flatdeck reconcile --dry-run",
    "report": "flatdeck report p1a2b3",
    "replay": "flatdeck replay BTC-USD-1m.csv --side long --entry 4600 --quantity 0.5",
    "resume": "flatdeck resume",
    "run": "flatdeck run --config desk.toml",
    "scale": "flatdeck scale --account user_123/coinbase --symbol BTC-USD --out 0.1 --dry-run",
    "service": "flatdeck service --install",
    "status": "flatdeck status --user user_123 --check",
    "stop": "flatdeck stop",
    "thaw": "flatdeck thaw user_123/coinbase",
}

SHORT = {  # where the first sentence of the help is too long for a list of commands
    "check-entry": "Ask the gate whether a position may be opened.",
    "demo": "The console on embedded paper brokers.",
    "reconcile": "Make the journal say what the brokers hold.",
    "replay": "Walk one position through recorded prices.",
    "report": "Tell one plan from its trigger to its verified end.",
    "service": "Print or install a systemd user unit.",
    "thaw": "Let a frozen account be acted on again.",
    "reset": "Let paper accounts start from their books again.",
}


def add_help(command: click.Command) -> click.Command:
    """Add the command's short help, and its example to the end of its help, where there are any."""
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        add_help(inner)
    command.short_help = SHORT.get(command.name or "", command.short_help)
    example = EXAMPLES.get(command.name or "")
    if example and not command.epilog:
        command.epilog = f"\b\nExample:\n  {example}"
    return command


@click.command("help")
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@shared_options
@click.pass_context
def help_command(context: click.Context, names: tuple[str, ...]) -> int:
    """Show the help of a command."""
    root = context.find_root()
    command, place = root.command, root
    for name in names:
        found = command.get_command(place, name) if isinstance(command, click.Group) else None
        if found is None:
            raise click.UsageError(f"There is no command {name!r}; see {root.command_path} --help", context)
        command, place = found, click.Context(found, info_name=name, parent=place)
    click.echo(command.get_help(place))
    return DONE

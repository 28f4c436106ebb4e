"""The console's own keys, and which of them change something."""

from __future__ import annotations

from textual.binding import Binding

KEYS = (
    Binding("d", "dry_run", "dry-run"),
    Binding("x", "close", "close"),
    Binding("X", "flatten_owner", "flatten owner"),
    Binding("F", "flatten_all", "flatten all"),
    Binding("c", "cleanup", "cleanup"),
    Binding("o", "cancel_orders", "orders"),
    Binding("a", "arm", "arm"),
    Binding("A", "acknowledge", "acknowledge"),
    Binding("ctrl+a", "acknowledge_all", "Acknowledge every alarm", show=False),
    Binding("H", "halt", "Halt: send no entry", show=False),
    Binding("r", "reconcile", "reconcile"),
    Binding("slash", "filter", "filter", key_display="/"),
    Binding("enter", "open", "Fold an owner, or show a waiting plan", show=False),
    Binding("question_mark", "help", "help", key_display="?"),
    Binding("q", "quit", "quit"),
)
DESTRUCTIVE = frozenset(
    {
        *("close", "flatten_owner", "flatten_all", "cleanup", "cancel_orders"),
        *("arm", "acknowledge", "acknowledge_all", "halt"),
    }
)

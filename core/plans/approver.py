"""The person or the program that confirmed, as the journal keeps it. Pure."""

from __future__ import annotations

from msgspec import Struct

ASKED = "asked"  # a person answered the question at a terminal
YES = "--yes"  # nobody was asked
UNASKED = "not asked"  # a command that asks nobody
CONSOLE = "console"  # a person confirmed in the console


class Approver(Struct, frozen=True):
    """The login that confirmed, where it ran, and how it answered. An unknown part is empty."""

    user: str
    host: str
    how: str  # asked, --yes or console
    login: str = ""  # the user who logged in, where the command runs as another user
    terminal: str = ""
    ssh_client: str = ""  # the address that the terminal's session came from
    started_by: str = ""  # cron or systemd, where the command has no terminal
    command: str = ""  # the command line

    @property
    def text(self) -> str:
        """The approver in a few words: ``jane@desk1 (asked)``, ``cron root@desk1 (--yes)``."""
        before = f"{self.started_by} " if self.started_by else ""
        login = f"{self.login} as " if self.login and self.login != self.user else ""
        return f"{before}{login}{self.user or 'unknown'}@{self.host or 'unknown'} ({self.how})"


PERSON = "person"  # an approval whose approver is not known


def by_whom(approver: Approver | None) -> str:
    """Return the text of a record's ``by``."""
    return PERSON if approver is None else approver.text

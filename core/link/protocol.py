"""The protocol of a connection: who says what when, and what an engine refuses. Pure.

A client says Hello and gets Welcome, or Rejected and the end of the connection. Then the client sends Ask, and gets one
Answer with the same number. A console also gets every Message. A command also gets the log lines of what it asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, structs

from core.link.framing import MOST, FrameError, frame
from core.link.messages import (
    Acknowledge,
    Arm,
    Command,
    Confirm,
    Execute,
    Finished,
    LogRow,
    Rejected,
    Reply,
    Snapshot,
    Thaw,
    Update,
    Withdraw,
)
from core.link.requests import Reconcile, SendEntry
from core.link.restrict import Restrict

PROTOCOL = 1
LOOK, ACT = "look", "act"  # roles
CONSOLE, COMMAND = "console", "command"  # kinds
REFUSED, FULL = "refused", "full"  # codes of a Rejected that answers a Hello
SILENCE = 30.0  # seconds without a byte after which a client takes its engine for gone


class Hello(Struct, frozen=True, tag=True):
    """The first message of a client. Every connection of one role and kind says the same."""

    protocol: int
    version: str
    role: str  # look | act
    kind: str  # console | command


class Welcome(Struct, frozen=True, tag=True):
    """The engine's answer to a Hello that it takes. ``consoles`` counts the consoles that are attached now."""

    protocol: int
    version: str
    pid: int
    started_at: datetime
    consoles: int


class Ask(Struct, frozen=True, tag=True):
    """A command with the client's number for it."""

    number: int
    command: Command


class Answer(Struct, frozen=True, tag=True):
    """The reply to the Ask with this number."""

    number: int
    reply: Reply


class Told(Struct, frozen=True, tag=True):
    """A log line of what this client asked for."""

    row: LogRow


class Ping(Struct, frozen=True, tag=True):
    """Ask whether the engine still answers."""


class Pong(Struct, frozen=True, tag=True):
    """The answer to Ping."""


FromClient = Hello | Ask | Ping
FromEngine = Welcome | Rejected | Answer | Told | Pong | Snapshot | Update | Finished

_FROM_CLIENT: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)
_FROM_ENGINE: msgspec.json.Decoder[FromEngine] = msgspec.json.Decoder(FromEngine)


def decode_from_client(data: bytes) -> FromClient:
    """Decode a client's message. Raises msgspec.DecodeError for other data."""
    return _FROM_CLIENT.decode(data)


def decode_from_engine(data: bytes) -> FromEngine:
    """Decode an engine's message. Raises msgspec.DecodeError for other data."""
    return _FROM_ENGINE.decode(data)


def framed(message: Any) -> bytes:
    """Return any message in frames. A snapshot that is too large for the line loses its oldest log lines.

    An answer that is too large becomes Rejected. Raises FrameError for any other message that is too large.
    """
    data = msgspec.json.encode(message)
    if len(data) <= MOST:
        return frame(data)
    inner = message.reply if isinstance(message, Answer) else message
    if isinstance(inner, Snapshot) and inner.log:
        shorter = structs.replace(inner, log=inner.log[(len(inner.log) + 1) // 2 :])
        return framed(structs.replace(message, reply=shorter) if isinstance(message, Answer) else shorter)
    if isinstance(message, Answer):
        text = f"the answer has {len(data)} bytes, and the line to the engine takes {MOST}; ask for less at once"
        return framed(Answer(message.number, Rejected("too_large", text)))
    raise FrameError(f"a {type(message).__name__} of {len(data)} bytes is too large for the line")


def why_refused(hello: Hello, version: str, pid: int) -> str:
    """Return in one sentence why an engine of this version refuses the client; "" for a client that is welcome."""
    if (hello.protocol, hello.version) != (PROTOCOL, version):
        return (
            f"the running engine (pid {pid}) is flatdeck {version} and this is flatdeck {hello.version}; "
            "stop the engine with its own flatdeck stop and start it again with this version"
        )
    if hello.role not in (LOOK, ACT) or hello.kind not in (CONSOLE, COMMAND):
        return f"the running engine (pid {pid}) knows no {hello.role} {hello.kind}"
    return ""


def acts(command: Command) -> bool:
    """Return whether the command changes anything but the sender's own screen."""
    if isinstance(command, Reconcile):
        return command.correct
    return isinstance(command, Confirm | Execute | Withdraw | Arm | Acknowledge | SendEntry | Thaw | Restrict)

"""Messages as they come out at the other end of the line."""

from __future__ import annotations

from typing import get_args

from core.link.framing import MOST, FrameSplitter
from core.link.messages import Command, Message, Reply
from core.link.protocol import Answer, Ask, decode_from_client, decode_from_engine, framed


def command_over_wire(command: Command) -> Command:
    """The command as the engine reads it."""
    (data,) = FrameSplitter().split(framed(Ask(7, command)))
    asked = decode_from_client(data)
    assert isinstance(asked, Ask)
    assert asked.number == 7
    return asked.command


def reply_over_wire(reply: Reply) -> Reply:
    """The reply as the client reads it."""
    (data,) = FrameSplitter(MOST).split(framed(Answer(7, reply)))
    answer = decode_from_engine(data)
    assert isinstance(answer, Answer)
    assert answer.number == 7
    return answer.reply


def message_over_wire(message: Message) -> Message:
    """The message as a console reads it."""
    (data,) = FrameSplitter().split(framed(message))
    told = decode_from_engine(data)
    assert isinstance(told, get_args(Message))
    return told  # type: ignore[return-value]

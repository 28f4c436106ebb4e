"""Frames: whatever the cuts of the stream, the same messages come out, and what is no frame ends the line."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from core.link import framing
from core.link.framing import LARGEST, MOST, FrameError, FrameSplitter, frame
from core.link.messages import EngineRow, Execute, LogRow, Prepare, Rejected, Snapshot
from core.link.protocol import (
    ACT,
    COMMAND,
    CONSOLE,
    LOOK,
    PROTOCOL,
    Answer,
    Hello,
    acts,
    decode_from_client,
    decode_from_engine,
    framed,
    why_refused,
)
from core.link.requests import Reconcile
from core.plans.request import PlanRequest
from tests.support.books import NOW


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.lists(st.integers(1, 50), max_size=60))
def test_every_cut_of_the_stream_gives_the_same_messages(messages: list[bytes], cuts: list[int]) -> None:
    stream, splitter, got = b"".join(map(frame, messages)), FrameSplitter(), list[bytes]()
    for cut in [*cuts, len(stream) + 1]:
        got += splitter.split(stream[:cut])
        stream = stream[cut:]
    assert got == messages


@given(st.binary(max_size=400))
def test_garbage_gives_messages_or_an_error_and_nothing_else(data: bytes) -> None:
    try:
        for message in FrameSplitter().split(data):
            decode_from_client(message)
            decode_from_engine(message)
    except (FrameError, msgspec.DecodeError):
        pass


def test_a_length_is_judged_before_its_message_came() -> None:
    for size in (0, LARGEST + 1, 0x7FFFFFFF):
        for head in (size, size | 1 << 31):
            with pytest.raises(FrameError, match=str(size)):
                FrameSplitter(MOST).split(head.to_bytes(4, "big"))
    assert FrameSplitter().split(LARGEST.to_bytes(4, "big")) == []


def test_the_rows_of_an_engine_may_need_several_frames_and_the_words_of_a_client_never() -> None:
    for size in (LARGEST, LARGEST + 1, 3 * LARGEST):
        message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        splitter = FrameSplitter(MOST)
        stream = frame(message) + frame(b"next")
        assert [*splitter.split(stream[:-9]), *splitter.split(stream[-9:])] == [message, b"next"]
    with pytest.raises(FrameError):
        FrameSplitter().split(frame(b" " * (LARGEST + 1)))


def test_a_message_in_several_frames_is_bounded_too() -> None:
    splitter, more = FrameSplitter(3 * LARGEST), (LARGEST | 1 << 31).to_bytes(4, "big") + b" " * LARGEST
    assert [splitter.split(more) for _ in range(3)] == [[], [], []]
    with pytest.raises(FrameError):
        splitter.split(more)


def test_a_message_that_is_cut_off_is_no_message() -> None:
    assert FrameSplitter().split(frame(b"whole")[:-1]) == []


def test_a_message_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(FrameError):
        frame(b"")
    with pytest.raises(FrameError):
        frame(b" " * (MOST + 1))


def _answer(data: bytes) -> object:
    (message,) = FrameSplitter(MOST).split(data)
    return decode_from_engine(message)


def test_a_snapshot_that_is_too_large_loses_its_oldest_log_lines() -> None:
    rows = tuple(LogRow(n, NOW, "info", "x" * 4000) for n in range(20_000))
    snapshot = Snapshot(3, NOW, EngineRow(), log=rows)
    for told in (_answer(framed(snapshot)), _answer(framed(Answer(1, snapshot)))):
        got = told.reply if isinstance(told, Answer) else told
        assert isinstance(got, Snapshot)
        assert got.log
        assert got.log == rows[-len(got.log) :]


def test_an_answer_that_is_too_large_says_so() -> None:
    told = _answer(framed(Answer(1, Rejected("failed", "x" * framing.MOST))))
    assert isinstance(told, Answer)
    assert isinstance(told.reply, Rejected)
    assert told.reply.code == "too_large"


def test_another_version_is_refused_in_one_sentence_with_both_and_the_way_out() -> None:
    for hello in (Hello(PROTOCOL, "2.0", ACT, COMMAND), Hello(PROTOCOL + 1, "2.0", ACT, COMMAND)):
        why = why_refused(hello, "1.0", 77)
        assert all(part in why for part in ("1.0", "2.0", "pid 77", "flatdeck stop"))
    assert why_refused(Hello(PROTOCOL, "1.0", "own", CONSOLE), "1.0", 77)
    assert why_refused(Hello(PROTOCOL, "1.0", LOOK, CONSOLE), "1.0", 77) == ""


def test_a_hello_of_a_later_version_can_be_read() -> None:
    later = b'{"type":"Hello","protocol":9,"version":"9.0","role":"rule","kind":"robot","more":[1]}'
    assert decode_from_client(later) == Hello(9, "9.0", "rule", "robot")


def test_what_changes_anything_is_known() -> None:
    assert acts(Execute("p", "d"))
    assert acts(Reconcile(correct=True))
    assert not acts(Reconcile(correct=False))
    assert not acts(Prepare(PlanRequest("cleanup")))

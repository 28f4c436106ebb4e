"""Frames on the line between an engine and its clients: four bytes of length, then the message as JSON. Pure."""

from __future__ import annotations

from core.errors import FlatdeckError

LARGEST = 4 * 1024 * 1024  # bytes of one message
_HEAD = 4  # bytes of the length, big-endian


class FrameError(FlatdeckError):
    """The bytes on the line are no frames, or a message is too large for a frame."""


def frame(message: bytes) -> bytes:
    """Return the message as one frame. Raises FrameError for an empty or too large message."""
    _check(len(message))
    return len(message).to_bytes(_HEAD, "big") + message


class FrameSplitter:
    """Cuts a stream of bytes into messages. The cuts of the stream do not matter."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def split(self, data: bytes) -> list[bytes]:
        """Return the messages that ``data`` completes, in order. Raises FrameError as soon as a length is wrong."""
        self._rest += data
        found = []
        while len(self._rest) >= _HEAD:
            size = int.from_bytes(self._rest[:_HEAD], "big")
            _check(size)
            if len(self._rest) < _HEAD + size:
                break
            found.append(bytes(self._rest[_HEAD : _HEAD + size]))
            del self._rest[: _HEAD + size]
        return found


def _check(size: int) -> None:
    if not 0 < size <= LARGEST:
        raise FrameError(f"a message of {size} bytes is not between 1 and {LARGEST} bytes")

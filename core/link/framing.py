"""Frames on the line between an engine and its clients: four bytes of length, then the message as JSON. Pure.

A message that is too large for a frame goes in several. The highest bit of a length says that the message goes on.
"""

from __future__ import annotations

from core.errors import FlatdeckError

LARGEST = 4 * 1024 * 1024  # bytes of one frame, and of one message of a client
MOST = 64 * 1024 * 1024  # bytes of one message of the engine: the rows of 100,000 positions
_HEAD = 4  # bytes of the length, big-endian
_MORE = 1 << 31


class FrameError(FlatdeckError):
    """The bytes on the line are no frames, or a message is too large."""


def frame(message: bytes) -> bytes:
    """Return the message as frames. Raises FrameError for an empty or too large message."""
    _check(len(message), MOST)
    parts = [message[at : at + LARGEST] for at in range(0, len(message), LARGEST)]
    heads = [len(part) | _MORE for part in parts[:-1]] + [len(parts[-1])]
    return b"".join(piece for head, part in zip(heads, parts, strict=True) for piece in (head.to_bytes(_HEAD), part))


class FrameSplitter:
    """Cuts a stream of bytes into messages of at most ``most`` bytes. The cuts of the stream do not matter."""

    def __init__(self, most: int = LARGEST) -> None:
        self._most = most
        self._rest = bytearray()
        self._begun = bytearray()  # the earlier frames of a message

    def split(self, data: bytes) -> list[bytes]:
        """Return the messages that ``data`` completes, in order. Raises FrameError as soon as a length is wrong."""
        self._rest += data
        found = []
        while len(self._rest) >= _HEAD:
            head = int.from_bytes(self._rest[:_HEAD])
            size = head & ~_MORE
            _check(size, LARGEST)
            _check(len(self._begun) + size, self._most)
            if len(self._rest) < _HEAD + size:
                break
            self._begun += self._rest[_HEAD : _HEAD + size]
            del self._rest[: _HEAD + size]
            if not head & _MORE:
                found.append(bytes(self._begun))
                self._begun.clear()
        return found


def _check(size: int, most: int) -> None:
    if not 0 < size <= most:
        raise FrameError(f"a message of {size} bytes is not between 1 and {most} bytes")

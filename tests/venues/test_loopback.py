"""The loopback venues themselves: a test that ends leaves nothing behind for the next one to stumble over."""

from __future__ import annotations

import gc
import socket

from aiohttp import web

from tests.venues.loopback import Loopback


class Silent(Loopback):
    def app(self) -> web.Application:
        return web.Application()

    def verify(self) -> None:
        pass


def test_who_knocks_as_a_venue_ends_leaves_no_socket() -> None:
    for _ in range(40):  # a server that only ends forgets them in a third of the times
        with Silent() as running:
            knocking = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(3)]
        for one in knocking:
            one.close()
    gc.collect()  # a socket that nobody closed is an error of this test

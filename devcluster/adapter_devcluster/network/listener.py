"""Listening on an address for connections that are passed on.

asyncio's own server loses a connection that it has accepted but not set up yet when it is closed: the client
would wait for ever. Services open and close their ports all the time, so the sockets are looked after here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

from adapter_devcluster.network.relay import Connect, Relays

logger = logging.getLogger(__name__)
_BACKLOG: Final = 512
# How long to wait where the process has no file descriptor left.
_PAUSE_SECONDS: Final = 0.1


class Listener:
    """Listens until it is closed; what was accepted lives on. Raises OSError where it can't."""

    def __init__(self, address: tuple[str, int], connect: Connect, relays: Relays) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect = connect
        self._relays = relays
        self._socket = socket.create_server(address, backlog=_BACKLOG)
        self._socket.settimeout(0)
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._socket, self._accept)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()
        return str(host), int(port)

    def close(self) -> None:
        """Stop listening: new connections are refused."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.warning("can't accept a connection: %s", error)
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._loop.add_reader, self._socket, self._accept)
                return
            connection.settimeout(0)
            self._relays.accept(connection, self._connect)

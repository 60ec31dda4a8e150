"""HTTP servers in one event loop, on sockets that are bound before anything else is done."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from adapter_contract import ExitCode
from adapter_server.errors import ServerError

_BACKLOG = 1024


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket; an empty address means all, of both versions of IP where there are two.

    Raises:
        ServerError: the address or port can't be had.
    """
    try:
        if address:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family, backlog=_BACKLOG)
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        return socket.create_server(("", port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        where = f"{address or 'all addresses'}, port {port}"
        raise ServerError(ExitCode.INTERNAL, f"can't listen on {where}: {error.strerror or error}") from error


class Listener:
    """One HTTP server on one socket, from its construction on."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._socket = listening
        self._server = _Server(
            uvicorn.Config(
                app,
                access_log=False,
                lifespan="off",
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_keep_alive=65,
                ws="none",
            )
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    async def stop(self, seconds: float) -> None:
        """Take no more connections, let requests end for some time, at least a second, then cut them off."""
        self._server.config.timeout_graceful_shutdown = max(1, round(seconds))
        self._server.should_exit = True
        await self._task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program, which has two servers and more to do than to stop them."""
        yield

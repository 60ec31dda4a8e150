"""One TCP connection passed on to another: two protocols that feed each other.

Protocols, not streams: a part is written where it goes in the same turn of the loop that read it, and a side
that can't take more stops the other side's reading.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, cast

# On, for no time: what is left unsent is dropped, and the other end sees a reset instead of an orderly end.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Break a connection off so that the other end knows."""
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class Side(asyncio.Protocol):
    """One end of a relay. What it reads goes to its peer."""

    def __init__(self, peer: Side | None = None) -> None:
        self.peer = peer
        self.transport: asyncio.Transport | None = None
        self.ended = False

    @property
    def other(self) -> asyncio.Transport | None:
        """The peer's transport, while it is connected."""
        return self.peer.transport if self.peer is not None else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and be there for the peer: this side may have something to say at once."""
        self.transport = cast("asyncio.Transport", transport)
        if self.peer is not None:
            self.peer.peer = self

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        if self.other is not None and not self.other.is_closing():
            self.other.write(data)

    def eof_received(self) -> bool:
        """Pass on the end of one direction; the other may go on. With both ended the relay is over."""
        self.ended = True
        if self.other is not None and not self.other.is_closing():
            self.other.write_eof()
        if self.peer is not None and self.peer.ended:
            self._end()
        return True

    def _end(self) -> None:
        """Close both sides, each after what is still to be written."""
        for transport in (self.transport, self.other):
            if transport is not None:
                transport.close()

    def pause_writing(self) -> None:
        """This side takes no more for now."""
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        """This side takes more again."""
        if self.other is not None:
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side too: after what is still to be written there, or at once if this side broke."""
        self.transport = None
        if self.other is not None and exc is None:
            self.other.close()
        elif self.other is not None:
            reset(self.other)


class Accepted(Side):
    """The side that a client opened. Nothing is read from it before the other side is connected."""

    def __init__(self, connect: Connect, relays: Relays) -> None:
        super().__init__()
        self._connect = connect
        self._relays = relays
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to connect the other side."""
        super().connection_made(transport)
        cast("asyncio.Transport", transport).pause_reading()
        self._relays.open.add(self)
        self._connecting = asyncio.get_running_loop().create_task(self._join(transport.get_extra_info("peername")[0]))

    async def _join(self, client: str) -> None:
        try:
            await self._connect(self, client)
        except OSError:
            # As if nothing listened: the client sees a reset.
            self._abort()
        else:
            if self.transport is not None:
                self.transport.resume_reading()

    async def abort(self) -> None:
        """Break both sides off, and wait for what was connecting."""
        self._abort()
        if self._connecting is not None:
            await asyncio.gather(self._connecting, return_exceptions=True)

    def _abort(self) -> None:
        for transport in (self.transport, self.other):
            if transport is not None:
                reset(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Also give up connecting."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._relays.open.discard(self)
        super().connection_lost(exc)


# Connects a `Side` with that peer, for a client's address. Raises OSError.
Connect: TypeAlias = Callable[[Accepted, str], Awaitable[object]]


class Relays:
    """The relays that are open."""

    def __init__(self) -> None:
        self.open: set[Accepted] = set()
        self._accepting: set[asyncio.Task[None]] = set()

    def accept(self, connection: socket.socket, connect: Connect) -> None:
        """Begin a relay for a connection that was accepted."""
        task = asyncio.get_running_loop().create_task(self._accept(connection, connect))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _accept(self, connection: socket.socket, connect: Connect) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: Accepted(connect, self), connection)

    async def abort(self) -> None:
        """Break all of them off."""
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await asyncio.gather(*(one.abort() for one in self.open))
        # Transports end in the loop's next turn.
        await asyncio.sleep(0)

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from adapter_devcluster.api.server import Api
from adapter_devcluster.client import Client
from adapter_devcluster.network.services import ServiceNetwork
from adapter_devcluster.objects import Object, copy

pytestmark = pytest.mark.integration

SLICES = "endpointslices.discovery.k8s.io"
PORT = 18080


class Lab:
    """A cluster's API with a service network, and programs that tell who they are to whoever connects."""

    def __init__(self) -> None:
        # Tests that run at the same time on one machine must not meet on an address.
        self.client: Client = Api({}, f"127.{100 + os.getpid() % 100}.0.0/16").client()
        self.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
        self.network = ServiceNetwork(self.client)
        self.programs: list[asyncio.Server] = []

    async def program(self, address: str) -> int:
        """Start a program; returns its port."""

        async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(address.encode() + b" ")
            while part := await reader.read(2**16):
                writer.write(part)
            writer.close()

        self.programs.append(await asyncio.start_server(tell, address, 0))
        return int(self.programs[-1].sockets[0].getsockname()[1])

    def service(self, name: str = "s", port: int = PORT, **spec: Any) -> str:
        """Create a Service; returns its cluster IP."""
        found = self.client.create(
            "services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "ns"},
                "spec": {"selector": {"app": name}, "ports": [{"port": port}], **spec},
            },
        )
        return str(found["spec"].get("clusterIP"))

    def endpoints(self, port: int, *addresses: str, name: str = "s", piece: str = "s-1") -> None:
        """Say which endpoints of a Service are ready."""
        found: Object = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": piece, "namespace": "ns", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
        }
        if earlier := self.client.get(SLICES, "ns", piece):
            found["metadata"] = {**copy(earlier["metadata"]), "labels": found["metadata"]["labels"]}
            self.client.update(SLICES, found)
        else:
            self.client.create(SLICES, found)


async def who(address: str, port: int = PORT) -> str:
    """Connect and ask who answers. Raises OSError."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write_eof()
        return (await reader.read()).decode().strip()
    finally:
        writer.close()


async def refused(address: str, port: int = PORT) -> None:
    """Wait until nobody listens."""
    async with asyncio.timeout(5):
        with contextlib.suppress(OSError):
            while True:
                await who(address, port)
                await asyncio.sleep(0.001)


async def answered(address: str, by: set[str], port: int = PORT) -> None:
    """Wait until exactly these answer."""
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(OSError):
                if {await who(address, port) for _ in range(len(by) + 2)} == by:
                    return
            await asyncio.sleep(0.001)


def run(test: Callable[[Lab], Awaitable[None]]) -> None:
    @contextlib.asynccontextmanager
    async def lab() -> AsyncIterator[Lab]:
        found = Lab()
        await found.network.start()
        try:
            yield found
        finally:
            await found.network.stop()
            for program in found.programs:
                program.close()

    async def whole() -> None:
        before = len(asyncio.all_tasks())
        async with lab() as found:
            await test(found)
        assert len(asyncio.all_tasks()) == before

    asyncio.run(whole())


def test_connections_go_round_the_ready_endpoints() -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        await refused(address)
        lab.endpoints(port, "127.1.0.1")
        await answered(address, {"127.1.0.1"})
        # The second program has the same port on its own address.
        second = await asyncio.start_server(lambda _, writer: writer.close(), "127.1.0.2", port)
        lab.programs.append(second)
        lab.endpoints(port, "127.1.0.1", "127.1.0.2")
        await answered(address, {"127.1.0.1", ""})
        found = [await who(address) for _ in range(6)]
        assert sorted(found) == ["", "", "", "127.1.0.1", "127.1.0.1", "127.1.0.1"]

    run(test)


def test_without_ready_endpoints_connections_are_refused() -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        lab.endpoints(port, "127.1.0.1")
        await answered(address, {"127.1.0.1"})
        lab.endpoints(port)
        await refused(address)
        lab.endpoints(port, "127.1.0.1")
        await answered(address, {"127.1.0.1"})
        lab.client.delete(SLICES, "ns", "s-1")
        await refused(address)

    run(test)


def test_an_open_connection_outlives_its_endpoint_and_its_service() -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        lab.endpoints(port, "127.1.0.1")
        await answered(address, {"127.1.0.1"})
        reader, writer = await asyncio.open_connection(address, PORT)
        assert await reader.readuntil(b" ") == b"127.1.0.1 "
        lab.client.delete("services", "ns", "s")
        lab.client.delete(SLICES, "ns", "s-1")
        await refused(address)
        writer.write(b"still there?")
        assert await reader.readexactly(12) == b"still there?"
        writer.close()

    run(test)


def test_stopping_breaks_open_connections_off() -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        lab.endpoints(port, "127.1.0.1")
        await answered(address, {"127.1.0.1"})
        reader, writer = await asyncio.open_connection(address, PORT)
        await reader.readuntil(b" ")
        await lab.network.stop()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await refused(address)

    run(test)


def test_each_service_and_each_port_has_its_own_listener() -> None:
    async def test(lab: Lab) -> None:
        one, two = await lab.program("127.1.0.1"), await lab.program("127.1.0.2")
        first, second = lab.service(), lab.service("t")
        assert first != second
        lab.endpoints(one, "127.1.0.1")
        lab.endpoints(two, "127.1.0.2", name="t", piece="t-1")
        await answered(first, {"127.1.0.1"})
        await answered(second, {"127.1.0.2"})
        changed = copy(lab.client.get("services", "ns", "t"))
        changed["spec"]["ports"][0]["port"] = PORT + 1
        lab.client.update("services", changed)
        await answered(second, {"127.1.0.2"}, PORT + 1)
        await refused(second)

    run(test)


def test_a_slice_that_changes_hands_serves_its_new_service() -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        first, second = lab.service(), lab.service("t")
        lab.endpoints(port, "127.1.0.1")
        await answered(first, {"127.1.0.1"})
        lab.endpoints(port, "127.1.0.1", name="t")
        await answered(second, {"127.1.0.1"})
        await refused(first)

    run(test)


def test_a_client_keeps_its_endpoint_where_the_service_says_so() -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        lab.programs.append(await asyncio.start_server(lambda _, writer: writer.close(), "127.1.0.2", port))
        address = lab.service(sessionAffinity="ClientIP")
        lab.endpoints(port, "127.1.0.1", "127.1.0.2")
        await answered(address, {"127.1.0.1"})
        assert {await who(address) for _ in range(5)} == {"127.1.0.1"}
        # Its endpoint has gone: it gets another one.
        lab.endpoints(port, "127.1.0.2")
        await answered(address, {""})

    run(test)


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None"},
        {"type": "ExternalName", "externalName": "else.where", "ports": []},
        {"ports": [{"port": PORT, "protocol": "UDP"}]},
    ],
)
def test_services_that_nobody_listens_for(spec: dict[str, Any]) -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        lab.service("quiet", **spec)
        lab.endpoints(port, "127.1.0.1", name="quiet", piece="q-1")
        address = lab.service()
        lab.endpoints(port, "127.1.0.1")
        # Changes are worked off in order: when the second is done, the first was.
        await answered(address, {"127.1.0.1"})
        assert [key for key, ports in lab.network._ports.items() if ports] == [("ns", "s")]

    run(test)


def test_an_endpoint_that_does_not_listen_resets_the_connection() -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        lab.endpoints(port, "127.1.0.1")
        await answered(address, {"127.1.0.1"})
        lab.programs.pop().close()
        with pytest.raises(ConnectionResetError):
            await who(address)

    run(test)


def events(lab: Lab) -> list[Object]:
    return [one for one in lab.client.list("events", "ns") if one["reason"] == "ListenFailed"]


def test_a_port_that_is_taken_is_reported_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        with socket.socket() as taken:
            taken.bind((address, PORT))
            taken.listen()
            lab.endpoints(port, "127.1.0.1")
            async with asyncio.timeout(5):
                while not events(lab):  # noqa: ASYNC110 - the client's watch would be as long
                    await asyncio.sleep(0.001)
            lab.endpoints(port, "127.1.0.1", name="s", piece="s-2")
            # The change makes it try again at once; that this fails again is told to nobody.
            tried = asyncio.Event()
            lab.client.watch(SLICES, lambda _: asyncio.get_running_loop().call_soon(tried.set))
            await tried.wait()
        (event,) = events(lab)
        assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "s")
        assert f"{address}:{PORT} can't be listened on: " in event["message"]
        lab.client.delete(SLICES, "ns", "s-2")
        await answered(address, {"127.1.0.1"})
        assert len(events(lab)) == 1

    run(test)
    assert [record.levelname for record in caplog.records if "can't be listened on" in record.message] == ["WARNING"]


def test_a_port_that_is_freed_is_listened_on_without_any_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter_devcluster.network.services._RETRY_SECONDS", 0.01)

    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        with socket.socket() as taken:
            taken.bind((address, PORT))
            taken.listen()
            lab.endpoints(port, "127.1.0.1")
            async with asyncio.timeout(5):
                while not events(lab):  # noqa: ASYNC110 - the client's watch would be as long
                    await asyncio.sleep(0.001)
        await answered(address, {"127.1.0.1"})

    run(test)


def test_a_service_that_never_got_its_port_can_be_deleted(caplog: pytest.LogCaptureFixture) -> None:
    async def test(lab: Lab) -> None:
        port = await lab.program("127.1.0.1")
        address = lab.service()
        with socket.socket() as taken:
            taken.bind((address, PORT))
            lab.endpoints(port, "127.1.0.1")
            async with asyncio.timeout(5):
                while not events(lab):  # noqa: ASYNC110 - the client's watch would be as long
                    await asyncio.sleep(0.001)
            lab.client.delete("services", "ns", "s")
            async with asyncio.timeout(5):
                while lab.network._ports:  # noqa: ASYNC110 - nothing is left that could be awaited
                    await asyncio.sleep(0.001)
        await refused(address)

    run(test)
